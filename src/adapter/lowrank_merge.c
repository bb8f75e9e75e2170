/* Merging low-rank branches into plain weights (methods/hydra.md 1.4), in double:
 *     W' = W + s (U_a D_a + U_b (D_b W)),   b' = b + s U_b (D_b b + d_b) + s u_b + s (U_a d_a + u_a)
 * for each target (the whole layer or a row block). A layer without a bias gets one when b' is not zero. */
#include "adapter/lowrank_int.h"

#include <string.h>

/* One factor as double; all zero when the store has no such tensor (a branch without biases). */
static fet_status factor(const fet__adapter *a, const fet__params *store, const fet__target *t, bool sequential,
                         const char *leaf, int64_t count, bool needed, double **out)
{
    char name[320];
    fet__param *p;

    fet__lowrank_name(a, t, sequential, leaf, name);
    p = fet__params_find(store, name);
    if (!p && needed)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s is missing", name);
    if (p && fet__shape_count(&p->shape) != count)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s has shape %s where %lld values are needed", name,
                        fet__shape_text(&p->shape), (long long)count);
    *out = fet__alloc((size_t)count, sizeof **out);
    if (!*out)
        return FET_E_NOMEM;
    if (p)
        fet__convert(*out, FET_F64, p->data, p->dtype, count);
    return FET_OK;
}

/* W and b of one target in double, and what is added to them. */
typedef struct work {
    int64_t rows, columns;
    fet_dtype type; /* of the weight */
    double *weight, *bias, *weight_add, *bias_add;
    double *down, *down_bias, *up, *up_bias, *product;
} work;

static void work_fini_branch(work *w)
{
    fet__free(w->down);
    fet__free(w->down_bias);
    fet__free(w->up);
    fet__free(w->up_bias);
    fet__free(w->product);
    w->down = w->down_bias = w->up = w->up_bias = w->product = NULL;
}

/* Add scale * U (P) to the weight and scale * (U q + u) to the bias, where P [rank, columns] and q [rank] are the branch seen from
 * the layer's input: D_a and d_a, or D_b W and D_b b + d_b. */
static void add_branch(work *w, int64_t rank, double scale, bool sequential)
{
    int64_t i, j, k;

    for (k = 0; sequential && k < rank; k++) {
        for (i = 0; i < w->rows; i++) {
            double d = w->down[k * w->rows + i];
            w->down_bias[k] += d * w->bias[i];
            for (j = 0; j < w->columns; j++)
                w->product[k * w->columns + j] += d * w->weight[i * w->columns + j];
        }
    }
    for (i = 0; i < w->rows; i++) {
        w->bias_add[i] += scale * w->up_bias[i];
        for (k = 0; k < rank; k++) {
            double u = scale * w->up[i * rank + k];
            const double *p = (sequential ? w->product : w->down) + k * w->columns;
            w->bias_add[i] += u * w->down_bias[k];
            for (j = 0; j < w->columns; j++)
                w->weight_add[i * w->columns + j] += u * p[j];
        }
    }
}

static fet_status merge_branch(const fet__adapter *a, fet__params *store, const fet__target *t, work *w,
                               bool sequential)
{
    const fet__lowrank *l = a->config;
    int64_t rank = sequential ? l->rank_seq : l->rank_par, in = sequential ? w->rows : w->columns;
    fet_status st;

    if (rank == 0)
        return FET_OK;
    FET_TRY(factor(a, store, t, sequential, "down.weight", rank * in, true, &w->down));
    FET_TRY(factor(a, store, t, sequential, "up.weight", w->rows * rank, true, &w->up));
    FET_TRY(factor(a, store, t, sequential, "down.bias", rank, l->bias, &w->down_bias));
    FET_TRY(factor(a, store, t, sequential, "up.bias", w->rows, l->bias, &w->up_bias));
    FET_TRY(FET_NEW(w->product, rank * w->columns));
    add_branch(w, rank, l->scale, sequential);
done:
    work_fini_branch(w);
    return st;
}

static bool any(const double *v, int64_t n)
{
    int64_t i;

    for (i = 0; i < n; i++)
        if (v[i] != 0)
            return true;
    return false;
}

static void add_rows(fet__param *p, int64_t first, const double *base, const double *add, int64_t count, double *sum)
{
    int64_t i;

    for (i = 0; i < count; i++)
        sum[i] = base[i] + add[i];
    fet__convert((char *)p->data + (size_t)first * fet__dtype_bytes(p->dtype), p->dtype, sum, FET_F64, count);
    p->version++;
}

static fet_status store_bias(fet__params *store, const fet__site *s, const fet__target *t, work *w)
{
    char name[320];
    fet__param *p;
    fet_status st = FET_OK;

    snprintf(name, sizeof name, "%s.bias", s->name);
    p = fet__params_find(store, name);
    if (!p) {
        if (!any(w->bias_add, w->rows))
            return FET_OK;
        FET_TRY(
            fet__params_add(store, &p, name, w->type == FET_F64 ? FET_F64 : FET_F32, FET_SHAPE(s->out), FET__PARAM));
        p->loaded = true;
    }
    FET_TRY(fet__param_own(p));
    add_rows(p, t->row, w->bias, w->bias_add, w->rows, w->bias_add);
done:
    return st;
}

static fet_status merge_target(const fet__adapter *a, fet__params *store, const fet__site *s, const fet__target *t)
{
    char name[320];
    work w = {.rows = t->rows, .columns = s->in};
    fet__param *weight, *bias;
    int64_t count = w.rows * w.columns;
    fet_status st;

    snprintf(name, sizeof name, "%s.weight", s->name);
    weight = fet__params_find(store, name);
    if (!weight)
        return FET_FAIL(FET_E_BUG, "%s is not in the store", name);
    w.type = weight->dtype;
    snprintf(name, sizeof name, "%s.bias", s->name);
    bias = fet__params_find(store, name);
    FET_TRY(FET_NEW(w.weight, count));
    FET_TRY(FET_NEW(w.weight_add, count));
    FET_TRY(FET_NEW(w.bias, w.rows));
    FET_TRY(FET_NEW(w.bias_add, w.rows));
    fet__convert(w.weight, FET_F64, (char *)weight->data + (size_t)(t->row * s->in) * fet__dtype_bytes(weight->dtype),
                 weight->dtype, count);
    if (bias)
        fet__convert(w.bias, FET_F64, (char *)bias->data + (size_t)t->row * fet__dtype_bytes(bias->dtype), bias->dtype,
                     w.rows);
    FET_TRY(merge_branch(a, store, t, &w, false));
    FET_TRY(merge_branch(a, store, t, &w, true));
    FET_TRY(fet__param_own(weight));
    FET_TRY(store_bias(store, s, t, &w));
    add_rows(weight, t->row * s->in, w.weight, w.weight_add, count, w.weight_add);
done:
    fet__free(w.weight);
    fet__free(w.weight_add);
    fet__free(w.bias);
    fet__free(w.bias_add);
    return st;
}

fet_status fet__lowrank_merge(fet__adapter *a, fet__params *store, const fet__site *s)
{
    fet__target target[4];
    int i, count = fet__lowrank_targets(a->config, s, target);
    fet_status st = FET_OK;

    for (i = 0; i < count; i++)
        FET_TRY(merge_target(a, store, s, &target[i]));
done:
    return st;
}
