/* Gradient of a depthwise convolution with respect to its filter. A block of taps (a few rows of the kernel, some or all of their
 * columns) is summed over a tile in registers, a pixel of dy against as many packed pixels of x as the block has taps. */
#include "kernel/x86/depthwise_pack.h"

/* Most taps whose sums fit into the registers. */
#define SUMS_MOST (VL == 16 ? 28 : 14)

typedef struct block_job {
    const float *x, *dy;
    float *sum;                    /* [rows of the kernel][kernel columns][16] */
    int64_t rows, columns;         /* of dy */
    int64_t x_row, dy_row, x_step; /* from one to the next; x_step for a column of dy */
    int64_t pitch, sum_row;        /* from one row of taps to the next */
    bool add;
} block_job;

/* down and across are constants at every call. */
INLINE void run_block(const block_job *b, const int down, const int across)
{
    vf sum[SUMS_MOST];

#pragma GCC unroll 28
    for (int i = 0; i < down * across; i++)
        sum[i] = v_zero();
    for (int64_t row = 0; row < b->rows; row++) {
        const float *x = b->x + row * b->x_row, *dy = b->dy + row * b->dy_row;

        for (int64_t n = b->columns; n > 0; n--, x += b->x_step, dy += LINE) {
            vf g = v_load(dy);

#pragma GCC unroll 7
            for (int i = 0; i < down; i++)
#pragma GCC unroll 7
                for (int j = 0; j < across; j++)
                    sum[i * across + j] = v_fma(v_load(x + i * b->pitch + j * LINE), g, sum[i * across + j]);
        }
    }
#pragma GCC unroll 7
    for (int i = 0; i < down; i++)
#pragma GCC unroll 7
        for (int j = 0; j < across; j++) {
            float *to = b->sum + i * b->sum_row + j * LINE;

            v_store(to, b->add ? v_add(v_load(to), sum[i * across + j]) : sum[i * across + j]);
        }
}

typedef void block_fn(const block_job *b);

#define BLOCK(down, across)                                                                                            \
    static void block_##down##_##across(const block_job *b)                                                            \
    {                                                                                                                  \
        run_block(b, down, across);                                                                                    \
    }

BLOCK(1, 1)
BLOCK(1, 2)
BLOCK(1, 3)
BLOCK(1, 4)
BLOCK(1, 5)
BLOCK(1, 7)
BLOCK(2, 5)
BLOCK(2, 7)
BLOCK(3, 3)
#if VL == 16
BLOCK(3, 5)
BLOCK(3, 7)
BLOCK(4, 7)
#endif

/* Rows of taps are taken `down` at a time, columns `across`; of what is left the next entry takes its part. */
typedef struct block_shape {
    int64_t down, across;
    block_fn *fn;
} block_shape;

static const block_shape block_shapes[] = {
#if VL == 16
    {4, 7, block_4_7}, {3, 7, block_3_7},
#endif
    {2, 7, block_2_7}, {1, 7, block_1_7},
#if VL == 16
    {3, 5, block_3_5},
#endif
    {2, 5, block_2_5}, {1, 5, block_1_5}, {1, 4, block_1_4}, {3, 3, block_3_3},
    {1, 3, block_1_3}, {1, 2, block_1_2}, {1, 1, block_1_1},
};

/* The first shape that fits into what is left of the kernel, but a width that fits and leaves nothing over goes first. */
static const block_shape *shape_for(int64_t down, int64_t across)
{
    int64_t width = 0;

    for (size_t i = 0; i < FET_COUNT(block_shapes); i++) {
        const block_shape *s = &block_shapes[i];

        if (s->across > across || (width && s->across != width))
            continue;
        width = s->across;
        if (s->down <= down)
            return s;
    }
    return NULL;
}

