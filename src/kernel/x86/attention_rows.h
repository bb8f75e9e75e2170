/* What attention and its gradient share: the packed inputs of a (batch, head) pair and the probabilities of a query block. */
#ifndef FET_X86_ATTENTION_ROWS_H
#define FET_X86_ATTENTION_ROWS_H

#include "kernel/x86/attention.h"
#include "kernel/x86/matmul_tile.h"
#include "kernel/x86/vmath.h"

/* A thread and the pair that its slice holds. */
typedef struct attender {
    const fet__attention_plan *a;
    float *slice;
    const float *qkv, *bias; /* of the call */
    int64_t pair;            /* -1: none yet */
    const float *q, *k, *v;  /* the pair's first rows; rows are `stride` apart */
    int64_t stride;
} attender;

static attender begin_attending(const fet__attention_plan *a, const fet__call *c, const float *bias)
{
    return (attender){.a = a,
                      .slice = (float *)c->scratch + a->slice * fet__thread_index(),
                      .qkv = c->input[0],
                      .bias = bias,
                      .pair = -1,
                      .stride = 3 * a->heads * a->size};
}

/* The rows of a pair lie far apart, and the processor does not foresee them. While the present pair is computed, asks for row
 * `row` of q, k and v of the next. */
static void foresee(const attender *t, int64_t row)
{
    const fet__attention_plan *a = t->a;
    int64_t pair = t->pair + 1, width = a->heads * a->size;
    const float *next = t->qkv + (pair / a->heads * a->tokens + row) * t->stride + pair % a->heads * a->size;

    if (pair >= a->batch * a->heads)
        return;
    for (int part = 0; part < 3; part++)
        for (int64_t d = 0; d < a->size; d += FET__LINE_FLOATS)
            _mm_prefetch((const char *)(next + part * width + d), _MM_HINT_T1);
}

/* True when the slice does not hold this pair yet. */
static bool point_at_pair(attender *t, int64_t pair)
{
    const fet__attention_plan *a = t->a;
    int64_t batch = pair / a->heads, head = pair % a->heads;

    if (t->pair == pair)
        return false;
    t->pair = pair;
    t->q = t->qkv + batch * a->tokens * t->stride + head * a->size;
    t->k = t->q + a->heads * a->size;
    t->v = t->k + a->heads * a->size;
    return true;
}

/* The bias row of query row `row` of the present pair, or NULL. */
static const float *bias_row(const attender *t, int64_t row)
{
    const fet__attention_plan *a = t->a;
    int64_t group, head = t->pair % a->heads;

    if (!a->bias_groups)
        return NULL;
    group = t->pair / a->heads % a->bias_groups;
    return t->bias + ((group * a->heads + head) * a->tokens + row) * a->tokens;
}

/* y = x * scale for `count` floats. */
static void write_scaled(float *y, const float *x, int64_t count, float scale)
{
    for (int64_t i = 0; i < count; i += VL)
        v_store_upto(y + i, v_mul(v_load(x + i), v_set(scale)), count - i);
}

/* Raw scores to scaled and biased ones in place. */
static void add_bias(float *s, const float *bias, int64_t tokens, float scale)
{
    for (int64_t i = 0; i < tokens; i += VL)
        v_store(s + i, v_fma(v_load(s + i), v_set(scale), v_load_upto(bias + i, tokens - i)));
}

/* Scores to e^(scale s - most) in place; returns the sum. Lanes beyond the tokens become 0. */
static double exponentials(float *s, int64_t tokens, float scale, float most)
{
    double sum = 0;

    for (int64_t piece = 0; piece < tokens; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, tokens), i = piece;
        vf a = v_zero(), b = v_zero();

        for (; i + 2 * VL <= end; i += 2 * VL) {
            vf x = v_exp_below(v_fms(v_load(s + i), v_set(scale), v_set(most)));
            vf y = v_exp_below(v_fms(v_load(s + i + VL), v_set(scale), v_set(most)));

            a = v_add(a, x);
            b = v_add(b, y);
            v_store(s + i, x);
            v_store(s + i + VL, y);
        }
        for (; i < end; i += VL) {
            vf x = v_upto(v_exp_below(v_fms(v_load(s + i), v_set(scale), v_set(most))), end - i, 0.0f);

            a = v_add(a, x);
            v_store(s + i, x);
        }
        sum += v_sum(v_add(a, b));
    }
    return sum;
}

/* One row of raw scores to exponentials; returns 1 / sum. NaN may escape the maximum, but not the sum. */
static float soften_row(const attender *t, float *s, int64_t row)
{
    const fet__attention_plan *a = t->a;
    const float *bias = bias_row(t, row);
    float scale = a->scale;

    if (bias || scale < 0) { /* else the largest raw score is the largest scaled one, and scaling can wait */
        if (bias)
            add_bias(s, bias, a->tokens, scale);
        else
            write_scaled(s, s, a->tokens, scale);
        scale = 1.0f;
    }
    return (float)(1.0 / exponentials(s, a->tokens, scale, scale * span_top(s, a->tokens)));
}

/* Raw scores of query rows first .. first + rows - 1 against all keys. */
static void score_block(const attender *t, int64_t first, int64_t rows)
{
    const fet__attention_plan *a = t->a;

    multiply_packed(rows, a->tokens_up, a->size, (left_side){t->q + first * t->stride, t->stride, 1},
                    t->slice + a->keys_across, t->slice + a->scores, a->tokens_up, false);
}

#endif
