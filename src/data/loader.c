/* The loader: worker threads that fill a ring of batches ahead of the consumer.
 *
 *        consumer holds         workers fill, up to `ring` batches from `oldest`
 *   ---[ oldest ][ oldest+1 ]...[ claim.step ]---        batch s lives in slot s % ring
 *
 * Work is claimed in small runs of positions, in order, under one mutex; workers sleep on `work` when the ring is full,
 * the consumer on `ready` until its batch has no image pending. What an image becomes depends on (seed, epoch,
 * position) alone, never on who does it. An unreadable image is replaced by the next readable one of the epoch's order:
 * a function of the files alone too, so that any thread count and any starting batch give the same batches. All memory
 * is taken at creation, but for decoding. */
#include "data/data_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define MAX_THREADS 256
#define MAX_PREFETCH 1024
#define MAX_RUN 16 /* positions claimed at once */
#define MESSAGE 1024
#define DRAWS_SHIFT 24 /* each position owns 2^24 numbers of the epoch's augmentation stream */

struct slot {
    fet__batch batch;
    int32_t *partner;   /* room for mixing, or NULL */
    int pending;        /* images not done, and one more for mixing them; the batch is ready at 0 */
    fet_status failure; /* of the lowest failed position: the same one whatever the timing */
    int64_t failure_at;
    char message[MESSAGE];
};

struct run { /* a piece of work: positions [begin, end) of one batch */
    struct slot *slot;
    int64_t begin, end;
    int first; /* place of `begin` within the batch */
};

struct worker {
    fet__loader *l;
    pthread_t thread;
    fet__file_buffer file;
};

struct fet__loader {
    fet__loader_options o;
    fet__augment_plan plan; /* what o.augment points to, unless that is NULL */
    bool mixes;
    const fet__sample *samples; /* borrowed */
    int count;
    int64_t steps, positions;
    int32_t *order;       /* of the present epoch, */
    const int32_t *given; /* or the caller's */
    atomic_uchar *bad;    /* by sample: known to be unreadable */
    _Atomic int64_t skipped;
    fet__image_cache *cache; /* or NULL */
    struct slot *slots;
    int ring;
    struct worker *workers;
    int worker_count;
    size_t image_floats;
    int run_length;

    pthread_mutex_t mutex; /* guards all below, and slots' pending and failure */
    pthread_cond_t work, ready, idle;
    bool quit, borrowed; /* borrowed: the consumer holds batch `oldest` */
    int active;          /* workers on a run */
    int64_t epoch;
    int64_t oldest;     /* batch that the consumer gets next, or holds */
    int64_t claim_step; /* claims go on here, at image claim_at of the batch */
    int claim_at;
    bool synced; /* the three primitives above exist */
};

/* ---- one image ------------------------------------------------------------------------------------------- */

static bool is_unreadable(fet_status st)
{
    return st == FET_E_FORMAT || st == FET_E_IO || st == FET_E_DATA;
}

static fet_status load(struct worker *w, int32_t sample, float *out, fet__rng *r)
{
    const fet__loader *l = w->l;
    const char *path = l->samples[sample].path;
    const fet__preprocess *p = &l->o.preprocess;
    fet__image base = {0};
    bool kept = l->cache && fet__image_cache_get(l->cache, sample, &base);
    if (!kept) {
        fet_status st = fet__file_buffer_read(&w->file, path);
        if (st == FET_OK)
            st = fet__preprocess_base(&base, w->file.data, w->file.size, path, p, l->o.augment);
        if (st != FET_OK)
            return st;
        kept = l->cache && fet__image_cache_put_take(l->cache, sample, &base);
    }
    fet_status st = fet__preprocess_finish(out, &base, p, l->o.augment, r);
    if (!kept)
        fet__image_fini(&base);
    return st;
}

static void mark_bad(fet__loader *l, int32_t sample)
{
    if (atomic_exchange(&l->bad[sample], 1) != 0)
        return;
    atomic_fetch_add(&l->skipped, 1);
    fet__warn("unreadable image skipped: %s", fet_error_message());
}

