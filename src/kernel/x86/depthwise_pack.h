/* Copying a tile of a map into a thread's slice, a plane per line of channels, zeros around the map. */
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

/* `count` pixels, `stride` floats apart, to one plane; the last line's `channels` may be fewer than a line's. */
INLINE void copy_line(float *dst, const float *src, int64_t count, int64_t stride, int64_t channels)
{
    if (channels >= LINE) {
        for (int64_t i = 0; i < count; i++)
            for (int j = 0; j < LINE; j += VL)
                v_store(dst + i * LINE + j, v_load(src + i * stride + j));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        for (int j = 0; j < LINE; j += VL) {
            int n = (int)larger_of(0, smaller_of(VL, channels - j));

            v_store(dst + i * LINE + j, n > 0 ? v_loadn(src + i * stride + j, n) : v_zero());
        }
}

/* rows x pitch pixels of `map` [size[0], size[1], C] from `at` on, which may lie outside. */
static void pack_tile(float *dst, int64_t plane, const float *map, const int64_t size[2], const int64_t at[2],
                      int64_t rows, int64_t pitch, const fet__depthwise_plan *d, const tile_place *t)
{
    int64_t left = smaller_of(pitch, larger_of(0, -at[1]));
    int64_t count = larger_of(0, smaller_of(pitch, size[1] - at[1]) - left);

    for (int64_t r = 0; r < rows; r++) {
        int64_t row = at[0] + r;

        for (int64_t l = 0; l < t->lines; l++) {
            float *to = dst + l * plane + r * pitch * LINE;
            int64_t channel = (t->line + l) * LINE;

            if (row < 0 || row >= size[0] || count == 0) {
                clear_lines(to, pitch);
                continue;
            }
            clear_lines(to, left);
            copy_line(to + left * LINE, map + (row * size[1] + at[1] + left) * d->channels + channel, count,
                      d->channels, d->channels - channel);
            clear_lines(to + (left + count) * LINE, pitch - left - count);
        }
    }
}

#endif
