/* Matrix products, linear and convolutions: every row against the reference, and the reference against small numbers
 * and its own transposes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "op/kernel_case.h"

#define MATMUL(ta_, tb_, a, b, y)                                                                                      \
    {                                                                                                                  \
        .op = FET__OP_MATMUL, .attr.matmul = {ta_, tb_}, .inputs = 2, .in = {a, b}, .out = y, .tolerance = 2e-5        \
    }
#define D(...) DIMS(__VA_ARGS__)

static const kernel_case matmuls[] = {
    MATMUL(0, 0, D(1, 1), D(1, 1), D(1, 1)),
    MATMUL(0, 0, D(3, 5), D(5, 7), D(3, 7)),
    MATMUL(0, 1, D(3, 5), D(7, 5), D(3, 7)),
    MATMUL(1, 0, D(5, 3), D(5, 7), D(3, 7)),
    MATMUL(1, 1, D(5, 3), D(7, 5), D(3, 7)),
    MATMUL(0, 0, D(65, 130), D(130, 33), D(65, 33)),
    MATMUL(0, 1, D(197, 96), D(64, 96), D(197, 64)),
    MATMUL(1, 0, D(300, 17), D(300, 129), D(17, 129)),
    MATMUL(1, 1, D(70, 31), D(45, 70), D(31, 45)),
    MATMUL(0, 0, D(2, 3, 4, 5), D(2, 3, 5, 6), D(2, 3, 4, 6)),
    MATMUL(0, 1, D(2, 3, 40, 16), D(2, 3, 40, 16), D(2, 3, 40, 40)),
    MATMUL(1, 0, D(6, 5, 4), D(6, 5, 3), D(6, 4, 3)),
    MATMUL(1, 1, D(6, 5, 4), D(6, 3, 5), D(6, 4, 3)),
    MATMUL(0, 0, D(4, 9, 8), D(8, 6), D(4, 9, 6)),
    MATMUL(0, 1, D(4, 9, 8), D(6, 8), D(4, 9, 6)),
    MATMUL(1, 0, D(4, 8, 9), D(8, 6), D(4, 9, 6)),
    MATMUL(0, 0, D(9, 8), D(4, 8, 6), D(4, 9, 6)),
    MATMUL(1, 1, D(8, 9), D(4, 6, 8), D(4, 9, 6)),
    MATMUL(0, 0, D(0, 5), D(5, 7), D(0, 7)),
    MATMUL(0, 0, D(3, 0), D(0, 7), D(3, 7)),
    MATMUL(0, 1, D(3, 0), D(7, 0), D(3, 7)),
    /* thin sides, as low-rank adapters have them */
    MATMUL(1, 0, D(1000, 2), D(1000, 96), D(2, 96)),
    MATMUL(1, 0, D(1000, 96), D(1000, 2), D(96, 2)),
    MATMUL(1, 0, D(500, 1), D(500, 33), D(1, 33)),
    MATMUL(1, 0, D(513, 16), D(513, 67), D(16, 67)),
    MATMUL(1, 0, D(513, 67), D(513, 16), D(67, 16)),
    MATMUL(1, 0, D(77, 5), D(77, 130), D(5, 130)),
    MATMUL(1, 0, D(300, 130), D(300, 11), D(130, 11)),
    MATMUL(0, 1, D(1040, 70), D(66, 70), D(1040, 66)),
    MATMUL(1, 1, D(70, 1040), D(66, 70), D(1040, 66)),
    MATMUL(0, 0, D(700, 96), D(96, 2), D(700, 2)),
    MATMUL(0, 0, D(700, 2), D(2, 96), D(700, 96)),
    MATMUL(0, 1, D(700, 96), D(4, 96), D(700, 4)),
    MATMUL(0, 1, D(700, 2), D(96, 2), D(700, 96)),
};

static void every_matmul(void **state)
{
    (void)state;
    kernel_cases_check(matmuls, FET_COUNT(matmuls));
}

