/* From a picture of any size to what a model reads: the shorter side to a size, the centre crop, the normalised
 * floats. */
#include "image/image_int.h"

#include <limits.h>
#include <string.h>

#define CHANNELS 3

/* Height and width when the shorter side becomes `size`; the longer one is cut to a whole number. */
static fet_status short_size(int *height, int *width, const fet__image *in, int size)
{
    int shorter = in->height < in->width ? in->height : in->width,
        longer = in->height < in->width ? in->width : in->height;
    int64_t scaled;

    if (size <= 0 || shorter <= 0)
        return FET_FAIL(FET_E_ARG, "resize: cannot bring the shorter side of %d x %d pixels to %d", in->height,
                        in->width, size);
    scaled = (int64_t)size * longer / shorter;
    if (scaled > INT_MAX)
        return FET_FAIL(FET_E_DATA, "resize: the sides of %d x %d pixels (height x width) are too unequal for %d",
                        in->height, in->width, size);
    *height = in->height <= in->width ? size : (int)scaled;
    *width = in->height <= in->width ? (int)scaled : size;
    return FET_OK;
}

fet_status fet__image_resize_short(fet__image *out, const fet__image *in, int size, fet__filter f)
{
    int height, width;
    fet_status st = short_size(&height, &width, in, size);

    memset(out, 0, sizeof *out);
    return st == FET_OK ? fet__image_resize(out, in, 0, 0, in->height, in->width, height, width, f) : st;
}

/* Half of a difference of two sizes, ties to even: 1 gives 0, 3 gives 2. */
static int half_to_even(int difference)
{
    int half = difference / 2;

    return half + (difference & half & 1);
}

/* Where the crop lies along one axis: output `pad` .. `pad + count` shows input `from` .. `from + count`. */
typedef struct span {
    int pad, from, count;
} span;

static span center_span(int have, int want)
{
    if (have < want)
        return (span){(want - have) / 2, 0, have};
    return (span){0, half_to_even(have - want), want};
}

fet_status fet__image_center_crop(fet__image *out, const fet__image *in, int height, int width)
{
    span rows, columns;
    fet_status st = fet__image_create(out, height, width);

    if (st != FET_OK)
        return st;
    rows = center_span(in->height, height);
    columns = center_span(in->width, width);
    for (int y = 0; y < rows.count; y++)
        memcpy(out->pixels + ((size_t)(rows.pad + y) * width + columns.pad) * CHANNELS,
               in->pixels + ((size_t)(rows.from + y) * in->width + columns.from) * CHANNELS,
               (size_t)columns.count * CHANNELS);
    return FET_OK;
}

fet_status fet__image_resize_short_crop(fet__image *out, const fet__image *in, int size, int crop_height,
                                        int crop_width, fet__filter f)
{
    fet_status st;
    int height = 0, width = 0;
    fet__image part = {0};
    fet__window whole = {0, 0, in->height, in->width}, shown;
    span rows, columns;

    memset(out, 0, sizeof *out);
    FET_TRY(short_size(&height, &width, in, size));
    rows = center_span(height, crop_height);
    columns = center_span(width, crop_width);
    shown = (fet__window){rows.from, columns.from, rows.count, columns.count};
    FET_TRY(fet__resize_window(&part, in, whole, height, width, shown, f));
    st = fet__image_center_crop(out, &part, crop_height, crop_width);
done:
    fet__image_fini(&part);
    return st;
}

void fet__image_normalize(float *out, const fet__image *im, const float mean[3], const float std[3])
{
    float table[CHANNELS][256];
    size_t count = (size_t)im->height * im->width;

    for (int c = 0; c < CHANNELS; c++)
        for (int v = 0; v < 256; v++)
            table[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
    for (size_t i = 0; i < count * CHANNELS; i += CHANNELS)
        for (size_t c = 0; c < CHANNELS; c++)
            out[i + c] = table[c][im->pixels[i + c]];
}

fet_status fet__image_from_floats(fet__image *out, const float *in, int height, int width, const float mean[3],
                                  const float std[3])
{
    fet_status st = fet__image_create_raw(out, height, width);
    size_t count = (size_t)height * (size_t)width * CHANNELS;

    if (st != FET_OK)
        return st;
    for (size_t i = 0; i < count; i++) {
        float v = (in[i] * std[i % CHANNELS] + mean[i % CHANNELS]) * 255.0f + 0.5f;

        out->pixels[i] = v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)v;
    }
    return FET_OK;
}
