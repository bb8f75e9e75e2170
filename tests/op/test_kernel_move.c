/* Operators that move elements, and sums over axes: by definition, through every row; pairs of transposes; indices out
 * of range. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "op/kernel_case.h"

#define D(...) DIMS(__VA_ARGS__)
#define ONE(op_, x, y, ...)                                                                                            \
    {                                                                                                                  \
        .op = op_, .inputs = 1, .in = {x}, .out = y, __VA_ARGS__                                                       \
    }
#define NO .attr = {.raw = {0}}

static const kernel_case moves[] = {
    ONE(FET__OP_BROADCAST, D(1), D(5), NO),
    ONE(FET__OP_BROADCAST, D(1, 7), D(5, 7), NO),
    ONE(FET__OP_BROADCAST, D(5, 1), D(5, 7), NO),
    ONE(FET__OP_BROADCAST, D(2, 1, 3, 1), D(2, 5, 3, 7), NO),
    ONE(FET__OP_BROADCAST, D(1, 5, 1), D(4, 5, 2000), NO),
    ONE(FET__OP_BROADCAST, D(3, 4), D(3, 4), NO),
    ONE(FET__OP_BROADCAST, D(1, 4), D(0, 4), NO),
    ONE(FET__OP_BROADCAST, SCALAR, SCALAR, NO),
    ONE(FET__OP_RESHAPE, D(3, 8), D(2, 2, 6), NO),
    ONE(FET__OP_RESHAPE, D(1), SCALAR, NO),
    ONE(FET__OP_RESHAPE, D(0, 3), D(5, 0), NO),
    ONE(FET__OP_TRANSPOSE, D(4), D(4), .attr.transpose = {{0}}),
    ONE(FET__OP_TRANSPOSE, D(33, 70), D(70, 33), .attr.transpose = {{1, 0}}),
    ONE(FET__OP_TRANSPOSE, D(2, 17, 3, 8), D(2, 3, 17, 8), .attr.transpose = {{0, 2, 1, 3}}),
    ONE(FET__OP_TRANSPOSE, D(5, 6, 7), D(7, 5, 6), .attr.transpose = {{2, 0, 1}}),
    ONE(FET__OP_TRANSPOSE, D(2, 3, 1, 4, 5, 3), D(3, 4, 3, 2, 1, 5), .attr.transpose = {{5, 3, 1, 0, 2, 4}}),
    ONE(FET__OP_TRANSPOSE, D(0, 3), D(3, 0), .attr.transpose = {{1, 0}}),
    ONE(FET__OP_SLICE, D(9), D(4), .attr.slice = {{2}, {1}}),
    ONE(FET__OP_SLICE, D(6, 5, 11), D(3, 4, 3), .attr.slice = {{1, 0, 3}, {2, 1, 3}}),
    ONE(FET__OP_SLICE, D(4, 50, 48), D(4, 1, 48), .attr.slice = {{0, 1, 0}, {1, 1, 1}}),
    ONE(FET__OP_SLICE, D(3, 4), D(0, 4), .attr.slice = {{3, 0}, {1, 1}}),
    ONE(FET__OP_UNSLICE, D(4), D(9), .attr.slice = {{2}, {1}}),
    ONE(FET__OP_UNSLICE, D(3, 4, 3), D(6, 5, 11), .attr.slice = {{1, 0, 3}, {2, 1, 3}}),
    ONE(FET__OP_UNSLICE, D(4, 1, 48), D(4, 50, 48), .attr.slice = {{0, 1, 0}, {1, 1, 1}}),
    ONE(FET__OP_UNSLICE, D(0, 4), D(3, 4), .attr.slice = {{0, 0}, {1, 1}}),
    ONE(FET__OP_ROLL, D(7), D(7), .attr.roll = {{3}}),
    ONE(FET__OP_ROLL, D(2, 7, 8, 5), D(2, 7, 8, 5), .attr.roll = {{0, -2, 3, 0}}),
    ONE(FET__OP_ROLL, D(4, 5), D(4, 5), .attr.roll = {{9, -11}}),
    ONE(FET__OP_ROLL, D(0, 5), D(0, 5), .attr.roll = {{1, 1}}),
    {.op = FET__OP_CONCAT, .attr.axis = {0}, .inputs = 1, .in = {D(3, 2)}, .out = D(3, 2)},
    {.op = FET__OP_CONCAT, .attr.axis = {0}, .inputs = 2, .in = {D(3, 2), D(1, 2)}, .out = D(4, 2)},
    {.op = FET__OP_CONCAT,
     .attr.axis = {1},
     .inputs = 3,
     .in = {D(4, 1, 5), D(4, 49, 5), D(4, 0, 5)},
     .out = D(4, 50, 5)},
    {.op = FET__OP_CONCAT,
     .attr.axis = {2},
     .inputs = 4,
     .in = {D(2, 3, 5), D(2, 3, 1), D(2, 3, 2), D(2, 3, 7)},
     .out = D(2, 3, 15)},
    {.op = FET__OP_GATHER, .inputs = 2, .in = {D(5, 7), D(3)}, .out = D(3, 7), .integers = 2, .index_high = 4},
    {.op = FET__OP_GATHER, .inputs = 2, .in = {D(5), D(2, 30)}, .out = D(2, 30), .integers = 2, .index_high = 4},
    {.op = FET__OP_GATHER, .inputs = 2, .in = {D(9, 2, 3), D(0)}, .out = D(0, 2, 3), .integers = 2, .index_high = 8},
    {.op = FET__OP_GATHER, .inputs = 2, .in = {D(9, 130), SCALAR}, .out = D(130), .integers = 2, .index_high = 8},
    {.op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {D(30), D(30, 7)}, .out = D(5, 7), .integers = 1, .index_high = 4},
    {.op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {D(2, 40), D(2, 40)}, .out = D(11), .integers = 1, .index_high = 10},
    {.op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {D(0), D(0, 7)}, .out = D(5, 7), .integers = 1, .index_high = 4},
    {.op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {SCALAR, D(130)}, .out = D(9, 130), .integers = 1, .index_high = 8},
    {.op = FET__OP_MEMORY_UPDATE,
     .attr.memory = {0.2},
     .inputs = 3,
     .in = {D(9, 7), D(20), D(20, 7)},
     .out = D(9, 7),
     .integers = 2,
     .index_high = 8,
     .tolerance = 1e-5},
};

static void every_move(void **state)
{
    (void)state;
    kernel_cases_check(moves, FET_COUNT(moves));
}

#define REDUCE(op_, bits, x, y)                                                                                        \
    {                                                                                                                  \
        .op = op_, .attr.reduce = {bits}, .inputs = 1, .in = {x}, .out = y, .tolerance = 1e-5                          \
    }

static const kernel_case reductions[] = {
    REDUCE(FET__OP_SUM, 1, D(7), D(1)),
    REDUCE(FET__OP_SUM, 0, D(7), D(7)),
    REDUCE(FET__OP_SUM, 1, D(300, 33), D(1, 33)),
    REDUCE(FET__OP_SUM, 2, D(33, 300), D(33, 1)),
    REDUCE(FET__OP_SUM, 3, D(33, 301), D(1, 1)),
    REDUCE(FET__OP_SUM, 5, D(4, 5, 6), D(1, 5, 1)),
    REDUCE(FET__OP_SUM, 6, D(3, 40, 50, 2), D(3, 1, 1, 2)),
    REDUCE(FET__OP_SUM, 1, D(0, 3), D(1, 3)),
    REDUCE(FET__OP_SUM, 0, SCALAR, SCALAR),
    REDUCE(FET__OP_SUM, 1, D(100003), D(1)),
    REDUCE(FET__OP_REDUCE_MAX, 1, D(7), D(1)),
    REDUCE(FET__OP_REDUCE_MAX, 1, D(300, 33), D(1, 33)),
    REDUCE(FET__OP_REDUCE_MAX, 2, D(33, 300), D(33, 1)),
    REDUCE(FET__OP_REDUCE_MAX, 5, D(4, 5, 6), D(1, 5, 1)),
    REDUCE(FET__OP_REDUCE_MAX, 1, D(0, 3), D(1, 3)),
    {.op = FET__OP_ARGMAX, .inputs = 1, .in = {D(31, 10)}, .out = D(31, 1), .integer_out = true, .tolerance = 1e-9},
    {.op = FET__OP_ARGMAX, .inputs = 1, .in = {D(1)}, .out = D(1), .integer_out = true, .tolerance = 1e-9},
    {.op = FET__OP_ARGMAX,
     .inputs = 1,
     .in = {D(3, 5, 1000)},
     .out = D(3, 5, 1),
     .integer_out = true,
     .tolerance = 1e-9},
    {.op = FET__OP_ARGMAX, .inputs = 1, .in = {D(0, 5)}, .out = D(0, 1), .integer_out = true, .tolerance = 1e-9},
};

static void every_reduction(void **state)
{
    (void)state;
    kernel_cases_check(reductions, FET_COUNT(reductions));
}

static void expect(const kernel_case *c, void *const in[4], const double *expected)
{
    double *y = kernel_case_reference(c, in);
    for (int64_t i = 0; i < fet__shape_count(&c->out); i++)
        if (y[i] != expected[i])
            fail_msg("%s: element %lld is %g, expected %g", fet__op_rows[c->op].name, (long long)i, y[i], expected[i]);
    fet__free(y);
}

static void values_by_hand(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 4, 5, 6}, more[] = {7, 8};
    int32_t index[] = {1, 0, 1};
    void *in[4] = {x, more};
    const kernel_case broadcast = ONE(FET__OP_BROADCAST, D(2, 1), D(2, 3), NO);
    expect(&broadcast, in, (double[]){1, 1, 1, 2, 2, 2});
    const kernel_case transpose = ONE(FET__OP_TRANSPOSE, D(2, 3), D(3, 2), .attr.transpose = {{1, 0}});
    expect(&transpose, in, (double[]){1, 4, 2, 5, 3, 6});
    const kernel_case slice = ONE(FET__OP_SLICE, D(2, 3), D(2, 2), .attr.slice = {{0, 0}, {1, 2}});
    expect(&slice, in, (double[]){1, 3, 4, 6});
    const kernel_case unslice = ONE(FET__OP_UNSLICE, D(2), D(5), .attr.slice = {{1}, {2}});
    expect(&unslice, in, (double[]){0, 1, 0, 2, 0});
    const kernel_case roll = ONE(FET__OP_ROLL, D(2, 3), D(2, 3), .attr.roll = {{1, -1}});
    expect(&roll, in, (double[]){5, 6, 4, 2, 3, 1});
    const kernel_case concat = {
        .op = FET__OP_CONCAT, .attr.axis = {1}, .inputs = 2, .in = {D(2, 3), D(2, 1)}, .out = D(2, 4)};
    expect(&concat, in, (double[]){1, 2, 3, 7, 4, 5, 6, 8});
    const kernel_case sum = REDUCE(FET__OP_SUM, 1, D(2, 3), D(1, 3)),
                      most = REDUCE(FET__OP_REDUCE_MAX, 2, D(2, 3), D(2, 1));
    expect(&sum, in, (double[]){5, 7, 9});
    expect(&most, in, (double[]){3, 6});
    const kernel_case gather = {
        .op = FET__OP_GATHER, .inputs = 2, .in = {D(3, 2), D(3)}, .out = D(3, 2), .integers = 2};
    expect(&gather, (void *[4]){x, index}, (double[]){3, 4, 1, 2, 3, 4});
    const kernel_case scatter = {
        .op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {D(3), D(3, 2)}, .out = D(3, 2), .integers = 1};
    expect(&scatter, (void *[4]){index, x}, (double[]){3, 4, 6, 8, 0, 0});
    double ties[] = {1, 5, 5, -1, -1, -2};
    const kernel_case argmax = {
        .op = FET__OP_ARGMAX, .inputs = 1, .in = {D(2, 3)}, .out = D(2, 1), .integer_out = true};
    expect(&argmax, (void *[4]){ties}, (double[]){1, 0});
}

/* A row that is named twice drifts twice; one whose sum vanishes stays. With momentum 0 the values are exact. */
static void memory_drifts_in_order(void **state)
{
    (void)state;
    double memory[] = {1, 0, 0, 1, 0.6, 0.8}, rows[] = {0, 2, 0, -4, 0, 0};
    int32_t index[] = {0, 0, 2};
    const kernel_case last = {.op = FET__OP_MEMORY_UPDATE,
                              .attr.memory = {0},
                              .inputs = 3,
                              .in = {D(3, 2), D(3), D(3, 2)},
                              .out = D(3, 2),
                              .integers = 2};
    expect(&last, (void *[4]){memory, index, rows}, (double[]){0, -1, 0, 1, 0.6, 0.8});
    /* 0.5 (1, 0) + 0.5 (-1, 0) is nothing: the row stays, and then is 0.5 (1, 0) + 0.5 (5, 8) = (3, 4) */
    double ups[] = {-1, 0, 5, 8, 0.6, 0.8};
    kernel_case half = last;
    half.attr.memory.momentum = 0.5;
    expect(&half, (void *[4]){memory, index, ups}, (double[]){0.6, 0.8, 0, 1, 0.6, 0.8});
}

