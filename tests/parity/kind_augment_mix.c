/* Augmentation on float pictures and of batches: data.augment_mix (erasing, mixup, CutMix with everything random given), and
 * the tables of RandAugment B in data.augment_levels. The goldens are planes; fettle's pictures are interleaved. */
#include "image/image.h"
#include "parity/parity.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS 3

typedef struct batch {
    float *x, *planes, *scratch; /* [count, height, width, 3], [count, 3, height, width], one picture */
    int count, height, width, classes;
    int32_t *partner, *label;
    int64_t size; /* values of a picture */
} batch;

static void batch_fini(batch *b)
{
    fet__free(b->x);
    fet__free(b->planes);
    fet__free(b->scratch);
    fet__free(b->partner);
    fet__free(b->label);
}

/* in.x as interleaved floats, in.y, and the batch turned round as partners. */
static fet_status batch_load(batch *b, const parity_case *c)
{
    const fet__entry *x = fet__tensors_find(c->t, "in.x"), *y = fet__tensors_find(c->t, "in.y");
    fet_status st;

    memset(b, 0, sizeof *b);
    if (!x || !y || x->dtype != FET_F32 || y->dtype != FET_I64 || x->shape.rank != 4 || x->shape.dim[1] != CHANNELS ||
        fet__shape_count(&y->shape) != x->shape.dim[0])
        return FET_FAIL(FET_E_FORMAT, "in.x [N,3,H,W] and in.y [N] expected");
    b->count = (int)x->shape.dim[0];
    b->height = (int)x->shape.dim[2];
    b->width = (int)x->shape.dim[3];
    b->classes = (int)parity_number(c, "classes", 5);
    b->size = (int64_t)b->height * b->width * CHANNELS;
    FET_TRY(FET_NEW(b->x, b->count * b->size));
    FET_TRY(FET_NEW(b->planes, b->count * b->size));
    FET_TRY(FET_NEW(b->scratch, b->size));
    FET_TRY(FET_NEW(b->partner, b->count));
    FET_TRY(FET_NEW(b->label, b->count));
    for (int n = 0; n < b->count; n++) {
        int64_t plane = b->size / CHANNELS;

        for (int64_t i = 0; i < b->size; i++)
            b->x[n * b->size + i] = ((const float *)x->data)[n * b->size + (i % CHANNELS) * plane + i / CHANNELS];
        b->label[n] = (int32_t)((const int64_t *)y->data)[n];
        b->partner[n] = b->count - 1 - n;
    }
done:
    if (st != FET_OK)
        batch_fini(b);
    return st;
}

static void to_planes(batch *b)
{
    int64_t plane = b->size / CHANNELS;

    for (int n = 0; n < b->count; n++)
        for (int64_t i = 0; i < b->size; i++)
            b->planes[n * b->size + (i % CHANNELS) * plane + i / CHANNELS] = b->x[n * b->size + i];
}

static fet_status compare_pictures(parity_case *c, const char *name, batch *b)
{
    to_planes(b);
    return parity_compare(c, name, b->planes, FET_F32, b->count * b->size, PARITY_ABS, 1e-6);
}

/* The soft target that a loss of lam CE(label) + (1 - lam) CE(label of the partner) stands for. */
static fet_status compare_targets(parity_case *c, const char *name, const batch *b, double lam, double smoothing)
{
    float *target = NULL;
    double off = smoothing / b->classes;
    fet_status st;

    FET_TRY(FET_NEW(target, b->count * b->classes));
    for (int n = 0; n < b->count; n++) {
        float *row = target + (int64_t)n * b->classes;

        for (int k = 0; k < b->classes; k++) {
            double own = (k == b->label[n]) * (1.0 - smoothing) + off;
            double other = (k == b->label[b->partner[n]]) * (1.0 - smoothing) + off;

            row[k] = (float)(lam * own + (1.0 - lam) * other);
        }
    }
    st = parity_compare(c, name, target, FET_F32, (int64_t)b->count * b->classes, PARITY_ABS, 1e-6);
done:
    fet__free(target);
    return st;
}

/* ---- mixup ------------------------------------------------------------------------------------------------------- */

static fet_status take_partners(batch *b, const parity_case *c, const char *how)
{
    double *perm = NULL;
    int64_t count;
    fet_status st;

    if (strcmp(how, "perm") != 0)
        return strcmp(how, "flip") == 0 ? FET_OK : FET_FAIL(FET_E_FORMAT, "partners '%s' are unknown", how);
    st = parity_doubles(c, "in.perm", &perm, &count);
    if (st == FET_OK && count != b->count)
        st = FET_FAIL(FET_E_FORMAT, "in.perm has %lld entries for %d pictures", (long long)count, b->count);
    for (int i = 0; st == FET_OK && i < b->count; i++)
        b->partner[i] = (int32_t)perm[i];
    fet__free(perm);
    return st;
}

