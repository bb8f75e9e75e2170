/* spcl.preprocess: pictures of re-identification, resized and normalised, and one training transform with its decisions given:
 * resize, flip, pad 10, crop, normalise, erase with the unnormalised mean. */
#include "image/image.h"
#include "parity/parity.h"

#include <string.h>

#define CHANNELS 3
#define PAD 10

static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};

static fet_status load(fet__image *out, const parity_case *c, const char *name)
{
    char key[96];
    const fet__entry *e;
    fet_status st;

    memset(out, 0, sizeof *out);
    snprintf(key, sizeof key, "in.%s", name);
    e = fet__tensors_find(c->t, key);
    if (!e || e->dtype != FET_U8 || e->shape.rank != 3 || e->shape.dim[2] != CHANNELS)
        return FET_FAIL(FET_E_FORMAT, "%s is no 8-bit picture", key);
    st = fet__image_create(out, (int)e->shape.dim[0], (int)e->shape.dim[1]);
    if (st == FET_OK)
        memcpy(out->pixels, e->data, (size_t)e->bytes);
    return st;
}

/* Interleaved floats against the planes of the golden. */
static fet_status compare_planes(parity_case *c, const char *name, const float *x, int height, int width)
{
    int64_t plane = (int64_t)height * width;
    float *planes = NULL;
    fet_status st;

    FET_TRY(FET_NEW(planes, plane * CHANNELS));
    for (int64_t i = 0; i < plane * CHANNELS; i++)
        planes[i % CHANNELS * plane + i / CHANNELS] = x[i];
    st = parity_compare(c, name, planes, FET_F32, plane * CHANNELS, PARITY_ABS, 1e-6);
done:
    fet__free(planes);
    return st;
}

/* The picture NAME at the size of out.NAME.resized. */
static fet_status resized(fet__image *out, const parity_case *c, const char *name)
{
    char key[96];
    const fet__entry *e;
    fet__image im = {0};
    fet_status st;

    memset(out, 0, sizeof *out);
    snprintf(key, sizeof key, "out.%s.resized", name);
    e = fet__tensors_find(c->t, key);
    if (!e || e->shape.rank != 3)
        return FET_FAIL(FET_E_FORMAT, "%s is missing", key);
    FET_TRY(load(&im, c, name));
    FET_TRY(fet__image_resize(out, &im, 0, 0, im.height, im.width, (int)e->shape.dim[0], (int)e->shape.dim[1],
                              FET__BICUBIC));
done:
    fet__image_fini(&im);
    return st;
}

static fet_status check_picture(parity_case *c, const char *name)
{
    char key[96];
    fet__image im = {0};
    float *x = NULL;
    int64_t count;
    fet_status st;

    FET_TRY(resized(&im, c, name));
    count = (int64_t)im.height * im.width * CHANNELS;
    snprintf(key, sizeof key, "out.%s.resized", name);
    FET_TRY(parity_compare(c, key, im.pixels, FET_U8, count, PARITY_ABS, 0.0));
    FET_TRY(FET_NEW(x, count));
    fet__image_normalize(x, &im, mean, deviation);
    snprintf(key, sizeof key, "out.%s.normalised", name);
    st = compare_planes(c, key, x, im.height, im.width);
done:
    fet__free(x);
    fet__image_fini(&im);
    return st;
}

/* The numbers of an integer tensor. */
static fet_status numbers(const parity_case *c, const char *name, int *out, int count)
{
    double *v = NULL;
    int64_t n;
    fet_status st = parity_doubles(c, name, &v, &n);

    if (st == FET_OK && n != count)
        st = FET_FAIL(FET_E_FORMAT, "%s has %lld numbers, not %d", name, (long long)n, count);
    for (int i = 0; st == FET_OK && i < count; i++)
        out[i] = (int)v[i];
    fet__free(v);
    return st;
}

static fet_status check_training(parity_case *c, const char *name)
{
    static const uint8_t black[3] = {0};
    fet__erase erase = {.fill = FET__ERASE_CONST, .value = {0.485f, 0.456f, 0.406f}};
    fet__image im = {0}, cropped = {0};
    fet__rng r = {.seed = 1};
    float *x = NULL;
    int at[2], box[4];
    fet_status st;

    FET_TRY(numbers(c, "in.augment.crop_yx", at, 2));
    FET_TRY(numbers(c, "in.augment.erase_yxhw", box, 4));
    FET_TRY(resized(&im, c, name + strlen("out.augment.")));
    if (box[0] < 0 || box[1] < 0 || box[2] < 0 || box[3] < 0 || box[0] + box[2] > im.height ||
        box[1] + box[3] > im.width) {
        st = FET_FAIL(FET_E_FORMAT, "the box to erase is not within the picture");
        goto done;
    }
    fet__image_flip(&im);
    FET_TRY(fet__image_window(&cropped, &im, at[0] - PAD, at[1] - PAD, im.height, im.width, FET__PAD_CONSTANT, black));
    FET_TRY(FET_NEW(x, (int64_t)im.height * im.width * CHANNELS));
    fet__image_normalize(x, &cropped, mean, deviation);
    fet__erase_box(x, im.width, box, &erase, &r);
    st = compare_planes(c, name, x, im.height, im.width);
done:
    fet__free(x);
    fet__image_fini(&im);
    fet__image_fini(&cropped);
    return st;
}

fet_status parity_spcl_preprocess(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);

        if (strncmp(e->name, "out.augment.", 12) == 0)
            st = check_training(c, e->name);
        else if (strncmp(e->name, "in.", 3) == 0 && e->dtype == FET_U8)
            st = check_picture(c, e->name + 3);
    }
    return st;
}
