/* Programs: values come out right, views take no step, nothing allocates in a run, budgets and checks speak. */
#include "exec_testing.h"

static int steps_of(const fixture *f, const char *word)
{
    fet__text text = {0};
    int count = 0;

    assert_ok(fet__program_print(f->p, &text, true));
    for (const char *s = text.s; (s = strstr(s, word)) != NULL; s++)
        count++;
    fet__text_fini(&text);
    return count;
}

static void test_forward_values(void **state)
{
    const float x[] = {1, 2, 3, 4, 5, 6};
    fet__node *in, *w;
    fixture f;

    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        setup(&f);
        in = fet__input(f.g, "x", FET_F32, FET_SHAPE(2, 3));
        w = fet__leaf(f.g, ramp(f.store, "w", FET_SHAPE(2, 3), 0, 1));
        fet__output(f.g, "y", fet__linear(f.g, in, w, fet__leaf(f.g, ramp(f.store, "b", FET_SHAPE(2), 10, 10))));
        fet__output(f.g, "s", fet__sum_all(f.g, fet__mul(f.g, in, in)));
        create(&f, &(fet__program_options){.reference = reference == 1});
        for (int run = 0; run < 2; run++) {
            feed(&f, "x", x, 6);
            assert_ok(fet__program_run(f.p));
            expect_output(&f, "y", 18, 46, 27, 82);
            expect_output(&f, "s", 91);
        }
        assert_null(fet__program_output(f.p, "z"));
        assert_null(fet__program_input(f.p, "y"));
        teardown(&f);
    }
}

static void test_views_take_no_step(void **state)
{
    const float x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    fet__node *in, *rows;
    fixture f;

    (void)state;
    setup(&f);
    in = fet__input(f.g, "x", FET_F32, FET_SHAPE(4, 3));
    rows = fet__slice(f.g, fet__stop_gradient(f.g, in), 0, 1, 3);
    fet__output(f.g, "rows", rows);
    fet__output(f.g, "flat", fet__reshape(f.g, rows, FET_SHAPE(6)));
    fet__output(f.g, "cell", fet__slice(f.g, fet__slice(f.g, rows, 0, 1, 2), 1, 2, 3));
    fet__output(f.g, "turned",
                fet__transpose(f.g, fet__reshape(f.g, rows, FET_SHAPE(1, 2, 3)), (const int[]){1, 0, 2}));
    create(&f, NULL);
    assert_int_equal(fet__program_describe(f.p).steps, 0);
    feed(&f, "x", x, 12);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "rows", 3, 4, 5, 6, 7, 8);
    expect_output(&f, "flat", 3, 4, 5, 6, 7, 8);
    expect_output(&f, "cell", 8);
    expect_output(&f, "turned", 3, 4, 5, 6, 7, 8);
    assert_ptr_equal(fet__program_output(f.p, "rows"), (float *)fet__program_input(f.p, "x") + 3);
    teardown(&f);
}

static void test_cuts_that_are_not_contiguous_are_copied(void **state)
{
    const float x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    fet__node *in;
    fixture f;

    (void)state;
    setup(&f);
    in = fet__input(f.g, "x", FET_F32, FET_SHAPE(3, 3));
    fet__output(f.g, "column", fet__slice(f.g, in, 1, 1, 2));
    fet__output(f.g, "other",
                fet__slice_all(f.g, in, (const int64_t[]){0, 0}, (const int64_t[]){2, 1}, FET_SHAPE(2, 3)));
    fet__output(f.g, "turned", fet__transpose(f.g, in, (const int[]){1, 0}));
    create(&f, NULL);
    assert_int_equal(fet__program_describe(f.p).steps, 3);
    feed(&f, "x", x, 9);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "column", 1, 4, 7);
    expect_output(&f, "other", 0, 1, 2, 6, 7, 8);
    expect_output(&f, "turned", 0, 3, 6, 1, 4, 7, 2, 5, 8);
    teardown(&f);
}

