/* What the names in a pickle stand for. There are four answers:
 *
 *     known      plain containers, PyTorch's tensor rebuilding, storages, element types: built by our rules
 *     unknown    any other class: an opaque value, never looked up, never called
 *     unsupported  tensors of kinds that fettle does not have (sparse, quantised, complex), TorchScript
 *     refused    modules that a checkpoint has no business with: they run programs, open files, import code
 *
 * A refused or unsupported name refuses the whole file, wherever it stands and whether or not it would be called. */
#include <string.h>

#include "store/pickle_int.h"

typedef struct row {
    const char *module, *name;
    fet__pk_action action;
    int dtype;
} row;

static const row known[] = {
    {"builtins", "list", FET__PK_MAKE_LIST, -1},
    {"builtins", "tuple", FET__PK_MAKE_TUPLE, -1},
    {"builtins", "set", FET__PK_MAKE_SET, -1},
    {"builtins", "frozenset", FET__PK_MAKE_SET, -1},
    {"builtins", "dict", FET__PK_MAKE_DICT, -1},
    {"builtins", "bytes", FET__PK_MAKE_BYTES, -1},
    {"builtins", "bytearray", FET__PK_MAKE_BYTES, -1},
    {"builtins", "int", FET__PK_UNKNOWN, -1},
    {"builtins", "float", FET__PK_UNKNOWN, -1},
    {"builtins", "bool", FET__PK_UNKNOWN, -1},
    {"builtins", "str", FET__PK_UNKNOWN, -1},
    {"builtins", "complex", FET__PK_UNKNOWN, -1},
    {"builtins", "object", FET__PK_UNKNOWN, -1},
    {"builtins", "slice", FET__PK_UNKNOWN, -1},
    {"builtins", "range", FET__PK_UNKNOWN, -1},
    {"collections", "OrderedDict", FET__PK_MAKE_DICT, -1},
    {"collections", "Counter", FET__PK_MAKE_DICT, -1},
    {"collections", "defaultdict", FET__PK_MAKE_DEFAULTDICT, -1},
    {"copyreg", "_reconstructor", FET__PK_MAKE_OBJECT, -1},
    {"numpy.core.multiarray", "_reconstruct", FET__PK_MAKE_OBJECT, -1},
    {"numpy._core.multiarray", "_reconstruct", FET__PK_MAKE_OBJECT, -1},
    {"_codecs", "encode", FET__PK_ENCODE, -1},
    {"numpy", "dtype", FET__PK_NUMPY_TYPE, -1},
    {"numpy.core.multiarray", "scalar", FET__PK_NUMPY_SCALAR, -1},
    {"numpy._core.multiarray", "scalar", FET__PK_NUMPY_SCALAR, -1},
    {"torch._utils", "_rebuild_tensor", FET__PK_REBUILD, -1},
    {"torch._utils", "_rebuild_tensor_v2", FET__PK_REBUILD_V2, -1},
    {"torch._utils", "_rebuild_tensor_v3", FET__PK_REBUILD_V3, -1},
    {"torch._utils", "_rebuild_parameter", FET__PK_REBUILD_PARAMETER, -1},
    {"torch._utils", "_rebuild_parameter_with_state", FET__PK_REBUILD_PARAMETER, -1},
    {"torch._tensor", "_rebuild_from_type_v2", FET__PK_REBUILD_FROM_TYPE, -1},
    {"torch", "Size", FET__PK_SIZE, -1},
    {"torch", "device", FET__PK_UNKNOWN, -1},
    {"torch", "Tensor", FET__PK_TYPE, -1},
    {"torch._tensor", "Tensor", FET__PK_TYPE, -1},
    {"torch.nn.parameter", "Parameter", FET__PK_TYPE, -1},
    {"torch.nn.parameter", "Buffer", FET__PK_TYPE, -1},
    {"torch.torch_version", "TorchVersion", FET__PK_UNKNOWN, -1}, /* a str of another class */
    {"torch.storage", "UntypedStorage", FET__PK_STORAGE_TYPE, -1},
    {"torch", "UntypedStorage", FET__PK_STORAGE_TYPE, -1},
};

