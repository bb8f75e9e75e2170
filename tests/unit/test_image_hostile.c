/* Damaged and malicious pictures: every one ends in pixels of the claimed size or in one sentence, quickly and in
 * little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "image/image_int.h"
#include "unit/image_files.h"

#define SAMPLES 14

static const fet__decode_options options = {.name = "p", .max_pixels = 10000};

/* One small file of each kind. */
static void make_samples(bytes files[SAMPLES])
{
    fet__image im = picture_make(13, 17);
    bytes exif = exif_make(6, true), palette = {0};
    uint8_t indices[13 * 17] = {0}, rows[13 * 52] = {0};
    int n = 0;

    bytes_add(&palette, "\x01\x02\x03\x04\x05\x06", 6);
    for (size_t i = 0; i < sizeof indices; i++)
        indices[i] = i % 3 == 0;
    files[n++] = jpeg_make(&im, &(jpeg_form){.exif = &exif});
    files[n++] = jpeg_make(&im, &(jpeg_form){.across = 2, .down = 2, .progressive = true, .quality = 50});
    files[n++] = jpeg_make(&im, &(jpeg_form){.arithmetic = true, .across = 2});
    files[n++] = jpeg_make(&im, &(jpeg_form){.restart_rows = 1, .separate_scans = true});
    files[n++] = jpeg_make(&im, &(jpeg_form){.color = JPEG_CMYK});
    files[n++] = jpeg_make(&im, &(jpeg_form){.color = JPEG_GRAY});
    files[n++] = png_make(&(png_form){13, 17, 8, 2, im.pixels, 51, NULL, NULL, NULL});
    files[n++] = png_make(&(png_form){13, 17, 8, 3, indices, 17, &palette, NULL, NULL});
    files[n++] = webp_make(&im, true, &exif);
    files[n++] = webp_make(&im, false, NULL);
    files[n++] = ppm_make(&im, 255);
    files[n++] = ppm_make(&im, 1000);
    files[n++] = bmp_make(13, 17, &(bmp_form){.header = 40, .bits = 24, .rows = rows, .rows_bytes = sizeof rows});
    files[n++] = bmp_make(13, 17,
                          &(bmp_form){.header = 40,
                                      .bits = 8,
                                      .palette_count = 2,
                                      .palette = (const uint8_t *)"\1\2\3\0\4\5\6",
                                      .rows = rows,
                                      .rows_bytes = 13 * 20});
    assert_int_equal(n, SAMPLES);
    bytes_fini(&exif);
    bytes_fini(&palette);
    fet__image_fini(&im);
}

static void free_samples(bytes files[SAMPLES])
{
    for (int i = 0; i < SAMPLES; i++)
        bytes_fini(&files[i]);
}

/* Decode from an exact copy (a sanitizer sees every byte read too far). Either an image within the limit, every
 * byte of which is there, or a sentence that names the file; no memory stays behind. */
static fet_status survive(const uint8_t *data, size_t size, const fet__decode_options *o)
{
    uint8_t *copy = malloc(size);
    uint64_t held = fet__alloc_bytes();
    fet__image im;
    fet_status st;

    assert_true(copy || size == 0);
    if (size > 0)
        memcpy(copy, data, size);
    st = fet__image_decode(&im, copy, size, o);
    if (st == FET_OK) {
        assert_true((int64_t)im.height * im.width <= 10000 && im.height > 0 && im.width > 0);
        im.pixels[(size_t)im.height * im.width * 3 - 1]++;
    } else {
        assert_true(st == FET_E_FORMAT || st == FET_E_NOMEM);
        assert_null(im.pixels);
        assert_true(st == FET_E_NOMEM || strncmp(fet_error_message(), "p: ", 3) == 0);
    }
    fet__image_fini(&im);
    assert_int_equal(fet__alloc_bytes(), held);
    free(copy);
    return st;
}

/* ---- damage ---- */

/* A cut is refused, or it took nothing from the pixels: a JPEG's end marker (where nothing else can be missing),
 * the end mark's checksum of a PNG, padding. At most four bytes either way. */
static void truncated_at_every_length(void **state)
{
    bytes files[SAMPLES];

    (void)state;
    make_samples(files);
    for (int i = 0; i < SAMPLES; i++) {
        fet__image whole, part;

        assert_int_equal(survive(files[i].data, files[i].size, &options), FET_OK);
        assert_int_equal(fet__image_decode(&whole, files[i].data, files[i].size, &options), FET_OK);
        for (size_t size = 0; size < files[i].size; size++) {
            if (survive(files[i].data, size, &options) != FET_OK)
                continue;
            if (size + 4 < files[i].size)
                fail_msg("sample %d, %zu of %zu bytes: decoded", i, size, files[i].size);
            assert_int_equal(fet__image_decode(&part, files[i].data, size, &options), FET_OK);
            assert_memory_equal(part.pixels, whole.pixels, (size_t)whole.height * whole.width * 3);
            fet__image_fini(&part);
        }
        fet__image_fini(&whole);
    }
    free_samples(files);
}

