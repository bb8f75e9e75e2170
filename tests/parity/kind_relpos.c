/* mona.relpos_mask: where windows take their tokens from, which tokens see each other, the index of relative positions, patch merging,
 * bias tables of another window. */
#include "exec/exec.h"
#include "nn/nn.h"
#include "parity/parity.h"

#include <math.h>
#include <string.h>

/* ---- one small graph a check ------------------------------------------------------------------------------ */

/* Runs a graph whose only output is y and compares it with the golden's tensor. */
static fet_status compare_node(parity_case *c, fet__graph *g, fet__node *y, const char *name)
{
    fet__program_options po = {.reference = c->reference};
    fet__program *p = NULL;
    fet_status st;

    FET_TRY(fet__graph_status(g));
    fet__output(g, "y", y);
    FET_TRY(fet__program_create(&p, g, &po));
    FET_TRY(fet__program_run(p));
    st = parity_compare(c, name, fet__program_output(p, "y"), y->dtype, fet__shape_count(&y->shape), PARITY_ABS, 1e-5);
done:
    fet__program_destroy(p);
    return st;
}

/* Constant of the golden's values, as doubles. */
static fet__node *constant(const parity_case *c, fet__graph *g, const char *name)
{
    const fet__entry *e = fet__tensors_find(c->t, name);
    double *values = NULL;
    fet__node *x = NULL;

    if (e && parity_doubles(c, name, &values, NULL) == FET_OK)
        x = fet__const(g, FET_F64, e->shape, values);
    else
        fet__graph_fail(g, FET_E_FORMAT, "%s is absent", name);
    fet__free(values);
    return x;
}

/* ---- windows ------------------------------------------------------------------------------------------------- */

static fet_status check_index(parity_case *c, const fet__entry *e)
{
    int window = (int)lround(sqrt((double)e->shape.dim[0]));
    int32_t *index = NULL;
    fet_status st;

    FET_TRY(FET_NEW(index, fet__shape_count(&e->shape)));
    fet__relative_index(window, index);
    st = parity_compare(c, e->name, index, FET_I32, fet__shape_count(&e->shape), PARITY_ABS, 0);
done:
    fet__free(index);
    return st;
}

static fet_status check_tokens(parity_case *c, const fet__entry *e, const fet__windows *w)
{
    int32_t *tokens = NULL;
    fet_status st;

    FET_TRY(FET_NEW(tokens, fet__shape_count(&e->shape)));
    fet__windows_tokens(w, tokens);
    st = parity_compare(c, e->name, tokens, FET_I32, fet__shape_count(&e->shape), PARITY_ABS, 0);
done:
    fet__free(tokens);
    return st;
}

/* The moves themselves, on a map whose values are token numbers plus one: padding shows as zero. And back. */
static fet_status check_moves(parity_case *c, const fet__entry *e, const fet__windows *w)
{
    int64_t tokens = (int64_t)w->grid[0] * w->grid[1];
    fet__graph *g = NULL;
    fet__build b = {.dtype = FET_F64};
    fet__node *x, *y;
    fet_status st;

    FET_TRY(fet__graph_create(&g));
    b.g = g;
    x = fet__shift(g, fet__reshape(g, fet__iota(g, FET_F64, tokens), FET_SHAPE(1, tokens, 1)), 1);
    y = fet__nn_windows(&b, x, w);
    x = fet__sub(g, fet__nn_unwindows(&b, y, w), x); /* zeros, or the move back is wrong: they spoil the sum */
    y = fet__add(g, fet__shift(g, y, -1), fet__sum(g, fet__unary(g, FET__OP_ABS, x), 7u));
    st = compare_node(c, g, y, e->name);
done:
    fet__graph_destroy(g);
    return st;
}

static fet_status check_mask(parity_case *c, const fet__entry *e, const fet__windows *w)
{
    fet__graph *g = NULL;
    fet__build b = {.dtype = FET_F64};
    fet_status st;

    FET_TRY(fet__graph_create(&g));
    b.g = g;
    st = compare_node(c, g, fet__nn_window_mask(&b, w), e->name);
done:
    fet__graph_destroy(g);
    return st;
}

/* ---- merging and tables ------------------------------------------------------------------------------------ */

