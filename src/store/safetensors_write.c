/* Writer of safetensors (the format is drawn in safetensors.c). Everything is checked and the header is complete
 * before the file is begun; the data are then copied straight from the entries. The header is padded with spaces so
 * that data begin at a multiple of 8 bytes; since the format allows no gaps, wider elements go first, and so each
 * tensor is aligned. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

#define CANNOT(path, code, format, ...) FET_FAIL((code), "cannot write %s: " format, fet__show(path), __VA_ARGS__)

/* One entry and its number in the caller's order. */
typedef struct slot {
    const fet__entry *entry;
    int order;
} slot;

typedef struct writer {
    const char *path;
    slot *slots; /* in the order of the file */
    int count;
    const fet__meta_pair *meta;
    int meta_count;
    fet__text header;
} writer;

/* ---- checks ------------------------------------------------------------------------------------------------ */

static int by_width(const void *a, const void *b)
{
    const slot *p = a, *q = b;
    size_t wp = fet__dtype_bytes(p->entry->dtype), wq = fet__dtype_bytes(q->entry->dtype);
    if (wp != wq)
        return wp > wq ? -1 : 1;
    return p->order - q->order;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const slot *)a)->entry->name, ((const slot *)b)->entry->name);
}

static fet_status check_entry(const writer *w, const fet__entry *e)
{
    if (strcmp(e->name, FET__ST_METADATA) == 0)
        return CANNOT(w->path, FET_E_ARG, "a tensor cannot be named %s", FET__ST_METADATA);
    int64_t count = fet__shape_count(&e->shape), bytes = 0;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)fet__dtype_bytes(e->dtype), &bytes) || bytes != e->bytes)
        return CANNOT(w->path, FET_E_ARG, "tensor '%s' of shape %s has %lld bytes of data", fet__show(e->name),
                      fet__shape_text(&e->shape), (long long)e->bytes);
    return FET_OK;
}

static fet_status check_entries(writer *w)
{
    fet_status st = FET_OK;
    if (w->count > FET__ST_MAX_TENSORS)
        return CANNOT(w->path, FET_E_ARG, "%d tensors; the limit is %d", w->count, FET__ST_MAX_TENSORS);
    for (int i = 0; i < w->count; i++)
        FET_TRY(check_entry(w, w->slots[i].entry));
    if (w->count > 0)
        qsort(w->slots, (size_t)w->count, sizeof *w->slots, by_name);
    for (int i = 1; i < w->count; i++) {
        const char *name = w->slots[i].entry->name;
        if (strcmp(w->slots[i - 1].entry->name, name) == 0)
            return CANNOT(w->path, FET_E_ARG, "two tensors are named '%s'", fet__show(name));
    }
    if (w->count > 0)
        qsort(w->slots, (size_t)w->count, sizeof *w->slots, by_width);
done:
    return st;
}

/* Quadratic, for the few pairs that we write. */
static fet_status check_meta(const writer *w)
{
    for (int i = 0; i < w->meta_count; i++) {
        for (int k = 0; k < i; k++) {
            if (strcmp(w->meta[i].key, w->meta[k].key) == 0)
                return CANNOT(w->path, FET_E_ARG, "two metadata are named '%s'", fet__show(w->meta[i].key));
        }
    }
    return FET_OK;
}

/* ---- the header -------------------------------------------------------------------------------------------- */

/* Append `s` as a JSON string; the JSON library escapes it and refuses what is not UTF-8. */
static fet_status add_string(writer *w, const char *s)
{
    json_t *string = json_string(s);
    if (!string)
        return CANNOT(w->path, FET_E_ARG, "'%s' is not valid UTF-8", fet__show(s));
    size_t length = json_dumpb(string, NULL, 0, JSON_ENCODE_ANY);
    char *text = fet__alloc_raw(length + 1, 1);
    if (text) {
        json_dumpb(string, text, length, JSON_ENCODE_ANY);
        fet__text_add(&w->header, text, length);
    }
    json_decref(string);
    fet__free(text);
    return text ? FET_OK : FET_E_NOMEM;
}

static fet_status add_meta(writer *w)
{
    fet_status st = FET_OK;
    fet__text_printf(&w->header, "\"" FET__ST_METADATA "\":{");
    for (int i = 0; i < w->meta_count; i++) {
        fet__text_printf(&w->header, i ? "," : "");
        FET_TRY(add_string(w, w->meta[i].key));
        fet__text_printf(&w->header, ":");
        FET_TRY(add_string(w, w->meta[i].value));
    }
    fet__text_printf(&w->header, w->count ? "}," : "}");
done:
    return st;
}

static fet_status add_entry(writer *w, const fet__entry *e, int64_t *at)
{
    fet_status st = FET_OK;
    int64_t end = 0;
    if (__builtin_add_overflow(*at, e->bytes, &end))
        return CANNOT(w->path, FET_E_ARG, "%s", "more than 2^63 bytes of data");
    FET_TRY(add_string(w, e->name));
    fet__text_printf(&w->header, ":{\"dtype\":\"%s\",\"shape\":[", fet__st_dtype_name(e->dtype));
    for (int i = 0; i < e->shape.rank; i++)
        fet__text_printf(&w->header, "%s%lld", i ? "," : "", (long long)e->shape.dim[i]);
    fet__text_printf(&w->header, "],\"data_offsets\":[%lld,%lld]}", (long long)*at, (long long)end);
    *at = end;
done:
    return st;
}

static fet_status build_header(writer *w)
{
    fet_status st = FET_OK;
    int64_t at = 0;
    fet__text_printf(&w->header, "{");
    if (w->meta_count > 0)
        FET_TRY(add_meta(w));
    for (int i = 0; i < w->count; i++) {
        fet__text_printf(&w->header, i ? "," : "");
        FET_TRY(add_entry(w, w->slots[i].entry, &at));
    }
    fet__text_printf(&w->header, "}");
    while (!w->header.failed && w->header.length % 8 != 0)
        fet__text_add(&w->header, " ", 1);
    if (w->header.failed)
        return CANNOT(w->path, FET_E_NOMEM, "no memory for the header of %d tensors", w->count);
    if (w->header.length > FET__ST_MAX_HEADER)
        return CANNOT(w->path, FET_E_ARG, "its header would take %zu bytes; the limit is %d", w->header.length,
                      FET__ST_MAX_HEADER);
done:
    return st;
}

static fet_status write_file(const writer *w)
{
    fet_status st = FET_OK;
    fet__outfile *f = NULL;
    FET_TRY(fet__outfile_open(&f, w->path));
    uint64_t length = w->header.length;
    fet__outfile_write(f, &length, 8);
    fet__outfile_write(f, w->header.s, w->header.length);
    for (int i = 0; i < w->count; i++)
        fet__outfile_write(f, w->slots[i].entry->data, (size_t)w->slots[i].entry->bytes);
    st = fet__outfile_commit(f);
done:
    return st;
}

fet_status fet__safetensors_write(const char *path, const fet__entry *entries, int count, const fet__meta_pair *meta,
                                  int meta_count)
{
    fet_status st = FET_OK;
    writer w = {.path = path, .count = count, .meta = meta, .meta_count = meta_count};
    FET_TRY(FET_NEW(w.slots, count));
    for (int i = 0; i < count; i++)
        w.slots[i] = (slot){&entries[i], i};
    FET_TRY(check_entries(&w));
    FET_TRY(check_meta(&w));
    FET_TRY(build_header(&w));
    FET_TRY(write_file(&w));
done:
    fet__text_fini(&w.header);
    fet__free(w.slots);
    return st;
}
