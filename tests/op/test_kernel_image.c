/* Pooling and resizing of feature maps: by hand, against the reference values of shared/golden/mona, and as transposes
 * of each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "op/kernel_case.h"
#include "store/store.h"

#define D(...) DIMS(__VA_ARGS__)
#define POOL(op_, k, s, p, x, y, ...)                                                                                  \
    {                                                                                                                  \
        .op = op_, .attr.pool = {{k, k}, {s, s}, {p, p}}, .inputs = 1, .in = {x}, .out = y, __VA_ARGS__                \
    }
#define RESIZE(op_, cubic, corners, x, y)                                                                              \
    {                                                                                                                  \
        .op = op_, .attr.resize = {cubic, corners}, .inputs = 1, .in = {x}, .out = y, .tolerance = 1e-5                \
    }
#define INDEX .integer_out = true, .tolerance = 1e-9

static const kernel_case pools[] = {
    POOL(FET__OP_AVG_POOL, 3, 2, 1, D(2, 9, 7, 70), D(2, 5, 4, 70), 0),
    POOL(FET__OP_MAX_POOL_INDEX, 3, 2, 1, D(2, 9, 7, 70), D(2, 5, 4, 70), INDEX),
    POOL(FET__OP_AVG_POOL, 2, 2, 0, D(2, 6, 8, 5), D(2, 3, 4, 5), 0),
    POOL(FET__OP_AVG_POOL, 3, 2, 1, D(2, 7, 8, 17), D(2, 4, 4, 17), 0),
    POOL(FET__OP_AVG_POOL, 3, 1, 1, D(1, 5, 4, 3), D(1, 5, 4, 3), 0),
    POOL(FET__OP_AVG_POOL, 1, 1, 0, D(1, 1, 1, 1), D(1, 1, 1, 1), 0),
    POOL(FET__OP_AVG_POOL, 2, 2, 0, D(0, 6, 8, 5), D(0, 3, 4, 5), 0),
    POOL(FET__OP_MAX_POOL_INDEX, 2, 2, 0, D(2, 6, 8, 5), D(2, 3, 4, 5), INDEX),
    POOL(FET__OP_MAX_POOL_INDEX, 3, 2, 1, D(2, 7, 8, 17), D(2, 4, 4, 17), INDEX),
    POOL(FET__OP_MAX_POOL_INDEX, 1, 1, 0, D(1, 1, 1, 1), D(1, 1, 1, 1), INDEX),
};

static const kernel_case resizes[] = {
    RESIZE(FET__OP_RESIZE, 0, 0, D(2, 5, 7, 3), D(2, 13, 9, 3)),
    RESIZE(FET__OP_RESIZE, 0, 1, D(2, 5, 7, 3), D(2, 13, 9, 3)),
    RESIZE(FET__OP_RESIZE, 1, 0, D(2, 5, 7, 3), D(2, 13, 9, 3)),
    RESIZE(FET__OP_RESIZE, 1, 1, D(2, 5, 7, 3), D(2, 13, 9, 3)),
    RESIZE(FET__OP_RESIZE, 0, 0, D(1, 13, 9, 20), D(1, 4, 3, 20)),
    RESIZE(FET__OP_RESIZE, 1, 0, D(1, 13, 9, 20), D(1, 4, 3, 20)),
    RESIZE(FET__OP_RESIZE, 1, 1, D(1, 1, 1, 2), D(1, 4, 3, 2)),
    RESIZE(FET__OP_RESIZE, 0, 1, D(1, 6, 6, 2), D(1, 1, 1, 2)),
    RESIZE(FET__OP_RESIZE, 1, 0, D(1, 3, 4, 1), D(1, 3, 4, 1)),
    RESIZE(FET__OP_RESIZE, 0, 0, D(0, 3, 4, 1), D(0, 6, 8, 1)),
};

static kernel_case transposed(const kernel_case *c, fet__op op)
{
    kernel_case t = *c;
    t.op = op;
    t.in[0] = c->out;
    t.out = c->in[0];
    return t;
}

static void every_pool_and_resize(void **state)
{
    (void)state;
    kernel_cases_check(pools, FET_COUNT(pools));
    kernel_cases_check(resizes, FET_COUNT(resizes));
    for (size_t i = 0; i < FET_COUNT(resizes); i++) {
        kernel_case t = transposed(&resizes[i], FET__OP_RESIZE_T);
        kernel_case_check(&t);
    }
    for (size_t i = 0; i < FET_COUNT(pools); i++)
        if (pools[i].op == FET__OP_AVG_POOL) {
            kernel_case t = transposed(&pools[i], FET__OP_AVG_POOL_T);
            kernel_case_check(&t);
        }
}

static void pairs_are_transposes(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(resizes); i++) {
        kernel_case t = transposed(&resizes[i], FET__OP_RESIZE_T);
        kernel_case_adjoint(&resizes[i], &t, 0, 0);
    }
    for (size_t i = 0; i < FET_COUNT(pools); i++)
        if (pools[i].op == FET__OP_AVG_POOL) {
            kernel_case t = transposed(&pools[i], FET__OP_AVG_POOL_T);
            kernel_case_adjoint(&pools[i], &t, 0, 0);
        }
}

static void expect(const kernel_case *c, double *x, const double *expected)
{
    void *in[4] = {x};
    double *y = kernel_case_reference(c, in);
    for (int64_t i = 0; i < fet__shape_count(&c->out); i++)
        if (!(fabs(y[i] - expected[i]) <= 1e-12))
            fail_msg("%s: element %lld is %.15g, expected %.15g", fet__op_rows[c->op].name, (long long)i, y[i],
                     expected[i]);
    fet__free(y);
}

static void values_by_hand(void **state)
{
    (void)state;
    double map[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, line[] = {0, 4, 8, 4}, equal[] = {3, 3, 3, 3};
    const kernel_case avg = POOL(FET__OP_AVG_POOL, 2, 2, 1, D(1, 3, 3, 1), D(1, 2, 2, 1), 0);
    expect(&avg, map, (double[]){0.25, 1.25, 2.75, 7}); /* padding counts in the divisor */
    const kernel_case most = POOL(FET__OP_MAX_POOL_INDEX, 2, 1, 0, D(1, 2, 2, 1), D(1, 1, 1, 1), INDEX);
    expect(&most, equal, (double[]){0}); /* the first of equals */
    double negative[] = {-3, -2, -5, -4};
    const kernel_case padded = POOL(FET__OP_MAX_POOL_INDEX, 3, 2, 1, D(1, 2, 2, 1), D(1, 1, 1, 1), INDEX);
    expect(&padded, negative, (double[]){1}); /* padding never wins */
    const kernel_case up = RESIZE(FET__OP_RESIZE, 0, 0, D(1, 1, 4, 1), D(1, 1, 8, 1));
    expect(&up, line, (double[]){0, 1, 3, 5, 7, 7, 5, 4});
    const kernel_case corners = RESIZE(FET__OP_RESIZE, 0, 1, D(1, 1, 4, 1), D(1, 1, 7, 1));
    expect(&corners, line, (double[]){0, 2, 4, 6, 8, 6, 4});
    /* bicubic at a quarter: the taps of a = -0.75 */
    const kernel_case cubic = RESIZE(FET__OP_RESIZE, 1, 0, D(1, 1, 4, 1), D(1, 1, 8, 1));
    double far_ = -0.10546875, near_ = 0.87890625, half = 0.26171875, last = -0.03515625;
    void *in[4] = {line};
    double *y = kernel_case_reference(&cubic, in);
    assert_true(fabs(y[3] - (far_ * 0 + near_ * 4 + half * 8 + last * 4)) < 1e-12);
    assert_true(fabs(y[4] - (last * 0 + half * 4 + near_ * 8 + far_ * 4)) < 1e-12);
    assert_true(fabs(y[0] - (last * 0 + half * 0 + near_ * 0 + far_ * 4)) < 1e-12); /* beyond the edge: the edge */
    fet__free(y);
}

