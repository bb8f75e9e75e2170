/* A part of CIFAR-10 from the shared folder: that real files come through. Skipped where it is missing. */
#include "data_fixture.h"

#include <math.h>

#define PACK FETTLE_SHARED "/data/cifar10.tar"

/* The members' names sort, so a pattern takes the same files everywhere: 1/10 of the images. */
static void unpack(void)
{
    char command[8192];
    if (!fet__file_exists(PACK)) {
        print_message("skipped: no %s\n", PACK);
        skip();
    }
    snprintf(command, sizeof command, "tar -xf '%s' -C '%s' --wildcards 'cifar10/*/*/*[05]0.jpg'", PACK,
             fixture_path(""));
    assert_int_equal(system(command), 0);
}

static void cifar(void **state)
{
    (void)state;
    static const char *const names[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
    fet__dataset d;
    fet__check_report r;
    double mean[3], std[3];
    unpack();
    fet__preprocess p = {.height = 32,
                         .width = 32,
                         .mean = {0.49f, 0.48f, 0.44f},
                         .std = {0.25f, 0.24f, 0.26f},
                         .filter = FET__BILINEAR};
    EXPECT_OK(fet__dataset_open(&d, fixture_path("cifar10"), NULL));
    assert_int_equal(d.class_count, 10);
    for (int i = 0; i < 10; i++)
        assert_string_equal(d.classes[i], names[i]);
    assert_true(d.split_off);
    assert_true(d.count[FET__TRAIN] > 200 && d.count[FET__TEST] > 50);
    EXPECT_OK(fet__dataset_check(&r, &d, NULL, NULL, NULL));
    assert_int_equal(r.images, d.count[FET__TRAIN] + d.count[FET__VAL] + d.count[FET__TEST]);
    assert_int_equal(r.unreadable, 0);
    assert_int_equal(r.min_height, 32);
    assert_int_equal(r.max_width, 32);
    EXPECT_OK(fet__dataset_stats(mean, std, &d, FET__TRAIN, &p));
    for (int c = 0; c < 3; c++) { /* known: 0.491 0.482 0.447, 0.247 0.243 0.262 */
        assert_true(fabs(mean[c] - (double[]){0.491, 0.482, 0.447}[c]) < 0.03);
        assert_true(fabs(std[c] - (double[]){0.247, 0.243, 0.262}[c]) < 0.03);
    }

    fet__augment_plan light;
    EXPECT_OK(fet__augment_parse(&light, "light", p.height, p.width));
    fet__loader_options o = {.preprocess = p, .batch = 64, .augment = &light, .shuffle = true};
    for (int cached = 0; cached < 2; cached++) {
        fet__loader *l;
        const fet__batch *b;
        int images = 0;
        o.cache_bytes = cached ? 64 << 20 : 0;
        EXPECT_OK(fet__loader_create(&l, d.samples[FET__TRAIN], d.count[FET__TRAIN], &o));
        for (int epoch = 0; epoch < 4; epoch++) {
            double start = fet__now();
            EXPECT_OK(fet__loader_start(l, epoch, 0));
            for (images = 0; fet__loader_next(l, &b) == FET_OK && b;)
                images += b->count;
            assert_int_equal(images, d.count[FET__TRAIN]);
            print_message("%s, epoch %d: %.0f images a second\n", cached ? "cached" : "decoded", epoch,
                          images / (fet__now() - start));
        }
        fet__loader_destroy(l);
    }
    fet__dataset_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {DATA_TEST(cifar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
