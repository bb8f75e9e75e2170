/* Resizing against a plain rendering of its definition (AUGMENT section 2), and what must hold for windows, boxes,
 * strips, crops, floats and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "image/image_int.h"
#include "unit/image_files.h"

static const fet__filter filters[] = {FET__NEAREST, FET__BOX, FET__BILINEAR, FET__HAMMING, FET__BICUBIC, FET__LANCZOS};

static fet__image noise(int height, int width)
{
    fet__image im;

    assert_int_equal(fet__image_create(&im, height, width), FET_OK);
    for (size_t i = 0; i < (size_t)height * width * 3; i++) {
        uint32_t v = fet__random_u32(7, 1, (uint32_t)width, i);

        im.pixels[i] = (uint8_t)(v & 1 ? 255 * (v >> 1 & 1) : v >> 8); /* half of it extreme: clipping matters */
    }
    return im;
}

static void expect_same(const fet__image *a, const fet__image *b)
{
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_memory_equal(a->pixels, b->pixels, (size_t)a->height * a->width * 3);
}

/* ---- the definition ---- */

static double kernel(fet__filter f, double x)
{
    const double pi = 3.14159265358979323846;
    double a = fabs(x), s = a > 0.0 ? sin(pi * a) / (pi * a) : 1.0,
           t = a > 0.0 ? sin(pi * a / 3.0) / (pi * a / 3.0) : 1.0;

    switch (f) {
    case FET__BOX: return x > -0.5 && x <= 0.5;
    case FET__BILINEAR: return a < 1.0 ? 1.0 - a : 0.0;
    case FET__HAMMING: return a < 1.0 ? s * (0.54 + 0.46 * cos(pi * a)) : 0.0;
    case FET__BICUBIC:
        return a < 1.0 ? (1.5 * a - 2.5) * a * a + 1.0 : a < 2.0 ? ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0 : 0.0;
    default: return a < 3.0 ? s * t : 0.0;
    }
}

static double support(fet__filter f)
{
    return f == FET__BOX ? 0.5 : f == FET__BICUBIC ? 2.0 : f == FET__LANCZOS ? 3.0 : 1.0;
}

/* Weights of output i; returns their number. */
static int weights(double *w, int *low, int i, int n, int o, fet__filter f)
{
    double scale = (double)n / o, fs = fmax(scale, 1.0), c = (i + 0.5) * scale, sum = 0.0;
    int high = (int)fmin(c + support(f) * fs + 0.5, n);

    *low = (int)fmax(c - support(f) * fs + 0.5, 0.0);
    for (int k = *low; k < high; k++)
        sum += w[k - *low] = kernel(f, (k - c + 0.5) / fs);
    for (int k = *low; k < high; k++)
        w[k - *low] /= sum;
    return high - *low;
}

/* One axis: `outer` slices of n blocks of `inner` bytes. */
static void axis(uint8_t *out, const uint8_t *in, int outer, int n, int o, int inner, fet__filter f)
{
    double w[512];

    for (int slice = 0; slice < outer; slice++) {
        for (int i = 0; i < o; i++) {
            int low, count = f == FET__NEAREST ? 0 : weights(w, &low, i, n, o, f);

            for (int c = 0; c < inner; c++) {
                int64_t sum = 1 << 21;

                for (int k = 0; k < count; k++)
                    sum += (int64_t)trunc(w[k] * 4194304.0 + copysign(0.5, w[k])) *
                           in[((size_t)slice * n + low + k) * inner + c];
                sum >>= 22;
                if (f == FET__NEAREST)
                    sum = in[((size_t)slice * n + (size_t)floor((i + 0.5) * n / o)) * inner + c];
                out[((size_t)slice * o + i) * inner + c] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
            }
        }
    }
}

static fet__image defined(const fet__image *in, int height, int width, fet__filter f)
{
    fet__image middle, out;

    assert_int_equal(fet__image_create(&middle, in->height, width), FET_OK);
    assert_int_equal(fet__image_create(&out, height, width), FET_OK);
    if (width == in->width)
        memcpy(middle.pixels, in->pixels, (size_t)in->height * width * 3);
    else
        axis(middle.pixels, in->pixels, in->height, in->width, width, 3, f);
    if (height == in->height)
        memcpy(out.pixels, middle.pixels, (size_t)height * width * 3);
    else
        axis(out.pixels, middle.pixels, 1, in->height, height, width * 3, f);
    fet__image_fini(&middle);
    return out;
}

