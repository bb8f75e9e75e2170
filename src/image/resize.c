/* Resizing 8-bit RGB with the fixed-point arithmetic of Pillow, bit for bit: weights become integers of 22
 * fractional bits,
 *     out = clip((sum v_k * w_k + 2^21) >> 22),
 * first along rows, rounded to 8 bits, then along columns; a direction that keeps its size is skipped. Any window
 * of the result can be made alone. The sums themselves are in resize_rows.c. */
#include "image/image_int.h"
#include "image/resize_rows.h"

#include <string.h>

#define CHANNELS 3
/* The rows between the two passes take at most about this much; wide results are then made in strips of columns. */
#define STRIP_BYTES ((int64_t)64 << 20)
/* A result larger than any picture we would read is a mistake or an attack by an absurd aspect ratio. */
#define MAX_RESULT_PIXELS INT64_C(200000000)

/* Part of an image: rows of `width` pixels, `stride` bytes apart; `end` is where readable memory ends. */
typedef struct view {
    const uint8_t *at, *end;
    int height, width;
    size_t stride;
} view;

static view view_of(const fet__image *im, fet__window w)
{
    size_t stride = (size_t)im->width * CHANNELS;

    return (view){im->pixels + (size_t)w.top * stride + (size_t)w.left * CHANNELS,
                  im->pixels + (size_t)im->height * stride, w.height, w.width, stride};
}

static void copy_window(fet__image *out, view in, fet__window w)
{
    for (int y = 0; y < w.height; y++)
        memcpy(out->pixels + (size_t)y * w.width * CHANNELS,
               in.at + (size_t)(w.top + y) * in.stride + (size_t)w.left * CHANNELS, (size_t)w.width * CHANNELS);
}

static fet_status nearest(fet__image *out, view in, int height, int width, fet__window w)
{
    int *column = fet__alloc((size_t)w.width, sizeof *column);

    if (!column)
        return FET_E_NOMEM;
    for (int x = 0; x < w.width; x++)
        column[x] = fet__nearest_source(w.left + x, in.width, width);
    for (int y = 0; y < w.height; y++) {
        const uint8_t *row = in.at + (size_t)fet__nearest_source(w.top + y, in.height, height) * in.stride;
        uint8_t *to = out->pixels + (size_t)y * w.width * CHANNELS;

        for (int x = 0; x < w.width; x++)
            memcpy(to + (size_t)x * CHANNELS, row + (size_t)column[x] * CHANNELS, CHANNELS);
    }
    fet__free(column);
    return FET_OK;
}

/* ---- the two passes ---- */

/* Rows of `in` resized along their length into `out`, two at a time. The row kernel may read a few bytes behind a
 * row: rows too near to the end of memory go through a padded copy. */
static fet_status pass_rows(uint8_t *out, view in, const fet__row_taps *taps)
{
    size_t bytes = (size_t)in.width * CHANNELS, out_bytes = (size_t)taps->count * CHANNELS;
    uint8_t *spare = fet__alloc(2, bytes + FET__ROW_SLACK);

    if (!spare)
        return FET_E_NOMEM;
    for (int y = 0; y < in.height; y += 2) {
        const uint8_t *row[2];
        uint8_t *to[2];

        for (int i = 0; i < 2; i++) {
            int source = y + i < in.height ? y + i : y; /* an odd last row is made twice */

            row[i] = in.at + (size_t)source * in.stride;
            to[i] = out + (size_t)source * out_bytes;
            if ((size_t)(in.end - row[i]) < bytes + FET__ROW_SLACK) {
                memcpy(spare + (size_t)i * (bytes + FET__ROW_SLACK), row[i], bytes);
                row[i] = spare + (size_t)i * (bytes + FET__ROW_SLACK);
            }
        }
        fet__resize_row_pair(to, row, taps);
    }
    fet__free(spare);
    return FET_OK;
}

static void pass_columns(uint8_t *out, size_t out_stride, view in, const fet__row_taps *taps)
{
    for (int y = 0; y < taps->count; y++)
        fet__resize_column(out + (size_t)y * out_stride, in.at, in.stride, (size_t)in.width * CHANNELS, taps, y);
}

/* Input rows that the outputs of `taps` need: [*begin, *end). Both ends grow with the output. */
static void needed(const fet__row_taps *taps, int *begin, int *end)
{
    *begin = taps->first[0];
    *end = taps->first[taps->count - 1] + taps->used[taps->count - 1];
}