/* Fill the place of one position, from its own sample or from the next readable one. */
static fet_status fill(struct worker *w, int64_t position, fet__batch *batch, int at)
{
    fet__loader *l = w->l;
    float *out = batch->images + l->image_floats * (size_t)at;
    for (int64_t tried = 0; tried < l->positions; tried++) {
        int32_t sample = (l->given ? l->given : l->order)[(position + tried) % l->positions];
        if (atomic_load_explicit(&l->bad[sample], memory_order_relaxed))
            continue;
        fet__rng r = {.seed = l->o.seed,
                      .next = (uint64_t)position << DRAWS_SHIFT,
                      .stream = fet__hash32("loader.augment"),
                      .step = (uint32_t)l->epoch};
        fet_status st = load(w, sample, out, &r);
        if (st == FET_OK) {
            batch->labels[at] = l->samples[sample].label;
            batch->index[at] = sample;
            return FET_OK;
        }
        if (l->o.strict || !is_unreadable(st))
            return st;
        mark_bad(l, sample);
    }
    return FET_FAIL(FET_E_DATA, "none of the %d images can be read (such as %s)", l->count,
                    fet__show(l->samples[0].path));
}

/* ---- workers --------------------------------------------------------------------------------------------- */

static int batch_count(const fet__loader *l, int64_t step)
{
    int64_t left = l->positions - step * l->o.batch;
    return left < l->o.batch ? (int)left : l->o.batch;
}

static bool can_claim(const fet__loader *l)
{
    return l->claim_step < l->steps && l->claim_step < l->oldest + l->ring;
}

/* With the mutex held. */
static struct run claim(fet__loader *l)
{
    int count = batch_count(l, l->claim_step);
    struct run r = {.slot = &l->slots[l->claim_step % l->ring], .first = l->claim_at};
    if (l->claim_at == 0) {
        r.slot->pending = count + l->mixes;
        r.slot->failure = FET_OK;
        r.slot->failure_at = INT64_MAX;
        r.slot->batch.count = count;
        r.slot->batch.step = l->claim_step;
    }
    int length = count - l->claim_at < l->run_length ? count - l->claim_at : l->run_length;
    r.begin = l->claim_step * l->o.batch + l->claim_at;
    r.end = r.begin + length;
    l->claim_at += length;
    if (l->claim_at == count) {
        l->claim_at = 0;
        l->claim_step++;
    }
    return r;
}

/* Images that the last batch of an epoch does not have. */
static void clear_rest(const fet__loader *l, fet__batch *b)
{
    size_t rest = (size_t)(l->o.batch - b->count);
    memset(b->images + l->image_floats * (size_t)b->count, 0, l->image_floats * rest * sizeof *b->images);
    for (int i = b->count; i < l->o.batch; i++) {
        b->labels[i] = b->index[i] = -1;
        if (l->mixes) {
            b->labels2[i] = -1;
            b->own[i] = 1;
        }
    }
}

static fet_status work_off(struct worker *w, const struct run *r, int64_t *failed_at)
{
    fet__batch *b = &r->slot->batch;
    fet_status first = FET_OK;
    for (int64_t position = r->begin; position < r->end && first == FET_OK; position++) {
        first = fill(w, position, b, r->first + (int)(position - r->begin));
        *failed_at = position;
    }
    if (r->first + (int)(r->end - r->begin) == b->count && b->count < w->l->o.batch)
        clear_rest(w->l, b);
    return first;
}

static void note_failure(struct slot *s, fet_status st, int64_t at)
{
    if (st == FET_OK || at >= s->failure_at)
        return;
    s->failure = st;
    s->failure_at = at;
    snprintf(s->message, sizeof s->message, "%s", fet_error_message());
}

/* The worker that brings the last image of a batch mixes them, while the others go on with the next one. Draws are a
 * function of (seed, epoch, batch number). */
