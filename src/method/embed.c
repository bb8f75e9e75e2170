/* fet_embed: the features of a whole data set in one safetensors file. */
#include "method/method_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EMBED_BATCH 32

typedef struct sink {
    const fet__sample *samples;
    float *features;
    int64_t *labels;
    const char **paths;
    int64_t size, count; /* of one feature vector; rows so far */
} sink;

static fet_status take(void *user, const fet__batch *b, const fet__step *s)
{
    sink *k = user;
    int i;

    for (i = 0; i < b->count; i++) {
        if (b->index[i] < 0)
            continue; /* unreadable and named */
        memcpy(k->features + k->count * k->size, s->features + i * k->size, (size_t)k->size * sizeof(float));
        k->labels[k->count] = k->samples[b->index[i]].label;
        k->paths[k->count++] = k->samples[b->index[i]].path;
    }
    return FET_OK;
}

/* A JSON list of names; what is not UTF-8 is written escaped. Text of jansson: free() it. */
static char *list_json(const char *const *names, int64_t count)
{
    json_t *list = json_array();
    char *text;
    int64_t i;

    for (i = 0; i < count; i++) {
        json_t *name = json_string(names[i]);
        json_array_append_new(list, name ? name : json_string(fet__show(names[i])));
    }
    text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return text;
}

static fet_status write(const sink *k, const fet__dataset *d, const char *arch, const char *out)
{
    char *paths = list_json(k->paths, k->count), *classes = list_json((const char *const *)d->classes, d->class_count);
    fet__meta_pair meta[] = {
        {"fettle.version", FETTLE_VERSION}, {"fettle.features", arch}, {"paths", paths}, {"classes", classes}};
    fet__entry entries[] = {
        {"features", FET_F32, FET_SHAPE(k->count, k->size), k->features, k->count * k->size * (int64_t)sizeof(float)},
        {"labels", FET_I64, FET_SHAPE(k->count), k->labels, k->count * (int64_t)sizeof(int64_t)}};
    fet_status st;

    if (paths && classes)
        st = fet__sealed_write(out, entries, 2, meta, (int)FET_COUNT(meta));
    else
        st = FET_FAIL(FET_E_NOMEM, "no memory for the list of paths");
    free(paths);
    free(classes);
    return st;
}

static fet_status embed(fet_model *m, const fet__dataset *d, const char *out, int64_t *images)
{
    fet__forward_options o = {.batch = EMBED_BATCH};
    sink k = {.size = m->m->arch.feature_size};
    int64_t total = 0;
    fet_status st;
    int s;

    for (s = 0; s < FET__SPLITS; s++)
        total += d->count[s];
    if (total > INT64_MAX / 8 / k.size)
        return FET_FAIL(FET_E_NOMEM, "%lld feature vectors of %lld values are too many", (long long)total,
                        (long long)k.size);
    FET_TRY(FET_NEW(k.features, total * k.size));
    FET_TRY(FET_NEW(k.labels, total));
    FET_TRY(FET_NEW(k.paths, total));
    for (s = 0; s < FET__SPLITS; s++) {
        k.samples = d->samples[s];
        if (d->count[s])
            FET_TRY(fet__forward(m, d->samples[s], d->count[s], &o, take, &k));
    }
    FET_TRY(write(&k, d, m->arch, out));
    if (images)
        *images = k.count;
done:
    fet__free(k.features);
    fet__free(k.labels);
    fet__free(k.paths);
    return st;
}

fet_status fet_embed(fet_model *m, const char *data, const fet_data_options *o, const char *out, int64_t *images)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    fet_status st;

    if (!m || !data || !out)
        return FET_FAIL(FET_E_ARG, "fet_embed: model, data or output is absent");
    FET_TRY(fet__data_options_from(&options, o));
    options.one_class_too = true;
    options.val_fraction = 0; /* all images are taken: nothing needs to be split off */
    FET_TRY(fet__dataset_open(&d, data, &options));
    fet__model_take_data_options(m->m, o);
    FET_TRY(embed(m, &d, out, images));
done:
    fet__dataset_fini(&d);
    return st;
}
