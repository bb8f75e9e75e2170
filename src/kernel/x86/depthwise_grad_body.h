/* Gradient of a depthwise convolution with respect to its filter. A block of taps (a few rows of the kernel, some or all of their
 * columns) is summed over a tile in registers, a pixel of dy against as many packed pixels of x as the block has taps. */
#include "kernel/x86/depthwise_pack.h"

/* Most taps whose sums fit into the registers. */
#define SUMS_MOST (VL == 16 ? 28 : 14)
#define COLUMNS_MOST 4
#define ROWS_MOST 4
#define REGISTERS (VL == 16 ? 32 : 16)

/* Pixels of dy that find room beside the sums and one packed value. */
INLINE int columns_beside(int sums)
{
    int room = REGISTERS - 1 - sums;

    return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

typedef struct block_job {
    const float *x, *dy;
    float *sum;             /* [rows of the kernel][kernel columns][16] */
    int64_t rows, columns;  /* of dy */
    int64_t step;           /* packed rows from one row of dy to the next */
    row_range inside;       /* packed rows that count, from x on */
    int64_t pitch, sum_row; /* from one row of taps to the next */
    bool add;
} block_job;

/* One packed value against the pixels of dy that it meets. */
INLINE void add_value(vf *sum, vf v, const vf *g, int j, const int across, const int columns, const int step)
{
#pragma GCC unroll 4
    for (int c = 0; c < columns; c++)
        if (j - c * step >= 0 && j - c * step < across)
            sum[j - c * step] = v_fma(v, g[c], sum[j - c * step]);
}

/* `columns` pixels of dy at once: a packed value is read once for all of them. All but the addresses and the range are constants at
 * every call. Rows of taps outside the range are left out, unless the range is known to hold all: then rows take turns, so that a
 * sum's multiply-adds lie far enough apart not to wait for each other. */
INLINE void add_columns(vf *sum, const float *x, const float *dy, int64_t pitch, const int down, const int across,
                        const int columns, const int step, const bool all, row_range rows)
{
    const int values = across + (columns - 1) * step;
    vf g[COLUMNS_MOST];
    const float *row[ROWS_MOST];

#pragma GCC unroll 4
    for (int c = 0; c < columns; c++)
        g[c] = v_load(dy + c * LINE);
#pragma GCC unroll 7
    for (int i = 0; i < down; i++) {
        row[i] = x + i * pitch;
        __asm__("" : "+r"(row[i])); /* else the compiler keeps a register for every i * pitch + j */
    }
    if (all) {
#pragma GCC unroll 16
        for (int j = 0; j < values; j++)
#pragma GCC unroll 7
            for (int i = 0; i < down; i++)
                add_value(sum + i * across, v_load(row[i] + j * LINE), g, j, across, columns, step);
        return;
    }
#pragma GCC unroll 7
    for (int i = 0; i < down; i++) {
        if (i < rows.first || i >= rows.end)
            continue;
#pragma GCC unroll 16
        for (int j = 0; j < values; j++)
            add_value(sum + i * across, v_load(row[i] + j * LINE), g, j, across, columns, step);
    }
}

INLINE void add_row(vf *sum, const block_job *b, int64_t row, const int down, const int across, const int step,
                    const bool all, row_range rows)
{
    const int columns = columns_beside(down * across);
    const float *x = b->x + row * b->step * b->pitch, *dy = b->dy + row * b->columns * LINE;
    int64_t n = b->columns;

    for (; n >= columns; n -= columns, x += columns * step * LINE, dy += columns * LINE)
        add_columns(sum, x, dy, b->pitch, down, across, columns, step, all, rows);
    for (; n > 0; n--, x += step * LINE, dy += LINE)
        add_columns(sum, x, dy, b->pitch, down, across, 1, step, all, rows);
}

/* down, across and step are constants at every call. */
INLINE void run_block(const block_job *b, const int down, const int across, const int step)
{
    vf sum[SUMS_MOST];

#pragma GCC unroll 28
    for (int i = 0; i < down * across; i++)
        sum[i] = v_zero();
    for (int64_t row = 0; row < b->rows; row++) {
        row_range rows = {b->inside.first - row * b->step, b->inside.end - row * b->step};

        if (rows.first <= 0 && rows.end >= down)
            add_row(sum, b, row, down, across, step, true, rows);
        else if (rows.first < down && rows.end > 0)
            add_row(sum, b, row, down, across, step, false, rows);
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
    static void block_##down##_##across##_1(const block_job *b)                                                        \
    {                                                                                                                  \
        run_block(b, down, across, 1);                                                                                 \
    }                                                                                                                  \
    static void block_##down##_##across##_2(const block_job *b)                                                        \
    {                                                                                                                  \
        run_block(b, down, across, 2);                                                                                 \
    }
#define SHAPE(down, across)                                                                                            \
    {                                                                                                                  \
        down, across,                                                                                                  \
        {                                                                                                              \
            block_##down##_##across##_1, block_##down##_##across##_2                                                   \
        }                                                                                                              \
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
    block_fn *fn[FET__DEPTHWISE_STRIDE]; /* by the step of columns, less one */
} block_shape;

static const block_shape block_shapes[] = {
#if VL == 16
    SHAPE(4, 7), SHAPE(3, 7),
#endif
    SHAPE(2, 7), SHAPE(1, 7),
#if VL == 16
    SHAPE(3, 5),
#endif
    SHAPE(2, 5), SHAPE(1, 5), SHAPE(1, 4), SHAPE(3, 3), SHAPE(1, 3), SHAPE(1, 2), SHAPE(1, 1),
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
    row_range inside = b.inside;
    float *sum = b.sum + lane;

    b.dy += lane;
    for (int64_t kx = 0, across = 1; kx < d->kernel[1]; kx += across)
        for (int64_t ky = 0, down = 1; ky < d->kernel[0]; ky += down) {
            const block_shape *shape = shape_for(d->kernel[0] - ky, d->kernel[1] - kx);

            b.inside = (row_range){inside.first - ky, inside.end - ky};
            b.x = x + ky * b.pitch + kx * LINE;
            b.sum = sum + ky * b.sum_row + kx * LINE;
            shape->fn[d->step[1] - 1](&b);
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
                       .step = d->step[0],
                       .add = tile > first};
        b.inside = pack_tile(slice, d->plane, x + t.image * d->from[0] * d->from[1] * pixel, d->from, at,
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
