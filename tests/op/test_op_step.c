/* A whole training step (two blocks, attention, dropout, drop path, low-rank branches, clipping, momentum) by the reference without any
 * pass and by the ordinary program with all of them: the same loss, gradients and new weights. The sizes are large enough that values
 * are computed again in the backward half, and a head that looks at one token lets rows be left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "exec/exec.h"

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

enum { BATCH = 3, TOKENS = 17, WIDTH = 48, HEADS = 3, CLASSES = 7, BLOCKS = 2, MOST = 80 };

typedef struct step {
    fet_dtype t;
    fet__params *store;
    fet__graph *g;
    fet__program *program;
    fet__node *trained[MOST];
    int count;
    const char *prefix;
    bool everything; /* train all weights, not the branches alone */
} step;

static double draw(const char *name, int64_t i)
{
    return 2.0 * fet__random_uniform(3, fet__hash32(name), 0, (uint64_t)i) - 1;
}

static void store_values(void *to, fet_dtype t, const char *name, int64_t count, double scale, double shift)
{
    for (int64_t i = 0; i < count; i++) {
        double v = draw(name, i) * scale + shift;

        fet__convert((char *)to + (size_t)i * fet__dtype_bytes(t), t, &v, FET_F64, 1);
    }
}

static fet__param *entry(step *s, const char *name, fet__shape shape, fet__role role, double scale, double shift)
{
    char full[64];
    fet__param *p = NULL;

    snprintf(full, sizeof full, "%s%s", s->prefix, name);
    assert_ok(fet__params_add(s->store, &p, full, s->t, shape, role));
    store_values(p->data, s->t, full, fet__shape_count(&shape), scale, shift);
    return p;
}

static fet__node *weight(step *s, const char *name, fet__shape shape, bool branch)
{
    bool vector = shape.rank == 1;
    fet__node *n =
        fet__leaf(s->g, entry(s, name, shape, FET__PARAM, vector ? 0.2 : 1.5 / sqrt((double)shape.dim[1]), 0));

    if (branch || s->everything)
        s->trained[s->count++] = n;
    return n;
}

static fet__node *norm(step *s, fet__node *x, const char *gamma, const char *beta)
{
    fet__node *scale = fet__shift(s->g, weight(s, gamma, FET_SHAPE(WIDTH), false), 1);

    return fet__layer_norm(s->g, x, scale, weight(s, beta, FET_SHAPE(WIDTH), false), 1e-6);
}

static fet__node *dropped(step *s, fet__node *x, uint32_t stream, fet__shape shape)
{
    fet__node *at = fet__input(s->g, "step", FET_I32, fet__shape_scalar());
    fet__node *u = fet__random(s->g, at, 11, stream, s->t, shape);

    return fet__mul(s->g, x, fet__scale(s->g, fet__compare(s->g, FET__GE, u, fet__scalar(s->g, s->t, 0.25)), 1 / 0.75));
}

static fet__node *low_rank(step *s, fet__node *x, const char *down, const char *up)
{
    fet__node *t = fet__linear_nobias(s->g, x, weight(s, down, FET_SHAPE(2, x->shape.dim[2]), true));

    return fet__scale(s->g, fet__linear_nobias(s->g, t, weight(s, up, FET_SHAPE(WIDTH, 2), true)), 0.5);
}

