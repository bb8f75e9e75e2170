/* The training loop of SpCL: memory, then epochs of (labels from the memory, batches by identity, steps, evaluation). How features become labels
 * and scores is the caller's (the method), given as functions; a run killed at any moment goes on to the same bits, for the memory, the labels of
 * the running epoch and the threshold are part of its state. Source: spcl.md, section 6. */
#include "train/spcl_int.h"

#include <math.h>
#include <string.h>

#define SAVE_SECONDS 60.0

static void take_time(fet__spcl_run *r)
{
    double now = fet__now();

    r->s.seconds += now - r->begun;
    r->begun = now;
}

static fet_status save(fet__spcl_run *r)
{
    fet_status st;

    take_time(r);
    memcpy(r->labels->data, r->label, (size_t)r->labels->bytes);
    FET_TRY(fet__spcl_state_write(r));
    r->saved = fet__now();
done:
    return st;
}

static fet_status interrupted(fet__spcl_run *r)
{
    fet_status st = save(r);

    if (st != FET_OK)
        return st;
    return FET_FAIL(FET_E_INTERRUPTED, "stopped by signal %d at step %lld and saved: --resume goes on from there",
                    *r->o->stop, (long long)r->s.step);
}

/* ---- labels ------------------------------------------------------------------------------------------------------- */

/* The labels of all rows as the step needs them: source identities are their own. */
static fet_status use_labels(fet__spcl_run *r)
{
    int64_t classes;

    return fet__spcl_step_labels(&r->step, r->label, r->rows, &classes);
}

