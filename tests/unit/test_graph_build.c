/* Builders: shapes and types that follow, and the sentences that refuse what does not fit. */
#include "unit/graph_testing.h"

/* The graph has failed with exactly this sentence. */
static void refused(fixture *f, const fet__node *n, const char *want)
{
    assert_null(n);
    assert_int_not_equal(fet__graph_status(f->g), FET_OK);
    assert_string_equal(fet_error_message(), want);
}

static void shaped(const fet__node *n, const char *shape)
{
    if (!n)
        fail_msg("refused: %s", fet_error_message());
    assert_string_equal(fet__shape_text(&n->shape), shape);
}

static void test_message_says_operator_operands_and_scope(void **state)
{
    fixture *f = *state;

    fet__scope_push(f->g, "blocks.0");
    fet__scope_push(f->g, "mlp");
    refused(f, fet__matmul(f->g, input(f, "x", FET_SHAPE(4, 17, 48)), input(f, "w", FET_SHAPE(32, 10)), false, false),
            "matmul: inner sizes differ: [4, 17, 48] x [32, 10] (in blocks.0.mlp)");
}

static void test_first_error_stays(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 3)), *bad;

    bad = fet__add(f->g, x, input(f, "y", FET_SHAPE(2, 4)));
    refused(f, bad, "add: shapes do not broadcast: [2, 3] x [2, 4]");
    refused(f, fet__softmax(f->g, fet__linear(f->g, bad, bad, NULL)), "add: shapes do not broadcast: [2, 3] x [2, 4]");
    assert_int_equal(fet__graph_verify(f->g), FET_E_ARG);
    assert_null(fet__input(f->g, "z", FET_F32, FET_SHAPE(1)));
}

static void test_fail_from_outside(void **state)
{
    fixture *f = *state;

    fet__scope_push(f->g, "head");
    fet__scope_push(f->g, "");
    fet__scope_pop(f->g);
    refused(f, fet__graph_fail(f->g, FET_E_DATA, "image size %d is too small", 3),
            "image size 3 is too small (in head)");
    assert_int_equal(fet__graph_status(f->g), FET_E_DATA);
}

static void test_scopes_nest(void **state)
{
    fixture *f = *state;

    assert_string_equal(fet__scope_text(f->g), "");
    fet__scope_push(f->g, "blocks.3");
    fet__scope_push(f->g, "attn");
    assert_string_equal(fet__scope_text(f->g), "blocks.3.attn");
    assert_string_equal(fet__fill(f->g, FET_F32, FET_SHAPE(1), 0)->scope, "blocks.3.attn");
    fet__scope_pop(f->g);
    assert_string_equal(fet__scope_text(f->g), "blocks.3");
    for (int i = 0; i < 40; i++)
        fet__scope_push(f->g, "x");
    for (int i = 0; i < 41; i++)
        fet__scope_pop(f->g);
    assert_string_equal(fet__scope_text(f->g), "");
}

static void test_missing_inputs(void **state)
{
    fixture *f = *state;

    refused(f, fet__add(f->g, input(f, "x", FET_SHAPE(2)), NULL), "add: input 1 is missing");
}

static void test_broadcasts(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 1, 5)), *y = input(f, "y", FET_SHAPE(3, 1)),
              *s = input(f, "s", fet__shape_scalar());

    shaped(fet__add(f->g, x, y), "[4, 3, 5]");
    shaped(fet__mul(f->g, s, y), "[3, 1]");
    shaped(fet__where(f->g, s, x, y), "[4, 3, 5]");
    shaped(fet__compare(f->g, FET__LT, y, x), "[4, 3, 5]");
    shaped(fet__broadcast(f->g, s, FET_SHAPE(2, 2)), "[2, 2]");
    assert_ptr_equal(fet__broadcast(f->g, x, x->shape), x);
    assert_int_equal(fet__broadcast(f->g, fet__scalar(f->g, FET_F32, 2), FET_SHAPE(7))->op, FET__OP_FILL);
    assert_ptr_equal(fet__scale(f->g, x, 1), x);
    refused(f, fet__broadcast(f->g, x, FET_SHAPE(4, 3)), "broadcast: cannot become [4, 3]: [4, 1, 5]");
}

