/* Groups: element-wise programs with broadcast operands, random numbers and a sum at the end, by every row. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "op/kernel_case.h"

#define D(...) DIMS(__VA_ARGS__)
#define I1(op_, a_)                                                                                                    \
    {                                                                                                                  \
        .op = op_, .a = a_, .b = -1, .c = -1                                                                           \
    }
#define I2(op_, a_, b_)                                                                                                \
    {                                                                                                                  \
        .op = op_, .a = a_, .b = b_, .c = -1                                                                           \
    }
#define I3(op_, a_, b_, c_)                                                                                            \
    {                                                                                                                  \
        .op = op_, .a = a_, .b = b_, .c = c_                                                                           \
    }

/* out = gelu(x + bias) * scale, with bias along the last axis and a scalar scale. */
static const fet__instr bias_gelu[] = {I2(FET__OP_ADD, 0, 1), I1(FET__OP_GELU, 3), I2(FET__OP_MUL, 4, 2)};
/* out = where(random < 0.5, x, x^2) - y */
static const fet__instr noisy[] = {
    {.op = FET__OP_RANDOM, .a = 2, .b = -1, .c = -1, .attr.random = {5, 6}},
    {.op = FET__OP_FILL, .a = -1, .b = -1, .c = -1, .attr.fill = {0.5}},
    {.op = FET__OP_COMPARE, .a = 3, .b = 4, .c = -1, .attr.compare = {FET__LT}},
    {.op = FET__OP_POW_INT, .a = 0, .b = -1, .c = -1, .attr.power = {2}},
    I3(FET__OP_WHERE, 5, 0, 6),
    I2(FET__OP_SUB, 7, 1),
};
static const fet__instr product[] = {I2(FET__OP_MUL, 0, 1)};
static const fet__instr just_gelu_grad[] = {I1(FET__OP_GELU_GRAD, 0), I2(FET__OP_MUL, 1, 2)};

static fet__group group_of(fet__shape full, uint32_t axes, int inputs, const fet__instr *instr, size_t count)
{
    fet__group g = {.full = full, .reduce_axes = axes, .input_count = inputs, .instr_count = (int)count};
    for (size_t i = 0; i < count; i++)
        g.instr[i] = instr[i];
    return g;
}
#define GROUP(full, axes, inputs, instr) group_of((fet__shape)full, axes, inputs, instr, FET_COUNT(instr))

static void check(fet__group g, const fet__shape in[4], fet__shape out, unsigned integers)
{
    kernel_case c = {.op = FET__OP_GROUP,
                     .inputs = g.input_count,
                     .out = out,
                     .integers = integers,
                     .index_high = 99,
                     .tolerance = 1e-5,
                     .group = &g};
    for (int i = 0; i < g.input_count; i++)
        c.in[i] = in[i];
    kernel_case_check(&c);
}

static void broadcast_operands(void **state)
{
    (void)state;
    check(GROUP(D(3, 5, 67), 0, 3, bias_gelu), (fet__shape[4]){D(3, 5, 67), D(1, 1, 67), SCALAR},
          (fet__shape)D(3, 5, 67), 0);
    check(GROUP(D(3, 5, 67), 0, 3, bias_gelu), (fet__shape[4]){D(1, 5, 1), D(3, 1, 67), D(3, 1, 1)},
          (fet__shape)D(3, 5, 67), 0);
    check(GROUP(D(2, 3, 4, 5), 0, 3, bias_gelu), (fet__shape[4]){D(2, 1, 4, 1), D(1, 3, 1, 5), D(2, 3, 4, 5)},
          (fet__shape)D(2, 3, 4, 5), 0);
    check(GROUP(D(1), 0, 3, bias_gelu), (fet__shape[4]){D(1), D(1), SCALAR}, (fet__shape)D(1), 0);
    check(GROUP(D(0, 5), 0, 3, bias_gelu), (fet__shape[4]){D(0, 5), D(1, 5), SCALAR}, (fet__shape)D(0, 5), 0);
    check(GROUP(SCALAR, 0, 3, bias_gelu), (fet__shape[4]){SCALAR, SCALAR, SCALAR}, (fet__shape)SCALAR, 0);
    check(GROUP(D(40, 1000), 0, 2, just_gelu_grad), (fet__shape[4]){D(40, 1000), D(40, 1000)}, (fet__shape)D(40, 1000),
          0);
}

static void random_operand(void **state)
{
    (void)state;
    check(GROUP(D(4, 9, 33), 0, 3, noisy), (fet__shape[4]){D(4, 9, 33), D(4, 1, 1), SCALAR}, (fet__shape)D(4, 9, 33),
          4);
    check(GROUP(D(10007), 0, 3, noisy), (fet__shape[4]){D(10007), D(1), SCALAR}, (fet__shape)D(10007), 4);
}

static void sum_at_the_end(void **state)
{
    (void)state;
    check(GROUP(D(300, 33), 1, 2, product), (fet__shape[4]){D(300, 33), D(300, 33)}, (fet__shape)D(1, 33), 0);
    check(GROUP(D(33, 300), 2, 2, product), (fet__shape[4]){D(33, 300), D(1, 300)}, (fet__shape)D(33, 1), 0);
    check(GROUP(D(4, 50, 60), 3, 2, product), (fet__shape[4]){D(4, 50, 60), D(4, 1, 60)}, (fet__shape)D(1, 1, 60), 0);
    check(GROUP(D(4, 50, 60), 7, 2, product), (fet__shape[4]){D(4, 50, 60), D(4, 50, 60)}, (fet__shape)D(1, 1, 1), 0);
    check(GROUP(D(5, 6, 7), 5, 2, product), (fet__shape[4]){D(5, 6, 7), SCALAR}, (fet__shape)D(1, 6, 1), 0);
    check(GROUP(D(0, 7), 1, 2, product), (fet__shape[4]){D(0, 7), D(1, 7)}, (fet__shape)D(1, 7), 0);
}

static void values_by_hand(void **state)
{
    (void)state;
    fet__group g = GROUP(D(2, 3), 1, 2, product);
    kernel_case c = {.op = FET__OP_GROUP, .inputs = 2, .in = {D(2, 3), D(2, 1)}, .out = D(1, 3), .group = &g};
    double x[] = {1, 2, 3, 4, 5, 6}, w[] = {10, 1};
    double *y = kernel_case_reference(&c, (void *[4]){x, w});
    assert_true(y[0] == 14 && y[1] == 25 && y[2] == 36);
    fet__free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),
        cmocka_unit_test(broadcast_operands),
        cmocka_unit_test(random_operand),
        cmocka_unit_test(sum_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
