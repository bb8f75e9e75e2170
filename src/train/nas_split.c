/* The training images of a search in two parts: weights learn from the one, alphas from the other, so that a gate is judged by images
 * that its candidate has not seen. */
#include <stdlib.h>
#include <string.h>

#include "train/nas_loop.h"

typedef struct place {
    uint64_t key;
    int32_t label;
    int index;
} place;

static int by_label_and_key(const void *pa, const void *pb)
{
    const place *a = pa, *b = pb;

    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int by_index(const void *pa, const void *pb)
{
    const place *a = pa, *b = pb;

    return (a->index > b->index) - (a->index < b->index);
}

/* Moves the chosen images of one class, [0, count), to the front; returns how many go to the alphas. */
static int share_of(int count, double share)
{
    int n = (int)(share * count + 0.5);

    if (count > 1 && n == 0)
        n = 1;
    return n < count ? n : count - (count > 1);
}

static fet_status take(fet__nas_run *r, int part, place *list, int count)
{
    const fet__sample *all = r->o->data->samples[FET__TRAIN];
    fet_status st;

    qsort(list, (size_t)count, sizeof *list, by_index);
    FET_TRY(FET_NEW(r->samples[part], count + 1));
    for (int i = 0; i < count; i++)
        r->samples[part][i] = all[list[i].index];
    r->count[part] = count;
done:
    return st;
}

fet_status fet__nas_split(fet__nas_run *r)
{
    int count = r->o->data->count[FET__TRAIN], taken = 0;
    place *list = NULL, *part[2] = {NULL, NULL};
    int size[2] = {0, 0};
    fet_status st;

    FET_TRY(FET_NEW(list, count + 1));
    FET_TRY(FET_NEW(part[0], count + 1));
    FET_TRY(FET_NEW(part[1], count + 1));
    for (int i = 0; i < count; i++)
        list[i] = (place){fet__random_u32(r->o->seed, fet__hash32("nas.split"), 0, (uint64_t)i),
                          r->o->data->samples[FET__TRAIN][i].label, i};
    qsort(list, (size_t)count, sizeof *list, by_label_and_key);
    for (int i = 0, end; i < count; i = end) {
        for (end = i; end < count && list[end].label == list[i].label; end++)
            continue;
        taken = share_of(end - i, r->o->alpha_share);
        for (int k = i; k < end; k++) {
            int to = k < i + taken;

            part[to][size[to]++] = list[k];
        }
    }
    if (size[0] < 1 || size[1] < 1)
        st = FET_FAIL(FET_E_DATA, "%d training images are too few for two parts, one for weights and one for gates",
                      count);
    FET_TRY(st);
    for (int k = 0; k < 2; k++)
        FET_TRY(take(r, k, part[k], size[k]));
done:
    fet__free(list);
    fet__free(part[0]);
    fet__free(part[1]);
    return st;
}
