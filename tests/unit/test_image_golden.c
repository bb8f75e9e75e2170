/* The image layer against reference tensors: every decoded and resized picture, and the colour operations. Skipped
 * where the reference files are not at hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_int.h"
#include "parity/image_make.h"
#include "store/store.h"

#define DATA FETTLE_SHARED "/golden/data"

static fet__tensors *open_golden(const char *name)
{
    char path[1024];
    fet__tensors *t = NULL;

    snprintf(path, sizeof path, "%s/%s.safetensors", DATA, name);
    if (!fet__file_exists(path)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    if (fet__tensors_open(&t, path) != FET_OK)
        fail_msg("%s", fet_error_message());
    return t;
}

/* ---- decode and resize ---- */

static double largest_difference(const image_made *m, const fet__entry *e)
{
    double worst = 0.0;
    size_t count = (size_t)m->height * m->width * 3;

    for (size_t i = 0; i < count; i++) {
        float plane;
        double d;

        if (m->planes) {
            memcpy(&plane, (const uint8_t *)e->data + i * sizeof plane, sizeof plane); /* not aligned in the file */
            d = (double)m->planes[i] - (double)plane;
        } else {
            d = m->picture.pixels[i] - ((const uint8_t *)e->data)[i];
        }
        worst = fabs(d) > worst ? fabs(d) : worst;
    }
    return worst;
}

static void check_entry(const fet__entry *e)
{
    image_made m;
    int64_t bytes;
    double worst;

    if (image_make(&m, DATA "/images", e->name) != FET_OK)
        fail_msg("%s: %s", e->name, fet_error_message());
    bytes = (int64_t)m.height * m.width * 3 * (m.planes ? 4 : 1);
    if (bytes != e->bytes || e->shape.dim[m.planes ? 1 : 0] != m.height)
        fail_msg("%s: %d x %d, expected %s", e->name, m.height, m.width, fet__shape_text(&e->shape));
    worst = largest_difference(&m, e);
    if (worst > (m.planes ? 1e-6 : 0.0))
        fail_msg("%s: differs by %g", e->name, worst);
    image_made_fini(&m);
}

static void check_file(const char *name)
{
    fet__tensors *t = open_golden(name);

    assert_true(fet__tensors_count(t) > 0);
    for (int i = 0; i < fet__tensors_count(t); i++)
        check_entry(fet__tensors_at(t, i));
    fet__tensors_close(t);
}

static void decodes_as_the_reference(void **state)
{
    (void)state;
    check_file("decode_0");
    check_file("decode_1");
    check_file("decode_2");
}

static void resizes_as_the_reference(void **state)
{
    (void)state;
    check_file("resize_0");
    check_file("resize_1");
}

/* ---- colour ---- */

static void (*const by_digit[4])(fet__image *, double) = {fet__color_brightness, fet__color_contrast,
                                                          fet__color_saturation, fet__color_hue};

/* Apply the operation that `text` names; false when it is none of this layer's. */
static bool apply(fet__image *im, const char *text)
{
    static const char *const names[5] = {"brightness_", "contrast_", "saturation_", "hue_", "hflip"};
    double factor[4];
    char order[8];

    for (int i = 0; i < 4; i++) {
        if (strncmp(text, names[i], strlen(names[i])) == 0) {
            by_digit[i](im, atof(text + strlen(names[i])));
            return true;
        }
    }
    if (strcmp(text, names[4]) == 0) {
        fet__image_flip(im);
        return true;
    }
    if (sscanf(text, "jitter_b%lf_c%lf_s%lf_h%lf_order%7s", &factor[0], &factor[1], &factor[2], &factor[3], order) != 5)
        return false;
    for (int i = 0; i < 4; i++)
        by_digit[order[i] - '0'](im, factor[order[i] - '0']);
    return true;
}

