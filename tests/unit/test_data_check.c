/* `data check` and `data stats`. */
#include "data_fixture.h"

#include <math.h>
#include <unistd.h>

static fet__text lines;

static void take_line(void *user, const char *text)
{
    assert_ptr_equal(user, &lines);
    fet__text_printf(&lines, "%s\n", text);
}

static void expect_line(const char *part)
{
    if (!strstr(lines.s, part))
        fail_msg("\"%s\" is not in:\n%s", part, lines.s);
}

static void findings(void **state)
{
    (void)state;
    fet__dataset d;
    fet__check_report r;
    char *first = NULL;
    fixture_picture("d/train/a/0.ppm", 8, 12, 1);
    fixture_picture("d/train/a/1.ppm", 9, 5, 2);
    fixture_picture("d/train/a/1-again.ppm", 9, 5, 2);
    fixture_picture("d/train/b/0.ppm", 20, 7, 3);
    fixture_picture("d/train/b/same.ppm", 8, 12, 1);
    fixture_text("d/train/b/broken.jpg", "%PDF-1.4");
    fixture_text("d/train/b/empty.png", "");
    fixture_picture("d/val/a/leak.ppm", 20, 7, 3);
    fixture_picture("d/val/b/leak.ppm", 20, 7, 3);
    fixture_picture("d/val/b/own.ppm", 6, 6, 4);
    assert_int_equal(fet__make_folder(fixture_path("d/train/c c")), FET_OK);
    assert_int_equal(symlink("nowhere", fixture_path("d/val/b/gone.jpg")), 0);
    EXPECT_OK(fet__dataset_open(&d, fixture_path("d"), NULL));
    for (int threads = 1; threads <= 7; threads += 3) {
        int before = fet__threads();
        fet__set_threads(threads);
        EXPECT_OK(fet__dataset_check(&r, &d, NULL, take_line, &lines));
        fet__set_threads(before);
        assert_int_equal(r.images, 11);
        assert_int_equal(r.unreadable, 3);
        assert_int_equal(r.duplicates, 4);
        assert_int_equal(r.leaks, 2);
        assert_int_equal(r.empty_classes, 1);
        assert_int_equal(r.min_height, 6);
        assert_int_equal(r.min_width, 5);
        assert_int_equal(r.max_height, 20);
        assert_int_equal(r.max_width, 12);
        expect_line("unreadable: ");
        expect_line("broken.jpg: not a JPEG, PNG, WebP, BMP or PPM file (starts with 25 50 44 46");
        expect_line("empty.png: empty file");
        expect_line("gone.jpg: No such file");
        expect_line("1.ppm (train) is byte for byte");
        expect_line("train/a/0.ppm (train), under another label");
        expect_line("leak: ");
        expect_line("empty class: c c has no images");
        if (!first)
            first = fet__strdup(lines.s);
        assert_string_equal(lines.s, first); /* the same order whatever the threads */
        fet__text_fini(&lines);
        lines = (fet__text){0};
    }
    fet__free(first);
    EXPECT_OK(fet__dataset_check(&r, &d, &(fet__decode_options){.max_pixels = 50}, NULL, NULL));
    assert_int_equal(r.unreadable, 3 + 5);
    fet__dataset_fini(&d);
}

static void check_without_memory(void **state)
{
    (void)state;
    fet__dataset d;
    fet__check_report r;
    int failures = 0;
    fixture_pictures("d/a", 5, 1);
    fixture_pictures("d/b", 5, 2);
    EXPECT_OK(fet__dataset_open(&d, fixture_path("d"), NULL));
    for (uint64_t n = 1; n < 200; n++) {
        fet__alloc_fail_after(n);
        fet_status st = fet__dataset_check(&r, &d, NULL, NULL, NULL);
        fet__alloc_fail_after(0);
        assert_true(st == FET_OK || st == FET_E_NOMEM); /* never a false "unreadable" */
        if (st == FET_OK)
            assert_int_equal(r.unreadable, 0);
        failures += st == FET_E_NOMEM;
    }
    assert_true(failures > 10);
    fet__dataset_fini(&d);
}

static void statistics(void **state)
{
    (void)state;
    static const char black[] = "P6\n1 1\n255\n\0\0\0", other[] = "P6\n1 1\n255\n\377\0\063";
    fet__dataset d;
    double mean[3], std[3];
    fet__preprocess p = {.height = 4, .width = 4, .filter = FET__BILINEAR};
    fixture_write("d/train/a/0.ppm", black, sizeof black - 1);
    fixture_write("d/train/b/0.ppm", other, sizeof other - 1);
    fixture_text("d/train/b/1.ppm", "nothing");
    fixture_text("d/val/a/0.ppm", "nothing");
    fixture_text("d/val/b/0.ppm", "nothing");
    EXPECT_OK(fet__dataset_open(&d, fixture_path("d"), NULL));
    EXPECT_OK(fet__dataset_stats(mean, std, &d, FET__TRAIN, &p));
    assert_true(fabs(mean[0] - 0.5) < 1e-12 && fabs(std[0] - 0.5) < 1e-12);
    assert_true(mean[1] == 0 && std[1] == 0);
    assert_true(fabs(mean[2] - 0.1) < 1e-12 && fabs(std[2] - 0.1) < 1e-12);
    assert_int_equal(fixture_log_count("unreadable image skipped"), 1);
    EXPECT_FAIL(fet__dataset_stats(mean, std, &d, FET__VAL, &p), FET_E_DATA, "val has no readable images");
    EXPECT_FAIL(fet__dataset_stats(mean, std, &d, FET__TEST, &p), FET_E_DATA, "test has no readable images");
    p.height = 0;
    EXPECT_FAIL(fet__dataset_stats(mean, std, &d, FET__TRAIN, &p), FET_E_ARG, "0 x 4");
    fet__dataset_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {DATA_TEST(findings), DATA_TEST(check_without_memory), DATA_TEST(statistics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
