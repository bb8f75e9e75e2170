/* Random erasing: a box of a normalised picture (interleaved floats) becomes a constant or noise. */
#include "image/image_int.h"

#include <math.h>

#define CHANNELS 3

bool fet__erase_draw(int box[4], const fet__erase *e, int height, int width, int boxes, fet__rng *r)
{
    for (int i = 0; i < e->tries; i++) {
        double area = (double)height * width * fet__rng_uniform(r, e->area[0], e->area[1]) / boxes;
        double aspect = e->even_aspect ? fet__rng_uniform(r, e->aspect[0], e->aspect[1])
                                       : exp(fet__rng_uniform(r, log(e->aspect[0]), log(e->aspect[1])));
        double h = nearbyint(sqrt(area * aspect)), w = nearbyint(sqrt(area / aspect));

        if (h < height && w < width) {
            box[2] = (int)h;
            box[3] = (int)w;
            box[0] = (int)fet__rng_int(r, 0, height - box[2]);
            box[1] = (int)fet__rng_int(r, 0, width - box[3]);
            return true;
        }
    }
    return false;
}

/* N(0, 1), four at a time, from a stream of its own: a large box takes more numbers than a picture's share of the common one. */
typedef struct noise {
    uint64_t seed, at;
    uint32_t stream, step;
    double four[4];
} noise;

static float next(noise *n)
{
    if (n->at % 4 == 0)
        fet__random_normal4(n->four, n->seed, n->stream, n->step, n->at / 4);
    return (float)n->four[n->at++ % 4];
}

void fet__erase_box(float *pixels, int width, const int box[4], const fet__erase *e, fet__rng *r)
{
    float color[CHANNELS] = {e->value[0], e->value[1], e->value[2]};
    noise n = {.seed = r->seed, .stream = r->stream, .step = r->step};

    n.seed ^= (uint64_t)fet__rng_u32(r) << 32;
    n.seed ^= fet__rng_u32(r);
    for (int c = 0; e->fill == FET__ERASE_COLOR && c < CHANNELS; c++)
        color[c] = next(&n);
    for (int y = box[0]; y < box[0] + box[2]; y++) {
        float *row = pixels + ((size_t)y * (size_t)width + (size_t)box[1]) * CHANNELS;

        for (int i = 0; i < box[3] * CHANNELS; i++)
            row[i] = e->fill == FET__ERASE_PIXEL ? next(&n) : color[i % CHANNELS];
    }
}

void fet__erase_random(float *pixels, int height, int width, const fet__erase *e, fet__rng *r)
{
    int boxes, box[4];

    if (e->probability <= 0.0 || (e->probability < 1.0 && fet__rng_uniform(r, 0.0, 1.0) >= e->probability))
        return;
    boxes = e->least == e->most ? e->least : (int)fet__rng_int(r, e->least, e->most);
    for (int i = 0; i < boxes; i++) {
        if (fet__erase_draw(box, e, height, width, boxes, r))
            fet__erase_box(pixels, width, box, e, r);
    }
}
