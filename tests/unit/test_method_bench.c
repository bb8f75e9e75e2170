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

/* QuadraNet36-XXS has 0.3243 GMAC of convolutions and linear layers; the plain network lacks two thirds of a quarter of them. */
static void sized_networks(void **state)
{
    fet_bench_options o = {.workload = "quadranet", .batch = 1, .steps = 1, .warmup = 1, .size = "xxs"};
    fet_bench_result quadratic, plain;

    (void)state;
    assert_int_equal(fet_bench(&o, &quadratic, NULL), FET_OK);
    assert_true(quadratic.gflops_per_image > 2 * 0.3243 && quadratic.gflops_per_image < 2.2 * 0.3243);
    o.workload = "convnext";
    o.size = NULL;
    assert_int_equal(fet_bench(&o, &plain, NULL), FET_OK);
    assert_true(plain.gflops_per_image < 0.85 * quadratic.gflops_per_image);
    o.size = "xxl";
    assert_int_equal(fet_bench(&o, &plain, NULL), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "xxs xs t s b"));
    o.workload = "dw";
    assert_int_equal(fet_bench(&o, &plain, NULL), FET_E_ARG);
}

/* The memory study's point: a training step of quadratic blocks needs hardly more than one of plain blocks. */
static void quadratic_blocks_need_no_more_memory(void **state)
{
    fet_tune_options o;
    fet_plan_report quadratic, plain;

    (void)state;
    fet_tune_defaults(&o);
    o.model = "none";
    o.batch = 8;
    o.model_options.arch = "quadranet:depths=1+1+2+1,dim=32,img=64,classes=10";
    assert_int_equal(fet_plan(&o, 1, 0, &quadratic, NULL), FET_OK);
    o.model_options.arch = "quadranet:depths=1+1+2+1,dim=32,img=64,classes=10,mixer=conv";
    assert_int_equal(fet_plan(&o, 1, 0, &plain, NULL), FET_OK);
    assert_true((double)quadratic.arena_bytes <= 1.05 * (double)plain.arena_bytes);
}

/* Pseudo labels have features, everything else has images. */
static void pseudo_labels(void **state)
{
    fet_bench_options o = {.workload = "jaccard", .train = 1, .rows = 130, .width = 24, .steps = 2, .profile = 1};
    fet_bench_result r;
    char *text = NULL;

    (void)state;
    assert_int_equal(fet_bench(&o, &r, &text), FET_OK);
    assert_true(r.min_s > 0 && r.median_s >= r.min_s && r.images_per_s > 0 && r.batch == 0);
    assert_int_equal(r.rows, 128); /* whole groups of 16 */
    assert_int_equal(r.width, 24);
    assert_non_null(strstr(text, "neighbourhoods"));
    fet_free(text);
    o.rows = 15;
    assert_int_equal(fet_bench(&o, &r, NULL), FET_E_ARG);
    o.workload = "dw";
    assert_int_equal(fet_bench(&o, &r, NULL), FET_E_ARG);
}

/* ResNet-50 without the last stride needs 6.2 GFLOP forward at 256 x 128, and a step about three times that, and a bit for the memory. */
static void contrastive_step(void **state)
{
    fet_bench_options o = {.workload = "r50-spcl", .train = 1, .batch = 2, .steps = 1};
    fet_bench_result r;

    (void)state;
    assert_int_equal(fet_bench(&o, &r, NULL), FET_OK);
    assert_int_equal(r.batch, 2);
    assert_true(r.gflops_per_image > 3 * 8.0 && r.gflops_per_image < 3 * 9.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depthwise_layer), cmocka_unit_test(mona_module),
        cmocka_unit_test(sized_networks),  cmocka_unit_test(quadratic_blocks_need_no_more_memory),
        cmocka_unit_test(pseudo_labels),   cmocka_unit_test(contrastive_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
