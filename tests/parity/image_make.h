/* Makes the picture that a tensor name of the decode and resize goldens describes. Shared by the parity runner and
 * the unit tests. */
#ifndef FET_PARITY_IMAGE_MAKE_H
#define FET_PARITY_IMAGE_MAKE_H

#include "image/image.h"

typedef struct image_made {
    fet__image picture; /* height x width x 3 bytes */
    float *planes;      /* or 3 x height x width floats (then NULL is picture.pixels) */
    int height, width;
} image_made;

/* `name` is FILE/RECIPE, FILE in `folder`, RECIPE one of
 *     rgb | rgb_upright | FILTER_HxW | shortS_FILTER[_centerC][_normalized_chw] | rrc_TOP_LEFT_H_W_FILTER_S */
fet_status image_make(image_made *out, const char *folder, const char *name);
void image_made_fini(image_made *m);

#endif
