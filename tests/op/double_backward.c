/* See double_backward.h. The file is channels-first; transposes at the edges adapt it. */
#include "op/double_backward.h"

/* ---- the operators, channels first ---- */

static fet__node *last(fet__graph *g, fet__node *x)
{
    return fet__transpose(g, x, (int[]){0, 2, 3, 1});
}

static fet__node *first(fet__graph *g, fet__node *x)
{
    return fet__transpose(g, x, (int[]){0, 3, 1, 2});
}

#define BUILD(name)                                                                                                    \
    static fet__node *name(fet__graph *g, fet__node *const *in, fet__node *const *other, const void *user)

BUILD(conv)
{
    (void)other;
    return first(g, fet__conv2d(g, last(g, in[0]), in[1], user));
}

BUILD(linear)
{
    (void)other, (void)user;
    return fet__linear(g, in[0], in[1], in[2]);
}

BUILD(relu)
{
    (void)other, (void)user;
    return fet__relu(g, in[0]);
}

BUILD(max_pool)
{
    (void)other;
    return first(g, fet__max_pool(g, last(g, in[0]), user));
}

BUILD(avg_pool)
{
    (void)other;
    return first(g, fet__avg_pool(g, last(g, in[0]), user));
}

BUILD(global_pool)
{
    (void)other, (void)user;
    return fet__reshape(g, fet__mean(g, in[0], 12u), FET_SHAPE(in[0]->shape.dim[0], in[0]->shape.dim[1]));
}

/* a vector over channels, against [N, C, H, W] or [N, C] */
static fet__node *channels(fet__graph *g, fet__node *v, int rank)
{
    return rank == 4 ? fet__reshape(g, v, FET_SHAPE(1, -1, 1, 1)) : v;
}

static fet__node *affine_norm(fet__graph *g, fet__node *const *in, fet__node *mean, fet__node *var)
{
    int rank = in[0]->shape.rank;
    fet__node *xhat = fet__mul(g, fet__sub(g, in[0], mean), fet__unary(g, FET__OP_RSQRT, fet__shift(g, var, 1e-5)));

    return fet__add(g, fet__mul(g, xhat, channels(g, in[1], rank)), channels(g, in[2], rank));
}

BUILD(bn_fixed)
{
    (void)user;
    return affine_norm(g, in, channels(g, other[0], 4), channels(g, other[1], 4));
}

BUILD(bn_batch)
{
    uint32_t axes = in[0]->shape.rank == 4 ? 13u : 1u;
    fet__node *mean = fet__mean(g, in[0], axes), *d = fet__sub(g, in[0], mean);

    (void)other, (void)user;
    return affine_norm(g, in, mean, fet__mean(g, fet__mul(g, d, d), axes));
}

BUILD(l2norm)
{
    fet__node *n = fet__unary(g, FET__OP_SQRT, fet__sum(g, fet__mul(g, in[0], in[0]), 2u));

    (void)other, (void)user;
    return fet__div(g, in[0], n);
}

BUILD(byol_cos)
{
    fet__node *p = l2norm(g, in, NULL, NULL), *t = l2norm(g, other, NULL, NULL);

    (void)user;
    return fet__shift(g, fet__scale(g, fet__sum_all(g, fet__mul(g, p, t)), -2.0 / (double)in[0]->shape.dim[0]), 2);
}

static fet__node *mean_all(fet__graph *g, fet__node *x)
{
    return fet__scale(g, fet__sum_all(g, x), 1.0 / (double)fet__shape_count(&x->shape));
}

BUILD(cross_entropy)
{
    (void)user;
    return mean_all(g, fet__cross_entropy(g, in[0], other[0], 0));
}

BUILD(bce)
{
    fet__node *e = fet__unary(g, FET__OP_EXP, fet__unary(g, FET__OP_NEG, fet__unary(g, FET__OP_ABS, in[0])));

    (void)user;
    e = fet__unary(g, FET__OP_LOG, fet__shift(g, e, 1));
    return mean_all(g, fet__add(g, fet__sub(g, fet__relu(g, in[0]), fet__mul(g, in[0], other[0])), e));
}

BUILD(mse)
{
    fet__node *d = fet__sub(g, in[0], other[0]);

    (void)user;
    return mean_all(g, fet__mul(g, d, d));
}

BUILD(entropy)
{
    fet__node *p = fet__softmax(g, in[0]), *h = fet__sum(g, fet__mul(g, p, fet__unary(g, FET__OP_LOG, p)), 2u);

    (void)other, (void)user;
    return fet__unary(g, FET__OP_NEG, mean_all(g, h));
}

BUILD(add)
{
    (void)other, (void)user;
    return fet__add(g, in[0], in[1]);
}

BUILD(concat)
{
    (void)other, (void)user;
    return fet__concat(g, in, 2, 1);
}

BUILD(layer_norm)
{
    (void)other, (void)user;
    return fet__layer_norm(g, in[0], in[1], in[2], 1e-5);
}

BUILD(gelu)
{
    (void)other, (void)user;
    return fet__gelu(g, in[0]);
}

BUILD(softmax)
{
    (void)other, (void)user;
    return fet__softmax(g, in[0]);
}

static const fet__conv conv3_1 = {.pad = {1, 1}}, conv3_2 = {.stride = {2, 2}, .pad = {1, 1}},
                       conv1_2 = {.stride = {2, 2}}, conv7_2 = {.stride = {2, 2}, .pad = {3, 3}};
static const fet__pool pool3 = {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}}, pool2 = {.kernel = {2, 2}};

const double_backward_case double_backward_cases[] = {
    {"conv3x3_s1_p1", {"x", "w"}, {0}, conv, &conv3_1},
    {"conv3x3_s2_p1", {"x", "w"}, {0}, conv, &conv3_2},
    {"conv1x1_s2", {"x", "w"}, {0}, conv, &conv1_2},
    {"conv7x7_s2_p3", {"x", "w"}, {0}, conv, &conv7_2},
    {"linear", {"x", "w", "b"}, {0}, linear, NULL},
    {"relu", {"x"}, {0}, relu, NULL},
    {"maxpool3_s2_p1", {"x"}, {0}, max_pool, &pool3},
    {"avgpool2_s2", {"x"}, {0}, avg_pool, &pool2},
    {"global_avgpool", {"x"}, {0}, global_pool, NULL},
    {"bn_fixed", {"x", "gamma", "beta"}, {"mean", "var"}, bn_fixed, NULL},
    {"bn2d_batch", {"x", "gamma", "beta"}, {0}, bn_batch, NULL},
    {"bn1d_batch", {"x", "gamma", "beta"}, {0}, bn_batch, NULL},
    {"l2norm", {"x"}, {0}, l2norm, NULL},
    {"byol_cos", {"p"}, {"t"}, byol_cos, NULL},
    {"cross_entropy", {"logits"}, {"label"}, cross_entropy, NULL},
    {"bce", {"logits"}, {"label"}, bce, NULL},
    {"mse", {"pred"}, {"target"}, mse, NULL},
    {"entropy", {"logits"}, {0}, entropy, NULL},
    {"add", {"a", "b"}, {0}, add, NULL},
    {"concat_channels", {"a", "b"}, {0}, concat, NULL},
    {"layernorm", {"x", "g", "b"}, {0}, layer_norm, NULL},
    {"gelu_erf", {"x"}, {0}, gelu, NULL},
    {"softmax", {"x"}, {0}, softmax, NULL},
    {NULL, {NULL}, {NULL}, NULL, NULL},
};
