/* Derivatives of what models and losses are composed of, up to the third, and of what the engine's own transformations make: groups,
 * and a gradient step inside a loss. */
#include "op/probe.h"

#include <math.h>
#include <string.h>

/* ---- activations and pooling ---- */

static fet__node *build_relu(fet__graph *g, fet__node *const *in, const void *user)
{
    (void)user;
    return fet__relu(g, in[0]);
}

static fet__node *build_quick_gelu(fet__graph *g, fet__node *const *in, const void *user)
{
    (void)user;
    return fet__quick_gelu(g, in[0]);
}

static fet__node *build_max_pool(fet__graph *g, fet__node *const *in, const void *user)
{
    return fet__max_pool(g, in[0], user);
}

static fet__node *build_global_pool(fet__graph *g, fet__node *const *in, const void *user)
{
    (void)user;
    return fet__mean(g, in[0], 6u);
}

/* ---- normalisation; features last ---- */

static fet__node *standardise(fet__graph *g, fet__node *x, fet__node *mean, fet__node *var, fet__node *const *affine)
{
    fet__node *r = fet__unary(g, FET__OP_RSQRT, fet__shift(g, var, 1e-5));

    return fet__add(g, fet__mul(g, fet__mul(g, fet__sub(g, x, mean), r), affine[0]), affine[1]);
}

static fet__node *build_bn_batch(fet__graph *g, fet__node *const *in, const void *user)
{
    uint32_t axes = in[0]->shape.rank == 4 ? 7u : 1u;
    fet__node *mean = fet__mean(g, in[0], axes), *d = fet__sub(g, in[0], mean);

    (void)user;
    return standardise(g, in[0], mean, fet__mean(g, fet__mul(g, d, d), axes), in + 1);
}

static fet__node *build_bn_fixed(fet__graph *g, fet__node *const *in, const void *user)
{
    (void)user;
    return standardise(g, in[0], in[3], in[4], in + 1);
}

/* By its own statistics over the axes whose bits `user` holds. */
static fet__node *build_standardize(fet__graph *g, fet__node *const *in, const void *user)
{
    uint32_t axes = *(const uint32_t *)user;
    fet__node *mean = fet__mean(g, in[0], axes), *d = fet__sub(g, in[0], mean);
    fet__node *var = fet__mean(g, fet__mul(g, d, d), axes);
    fet__node *y = fet__standardize(g, in[0], mean, fet__unary(g, FET__OP_RSQRT, fet__shift(g, var, 1e-5)));

    return fet__add(g, fet__mul(g, y, in[1]), in[2]);
}

static fet__node *l2_normalise(fet__graph *g, fet__node *x)
{
    fet__node *n = fet__unary(g, FET__OP_SQRT, fet__sum(g, fet__mul(g, x, x), 1u << (x->shape.rank - 1)));

    return fet__div(g, x, fet__binary(g, FET__OP_MAX, n, fet__scalar(g, x->dtype, 1e-12)));
}

static fet__node *build_l2(fet__graph *g, fet__node *const *in, const void *user)
{
    (void)user;
    return l2_normalise(g, in[0]);
}

/* ---- losses ---- */

static fet__node *build_cosine(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *dot = fet__mul(g, l2_normalise(g, in[0]), fet__stop_gradient(g, l2_normalise(g, in[1])));

    (void)user;
    return fet__shift(g, fet__scale(g, fet__sum_all(g, dot), -2.0 / (double)in[0]->shape.dim[0]), 2);
}

/* mean of max(z, 0) - z t + log(1 + exp(-|z|)) */
static fet__node *build_bce(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *z = in[0], *soft = fet__unary(g, FET__OP_EXP, fet__unary(g, FET__OP_NEG, fet__unary(g, FET__OP_ABS, z)));

    (void)user;
    soft = fet__unary(g, FET__OP_LOG, fet__shift(g, soft, 1));
    return fet__mean(g, fet__add(g, fet__sub(g, fet__relu(g, z), fet__mul(g, z, in[1])), soft), 1u);
}

static fet__node *build_mse(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *d = fet__sub(g, in[0], in[1]);

    (void)user;
    return fet__mean(g, fet__mul(g, d, d), 3u);
}

static fet__node *build_entropy(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *p = fet__softmax(g, in[0]);

    (void)user;
    return fet__unary(g, FET__OP_NEG, fet__sum(g, fet__mul(g, p, fet__unary(g, FET__OP_LOG, p)), 2u));
}

/* ---- the engine's own transformations ---- */

/* A chain that the grouping pass turns into one node, with broadcasts, a fill, a fused operator and a sum in it. */
static fet__node *build_group(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *y = fet__gelu(g, fet__add(g, fet__mul(g, in[0], in[1]), fet__scale(g, in[2], 0.3)));

    y = fet__where(g, fet__compare(g, FET__GT, in[0], in[2]), y, fet__pow_int(g, y, 2));
    if (user)
        y = fet__sum(g, y, 1u);
    fet__output(g, "chain", y);
    assert_int_equal(fet__pass_group(g), FET_OK);
    assert_int_equal(y->op, FET__OP_GROUP);
    return y;
}

