/* Element-wise operators and those that make values: each by hand on a few numbers, then every row against the
 * reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "op/kernel_case.h"

/* Two operands and what each operator makes of them. */
static const double left[6] = {-2, -0.5, 0, 0.5, 1, 3}, right[6] = {3, -0.5, 0.25, -1, 1, 0.5};

typedef struct known {
    fet__op op;
    fet__attr attr;
    int inputs;
    double y[6];
} known;

#define PHI(x) (0.5 * erfc(-(x)*0.70710678118654752440))
#define DENSITY(x) (exp(-0.5 * (x) * (x)) * 0.39894228040143267794)

static void check_known(const known *k)
{
    kernel_case c = {
        .op = k->op, .attr = k->attr, .inputs = k->inputs, .in = {DIMS(6), DIMS(6), DIMS(6)}, .out = DIMS(6)};
    double third[6] = {10, 20, 30, 40, 50, 60};
    void *in[4] = {(void *)left, (void *)right, third};
    double *y = kernel_case_reference(&c, in);
    for (int i = 0; i < 6; i++)
        if (!(fabs(y[i] - k->y[i]) <= 1e-12 * (1 + fabs(k->y[i]))) && !(isnan(y[i]) && isnan(k->y[i])) &&
            y[i] != k->y[i])
            fail_msg("%s of %g, %g: %.17g, expected %.17g", fet__op_rows[k->op].name, left[i], right[i], y[i], k->y[i]);
    fet__free(y);
}

static void values_by_hand(void **state)
{
    (void)state;
    const known table[] = {
        {FET__OP_ADD, {.raw = {0}}, 2, {1, -1, 0.25, -0.5, 2, 3.5}},
        {FET__OP_SUB, {.raw = {0}}, 2, {-5, 0, -0.25, 1.5, 0, 2.5}},
        {FET__OP_MUL, {.raw = {0}}, 2, {-6, 0.25, 0, -0.5, 1, 1.5}},
        {FET__OP_DIV, {.raw = {0}}, 2, {-2.0 / 3, 1, 0, -0.5, 1, 6}},
        {FET__OP_MIN, {.raw = {0}}, 2, {-2, -0.5, 0, -1, 1, 0.5}},
        {FET__OP_MAX, {.raw = {0}}, 2, {3, -0.5, 0.25, 0.5, 1, 3}},
        {FET__OP_NEG, {.raw = {0}}, 1, {2, 0.5, 0, -0.5, -1, -3}},
        {FET__OP_ABS, {.raw = {0}}, 1, {2, 0.5, 0, 0.5, 1, 3}},
        {FET__OP_EXP, {.raw = {0}}, 1, {exp(-2), exp(-0.5), 1, exp(0.5), exp(1), exp(3)}},
        {FET__OP_LOG, {.raw = {0}}, 1, {NAN, NAN, -INFINITY, log(0.5), 0, log(3)}},
        {FET__OP_SQRT, {.raw = {0}}, 1, {NAN, NAN, 0, sqrt(0.5), 1, sqrt(3)}},
        {FET__OP_RSQRT, {.raw = {0}}, 1, {NAN, NAN, INFINITY, sqrt(2), 1, 1 / sqrt(3)}},
        {FET__OP_TANH, {.raw = {0}}, 1, {tanh(-2), tanh(-0.5), 0, tanh(0.5), tanh(1), tanh(3)}},
        {FET__OP_ERF, {.raw = {0}}, 1, {erf(-2), erf(-0.5), 0, erf(0.5), erf(1), erf(3)}},
        {FET__OP_SIGMOID,
         {.raw = {0}},
         1,
         {1 / (1 + exp(2)), 1 / (1 + exp(0.5)), 0.5, 1 / (1 + exp(-0.5)), 1 / (1 + exp(-1)), 1 / (1 + exp(-3))}},
        {FET__OP_POW_INT, {.power = {3}}, 1, {-8, -0.125, 0, 0.125, 1, 27}},
        {FET__OP_POW_INT, {.power = {-1}}, 1, {-0.5, -2, INFINITY, 2, 1, 1.0 / 3}},
        {FET__OP_POW_INT, {.power = {0}}, 1, {1, 1, 1, 1, 1, 1}},
        {FET__OP_COMPARE, {.compare = {FET__EQ}}, 2, {0, 1, 0, 0, 1, 0}},
        {FET__OP_COMPARE, {.compare = {FET__NE}}, 2, {1, 0, 1, 1, 0, 1}},
        {FET__OP_COMPARE, {.compare = {FET__LT}}, 2, {1, 0, 1, 0, 0, 0}},
        {FET__OP_COMPARE, {.compare = {FET__LE}}, 2, {1, 1, 1, 0, 1, 0}},
        {FET__OP_COMPARE, {.compare = {FET__GT}}, 2, {0, 0, 0, 1, 0, 1}},
        {FET__OP_COMPARE, {.compare = {FET__GE}}, 2, {0, 1, 0, 1, 1, 1}},
        {FET__OP_WHERE, {.raw = {0}}, 3, {3, -0.5, 30, -1, 1, 0.5}},
        {FET__OP_CAST, {.raw = {0}}, 1, {-2, -0.5, 0, 0.5, 1, 3}},
        {FET__OP_STOP_GRADIENT, {.raw = {0}}, 1, {-2, -0.5, 0, 0.5, 1, 3}},
        {FET__OP_GELU, {.raw = {0}}, 1, {-2 * PHI(-2), -0.5 * PHI(-0.5), 0, 0.5 * PHI(0.5), PHI(1), 3 * PHI(3)}},
        {FET__OP_GELU_GRAD,
         {.raw = {0}},
         1,
         {PHI(-2) - 2 * DENSITY(2), PHI(-0.5) - 0.5 * DENSITY(0.5), 0.5, PHI(0.5) + 0.5 * DENSITY(0.5),
          PHI(1) + DENSITY(1), PHI(3) + 3 * DENSITY(3)}},
    };
    for (size_t i = 0; i < FET_COUNT(table); i++)
        check_known(&table[i]);
}

