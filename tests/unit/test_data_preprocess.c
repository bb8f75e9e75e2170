/* One image from file to floats: sizes, crops, chance, and files that are no images. */
#include "data_fixture.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static fet__preprocess settings(int height, int width, double crop_pct)
{
    return (fet__preprocess){.height = height,
                             .width = width,
                             .mean = {0, 0, 0},
                             .std = {1, 1, 1},
                             .filter = FET__BICUBIC,
                             .crop_pct = crop_pct};
}

static fet__rng rng_of(uint64_t i)
{
    return (fet__rng){.seed = 5, .next = i << 24, .stream = 1};
}

static const char *const named[] = {"none", "light", "strong"};

static float *process(const char *name, const fet__preprocess *p, const char *spec, uint64_t draw)
{
    fet__augment_plan a;
    EXPECT_OK(fet__augment_parse(&a, spec, p->height, p->width));
    float *out = calloc((size_t)p->height * p->width * 3, sizeof *out);
    fet__rng r = rng_of(draw);
    EXPECT_OK(fet__preprocess_file(out, fixture_path(name), p, &a, &r));
    return out;
}

static fet__image read_image(const char *name)
{
    fet__image im;
    EXPECT_OK(fet__image_read(&im, fixture_path(name), &(fet__decode_options){.name = name}));
    return im;
}

static void expect_pixels(const float *out, const fet__image *im)
{
    for (size_t i = 0; i < (size_t)im->height * im->width * 3; i++)
        assert_true(out[i] == (float)im->pixels[i] / 255.0f);
}

static void same_size_is_only_normalised(void **state)
{
    (void)state;
    fet__preprocess p = settings(8, 8, 0);
    fixture_picture("x.ppm", 8, 8, 1);
    fet__image im = read_image("x.ppm");
    float *out = process("x.ppm", &p, "none", 0);
    expect_pixels(out, &im);
    free(out);
    p.crop_pct = 1;
    p.mean[1] = 0.5f;
    p.std[1] = 0.25f;
    out = process("x.ppm", &p, "none", 0);
    assert_true(out[0] == (float)im.pixels[0] / 255.0f);
    assert_true(out[1] == ((float)im.pixels[1] / 255.0f - 0.5f) / 0.25f);
    free(out);
    fet__image_fini(&im);
}

static void evaluation_crop(void **state)
{
    (void)state;
    fet__image im, scaled, crop;
    fet__preprocess p = settings(28, 28, 0.875);
    fixture_picture("x.ppm", 50, 81, 2);
    im = read_image("x.ppm");
    EXPECT_OK(fet__image_resize(&scaled, &im, 0, 0, 50, 81, 32, 32 * 81 / 50, FET__BICUBIC));
    EXPECT_OK(fet__image_center_crop(&crop, &scaled, 28, 28));
    float *out = process("x.ppm", &p, "none", 0);
    expect_pixels(out, &crop);
    free(out);
    fet__image_fini(&scaled);
    p = settings(20, 30, 0); /* exactly, aspect not kept */
    EXPECT_OK(fet__image_resize(&scaled, &im, 0, 0, 50, 81, 20, 30, FET__BICUBIC));
    out = process("x.ppm", &p, "none", 0);
    expect_pixels(out, &scaled);
    free(out);
    fet__image_fini(&scaled);
    fet__image_fini(&crop);
    p = settings(20, 10, 1); /* covers 20 x 10: 50 x 81 becomes 20 x 32 */
    EXPECT_OK(fet__image_resize(&scaled, &im, 0, 0, 50, 81, 20, 32, FET__BICUBIC));
    EXPECT_OK(fet__image_center_crop(&crop, &scaled, 20, 10));
    out = process("x.ppm", &p, "none", 0);
    expect_pixels(out, &crop);
    free(out);
    fet__image_fini(&scaled);
    fet__image_fini(&crop);
    fet__image_fini(&im);
}

static void extreme_sizes(void **state)
{
    (void)state;
    fet__preprocess p = settings(24, 24, 0.875);
    fixture_picture("dot.ppm", 1, 1, 1);
    fixture_picture("line.ppm", 1, 20000, 2);
    for (size_t a = 0; a < FET_COUNT(named); a++) {
        free(process("dot.ppm", &p, named[a], 0));
        free(process("line.ppm", &p, named[a], 0));
    }
    p = settings(512, 256, 1); /* 20000 x 512 times 512 would be 5 billion pixels */
    fet__rng r = rng_of(0);
    float *out = calloc(512 * 256 * 3, sizeof *out);
    EXPECT_FAIL(fet__preprocess_file(out, fixture_path("line.ppm"), &p, NULL, &r), FET_E_FORMAT, "line.ppm",
                "1 x 20000", "over the limit");
    p.max_pixels = 100;
    EXPECT_FAIL(fet__preprocess_file(out, fixture_path("line.ppm"), &p, NULL, &r), FET_E_FORMAT, "line.ppm",
                "limit of 100");
    free(out);
}

