/* Quadratic depthwise convolution: strips of output columns, one after the other under the three filters of their channels (see
 * quadratic.h). Each output is summed in the order of the taps whatever the strips and tiles. */
#include "kernel/x86/depthwise_strip.h"
#include "kernel/x86/quadratic.h"

/* What a strip needs to know; strides in floats. */
typedef struct strip_job {
    const float *x, *filters, *biases;
    float *y;
    int64_t rows, y_row, y_step, pitch;
    int64_t taps[2];
    row_range inside; /* packed rows that count */
    int columns, lanes;
} strip_job;

/* Adds one convolution of output row `row`. strip and taps (0: any) are constants at every call. */
INLINE void add_part(vf *sum, const strip_job *s, int64_t row, const float *filter, const int strip, const int taps)
{
    int64_t first = larger_of(0, s->inside.first - row), end = smaller_of(s->taps[0], s->inside.end - row);
    const float *x = s->x + (row + first) * s->pitch, *w = filter + first * s->taps[1] * LINE;

    for (int64_t ky = first; ky < end; ky++, x += s->pitch, w += s->taps[1] * LINE) {
        if (taps)
            add_known(sum, x, w, strip, taps);
        else
            add_any(sum, x, w, strip, 1, s->taps[1]);
    }
}

INLINE void run_strip(const strip_job *s, const int strip, const int taps)
{
    int64_t filter = s->taps[0] * s->taps[1] * LINE;

    for (int64_t row = 0; row < s->rows; row++) {
        float *y = s->y + row * s->y_row;
        vf a[FET__DEPTHWISE_STRIP], sum[FET__DEPTHWISE_STRIP], bias = v_load(s->biases);

#pragma GCC unroll 14
        for (int r = 0; r < strip; r++)
            sum[r] = bias;
        add_part(sum, s, row, s->filters, strip, taps);
        bias = v_load(s->biases + LINE);
#pragma GCC unroll 14
        for (int r = 0; r < strip; r++) {
            a[r] = sum[r];
            sum[r] = bias;
        }
        add_part(sum, s, row, s->filters + filter, strip, taps);
        bias = v_load(s->biases + 2 * LINE);
#pragma GCC unroll 14
        for (int r = 0; r < strip; r++)
            sum[r] = v_fma(a[r], sum[r], bias);
        add_part(sum, s, row, s->filters + 2 * filter, strip, taps);
        store_strip(y, s->y_step, sum, strip, s->columns, s->lanes);
    }
}

#define STRIP(strip, taps)                                                                                             \
    static void strip_##strip##_##taps(const strip_job *s)                                                             \
    {                                                                                                                  \
        run_strip(s, strip, taps);                                                                                     \
    }
#define WIDTH(strip) STRIP(strip, 0) STRIP(strip, 3) STRIP(strip, 5) STRIP(strip, 7)
#define ROW(strip)                                                                                                     \
    {                                                                                                                  \
        strip, strip_##strip##_0, strip_##strip##_3, strip_##strip##_5, strip_##strip##_7                              \
    }

WIDTH(4)
WIDTH(7)
WIDTH(8)
#if VL == 16
WIDTH(14)
#endif

typedef struct strip_width {
    int64_t columns;
    void (*any)(const strip_job *), (*three)(const strip_job *), (*five)(const strip_job *),
        (*seven)(const strip_job *);
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

static void pack_filters(const fet__depthwise_plan *d, float *dst, const fet__call *c, int64_t line)
{
    int64_t taps = d->tap_count, channels = smaller_of(LINE, d->channels - line * LINE);
    float *biases = dst + FET__QUADRATIC_PARTS * taps * LINE;

    clear_lines(dst, fet__quadratic_line(d) / LINE);
    for (int i = 0; i < FET__QUADRATIC_PARTS; i++, dst += taps * LINE) {
        const float *w = (const float *)c->input[1 + 2 * i] + line * LINE * taps;
        const float *bias = (const float *)c->input[2 + 2 * i] + line * LINE;

        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t ch = 0; ch < channels; ch++)
                dst[tap * LINE + ch] = w[ch * taps + tap];
        for (int64_t ch = 0; ch < channels; ch++)
            biases[i * LINE + ch] = bias[ch];
    }
}

/* One line of a packed tile. y: the image's first value. */
static void run_line(const fet__depthwise_plan *d, const tile_place *t, const float *packed, int64_t pitch,
                     row_range inside, const float *filters, float *y)
{
    int64_t rows = smaller_of(d->tile[0], d->to[0] - t->at[0]), columns = smaller_of(d->tile[1], d->to[1] - t->at[1]);
    const strip_width *width = width_for(columns);
    void (*run)(const strip_job *) = d->kernel[1] == 7   ? width->seven
                                     : d->kernel[1] == 5 ? width->five
                                     : d->kernel[1] == 3 ? width->three
                                                         : width->any;

    y += (t->at[0] * d->to[1] + t->at[1]) * d->channels + t->line * LINE;
    for (int64_t at = 0; at < columns; at += width->columns)
        for (int lane = 0; lane < LINE && t->line * LINE + lane < d->channels; lane += VL) {
            strip_job s = {.x = packed + at * LINE + lane,
                           .filters = filters + lane,
                           .biases = filters + FET__QUADRATIC_PARTS * d->tap_count * LINE + lane,
                           .y = y + at * d->channels + lane,
                           .rows = rows,
                           .y_row = d->to[1] * d->channels,
                           .y_step = d->channels,
                           .pitch = pitch * LINE,
                           .taps = {d->kernel[0], d->kernel[1]},
                           .inside = inside,
                           .columns = (int)smaller_of(width->columns, columns - at),
                           .lanes = (int)smaller_of(VL, d->channels - t->line * LINE - lane)};

            run(&s);
        }
}

static void run_unit(const fet__depthwise_plan *d, float *slice, const float *filters, const float *x, float *y,
                     int64_t unit)
{
    tile_place t = place_of(d, unit / d->groups, unit % d->groups);
    int64_t at[2] = {t.at[0] + d->origin[0], t.at[1] + d->origin[1]}, image = d->from[0] * d->from[1] * d->channels;
    int64_t columns = smaller_of(d->tile[1], d->to[1] - t.at[1]), lines = t.lines;
    /* The last strip may reach over the tile's edge by less than its width. */
    int64_t pitch = fet__round_up(columns, width_for(columns)->columns) - 1 + d->reach[1];
    row_range inside =
        pack_tile(slice, d->plane, x + t.image * image, d->from, at, d->tile[0] - 1 + d->reach[0], pitch, d, &t);

    for (int64_t l = 0; l < lines; l++, t.line++)
        run_line(d, &t, slice + l * d->plane, pitch, inside, filters + t.line * fet__quadratic_line(d),
                 y + t.image * image);
}

fet_status FET__ISA(quadratic)(const fet__prepared *k, const fet__call *c)
{
    const fet__depthwise_plan *d = k->state;
    float *slices = c->scratch, *filters = slices + d->slice * d->threads;
    int64_t units = d->batch * d->tiles[0] * d->tiles[1] * d->groups;
    int64_t work = fet__shape_count(&k->problem.output.shape) * d->tap_count * FET__QUADRATIC_PARTS;
    int team = fet__x86_team(&k->problem, work / 32);

    (void)team;
#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t line = 0; line < d->lines; line++)
            pack_filters(d, filters + line * fet__quadratic_line(d), c, line);
#pragma omp for schedule(dynamic)
        for (int64_t unit = 0; unit < units; unit++)
            run_unit(d, slices + d->slice * fet__thread_index(), filters, c->input[0], c->output, unit);
    }
    return FET_OK;
}