static void every_flipped_bit(void **state)
{
    bytes files[SAMPLES];

    (void)state;
    make_samples(files);
    for (int i = 0; i < SAMPLES; i++) {
        for (size_t bit = 0; bit < files[i].size * 8; bit++) {
            files[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            survive(files[i].data, files[i].size, &options);
            files[i].data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    free_samples(files);
}

static void out_of_memory_is_reported(void **state)
{
    bytes files[SAMPLES];

    (void)state;
    make_samples(files);
    for (int i = 0; i < SAMPLES; i++) {
        for (uint64_t n = 1;; n++) {
            fet_status st;

            fet__alloc_fail_after(n);
            st = survive(files[i].data, files[i].size, &options);
            fet__alloc_fail_after(0);
            if (st == FET_OK) {
                assert_true(n > 1);
                break;
            }
            assert_int_equal(st, FET_E_NOMEM);
        }
    }
    free_samples(files);
}

static void truncated_jpeg_on_request(void **state)
{
    fet__decode_options allow = options;
    fet__image im = picture_make(64, 64), whole, part;
    bytes b = jpeg_make(&im, &(jpeg_form){0}), p = jpeg_make(&im, &(jpeg_form){.progressive = true});

    (void)state;
    allow.allow_truncated = true;
    assert_int_equal(fet__image_decode(&whole, b.data, b.size, &options), FET_OK);
    assert_int_equal(fet__image_decode(&part, b.data, b.size * 3 / 4, &options), FET_E_FORMAT);
    assert_int_equal(fet__image_decode(&part, b.data, b.size * 3 / 4, &allow), FET_OK);
    assert_memory_equal(part.pixels, whole.pixels, 8 * 64 * 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(part.pixels[64 * 64 * 3 - 1 - i], 128);
    fet__image_fini(&part);
    assert_int_equal(survive(p.data, p.size / 2, &options), FET_E_FORMAT);
    assert_int_equal(survive(p.data, p.size / 2, &allow), FET_OK);
    assert_int_equal(survive(b.data, 100, &allow), FET_E_FORMAT);
    fet__image_fini(&whole);
    fet__image_fini(&im);
    bytes_fini(&b);
    bytes_fini(&p);
}

/* ---- bombs ---- */

#define SURPLUS ((size_t)256 << 20)
#define ALLOWED_BYTES (INT64_C(48) << 20)

static void expect_little_memory(const bytes *b)
{
    int64_t before = fet__peak_rss();
    double begin = fet__now();

    survive(b->data, b->size, &options);
    assert_true(fet__peak_rss() - before < ALLOWED_BYTES);
    assert_true(fet__now() - begin < 10.0);
}

/* A small picture with 256 MB of zeros behind its pixels, in its profile, or in its text. */
static void png_bombs(void **state)
{
    static const struct {
        const char *type, *head;
        size_t head_bytes;
    } places[] = {{"IDAT", "", 0}, {"iCCP", "p\0\0", 3}, {"zTXt", "k\0\0", 3}, {"iTXt", "k\0\1\0\0\0", 6}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(places); i++) {
        bytes b = png_header(16, 16, 8, 2), z = {0}, pixels = {0};

        bytes_add(&z, places[i].head, places[i].head_bytes);
        bytes_add_zlib_zeros(&z, SURPLUS);
        bytes_add_zlib_zeros(&pixels, 16 * 49);
        png_chunk(&b, places[i].type, z.data, z.size);
        if (i > 0)
            png_chunk(&b, "IDAT", pixels.data, pixels.size);
        png_chunk(&b, "IEND", NULL, 0);
        expect_little_memory(&b);
        bytes_fini(&b);
        bytes_fini(&z);
        bytes_fini(&pixels);
    }
}

static size_t find_marker(const bytes *b, uint8_t marker, size_t from)
{
    for (size_t i = from; i + 1 < b->size; i++) {
        if (b->data[i] == 0xFF && b->data[i + 1] == marker)
            return i;
    }
    fail_msg("no marker %02X", marker);
    return 0;
}

/* The same scan again and again: little data, and a pass over the picture for each. */
static void jpeg_scan_bomb(void **state)
{
    fet__image im = picture_make(32, 32);
    bytes b = jpeg_make(&im, &(jpeg_form){.progressive = true}), bomb = {0};
    size_t first = find_marker(&b, 0xDA, 0), second = find_marker(&b, 0xC4, first);

    (void)state;
    bytes_add(&bomb, b.data, first);
    for (int i = 0; i < 2000; i++)
        bytes_add(&bomb, b.data + first, second - first);
    bytes_add(&bomb, b.data + second, b.size - second);
    assert_int_equal(survive(bomb.data, bomb.size, &options), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "more than 500 scans"));
    bytes_fini(&b);
    bytes_fini(&bomb);
    fet__image_fini(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_at_every_length),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(out_of_memory_is_reported),
        cmocka_unit_test(truncated_jpeg_on_request),
        cmocka_unit_test(png_bombs),
        cmocka_unit_test(jpeg_scan_bomb),
    };

    return cmocka_run_group_tests_name("image_hostile", tests, NULL, NULL);
}
