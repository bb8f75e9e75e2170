/* What the files of this layer share: one encoded file on its way through a parser, the parsers' doors, and the
 * colour operations that the jitter is made of. */
#ifndef FET_IMAGE_INT_H
#define FET_IMAGE_INT_H

#include "image/image.h"

#define FET__PICTURE_NAME_BYTES 512

/* An encoded file in memory and what to do with it. Borrowed bytes; sizes in it are claims until checked. */
typedef struct fet__encoded {
    const uint8_t *data;
    size_t size;
    int64_t max_pixels;
    bool ignore_exif, allow_truncated;
    bool quiet;                         /* probing: oddities are reported when the pixels are decoded, not twice */
    char name[FET__PICTURE_NAME_BYTES]; /* escaped, for messages */
} fet__encoded;

/* ---- decode.c ---- */
/* Refuse sizes that are not positive or above the pixel limit, before memory is taken. */
fet_status fet__picture_check(const fet__encoded *e, const char *format, int64_t height, int64_t width);
/* fet__image_create without clearing, for pictures that are written in full. */
fet_status fet__image_create_raw(fet__image *out, int height, int width);
/* fet__picture_check, then fet__image_create_raw. */
fet_status fet__picture_create(fet__image *out, const fet__encoded *e, const char *format, int64_t height,
                               int64_t width);
uint32_t fet__le16(const uint8_t *p);
uint32_t fet__le32(const uint8_t *p);
uint32_t fet__be16(const uint8_t *p);
uint32_t fet__be32(const uint8_t *p);

/* ---- jpeg.c, png.c, webp.c, bmp.c, pnm.c ---- */
/* Size or pixels as stored, and the EXIF orientation (1 when there is none). A failed decode may leave `out` allocated:
 * the dispatcher releases it. */
#define FET__PICTURE_DOORS(format)                                                                                     \
    fet_status fet__##format##_probe(int *height, int *width, int *orientation, const fet__encoded *e);                \
    fet_status fet__##format##_decode(fet__image *out, int *orientation, const fet__encoded *e)
FET__PICTURE_DOORS(jpeg);
FET__PICTURE_DOORS(png);
FET__PICTURE_DOORS(webp);
FET__PICTURE_DOORS(bmp);
FET__PICTURE_DOORS(pnm);
#undef FET__PICTURE_DOORS

/* ---- exif.c ---- */
/* Orientation 1..8 of an EXIF block (with or without the leading "Exif\0\0"); 1, with a warning, when it is
 * malformed. */
int fet__exif_orientation(const fet__encoded *e, const uint8_t *block, size_t size);
/* Turn `im` from stored to upright. */
fet_status fet__image_upright(fet__image *im, int orientation);

/* ---- taps.c: which input samples make each output sample of one axis, and with what weights ---- */
typedef struct fet__taps {
    int count;      /* outputs */
    int max;        /* weights per output in the table, an even number; unused ones are 0 */
    int *first;     /* [count] index of the first input sample */
    int *used;      /* [count] number of input samples, at least 1, first + used <= inputs */
    double *weight; /* [count * max], each output's weights sum to 1 */
} fet__taps;
/* Outputs begin .. begin + count of an axis of `inputs` samples resized to `outputs`. Not for FET__NEAREST. */
fet_status fet__taps_build(fet__taps *out, int inputs, int outputs, int begin, int count, fet__filter f);
void fet__taps_fini(fet__taps *t);
int fet__nearest_source(int output, int inputs, int outputs);

/* ---- resize.c ---- */
/* Box `source` of `in` resized to height x width, of which only the window `result` is made. */
typedef struct fet__window {
    int top, left, height, width;
} fet__window;
fet_status fet__resize_window(fet__image *out, const fet__image *in, fet__window source, int height, int width,
                              fet__window result, fet__filter f);

/* ---- color.c: in place; factor 1 leaves the image as it is, hue is a shift in [-0.5, 0.5] ---- */
void fet__color_brightness(fet__image *im, double factor);
void fet__color_contrast(fet__image *im, double factor);
void fet__color_saturation(fet__image *im, double factor);
void fet__color_hue(fet__image *im, double shift);
void fet__color_gray(fet__image *im);
fet_status fet__color_sharpness(fet__image *im, double factor);

/* ---- levels.c: in place, a table of 256 values for each channel ---- */
void fet__levels_posterize(fet__image *im, int bits);
void fet__levels_solarize(fet__image *im, int threshold);
void fet__levels_solarize_add(fet__image *im, int added);
void fet__levels_invert(fet__image *im);
void fet__levels_autocontrast(fet__image *im);
void fet__levels_equalize(fet__image *im);

/* ---- affine.c ---- */
/* Output (x, y) shows the source at (a (x + .5) + b (y + .5) + c, d (x + .5) + e (y + .5) + f), m = a..f. */
fet_status fet__image_affine(fet__image *out, const fet__image *in, const double m[6], const fet__sampling *how);
void fet__affine_rotation(double m[6], double degrees, int height, int width);

#endif
