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

/* Scaled and biased scores in place; returns their maximum. Lanes beyond the tokens become -infinity, whose exponential is 0. */
static float finish_scores(float *s, const float *bias, int64_t tokens, int64_t tokens_up, float scale)
{
    vf most = v_set(-INFINITY);

    for (int64_t i = 0; i < tokens_up; i += VL) {
        vf x = v_load(s + i);

        x = bias && i < tokens ? v_fma(x, v_set(scale), v_load_upto(bias + i, tokens - i)) : v_mul(x, v_set(scale));
        x = v_upto(x, tokens - i > 0 ? tokens - i : 0, -INFINITY);
        most = v_max(most, x);
        v_store(s + i, x);
    }
    return v_largest(most);
}

/* Scores to e^(s - maximum) in place; returns the sum. */
static double exponentials(float *s, int64_t tokens_up, float most)
{
    double sum = 0;

    for (int64_t piece = 0; piece < tokens_up; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, tokens_up);
        vf part = v_zero();

        for (int64_t i = piece; i < end; i += VL) {
            vf e = v_exp(v_sub(v_load(s + i), v_set(most)));

            part = v_add(part, e);
            v_store(s + i, e);
        }
        sum += v_sum(part);
    }
    return sum;
}

/* One row of raw scores to exponentials; returns 1 / sum. */
static float soften_row(const attender *t, float *s, int64_t row)
{
    const fet__attention_plan *a = t->a;
    float most = finish_scores(s, bias_row(t, row), a->tokens, a->tokens_up, a->scale);

    return (float)(1.0 / exponentials(s, a->tokens_up, most));
}

/* Raw scores of query rows first .. first + rows - 1 against all keys. */
static void score_block(const attender *t, int64_t first, int64_t rows)
{
    const fet__attention_plan *a = t->a;

    multiply_packed(rows, a->tokens_up, a->size, (left_side){t->q + first * t->stride, t->stride, 1},
                    t->slice + a->keys_across, t->slice + a->scores, a->tokens_up, false);
}

/* y = x * scale for `count` floats. */
static void write_scaled(float *y, const float *x, int64_t count, float scale)
{
    for (int64_t i = 0; i < count; i += VL)
        v_store_upto(y + i, v_mul(v_load(x + i), v_set(scale)), count - i);
}

#endif
