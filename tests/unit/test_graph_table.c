/* A walk over the table of operators: every one infers, every differentiable one has a rule or a lowering, lowerings hold core
 * operators only, and no operator is a dead end. */
#include "unit/graph_testing.h"

#include "graph/graph_int.h"

static void test_every_row_is_complete(void **state)
{
    (void)state;
    for (int op = 0; op < FET__OP_COUNT; op++) {
        const fet__rule *r = fet__rule_of((fet__op)op);
        bool fused = fet__op_rows[op].class_ == FET__CLASS_FUSED || fet__op_rows[op].class_ == FET__CLASS_FUSED_ELEMENT;

        print_message("%s\n", fet__op_rows[op].name);
        assert_non_null(r->infer);
        assert_non_null(r->flops);
        assert_true(fused == (r->lower != NULL));
        assert_true(r->vjp || r->lower || !fet__op_differentiable((fet__op)op));
    }
}

/* These have no derivative, and nothing else has none. */
static void test_which_have_no_derivative(void **state)
{
    const fet__op none[] = {FET__OP_INPUT,   FET__OP_PARAM,         FET__OP_STATE,          FET__OP_CONST,
                            FET__OP_COMPARE, FET__OP_STOP_GRADIENT, FET__OP_RANDOM,         FET__OP_IOTA,
                            FET__OP_FILL,    FET__OP_ARGMAX,        FET__OP_MAX_POOL_INDEX, FET__OP_MEMORY_UPDATE};
    int without = 0;

    (void)state;
    for (int op = 0; op < FET__OP_COUNT; op++)
        without += !fet__op_differentiable((fet__op)op);
    for (size_t i = 0; i < FET_COUNT(none); i++)
        assert_false(fet__op_differentiable(none[i]));
    assert_int_equal(without, FET_COUNT(none));
}

static bool is_core(const fet__node *n)
{
    fet__op_class c = fet__op_rows[n->op].class_;

    return c == FET__CLASS_LEAF || c == FET__CLASS_ELEMENT || c == FET__CLASS_CORE;
}

/* One node of each fused operator. */
static fet__node *example(fixture *f, fet__op op)
{
    fet__node *x = input(f, "x", FET_SHAPE(3, 6)), *v = input(f, "v", FET_SHAPE(6)),
              *l = fet__input(f->g, "l", FET_I32, FET_SHAPE(3));
    fet__node *qkv = input(f, "qkv", FET_SHAPE(4, 5, 12)), *bias = input(f, "bias", FET_SHAPE(2, 2, 5, 5)),
              *r = input(f, "r", FET_SHAPE(3, 2));
    fet__node *b = input(f, "b", FET_SHAPE(2)), *w = input(f, "w", FET_SHAPE(2, 6)),
              *dy = input(f, "dy", FET_SHAPE(4, 5, 4));
    fet__attr attr = {.raw = {0}};

    switch (op) {
    case FET__OP_LINEAR:
        attr.linear.activation = FET__ACT_GELU;
        return fet__make(f->g, op, (fet__node *[]){x, w, b, r}, 4, &attr, FET_F32, NULL);
    case FET__OP_SOFTMAX_GRAD: return fet__make(f->g, op, (fet__node *[]){x, x}, 2, NULL, FET_F32, NULL);
    case FET__OP_LAYER_NORM: return fet__layer_norm(f->g, x, v, v, 1e-6);
    case FET__OP_LAYER_NORM_DX: return fet__make(f->g, op, (fet__node *[]){x, v, x}, 3, NULL, FET_F32, NULL);
    case FET__OP_LAYER_NORM_DGAMMA: return fet__make(f->g, op, (fet__node *[]){x, x}, 2, NULL, FET_F32, NULL);
    case FET__OP_CROSS_ENTROPY: return fet__cross_entropy(f->g, x, l, 0.1);
    case FET__OP_CROSS_ENTROPY_GRAD:
        return fet__make(f->g, op, (fet__node *[]){x, l, input(f, "d", FET_SHAPE(3))}, 3, NULL, FET_F32, NULL);
    case FET__OP_ATTENTION: return fet__attention(f->g, qkv, bias, 2, 0.5);
    case FET__OP_ATTENTION_GRAD:
    case FET__OP_ATTENTION_DBIAS:
        attr.attention.heads = 2;
        return fet__make(f->g, op, (fet__node *[]){qkv, dy, bias}, 3, &attr, FET_F32, NULL);
    case FET__OP_QUADRATIC_DW: {
        fet__node *map = input(f, "map", FET_SHAPE(2, 4, 5, 6)), *filter = input(f, "filter", FET_SHAPE(6, 1, 3, 5));

        return fet__quadratic_dw(f->g, map, (fet__node *[]){filter, filter, filter}, (fet__node *[]){v, v, v});
    }
    case FET__OP_GROUP: {
        fet__node *y = fet__gelu(f->g, fet__mul(f->g, x, v));

        fet__output(f->g, "y", y);
        assert_ok(fet__pass_group(f->g));
        return y;
    }
    default: return fet__unary(f->g, op, x);
    }
}

static void test_lowerings_are_core(void **state)
{
    fixture *f = *state;

    for (int op = 0; op < FET__OP_COUNT; op++) {
        fet__node *n, *low, **order;
        int count;

        if (!fet__rule_of((fet__op)op)->lower)
            continue;
        print_message("%s\n", fet__op_rows[op].name);
        n = example(f, (fet__op)op);
        assert_ok(fet__graph_status(f->g));
        assert_int_equal(n->op, op);
        low = fet__lower(f->g, n);
        assert_ok(fet__graph_status(f->g));
        assert_true(low != n && low->dtype == n->dtype && fet__shape_equal(&low->shape, &n->shape));
        assert_ok(fet__order_from(f->g, &low, 1, NULL, &order, &count));
        for (int i = 0; i < count; i++)
            if (!is_core(order[i]))
                fail_msg("the lowering of %s holds %s", fet__op_rows[op].name, fet__op_rows[order[i]->op].name);
        fet__free(order);
    }
}

/* Rules of core operators are written with core operators: a third gradient of a lowered chain has nothing fused in it. */
static void test_core_rules_stay_core(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(2, 7, 7, 4)), *w = input(f, "w", FET_SHAPE(4, 2, 3, 3)), *y, *grad, **order;
    fet__conv c = {.pad = {1, 1}, .groups = 2};
    fet__pool p = {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1}};
    int count;

    y = fet__conv2d(f->g, fet__unary(f->g, FET__OP_TANH, x), w, &c);
    y = fet__add(f->g, fet__max_pool(f->g, y, &p), fet__avg_pool(f->g, fet__unary(f->g, FET__OP_SIGMOID, y), &p));
    y = fet__resize(f->g, fet__unary(f->g, FET__OP_ERF, y), 5, 3, true, false);
    y = fet__unary(f->g, FET__OP_SQRT, fet__shift(f->g, fet__mul(f->g, y, y), 1));
    for (int i = 0; i < 3; i++) {
        assert_ok(fet__gradient(f->g, fet__sum_all(f->g, fet__mul(f->g, y, y)), &x, 1, false, &grad));
        y = grad;
    }
    assert_ok(fet__order_from(f->g, &y, 1, NULL, &order, &count));
    for (int i = 0; i < count; i++)
        assert_true(is_core(order[i]));
    fet__free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_row_is_complete),
        TEST(test_which_have_no_derivative),
        TEST(test_lowerings_are_core),
        TEST(test_core_rules_stay_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