static const int sizes[][4] = {{1, 1, 1, 1},     {1, 1, 5, 9},    {2, 3, 13, 11},  {9, 17, 13, 11}, {31, 1, 7, 3},
                               {1, 40, 3, 1},    {20, 30, 20, 9}, {20, 30, 7, 30}, {64, 64, 1, 1},  {33, 47, 32, 48},
                               {57, 90, 24, 22}, {5, 6, 64, 67},  {100, 7, 9, 2}};

static void follows_the_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(sizes); i++) {
        fet__image in = noise(sizes[i][0], sizes[i][1]);

        for (size_t f = 0; f < FET_COUNT(filters); f++) {
            fet__image out, want = defined(&in, sizes[i][2], sizes[i][3], filters[f]);

            assert_int_equal(
                fet__image_resize(&out, &in, 0, 0, in.height, in.width, want.height, want.width, filters[f]), FET_OK);
            expect_same(&out, &want);
            fet__image_fini(&out);
            fet__image_fini(&want);
        }
        fet__image_fini(&in);
    }
}

/* ---- parts ---- */

static fet__image part_of(const fet__image *in, fet__window w)
{
    fet__image out;

    assert_int_equal(fet__image_create(&out, w.height, w.width), FET_OK);
    for (int y = 0; y < w.height; y++)
        memcpy(out.pixels + (size_t)y * w.width * 3, in->pixels + ((size_t)(w.top + y) * in->width + w.left) * 3,
               (size_t)w.width * 3);
    return out;
}

/* A box of the input is as if cut out before; a window of the result as if cut out after. */
static void boxes_and_windows(void **state)
{
    fet__image in = noise(50, 41);
    fet__window box = {11, 20, 39, 21}, window = {3, 5, 9, 8}, whole = {0, 0, 39, 21};
    const int targets[][2] = {{20, 17}, {39, 13}, {80, 21}, {39, 21}};

    (void)state;
    for (size_t f = 0; f < FET_COUNT(filters); f++) {
        for (size_t i = 0; i < FET_COUNT(targets); i++) {
            int h = targets[i][0], w = targets[i][1];
            fet__image cut = part_of(&in, box), direct, before, shown, after;

            assert_int_equal(
                fet__image_resize(&direct, &in, box.top, box.left, box.height, box.width, h, w, filters[f]), FET_OK);
            assert_int_equal(fet__image_resize(&before, &cut, 0, 0, 39, 21, h, w, filters[f]), FET_OK);
            expect_same(&direct, &before);
            assert_int_equal(fet__resize_window(&shown, &cut, whole, h, w, window, filters[f]), FET_OK);
            after = part_of(&before, window);
            expect_same(&shown, &after);
            fet__image_fini(&cut);
            fet__image_fini(&direct);
            fet__image_fini(&before);
            fet__image_fini(&shown);
            fet__image_fini(&after);
        }
    }
    fet__image_fini(&in);
}

/* An input so tall that the result is made in several strips: all columns of a one-pixel-wide picture come out
 * alike. */
static void strips_join(void **state)
{
    fet__image in = noise(2500000, 1), out;

    (void)state;
    assert_int_equal(fet__image_resize(&out, &in, 0, 0, in.height, 1, 3, 20, FET__BILINEAR), FET_OK);
    for (int y = 0; y < 3; y++)
        for (int x = 1; x < 20; x++)
            assert_memory_equal(out.pixels + ((size_t)y * 20 + x) * 3, out.pixels + (size_t)y * 60, 3);
    assert_true(out.pixels[0] > 120 && out.pixels[0] < 135);
    fet__image_fini(&in);
    fet__image_fini(&out);
}

/* ---- preparing ---- */