/* [1, C, H, W] of the golden file to [1, H, W, C], as doubles; `table`: [H * W, C] already is. */
static double *golden(const fet__tensors *t, const char *prefix, const char *name, int64_t c, int64_t h, int64_t w,
                      bool table)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const fet__entry *e = fet__tensors_find(t, full);
    assert_non_null(e);
    assert_int_equal(e->dtype, FET_F32);
    assert_int_equal(fet__shape_count(&e->shape), c * h * w);
    double *out = fet__alloc((size_t)(c * h * w), sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < c * h * w; i++) {
        float v;
        memcpy(&v, (const char *)e->data + 4 * i, 4);
        out[table ? i : i % (h * w) * c + i / (h * w)] = v;
    }
    return out;
}

static void expect_golden(const kernel_case *c, double *x, double *expected)
{
    void *in[4] = {x};
    double *y = kernel_case_reference(c, in);
    for (int64_t i = 0; i < fet__shape_count(&c->out); i++)
        if (!(fabs(y[i] - expected[i]) <= 3e-6 * (1 + fabs(expected[i]))))
            fail_msg("%s %s -> %s: element %lld is %.9g, golden %.9g", fet__op_rows[c->op].name,
                     fet__shape_text(&c->in[0]), fet__shape_text(&c->out), (long long)i, y[i], expected[i]);
    fet__free(x);
    fet__free(y);
    fet__free(expected);
}

