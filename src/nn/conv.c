/* Layers of convolutional networks: convolution, the poolings that end a stage or a network, rows of length one. Feature maps are
 * [B, H, W, C], weights [out, in / groups, kernel, kernel] as in checkpoints. Norms are in batch_norm.c. */
#include "nn/nn.h"

#include <math.h>

#define GEM_FLOOR 1e-6   /* methods/spcl.md 1.3 */
#define UNIT_FLOOR 1e-12 /* methods/spcl.md 1.2 */

static fet__init weight_init(const fet__conv_options *o, int64_t fan_in, int64_t fan_out)
{
    if (o->normal > 0)
        return (fet__init){FET__INIT_NORMAL, o->normal};
    if (o->default_init)
        return fet__init_kaiming5(fan_in);
    return (fet__init){FET__INIT_NORMAL, sqrt(2.0 / (double)(o->fan_in ? fan_in : fan_out))};
}

void fet__nn_conv_parameters(fet__build *b, const char *name, int64_t in, int64_t out, int kernel,
                             const fet__conv_options *o, fet__node **w, fet__node **bias)
{
    int64_t area = (int64_t)kernel * kernel, fan;

    in /= o->groups ? o->groups : 1;
    fan = in * area;
    fet__enter(b, "%s", name);
    *w = fet__parameter(b, "weight", FET_SHAPE(out, in, kernel, kernel), weight_init(o, fan, out * area));
    *bias = NULL;
    if (o->bias)
        *bias = fet__parameter(b, "bias", FET_SHAPE(out),
                               o->normal > 0 ? (fet__init){FET__INIT_ZERO, 0} : fet__init_kaiming5(fan));
    fet__leave(b);
}

fet__node *fet__nn_conv(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel,
                        const fet__conv_options *o)
{
    fet__conv c = {.stride = {o->stride, o->stride},
                   .pad = {o->pad, o->pad},
                   .dilation = {o->dilation, o->dilation},
                   .groups = o->groups};
    fet__node *w, *bias, *y;

    if (!x)
        return NULL;
    fet__nn_conv_parameters(b, name, x->shape.dim[x->shape.rank - 1], out, kernel, o, &w, &bias);
    fet__enter(b, "%s", name);
    y = fet__conv2d(b->g, x, w, &c);
    if (o->bias)
        y = fet__add(b->g, y, bias);
    fet__leave(b);
    return y;
}

fet__node *fet__nn_max_pool(fet__build *b, fet__node *x, int kernel, int stride, int pad)
{
    fet__pool p = {.kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad}};

    return x ? fet__max_pool(b->g, x, &p) : NULL;
}

/* [B, 1, 1, C] -> [B, C] */
static fet__node *flat(fet__build *b, fet__node *x)
{
    return x ? fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], x->shape.dim[3])) : NULL;
}

static fet__node *mean_of_image(fet__build *b, fet__node *x)
{
    return flat(b, fet__mean(b->g, x, 1u << 1 | 1u << 2));
}

fet__node *fet__nn_mean_pool(fet__build *b, fet__node *x)
{
    return x ? mean_of_image(b, x) : NULL;
}

/* A power with a trained exponent is exp(p log x); the floor keeps the logarithm finite. */
static fet__node *power(fet__graph *g, fet__node *x, fet__node *p)
{
    return fet__unary(g, FET__OP_EXP, fet__mul(g, fet__unary(g, FET__OP_LOG, x), p));
}

fet__node *fet__nn_gem_pool(fet__build *b, const char *name, fet__node *x)
{
    fet__node *p, *y;

    if (!x)
        return NULL;
    fet__enter(b, "%s", name);
    p = fet__parameter(b, "p", FET_SHAPE(1), (fet__init){FET__INIT_VALUE, 3});
    x = fet__binary(b->g, FET__OP_MAX, x, fet__scalar(b->g, b->dtype, GEM_FLOOR));
    y = mean_of_image(b, power(b->g, x, p));
    y = power(b->g, y, fet__div(b->g, fet__scalar(b->g, b->dtype, 1), p));
    fet__leave(b);
    return y;
}

fet__node *fet__nn_unit_rows(fet__graph *g, fet__node *x)
{
    fet__node *square, *least, *scale;

    if (!x)
        return NULL;
    square = fet__sum(g, fet__mul(g, x, x), 1u << (x->shape.rank - 1));
    least = fet__scalar(g, x->dtype, UNIT_FLOOR * UNIT_FLOOR);
    /* A row of zeros stays one, and so does its gradient, which would be 1e12 otherwise (methods/mabn.md 4.3). */
    scale = fet__unary(g, FET__OP_RSQRT, fet__binary(g, FET__OP_MAX, square, least));
    scale = fet__where(g, fet__compare(g, FET__GT, square, least), scale, fet__scalar(g, x->dtype, 0));
    return fet__mul(g, x, scale);
}
