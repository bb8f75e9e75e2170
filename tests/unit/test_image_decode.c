/* Decoding what the encoders of the libraries (or a few lines by hand) wrote: every format and form, orientation,
 * limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/image_int.h"
#include "unit/image_files.h"

static const fet__decode_options plain = {.name = "p"};

static fet__image decoded(const bytes *b, const fet__decode_options *o)
{
    fet__image im;
    int h = 0, w = 0;

    if (fet__image_decode(&im, b->data, b->size, o) != FET_OK ||
        fet__image_probe(&h, &w, b->data, b->size, o) != FET_OK)
        fail_msg("%s", fet_error_message());
    assert_int_equal(h, im.height);
    assert_int_equal(w, im.width);
    return im;
}

static void expect_same(const fet__image *a, const fet__image *b, int tolerance)
{
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    for (size_t i = 0; i < (size_t)a->height * a->width * 3; i++) {
        if (abs(a->pixels[i] - b->pixels[i]) > tolerance)
            fail_msg("byte %zu: %d and %d", i, a->pixels[i], b->pixels[i]);
    }
}

/* Decode `b` (and release it), compare with `want`. */
static void expect_decodes(bytes b, const fet__image *want, int tolerance)
{
    fet__image im = decoded(&b, &plain);

    expect_same(&im, want, tolerance);
    fet__image_fini(&im);
    bytes_fini(&b);
}

static void expect_refused(bytes b, const fet__decode_options *o, const char *words)
{
    fet__image im;
    fet_status st = fet__image_decode(&im, b.data, b.size, o);

    if (st == FET_OK || !strstr(fet_error_message(), words))
        fail_msg("expected \"%s\", got \"%s\"", words, st == FET_OK ? "success" : fet_error_message());
    assert_int_equal(st, FET_E_FORMAT);
    assert_null(im.pixels);
    bytes_fini(&b);
}

/* ---- JPEG ---- */

static void jpeg_forms_agree(void **state)
{
    /* The same coefficients in another order or coding must give the very same pixels. */
    static const jpeg_form forms[] = {{.progressive = true},
                                      {.arithmetic = true},
                                      {.restart_rows = 1},
                                      {.separate_scans = true},
                                      {.progressive = true, .arithmetic = true}};
    fet__image im = picture_make(37, 51);

    (void)state;
    for (int sampling = 0; sampling < 4; sampling++) {
        jpeg_form base = {.across = 1 + sampling % 2, .down = 1 + sampling / 2};
        bytes b = jpeg_make(&im, &base);
        fet__image want = decoded(&b, &plain);

        if (sampling == 0)
            expect_same(&want, &im, 24);
        for (size_t i = 0; i < FET_COUNT(forms); i++) {
            jpeg_form f = forms[i];

            f.across = base.across;
            f.down = base.down;
            expect_decodes(jpeg_make(&im, &f), &want, 0);
        }
        fet__image_fini(&want);
        bytes_fini(&b);
    }
    fet__image_fini(&im);
}

static void jpeg_colors(void **state)
{
    fet__image im = picture_make(16, 24), gray = picture_make(16, 24), cmyk = picture_make(16, 24);

    (void)state;
    for (size_t i = 0; i < 16 * 24 * 3; i++) {
        int ink = 255 - im.pixels[i], black = 255 - (60 + (int)(i / 3) % 24 % 64); /* stored inverted: Adobe */
        int value = 255 - black - (ink * (255 - black) + 127) / 255;

        gray.pixels[i] = im.pixels[i / 3 * 3];
        cmyk.pixels[i] = (uint8_t)(value < 0 ? 0 : value);
    }
    expect_decodes(jpeg_make(&im, &(jpeg_form){.color = JPEG_RGB, .quality = 100}), &im, 3);
    expect_decodes(jpeg_make(&im, &(jpeg_form){.color = JPEG_GRAY, .quality = 100}), &gray, 3);
    expect_decodes(jpeg_make(&im, &(jpeg_form){.color = JPEG_CMYK, .quality = 100}), &cmyk, 4);
    fet__image_fini(&im);
    fet__image_fini(&gray);
    fet__image_fini(&cmyk);
}

