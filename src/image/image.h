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

/* ---- augment.c ------------------------------------------------------------------------------------------- */
void fet__image_flip(fet__image *im); /* left-right, in place */
/* Draw the box of a random resized crop. */
void fet__crop_draw(int box[4], fet__rng *r, int height, int width, const double scale[2], const double ratio[2]);
/* Pad all sides with 0 and crop size x size at a random place. */
fet_status fet__image_pad_crop(fet__image *out, const fet__image *in, int pad, int size, fet__rng *r);
typedef struct fet__jitter {
    double brightness, contrast, saturation, hue; /* 0: off; a range of [1 - x, 1 + x] (hue: [-x, x]) */
} fet__jitter;
void fet__image_jitter(fet__image *im, const fet__jitter *j, fet__rng *r);

#endif
