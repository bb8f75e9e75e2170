/* Reader of NumPy's .npy: a magic, a version, a header that is a Python dictionary in text, the data.
 *
 *     [93 "NUMPY"][1][0][u16 n]{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n[data ...]
 *     [93 "NUMPY"][2 or 3][0][u32 n]...
 *
 * The dictionary is read by a grammar of exactly these three keys; nothing is ever evaluated. Arrays in C order and
 * in this machine's byte order stay in the mapping, others are copied into it. Arrays of Python objects hold pickles
 * and are refused. The archive of several arrays is in npz.c. */
#include <string.h>

#include "store/npy.h"
#include "store/store_int.h"

#define NPY_MAGIC "\x93NUMPY"
#define NPY_MAX_HEADER 65536

#define BAD(r, format, ...)                                                                                            \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed NumPy array: " format, fet__show((r)->name), __VA_ARGS__)
#define UNSUPPORTED(r, format, ...)                                                                                    \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: unsupported: " format, fet__show((r)->name), __VA_ARGS__)

/* One parse: the text with a cursor, and what was understood. */
typedef struct reader {
    const char *name; /* of the file (and the member), for messages */
    const unsigned char *file;
    size_t size;
    size_t at, end; /* of the header's text, in bytes of the file */
    fet_dtype dtype;
    fet__shape shape;
    bool swapped; /* the other byte order */
    bool fortran; /* the first index runs fastest */
    int64_t bytes;
} reader;

/* ---- the frame ----------------------------------------------------------------------------------------------- */

bool fet__npy_is(const void *data, size_t size)
{
    return size >= 6 && memcmp(data, NPY_MAGIC, 6) == 0;
}

static fet_status read_frame(reader *r)
{
    if (r->size == 0)
        return BAD(r, "%s", "it is empty");
    if (!fet__npy_is(r->file, r->size))
        return BAD(r, "%s", "it does not begin with the bytes 93 'NUMPY'");
    if (r->size < 12)
        return BAD(r, "it has %zu bytes, too few for a header: truncated?", r->size);
    unsigned major = r->file[6], minor = r->file[7];
    if (major < 1 || major > 3 || minor != 0)
        return UNSUPPORTED(r, "NumPy array of format version %u.%u (read are 1.0, 2.0 and 3.0)", major, minor);
    r->at = major == 1 ? 10 : 12;
    size_t length = 0;
    memcpy(&length, r->file + 8, r->at - 8);
    if (length > r->size - r->at)
        return BAD(r, "the header length (bytes 8 to %zu) is %zu, but only %zu bytes follow: truncated?", r->at - 1,
                   length, r->size - r->at);
    if (length > NPY_MAX_HEADER)
        return BAD(r, "the header length (bytes 8 to %zu) is %zu, over the limit of %d bytes", r->at - 1, length,
                   NPY_MAX_HEADER);
    r->end = r->at + length;
    return FET_OK;
}

/* ---- the dictionary's text ----------------------------------------------------------------------------------- */

/* The next character that is no white space; 0 at the end (and for a 0 in the text, which no valid header has). */
static char look(reader *r)
{
    while (r->at < r->end && r->file[r->at] && strchr(" \t\r\n", r->file[r->at]))
        r->at++;
    return r->at < r->end ? (char)r->file[r->at] : '\0';
}

static bool take(reader *r, char c)
{
    bool there = look(r) == c && r->at < r->end;
    r->at += there;
    return there;
}

static fet_status expected(const reader *r, const char *what)
{
    char shown[16];
    if (r->at >= r->end)
        return BAD(r, "expected %s at byte %zu, where the header ends", what, r->at);
    if (r->file[r->at] > 32 && r->file[r->at] < 127)
        snprintf(shown, sizeof shown, "'%c'", r->file[r->at]);
    else
        snprintf(shown, sizeof shown, "byte %02x", (unsigned)r->file[r->at]);
    return BAD(r, "expected %s at byte %zu of the file, found %s", what, r->at, shown);
}

/* A word in quotes, without escapes: keys and element types are plain. */
static fet_status take_word(reader *r, char *out, size_t size, const char *what)
{
    char quote = look(r);
    size_t length = 0;
    if (quote != '\'' && quote != '"')
        return expected(r, what);
    for (r->at++; r->at < r->end && r->file[r->at] != (unsigned char)quote; r->at++) {
        unsigned char c = r->file[r->at];
        if (length + 1 >= size || c < 32 || c >= 127 || c == '\\')
            return expected(r, what);
        out[length++] = (char)c;
    }
    out[length] = '\0';
    return take(r, quote) ? FET_OK : expected(r, "the closing quote");
}

