/* mabn.augment: operations on one picture of floats. A tensor's name says what was done: out.OPERATION_ARGUMENT. */
#include "image/image_int.h"
#include "parity/parity.h"

#include <stdlib.h>
#include <string.h>

typedef struct picture {
    float *in, *out; /* interleaved */
    int side;
    int64_t count; /* pixels */
    int box[4];
} picture;

static fet_status load(picture *p, const parity_case *c)
{
    const fet__entry *e = fet__tensors_find(c->t, "in.image");
    fet_status st;

    if (!e || e->dtype != FET_F32 || e->shape.rank != 3 || e->shape.dim[0] != 3 || e->shape.dim[1] != e->shape.dim[2])
        return FET_FAIL(FET_E_FORMAT, "in.image is no square picture of floats");
    p->side = (int)e->shape.dim[1];
    p->count = (int64_t)p->side * p->side;
    FET_TRY(FET_NEW(p->in, 3 * p->count));
    FET_TRY(FET_NEW(p->out, 3 * p->count));
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < p->count; i++)
            memcpy(&p->in[3 * i + k], (const float *)e->data + k * p->count + i, sizeof(float));
    if (sscanf(parity_text(c, "crop", ""), "[%d, %d, %d, %d]", &p->box[0], &p->box[1], &p->box[2], &p->box[3]) != 4 ||
        p->box[0] < 0 || p->box[1] < 0 || p->box[2] < 1 || p->box[3] < 1 || p->box[0] + p->box[2] > p->side ||
        p->box[1] + p->box[3] > p->side)
        st = FET_FAIL(FET_E_FORMAT, "the box of the crop is not within the picture");
done:
    return st;
}

/* Where pixels go is asked of a picture whose colours are its places. */
static fet_status move(picture *p, bool flip)
{
    fet__image im = {0};
    fet_status st;

    FET_TRY(fet__image_create(&im, p->side, p->side));
    for (int64_t i = 0; i < p->count; i++) {
        im.pixels[3 * i] = (uint8_t)(i / p->side);
        im.pixels[3 * i + 1] = (uint8_t)(i % p->side);
    }
    if (flip)
        fet__image_flip(&im);
    else
        FET_TRY(fet__image_turn(&im, 1));
    for (int64_t i = 0; i < p->count; i++)
        memcpy(p->out + 3 * i, p->in + 3 * (im.pixels[3 * i] * (int64_t)p->side + im.pixels[3 * i + 1]),
               3 * sizeof(float));
done:
    fet__image_fini(&im);
    return st;
}

static fet_status crop(picture *p)
{
    float *part = NULL;
    fet_status st;

    FET_TRY(FET_NEW(part, 3 * (int64_t)p->box[2] * p->box[3]));
    for (int y = 0; y < p->box[2]; y++)
        memcpy(part + (int64_t)3 * y * p->box[3], p->in + 3 * ((int64_t)(p->box[0] + y) * p->side + p->box[1]),
               (size_t)p->box[3] * 3 * sizeof(float));
    st = fet__resize_float(p->out, p->side, p->side, part, p->box[2], p->box[3], 3, FET__BILINEAR);
done:
    fet__free(part);
    return st;
}

static fet_status pixel(picture *p, const char *what)
{
    static const struct {
        const char *name;
        fet__pixel_op op;
    } ops[] = {{"brightness_", FET__PIXEL_BRIGHTNESS}, {"contrast_", FET__PIXEL_CONTRAST},
               {"saturation_", FET__PIXEL_SATURATION}, {"hue_", FET__PIXEL_HUE},
               {"solarize_", FET__PIXEL_SOLARIZE},     {"grayscale", FET__PIXEL_GRAY}};

    for (size_t i = 0; i < FET_COUNT(ops); i++)
        if (strncmp(what, ops[i].name, strlen(ops[i].name)) == 0)
            return fet__float_op(p->out, p->count, ops[i].op, strtod(what + strlen(ops[i].name), NULL));
    return FET_FAIL(FET_E_FORMAT, "unknown operation %s", what);
}

static fet_status apply(picture *p, const char *what)
{
    static const float mean[3] = {0.485F, 0.456F, 0.406F}, std[3] = {0.229F, 0.224F, 0.225F};
    int kernel;
    double sigma;

    memcpy(p->out, p->in, (size_t)p->count * 3 * sizeof(float));
    if (sscanf(what, "blur_k%d_s%lf", &kernel, &sigma) == 2)
        return fet__blur_float(p->out, p->in, p->side, p->side, 3, kernel, sigma);
    if (strncmp(what, "resized_crop", 12) == 0) /* it grows, so there is nothing to smooth: both forms are one */
        return crop(p);
    if (strcmp(what, "hflip") == 0 || strcmp(what, "rot90") == 0)
        return move(p, what[0] == 'h');
    if (strcmp(what, "self_standardize") == 0) {
        fet__float_standardize(p->out, p->count);
        return FET_OK;
    }
    if (strcmp(what, "normalize") != 0)
        return pixel(p, what);
    for (int64_t i = 0; i < 3 * p->count; i++)
        p->out[i] = (p->in[i] - mean[i % 3]) / std[i % 3];
    return FET_OK;
}

fet_status parity_mabn_augment(parity_case *c)
{
    picture p = {0};
    float *planes = NULL;
    fet_status st;

    FET_TRY(load(&p, c));
    FET_TRY(FET_NEW(planes, 3 * p.count));
    for (int i = 0; i < fet__tensors_count(c->t); i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);
        if (strncmp(e->name, "out.", 4) != 0)
            continue;
        FET_TRY(apply(&p, e->name + 4));
        for (int64_t k = 0; k < 3 * p.count; k++)
            planes[k % 3 * p.count + k / 3] = p.out[k];
        FET_TRY(parity_compare(c, e->name, planes, FET_F32, 3 * p.count, PARITY_ABS, 1e-5));
    }
done:
    fet__free(planes);
    fet__free(p.in);
    fet__free(p.out);
    return st;
}
