/* Merging FacT, in double: W += s V S U, slice by slice of d x d. */
#include "adapter/fact_int.h"

#include <string.h>

static fet_status values(const fet__params *store, const char *name, int64_t count, double *out)
{
    const fet__param *p = fet__params_find(store, name);

    if (!p || fet__shape_count(&p->shape) != count)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s is absent or not of %lld values", name, (long long)count);
    fet__convert(out, FET_F64, p->data, p->dtype, count);
    return FET_OK;
}

/* Form tt: the layer's own cores, those of its parts one below the other. */
static fet_status own_cores(const fet__fact *c, const fet__params *store, const fet__site *s, const fet__fact_layer *l,
                            double *core)
{
    int64_t r = c->rank;
    char name[320];
    fet_status st = FET_OK;

    fet__fact_core_name(s, 0, name);
    if (s->part_count <= 1)
        return values(store, name, l->n * r * l->m * r, core);
    for (int i = 0; i < s->part_count && st == FET_OK; i++) {
        fet__fact_core_name(s, i, name);
        st = values(store, name, r * r, core + i * r * r);
    }
    return st;
}

/* Where entry (i, j) of slice k stands in S. */
static int64_t place(const fet__fact_layer *l, int64_t r, int64_t i, int64_t j, int64_t k)
{
    if (l->m > 1) /* fc2: S [r, 4 r], entry (i, 4 j + k) */
        return i * l->m * r + j * l->m + k;
    return l->column < 4 ? (k * r + j) * r + i : (j * l->n + k) * r + i;
}

/* Form tk: C contracted with the layer's columns of P. */
static fet_status contracted(const fet__fact *c, const fet__params *store, const fet__fact_layer *l, double *core)
{
    int64_t r = c->rank, i, j, k, q;
    double *tensor = NULL, *p = NULL;
    char name[320];
    fet_status st;

    FET_TRY(FET_NEW(tensor, r * r * r));
    FET_TRY(FET_NEW(p, r * 12));
    FET_TRY(values(store, "fact.c", r * r * r, tensor));
    fet__fact_columns_name(l, name);
    FET_TRY(values(store, name, r * 12, p));
    for (i = 0; i < r; i++)
        for (j = 0; j < r; j++)
            for (k = 0; k < l->m * l->n; k++) {
                double sum = 0;
                for (q = 0; q < r; q++)
                    sum += tensor[(i * r + j) * r + q] * p[q * 12 + l->column + k];
                core[place(l, r, i, j, k)] = sum;
            }
done:
    fet__free(tensor);
    fet__free(p);
    return st;
}

typedef struct work {
    double *u, *v, *core, *left, *row; /* left: a row of s V S, m r values */
} work;

/* The rows of output slice k: row i of the slice is W's row k d + i. */
static void merge_row(const fet__fact *c, const fet__fact_layer *l, work *w, int64_t k, int64_t i)
{
    int64_t r = c->rank, wide = l->m * r, a, q, x, slice;

    memset(w->left, 0, (size_t)wide * sizeof *w->left);
    for (a = 0; a < r; a++)
        for (q = 0; q < wide; q++)
            w->left[q] += c->scale * w->v[i * r + a] * w->core[(k * r + a) * wide + q];
    for (slice = 0; slice < l->m; slice++)
        for (q = 0; q < r; q++)
            for (x = 0; x < l->d; x++)
                w->row[slice * l->d + x] += w->left[slice * r + q] * w->u[q * l->d + x];
}

static fet_status merge_rows(const fet__fact *c, const fet__fact_layer *l, work *w, const fet__site *s)
{
    fet__param *p = s->weight;
    fet_status st;

    FET_TRY(fet__param_own(p));
    for (int64_t i = 0; i < s->out; i++) {
        void *at = (char *)p->data + (size_t)(i * s->in) * fet__dtype_bytes(p->dtype);
        fet__convert(w->row, FET_F64, at, p->dtype, s->in);
        merge_row(c, l, w, i / l->d, i % l->d);
        fet__convert(at, p->dtype, w->row, FET_F64, s->in);
    }
    p->version++;
done:
    return st;
}

fet_status fet__fact_merge(fet__adapter *a, fet__params *store, const fet__site *s)
{
    const fet__fact *c = a->config;
    int64_t r = c->rank;
    fet__fact_layer l;
    work w = {0};
    char name[320];
    fet_status st;

    if (!fet__fact_slices(c, s, &l))
        return FET_FAIL(FET_E_BUG, "%s has no slices", s->name);
    FET_TRY(FET_NEW(w.u, r * l.d));
    FET_TRY(FET_NEW(w.v, r * l.d));
    FET_TRY(FET_NEW(w.core, l.n * r * l.m * r));
    FET_TRY(FET_NEW(w.left, l.m * r));
    FET_TRY(FET_NEW(w.row, s->in));
    fet__fact_factor_name(&l, "u", name);
    FET_TRY(values(store, name, r * l.d, w.u));
    fet__fact_factor_name(&l, "v", name);
    FET_TRY(values(store, name, r * l.d, w.v));
    FET_TRY(c->tucker ? contracted(c, store, &l, w.core) : own_cores(c, store, s, &l, w.core));
    FET_TRY(merge_rows(c, &l, &w, s));
done:
    fet__free(w.u);
    fet__free(w.v);
    fet__free(w.core);
    fet__free(w.left);
    fet__free(w.row);
    return st;
}
