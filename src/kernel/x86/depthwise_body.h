/* Depthwise convolution and its gradient with respect to the map: strips of output columns whose sums stay in registers over all
 * taps. With step 1 and a width of the kernel that is known here, a row of packed values is read once for all taps that meet it;
 * else once a tap. */
#include "kernel/x86/depthwise_strip.h"

/* What a strip needs to know; all in floats. */
typedef struct strip_job {
    const float *x, *w;
    float *y;
    int64_t rows, y_row;    /* output rows, and from one to the next */
    int64_t taps[2], pitch; /* taps; from one packed row to the next */
    int64_t step;           /* packed rows from one output row to the next */
    row_range inside;       /* packed rows that count, from x on */
    int64_t y_step;
    int columns, lanes; /* that are written */
} strip_job;

/* strip, step and taps (0: any) are constants at every call. */
INLINE void run_strip(const strip_job *s, const int strip, const int step, const int taps)
{
    for (int64_t row = 0; row < s->rows; row++) {
        int64_t first = larger_of(0, s->inside.first - row * s->step);
        int64_t end = smaller_of(s->taps[0], s->inside.end - row * s->step);
        const float *x = s->x + (row * s->step + first) * s->pitch, *w = s->w + first * s->taps[1] * LINE;
        float *y = s->y + row * s->y_row;
        vf sum[FET__DEPTHWISE_STRIP];

#pragma GCC unroll 14
        for (int r = 0; r < strip; r++)
            sum[r] = v_zero();
        for (int64_t ky = first; ky < end; ky++, x += s->pitch, w += s->taps[1] * LINE) {
            if (taps)
                add_known(sum, x, w, strip, taps);
            else
                add_any(sum, x, w, strip, step, s->taps[1]);
        }
        store_strip(y, s->y_step, sum, strip, s->columns, s->lanes);
    }
}

typedef void strip_fn(const strip_job *s);

#define STRIP(strip, step, taps)                                                                                       \
    static void strip_##strip##_##step##_##taps(const strip_job *s)                                                    \
    {                                                                                                                  \
        run_strip(s, strip, step, taps);                                                                               \
    }
#define WIDTH(strip)                                                                                                   \
    STRIP(strip, 1, 0)                                                                                                 \
    STRIP(strip, 1, 1)                                                                                                 \
    STRIP(strip, 1, 2) STRIP(strip, 1, 3) STRIP(strip, 1, 4) STRIP(strip, 1, 5) STRIP(strip, 1, 7) STRIP(strip, 2, 0)
#define ROW(strip)                                                                                                     \
    {                                                                                                                  \
        strip, strip_##strip##_2_0,                                                                                    \
        {                                                                                                              \
            strip_##strip##_1_0, strip_##strip##_1_1, strip_##strip##_1_2, strip_##strip##_1_3, strip_##strip##_1_4,   \
                strip_##strip##_1_5, strip_##strip##_1_0, strip_##strip##_1_7                                          \
        }                                                                                                              \
    }

WIDTH(4)
WIDTH(7)
WIDTH(8)
#if VL == 16
WIDTH(14)
#endif

typedef struct strip_width {
    int64_t columns;
    strip_fn *step_two, *taps[8]; /* by the number of taps in a row; [0]: any */
} strip_width;

static const strip_width strip_widths[] = {
#if VL == 16
    ROW(14),
#endif
    ROW(8),
    ROW(7),
    ROW(4),
};

/* The width that costs least for n columns. */
static const strip_width *width_for(int64_t n)
{
    const strip_width *best = NULL;
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < FET_COUNT(strip_widths); i++) {
        int64_t columns = strip_widths[i].columns;
        int64_t cost = strips_cost(n, columns);

        if (cost < least) {
            least = cost;
            best = &strip_widths[i];
        }
    }
    return best;
}

