/* Batches of one domain: passes of the identity-balanced sampler, cut into whole batches, drawn anew for every epoch from (seed, epoch, labels). A
 * pass that is shorter than a batch is followed by the next one within the batch. Source: spcl.md, section 6.1. */
#include "train/spcl_int.h"

#include <string.h>

/* The cache of decoded images may take a part of what is free. */
#define CACHE_SHARE 8

static const int32_t *labels_of(const fet__spcl_run *r, int domain)
{
    return domain == FET__SPCL_SOURCE ? r->stream[domain].label : r->label + r->source_rows;
}

static uint64_t seed_of(const fet__spcl_run *r, int domain)
{
    return r->o->seed + (domain == FET__SPCL_SOURCE ? 0x5851f42d4c957f2dU : 0);
}

fet_status fet__spcl_stream_open(fet__spcl_run *r, int domain)
{
    fet__spcl_stream *t = &r->stream[domain];
    fet__loader_options o = {.preprocess = fet__model_preprocess(r->m),
                             .batch = r->o->batch,
                             .augment = r->o->augment,
                             .strict = true,
                             .seed = seed_of(r, domain),
                             .cache_bytes = fet__free_memory() / CACHE_SHARE};
    fet_status st;

    FET_TRY(FET_NEW(t->samples, t->count));
    FET_TRY(FET_NEW(t->label, t->count));
    FET_TRY(FET_NEW(t->camera, t->count));
    for (int i = 0; i < t->count; i++) {
        t->samples[i] = (fet__sample){.path = t->images[i].path};
        t->label[i] = t->images[i].label;
        t->camera[i] = t->images[i].camera;
    }
    FET_TRY(fet__loader_create(&t->loader, t->samples, t->count, &o));
done:
    return st;
}

/* Each epoch has a seed of its own for the passes that it takes. */
static fet_status draw(const fet__spcl_run *r, int domain, uint32_t pass, int32_t **out, int64_t *count)
{
    const fet__spcl_stream *t = &r->stream[domain];
    uint64_t seed = seed_of(r, domain) ^ ((uint64_t)(r->s.epoch + 1) * 0x9e3779b97f4a7c15U);

    return fet__reid_draw(out, count, labels_of(r, domain), t->camera, t->count, r->o->instances, seed, pass);
}

fet_status fet__spcl_stream_batches(const fet__spcl_run *r, int domain, int64_t *batches)
{
    int32_t *order = NULL;
    int64_t count = 0;
    fet_status st;

    FET_TRY(draw(r, domain, 0, &order, &count));
    *batches = count / r->o->batch > 0 ? count / r->o->batch : 1;
done:
    fet__free(order);
    return st;
}

static fet_status no_images(void)
{
    return FET_FAIL(FET_E_DATA, "no image has a label in this epoch: with outliers left out nothing is to be learnt "
                                "(a larger --eps makes clusters, --outliers keep takes single images too)");
}

fet_status fet__spcl_stream_start(fet__spcl_run *r, int domain, int64_t batches)
{
    fet__spcl_stream *t = &r->stream[domain];
    int64_t total = batches * r->o->batch, have = 0, count = 0;
    int32_t *order = NULL;
    fet_status st;

    fet__free(t->order);
    FET_TRY(FET_NEW(t->order, total));
    for (uint32_t pass = 0; have < total; pass++) {
        FET_TRY(draw(r, domain, pass, &order, &count));
        if (count == 0) {
            st = no_images();
            goto done;
        }
        if (count >= r->o->batch)
            count -= count % r->o->batch; /* the incomplete tail is dropped */
        if (count > total - have)
            count = total - have;
        memcpy(t->order + have, order, (size_t)count * sizeof *order);
        have += count;
        fet__free(order);
        order = NULL;
    }
    st = fet__loader_start_with(t->loader, t->order, total, r->s.epoch, r->s.epoch_step);
done:
    fet__free(order);
    return st;
}

void fet__spcl_stream_close(fet__spcl_stream *t)
{
    fet__loader_destroy(t->loader);
    fet__free(t->samples);
    fet__free(t->label);
    fet__free(t->camera);
    fet__free(t->order);
    memset(t, 0, sizeof *t);
}
