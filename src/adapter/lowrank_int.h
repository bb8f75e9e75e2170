/* What hydra.c and lora.c need from lowrank.c besides adapter.h. */
#ifndef FET_LOWRANK_INT_H
#define FET_LOWRANK_INT_H

#include "adapter/adapter.h"

#define FET__RANK_LIMIT 65536

/* The options that all low-rank adapters share: at, dropout, bias, init. */
fet_status fet__lowrank_configure(const fet__adapter *a, fet__lowrank *l);

/* The targets of an adapter at one site: the whole layer, or some of its parts (row blocks). */
typedef struct fet__target {
    const char *name; /* prefix of the parameters: "blocks.0.mlp.fc2" or "blocks.0.attn.q" */
    int64_t row, rows;
} fet__target;
int fet__lowrank_targets(const fet__lowrank *l, const fet__site *s, fet__target out[4]);
/* Where the branch's tensors are: NAME.hydra.par., NAME.hydra.seq., NAME.lora., NAME.seqlora. */
void fet__lowrank_name(const fet__adapter *a, const fet__target *t, bool sequential, const char *leaf, char out[320]);

#endif
