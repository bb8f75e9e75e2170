/* Augmentation on 8-bit pictures: data.augment_color, data.augment_geom and data.augment_blur. A tensor's name says what was
 * done: out.PICTURE.OPERATION_ARGUMENT, out.PICTURE.OPERATION_ARGUMENT_FILTER_fillN, out.tv_u8.kK_sSIGMA, ... */
#include "image/image_int.h"
#include "parity/parity.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS 3

static fet_status load(fet__image *out, const parity_case *c, const char *name)
{
    char key[64];
    const fet__entry *e;
    fet_status st;

    memset(out, 0, sizeof *out);
    snprintf(key, sizeof key, "in.%s", name);
    e = fet__tensors_find(c->t, key);
    if (!e || e->dtype != FET_U8 || e->shape.rank != 3 || e->shape.dim[2] != CHANNELS)
        return FET_FAIL(FET_E_FORMAT, "%s is no 8-bit picture", key);
    st = fet__image_create(out, (int)e->shape.dim[0], (int)e->shape.dim[1]);
    if (st == FET_OK)
        memcpy(out->pixels, e->data, (size_t)e->bytes);
    return st;
}

static int64_t value_count(const fet__image *im)
{
    return (int64_t)im->height * im->width * CHANNELS;
}

/* At most `share` of the values may differ at all, none by more than `levels`. */
static fet_status compare_share(parity_case *c, const fet__entry *e, const fet__image *im, int levels, double share)
{
    const uint8_t *want = e->data;
    int64_t count = value_count(im), differ = 0;

    if (e->bytes != count)
        return FET_FAIL(FET_E_VERIFY, "%s has %lld values, not %lld", e->name, (long long)e->bytes, (long long)count);
    for (int64_t i = 0; i < count; i++)
        differ += want[i] != im->pixels[i];
    parity_note(c, e->name, (double)differ / (double)count, share);
    return parity_compare(c, e->name, im->pixels, FET_U8, count, PARITY_ABS, levels);
}

/* ---- colour ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    fet__pixel_op op;
} color_ops[] = {{"brightness", FET__PIXEL_BRIGHTNESS},
                 {"contrast", FET__PIXEL_CONTRAST},
                 {"saturation", FET__PIXEL_SATURATION},
                 {"hue", FET__PIXEL_HUE},
                 {"sharpness", FET__PIXEL_SHARPNESS},
                 {"gray3", FET__PIXEL_GRAY},
                 {"gray1", FET__PIXEL_GRAY},
                 {"posterize", FET__PIXEL_POSTERIZE},
                 {"solarize", FET__PIXEL_SOLARIZE},
                 {"solarize_add", FET__PIXEL_SOLARIZE_ADD},
                 {"autocontrast", FET__PIXEL_AUTOCONTRAST},
                 {"equalize", FET__PIXEL_EQUALIZE},
                 {"invert", FET__PIXEL_INVERT}};

static fet_status jitter(fet__image *im, const char *what)
{
    static const fet__pixel_op ops[4] = {FET__PIXEL_BRIGHTNESS, FET__PIXEL_CONTRAST, FET__PIXEL_SATURATION,
                                         FET__PIXEL_HUE};
    double v[4];
    char order[5];
    fet_status st = FET_OK;

    if (sscanf(what, "jitter_b%lf_c%lf_s%lf_h%lf_order%4[0-3]", &v[0], &v[1], &v[2], &v[3], order) != 5)
        return FET_FAIL(FET_E_FORMAT, "%s: jitter with factors and an order expected", what);
    for (int i = 0; order[i] && st == FET_OK; i++)
        st = fet__image_op(im, ops[order[i] - '0'], v[order[i] - '0'], NULL);
    return st;
}

static fet_status color(fet__image *im, const char *what)
{
    char name[32] = {0};
    const char *last = strrchr(what, '_'), *end = last && strchr("-0123456789", last[1]) ? last : what + strlen(what);
    double argument = *end ? strtod(end + 1, NULL) : 0.0;

    if (strncmp(what, "jitter_", 7) == 0)
        return jitter(im, what);
    if (strcmp(what, "hflip") == 0) {
        fet__image_flip(im);
        return FET_OK;
    }
    snprintf(name, sizeof name, "%.*s", (int)(end - what), what);
    for (size_t i = 0; i < FET_COUNT(color_ops); i++)
        if (strcmp(color_ops[i].name, name) == 0)
            return fet__image_op(im, color_ops[i].op, argument, NULL);
    return FET_FAIL(FET_E_FORMAT, "unknown operation %s", what);
}

/* One channel of a gray picture. */
static void keep_one_channel(fet__image *im)
{
    int64_t count = value_count(im) / CHANNELS;

    for (int64_t i = 0; i < count; i++)
        im->pixels[i] = im->pixels[i * CHANNELS];
}

