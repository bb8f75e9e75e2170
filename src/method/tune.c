/* fet_tune and fet_train: options to a data set, a model with an adapter, and the training loop. */
#include "method/method_int.h"

#include <math.h>
#include <string.h>

/* All that one training has open. */
typedef struct job {
    fet_tune_options o;
    const fet_tune_options *given;
    bool whole;         /* train: everything, and RUN gets model.safetensors */
    const char *record; /* what run.json holds as options, given by a command that trains as its last part; else NULL */
    void *kept;
    char *config;
    fet__augment_plan augment;
    fet__dataset data;
    fet__model *m;
} job;

static void forward_progress(void *user, const fet__progress *p)
{
    const fet_tune_options *o = user;
    fet_train_progress q = {p->step, p->steps,        p->epoch,        p->epochs, p->loss,
                            p->lr,   p->images_per_s, p->seconds_left, p->top1};

    o->progress(o->user, &q);
}

static fet_status need(const char *value, const char *name)
{
    return value && value[0] ? FET_OK : FET_FAIL(FET_E_ARG, "%s is needed", name);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static fet_status take_options(job *j)
{
    bool found = false;
    fet_status st;

    j->o = *j->given;
    FET_TRY(need(j->o.out, "out (the RUN folder)"));
    if (j->o.resume && !j->record)
        FET_TRY(fet__tune_from_run(&j->o, j->o.out, &j->kept, &found));
    if (j->o.resume && !found && !fet__file_exists(j->o.out)) {
        st = FET_FAIL(FET_E_IO, "%s: there is no run to resume", fet__show(j->o.out));
        goto done;
    }
    if (j->whole && !j->o.model)
        j->o.model = "none";
    FET_TRY(need(j->o.model, "model"));
    FET_TRY(need(j->o.data, "data"));
    if (!j->whole)
        FET_TRY(need(j->o.adapter, "adapter"));
    if (!j->o.data_options.seed)
        j->o.data_options.seed = j->o.seed;
    FET_TRY(fet__tune_check(&j->o));
    if (!(j->config = j->record ? fet__strdup(j->record) : fet__tune_to_json(&j->o)))
        st = FET_E_NOMEM;
done:
    return st;
}

/* Length of the run in epochs, for what is given as a share of it. */
static double run_epochs(const job *j)
{
    double images = (double)j->data.count[FET__TRAIN], steps = floor(images / j->o.batch);

    if (!j->o.drop_last)
        steps = ceil(images / j->o.batch);
    return j->o.steps > 0 && steps > 0 ? (double)j->o.steps / steps : (double)j->o.epochs;
}

static fet__schedule schedule_of(const job *j)
{
    const fet_tune_options *o = &j->o;
    fet__schedule s = {.kind = FET__COSINE,
                       .base = o->lr,
                       .min = o->lr_min,
                       .total = o->schedule_epochs,
                       .warmup_start = o->warmup_start,
                       .warmup_multiplies = o->warmup_multiply,
                       .prefix = o->warmup_first,
                       .gamma = o->gamma};
    double epochs = run_epochs(j);

    s.warmup = o->warmup >= 0 ? o->warmup : epochs / 10;
    if (strcmp(o->schedule, "step") == 0) {
        s.kind = FET__STEP;
        s.every = o->every > 0 ? o->every : epochs / 3;
    } else if (strcmp(o->schedule, "constant") == 0) {
        s.kind = FET__CONSTANT;
    }
    return s;
}

static fet_status loop_options(job *j, fet__loop_options *out)
{
    const fet_tune_options *o = &j->o;

    *out = (fet__loop_options){.out = o->out,
                               .resume = o->resume,
                               .epochs = o->epochs,
                               .steps = o->steps,
                               .batch = o->batch,
                               .schedule = schedule_of(j),
                               .schedule_per_epoch = o->schedule_by_epoch,
                               .schedule_lag = o->schedule_lag,
                               .optimizer = fet__optimizer_defaults(),
                               .augment = &j->augment,
                               .drop_last = o->drop_last,
                               .eval_every = o->eval_every,
                               .smoothing = o->smoothing,
                               .drop_path = o->drop_path,
                               .save_seconds = o->save_every,
                               .seed = o->seed,
                               .memory = fet__budget(o->memory),
                               .check_finite = o->check_finite,
                               .whole_model = j->whole,
                               .config_json = j->config,
                               .progress = o->progress ? forward_progress : NULL,
                               .user = (void *)(uintptr_t)o,
                               .stop = o->stop};
    if (!fet__optimizer_parse(o->optimizer, &out->optimizer))
        return FET_FAIL(FET_E_BUG, "optimizer '%s' slipped through the checks", o->optimizer);
    out->optimizer.momentum = out->optimizer.kind == FET__SGD ? o->momentum : 0;
    out->optimizer.nesterov = o->nesterov;
    out->optimizer.amsgrad = o->amsgrad;
    out->optimizer.weight_decay = o->wd;
    out->optimizer.no_decay = o->no_decay_1d ? FET__DECAY_MATRICES : FET__DECAY_ALL;
    if (o->no_decay)
        fet__decay_rule_parse(o->no_decay, &out->optimizer.no_decay);
    out->optimizer.clip = o->clip;
    out->optimizer.average = o->ema;
    return fet__augment_parse(&j->augment, o->augment, j->m->input.height, j->m->input.width);
}

/* ---- data and model ---------------------------------------------------------------------------------------------- */

static fet_status open_data(job *j)
{
    fet__dataset_options options;
    fet_status st;

    FET_TRY(fet__data_options_from(&options, &j->o.data_options));
    FET_TRY(fet__dataset_open(&j->data, j->o.data, &options));
done:
    return st;
}

/* The head follows the data's classes; a head that is thrown away or taken over unseen is said. */
static fet_status fit_head(job *j)
{
    int before = j->m->arch.classes, named = j->m->class_count, count = j->data.class_count;
    bool fresh, random = strcmp(j->o.model, "none") == 0;
    fet_status st = fet__model_set_classes(j->m, count, (const char *const *)j->data.classes, &fresh);

    if (st != FET_OK || random)
        return st;
    if (fresh && before)
        fet__note("%s: its head of %d outputs is replaced by a new one for %d classes", fet__show(j->m->path), before,
                  count);
    else if (!fresh && !named)
        fet__note("%s: its head of %d outputs is kept, for the data has as many classes", fet__show(j->m->path), count);
    return FET_OK;
}

static fet_status open_model(job *j)
{
    fet_status st;

    FET_TRY(fet__model_open_with(&j->m, j->o.model, &j->o.model_options, j->o.seed));
    fet__model_take_data_options(j->m, &j->o.data_options);
    FET_TRY(fit_head(j));
    FET_TRY(fet__model_attach(j->m, j->whole ? "full" : j->o.adapter));
done:
    return st;
}

/* ---- the two commands -------------------------------------------------------------------------------------------- */

static fet_eval_result eval_result(const fet__eval_result *r)
{
    return (fet_eval_result){r->top1, r->top5, r->macro_f1, r->loss, r->images, r->skipped};
}

static void fill(fet_tune_result *out, const fet__loop_result *r)
{
    *out = (fet_tune_result){.steps = r->steps,
                             .epochs = r->epochs,
                             .images_skipped = r->skipped,
                             .train_loss = r->train_loss,
                             .seconds = r->seconds,
                             .images_per_s = r->images_per_s,
                             .last = eval_result(&r->last),
                             .best = eval_result(&r->best),
                             .best_epoch = r->best_epoch,
                             .trainable = r->trainable,
                             .parameters = r->parameters,
                             .planned_bytes = r->info.total_bytes + r->info.weight_bytes + r->info.process_bytes};
}

static fet_status train(const fet_tune_options *o, bool whole, const char *record, fet_tune_result *result)
{
    job j = {.given = o, .whole = whole, .record = record};
    fet__loop_options options;
    fet__loop_result r;
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_tune: options or result is absent");
    memset(result, 0, sizeof *result);
    FET_TRY(take_options(&j));
    FET_TRY(open_data(&j));
    FET_TRY(open_model(&j));
    FET_TRY(loop_options(&j, &options));
    FET_TRY(fet__loop(&r, j.m, &j.data, &options));
    fill(result, &r);
done:
    fet__model_close(j.m);
    fet__dataset_fini(&j.data);
    fet__free(j.config);
    fet_recipe_free(j.kept);
    return st;
}

fet_status fet_tune(const fet_tune_options *o, fet_tune_result *result)
{
    return train(o, false, NULL, result);
}

fet_status fet_train(const fet_tune_options *o, fet_tune_result *result)
{
    return train(o, true, NULL, result);
}

fet_status fet__train_within(const fet_tune_options *o, const char *record, fet_tune_result *result)
{
    return train(o, true, record, result);
}
