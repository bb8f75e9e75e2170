/* What fact.c and fact_merge.c share: the configuration, and how a layer is cut into slices. */
#ifndef FET_FACT_INT_H
#define FET_FACT_INT_H

#include "adapter/adapter_int.h"

typedef struct fet__fact {
    bool tucker; /* form tk */
    int64_t rank;
    double scale, dropout;
} fet__fact;

/* in = m d, out = n d; m or n is 1. */
typedef struct fet__fact_layer {
    int64_t d, m, n;
    int column;      /* tk: its first column of P */
    char block[280]; /* tk: "blocks.3." */
} fet__fact_layer;
bool fet__fact_slices(const fet__fact *c, const fet__site *s,
                      fet__fact_layer *l); /* false: the layer has no such form */
void fet__fact_core_name(const fet__site *s, int slice, char out[320]);
void fet__fact_factor_name(const fet__fact_layer *l, const char *leaf, char out[320]); /* u, v */
void fet__fact_columns_name(const fet__fact_layer *l, char out[320]);
fet_status fet__fact_merge(fet__adapter *a, fet__params *store, const fet__site *s);

#endif