/* One line's filter over one packed tile. */
static void sum_tile(const fet__depthwise_plan *d, block_job b, int lane)
{
    const float *x = b.x + lane;
    float *sum = b.sum + lane;

    b.dy += lane;
    for (int64_t kx = 0, across = 1; kx < d->kernel[1]; kx += across)
        for (int64_t ky = 0, down = 1; ky < d->kernel[0]; ky += down) {
            const block_shape *shape = shape_for(d->kernel[0] - ky, d->kernel[1] - kx);

            b.x = x + ky * b.pitch + kx * LINE;
            b.sum = sum + ky * b.sum_row + kx * LINE;
            shape->fn(&b);
            down = shape->down;
            across = shape->across;
        }
}

/* A chunk's tiles in order, for one group of lines. filters: [line][tap][16]. */
static void run_chunk(const fet__depthwise_plan *d, float *slice, const float *x, const float *dy, float *filters,
                      int64_t chunk, int64_t group)
{
    int64_t tiles = d->batch * d->tiles[0] * d->tiles[1], first = chunk * tiles / d->chunks;
    int64_t filter = d->tap_count * LINE, pixel = d->channels;
    float *slopes = slice + d->group * d->plane;

    for (int64_t tile = first; tile < (chunk + 1) * tiles / d->chunks; tile++) {
        tile_place t = place_of(d, tile, group);
        int64_t at[2], n[2];

        for (int i = 0; i < 2; i++) {
            at[i] = d->origin[i] + t.at[i] * d->step[i];
            n[i] = smaller_of(d->tile[i], d->to[i] - t.at[i]);
        }
        block_job b = {.rows = n[0],
                       .columns = n[1],
                       .pitch = ((n[1] - 1) * d->step[1] + d->reach[1]) * LINE,
                       .sum_row = d->kernel[1] * LINE,
                       .dy_row = n[1] * LINE,
                       .x_step = d->step[1] * LINE,
                       .add = tile > first};
        b.x_row = d->step[0] * b.pitch;
        pack_tile(slice, d->plane, x + t.image * d->from[0] * d->from[1] * pixel, d->from, at,
                  (n[0] - 1) * d->step[0] + d->reach[0], b.pitch / LINE, d, &t);
        pack_tile(slopes, d->other_plane, dy + t.image * d->to[0] * d->to[1] * pixel, d->to, t.at, n[0], n[1], d, &t);
        for (int64_t l = 0; l < t.lines; l++) {
            b.x = slice + l * d->plane;
            b.dy = slopes + l * d->other_plane;
            b.sum = filters + (t.line + l) * filter;
            for (int lane = 0; lane < LINE; lane += VL)
                sum_tile(d, b, lane);
        }
    }
}

/* Adds the chunks of one line in order. */
static void join_chunks(const fet__depthwise_plan *d, float *dw, const float *filters, int64_t line)
{
    int64_t channels = smaller_of(LINE, d->channels - line * LINE), all = d->lines * d->tap_count * LINE;

    for (int64_t tap = 0; tap < d->tap_count; tap++) {
        const float *from = filters + (line * d->tap_count + tap) * LINE;
        double sum[LINE] = {0};

        for (int64_t chunk = 0; chunk < d->chunks; chunk++)
            for (int c = 0; c < LINE; c++)
                sum[c] += from[chunk * all + c];
        for (int64_t c = 0; c < channels; c++)
            dw[(line * LINE + c) * d->tap_count + tap] = (float)sum[c];
    }
}

fet_status FET__ISA(depthwise_dw)(const fet__prepared *k, const fet__call *c)
{
    const fet__depthwise_plan *d = k->state;
    int64_t filters = d->lines * d->tap_count * LINE;
    float *slices = c->scratch, *sums = slices + d->slice * d->threads;
    int64_t work = fet__shape_count(&k->problem.input[1].shape) * d->tap_count;
    int team = fet__x86_team(&k->problem, work / 32);

    (void)team;
#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(dynamic)
        for (int64_t unit = 0; unit < d->chunks * d->groups; unit++)
            run_chunk(d, slices + d->slice * fet__thread_index(), c->input[0], c->input[1],
                      sums + unit / d->groups * filters, unit / d->groups, unit % d->groups);
#pragma omp for schedule(static)
        for (int64_t line = 0; line < d->lines; line++)
            join_chunks(d, c->output, sums, line);
    }
    return FET_OK;
}
