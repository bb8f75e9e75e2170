/* The validation share where a data set has none: of every class the images with the smallest hash of (seed, relative
 * path). So the share is stratified, the same on every machine, and a new file moves at most one other image. */
#include "data/data_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
    int32_t label;
    uint64_t hash;
    fet__entry *entry;
};

static uint64_t hash_of(uint64_t seed, const char *rel)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, 64 bits; Philox then spreads it */
    for (; *rel; rel++)
        h = (h ^ (unsigned char)*rel) * 0x100000001b3u;
    uint32_t out[4];
    fet__philox(out, seed, fet__hash32("holdout"), (uint32_t)(h >> 32), h & 0xffffffffu);
    return (uint64_t)out[0] << 32 | out[1];
}

static int by_class_then_hash(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return strcmp(x->entry->rel, y->entry->rel);
}

/* Of `count` images of one class: the nearest number to the fraction, but one at least and never the last one. */
static int share_of(int count, double fraction)
{
    int share = (int)lround(count * fraction);
    if (share < 1)
        share = 1;
    return share < count ? share : count - 1;
}

static int move_share(struct ranked *r, int count, double fraction)
{
    int share = share_of(count, fraction);
    /* A path that is listed twice must not stand on both sides. */
    while (share > 0 && share < count && strcmp(r[share].entry->rel, r[share - 1].entry->rel) == 0)
        share++;
    if (share == count)
        share = 0;
    for (int i = 0; i < share; i++)
        r[i].entry->split = FET__VAL;
    return share;
}

fet_status fet__holdout(fet__listing *l, int class_count, double fraction, uint64_t seed, int64_t *moved)
{
    struct ranked *r = NULL;
    int count = 0;
    *moved = 0;
    fet_status st = FET_NEW(r, l->count);
    if (st != FET_OK)
        return st;
    for (int i = 0; i < l->count; i++) {
        fet__entry *e = &l->entries[i];
        if (e->split == FET__TRAIN)
            r[count++] = (struct ranked){e->name, hash_of(seed, e->rel), e};
    }
    qsort(r, (size_t)count, sizeof *r, by_class_then_hash);
    for (int c = 0, begin = 0; c < class_count; c++) {
        int end = begin;
        while (end < count && r[end].label == c)
            end++;
        if (end > begin)
            *moved += move_share(r + begin, end - begin, fraction);
        begin = end;
    }
    fet__free(r);
    return FET_OK;
}
