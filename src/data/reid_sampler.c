/* Identity-balanced sampling for re-identification: labels in random order, each with a few images by different cameras. Batches are cut from the
 * stream by the caller. Source: SpCL's RandomMultipleGallerySampler (spcl.md, section 6.1). */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>

/* Items grouped by label: those of group g are item[start[g]] .. item[start[g + 1] - 1]. */
typedef struct groups {
    int32_t *item, *start;
    int32_t count;
} groups;

typedef struct labelled {
    int32_t label, item;
} labelled;

static int by_label(const void *a, const void *b)
{
    const labelled *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static fet_status group(groups *g, const int32_t *label, int64_t items)
{
    labelled *all = NULL;
    int32_t kept = 0;
    fet_status st;
    FET_TRY(FET_NEW(all, items));
    FET_TRY(FET_NEW(g->item, items));
    FET_TRY(FET_NEW(g->start, items + 1));
    for (int32_t i = 0; i < items; i++)
        if (label[i] >= 0)
            all[kept++] = (labelled){label[i], i};
    qsort(all, (size_t)kept, sizeof *all, by_label);
    for (int32_t i = 0; i < kept; i++) {
        if (i == 0 || all[i].label != all[i - 1].label)
            g->start[g->count++] = i;
        g->item[i] = all[i].item;
    }
    g->start[g->count] = kept;
done:
    fet__free(all);
    return st;
}

/* `wanted` of the candidates: all different when there are more than that, else with repetition. Uses the candidates up. */
static int64_t pick(int32_t *out, int32_t *candidate, int32_t count, int wanted, fet__rng *r)
{
    for (int i = 0; i < wanted; i++) {
        bool apart = count > wanted;
        int64_t at = fet__rng_int(r, apart ? i : 0, count - 1);
        out[i] = candidate[at];
        if (apart) {
            candidate[at] = candidate[i];
            candidate[i] = out[i];
        }
    }
    return wanted;
}

static int64_t draw_group(int32_t *out, const groups *g, int32_t at, const int32_t *camera, int instances, fet__rng *r,
                          int32_t *space)
{
    const int32_t *item = g->item + g->start[at];
    int32_t count = g->start[at + 1] - g->start[at], others = 0;
    int32_t anchor = item[fet__rng_int(r, 0, count - 1)];
    out[0] = anchor;
    for (int32_t i = 0; i < count; i++)
        if (camera[item[i]] != camera[anchor])
            space[others++] = item[i];
    if (others == 0)
        for (int32_t i = 0; i < count; i++)
            if (item[i] != anchor)
                space[others++] = item[i];
    return 1 + (others ? pick(out + 1, space, others, instances - 1, r) : 0);
}

fet_status fet__reid_draw(int32_t **out, int64_t *count, const int32_t *label, const int32_t *camera, int64_t items,
                          int instances, uint64_t seed, uint32_t pass)
{
    groups g = {0};
    int32_t *order = NULL, *space = NULL;
    fet__rng r = {.seed = seed, .stream = fet__hash32("reid.sampler"), .step = pass};
    fet_status st;
    *out = NULL;
    *count = 0;
    FET_TRY(group(&g, label, items));
    if (instances == 0) {
        *count = g.start[g.count];
        fet__rng_shuffle(&r, g.item, *count);
        *out = g.item;
        g.item = NULL;
        goto done;
    }
    FET_TRY(FET_NEW(*out, (int64_t)g.count * instances));
    FET_TRY(FET_NEW(order, g.count + 1));
    FET_TRY(FET_NEW(space, items + 1));
    for (int32_t i = 0; i < g.count; i++)
        order[i] = i;
    fet__rng_shuffle(&r, order, g.count);
    for (int32_t i = 0; i < g.count; i++)
        *count += draw_group(*out + *count, &g, order[i], camera, instances, &r, space);
done:
    fet__free(order);
    fet__free(space);
    fet__free(g.item);
    fet__free(g.start);
    if (st != FET_OK) {
        fet__free(*out);
        *out = NULL;
    }
    return st;
}