static fet_status take_size(reader *r, int64_t *out)
{
    size_t begin = r->at;
    *out = 0;
    for (; r->at < r->end && r->file[r->at] >= '0' && r->file[r->at] <= '9'; r->at++) {
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, r->file[r->at] - '0', out))
            return BAD(r, "the size at byte %zu of its shape is beyond 64 bits", begin);
    }
    if (r->at == begin)
        return expected(r, "a whole number");
    if (r->file[begin] == '0' && r->at > begin + 1)
        return BAD(r, "the size at byte %zu of its shape begins with 0", begin);
    if (r->at < r->end && r->file[r->at] == 'L') /* Python 2 wrote long integers so */
        r->at++;
    return FET_OK;
}

/* ---- the three values ---------------------------------------------------------------------------------------- */

static const struct element {
    const char *code;
    fet_dtype dtype;
} elements[] = {
    {"b1", FET_BOOL}, {"i1", FET_I8},  {"u1", FET_U8},  {"i2", FET_I16}, {"u2", FET_U16},
    {"i4", FET_I32},  {"u4", FET_U32}, {"i8", FET_I64}, {"u8", FET_U64}, {"f2", FET_F16},
    {"f4", FET_F32},  {"f8", FET_F64}, {"?", FET_BOOL},
};

/* What the letter behind the byte order stands for, when it is nothing that we read. */
static const char *element_kind(char letter)
{
    switch (letter) {
    case 'c': return "complex numbers";
    case 'U': return "Unicode text";
    case 'S':
    case 'a': return "text";
    case 'V': return "raw bytes";
    case 'M':
    case 'm': return "dates or times";
    default: return "an unknown element type";
    }
}

static fet_status read_descr(reader *r)
{
    char text[32];
    char first = look(r);
    if (first == '[' || first == '(' || first == '{')
        return UNSUPPORTED(r, "a NumPy array of structured elements (its 'descr' at byte %zu is a list)", r->at);
    fet_status st = take_word(r, text, sizeof text, "the element type in quotes");
    if (st != FET_OK)
        return st;
    const char *code = text + (text[0] && strchr("<>|=", text[0]) != NULL);
    if (code[0] == 'O')
        return FET_FAIL(FET_E_FORMAT,
                        "cannot read %s: refused: the array holds Python objects (element type '%s'), which are a "
                        "pickle that could run code",
                        fet__show(r->name), fet__show(text));
    for (size_t i = 0; i < FET_COUNT(elements); i++) {
        if (strcmp(elements[i].code, code) == 0) {
            r->dtype = elements[i].dtype;
            r->swapped = text[0] == '>' && fet__dtype_bytes(r->dtype) > 1;
            return FET_OK;
        }
    }
    return UNSUPPORTED(r, "a NumPy array of %s (element type '%s'; read are b1, i1 to i8, u1 to u8, f2, f4 and f8)",
                       element_kind(code[0]), fet__show(text));
}

static fet_status read_order(reader *r)
{
    static const char *const words[] = {"False", "True"};
    look(r);
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(words[i]);
        if (r->end - r->at >= length && memcmp(r->file + r->at, words[i], length) == 0) {
            r->fortran = i == 1;
            r->at += length;
            return FET_OK;
        }
    }
    return expected(r, "True or False (fortran_order)");
}

/* "()", "(3,)", "(3, 4)", "(3, 4, )"; "(3)" would be a number and not a tuple. */
static fet_status read_shape(reader *r)
{
    fet_status st = FET_OK;
    bool comma = false;
    if (!take(r, '('))
        return expected(r, "'(' (shape)");
    while (look(r) != ')') {
        if (r->shape.rank > 0 && !comma)
            return expected(r, "',' or ')' in the shape");
        if (r->shape.rank == FET__MAX_RANK)
            return UNSUPPORTED(r, "its shape has more than %d dimensions", FET__MAX_RANK);
        st = take_size(r, &r->shape.dim[r->shape.rank]);
        if (st != FET_OK)
            return st;
        r->shape.rank++;
        comma = take(r, ',');
    }
    if (r->shape.rank == 1 && !comma)
        return expected(r, "',' after the only size of the shape");
    r->at++;
    return FET_OK;
}

static const struct field {
    const char *key;
    fet_status (*read)(reader *r);
} fields[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};