static fet_status check_color(parity_case *c, const fet__entry *e)
{
    char picture[32];
    const char *what = strchr(e->name + 4, '.');
    fet__image im = {0};
    fet_status st;

    if (!what)
        return FET_FAIL(FET_E_FORMAT, "%s: out.PICTURE.OPERATION expected", e->name);
    snprintf(picture, sizeof picture, "%.*s", (int)(what - e->name - 4), e->name + 4);
    what++;
    FET_TRY(load(&im, c, picture));
    FET_TRY(color(&im, what));
    if (strcmp(what, "gray1") == 0) {
        keep_one_channel(&im);
        st = parity_compare(c, e->name, im.pixels, FET_U8, value_count(&im) / CHANNELS, PARITY_ABS, 0.0);
    } else if (strncmp(what, "hue", 3) == 0) {
        st = compare_share(c, e, &im, 2, 0.005);
    } else if (strncmp(what, "jitter", 6) == 0) {
        st = compare_share(c, e, &im, 2, 0.01);
    } else {
        st = parity_compare(c, e->name, im.pixels, FET_U8, value_count(&im), PARITY_ABS, 0.0);
    }
done:
    fet__image_fini(&im);
    return st;
}

fet_status parity_augment_color(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);

        if (strncmp(e->name, "out.", 4) == 0)
            st = check_color(c, e);
    }
    return st;
}

/* ---- geometry ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    fet__pixel_op op;
} moves[] = {
    {"ShearX", FET__PIXEL_SHEAR_X},         {"ShearY", FET__PIXEL_SHEAR_Y},    {"TranslateX", FET__PIXEL_TRANSLATE_X},
    {"TranslateY", FET__PIXEL_TRANSLATE_Y}, {"Rotate", FET__PIXEL_ROTATE},     {"Brightness", FET__PIXEL_BRIGHTNESS},
    {"Color", FET__PIXEL_SATURATION},       {"Contrast", FET__PIXEL_CONTRAST}, {"Sharpness", FET__PIXEL_SHARPNESS},
    {"Posterize", FET__PIXEL_POSTERIZE},    {"Solarize", FET__PIXEL_SOLARIZE}};

static bool find_move(const char *name, fet__pixel_op *op)
{
    for (size_t i = 0; i < FET_COUNT(moves); i++) {
        if (strcmp(moves[i].name, name) == 0) {
            *op = moves[i].op;
            return true;
        }
    }
    return false;
}

static fet_status check_window(parity_case *c, const fet__entry *e, const fet__image *im, const char *what)
{
    static const uint8_t black[3] = {0};
    char mode_name[16];
    int pad, height, width, top, left, r, g, b;
    fet__padding mode;
    fet__image out = {0};
    fet_status st;

    if (sscanf(what, "pad%d_fill%d_%d_%d", &pad, &r, &g, &b) == 4) {
        const uint8_t fill[3] = {(uint8_t)r, (uint8_t)g, (uint8_t)b};

        FET_TRY(fet__image_window(&out, im, -pad, -pad, im->height + 2 * pad, im->width + 2 * pad, FET__PAD_CONSTANT,
                                  fill));
    } else if (sscanf(what, "pad%d_%15[a-z]_crop_%d_%d_at_%d_%d", &pad, mode_name, &height, &width, &top, &left) == 6 &&
               fet__padding_parse(mode_name, &mode)) {
        FET_TRY(fet__image_window(&out, im, top - pad, left - pad, height, width, mode, black));
    } else {
        return FET_FAIL(FET_E_FORMAT, "%s: a padding expected", e->name);
    }
    st = parity_compare(c, e->name, out.pixels, FET_U8, value_count(&out), PARITY_ABS, 0.0);
done:
    fet__image_fini(&out);
    return st;
}

static fet_status check_move(parity_case *c, const fet__entry *e, fet__image *im, const char *what)
{
    char name[16], filter[16];
    double argument;
    int fill;
    fet__sampling how;
    fet__pixel_op op;
    fet_status st;

    if (sscanf(what, "%15[A-Za-z]_%lf_%15[a-z]_fill%d", name, &argument, filter, &fill) != 4 || !find_move(name, &op) ||
        !fet__filter_parse(filter, &how.filter))
        return FET_FAIL(FET_E_FORMAT, "%s: an operation, its argument, a filter and a fill value expected", e->name);
    memset(how.fill, fill, sizeof how.fill);
    st = fet__image_op(im, op, argument, &how);
    if (st == FET_OK && how.filter == FET__NEAREST)
        st = parity_compare(c, e->name, im->pixels, FET_U8, value_count(im), PARITY_ABS, 0.0);
    else if (st == FET_OK)
        st = compare_share(c, e, im, 1, 0.001);
    return st;
}

/* The tables of RandAugment A are for the picture's size. */
static fet_status check_space(parity_case *c, const fet__entry *e, const fet__image *im)
{
    int bins = (int)fet__shape_count(&e->shape);
    double *values = NULL;
    fet__pixel_op op;
    fet_status st;

    if (!find_move(e->name + strlen("space."), &op))
        return FET_FAIL(FET_E_FORMAT, "%s: unknown operation", e->name);
    FET_TRY(FET_NEW(values, bins));
    for (int i = 0; i < bins; i++)
        values[i] = fet__rand_bins_argument(op, i, bins, im->height, im->width);
    st = parity_compare(c, e->name, values, FET_F64, bins, PARITY_REL, 1e-6);
done:
    fet__free(values);
    return st;
}

