/* Several depthwise filters of odd sizes, their mean and the identity as one filter that is made of them by graph operators: the
 * output is that of the separate filters, and each filter's gradient is its part of the merged filter's, to the bit. In double by the
 * reference kernels and in float by those that a program chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "exec/exec.h"
#include "kernel/kernel.h"

enum { FILTERS = 3, SIZE = 7, CHANNELS = 20 };

static const int sizes[FILTERS] = {3, 5, 7};
static const char *const names[FILTERS] = {"w3", "w5", "w7"};
static const char *const gradients[FILTERS] = {"d3", "d5", "d7"};

/* x + mean of the three convolutions, or one convolution by the merged filter, whose own gradient is the output "dk". */
typedef struct form {
    fet__graph *g;
    fet__program *p;
    fet_dtype t;
} form;

static fet__node *centred(fet__graph *g, fet__node *w, int size)
{
    int64_t edge = (SIZE - size) / 2, around[4] = {0, 0, edge, edge};

    return fet__pad(g, w, around, around);
}

static fet__node *separate(form *f, fet__node *x, fet__node *const *w)
{
    fet__node *sum = NULL;

    for (int i = 0; i < FILTERS; i++) {
        fet__conv conv = {.pad = {sizes[i] / 2, sizes[i] / 2}, .groups = CHANNELS};
        fet__node *y = fet__conv2d(f->g, x, w[i], &conv);

        sum = sum ? fet__add(f->g, sum, y) : y;
    }
    return fet__add(f->g, fet__scale(f->g, sum, 1.0 / FILTERS), x);
}

static fet__node *merged(form *f, fet__node *x, fet__node *const *w, fet__node **filter)
{
    fet__conv conv = {.pad = {SIZE / 2, SIZE / 2}, .groups = CHANNELS};
    fet__node *sum = NULL, *one = fet__fill(f->g, f->t, FET_SHAPE(CHANNELS, 1, 1, 1), 1);

    for (int i = 0; i < FILTERS; i++) {
        fet__node *own = centred(f->g, w[i], sizes[i]);

        sum = sum ? fet__add(f->g, sum, own) : own;
    }
    *filter = fet__add(f->g, fet__scale(f->g, sum, 1.0 / FILTERS), centred(f->g, one, 1));
    return fet__conv2d(f->g, x, *filter, &conv);
}

static void fill(form *f, const char *name, int64_t count)
{
    void *to = fet__program_input(f->p, name);

    assert_non_null(to);
    for (int64_t i = 0; i < count; i++) {
        double v = fet__random_normal(5, fet__hash32(name), 0, (uint64_t)i);

        fet__convert((char *)to + (size_t)i * fet__dtype_bytes(f->t), f->t, &v, FET_F64, 1);
    }
}

static int64_t filter_count(int i)
{
    return (int64_t)CHANNELS * sizes[i] * sizes[i];
}

static void run(form *f, fet_dtype t, bool one)
{
    fet__program_options o = {.reference = t == FET_F64};
    fet__shape map = FET_SHAPE(2, 9, 11, CHANNELS);
    fet__node *x, *w[FILTERS], *of[FILTERS + 2], *grad[FILTERS + 2], *y, *filter = NULL;
    int count = FILTERS + 1;

    *f = (form){.t = t};
    assert_int_equal(fet__graph_create(&f->g), FET_OK);
    x = of[FILTERS] = fet__input(f->g, "x", t, map);
    for (int i = 0; i < FILTERS; i++)
        w[i] = of[i] = fet__input(f->g, names[i], t, FET_SHAPE(CHANNELS, 1, sizes[i], sizes[i]));
    y = one ? merged(f, x, w, &filter) : separate(f, x, w);
    if (one)
        of[count++] = filter;
    fet__output(f->g, "y", y);
    y = fet__sum_all(f->g, fet__mul(f->g, y, fet__input(f->g, "dy", t, map)));
    assert_int_equal(fet__gradient(f->g, y, of, count, false, grad), FET_OK);
    for (int i = 0; i < FILTERS; i++)
        fet__output(f->g, gradients[i], grad[i]);
    fet__output(f->g, "dx", grad[FILTERS]);
    if (one)
        fet__output(f->g, "dk", grad[FILTERS + 1]);
    assert_int_equal(fet__program_create(&f->p, f->g, &o), FET_OK);
    fill(f, "x", fet__shape_count(&map));
    fill(f, "dy", fet__shape_count(&map));
    for (int i = 0; i < FILTERS; i++)
        fill(f, names[i], filter_count(i));
    assert_int_equal(fet__program_run(f->p), FET_OK);
}

static void end(form *f)
{
    fet__program_destroy(f->p);
    fet__graph_destroy(f->g);
}

static double value(const form *f, const char *name, int64_t i)
{
    const void *at = fet__program_output(f->p, name);

    assert_non_null(at);
    return f->t == FET_F64 ? ((const double *)at)[i] : (double)((const float *)at)[i];
}

static void same(const form *a, const form *b, const char *name, int64_t count, double tolerance)
{
    double most = 0, worst = 0;

    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(value(b, name, i)));
        worst = fmax(worst, fabs(value(a, name, i) - value(b, name, i)));
    }
    if (!(most > 0.1 && worst <= tolerance * most))
        fail_msg("%s: off by %g of %g", name, worst, most);
}

/* The gradient of filter i is a third of the middle of the merged filter's, rounded once. */
static void parts_are_exact(const form *f)
{
    double third = 1.0 / FILTERS;

    for (int i = 0; i < FILTERS; i++)
        for (int64_t n = 0; n < filter_count(i); n++) {
            int64_t c = n / (sizes[i] * sizes[i]), at = n % (sizes[i] * sizes[i]), edge = (SIZE - sizes[i]) / 2;
            int64_t whole = (c * SIZE + edge + at / sizes[i]) * SIZE + edge + at % sizes[i];
            double wanted =
                f->t == FET_F64 ? value(f, "dk", whole) * third : (double)((float)value(f, "dk", whole) * (float)third);

            if (value(f, gradients[i], n) != wanted)
                fail_msg("filter of %d, element %lld: %.17g is not %.17g", sizes[i], (long long)n,
                         value(f, gradients[i], n), wanted);
        }
}

static void check(fet_dtype t, double tolerance)
{
    const int64_t map = (int64_t)2 * 9 * 11 * CHANNELS;
    form apart, one, exact;

    run(&apart, FET_F64, false);
    run(&one, t, true);
    run(&exact, t, false);
    same(&one, &apart, "y", map, tolerance);
    same(&one, &apart, "dx", map, tolerance);
    for (int i = 0; i < FILTERS; i++) {
        same(&one, &apart, gradients[i], filter_count(i), tolerance);
        same(&exact, &apart, gradients[i], filter_count(i), tolerance);
    }
    parts_are_exact(&one);
    end(&apart);
    end(&one);
    end(&exact);
}

static void one_filter_for_three_in_double(void **state)
{
    (void)state;
    check(FET_F64, 1e-14);
}

static void one_filter_for_three_in_float(void **state)
{
    (void)state;
    check(FET_F32, 1e-6);
    if (fet__cpu_level() > FET__CPU_BASE)
        assert_true(fet__kernel_uses("avx512.depthwise") + fet__kernel_uses("avx2.depthwise") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_filter_for_three_in_double),
        cmocka_unit_test(one_filter_for_three_in_float),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
