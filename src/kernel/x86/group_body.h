/* The tile interpreter of element-wise programs (group.h says how they are laid out): brings a tile's inputs into registers, runs
 * the instructions, and stores the result or adds it up. */
#include "kernel/x86/group_code.h"
#include "kernel/x86/span.h"

/* ---- a tile's place and inputs --------------------------------------------------------------------------------- */

static void locate(tile *t, int64_t kept, int64_t gone, int64_t col)
{
    const fet__group_plan *g = t->g;

    for (int i = 0; i < g->input_count; i++)
        t->at[i] = g->inner[i] ? col : 0;
    t->at[FET__FLAT] = col;
    for (int x = g->outer_axes - 1; x >= 0; x--) {
        int64_t *rest = x < g->kept_axes ? &kept : &gone;

        t->index[x] = *rest % g->size[x];
        *rest /= g->size[x];
        for (int i = 0; i < g->input_count; i++)
            t->at[i] += t->index[x] * g->stride[x][i];
        t->at[FET__FLAT] += t->index[x] * g->stride[x][FET__FLAT];
    }
}

static void copy_row(float *out, const float *src, int64_t cols, bool varies)
{
    int64_t c = 0;

    if (!varies) {
        for (vf v = v_set(*src); c < cols; c += VL)
            v_store(out + c, v); /* what runs over is the next row's place, or the register's spare line */
        return;
    }
    for (; c + VL <= cols; c += VL)
        v_store(out + c, v_load(src + c));
    if (c < cols)
        v_store(out + c, v_loadn(src + c, (int)(cols - c)));
}

/* Input i row by row into its register. */
static void copy_rows(const tile *t, int i)
{
    const fet__group_plan *g = t->g;
    bool kept = fet__group_tiles_kept(g);
    int last = kept ? g->kept_axes : g->outer_axes, first = kept ? 0 : g->kept_axes;
    int64_t index[FET__OUTER_MAX], at = t->at[i];
    float *out = t->slice + g->place[i];

    memcpy(index, t->index, sizeof index);
    for (int64_t row = 0; row < t->rows; row++, out += g->cols) {
        copy_row(out, t->input[i] + at, g->cols, g->inner[i]);
        for (int x = last - 1; x >= first; x--) {
            at += g->stride[x][i];
            if (++index[x] < g->size[x])
                break;
            at -= index[x] * g->stride[x][i];
            index[x] = 0;
        }
    }
}

static void feed(tile *t)
{
    const fet__group_plan *g = t->g;

    for (int i = 0; i < g->input_count; i++) {
        float *own = t->slice + g->place[i];

        t->reg[i] = own;
        if (g->feed[i] == FET__FEED_PLACE)
            t->reg[i] = (float *)(uintptr_t)(t->input[i] + t->at[i]); /* only read */
        else if (g->feed[i] == FET__FEED_SPLAT)
            v_store(own, v_set(t->input[i][t->at[i]]));
        else if (g->feed[i] == FET__FEED_COPY)
            copy_rows(t, i);
    }
}

/* The last, partial vector: what lies in place is copied, so that nothing beyond it is read. */
static void feed_rest(tile *t, int64_t off, int64_t count)
{
    const fet__group_plan *g = t->g;

    for (int i = 0; i < g->input_count; i++) {
        if (g->feed[i] == FET__FEED_PLACE) {
            float *own = t->slice + g->place[i];

            v_store(own, v_loadn(t->reg[i] + off, (int)count));
            t->reg[i] = own;
        } else if (g->feed[i] != FET__FEED_SPLAT) {
            t->reg[i] += off;
        }
    }
}

static void point_results(tile *t, int64_t off)
{
    const fet__group_plan *g = t->g;

    for (int i = 0; i < g->code_count; i++) {
        int r = g->code[i].out;

        t->reg[r] = t->slice + g->place[r] + (g->splat[r] ? 0 : off);
    }
}

