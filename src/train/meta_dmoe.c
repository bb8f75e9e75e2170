/* Meta-DMoE's aggregator (methods/mabn.md 10.6): what several experts make of a picture, as one feature that a student is to match. */
#include "train/rivals.h"

#include <math.h>

static fet__node *attend(fet__build *b, fet__node *x, int heads)
{
    int64_t d = x->shape.dim[2];
    fet__init init = fet__init_xavier(d, 3 * d), zero = {FET__INIT_ZERO, 0};
    fet__node *w, *bias;

    if (heads < 1 || d % heads != 0)
        return fet__graph_fail(b->g, FET_E_ARG, "features of %lld values cannot be divided into %d heads", (long long)d,
                               heads);
    fet__enter(b, "fn.attend");
    w = fet__parameter(b, "in_proj_weight", FET_SHAPE(3 * d, d), init);
    bias = fet__parameter(b, "in_proj_bias", FET_SHAPE(3 * d), zero);
    x = fet__attention(b->g, fet__linear(b->g, x, w, bias), NULL, heads, 1.0 / sqrt((double)d / heads));
    x = fet__nn_linear(b, "out_proj", x, d, NULL);
    fet__leave(b);
    return x;
}

static fet__node *mlp(fet__build *b, fet__node *x)
{
    int64_t d = x ? x->shape.dim[2] : 0;

    fet__enter(b, "fn.net");
    x = fet__gelu(b->g, fet__nn_linear(b, "0", x, 2 * d, NULL));
    x = fet__nn_linear(b, "3", x, d, NULL);
    fet__leave(b);
    return x;
}

fet__node *fet__expert_aggregate(fet__build *b, fet__node *tokens, int heads)
{
    fet__node *x = tokens, *y;

    if (!x)
        return NULL;
    fet__enter(b, "transformer.layers.0.0");
    y = fet__nn_layer_norm(b, "norm", x, 1e-5);
    x = y ? fet__add(b->g, attend(b, y, heads), x) : NULL;
    fet__leave(b);
    fet__enter(b, "transformer.layers.0.1");
    x = fet__add(b->g, mlp(b, fet__nn_layer_norm(b, "norm", x, 1e-5)), x);
    fet__leave(b);
    x = fet__mean(b->g, x, 1u << 1);
    return fet__reshape(b->g, x, FET_SHAPE(tokens->shape.dim[0], tokens->shape.dim[2]));
}