static fet_status relabel(fet__spcl_run *r)
{
    const float *rows = (const float *)r->step.memory->data + r->source_rows * r->width;
    fet_status st;

    for (int64_t i = 0; i < r->source_rows; i++)
        r->label[i] = (int32_t)i;
    FET_TRY(r->o->relabel(r->o->user, &r->s.epoch_labels, r->label + r->source_rows, rows, r->target_rows, r->width,
                          (int32_t)r->source_rows, &r->s.threshold));
    st = use_labels(r);
done:
    return st;
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static double rate_at(const fet__spcl_run *r)
{
    return fet__schedule_at(&r->o->schedule, (double)r->s.epoch);
}

/* Source images first. A source image's row is its identity, a target image's its place. */
static void feed(fet__spcl_run *r, int domain, const fet__batch *b)
{
    const fet__spcl_stream *t = &r->stream[domain];
    size_t values = (size_t)r->m->input.height * (size_t)r->m->input.width * 3;
    int at = r->step.domains == 2 && domain == FET__SPCL_TARGET ? r->o->batch : 0;

    memcpy(r->step.base.images + (size_t)at * values, b->images, (size_t)r->o->batch * values * sizeof(float));
    for (int i = 0; i < r->o->batch; i++) {
        int32_t row = domain == FET__SPCL_SOURCE ? t->label[b->index[i]] : (int32_t)r->source_rows + b->index[i];
        fet__spcl_step_rows(&r->step, at + i, &row, 1);
    }
}

static fet_status feed_all(fet__spcl_run *r)
{
    fet_status st = FET_OK;

    for (int d = 0; d < 2 && st == FET_OK; d++) {
        const fet__batch *b = NULL;
        if (r->stream[d].count == 0)
            continue;
        st = fet__loader_next(r->stream[d].loader, &b);
        if (st == FET_OK && !b)
            st = FET_FAIL(FET_E_BUG, "the stream ended before its epoch");
        if (st == FET_OK)
            feed(r, d, b);
    }
    return st;
}

static void report(const fet__spcl_run *r)
{
    double now = fet__now(), rate = now > r->epoch_begun ? (double)r->epoch_images / (now - r->epoch_begun) : 0;
    double images = (double)r->step.domains * r->o->batch;
    fet__progress p = {.step = r->s.step,
                       .steps = r->steps,
                       .epoch = r->s.epoch,
                       .epochs = r->o->epochs,
                       .loss = (double)*r->step.base.loss,
                       .lr = rate_at(r),
                       .images_per_s = rate,
                       .seconds_left = rate > 0 ? (double)(r->steps - r->s.step) * images / rate : 0,
                       .top1 = r->s.last.queries ? r->s.last.map : -1};

    if (r->o->progress)
        r->o->progress(r->o->user, &p);
}

static fet_status diverged(const fet__spcl_run *r, const char *what)
{
    return FET_FAIL(FET_E_NUMERIC,
                    "the %s is not finite at step %lld (epoch %lld) with learning rate %g; the last good state, if "
                    "there is one, is in %s",
                    what, (long long)r->s.step, (long long)r->s.epoch, rate_at(r), fet__show(r->folder.state));
}

static fet_status run_step(fet__spcl_run *r)
{
    fet_status st;

    FET_TRY(feed_all(r));
    if (r->step.base.step)
        *r->step.base.step = (int32_t)r->s.step;
    fet__optimizer_bind(&r->o->optimizer, r->step.base.program, r->s.step, rate_at(r));
    st = fet__step_compute(&r->step.base);
    if (st == FET_E_NUMERIC && !r->o->check_finite)
        return diverged(r, "loss");
    FET_TRY(st);
    if (r->step.base.grad_norm && !isfinite(*r->step.base.grad_norm))
        return diverged(r, "gradient");
    r->s.step++;
    r->s.epoch_step++;
    r->s.loss_sum += (double)*r->step.base.loss;
    r->s.source_loss_sum += r->step.source_loss ? (double)*r->step.source_loss : 0;
    r->epoch_images += (int64_t)r->step.domains * r->o->batch;
    report(r);
done:
    return st;
}

/* ---- epochs ------------------------------------------------------------------------------------------------------- */

static fet_status evaluate(fet__spcl_run *r)
{
    fet_status st;

    FET_TRY(r->o->evaluate(r->o->user, &r->s.last));
    if (r->s.best_epoch >= 0 && !(r->s.last.map > r->s.best.map))
        return FET_OK;
    r->s.best = r->s.last;
    r->s.best_epoch = r->s.epoch;
    st = fet__model_save(r->m, r->folder.best, NULL, 0);
done:
    return st;
}

static fet_status end_epoch(fet__spcl_run *r)
{
    double seconds = fet__now() - r->epoch_begun, rate = seconds > 0 ? (double)r->epoch_images / seconds : 0;
    bool due = r->o->evaluate && ((r->s.epoch + 1) % r->o->eval_step == 0 || r->s.epoch + 1 == r->o->epochs);
    fet_status st = FET_OK;

    if (due)
        FET_TRY(evaluate(r));
    take_time(r);
    r->s.last_loss = r->s.loss_sum / (double)r->s.epoch_step;
    FET_TRY(fet__spcl_log_append(r, due, rate));
    r->s.epoch++;
    r->s.epoch_step = 0;
    r->s.loss_sum = r->s.source_loss_sum = 0;
    st = save(r);
done:
    return st;
}

static fet_status start_streams(fet__spcl_run *r)
{
    int64_t batches = r->o->iters;
    fet_status st = FET_OK;

    if (batches <= 0) /* one pass over the target's images, or over the source's where there is no target */
        FET_TRY(fet__spcl_stream_batches(r, r->target_rows ? FET__SPCL_TARGET : FET__SPCL_SOURCE, &batches));
    r->epoch_steps = batches;
    r->steps = r->s.step - r->s.epoch_step + (r->o->epochs - r->s.epoch) * batches;
    for (int d = 0; d < 2 && st == FET_OK; d++)
        if (r->stream[d].count > 0)
            st = fet__spcl_stream_start(r, d, batches);
done:
    return st;
}

static fet_status run_epoch(fet__spcl_run *r)
{
    fet_status st;

    if (r->s.epoch_step == 0)
        FET_TRY(relabel(r));
    FET_TRY(start_streams(r));
    r->epoch_begun = fet__now();
    r->epoch_images = 0;
    while (r->s.epoch_step < r->epoch_steps) {
        if (r->o->stop && *r->o->stop)
            return interrupted(r);
        FET_TRY(run_step(r));
        if (fet__now() - r->saved > r->save_seconds)
            FET_TRY(save(r));
    }
    if (r->o->stop && *r->o->stop)
        return interrupted(r);
    st = end_epoch(r);
done:
    return st;
}

/* ---- beginning and end ---------------------------------------------------------------------------------------------- */

/* What of the store changes and must come back besides what the step makes: the labels. */
static fet_status add_labels(fet__spcl_run *r)
{
    fet_status st;

    FET_TRY(FET_NEW(r->label, r->rows));
    r->labels = fet__params_find(r->m->store, "spcl.label");
    if (!r->labels)
        FET_TRY(fet__params_add(r->m->store, &r->labels, "spcl.label", FET_I32, FET_SHAPE(r->rows), FET__STATE));
done:
    return st;
}

static fet_status open_step(fet__spcl_run *r)
{
    fet__spcl_step_options o = {.batch = r->o->batch,
                                .source_rows = r->source_rows,
                                .rows = r->rows,
                                .temperature = r->o->temperature,
                                .momentum = r->o->momentum,
                                .mean_update = r->o->mean_update,
                                .reference_order = r->o->reference_order,
                                .norm_group = r->o->norm_group,
                                .optimizer = &r->o->optimizer,
                                .memory = r->s.memory,
                                .check_finite = r->o->check_finite};
    fet__program_info info;
    fet_status st;

    FET_TRY(fet__spcl_step_create(&r->step, r->m, &o));
    info = fet__program_describe(r->step.base.program);
    if (r->o->memory > 0 || info.repeated > 0)
        fet__note_budget(r->step.base.program, &info, r->step.base.batch, 1, r->s.memory);
    r->width = r->step.memory->shape.dim[1];
    FET_TRY(add_labels(r));
    for (int d = 0; d < 2 && st == FET_OK; d++)
        if (r->stream[d].count > 0)
            st = fet__spcl_stream_open(r, d);
done:
    return st;
}

static fet_status peek(fet__spcl_run *r)
{
    int64_t memory;
    int threads, batch;
    fet_status st;

    FET_TRY(fet__spcl_run_check(r));
    FET_TRY(fet__spcl_state_peek(r));
    memory = r->s.memory;
    threads = r->s.threads;
    batch = r->s.batch;
    if (batch != r->o->batch)
        return FET_FAIL(FET_E_ARG, "the run began with batch %d, not %d", batch, r->o->batch);
    if (threads >= 1 && threads != fet__threads()) {
        fet__note("the run goes on with %d threads, as it began", threads);
        fet__set_threads(threads);
    }
    r->s.memory = memory;
done:
    return st;
}

static fet_status begin(fet__spcl_run *r, bool has_state)
{
    fet_status st;

    r->s = (fet__spcl_state){.best_epoch = -1,
                             .last_loss = (double)NAN,
                             .memory = r->o->memory > 0 ? r->o->memory : fet__free_memory() + fet__peak_rss(),
                             .threads = fet__threads(),
                             .batch = r->o->batch};
    if (has_state)
        FET_TRY(peek(r));
    FET_TRY(open_step(r));
    if (has_state) {
        FET_TRY(fet__spcl_state_read(r));
        memcpy(r->label, r->labels->data, (size_t)r->labels->bytes);
        if (r->s.epoch_step > 0)
            FET_TRY(use_labels(r));
    } else {
        FET_TRY(fet__param_own(r->step.memory));
        FET_TRY(r->o->fill_memory(r->o->user, r->step.memory->data, r->source_rows, r->rows, r->width));
    }
    FET_TRY(fet__make_folder(r->folder.path));
    FET_TRY(fet__spcl_log_resume(r));
    if (!has_state)
        FET_TRY(fet__spcl_run_write(r));
    r->begun = r->saved = fet__now();
done:
    return st;
}

static void fill(fet__spcl_result *out, const fet__spcl_run *r)
{
    double images = (double)r->s.step * r->step.domains * r->o->batch;

    *out = (fet__spcl_result){.steps = r->s.step,
                              .epochs = r->s.epoch,
                              .loss = r->s.last_loss,
                              .last = r->s.last,
                              .best = r->s.best,
                              .best_epoch = r->s.best_epoch,
                              .labels = r->s.epoch_labels,
                              .seconds = r->s.seconds,
                              .images_per_s = r->s.seconds > 0 ? images / r->s.seconds : 0,
                              .trainable = r->step.base.trainable_values,
                              .parameters = fet__model_parameters(r->m, false),
                              .info = fet__program_describe(r->step.base.program)};
}

static fet_status take_sets(fet__spcl_run *r)
{
    fet_status st = FET_OK;

    r->stream[FET__SPCL_SOURCE].images = r->o->source;
    r->stream[FET__SPCL_SOURCE].count = r->o->source_count;
    r->stream[FET__SPCL_TARGET].images = r->o->target;
    r->stream[FET__SPCL_TARGET].count = r->o->target_count;
    r->source_rows = r->o->source_identities;
    r->target_rows = r->o->target_count;
    r->rows = r->source_rows + r->target_rows;
    if (r->rows == 0)
        st = FET_FAIL(FET_E_DATA, "there are no training images");
    else if (r->rows > INT32_MAX / 2)
        st = FET_FAIL(FET_E_DATA, "%lld rows are too many for the memory", (long long)r->rows);
    return st;
}

fet_status fet__spcl_loop(fet__spcl_result *out, fet__model *m, const fet__spcl_options *o)
{
    fet__spcl_run r = {.o = o, .m = m, .save_seconds = o->save_seconds > 0 ? o->save_seconds : SAVE_SECONDS};
    bool has_state;
    fet_status st;

    memset(out, 0, sizeof *out);
    FET_TRY(take_sets(&r));
    FET_TRY(fet__run_open(&r.folder, o->out, o->resume, &has_state));
    FET_TRY(begin(&r, has_state));
    while (r.s.epoch < o->epochs)
        FET_TRY(run_epoch(&r));
    if (!o->select_best || r.s.best_epoch < 0)
        FET_TRY(fet__model_save(m, r.folder.model, NULL, 0));
    else
        FET_TRY(fet__file_copy(r.folder.best, r.folder.model));
    fill(out, &r);
done:
    fet__spcl_stream_close(&r.stream[0]);
    fet__spcl_stream_close(&r.stream[1]);
    fet__spcl_step_fini(&r.step);
    fet__free(r.label);
    fet__run_close(&r.folder);
    return st;
}
