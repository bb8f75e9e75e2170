/* The fingerprint of a set of tensors: what adapters remember of the model that they fit. It depends on names,
 * shapes and values as float32 only: neither on the order in a file nor on its element type where float32 holds the
 * values. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

#define CHUNK 2048 /* elements converted at a time */

static int by_name(const void *a, const void *b)
{
    const fet__entry *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

/* Values as float32. The source may lie at any byte, so each piece is moved to aligned memory first. */
static void add_values(fet__sha256 *h, const fet__entry *e)
{
    if (e->dtype == FET_F32) {
        fet__sha256_add(h, e->data, (size_t)e->bytes);
        return;
    }
    uint64_t piece[CHUNK];
    float values[CHUNK];
    size_t width = fet__dtype_bytes(e->dtype);
    int64_t count = e->bytes / (int64_t)width;
    for (int64_t i = 0; i < count; i += CHUNK) {
        int64_t n = count - i < CHUNK ? count - i : CHUNK;
        memcpy(piece, (const unsigned char *)e->data + (size_t)i * width, (size_t)n * width);
        fet__convert(values, FET_F32, piece, e->dtype, n);
        fet__sha256_add(h, values, (size_t)n * sizeof *values);
    }
}

static void add_entry(fet__sha256 *h, const fet__entry *e)
{
    int64_t rank = e->shape.rank;
    fet__sha256_add(h, e->name, strlen(e->name) + 1);
    fet__sha256_add(h, &rank, sizeof rank);
    fet__sha256_add(h, e->shape.dim, (size_t)rank * sizeof *e->shape.dim);
    add_values(h, e);
}

fet_status fet__fingerprint(char hex[65], const fet__entry *entries, int count, bool (*skip)(void *, const char *),
                            void *user)
{
    fet_status st = FET_OK;
    const fet__entry **sorted = NULL;
    fet__sha256 *h = NULL;
    size_t kept = 0;
    FET_TRY(FET_NEW(sorted, count));
    for (int i = 0; i < count; i++) {
        if (!skip || !skip(user, entries[i].name))
            sorted[kept++] = &entries[i];
    }
    if (kept > 0)
        qsort(sorted, kept, sizeof *sorted, by_name);
    FET_TRY(fet__sha256_begin(&h));
    for (size_t i = 0; i < kept; i++)
        add_entry(h, sorted[i]);
    fet__sha256_end(h, hex);
done:
    fet__free(sorted);
    return st;
}
