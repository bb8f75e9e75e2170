/* Reader of safetensors: 8 bytes of little-endian header length, a JSON header, the data.
 *
 *     [u64 n][{"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}   ][data ...]
 *            |<----------------------------- n bytes, padded with spaces ------------------------->|
 *
 * Nothing is believed. A first pass over the header's bytes (scan_header) bounds depth and number of values before
 * the JSON library takes memory for them, and refuses every character that no valid header has outside of strings:
 * signs, fractions, exponents, literals, comments. Then each entry is checked by itself, and at last all of them
 * together: sorted by offset they must cover the data part without overlap, hole or rest. The writer is in
 * safetensors_write.c. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

#define BAD(r, format, ...)                                                                                            \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed safetensors file: " format, fet__show((r)->t->path), __VA_ARGS__)
#define UNSUPPORTED(r, format, ...)                                                                                    \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: unsupported: " format, fet__show((r)->t->path), __VA_ARGS__)

/* One parse: the parts of the file and what is being built. */
typedef struct reader {
    fet__tensors *t;
    const char *header;
    size_t header_bytes;
    const unsigned char *data;
    int64_t data_bytes;
    struct placed *placed; /* entries as the header lists them */
    int count;
} reader;

/* An entry and where its data lies, for the check of the whole layout. */
typedef struct placed {
    fet__entry entry;
    int64_t begin, end;
    int order;
} placed;

static const char *const dtype_names[FET_DTYPE_COUNT] = {
    [FET_F32] = "F32", [FET_F64] = "F64", [FET_BF16] = "BF16", [FET_F16] = "F16", [FET_I64] = "I64",
    [FET_I32] = "I32", [FET_I16] = "I16", [FET_I8] = "I8",     [FET_U8] = "U8",   [FET_BOOL] = "BOOL",
    [FET_U16] = "U16", [FET_U32] = "U32", [FET_U64] = "U64",
};

const char *fet__st_dtype_name(fet_dtype t)
{
    return dtype_names[t];
}

static bool find_dtype(fet_dtype *out, const char *name)
{
    for (int i = 0; i < FET_DTYPE_COUNT; i++) {
        if (strcmp(dtype_names[i], name) == 0) {
            *out = (fet_dtype)i;
            return true;
        }
    }
    return false;
}

/* ---- the frame: where header and data lie ------------------------------------------------------------------ */

static fet_status split_file(reader *r, const unsigned char *file, size_t size)
{
    if (size == 0)
        return BAD(r, "%s", "it is empty");
    if (size < 8)
        return BAD(r, "it has %zu bytes, too few for the 8-byte header length", size);
    uint64_t length = 0;
    memcpy(&length, file, 8);
    if (length == 0)
        return BAD(r, "%s", "the header length (bytes 0 to 7) is 0");
    if (length > FET__ST_MAX_HEADER)
        return BAD(r, "the header length (bytes 0 to 7) is %llu, over the limit of %d bytes",
                   (unsigned long long)length, FET__ST_MAX_HEADER);
    if (length > size - 8)
        return BAD(r, "the header length (bytes 0 to 7) is %llu, but only %zu bytes follow: truncated?",
                   (unsigned long long)length, size - 8);
    r->header = (const char *)file + 8;
    r->header_bytes = (size_t)length;
    r->data = file + 8 + length;
    r->data_bytes = (int64_t)(size - 8 - (size_t)length);
    if (r->header[0] != '{')
        return BAD(r, "the header must begin with '{' but begins with byte %02x", (unsigned)file[8]);
    return FET_OK;
}

/* ---- the header's bytes, before the JSON library sees them ------------------------------------------------- */

/* The position behind the string that begins at `i` (its opening quote), or the header's end. */
static size_t skip_string(const reader *r, size_t i)
{
    for (i++; i < r->header_bytes && r->header[i] != '"'; i++) {
        if (r->header[i] == '\\')
            i++;
    }
    return i + 1;
}

static fet_status refuse_byte(const reader *r, size_t i)
{
    unsigned char c = (unsigned char)r->header[i];
    char shown[8];
    if (c > 32 && c < 127)
        snprintf(shown, sizeof shown, "'%c'", c);
    else
        snprintf(shown, sizeof shown, "%02x", (unsigned)c);
    return BAD(r, "unexpected %s at byte %zu of the header (only plain whole numbers may stand outside of strings)",
               shown, i);
}

