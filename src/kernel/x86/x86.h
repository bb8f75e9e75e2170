/* What the files of x86/ share. Rows, preparation and everything that only moves bytes are plain x86-64; arithmetic lives in bodies
 * (*_body.h) that are compiled once per instruction set by *_avx2.c and *_avx512.c and reached through fet__avx2_* and
 * fet__avx512_*. A row of an instruction set refuses every problem when fet__cpu_level() is lower.
 *
 * All run functions split work by the shape alone and sum each output element in one fixed order, so that results have the same bits
 * at any thread count. Scratch is one slice per thread of the problem, then what threads share. */
#ifndef FET_X86_X86_H
#define FET_X86_X86_H

#include "kernel/kernel.h"

typedef fet_status fet__x86_run(const fet__prepared *k, const fet__call *c);

/* Sizes in floats and bytes are kept at whole cache lines. */
#define FET__LINE 64
#define FET__LINE_FLOATS 16
static inline int64_t fet__round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}
static inline int64_t fet__ceil_div(int64_t n, int64_t d)
{
    return (n + d - 1) / d;
}

/* ---- shapes.c -------------------------------------------------------------------------------------------- */

bool fet__x86_has(fet__cpu level);            /* this processor may run code of that level */
bool fet__x86_all_f32(const fet__problem *p); /* every input and the output */
int64_t fet__row_count(const fet__shape *s);  /* product of all axes but the last */
int64_t fet__cols(const fet__shape *s);       /* the last axis; 1 for a scalar */
void fet__x86_free_state(fet__prepared *k);   /* a release: the state is one block */
/* Threads that `work` (about a nanosecond each) is worth, at most p->threads. */
int fet__x86_team(const fet__problem *p, int64_t work);

/* ---- rows: accept and prepare, per file ------------------------------------------------------------------- */

fet_status fet__group_prepare(fet__prepared *k); /* group_plan.c */
bool fet__group_accepts(const fet__problem *p);  /* group_accept.c */
bool fet__element_accepts(const fet__problem *p);
bool fet__reduce_accepts(const fet__problem *p);

fet_status fet__norm_prepare(fet__prepared *k); /* norm.c */
bool fet__norm_accepts(const fet__problem *p);

fet_status fet__softmax_prepare(fet__prepared *k); /* softmax.c */
bool fet__softmax_accepts(const fet__problem *p);

fet_status fet__attention_prepare(fet__prepared *k); /* attention_plan.c */
bool fet__attention_accepts(const fet__problem *p);

fet_status fet__depthwise_prepare(fet__prepared *k); /* depthwise_plan.c */
bool fet__depthwise_accepts(const fet__problem *p);

fet_status fet__quadratic_prepare(fet__prepared *k); /* quadratic_plan.c */
bool fet__quadratic_accepts(const fet__problem *p);

/* ---- run, per instruction set ------------------------------------------------------------------------------ */

/* clang-format off */
#define FET__X86_RUNS(X)                                                                                               \
    X(group) X(layer_norm) X(layer_norm_dx) X(layer_norm_dgamma) X(softmax) X(softmax_grad) X(cross_entropy)           \
    X(cross_entropy_grad) X(attention) X(attention_grad) X(depthwise) X(depthwise_dw) X(attention_dbias) X(quadratic)
/* clang-format on */
#define X(name) fet__x86_run fet__avx2_##name, fet__avx512_##name;
FET__X86_RUNS(X)
#undef X

/* ---- moves: baseline code, any 4-byte type ------------------------------------------------------------------- */

/* pool.c */
bool fet__pool_accepts(const fet__problem *p);
fet__x86_run fet__pool_run;
/* move_rows.c: whole rows */
bool fet__move_rows_accepts(const fet__problem *p);
fet_status fet__move_rows_prepare(fet__prepared *k);
fet__x86_run fet__move_rows;
/* move_box.c: slice and its transpose */
bool fet__move_box_accepts(const fet__problem *p);
fet__x86_run fet__move_box;
/* transpose.c */
bool fet__transpose_accepts(const fet__problem *p);
fet__x86_run fet__transpose_run;

#endif
