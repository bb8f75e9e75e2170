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
    const float *next;       /* q of the next pair, or NULL */
    const float *biases;     /* the pair's first bias row, or NULL */
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
static inline void foresee(const attender *t, int64_t row)
{
    int64_t size = t->a->size, width = t->a->heads * size;
    const float *next = t->next;

    if (!next)
        return;
    next += row * t->stride;
    for (int part = 0; part < 3; part++)
        for (int64_t d = 0; d < size; d += FET__LINE_FLOATS)
            _mm_prefetch((const char *)(next + part * width + d), _MM_HINT_T1);
}

static const float *first_query(const attender *t, int64_t pair)
{
    const fet__attention_plan *a = t->a;

    return t->qkv + pair / a->heads * a->tokens * t->stride + pair % a->heads * a->size;
}

/* True when the slice does not hold this pair yet. */
static bool point_at_pair(attender *t, int64_t pair)
{
    const fet__attention_plan *a = t->a;

    if (t->pair == pair)
        return false;
    t->pair = pair;
    t->q = first_query(t, pair);
    t->k = t->q + a->heads * a->size;
    t->v = t->k + a->heads * a->size;
    t->next = pair + 1 < a->batch * a->heads ? first_query(t, pair + 1) : NULL;
    if (a->bias_groups)
        t->biases = t->bias + (pair / a->heads % a->bias_groups * a->heads + pair % a->heads) * a->tokens * a->tokens;
    return true;
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

/* e^x for x <= 0, but 0 where it would be no normal number: masked keys have scores of -100, and what is made of subnormal numbers is
 * slow. */
INLINE vf weight_of(vf x)
{
    const vf least = v_set(-87.0f);

    return v_blend(v_lt(x, least), v_zero(), v_exp_below(v_max2(least, x)));
}

/* Scores to e^(scale s - most) in place; returns the sum. Lanes beyond the tokens become 0. */
static double exponentials(float *s, int64_t tokens, float scale, float most)
{
    double sum = 0;

    for (int64_t piece = 0; piece < tokens; piece += SPAN_PIECE) {
        int64_t end = smaller(piece + SPAN_PIECE, tokens), i = piece;
        vf a = v_zero(), b = v_zero();

        for (; i + 2 * VL <= end; i += 2 * VL) {
            vf x = weight_of(v_fms(v_load(s + i), v_set(scale), v_set(most)));
            vf y = weight_of(v_fms(v_load(s + i + VL), v_set(scale), v_set(most)));

            a = v_add(a, x);
            b = v_add(b, y);
            v_store(s + i, x);
            v_store(s + i + VL, y);
        }
        for (; i < end; i += VL) {
            vf x = v_upto(weight_of(v_fms(v_load(s + i), v_set(scale), v_set(most))), end - i, 0.0f);

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
    const float *bias = t->biases ? t->biases + row * a->tokens : NULL;
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

/* Rows of up to 64 tokens stay in registers from the scores to the exponentials; the count of vectors is a constant after inlining. */
INLINE float soften_short(const int count, const attender *t, float *s, int64_t row)
{
    int64_t left = t->a->tokens - (count - 1) * VL;
    vf x[8], top, sum;

    for (int i = 0; i < count; i++)
        x[i] = v_mul(v_load(s + i * VL), v_set(t->a->scale));
    if (t->biases) {
        const float *bias = t->biases + row * t->a->tokens;

        for (int i = 0; i + 1 < count; i++)
            x[i] = v_add(x[i], v_load(bias + i * VL));
        x[count - 1] = v_add(x[count - 1], v_load_upto(bias + (count - 1) * VL, left));
    }
    top = v_upto(x[count - 1], left, -INFINITY);
    for (int i = 0; i + 1 < count; i++)
        top = v_max2(x[i], top);
    top = v_set(v_top(top));
    for (int i = 0; i < count; i++)
        x[i] = weight_of(v_sub(x[i], top));
    x[count - 1] = v_upto(x[count - 1], left, 0.0f);
    sum = x[0];
    for (int i = 1; i < count; i++)
        sum = v_add(sum, x[i]);
    for (int i = 0; i < count; i++)
        v_store(s + i * VL, x[i]);
    return (float)(1.0 / v_sum(sum));
}

/* Rows first .. first + rows - 1 of a block's raw scores to exponentials; inverse[i] is 1 / sum. */
static void soften_block(const attender *t, int64_t first, int64_t rows, float *inverse)
{
    int64_t stride = t->a->tokens_up;
    float *s = t->slice + t->a->scores;

#define CASE(count)                                                                                                    \
    case count:                                                                                                        \
        for (int64_t i = 0; i < rows; i++, s += stride) {                                                              \
            foresee(t, first + i);                                                                                     \
            inverse[i] = soften_short(count, t, s, first + i);                                                         \
        }                                                                                                              \
        break;
    switch ((t->a->tokens + VL - 1) / VL) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
#if VL == 8
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
#endif
    default:
        for (int64_t i = 0; i < rows; i++, s += stride) {
            foresee(t, first + i);
            inverse[i] = soften_row(t, s, first + i);
        }
    }
#undef CASE
}

/* Raw scores of query rows first .. first + rows - 1 against all keys. */
static void score_block(const attender *t, int64_t first, int64_t rows)
{
    const fet__attention_plan *a = t->a;

    multiply_packed(rows, a->tokens_up, a->size, (left_side){t->q + first * t->stride, t->stride, 1},
                    t->slice + a->keys_across, t->slice + a->scores, a->tokens_up, false);
}

#endif
