/* Operations on pixels beyond what the goldens hold: what they refuse, borders and small pictures, the distributions of
 * RandAugment, erasing and Beta, mixing with any partners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_int.h"
#include "unit/image_files.h"

static size_t byte_count(const fet__image *im)
{
    return (size_t)im->height * im->width * 3;
}

/* ---- what is refused ------------------------------------------------------------------------------------------- */

static void arguments_out_of_range(void **state)
{
    static const struct {
        fet__pixel_op op;
        double bad[3];
    } cases[] = {{FET__PIXEL_BRIGHTNESS, {-0.1, NAN, INFINITY}}, {FET__PIXEL_CONTRAST, {-1, NAN, -INFINITY}},
                 {FET__PIXEL_SATURATION, {-1e-9, NAN, 1e9}},     {FET__PIXEL_SHARPNESS, {-3, NAN, INFINITY}},
                 {FET__PIXEL_HUE, {0.51, -0.51, NAN}},           {FET__PIXEL_POSTERIZE, {-1, 9, NAN}},
                 {FET__PIXEL_SOLARIZE, {-1, 257, NAN}},          {FET__PIXEL_ROTATE, {NAN, INFINITY, -INFINITY}},
                 {FET__PIXEL_SHEAR_X, {NAN, 1e9, -1e9}},         {FET__PIXEL_TRANSLATE_Y, {NAN, 1e9, -1e9}}};
    fet__image im = picture_make(5, 6);

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++)
        for (int k = 0; k < 3; k++) {
            assert_int_equal(fet__image_op(&im, cases[i].op, cases[i].bad[k], NULL), FET_E_ARG);
            assert_non_null(strstr(fet_error_message(), fet__pixel_op_name(cases[i].op)));
        }
    assert_int_equal(fet__image_op(&im, FET__PIXEL_ROTATE, 3, &(fet__sampling){.filter = FET__LANCZOS}), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, 4, 1), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, 0, 1), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, -3, 1), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, 3, 0), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, 3, NAN), FET_E_ARG);
    assert_int_equal(fet__image_blur(&im, 11, 1), FET_E_ARG); /* half of it is the height */
    assert_int_equal(fet__image_blur(&im, 9, 1), FET_OK);
    assert_int_equal(fet__image_blur_box(&im, -1), FET_E_ARG);
    assert_int_equal(fet__image_blur_box(&im, NAN), FET_E_ARG);
    fet__image_fini(&im);
}

/* Each operation on pictures of one pixel, one row and one column: its size stays, nothing beyond is touched. */
static void smallest_pictures(void **state)
{
    static const int sizes[][2] = {{1, 1}, {1, 7}, {7, 1}, {2, 2}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(sizes); i++)
        for (int op = 0; op < FET__PIXEL_OPS; op++)
            for (int f = 0; f < 3; f++) {
                static const fet__filter filters[] = {FET__NEAREST, FET__BILINEAR, FET__BICUBIC};
                fet__image im = picture_make(sizes[i][0], sizes[i][1]);

                assert_int_equal(fet__image_op(&im, (fet__pixel_op)op, 0.4, &(fet__sampling){filters[f], {1, 2, 3}}),
                                 FET_OK);
                assert_int_equal(im.height, sizes[i][0]);
                assert_int_equal(im.width, sizes[i][1]);
                assert_int_equal(fet__image_blur_box(&im, 3.7), FET_OK);
                assert_int_equal(fet__image_turn(&im, 3), FET_OK);
                assert_int_equal(im.height, sizes[i][1]);
                fet__image_fini(&im);
            }
}

/* ---- moving ------------------------------------------------------------------------------------------------------- */