static fet_status check_mixup(parity_case *c, const char *name)
{
    batch b;
    char how[8];
    double lam, smoothing;
    fet_status st;

    FET_TRY(batch_load(&b, c));
    if (sscanf(name, "out.mixup_%4[a-z]_target_lam%lf_sm%lf", how, &lam, &smoothing) == 3) {
        FET_TRY(take_partners(&b, c, how));
        st = compare_targets(c, name, &b, lam, smoothing);
    } else if (sscanf(name, "out.mixup_%4[a-z]_lam%lf", how, &lam) == 2) {
        FET_TRY(take_partners(&b, c, how));
        fet__mixup(b.x, b.scratch, b.count, b.size, b.partner, lam);
        st = compare_pictures(c, name, &b);
    } else {
        st = FET_FAIL(FET_E_FORMAT, "%s: partners and lam expected", name);
    }
done:
    batch_fini(&b);
    return st;
}

/* ---- CutMix ------------------------------------------------------------------------------------------------------ */

static fet_status compare_box(parity_case *c, const char *name, const int box[4])
{
    const int64_t edges[4] = {box[0], box[0] + box[2], box[1], box[1] + box[3]};

    return parity_compare(c, name, edges, FET_I64, 4, PARITY_ABS, 0.0);
}

static fet_status check_cutmix(parity_case *c, const char *name)
{
    batch b;
    int id, cy, cx, box[4], used = 0;
    char key[16];
    double lam, smoothing, kept;
    fet_status st;

    FET_TRY(batch_load(&b, c));
    if (sscanf(name, "out.cutmix_c%d%n", &id, &used) != 1) {
        st = FET_FAIL(FET_E_FORMAT, "%s: the case's number expected", name);
        goto done;
    }
    snprintf(key, sizeof key, "c%d", id);
    if (sscanf(parity_text(c, key, ""), "lam=%lf cy=%d cx=%d", &lam, &cy, &cx) != 3) {
        st = FET_FAIL(FET_E_FORMAT, "%s: lam, cy and cx are not in the metadata", key);
        goto done;
    }
    kept = fet__cutmix_box(box, b.height, b.width, lam, cy, cx);
    fet__cutmix(b.x, b.scratch, b.count, b.height, b.width, CHANNELS, b.partner, box);
    if (sscanf(name + used, "_target_sm%lf", &smoothing) == 1) {
        st = compare_targets(c, name, &b, kept, smoothing);
    } else if (strcmp(name + used, "_lam") == 0) {
        const double pair[2] = {lam, kept};

        st = parity_compare(c, name, pair, FET_F64, 2, PARITY_ABS, 1e-6);
    } else if (strncmp(name + used, "_box", 4) == 0) {
        st = compare_box(c, name, box);
    } else {
        st = compare_pictures(c, name, &b);
    }
done:
    batch_fini(&b);
    return st;
}

/* ---- erasing ------------------------------------------------------------------------------------------------------ */

/* The golden's noise is part of it, so it goes into the box that was erased; that the box alone changed is what is
 * checked. */
static fet_status put_noise(const parity_case *c, const batch *b, float *picture, const int box[4])
{
    double *noise = NULL;
    int64_t count;
    fet_status st = parity_doubles(c, "in.erase_pixels", &noise, &count);

    if (st == FET_OK && count != (int64_t)box[2] * box[3] * CHANNELS)
        st = FET_FAIL(FET_E_FORMAT, "in.erase_pixels has %lld values for a box of %d x %d", (long long)count, box[2],
                      box[3]);
    for (int64_t i = 0; st == FET_OK && i < count; i++) {
        int64_t k = i / ((int64_t)box[2] * box[3]), y = i / box[3] % box[2], x = i % box[3];

        picture[((box[0] + y) * b->width + box[1] + x) * CHANNELS + k] = (float)noise[i];
    }
    fet__free(noise);
    return st;
}

/* Which picture was erased is told by what is outside of the box: the one with the most equal values. */
static int which_picture(batch *b, const float *want)
{
    int64_t most = -1;
    int best = 0;

    to_planes(b);
    for (int n = 0; n < b->count; n++) {
        int64_t equal = 0;

        for (int64_t i = 0; i < b->size; i++)
            equal += b->planes[n * b->size + i] == want[i];
        if (equal > most) {
            most = equal;
            best = n;
        }
    }
    return best;
}

