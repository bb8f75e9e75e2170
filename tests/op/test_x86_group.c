/* The tile interpreter: broadcast patterns, tile shapes, reductions over every set of axes, programs of many instructions. */
#include <math.h>
#include <string.h>

#include "x86_testing.h"

static fet__shape with_ones(fet__shape s, uint32_t ones)
{
    for (int i = 0; i < s.rank; i++)
        if (ones >> i & 1u)
            s.dim[i] = 1;
    return s;
}

/* gelu(x * a + b) - c, with the inputs' axes in the three masks set to 1. */
static void check_chain(fet__shape full, uint32_t ones_a, uint32_t ones_b, uint32_t reduce)
{
    fet__group g = group_over(full, reduce, 4);
    trial t = trial_of(FET__OP_GROUP, with_ones(full, reduce));
    int16_t r;
    int64_t count = fet__shape_count(&full), results = fet__shape_count(&t.problem.output.shape);
    double terms = results ? (double)(count / results) : 0;

    r = group_add(&g, FET__OP_MUL, 0, 1, -1);
    r = group_add(&g, FET__OP_ADD, r, 2, -1);
    r = group_add(&g, FET__OP_GELU, r, -1, -1);
    group_add(&g, FET__OP_SUB, r, 3, -1);
    trial_input(&t, full);
    trial_input(&t, with_ones(full, ones_a));
    trial_input(&t, with_ones(full, ones_b));
    trial_input(&t, fet__shape_scalar());
    trial_group(&t, &g);
    trial_check(&t, 1e-6, 4e-7 * (1 + terms));
}

static void every_broadcast_and_every_reduction(void **state)
{
    static const int64_t shapes[][4] = {{2, 3, 5, 7}, {3, 1, 4, 33}, {2, 5, 3, 300}, {1, 2, 2, 1100}, {4, 9, 40, 3}};

    (void)state;
    for (size_t s = 0; s < FET_COUNT(shapes); s++)
        for (uint32_t reduce = 0; reduce < 16; reduce++)
            for (uint32_t ones = 0; ones < 16; ones++)
                check_chain(fet__shape_make(4, shapes[s]), ones, (ones * 7 + reduce) % 16, reduce);
}

static void long_sums_keep_their_digits(void **state)
{
    static const uint32_t axes[] = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(axes); i++) {
        fet__shape full = FET_SHAPE(3000, 130);
        trial t = trial_of(FET__OP_SUM, with_ones(full, axes[i]));

        t.low = 0.9f;
        t.high = 1.1f;
        t.problem.attr.reduce.axes = axes[i];
        trial_input(&t, full);
        trial_check(&t, 2e-7, 0);
    }
}

static void maxima_pass_nan_and_infinity(void **state)
{
    (void)state;
    for (uint32_t axes = 1; axes < 8; axes++)
        for (int kind = 0; kind < 3; kind++) {
            fet__shape full = FET_SHAPE(7, 70, 21);
            trial t = trial_of(FET__OP_REDUCE_MAX, with_ones(full, axes));
            float *x;

            t.problem.attr.reduce.axes = axes;
            x = trial_input(&t, full);
            x[1234] = kind == 0 ? 5.0f : kind == 1 ? NAN : INFINITY;
            for (int i = 0; i < 21 && kind == 2; i++)
                x[i] = -INFINITY;
            trial_check_exact(&t);
        }
}

static void sums_of_special_values(void **state)
{
    fet__shape full = FET_SHAPE(40, 300);

    (void)state;
    for (uint32_t axes = 1; axes < 4; axes++) {
        trial t = trial_of(FET__OP_SUM, with_ones(full, axes));
        float *x;

        t.problem.attr.reduce.axes = axes;
        x = trial_input(&t, full);
        x[5] = INFINITY;
        x[300 * 3 + 7] = NAN;
        x[300 * 9 + 5] = -INFINITY;
        trial_check(&t, 1e-6, 1e-4);
    }
}

static void nothing_to_sum_is_zero(void **state)
{
    fet__shape full = FET_SHAPE(0, 5);
    trial t = trial_of(FET__OP_SUM, FET_SHAPE(1, 5));

    (void)state;
    t.problem.attr.reduce.axes = 1;
    trial_input(&t, full);
    trial_check_exact(&t);
    t = trial_of(FET__OP_REDUCE_MAX, FET_SHAPE(1, 5));
    t.problem.attr.reduce.axes = 1;
    trial_input(&t, full);
    trial_check_exact(&t);
}

static void broadcasts(void **state)
{
    static const int64_t full[4] = {6, 5, 4, 50};

    (void)state;
    for (uint32_t ones = 0; ones < 16; ones++) {
        fet__shape s = fet__shape_make(4, full);
        trial t = trial_of(FET__OP_BROADCAST, s);

        trial_input(&t, with_ones(s, ones));
        trial_check_exact(&t);
    }
}

