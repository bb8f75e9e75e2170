/* The random changes: what they may do, that a stream repeats them, and that what is switched off changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "image/image_int.h"
#include "unit/image_files.h"

static size_t byte_count(const fet__image *im)
{
    return (size_t)im->height * im->width * 3;
}

static fet__image copy_of(const fet__image *im)
{
    fet__image out;

    assert_int_equal(fet__image_create(&out, im->height, im->width), FET_OK);
    memcpy(out.pixels, im->pixels, byte_count(im));
    return out;
}

static void flip(void **state)
{
    (void)state;
    for (int width = 1; width < 6; width++) {
        fet__image im = picture_make(3, width), was = copy_of(&im);

        fet__image_flip(&im);
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < width; x++)
                assert_memory_equal(im.pixels + (y * width + x) * 3, was.pixels + (y * width + width - 1 - x) * 3, 3);
        fet__image_fini(&im);
        fet__image_fini(&was);
    }
}

/* ---- random resized crop ---- */

static const double usual_scale[2] = {0.08, 1.0}, usual_ratio[2] = {3.0 / 4.0, 4.0 / 3.0};

static void crop_boxes_are_inside_and_spread(void **state)
{
    enum { DRAWS = 20000, HEIGHT = 200, WIDTH = 240 };
    fet__rng r = {.seed = 5};
    double area = 0.0, wide = 0.0, top = 0.0;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        int box[4];
        double ratio;

        fet__crop_draw(box, &r, HEIGHT, WIDTH, usual_scale, usual_ratio);
        assert_true(box[0] >= 0 && box[1] >= 0 && box[2] > 0 && box[3] > 0);
        assert_true(box[0] + box[2] <= HEIGHT && box[1] + box[3] <= WIDTH);
        ratio = (double)box[3] / box[2];
        assert_true(ratio > 0.73 && ratio < 1.36);
        area += (double)box[2] * box[3] / (HEIGHT * WIDTH);
        wide += log(ratio);
        top += box[2] == HEIGHT ? 0.5 : (double)box[0] / (HEIGHT - box[2]);
    }
    /* Large boxes of the wrong ratio are drawn again: the mean area is a little below 0.54. */
    assert_true(area / DRAWS > 0.46 && area / DRAWS < 0.54);
    assert_true(fabs(wide / DRAWS) < 0.03);
    assert_true(fabs(top / DRAWS - 0.5) < 0.02);
}

/* No allowed box fits in ten tries: the largest centred one of an allowed ratio. */
static void crop_fallback(void **state)
{
    static const int cases[][6] = {{1000, 10, 493, 0, 13, 10}, {10, 1000, 0, 493, 10, 13}, {1, 1, 0, 0, 1, 1}};
    const double whole[2] = {1.0, 1.0};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        fet__rng r = {.seed = 1};
        int box[4];

        fet__crop_draw(box, &r, cases[i][0], cases[i][1], whole, usual_ratio);
        assert_memory_equal(box, &cases[i][2], sizeof box);
    }
}

/* ---- pad and crop ---- */

static void pad_crop_shows_a_shifted_picture(void **state)
{
    fet__image im = picture_make(8, 9);
    fet__rng r = {.seed = 3};
    bool seen[5][6] = {{false}};

    (void)state;
    for (size_t i = 0; i < byte_count(&im); i++)
        im.pixels[i] |= 1; /* black is padding */
    for (int draw = 0; draw < 600; draw++) {
        fet__image out;
        bool found = false;

        assert_int_equal(fet__image_pad_crop(&out, &im, &(fet__pad_crop){.pad = 2, .height = 8, .width = 8}, &r),
                         FET_OK);
        for (int top = 0; top < 5; top++) {
            for (int left = 0; left < 6; left++) {
                bool same = true;

                for (int i = 0; i < 8 * 8 * 3 && same; i++) {
                    int y = i / 24 + top - 2, x = i % 24 / 3 + left - 2;
                    bool inside = y >= 0 && y < 8 && x >= 0 && x < 9;

                    same = out.pixels[i] == (inside ? im.pixels[(y * 9 + x) * 3 + i % 3] : 0);
                }
                seen[top][left] |= same;
                found |= same;
            }
        }
        assert_true(found);
        fet__image_fini(&out);
    }
    for (int i = 0; i < 30; i++)
        assert_true(seen[i / 6][i % 6]); /* every place is drawn */
    fet__image_fini(&im);
}

static void pad_crop_limits(void **state)
{
    fet__image im = picture_make(8, 9), out;
    fet__rng r = {.seed = 3};

    (void)state;
    fet__pad_crop how = {.pad = 0, .height = 9, .width = 9};
    assert_int_equal(fet__image_pad_crop(&out, &im, &how, &r), FET_E_DATA);
    assert_non_null(strstr(fet_error_message(), "8 x 9"));
    how = (fet__pad_crop){.pad = -1, .height = 3, .width = 3};
    assert_int_equal(fet__image_pad_crop(&out, &im, &how, &r), FET_E_ARG);
    how = (fet__pad_crop){.pad = 0, .height = 0, .width = 3};
    assert_int_equal(fet__image_pad_crop(&out, &im, &how, &r), FET_E_ARG);
    how = (fet__pad_crop){.pad = 100, .height = 5, .width = 5};
    assert_int_equal(fet__image_pad_crop(&out, &im, &how, &r), FET_OK); /* may show padding only */
    fet__image_fini(&out);
    fet__image_fini(&im);
}