/* Of module torch; the storages of torch.cuda have the same names. */
static const row storages[] = {
    {"torch", "FloatStorage", FET__PK_STORAGE_TYPE, FET_F32},
    {"torch", "DoubleStorage", FET__PK_STORAGE_TYPE, FET_F64},
    {"torch", "HalfStorage", FET__PK_STORAGE_TYPE, FET_F16},
    {"torch", "BFloat16Storage", FET__PK_STORAGE_TYPE, FET_BF16},
    {"torch", "LongStorage", FET__PK_STORAGE_TYPE, FET_I64},
    {"torch", "IntStorage", FET__PK_STORAGE_TYPE, FET_I32},
    {"torch", "ShortStorage", FET__PK_STORAGE_TYPE, FET_I16},
    {"torch", "CharStorage", FET__PK_STORAGE_TYPE, FET_I8},
    {"torch", "ByteStorage", FET__PK_STORAGE_TYPE, FET_U8},
    {"torch", "BoolStorage", FET__PK_STORAGE_TYPE, FET_BOOL},
};

static const row types[] = {
    {"torch", "float32", FET__PK_TYPE, FET_F32},   {"torch", "float", FET__PK_TYPE, FET_F32},
    {"torch", "float64", FET__PK_TYPE, FET_F64},   {"torch", "double", FET__PK_TYPE, FET_F64},
    {"torch", "float16", FET__PK_TYPE, FET_F16},   {"torch", "half", FET__PK_TYPE, FET_F16},
    {"torch", "bfloat16", FET__PK_TYPE, FET_BF16}, {"torch", "int64", FET__PK_TYPE, FET_I64},
    {"torch", "long", FET__PK_TYPE, FET_I64},      {"torch", "int32", FET__PK_TYPE, FET_I32},
    {"torch", "int", FET__PK_TYPE, FET_I32},       {"torch", "int16", FET__PK_TYPE, FET_I16},
    {"torch", "short", FET__PK_TYPE, FET_I16},     {"torch", "int8", FET__PK_TYPE, FET_I8},
    {"torch", "uint8", FET__PK_TYPE, FET_U8},      {"torch", "bool", FET__PK_TYPE, FET_BOOL},
    {"torch", "uint16", FET__PK_TYPE, FET_U16},    {"torch", "uint32", FET__PK_TYPE, FET_U32},
    {"torch", "uint64", FET__PK_TYPE, FET_U64},    {"torch", "complex32", FET__PK_TYPE, -1},
    {"torch", "complex64", FET__PK_TYPE, -1},      {"torch", "complex128", FET__PK_TYPE, -1},
    {"torch", "quint8", FET__PK_TYPE, -1},         {"torch", "qint8", FET__PK_TYPE, -1},
    {"torch", "qint32", FET__PK_TYPE, -1},         {"torch", "float8_e4m3fn", FET__PK_TYPE, -1},
    {"torch", "float8_e5m2", FET__PK_TYPE, -1},
};

/* Whole packages: what is not in the tables above is refused. torch is one of them. */
static const char *const forbidden[] = {
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "builtins",
    "importlib",
    "runpy",
    "shutil",
    "socket",
    "ctypes",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "pty",
    "popen2",
    "commands",
    "code",
    "codeop",
    "pdb",
    "bdb",
    "timeit",
    "types",
    "imp",
    "torch",
    "multiprocessing",
    "asyncio",
    "platform",
    "tempfile",
    "webbrowser",
    "threading",
    "signal",
    "inspect",
    "pip",
    "setuptools",
    "_posixsubprocess",
};

static bool same(const char *s, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(s, text, length) == 0;
}

static bool begins(const char *s, size_t length, const char *prefix)
{
    size_t n = strlen(prefix);
    return length >= n && memcmp(s, prefix, n) == 0;
}

