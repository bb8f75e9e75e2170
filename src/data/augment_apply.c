/* A plan on one picture's pixels: the frame, then the steps in their order. Draws come from the given stream alone; a step that
 * always happens draws no chance. What comes after normalisation (erasing, mixing) is in the image layer. */
#include "data/data_int.h"

#include <math.h>

static fet_status resized_crop(fet__image *out, const fet__image *base, const fet__preprocess *p,
                               const fet__augment_plan *a, fet__rng *r)
{
    int box[4]; /* top, left, height, width */
    fet__crop_draw(box, r, base->height, base->width, a->scale, a->ratio);
    return fet__image_resize(out, base, box[0], box[1], box[2], box[3], p->height, p->width,
                             a->own_filter ? a->filter : p->filter);
}

static fet_status pad_crop(fet__image *out, const fet__image *base, const fet__preprocess *p,
                           const fet__augment_plan *a, fet__rng *r)
{
    fet__pad_crop how = a->pad;
    if (how.pad < 0)
        how.pad = (p->height < p->width ? p->height : p->width) / 8;
    how.height = p->height;
    how.width = p->width;
    return fet__image_pad_crop(out, base, &how, r);
}

static fet__sampling sampling_of(const fet__sampling *s, bool mean_fill, const fet__preprocess *p)
{
    fet__sampling out = *s;
    for (int c = 0; mean_fill && c < 3; c++) {
        float v = nearbyintf(p->mean[c] * 255);
        out.fill[c] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
    }
    return out;
}

static double drawn(const double range[2], fet__rng *r)
{
    return range[0] < range[1] ? fet__rng_uniform(r, range[0], range[1]) : range[0];
}

static fet_status blur(fet__image *im, const fet__augment_step *s, fet__rng *r)
{
    int shorter = im->height < im->width ? im->height : im->width;
    int kernel = s->kernel ? s->kernel : shorter / 10 | 1;
    double sigma = drawn(s->range, r);
    return s->boxes ? fet__image_blur_box(im, sigma) : fet__image_blur(im, kernel, sigma);
}

static fet_status rand_layers(fet__image *im, const fet__augment_step *s, const fet__preprocess *p, fet__rng *r)
{
    fet__rand_layers layers = s->layers;
    layers.sampling = sampling_of(&layers.sampling, s->mean_fill, p);
    return fet__image_rand_layers(im, &layers, r);
}

static fet_status apply(fet__image *im, const fet__augment_step *s, const fet__preprocess *p, fet__rng *r)
{
    fet__sampling how;
    switch (s->kind) {
    case FET__AUGMENT_FLIP: fet__image_flip(im); break;
    case FET__AUGMENT_FLIP_ROWS: fet__image_flip_rows(im); break;
    case FET__AUGMENT_TURN: return fet__image_turn(im, (int)fet__rng_int(r, 0, 3));
    case FET__AUGMENT_JITTER: fet__image_jitter(im, &s->jitter, r); break;
    case FET__AUGMENT_OP:
        how = sampling_of(&s->sampling, s->mean_fill, p);
        return fet__image_op(im, s->op, drawn(s->range, r), &how);
    case FET__AUGMENT_BLUR: return blur(im, s, r);
    case FET__AUGMENT_RAND: return rand_layers(im, s, p, r);
    case FET__AUGMENT_RAND_BINS: return fet__image_rand_bins(im, &s->bins, r);
    }
    return FET_OK;
}

fet_status fet__augment_pixels(fet__image *out, const fet__image *base, const fet__preprocess *p,
                               const fet__augment_plan *a, fet__rng *r)
{
    fet_status st = a->frame == FET__FRAME_RESIZED_CROP ? resized_crop(out, base, p, a, r)
                    : a->frame == FET__FRAME_PAD_CROP   ? pad_crop(out, base, p, a, r)
                                                        : fet__image_copy(out, base);
    for (int i = 0; i < a->count && st == FET_OK; i++) {
        const fet__augment_step *s = &a->steps[i];
        if (s->probability >= 1 || fet__rng_uniform(r, 0, 1) < s->probability)
            st = apply(out, s, p, r);
    }
    if (st != FET_OK)
        fet__image_fini(out);
    return st;
}
