/* Blocks of QuadraNet and of the networks that it is compared with: a branch that mixes places (quadratic, plain or recursive gated
 * depthwise convolution, or none) and one that mixes channels, each behind a layer norm and scaled channel by channel. ConvNeXt's block has one
 * branch. Streams are tokens [B, H W, C]. Source: QuadraNet (arXiv 2311.17956) and its model file; HorNet; methods/quadranet.md 2 and 7. */
#include "nn/nn.h"

#define EPS 1e-6
#define SWIN_EPS 1e-5
static const fet__init small = {FET__INIT_NORMAL, 0.02}, zero = {FET__INIT_ZERO, 0};

static fet__node *map_of(fet__build *b, fet__node *x, const int grid[2])
{
    return x ? fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], grid[0], grid[1], x->shape.dim[2])) : NULL;
}

static fet__node *tokens_of(fet__build *b, fet__node *x)
{
    return x ? fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], x->shape.dim[1] * x->shape.dim[2], x->shape.dim[3]))
             : NULL;
}

/* A 1x1 convolution whose weight has a convolution's four axes in checkpoints. */
static fet__node *pointwise(fet__build *b, const char *name, fet__node *x, int64_t out)
{
    fet__node *w, *y;
    int64_t in = x ? x->shape.dim[x->shape.rank - 1] : 1;
    fet__enter(b, "%s", name);
    w = fet__reshape(b->g, fet__parameter(b, "weight", FET_SHAPE(out, in, 1, 1), small), FET_SHAPE(out, in));
    y = fet__linear(b->g, x, w, fet__parameter(b, "bias", FET_SHAPE(out), zero));
    fet__leave(b);
    return y;
}

static fet__conv_options depthwise(int kernel, int64_t channels)
{
    return (fet__conv_options){.pad = kernel / 2, .groups = (int)channels, .bias = true, .normal = 0.02};
}

/* HorNet's recursive gated convolution of an order from 2 on: widths double from step to step up to C, gates come from one depthwise
 * convolution over all of them. */
static fet__node *gated(fet__build *b, const char *name, fet__node *x, int kernel, int order)
{
    int64_t c = x ? x->shape.dim[3] : 1, d0 = c >> (order - 1), rest = 2 * c - d0, at = 0;
    fet__conv_options o = depthwise(kernel, rest);
    fet__node *f, *gate, *t;
    char step[16];
    if (!x || d0 < 1 || d0 << (order - 1) != c)
        return fet__graph_fail(b->g, FET_E_ARG,
                               "a gated convolution of order %d needs a width divisible by %d, not %lld", order,
                               1 << (order - 1), (long long)c);
    fet__enter(b, "%s", name);
    f = pointwise(b, "proj_in", x, 2 * c);
    gate = fet__nn_conv(b, "dwconv", fet__slice(b->g, f, 3, d0, 2 * c), rest, kernel, &o);
    gate = fet__scale(b->g, gate, 1.0 / 3);
    t = fet__mul(b->g, fet__slice(b->g, f, 3, 0, d0), fet__slice(b->g, gate, 3, 0, d0));
    for (int i = 0; i + 1 < order; i++) {
        int64_t width = d0 << (i + 1);
        at += d0 << i;
        snprintf(step, sizeof step, "pws.%d", i);
        t = fet__mul(b->g, pointwise(b, step, t, width), fet__slice(b->g, gate, 3, at, at + width));
    }
    t = pointwise(b, "proj_out", t, c);
    fet__leave(b);
    return t;
}

static fet__node *mix(fet__build *b, fet__node *map, const fet__quadra_block *o)
{
    int64_t c = map ? map->shape.dim[3] : 1;
    fet__conv_options conv = depthwise(o->kernel, c);
    switch (o->mixer) {
    case FET__MIX_QUADRATIC:
        return fet__nn_quadratic_conv(b, "QuadraConv", map, c, o->kernel, &conv, FET__QUADRATIC_PLAIN);
    case FET__MIX_CONV: return fet__nn_conv(b, "QuadraConv", map, c, o->kernel, &conv);
    default: return gated(b, "gnconv", map, o->kernel, o->order);
    }
}

