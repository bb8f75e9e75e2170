/* What the files of the Swin transformer share: its configuration, and its stage maps for dense tasks. */
#ifndef FET_SWIN_H
#define FET_SWIN_H

#include "model/model_int.h"

#define FET__SWIN_STAGES 8

typedef struct fet__swin {
    int dim, stages, depths[FET__SWIN_STAGES], heads[FET__SWIN_STAGES];
    int window, patch, image_height, image_width, classes;
    double eps;        /* of the norms */
    double mlp;        /* hidden width over width */
    bool always_shift; /* false: a grid within one window is one window without a shift */
    bool all_norms;    /* norm0, norm1, ..: one an output, as detection checkpoints have; else one "norm" at the end */
    bool qkv_bias, ape;
} fet__swin;

/* Stage s: width, grid of its tokens, and the windows of its block `block`. */
int64_t fet__swin_width(const fet__swin *v, int stage);
void fet__swin_grid(const fet__swin *v, int stage, int grid[2]);
fet__windows fet__swin_windows(const fet__swin *v, int stage, int block);
/* The backbone alone: maps[i] [B, H_i, W_i, C_i], normed, for each stage in `outputs` (bit i); the others are NULL. Stages other than
 * the last need all_norms: their norm{i} is what the map goes through. */
void fet__swin_stages(const fet__arch *a, fet__build *b, fet__node *images, uint32_t outputs,
                      fet__node *maps[FET__SWIN_STAGES]);
/* The last map's mean over its tokens, and the classifier. */
void fet__swin_head(const fet__arch *a, fet__build *b, fet__node *map, fet__node **features, fet__node **logits);

/* ---- swin_build.c, swin_recognise.c: the class's functions ---- */
void fet__swin_build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits);
fet_status fet__swin_recognise(fet__arch *a, const fet__params *store, bool *ours);

/* ---- swin.c ---- */
void fet__swin_defaults(fet__swin *v);
fet_status fet__swin_publish(fet__arch *a, const fet__swin *v); /* checks, and tells the rest of the arch */

#endif
