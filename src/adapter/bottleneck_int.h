/* The module of adapter.c and adaptformer.c: two projections around a narrow hidden vector. */
#ifndef FET_BOTTLENECK_INT_H
#define FET_BOTTLENECK_INT_H

#include "adapter/inserted_int.h"

typedef struct fet__bottleneck {
    int64_t width;
    enum { FET__INNER_GELU, FET__INNER_RELU } act;
    double scale, dropout;
    fet__projection_init init;
} fet__bottleneck;

/* Options at, n, act, scale, dropout, init, up. */
fet_status fet__bottleneck_configure(fet__adapter *a);
/* scale * (W2 dropout(act(W1 x + b1)) + b2), with the site's parameters. */
fet__node *fet__bottleneck_branch(fet__adapter *a, fet__build *b, const fet__site *s, fet__node *x);
/* The scale goes into the second projection. */
fet_status fet__bottleneck_fuse(fet__adapter *a, fet__params *store, const fet__site *s);

#endif
