/* The sizes of a quadratic network or of another one of its frame: the configuration of an architecture whose family is "quadranet". Shown to
 * the search, which changes blocks. */
#ifndef FET_QUADRANET_H
#define FET_QUADRANET_H

#include "model/model.h"

#define QUADRANET_STAGES 4
#define QUADRANET_BLOCKS 256 /* most that may differ from each other */

typedef struct fet__quadranet {
    int depths[QUADRANET_STAGES], dim, kernel, expand, patch, classes, image[2];
    int mixer; /* of fet__quadra_block */
    bool quadratic_channels;
    double scale;
    /* Blocks that differ, as a search leaves them: their number, 0 when all have `kernel` and `expand`; through the stages. */
    int own_count;
    unsigned char own_kernel[QUADRANET_BLOCKS], own_expand[QUADRANET_BLOCKS];
} fet__quadranet;

/* What stands at a place of the frame: tokens [B, H W, C] of a grid in, the like out. `number` counts through the stages. */
typedef fet__node *(*fet__quadranet_place)(void *user, fet__build *b, fet__node *x, const int grid[2], int number);
/* The network with `place` instead of its blocks (fet__arch_class.build otherwise). */
void fet__quadranet_build_with(const fet__arch *a, fet__build *b, fet__node *images, fet__quadranet_place place,
                               void *user, fet__node **features, fet__node **logits);

/* Takes the value of "blocks": k3e2+k7e4+.. */
fet_status fet__quadranet_take_blocks(fet__quadranet *q, const char *family, const char *value);
/* There is one for each of the depths. */
fet_status fet__quadranet_check_blocks(const fet__quadranet *q);
void fet__quadranet_print_blocks(const fet__quadranet *q, fet__text *out);
/* Takes kernels and expansions block by block out of a checkpoint whose depths, dim and mixer are known. */
fet_status fet__quadranet_read_blocks(fet__quadranet *q, const fet__params *s);

#endif