static const row *find(const row *rows, size_t count, const char *module, size_t module_length, const char *name,
                       size_t name_length)
{
    for (size_t i = 0; i < count; i++) {
        if (same(module, module_length, rows[i].module) && same(name, name_length, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

/* The name of a storage class, of whatever element type. */
static bool names_storage(const char *name, size_t length)
{
    return length > 7 && memcmp(name + length - 7, "Storage", 7) == 0;
}

static fet_status refuse(fet__pickle *m, const char *module, size_t module_length, const char *name, size_t name_length)
{
    const char *a = fet__pk_show(m, module, module_length), *b = fet__pk_show(m, name, name_length);
    if (begins(module, module_length, "__torch__"))
        return FET__PK_FAIL(m, "unsupported", "%s.%s: it is a TorchScript archive, a program; save the state_dict", a,
                            b);
    if (begins(module, module_length, "torch.nn.") || begins(module, module_length, "torch.ao.nn."))
        return FET__PK_FAIL(m, "refused", "%s.%s: " FET__PK_MODULE_ADVICE, a, b);
    if (begins(module, module_length, "torch") && names_storage(name, name_length))
        return FET__PK_FAIL(m, "unsupported", "%s.%s: tensors of this element type are not read", a, b);
    if (begins(module, module_length, "torch._utils") && begins(name, name_length, "_rebuild_"))
        return FET__PK_FAIL(m, "unsupported", "%s.%s: only dense, plain tensors are read", a, b);
    return FET__PK_FAIL(m, "refused", "it names %s.%s, which no checkpoint needs; nothing was imported or run", a, b);
}

static bool is_forbidden(const char *module, size_t length)
{
    const char *dot = memchr(module, '.', length);
    size_t package = dot ? (size_t)(dot - module) : length;
    for (size_t i = 0; i < FET_COUNT(forbidden); i++) {
        if (same(module, package, forbidden[i]))
            return true;
    }
    return same(module, package, "__torch__");
}

static const row *find_any(const char *module, size_t module_length, const char *name, size_t name_length)
{
    const row *r = find(known, FET_COUNT(known), module, module_length, name, name_length);
    if (!r)
        r = find(types, FET_COUNT(types), module, module_length, name, name_length);
    if (!r && same(module, module_length, "torch.cuda"))
        module_length = strlen("torch");
    return r ? r : find(storages, FET_COUNT(storages), module, module_length, name, name_length);
}

fet_status fet__pk_global(fet__pickle *m, fet__pk **out, const char *module, size_t module_length, const char *name,
                          size_t name_length)
{
    if (module_length == 0 || name_length == 0 || module_length > FET__PICKLE_MAX_NAME ||
        name_length > FET__PICKLE_MAX_NAME)
        return FET__PK_BAD(m, "a global with names of %zu and %zu bytes", module_length, name_length);
    if (same(module, module_length, "__builtin__")) { /* Python 2's name */
        module = "builtins";
        module_length = strlen(module);
    } else if (same(module, module_length, "copy_reg")) {
        module = "copyreg";
        module_length = strlen(module);
    }
    const row *r = find_any(module, module_length, name, name_length);
    if (!r && is_forbidden(module, module_length))
        return refuse(m, module, module_length, name, name_length);
    const char *dot = memrchr(name, '.', name_length);
    const char *last = dot ? dot + 1 : name;
    if (r && r->action == FET__PK_TYPE && r >= types && r < types + FET_COUNT(types))
        *out = fet__pk_text(m, FET__PK_GLOBAL, "dtype", strlen("dtype"));
    else
        *out = fet__pk_text(m, FET__PK_GLOBAL, last, name_length - (size_t)(last - name));
    if (!*out)
        return m->failure;
    (*out)->action = (uint8_t)(r ? r->action : FET__PK_UNKNOWN);
    (*out)->dtype = (int8_t)(r ? r->dtype : -1);
    return FET_OK;
}
