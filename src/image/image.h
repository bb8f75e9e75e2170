/* Pictures: decoding untrusted files to 8-bit RGB, resizing exactly as Pillow does, cropping, and the augmentations
 * of training. Deterministic: random choices come from a fet__rng that the caller seeds. Knows no data sets. */
#ifndef FET_IMAGE_H
#define FET_IMAGE_H

#include "base/base.h"

/* Height x width x 3 bytes, RGB, rows without padding. */
typedef struct fet__image {
    int height, width;
    uint8_t *pixels; /* fet__alloc'ed; NULL when empty */
} fet__image;
fet_status fet__image_create(fet__image *out, int height, int width); /* zeroed */
void fet__image_fini(fet__image *im);
fet_status fet__image_copy(fet__image *out, const fet__image *in); /* geometry.c */

/* ---- decode.c (dispatch by content), jpeg.c, png.c, webp.c, pnm.c (also BMP), exif.c ---------------------- */
typedef struct fet__decode_options {
    int64_t max_pixels;   /* 0: 200 million */
    bool ignore_exif;     /* true: as stored; false: upright */
    bool allow_truncated; /* true: a truncated JPEG gives its decoded rows, the rest gray */
    const char *name;     /* for messages and warnings; borrowed */
} fet__decode_options;
/* Decode a whole file in memory. Sizes are checked before memory is taken; nothing is printed; recoverable oddities
 * go to fet__warn. FET_E_FORMAT with "NAME: not a JPEG, PNG, WebP, BMP or PPM file (starts with 25 50 44 46)". */
fet_status fet__image_decode(fet__image *out, const void *data, size_t size, const fet__decode_options *o);
fet_status fet__image_read(fet__image *out, const char *path, const fet__decode_options *o);
/* Size only, from the header (for `data check` and statistics); does not decode pixels. */
fet_status fet__image_probe(int *height, int *width, const void *data, size_t size, const fet__decode_options *o);
/* Write 8-bit RGB as PNG (atomic). */
fet_status fet__image_write_png(const char *path, const fet__image *im);
/* The same bytes, added to a text. */
fet_status fet__image_encode_png(fet__text *out, const fet__image *im);

/* ---- resize.c -------------------------------------------------------------------------------------------- */
typedef enum fet__filter {
    FET__NEAREST,
    FET__BOX,
    FET__BILINEAR,
    FET__HAMMING,
    FET__BICUBIC,
    FET__LANCZOS
} fet__filter;
bool fet__filter_parse(const char *s, fet__filter *out);
const char *fet__filter_name(fet__filter f);
/* Source box (top, left, height, width) of `in` resized to height x width: fixed-point arithmetic of Pillow,
 * exact. */
fet_status fet__image_resize(fet__image *out, const fet__image *in, int top, int left, int box_height, int box_width,
                             int height, int width, fet__filter f);
/* The same arithmetic in float on `channels` interleaved planes (position embeddings): antialiased, no rounding. */
fet_status fet__resize_float(float *out, int out_h, int out_w, const float *in, int in_h, int in_w, int channels,
                             fet__filter f);
/* Shorter side to `size` (0: both sides exactly to `size_h` x `size_w`) and the centre crop, as AUGMENT.md section
 * 2. */
fet_status fet__image_resize_short(fet__image *out, const fet__image *in, int size, fet__filter f);
fet_status fet__image_center_crop(fet__image *out, const fet__image *in, int height, int width);
/* The two in one, without making what the crop then cuts away. */
fet_status fet__image_resize_short_crop(fet__image *out, const fet__image *in, int size, int crop_height,
                                        int crop_width, fet__filter f);
/* pixels -> float NHWC: (v / 255 - mean) / std. */
void fet__image_normalize(float *out, const fet__image *im, const float mean[3], const float std[3]);
/* Back to pixels, rounded and clipped, for people to look at. */
fet_status fet__image_from_floats(fet__image *out, const float *in, int height, int width, const float mean[3],
                                  const float std[3]);

