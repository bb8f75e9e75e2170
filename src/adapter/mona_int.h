/* Mona's configuration and module, for the adapter, its fused form and the benchmark of the operator. */
#ifndef FET_MONA_INT_H
#define FET_MONA_INT_H

#include "adapter/inserted_int.h"

#define FET__MONA_KERNELS 8
#define FET__MONA_KERNEL_LIMIT 31

typedef struct fet__mona {
    int64_t width;                               /* of the hidden vector */
    int kernel[FET__MONA_KERNELS], kernel_count; /* odd sizes of the depthwise filters */
    double dropout;
    bool scaled_norm; /* false: the projection sees the tokens themselves */
    fet__projection_init init;
} fet__mona;

/* The module of methods/mona.md section 1 on tokens x [B, prefix + H W, C], or [B, H, W, C] without prefix tokens; those pass by. Its
 * parameters stand under the build's prefix. `fused`: with the tensors that fet__mona_fuse made. */
fet__node *fet__mona_module(fet__build *b, const fet__mona *m, fet__node *x, const int grid[2], int prefix_tokens,
                            bool fused);
fet_status fet__mona_fuse(fet__adapter *a, fet__params *store, const fet__site *s); /* mona_fuse.c */
int fet__mona_largest(const fet__mona *m);                                          /* of the kernel sizes */

#endif
