/* The checksum in files that fettle writes: a flipped bit anywhere in the tensors or the metadata is noticed when the file is
 * opened. Files of other programs have none and are read as they are. */
#include <string.h>

#include "store/store_int.h"

static void add_text(fet__sha256 *h, const char *s)
{
    fet__sha256_add(h, s, strlen(s) + 1);
}

/* SHA-256 over the tensors' fingerprint and the metadata, in their order, without the checksum itself. */
static fet_status checksum(char hex[65], const fet__entry *entries, int count, const fet__meta_pair *meta,
                           int meta_count)
{
    char tensors[65];
    fet__sha256 *h;
    fet_status st = fet__fingerprint(tensors, entries, count, NULL, NULL);
    if (st != FET_OK)
        return st;
    FET_TRY(fet__sha256_begin(&h));
    add_text(h, tensors);
    for (int i = 0; i < meta_count; i++) {
        if (strcmp(meta[i].key, FET__SEAL) == 0)
            continue;
        add_text(h, meta[i].key);
        add_text(h, meta[i].value);
    }
    fet__sha256_end(h, hex);
done:
    return st;
}

fet_status fet__sealed_write(const char *path, const fet__entry *entries, int count, const fet__meta_pair *meta,
                             int meta_count)
{
    char hex[65];
    fet__meta_pair *more = NULL;
    fet_status st;
    FET_TRY(FET_NEW(more, meta_count + 1));
    if (meta_count)
        memcpy(more, meta, (size_t)meta_count * sizeof *meta);
    FET_TRY(checksum(hex, entries, count, meta, meta_count));
    more[meta_count] = (fet__meta_pair){FET__SEAL, hex};
    FET_TRY(fet__safetensors_write(path, entries, count, more, meta_count + 1));
done:
    fet__free(more);
    return st;
}

fet_status fet__seal_check(const fet__tensors *t)
{
    char hex[65];
    const char *written = fet__tensors_meta(t, FET__SEAL);
    if (!written)
        return FET_OK;
    fet_status st = checksum(hex, t->entries, t->count, t->meta, t->meta_count);
    if (st != FET_OK)
        return st;
    if (strcmp(hex, written) == 0)
        return FET_OK;
    return FET_FAIL(FET_E_FORMAT,
                    "%s: its contents are not those that were written (checksum %.12s..., now %.12s...): the file is "
                    "damaged or was changed",
                    fet__show(t->path), fet__show(written), hex);
}
