/* Assigns: old values are read before new ones are written, a failed check leaves the store untouched, copies are avoided where that
 * is safe. */
#include "exec_testing.h"

static int copies(const fixture *f)
{
    fet__text text = {0};
    int count = 0;

    assert_ok(fet__program_print(f->p, &text, true));
    for (const char *s = text.s; (s = strstr(s, " assign ")) != NULL; s++)
        count++;
    fet__text_fini(&text);
    return count;
}

static void test_swap(void **state)
{
    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        fet__param *a, *b;
        fixture f;

        setup(&f);
        a = ramp(f.store, "a", FET_SHAPE(3), 1, 1);
        b = ramp(f.store, "b", FET_SHAPE(3), 10, 10);
        fet__assign(f.g, fet__leaf(f.g, a), fet__leaf(f.g, b));
        fet__assign(f.g, fet__leaf(f.g, b), fet__leaf(f.g, a));
        create(&f, &(fet__program_options){.reference = reference == 1});
        assert_ok(fet__program_run(f.p));
        expect_param(a, 10, 20, 30);
        expect_param(b, 1, 2, 3);
        assert_ok(fet__program_run(f.p));
        expect_param(a, 1, 2, 3);
        teardown(&f);
    }
}

/* m' = m / 2 + g, p' = p - m', e' = e / 2 + p (the old p), and an output that shows the old p. */
static void test_chain_of_updates(void **state)
{
    const float grad[] = {1, 2};

    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        fet__param *m, *p, *e;
        fet__node *nm, *np, *ne, *g, *m2;
        fixture f;

        setup(&f);
        m = ramp(f.store, "m", FET_SHAPE(2), 2, 2);
        p = ramp(f.store, "p", FET_SHAPE(2), 100, 100);
        e = ramp(f.store, "e", FET_SHAPE(2), 8, 0);
        nm = fet__leaf(f.g, m);
        np = fet__leaf(f.g, p);
        ne = fet__leaf(f.g, e);
        g = fet__input(f.g, "g", FET_F32, FET_SHAPE(2));
        m2 = fet__add(f.g, fet__scale(f.g, nm, 0.5), g);
        fet__assign(f.g, nm, m2);
        fet__assign(f.g, np, fet__sub(f.g, np, m2));
        fet__assign(f.g, ne, fet__add(f.g, fet__scale(f.g, ne, 0.5), np));
        fet__output(f.g, "old", np);
        fet__output(f.g, "loss", fet__sum_all(f.g, g));
        create(&f, &(fet__program_options){.reference = reference == 1, .require_finite = "loss"});
        feed(&f, "g", grad, 2);
        assert_ok(fet__program_run(f.p));
        expect_output(&f, "old", 100, 200);
        expect_param(m, 2, 4);
        expect_param(p, 98, 196);
        expect_param(e, 104, 204);
        assert_ok(fet__program_run(f.p));
        expect_output(&f, "old", 98, 196);
        expect_param(m, 2, 4);
        expect_param(p, 96, 192);
        expect_param(e, 150, 298);
        if (reference)
            assert_int_equal(copies(&f), 3);
        else
            assert_true(copies(&f) < 3);
        teardown(&f);
    }
}

static void test_values_without_a_step_are_copied(void **state)
{
    const float x[] = {4, 5};
    const float c[] = {8, 9};
    fet__param *p, *q, *r, *same;
    fixture f;

    (void)state;
    setup(&f);
    p = ramp(f.store, "p", FET_SHAPE(2), 0, 0);
    q = ramp(f.store, "q", FET_SHAPE(2), 0, 0);
    r = ramp(f.store, "r", FET_SHAPE(2, 1), 0, 0);
    same = ramp(f.store, "same", FET_SHAPE(2), 3, 1);
    fet__assign(f.g, fet__leaf(f.g, p), fet__input(f.g, "x", FET_F32, FET_SHAPE(2)));
    fet__assign(f.g, fet__leaf(f.g, q), fet__const(f.g, FET_F32, FET_SHAPE(2), c));
    fet__assign(f.g, fet__leaf(f.g, r), fet__reshape(f.g, fet__fill(f.g, FET_F32, FET_SHAPE(2), 7), FET_SHAPE(2, 1)));
    fet__assign(f.g, fet__leaf(f.g, same), fet__leaf(f.g, same));
    create(&f, NULL);
    feed(&f, "x", x, 2);
    assert_ok(fet__program_run(f.p));
    expect_param(p, 4, 5);
    expect_param(q, 8, 9);
    expect_param(r, 7, 7);
    expect_param(same, 3, 4);
    teardown(&f);
}

