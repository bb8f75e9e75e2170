/* The instructions of the tile interpreter: one loop over vectors per operator. Operands and results are registers of the tile;
 * an operand that is one repeated vector has step 0. Included by group_body.h. */
#ifndef FET_X86_GROUP_CODE_H
#define FET_X86_GROUP_CODE_H

#include "kernel/x86/group.h"
#include "kernel/x86/random_body.h"
#include "kernel/x86/vmath.h"

/* A thread at work on one tile. */
typedef struct tile {
    const fet__group_plan *g;
    float *slice;
    const float *input[FET__MAX_INPUTS];
    float *reg[FET__REGISTERS];
    int64_t at[FET__MAX_INPUTS +
               1]; /* where the tile's first element lies in each input and (FET__FLAT) in the iteration space */
    int64_t index[FET__OUTER_MAX]; /* row of the tile's first element */
    int64_t rows, cols;            /* of this tile */
    int64_t asked;                 /* lines of the next tile that were asked for */
} tile;

#define LOOP(expression)                                                                                               \
    do {                                                                                                               \
        for (; out < end; out += VL, a += sa, b += sb, c += sc)                                                        \
            v_store(out, (expression));                                                                                \
        return;                                                                                                        \
    } while (0)
#define A v_load(a)
#define B v_load(b)
#define C v_load(c)
#define TRUTH(mask) v_blend((mask), v_set(1.0f), v_zero())

static void run_compare(int relation, float *out, const float *end, const float *a, int64_t sa, const float *b,
                        int64_t sb)
{
    const float *c = a;
    const int64_t sc = 0;

    switch (relation) {
    case FET__EQ: LOOP(TRUTH(v_eq(A, B)));
    case FET__NE: LOOP(TRUTH(v_ne(A, B)));
    case FET__LT: LOOP(TRUTH(v_lt(A, B)));
    case FET__LE: LOOP(TRUTH(v_le(A, B)));
    case FET__GT: LOOP(TRUTH(v_lt(B, A)));
    default: LOOP(TRUTH(v_le(B, A)));
    }
}

static void run_element(const fet__code *s, float *out, const float *end, const float *a, int64_t sa, const float *b,
                        int64_t sb, const float *c, int64_t sc)
{
    switch (s->op) {
    case FET__OP_ADD: LOOP(v_add(A, B));
    case FET__OP_SUB: LOOP(v_sub(A, B));
    case FET__OP_MUL: LOOP(v_mul(A, B));
    case FET__OP_DIV: LOOP(v_div(A, B));
    case FET__OP_MIN: LOOP(v_min(A, B));
    case FET__OP_MAX: LOOP(v_max(A, B));
    case FET__OP_NEG: LOOP(v_neg(A));
    case FET__OP_ABS: LOOP(v_abs(A));
    case FET__OP_EXP: LOOP(v_exp(A));
    case FET__OP_LOG: LOOP(v_log(A));
    case FET__OP_SQRT: LOOP(v_sqrt(A));
    case FET__OP_RSQRT: LOOP(v_div(v_set(1.0f), v_sqrt(A)));
    case FET__OP_TANH: LOOP(v_tanh(A));
    case FET__OP_ERF: LOOP(v_erf(A));
    case FET__OP_SIGMOID: LOOP(v_sigmoid(A));
    case FET__OP_POW_INT:
        if (s->n == 2)
            LOOP(v_mul(A, A));
        LOOP(v_pow_int(A, s->n));
    case FET__OP_WHERE: LOOP(v_blend(v_ne(A, v_zero()), B, C));
    case FET__OP_CAST:
        if (s->n)
            LOOP(v_of_int(vi_load(a)));
        LOOP(A);
    case FET__OP_GELU: LOOP(v_gelu(A));
    case FET__OP_GELU_GRAD: LOOP(v_gelu_grad(A));
    case FET__OP_FILL: LOOP(v_set(s->value));
    case FET__OP_COMPARE: run_compare(s->n, out, end, a, sa, b, sb); return;
    default: /* stop_gradient */ LOOP(A);
    }
}

/* Elements off .. off + count - 1 of the tile; where its rows are apart, row by row. */
static void run_random(const tile *t, const fet__code *s, float *out, int64_t off, int64_t count)
{
    const fet__group_plan *g = t->g;
    int64_t done = 0;
    int32_t step;

    memcpy(&step, t->reg[s->a], sizeof step);
    if (g->contiguous) {
        random_span(out, count, s->seed, s->stream, (uint32_t)step, (uint64_t)(t->at[FET__FLAT] + off));
        return;
    }
    while (done <
           count) { /* rows of a tile apart: each row goes one step along the innermost summed axis, with carries */
        int64_t row = (off + done) / g->cols, col = (off + done) % g->cols, flat = t->at[FET__FLAT] + col;
        int64_t take = g->cols - col < count - done ? g->cols - col : count - done, rest = row;

        for (int x = g->outer_axes - 1; x >= 0 && rest > 0; x--) {
            int64_t moved = t->index[x] + rest;

            flat += (moved % g->size[x] - t->index[x]) * g->stride[x][FET__FLAT];
            rest = moved / g->size[x];
        }
        random_span(out + done, take, s->seed, s->stream, (uint32_t)step, (uint64_t)flat);
        done += take;
    }
}

/* Asks for a share of the next tile's inputs, line by line round the inputs: a tile is shorter than what makes the processor see a
 * stream, and memory then works while instructions do. */
static void ask_ahead(tile *t, int64_t until)
{
    const fet__group_plan *g = t->g;

    for (; t->asked < until; t->asked++)
        for (int i = 0; i < g->stream_count; i++) {
            int s = g->stream[i];

            _mm_prefetch((const char *)(t->input[s] + t->at[s] + g->ahead[s] + t->asked * FET__LINE_FLOATS),
                         _MM_HINT_T0);
        }
}

/* Vectors off / VL .. of the tile; registers already point there. */
static void run_code(tile *t, int64_t off, int64_t vectors)
{
    const fet__group_plan *g = t->g;
    int64_t lines = off ? 0 : vectors * VL / FET__LINE_FLOATS;

    for (int i = 0; i < g->code_count; i++) {
        const fet__code *s = &g->code[i];
        float *out = t->reg[s->out];
        const float *a = s->a >= 0 ? t->reg[s->a] : out, *b = s->b >= 0 ? t->reg[s->b] : a;
        const float *c = s->c >= 0 ? t->reg[s->c] : a;

        if (g->stream_count)
            ask_ahead(t, lines * (i + 1) / g->code_count);
        if (s->op == FET__OP_RANDOM)
            run_random(t, s, out, off, vectors * VL);
        else
            run_element(s, out, out + (s->splat ? 1 : vectors) * VL, a, s->a < 0 || g->splat[s->a] ? 0 : VL, b,
                        s->b < 0 || g->splat[s->b] ? 0 : VL, c, s->c < 0 || g->splat[s->c] ? 0 : VL);
    }
}

#undef LOOP
#undef A
#undef B
#undef C
#undef TRUTH

#endif