/* A long element-wise chain that fusion cannot join, because each value is reduced, still runs in one buffer. */
static void test_results_are_written_over_dying_inputs(void **state)
{
    fet__program_info with, without;
    fet__node *x;
    fixture f;

    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        setup(&f);
        x = fet__input(f.g, "x", FET_F32, FET_SHAPE(64, 64));
        for (int i = 0; i < 6; i++)
            x = fet__mul(f.g, fet__unary(f.g, FET__OP_TANH, x), fet__sum_all(f.g, x));
        fet__output(f.g, "y", fet__sum_all(f.g, x));
        create(&f, &(fet__program_options){.reference = reference == 1});
        *(reference ? &without : &with) = fet__program_describe(f.p);
        if (!reference)
            assert_true(steps_of(&f, "in place") > 0);
        else
            assert_int_equal(steps_of(&f, "in place"), 0);
        teardown(&f);
    }
    assert_true(with.arena_bytes < without.arena_bytes);
}

/* The result may lie over t only if every read of t goes element by element; here each row also reads the third one. */
static void test_a_second_read_of_a_dying_input_forbids_the_overlay(void **state)
{
    enum { N = 300 };
    const float one = 1;
    fet__node *t, *y;
    fixture f;
    float *x;

    (void)state;
    setup(&f);
    t = fet__matmul(f.g, fet__input(f.g, "x", FET_F32, FET_SHAPE(4 * N, 1)),
                    fet__input(f.g, "y", FET_F32, FET_SHAPE(1, 1)), false, false);
    t = fet__reshape(f.g, t, FET_SHAPE(4, N));
    y = fet__mul(f.g, t, fet__slice(f.g, t, 0, 2, 3));
    fet__output(f.g, "z", fet__sum(f.g, fet__transpose(f.g, y, (const int[]){1, 0}), 1u));
    create(&f, NULL);
    feed(&f, "y", &one, 1);
    x = fet__program_input(f.p, "x");
    for (int i = 0; i < 4 * N; i++)
        x[i] = (float)(1 + i / N);
    assert_ok(fet__program_run(f.p));
    expect_output(&f, "z", 3 * N, 6 * N, 9 * N, 12 * N);
    teardown(&f);
}

static void test_nothing_allocates_in_a_run(void **state)
{
    fet__node *in, *w, *y, *loss, *grad;
    uint64_t before;
    fet__param *p;
    fixture f;

    (void)state;
    setup(&f);
    in = fet__input(f.g, "x", FET_F32, FET_SHAPE(8, 16));
    p = ramp(f.store, "w", FET_SHAPE(16, 16), -1, 0.01);
    w = fet__leaf(f.g, p);
    y = fet__gelu(f.g, fet__linear_nobias(f.g, in, w));
    y = fet__layer_norm(f.g, y, fet__fill(f.g, FET_F32, FET_SHAPE(16), 1), fet__fill(f.g, FET_F32, FET_SHAPE(16), 0),
                        1e-6);
    loss = fet__sum_all(f.g, fet__mul(f.g, y, fet__softmax(f.g, y)));
    assert_ok(fet__gradient(f.g, loss, &w, 1, false, &grad));
    fet__output(f.g, "loss", loss);
    fet__assign(f.g, w, fet__sub(f.g, w, fet__scale(f.g, grad, 0.01)));
    create(&f, &(fet__program_options){.require_finite = "loss"});
    memset(fet__program_input(f.p, "x"), 0, 8 * 16 * sizeof(float));
    fet__program_profile(f.p, true);
    before = fet__alloc_calls();
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0)
            p->version++;
        assert_ok(fet__program_run(f.p));
    }
    assert_int_equal(fet__alloc_calls(), before);
    teardown(&f);
}

static void test_budget_is_kept_and_explained(void **state)
{
    fet__program_info info;
    fet__node *x;
    fixture f;

    (void)state;
    setup(&f);
    fet__scope_push(f.g, "blocks.3");
    x = fet__input(f.g, "x", FET_F32, FET_SHAPE(512, 512));
    x = fet__matmul(f.g, x, x, false, false);
    fet__output(f.g, "y", x);
    fet__scope_pop(f.g);
    assert_int_equal(fet__program_create(&f.p, f.g, &(fet__program_options){.memory = 1 << 20}), FET_E_NOMEM);
    assert_null(f.p);
    assert_non_null(strstr(fet_error_message(), "memory budget is 1.0 MiB"));
    assert_non_null(strstr(fet_error_message(), "matmul [512, 512] in 'blocks.3'"));
    assert_non_null(strstr(fet_error_message(), "smaller batch"));
    create(&f, &(fet__program_options){.memory = 64 << 20});
    info = fet__program_describe(f.p);
    assert_true(info.arena_bytes >= 2 << 20);
    assert_true(info.total_bytes <= 64 << 20);
    assert_true(info.floor_bytes <= info.arena_bytes);
    assert_true(info.flops >= 2.0 * 512 * 512 * 512);
    teardown(&f);
}

