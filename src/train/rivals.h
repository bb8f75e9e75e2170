/* The methods that MABN is compared with (methods/mabn.md 10), as graph: entropy (TENT), context networks and learned losses (ARM),
 * aggregated experts (Meta-DMoE). */
#ifndef FET_RIVALS_H
#define FET_RIVALS_H

#include "nn/nn.h"

/* ---- entropy.c ------------------------------------------------------------------------------------------------------- */
fet__node *fet__mean_entropy(fet__graph *g, fet__node *logits); /* of softmax, over the rows */
/* A guard against collapse: over the last `window` batches the share of the classes' entropy (0: one class alone is predicted, 1: all
 * alike) of the predicted classes. It trips when that falls below `share` of what the first window showed. */
typedef struct fet__collapse_guard {
    int classes, window; /* window in rows */
    double share;
    int64_t seen;
    int64_t *count;    /* [classes] of the running window */
    double first, now; /* diversity of the first window, of the last one; below 0: not yet */
    bool tripped;
} fet__collapse_guard;
fet_status fet__collapse_guard_init(fet__collapse_guard *c, int classes);
void fet__collapse_guard_fini(fet__collapse_guard *c);
void fet__collapse_guard_add(fet__collapse_guard *c, const float *logits, int64_t rows);

/* ---- arm.c ----------------------------------------------------------------------------------------------------------- */
/* x [B, H, W, C] with the mean context of its chunk of `support` images behind its channels: two convolutions 5x5 of `hidden` maps
 * with batch norm and ReLU, and one to `channels`, under "context". *mean (may be NULL): [chunks, H, W, channels]. A batch that is no multiple
 * of `support` is one chunk. */
fet__node *fet__arm_context(fet__build *b, fet__node *x, int support, int channels, int hidden, fet__node **mean);
/* Length of the vector of outputs of a perceptron C -> 32 -> 32 -> 32 -> 1 on the rows, under "learned_loss". */
fet__node *fet__arm_learned_loss(fet__build *b, fet__node *logits);

/* ---- meta_dmoe.c ------------------------------------------------------------------------------------------------------- */
/* One pre-norm transformer layer over the experts' features [B, E, D], mean over the experts -> [B, D], under the present prefix. */
fet__node *fet__expert_aggregate(fet__build *b, fet__node *tokens, int heads);

#endif