/* Run the tile at (kept, gone, col). The result is written to `out` where given; else a pointer to it is returned. */
static const float *run_tile(tile *t, int64_t kept, int64_t gone, int64_t col, float *out)
{
    const fet__group_plan *g = t->g;
    int64_t count = t->rows * t->cols, whole = count / VL * VL;
    const float *result;

    locate(t, kept, gone, col);
    feed(t);
    t->asked = 0;
    point_results(t, 0);
    result = t->reg[g->result];
    if (out)
        t->reg[g->result] = out;
    if (whole > 0)
        run_code(t, 0, whole / VL);
    if (whole == count)
        return result;
    feed_rest(t, whole, count - whole);
    point_results(t, whole);
    run_code(t, whole, 1);
    if (out)
        v_storen(out + whole, v_load(t->reg[g->result]), (int)(count - whole));
    return result;
}

static void begin_tiles(tile *t, const fet__group_plan *g, const fet__call *c)
{
    char *slice = c->scratch;

    t->g = g;
    t->slice = (float *)(void *)(slice + g->slice * fet__thread_index());
    t->rows = 1;
    for (int i = 0; i < g->input_count; i++) {
        t->input[i] = c->input[i];
        if (g->feed[i] != FET__FEED_PATTERN)
            continue;
        for (int64_t row = 0; row < g->tile_rows; row++)
            copy_row(t->slice + g->place[i] + row * g->cols, t->input[i], g->cols, true);
    }
}

/* ---- no sum ------------------------------------------------------------------------------------------------------ */

static void map_unit(tile *t, float *out, int64_t unit)
{
    const fet__group_plan *g = t->g;
    int64_t row = unit / g->col_tiles * g->tile_rows, col = unit % g->col_tiles * g->tile_cols;

    t->rows = smaller(g->tile_rows, g->kept - row);
    t->cols = smaller(g->tile_cols, g->cols - col);
    run_tile(t, row, 0, col, out + row * g->cols + col);
}

/* ---- sums ---------------------------------------------------------------------------------------------------------- */

static void clear(float *sum, double *total, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i += VL) {
        v_store(sum + i, v_set(value));
        for (int j = 0; j < VL; j++)
            total[i + j] = 0;
    }
}

static void add_tile(float *sum, const float *x, int64_t count, bool largest)
{
    int64_t i = 0;

    if (largest) {
        for (; i + VL <= count; i += VL)
            v_store(sum + i, v_max(v_load(sum + i), v_load(x + i)));
        for (; i < count; i++)
            sum[i] = x[i] > sum[i] || x[i] != x[i] ? x[i] : sum[i];
        return;
    }
    for (; i + VL <= count; i += VL)
        v_store(sum + i, v_add(v_load(sum + i), v_load(x + i)));
    for (; i < count; i++)
        sum[i] += x[i];
}

static void flush(double *total, float *sum, int64_t count)
{
    for (int64_t i = 0; i < count; i += VL) {
        vf s = v_load(sum + i);

        vd_store(total + i, vd_add(vd_load(total + i), vd_low(s)));
        vd_store(total + i + VD, vd_add(vd_load(total + i + VD), vd_high(s)));
        v_store(sum + i, v_zero());
    }
}

/* Columns of a unit's result: the rows of the tile-shaped accumulator are added, or compared, in order. */
static double fold_column(const fet__group_plan *g, const float *sum, const double *total, int64_t col)
{
    double y = g->largest ? sum[col] : total[col];

    for (int64_t row = 1; row < g->tile_rows; row++) {
        double x = g->largest ? sum[row * g->cols + col] : total[row * g->cols + col];

        y = g->largest ? (x > y || x != x ? x : y) : y + x;
    }
    return y;
}

static void cols_unit(tile *t, float *out, double *partial, int64_t unit)
{
    const fet__group_plan *g = t->g;
    int64_t col = unit % g->col_tiles * g->tile_cols, part = unit / g->col_tiles, kept = part / g->chunks;
    int64_t row = part % g->chunks * g->chunk, end = smaller(row + g->chunk, g->gone), width, tiles = 0;
    float *sum = t->slice + g->sums;
    double *total = (double *)(void *)(sum + FET__TILE);

    t->cols = smaller(g->tile_cols, g->cols - col);
    width = g->tile_rows * t->cols;
    clear(sum, total, width, g->largest ? -INFINITY : 0.0f);
    for (; row < end; row += g->tile_rows) {
        t->rows = smaller(g->tile_rows, end - row);
        add_tile(sum, run_tile(t, kept, row, col, NULL), t->rows * t->cols, g->largest);
        if (++tiles % FET__FLUSH == 0 && !g->largest)
            flush(total, sum, width);
    }
    if (!g->largest)
        flush(total, sum, width);
    for (int64_t c = 0; c < t->cols; c++) {
        double y = fold_column(g, sum, total, c);

        if (g->chunks > 1)
            partial[part * g->cols + col + c] = y;
        else
            out[kept * g->cols + col + c] = (float)y;
    }
}

