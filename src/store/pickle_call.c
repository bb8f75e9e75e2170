/* What the "calls" of a pickle give: REDUCE, NEWOBJ, OBJ, INST and BUILD. Each known callee has a rule that looks at its
 * arguments; a callee that is merely unknown gives an opaque value of that name, its arguments dropped. */
#include <string.h>

#include "store/pickle_int.h"

/* ---- containers --------------------------------------------------------------------------------------------- */

static bool is_sequence(const fet__pk *v)
{
    return v->kind == FET__PK_LIST || v->kind == FET__PK_TUPLE || v->kind == FET__PK_SET;
}

/* list(x), tuple(x), set(x): a new container with x's items. */
static fet_status make_sequence(fet__pickle *m, fet__pk **out, fet__pk_kind kind, fet__pk *const *args, size_t count)
{
    if (count == 0)
        return fet__pk_keep(m, out, fet__pk_new(m, kind));
    if (count > 1 || !is_sequence(args[0]))
        return FET__PK_BAD(m, "a container is made from %zu arguments, the first a %s", count,
                           fet__pk_kind_name(args[0]));
    return fet__pk_keep(m, out, fet__pk_tuple(m, kind, args[0]->as.items, args[0]->count));
}

/* dict(), dict(other), dict([(key, value), ...]) and the classes that pickle like it. */
static fet_status make_dict(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    fet_status st = FET_OK;
    fet__pk *dict = NULL;
    FET_TRY(fet__pk_keep(m, &dict, fet__pk_new(m, FET__PK_DICT)));
    *out = dict;
    if (count == 0)
        goto done;
    const fet__pk *from = args[0];
    if (count > 1 || (from->kind != FET__PK_DICT && from->kind != FET__PK_LIST && from->kind != FET__PK_TUPLE))
        return FET__PK_BAD(m, "a dict is made from %zu arguments, the first a %s", count, fet__pk_kind_name(from));
    if (from->kind == FET__PK_DICT)
        FET_TRY(fet__pk_extend(m, dict, from->as.items, from->count));
    for (uint32_t i = 0; from->kind != FET__PK_DICT && i < from->count; i++) {
        const fet__pk *pair = from->as.items[i];
        if ((pair->kind != FET__PK_LIST && pair->kind != FET__PK_TUPLE) || pair->count != 2)
            return FET__PK_BAD(m, "item %u of what a dict is made from is no pair", i);
        FET_TRY(fet__pk_update(m, dict, pair->as.items, 2));
    }
done:
    return st;
}

static fet_status make_bytes(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count == 0)
        return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_BYTES, "", 0));
    if (args[0]->kind == FET__PK_STR)
        return fet__pk_latin1(m, out, args[0]);
    if (args[0]->kind != FET__PK_BYTES)
        return FET__PK_BAD(m, "bytes are made from a %s", fet__pk_kind_name(args[0]));
    *out = args[0];
    return FET_OK;
}

/* _codecs.encode(text, 'latin1'): bytes, as protocols 0 to 2 spell them. */
static fet_status encode(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count != 2 || args[0]->kind != FET__PK_STR ||
        !(fet__pk_is(args[1], "latin1") || fet__pk_is(args[1], "latin-1")))
        return FET__PK_BAD(m, "bytes are written as %zu arguments, not as text in latin1", count);
    return fet__pk_latin1(m, out, args[0]);
}

static fet_status opaque(fet__pickle *m, fet__pk **out, const fet__pk *named)
{
    return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_OPAQUE, named->as.text, named->count));
}

static fet_status make_object(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count == 0 || args[0]->kind != FET__PK_GLOBAL)
        return FET__PK_BAD(m, "an object is made by %zu arguments, none of which is its class", count);
    return opaque(m, out, args[0]);
}

/* ---- NumPy's scalars ---------------------------------------------------------------------------------------- */

static fet_status numpy_type(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count == 0 || args[0]->kind != FET__PK_STR)
        return FET__PK_BAD(m, "a NumPy element type is made from %zu arguments, none of which is its name", count);
    fet__pk *v = fet__pk_text(m, FET__PK_NUMPY_DTYPE, args[0]->as.text, args[0]->count);
    return fet__pk_keep(m, out, v);
}

typedef struct numpy_row {
    const char *name;
    fet_dtype dtype;
} numpy_row;

static const numpy_row *find_numpy(const fet__pk *type)
{
    static const numpy_row rows[] = {
        {"f8", FET_F64}, {"f4", FET_F32}, {"f2", FET_F16}, {"i8", FET_I64}, {"i4", FET_I32}, {"i2", FET_I16},
        {"i1", FET_I8},  {"u8", FET_U64}, {"u4", FET_U32}, {"u2", FET_U16}, {"u1", FET_U8},  {"b1", FET_BOOL},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        if (type->count == strlen(rows[i].name) && memcmp(type->as.text, rows[i].name, type->count) == 0)
            return &rows[i];
    }
    return NULL;
}