/* Packed copies are given up when they do not fit. Without a library that packs there is nothing to give up. */
static void test_packed_copies_yield_to_the_budget(void **state)
{
    fet__program_info packed = {0}, plain;
    float first[8] = {0};

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        fet__node *x;
        fixture f;

        setup(&f);
        x = fet__input(f.g, "x", FET_F32, FET_SHAPE(1, 512));
        for (int i = 0; i < 4; i++) {
            fet__param *w = ramp(f.store,
                                 i == 0   ? "a"
                                 : i == 1 ? "b"
                                 : i == 2 ? "c"
                                          : "d",
                                 FET_SHAPE(512, 512), -0.1, 1e-6);

            x = fet__linear_nobias(f.g, x, fet__leaf(f.g, w));
        }
        fet__output(f.g, "y", x);
        create(&f, pass == 0 ? NULL : &(fet__program_options){.memory = packed.total_bytes - 1});
        *(pass == 0 ? &packed : &plain) = fet__program_describe(f.p);
        for (int i = 0; i < 512; i++)
            ((float *)fet__program_input(f.p, "x"))[i] = (float)i / 512;
        assert_ok(fet__program_run(f.p));
        for (int i = 0; i < 8; i++)
            if (pass == 0)
                first[i] = ((const float *)fet__program_output(f.p, "y"))[i];
            else
                assert_true(fabsf(first[i] - ((const float *)fet__program_output(f.p, "y"))[i]) <=
                            1e-4f * fabsf(first[i]));
        teardown(&f);
        if (packed.packed_bytes == 0)
            skip();
    }
    assert_int_equal(plain.packed_bytes, 0);
    assert_true(plain.total_bytes < packed.total_bytes);
}

static void test_check_finite_names_the_first_node(void **state)
{
    const float bad[] = {1, 0};
    fixture f;

    (void)state;
    setup(&f);
    fet__node *x = fet__input(f.g, "x", FET_F32, FET_SHAPE(2));

    fet__scope_push(f.g, "blocks.1.mlp");
    x = fet__sum_all(f.g, fet__unary(f.g, FET__OP_LOG, x));
    fet__scope_pop(f.g);
    fet__output(f.g, "y", fet__unary(f.g, FET__OP_NEG, x));
    create(&f, &(fet__program_options){.check_finite = true, .reference = true});
    feed(&f, "x", bad, 2);
    assert_int_equal(fet__program_run(f.p), FET_E_NUMERIC);
    assert_non_null(strstr(fet_error_message(), "log %"));
    assert_non_null(strstr(fet_error_message(), "blocks.1.mlp"));
    assert_non_null(strstr(fet_error_message(), "element 1 is -inf"));
    teardown(&f);
}

static void test_kernel_failures_say_where(void **state)
{
    const int32_t label = 7;
    const float z[] = {1, 2, 3};
    fet__node *n;
    fixture f;

    (void)state;
    setup(&f);
    fet__scope_push(f.g, "head");
    n = fet__cross_entropy(f.g, fet__input(f.g, "z", FET_F32, FET_SHAPE(1, 3)),
                           fet__input(f.g, "l", FET_I32, FET_SHAPE(1)), 0);
    fet__scope_pop(f.g);
    fet__output(f.g, "loss", n);
    create(&f, NULL);
    feed(&f, "z", z, 3);
    memcpy(fet__program_input(f.p, "l"), &label, sizeof label);
    assert_int_not_equal(fet__program_run(f.p), FET_OK);
    assert_non_null(strstr(fet_error_message(), "cross_entropy in 'head'"));
    teardown(&f);
}

static void test_a_broken_graph_is_refused(void **state)
{
    fixture f;

    (void)state;
    setup(&f);
    fet__output(
        f.g, "y",
        fet__add(f.g, fet__input(f.g, "a", FET_F32, FET_SHAPE(2)), fet__input(f.g, "b", FET_F32, FET_SHAPE(3))));
    assert_int_equal(fet__program_create(&f.p, f.g, NULL), FET_E_ARG);
    assert_null(f.p);
    teardown(&f);
    setup(&f);
    fet__output(f.g, "y", fet__input(f.g, "a", FET_F32, FET_SHAPE(2)));
    assert_int_equal(fet__program_create(&f.p, f.g, &(fet__program_options){.require_finite = "loss"}), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "'loss'"));
    teardown(&f);
}

