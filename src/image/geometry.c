/* Moving pixels without mixing them: mirror, quarter turns, boxes of random crops, windows that reach beyond the picture,
 * pad and crop. What is drawn, and in which order, depends on the arguments alone, so a picture's changes can be
 * repeated from its random stream. */
#include "image/image_int.h"

#include <math.h>
#include <string.h>

#define CHANNELS 3
#define CROP_TRIES 10

fet_status fet__image_copy(fet__image *out, const fet__image *in)
{
    fet_status st = fet__image_create_raw(out, in->height, in->width);

    if (st == FET_OK)
        memcpy(out->pixels, in->pixels, (size_t)in->height * in->width * CHANNELS);
    return st;
}

/* ---- mirrors and turns --------------------------------------------------------------------------------------- */

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

void fet__image_flip_rows(fet__image *im)
{
    size_t row = (size_t)im->width * CHANNELS;

    for (int y = 0; y < im->height / 2; y++) {
        uint8_t *a = im->pixels + (size_t)y * row, *b = im->pixels + (size_t)(im->height - 1 - y) * row;

        for (size_t i = 0; i < row; i++) {
            uint8_t keep = a[i];

            a[i] = b[i];
            b[i] = keep;
        }
    }
}

static fet_status turn_once(fet__image *im)
{
    fet__image next;
    fet_status st = fet__image_create_raw(&next, im->width, im->height);

    if (st != FET_OK)
        return st;
    for (int y = 0; y < next.height; y++)
        for (int x = 0; x < next.width; x++)
            memcpy(next.pixels + ((size_t)y * next.width + x) * CHANNELS,
                   im->pixels + ((size_t)x * im->width + (im->width - 1 - y)) * CHANNELS, CHANNELS);
    fet__image_fini(im);
    *im = next;
    return FET_OK;
}

fet_status fet__image_turn(fet__image *im, int quarters)
{
    fet_status st = FET_OK;

    quarters = ((quarters % 4) + 4) % 4;
    if (quarters >= 2) {
        fet__image_flip(im);
        fet__image_flip_rows(im);
    }
    if (quarters % 2 == 1)
        st = turn_once(im);
    return st;
}

/* ---- random resized crop -------------------------------------------------------------------------------------- */

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

/* ---- windows and padding --------------------------------------------------------------------------------------- */

static const char *const padding_names[] = {"constant", "edge", "reflect", "symmetric"};

bool fet__padding_parse(const char *s, fet__padding *out)
{
    for (size_t i = 0; i < FET_COUNT(padding_names); i++) {
        if (strcmp(s, padding_names[i]) == 0) {
            *out = (fet__padding)i;
            return true;
        }
    }
    return false;
}

const char *fet__padding_name(fet__padding p)
{
    return padding_names[p];
}

/* The sample that stands at `i` of an axis of n samples; -1: the fill colour. Mirrors repeat as often as needed. */
static int64_t source_of(int64_t i, int64_t n, fet__padding mode)
{
    int64_t period = mode == FET__PAD_REFLECT ? 2 * n - 2 : 2 * n;

    if (i >= 0 && i < n)
        return i;
    if (mode == FET__PAD_CONSTANT)
        return -1;
    if (mode == FET__PAD_EDGE)
        return i < 0 ? 0 : n - 1;
    if (period == 0)
        return 0;
    i = ((i % period) + period) % period;
    if (i < n)
        return i;
    return mode == FET__PAD_REFLECT ? period - i : period - 1 - i;
}

/* One row; `row` is NULL where all of it is the fill colour. What lies inside is copied as a whole. */
static void window_row(uint8_t *out, int width, const uint8_t *row, int left, int in_width, fet__padding mode,
                       const uint8_t fill[3])
{
    int64_t begin = left < 0 ? -(int64_t)left : 0, end = (int64_t)in_width - left < width ? in_width - left : width;

    for (int64_t x = 0; x < width; x++) {
        int64_t from = row ? source_of(left + x, in_width, mode) : -1;

        if (row && x == begin && end > begin) {
            memcpy(out + x * CHANNELS, row + from * CHANNELS, (size_t)(end - begin) * CHANNELS);
            x = end - 1;
            continue;
        }
        memcpy(out + x * CHANNELS, from < 0 ? fill : row + from * CHANNELS, CHANNELS);
    }
}

fet_status fet__image_window(fet__image *out, const fet__image *in, int top, int left, int height, int width,
                             fet__padding mode, const uint8_t fill[3])
{
    fet_status st;

    memset(out, 0, sizeof *out);
    if (height < 1 || width < 1)
        return FET_FAIL(FET_E_ARG, "a crop of %d x %d pixels is empty", height, width);
    st = fet__image_create_raw(out, height, width);
    if (st != FET_OK)
        return st;
    for (int y = 0; y < height; y++) {
        int64_t from = source_of((int64_t)top + y, in->height, mode);
        const uint8_t *row = from < 0 ? NULL : in->pixels + (size_t)from * in->width * CHANNELS;

        window_row(out->pixels + (size_t)y * width * CHANNELS, width, row, left, in->width, mode, fill);
    }
    return FET_OK;
}

fet_status fet__image_pad_crop(fet__image *out, const fet__image *in, const fet__pad_crop *how, fet__rng *r)
{
    int64_t pad_y = how->pad, pad_x = pad_y, height, width;
    int top, left;

    memset(out, 0, sizeof *out);
    if (how->pad < 0 || how->height <= 0 || how->width <= 0)
        return FET_FAIL(FET_E_ARG, "random crop: the padding %d must be 0 or more and the size %d x %d positive",
                        how->pad, how->height, how->width);
    if (how->grow && in->height + 2 * pad_y < how->height)
        pad_y = how->height - in->height - pad_y;
    if (how->grow && in->width + 2 * pad_x < how->width)
        pad_x = how->width - in->width - pad_x;
    height = in->height + 2 * pad_y;
    width = in->width + 2 * pad_x;
    if (height < how->height || width < how->width)
        return FET_FAIL(
            FET_E_DATA,
            "random crop: %d x %d pixels (height x width), padded by %d, are smaller than the crop of %d x %d",
            in->height, in->width, how->pad, how->height, how->width);
    top = (int)(fet__rng_int(r, 0, height - how->height) - pad_y);
    left = (int)(fet__rng_int(r, 0, width - how->width) - pad_x);
    return fet__image_window(out, in, top, left, how->height, how->width, how->mode, how->fill);
}
