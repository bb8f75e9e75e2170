/* Gradient of attention with respect to its bias: dS = P (dP - sum(P dP)) of every query, added over the batch entries that share a
 * bias. Probabilities are computed again, one block of queries at a time; only sums [H][T][T] are kept. */
#include <string.h>

#include "kernel/x86/attention_rows.h"

/* sum += P (dP - sum(P dP)) from exponentials p and dP. */
static void add_slope_row(float *sum, const float *p, const float *d, int64_t tokens, float inverse)
{
    double product = 0;
    vf mean;

    for (int64_t piece = 0; piece < tokens; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, tokens);
        vf part = v_zero();

        for (int64_t i = piece; i < end; i += VL)
            part = v_add(part, v_upto(v_mul(v_load(p + i), v_load(d + i)), end - i, 0.0f));
        product += v_sum(part);
    }
    mean = v_set((float)(product * (double)inverse));
    for (int64_t i = 0; i < tokens; i += VL) {
        vf slope = v_mul(v_mul(v_load(p + i), v_set(inverse)), v_sub(v_load(d + i), mean));

        v_store_upto(sum + i, v_add(v_load_upto(sum + i, tokens - i), slope), tokens - i);
    }
}

static void add_slope_block(attender *t, float *sum, const float *dy, int64_t first, int64_t rows)
{
    const fet__attention_plan *a = t->a;
    float *p = t->slice + a->scores, *d = t->slice + a->slopes;
    int64_t width = a->heads * a->size;
    float inverse[FET__ATTENTION_BLOCK_MOST];

    score_block(t, first, rows);
    multiply_packed(rows, a->tokens_up, a->size, (left_side){dy + first * width, width, 1}, t->slice + a->values_across,
                    d, a->tokens_up, false);
    soften_block(t, first, rows, inverse);
    for (int64_t i = 0; i < rows; i++)
        add_slope_row(sum + (first + i) * a->tokens, p + i * a->tokens_up, d + i * a->tokens_up, a->tokens, inverse[i]);
}

/* One bias and a run of the batch entries that share it, in order. `sum` is [H][T][T]. */
static void add_entries(attender *t, float *sum, const float *dy, int64_t group, int64_t from, int64_t to)
{
    const fet__attention_plan *a = t->a;
    int64_t square = a->tokens * a->tokens;

    memset(sum, 0, (size_t)(a->heads * square) * sizeof *sum);
    for (int64_t n = from; n < to; n++)
        for (int64_t head = 0; head < a->heads; head++) {
            int64_t entry = n * a->bias_groups + group;
            const float *rows = dy + entry * a->tokens * a->heads * a->size + head * a->size;

            point_at_pair(t, entry * a->heads + head);
            pack_columns(t->slice + a->keys_across, t->k, t->stride, a->size, a->tokens, a->tokens_up);
            pack_columns(t->slice + a->values_across, t->v, t->stride, a->size, a->tokens, a->tokens_up);
            for (int64_t i = 0; i < a->blocks; i++)
                add_slope_block(t, sum + head * square, rows, i * a->block,
                                smaller(a->block, a->tokens - i * a->block));
        }
}

/* Row `row` of the result [G][H][T] from the segments' sums, in order. */
static void join_rows(const fet__attention_plan *a, float *out, const float *sums, int64_t row)
{
    int64_t each = a->heads * a->tokens, count = each * a->tokens;
    const float *part = sums + row / each * a->segments * count + row % each * a->tokens;

    for (int64_t i = 0; i < a->tokens; i += VL) {
        vf sum = v_load_upto(part + i, a->tokens - i);

        for (int64_t s = 1; s < a->segments; s++)
            sum = v_add(sum, v_load_upto(part + s * count + i, a->tokens - i));
        v_store_upto(out + row * a->tokens + i, sum, a->tokens - i);
    }
}

fet_status FET__ISA(attention_dbias)(const fet__prepared *k, const fet__call *c)
{
    const fet__attention_plan *a = k->state;
    int64_t each = a->batch / a->bias_groups, count = a->heads * a->tokens * a->tokens;
    bool whole = a->segments == 1;
    float *sums = whole ? (float *)c->output : (float *)c->scratch + a->parts;
    int team = fet__x86_team(&k->problem, a->batch * a->heads * a->tokens * a->tokens * (a->size + 32) / 12);

    (void)team;
#pragma omp parallel num_threads(team)
    {
        attender t = begin_attending(a, c, c->input[2]);

#pragma omp for schedule(static)
        for (int64_t unit = 0; unit < a->bias_groups * a->segments; unit++) {
            int64_t from = unit % a->segments * a->segment;

            add_entries(&t, sums + unit * count, c->input[1], unit / a->segments, from,
                        smaller(from + a->segment, each));
        }
        if (!whole) {
#pragma omp for schedule(static)
            for (int64_t row = 0; row < a->bias_groups * a->heads * a->tokens; row++)
                join_rows(a, c->output, sums, row);
        }
    }
    return FET_OK;
}