/* ---- PNG ---- */

static void png_round_trip(void **state)
{
    char path[] = "/tmp/fettle-image-XXXXXX";
    int fd = mkstemp(path);
    fet__image im = picture_make(33, 20), back;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    if (fet__image_write_png(path, &im) != FET_OK || fet__image_read(&back, path, NULL) != FET_OK)
        fail_msg("%s", fet_error_message());
    expect_same(&back, &im, 0);
    fet__image_fini(&im);
    fet__image_fini(&back);
    unlink(path);
    assert_int_equal(fet__image_read(&back, path, NULL), FET_E_IO);
    assert_int_equal(fet__image_write_png(path, &(fet__image){0}), FET_E_ARG);
}

/* One row of two pixels in each form, and the six bytes that must come out. */
static const struct png_row {
    int depth, color_type;
    const char *row;
    size_t row_bytes;
    uint8_t rgb[6];
} png_rows[] = {
    {1, 0, "\x40", 1, {0, 0, 0, 255, 255, 255}},
    {2, 0, "\x60", 1, {85, 85, 85, 170, 170, 170}},
    {4, 0, "\x3c", 1, {51, 51, 51, 204, 204, 204}},
    {8, 0, "\x07\xf0", 2, {7, 7, 7, 240, 240, 240}},
    {16, 0, "\x07\xff\xf0\x01", 4, {7, 7, 7, 240, 240, 240}},
    {8, 2, "\x01\x02\x03\x04\x05\x06", 6, {1, 2, 3, 4, 5, 6}},
    {16, 2, "\x01\xff\x02\xff\x03\xff\x04\xff\x05\xff\x06\xff", 12, {1, 2, 3, 4, 5, 6}},
    {1, 3, "\x40", 1, {9, 8, 7, 6, 5, 4}},
    {8, 3, "\x01\xff", 2, {6, 5, 4, 0, 0, 0}}, /* the second index is beyond the palette: black */
    {8, 4, "\x07\x00\xf0\x80", 4, {7, 7, 7, 240, 240, 240}},
    {16, 4, "\x07\x01\x00\x00\xf0\x01\x80\x00", 8, {7, 7, 7, 240, 240, 240}},
    {8, 6, "\x01\x02\x03\x00\x04\x05\x06\xff", 8, {1, 2, 3, 4, 5, 6}},
    {16, 6, "\x01\xff\x02\xff\x03\xff\x00\x00\x04\xff\x05\xff\x06\xff\x80\x80", 16, {1, 2, 3, 4, 5, 6}},
};

static void png_forms(void **state)
{
    bytes palette = {0};

    (void)state;
    bytes_add(&palette, "\x09\x08\x07\x06\x05\x04", 6);
    for (size_t i = 0; i < FET_COUNT(png_rows); i++) {
        const struct png_row *r = &png_rows[i];
        fet__image want = {1, 2, (uint8_t *)r->rgb};

        expect_decodes(png_make(&(png_form){.height = 1,
                                            .width = 2,
                                            .depth = r->depth,
                                            .color_type = r->color_type,
                                            .rows = (const uint8_t *)r->row,
                                            .row_bytes = r->row_bytes,
                                            .palette = r->color_type == 3 ? &palette : NULL}),
                       &want, 0);
    }
    bytes_fini(&palette);
}

/* What stands beside the pixels must neither change them nor stop them: transparency, gamma, and broken chunks that a
 * picture can do without. */