static void check_shapes(fet__op op, fet__attr attr, double low, double high)
{
    const fet__shape shapes[] = {
        SCALAR, DIMS(1), DIMS(7), DIMS(0), DIMS(3, 0, 5), DIMS(3, 5, 67), DIMS(2, 1, 3, 1, 2, 5), DIMS(20011)};
    int n = fet__op_rows[op].most;
    for (size_t i = 0; i < FET_COUNT(shapes); i++) {
        kernel_case c = {
            .op = op, .attr = attr, .inputs = n, .out = shapes[i], .low = low, .high = high, .tolerance = 4e-6};
        for (int k = 0; k < n; k++)
            c.in[k] = shapes[i];
        kernel_case_check(&c);
    }
}

static void every_row_and_size(void **state)
{
    (void)state;
    const fet__attr none = {.raw = {0}};
    for (int op = 0; op < FET__OP_COUNT; op++) {
        fet__op_class class_ = fet__op_rows[op].class_;
        if (class_ != FET__CLASS_ELEMENT && class_ != FET__CLASS_FUSED_ELEMENT)
            continue;
        bool positive = op == FET__OP_LOG || op == FET__OP_SQRT || op == FET__OP_RSQRT || op == FET__OP_DIV;
        check_shapes((fet__op)op, none, positive ? 0.25 : -4, 4);
    }
    for (int n = -3; n <= 6; n++)
        check_shapes(FET__OP_POW_INT, (fet__attr){.power = {n}}, 0.5, 2);
    for (int r = FET__EQ; r <= FET__GE; r++)
        check_shapes(FET__OP_COMPARE, (fet__attr){.compare = {r}}, -1, 1);
}

/* What is not a number stays visible, whichever side it comes from. */
static void nan_is_handed_on(void **state)
{
    (void)state;
    const fet__op ops[] = {FET__OP_MIN, FET__OP_MAX, FET__OP_ADD, FET__OP_MUL, FET__OP_GELU, FET__OP_EXP};
    float a[4] = {NAN, 1, INFINITY, -INFINITY}, b[4] = {1, NAN, NAN, 2};
    void *in[4] = {a, b};
    for (size_t i = 0; i < FET_COUNT(ops); i++) {
        kernel_case c = {.op = ops[i], .inputs = fet__op_rows[ops[i]].most, .in = {DIMS(4), DIMS(4)}, .out = DIMS(4)};
        fet__problem p = kernel_case_problem(&c, FET_F32);
        const fet__kernel *rows[16];
        int n = fet__kernel_candidates(rows, 16, &p);
        for (int k = 0; k < n; k++) {
            float y[4];
            assert_int_equal(kernel_case_run(&p, rows[k], in, y), FET_OK);
            if (!isnan(y[0]) || (c.inputs == 2 && (!isnan(y[1]) || !isnan(y[2]))))
                fail_msg("%s by %s loses NaN: %g %g %g", fet__op_rows[ops[i]].name, rows[k]->name, (double)y[0],
                         (double)y[1], (double)y[2]);
        }
    }
}

