/* Gradient of attention with respect to q, k and v: five products per query block over recomputed probabilities. */
#include <string.h>

#include "kernel/x86/attention_rows.h"

/* Gradient rows of the pair: where they come from and go to. */
typedef struct slopes {
    const float *dy;   /* the pair's first row */
    const float *next; /* the next pair's, when it is of the same batch; else NULL */
    float *out;        /* likewise, at q */
    int64_t dy_stride;
} slopes;

static slopes slopes_of_pair(const attender *t, const float *dy, float *out)
{
    const fet__attention_plan *a = t->a;
    int64_t width = a->heads * a->size, row = t->pair / a->heads * a->tokens, at = t->pair % a->heads * a->size;

    return (slopes){dy + row * width + at, at + a->size < width ? dy + row * width + at + a->size : NULL,
                    out + row * t->stride + at, width};
}

static void pack_pair(const attender *t)
{
    const fet__attention_plan *a = t->a;

    pack_columns(t->slice + a->keys_across, t->k, t->stride, a->size, a->tokens, a->tokens_up);
    pack_columns(t->slice + a->values_across, t->v, t->stride, a->size, a->tokens, a->tokens_up);
    pack_rows(t->slice + a->keys, t->k, t->stride, a->tokens, a->size, a->size_up);
}

/* Exponentials p and dP to P and dS = P (dP - sum(P dP)) scale; lanes beyond the tokens hold no meaning. */
static void slope_row(float *p, float *d, int64_t tokens, int64_t tokens_up, float inverse, float scale)
{
    double sum = 0;
    vf mean;

    for (int64_t piece = 0; piece < tokens; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, tokens);
        vf part = v_zero();

        for (int64_t i = piece; i < end; i += VL) {
            vf x = v_mul(v_load(p + i), v_set(inverse));

            v_store(p + i, x);
            part = v_add(part, v_upto(v_mul(x, v_load(d + i)), end - i, 0.0f));
        }
        sum += v_sum(part);
    }
    mean = v_set((float)sum);
    for (int64_t i = 0; i < tokens_up; i += VL)
        v_store(d + i, v_mul(v_mul(v_load(p + i), v_set(scale)), v_sub(v_load(d + i), mean)));
}

/* Asks for a row of dy that the next pair of this batch will read (see foresee). */
static inline void foresee_slopes(const attender *t, const slopes *g, int64_t row)
{
    if (!g->next)
        return;
    for (int64_t d = 0; d < t->a->size; d += FET__LINE_FLOATS)
        _mm_prefetch((const char *)(g->next + row * g->dy_stride + d), _MM_HINT_T1);
}

/* Query rows first .. first + rows - 1: dq is written, dk and dv grow (or begin). */
static void slope_block(attender *t, const slopes *g, float *dk, float *dv, int64_t first, int64_t rows, bool add)
{
    const fet__attention_plan *a = t->a;
    float *p = t->slice + a->scores, *d = t->slice + a->slopes, *dq = t->slice + a->rows;
    float *q_packed = t->slice + a->q_packed, *dy_packed = t->slice + a->dy_packed;
    const float *dy = g->dy + first * g->dy_stride;
    float inverse[FET__ATTENTION_BLOCK_MOST];

    score_block(t, first, rows);
    multiply_packed(rows, a->tokens_up, a->size, (left_side){dy, g->dy_stride, 1}, t->slice + a->values_across, d,
                    a->tokens_up, false);
    soften_block(t, first, rows, inverse);
    for (int64_t i = 0; i < rows; i++) {
        foresee_slopes(t, g, first + i);
        slope_row(p + i * a->tokens_up, d + i * a->tokens_up, a->tokens, a->tokens_up, inverse[i], a->scale);
    }
    multiply_packed(rows, a->size_up, a->tokens, (left_side){d, a->tokens_up, 1}, t->slice + a->keys, dq, a->size_up,
                    false);
    for (int64_t i = 0; i < rows; i++)
        write_scaled(g->out + (first + i) * t->stride, dq + i * a->size_up, a->size, 1.0f);
    pack_rows(dy_packed, dy, g->dy_stride, rows, a->size, a->size_up);
    pack_rows(q_packed, t->q + first * t->stride, t->stride, rows, a->size, a->size_up);
    multiply_packed(a->tokens, a->size_up, rows, (left_side){p, 1, a->tokens_up}, dy_packed, dv, a->size_up, add);
    multiply_packed(a->tokens, a->size_up, rows, (left_side){d, 1, a->tokens_up}, q_packed, dk, a->size_up, add);
}

static void write_sums(const attender *t, const slopes *g, const float *dk, const float *dv)
{
    const fet__attention_plan *a = t->a;
    int64_t width = a->heads * a->size;

    for (int64_t i = 0; i < a->tokens; i++) {
        write_scaled(g->out + i * t->stride + width, dk + i * a->size_up, a->size, 1.0f);
        write_scaled(g->out + i * t->stride + 2 * width, dv + i * a->size_up, a->size, 1.0f);
    }
}

static void slope_segment(attender *t, const float *dy, float *out, float *parts, int64_t unit)
{
    const fet__attention_plan *a = t->a;
    int64_t from = unit % a->segments * a->segment, to = smaller(from + a->segment, a->blocks);
    int64_t sum = a->tokens * a->size_up;
    bool whole = a->segments == 1;
    float *dk = whole ? t->slice + a->dk : parts + unit * 2 * sum, *dv = whole ? t->slice + a->dv : dk + sum;
    slopes g;

    if (point_at_pair(t, unit / a->segments))
        pack_pair(t);
    g = slopes_of_pair(t, dy, out);
    for (int64_t i = from; i < to; i++)
        slope_block(t, &g, dk, dv, i * a->block, smaller(a->block, a->tokens - i * a->block), i > from);
    if (whole)
        write_sums(t, &g, dk, dv);
}

/* Adds the segments of a pair in order, into the first one's place. */
static void join_segments(attender *t, const float *dy, float *out, float *parts, int64_t pair)
{
    const fet__attention_plan *a = t->a;
    int64_t sum = a->tokens * a->size_up;
    float *total = parts + pair * a->segments * 2 * sum;
    slopes g;

    for (int64_t s = 1; s < a->segments; s++)
        for (int64_t i = 0; i < 2 * sum; i += VL)
            v_store(total + i, v_add(v_load(total + i), v_load(total + s * 2 * sum + i)));
    point_at_pair(t, pair);
    g = slopes_of_pair(t, dy, out);
    write_sums(t, &g, total, total + sum);
}

fet_status FET__ISA(attention_grad)(const fet__prepared *k, const fet__call *c)
{
    const fet__attention_plan *a = k->state;
    int64_t pairs = a->batch * a->heads;
    const float *dy = c->input[1];
    float *out = c->output, *parts = (float *)c->scratch + a->parts;
    int team = fet__x86_team(&k->problem, pairs * a->tokens * a->tokens * (a->size + 32) / 6);

    (void)team;
#pragma omp parallel num_threads(team)
    {
        attender t = begin_attending(a, c, a->bias_groups ? c->input[2] : NULL);

#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < pairs * a->segments; unit++)
            slope_segment(&t, dy, out, parts, unit);
        if (a->segments > 1) {
#pragma omp for schedule(static)
            for (int64_t pair = 0; pair < pairs; pair++)
                join_segments(&t, dy, out, parts, pair);
        }
    }
    return FET_OK;
}