/* Small and light: a window of the padded picture, so every pixel is 0 or the original at one shift. */
static void light_shifts_small_images(void **state)
{
    (void)state;
    fet__preprocess p = settings(16, 16, 0);
    fixture_picture("x.ppm", 16, 16, 3);
    fet__image im = read_image("x.ppm");
    int flipped = 0, moved = 0;
    for (uint64_t draw = 0; draw < 200; draw++) {
        float *out = process("x.ppm", &p, "light", draw);
        int found = 0;
        for (int k = 0; k < 5 * 5 * 2; k++) {
            int dy = k % 5 - 2, dx = k / 5 % 5 - 2, flip = k / 25, same = 1;
            for (int y = 0; y < 16 && same; y++) {
                for (int x = 0; x < 16 && same; x++) {
                    int sy = y + dy, sx = (flip ? 15 - x : x) + dx;
                    float want =
                        sy < 0 || sx < 0 || sy > 15 || sx > 15 ? 0 : (float)im.pixels[(sy * 16 + sx) * 3] / 255.0f;
                    same = out[(y * 16 + x) * 3] == want;
                }
            }
            found += same;
            flipped += same && flip;
            moved += same && (dx || dy);
        }
        assert_int_equal(found, 1);
        free(out);
    }
    assert_true(flipped > 60 && flipped < 140);
    assert_true(moved > 150);
    fet__image_fini(&im);
}

static void chance_is_repeatable(void **state)
{
    (void)state;
    fixture_picture("x.ppm", 90, 120, 4);
    for (size_t a = 1; a < FET_COUNT(named); a++) {
        for (int size = 32; size <= 80; size += 48) {
            fet__preprocess p = settings(size, size, 0.9);
            size_t bytes = (size_t)size * size * 3 * sizeof(float);
            float *x = process("x.ppm", &p, named[a], 1), *y = process("x.ppm", &p, named[a], 1);
            float *z = process("x.ppm", &p, named[a], 2);
            assert_memory_equal(x, y, bytes);
            assert_true(memcmp(x, z, bytes) != 0);
            for (int i = 0; i < size * size * 3; i++)
                assert_true(x[i] >= 0 && x[i] <= 1);
            free(x);
            free(y);
            free(z);
        }
    }
}

static void refuse_file(const char *name, fet_status code, const char *part)
{
    float out[8 * 8 * 3];
    fet__preprocess p = settings(8, 8, 0);
    fet__rng r = rng_of(0);
    EXPECT_FAIL(fet__preprocess_file(out, fixture_path(name), &p, NULL, &r), code, name, part);
}

static void no_images(void **state)
{
    (void)state;
    fixture_text("empty.jpg", "");
    fixture_text("text.jpg", "%PDF-1.4");
    fixture_text("cut.ppm", "P6\n8 8\n255\nabc");
    fixture_text("huge.ppm", "P6\n20000 20000\n255\nabc");
    assert_int_equal(fet__make_folder(fixture_path("folder.png")), FET_OK);
    assert_int_equal(mkfifo(fixture_path("pipe.png"), 0600), 0);
    refuse_file("empty.jpg", FET_E_FORMAT, "empty");
    refuse_file("text.jpg", FET_E_FORMAT, "25 50 44 46");
    refuse_file("cut.ppm", FET_E_FORMAT, "truncated");
    refuse_file("huge.ppm", FET_E_FORMAT, "20000 x 20000");
    refuse_file("folder.png", FET_E_IO, "folder");
    refuse_file("pipe.png", FET_E_IO, "not a regular file");
    refuse_file("gone.png", FET_E_IO, "No such file");
    FILE *f = fopen(fixture_path("sparse.bmp"), "wb");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)3 << 30), 0);
    fclose(f);
    refuse_file("sparse.bmp", FET_E_FORMAT, "too many");
}

static void refused_settings(void **state)
{
    (void)state;
    float out[3];
    fet__rng r = rng_of(0);
    fixture_picture("x.ppm", 1, 1, 1);
#define REFUSED(change, part)                                                                                          \
    do {                                                                                                               \
        fet__preprocess p = settings(1, 1, 0);                                                                         \
        change;                                                                                                        \
        EXPECT_FAIL(fet__preprocess_file(out, fixture_path("x.ppm"), &p, NULL, &r), FET_E_ARG, part);                  \
    } while (0)
    REFUSED(p.height = 0, "0 x 1");
    REFUSED(p.width = -3, "-3");
    REFUSED(p.width = 1 << 20, "1048576");
    REFUSED(p.crop_pct = -0.5, "-0.5");
    REFUSED(p.crop_pct = 1.5, "1.5");
    REFUSED(p.crop_pct = NAN, "nan");
    REFUSED(p.std[1] = 0, "channel 1");
    REFUSED(p.mean[2] = INFINITY, "channel 2");
    REFUSED(p.filter = (fet__filter)77, "77");
    REFUSED(p.max_pixels = -1, "-1");
#undef REFUSED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(same_size_is_only_normalised),
        DATA_TEST(evaluation_crop),
        DATA_TEST(extreme_sizes),
        DATA_TEST(light_shifts_small_images),
        DATA_TEST(chance_is_repeatable),
        DATA_TEST(no_images),
        DATA_TEST(refused_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
