/* Thin products: out = thin^T wide or its transpose, where thin is [K, R] with R at most FET__SKINNY_RANK and wide is
 * [K, L]. They are the weight gradients of low-rank adapters. General products do badly here, because both operands
 * are read down their columns. */
#ifndef FET_X86_SKINNY_H
#define FET_X86_SKINNY_H

#include <stdint.h>

#define FET__SKINNY_RANK 16

typedef struct fet__skinny {
    const float *thin, *wide;
    float *sum; /* [R, L] */
    int64_t depth, rank, columns;
} fet__skinny;

/* Columns [first, last) of the sum. Each element is summed in the same order whatever the range. */
void fet__avx2_skinny(const fet__skinny *s, int64_t first, int64_t last);
void fet__avx512_skinny(const fet__skinny *s, int64_t first, int64_t last);

#endif
