/* The operations with one argument by name: what their arguments may be, and which file does them. */
#include "image/image_int.h"

#include <math.h>

typedef struct op_row {
    const char *name;
    double low, high; /* of the argument */
} op_row;

#define ANY_LENGTH 1e6
static const op_row rows[FET__PIXEL_OPS] = {
    [FET__PIXEL_IDENTITY] = {"identity", -INFINITY, INFINITY},
    [FET__PIXEL_SHEAR_X] = {"shear-x", -ANY_LENGTH, ANY_LENGTH},
    [FET__PIXEL_SHEAR_Y] = {"shear-y", -ANY_LENGTH, ANY_LENGTH},
    [FET__PIXEL_TRANSLATE_X] = {"translate-x", -ANY_LENGTH, ANY_LENGTH},
    [FET__PIXEL_TRANSLATE_Y] = {"translate-y", -ANY_LENGTH, ANY_LENGTH},
    [FET__PIXEL_ROTATE] = {"rotate", -ANY_LENGTH, ANY_LENGTH},
    [FET__PIXEL_BRIGHTNESS] = {"brightness", 0, ANY_LENGTH},
    [FET__PIXEL_SATURATION] = {"saturation", 0, ANY_LENGTH},
    [FET__PIXEL_CONTRAST] = {"contrast", 0, ANY_LENGTH},
    [FET__PIXEL_SHARPNESS] = {"sharpness", 0, ANY_LENGTH},
    [FET__PIXEL_HUE] = {"hue", -0.5, 0.5},
    [FET__PIXEL_POSTERIZE] = {"posterize", 0, 8},
    [FET__PIXEL_SOLARIZE] = {"solarize", 0, 256},
    [FET__PIXEL_SOLARIZE_ADD] = {"solarize-add", -255, 255},
    [FET__PIXEL_INVERT] = {"invert", -INFINITY, INFINITY},
    [FET__PIXEL_AUTOCONTRAST] = {"autocontrast", -INFINITY, INFINITY},
    [FET__PIXEL_EQUALIZE] = {"equalize", -INFINITY, INFINITY},
    [FET__PIXEL_GRAY] = {"gray", -INFINITY, INFINITY},
};

const char *fet__pixel_op_name(fet__pixel_op op)
{
    return rows[op].name;
}

static bool moves_pixels(fet__pixel_op op)
{
    return op >= FET__PIXEL_SHEAR_X && op <= FET__PIXEL_ROTATE;
}

static fet_status move(fet__image *im, fet__pixel_op op, double v, const fet__sampling *how)
{
    static const fet__sampling plain = {FET__NEAREST, {0, 0, 0}};
    double m[6] = {1, 0, 0, 0, 1, 0};
    fet__image next;
    fet_status st;

    if (op == FET__PIXEL_SHEAR_X)
        m[1] = v;
    else if (op == FET__PIXEL_SHEAR_Y)
        m[3] = v;
    else if (op == FET__PIXEL_TRANSLATE_X)
        m[2] = -trunc(v);
    else if (op == FET__PIXEL_TRANSLATE_Y)
        m[5] = -trunc(v);
    else
        fet__affine_rotation(m, v, im->height, im->width);
    st = fet__image_affine(&next, im, m, how ? how : &plain);
    if (st != FET_OK)
        return st;
    fet__image_fini(im);
    *im = next;
    return FET_OK;
}

fet_status fet__image_op(fet__image *im, fet__pixel_op op, double argument, const fet__sampling *how)
{
    const op_row *row = &rows[op];

    if (!(argument >= row->low && argument <= row->high))
        return FET_FAIL(FET_E_ARG, "%s %g is not in %g..%g", row->name, argument, row->low, row->high);
    if (moves_pixels(op))
        return move(im, op, argument, how);
    switch (op) {
    case FET__PIXEL_BRIGHTNESS: fet__color_brightness(im, argument); break;
    case FET__PIXEL_SATURATION: fet__color_saturation(im, argument); break;
    case FET__PIXEL_CONTRAST: fet__color_contrast(im, argument); break;
    case FET__PIXEL_SHARPNESS: return fet__color_sharpness(im, argument);
    case FET__PIXEL_HUE: fet__color_hue(im, argument); break;
    case FET__PIXEL_POSTERIZE: fet__levels_posterize(im, (int)argument); break;
    case FET__PIXEL_SOLARIZE: fet__levels_solarize(im, (int)argument); break;
    case FET__PIXEL_SOLARIZE_ADD: fet__levels_solarize_add(im, (int)argument); break;
    case FET__PIXEL_INVERT: fet__levels_invert(im); break;
    case FET__PIXEL_AUTOCONTRAST: fet__levels_autocontrast(im); break;
    case FET__PIXEL_EQUALIZE: fet__levels_equalize(im); break;
    case FET__PIXEL_GRAY: fet__color_gray(im); break;
    default: break; /* identity */
    }
    return FET_OK;
}
