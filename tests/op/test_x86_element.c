/* Single element-wise operators on vectors: accuracy over their range, special values, tails. */
#include <math.h>

#include "x86_testing.h"

static const float special[] = {0.0f,     -0.0f,  INFINITY, -INFINITY, NAN,     1.0f,  -1.0f,   3.4e38f,
                                -3.4e38f, 1e-30f, -1e-30f,  88.72f,    -87.3f,  89.5f, -103.5f, 1e10f,
                                -1e10f,   0.5f,   1e-40f,   200.0f,    -200.0f, 13.0f, -13.0f};

static void check_unary(fet__op op, float low, float high, double relative, double absolute)
{
    static const int64_t sizes[] = {1, 7, 8, 16, 33, 1024, 1030, 5000};

    for (size_t i = 0; i < FET_COUNT(sizes); i++) {
        trial t = trial_of(op, FET_SHAPE(sizes[i]));

        t.low = low;
        t.high = high;
        trial_input(&t, FET_SHAPE(sizes[i]));
        if (op == FET__OP_POW_INT)
            t.problem.attr.power.n = i % 2 ? 3 : -2;
        trial_check(&t, relative, absolute);
    }
}

static void check_special(fet__op op, double relative)
{
    int64_t n = (int64_t)FET_COUNT(special);
    trial t = trial_of(op, FET_SHAPE(n));
    float *x = trial_input(&t, FET_SHAPE(n));

    for (int64_t i = 0; i < n; i++)
        x[i] = special[i];
    trial_check(&t, relative, 1e-37);
}

static void unary_operators_are_accurate(void **state)
{
    (void)state;
    check_unary(FET__OP_EXP, -87, 88, 1.5e-7, 0);
    check_unary(FET__OP_EXP, -1, 1, 1.3e-7, 0);
    check_unary(FET__OP_LOG, 0.5f, 2, 1.3e-7, 1e-9);
    check_unary(FET__OP_LOG, 1e-6f, 1e6f, 1.3e-7, 1e-9);
    check_unary(FET__OP_TANH, -1, 1, 2.5e-7, 0);
    check_unary(FET__OP_TANH, -12, 12, 2.5e-7, 0);
    check_unary(FET__OP_ERF, -1, 1, 2.5e-7, 0);
    check_unary(FET__OP_ERF, -5, 5, 0, 1.2e-7);
    check_unary(FET__OP_SIGMOID, -30, 30, 2.5e-7, 0);
    check_unary(FET__OP_GELU, -4, 4, 6e-7, 0);
    check_unary(FET__OP_GELU, -1, 4, 5e-7, 0);
    check_unary(FET__OP_GELU_GRAD, -4, 4, 4e-7, 2e-7);
    check_unary(FET__OP_SQRT, 0, 100, 7e-8, 0);
    check_unary(FET__OP_RSQRT, 1e-3f, 100, 1.5e-7, 0);
    check_unary(FET__OP_POW_INT, -3, 3, 3e-7, 0);
    check_unary(FET__OP_NEG, -3, 3, 0, 0);
    check_unary(FET__OP_ABS, -3, 3, 0, 0);
    check_unary(FET__OP_CAST, -3, 3, 0, 0);
    check_unary(FET__OP_STOP_GRADIENT, -3, 3, 0, 0);
}

static void special_values_follow_the_reference(void **state)
{
    static const fet__op ops[] = {FET__OP_EXP,     FET__OP_LOG,  FET__OP_TANH,      FET__OP_ERF,
                                  FET__OP_SIGMOID, FET__OP_GELU, FET__OP_GELU_GRAD, FET__OP_SQRT,
                                  FET__OP_RSQRT,   FET__OP_NEG,  FET__OP_ABS};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(ops); i++)
        check_special(ops[i], 4e-7);
}

static void binary_operators_hold_for_every_pair_of_special_values(void **state)
{
    static const fet__op ops[] = {FET__OP_ADD, FET__OP_SUB, FET__OP_MUL, FET__OP_DIV, FET__OP_MIN, FET__OP_MAX};
    int64_t n = (int64_t)FET_COUNT(special);

    (void)state;
    for (size_t o = 0; o < FET_COUNT(ops) + 6; o++) {
        bool compares = o >= FET_COUNT(ops);
        trial t = trial_of(compares ? FET__OP_COMPARE : ops[o], FET_SHAPE(n, n));
        float *a = trial_input(&t, FET_SHAPE(n, n)), *b = trial_input(&t, FET_SHAPE(n, n));

        if (compares)
            t.problem.attr.compare.relation = (int32_t)(o - FET_COUNT(ops));
        for (int64_t i = 0; i < n * n; i++) {
            a[i] = special[i / n];
            b[i] = special[i % n];
        }
        trial_check(&t, 1e-7, 1e-44);
    }
}

static void where_takes_the_side_that_the_condition_names(void **state)
{
    trial t = trial_of(FET__OP_WHERE, FET_SHAPE(3, 41));
    float *c;

    (void)state;
    c = trial_input(&t, FET_SHAPE(3, 41));
    for (int i = 0; i < 3 * 41; i++)
        c[i] = i % 5 == 0 ? NAN : (float)(i % 3 - 1);
    trial_input(&t, FET_SHAPE(3, 41));
    trial_input(&t, FET_SHAPE(3, 41));
    trial_check_exact(&t);
}

static void integers_are_cast_and_nothing_else(void **state)
{
    trial t = trial_of(FET__OP_CAST, FET_SHAPE(1037));

    (void)state;
    trial_labels(&t, FET_SHAPE(1037), -1000000, 16000000);
    trial_check_exact(&t);
    t = trial_of(FET__OP_NEG, FET_SHAPE(5));
    trial_labels(&t, FET_SHAPE(5), 0, 3);
    trial_refused(&t);
}

static void random_numbers_are_philox(void **state)
{
    static const int64_t sizes[] = {1, 3, 64, 65, 1024, 1500, 40001};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(sizes); i++) {
        trial t = trial_of(FET__OP_RANDOM, FET_SHAPE(sizes[i]));

        t.problem.attr.random.seed = 0x123456789abcdef0u + i;
        t.problem.attr.random.stream = 77;
        trial_labels(&t, fet__shape_scalar(), 3, 1000);
        trial_check_exact(&t);
    }
}

static void fill_and_scalars(void **state)
{
    trial t = trial_of(FET__OP_FILL, FET_SHAPE(3, 7, 11));

    (void)state;
    t.problem.attr.fill.value = 0.25;
    trial_check_exact(&t);
    t = trial_of(FET__OP_ADD, fet__shape_scalar());
    trial_input(&t, fet__shape_scalar());
    trial_input(&t, fet__shape_scalar());
    trial_check(&t, 1e-7, 0);
    t = trial_of(FET__OP_EXP, FET_SHAPE(0, 3));
    trial_input(&t, FET_SHAPE(0, 3));
    trial_check_exact(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_operators_are_accurate),
        cmocka_unit_test(special_values_follow_the_reference),
        cmocka_unit_test(binary_operators_hold_for_every_pair_of_special_values),
        cmocka_unit_test(where_takes_the_side_that_the_condition_names),
        cmocka_unit_test(integers_are_cast_and_nothing_else),
        cmocka_unit_test(random_numbers_are_philox),
        cmocka_unit_test(fill_and_scalars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
