/* Self-paced labels: which clusters to believe. A cluster must stay one when the radius grows (independence) and its members
 * must stay together when it shrinks (compactness); what is not believed becomes a class of one. SpCL section 3.3; IoU scores are kept as 1 -
 * IoU, as the reference code does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster.h"

void fet__pseudo_labels_fini(fet__pseudo_labels *p)
{
    fet__free(p->label);
    fet__free(p->normal);
    fet__free(p->compact);
    fet__free(p->independent);
    fet__free(p->class_compact);
    fet__free(p->class_independent);
    memset(p, 0, sizeof *p);
}

/* Outliers become classes clusters, clusters + 1, ... in the order of rows; returns the number of classes. */
static int32_t with_singles(int32_t *out, const int32_t *label, int64_t rows, int32_t clusters)
{
    for (int64_t i = 0; i < rows; i++)
        out[i] = label[i] >= 0 ? label[i] : clusters++;
    return clusters;
}

static int by_value64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* How many of the sorted pairs are below `key`. */
static int64_t below(const uint64_t *pairs, int64_t count, uint64_t key)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (pairs[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void sizes(int32_t *out, const int32_t *class_of, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        out[class_of[i]]++;
}

/* out[i] = 1 - |A & B| / |A | B| for the classes A and B of row i in two partitions. Rows with the same pair of classes lie together after
 * sorting, so the joint sizes are runs. */
static fet_status disagreement(float *out, const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count,
                               int64_t rows)
{
    fet_status st = FET_OK;
    int32_t *a_size = NULL, *b_size = NULL;
    uint64_t *pairs = NULL;
    FET_TRY(FET_NEW(a_size, a_count));
    FET_TRY(FET_NEW(b_size, b_count));
    FET_TRY(FET_NEW(pairs, rows));
    sizes(a_size, a, rows);
    sizes(b_size, b, rows);
    for (int64_t i = 0; i < rows; i++)
        pairs[i] = (uint64_t)a[i] << 32U | (uint32_t)b[i];
    qsort(pairs, (size_t)rows, sizeof *pairs, by_value64);
    for (int64_t i = 0; i < rows; i++) {
        uint64_t key = (uint64_t)a[i] << 32U | (uint32_t)b[i];
        int64_t both = below(pairs, rows, key + 1) - below(pairs, rows, key);
        out[i] = 1.0F - (float)both / (float)(a_size[a[i]] + b_size[b[i]] - both);
    }
done:
    fet__free(a_size);
    fet__free(b_size);
    fet__free(pairs);
    return st;
}

static void class_least(float *out, int32_t classes, const float *value, const int32_t *class_of, int64_t rows)
{
    for (int32_t c = 0; c < classes; c++)
        out[c] = INFINITY;
    for (int64_t i = 0; i < rows; i++)
        out[class_of[i]] = fminf(out[class_of[i]], value[i]);
}

static int by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The threshold that believes nine tenths of the clusters of the first epoch that has any. */
static fet_status take_threshold(fet__self_paced_state *state, const float *independent, const int32_t *size,
                                 int32_t classes)
{
    float *sorted = NULL;
    fet_status st;
    int32_t n = 0;
    FET_TRY(FET_NEW(sorted, classes));
    for (int32_t c = 0; c < classes; c++)
        if (size[c] > 1)
            sorted[n++] = independent[c];
    if (n > 0) {
        qsort(sorted, (size_t)n, sizeof *sorted, by_float);
        int64_t at = (int64_t)rint(0.9 * n);
        state->threshold = sorted[at < n ? at : n - 1];
        state->known = true;
    }
done:
    fet__free(sorted);
    return st;
}

/* Believed rows keep their class; the others get numbers of their own behind the classes. `size` is used up in the form without gaps. */
static void give_labels(fet__pseudo_labels *p, const fet__self_paced_state *state, const int32_t *class_of,
                        int32_t *size, const fet__self_paced_options *o)
{
    int32_t next = p->classes;
    for (int64_t i = 0; i < p->rows; i++) {
        int32_t c = class_of[i];
        bool believed =
            state->known && p->class_independent[c] <= state->threshold && p->compact[i] <= p->class_compact[c];
        if (o->no_gaps && size[c] == 1)
            believed = true;
        if (!believed)
            size[c]--;
        p->label[i] = o->first_label + (believed ? c : next++);
    }
    p->limit = o->first_label + next;
}

static fet_status count_classes(fet__pseudo_labels *p, int32_t first)
{
    int32_t *size = NULL;
    fet_status st;
    FET_TRY(FET_NEW(size, p->limit - first));
    for (int64_t i = 0; i < p->rows; i++)
        size[p->label[i] - first]++;
    for (int32_t c = 0; c < p->limit - first; c++) {
        p->clusters += size[c] > 1;
        p->singles += size[c] == 1;
    }
done:
    fet__free(size);
    return st;
}

/* Scores and labels once the three clusterings are there. */
static fet_status judge(fet__pseudo_labels *p, fet__self_paced_state *state, const int32_t clusters[3],
                        const fet__self_paced_options *o)
{
    int64_t n = p->rows;
    int32_t *class_of = NULL, *other = NULL, *size = NULL, others;
    fet_status st;
    FET_TRY(FET_NEW(class_of, n));
    FET_TRY(FET_NEW(other, n));
    p->classes = with_singles(class_of, p->normal, n, clusters[0]);
    others = with_singles(other, p->tight, n, clusters[1]);
    FET_TRY(disagreement(p->compact, class_of, p->classes, other, others, n));
    others = with_singles(other, p->loose, n, clusters[2]);
    FET_TRY(disagreement(p->independent, class_of, p->classes, other, others, n));
    FET_TRY(FET_NEW(p->class_compact, p->classes));
    FET_TRY(FET_NEW(p->class_independent, p->classes));
    FET_TRY(FET_NEW(size, p->classes));
    class_least(p->class_compact, p->classes, p->compact, class_of, n);
    class_least(p->class_independent, p->classes, p->independent, class_of, n);
    sizes(size, class_of, n);
    if (!state->known)
        FET_TRY(take_threshold(state, p->class_independent, size, p->classes));
    give_labels(p, state, class_of, size, o);
    FET_TRY(count_classes(p, o->first_label));
done:
    fet__free(class_of);
    fet__free(other);
    fet__free(size);
    return st;
}

fet_status fet__self_paced(fet__pseudo_labels *out, fet__self_paced_state *state, const float *x, int64_t rows,
                           int64_t width, const fet__self_paced_options *o)
{
    float radius[3] = {(float)o->eps, (float)(o->eps - o->eps_gap), (float)(o->eps + o->eps_gap)};
    int32_t clusters[3];
    fet__jaccard *j = NULL;
    fet_status st;
    memset(out, 0, sizeof *out);
    if (!(o->eps_gap >= 0 && o->eps > o->eps_gap && o->eps + o->eps_gap < 1))
        return FET_FAIL(FET_E_ARG, "pseudo labels: eps %g with gap %g leaves 0 to 1", o->eps, o->eps_gap);
    FET_TRY(fet__jaccard_create(&j, x, rows, width, o->k1, o->k2));
    out->rows = rows;
    FET_TRY(FET_NEW(out->label, rows));
    FET_TRY(FET_NEW(out->normal, 3 * rows));
    out->tight = out->normal + rows;
    out->loose = out->tight + rows;
    FET_TRY(FET_NEW(out->compact, rows));
    FET_TRY(FET_NEW(out->independent, rows));
    FET_TRY(fet__dbscan(out->normal, clusters, j, radius, 3, o->least));
    fet__jaccard_destroy(j);
    j = NULL;
    FET_TRY(judge(out, state, clusters, o));
done:
    fet__jaccard_destroy(j);
    if (st != FET_OK)
        fet__pseudo_labels_fini(out);
    return st;
}

fet_status fet__label_means(float *centers, const float *x, const int32_t *label, int64_t rows, int64_t width,
                            int32_t first, int32_t count)
{
    double *sum = NULL;
    int64_t *size = NULL;
    fet_status st;
    FET_TRY(FET_NEW(sum, (int64_t)count * width));
    FET_TRY(FET_NEW(size, count));
    for (int64_t i = 0; i < rows; i++) {
        int64_t c = (int64_t)label[i] - first;
        if (c < 0 || c >= count)
            continue;
        size[c]++;
        for (int64_t k = 0; k < width; k++)
            sum[c * width + k] += x[i * width + k];
    }
    for (int64_t c = 0; c < count; c++)
        for (int64_t k = 0; k < width; k++)
            centers[c * width + k] = size[c] ? (float)(sum[c * width + k] / (double)size[c]) : 0;
done:
    fet__free(sum);
    fet__free(size);
    return st;
}