static fet__node *layer_scale(fet__build *b, const char *name, fet__node *x, double start)
{
    if (!x || start <= 0)
        return x;
    return fet__mul(b->g, x, fet__parameter(b, name, FET_SHAPE(x->shape.dim[2]), (fet__init){FET__INIT_VALUE, start}));
}

fet__node *fet__nn_quadratic_linear(fet__build *b, const char *name, fet__node *x, int64_t out)
{
    const fet__linear_options o = {.weight_init = small, .bias_init = zero};
    fet__node *part[3];
    char leaf[16];
    if (*name)
        fet__enter(b, "%s", name);
    for (int i = 0; i < 3; i++) {
        snprintf(leaf, sizeof leaf, "linear%d", i + 1);
        part[i] = fet__nn_linear(b, leaf, x, out, &o);
    }
    if (*name)
        fet__leave(b);
    return fet__add(b->g, fet__mul(b->g, part[0], part[1]), part[2]);
}

static fet__node *channels(fet__build *b, fet__node *x, const fet__quadra_block *o)
{
    const fet__linear_options plain = {.weight_init = small, .bias_init = zero};
    int64_t c = x ? x->shape.dim[2] : 1, hidden = c * o->expand;
    fet__node *h = o->quadratic_channels ? fet__nn_quadratic_linear(b, "pwconv1", x, hidden)
                                         : fet__nn_linear(b, "pwconv1", x, hidden, &plain);
    return fet__nn_linear(b, "pwconv2", fet__gelu(b->g, h), c, &plain);
}

/* The branch that mixes places is named as attention is elsewhere, so that adapters find it. */
fet__node *fet__nn_quadra_block(fet__build *b, fet__node *x, const fet__quadra_block *o)
{
    fet__node *y;
    if (!x)
        return NULL;
    if (o->mixer != FET__MIX_NONE) {
        y = mix(b, map_of(b, fet__nn_layer_norm(b, "norm1", x, EPS), o->grid), o);
        y = layer_scale(b, "gamma1", tokens_of(b, y), o->scale);
        x = fet__nn_residual(b, "attn", x, y, o->drop_path, o->grid, 0);
    }
    y = channels(b, fet__nn_layer_norm(b, "norm2", x, EPS), o);
    return fet__nn_residual(b, "mlp", x, layer_scale(b, "gamma2", y, o->scale), o->drop_path, o->grid, 0);
}

fet__node *fet__nn_convnext_block(fet__build *b, fet__node *x, const fet__quadra_block *o)
{
    fet__conv_options conv = depthwise(o->kernel, x ? x->shape.dim[2] : 1);
    fet__node *y;
    if (!x)
        return NULL;
    y = tokens_of(b, fet__nn_conv(b, "conv_dw", map_of(b, x, o->grid), x->shape.dim[2], o->kernel, &conv));
    y = fet__nn_layer_norm(b, "norm", y, EPS);
    y = fet__nn_mlp(b, "mlp", y, x->shape.dim[2] * o->expand, fet__gelu, small, zero);
    return fet__nn_residual(b, "mlp", x, layer_scale(b, "gamma", y, o->scale), o->drop_path, o->grid, 0);
}

/* The memory study's rival by attention: no layer scale, and Swin's own eps. */
fet__node *fet__nn_window_block(fet__build *b, fet__node *x, int heads, const fet__windows *w, double drop_path)
{
    const fet__attention_options o = {.heads = heads, .qkv_bias = true, .weight_init = small};
    fet__node *y;
    if (!x)
        return NULL;
    y = fet__nn_window_attention(b, "attn", fet__nn_layer_norm(b, "norm1", x, SWIN_EPS), &o, w);
    x = fet__nn_residual(b, "attn", x, y, drop_path, w->grid, 0);
    if (!x)
        return NULL;
    y = fet__nn_mlp(b, "mlp", fet__nn_layer_norm(b, "norm2", x, SWIN_EPS), x->shape.dim[2] * 4, fet__gelu, small, zero);
    return fet__nn_residual(b, "mlp", x, y, drop_path, w->grid, 0);
}