static void test_shapes_of_moves(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 3, 4)), *part[20];

    shaped(fet__reshape(f->g, x, FET_SHAPE(6, -1)), "[6, 4]");
    shaped(fet__reshape(f->g, fet__sum_all(f->g, x), FET_SHAPE(1, 1)), "[1, 1]");
    shaped(fet__transpose(f->g, x, (int[]){2, 0, 1}), "[4, 2, 3]");
    shaped(fet__slice(f->g, x, -1, 1, 3), "[2, 3, 2]");
    assert_ptr_equal(fet__slice(f->g, x, 0, 0, 2), x);
    shaped(fet__pad(f->g, x, (int64_t[]){0, 1, 2}, (int64_t[]){0, 0, 3}), "[2, 4, 9]");
    for (int i = 0; i < 20; i++)
        part[i] = x;
    shaped(fet__concat(f->g, part, 20, 1), "[2, 60, 4]");
    assert_ptr_equal(fet__roll(f->g, x, 1, -6), x);
    shaped(fet__roll(f->g, x, 1, -1), "[2, 3, 4]");
    assert_int_equal(fet__roll(f->g, x, 1, -1)->attr.roll.shift[1], 2);
    shaped(fet__gather(f->g, x, fet__input(f->g, "i", FET_I32, FET_SHAPE(5, 6))), "[5, 6, 3, 4]");
    shaped(fet__argmax(f->g, x), "[2, 3, 1]");
    refused(f, fet__reshape(f->g, x, FET_SHAPE(5, -1)), "reshape: 24 elements do not divide into [5, -1]: [2, 3, 4]");
}

static void test_shapes_of_images(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 9, 7, 6)), *w = input(f, "w", FET_SHAPE(4, 3, 3, 3));
    fet__conv c = {.stride = {2, 1}, .pad = {1, 0}, .groups = 2};
    fet__pool p = {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}};

    shaped(fet__conv2d(f->g, x, w, &c), "[2, 5, 5, 4]");
    shaped(fet__max_pool(f->g, x, &p), "[2, 5, 4, 6]");
    shaped(fet__avg_pool(f->g, x, &p), "[2, 5, 4, 6]");
    shaped(fet__resize(f->g, x, 3, 20, true, false), "[2, 3, 20, 6]");
    shaped(fet__conv2d_dx(f->g, input(f, "dy", FET_SHAPE(2, 5, 5, 4)), w, &c, x->shape), "[2, 9, 7, 6]");
    c.groups = 4;
    refused(f, fet__conv2d(f->g, x, w, &c),
            "conv2d: 6 input channels in 4 groups do not fit weights [4, 3, 3, 3]: [2, 9, 7, 6] x [4, 3, 3, 3]");
}

static void test_shapes_of_fused(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 17, 48)), *w = input(f, "w", FET_SHAPE(96, 48)),
              *b = input(f, "b", FET_SHAPE(96));
    fet__node *gamma = input(f, "gamma", FET_SHAPE(48)), *labels = fet__input(f->g, "l", FET_I32, FET_SHAPE(4));

    shaped(fet__linear(f->g, x, w, b), "[4, 17, 96]");
    shaped(fet__layer_norm(f->g, x, gamma, gamma, 1e-6), "[4, 17, 48]");
    shaped(fet__attention(f->g, x, NULL, 4, 0.5), "[4, 17, 16]");
    shaped(fet__attention(f->g, x, input(f, "bias", FET_SHAPE(2, 4, 17, 17)), 4, 0.5), "[4, 17, 16]");
    shaped(fet__cross_entropy(f->g, input(f, "z", FET_SHAPE(4, 10)), labels, 0.1), "[4]");
    refused(f, fet__attention(f->g, x, input(f, "bad", FET_SHAPE(3, 4, 17, 17)), 4, 0.5),
            "attention: the bias is not [G, 4, 17, 17] with G dividing 4: [4, 17, 48] x [3, 4, 17, 17]");
}

static void test_types_are_checked(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(3)), *i = fet__input(f->g, "i", FET_I32, FET_SHAPE(3));

    assert_int_equal(fet__cast(f->g, i, FET_F64)->dtype, FET_F64);
    assert_ptr_equal(fet__cast(f->g, x, FET_F32), x);
    refused(f, fet__mul(f->g, i, i), "mul: takes floating types only (cast first): i32[3] x i32[3]");
}

static void test_leaves(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3));

    assert_ptr_equal(param(f, "w", FET_SHAPE(3)), w);
    assert_ptr_equal(input(f, "x", FET_SHAPE(2)), input(f, "x", FET_SHAPE(2)));
    refused(f, input(f, "x", FET_SHAPE(3)), "input x: asked for as f32[2] and as f32[3]");
}