#define LINEAR(act, n, x, w, b, r, y)                                                                                  \
    {                                                                                                                  \
        .op = FET__OP_LINEAR, .attr.linear = {act}, .inputs = n, .in = {x, w, b, r}, .out = y, .tolerance = 2e-5       \
    }

static const kernel_case linears[] = {
    LINEAR(FET__ACT_NONE, 2, D(3, 5), D(7, 5), SCALAR, SCALAR, D(3, 7)),
    LINEAR(FET__ACT_NONE, 3, D(2, 3, 5), D(7, 5), D(7), SCALAR, D(2, 3, 7)),
    LINEAR(FET__ACT_RELU, 3, D(33, 64), D(48, 64), D(48), SCALAR, D(33, 48)),
    LINEAR(FET__ACT_GELU, 3, D(33, 64), D(48, 64), D(48), SCALAR, D(33, 48)),
    LINEAR(FET__ACT_NONE, 4, D(33, 64), D(48, 64), D(48), D(33, 48), D(33, 48)),
    LINEAR(FET__ACT_GELU, 4, D(4, 50, 32), D(96, 32), D(96), D(4, 50, 96), D(4, 50, 96)),
    LINEAR(FET__ACT_RELU, 4, D(200, 31), D(17, 31), D(17), D(200, 17), D(200, 17)),
    LINEAR(FET__ACT_GELU, 2, D(200, 31), D(17, 31), SCALAR, SCALAR, D(200, 17)),
    /* enough rows for the inner product */
    LINEAR(FET__ACT_GELU, 4, D(1025, 65), D(67, 65), D(67), D(1025, 67), D(1025, 67)),
    LINEAR(FET__ACT_RELU, 3, D(8, 130, 64), D(64, 64), D(64), SCALAR, D(8, 130, 64)),
    LINEAR(FET__ACT_NONE, 4, D(1024, 96), D(80, 96), D(80), D(1024, 80), D(1024, 80)),
    LINEAR(FET__ACT_NONE, 2, D(1030, 64), D(70, 64), SCALAR, SCALAR, D(1030, 70)),
    LINEAR(FET__ACT_NONE, 3, D(1, 1), D(1, 1), D(1), SCALAR, D(1, 1)),
    LINEAR(FET__ACT_NONE, 3, D(6), D(4, 6), D(4), SCALAR, D(4)),
    LINEAR(FET__ACT_RELU, 3, D(0, 6), D(4, 6), D(4), SCALAR, D(0, 4)),
    LINEAR(FET__ACT_GELU, 3, D(5, 0), D(4, 0), D(4), SCALAR, D(5, 4)),
};

static void every_linear(void **state)
{
    (void)state;
    kernel_cases_check(linears, FET_COUNT(linears));
}

#define GEOMETRY(s, p, d, g) .attr.conv = {{s, s}, {p, p}, {d, d}, g}
/* x, w and y of one convolution, in its three forms */
#define CONV(geometry, x, w, y)                                                                                        \
    {.op = FET__OP_CONV2D, geometry, .inputs = 2, .in = {x, w}, .out = y, .tolerance = 2e-5},                          \
        {.op = FET__OP_CONV2D_DX, geometry, .inputs = 2, .in = {y, w}, .out = x, .tolerance = 2e-5},                   \
    {                                                                                                                  \
        .op = FET__OP_CONV2D_DW, geometry, .inputs = 2, .in = {x, y}, .out = w, .tolerance = 2e-5                      \
    }

