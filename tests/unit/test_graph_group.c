/* Element-wise grouping: what joins, what stays apart, and what the limits do. */
#include "unit/graph_testing.h"

static void groups_to(fixture *f, const char *want)
{
    assert_ok(fet__graph_verify(f->g));
    assert_ok(fet__pass_group(f->g));
    assert_ok(fet__graph_verify(f->g));
    assert_string_equal(printed(f->g), want);
}

static void test_chain_with_broadcasts(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 8)), *b = param(f, "b", FET_SHAPE(8)),
              *s = input(f, "s", fet__shape_scalar());

    fet__output(f->g, "y", fet__mul(f->g, fet__gelu(f->g, fet__add(f->g, x, b)), s));
    groups_to(
        f, "%0 f32[4,8] = input() {name=\"x\"}\n"
           "%2 f32[] = input() {name=\"s\"}\n"
           "%3 f32[1,8] = reshape($b)\n"
           "%9 f32[4,8] = group(%0, %3, %2) {full=[4,8] axes=[]; r3 = add(r0, r1); r4 = gelu(r3); r5 = mul(r4, r2)}\n"
           "output \"y\" %9\n");
}

static void test_sum_at_the_end(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 8)), *y = input(f, "y", FET_SHAPE(4, 8));

    fet__output(f->g, "s", fet__sum(f->g, fet__mul(f->g, x, y), 1u));
    fet__output(f->g, "t", fet__sum(f->g, x, 2u)); /* nothing in front of it */
    groups_to(f, "%0 f32[4,8] = input() {name=\"x\"}\n"
                 "%1 f32[4,8] = input() {name=\"y\"}\n"
                 "%3 f32[1,8] = group(%0, %1) {full=[4,8] axes=[0]; r2 = mul(r0, r1)}\n"
                 "%4 f32[4,1] = sum(%0) {axes=[1]}\n"
                 "output \"s\" %3\n"
                 "output \"t\" %4\n");
}

static void test_single_operators_stay(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 8));

    fet__output(f->g, "y", fet__unary(f->g, FET__OP_EXP, x));
    groups_to(f, "%0 f32[4,8] = input() {name=\"x\"}\n"
                 "%1 f32[4,8] = exp(%0)\n"
                 "output \"y\" %1\n");
}

/* A value that somebody else wants ends its group; the broadcast is taken in twice. */
static void test_shared_values_stay_nodes(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 8)), *s = input(f, "s", FET_SHAPE(4, 1));
    fet__node *wide = fet__broadcast(f->g, s, FET_SHAPE(4, 8)),
              *a = fet__add(f->g, fet__unary(f->g, FET__OP_EXP, x), wide);

    fet__output(f->g, "y", fet__mul(f->g, fet__unary(f->g, FET__OP_TANH, a), wide));
    fet__output(f->g, "z", fet__softmax(f->g, a));
    groups_to(f, "%0 f32[4,8] = input() {name=\"x\"}\n"
                 "%1 f32[4,1] = input() {name=\"s\"}\n"
                 "%4 f32[4,8] = group(%0, %1) {full=[4,8] axes=[]; r2 = exp(r0); r3 = add(r2, r1)}\n"
                 "%6 f32[4,8] = group(%4, %1) {full=[4,8] axes=[]; r2 = tanh(r0); r3 = mul(r2, r1)}\n"
                 "%7 f32[4,8] = softmax(%4)\n"
                 "output \"y\" %6\n"
                 "output \"z\" %7\n");
}