static fet_status numpy_number(fet__pickle *m, fet__pk **out, fet_dtype dtype, const unsigned char *bytes)
{
    if (fet__dtype_is_float(dtype)) {
        fet__pk *v = fet__pk_new(m, FET__PK_FLOAT);
        if (v)
            fet__convert(&v->as.real, FET_F64, bytes, dtype, 1);
        return fet__pk_keep(m, out, v);
    }
    size_t width = fet__dtype_bytes(dtype);
    if (dtype == FET_BOOL)
        return fet__pk_keep(m, out, fet__pk_integer(m, FET__PK_BOOL, bytes[0] != 0));
    if (dtype == FET_I8 || dtype == FET_I16 || dtype == FET_I32 || dtype == FET_I64)
        return fet__pk_read_long(m, out, bytes, width);
    unsigned char padded[9] = {0}; /* unsigned: the highest bit is no sign */
    memcpy(padded, bytes, width);
    return fet__pk_read_long(m, out, padded, width + 1);
}

/* numpy.core.multiarray.scalar(dtype, bytes). */
static fet_status numpy_scalar(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    static const char name[] = "scalar";
    unsigned char bytes[8] = {0};
    if (count != 2 || args[0]->kind != FET__PK_NUMPY_DTYPE ||
        (args[1]->kind != FET__PK_BYTES && args[1]->kind != FET__PK_STR))
        return FET__PK_BAD(m, "a NumPy scalar from %zu arguments that are not its type and its bytes", count);
    const numpy_row *row = find_numpy(args[0]);
    if (!row)
        return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_OPAQUE, name, strlen(name)));
    size_t width = fet__dtype_bytes(row->dtype);
    if (args[1]->count != width)
        return FET__PK_BAD(m, "a NumPy scalar of type %s in %u bytes", row->name, args[1]->count);
    for (size_t i = 0; i < width; i++)
        bytes[i] = (unsigned char)args[1]->as.text[args[0]->action ? width - 1 - i : i];
    return numpy_number(m, out, row->dtype, bytes);
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

static fet_status take_size(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count != 1 || (args[0]->kind != FET__PK_TUPLE && args[0]->kind != FET__PK_LIST))
        return FET__PK_BAD(m, "torch.Size is made from %zu arguments, not from one tuple", count);
    *out = args[0];
    return FET_OK;
}

fet_status fet__pk_call(fet__pickle *m, fet__pk **out, const fet__pk *callee, fet__pk *const *args, size_t count)
{
    if (callee->kind == FET__PK_OPAQUE)
        return opaque(m, out, callee);
    if (callee->kind != FET__PK_GLOBAL)
        return FET__PK_BAD(m, "a value of type %s is called", fet__pk_kind_name(callee));
    switch ((fet__pk_action)callee->action) {
    case FET__PK_MAKE_LIST: return make_sequence(m, out, FET__PK_LIST, args, count);
    case FET__PK_MAKE_TUPLE: return make_sequence(m, out, FET__PK_TUPLE, args, count);
    case FET__PK_MAKE_SET: return make_sequence(m, out, FET__PK_SET, args, count);
    case FET__PK_MAKE_DICT: return make_dict(m, out, args, count);
    case FET__PK_MAKE_DEFAULTDICT: /* the first argument makes defaults: a name only */
        return count > 0 ? make_dict(m, out, args + 1, count - 1) : make_dict(m, out, args, 0);
    case FET__PK_MAKE_BYTES: return make_bytes(m, out, args, count);
    case FET__PK_MAKE_OBJECT: return make_object(m, out, args, count);
    case FET__PK_ENCODE: return encode(m, out, args, count);
    case FET__PK_NUMPY_SCALAR: return numpy_scalar(m, out, args, count);
    case FET__PK_NUMPY_TYPE: return numpy_type(m, out, args, count);
    case FET__PK_SIZE: return take_size(m, out, args, count);
    case FET__PK_REBUILD:
    case FET__PK_REBUILD_V2:
    case FET__PK_REBUILD_V3:
    case FET__PK_REBUILD_PARAMETER:
    case FET__PK_REBUILD_FROM_TYPE: return fet__torch_rebuild(m, out, (fet__pk_action)callee->action, args, count);
    case FET__PK_TYPE:
    case FET__PK_STORAGE_TYPE:
        return FET__PK_BAD(m, "the type %s is called", fet__pk_show(m, callee->as.text, callee->count));
    case FET__PK_UNKNOWN: break;
    }
    return opaque(m, out, callee);
}

/* Attributes of containers and tensors (a state_dict's _metadata) and the state of opaque objects are dropped. */
fet_status fet__pk_build(fet__pickle *m, fet__pk *target, const fet__pk *state)
{
    switch ((fet__pk_kind)target->kind) {
    case FET__PK_NUMPY_DTYPE: /* (version, byte order, ...) */
        if (state->kind != FET__PK_TUPLE || state->count < 2 || state->as.items[1]->kind != FET__PK_STR)
            return FET__PK_BAD(m, "the state of a NumPy element type is a %s", fet__pk_kind_name(state));
        target->action = fet__pk_is(state->as.items[1], ">");
        return FET_OK;
    case FET__PK_LIST:
    case FET__PK_DICT:
    case FET__PK_SET:
    case FET__PK_TENSOR:
    case FET__PK_OPAQUE: return FET_OK;
    default: return FET__PK_BAD(m, "state is given to a value of type %s", fet__pk_kind_name(target));
    }
}
