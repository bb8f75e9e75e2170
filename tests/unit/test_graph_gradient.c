/* The structure of gradients: only what is asked for is built, fused rules are used, lowering steps in where they end. Numbers are
 * checked in tests/op. */
#include "unit/graph_testing.h"

static int nodes(const fet__graph *g)
{
    return live(g, FET__OP_COUNT);
}

/* fc2(gelu(fc1(x))), summed; every weight a parameter */
static fet__node *mlp(fixture *f)
{
    fet__node *x = input(f, "x", FET_SHAPE(4, 17, 48));
    fet__node *h = fet__linear(f->g, x, param(f, "fc1.weight", FET_SHAPE(96, 48)), param(f, "fc1.bias", FET_SHAPE(96)));

    h = fet__linear(f->g, fet__gelu(f->g, h), param(f, "fc2.weight", FET_SHAPE(48, 96)),
                    param(f, "fc2.bias", FET_SHAPE(48)));
    return fet__sum_all(f->g, h);
}

static void test_frozen_weights_cost_nothing(void **state)
{
    fixture *f = *state;
    fet__node *loss = mlp(f), *wrt = param(f, "fc2.bias", FET_SHAPE(48)), *grad;

    fet__output(f->g, "loss", loss);
    int before = nodes(f->g);
    assert_ok(fet__gradient(f->g, loss, &wrt, 1, false, &grad));
    assert_string_equal(fet__shape_text(&grad->shape), "[48]");
    fet__output(f->g, "grad", grad);
    assert_int_equal(live(f->g, FET__OP_MATMUL), 0);
    assert_int_equal(live(f->g, FET__OP_GELU_GRAD), 0);
    /* 1 -> [1, 1, 1] -> [4, 17, 48] -> sum -> [48] */
    assert_true(nodes(f->g) - before <= 5);
}

static void test_linear_rules(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 17, 48)), *w = param(f, "w", FET_SHAPE(10, 48)), *y, *grad[2];
    fet__node *wrt[2] = {x, w};

    y = fet__linear_nobias(f->g, x, w);
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, fet__mul(f->g, y, y)), wrt, 2, false, grad));
    /* dx = dy w */
    assert_int_equal(grad[0]->op, FET__OP_MATMUL);
    assert_ptr_equal(grad[0]->input[1], w);
    assert_int_equal(grad[0]->attr.matmul.ta + grad[0]->attr.matmul.tb, 0);
    assert_string_equal(fet__shape_text(&grad[0]->shape), "[4, 17, 48]");
    /* dw = dy^T x over all rows */
    assert_int_equal(grad[1]->op, FET__OP_MATMUL);
    assert_string_equal(fet__shape_text(&grad[1]->input[0]->shape), "[68, 10]");
    assert_string_equal(fet__shape_text(&grad[1]->input[1]->shape), "[68, 48]");
    assert_int_equal(grad[1]->attr.matmul.ta, 1);
    assert_true(grad[0]->backward && grad[1]->backward && !y->backward);
}

static void test_uses_are_added(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3)), *y, *grad;

    y = fet__add(f->g, fet__mul(f->g, w, w), fet__unary(f->g, FET__OP_EXP, w));
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, y), &w, 1, false, &grad));
    fet__output(f->g, "grad", grad);
    assert_int_equal(live(f->g, FET__OP_ADD), 2);
}

static void test_unreached_is_named(void **state)
{
    fixture *f = *state;
    fet__node *wrt[3] = {param(f, "w", FET_SHAPE(3)), param(f, "head.bias", FET_SHAPE(2)), NULL}, *grad[3], *loss;

    fet__scope_push(f->g, "blocks.0");
    wrt[2] = fet__gelu(f->g, wrt[1]);
    fet__scope_pop(f->g);
    loss = fet__sum_all(f->g, wrt[0]);
    assert_int_equal(fet__gradient(f->g, loss, wrt, 3, false, grad), FET_E_ARG);
    assert_string_equal(fet_error_message(), "gradient: the loss does not reach head.bias, %2 (gelu in blocks.0)");
    assert_ok(fet__graph_status(f->g)); /* the graph itself is sound */
    assert_ok(fet__gradient(f->g, loss, wrt, 3, true, grad));
    assert_non_null(grad[0]);
    assert_null(grad[1]);
    assert_null(grad[2]);
}

static void test_nothing_passes_these(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3, 4)), *grad, *y[4];

    y[0] = fet__stop_gradient(f->g, w);
    y[1] = fet__compare(f->g, FET__GT, w, fet__scalar(f->g, FET_F32, 0));
    y[2] = fet__cast(f->g, fet__argmax(f->g, w), FET_F32);
    y[3] = fet__where(f->g, w, fet__scalar(f->g, FET_F32, 1), fet__scalar(f->g, FET_F32, 2));
    for (int i = 0; i < 4; i++) {
        assert_ok(fet__gradient(f->g, fet__sum_all(f->g, y[i]), &w, 1, true, &grad));
        assert_null(grad);
    }
}

static void test_loss_must_be_one_number(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3)), *grad;

    assert_int_equal(fet__gradient(f->g, w, &w, 1, false, &grad), FET_E_ARG);
    assert_string_equal(fet_error_message(), "gradient: the loss must be one floating-point number, not [3]");
}