static void four_turns_come_back(void **state)
{
    fet__image im = picture_make(4, 7), was;

    (void)state;
    assert_int_equal(fet__image_copy(&was, &im), FET_OK);
    assert_int_equal(fet__image_turn(&im, 1), FET_OK);
    assert_int_equal(im.height, 7);
    /* counter-clockwise: the right column becomes the top row */
    for (int i = 0; i < 4; i++)
        assert_memory_equal(im.pixels + i * 3, was.pixels + (i * 7 + 6) * 3, 3);
    assert_int_equal(fet__image_turn(&im, 3), FET_OK);
    assert_memory_equal(im.pixels, was.pixels, byte_count(&was));
    assert_int_equal(fet__image_turn(&im, 2), FET_OK);
    assert_memory_equal(im.pixels, was.pixels + byte_count(&was) - 3, 3);
    assert_int_equal(fet__image_turn(&im, -2), FET_OK);
    assert_memory_equal(im.pixels, was.pixels, byte_count(&was));
    fet__image_fini(&im);
    fet__image_fini(&was);
}

/* Bicubic goes through the pixels at whole shifts, keeps a constant, and follows Keys' kernel with a = -1 at a half. */
static void bicubic_samples(void **state)
{
    fet__sampling how = {FET__BICUBIC, {0, 0, 0}};
    const double half[6] = {1, 0, 0.5, 0, 1, 0};
    fet__image im, out;

    (void)state;
    assert_int_equal(fet__image_create(&im, 1, 6), FET_OK);
    memcpy(im.pixels, (uint8_t[18]){0, 50, 9, 0, 50, 9, 100, 50, 9, 200, 50, 9, 200, 50, 9, 200, 50, 9}, 18);
    assert_int_equal(fet__image_affine(&out, &im, half, &how), FET_OK);
    /* weights at a half: -1/8, 5/8, 5/8, -1/8 */
    assert_int_equal(out.pixels[2 * 3], (int)((100 + 200) * 0.625 - 200 * 0.125));
    assert_int_equal(out.pixels[1 * 3], (int)(100 * 0.625 - 200 * 0.125));
    for (int x = 0; x < 5; x++)
        assert_int_equal(out.pixels[x * 3 + 1], 50);
    fet__image_fini(&out);
    how.fill[1] = 77;
    assert_int_equal(fet__image_op(&im, FET__PIXEL_TRANSLATE_X, 2.9, &how), FET_OK);
    assert_int_equal(im.pixels[1], 77);
    assert_int_equal(im.pixels[4], 77);
    assert_int_equal(im.pixels[4 * 3], 100); /* by two, the fraction falls away */
    fet__image_fini(&im);
}

/* ---- RandAugment ---------------------------------------------------------------------------------------------------- */

static void rand_augment_repeats_and_varies(void **state)
{
    const fet__rand_layers b = {.layers = 2,
                                .magnitude = 9,
                                .deviation = 0.5,
                                .most = 10,
                                .probability = 0.5,
                                .increasing = true,
                                .any_filter = true};
    const fet__rand_bins a = {.ops = 2, .magnitude = 9, .bins = 31};
    fet__image im = picture_make(20, 24);
    int untouched = 0, same = 0;

    (void)state;
    for (uint64_t i = 0; i < 400; i++) {
        fet__rng r = {.seed = i}, again = r;
        fet__image x, y;

        assert_int_equal(fet__image_copy(&x, &im), FET_OK);
        assert_int_equal(fet__image_copy(&y, &im), FET_OK);
        assert_int_equal(fet__image_rand_layers(&x, &b, &r), FET_OK);
        assert_int_equal(fet__image_rand_layers(&y, &b, &again), FET_OK);
        assert_memory_equal(x.pixels, y.pixels, byte_count(&x));
        untouched += r.next == 8; /* two choices and two chances of two numbers each */
        same += memcmp(x.pixels, im.pixels, byte_count(&x)) == 0;
        assert_int_equal(fet__image_rand_bins(&x, &a, &r), FET_OK);
        fet__image_fini(&x);
        fet__image_fini(&y);
    }
    assert_true(untouched > 70 && untouched < 130); /* a quarter */
    assert_true(same >= untouched && same < 200);
    fet__image_fini(&im);
}