static void test_print_and_profile(void **state)
{
    fet__text text = {0};
    fet__node *x;
    fixture f;

    (void)state;
    setup(&f);
    fet__scope_push(f.g, "body");
    x = fet__input(f.g, "x", FET_F32, FET_SHAPE(64, 64));
    fet__output(f.g, "y", fet__softmax(f.g, fet__matmul(f.g, x, x, false, true)));
    fet__scope_pop(f.g);
    create(&f, NULL);
    memset(fet__program_input(f.p, "x"), 0, 64 * 64 * sizeof(float));
    fet__program_profile(f.p, true);
    for (int i = 0; i < 3; i++)
        assert_ok(fet__program_run(f.p));
    assert_ok(fet__program_print(f.p, &text, true));
    assert_non_null(strstr(text.s, "matmul"));
    assert_non_null(strstr(text.s, "[64, 64]"));
    assert_non_null(strstr(text.s, "body"));
    fet__text_fini(&text);
    assert_ok(fet__program_profile_print(f.p, &text));
    assert_non_null(strstr(text.s, "softmax"));
    assert_non_null(strstr(text.s, "     3 "));
    fet__text_fini(&text);
    teardown(&f);
}

static void test_double_and_integer_inputs(void **state)
{
    const double x[] = {0.5, 0.25};
    const int32_t rows[] = {1, 0, 1};
    fixture f;

    (void)state;
    setup(&f);
    fet__node *in = fet__input(f.g, "x", FET_F64, FET_SHAPE(2, 1));

    fet__output(f.g, "y", fet__gather(f.g, fet__mul(f.g, in, in), fet__input(f.g, "i", FET_I32, FET_SHAPE(3))));
    create(&f, NULL);
    memcpy(fet__program_input(f.p, "x"), x, sizeof x);
    memcpy(fet__program_input(f.p, "i"), rows, sizeof rows);
    assert_ok(fet__program_run(f.p));
    const double *y = fet__program_output(f.p, "y");

    assert_true(y[0] == 0.0625 && y[1] == 0.25 && y[2] == 0.0625);
    teardown(&f);
}

static void test_no_memory_is_a_status_at_every_place(void **state)
{
    int failures = 0;

    (void)state;
    for (uint64_t n = 1; n < 400; n++) {
        fixture f;
        fet_status st;

        setup(&f);
        fet__node *x = fet__input(f.g, "x", FET_F32, FET_SHAPE(4, 4));
        fet__node *w = fet__leaf(f.g, ramp(f.store, "w", FET_SHAPE(4, 4), 0, 1));

        fet__output(f.g, "y", fet__linear_nobias(f.g, x, fet__mul(f.g, w, w)));
        fet__alloc_fail_after(n);
        st = fet__program_create(&f.p, f.g, &(fet__program_options){.memory = 1 << 30, .reference = true});
        fet__alloc_fail_after(0);
        assert_true(st == FET_OK || (st == FET_E_NOMEM && f.p == NULL));
        failures += st != FET_OK;
        teardown(&f);
        if (st == FET_OK)
            break;
    }
    assert_in_range(failures, 10, 398);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_values),
        cmocka_unit_test(test_views_take_no_step),
        cmocka_unit_test(test_cuts_that_are_not_contiguous_are_copied),
        cmocka_unit_test(test_results_are_written_over_dying_inputs),
        cmocka_unit_test(test_a_second_read_of_a_dying_input_forbids_the_overlay),
        cmocka_unit_test(test_nothing_allocates_in_a_run),
        cmocka_unit_test(test_budget_is_kept_and_explained),
        cmocka_unit_test(test_packed_copies_yield_to_the_budget),
        cmocka_unit_test(test_check_finite_names_the_first_node),
        cmocka_unit_test(test_kernel_failures_say_where),
        cmocka_unit_test(test_a_broken_graph_is_refused),
        cmocka_unit_test(test_print_and_profile),
        cmocka_unit_test(test_double_and_integer_inputs),
        cmocka_unit_test(test_no_memory_is_a_status_at_every_place),
    };

    return cmocka_run_group_tests_name("exec.program", tests, NULL, NULL);
}