static fet_status check_matrix(parity_case *c, const fet__entry *e, const fet__image *im)
{
    double argument, m[6] = {1, 0, 0, 0, 1, 0};

    if (sscanf(e->name, "matrix.rotate%lf", &argument) == 1)
        fet__affine_rotation(m, argument, im->height, im->width);
    else if (sscanf(e->name, "matrix.shearx%lf", &argument) == 1)
        m[1] = argument;
    else
        return FET_FAIL(FET_E_FORMAT, "%s: a rotation or shear expected", e->name);
    m[2] = m[5] = 0.0; /* the golden holds the linear part */
    return parity_compare(c, e->name, m, FET_F64, 6, PARITY_ABS, 1e-6);
}

static fet_status check_geometry(parity_case *c, const fet__entry *e)
{
    fet__image im = {0};
    const char *what = e->name + strlen("out.a.");
    fet_status st;

    FET_TRY(load(&im, c, "a"));
    if (strncmp(e->name, "space.", 6) == 0)
        st = check_space(c, e, &im);
    else if (strncmp(e->name, "matrix.", 7) == 0)
        st = check_matrix(c, e, &im);
    else if (strncmp(e->name, "out.a.pad", 9) == 0)
        st = check_window(c, e, &im, what);
    else if (strncmp(e->name, "out.a.", 6) == 0)
        st = check_move(c, e, &im, what);
done:
    fet__image_fini(&im);
    return st;
}

fet_status parity_augment_geom(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = check_geometry(c, fet__tensors_at(c->t, i));
    return st;
}

/* ---- blur --------------------------------------------------------------------------------------------------------- */

/* Planes instead of interleaved channels, of pixels or floats. */
static void planes_u8(uint8_t *out, const fet__image *im)
{
    int64_t count = value_count(im) / CHANNELS;

    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < CHANNELS; k++)
            out[k * count + i] = im->pixels[i * CHANNELS + k];
}

static fet_status check_kernel_u8(parity_case *c, const fet__entry *e, fet__image *im, int kernel, double sigma)
{
    uint8_t *planes = NULL;
    fet_status st;

    FET_TRY(fet__image_blur(im, kernel, sigma));
    FET_TRY(FET_NEW(planes, value_count(im)));
    planes_u8(planes, im);
    st = parity_compare(c, e->name, planes, FET_U8, value_count(im), PARITY_ABS, 0.0);
done:
    fet__free(planes);
    return st;
}

static fet_status check_kernel_f32(parity_case *c, const fet__entry *e, const fet__image *im, int kernel, double sigma)
{
    int64_t count = value_count(im), plane = count / CHANNELS;
    float *in = NULL, *out = NULL;
    fet_status st;

    FET_TRY(FET_NEW(in, count));
    FET_TRY(FET_NEW(out, count));
    for (int k = 0; k < CHANNELS; k++)
        for (int64_t i = 0; i < plane; i++)
            in[k * plane + i] = (float)im->pixels[i * CHANNELS + k] / 255.0f;
    for (int k = 0; k < CHANNELS; k++)
        FET_TRY(fet__blur_float(out + k * plane, in + k * plane, im->height, im->width, 1, kernel, sigma));
    st = parity_compare(c, e->name, out, FET_F32, count, PARITY_ABS, 2e-6);
done:
    fet__free(in);
    fet__free(out);
    return st;
}

static fet_status check_blur(parity_case *c, const fet__entry *e)
{
    fet__image im = {0};
    int kernel;
    double sigma;
    fet_status st;

    FET_TRY(load(&im, c, "a"));
    if (sscanf(e->name, "out.tv_u8.k%d_s%lf", &kernel, &sigma) == 2)
        st = check_kernel_u8(c, e, &im, kernel, sigma);
    else if (sscanf(e->name, "out.tv_f32.k%d_s%lf", &kernel, &sigma) == 2)
        st = check_kernel_f32(c, e, &im, kernel, sigma);
    else if (sscanf(e->name, "out.pil.r%lf", &sigma) == 1) {
        FET_TRY(fet__image_blur_box(&im, sigma));
        st = parity_compare(c, e->name, im.pixels, FET_U8, value_count(&im), PARITY_ABS, 0.0);
    }
done:
    fet__image_fini(&im);
    return st;
}

fet_status parity_augment_blur(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = check_blur(c, fet__tensors_at(c->t, i));
    return st;
}