static fet_status scan_header(const reader *r)
{
    int depth = 0;
    size_t objects = 0, values = 0;
    for (size_t i = 0; i < r->header_bytes;) {
        char c = r->header[i];
        if (c == '"') {
            i = skip_string(r, i);
            continue;
        }
        if (c == '\0' || !strchr("{}[]:, \t\r\n0123456789", c))
            return refuse_byte(r, i);
        if (c == '{' || c == '[') {
            objects += c == '{';
            values++;
            if (++depth > 3)
                return BAD(r, "nested too deep at byte %zu of the header", i);
        } else if (c == '}' || c == ']') {
            depth--;
        } else {
            values += c == ',' || c == ':';
        }
        i++;
    }
    /* The table itself and the metadata are two of the objects. */
    if (objects > FET__ST_MAX_TENSORS + 2 || values > FET__ST_MAX_VALUES)
        return UNSUPPORTED(r, "its header lists %zu entries with %zu values; the limits are %d and %d", objects, values,
                           FET__ST_MAX_TENSORS, FET__ST_MAX_VALUES);
    return FET_OK;
}

static fet_status load_header(reader *r, json_t **out)
{
    json_error_t error;
    *out = json_loadb(r->header, r->header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (*out)
        return FET_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory for its header of %zu bytes", fet__show(r->t->path),
                        r->header_bytes);
    return BAD(r, "the header is not valid JSON near byte %d: %s", error.position, fet__show(error.text));
}

/* ---- metadata ---------------------------------------------------------------------------------------------- */

static fet_status read_metadata(reader *r, json_t *object)
{
    if (!json_is_object(object))
        return BAD(r, "%s", FET__ST_METADATA " is not an object");
    fet__tensors *t = r->t;
    t->meta = fet__arena_alloc(&t->arena, json_object_size(object) + 1, sizeof *t->meta);
    if (!t->meta)
        return FET_E_NOMEM;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return BAD(r, "the value of '%s' in " FET__ST_METADATA " is not a string", fet__show(key));
        fet__meta_pair *pair = &t->meta[t->meta_count];
        pair->key = fet__arena_strdup(&t->arena, key);
        pair->value = fet__arena_strdup(&t->arena, json_string_value(value));
        if (!pair->key || !pair->value)
            return FET_E_NOMEM;
        t->meta_count++;
    }
    return FET_OK;
}

/* ---- one entry --------------------------------------------------------------------------------------------- */

static fet_status read_dtype(reader *r, placed *p, const json_t *value)
{
    if (!json_is_string(value))
        return BAD(r, "tensor '%s': its dtype is not a string", fet__show(p->entry.name));
    if (!find_dtype(&p->entry.dtype, json_string_value(value)))
        return UNSUPPORTED(r,
                           "tensor '%s' has element type '%s' (read are F64 F32 F16 BF16, I8 to I64, U8 to U64, BOOL)",
                           fet__show(p->entry.name), fet__show(json_string_value(value)));
    return FET_OK;
}

static fet_status read_shape(reader *r, placed *p, const json_t *value)
{
    const char *name = p->entry.name;
    if (!json_is_array(value))
        return BAD(r, "tensor '%s': its shape is not a list", fet__show(name));
    size_t rank = json_array_size(value);
    if (rank > FET__MAX_RANK)
        return UNSUPPORTED(r, "tensor '%s' has %zu dimensions; at most %d are known", fet__show(name), rank,
                           FET__MAX_RANK);
    p->entry.shape.rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *size = json_array_get(value, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return BAD(r, "tensor '%s': size %zu of its shape is not a whole number", fet__show(name), i);
        p->entry.shape.dim[i] = json_integer_value(size);
    }
    return FET_OK;
}

static fet_status read_offsets(reader *r, placed *p, const json_t *value)
{
    const char *name = p->entry.name;
    if (!json_is_array(value) || json_array_size(value) != 2)
        return BAD(r, "tensor '%s': its data_offsets are not a list of two", fet__show(name));
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    if (!json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0)
        return BAD(r, "tensor '%s': its data_offsets are not whole numbers", fet__show(name));
    p->begin = json_integer_value(begin);
    p->end = json_integer_value(end);
    if (p->begin > p->end)
        return BAD(r, "tensor '%s': its data_offsets [%lld, %lld] are reversed", fet__show(name), (long long)p->begin,
                   (long long)p->end);
    if (p->end > r->data_bytes)
        return BAD(r, "tensor '%s': its data_offsets [%lld, %lld] end beyond the data part of %lld bytes: truncated?",
                   fet__show(name), (long long)p->begin, (long long)p->end, (long long)r->data_bytes);
    return FET_OK;
}