static bool check_color(const fet__tensors *t, const fet__entry *e)
{
    char input[64];
    const fet__entry *from;
    fet__image im;
    size_t differing = 0;
    const char *text = strchr(e->name + 4, '.');
    bool hue, chain;

    if (strncmp(e->name, "out.", 4) != 0 || !text)
        return false;
    snprintf(input, sizeof input, "in.%.*s", (int)(text - e->name - 4), e->name + 4);
    from = fet__tensors_find(t, input);
    assert_non_null(from);
    assert_int_equal(fet__image_create(&im, (int)from->shape.dim[0], (int)from->shape.dim[1]), FET_OK);
    memcpy(im.pixels, from->data, (size_t)from->bytes);
    hue = strstr(text, "hue") != NULL;
    chain = strstr(text, "jitter") != NULL;
    if (!apply(&im, text + 1)) {
        fet__image_fini(&im);
        return false;
    }
    assert_int_equal(e->bytes, from->bytes);
    for (size_t i = 0; i < (size_t)e->bytes; i++) {
        int d = abs(im.pixels[i] - ((const uint8_t *)e->data)[i]);

        if (d > (hue || chain ? 2 : 0))
            fail_msg("%s: byte %zu is off by %d", e->name, i, d);
        differing += d != 0;
    }
    if ((double)differing > (double)e->bytes * (chain ? 0.01 : hue ? 0.005 : 0.0))
        fail_msg("%s: %zu bytes differ", e->name, differing);
    fet__image_fini(&im);
    return true;
}

static void colors_as_the_reference(void **state)
{
    fet__tensors *t = open_golden("augment_color");
    int checked = 0;

    (void)state;
    for (int i = 0; i < fet__tensors_count(t); i++)
        checked += check_color(t, fet__tensors_at(t, i));
    assert_int_equal(checked,
                     3 * (4 * 3 + 5 + 1) + 3); /* four factors of three operations, five shifts, a flip; three chains */
    fet__tensors_close(t);
}

/* ---- bad pictures ---- */

static int warnings;

static void count_warning(void *user, int level, const char *text)
{
    (void)user;
    (void)text;
    warnings += level;
}

/* What must be in the message; NULL: it must be read; "": either, but a refusal names the file. */
static const struct bad_row {
    const char *file, *words;
    int warnings;
} bad_rows[] = {
    {"bad_crc.png", "data stream", 0},
    {"bad_depth.png", "malformed", 0},
    {"chunk_len_overflow.png", "malformed", 0},
    {"empty.jpg", "empty file", 0},
    {"exif_bad_offset.jpg", NULL, 1},
    {"exif_loop.jpg", NULL, 1},
    {"garbage_scan.jpg", NULL, 1},
    {"huge_dims.jpg", "too large", 0},
    {"huge_dims.png", "too large", 0},
    {"idat_bomb.png", "", 0},
    {"palette_index_oob.png", "", 0},
    {"palette_missing.png", "malformed", 0},
    {"short_idat.png", "not enough data", 0},
    {"soi_only.jpg", "truncated", 0},
    {"text.jpg", "not a JPEG", 0},
    {"truncated.png", "truncated", 0},
    {"truncated.webp", "truncated", 0},
    {"truncated_half.jpg", "truncated", 0},
    {"truncated_header.jpg", "truncated", 0},
    {"zero_dims.jpg", "malformed", 0},
    {"zero_width.png", "malformed", 0},
};

static void check_bad(const struct bad_row *row)
{
    char path[1024];
    fet__image im;
    fet_status st;

    snprintf(path, sizeof path, DATA "/images/bad/%s", row->file);
    warnings = 0;
    st = fet__image_read(&im, path, NULL);
    print_message("%s: %s\n", row->file, st == FET_OK ? "read" : fet_error_message());
    if (st != FET_OK) {
        assert_non_null(row->words);
        assert_non_null(strstr(fet_error_message(), row->file));
        assert_non_null(strstr(fet_error_message(), row->words));
        assert_null(im.pixels);
    } else {
        assert_true(!row->words || !*row->words);
    }
    assert_int_equal(warnings, row->warnings);
    fet__image_fini(&im);
}

static void bad_pictures_end_as_listed(void **state)
{
    (void)state;
    if (!fet__is_folder(DATA "/images/bad"))
        skip();
    fet_set_log(count_warning, NULL);
    for (size_t i = 0; i < FET_COUNT(bad_rows); i++)
        check_bad(&bad_rows[i]);
    fet_set_log(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_as_the_reference),
        cmocka_unit_test(resizes_as_the_reference),
        cmocka_unit_test(colors_as_the_reference),
        cmocka_unit_test(bad_pictures_end_as_listed),
    };

    return cmocka_run_group_tests_name("image_golden", tests, NULL, NULL);
}