static void mix(fet__loader *l, struct slot *s, int64_t epoch)
{
    fet__rng r = {.seed = l->o.seed,
                  .next = (uint64_t)s->batch.step << DRAWS_SHIFT,
                  .stream = fet__hash32("loader.mix"),
                  .step = (uint32_t)epoch};
    if (s->failure == FET_OK)
        fet__batch_mix(&s->batch, s->batch.images + l->image_floats * (size_t)l->o.batch, s->partner, &l->plan.mix,
                       &l->o.preprocess, &r);
}

/* With the mutex held, which mixing lets go for a while. */
static void finish_run(fet__loader *l, struct slot *s, int images)
{
    s->pending -= images;
    if (l->mixes && s->pending == 1) {
        pthread_mutex_unlock(&l->mutex);
        mix(l, s, l->epoch);
        pthread_mutex_lock(&l->mutex);
        s->pending = 0;
    }
    if (s->pending == 0)
        pthread_cond_signal(&l->ready);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    fet__loader *l = w->l;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->quit && !can_claim(l))
            pthread_cond_wait(&l->work, &l->mutex);
        if (l->quit)
            break;
        struct run r = claim(l);
        int64_t failed_at = 0;
        l->active++;
        pthread_mutex_unlock(&l->mutex);
        fet_status st = work_off(w, &r, &failed_at);
        pthread_mutex_lock(&l->mutex);
        note_failure(r.slot, st, failed_at);
        finish_run(l, r.slot, (int)(r.end - r.begin));
        l->active--;
        if (l->active == 0)
            pthread_cond_signal(&l->idle);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* ---- creation -------------------------------------------------------------------------------------------- */

static fet_status check_options(const fet__loader_options *o, int count)
{
    if (count < 1)
        return FET_FAIL(FET_E_DATA, "there are no images to load");
    if (o->batch < 1)
        return FET_FAIL(FET_E_ARG, "a batch of %d images; it takes 1 or more", o->batch);
    if (o->threads < 0 || o->threads > MAX_THREADS)
        return FET_FAIL(FET_E_ARG, "%d loader threads; 0 to %d are possible", o->threads, MAX_THREADS);
    if (o->prefetch < 0 || o->prefetch > MAX_PREFETCH)
        return FET_FAIL(FET_E_ARG, "%d batches ahead; 0 to %d are possible", o->prefetch, MAX_PREFETCH);
    if (o->cache_bytes < 0)
        return FET_FAIL(FET_E_ARG, "an image cache of %lld bytes", (long long)o->cache_bytes);
    if (o->drop_last && count < o->batch)
        return FET_FAIL(FET_E_DATA, "%d images do not fill one batch of %d", count, o->batch);
    return fet__preprocess_check(&o->preprocess);
}

/* Memory that is only promised would end in a kill later on, when the batches are filled. */
static fet_status check_memory(const fet__loader *l)
{
    double bytes = (double)l->ring * l->o.batch * (double)l->image_floats * sizeof(float);
    double left = (double)fet__free_memory();
    if (bytes <= left)
        return FET_OK;
    return FET_FAIL(FET_E_NOMEM, "%d batches of %d images of %d x %d take %.0f MiB; %.0f MiB are free", l->ring,
                    l->o.batch, l->o.preprocess.height, l->o.preprocess.width, bytes / 1048576, left / 1048576);
}

static fet_status create_slots(fet__loader *l)
{
    fet_status st;
    size_t batch = (size_t)l->o.batch;
    FET_TRY(check_memory(l));
    FET_TRY(FET_NEW(l->slots, l->ring));
    for (int i = 0; i < l->ring; i++) {
        fet__batch *b = &l->slots[i].batch;
        FET_TRY(FET_NEW(b->images, (batch + l->mixes) * l->image_floats)); /* mixing needs room for one more */
        FET_TRY(FET_NEW(b->labels, batch));
        FET_TRY(FET_NEW(b->index, batch));
        if (!l->mixes)
            continue;
        FET_TRY(FET_NEW(b->labels2, batch));
        FET_TRY(FET_NEW(b->own, batch));
        FET_TRY(FET_NEW(l->slots[i].partner, batch));
    }
done:
    return st;
}