static void png_side_chunks(void **state)
{
    fet__image im = picture_make(5, 4);
    static const struct {
        const char *type, *data;
        size_t size;
    } chunks[] = {
        {"tRNS", "\x00\x28\x00\xdc\x00\x1e", 6},
        {"gAMA", "\x00\x00\x10\x00", 4},
        {"gAMA", "\x00", 1},
        {"cHRM", "\xff\xff\xff\xff", 4},
        {"tIME", "bad", 3},
        {"iCCP", "no profile", 10},
        {"tEXt", "\x00\x00", 2},
        {"zTXt", "k\x00\x00junk", 7},
        {"abCd", "unknown", 7},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(chunks); i++) {
        bytes extra = {0};
        png_form f = {.height = 5, .width = 4, .depth = 8, .color_type = 2, .rows = im.pixels, .row_bytes = 12};

        png_chunk(&extra, chunks[i].type, chunks[i].data, chunks[i].size);
        f.extra = &extra;
        expect_decodes(png_make(&f), &im, 0);
        f.extra = NULL;
        f.after = &extra;
        if (chunks[i].type[1] == 'E' || chunks[i].type[0] == 'z' || chunks[i].type[0] == 'a')
            expect_decodes(png_make(&f), &im, 0);
        bytes_fini(&extra);
    }
    fet__image_fini(&im);
}

/* ---- WebP, PPM, BMP ---- */

static void webp_forms(void **state)
{
    fet__image im = picture_make(19, 26);

    (void)state;
    expect_decodes(webp_make(&im, true, NULL), &im, 0);
    expect_decodes(webp_make(&im, false, NULL), &im, 90);
    fet__image_fini(&im);
}

static bytes text_bytes(const char *text, size_t size)
{
    bytes b = {0};

    bytes_add(&b, text, size);
    return b;
}
#define TEXT(s) text_bytes((s), sizeof(s) - 1)

static void ppm_forms(void **state)
{
    fet__image im = picture_make(9, 11), gray = {1, 2, (uint8_t[]){10, 10, 10, 20, 20, 20}};
    fet__image scaled = {1, 2, (uint8_t[]){0, 0, 0, 128, 128, 128}};

    (void)state;
    expect_decodes(ppm_make(&im, 255), &im, 0);
    expect_decodes(ppm_make(&im, 65535), &im, 0);
    expect_decodes(ppm_make(&im, 1020), &im, 0);
    expect_decodes(TEXT("P5 2 1 255\n\x0a\x14"), &gray, 0);
    expect_decodes(TEXT("P5#c\n2#c\n1\t255\n\x0a\x14 behind"), &gray, 0);
    expect_decodes(TEXT("P5 2 1 2 \x00\x01"), &scaled, 0);
    expect_refused(TEXT("P3 1 1 255 1 2 3"), &plain, "unsupported PNM file: P3");
    expect_refused(TEXT("P6 2 1 255 12345"), &plain, "truncated");
    expect_refused(TEXT("P6 2"), &plain, "truncated");
    expect_refused(TEXT("P6 0 1 255 "), &plain, "malformed");
    expect_refused(TEXT("P6 -1 1 255 "), &plain, "malformed");
    expect_refused(TEXT("P6 1 1 0 123"), &plain, "not in 1..65535");
    expect_refused(TEXT("P6 1 1 65536 123"), &plain, "not in 1..65535");
    expect_refused(TEXT("P5 1 1 9 \x0a"), &plain, "sample 10 exceeds");
    expect_refused(TEXT("P6 99999999999 1 255 "), &plain, "too long");
    expect_refused(TEXT("P6 9999999999 9999999999 255 "), &plain, "too large");
    fet__image_fini(&im);
}

#define V4(a, b, c)                                                                                                    \
    {                                                                                                                  \
        a, b, c, 0                                                                                                     \
    }