static void test_sizes_must_be_positive(void **state)
{
    fixture *f = *state;

    refused(f, input(f, "x", FET_SHAPE(3, 0)), "input x: sizes must be positive and their product below 2^63: [3, 0]");
}

static void test_assign_is_checked(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3)), *x = input(f, "x", FET_SHAPE(3));

    fet__assign(f->g, w, fet__add(f->g, w, x));
    assert_ok(fet__graph_status(f->g));
    assert_int_equal(fet__graph_assigns(f->g), 1);
    fet__assign(f->g, w, x);
    refused(f, NULL, "assign: w is assigned twice");
}

static void test_assign_shape(void **state)
{
    fixture *f = *state;

    fet__assign(f->g, param(f, "w", FET_SHAPE(3)), input(f, "x", FET_SHAPE(4)));
    refused(f, NULL, "assign: w is f32[3], its new value f32[4]");
}

static void test_assign_target(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(3));

    fet__assign(f->g, x, x);
    refused(f, NULL, "assign: %0 (input) is neither a parameter nor a state");
}

static void test_output_names_are_unique(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(3));
    const char *name;

    fet__output(f->g, "loss", x);
    assert_ptr_equal(fet__graph_output(f->g, 0, &name), x);
    assert_string_equal(name, "loss");
    fet__output(f->g, "loss", x);
    refused(f, NULL, "output loss: the name is taken");
}

static void test_order_skips_the_dead(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(3)), *dead = fet__gelu(f->g, x), *alive = fet__unary(f->g, FET__OP_NEG, x);

    (void)dead;
    fet__output(f->g, "y", alive);
    assert_int_equal(live(f->g, FET__OP_COUNT), 2);
    assert_int_equal(live(f->g, FET__OP_GELU), 0);
}

static void test_costs(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(5, 48)), *w = input(f, "w", FET_SHAPE(96, 48)),
              *y = fet__linear_nobias(f->g, x, w);
    fet__cost c = fet__node_cost(y);

    assert_true(c.flops == 2.0 * 5 * 48 * 96);
    assert_true(c.bytes == 4.0 * (5 * 48 + 48 * 96 + 5 * 96));
    c = fet__node_cost(fet__mul(f->g, x, x)); /* one input, read once */
    assert_true(c.flops == 240 && c.bytes == 4.0 * 480);
    c = fet__node_cost(fet__reshape(f->g, x, FET_SHAPE(240)));
    assert_true(c.flops == 0 && c.bytes == 0);
}

/* Whatever allocation fails, building ends in one error and nothing leaks (the sanitizer run sees to that). */
static void test_allocation_failures(void **state)
{
    fixture *f = *state;
    fet__param *p = NULL;
    fet_status st = FET_E_NOMEM;

    assert_ok(fet__params_add(f->store, &p, "w", FET_F32, FET_SHAPE(300, 300), FET__PARAM));
    for (uint64_t n = 1; st != FET_OK && n < 200; n++) {
        fet__graph *g = NULL;
        fet__node *w, *y, *grad = NULL;

        fet__alloc_fail_after(n);
        st = fet__graph_create(&g);
        if (st == FET_OK) {
            w = fet__leaf(g, p);
            y = fet__layer_norm(g, fet__softmax(g, w), fet__fill(g, FET_F32, FET_SHAPE(300), 1),
                                fet__fill(g, FET_F32, FET_SHAPE(300), 0), 1e-6);
            st = fet__gradient(g, fet__sum_all(g, fet__gelu(g, y)), &w, 1, false, &grad);
            if (st == FET_OK)
                fet__output(g, "grad", grad);
            if (st == FET_OK)
                st = fet__graph_optimize(g, NULL, NULL);
        }
        fet__alloc_fail_after(0);
        fet__graph_destroy(g);
        assert_true(st == FET_OK || st == FET_E_NOMEM);
    }
    assert_int_equal(st, FET_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_message_says_operator_operands_and_scope),
        TEST(test_first_error_stays),
        TEST(test_fail_from_outside),
        TEST(test_scopes_nest),
        TEST(test_missing_inputs),
        TEST(test_broadcasts),
        TEST(test_shapes_of_moves),
        TEST(test_shapes_of_images),
        TEST(test_shapes_of_fused),
        TEST(test_types_are_checked),
        TEST(test_leaves),
        TEST(test_sizes_must_be_positive),
        TEST(test_assign_is_checked),
        TEST(test_assign_shape),
        TEST(test_assign_target),
        TEST(test_output_names_are_unique),
        TEST(test_order_skips_the_dead),
        TEST(test_costs),
        TEST(test_allocation_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