static void rand_augment_extremes(void **state)
{
    static const double magnitudes[] = {0, 10, 1e5};
    fet__image im = picture_make(9, 7);

    (void)state;
    for (size_t i = 0; i < FET_COUNT(magnitudes); i++)
        for (int k = 0; k < 8; k++) {
            const fet__rand_layers b = {.layers = 40,
                                        .magnitude = magnitudes[i],
                                        .deviation = k & 1 ? 200 : 3,
                                        .most = k & 2 ? magnitudes[i] : 10,
                                        .probability = 1,
                                        .increasing = k & 4};
            fet__rng r = {.seed = (uint64_t)k};

            assert_int_equal(fet__image_rand_layers(&im, &b, &r), FET_OK);
        }
    assert_int_equal(fet__image_rand_bins(&im, &(fet__rand_bins){2, 31, 31, {FET__NEAREST, {0}}}, &(fet__rng){0}),
                     FET_E_ARG);
    assert_int_equal(fet__image_rand_bins(&im, &(fet__rand_bins){2, -1, 31, {FET__NEAREST, {0}}}, &(fet__rng){0}),
                     FET_E_ARG);
    assert_int_equal(fet__image_rand_layers(&im, &(fet__rand_layers){.layers = 1, .magnitude = NAN}, &(fet__rng){0}),
                     FET_E_ARG);
    fet__image_fini(&im);
}

/* ---- erasing --------------------------------------------------------------------------------------------------------- */

static void erased_boxes_are_inside(void **state)
{
    enum { HEIGHT = 30, WIDTH = 20, DRAWS = 5000 };
    fet__erase e = {
        .probability = 1, .area = {0.02, 0.4}, .aspect = {0.3, 1 / 0.3}, .tries = 100, .least = 1, .most = 1};
    fet__rng r = {.seed = 2};

    (void)state;
    for (int even = 0; even < 2; even++) {
        double area = 0, aspect = 0;

        e.even_aspect = even;
        for (int i = 0; i < DRAWS; i++) {
            int box[4];

            assert_true(fet__erase_draw(box, &e, HEIGHT, WIDTH, 1, &r));
            assert_true(box[0] >= 0 && box[1] >= 0 && box[2] < HEIGHT && box[3] < WIDTH);
            assert_true(box[0] + box[2] <= HEIGHT && box[1] + box[3] <= WIDTH);
            area += (double)box[2] * box[3] / (HEIGHT * WIDTH * DRAWS);
            aspect += log((double)box[2] / box[3]) / DRAWS;
        }
        assert_true(area > 0.17 && area < 0.22);
        /* an even aspect is taller in the mean than one whose logarithm is even */
        assert_true(even ? aspect > 0.3 : fabs(aspect) < 0.15);
    }
    /* a box that cannot be below the picture's size: nothing is erased */
    e.area[0] = e.area[1] = 1;
    e.aspect[0] = e.aspect[1] = (double)HEIGHT / WIDTH;
    assert_false(fet__erase_draw((int[4]){0}, &e, HEIGHT, WIDTH, 1, &r));
}

static void erasing_fills_as_told(void **state)
{
    enum { SIDE = 32, COUNT = SIDE * SIDE * 3 };
    fet__erase e = {.probability = 1, .area = {0.2, 0.3}, .aspect = {1, 1}, .tries = 10, .least = 2, .most = 2};
    static float x[COUNT], y[COUNT];

    (void)state;
    for (int fill = FET__ERASE_CONST; fill <= FET__ERASE_PIXEL; fill++) {
        fet__rng r = {.seed = 9}, again = r;
        double sum = 0, squares = 0;
        int changed = 0;

        for (int i = 0; i < COUNT; i++)
            x[i] = y[i] = 100;
        e.fill = (fet__erase_fill)fill;
        e.value[1] = 5;
        fet__erase_random(x, SIDE, SIDE, &e, &r);
        fet__erase_random(y, SIDE, SIDE, &e, &again);
        assert_memory_equal(x, y, sizeof x);
        for (int i = 0; i < COUNT; i++) {
            if (x[i] == 100)
                continue;
            changed++;
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
            if (fill == FET__ERASE_CONST)
                assert_true(x[i] == e.value[i % 3]);
        }
        assert_true(changed > COUNT / 8 && changed <= COUNT * 3 / 10);
        if (fill == FET__ERASE_PIXEL) {
            assert_true(fabs(sum / changed) < 0.15);
            assert_true(fabs(squares / changed - 1) < 0.2);
        }
        assert_true(r.next < 64); /* noise has a stream of its own */
    }
    e.probability = 0;
    memcpy(y, x, sizeof x);
    fet__erase_random(x, SIDE, SIDE, &e, &(fet__rng){.seed = 1});
    assert_memory_equal(x, y, sizeof x);
}

