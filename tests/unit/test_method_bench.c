/* Workloads that are one module: they run, train or infer, and count the work of all their convolutions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fettle/fettle.h"

static fet_bench_result run(const char *workload, int train, char **text)
{
    fet_bench_options o = {
        .workload = workload, .batch = 1, .steps = 3, .warmup = 1, .train = train, .profile = text != NULL};
    fet_bench_result r;

    assert_int_equal(fet_bench(&o, &r, text), FET_OK);
    assert_true(r.min_s > 0 && r.median_s >= r.min_s && r.images_per_s > 0);
    return r;
}

/* 56 x 56 pixels of 64 channels, 49 taps: 0.0197 GFLOP forward; each of the two gradients as much. */
static void depthwise_layer(void **state)
{
    const double forward = 2.0 * 56 * 56 * 64 * 49 * 1e-9;
    char *text = NULL;

    (void)state;
    assert_true(run("dw", 0, NULL).gflops_per_image >= forward);
    assert_true(run("dw", 0, NULL).gflops_per_image < 1.5 * forward);
    assert_true(run("dw", 1, &text).gflops_per_image >= 3 * forward);
    assert_non_null(text);
    assert_non_null(strstr(text, "conv2d_dx"));
    assert_non_null(strstr(text, "conv2d_dw"));
    fet_free(text);
}

static void mona_module(void **state)
{
    double infer, train;

    (void)state;
    infer = run("mona-op", 0, NULL).gflops_per_image;
    train = run("mona-op", 1, NULL).gflops_per_image;
    assert_true(infer > 2.0 * 56 * 56 * (2 * 96 * 64 + 64 * 64 + 64 * 49) * 1e-9);
    assert_true(train > 2.5 * infer && train < 3.5 * infer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depthwise_layer),
        cmocka_unit_test(mona_module),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
