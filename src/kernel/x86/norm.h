/* How dgamma's sum over rows is cut: by the shape alone. */
#ifndef FET_X86_NORM_H
#define FET_X86_NORM_H

#include "kernel/x86/x86.h"

#define FET__NORM_FLUSH 32 /* rows added in float before they go to double */

typedef struct fet__norm_blocks {
    int64_t count, rows; /* blocks, and rows in each but the last */
    int64_t width;       /* columns rounded up to whole lines */
    int64_t threads;
} fet__norm_blocks;

/* Scratch: `width` floats per thread, then `width` doubles per block. */
fet__norm_blocks fet__norm_split(const fet__problem *p);

#endif
