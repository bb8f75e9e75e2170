/* Copying a tile of a map into a thread's slice, a plane per line of channels, zeros left and right of the map. */
#ifndef FET_X86_DEPTHWISE_PACK_H
#define FET_X86_DEPTHWISE_PACK_H

#include "kernel/x86/depthwise.h"
#include "kernel/x86/vec.h"

#define LINE FET__LINE_FLOATS

INLINE int64_t smaller_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

INLINE int64_t larger_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Packed rows that lie inside the map. */
typedef struct row_range {
    int64_t first, end;
} row_range;

/* Which tile of which lines a unit is. */
typedef struct tile_place {
    int64_t image, line, lines; /* lines line .. line + lines - 1 */
    int64_t at[2];              /* first output of every pass */
} tile_place;

/* Units of a group lie together, so that neighbouring tiles find their common rows in the cache. */
static tile_place place_of(const fet__depthwise_plan *d, int64_t tile, int64_t group)
{
    int64_t per_map = d->tiles[0] * d->tiles[1], line = group * d->group;

    return (tile_place){tile / per_map,
                        line,
                        smaller_of(d->group, d->lines - line),
                        {tile % per_map / d->tiles[1] * d->tile[0], tile % d->tiles[1] * d->tile[1]}};
}

INLINE void clear_lines(float *dst, int64_t count)
{
    for (int64_t i = 0; i < count * LINE; i += VL)
        v_store(dst + i, v_zero());
}

/* `count` pixels, `stride` floats apart, to `lines` planes: memory is read in its own order. lines is a constant at every call. */
INLINE void copy_pixels(float *dst, int64_t plane, const float *src, int64_t count, int64_t stride, const int64_t lines)
{
    for (int64_t i = 0; i < count; i++, dst += LINE, src += stride)
        for (int64_t l = 0; l < lines; l++)
            for (int j = 0; j < LINE; j += VL)
                v_store(dst + l * plane + j, v_load(src + l * LINE + j));
}

/* One plane of a line that has fewer than its `channels`. */
static void copy_tail(float *dst, const float *src, int64_t count, int64_t stride, int64_t channels)
{
    for (int64_t i = 0; i < count; i++)
        for (int j = 0; j < LINE; j += VL) {
            int n = (int)larger_of(0, smaller_of(VL, channels - j));

            v_store(dst + i * LINE + j, n > 0 ? v_loadn(src + i * stride + j, n) : v_zero());
        }
}

static void copy_row(float *dst, int64_t plane, const float *src, int64_t count, int64_t stride, int64_t channels)
{
    int64_t whole = channels / LINE, l = 0;

    for (; l + 4 <= whole; l += 4)
        copy_pixels(dst + l * plane, plane, src + l * LINE, count, stride, 4);
    for (; l + 2 <= whole; l += 2)
        copy_pixels(dst + l * plane, plane, src + l * LINE, count, stride, 2);
    for (; l < whole; l++)
        copy_pixels(dst + l * plane, plane, src + l * LINE, count, stride, 1);
    if (channels % LINE)
        copy_tail(dst + whole * plane, src + whole * LINE, count, stride, channels % LINE);
}

/* rows x pitch pixels of `map` [size[0], size[1], C] from `at` on; columns outside the map are cleared, rows outside left as they
 * are: their range inside is returned. */
static row_range pack_tile(float *dst, int64_t plane, const float *map, const int64_t size[2], const int64_t at[2],
                           int64_t rows, int64_t pitch, const fet__depthwise_plan *d, const tile_place *t)
{
    int64_t left = smaller_of(pitch, larger_of(0, -at[1]));
    int64_t count = larger_of(0, smaller_of(pitch, size[1] - at[1]) - left);
    int64_t right = pitch - left - count, channels = smaller_of(t->lines * LINE, d->channels - t->line * LINE);
    row_range inside = {larger_of(0, -at[0]), smaller_of(rows, size[0] - at[0])};

    for (int64_t r = inside.first; r < inside.end; r++) {
        float *to = dst + r * pitch * LINE;

        for (int64_t l = 0; l < t->lines; l++) {
            clear_lines(to + l * plane, left);
            clear_lines(to + l * plane + (left + count) * LINE, right);
        }
        copy_row(to + left * LINE, plane, map + ((at[0] + r) * size[1] + at[1] + left) * d->channels + t->line * LINE,
                 count, d->channels, channels);
    }
    return inside;
}

#endif
