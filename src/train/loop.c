/* The training loop: epochs of steps, evaluation after each, saving so that a run killed at any moment goes on to bit-identical
 * weights. The step's program is step.c's, files are run_folder.c's and checkpoint.c's. */
#include "train/train_int.h"

#include <math.h>
#include <string.h>

#define SAVE_SECONDS 60.0
#define ALIVE_STEPS 10 /* after so many steps a tensor that never had a gradient is named */

typedef struct loop {
    const fet__loop_options *o;
    fet__model *m;
    const fet__dataset *d;
    fet__run_folder folder;
    fet__run_state s;
    fet__run_programs run;
    fet__loader *loader;
    fet__schedule schedule;
    int64_t epoch_steps, steps, epochs; /* of an epoch; of the run */
    int64_t saved_step;
    double save_seconds;
    double lr, begun, saved, epoch_begun;
    int64_t epoch_images; /* of this session, for the rate */
} loop;

/* ---- saving --------------------------------------------------------------------------------------------------------- */

/* What this session added so far belongs to the run's time. */
static void take_time(loop *l)
{
    double now = fet__now();

    l->s.seconds += now - l->begun;
    l->begun = now;
}

/* Evaluation and files see the average of the weights where one is kept; called twice, all is as before. */
static void exchange_average(const loop *l)
{
    if (l->o->optimizer.average > 0 && l->s.step > 0)
        fet__average_exchange(l->m->store);
}

static fet_status save_adapter(const loop *l)
{
    fet_status st;

    exchange_average(l);
    st = fet__model_save_adapter(l->m, l->folder.adapter, NULL, 0);
    exchange_average(l);
    return st;
}

/* The state first: it alone is the truth, the adapter file beside it is derived and written again by a resume. */
static fet_status save(loop *l)
{
    fet_status st;

    take_time(l);
    FET_TRY(fet__checkpoint_write(l->folder.state, l->m, &l->s));
    FET_TRY(save_adapter(l));
    l->saved = fet__now();
    l->saved_step = l->s.step;
done:
    return st;
}

static fet_status interrupted(loop *l)
{
    fet_status st = save(l);

    if (st != FET_OK)
        return st;
    return FET_FAIL(FET_E_INTERRUPTED, "stopped by signal %d at step %lld and saved: --resume goes on from there",
                    *l->o->stop, (long long)l->s.step);
}

/* ---- one step ------------------------------------------------------------------------------------------------------- */

static double rate_at(const loop *l, int64_t epoch_step)
{
    double t = (double)l->s.epoch;

    if (l->o->schedule_per_epoch)
        t = l->o->schedule_lag && t > 0 ? t - 1 : t;
    else
        t += (double)epoch_step / (double)l->epoch_steps;
    return fet__schedule_at(&l->schedule, t);
}

static fet_status diverged(const loop *l, const char *what)
{
    if (l->saved_step < 0)
        return FET_FAIL(
            FET_E_NUMERIC,
            "the %s is not finite at step %lld (epoch %lld) with learning rate %g; nothing had been saved yet", what,
            (long long)l->s.step, (long long)l->s.epoch, l->lr);
    return FET_FAIL(FET_E_NUMERIC,
                    "the %s is not finite at step %lld (epoch %lld) with learning rate %g; the last good state is that "
                    "of step %lld in %s",
                    what, (long long)l->s.step, (long long)l->s.epoch, l->lr, (long long)l->saved_step,
                    fet__show(l->folder.state));
}

static void name_dead(const loop *l)
{
    fet__text t = {0};
    int i, dead = 0;

    for (i = 0; i < l->run.step.trainable; i++)
        if (l->s.alive[i] == '0' && dead++ < 4)
            fet__text_printf(&t, "%s%s", t.length ? ", " : "", l->run.step.params[i]->name);
    if (dead)
        fet__warn("the gradient of %d of %d trained tensors was zero in each of the first %d steps: %s%s", dead,
                  l->run.step.trainable, ALIVE_STEPS, t.s ? t.s : "", dead > 4 ? ", ..." : "");
    fet__text_fini(&t);
}