/* Columns `left` .. `left + columns` of the result (counted within the window), given the vertical taps or NULL. */
static fet_status make_strip(fet__image *out, view in, const fet__row_taps *down, const fet__row_taps *across, int left)
{
    fet_status st = FET_OK;
    size_t out_stride = (size_t)out->width * CHANNELS;
    uint8_t *to = out->pixels + (size_t)left * CHANNELS, *between = NULL;
    view middle = in;

    if (across && down) {
        between = fet__alloc_raw((size_t)in.height * (size_t)across->count, CHANNELS);
        if (!between)
            return FET_E_NOMEM;
        FET_TRY(pass_rows(between, in, across));
        middle = (view){between, NULL, in.height, across->count, (size_t)across->count * CHANNELS};
    }
    if (down)
        pass_columns(to, out_stride, middle, down);
    else if (across)
        st = pass_rows(to, in, across);
done:
    fet__free(between);
    return st;
}

static int strip_width(int rows, int width)
{
    int64_t fits = STRIP_BYTES / CHANNELS / rows;

    return fits >= width ? width : fits > 1 ? (int)fits : 1;
}

/* ---- a window ---- */

/* The passes with vertical taps `down` (NULL: the height is kept); `in` holds just the rows that are needed. */
static fet_status make_columns(fet__image *out, view in, const fet__row_taps *down, int width, fet__window w,
                               fet__filter f)
{
    fet_status st = FET_OK;
    fet__row_taps across = {0};
    int step = down ? strip_width(in.height, w.width) : w.width;

    if (width == in.width) {
        in.at += (size_t)w.left * CHANNELS;
        in.width = w.width;
        return make_strip(out, in, down, NULL, 0);
    }
    for (int left = 0; left < w.width; left += step) {
        int columns = w.width - left < step ? w.width - left : step;

        FET_TRY(fet__row_taps_build(&across, in.width, width, w.left + left, columns, f));
        FET_TRY(make_strip(out, in, down, &across, left));
        fet__row_taps_fini(&across);
    }
done:
    fet__row_taps_fini(&across);
    return st;
}

static fet_status make_window(fet__image *out, view in, int height, int width, fet__window w, fet__filter f)
{
    fet_status st;
    fet__row_taps down = {0};
    int begin = w.top, end = w.top + w.height;
    bool same_height = height == in.height;

    if (!same_height) {
        FET_TRY(fet__row_taps_build(&down, in.height, height, w.top, w.height, f));
        needed(&down, &begin, &end);
        for (int i = 0; i < down.count; i++)
            down.first[i] -= begin;
    }
    in.at += (size_t)begin * in.stride;
    in.height = end - begin;
    st = make_columns(out, in, same_height ? NULL : &down, width, w, f);
done:
    fet__row_taps_fini(&down);
    return st;
}

static bool inside(fet__window w, int height, int width)
{
    return w.top >= 0 && w.left >= 0 && w.height > 0 && w.width > 0 && w.top <= height - w.height &&
           w.left <= width - w.width;
}

fet_status fet__resize_window(fet__image *out, const fet__image *in, fet__window source, int height, int width,
                              fet__window result, fet__filter f)
{
    fet_status st;
    view v;

    memset(out, 0, sizeof *out);
    if (!inside(source, in->height, in->width))
        return FET_FAIL(FET_E_ARG,
                        "resize: box (top %d, left %d, %d x %d) is not inside an image of %d x %d (height x width)",
                        source.top, source.left, source.height, source.width, in->height, in->width);
    if (height <= 0 || width <= 0 || !inside(result, height, width))
        return FET_FAIL(FET_E_ARG, "resize: cannot make %d x %d pixels (height x width)", height, width);
    if ((int64_t)result.height * result.width > MAX_RESULT_PIXELS)
        return FET_FAIL(FET_E_DATA, "resize: %d x %d pixels (height x width) made of %d x %d exceed the limit of %lld",
                        result.height, result.width, source.height, source.width, (long long)MAX_RESULT_PIXELS);
    FET_TRY(fet__image_create_raw(out, result.height, result.width));
    v = view_of(in, source);
    if (height == v.height && width == v.width)
        copy_window(out, v, result);
    else if (f == FET__NEAREST)
        st = nearest(out, v, height, width, result);
    else
        st = make_window(out, v, height, width, result, f);
done:
    if (st != FET_OK)
        fet__image_fini(out);
    return st;
}

fet_status fet__image_resize(fet__image *out, const fet__image *in, int top, int left, int box_height, int box_width,
                             int height, int width, fet__filter f)
{
    fet__window source = {top, left, box_height, box_width}, result = {0, 0, height, width};

    return fet__resize_window(out, in, source, height, width, result, f);
}
