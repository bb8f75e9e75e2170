/* Values of frozen things: computed at the first run, kept, and computed again when a version grows; programs that share a store. */
#include "exec_testing.h"

static void test_once_values_follow_versions(void **state)
{
    const float x[] = {1, 1};
    fet__param *w, *v;
    fixture f;

    (void)state;
    setup(&f);
    w = ramp(f.store, "w", FET_SHAPE(2), 1, 1);
    v = ramp(f.store, "v", FET_SHAPE(2), 10, 0);
    fet__node *square = fet__mul(f.g, fet__leaf(f.g, w), fet__leaf(f.g, w));
    fet__node *in = fet__input(f.g, "x", FET_F32, FET_SHAPE(2));

    fet__output(f.g, "y",
                fet__matmul(f.g, fet__reshape(f.g, in, FET_SHAPE(2, 1)), fet__reshape(f.g, square, FET_SHAPE(1, 2)),
                            false, false));
    fet__output(f.g, "z", fet__unary(f.g, FET__OP_NEG, fet__leaf(f.g, v)));
    create(&f, NULL);
    assert_true(fet__program_describe(f.p).once_bytes > 0);
    feed(&f, "x", x, 2);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 1, 4, 1, 4);
    expect_output(&f, "z", -10, -10);
    ((float *)w->data)[0] = 5;
    ((float *)v->data)[0] = 6;
    assert_ok(fet__program_run(f.p)); /* nobody said that data changed */
    expect_output(&f, "y", 1, 4, 1, 4);
    w->version++;
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 25, 4, 25, 4);
    expect_output(&f, "z", -10, -10);
    v->version++;
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 25, 4, 25, 4);
    expect_output(&f, "z", -6, -10);
    teardown(&f);
}

/* Values on the way to a kept one are temporaries: a change in one branch computes what it needs of the other again. */
static void test_temporaries_of_the_prologue_are_made_again(void **state)
{
    fet__param *a, *b;
    fixture f;

    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        setup(&f);
        a = ramp(f.store, "a", FET_SHAPE(2, 2), 1, 1);
        b = ramp(f.store, "b", FET_SHAPE(2, 2), 1, 0);
        fet__node *na = fet__leaf(f.g, a), *nb = fet__leaf(f.g, b);
        fet__node *ma = fet__matmul(f.g, na, na, false, false), *mb = fet__matmul(f.g, nb, nb, false, false);
        fet__node *x = fet__input(f.g, "x", FET_F32, FET_SHAPE(2, 2));

        fet__output(f.g, "y", fet__add(f.g, x, fet__matmul(f.g, ma, mb, false, false)));
        create(&f, &(fet__program_options){.reference = reference == 1});
        for (int run = 0; run < 3; run++) {
            memset(fet__program_input(f.p, "x"), 0, 16);
            assert_ok(fet__program_run(f.p));
            if (run == 0)
                expect_output(&f, "y", 34, 34, 74, 74);
        }
        for (int i = 0; i < 4; i++)
            ((float *)b->data)[i] = 2;
        b->version++;
        assert_ok(fet__program_run(f.p));
        expect_output(&f, "y", 136, 136, 296, 296);
        teardown(&f);
    }
}

static void run_eval(fet__program *p, double want)
{
    float *x = fet__program_input(p, "x");

    for (int i = 0; i < 64 * 64; i++)
        x[i] = i % 65 == 0;
    assert_ok(fet__program_run(p));
    expect(fet__program_output(p, "y"), (const double[]){want}, 1);
}

/* One program trains w, the other holds it frozen (packed where its kernel packs): each run of the first is seen by the second. */
static void test_two_programs_share_a_store(void **state)
{
    fet__program *eval = NULL;
    fet__graph *g = NULL;
    fet__param *w;
    fixture f;

    (void)state;
    setup(&f);
    w = ramp(f.store, "w", FET_SHAPE(64, 64), 1, 0);
    fet__assign(f.g, fet__leaf(f.g, w), fet__shift(f.g, fet__leaf(f.g, w), 1));
    create(&f, NULL);
    assert_ok(fet__graph_create(&g));
    fet__output(g, "y", fet__linear_nobias(g, fet__input(g, "x", FET_F32, FET_SHAPE(64, 64)), fet__leaf(g, w)));
    assert_ok(fet__program_create(&eval, g, NULL));
    run_eval(eval, 1);
    for (int i = 0; i < 3; i++) {
        assert_ok(fet__program_run(f.p));
        run_eval(eval, i + 2);
    }
    fet__program_destroy(eval);
    fet__graph_destroy(g);
    teardown(&f);
}

/* What the graph assigns is not frozen: values that depend on it are computed at each run. */
static void test_assigned_states_are_not_frozen(void **state)
{
    fet__param *w;
    fixture f;

    (void)state;
    setup(&f);
    w = ramp(f.store, "w", FET_SHAPE(2), 1, 0);
    fet__node *n = fet__leaf(f.g, w);

    fet__output(f.g, "y", fet__mul(f.g, n, n));
    fet__assign(f.g, n, fet__scale(f.g, n, 2));
    create(&f, NULL);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 1, 1);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 4, 4);
    teardown(&f);
}

/* A parameter's memory may move between runs. */
static void test_moved_parameters_are_found(void **state)
{
    static const float data[] = {1, 2};
    fet__param *w;
    fixture f;

    (void)state;
    setup(&f);
    assert_ok(fet__params_add_borrowed(f.store, &w, "w", FET_F32, FET_SHAPE(2), FET__PARAM, data));
    fet__output(f.g, "y", fet__add(f.g, fet__input(f.g, "x", FET_F32, FET_SHAPE(2)), fet__leaf(f.g, w)));
    fet__output(f.g, "w", fet__leaf(f.g, w));
    create(&f, NULL);
    memset(fet__program_input(f.p, "x"), 0, 8);
    assert_ok(fet__program_run(f.p));
    assert_ok(fet__param_own(w));
    ((float *)w->data)[0] = 9;
    w->version++;
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "y", 9, 2);
    expect_output(&f, "w", 9, 2);
    teardown(&f);
}

static void test_evaluate_node(void **state)
{
    const float c[] = {1, 4, 9};
    float out[3];
    fixture f;

    (void)state;
    setup(&f);
    fet__node *n = fet__mul(f.g, fet__unary(f.g, FET__OP_SQRT, fet__const(f.g, FET_F32, FET_SHAPE(3), c)),
                            fet__fill(f.g, FET_F32, FET_SHAPE(3), 2));

    assert_ok(fet__evaluate_node(NULL, n, out));
    expect(out, (const double[]){2, 4, 6}, 3);
    assert_ok(fet__evaluate_node(NULL, fet__slice(f.g, fet__iota(f.g, FET_F32, 5), 0, 2, 4), out));
    expect(out, (const double[]){2, 3}, 2);
    n = fet__unary(f.g, FET__OP_NEG, fet__input(f.g, "x", FET_F32, FET_SHAPE(3)));
    assert_int_equal(fet__evaluate_node(NULL, n, out), FET_E_BUG);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_values_follow_versions),
        cmocka_unit_test(test_temporaries_of_the_prologue_are_made_again),
        cmocka_unit_test(test_two_programs_share_a_store),
        cmocka_unit_test(test_assigned_states_are_not_frozen),
        cmocka_unit_test(test_moved_parameters_are_found),
        cmocka_unit_test(test_evaluate_node),
    };

    return cmocka_run_group_tests_name("exec.once", tests, NULL, NULL);
}
