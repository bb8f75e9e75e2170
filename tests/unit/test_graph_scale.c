/* Frozen scales behind a convolution go into its weights, and only those. */
#include "unit/graph_testing.h"

typedef struct chain {
    bool used_between, vector_first;
    int assigned; /* 1: gamma, 2: the weights */
} chain;

/* relu(((conv(x, w) + b) - m) * g + s) */
static fet__node *build(fixture *f, const chain *c)
{
    fet__node *x = input(f, "x", FET_SHAPE(2, 5, 5, 3)), *w = param(f, "w", FET_SHAPE(4, 3, 3, 3));
    fet__node *b = param(f, "b", FET_SHAPE(4)), *m = param(f, "m", FET_SHAPE(4)), *g = param(f, "g", FET_SHAPE(4));
    fet__node *s = param(f, "s", FET_SHAPE(4)), *y;
    fet__conv conv = {.pad = {1, 1}};

    y = fet__conv2d(f->g, x, w, &conv);
    if (c->used_between)
        fet__output(f->g, "between", y);
    y = fet__sub(f->g, c->vector_first ? fet__add(f->g, b, y) : fet__add(f->g, y, b), m);
    y = fet__add(f->g, c->vector_first ? fet__mul(f->g, g, y) : fet__mul(f->g, y, g), s);
    if (c->assigned)
        fet__assign(f->g, c->assigned == 1 ? g : w, fet__scale(f->g, c->assigned == 1 ? g : w, 2));
    fet__output(f->g, "y", fet__relu(f->g, y));
    return y;
}

/* How many operations are left on whole maps. */
static int on_maps(const fet__graph *g, fet__op op)
{
    fet__node **order;
    int count, found = 0;

    assert_ok(fet__graph_order(g, &order, &count));
    for (int i = 0; i < count; i++)
        found += order[i]->op == op && order[i]->shape.rank == 4 && order[i]->shape.dim[1] == 5;
    fet__free(order);
    return found;
}

static void check(fixture *f, chain c, bool folds)
{
    build(f, &c);
    assert_ok(fet__graph_verify(f->g));
    assert_ok(fet__pass_scale(f->g));
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(live(f->g, FET__OP_CONV2D), 1);
    assert_int_equal(on_maps(f->g, FET__OP_MUL), folds ? 0 : 1);
    assert_int_equal(on_maps(f->g, FET__OP_SUB), folds ? 0 : 1);
    assert_int_equal(on_maps(f->g, FET__OP_ADD), folds ? 1 : 2);
}

static void test_folds(void **state)
{
    check(*state, (chain){0}, true);
}

static void test_folds_from_the_right(void **state)
{
    check(*state, (chain){.vector_first = true}, true);
}

static void test_trained_scale_stays(void **state)
{
    check(*state, (chain){.assigned = 1}, false);
}

static void test_trained_weights_stay(void **state)
{
    check(*state, (chain){.assigned = 2}, false);
}

static void test_value_between_is_wanted(void **state)
{
    check(*state, (chain){.used_between = true}, false);
}

/* A bias alone has nothing to scale; a constant factor is a scale too. */
static void test_bias_and_constant(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 5, 5, 3)), *w = param(f, "w", FET_SHAPE(4, 3, 3, 3)), *y;
    fet__conv conv = {.pad = {1, 1}};

    y = fet__conv2d(f->g, x, w, &conv);
    fet__output(f->g, "bias", fet__add(f->g, y, param(f, "b", FET_SHAPE(4))));
    fet__output(f->g, "scaled", fet__scale(f->g, fet__conv2d(f->g, fet__relu(f->g, x), w, &conv), 0.5));
    assert_ok(fet__pass_scale(f->g));
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(live(f->g, FET__OP_CONV2D), 2);
    assert_int_equal(on_maps(f->g, FET__OP_ADD), 1);
    assert_int_equal(on_maps(f->g, FET__OP_MUL), 0);
}

/* A vector along another axis, and one number a picture, are no scales of channels. */
static void test_other_axes_stay(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 5, 5, 3)), *w = param(f, "w", FET_SHAPE(4, 3, 3, 3)), *y;
    fet__conv conv = {.pad = {1, 1}};

    y = fet__conv2d(f->g, x, w, &conv);
    fet__output(f->g, "y", fet__mul(f->g, y, param(f, "rows", FET_SHAPE(5, 1))));
    y = fet__conv2d(f->g, fet__relu(f->g, x), w, &conv);
    fet__output(f->g, "z", fet__mul(f->g, y, param(f, "pictures", FET_SHAPE(2, 1, 1, 1))));
    assert_ok(fet__pass_scale(f->g));
    assert_int_equal(on_maps(f->g, FET__OP_MUL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_folds),
                                       TEST(test_folds_from_the_right),
                                       TEST(test_trained_scale_stays),
                                       TEST(test_trained_weights_stay),
                                       TEST(test_value_between_is_wanted),
                                       TEST(test_bias_and_constant),
                                       TEST(test_other_axes_stay)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