static const kernel_case convs[] = {
    CONV(GEOMETRY(1, 0, 1, 1), D(1, 1, 1, 1), D(1, 1, 1, 1), D(1, 1, 1, 1)),
    CONV(GEOMETRY(1, 1, 1, 1), D(2, 5, 6, 3), D(4, 3, 3, 3), D(2, 5, 6, 4)),
    CONV(GEOMETRY(2, 1, 1, 1), D(2, 7, 8, 16), D(32, 16, 3, 3), D(2, 4, 4, 32)), /* the last column is not read */
    CONV(GEOMETRY(1, 2, 2, 1), D(1, 9, 9, 5), D(3, 5, 3, 3), D(1, 9, 9, 3)),
    CONV(GEOMETRY(1, 0, 1, 1), D(2, 6, 6, 17), D(19, 17, 1, 1), D(2, 6, 6, 19)),
    CONV(GEOMETRY(4, 0, 1, 1), D(3, 16, 16, 3), D(24, 3, 4, 4), D(3, 4, 4, 24)), /* patch embedding */
    CONV(GEOMETRY(4, 0, 1, 1), D(2, 17, 18, 3), D(8, 3, 4, 4), D(2, 4, 4, 8)),   /* with a rest */
    CONV(GEOMETRY(1, 1, 1, 2), D(2, 5, 5, 8), D(6, 4, 3, 3), D(2, 5, 5, 6)),
    CONV(GEOMETRY(1, 3, 1, 24), D(2, 9, 8, 24), D(24, 1, 7, 7), D(2, 9, 8, 24)), /* depthwise */
    CONV(GEOMETRY(2, 1, 1, 5), D(1, 6, 6, 5), D(10, 1, 3, 3), D(1, 3, 3, 10)),   /* two filters a channel */
    CONV(GEOMETRY(3, 2, 2, 1), D(1, 11, 10, 4), D(4, 4, 3, 2), D(1, 4, 4, 4)),
    CONV(GEOMETRY(1, 1, 1, 1), D(0, 5, 6, 3), D(4, 3, 3, 3), D(0, 5, 6, 4)),
};

static void every_convolution(void **state)
{
    (void)state;
    kernel_cases_check(convs, FET_COUNT(convs));
}

/* conv2d is linear in x and in w: dx and dw are its transposes. */
static void gradients_of_convolution_are_transposes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(convs); i += 3) {
        kernel_case_adjoint(&convs[i], &convs[i + 1], 0, 0);
        kernel_case_adjoint(&convs[i], &convs[i + 2], 1, 1);
    }
}

static void small_products_by_hand(void **state)
{
    (void)state;
    const kernel_case c = MATMUL(0, 1, D(2, 3), D(2, 3), D(2, 2));
    double a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, -1, 2, 1, 0}, expected[] = {-2, 4, -2, 13};
    void *in[4] = {a, b};
    double *y = kernel_case_reference(&c, in);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == expected[i]);
    fet__free(y);
}

/* [1, 3, 3, 1] with a 2 x 2 filter, stride 2, padding 1, and the same numbers with a dilated filter. */
static void small_convolutions_by_hand(void **state)
{
    (void)state;
    double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 10, 100, 1000};
    void *in[4] = {x, w};
    const kernel_case strided = {.op = FET__OP_CONV2D,
                                 GEOMETRY(2, 1, 1, 1),
                                 .inputs = 2,
                                 .in = {D(1, 3, 3, 1), D(1, 1, 2, 2)},
                                 .out = D(1, 2, 2, 1)};
    const double a[] = {1000, 3200, 7040, 9865};
    double *y = kernel_case_reference(&strided, in);
    for (int i = 0; i < 4; i++)
        assert_true(y[i] == a[i]);
    fet__free(y);
    const kernel_case dilated = {.op = FET__OP_CONV2D,
                                 GEOMETRY(1, 0, 2, 1),
                                 .inputs = 2,
                                 .in = {D(1, 3, 3, 1), D(1, 1, 2, 2)},
                                 .out = D(1, 1, 1, 1)};
    y = kernel_case_reference(&dilated, in);
    assert_true(y[0] == 1 + 30 + 700 + 9000);
    fet__free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_products_by_hand), cmocka_unit_test(small_convolutions_by_hand),
        cmocka_unit_test(every_matmul),           cmocka_unit_test(every_linear),
        cmocka_unit_test(every_convolution),      cmocka_unit_test(gradients_of_convolution_are_transposes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
