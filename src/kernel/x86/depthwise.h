/* How a depthwise convolution and its gradients are cut; by the shape alone. Channels go in lines of 16 floats, of which a group of
 * a few is one unit of work. A unit takes a tile of the map, copies it into its thread's slice, a plane per line with what lies
 * outside the map as zeros, and then needs no border tests:
 *
 *   map    [B, H, W, C]  ->  packed  [line][tile_rows][pitch][16]       pitch: columns of the tile and of the kernel's reach
 *   filter [C, 1, kh, kw] ->         [line][tap][16]
 *
 * Forward and backward data are passes over packed maps:  y[row, col] = sum over taps of packed[row * step + ky, ..] * w[ky, kx].
 * Backward data with stride s is a pass for each of the s * s phases of its output, with every s-th tap, last tap first:
 *   dx[s m + i0] = sum_j dy[m + q - j] w[s j + f],   f in 0 .. s-1,  i0 = (f - pad) mod s,  q = (i0 + pad - f) / s
 *
 * Backward weights sums tiles in order into one filter for each chunk of tiles, and the chunks' filters in order. Results do not
 * depend on the number of threads. A tap that meets a value outside the map adds zero times that value: an infinite weight (or
 * gradient) gives NaN there, where the reference leaves the tap out. */
#ifndef FET_X86_DEPTHWISE_H
#define FET_X86_DEPTHWISE_H

#include "kernel/x86/x86.h"

#define FET__DEPTHWISE_STRIDE 2 /* largest */
#define FET__DEPTHWISE_STRIP 14 /* most output columns that are summed together */

/* Outputs out_at + out_step * i, i < count, of the written map, from packed values in_at + step * i + tap. */
typedef struct fet__depthwise_pass {
    int64_t taps[2];
    int64_t in_at[2], out_at[2], count[2];
    int64_t first_tap[2]; /* of the filter */
    int64_t weights;      /* lines before this pass in a channel line's taps */
} fet__depthwise_pass;

typedef struct fet__depthwise_plan {
    int64_t batch, channels, lines;
    int64_t group, groups;  /* lines of a unit, at most; units beside each other */
    int64_t from[2], to[2]; /* sizes of the map that is read (x; dy for dx) and of the other one */
    int64_t kernel[2], step[2];
    int64_t tap_step[2]; /* to a pass's next tap in the filter; negative for dx */
    int64_t out_step[2];
    int64_t origin[2];         /* where packed (0, 0) of the first tile lies in `from` */
    int64_t tile[2], tiles[2]; /* outputs of a pass in a tile; tiles of a map */
    int64_t reach[2];          /* a tile of n outputs reads (n - 1) * step + reach */
    int64_t pass_count, tap_count;
    fet__depthwise_pass pass[FET__DEPTHWISE_STRIDE * FET__DEPTHWISE_STRIDE];
    int64_t chunks; /* dw only */
    int threads;
    int64_t plane, other_plane; /* floats of a line's packed tile, at most; of dy's, dw only */
    int64_t slice, shared;      /* floats of a thread's slice; of what threads share, behind the slices */
} fet__depthwise_plan;

#endif