/* Dropout in a sum over columns: the random elements belong to places of the iteration space, whatever the tile. */
static void random_inside_a_group(void **state)
{
    static const uint32_t axes[] = {0, 1, 2, 4, 5, 7};

    (void)state;
    for (int wide = 0; wide < 2; wide++)
        for (size_t i = 0; i < FET_COUNT(axes); i++) {
            fet__shape full = FET_SHAPE(9, 6, wide ? 517 : 10);
            fet__group g = group_over(full, axes[i], 4);
            trial t = trial_of(FET__OP_GROUP, with_ones(full, axes[i]));
            int16_t r;

            r = group_add(&g, FET__OP_RANDOM, 1, -1, -1);
            g.instr[0].attr.random.seed = 99;
            g.instr[0].attr.random.stream = 3;
            r = group_add(&g, FET__OP_COMPARE, r, 2, -1);
            g.instr[1].attr.compare.relation = FET__GE;
            r = group_add(&g, FET__OP_MUL, r, 0, -1);
            group_add(&g, FET__OP_MUL, r, 3, -1);
            trial_input(&t, full);
            trial_labels(&t, fet__shape_scalar(), 0, 50);
            *trial_input(&t, fet__shape_scalar()) = 0.4f;
            trial_input(&t, with_ones(full, 2)); /* keeps the axes apart */
            trial_group(&t, &g);
            trial_check(&t, 1e-6, 1e-4);
        }
}

/* Adam with scalars of the step: many instructions, single values among them, an output over its input. */
static void a_long_program(void **state)
{
    fet__shape full = FET_SHAPE(3 * 1024 + 77);
    fet__group g = group_over(full, 0, 6);
    trial t = trial_of(FET__OP_GROUP, full);
    int16_t m, v, one, c1, c2, r;

    (void)state;
    one = group_add(&g, FET__OP_FILL, -1, -1, -1);
    g.instr[0].attr.fill.value = 1;
    c1 = group_add(&g, FET__OP_SUB, one, 4, -1);
    c2 = group_add(&g, FET__OP_SUB, one, 5, -1);
    m = group_add(&g, FET__OP_MUL, 2, 4, -1);
    r = group_add(&g, FET__OP_MUL, 1, c1, -1);
    m = group_add(&g, FET__OP_ADD, m, r, -1);
    v = group_add(&g, FET__OP_MUL, 3, 5, -1);
    r = group_add(&g, FET__OP_MUL, 1, 1, -1);
    r = group_add(&g, FET__OP_MUL, r, c2, -1);
    v = group_add(&g, FET__OP_ADD, v, r, -1);
    v = group_add(&g, FET__OP_SQRT, v, -1, -1);
    r = group_add(&g, FET__OP_ADD, v, c2, -1);
    r = group_add(&g, FET__OP_DIV, m, r, -1);
    r = group_add(&g, FET__OP_STOP_GRADIENT, r, -1, -1);
    group_add(&g, FET__OP_SUB, 0, r, -1);
    t.low = 0.1f;
    t.high = 0.9f;
    for (int i = 0; i < 4; i++)
        trial_input(&t, full);
    trial_input(&t, fet__shape_scalar());
    trial_input(&t, FET_SHAPE(1));
    trial_group(&t, &g);
    trial_check(&t, 1e-6, 1e-6);
}

/* A program's result may be an input, a copy of an earlier register, or one value. */
static void results_that_are_copies(void **state)
{
    (void)state;
    for (uint32_t reduce = 0; reduce < 4; reduce++)
        for (int kind = 0; kind < 3; kind++) {
            fet__shape full = FET_SHAPE(30, 45);
            fet__group g = group_over(full, reduce, 2);
            trial t = trial_of(FET__OP_GROUP, with_ones(full, reduce));
            int16_t r = group_add(&g, FET__OP_NEG, 0, -1, -1);

            if (kind == 0)
                group_add(&g, FET__OP_STOP_GRADIENT, 0, -1, -1);
            else if (kind == 1)
                group_add(&g, FET__OP_STOP_GRADIENT, 1, -1, -1);
            else {
                group_add(&g, FET__OP_EXP, r, -1, -1);
                group_add(&g, FET__OP_STOP_GRADIENT, r, -1, -1);
            }
            trial_input(&t, full);
            trial_input(&t, FET_SHAPE(1, 1));
            trial_group(&t, &g);
            trial_check(&t, 1e-6, 1e-4);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broadcast_and_every_reduction),
        cmocka_unit_test(long_sums_keep_their_digits),
        cmocka_unit_test(maxima_pass_nan_and_infinity),
        cmocka_unit_test(sums_of_special_values),
        cmocka_unit_test(nothing_to_sum_is_zero),
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(random_inside_a_group),
        cmocka_unit_test(a_long_program),
        cmocka_unit_test(results_that_are_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
