/* Builders of matrix products and convolutions. */
#include "graph/graph_int.h"

fet__node *fet__matmul(fet__graph *g, fet__node *a, fet__node *b, bool ta, bool tb)
{
    fet__attr attr = {.raw = {0}};
    fet__node *in[2] = {a, b};

    attr.matmul.ta = ta;
    attr.matmul.tb = tb;
    return fet__make(g, FET__OP_MATMUL, in, 2, &attr, FET_F32, NULL);
}

static fet__attr conv_attr(const fet__conv *c)
{
    fet__attr attr = {.raw = {0}};

    for (int i = 0; i < 2; i++) {
        attr.conv.stride[i] = c->stride[i] ? c->stride[i] : 1;
        attr.conv.pad[i] = c->pad[i];
        attr.conv.dilation[i] = c->dilation[i] ? c->dilation[i] : 1;
    }
    attr.conv.groups = c->groups ? c->groups : 1;
    return attr;
}

fet__node *fet__conv2d(fet__graph *g, fet__node *x, fet__node *w, const fet__conv *c)
{
    fet__attr attr = conv_attr(c);
    fet__node *in[2] = {x, w};

    return fet__make(g, FET__OP_CONV2D, in, 2, &attr, FET_F32, NULL);
}

fet__node *fet__conv2d_dx(fet__graph *g, fet__node *dy, fet__node *w, const fet__conv *c, fet__shape x_shape)
{
    fet__attr attr = conv_attr(c);
    fet__node *in[2] = {dy, w};

    return fet__make(g, FET__OP_CONV2D_DX, in, 2, &attr, FET_F32, &x_shape);
}

fet__node *fet__conv2d_dw(fet__graph *g, fet__node *x, fet__node *dy, const fet__conv *c, fet__shape w_shape)
{
    fet__attr attr = conv_attr(c);
    fet__node *in[2] = {x, dy};

    return fet__make(g, FET__OP_CONV2D_DW, in, 2, &attr, FET_F32, &w_shape);
}