static void test_dropout_in_f64(void **state)
{
    fixture *f = *state;
    fet__node *x = fet__input(f->g, "x", FET_F64, FET_SHAPE(4, 8)),
              *step = fet__input(f->g, "step", FET_I32, fet__shape_scalar());
    fet__node *count = fet__input(f->g, "n", FET_I32, FET_SHAPE(4, 8));
    fet__node *mask = fet__compare(f->g, FET__GE, fet__random(f->g, step, 9, 2, FET_F64, FET_SHAPE(4, 8)),
                                   fet__scalar(f->g, FET_F64, 0.25));

    x = fet__mul(f->g, x, fet__cast(f->g, count, FET_F64));
    fet__output(f->g, "y", fet__mul(f->g, x, mask));
    groups_to(f, "%0 f64[4,8] = input() {name=\"x\"}\n"
                 "%1 i32[] = input() {name=\"step\"}\n"
                 "%2 i32[4,8] = input() {name=\"n\"}\n"
                 "%9 f64[4,8] = group(%1, %2, %0) {full=[4,8] axes=[]; r3 = random(r0, seed=9, stream=2); r4 = "
                 "fill(value=0.25); "
                 "r5 = compare(r3, r4, relation=ge); r6 = cast(r1); r7 = mul(r2, r6); r8 = mul(r7, r5)}\n"
                 "output \"y\" %9\n");
}

/* A group must not keep forward inputs alive into the backward half. */
static void test_halves_do_not_mix(void **state)
{
    fixture *f = *state;
    const char *text = "%0 f32[4,8] = input() {name=\"x\"}\n"
                       "%1 f32[4,8] = exp(%0)\n"
                       "%2 f32[4,8] = tanh(%1) backward\n"
                       "output \"y\" %2\n";
    fet__graph *g = NULL;

    assert_ok(fet__graph_parse(&g, text, f->store));
    assert_ok(fet__pass_group(g));
    assert_string_equal(printed(g), text);
    fet__graph_destroy(g);
}

/* A state lives anyway: its decay joins the optimiser's group, though no gradient stands before it. */
static void test_states_may_mix(void **state)
{
    fixture *f = *state;
    const char *text = "%0 f32[4] = input() {name=\"x\"}\n"
                       "%1 f32[] = input() {name=\"rate\"}\n"
                       "%6 f32[1] = reshape(%1)\n"
                       "%2 f32[4] = broadcast(%6)\n"
                       "%3 f32[4] = mul($m, %2)\n"
                       "%4 f32[4] = tanh(%0) backward\n"
                       "%5 f32[4] = add(%3, %4) backward\n"
                       "assign $m %5\n";
    fet__param *m;
    fet__graph *g = NULL;

    assert_ok(fet__params_add(f->store, &m, "m", FET_F32, FET_SHAPE(4), FET__STATE));
    assert_ok(fet__graph_parse(&g, text, f->store));
    assert_ok(fet__pass_group(g));
    assert_non_null(strstr(printed(g), "mul("));
    assert_null(strstr(printed(g), "%3 f32")); /* inside the group only */
    fet__graph_destroy(g);
}

static void test_limits(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4)), *y = x;
    char name[16];

    for (int i = 0; i < 100; i++)
        y = fet__unary(f->g, i % 2 ? FET__OP_TANH : FET__OP_EXP, y);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "x%d", i);
        y = fet__add(f->g, y, input(f, name, FET_SHAPE(4)));
    }
    fet__output(f->g, "y", y);
    assert_ok(fet__pass_group(f->g));
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(live(f->g, FET__OP_EXP) + live(f->g, FET__OP_TANH) + live(f->g, FET__OP_ADD), 0);
    assert_true(live(f->g, FET__OP_GROUP) <= 6);
}

/* Programs compute what the nodes did: lowering a group gives the chain back. */
static void test_lowering_undoes_grouping(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(4, 8)), *b = input(f, "b", FET_SHAPE(1, 8)), *y;

    y = fet__sum(f->g, fet__mul(f->g, fet__unary(f->g, FET__OP_EXP, x), b), 2u);
    fet__output(f->g, "y", y);
    assert_ok(fet__pass_group(f->g));
    assert_int_equal(y->op, FET__OP_GROUP);
    fet__output(f->g, "low", fet__lower(f->g, y));
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(live(f->g, FET__OP_EXP), 1);
    assert_int_equal(live(f->g, FET__OP_BROADCAST), 1);
    assert_int_equal(live(f->g, FET__OP_SUM), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_chain_with_broadcasts),    TEST(test_sum_at_the_end), TEST(test_single_operators_stay),
        TEST(test_shared_values_stay_nodes), TEST(test_dropout_in_f64), TEST(test_halves_do_not_mix),
        TEST(test_states_may_mix),           TEST(test_limits),         TEST(test_lowering_undoes_grouping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