static void shorter_side_and_crop(void **state)
{
    static const int cases[][5] = {
        {171, 111, 92, 81, 81}, {111, 171, 92, 100, 60}, {40, 40, 40, 40, 39}, {20, 33, 9, 24, 24}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        const int *c = cases[i];
        fet__image in = noise(c[0], c[1]), scaled, cropped, direct;

        assert_int_equal(fet__image_resize_short(&scaled, &in, c[2], FET__BICUBIC), FET_OK);
        assert_int_equal(scaled.height, c[0] <= c[1] ? c[2] : c[2] * c[0] / c[1]);
        assert_int_equal(scaled.width, c[0] <= c[1] ? c[2] * c[1] / c[0] : c[2]);
        assert_int_equal(fet__image_center_crop(&cropped, &scaled, c[3], c[4]), FET_OK);
        assert_int_equal(fet__image_resize_short_crop(&direct, &in, c[2], c[3], c[4], FET__BICUBIC), FET_OK);
        expect_same(&direct, &cropped);
        fet__image_fini(&in);
        fet__image_fini(&scaled);
        fet__image_fini(&cropped);
        fet__image_fini(&direct);
    }
}

/* (have, want) -> first source index shown, and where it lies; halves go to the even side, padding to the far one. */
static void crop_places(void **state)
{
    static const int cases[][4] = {{10, 9, 0, 0}, {10, 7, 2, 0}, {10, 5, 2, 0},
                                   {9, 9, 0, 0},  {5, 8, 0, 1},  {5, 7, 0, 1}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        const int *c = cases[i];
        fet__image in, out;

        assert_int_equal(fet__image_create(&in, 1, c[0]), FET_OK);
        for (int x = 0; x < c[0]; x++)
            in.pixels[3 * x] = (uint8_t)(x + 1);
        assert_int_equal(fet__image_center_crop(&out, &in, 1, c[1]), FET_OK);
        assert_int_equal(out.pixels[3 * c[3]], c[2] + 1);
        assert_int_equal(c[3] ? out.pixels[3 * (c[3] - 1)] : 0, 0);
        fet__image_fini(&in);
        fet__image_fini(&out);
    }
}

static void normalize(void **state)
{
    const float mean[3] = {0.5f, 0.25f, 0.0f}, std[3] = {0.5f, 0.25f, 2.0f};
    fet__image in = {1, 2, (uint8_t[]){0, 51, 255, 255, 0, 102}};
    float out[6];
    const float want[6] = {-1.0f, -0.2f, 0.5f, 1.0f, -1.0f, 0.2f};

    (void)state;
    fet__image_normalize(out, &in, mean, std);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(out[i] - want[i]) < 1e-6f);
}

/* ---- floats ---- */

static void float_planes(void **state)
{
    enum { IN_H = 14, IN_W = 11, OUT_H = 9, OUT_W = 16, CHANNELS = 5 };
    float in[IN_H * IN_W * CHANNELS], out[OUT_H * OUT_W * CHANNELS], back[IN_H * IN_W * CHANNELS];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(in); i++)
        in[i] = (float)fet__random_normal(1, 2, 3, i);
    for (size_t f = 1; f < FET_COUNT(filters); f++) {
        double wy[64], wx[64];
        int y0, x0, y = 4, x = 13, c = 2;
        int ny = weights(wy, &y0, y, IN_H, OUT_H, filters[f]), nx = weights(wx, &x0, x, IN_W, OUT_W, filters[f]);
        double sum = 0.0;

        for (int i = 0; i < ny; i++)
            for (int k = 0; k < nx; k++)
                sum += wy[i] * wx[k] * (double)in[((y0 + i) * IN_W + x0 + k) * CHANNELS + c];
        assert_int_equal(fet__resize_float(out, OUT_H, OUT_W, in, IN_H, IN_W, CHANNELS, filters[f]), FET_OK);
        assert_true(fabs((double)out[(y * OUT_W + x) * CHANNELS + c] - sum) < 1e-6);
        assert_int_equal(fet__resize_float(back, IN_H, IN_W, in, IN_H, IN_W, CHANNELS, filters[f]), FET_OK);
        assert_memory_equal(back, in, sizeof in);
    }
    assert_int_equal(fet__resize_float(out, OUT_H, OUT_W, in, IN_H, IN_W, CHANNELS, FET__NEAREST), FET_OK);
    assert_true(out[CHANNELS * (OUT_W * 2 + 1)] == in[CHANNELS * (IN_W * 3 + 1)]);
    assert_int_equal(fet__resize_float(out, 0, 1, in, 1, 1, 1, FET__BOX), FET_E_ARG);
}