/* A pass over a packed tile. */
static void run_pass(const fet__depthwise_plan *d, const fet__depthwise_pass *pass, const tile_place *t,
                     const float *packed, int64_t pitch, row_range inside, const float *weights, float *y)
{
    int64_t rows = smaller_of(d->tile[0], pass->count[0] - t->at[0]);
    int64_t columns = smaller_of(d->tile[1], pass->count[1] - t->at[1]);
    int64_t pixel = d->channels, line = d->to[1] * pixel;
    const strip_width *width;
    strip_fn *fn;

    if (rows <= 0 || columns <= 0)
        return;
    width = width_for(columns);
    fn = d->step[1] == 2 ? width->step_two : width->taps[pass->taps[1] < 8 ? pass->taps[1] : 0];
    packed += (pass->in_at[0] * pitch + pass->in_at[1]) * LINE;
    y += (pass->out_at[0] + t->at[0] * d->out_step[0]) * line + (pass->out_at[1] + t->at[1] * d->out_step[1]) * pixel;
    for (int64_t at = 0; at < columns; at += width->columns)
        for (int lane = 0; lane < LINE && t->line * LINE + lane < d->channels; lane += VL) {
            strip_job s = {.x = packed + at * d->step[1] * LINE + lane,
                           .w = weights + pass->weights * LINE + lane,
                           .y = y + at * d->out_step[1] * pixel + t->line * LINE + lane,
                           .rows = rows,
                           .y_row = d->out_step[0] * line,
                           .taps = {pass->taps[0], pass->taps[1]},
                           .pitch = pitch * LINE,
                           .step = d->step[0],
                           .inside = {inside.first - pass->in_at[0], inside.end - pass->in_at[0]},
                           .y_step = d->out_step[1] * pixel,
                           .columns = (int)smaller_of(width->columns, columns - at),
                           .lanes = (int)smaller_of(VL, d->channels - t->line * LINE - lane)};

            fn(&s);
        }
}

/* One line's taps, in the order of the passes. */
static void pack_weights(const fet__depthwise_plan *d, float *dst, const float *w, int64_t line)
{
    int64_t taps = d->kernel[0] * d->kernel[1], channels = smaller_of(LINE, d->channels - line * LINE);

    w += line * LINE * taps;
    clear_lines(dst, d->tap_count);
    for (int64_t i = 0; i < d->pass_count; i++)
        for (int64_t ky = 0; ky < d->pass[i].taps[0]; ky++)
            for (int64_t kx = 0; kx < d->pass[i].taps[1]; kx++, dst += LINE) {
                const float *from = w + (d->pass[i].first_tap[0] + ky * d->tap_step[0]) * d->kernel[1] +
                                    d->pass[i].first_tap[1] + kx * d->tap_step[1];

                for (int64_t c = 0; c < channels; c++)
                    dst[c] = from[c * taps];
            }
}

static void run_unit(const fet__depthwise_plan *d, float *slice, const float *weights, const float *x, float *y,
                     int64_t unit)
{
    tile_place t = place_of(d, unit / d->groups, unit % d->groups);
    int64_t at[2], rows = (d->tile[0] - 1) * d->step[0] + d->reach[0], pitch, lines = t.lines;
    row_range inside;

    /* The last strip may reach over the tile's edge by less than its width. */
    pitch = (fet__round_up(d->tile[1], width_for(d->tile[1])->columns) - 1) * d->step[1] + d->reach[1];
    for (int i = 0; i < 2; i++)
        at[i] = d->origin[i] + t.at[i] * d->step[i];
    inside = pack_tile(slice, d->plane, x + t.image * d->from[0] * d->from[1] * d->channels, d->from, at, rows, pitch,
                       d, &t);
    y += t.image * d->to[0] * d->to[1] * d->channels;
    t.lines = 1;
    for (int64_t l = 0; l < lines; l++, t.line++)
        for (int64_t i = 0; i < d->pass_count; i++)
            run_pass(d, &d->pass[i], &t, slice + l * d->plane, pitch, inside, weights + t.line * d->tap_count * LINE,
                     y);
}

/* conv2d and conv2d_dx: the plan tells them apart. */
fet_status FET__ISA(depthwise)(const fet__prepared *k, const fet__call *c)
{
    const fet__depthwise_plan *d = k->state;
    float *slices = c->scratch, *weights = slices + d->slice * d->threads;
    int64_t units = d->batch * d->tiles[0] * d->tiles[1] * d->groups;
    int64_t work = fet__shape_count(&k->problem.output.shape) * d->kernel[0] * d->kernel[1];
    int team = fet__x86_team(&k->problem, work / 32);

    (void)team;
#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t line = 0; line < d->lines; line++)
            pack_weights(d, weights + line * d->tap_count * LINE, c->input[1], line);
#pragma omp for schedule(dynamic)
        for (int64_t unit = 0; unit < units; unit++)
            run_unit(d, slices + d->slice * fet__thread_index(), weights, c->input[0], c->output, unit);
    }
    return FET_OK;
}
