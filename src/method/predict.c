/* fet_model_predict: probabilities for image files. */
#include "method/method_int.h"

#include <math.h>
#include <string.h>

#define PREDICT_BATCH 16

typedef struct sink {
    float *out;
    int classes;
} sink;

/* Softmax in double: rows sum to 1 within float's precision however many classes there are. */
static void softmax_row(float *out, const float *logits, int classes)
{
    double highest = (double)logits[0], sum = 0;
    int i;

    for (i = 1; i < classes; i++)
        if ((double)logits[i] > highest)
            highest = (double)logits[i];
    for (i = 0; i < classes; i++)
        sum += exp((double)logits[i] - highest);
    for (i = 0; i < classes; i++)
        out[i] = (float)(exp((double)logits[i] - highest) / sum);
}

static fet_status take(void *user, const fet__batch *b, const fet__step *s)
{
    sink *k = user;
    int i, j;

    for (i = 0; i < b->count; i++) {
        const float *row = s->logits + (int64_t)i * k->classes;
        for (j = 0; j < k->classes; j++)
            if (!isfinite(row[j]))
                return FET_FAIL(FET_E_NUMERIC, "the model's output for picture %lld is not finite",
                                (long long)b->index[i]);
        softmax_row(k->out + (int64_t)b->index[i] * k->classes, row, k->classes);
    }
    return FET_OK;
}

void fet_model_set_decoding(fet_model *m, int64_t max_pixels, int ignore_exif)
{
    if (!m)
        return;
    m->m->max_pixels = max_pixels > 0 ? max_pixels : 0;
    m->m->ignore_exif = ignore_exif != 0;
}

fet_status fet_model_predict(fet_model *m, const char *const *paths, int count, float *probability)
{
    fet__forward_options o = {.batch = PREDICT_BATCH, .strict = true};
    fet__sample *samples = NULL;
    sink k = {probability, 0};
    fet_status st;
    int i;

    if (!m || !paths || !probability || count < 1)
        return FET_FAIL(FET_E_ARG, "fet_model_predict: model, paths or result is absent, or there are no images");
    if (m->m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "%s: the model has no head, so it predicts no classes", fet__show(m->m->path));
    k.classes = m->m->arch.classes;
    FET_TRY(FET_NEW(samples, count));
    for (i = 0; i < count; i++)
        samples[i] = (fet__sample){.path = paths[i], .label = -1};
    FET_TRY(fet__forward(m, samples, count, &o, take, &k));
done:
    fet__free(samples);
    return st;
}
