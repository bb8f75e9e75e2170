/* Builders of fused operators. */
#include "graph/graph_int.h"

fet__node *fet__gelu(fet__graph *g, fet__node *x)
{
    return fet__unary(g, FET__OP_GELU, x);
}

fet__node *fet__linear(fet__graph *g, fet__node *x, fet__node *w, fet__node *b)
{
    fet__node *in[3] = {x, w, b};

    return fet__make(g, FET__OP_LINEAR, in, b ? 3 : 2, NULL, FET_F32, NULL);
}

fet__node *fet__linear_nobias(fet__graph *g, fet__node *x, fet__node *w)
{
    return fet__linear(g, x, w, NULL);
}

fet__node *fet__softmax(fet__graph *g, fet__node *x)
{
    return fet__unary(g, FET__OP_SOFTMAX, x);
}

fet__node *fet__layer_norm(fet__graph *g, fet__node *x, fet__node *gamma, fet__node *beta, double eps)
{
    fet__node *in[3] = {x, gamma, beta};
    fet__attr attr = {.raw = {0}};

    attr.norm.eps = eps;
    return fet__make(g, FET__OP_LAYER_NORM, in, 3, &attr, FET_F32, NULL);
}

fet__node *fet__cross_entropy(fet__graph *g, fet__node *logits, fet__node *labels, double smoothing)
{
    fet__node *in[2] = {logits, labels};
    fet__attr attr = {.raw = {0}};

    attr.cross_entropy.smoothing = smoothing;
    return fet__make(g, FET__OP_CROSS_ENTROPY, in, 2, &attr, FET_F32, NULL);
}

fet__node *fet__attention(fet__graph *g, fet__node *qkv, fet__node *bias, int heads, double scale)
{
    fet__node *in[2] = {qkv, bias};
    fet__attr attr = {.raw = {0}};

    attr.attention.scale = scale;
    attr.attention.heads = heads;
    return fet__make(g, FET__OP_ATTENTION, in, bias ? 2 : 1, &attr, FET_F32, NULL);
}