static fet_status create_sync(fet__loader *l)
{
    int error = pthread_mutex_init(&l->mutex, NULL);
    if (error == 0 && (error = pthread_cond_init(&l->work, NULL)) == 0) {
        if ((error = pthread_cond_init(&l->ready, NULL)) == 0) {
            if ((error = pthread_cond_init(&l->idle, NULL)) == 0) {
                l->synced = true;
                return FET_OK;
            }
            pthread_cond_destroy(&l->ready);
        }
        pthread_cond_destroy(&l->work);
        pthread_mutex_destroy(&l->mutex);
    }
    return FET_FAIL(FET_E_NOMEM, "cannot create the loader's locks: %s", strerror(error));
}

static fet_status create_workers(fet__loader *l, int threads)
{
    sigset_t all, before;
    int error = 0;
    fet_status st = FET_NEW(l->workers, threads);
    if (st != FET_OK)
        return st;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals stay with the threads that expect them */
    while (l->worker_count < threads && !error) {
        struct worker *w = &l->workers[l->worker_count];
        w->l = l;
        error = pthread_create(&w->thread, NULL, worker_main, w);
        l->worker_count += !error;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (l->worker_count == 0)
        return FET_FAIL(FET_E_NOMEM, "cannot start a loader thread: %s", strerror(error));
    if (error)
        fet__warn("only %d of %d loader threads could be started: %s", l->worker_count, threads, strerror(error));
    return FET_OK;
}

fet_status fet__loader_create(fet__loader **out, const fet__sample *samples, int count, const fet__loader_options *o)
{
    fet__loader *l = NULL;
    int threads = o->threads ? o->threads : fet__threads();
    *out = NULL;
    fet_status st = check_options(o, count);
    if (st != FET_OK)
        return st;
    FET_TRY(FET_NEW(l, 1));
    l->o = *o;
    if (o->augment) {
        l->plan = *o->augment;
        l->o.augment = &l->plan;
        l->mixes = fet__augment_mixes(&l->plan);
    }
    l->samples = samples;
    l->count = count;
    l->positions = count;
    l->steps = o->drop_last ? count / o->batch : ((int64_t)count + o->batch - 1) / o->batch;
    l->oldest = l->claim_step = l->steps; /* nothing to do before the first start */
    l->ring = (o->prefetch ? o->prefetch : 2) + 1;
    l->image_floats = (size_t)o->preprocess.height * (size_t)o->preprocess.width * 3;
    l->run_length = o->batch / (threads * 4);
    l->run_length = l->run_length < 1 ? 1 : l->run_length > MAX_RUN ? MAX_RUN : l->run_length;
    FET_TRY(FET_NEW(l->order, count));
    FET_TRY(FET_NEW(l->bad, count));
    if (o->cache_bytes)
        FET_TRY(fet__image_cache_create(&l->cache, count, o->cache_bytes));
    FET_TRY(create_slots(l));
    FET_TRY(create_sync(l));
    FET_TRY(create_workers(l, threads < MAX_THREADS ? threads : MAX_THREADS));
    *out = l;
done:
    if (st != FET_OK)
        fet__loader_destroy(l);
    return st;
}

void fet__loader_destroy(fet__loader *l)
{
    if (!l)
        return;
    if (l->synced) {
        pthread_mutex_lock(&l->mutex);
        l->quit = true;
        pthread_cond_broadcast(&l->work);
        pthread_mutex_unlock(&l->mutex);
    }
    for (int i = 0; i < l->worker_count; i++) {
        pthread_join(l->workers[i].thread, NULL);
        fet__file_buffer_fini(&l->workers[i].file);
    }
    if (l->synced) {
        pthread_cond_destroy(&l->work);
        pthread_cond_destroy(&l->ready);
        pthread_cond_destroy(&l->idle);
        pthread_mutex_destroy(&l->mutex);
    }
    for (int i = 0; l->slots && i < l->ring; i++) {
        fet__free(l->slots[i].batch.images);
        fet__free(l->slots[i].batch.labels);
        fet__free(l->slots[i].batch.index);
        fet__free(l->slots[i].batch.labels2);
        fet__free(l->slots[i].batch.own);
        fet__free(l->slots[i].partner);
    }
    fet__image_cache_destroy(l->cache);
    fet__free(l->slots);
    fet__free(l->workers);
    fet__free(l->order);
    fet__free((void *)l->bad);
    fet__free(l);
}

/* ---- the consumer's side --------------------------------------------------------------------------------- */

int64_t fet__loader_steps(const fet__loader *l)
{
    return l->steps;
}

int64_t fet__loader_skipped(const fet__loader *l)
{
    return atomic_load(&l->skipped);
}

static void draw_order(fet__loader *l, int64_t epoch)
{
    fet__rng r = {.seed = l->o.seed, .stream = fet__hash32("loader.order"), .step = (uint32_t)epoch};
    for (int i = 0; i < l->count; i++)
        l->order[i] = i;
    if (l->o.shuffle)
        fet__rng_shuffle(&r, l->order, l->count);
}

static fet_status check_order(const fet__loader *l, const int32_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (order[i] < 0 || order[i] >= l->count)
            return FET_FAIL(FET_E_BUG, "the order names sample %d of %d", order[i], l->count);
    return count > 0 ? FET_OK : FET_FAIL(FET_E_DATA, "an epoch without images");
}

fet_status fet__loader_start(fet__loader *l, int64_t epoch, int64_t first_step)
{
    return fet__loader_start_with(l, NULL, l->count, epoch, first_step);
}

fet_status fet__loader_start_with(fet__loader *l, const int32_t *order, int64_t count, int64_t epoch,
                                  int64_t first_step)
{
    int64_t steps = l->o.drop_last ? count / l->o.batch : (count + l->o.batch - 1) / l->o.batch;
    fet_status st = order ? check_order(l, order, count) : FET_OK;
    if (st != FET_OK)
        return st;
    if (epoch < 0 || epoch > UINT32_MAX)
        return FET_FAIL(FET_E_ARG, "epoch %lld is not in 0..%lld", (long long)epoch, (long long)UINT32_MAX);
    if (first_step < 0 || first_step > steps)
        return FET_FAIL(FET_E_ARG, "batch %lld is not in 0..%lld", (long long)first_step, (long long)steps);
    pthread_mutex_lock(&l->mutex);
    l->claim_step = l->steps; /* no further claims of the epoch before; wait for those under way */
    l->claim_at = 0;
    while (l->active > 0)
        pthread_cond_wait(&l->idle, &l->mutex);
    if (!order)
        draw_order(l, epoch);
    l->given = order;
    l->positions = count;
    l->steps = steps;
    l->epoch = epoch;
    l->borrowed = false;
    l->oldest = l->claim_step = first_step;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->mutex);
    return FET_OK;
}

/* A batch whose first claim has not come yet has stale fields; it is done when claims have passed it. */
static bool is_done(const fet__loader *l, int64_t step)
{
    return l->claim_step > step && l->slots[step % l->ring].pending == 0;
}

fet_status fet__loader_next(fet__loader *l, const fet__batch **out)
{
    fet_status st = FET_OK;
    *out = NULL;
    pthread_mutex_lock(&l->mutex);
    if (l->borrowed) {
        l->borrowed = false;
        l->oldest++;
        pthread_cond_broadcast(&l->work); /* a place in the ring is free */
    }
    if (l->oldest < l->steps) {
        struct slot *s = &l->slots[l->oldest % l->ring];
        while (!is_done(l, l->oldest))
            pthread_cond_wait(&l->ready, &l->mutex);
        if (s->failure == FET_OK) {
            *out = &s->batch;
            l->borrowed = true;
        } else { /* stays: asking again gives the same answer */
            st = fet__fail_take(s->failure, s->message);
        }
    }
    pthread_mutex_unlock(&l->mutex);
    return st;
}
