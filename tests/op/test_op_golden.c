/* The published numbers for double backward (golden/mabn/12_double_backward_ops): for y = f(a..), gradients for an upstream gy, then
 * s = sum <grad_i, v_i> and its gradients with respect to a.. and gy. The file is channels-first; transposes at the edges adapt it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "exec/exec.h"
#include "store/store.h"

#define PATH FETTLE_SHARED "/golden/mabn/12_double_backward_ops.safetensors"
#define MOST 3

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

typedef struct golden_case {
    const char *name;
    const char *wrt[MOST]; /* inputs that are differentiated by */
    const char *other[2];  /* inputs that are not */
    fet__node *(*build)(fet__graph *g, fet__node *const *in, fet__node *const *other, const void *user);
    const void *user;
} golden_case;

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

static const golden_case cases[] = {
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
};

/* ---- the check ---- */

static fet__tensors *file;

static const fet__entry *entry(const golden_case *c, const char *part, const char *prefix, const char *name)
{
    char full[96];
    const fet__entry *e;

    snprintf(full, sizeof full, "%s.%s.%s%s", part, c->name, prefix, name);
    e = fet__tensors_find(file, full);
    if (!e)
        fail_msg("the file has no %s", full);
    return e;
}

static fet__node *constant(fet__graph *g, const fet__entry *e, fet_dtype t)
{
    int64_t count = fet__shape_count(&e->shape);
    void *data = fet__alloc((size_t)count, fet__dtype_bytes(t));
    fet__node *n;

    assert_non_null(data);
    fet__convert(data, t, e->data, e->dtype, count);
    n = fet__const(g, t, e->shape, data);
    fet__free(data);
    return n;
}

/* The engine computes in float64; the file is rounded to float32. An absent gradient stands for zeros. */
static void compare(const golden_case *c, fet__program *p, const fet__entry *e)
{
    const double *got = fet__program_output(p, e->name);

    for (int64_t i = 0; i < fet__shape_count(&e->shape); i++) {
        float want;

        memcpy(&want, (const char *)e->data + (size_t)i * sizeof want, sizeof want);
        if (!(fabs((got ? got[i] : 0) - (double)want) <= 1e-6 + 2e-6 * fabs((double)want)))
            fail_msg("%s: %s[%lld] is %.9g, not %.9g", c->name, e->name, (long long)i, got ? got[i] : 0.0,
                     (double)want);
    }
}

static void output(fet__graph *g, const fet__entry *e, fet__node *x)
{
    if (!x)
        return;
    assert_true(fet__shape_equal(&x->shape, &e->shape));
    fet__output(g, e->name, x);
}

static void run(const golden_case *c, bool reference)
{
    fet__node *in[MOST + 1] = {NULL}, *other[2] = {NULL}, *grad[MOST], *grad2[MOST + 1], *y, *s = NULL;
    const fet__entry *want[2 + 2 * MOST];
    int count = 0, wants = 0;
    fet__program *p = NULL;
    fet__graph *g = NULL;

    assert_ok(fet__graph_create(&g));
    for (; count < MOST && c->wrt[count]; count++)
        in[count] = constant(g, entry(c, "in", "", c->wrt[count]), FET_F64);
    for (int i = 0; i < 2 && c->other[i]; i++) {
        const fet__entry *e = entry(c, "in", "", c->other[i]);

        other[i] = constant(g, e, e->dtype == FET_I64 ? FET_I32 : FET_F64);
    }
    in[count] = constant(g, entry(c, "in", "", "gy"), FET_F64);
    y = c->build(g, in, other, c->user);
    output(g, want[wants++] = entry(c, "out", "", "y"), y);
    assert_ok(fet__gradient(g, fet__sum_all(g, fet__mul(g, y, in[count])), in, count, false, grad));
    for (int i = 0; i < count; i++) {
        fet__node *share = fet__sum_all(g, fet__mul(g, grad[i], constant(g, entry(c, "in", "v_", c->wrt[i]), FET_F64)));

        output(g, want[wants++] = entry(c, "grad", "", c->wrt[i]), grad[i]);
        s = s ? fet__add(g, s, share) : share;
    }
    assert_ok(fet__gradient(g, s, in, count + 1, true, grad2));
    for (int i = 0; i <= count; i++)
        output(g, want[wants++] = entry(c, "grad2", "", i < count ? c->wrt[i] : "gy"), grad2[i]);
    assert_ok(fet__program_create(&p, g, &(fet__program_options){.reference = reference}));
    assert_ok(fet__program_run(p));
    for (int i = 0; i < wants; i++)
        compare(c, p, want[i]);
    fet__program_destroy(p);
    fet__graph_destroy(g);
}

static void check(void **state)
{
    if (!file) {
        print_message("%s is not there\n", PATH);
        skip();
    }
    run(*state, true);
    run(*state, false);
}

int main(void)
{
    struct CMUnitTest tests[FET_COUNT(cases)];
    int failed;

    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        tests[i].name = cases[i].name;
        tests[i].test_func = check;
        tests[i].initial_state = (void *)&cases[i];
    }
    if (fet__file_exists(PATH) && fet__tensors_open(&file, PATH) != FET_OK) {
        print_error("%s\n", fet_error_message());
        return 1;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    fet__tensors_close(file);
    return failed;
}