static const struct bmp_row {
    bmp_form f;
    uint8_t rgb[6];
} bmp_rows[] = {
    {{40, 24, 0, 0, false, V4(0, 0, 0), NULL, (const uint8_t *)"\x03\x02\x01\x06\x05\x04\x00\x00", 8},
     {1, 2, 3, 4, 5, 6}},
    {{40, 24, 0, 0, true, V4(0, 0, 0), NULL, (const uint8_t *)"\x03\x02\x01\x06\x05\x04", 6}, {1, 2, 3, 4, 5, 6}},
    {{12, 24, 0, 0, false, V4(0, 0, 0), NULL, (const uint8_t *)"\x03\x02\x01\x06\x05\x04\x00\x00", 8},
     {1, 2, 3, 4, 5, 6}},
    {{124, 32, 0, 0, false, V4(0, 0, 0), NULL, (const uint8_t *)"\x03\x02\x01\x00\x06\x05\x04\xff", 8},
     {1, 2, 3, 4, 5, 6}},
    {{40, 32, 3, 0, false, V4(0xFF, 0xFF00, 0xFF0000), NULL, (const uint8_t *)"\x01\x02\x03\x00\x04\x05\x06\xff", 8},
     {1, 2, 3, 4, 5, 6}},
    {{108, 32, 3, 0, false, V4(0x3FF00000, 0xFFC00, 0x3FF), NULL, (const uint8_t *)"\xff\x03\x00\x00\x00\x00\xf0\x3f",
      8},
     {0, 0, 255, 255, 0, 0}},
    {{40, 16, 0, 0, false, V4(0, 0, 0), NULL, (const uint8_t *)"\x00\x7c\x1f\x00", 4}, {255, 0, 0, 0, 0, 255}},
    {{40, 16, 3, 0, false, V4(0xF800, 0x7E0, 0x1F), NULL, (const uint8_t *)"\xe0\x07\x1f\x00", 4},
     {0, 255, 0, 0, 0, 255}},
    {{40, 8, 0, 2, false, V4(0, 0, 0), (const uint8_t *)"\x03\x02\x01\x00\x06\x05\x04\x00",
      (const uint8_t *)"\x01\x02\x00\x00", 4},
     {4, 5, 6, 0, 0, 0}}, /* index 2 is beyond the palette: black */
    {{40, 4, 0, 2, false, V4(0, 0, 0), (const uint8_t *)"\x03\x02\x01\x00\x06\x05\x04\x00",
      (const uint8_t *)"\x10\x00\x00\x00", 4},
     {4, 5, 6, 1, 2, 3}},
    {{40, 1, 0, 2, false, V4(0, 0, 0), (const uint8_t *)"\x03\x02\x01\x00\x06\x05\x04\x00",
      (const uint8_t *)"\x40\x00\x00\x00", 4},
     {1, 2, 3, 4, 5, 6}},
};

static void bmp_forms(void **state)
{
    fet__image im = picture_make(3, 5);
    uint8_t rows[3 * 16] = {0};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(bmp_rows); i++) {
        fet__image want = {1, 2, (uint8_t *)bmp_rows[i].rgb};

        expect_decodes(bmp_make(1, 2, &bmp_rows[i].f), &want, 0);
    }
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 15; x++)
            rows[(2 - y) * 16 + x] = im.pixels[y * 15 + x / 3 * 3 + 2 - x % 3];
    expect_decodes(bmp_make(3, 5, &(bmp_form){40, 24, 0, 0, false, V4(0, 0, 0), NULL, rows, sizeof rows}), &im, 0);
    fet__image_fini(&im);
}

static void bmp_refusals(void **state)
{
    const uint8_t row[16] = {0};
    static const struct {
        uint32_t header, bits, compression, palette, mask, rows;
        const char *words;
    } cases[] = {
        {40, 8, 1, 0, 0, 8, "run-length"},
        {40, 24, 4, 0, 0, 8, "compression 4"},
        {40, 2, 0, 0, 0, 8, "2 bits per pixel"},
        {41, 24, 0, 0, 0, 8, "header of 41 bytes"},
        {40, 24, 3, 0, 0xFF, 8, "bit fields"},
        {40, 32, 3, 0, 0x505, 8, "one run of bits"},
        {40, 32, 3, 0, 0, 8, "one run of bits"},
        {40, 24, 0, 0, 0, 5, "truncated"},
        {40, 1, 0, 0, 0, 4, "truncated" /* a palette of two colours is missing */},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++)
        expect_refused(
            bmp_make(1, 2,
                     &(bmp_form){cases[i].header, cases[i].bits, cases[i].compression, cases[i].palette, false,
                                 V4(cases[i].mask, cases[i].mask, cases[i].mask), row, row, cases[i].rows}),
            &plain, cases[i].words);
    expect_refused(bmp_make(1, 0, &(bmp_form){40, 24, 0, 0, false, V4(0, 0, 0), NULL, row, 8}), &plain, "malformed");
    expect_refused(bmp_make(50000, 50000, &(bmp_form){40, 24, 0, 0, false, V4(0, 0, 0), NULL, row, 8}), &plain,
                   "too large");
    expect_refused(bmp_make(INT32_MIN, 1, &(bmp_form){40, 24, 0, 0, false, V4(0, 0, 0), NULL, row, 8}), &plain,
                   "too large");
}