/* An inner step phi' = phi - a dL/dphi, then another loss at phi': its gradient goes through the inner gradient. */
static fet__node *build_inner_step(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *gamma = in[1], *h, *loss, *grad;

    (void)user;
    h = fet__layer_norm(g, in[0], gamma, in[2], 1e-5);
    loss = fet__sum_all(g, fet__mul(g, fet__gelu(g, h), fet__gelu(g, h)));
    assert_int_equal(fet__gradient(g, loss, &gamma, 1, false, &grad), FET_OK);
    gamma = fet__sub(g, gamma, fet__scale(g, grad, 0.05));
    return fet__softmax(g, fet__layer_norm(g, in[0], gamma, in[2], 1e-5));
}

/* One pre-norm transformer block of width 6: every fused operator in its place. */
static fet__node *build_block(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *x = in[0], *ones = fet__fill(g, FET_F64, FET_SHAPE(6), 1.1),
              *zeros = fet__fill(g, FET_F64, FET_SHAPE(6), 0.1), *h;

    (void)user;
    h = fet__linear_nobias(g, fet__layer_norm(g, x, ones, zeros, 1e-6), in[1]);
    x = fet__add(g, x, fet__attention(g, h, NULL, 2, 1 / sqrt(3)));
    h = fet__gelu(g, fet__linear(g, fet__layer_norm(g, x, ones, zeros, 1e-6), in[2], in[3]));
    return fet__add(g, x, fet__linear_nobias(g, h, in[4]));
}

/* The block's second half seen by a head that looks at one token: all but the first rows' work is left out by the passes. */
static fet__node *build_token(fet__graph *g, fet__node *const *in, const void *user)
{
    fet__node *y = build_block(g, in, user), *mask;

    mask = fet__where(g, fet__compare(g, FET__GT, y, fet__scalar(g, FET_F64, 0.2)), y, fet__scale(g, y, 0.1));
    y = fet__softmax(g, fet__div(g, fet__sub(g, mask, fet__relu(g, y)), fet__shift(g, fet__mul(g, y, y), 1)));
    y = fet__slice(g, fet__mul(g, y, fet__broadcast(g, fet__slice(g, in[3], 0, 1, 7), y->shape)), 1, 0, 1);
    return fet__linear(g, fet__reshape(g, y, FET_SHAPE(2, 6)), in[2], in[3]);
}

static const fet__pool pool_3_2_1 = {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}};

static const uint32_t axes_batch = 7u, axes_rows = 1u, axes_image = 6u;

static const probe probes[] = {
    {.name = "relu", .input = {"~[3,7]"}, .build = build_relu},
    {.name = "quick_gelu", .input = {"f[3,7]"}, .build = build_quick_gelu},
    {.name = "max_pool", .input = {"d[2,7,7,3]"}, .build = build_max_pool, .user = &pool_3_2_1},
    {.name = "global_pool", .input = {"f[2,5,3,4]"}, .build = build_global_pool},
    {.name = "bn_batch_2d", .input = {"f[2,3,3,4]", "f[4]", "f[4]"}, .build = build_bn_batch},
    {.name = "bn_batch_1d", .input = {"f[6,5]", "f[5]", "f[5]"}, .build = build_bn_batch},
    {.name = "bn_fixed", .input = {"f[2,3,3,4]", "f[4]", "f[4]", "f[4]", "+[4]"}, .build = build_bn_fixed},
    {.name = "standardize_2d",
     .input = {"f[2,3,3,4]", "f[4]", "f[4]"},
     .build = build_standardize,
     .user = &axes_batch},
    {.name = "standardize_1d", .input = {"f[6,5]", "f[5]", "f[5]"}, .build = build_standardize, .user = &axes_rows},
    {.name = "standardize_image",
     .input = {"f[2,3,3,4]", "f[4]", "f[4]"},
     .build = build_standardize,
     .user = &axes_image},
    {.name = "l2_normalise", .input = {"f[3,6]"}, .build = build_l2},
    {.name = "cosine", .input = {"f[3,6]", "s[3,6]"}, .build = build_cosine, .levels = 2},
    {.name = "bce", .input = {"~[5]", "m[5]"}, .build = build_bce},
    {.name = "mse", .input = {"f[3,2]", "f[3,2]"}, .build = build_mse},
    {.name = "entropy", .input = {"f[3,5]"}, .build = build_entropy},
    {.name = "group", .input = {"f[3,5]", "f[5]", "f[3,1]"}, .build = build_group},
    {.name = "group_sum", .input = {"f[3,5]", "f[5]", "f[3,1]"}, .build = build_group, .user = &pool_3_2_1},
    {.name = "inner_step", .input = {"f[4,5]", "f[5]", "f[5]"}, .build = build_inner_step, .levels = 2},
    {.name = "token", .input = {"f[2,3,6]", "f[18,6]", "f[8,6]", "f[8]", "f[6,8]"}, .build = build_token, .levels = 2},
    {.name = "block", .input = {"f[2,3,6]", "f[18,6]", "f[8,6]", "f[8]", "f[6,8]"}, .build = build_block, .levels = 2},
};

static void check(void **state)
{
    probe_check(*state);
}

int main(void)
{
    struct CMUnitTest tests[FET_COUNT(probes)];

    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < FET_COUNT(probes); i++) {
        tests[i].name = probes[i].name;
        tests[i].test_func = check;
        tests[i].initial_state = (void *)&probes[i];
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
