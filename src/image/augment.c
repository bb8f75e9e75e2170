/* Colour jitter. Which draws are made, and in which order, depends on the arguments alone, so a picture's changes can be
 * repeated from its random stream. */
#include "image/image_int.h"

#include <math.h>

/* All four factors and the order are drawn whether or not they are used: switching one operation off leaves the
 * others' draws as they were. */
void fet__image_jitter(fet__image *im, const fet__jitter *j, fet__rng *r)
{
    static void (*const change[4])(fet__image *, double) = {fet__color_brightness, fet__color_contrast,
                                                            fet__color_saturation, fet__color_hue};
    const double width[4] = {j->brightness, j->contrast, j->saturation, j->hue};
    double factor[4];
    int32_t order[4] = {0, 1, 2, 3};

    for (int i = 0; i < 4; i++) {
        double low = i == 3 ? -width[i] : fmax(0.0, 1.0 - width[i]), high = i == 3 ? width[i] : 1.0 + width[i];

        factor[i] = fet__rng_uniform(r, low, high);
    }
    fet__rng_shuffle(r, order, 4);
    for (int i = 0; i < 4; i++) {
        if (width[order[i]] > 0.0)
            change[order[i]](im, factor[order[i]]);
    }
}