/* ---- mixing ------------------------------------------------------------------------------------------------------------ */

/* Against the definition with a copy of the batch, for every size up to 7 and partners in several cycles. */
static void mixing_with_any_partners(void **state)
{
    enum { MOST = 7, H = 3, W = 4, SIZE = H * W * 3 };
    float x[MOST * SIZE], was[MOST * SIZE], scratch[SIZE];
    int32_t partner[MOST];
    fet__rng r = {.seed = 1};

    (void)state;
    for (int round = 0; round < 60; round++) {
        int count = round % MOST + 1, box[4] = {1, 0, 2, 3};
        bool cut = round % 2;

        for (int i = 0; i < count; i++)
            partner[i] = round < 14 ? count - 1 - i : i;
        if (round >= 14)
            fet__rng_shuffle(&r, partner, count);
        for (int i = 0; i < count * SIZE; i++)
            x[i] = was[i] = (float)fet__rng_normal(&r);
        if (cut)
            fet__cutmix(x, scratch, count, H, W, 3, partner, box);
        else
            fet__mixup(x, scratch, count, SIZE, partner, 0.3);
        for (int i = 0; i < count * SIZE; i++) {
            int n = i / SIZE, y = i % SIZE / (W * 3), column = i % (W * 3) / 3;
            float other = was[partner[n] * SIZE + i % SIZE];
            bool inside = y >= 1 && y < 3 && column < 3;
            float want = cut ? (inside ? other : was[i]) : 0.3f * was[i] + 0.7f * other;

            assert_true(fabsf(x[i] - want) < 1e-6f);
        }
    }
}

static void cutmix_boxes(void **state)
{
    (void)state;
    for (int i = 0; i <= 20; i++)
        for (int y = 0; y < 5; y++)
            for (int x = 0; x < 9; x++) {
                int box[4];
                double kept = fet__cutmix_box(box, 5, 9, i / 20.0, y, x);

                assert_true(box[0] >= 0 && box[1] >= 0 && box[2] >= 0 && box[3] >= 0);
                assert_true(box[0] + box[2] <= 5 && box[1] + box[3] <= 9);
                assert_true(fabs(kept - (1 - box[2] * box[3] / 45.0)) < 1e-12);
            }
}

static void beta_has_its_moments(void **state)
{
    static const double alphas[] = {0.001, 0.2, 0.8, 1, 3, 200};
    enum { DRAWS = 20000 };
    fet__rng r = {.seed = 7};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(alphas); i++) {
        double sum = 0, squares = 0, want = 1 / (4 * (2 * alphas[i] + 1));

        for (int k = 0; k < DRAWS; k++) {
            double v = fet__draw_beta(alphas[i], &r);

            assert_true(v >= 0 && v <= 1);
            sum += v;
            squares += (v - 0.5) * (v - 0.5);
        }
        assert_true(fabs(sum / DRAWS - 0.5) < 0.015);
        assert_true(fabs(squares / DRAWS - want) < 0.03 * want + 1e-4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_out_of_range),
        cmocka_unit_test(smallest_pictures),
        cmocka_unit_test(four_turns_come_back),
        cmocka_unit_test(bicubic_samples),
        cmocka_unit_test(rand_augment_repeats_and_varies),
        cmocka_unit_test(rand_augment_extremes),
        cmocka_unit_test(erased_boxes_are_inside),
        cmocka_unit_test(erasing_fills_as_told),
        cmocka_unit_test(mixing_with_any_partners),
        cmocka_unit_test(cutmix_boxes),
        cmocka_unit_test(beta_has_its_moments),
    };

    return cmocka_run_group_tests_name("image_ops", tests, NULL, NULL);
}