/* ---- refusals, memory, threads ---- */

static void bad_arguments(void **state)
{
    fet__image in = noise(4, 6), out;
    fet__filter f;

    (void)state;
    assert_int_equal(fet__image_resize(&out, &in, 0, 0, 5, 6, 2, 2, FET__BOX), FET_E_ARG);
    assert_int_equal(fet__image_resize(&out, &in, 2, 0, 3, 6, 2, 2, FET__BOX), FET_E_ARG);
    assert_int_equal(fet__image_resize(&out, &in, -1, 0, 3, 6, 2, 2, FET__BOX), FET_E_ARG);
    assert_int_equal(fet__image_resize(&out, &in, 0, 0, 4, 6, 0, 2, FET__BOX), FET_E_ARG);
    assert_int_equal(fet__image_resize(&out, &in, 0, 0, 4, 6, 100000, 100000, FET__BOX), FET_E_DATA);
    assert_null(out.pixels);
    assert_int_equal(fet__image_resize_short(&out, &in, 0, FET__BOX), FET_E_ARG);
    assert_int_equal(fet__image_resize_short(&out, &(fet__image){1, 2000000000, in.pixels}, 2, FET__BOX), FET_E_DATA);
    assert_int_equal(fet__image_center_crop(&out, &in, 0, 1), FET_E_ARG);
    for (size_t i = 0; i < FET_COUNT(filters); i++)
        assert_true(fet__filter_parse(fet__filter_name(filters[i]), &f) && f == filters[i]);
    assert_false(fet__filter_parse("cubic", &f));
    fet__image_fini(&in);
}

static void out_of_memory(void **state)
{
    fet__image in = noise(30, 40), out;
    float plane[6] = {1, 2, 3, 4, 5, 6}, small[2];

    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        uint64_t held = fet__alloc_bytes();
        fet_status st = FET_E_NOMEM;

        for (uint64_t n = 1; st != FET_OK; n++) {
            fet__alloc_fail_after(n);
            st = kind == 0   ? fet__image_resize_short_crop(&out, &in, 20, 18, 25, FET__BICUBIC)
                 : kind == 1 ? fet__image_resize(&out, &in, 0, 0, 30, 40, 30, 20, FET__BOX)
                 : kind == 2 ? fet__image_resize(&out, &in, 0, 0, 30, 40, 9, 9, FET__NEAREST)
                             : fet__resize_float(small, 1, 2, plane, 2, 3, 1, FET__BILINEAR);
            fet__alloc_fail_after(0);
            assert_true(st == FET_OK || st == FET_E_NOMEM);
            if (st == FET_OK && kind < 3)
                fet__image_fini(&out);
            assert_int_equal(fet__alloc_bytes(), held);
        }
    }
    fet__image_fini(&in);
}

typedef struct worker {
    const fet__image *in, *want;
    bool same;
} worker;

static void *work(void *user)
{
    worker *w = user;

    w->same = true;
    for (int i = 0; i < 50; i++) {
        fet__image out;

        if (fet__image_resize_short(&out, w->in, 32, FET__LANCZOS) != FET_OK)
            w->same = false;
        else
            w->same = w->same && memcmp(out.pixels, w->want->pixels, (size_t)out.height * out.width * 3) == 0;
        fet__image_fini(&out);
    }
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    fet__image in = noise(70, 90), want;
    worker workers[4];
    pthread_t threads[4];

    (void)state;
    assert_int_equal(fet__image_resize_short(&want, &in, 32, FET__LANCZOS), FET_OK);
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker){&in, &want, false};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(workers[i].same);
    }
    fet__image_fini(&in);
    fet__image_fini(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_definition), cmocka_unit_test(boxes_and_windows), cmocka_unit_test(strips_join),
        cmocka_unit_test(shorter_side_and_crop),  cmocka_unit_test(crop_places),       cmocka_unit_test(normalize),
        cmocka_unit_test(float_planes),           cmocka_unit_test(bad_arguments),     cmocka_unit_test(out_of_memory),
        cmocka_unit_test(threads_do_not_meet),
    };

    return cmocka_run_group_tests_name("image_resize", tests, NULL, NULL);
}
