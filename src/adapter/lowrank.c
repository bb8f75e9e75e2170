/* Low-rank branches in graphs: the parallel one reads the layer's input, the sequential one its output (methods/hydra.md 1.1 to
 * 1.3). Merging them into plain weights is in lowrank_merge.c.
 *
 * With targets t (the whole layer, or row blocks of a fused one) and both branches, one wide pair of products serves all:
 *     h = [D_a x + d_a ; D_b z + d_b]          [.., sum of ranks]
 *     y = z + [s U_a, s U_b] h + s (u_a + u_b)
 * Row blocks are placed by padding the small factors with zeros, so that no activation is cut or copied. The scale is applied to
 * the small factors as well. */
#include "adapter/lowrank_int.h"

#include <string.h>

fet_status fet__lowrank_configure(const fet__adapter *a, fet__lowrank *l)
{
    static const char *const inits[] = {"normal", "xavier", "kaiming"};
    const char *init = fet__adapter_value(a, "init");
    fet_status st;
    int i;

    l->at = fet__adapter_value(a, "at");
    if (!l->at[0])
        return FET_FAIL(FET_E_ARG, "adapter '%s': at= names no layer", a->class_->name);
    FET_TRY(fet__adapter_double(a, "dropout", 0, 1, &l->dropout));
    if (l->dropout >= 1)
        return FET_FAIL(FET_E_ARG, "adapter '%s': dropout=%s is not below 1", a->class_->name,
                        fet__adapter_value(a, "dropout"));
    FET_TRY(fet__adapter_bool(a, "bias", &l->bias));
    for (i = 0; i < 3; i++)
        if (strcmp(init, inits[i]) == 0) {
            l->init = (int)FET__DOWN_NORMAL + i;
            return FET_OK;
        }
    return FET_FAIL(FET_E_ARG, "adapter '%s': init=%s is none of normal, xavier, kaiming", a->class_->name,
                    fet__show(init));
done:
    return st;
}

int fet__lowrank_targets(const fet__lowrank *l, const fet__site *s, fet__target out[4])
{
    int i, n = 0;

    if (s->kind != FET__SITE_LINEAR)
        return 0;
    if (fet__glob_site(l->at, s->name)) { /* parts do not count beside the whole */
        out[0] = (fet__target){s->name, 0, s->out};
        return 1;
    }
    for (i = 0; i < s->part_count; i++)
        if (fet__glob_site(l->at, s->part[i]))
            out[n++] = (fet__target){s->part[i], i * (s->out / s->part_count), s->out / s->part_count};
    return n;
}

void fet__lowrank_name(const fet__adapter *a, const fet__target *t, bool sequential, const char *leaf, char out[320])
{
    const fet__lowrank *l = a->config;
    const char *branch = l->rank_par && l->rank_seq ? (sequential ? ".seq" : ".par") : "";

    snprintf(out, 320, "%s.%s%s.%s", t->name, a->class_->name, branch, leaf);
}

static fet__init down_init(const fet__lowrank *l, int64_t in, int64_t rank)
{
    switch (l->init) {
    case FET__DOWN_XAVIER: return fet__init_xavier(in, rank);
    case FET__DOWN_KAIMING: return fet__init_kaiming5(in);
    default: return (fet__init){FET__INIT_NORMAL, 0.02};
    }
}

/* The four factors of one branch over all targets, placed: down [R, in], up [out, R], biases [R] and [out] or NULL. */
typedef struct branch {
    fet__node *down, *down_bias, *up, *up_bias;
} branch;

/* Zero-pad a matrix [r, c] into [rows, columns] at (row, column). */
static fet__node *place(fet__graph *g, fet__node *x, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    int64_t low[2] = {row, column}, high[2];

    if (!x || (x->shape.dim[0] == rows && x->shape.dim[1] == columns))
        return x;
    high[0] = rows - row - x->shape.dim[0];
    high[1] = columns - column - x->shape.dim[1];
    return fet__pad(g, x, low, high);
}

static fet__node *place_vector(fet__graph *g, fet__node *x, int64_t at, int64_t size)
{
    int64_t low[1] = {at}, high[1];

    if (!x || x->shape.dim[0] == size)
        return x;
    high[0] = size - at - x->shape.dim[0];
    return fet__pad(g, x, low, high);
}

static fet__node *sum_of(fet__graph *g, fet__node *a, fet__node *b)
{
    return a && b ? fet__add(g, a, b) : (a ? a : b);
}

