/* Pictures of a batch as they are and in two random views each. Every draw is a function of seed, step and place. The loader gives one
 * form of each picture; this gives three, decoded once. */
#include "data/data_int.h"

#include <string.h>

struct fet__views {
    fet__views_options o;
    fet__preprocess p;
    const fet__sample *samples;
    fet__image_cache *cache;
    int channels;
};

typedef struct job {
    fet__views *v;
    const int32_t *index;
    uint32_t step;
    float *out[3]; /* plain, view 1, view 2; NULL: not wanted */
    fet_status st[FET__EACH_THREADS];
    char message[FET__EACH_THREADS][512];
} job;

fet_status fet__views_create(fet__views **out, const fet__sample *samples, int count, const fet__views_options *o)
{
    fet__views *v = NULL;
    fet_status st;

    FET_TRY(fet__preprocess_check(&o->preprocess));
    FET_TRY(FET_NEW(v, 1));
    v->o = *o;
    v->p = o->preprocess;
    v->samples = samples;
    v->channels = o->preprocess.channels ? o->preprocess.channels : 3;
    if (o->cache_bytes > 0)
        FET_TRY(fet__image_cache_create(&v->cache, count, o->cache_bytes));
    *out = v;
    v = NULL;
done:
    fet__views_destroy(v);
    return st;
}

void fet__views_destroy(fet__views *v)
{
    if (!v)
        return;
    if (v->cache)
        fet__image_cache_destroy(v->cache);
    fet__free(v);
}

static fet_status decode(fet__image *out, const fet__views *v, const char *path)
{
    fet__augment_plan whole = {.frame = FET__FRAME_RESIZED_CROP}; /* the picture as it is, without a frame */
    fet__file_buffer file = {0};
    fet_status st;

    FET_TRY(fet__file_buffer_read(&file, path));
    st = fet__preprocess_base(out, file.data, file.size, path, &v->p, &whole);
done:
    fet__file_buffer_fini(&file);
    return st;
}

/* Bands know no colours: their views are crops, turned over, with noise. */
static fet_status make_bands(const job *j, int64_t i, fet__rng *r)
{
    const fet__views *v = j->v;
    const char *path = v->samples[j->index[i]].path;
    int64_t values = (int64_t)v->p.height * v->p.width * v->channels;
    float *in = NULL;
    fet_status st;

    FET_TRY(FET_NEW(in, values));
    FET_TRY(v->o.bands(in, path, v->p.height, v->p.width, v->channels));
    if (j->out[0])
        memcpy(j->out[0] + i * values, in, (size_t)values * sizeof *in);
    for (int k = 0; k < 2; k++)
        if (j->out[k + 1])
            fet__bands_view(j->out[k + 1] + i * values, in, v->p.height, v->p.width, v->channels, v->o.view[k].scale,
                            r);
done:
    fet__free(in);
    return st;
}

static fet_status make_one(const job *j, int64_t i)
{
    const fet__views *v = j->v;
    int64_t values = (int64_t)v->p.height * v->p.width * 3;
    fet__rng r = {.seed = v->o.seed, .stream = fet__hash32("views") + (uint32_t)i, .step = j->step};
    const char *path = v->samples[j->index[i]].path;

    if (v->o.bands && fet__bands_name(path))
        return make_bands(j, i, &r);
    if (v->channels != 3)
        return FET_FAIL(FET_E_DATA, "%s: a picture of 3 channels, and the model takes %d (.npz or .npy)",
                        fet__show(path), v->channels);
    fet__image im = {0};
    bool kept = v->cache && fet__image_cache_get(v->cache, j->index[i], &im);
    fet_status st = FET_OK;

    if (!kept)
        FET_TRY(decode(&im, v, v->samples[j->index[i]].path));
    if (j->out[0])
        FET_TRY(fet__preprocess_image(j->out[0] + i * values, &im, &v->p, NULL, NULL));
    for (int k = 0; k < 2; k++)
        if (j->out[k + 1])
            FET_TRY(fet__preprocess_image(j->out[k + 1] + i * values, &im, &v->p, &v->o.view[k], &r));
    if (!kept && v->cache)
        kept = fet__image_cache_put_take(v->cache, j->index[i], &im);
done:
    if (!kept)
        fet__image_fini(&im);
    return st;
}

static void make(void *user, int worker, int64_t i)
{
    job *j = user;
    fet_status st = j->st[worker] == FET_OK ? make_one(j, i) : FET_OK;

    if (st == FET_OK)
        return;
    j->st[worker] = st;
    snprintf(j->message[worker], sizeof j->message[worker], "%s", fet_error_message());
}

fet_status fet__views_make(fet__views *v, const int32_t *index, int count, uint32_t step, float *plain, float *view1,
                           float *view2)
{
    job *j = NULL;
    int threads = fet__threads() < FET__EACH_THREADS ? fet__threads() : FET__EACH_THREADS;
    fet_status st;

    FET_TRY(FET_NEW(j, 1));
    *j = (job){.v = v, .index = index, .step = step, .out = {plain, view1, view2}};
    fet__each(count, threads, make, j);
    for (int i = 0; i < threads && st == FET_OK; i++)
        if (j->st[i] != FET_OK)
            st = FET_FAIL(j->st[i], "%s", j->message[i]);
done:
    fet__free(j);
    return st;
}
