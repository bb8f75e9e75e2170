/* Jaccard distances between sparse weighted neighbourhoods. A distance is below 1 only where two rows share a column, so an inverted index
 * (columns to rows) finds them; a row's distances exist while somebody looks at them. */
#include <math.h>
#include <string.h>

#include "cluster/cluster.h"

struct fet__jaccard {
    fet__sparse v;
    /* column c is in rows row[first[c]], ... with weight[] there; rows ascend */
    int64_t *first;
    int32_t *row;
    float *weight;
};

static fet_status invert(fet__jaccard *j)
{
    const fet__sparse *v = &j->v;
    int64_t rows = v->rows, total = v->start[rows], *next = NULL;
    fet_status st = FET_OK;
    FET_TRY(FET_NEW(j->first, rows + 1));
    FET_TRY(FET_NEW(j->row, total));
    FET_TRY(FET_NEW(j->weight, total));
    FET_TRY(FET_NEW(next, rows));
    for (int64_t e = 0; e < total; e++)
        j->first[v->column[e] + 1]++;
    for (int64_t c = 0; c < rows; c++) {
        j->first[c + 1] += j->first[c];
        next[c] = j->first[c];
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t e = v->start[i]; e < v->start[i + 1]; e++) {
            int64_t at = next[v->column[e]]++;
            j->row[at] = (int32_t)i;
            j->weight[at] = v->weight[e];
        }
done:
    fet__free(next);
    return st;
}

fet_status fet__jaccard_of(fet__jaccard **out, fet__sparse *v)
{
    fet__jaccard *j = fet__alloc(1, sizeof *j);
    *out = NULL;
    if (!j)
        return FET_E_NOMEM;
    j->v = *v;
    memset(v, 0, sizeof *v);
    fet_status st = invert(j);
    if (st == FET_OK)
        *out = j;
    else
        fet__jaccard_destroy(j);
    return st;
}

void fet__jaccard_destroy(fet__jaccard *j)
{
    if (!j)
        return;
    fet__sparse_fini(&j->v);
    fet__free(j->first);
    fet__free(j->row);
    fet__free(j->weight);
    fet__free(j);
}

int64_t fet__jaccard_rows(const fet__jaccard *j)
{
    return j->v.rows;
}

typedef struct features {
    const fet__neighbours *n;
    const float *x;
    int64_t width;
} features;

/* exp(-|a - b|^2) of unit vectors; the row's sum divides it afterwards, which makes a softmax of it. */
static float closeness(const void *user, int64_t row, int64_t member)
{
    const features *f = user;
    float cosine = fet__neighbour_cosine(f->n, f->x, f->width, row, member);
    return expf(-(2.0F - 2.0F * cosine));
}

fet_status fet__jaccard_from(fet__jaccard **out, fet__neighbours *n, const float *x, int64_t width, int k1, int k2)
{
    features f = {n, x, width};
    fet__sparse v = {0}, smooth = {0};
    fet_status st = FET_OK;
    *out = NULL;
    /* half of k1, ties to even, and one more: the reference's slices take k1 entries here and h + 1 there */
    FET_TRY(fet__reciprocal(&v, n, n->k, (int)rint(k1 / 2.0) + 1, closeness, &f));
    if (k2 > 1) {
        FET_TRY(fet__sparse_mean(&smooth, &v, n, k2));
        fet__sparse_fini(&v);
        v = smooth;
        memset(&smooth, 0, sizeof smooth);
    }
    fet__neighbours_fini(n);
    FET_TRY(fet__jaccard_of(out, &v));
done:
    fet__neighbours_fini(n);
    fet__sparse_fini(&v);
    return st;
}

fet_status fet__jaccard_create(fet__jaccard **out, const float *x, int64_t rows, int64_t width, int k1, int k2)
{
    fet__neighbours n = {0};
    fet_status st;
    *out = NULL;
    if (k1 < 1 || k2 < 1)
        return FET_FAIL(FET_E_ARG, "Jaccard distance: k1 = %d and k2 = %d, both must be at least 1", k1, k2);
    FET_TRY(fet__neighbours_find(&n, x, rows, width, k1, false));
    st = fet__jaccard_from(out, &n, x, width, k1, k2);
done:
    return st;
}

fet_status fet__jaccard_row_init(fet__jaccard_row *r, const fet__jaccard *j)
{
    fet_status st = FET_OK;
    memset(r, 0, sizeof *r);
    FET_TRY(FET_NEW(r->overlap, j->v.rows));
    FET_TRY(FET_NEW(r->touched, j->v.rows));
done:
    if (st != FET_OK)
        fet__jaccard_row_fini(r);
    return st;
}

void fet__jaccard_row_fini(fet__jaccard_row *r)
{
    fet__free(r->overlap);
    fet__free(r->touched);
    memset(r, 0, sizeof *r);
}

/* Columns ascend, so every overlap is summed in the same order whoever asks. A shared column of weight 0 adds nothing and does not bring
 * two rows together. */
void fet__jaccard_row_begin(fet__jaccard_row *r, const fet__jaccard *j, int64_t i)
{
    int64_t count = 0;
    for (int64_t e = j->v.start[i]; e < j->v.start[i + 1]; e++) {
        int32_t c = j->v.column[e];
        float w = j->v.weight[e];
        for (int64_t k = j->first[c]; k < j->first[c + 1]; k++) {
            int32_t other = j->row[k];
            float least = w < j->weight[k] ? w : j->weight[k];
            if (r->overlap[other] == 0 && least > 0)
                r->touched[count++] = other;
            r->overlap[other] += least;
        }
    }
    r->count = count;
}

void fet__jaccard_row_end(fet__jaccard_row *r)
{
    for (int64_t k = 0; k < r->count; k++)
        r->overlap[r->touched[k]] = 0;
    r->count = 0;
}