static void test_a_failed_check_leaves_the_store_untouched(void **state)
{
    const float good[] = {1, 2}, bad[] = {1, -1};
    fet__param *p, *q;
    uint64_t version;
    fixture f;

    (void)state;
    setup(&f);
    p = ramp(f.store, "p", FET_SHAPE(2), 1, 1);
    q = ramp(f.store, "q", FET_SHAPE(2), 5, 1);
    fet__node *x = fet__input(f.g, "x", FET_F32, FET_SHAPE(2)), *np = fet__leaf(f.g, p), *nq = fet__leaf(f.g, q);

    fet__assign(f.g, np, fet__add(f.g, np, x));
    fet__assign(f.g, nq, np);
    fet__output(f.g, "loss", fet__sum_all(f.g, fet__unary(f.g, FET__OP_LOG, x)));
    create(&f, &(fet__program_options){.require_finite = "loss"});
    version = p->version;
    feed(&f, "x", bad, 2);
    assert_int_equal(fet__program_run(f.p), FET_E_NUMERIC);
    assert_non_null(strstr(fet_error_message(), "loss is not finite"));
    expect_param(p, 1, 2);
    expect_param(q, 5, 6);
    assert_int_equal(p->version, version);
    feed(&f, "x", good, 2);
    assert_ok(fet__program_run(f.p));
    expect_param(p, 2, 4);
    expect_param(q, 1, 2);
    assert_true(p->version > version);
    teardown(&f);
}

/* A step that can fail, needed by nothing that is assigned or required, still runs before the store is written. */
static void test_a_failing_step_leaves_the_store_untouched(void **state)
{
    const float x[] = {1, 2};
    const int32_t row = 5;
    fet__param *p;
    fixture f;

    (void)state;
    setup(&f);
    p = ramp(f.store, "p", FET_SHAPE(2), 1, 1);
    fet__node *in = fet__input(f.g, "x", FET_F32, FET_SHAPE(2)), *np = fet__leaf(f.g, p);

    fet__assign(f.g, np, fet__add(f.g, np, in));
    fet__output(f.g, "y", fet__gather(f.g, in, fet__input(f.g, "row", FET_I32, FET_SHAPE(1))));
    create(&f, NULL);
    assert_int_equal(copies(&f), 0);
    feed(&f, "x", x, 2);
    memcpy(fet__program_input(f.p, "row"), &row, sizeof row);
    assert_int_not_equal(fet__program_run(f.p), FET_OK);
    expect_param(p, 1, 2);
    teardown(&f);
}

/* The required value may itself be the new value of a parameter. */
static void test_a_required_value_that_is_assigned(void **state)
{
    const float bad[] = {INFINITY};
    fet__param *p;
    fixture f;

    (void)state;
    setup(&f);
    p = ramp(f.store, "p", FET_SHAPE(1), 1, 1);
    fet__node *np = fet__leaf(f.g, p), *next = fet__add(f.g, np, fet__input(f.g, "x", FET_F32, FET_SHAPE(1)));

    fet__assign(f.g, np, next);
    fet__output(f.g, "next", next);
    create(&f, &(fet__program_options){.require_finite = "next"});
    feed(&f, "x", bad, 1);
    assert_int_equal(fet__program_run(f.p), FET_E_NUMERIC);
    expect_param(p, 1);
    teardown(&f);
}

static void test_borrowed_targets_are_copied_before_they_are_written(void **state)
{
    static const float data[] = {1, 2};
    fet__param *p;
    fixture f;

    (void)state;
    setup(&f);
    assert_ok(fet__params_add_borrowed(f.store, &p, "p", FET_F32, FET_SHAPE(2), FET__PARAM, data));
    fet__assign(f.g, fet__leaf(f.g, p), fet__shift(f.g, fet__leaf(f.g, p), 1));
    create(&f, NULL);
    assert_false(p->borrowed);
    assert_ok(fet__program_run(f.p));
    expect_param(p, 2, 3);
    assert_true(data[0] == 1 && data[1] == 2);
    teardown(&f);
}

/* A value that is a transposed read of its own target must not be written in place. */
static void test_shuffled_reads_of_the_target(void **state)
{
    fet__param *p;
    fixture f;

    (void)state;
    setup(&f);
    p = ramp(f.store, "p", FET_SHAPE(2, 2), 1, 1);
    fet__node *n = fet__leaf(f.g, p);

    fet__assign(f.g, n, fet__transpose(f.g, n, (const int[]){1, 0}));
    create(&f, NULL);
    assert_ok(fet__program_run(f.p));
    expect_param(p, 1, 3, 2, 4);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_chain_of_updates),
        cmocka_unit_test(test_values_without_a_step_are_copied),
        cmocka_unit_test(test_a_failed_check_leaves_the_store_untouched),
        cmocka_unit_test(test_a_failing_step_leaves_the_store_untouched),
        cmocka_unit_test(test_a_required_value_that_is_assigned),
        cmocka_unit_test(test_borrowed_targets_are_copied_before_they_are_written),
        cmocka_unit_test(test_shuffled_reads_of_the_target),
    };

    return cmocka_run_group_tests_name("exec.assign", tests, NULL, NULL);
}