/* A fill of one value a channel is told by the expected picture alone. */
static void take_fill(const parity_case *c, const char *name, const batch *b, const int box[4], float value[CHANNELS])
{
    const fet__entry *e = fet__tensors_find(c->t, name);

    for (int k = 0; k < CHANNELS; k++)
        value[k] = ((const float *)e->data)[((int64_t)k * b->height + box[0]) * b->width + box[1]];
}

static fet_status check_erase(parity_case *c, const char *name)
{
    fet__rng r = {.seed = 1};
    batch b;
    int box[4], used = 0, n;
    fet__erase e = {.fill = FET__ERASE_CONST};
    const char *fill;
    fet_status st;

    FET_TRY(batch_load(&b, c));
    if (sscanf(name, "out.erase_i%d_j%d_h%d_w%d_v%n", &box[0], &box[1], &box[2], &box[3], &used) != 4 || !used ||
        box[0] < 0 || box[1] < 0 || box[2] < 1 || box[3] < 1 || box[0] + box[2] > b.height ||
        box[1] + box[3] > b.width || fet__tensors_find(c->t, name)->bytes != b.size * (int64_t)sizeof(float)) {
        st = FET_FAIL(FET_E_FORMAT, "%s: a box within the picture and its fill expected", name);
        goto done;
    }
    fill = name + used;
    if (strcmp(fill, "_pixel") == 0)
        e.fill = FET__ERASE_PIXEL;
    else if (strcmp(fill, "_chan") == 0)
        take_fill(c, name, &b, box, e.value);
    else
        e.value[0] = e.value[1] = e.value[2] = (float)strtod(fill, NULL);
    n = which_picture(&b, fet__tensors_find(c->t, name)->data);
    fet__erase_box(b.x + n * b.size, b.width, box, &e, &r);
    if (e.fill == FET__ERASE_PIXEL)
        FET_TRY(put_noise(c, &b, b.x + n * b.size, box));
    to_planes(&b);
    st = parity_compare(c, name, b.planes + n * b.size, FET_F32, b.size, PARITY_ABS, 1e-6);
done:
    batch_fini(&b);
    return st;
}

fet_status parity_augment_mix(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++) {
        const char *name = fet__tensors_at(c->t, i)->name;

        if (strncmp(name, "out.mixup_", 10) == 0)
            st = check_mixup(c, name);
        else if (strncmp(name, "out.cutmix_", 11) == 0)
            st = check_cutmix(c, name);
        else if (strncmp(name, "out.erase_", 10) == 0)
            st = check_erase(c, name);
    }
    return st;
}

/* ---- levels -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    fet__pixel_op op;
    bool increasing;
    double sign;
} levels[] = {
    {"posterize_bits", FET__PIXEL_POSTERIZE, false, 1},  {"posterize_inc_bits", FET__PIXEL_POSTERIZE, true, 1},
    {"solarize_thr", FET__PIXEL_SOLARIZE, false, 1},     {"solarize_inc_thr", FET__PIXEL_SOLARIZE, true, 1},
    {"solarize_add", FET__PIXEL_SOLARIZE_ADD, false, 1}, {"enhance", FET__PIXEL_CONTRAST, false, 1},
    {"enhance_inc_plus", FET__PIXEL_SHARPNESS, true, 1}, {"enhance_inc_minus", FET__PIXEL_BRIGHTNESS, true, -1},
    {"rotate_deg", FET__PIXEL_ROTATE, false, 1},         {"shear", FET__PIXEL_SHEAR_X, false, 1},
    {"translate_frac", FET__PIXEL_TRANSLATE_Y, false, 1}};

fet_status parity_augment_levels(parity_case *c)
{
    double *level = NULL, *values = NULL;
    int64_t count;
    fet_status st;

    FET_TRY(parity_doubles(c, "level", &level, &count));
    FET_TRY(FET_NEW(values, count));
    parity_note(c, "level", 0.0, 1.0); /* an input, whatever its name */
    for (size_t i = 0; i < FET_COUNT(levels); i++) {
        for (int64_t k = 0; k < count; k++)
            values[k] = fet__rand_layers_argument(levels[i].op, level[k], levels[i].increasing, levels[i].sign);
        FET_TRY(parity_compare(c, levels[i].name, values, FET_F64, count, PARITY_ABS, 1e-12));
    }
done:
    fet__free(level);
    fet__free(values);
    return st;
}
