/* Labels of the memory's target rows for one epoch: self-paced clusters, or what stands in their place in a comparison. True identities are looked at
 * for statistics, and for labels only where these are asked for. */
#include "method/reid_int.h"

#include <math.h>
#include <string.h>

/* DBSCAN at the normal radius alone; outliers behind the clusters, each its own class. */
static fet_status plain_clusters(const fet__reid_labelling *l, int32_t *label, const float *x, int64_t rows,
                                 int64_t width, int32_t first)
{
    float radius = (float)l->options.eps;
    fet__jaccard *j = NULL;
    int32_t clusters = 0;
    fet_status st;

    FET_TRY(fet__jaccard_create(&j, x, rows, width, l->options.k1, l->options.k2));
    FET_TRY(fet__dbscan(label, &clusters, j, &radius, 1, l->options.least));
    for (int64_t i = 0; i < rows; i++)
        label[i] = first + (label[i] < 0 ? clusters++ : label[i]);
done:
    fet__jaccard_destroy(j);
    return st;
}

static fet_status self_paced(const fet__reid_labelling *l, int32_t *label, const float *x, int64_t rows, int64_t width,
                             int32_t first, fet__spcl_threshold *threshold)
{
    fet__self_paced_options o = l->options;
    fet__self_paced_state state = {threshold->known, threshold->alpha};
    fet__pseudo_labels p = {0};
    fet_status st;

    o.first_label = first;
    FET_TRY(fet__self_paced(&p, &state, x, rows, width, &o));
    memcpy(label, p.label, (size_t)rows * sizeof *label);
    *threshold = (fet__spcl_threshold){state.known, state.threshold};
done:
    fet__pseudo_labels_fini(&p);
    return st;
}

/* ---- counting ------------------------------------------------------------------------------------------------------- */

static int32_t limit_of(const int32_t *label, int64_t rows)
{
    int32_t limit = 0;

    for (int64_t i = 0; i < rows; i++)
        limit = label[i] >= limit ? label[i] + 1 : limit;
    return limit;
}

static fet_status count(const fet__reid_labelling *l, fet__spcl_labels *out, int32_t *label, int64_t rows)
{
    int64_t limit = limit_of(label, rows), *size = NULL;
    fet_status st;

    FET_TRY(FET_NEW(size, limit + 1));
    for (int64_t i = 0; i < rows; i++)
        size[label[i]]++;
    for (int64_t c = 0; c < limit; c++) {
        out->clusters += size[c] > 1;
        out->outliers += size[c] == 1;
    }
    for (int64_t i = 0; i < rows && l->drop_outliers; i++)
        if (size[label[i]] == 1) {
            label[i] = -1;
            out->dropped++;
        }
done:
    fet__free(size);
    return st;
}

static fet_status compare_with_truth(const fet__reid_labelling *l, fet__spcl_labels *out, const int32_t *label,
                                     int64_t rows)
{
    fet__grouping_result g;
    int32_t *truth = NULL;
    fet_status st;

    FET_TRY(FET_NEW(truth, rows));
    for (int64_t i = 0; i < rows; i++)
        truth[i] = l->images[i].label;
    FET_TRY(fet__grouping(&g, label, truth, rows));
    out->purity = g.purity;
    out->pair_f1 = g.pair_f1;
done:
    fet__free(truth);
    return st;
}

fet_status fet__reid_label(const fet__reid_labelling *l, fet__spcl_labels *out, int32_t *label, const float *x,
                           int64_t rows, int64_t width, int32_t first, fet__spcl_threshold *threshold)
{
    fet_status st = FET_OK;

    *out = (fet__spcl_labels){.threshold = (double)NAN, .purity = (double)NAN, .pair_f1 = (double)NAN};
    if (rows == 0)
        return FET_OK;
    FET_TRY(fet__rows_finite(x, rows, width));
    if (strcmp(l->labels, "instances") == 0 || strcmp(l->labels, "supervised") == 0)
        for (int64_t i = 0; i < rows; i++)
            label[i] = first + (l->labels[0] == 'i' ? (int32_t)i : l->images[i].label);
    else if (strcmp(l->labels, "clusters") == 0)
        FET_TRY(plain_clusters(l, label, x, rows, width, first));
    else
        FET_TRY(self_paced(l, label, x, rows, width, first, threshold));
    FET_TRY(count(l, out, label, rows));
    if (out->clusters == 1 && out->outliers == 0)
        fet__note("one cluster holds all %lld images: there is nothing to tell them from (a smaller --eps splits it)",
                  (long long)rows);
    else if (out->clusters == 0)
        fet__note("no cluster among %lld images: each is a class of its own (a larger --eps makes some)",
                  (long long)rows);
    if (threshold->known)
        out->threshold = 1 - (double)threshold->alpha;
    if (l->truth_known)
        FET_TRY(compare_with_truth(l, out, label, rows));
done:
    return st;
}