/* Said once: when the branch begins, not in each graph that is built with it. */
static void warn_rank(const fet__adapter *a, const fet__build *b, const char *down, const fet__target *t, int64_t rank,
                      int64_t in)
{
    int64_t limit = in < t->rows ? in : t->rows;

    if (rank > limit && !fet__params_find(b->store, down))
        fet__warn("adapter '%s': rank %lld at %s is above the smaller side of its factors, %lld", a->class_->name,
                  (long long)rank, t->name, (long long)limit);
}

static branch build_branch(const fet__adapter *a, fet__build *b, const fet__site *s, const fet__target *t, int count,
                           bool sequential)
{
    const fet__lowrank *l = a->config;
    fet__init zero = {FET__INIT_ZERO, 0};
    int64_t rank = sequential ? l->rank_seq : l->rank_par, total = rank * count, in = sequential ? s->out : s->in;
    branch r = {0};
    char name[320];
    int i;

    for (i = 0; i < count; i++) {
        int64_t own_in = sequential ? t[i].rows : in;
        fet__node *x;
        fet__lowrank_name(a, &t[i], sequential, "down.weight", name);
        warn_rank(a, b, name, &t[i], rank, own_in);
        x = fet__parameter_at(b, name, FET_SHAPE(rank, own_in), down_init(l, own_in, rank));
        r.down = sum_of(b->g, r.down, place(b->g, x, i * rank, sequential ? t[i].row : 0, total, in));
        fet__lowrank_name(a, &t[i], sequential, "up.weight", name);
        x = fet__parameter_at(b, name, FET_SHAPE(t[i].rows, rank), zero);
        r.up = sum_of(b->g, r.up, place(b->g, x, t[i].row, i * rank, s->out, total));
        if (!l->bias)
            continue;
        fet__lowrank_name(a, &t[i], sequential, "down.bias", name);
        x = fet__parameter_at(b, name, FET_SHAPE(rank), zero);
        r.down_bias = sum_of(b->g, r.down_bias, place_vector(b->g, x, i * rank, total));
        fet__lowrank_name(a, &t[i], sequential, "up.bias", name);
        x = fet__parameter_at(b, name, FET_SHAPE(t[i].rows), zero);
        r.up_bias = sum_of(b->g, r.up_bias, place_vector(b->g, x, t[i].row, s->out));
    }
    return r;
}

static fet__node *linear_of(fet__graph *g, fet__node *x, fet__node *w, fet__node *bias)
{
    return bias ? fet__linear(g, x, w, bias) : fet__linear_nobias(g, x, w);
}

static fet__node *hidden(const fet__lowrank *l, fet__build *b, const branch *r, fet__node *x)
{
    fet__node *h;

    if (l->dropout_on_input)
        x = fet__nn_dropout(b, x, l->dropout);
    h = linear_of(b->g, x, r->down, r->down_bias);
    return l->dropout_on_input ? h : fet__nn_dropout(b, h, l->dropout);
}

fet__node *fet__lowrank_linear(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    fet__adapter *a = adapter;
    const fet__lowrank *l = a->config;
    fet__target target[4];
    fet__node *h = NULL, *up = NULL, *bias = NULL, *delta;
    int count = fet__lowrank_targets(l, s, target), side;

    if (count == 0)
        return y;
    a->used++;
    fet__build_fresh_begin(b);
    b->adapter_scope = true;
    for (side = 0; side < 2; side++) {
        branch r;
        fet__node *own, *pair[2];
        if ((side ? l->rank_seq : l->rank_par) == 0)
            continue;
        r = build_branch(a, b, s, target, count, side == 1);
        own = hidden(l, b, &r, side ? y : x);
        bias = sum_of(b->g, bias, r.up_bias);
        if (!h) {
            h = own;
            up = r.up;
            continue;
        }
        pair[0] = h;
        pair[1] = own;
        h = fet__concat(b->g, pair, 2, own ? own->shape.rank - 1 : 0);
        pair[0] = up;
        pair[1] = r.up;
        up = fet__concat(b->g, pair, 2, 1);
    }
    delta = linear_of(b->g, h, fet__scale(b->g, up, l->scale), bias ? fet__scale(b->g, bias, l->scale) : NULL);
    b->adapter_scope = false;
    fet__build_fresh_end(b);
    return fet__add(b->g, y, delta);
}