static void test_by_inner_node_and_by_the_loss(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3)), *h = fet__unary(f->g, FET__OP_EXP, w), *loss = fet__sum_all(f->g, h);
    fet__node *wrt[3] = {w, h, loss}, *grad[3];

    assert_ok(fet__gradient(f->g, loss, wrt, 3, false, grad));
    assert_int_equal(grad[2]->op, FET__OP_FILL);
    assert_string_equal(fet__shape_text(&grad[1]->shape), "[3]");
    assert_ptr_equal(grad[0]->input[1], h); /* exp's rule reads exp's value */
}

/* Gradients of fused operators are fused; their gradients are core. */
static void test_second_gradient_lowers(void **state)
{
    fixture *f = *state;
    fet__node *x = param(f, "x", FET_SHAPE(4, 6)), *y, *first, *second, *third;

    y = fet__layer_norm(f->g, x, param(f, "g", FET_SHAPE(6)), param(f, "b", FET_SHAPE(6)), 1e-6);
    y = fet__gelu(f->g, fet__softmax(f->g, y));
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, fet__mul(f->g, y, y)), &x, 1, false, &first));
    fet__output(f->g, "first", first);
    assert_int_equal(live(f->g, FET__OP_LAYER_NORM_DX), 1);
    assert_int_equal(live(f->g, FET__OP_SOFTMAX_GRAD), 1);
    assert_int_equal(live(f->g, FET__OP_GELU_GRAD), 1);
    assert_int_equal(live(f->g, FET__OP_RSQRT), 0);
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, fet__mul(f->g, first, first)), &x, 1, false, &second));
    fet__output(f->g, "second", second);
    assert_true(live(f->g, FET__OP_RSQRT) > 0);
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, second), &x, 1, false, &third));
    fet__output(f->g, "third", third);
    assert_ok(fet__graph_verify(f->g));
}

/* The fused gradient serves qkv; a trainable bias needs the probabilities, so then attention is lowered. */
static void test_attention_lowers_for_its_bias(void **state)
{
    fixture *f = *state;
    fet__node *qkv = param(f, "qkv", FET_SHAPE(4, 5, 24)), *bias = param(f, "bias", FET_SHAPE(2, 2, 5, 5)), *loss,
              *grad;

    loss = fet__sum_all(f->g, fet__attention(f->g, qkv, bias, 2, 0.5));
    assert_ok(fet__gradient(f->g, loss, &qkv, 1, false, &grad));
    assert_int_equal(grad->op, FET__OP_ATTENTION_GRAD);
    assert_int_equal(grad->input_count, 3);
    assert_ok(fet__gradient(f->g, loss, &bias, 1, false, &grad));
    fet__output(f->g, "grad", grad);
    assert_string_equal(fet__shape_text(&grad->shape), "[2, 2, 5, 5]");
    assert_int_equal(live(f->g, FET__OP_ATTENTION_GRAD), 0);
    assert_ok(fet__graph_verify(f->g));
}

static void test_gradient_keeps_scopes(void **state)
{
    fixture *f = *state;
    fet__node *x = param(f, "x", FET_SHAPE(2, 3)), *y, *grad;

    fet__scope_push(f->g, "head");
    y = fet__softmax(f->g, x);
    fet__scope_pop(f->g);
    assert_ok(fet__gradient(f->g, fet__sum_all(f->g, fet__mul(f->g, y, y)), &x, 1, false, &grad));
    assert_string_equal(grad->scope, "head");
    assert_string_equal(fet__scope_text(f->g), "");
}

/* The gradient of a group goes through what its program says. */
static void test_optimised_graphs_differentiate(void **state)
{
    fixture *f = *state;
    fet__node *x = param(f, "x", FET_SHAPE(6, 5)), *y, *grad;

    y = fet__gelu(f->g, fet__linear(f->g, x, param(f, "w", FET_SHAPE(4, 5)), param(f, "b", FET_SHAPE(4))));
    y = fet__mul(f->g, fet__unary(f->g, FET__OP_EXP, y), param(f, "s", FET_SHAPE(4)));
    fet__output(f->g, "loss", fet__sum_all(f->g, y));
    assert_ok(fet__graph_optimize(f->g, NULL, NULL));
    assert_int_equal(live(f->g, FET__OP_GROUP), 1);
    assert_ok(fet__gradient(f->g, fet__graph_output(f->g, 0, NULL), &x, 1, false, &grad));
    fet__output(f->g, "grad", grad);
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(live(f->g, FET__OP_GELU_GRAD), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frozen_weights_cost_nothing),
        TEST(test_linear_rules),
        TEST(test_uses_are_added),
        TEST(test_unreached_is_named),
        TEST(test_nothing_passes_these),
        TEST(test_loss_must_be_one_number),
        TEST(test_by_inner_node_and_by_the_loss),
        TEST(test_second_gradient_lowers),
        TEST(test_attention_lowers_for_its_bias),
        TEST(test_gradient_keeps_scopes),
        TEST(test_optimised_graphs_differentiate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
