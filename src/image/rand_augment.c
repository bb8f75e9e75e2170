/* RandAugment in its two usual forms. A: every operation at the same of `bins` magnitudes, applied always. B: the form of the
 * string "rand-m9-mstd0.5-inc1", with magnitudes that vary and operations that are skipped by chance. Both draw
 * operations with replacement; the tables of arguments are AUGMENT.md section 5. */
#include "image/image_int.h"

#include <math.h>

/* ---- A: bins ----------------------------------------------------------------------------------------------------- */

static const fet__pixel_op bin_ops[] = {FET__PIXEL_IDENTITY,     FET__PIXEL_SHEAR_X,     FET__PIXEL_SHEAR_Y,
                                        FET__PIXEL_TRANSLATE_X,  FET__PIXEL_TRANSLATE_Y, FET__PIXEL_ROTATE,
                                        FET__PIXEL_BRIGHTNESS,   FET__PIXEL_SATURATION,  FET__PIXEL_CONTRAST,
                                        FET__PIXEL_SHARPNESS,    FET__PIXEL_POSTERIZE,   FET__PIXEL_SOLARIZE,
                                        FET__PIXEL_AUTOCONTRAST, FET__PIXEL_EQUALIZE};

static bool is_factor(fet__pixel_op op)
{
    return op >= FET__PIXEL_BRIGHTNESS && op <= FET__PIXEL_SHARPNESS;
}

static bool is_move(fet__pixel_op op)
{
    return op >= FET__PIXEL_SHEAR_X && op <= FET__PIXEL_ROTATE;
}

double fet__rand_bins_argument(fet__pixel_op op, int bin, int bins, int height, int width)
{
    double x = bins > 1 ? (double)bin / (bins - 1) : 0.0;

    if (is_factor(op))
        return 0.9 * x;
    switch (op) {
    case FET__PIXEL_SHEAR_X:
    case FET__PIXEL_SHEAR_Y: return 0.3 * x;
    case FET__PIXEL_TRANSLATE_X: return 150.0 / 331.0 * width * x;
    case FET__PIXEL_TRANSLATE_Y: return 150.0 / 331.0 * height * x;
    case FET__PIXEL_ROTATE: return 30.0 * x;
    case FET__PIXEL_POSTERIZE: return 8.0 - nearbyint(4.0 * x);
    case FET__PIXEL_SOLARIZE: return 255.0 * (1.0 - x);
    default: return 0.0;
    }
}

fet_status fet__image_rand_bins(fet__image *im, const fet__rand_bins *a, fet__rng *r)
{
    fet_status st = FET_OK;

    if (a->bins < 2 || a->magnitude < 0 || a->magnitude >= a->bins || a->ops < 0)
        return FET_FAIL(FET_E_ARG, "RandAugment: magnitude %d is not one of the %d bins (0 to %d)", a->magnitude,
                        a->bins, a->bins - 1);
    for (int i = 0; i < a->ops && st == FET_OK; i++) {
        fet__pixel_op op = bin_ops[fet__rng_int(r, 0, (int64_t)FET_COUNT(bin_ops) - 1)];
        double v = fet__rand_bins_argument(op, a->magnitude, a->bins, im->height, im->width);

        if (is_factor(op) || is_move(op))
            v = fet__rng_uniform(r, 0.0, 1.0) < 0.5 ? -v : v;
        st = fet__image_op(im, op, is_factor(op) ? 1.0 + v : v, &a->sampling);
    }
    return st;
}

/* ---- B: layers ------------------------------------------------------------------------------------------------------ */

#define FULL_MAGNITUDE 10.0
#define ANY_DEVIATION 100.0 /* above: the magnitude is uniform */

static const fet__pixel_op layer_ops[] = {FET__PIXEL_AUTOCONTRAST, FET__PIXEL_EQUALIZE,    FET__PIXEL_INVERT,
                                          FET__PIXEL_ROTATE,       FET__PIXEL_POSTERIZE,   FET__PIXEL_SOLARIZE,
                                          FET__PIXEL_SOLARIZE_ADD, FET__PIXEL_SATURATION,  FET__PIXEL_CONTRAST,
                                          FET__PIXEL_BRIGHTNESS,   FET__PIXEL_SHARPNESS,   FET__PIXEL_SHEAR_X,
                                          FET__PIXEL_SHEAR_Y,      FET__PIXEL_TRANSLATE_X, FET__PIXEL_TRANSLATE_Y};