/* Each mode against its definition, written out for one row: [0 1 2] padded by 2. */
static void windows_continue_a_picture(void **state)
{
    static const struct {
        fet__padding mode;
        uint8_t want[7];
    } cases[] = {{FET__PAD_CONSTANT, {9, 9, 0, 1, 2, 9, 9}},
                 {FET__PAD_EDGE, {0, 0, 0, 1, 2, 2, 2}},
                 {FET__PAD_REFLECT, {2, 1, 0, 1, 2, 1, 0}},
                 {FET__PAD_SYMMETRIC, {1, 0, 0, 1, 2, 2, 1}}};
    static const uint8_t fill[3] = {9, 9, 9};
    fet__image im, out;

    (void)state;
    assert_int_equal(fet__image_create(&im, 1, 3), FET_OK);
    for (int i = 0; i < 9; i++)
        im.pixels[i] = (uint8_t)(i / 3);
    for (size_t k = 0; k < FET_COUNT(cases); k++) {
        assert_int_equal(fet__image_window(&out, &im, 0, -2, 1, 7, cases[k].mode, fill), FET_OK);
        for (int i = 0; i < 7; i++)
            assert_int_equal(out.pixels[i * 3 + 1], cases[k].want[i]);
        fet__image_fini(&out);
        /* far outside, and above a picture of one row: no step beyond its memory */
        assert_int_equal(fet__image_window(&out, &im, -50, -100, 60, 300, cases[k].mode, fill), FET_OK);
        fet__image_fini(&out);
        assert_int_equal(fet__image_window(&out, &im, 5, 1000, 3, 4, cases[k].mode, fill), FET_OK);
        fet__image_fini(&out);
    }
    assert_int_equal(fet__image_window(&out, &im, 0, 0, 0, 4, FET__PAD_EDGE, fill), FET_E_ARG);
    fet__image_fini(&im);
}

static void pad_crop_grows_where_it_may(void **state)
{
    fet__image im = picture_make(8, 9), out;
    fet__rng r = {.seed = 4};
    fet__pad_crop how = {.pad = 1, .height = 30, .width = 5, .grow = true};

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fet__image_pad_crop(&out, &im, &how, &r), FET_OK);
        assert_int_equal(out.height, 30);
        assert_int_equal(out.width, 5);
        fet__image_fini(&out);
    }
    fet__image_fini(&im);
}

/* ---- jitter ---- */

static void jitter_repeats_and_rests(void **state)
{
    const fet__jitter off = {0}, on = {0.4, 0.4, 0.4, 0.1};
    fet__image im = picture_make(6, 7), a = copy_of(&im), b = copy_of(&im), c = copy_of(&im);
    fet__rng first = {.seed = 9}, again = {.seed = 9}, other = {.seed = 10};

    (void)state;
    fet__image_jitter(&a, &on, &first);
    fet__image_jitter(&b, &on, &again);
    fet__image_jitter(&c, &on, &other);
    assert_memory_equal(a.pixels, b.pixels, byte_count(&im));
    assert_memory_not_equal(a.pixels, c.pixels, byte_count(&im));
    assert_memory_not_equal(a.pixels, im.pixels, byte_count(&im));
    memcpy(a.pixels, im.pixels, byte_count(&im));
    again.next = 0;
    fet__image_jitter(&a, &off, &again);
    assert_memory_equal(a.pixels, im.pixels, byte_count(&im));
    assert_int_equal(again.next, first.next); /* as many draws as when all is on */
    fet__image_fini(&im);
    fet__image_fini(&a);
    fet__image_fini(&b);
    fet__image_fini(&c);
}

/* Brightness alone on gray 100: results fill 60..140 and nothing else. */
static void jitter_range(void **state)
{
    fet__rng r = {.seed = 2};
    int least = 255, most = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        uint8_t pixel[3] = {100, 100, 100};
        fet__image im = {1, 1, pixel};

        fet__image_jitter(&im, &(fet__jitter){.brightness = 0.4}, &r);
        least = pixel[0] < least ? pixel[0] : least;
        most = pixel[0] > most ? pixel[0] : most;
    }
    assert_true(least >= 59 && least <= 61);
    assert_true(most >= 138 && most <= 140);
}

static void color_fixed_points(void **state)
{
    fet__image im = picture_make(6, 7), was = copy_of(&im);

    (void)state;
    fet__color_brightness(&im, 1.0);
    fet__color_contrast(&im, 1.0);
    fet__color_saturation(&im, 1.0);
    assert_memory_equal(im.pixels, was.pixels, byte_count(&im));
    fet__color_saturation(&im, 0.0);
    for (size_t i = 0; i < byte_count(&im); i += 3)
        assert_true(im.pixels[i] == im.pixels[i + 1] && im.pixels[i] == im.pixels[i + 2]);
    memcpy(was.pixels, im.pixels, byte_count(&im));
    fet__color_hue(&im, 0.3); /* gray has no hue */
    assert_memory_equal(im.pixels, was.pixels, byte_count(&im));
    fet__color_brightness(&im, 0.0);
    for (size_t i = 0; i < byte_count(&im); i++)
        assert_int_equal(im.pixels[i], 0);
    fet__image_fini(&im);
    fet__image_fini(&was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flip),
        cmocka_unit_test(crop_boxes_are_inside_and_spread),
        cmocka_unit_test(crop_fallback),
        cmocka_unit_test(pad_crop_shows_a_shifted_picture),
        cmocka_unit_test(pad_crop_limits),
        cmocka_unit_test(windows_continue_a_picture),
        cmocka_unit_test(pad_crop_grows_where_it_may),
        cmocka_unit_test(jitter_repeats_and_rests),
        cmocka_unit_test(jitter_range),
        cmocka_unit_test(color_fixed_points),
    };

    return cmocka_run_group_tests_name("image_augment", tests, NULL, NULL);
}