static void pairs_are_transposes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(moves); i++) {
        kernel_case t = moves[i];
        if (moves[i].op == FET__OP_SLICE) {
            t.op = FET__OP_UNSLICE;
        } else if (moves[i].op == FET__OP_ROLL) {
            for (int a = 0; a < FET__MAX_RANK; a++)
                t.attr.roll.shift[a] = -t.attr.roll.shift[a];
        } else if (moves[i].op == FET__OP_GATHER) {
            kernel_case scatter = {.op = FET__OP_SCATTER_ADD,
                                   .inputs = 2,
                                   .in = {t.in[1], t.out},
                                   .out = t.in[0],
                                   .integers = 1,
                                   .index_high = t.index_high};
            kernel_case_adjoint(&moves[i], &scatter, 0, 1);
            continue;
        } else {
            continue;
        }
        t.in[0] = moves[i].out;
        t.out = moves[i].in[0];
        kernel_case_adjoint(&moves[i], &t, 0, 0);
    }
}

static void index_out_of_range_fails(void **state)
{
    (void)state;
    float rows[] = {1, 2, 3, 4}, out[8];
    const int32_t bad[] = {2, -1, INT32_MAX};
    const kernel_case cases[] = {
        {.op = FET__OP_GATHER, .inputs = 2, .in = {D(2, 2), D(2)}, .out = D(2, 2), .integers = 2},
        {.op = FET__OP_SCATTER_ADD, .inputs = 2, .in = {D(2), D(2, 2)}, .out = D(2, 2), .integers = 1},
    };
    for (size_t i = 0; i < FET_COUNT(cases); i++)
        for (size_t b = 0; b < FET_COUNT(bad); b++) {
            int32_t index[2] = {0, bad[b]};
            void *in[4] = {i ? (void *)index : rows, i ? (void *)rows : index};
            fet__problem p = kernel_case_problem(&cases[i], FET_F32);
            const fet__kernel *candidates[16];
            int n = fet__kernel_candidates(candidates, 16, &p);
            for (int k = 0; k < n; k++) {
                char text[32];
                snprintf(text, sizeof text, "%d", (int)bad[b]);
                assert_int_equal(kernel_case_run(&p, candidates[k], in, out), FET_E_DATA);
                assert_non_null(strstr(fet_error_message(), text));
                assert_non_null(strstr(fet_error_message(), fet__op_rows[cases[i].op].name));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),       cmocka_unit_test(every_move),
        cmocka_unit_test(every_reduction),      cmocka_unit_test(memory_drifts_in_order),
        cmocka_unit_test(pairs_are_transposes), cmocka_unit_test(index_out_of_range_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