static double reduce_span(const fet__group_plan *g, const float *x, int64_t count)
{
    return g->largest ? span_largest(x, count) : span_sum(x, count);
}

static double reduce_pair(const fet__group_plan *g, double y, double x)
{
    if (g->largest)
        return x > y || x != x ? x : y;
    return y + x;
}

/* Short rows that are one result each. */
static void short_rows_unit(tile *t, float *out, int64_t unit)
{
    const fet__group_plan *g = t->g;
    int64_t row = unit * g->tile_rows;
    const float *x;

    t->rows = smaller(g->tile_rows, g->kept - row);
    t->cols = g->cols;
    x = run_tile(t, row, 0, 0, NULL);
    for (int64_t i = 0; i < t->rows; i++)
        out[row + i] = (float)reduce_span(g, x + i * g->cols, g->cols);
}

static void rows_unit(tile *t, float *out, double *partial, int64_t unit)
{
    const fet__group_plan *g = t->g;
    int64_t kept = unit / g->chunks, first = unit % g->chunks * g->chunk;
    int64_t tiles = fet__ceil_div(g->gone, g->tile_rows) * g->col_tiles, end = smaller(first + g->chunk, tiles);
    double y = g->largest ? -INFINITY : 0;

    for (int64_t i = first; i < end; i++) {
        int64_t row = i / g->col_tiles * g->tile_rows, col = i % g->col_tiles * g->tile_cols;

        t->rows = smaller(g->tile_rows, g->gone - row);
        t->cols = smaller(g->tile_cols, g->cols - col);
        y = reduce_pair(g, y, reduce_span(g, run_tile(t, kept, row, col, NULL), t->rows * t->cols));
    }
    if (g->chunks > 1)
        partial[unit] = y;
    else
        out[kept] = (float)y;
}

static void join_chunks(const fet__group_plan *g, float *out, const double *partial, int64_t result)
{
    int64_t width = g->mode == FET__COLS ? g->cols : 1;
    const double *x = partial + result / width * g->chunks * width + result % width;
    double y = *x;

    for (int64_t i = 1; i < g->chunks; i++)
        y = reduce_pair(g, y, x[i * width]);
    out[result] = (float)y;
}

/* ---- run ----------------------------------------------------------------------------------------------------------- */

static void run_unit(tile *t, float *out, double *partial, int64_t unit)
{
    const fet__group_plan *g = t->g;

    if (g->mode == FET__MAP)
        map_unit(t, out, unit);
    else if (g->mode == FET__COLS)
        cols_unit(t, out, partial, unit);
    else if (g->tile_rows > 1 && fet__group_tiles_kept(g))
        short_rows_unit(t, out, unit);
    else
        rows_unit(t, out, partial, unit);
}

fet_status FET__ISA(group)(const fet__prepared *k, const fet__call *c)
{
    const fet__group_plan *g = k->state;
    float *out = c->output;
    double *partial = (double *)(void *)((char *)c->scratch + g->partial);
    int team = fet__x86_team(&k->problem, g->count * (4 + g->code_count) / 8);

    (void)team;          /* builds without OpenMP */
    if (g->count == 0) { /* sums over nothing */
        for (int64_t i = 0; i < g->results; i++)
            out[i] = g->largest ? -INFINITY : 0.0f;
        return FET_OK;
    }
#pragma omp parallel num_threads(team)
    {
        tile t;

        begin_tiles(&t, g, c);
#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < g->units; unit++)
            run_unit(&t, out, partial, unit);
        if (g->chunks > 1) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < g->results; i++)
                join_chunks(g, out, partial, i);
        }
    }
    return FET_OK;
}