double fet__rand_layers_argument(fet__pixel_op op, double magnitude, bool increasing, double sign)
{
    double x = magnitude / FULL_MAGNITUDE;

    if (is_factor(op))
        return increasing ? fmax(0.1, 1.0 + sign * 0.9 * x) : 0.1 + 1.8 * x;
    switch (op) {
    case FET__PIXEL_SHEAR_X:
    case FET__PIXEL_SHEAR_Y: return sign * 0.3 * x;
    case FET__PIXEL_TRANSLATE_X:
    case FET__PIXEL_TRANSLATE_Y: return sign * 0.45 * x;
    case FET__PIXEL_ROTATE: return sign * 30.0 * x;
    case FET__PIXEL_POSTERIZE: return increasing ? 4.0 - trunc(4.0 * x) : trunc(4.0 * x);
    case FET__PIXEL_SOLARIZE: return increasing ? 256.0 - fmin(256.0, trunc(256.0 * x)) : fmin(256.0, trunc(256.0 * x));
    case FET__PIXEL_SOLARIZE_ADD: return fmin(128.0, trunc(110.0 * x));
    default: return 0.0;
    }
}

static double draw_magnitude(const fet__rand_layers *a, fet__rng *r)
{
    double m = a->magnitude;

    if (a->deviation > ANY_DEVIATION)
        m = fet__rng_uniform(r, 0.0, a->magnitude);
    else if (a->deviation > 0.0)
        m += a->deviation * fet__rng_normal(r);
    return fmin(fmax(m, 0.0), a->most);
}

/* Translation here reads the source at x + value, the other way round than fet__image_op: hence the sign. */
static fet_status apply_layer(fet__image *im, const fet__rand_layers *a, fet__pixel_op op, fet__rng *r)
{
    fet__sampling how = a->sampling;
    double magnitude = draw_magnitude(a, r), sign = 1.0, v;

    if (is_move(op) || (is_factor(op) && a->increasing))
        sign = fet__rng_uniform(r, 0.0, 1.0) < 0.5 ? -1.0 : 1.0;
    if (is_move(op) && a->any_filter)
        how.filter = fet__rng_int(r, 0, 1) ? FET__BICUBIC : FET__BILINEAR;
    v = fet__rand_layers_argument(op, magnitude, a->increasing, sign);
    if (op == FET__PIXEL_TRANSLATE_X)
        v *= -im->width;
    else if (op == FET__PIXEL_TRANSLATE_Y)
        v *= -im->height;
    if (op == FET__PIXEL_POSTERIZE)
        v = fmin(fmax(v, 0.0), 8.0); /* a magnitude above 10 asks for less than nothing */
    else if (op == FET__PIXEL_SOLARIZE)
        v = fmax(v, 0.0);
    return fet__image_op(im, op, v, &how);
}

fet_status fet__image_rand_layers(fet__image *im, const fet__rand_layers *a, fet__rng *r)
{
    fet_status st = FET_OK;

    if (a->layers < 0 || !(a->magnitude >= 0.0) || !(a->most >= 0.0) || !(a->deviation >= 0.0) ||
        !(a->probability >= 0.0 && a->probability <= 1.0))
        return FET_FAIL(FET_E_ARG, "RandAugment: %d layers, magnitude %g (at most %g, deviation %g), probability %g",
                        a->layers, a->magnitude, a->most, a->deviation, a->probability);
    for (int i = 0; i < a->layers && st == FET_OK; i++) {
        fet__pixel_op op = layer_ops[fet__rng_int(r, 0, (int64_t)FET_COUNT(layer_ops) - 1)];

        if (fet__rng_uniform(r, 0.0, 1.0) < a->probability)
            st = apply_layer(im, a, op, r);
    }
    return st;
}