/* Patch merging by the Microsoft-ordered weights. */
static fet_status check_merging(parity_case *c)
{
    int grid[2] = {0, 0};
    fet__graph *g = NULL;
    fet__build b = {.dtype = FET_F64};
    fet__node *y;
    fet_status st;

    if (sscanf(parity_text(c, "merge", ""), "H=%d,W=%d", &grid[0], &grid[1]) != 2)
        return FET_FAIL(FET_E_FORMAT, "the metadata does not tell the grid of merging");
    FET_TRY(fet__graph_create(&g));
    b.g = g;
    y = fet__nn_patch_cells(&b, constant(c, g, "in.merge.x"), grid);
    y = fet__layer_norm(g, y, constant(c, g, "param.merge.ms.norm.weight"), constant(c, g, "param.merge.ms.norm.bias"),
                        1e-5);
    y = fet__linear_nobias(g, y, constant(c, g, "param.merge.ms.reduction.weight"));
    st = compare_node(c, g, y, "out.merge.y");
done:
    fet__graph_destroy(g);
    return st;
}

/* A store with the golden's table of another window. */
static fet_status store_table(const parity_case *c, const char *in, int64_t rows, fet__params **out, int *heads)
{
    const fet__entry *e = fet__tensors_find(c->t, in);
    double *values = NULL;
    fet__param *p;
    fet_status st;

    if (!e || e->shape.rank != 2 || e->shape.dim[0] != rows)
        return FET_FAIL(FET_E_FORMAT, "%s is absent or of another size", in);
    FET_TRY(fet__params_create(out));
    FET_TRY(parity_doubles(c, in, &values, NULL));
    FET_TRY(fet__params_add(*out, &p, "attn.relative_position_bias_table", FET_F64, e->shape, FET__PARAM));
    memcpy(p->data, values, (size_t)p->bytes);
    *heads = (int)e->shape.dim[1];
done:
    fet__free(values);
    return st;
}

/* The table's rows out of the bias [1, heads, T, T] that it made: the mean of all places that read a row. */
static fet__node *rows_again(fet__graph *g, fet__node *bias, int window)
{
    int64_t t = (int64_t)window * window, side = 2 * window - 1;
    int32_t *index = fet__alloc((size_t)(t * t), sizeof *index);
    fet__node *at, *rows, *ones;

    if (!bias || !index) {
        fet__free(index);
        return NULL;
    }
    fet__relative_index(window, index);
    at = fet__const(g, FET_I32, FET_SHAPE(t * t), index);
    fet__free(index);
    rows = fet__transpose(g, fet__reshape(g, bias, FET_SHAPE(-1, t * t)), (int[]){1, 0});
    ones = fet__fill(g, FET_F64, FET_SHAPE(t * t, 1), 1);
    return fet__div(g, fet__scatter_add(g, at, rows, side * side), fet__scatter_add(g, at, ones, side * side));
}

/* A table of one window, read by windows of another. */
static fet_status check_table(parity_case *c, const char *name, int from, int to)
{
    fet__windows w = {.grid = {to, to}, .window = to};
    fet__build b = {.dtype = FET_F64};
    fet__graph *g = NULL;
    fet__node *bias;
    char in[64];
    int heads;
    fet_status st;

    snprintf(in, sizeof in, "in.%s", name + 4);
    FET_TRY(store_table(c, in, (int64_t)(2 * from - 1) * (2 * from - 1), &b.store, &heads));
    FET_TRY(fet__graph_create(&g));
    b.g = g;
    fet__enter(&b, "attn");
    bias = fet__nn_relative_bias(&b, heads, &w);
    fet__leave(&b);
    st = compare_node(c, g, rows_again(g, bias, to), name);
done:
    fet__graph_destroy(g);
    fet__params_destroy(b.store);
    return st;
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

static fet_status check_entry(parity_case *c, const fet__entry *e)
{
    fet__windows w = {0};
    int from, to;
    fet_status st = FET_OK;

    if (strncmp(e->name, "out.relidx_", 11) == 0)
        return check_index(c, e);
    if (sscanf(e->name, "out.mask_H%d_W%d_w%d_s%d", &w.grid[0], &w.grid[1], &w.window, &w.shift) == 4)
        return check_mask(c, e, &w);
    if (sscanf(e->name, "out.tokens_H%d_W%d_w%d_s%d", &w.grid[0], &w.grid[1], &w.window, &w.shift) == 4) {
        st = check_tokens(c, e, &w);
        return st == FET_OK ? check_moves(c, e, &w) : st;
    }
    if (sscanf(e->name, "out.table_%d_to_%d", &from, &to) == 2)
        return check_table(c, e->name, from, to);
    return st;
}

fet_status parity_relpos_mask(parity_case *c)
{
    fet_status st = check_merging(c);

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = check_entry(c, fet__tensors_at(c->t, i));
    return st;
}
