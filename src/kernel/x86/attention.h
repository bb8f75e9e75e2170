/* How attention is cut and where its buffers lie in scratch; by the shape alone. One unit of work is a (batch, head) pair and a
 * run of its query blocks; a thread's slice holds the pair's keys and values, packed, and scores of one query block against all
 * keys: block x T floats, never T x T.
 *
 *   B batch, T tokens, H heads, D head size;  Tp, Dp: rounded up to whole lines
 *   forward, unit = (pair, block):    S = q k^T -> P,  o = P v
 *   gradient, unit = (pair, segment): per block  P again,  dP = do v^T,  dS = P (dP - sum(P dP)) scale,
 *                                     dq = dS k,  dk += dS^T q,  dv += P^T do
 *
 *   bias, unit = (bias, segment of the batch entries that share it):  P (dP - sum(P dP)) of every head, summed over the entries
 *
 * The gradient sums dk and dv over the blocks of a segment in order. A pair is one segment unless pairs are few; then segments'
 * sums go to shared scratch and are added in order. */
#ifndef FET_X86_ATTENTION_H
#define FET_X86_ATTENTION_H

#include "kernel/x86/x86.h"

#define FET__ATTENTION_BLOCK_MOST 128

typedef struct fet__attention_plan {
    int64_t batch, tokens, heads, size; /* B T H D */
    int64_t tokens_up, size_up;         /* Tp Dp */
    int64_t bias_groups;                /* 0: no bias */
    float scale;
    int64_t block, blocks; /* query rows in a block; blocks of a pair */
    int64_t segments,
        segment; /* gradient: segments of a pair, blocks in each but the last; bias: of a group, entries */
    int threads;
    /* Offsets in a thread's slice, in floats. */
    int64_t keys_across, values_across; /* packed [D][Tp] */
    int64_t keys, values;               /* packed [T][Dp] */
    int64_t scores, slopes;             /* [block][Tp] */
    int64_t rows;                       /* [block][Dp]: o or dq */
    int64_t q_packed, dy_packed;        /* packed [block][Dp] */
    int64_t dk, dv;                     /* [T][Dp] */
    int64_t slice;                      /* floats in a slice */
    int64_t parts; /* offset of segments' sums: dk, dv [pair][segment][2][T][Dp]; [group][segment][H][T][T] */
} fet__attention_plan;

#endif