/* ---- geometry.c: moving pixels without mixing them --------------------------------------------------------- */
void fet__image_flip(fet__image *im);                     /* left-right, in place */
void fet__image_flip_rows(fet__image *im);                /* top-bottom, in place */
fet_status fet__image_turn(fet__image *im, int quarters); /* counter-clockwise, by quarters of a full turn */
/* Draw the box (top, left, height, width) of a random resized crop. */
void fet__crop_draw(int box[4], fet__rng *r, int height, int width, const double scale[2], const double ratio[2]);
/* What lies outside of a picture: one colour, its border pixel, its mirror image without (reflect) or with
 * (symmetric) the border repeated. */
typedef enum fet__padding { FET__PAD_CONSTANT, FET__PAD_EDGE, FET__PAD_REFLECT, FET__PAD_SYMMETRIC } fet__padding;
bool fet__padding_parse(const char *s, fet__padding *out);
const char *fet__padding_name(fet__padding p);
/* The window of height x width whose corner is pixel (top, left) of `in`; it may reach outside on every side. */
fet_status fet__image_window(fet__image *out, const fet__image *in, int top, int left, int height, int width,
                             fet__padding mode, const uint8_t fill[3]);
typedef struct fet__pad_crop {
    int pad, height, width; /* pad every side, then crop height x width at a random place */
    fet__padding mode;
    uint8_t fill[3];
    bool grow; /* true: pad further where that is still smaller than the crop; false: an error */
} fet__pad_crop;
fet_status fet__image_pad_crop(fet__image *out, const fet__image *in, const fet__pad_crop *how, fet__rng *r);

/* ---- pixel_op.c (names, checks, dispatch), color.c, levels.c, affine.c ----------------------------------------- */
/* Operations with one argument, as AUGMENT.md sections 3 and 4 define them. */
typedef enum fet__pixel_op {
    FET__PIXEL_IDENTITY,
    FET__PIXEL_SHEAR_X, /* source x = x + argument * y; origin at the top left corner */
    FET__PIXEL_SHEAR_Y,
    FET__PIXEL_TRANSLATE_X, /* source x = x - trunc(argument), in pixels */
    FET__PIXEL_TRANSLATE_Y,
    FET__PIXEL_ROTATE,     /* degrees, counter-clockwise about the middle */
    FET__PIXEL_BRIGHTNESS, /* factors from 0 on; 1 leaves the picture as it is */
    FET__PIXEL_SATURATION,
    FET__PIXEL_CONTRAST,
    FET__PIXEL_SHARPNESS,
    FET__PIXEL_HUE,          /* shift in [-0.5, 0.5] of a full turn; 0 is not the identity (8-bit HSV) */
    FET__PIXEL_POSTERIZE,    /* bits that are kept, 0..8 */
    FET__PIXEL_SOLARIZE,     /* threshold 0..256: values from there on are inverted */
    FET__PIXEL_SOLARIZE_ADD, /* added to values below 128 */
    FET__PIXEL_INVERT,
    FET__PIXEL_AUTOCONTRAST,
    FET__PIXEL_EQUALIZE,
    FET__PIXEL_GRAY,
    FET__PIXEL_OPS
} fet__pixel_op;
const char *fet__pixel_op_name(fet__pixel_op op);
/* How the five that move pixels sample and what they show from outside. NULL: nearest, black. */
typedef struct fet__sampling {
    fet__filter filter; /* nearest, bilinear or bicubic */
    uint8_t fill[3];
} fet__sampling;
/* In place. FET_E_ARG for an argument outside of the ranges above. */
fet_status fet__image_op(fet__image *im, fet__pixel_op op, double argument, const fet__sampling *how);

/* ---- float_op.c: three interleaved channels of floats in [0, 1], `count` pixels ------------------------------ */
/* Brightness, contrast, saturation, hue, gray, solarize, unrounded. FET_E_ARG for another operation. */
fet_status fet__float_op(float *pixels, int64_t count, fet__pixel_op op, double argument);
/* Each channel by its own mean and unbiased deviation (a constant one: deviation 1). */
void fet__float_standardize(float *pixels, int64_t count);