static fet__tensors *open_golden(const char *name)
{
    char path[512];
    fet__tensors *t;
    snprintf(path, sizeof path, "%s/golden/mona/%s", FETTLE_SHARED, name);
    if (!fet__file_exists(path)) {
        print_message("%s is not here: skipped\n", path);
        skip();
    }
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    return t;
}

static void bilinear_as_golden(void **state)
{
    (void)state;
    static const int64_t size[6][4] = {{5, 7, 13, 9},  {13, 9, 5, 7}, {1, 1, 4, 6},
                                       {6, 6, 16, 16}, {3, 4, 3, 4},  {2, 3, 50, 40}};
    fet__tensors *t = open_golden("resize_pool.safetensors");
    for (int i = 0; i < 6; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        int64_t h = size[i][0], w = size[i][1], oh = size[i][2], ow = size[i][3];
        const kernel_case c = RESIZE(FET__OP_RESIZE, 0, 0, D(1, h, w, 2), D(1, oh, ow, 2)),
                          back = transposed(&c, FET__OP_RESIZE_T);
        expect_golden(&c, golden(t, "in.resize.", number, 2, h, w, false),
                      golden(t, "out.resize.", number, 2, oh, ow, false));
        expect_golden(&back, golden(t, "in.resize.dy.", number, 2, oh, ow, false),
                      golden(t, "grad.resize.", number, 2, h, w, false));
    }
    fet__tensors_close(t);
}

static void bicubic_as_golden(void **state)
{
    (void)state;
    static const int64_t window[3][2] = {{7, 12}, {4, 7}, {7, 4}};
    fet__tensors *t = open_golden("relpos_mask.safetensors");
    for (int i = 0; i < 3; i++) {
        char name[16];
        int64_t from = 2 * window[i][0] - 1, to = 2 * window[i][1] - 1;
        snprintf(name, sizeof name, "%d_to_%d", (int)window[i][0], (int)window[i][1]);
        const kernel_case c = RESIZE(FET__OP_RESIZE, 1, 0, D(1, from, from, 3), D(1, to, to, 3));
        expect_golden(&c, golden(t, "in.table_", name, 3, from, from, true),
                      golden(t, "out.table_", name, 3, to, to, true));
    }
    fet__tensors_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),       cmocka_unit_test(every_pool_and_resize),
        cmocka_unit_test(pairs_are_transposes), cmocka_unit_test(bilinear_as_golden),
        cmocka_unit_test(bicubic_as_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
