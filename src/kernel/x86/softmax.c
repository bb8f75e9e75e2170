/* Accepting and preparing softmax, cross-entropy and their gradients; softmax_body.h computes them. */
#include "kernel/x86/x86.h"

static bool softmax_fits(const fet__problem *p)
{
    const fet__shape *x = &p->input[0].shape;

    return fet__x86_all_f32(p) && x->rank >= 1 && fet__cols(x) >= 1 && fet__shape_equal(x, &p->output.shape) &&
           (p->input_count < 2 || fet__shape_equal(x, &p->input[1].shape));
}

static bool entropy_fits(const fet__problem *p)
{
    const fet__shape *z = &p->input[0].shape;

    if (p->input[0].dtype != FET_F32 || p->input[1].dtype != FET_I32 || p->output.dtype != FET_F32 || z->rank != 2 ||
        z->dim[1] < 1)
        return false;
    return p->op == FET__OP_CROSS_ENTROPY || p->input[2].dtype == FET_F32;
}

bool fet__softmax_accepts(const fet__problem *p)
{
    switch (p->op) {
    case FET__OP_SOFTMAX:
    case FET__OP_SOFTMAX_GRAD: return softmax_fits(p);
    case FET__OP_CROSS_ENTROPY:
    case FET__OP_CROSS_ENTROPY_GRAD: return entropy_fits(p);
    default: return false;
    }
}

fet_status fet__softmax_prepare(fet__prepared *k)
{
    switch (k->problem.op) {
    case FET__OP_SOFTMAX:
    case FET__OP_CROSS_ENTROPY_GRAD: /* the value at the label is computed before the row is written */
        k->overlay = 1u;
        break;
    case FET__OP_SOFTMAX_GRAD: k->overlay = 1u | 2u; break;
    default: break;
    }
    return FET_OK;
}