/* ---- orientation ---- */

/* Where the upright picture's top left corner is stored, by orientation (bottom, right), and whether the sides
 * change. */
static void expect_turned(const fet__image *stored, const fet__image *upright, int orientation)
{
    static const uint8_t bottom[9] = {0, 0, 0, 1, 1, 0, 1, 1, 0}, right[9] = {0, 0, 1, 1, 0, 0, 0, 1, 1};
    size_t corner = ((bottom[orientation] ? (size_t)stored->height - 1 : 0) * (size_t)stored->width +
                     (right[orientation] ? (size_t)stored->width - 1 : 0)) *
                    3;

    assert_int_equal(upright->height, orientation >= 5 ? stored->width : stored->height);
    assert_memory_equal(upright->pixels, stored->pixels + corner, 3);
}

static void orientation_in_three_formats(void **state)
{
    fet__decode_options as_stored = {.name = "p", .ignore_exif = true};
    fet__image im = picture_make(12, 20);

    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        bytes exif = exif_make(orientation, orientation % 2), extra = {0};
        bytes files[4];

        png_chunk(&extra, "eXIf", exif.data, exif.size);
        files[0] = jpeg_make(&im, &(jpeg_form){.exif = &exif});
        files[1] = webp_make(&im, true, &exif);
        files[2] = png_make(&(png_form){12, 20, 8, 2, im.pixels, 60, NULL, &extra, NULL});
        files[3] = png_make(&(png_form){12, 20, 8, 2, im.pixels, 60, NULL, NULL, &extra});
        for (int i = 0; i < 4; i++) {
            fet__image stored = decoded(&files[i], &as_stored), upright = decoded(&files[i], &plain);

            assert_int_equal(stored.width, 20);
            expect_turned(&stored, &upright, orientation);
            fet__image_fini(&stored);
            fet__image_fini(&upright);
            bytes_fini(&files[i]);
        }
        bytes_fini(&exif);
        bytes_fini(&extra);
    }
    fet__image_fini(&im);
}

static int warnings;

static void count_warning(void *user, int level, const char *text)
{
    (void)user;
    (void)text;
    warnings += level;
}

/* Any damage to the block costs at most the orientation, with one warning. */
static void exif_damage_is_harmless(void **state)
{
    fet__image im = picture_make(8, 16);
    bytes exif = exif_make(6, false);

    (void)state;
    fet_set_log(count_warning, NULL);
    for (size_t length = 0; length < exif.size; length++) {
        bytes cut = {exif.data, length, 0}, b = jpeg_make(&im, &(jpeg_form){.exif = &cut});
        fet__image back;

        warnings = 0;
        assert_int_equal(fet__image_decode(&back, b.data, b.size, &plain), FET_OK);
        assert_int_equal(warnings, back.width == 16 ? 1 : 0); /* only the unused link at the end may be missing */
        assert_true(back.width == 16 || length >= exif.size - 4);
        fet__image_fini(&back);
        bytes_fini(&b);
    }
    for (size_t i = 0; i < exif.size * 8; i++) {
        fet__image back;
        bytes b;

        exif.data[i / 8] ^= (uint8_t)(1 << i % 8);
        b = jpeg_make(&im, &(jpeg_form){.exif = &exif});
        assert_int_equal(fet__image_decode(&back, b.data, b.size, &plain), FET_OK);
        exif.data[i / 8] ^= (uint8_t)(1 << i % 8);
        fet__image_fini(&back);
        bytes_fini(&b);
    }
    fet_set_log(NULL, NULL);
    bytes_fini(&exif);
    fet__image_fini(&im);
}