static fet_status check_bytes(reader *r, placed *p)
{
    fet__entry *e = &p->entry;
    int64_t count = fet__shape_count(&e->shape), bytes = 0;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)fet__dtype_bytes(e->dtype), &bytes))
        return BAD(r, "tensor '%s': the size of shape %s in %s overflows", fet__show(e->name),
                   fet__shape_text(&e->shape), dtype_names[e->dtype]);
    if (bytes != p->end - p->begin)
        return BAD(r, "tensor '%s': shape %s in %s needs %lld bytes but data_offsets [%lld, %lld] give %lld",
                   fet__show(e->name), fet__shape_text(&e->shape), dtype_names[e->dtype], (long long)bytes,
                   (long long)p->begin, (long long)p->end, (long long)(p->end - p->begin));
    e->bytes = bytes;
    e->data = r->data + p->begin;
    return FET_OK;
}

static fet_status read_entry(reader *r, placed *p, const char *key, json_t *object)
{
    fet_status st = FET_OK;
    p->entry.name = key; /* the JSON object keeps it until the table has been read */
    if (!json_is_object(object))
        return BAD(r, "tensor '%s': its description is not an object", fet__show(key));
    const json_t *dtype = json_object_get(object, "dtype"), *shape = json_object_get(object, "shape");
    const json_t *offsets = json_object_get(object, "data_offsets");
    if (!dtype || !shape || !offsets)
        return BAD(r, "tensor '%s' has no %s", fet__show(key), !dtype ? "dtype" : !shape ? "shape" : "data_offsets");
    /* A field that we do not know could change the meaning of the data. */
    if (json_object_size(object) != 3)
        return BAD(r, "tensor '%s' has other fields than dtype, shape and data_offsets", fet__show(key));
    FET_TRY(read_dtype(r, p, dtype));
    FET_TRY(read_shape(r, p, shape));
    FET_TRY(read_offsets(r, p, offsets));
    FET_TRY(check_bytes(r, p));
done:
    return st;
}

/* ---- all entries together ---------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const placed *p = a, *q = b;
    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    if (p->end != q->end) /* an empty tensor lies before one that begins where it does */
        return p->end < q->end ? -1 : 1;
    return p->order - q->order;
}

/* Sorted by place, each entry must begin where the one before it ends. */
static fet_status check_layout(reader *r)
{
    int64_t at = 0;
    int count = r->count;
    if (count > 0)
        qsort(r->placed, (size_t)count, sizeof *r->placed, by_place);
    for (int i = 0; i < count; i++) {
        const placed *p = &r->placed[i];
        if (p->begin < at)
            return BAD(r, "the data of tensors '%s' and '%s' overlap at byte %lld of the data part",
                       fet__show(r->placed[i - 1].entry.name), fet__show(p->entry.name), (long long)p->begin);
        if (p->begin > at)
            return BAD(r, "a hole: bytes %lld to %lld of the data part, before tensor '%s', belong to no tensor",
                       (long long)at, (long long)p->begin - 1, fet__show(p->entry.name));
        at = p->end;
    }
    if (at < r->data_bytes)
        return BAD(r, "%lld bytes after the last tensor belong to none", (long long)(r->data_bytes - at));
    return FET_OK;
}

static fet_status keep_entries(reader *r)
{
    fet_status st = FET_OK;
    for (int i = 0; i < r->count; i++) {
        const fet__entry *e = &r->placed[i].entry;
        FET_TRY(fet__tensors_add(r->t, e->name, e->dtype, &e->shape, e->data, e->bytes));
    }
    FET_TRY(fet__tensors_seal_names(r->t));
done:
    return st;
}

static fet_status read_table(reader *r, json_t *root)
{
    fet_status st = FET_OK;
    const char *key;
    json_t *value;
    FET_TRY(FET_NEW(r->placed, json_object_size(root)));
    json_object_foreach(root, key, value)
    {
        if (strcmp(key, FET__ST_METADATA) == 0) {
            FET_TRY(read_metadata(r, value));
            continue;
        }
        placed *p = &r->placed[r->count];
        p->order = r->count;
        FET_TRY(read_entry(r, p, key, value));
        r->count++;
    }
    FET_TRY(check_layout(r));
    FET_TRY(keep_entries(r));
done:
    fet__free(r->placed);
    r->placed = NULL;
    return st;
}

fet_status fet__safetensors_parse(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    reader r = {0};
    json_t *root = NULL;
    *out = NULL;
    FET_TRY(fet__tensors_new(&r.t, name));
    FET_TRY(split_file(&r, data, size));
    FET_TRY(scan_header(&r));
    FET_TRY(load_header(&r, &root));
    FET_TRY(read_table(&r, root));
    *out = r.t;
    r.t = NULL;
done:
    json_decref(root);
    fet__tensors_close(r.t);
    return st;
}
