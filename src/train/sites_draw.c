/* What the steps of `fettle meta` look at: batches over all sites or some, episodes of one site, chunks of several. Every draw is a
 * function of seed, stage and step. */
#include "train/sites_draw.h"

#include <string.h>

static fet_status list_domains(fet__draw *w)
{
    const fet__dataset *d = w->d;
    int used = 0;
    fet_status st;

    w->domains = d->domain_count ? d->domain_count : 1;
    FET_TRY(FET_NEW(w->order, d->count[FET__TRAIN] + 1));
    FET_TRY(FET_NEW(w->pool, d->count[FET__TRAIN] + 1));
    FET_TRY(FET_NEW(w->shuffled, d->count[FET__TRAIN] + 1));
    FET_TRY(FET_NEW(w->first, w->domains));
    FET_TRY(FET_NEW(w->count, w->domains));
    FET_TRY(FET_NEW(w->able, w->domains));
    FET_TRY(FET_NEW(w->group, w->domains));
    for (int k = 0; k < w->domains; k++) {
        w->first[k] = used;
        for (int i = 0; i < d->count[FET__TRAIN]; i++)
            if (d->samples[FET__TRAIN][i].domain == k)
                w->order[used++] = i;
        w->count[k] = used - w->first[k];
    }
    w->source_count = used;
done:
    return st;
}

fet_status fet__draw_create(fet__draw *w, const fet__dataset *d, uint64_t seed, int most)
{
    fet_status st;

    *w = (fet__draw){.d = d, .seed = seed};
    FET_TRY(list_domains(w));
    FET_TRY(FET_NEW(w->use, most + 1));
    fet__draw_pool(w, -1);
done:
    return st;
}

void fet__draw_fini(fet__draw *w)
{
    fet__free(w->order);
    fet__free(w->pool);
    fet__free(w->shuffled);
    fet__free(w->first);
    fet__free(w->count);
    fet__free(w->able);
    fet__free(w->group);
    fet__free(w->use);
    *w = (fet__draw){0};
}

fet_status fet__draw_need(fet__draw *w, int need)
{
    const fet__dataset *d = w->d;

    w->able_count = 0;
    for (int k = 0; k < w->domains; k++) {
        if (w->count[k] >= need)
            w->able[w->able_count++] = k;
        else if (w->count[k] > 0)
            fet__warn("domain %s: its %d pictures are fewer than a step takes of a site (%d): no episodes",
                      d->domain_count ? fet__show(d->domains[k]) : "", w->count[k], need);
    }
    if (w->able_count == 0)
        return FET_FAIL(FET_E_DATA, "%s: no domain has %d pictures, which a step takes of a site", fet__show(d->root),
                        need);
    return FET_OK;
}

fet_status fet__draw_groups(fet__draw *w, int groups)
{
    fet__rng rng = {.seed = w->seed, .stream = fet__hash32("experts")};
    int32_t *site = NULL;
    int n = 0;
    fet_status st;

    FET_TRY(FET_NEW(site, w->domains));
    for (int k = 0; k < w->domains; k++)
        if (w->count[k] > 0)
            site[n++] = k;
    if (n < groups)
        st = FET_FAIL(FET_E_ARG, "%s: %d experts need as many domains, and %d have training pictures",
                      fet__show(w->d->root), groups, n);
    fet__rng_shuffle(&rng, site, n);
    for (int i = 0; i < n; i++)
        w->group[site[i]] = i % groups;
done:
    fet__free(site);
    return st;
}

void fet__draw_pool(fet__draw *w, int group)
{
    w->pool_count = 0;
    for (int k = 0; k < w->domains; k++)
        for (int i = 0; i < w->count[k]; i++)
            if (group < 0 || w->group[k] == group)
                w->pool[w->pool_count++] = w->order[w->first[k] + i];
}

void fet__draw_batch(fet__draw *w, const char *stream, int64_t step, int batch)
{
    int64_t each = w->pool_count / batch, epoch = step / each, first = step % each * batch;
    fet__rng rng = {.seed = w->seed, .stream = fet__hash32(stream), .step = (uint32_t)epoch};

    memcpy(w->shuffled, w->pool, (size_t)w->pool_count * sizeof *w->pool);
    fet__rng_shuffle(&rng, w->shuffled, w->pool_count);
    memcpy(w->use, w->shuffled + first, (size_t)batch * sizeof *w->use);
}

/* `need` different pictures of domain k to use[0 ..]: the first of a shuffle, without moving what lies in `order`. */
static void pick(const fet__draw *w, fet__rng *rng, int k, int need, int32_t *use)
{
    const int32_t *of = w->order + w->first[k];

    for (int i = 0; i < need; i++) {
        bool again;
        do {
            use[i] = of[fet__rng_int(rng, 0, w->count[k] - 1)];
            again = false;
            for (int j = 0; j < i; j++)
                again = again || use[j] == use[i];
        } while (again);
    }
}

void fet__draw_episode(fet__draw *w, const char *stream, int64_t step, int need)
{
    fet__rng rng = {.seed = w->seed, .stream = fet__hash32(stream), .step = (uint32_t)step};

    w->domain = w->able[fet__rng_int(&rng, 0, w->able_count - 1)];
    pick(w, &rng, w->domain, need, w->use);
}

void fet__draw_chunks(fet__draw *w, const char *stream, int64_t step, int sites, int support)
{
    fet__rng rng = {.seed = w->seed, .stream = fet__hash32(stream), .step = (uint32_t)step};
    int32_t chosen[FET__CHUNKS];

    for (int i = 0; i < sites; i++) {
        bool again;
        do { /* different ones, as long as there are enough */
            chosen[i] = w->able[fet__rng_int(&rng, 0, w->able_count - 1)];
            again = false;
            for (int j = 0; j < i && sites <= w->able_count; j++)
                again = again || chosen[j] == chosen[i];
        } while (again);
        pick(w, &rng, chosen[i], support, w->use + (int64_t)i * support);
    }
}