static fet__node *block(step *s, fet__node *x, uint32_t stream)
{
    fet__graph *g = s->g;
    fet__node *h, *z;

    h = fet__linear(g, norm(s, x, "norm1.weight", "norm1.bias"),
                    weight(s, "qkv.weight", FET_SHAPE(3 * WIDTH, WIDTH), false),
                    weight(s, "qkv.bias", FET_SHAPE(3 * WIDTH), false));
    h = fet__attention(g, h, NULL, HEADS, 0.25);
    h = fet__linear(g, h, weight(s, "proj.weight", FET_SHAPE(WIDTH, WIDTH), false),
                    weight(s, "proj.bias", FET_SHAPE(WIDTH), false));
    x = fet__add(g, x, dropped(s, h, stream, FET_SHAPE(BATCH, 1, 1)));
    h = fet__linear(g, norm(s, x, "norm2.weight", "norm2.bias"),
                    weight(s, "fc1.weight", FET_SHAPE(4 * WIDTH, WIDTH), false),
                    weight(s, "fc1.bias", FET_SHAPE(4 * WIDTH), false));
    h = fet__gelu(g, h);
    h = dropped(s, h, stream + 1, h->shape);
    z = fet__linear(g, h, weight(s, "fc2.weight", FET_SHAPE(WIDTH, 4 * WIDTH), false),
                    weight(s, "fc2.bias", FET_SHAPE(WIDTH), false));
    z = fet__add(g, z, fet__add(g, low_rank(s, h, "a.down", "a.up"), low_rank(s, z, "b.down", "b.up")));
    return fet__add(g, x, dropped(s, z, stream + 2, FET_SHAPE(BATCH, 1, 1)));
}

static fet__node *forward(step *s, bool token)
{
    fet__graph *g = s->g;
    fet__node *x = fet__input(g, "x", s->t, FET_SHAPE(BATCH, TOKENS, WIDTH)), *ce;

    for (int i = 0; i < BLOCKS; i++) {
        s->prefix = i ? "blocks.1." : "blocks.0.";
        fet__scope_push(g, i ? "blocks.1" : "blocks.0");
        x = block(s, x, (uint32_t)i * 10);
        fet__scope_pop(g);
    }
    s->prefix = "";
    x = norm(s, x, "norm.weight", "norm.bias");
    x = token ? fet__slice(g, x, 1, 0, 1) : fet__mean(g, x, 2u);
    x = fet__linear(g, fet__reshape(g, x, FET_SHAPE(BATCH, WIDTH)),
                    weight(s, "head.weight", FET_SHAPE(CLASSES, WIDTH), true),
                    weight(s, "head.bias", FET_SHAPE(CLASSES), true));
    ce = fet__cross_entropy(g, x, fet__input(g, "labels", FET_I32, FET_SHAPE(BATCH)), 0.1);
    return fet__scale(g, fet__sum_all(g, ce), 1.0 / BATCH);
}

/* m' = 0.9 m + c grad, w' = w - lr m', c clips the norm of all gradients together */
static void train(step *s, fet__node *loss)
{
    fet__graph *g = s->g;
    fet__node *grad[MOST], *square = NULL, *clip, *lr = fet__input(g, "lr", s->t, fet__shape_scalar());
    char name[96];

    assert_ok(fet__gradient(g, loss, s->trained, s->count, false, grad));
    for (int i = 0; i < s->count; i++) {
        fet__node *q = fet__sum_all(g, fet__mul(g, grad[i], grad[i]));

        square = square ? fet__add(g, square, q) : q;
        snprintf(name, sizeof name, "grad %s", s->trained[i]->name);
        fet__output(g, name, grad[i]);
    }
    clip = fet__mul(g, fet__unary(g, FET__OP_RSQRT, square), fet__scalar(g, s->t, 0.5));
    clip = fet__binary(g, FET__OP_MIN, fet__scalar(g, s->t, 1), clip);
    for (int i = 0; i < s->count; i++) {
        fet__node *w = s->trained[i], *m;

        snprintf(name, sizeof name, "momentum.%s", w->name);
        m = fet__leaf(g, entry(s, name, w->shape, FET__STATE, 0.01, 0));
        fet__assign(g, m, fet__add(g, fet__scale(g, m, 0.9), fet__mul(g, grad[i], clip)));
        fet__assign(g, w, fet__sub(g, w, fet__mul(g, lr, fet__graph_assign(g, 2 * i, NULL))));
    }
}

static void begin(step *s, fet_dtype t, bool everything, bool token, bool reference)
{
    fet__node *loss;

    *s = (step){.t = t, .everything = everything, .prefix = ""};
    assert_ok(fet__params_create(&s->store));
    assert_ok(fet__graph_create(&s->g));
    loss = forward(s, token);
    fet__output(s->g, "loss", loss);
    train(s, loss);
    assert_ok(fet__program_create(&s->program, s->g, &(fet__program_options){.reference = reference}));
    store_values(fet__program_input(s->program, "x"), t, "x", (int64_t)BATCH * TOKENS * WIDTH, 1, 0);
    store_values(fet__program_input(s->program, "lr"), t, "lr", 1, 0, 0.1);
    for (int i = 0; i < BATCH; i++)
        ((int32_t *)fet__program_input(s->program, "labels"))[i] = i * 3;
}