static void run_typed(fet__op op, fet__attr attr, int inputs, const fet_dtype types[3], fet_dtype out_type, int64_t n,
                      void *const in[4], void *y)
{
    fet__problem p = {.op = op,
                      .attr = attr,
                      .input_count = inputs,
                      .output = {.dtype = out_type, .shape = DIMS(n)},
                      .threads = fet__threads()};
    for (int i = 0; i < inputs; i++)
        p.input[i] = (fet__desc){.dtype = types[i], .shape = p.output.shape};
    const fet__kernel *best;
    assert_true(fet__kernel_candidates(&best, 1, &p) >= 1);
    assert_int_equal(kernel_case_run(&p, best, in, y), FET_OK);
}

static void integers(void **state)
{
    (void)state;
    int32_t a[4] = {1, -7, 2000000000, 5}, b[4] = {2, 2, 2000000000, 5}, y[4];
    const fet_dtype ints[3] = {FET_I32, FET_I32, FET_I32}, mixed[3] = {FET_F32, FET_I32, FET_I32};
    void *in[4] = {a, b, NULL, NULL};
    run_typed(FET__OP_ADD, (fet__attr){.raw = {0}}, 2, ints, FET_I32, 4, in, y);
    assert_int_equal(y[0], 3);
    assert_int_equal(y[1], -5);
    assert_int_equal(y[2], INT32_MAX); /* saturates */
    run_typed(FET__OP_DIV, (fet__attr){.raw = {0}}, 2, ints, FET_I32, 4, in, y);
    assert_int_equal(y[1], -3); /* towards zero */
    float mask[4], choose[4] = {1, 0, 0, 1};
    run_typed(FET__OP_COMPARE, (fet__attr){.compare = {FET__EQ}}, 2, ints, FET_F32, 4, in, mask);
    assert_true(mask[0] == 0 && mask[2] == 1 && mask[3] == 1);
    void *chosen[4] = {choose, a, b};
    run_typed(FET__OP_WHERE, (fet__attr){.raw = {0}}, 3, mixed, FET_I32, 4, chosen, y);
    assert_int_equal(y[0], 1);
    assert_int_equal(y[1], 2);
    float f[4];
    run_typed(FET__OP_CAST, (fet__attr){.raw = {0}}, 1, ints, FET_F32, 4, in, f);
    assert_true(f[1] == -7);
}

static void made_values(void **state)
{
    (void)state;
    int32_t step = 41, counted[5];
    float y[1000];
    fet__problem p = {.op = FET__OP_RANDOM,
                      .attr.random = {77, 3},
                      .input_count = 1,
                      .output = {FET_F32, DIMS(10, 100), false},
                      .threads = fet__threads()};
    p.input[0] = (fet__desc){FET_I32, SCALAR, false};
    const fet__kernel *rows[16];
    int n = fet__kernel_candidates(rows, 16, &p);
    assert_in_range(n, 1, 16);
    void *in[4] = {&step};
    for (int k = 0; k < n; k++) {
        assert_int_equal(kernel_case_run(&p, rows[k], in, y), FET_OK);
        for (uint64_t i = 0; i < 1000; i++)
            assert_true(y[i] == fet__random_uniform(77, 3, 41, i));
    }
    run_typed(FET__OP_IOTA, (fet__attr){.raw = {0}}, 0, NULL, FET_I32, 5, in, counted);
    run_typed(FET__OP_IOTA, (fet__attr){.raw = {0}}, 0, NULL, FET_F32, 5, in, y);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(counted[i], i);
        assert_true(y[i] == (float)i);
    }
    run_typed(FET__OP_FILL, (fet__attr){.fill = {2.5}}, 0, NULL, FET_F32, 5, in, y);
    run_typed(FET__OP_FILL, (fet__attr){.fill = {-1}}, 0, NULL, FET_I32, 5, in, counted);
    assert_true(y[0] == 2.5f && y[4] == 2.5f);
    assert_int_equal(counted[4], -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand), cmocka_unit_test(every_row_and_size), cmocka_unit_test(nan_is_handed_on),
        cmocka_unit_test(integers),       cmocka_unit_test(made_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