/* ---- augment.c ------------------------------------------------------------------------------------------- */
typedef struct fet__jitter {
    double brightness, contrast, saturation, hue; /* 0: off; a range of [1 - x, 1 + x] (hue: [-x, x]) */
} fet__jitter;
void fet__image_jitter(fet__image *im, const fet__jitter *j, fet__rng *r);

/* ---- blur.c ------------------------------------------------------------------------------------------------ */
/* Gaussian of an odd number of taps, borders mirrored; needs kernel / 2 < the shorter side. */
fet_status fet__image_blur(fet__image *im, int kernel, double sigma);
/* The same on interleaved floats, unrounded; `out` and `in` are apart. */
fet_status fet__blur_float(float *out, const float *in, int height, int width, int channels, int kernel, double sigma);
/* Approximation by three box blurs a direction, as Pillow's GaussianBlur(radius). */
fet_status fet__image_blur_box(fet__image *im, double radius);

/* ---- rand_augment.c ---------------------------------------------------------------------------------------- */
/* Variant A: `ops` of 14 operations, each at the same of `bins` magnitudes, applied always. */
typedef struct fet__rand_bins {
    int ops, magnitude, bins;
    fet__sampling sampling;
} fet__rand_bins;
/* Argument of `op` at bin `bin`, unsigned; 0 where it takes none. */
double fet__rand_bins_argument(fet__pixel_op op, int bin, int bins, int height, int width);
fet_status fet__image_rand_bins(fet__image *im, const fet__rand_bins *a, fet__rng *r);
/* Variant B ("rand-m9-mstd0.5-inc1"): `layers` of 15 operations, each applied with a probability, at a magnitude
 * that varies. */
typedef struct fet__rand_layers {
    int layers;
    double magnitude, deviation, most, probability; /* deviation > 100: magnitude is uniform from 0 */
    bool increasing;                                /* severity grows with the magnitude for every operation */
    bool any_filter;                                /* bilinear or bicubic, drawn for each */
    fet__sampling sampling;
} fet__rand_layers;
/* Argument of `op` at `magnitude` in [0, 10]; for shares of the picture's side (translate) the share. `sign` is 1 or -1. */
double fet__rand_layers_argument(fet__pixel_op op, double magnitude, bool increasing, double sign);
fet_status fet__image_rand_layers(fet__image *im, const fet__rand_layers *a, fet__rng *r);

/* ---- erase.c: on normalised interleaved floats [height, width, 3] ------------------------------------------------ */
typedef enum fet__erase_fill { FET__ERASE_CONST, FET__ERASE_COLOR, FET__ERASE_PIXEL } fet__erase_fill;
typedef struct fet__erase {
    double probability;
    double area[2], aspect[2]; /* shares of the picture; height / width */
    bool even_aspect;          /* drawn evenly, as in re-identification; false: its logarithm is */
    int tries, least, most;    /* tries of one box; boxes, each of its share of the area */
    fet__erase_fill fill;      /* value; one N(0, 1) colour a box; N(0, 1) a pixel */
    float value[3];
} fet__erase;
/* Box (top, left, height, width), or false: none fitted. */
bool fet__erase_draw(int box[4], const fet__erase *e, int height, int width, int boxes, fet__rng *r);
void fet__erase_box(float *pixels, int width, const int box[4], const fet__erase *e, fet__rng *r);
void fet__erase_random(float *pixels, int height, int width, const fet__erase *e, fet__rng *r);

/* ---- mix.c: on a batch of float pictures -------------------------------------------------------------------- */
/* x[i] = lam x[i] + (1 - lam) x[partner[i]] for pictures of `size` values; `partner` is a permutation, `scratch` holds one
 * picture. */
void fet__mixup(float *x, float *scratch, int count, int64_t size, const int32_t *partner, double lam);
/* Box (top, left, height, width) about a centre; returns the share that stays the picture's own. */
double fet__cutmix_box(int box[4], int height, int width, double lam, int centre_y, int centre_x);
void fet__cutmix(float *x, float *scratch, int count, int height, int width, int channels, const int32_t *partner,
                 const int box[4]);
double fet__draw_beta(double alpha, fet__rng *r); /* Beta(alpha, alpha) */

#endif
