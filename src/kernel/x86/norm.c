/* Accepting and preparing layer norm and its gradients; norm_body.h computes them. */
#include "kernel/x86/norm.h"

#define BLOCKS 64

fet__norm_blocks fet__norm_split(const fet__problem *p)
{
    int64_t rows = fet__row_count(&p->input[0].shape);
    fet__norm_blocks b = {.width = fet__round_up(fet__cols(&p->input[0].shape), FET__LINE_FLOATS),
                          .threads = p->threads > 1 ? p->threads : 1};

    b.rows = fet__round_up(fet__ceil_div(rows, BLOCKS), 8);
    b.count = b.rows ? fet__ceil_div(rows, b.rows) : 0;
    return b;
}

static bool is_row(const fet__shape *s, int64_t cols)
{
    return s->rank == 1 && s->dim[0] == cols;
}

bool fet__norm_accepts(const fet__problem *p)
{
    const fet__shape *x = &p->input[0].shape;
    int64_t cols;

    if (!fet__x86_all_f32(p) || p->input_count < 2 || x->rank < 1 || fet__shape_count(x) < 0)
        return false;
    cols = fet__cols(x);
    if (cols < 1)
        return false;
    if (p->op == FET__OP_LAYER_NORM)
        return p->input_count == 3 && is_row(&p->input[1].shape, cols) && is_row(&p->input[2].shape, cols);
    if (p->op == FET__OP_LAYER_NORM_DX)
        return p->input_count == 3 && is_row(&p->input[1].shape, cols) && fet__shape_equal(x, &p->input[2].shape);
    return p->op == FET__OP_LAYER_NORM_DGAMMA && fet__shape_equal(x, &p->input[1].shape);
}

fet_status fet__norm_prepare(fet__prepared *k)
{
    if (k->problem.op == FET__OP_LAYER_NORM_DGAMMA) {
        fet__norm_blocks b = fet__norm_split(&k->problem);

        k->scratch = (size_t)(b.width * (b.threads * (int64_t)sizeof(float) + b.count * (int64_t)sizeof(double)));
        return FET_OK;
    }
    /* Each row is read before it is written, element by element. */
    k->overlay = k->problem.op == FET__OP_LAYER_NORM ? 1u : 1u | 4u;
    return FET_OK;
}