static void watch_gradients(loop *l)
{
    char name[32];
    int i;

    if (l->s.step >= ALIVE_STEPS)
        return;
    for (i = 0; i < l->run.step.trainable; i++) {
        const float *square;
        snprintf(name, sizeof name, "grad_sq.%d", i);
        square = fet__program_output(l->run.step.program, name);
        if (square && *square != 0)
            l->s.alive[i] = '1';
    }
    if (l->s.step + 1 == ALIVE_STEPS)
        name_dead(l);
}

static void report(const loop *l)
{
    double now = fet__now(), rate, left;
    fet__progress p;

    if (!l->o->progress)
        return;
    rate = now > l->epoch_begun ? (double)l->epoch_images / (now - l->epoch_begun) : 0;
    left = rate > 0 ? (double)(l->steps - l->s.step) * l->o->batch / rate : 0;
    p = (fet__progress){l->s.step,
                        l->steps,
                        l->s.epoch,
                        l->epochs,
                        (double)*l->run.step.loss,
                        l->lr,
                        rate,
                        left,
                        l->s.last.images ? l->s.last.top1 : -1};
    l->o->progress(l->o->user, &p);
}

static fet_status run_step(loop *l, const fet__batch *b)
{
    int64_t values = (int64_t)l->m->input.height * l->m->input.width * 3;
    fet_status st;

    l->lr = rate_at(l, l->s.epoch_step);
    fet__step_feed(&l->run.step, b, l->o->batch, values);
    if (l->run.step.step)
        *l->run.step.step = (int32_t)l->s.step;
    fet__optimizer_bind(&l->o->optimizer, l->run.step.program, l->s.step, l->lr);
    st = fet__step_compute(&l->run.step);
    if (st == FET_E_NUMERIC && !l->o->check_finite)
        return diverged(l, "loss");
    FET_TRY(st);
    /* The weights are spoilt in memory by now, but nothing is saved any more. */
    if (l->run.step.grad_norm && !isfinite(*l->run.step.grad_norm))
        return diverged(l, "gradient");
    watch_gradients(l);
    l->s.step++;
    l->s.epoch_step++;
    l->s.loss_sum += (double)*l->run.step.loss * b->count;
    l->s.loss_images += b->count;
    l->epoch_images += b->count;
    report(l);
done:
    return st;
}

/* ---- epochs --------------------------------------------------------------------------------------------------------- */

static fet_status keep_best(loop *l)
{
    fet_status st = FET_OK;

    if (l->s.best_epoch >= 0 && !(l->s.last.top1 > l->s.best.top1))
        return FET_OK;
    l->s.best = l->s.last;
    l->s.best_epoch = l->s.epoch;
    if (l->o->whole_model)
        st = fet__model_save(l->m, l->folder.best, NULL, 0);
    else
        st = fet__model_save_adapter(l->m, l->folder.best, NULL, 0);
    return st;
}

static fet_status evaluate(loop *l)
{
    fet_status st;

    exchange_average(l);
    st = fet__evaluate_with(&l->s.last, &l->run.evaluation, l->run.evaluation_batch, l->m, l->d, FET__VAL);
    if (st == FET_OK)
        st = keep_best(l);
    exchange_average(l);
    return st;
}

static bool evaluation_due(const loop *l)
{
    int64_t every = l->o->eval_every > 0 ? l->o->eval_every : 1;

    return l->d->count[FET__VAL] > 0 && ((l->s.epoch + 1) % every == 0 || l->s.step >= l->steps);
}

