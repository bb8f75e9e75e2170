/* Features of unit length for re-identification, and the encoder that gives them. */
#include "method/reid_int.h"

#include <math.h>
#include <string.h>

typedef struct sink {
    float *out;
    int64_t width;
    int batch, zeros;
} sink;

static void unit(float *out, const float *f, int64_t width, int *zeros)
{
    double square = 0, length;

    for (int64_t k = 0; k < width; k++)
        square += (double)f[k] * (double)f[k];
    length = sqrt(square);
    *zeros += length == 0;
    for (int64_t k = 0; k < width; k++)
        out[k] = (float)((double)f[k] / (length > 1e-12 ? length : 1e-12));
}

static fet_status take(void *user, const fet__batch *b, const fet__step *s)
{
    sink *k = user;

    for (int i = 0; i < b->count; i++)
        unit(k->out + (int64_t)b->index[i] * k->width, s->features + i * k->width, k->width, &k->zeros);
    return FET_OK;
}

fet_status fet__reid_features(fet_model *m, const fet__sample *samples, int count, int batch, int64_t memory,
                              float *out)
{
    fet__forward_options o = {.batch = batch, .strict = true, .memory = memory};
    sink k = {.out = out, .width = m->m->arch.feature_size};
    fet_status st;

    FET_TRY(fet__forward(m, samples, count, &o, take, &k));
    if (k.zeros)
        fet__warn("the features of %d of %d images are all zero: they are as far from everything", k.zeros, count);
    for (int i = 0; i < count; i++) {
        bool finite = true;
        for (int64_t c = 0; c < k.width; c++)
            finite = finite && isfinite(out[(int64_t)i * k.width + c]);
        if (!finite)
            return FET_FAIL(FET_E_NUMERIC, "%s: its features are not finite: the weights may be spoilt",
                            fet__show(samples[i].path));
    }
done:
    return st;
}

fet_status fet__reid_image_features(fet_model *m, const fet__reid_image *images, int count, int batch, int64_t memory,
                                    float *out)
{
    fet__sample *samples = NULL;
    fet_status st;

    FET_TRY(FET_NEW(samples, count));
    for (int i = 0; i < count; i++)
        samples[i].path = images[i].path;
    st = fet__reid_features(m, samples, count, batch, memory, out);
done:
    fet__free(samples);
    return st;
}

fet_status fet_reid_open(fet_model **out, const char *path, const char *domain, const fet_model_options *o)
{
    fet__encoder_options encoder = {.domains = FET__DOMAINS_TARGET};
    fet_status st;

    if (!out)
        return FET_FAIL(FET_E_ARG, "fet_reid_open: no place for the model");
    *out = NULL;
    if (domain && strcmp(domain, "source") == 0)
        encoder.domains = FET__DOMAINS_SOURCE;
    else if (domain && strcmp(domain, "target") != 0)
        return FET_FAIL(FET_E_ARG, "domain '%s' is neither source nor target", fet__show(domain));
    FET_TRY(fet_model_open(out, path, o));
    FET_TRY(fet__model_encoder((*out)->m, &encoder));
    st = fet__model_changed(*out);
done:
    if (st != FET_OK && *out) {
        fet_model_close(*out);
        *out = NULL;
    }
    return st;
}