static void end(step *s)
{
    fet__program_destroy(s->program);
    fet__graph_destroy(s->g);
    fet__params_destroy(s->store);
}

static void same(const char *name, const void *a, const void *b, fet_dtype t, int64_t count, double tolerance)
{
    double most = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < count; i++) {
            double x, y;

            fet__convert(&x, FET_F64, (const char *)a + (size_t)i * fet__dtype_bytes(t), t, 1);
            fet__convert(&y, FET_F64, (const char *)b + (size_t)i * fet__dtype_bytes(t), t, 1);
            if (pass == 0)
                most = fmax(most, fabs(x));
            else if (!(fabs(x - y) <= tolerance * (most + 1e-3)))
                fail_msg("%s[%lld]: %.9g and %.9g", name, (long long)i, x, y);
        }
    }
}

/* Two steps, so that the second one starts from what the first one wrote. */
static void compare(fet_dtype t, bool everything, bool token, double tolerance)
{
    step plain, fast;

    begin(&plain, t, everything, token, true);
    begin(&fast, t, everything, token, false);
    for (int32_t at = 0; at < 2; at++) {
        *(int32_t *)fet__program_input(plain.program, "step") = at;
        *(int32_t *)fet__program_input(fast.program, "step") = at;
        assert_ok(fet__program_run(plain.program));
        assert_ok(fet__program_run(fast.program));
        for (int i = 0; i < fet__graph_outputs(plain.g); i++) {
            const char *name;
            int64_t count = fet__shape_count(&fet__graph_output(plain.g, i, &name)->shape);

            same(name, fet__program_output(plain.program, name), fet__program_output(fast.program, name), t, count,
                 tolerance);
        }
        for (int i = 0; i < fet__params_count(plain.store); i++) {
            const fet__param *a = fet__params_at(plain.store, i), *b = fet__params_at(fast.store, i);

            same(a->name, a->data, b->data, t, fet__shape_count(&a->shape), tolerance);
        }
    }
    end(&plain);
    end(&fast);
}

static void test_branches_f64(void **state)
{
    (void)state;
    compare(FET_F64, false, false, 1e-9);
    compare(FET_F64, false, true, 1e-9);
}

static void test_everything_f64(void **state)
{
    (void)state;
    compare(FET_F64, true, false, 1e-9);
    compare(FET_F64, true, true, 1e-9);
}

static void test_branches_f32(void **state)
{
    (void)state;
    compare(FET_F32, false, false, 1e-4);
    compare(FET_F32, false, true, 1e-4);
}

static void test_everything_f32(void **state)
{
    (void)state;
    compare(FET_F32, true, false, 1e-4);
    compare(FET_F32, true, true, 1e-4);
}

/* The comparison means something: copies, groups and small last rows are really there. */
static void test_the_passes_took_hold(void **state)
{
    fet__node **order;
    int count, copies = 0, groups = 0, single = 0;
    step s;

    (void)state;
    begin(&s, FET_F64, true, true, false);
    assert_ok(fet__graph_order(s.g, &order, &count));
    for (int i = 0; i < count; i++) {
        copies += order[i]->copy > 0;
        groups += order[i]->op == FET__OP_GROUP;
        single += order[i]->op == FET__OP_LINEAR && order[i]->shape.rank == 3 && order[i]->shape.dim[1] == 1;
    }
    assert_true(copies >= 2);
    assert_true(groups > 20);
    assert_true(single >= 3); /* proj, fc1 and fc2 of the last block */
    fet__free(order);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_branches_f64),         cmocka_unit_test(test_everything_f64),
        cmocka_unit_test(test_branches_f32),         cmocka_unit_test(test_everything_f32),
        cmocka_unit_test(test_the_passes_took_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
