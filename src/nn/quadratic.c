/* Quadratic convolution: a * b + c of three convolutions of one form, with the norms of its variants (methods/quadranet.md 1.1). The
 * children's names are those of published checkpoints: conv1, conv2, conv3 and bn1, bn2, bn3. */
#include "nn/nn.h"

static fet__node *branch(fet__build *b, int i, fet__node *x, int64_t out, int kernel, const fet__conv_options *o,
                         fet__quadratic_form form)
{
    char name[8];

    snprintf(name, sizeof name, "conv%d", i);
    x = fet__nn_conv(b, name, x, out, kernel, o);
    if (form != FET__QUADRATIC_NORMS && form != FET__QUADRATIC_RELUS)
        return x;
    snprintf(name, sizeof name, "bn%d", i);
    x = fet__nn_batch_norm(b, name, x);
    return form == FET__QUADRATIC_RELUS ? fet__relu(b->g, x) : x;
}

/* What quadratic_dw computes. */
static bool is_one_operator(const fet__node *x, int64_t out, int kernel, const fet__conv_options *o,
                            fet__quadratic_form form)
{
    return form == FET__QUADRATIC_PLAIN && x->shape.rank == 4 && x->shape.dim[3] == out && o->groups == out &&
           o->bias && kernel % 2 == 1 && o->pad == kernel / 2 && o->stride <= 1 && o->dilation <= 1;
}

static fet__node *depthwise(fet__build *b, fet__node *x, int64_t out, int kernel, const fet__conv_options *o)
{
    fet__node *w[3], *bias[3];
    char name[8];

    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "conv%d", i + 1);
        fet__nn_conv_parameters(b, name, out, out, kernel, o, &w[i], &bias[i]);
    }
    return fet__quadratic_dw(b->g, x, w, bias);
}

fet__node *fet__nn_quadratic_conv(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel,
                                  const fet__conv_options *o, fet__quadratic_form form)
{
    fet__node *part[3], *y;

    if (!x)
        return NULL;
    if (*name)
        fet__enter(b, "%s", name);
    if (is_one_operator(x, out, kernel, o, form)) {
        y = depthwise(b, x, out, kernel, o);
    } else {
        for (int i = 0; i < 3; i++)
            part[i] = branch(b, i + 1, x, out, kernel, o, form);
        y = fet__add(b->g, fet__mul(b->g, part[0], part[1]), part[2]);
    }
    if (form == FET__QUADRATIC_RELU_NORM)
        y = fet__nn_batch_norm(b, "bn1", fet__relu(b->g, y));
    if (*name)
        fet__leave(b);
    return y;
}

/* [B, H, W, C] -> [B, H, W, C kernel kernel], in the order (channel, row, column), zeros outside. */
static fet__node *patches(fet__build *b, fet__node *x, int kernel)
{
    int64_t side = kernel / 2, h = x->shape.dim[1], w = x->shape.dim[2], c = x->shape.dim[3], area = kernel * kernel;
    fet__node *row[63], *all, *padded = fet__pad(b->g, x, (int64_t[]){0, side, side, 0}, (int64_t[]){0, side, side, 0});

    for (int r = 0; r < kernel; r++) {
        fet__node *line = fet__slice(b->g, padded, 1, r, r + h), *place[63];
        for (int k = 0; k < kernel; k++)
            place[k] = fet__slice(b->g, line, 2, k, k + w);
        row[r] = fet__concat(b->g, place, kernel, 3);
    }
    all = fet__reshape(b->g, fet__concat(b->g, row, kernel, 3), FET_SHAPE(x->shape.dim[0] * h * w, area, c));
    return fet__reshape(b->g, fet__transpose(b->g, all, (int[]){0, 2, 1}), FET_SHAPE(x->shape.dim[0], h, w, c * area));
}

fet__node *fet__nn_quadratic_full(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel)
{
    const fet__init small = {FET__INIT_NORMAL, 0.02};
    int64_t n, rows;
    fet__node *p, *w, *y;

    if (!x)
        return NULL;
    if (kernel % 2 == 0 || kernel > 7)
        return fet__graph_fail(b->g, FET_E_ARG, "a full-rank quadratic convolution has an odd kernel up to 7, not %d",
                               kernel);
    if (*name)
        fet__enter(b, "%s", name);
    p = patches(b, x, kernel);
    n = x->shape.dim[3] * kernel * kernel;
    rows = x->shape.dim[0] * x->shape.dim[1] * x->shape.dim[2];
    w = fet__reshape(b->g, fet__parameter(b, "weight", FET_SHAPE(out, n, n), small), FET_SHAPE(out * n, n));
    y = fet__reshape(b->g, fet__linear_nobias(b->g, fet__reshape(b->g, p, FET_SHAPE(rows, n)), w),
                     FET_SHAPE(rows, out, n));
    y = fet__sum(b->g, fet__mul(b->g, y, fet__reshape(b->g, p, FET_SHAPE(rows, 1, n))), 1u << 2);
    w = fet__parameter(b, "linear", FET_SHAPE(out, n), small);
    p = fet__linear(b->g, p, w, fet__parameter(b, "bias", FET_SHAPE(out), (fet__init){FET__INIT_ZERO, 0}));
    if (*name)
        fet__leave(b);
    return p ? fet__add(b->g, fet__reshape(b->g, y, p->shape), p) : NULL;
}
