/* The random changes of training pictures: flip, random resized crop, pad and crop, colour jitter. Which draws are
 * made, and in which order, depends on the arguments alone, so a picture's changes can be repeated from its random
 * stream. */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

#define CHANNELS 3
#define CROP_TRIES 10

void fet__image_flip(fet__image *im)
{
    for (int y = 0; y < im->height; y++) {
        uint8_t *left = im->pixels + (size_t)y * im->width * CHANNELS,
                *right = left + ((size_t)im->width - 1) * CHANNELS;

        for (; left < right; left += CHANNELS, right -= CHANNELS) {
            uint8_t pixel[CHANNELS];

            memcpy(pixel, left, CHANNELS);
            memcpy(left, right, CHANNELS);
            memcpy(right, pixel, CHANNELS);
        }
    }
}

/* Fallback of the random crop: the largest centred box whose ratio (width / height) is allowed. */
static void largest_box(int box[4], int height, int width, const double ratio[2])
{
    double now = (double)width / height;
    int h = height, w = width;

    if (now < ratio[0])
        h = (int)nearbyint(w / ratio[0]);
    else if (now > ratio[1])
        w = (int)nearbyint(h * ratio[1]);
    h = h < 1 ? 1 : h > height ? height : h;
    w = w < 1 ? 1 : w > width ? width : w;
    box[0] = (height - h) / 2;
    box[1] = (width - w) / 2;
    box[2] = h;
    box[3] = w;
}

void fet__crop_draw(int box[4], fet__rng *r, int height, int width, const double scale[2], const double ratio[2])
{
    for (int i = 0; i < CROP_TRIES; i++) {
        double area = (double)height * width * fet__rng_uniform(r, scale[0], scale[1]);
        double aspect = exp(fet__rng_uniform(r, log(ratio[0]), log(ratio[1])));
        double w = nearbyint(sqrt(area * aspect)), h = nearbyint(sqrt(area / aspect)); /* ties to even */

        if (w > 0.0 && w <= width && h > 0.0 && h <= height) {
            box[2] = (int)h;
            box[3] = (int)w;
            box[0] = (int)fet__rng_int(r, 0, height - box[2]);
            box[1] = (int)fet__rng_int(r, 0, width - box[3]);
            return;
        }
    }
    largest_box(box, height, width, ratio);
}

/* Overlap of output 0 .. size with an input of `have` that lies at `-from`: output `at` shows input `at + from`. */
static int overlap(int *at, int from, int have, int size)
{
    int begin = from < 0 ? -from : 0, end = have - from < size ? have - from : size;

    *at = begin;
    return end > begin ? end - begin : 0;
}

fet_status fet__image_pad_crop(fet__image *out, const fet__image *in, int pad, int size, fet__rng *r)
{
    int64_t height = (int64_t)in->height + 2 * (int64_t)pad, width = (int64_t)in->width + 2 * (int64_t)pad;
    int top, left, y, x, rows, columns;
    fet_status st;

    memset(out, 0, sizeof *out);
    if (pad < 0 || size <= 0)
        return FET_FAIL(FET_E_ARG, "random crop: padding %d and size %d must not be negative", pad, size);
    if (height < size || width < size)
        return FET_FAIL(FET_E_DATA,
                        "random crop: %d x %d pixels (height x width), padded by %d, are smaller than the crop of %d",
                        in->height, in->width, pad, size);
    st = fet__image_create(out, size, size);
    if (st != FET_OK)
        return st;
    top = (int)(fet__rng_int(r, 0, height - size) - pad);
    left = (int)(fet__rng_int(r, 0, width - size) - pad);
    rows = overlap(&y, top, in->height, size);
    columns = overlap(&x, left, in->width, size);
    for (int i = y; i < y + rows; i++)
        memcpy(out->pixels + ((size_t)i * size + x) * CHANNELS,
               in->pixels + ((size_t)(top + i) * in->width + (left + x)) * CHANNELS, (size_t)columns * CHANNELS);
    return FET_OK;
}

/* All four factors and the order are drawn whether or not they are used: switching one operation off leaves the
 * others' draws as they were. */
void fet__image_jitter(fet__image *im, const fet__jitter *j, fet__rng *r)
{
    static void (*const change[4])(fet__image *, double) = {fet__color_brightness, fet__color_contrast,
                                                            fet__color_saturation, fet__color_hue};
    const double width[4] = {j->brightness, j->contrast, j->saturation, j->hue};
    double factor[4];
    int32_t order[4] = {0, 1, 2, 3};

    for (int i = 0; i < 4; i++) {
        double low = i == 3 ? -width[i] : fmax(0.0, 1.0 - width[i]), high = i == 3 ? width[i] : 1.0 + width[i];

        factor[i] = fet__rng_uniform(r, low, high);
    }
    fet__rng_shuffle(r, order, 4);
    for (int i = 0; i < 4; i++) {
        if (width[order[i]] > 0.0)
            change[order[i]](im, factor[order[i]]);
    }
}