static fet_status read_field(reader *r, unsigned *seen)
{
    char key[32];
    fet_status st = take_word(r, key, sizeof key, "a key in quotes (descr, fortran_order or shape)");
    if (st != FET_OK)
        return st;
    if (!take(r, ':'))
        return expected(r, "':'");
    for (unsigned i = 0; i < FET_COUNT(fields); i++) {
        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (*seen & 1U << i)
            return BAD(r, "its header has the key '%s' twice", key);
        *seen |= 1U << i;
        return fields[i].read(r);
    }
    return BAD(r, "its header has the unknown key '%s'", fet__show(key));
}

static fet_status read_dictionary(reader *r)
{
    fet_status st = FET_OK;
    unsigned seen = 0;
    bool comma = true;
    if (!take(r, '{'))
        return expected(r, "'{' (the header is a dictionary)");
    while (look(r) != '}') {
        if (!comma)
            return expected(r, "',' or '}'");
        st = read_field(r, &seen);
        if (st != FET_OK)
            return st;
        comma = take(r, ',');
    }
    r->at++;
    for (unsigned i = 0; i < FET_COUNT(fields); i++) {
        if (!(seen & 1U << i))
            return BAD(r, "its header has no '%s'", fields[i].key);
    }
    look(r);
    return r->at == r->end ? FET_OK : expected(r, "only white space after the dictionary");
}

/* ---- the data ------------------------------------------------------------------------------------------------ */

static fet_status check_size(reader *r)
{
    int64_t count = fet__shape_count(&r->shape), rest = (int64_t)(r->size - r->end);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)fet__dtype_bytes(r->dtype), &r->bytes))
        return BAD(r, "the size of shape %s in %s overflows", fet__shape_text(&r->shape), fet__dtype_name(r->dtype));
    if (r->bytes > rest)
        return BAD(r, "shape %s in %s needs %lld bytes but %lld follow the header: truncated?",
                   fet__shape_text(&r->shape), fet__dtype_name(r->dtype), (long long)r->bytes, (long long)rest);
    if (r->bytes < rest)
        return BAD(r, "%lld bytes after the array (shape %s in %s) belong to nothing", (long long)(rest - r->bytes),
                   fet__shape_text(&r->shape), fet__dtype_name(r->dtype));
    return FET_OK;
}

static void copy_element(unsigned char *to, const unsigned char *from, size_t width, bool swapped)
{
    if (!swapped) {
        memcpy(to, from, width);
        return;
    }
    for (size_t i = 0; i < width; i++)
        to[i] = from[width - 1 - i];
}

/* From Fortran's order or the other byte order. Walks over the result; `from` moves by the source's strides. */
static void copy_native(const reader *r, unsigned char *to)
{
    size_t width = fet__dtype_bytes(r->dtype);
    int64_t stride[FET__MAX_RANK] = {0}, index[FET__MAX_RANK] = {0}, step = (int64_t)width;
    const unsigned char *from = r->file + r->end;
    int rank = r->shape.rank;
    for (int i = 0; i < rank; i++) {
        int d = r->fortran ? i : rank - 1 - i;
        stride[d] = step;
        step *= r->shape.dim[d];
    }
    for (int64_t done = 0; done < r->bytes; done += (int64_t)width) {
        copy_element(to + done, from, width, r->swapped);
        for (int d = rank - 1; d >= 0; d--) {
            from += stride[d];
            if (++index[d] < r->shape.dim[d])
                break;
            from -= stride[d] * r->shape.dim[d];
            index[d] = 0;
        }
    }
}

/* Where one index is all there is, both orders are the same. */
static bool needs_copy(const reader *r)
{
    int wide = 0;
    for (int i = 0; i < r->shape.rank; i++)
        wide += r->shape.dim[i] > 1;
    return r->bytes > 0 && (r->swapped || (r->fortran && wide > 1));
}

fet_status fet__npy_add(fet__tensors *t, const char *tensor, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    reader r = {.name = name, .file = data, .size = size};
    const unsigned char *values = NULL;
    FET_TRY(read_frame(&r));
    FET_TRY(read_dictionary(&r));
    FET_TRY(check_size(&r));
    values = r.file + r.end;
    if (needs_copy(&r)) {
        unsigned char *copy = fet__tensors_alloc(t, (size_t)r.bytes);
        if (!copy)
            return FET_E_NOMEM;
        copy_native(&r, copy);
        values = copy;
    }
    FET_TRY(fet__tensors_add(t, tensor, r.dtype, &r.shape, values, r.bytes));
done:
    return st;
}

fet_status fet__npy_parse(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    fet__tensors *t = NULL;
    *out = NULL;
    FET_TRY(fet__tensors_new(&t, name));
    FET_TRY(fet__npy_add(t, "", data, size, name));
    FET_TRY(fet__tensors_seal_names(t));
    *out = t;
    t = NULL;
done:
    fet__tensors_close(t);
    return st;
}