static fet_status end_epoch(loop *l)
{
    double seconds = fet__now() - l->epoch_begun, rate = seconds > 0 ? (double)l->epoch_images / seconds : 0;
    bool evaluated;
    fet_status st;

    l->lr = rate_at(l, l->s.epoch_step - 1); /* of the last step, which another session may have done */
    l->s.last_train_loss = l->s.loss_images ? l->s.loss_sum / (double)l->s.loss_images : (double)NAN;
    if (fet__loader_skipped(l->loader) > l->s.skipped) /* it counts from the start of this session on */
        l->s.skipped = fet__loader_skipped(l->loader);
    evaluated = evaluation_due(l);
    if (evaluated)
        FET_TRY(evaluate(l));
    take_time(l);
    FET_TRY(fet__log_append(&l->folder, &l->s, evaluated, l->lr, rate));
    l->s.epoch++;
    l->s.epoch_step = 0;
    l->s.loss_sum = 0;
    l->s.loss_images = 0;
    st = save(l);
done:
    return st;
}

static fet_status run_epoch(loop *l)
{
    const fet__batch *b;
    fet_status st;

    l->epoch_begun = fet__now();
    l->epoch_images = 0;
    FET_TRY(fet__loader_start(l->loader, l->s.epoch, l->s.epoch_step));
    while (l->s.step < l->steps) {
        if (l->o->stop && *l->o->stop)
            return interrupted(l);
        FET_TRY(fet__loader_next(l->loader, &b));
        if (!b)
            break;
        FET_TRY(run_step(l, b));
        if (fet__now() - l->saved > l->save_seconds)
            FET_TRY(save(l));
    }
    if (l->o->stop && *l->o->stop)
        return interrupted(l);
    st = end_epoch(l);
done:
    return st;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------------ */

static fet_status count_steps(loop *l)
{
    int64_t images = l->d->count[FET__TRAIN], batch = l->o->batch;

    l->epoch_steps = l->o->drop_last ? images / batch : (images + batch - 1) / batch;
    if (l->epoch_steps == 0)
        return FET_FAIL(FET_E_DATA, "%lld training images do not fill one batch of %lld", (long long)images,
                        (long long)batch);
    l->steps = l->o->steps > 0 ? l->o->steps : l->o->epochs * l->epoch_steps;
    l->epochs = (l->steps + l->epoch_steps - 1) / l->epoch_steps;
    if (l->o->optimizer.average > 0 && (double)l->steps * (1 - l->o->optimizer.average) < 1)
        fet__warn("the average of the weights looks back over about %.0f steps and the run has %lld: it will stay near "
                  "the initial weights",
                  1 / (1 - l->o->optimizer.average), (long long)l->steps);
    l->schedule = l->o->schedule;
    if (l->schedule.total <= 0)
        l->schedule.total = (double)l->steps / (double)l->epoch_steps - (l->schedule.prefix ? l->schedule.warmup : 0);
    return FET_OK;
}

static fet_status open_program(loop *l)
{
    fet__loader_options loader = {.preprocess = fet__model_preprocess(l->m),
                                  .batch = l->o->batch,
                                  .augment = l->o->augment,
                                  .shuffle = true,
                                  .drop_last = l->o->drop_last,
                                  .seed = l->o->seed};
    fet_status st;

    FET_TRY(fet__run_programs_open(&l->run, l->m, l->d, l->o, &l->s));
    loader.cache_bytes = l->run.cache_bytes;
    FET_TRY(fet__loader_create(&l->loader, l->d->samples[FET__TRAIN], l->d->count[FET__TRAIN], &loader));
done:
    return st;
}

static fet_status wrong_state(const loop *l)
{
    return FET_FAIL(FET_E_FORMAT, "%s: the state belongs to another run (%zu trained tensors, here %d)",
                    fet__show(l->folder.state), strlen(l->s.alive), l->run.step.trainable);
}

/* The budget and the thread count of the first start hold for good, so that the same plan is made again and sums are
 * taken in the same order. */
static fet_status peek(loop *l)
{
    fet_status st;

    FET_TRY(fet__run_check(&l->folder, l->m, l->d));
    FET_TRY(fet__checkpoint_peek(l->folder.state, &l->s));
    fet__run_state_fini(&l->s);
    if (l->s.batch != l->o->batch)
        return FET_FAIL(FET_E_ARG, "the run began with batch %d, not %d", l->s.batch, l->o->batch);
    if (l->s.threads >= 1 && l->s.threads != fet__threads()) {
        fet__note("the run goes on with %d threads, as it began", l->s.threads);
        fet__set_threads(l->s.threads);
    }
done:
    return st;
}

static fet_status begin(loop *l, bool has_state)
{
    fet_status st;

    l->saved_step = -1;
    l->s = (fet__run_state){.best_epoch = -1,
                            .memory = l->o->memory > 0 ? l->o->memory : fet__free_memory() + fet__peak_rss(),
                            .threads = fet__threads(),
                            .batch = l->o->batch};
    if (has_state)
        FET_TRY(peek(l));
    FET_TRY(open_program(l));
    if (has_state) {
        FET_TRY(fet__checkpoint_read(l->folder.state, l->m, &l->s));
        l->saved_step = l->s.step;
        if ((int)strlen(l->s.alive) != l->run.step.trainable)
            return wrong_state(l);
    } else {
        FET_TRY(FET_NEW(l->s.alive, l->run.step.trainable + 1));
        memset(l->s.alive, '0', (size_t)l->run.step.trainable);
    }
    FET_TRY(fet__make_folder(l->folder.path)); /* not before all that can be refused was not */
    FET_TRY(fet__log_resume(&l->folder, &l->s));
    if (!has_state)
        FET_TRY(fet__run_write_json(&l->folder, l->m, l->d, l->o, &l->s, &l->run.plan));
    l->begun = l->saved = fet__now();
done:
    return st;
}

static void fill(fet__loop_result *out, loop *l)
{
    int64_t images = l->s.step * l->o->batch;

    *out = (fet__loop_result){.steps = l->s.step,
                              .epochs = l->s.epoch,
                              .skipped = l->s.skipped,
                              .train_loss = l->s.last_train_loss,
                              .last = l->s.last,
                              .best = l->s.best,
                              .best_epoch = l->s.best_epoch,
                              .seconds = l->s.seconds,
                              .images_per_s = l->s.seconds > 0 ? (double)images / l->s.seconds : 0,
                              .trainable = l->run.step.trainable_values,
                              .parameters = fet__model_parameters(l->m, false),
                              .info = l->run.plan};
}

static fet_status save_model(const loop *l)
{
    fet_status st;

    exchange_average(l);
    st = fet__model_save(l->m, l->folder.model, NULL, 0);
    exchange_average(l);
    return st;
}

static fet_status run(loop *l, fet__loop_result *out)
{
    fet_status st = FET_OK;

    /* Steps to do, or an epoch whose steps were all done when the state was saved and that was not ended yet. */
    while (l->s.step < l->steps || l->s.epoch_step > 0)
        FET_TRY(run_epoch(l));
    /* A run that had ended, or was killed between its last state and the files derived from it: write those again. */
    FET_TRY(save_adapter(l));
    if (l->o->whole_model)
        FET_TRY(save_model(l));
    fill(out, l);
    FET_TRY(fet__run_report(&l->folder, l->m, l->d, out));
done:
    return st;
}

fet_status fet__loop(fet__loop_result *out, fet__model *m, const fet__dataset *d, const fet__loop_options *o)
{
    loop l = {.o = o, .m = m, .d = d, .save_seconds = o->save_seconds > 0 ? o->save_seconds : SAVE_SECONDS};
    bool has_state;
    fet_status st;

    memset(out, 0, sizeof *out);
    if (d->count[FET__TRAIN] == 0)
        return FET_FAIL(FET_E_DATA, "%s: the split 'train' holds no images", fet__show(d->root));
    FET_TRY(count_steps(&l));
    FET_TRY(fet__run_open(&l.folder, o->out, o->resume, &has_state));
    FET_TRY(begin(&l, has_state));
    FET_TRY(run(&l, out));
done:
    fet__loader_destroy(l.loader);
    fet__run_programs_close(&l.run);
    fet__run_state_fini(&l.s);
    fet__run_close(&l.folder);
    return st;
}