/* ---- sizes and names ---- */

static void one_pixel(void **state)
{
    fet__image im = {1, 1, (uint8_t[]){10, 20, 30}};
    const uint8_t row[4] = {30, 20, 10, 0};

    (void)state;
    expect_decodes(jpeg_make(&im, &(jpeg_form){.quality = 100, .across = 2, .down = 2}), &im, 4);
    expect_decodes(png_make(&(png_form){1, 1, 8, 2, im.pixels, 3, NULL, NULL, NULL}), &im, 0);
    expect_decodes(webp_make(&im, true, NULL), &im, 0);
    expect_decodes(ppm_make(&im, 255), &im, 0);
    expect_decodes(bmp_make(1, 1, &(bmp_form){40, 24, 0, 0, false, V4(0, 0, 0), NULL, row, 4}), &im, 0);
}

static void sizes_are_checked_before_memory(void **state)
{
    fet__decode_options small = {.name = "p", .max_pixels = 100};
    fet__image im = picture_make(10, 11);
    uint64_t calls = fet__alloc_calls();
    int h, w;
    bytes b = png_header(20000, 20000, 8, 2);

    (void)state;
    assert_int_equal(fet__image_probe(&h, &w, b.data, b.size, &plain), FET_E_FORMAT);
    expect_refused(b, &plain, "p: too large: 20000 x 20000 pixels (width x height) exceed the limit of 200000000");
    expect_refused(png_header(0x7FFFFFFF, 0x7FFFFFFF, 8, 2), &plain, "too large");
    expect_refused(png_header(0xFFFFFFFF, 1, 8, 2), &plain, "too large");
    expect_refused(TEXT("P6 20000 20000 255\n"), &plain, "too large");
    assert_int_equal(fet__alloc_calls(), calls);
    expect_refused(jpeg_make(&im, &(jpeg_form){0}), &small, "exceed the limit of 100");
    expect_refused(webp_make(&im, true, NULL), &small, "exceed the limit of 100");
    expect_refused(ppm_make(&im, 255), &small, "exceed the limit of 100");
    assert_int_equal(fet__alloc_calls(), calls);
    fet__image_fini(&im);
}

static void strangers_are_named(void **state)
{
    (void)state;
    expect_refused(TEXT(""), &plain, "p: empty file");
    expect_refused(TEXT("%PDF-1.4"), &plain, "p: not a JPEG, PNG, WebP, BMP or PPM file (starts with 25 50 44 46)");
    expect_refused(TEXT("\x01"), &plain, "(starts with 01)");
    expect_refused(TEXT("\xFF\xD8"), &plain, "truncated JPEG");
    expect_refused(TEXT("x"), &(fet__decode_options){.name = "two\nlines"}, "two\\nlines: not a");
    expect_refused(TEXT("x"), NULL, "image: not a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_forms_agree),
        cmocka_unit_test(jpeg_colors),
        cmocka_unit_test(png_round_trip),
        cmocka_unit_test(png_forms),
        cmocka_unit_test(png_side_chunks),
        cmocka_unit_test(webp_forms),
        cmocka_unit_test(ppm_forms),
        cmocka_unit_test(bmp_forms),
        cmocka_unit_test(bmp_refusals),
        cmocka_unit_test(orientation_in_three_formats),
        cmocka_unit_test(exif_damage_is_harmless),
        cmocka_unit_test(one_pixel),
        cmocka_unit_test(sizes_are_checked_before_memory),
        cmocka_unit_test(strangers_are_named),
    };

    return cmocka_run_group_tests_name("image_decode", tests, NULL, NULL);
}
