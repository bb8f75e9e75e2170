/* fet_nas_search: options and files to the search's loop, its gates to a network, the network to training. */
#include "method/nas_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEASURED_RUNS 50

typedef struct job {
    fet_nas_search_options o;
    void *kept;
    char *record; /* options, as run.json has them */
    fet__dataset data;
    fet__augment_plan augment;
    fet__preprocess preprocess;
    fet__arch frame;
    fet__nas_table table;
    fet__nas_limits limits;
    fet__nas_costs costs;
    fet__nas_search_result search;
    int *choice;
    char *arch, *arch_path; /* the network's text; RUN/arch.json */
} job;

static void forward_progress(void *user, const fet__progress *p)
{
    const fet_tune_options *o = user;
    fet_train_progress q = {p->step, p->steps,        p->epoch,        p->epochs, p->loss,
                            p->lr,   p->images_per_s, p->seconds_left, p->top1};

    o->progress(o->user, &q);
}

/* ---- options ------------------------------------------------------------------------------------------------------ */

static fet_status take_options(job *j, const fet_nas_search_options *given)
{
    fet_tune_options *t = &j->o.train;
    bool found = false;
    fet_status st;

    j->o = *given;
    if (!t->out || !t->out[0])
        return FET_FAIL(FET_E_ARG, "out (the RUN folder) is needed");
    if (!t->resume && fet__file_exists(t->out))
        return FET_FAIL(FET_E_ARG, "%s exists: give another --out, or --resume to continue the search there",
                        fet__show(t->out));
    if (t->resume)
        FET_TRY(fet__nas_options_from_run(&j->o, &j->kept, &found));
    if (t->resume && !found && !fet__file_exists(t->out))
        return FET_FAIL(FET_E_IO, "%s: there is no search to resume", fet__show(t->out));
    if (!t->data)
        return FET_FAIL(FET_E_ARG, "data is needed");
    t->model = "none";
    t->adapter = NULL;
    if (!t->model_options.arch)
        t->model_options.arch = "quadranet36_xxs";
    if (!t->data_options.seed)
        t->data_options.seed = t->seed;
    FET_TRY(fet__tune_check(t));
    FET_TRY(fet__nas_options_check(&j->o));
    FET_TRY(fet__nas_options_json(&j->record, &j->o));
    j->arch_path = fet__path_join(t->out, "arch.json");
    st = j->arch_path ? FET_OK : FET_E_NOMEM;
done:
    return st;
}

/* "5ms" against the unit of the profile. */
static fet_status latency_limit(const job *j, double *out)
{
    static const char *const units[] = {"us", "ms", "s"};
    static const double size[] = {1, 1e3, 1e6};
    const char *text = j->o.latency, *unit = text;
    char number[64];
    int from = -1, to = -1;

    while (*unit && strchr("0123456789.+-eE", *unit))
        unit++;
    snprintf(number, sizeof number, "%.*s", (int)(unit - text), text);
    if (!fet__parse_double(number, out) || !(*out > 0) || (size_t)(unit - text) >= sizeof number)
        return FET_FAIL(FET_E_ARG, "latency '%s' is no positive number with a unit, such as 5ms", fet__show(text));
    for (int i = 0; i < 3; i++) {
        from = strcmp(unit, units[i]) == 0 ? i : from;
        to = strcmp(j->table.unit, units[i]) == 0 ? i : to;
    }
    if (from >= 0 && to >= 0)
        *out *= size[from] / size[to];
    else if (strcmp(unit, j->table.unit) != 0)
        return FET_FAIL(FET_E_ARG, "latency '%s' is not in the profile's unit, %s", fet__show(text), j->table.unit);
    return FET_OK;
}

/* Microseconds for times: the logarithmic objective wants numbers above 1. */
static double objective_scale(const char *unit)
{
    return strcmp(unit, "ms") == 0 ? 1e3 : strcmp(unit, "s") == 0 ? 1e6 : 1;
}

static fet_status take_limits(job *j)
{
    const fet_nas_search_options *o = &j->o;
    fet__nas_objective objective = {.kind = strcmp(o->objective, "log") == 0      ? FET__NAS_LOG
                                            : strcmp(o->objective, "linear") == 0 ? FET__NAS_LINEAR
                                                                                  : FET__NAS_NONE,
                                    .a = o->log_a,
                                    .b = o->log_b,
                                    .lambda = o->lambda};
    fet_status st;

    if (o->profile)
        FET_TRY(fet__nas_table_read(&j->table, &j->frame, o->profile, o->foreign != 0));
    j->limits = (fet__nas_limits){.flops = o->flops, .memory = o->network_memory, .unit = j->table.unit};
    j->limits.latency_scale = objective_scale(j->table.unit);
    if (o->latency)
        FET_TRY(latency_limit(j, &j->limits.latency));
    FET_TRY(fet__nas_costs_create(&j->costs, &j->frame, &j->table, &j->limits, objective));
    st = fet__nas_limits_check(&j->costs, &j->frame, &j->limits);
done:
    return st;
}

/* ---- data and frame ----------------------------------------------------------------------------------------------- */

static fet_status open_data(job *j)
{
    fet__dataset_options options;
    fet_status st;

    FET_TRY(fet__data_options_from(&options, &j->o.train.data_options));
    FET_TRY(fet__dataset_open(&j->data, j->o.train.data, &options));
    if (j->data.count[FET__TRAIN] < 2)
        st = FET_FAIL(FET_E_DATA, "%s: the split 'train' holds fewer than two images", fet__show(j->data.root));
done:
    return st;
}

static fet_status open_frame(job *j)
{
    const fet_tune_options *t = &j->o.train;
    fet__quadranet *q;
    int image = t->model_options.image;
    fet_status st;

    FET_TRY(fet__nas_frame(&j->frame, t->model_options.arch));
    q = j->frame.config;
    if (strcmp(j->o.space, "plain") == 0)
        q->mixer = FET__MIX_CONV;
    q->classes = j->frame.classes = j->data.class_count;
    if (image)
        FET_TRY(j->frame.class_->resize(&j->frame, NULL, image, image));
    if (fet__nas_positions(&j->frame) > QUADRANET_BLOCKS)
        st = FET_FAIL(FET_E_ARG, "a frame of %d blocks: %d at most", fet__nas_positions(&j->frame), QUADRANET_BLOCKS);
done:
    return st;
}

/* How a network of the frame takes its pictures, by a model of the least depth. */
static fet_status take_preprocess(job *j)
{
    fet_model_options options = j->o.train.model_options;
    fet__model *m = NULL;
    char *text = NULL;
    fet_status st;

    FET_TRY(FET_NEW(j->choice, fet__nas_positions(&j->frame)));
    text = fet__nas_text(&j->frame, j->choice); /* the first candidate everywhere */
    st = text ? FET_OK : FET_E_NOMEM;
    FET_TRY(st);
    options.arch = text;
    FET_TRY(fet__model_open_with(&m, "none", &options, j->o.train.seed));
    fet__model_take_data_options(m, &j->o.train.data_options);
    j->preprocess = fet__model_preprocess(m);
    FET_TRY(fet__augment_parse(&j->augment, j->o.search_augment, m->input.height, m->input.width));
    if (fet__augment_mixes(&j->augment))
        st = FET_FAIL(FET_E_ARG, "search-augment '%s' mixes images, which steps of a search do not take",
                      fet__show(j->o.search_augment));
done:
    fet__model_close(m);
    fet__free(text);
    return st;
}

/* ---- the search --------------------------------------------------------------------------------------------------- */

static fet__nas_descent descent_of(const fet_nas_search_options *o)
{
    return (fet__nas_descent){.sgd = strcmp(o->search_optimizer, "sgd") == 0,
                              .momentum = o->search_momentum,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .weight_decay = o->search_wd,
                              .clip = o->search_clip,
                              .no_decay = FET__DECAY_MATRICES};
}

/* run.json until training writes its own: the command, its options, the frame. */
static char *first_record(const job *j)
{
    fet__text text = {0};
    json_t *options = json_loads(j->record, 0, NULL), *out;
    char *dumped, *own = NULL;

    j->frame.class_->print(&j->frame, &text);
    out = json_pack("{s:s, s:o, s:{s:s}}", "command", "nas search", "options", options, "model", "arch",
                    text.s ? text.s : "");
    dumped = out ? json_dumps(out, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (dumped)
        own = fet__strdup(dumped);
    fet__text_fini(&text);
    free(dumped);
    json_decref(out);
    return own;
}

static fet_status search(job *j)
{
    const fet_nas_search_options *o = &j->o;
    const fet_tune_options *t = &o->train;
    char *json = first_record(j);
    fet__nas_search_options s = {.out = t->out,
                                 .json = json,
                                 .resume = t->resume != 0,
                                 .frame = &j->frame,
                                 .data = &j->data,
                                 .preprocess = j->preprocess,
                                 .augment = &j->augment,
                                 .alpha_share = o->alpha_share,
                                 .warmup = o->search_warmup,
                                 .epochs = o->search_epochs,
                                 .alpha_every = o->alpha_every,
                                 .batch = o->search_batch ? o->search_batch : t->batch,
                                 .warmup_lr = o->search_warmup_lr,
                                 .lr = o->search_lr,
                                 .alpha_lr = o->alpha_lr,
                                 .smoothing = o->search_smoothing,
                                 .descent = descent_of(o),
                                 .pair = strcmp(o->gates, "two") == 0,
                                 .costs = j->costs.count,
                                 .save_seconds = t->save_every,
                                 .seed = t->seed,
                                 .memory = fet__budget(t->memory),
                                 .check_finite = t->check_finite != 0,
                                 .progress = t->progress ? forward_progress : NULL,
                                 .user = (void *)(uintptr_t)t,
                                 .stop = t->stop};
    fet_status st = json ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for the record of a search");

    memcpy(s.cost, j->costs.cost, sizeof s.cost);
    if (st == FET_OK)
        st = fet__nas_search(&j->search, &s);
    fet__free(json);
    return st;
}

/* ---- what was found ----------------------------------------------------------------------------------------------- */

static json_t *number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static fet_status write_result(const job *j, const fet_nas_search_result *r)
{
    json_t *found = json_object();

    if (j->o.profile) {
        json_object_set_new(found, "device", json_string(j->table.device));
        json_object_set_new(found, "unit", json_string(j->table.unit));
        json_object_set_new(found, "latency", number_or_null(r->latency));
        json_object_set_new(found, "latency_limit", number_or_null(r->latency_limit));
        json_object_set_new(found, "measured_ms", number_or_null(r->measured_ms));
    }
    json_object_set_new(found, "flops", json_real(r->flops));
    json_object_set_new(found, "flops_limit", j->limits.flops > 0 ? json_real(j->limits.flops) : json_null());
    json_object_set_new(found, "memory", json_integer(r->network_memory));
    json_object_set_new(found, "memory_limit", j->limits.memory > 0 ? json_integer(j->limits.memory) : json_null());
    json_object_set_new(found, "fettle", json_string(fet_version()));
    return fet__nas_result_write(j->arch_path, &j->frame, j->choice, found);
}

static double predicted(const job *j)
{
    double sum = j->table.fixed;

    for (int i = 0; i < j->costs.positions; i++)
        if (j->choice[i] != FET__NAS_IDENTITY)
            sum += j->table.block[j->costs.stage[i]][j->choice[i]];
    return sum;
}

static fet_status derive(job *j, fet_nas_search_result *r)
{
    int64_t parameters;
    fet_status st;

    FET_TRY(fet__nas_choose(&j->costs, &j->frame, &j->limits, &j->search.gates, j->choice));
    j->arch = fet__nas_text(&j->frame, j->choice);
    r->arch = j->arch ? fet__strdup(j->arch) : NULL;
    st = r->arch ? FET_OK : FET_E_NOMEM;
    FET_TRY(st);
    FET_TRY(fet__nas_plan(j->arch, &r->network_memory, &r->flops, &parameters));
    for (int i = 0; i < j->costs.positions; i++)
        r->blocks += j->choice[i] != FET__NAS_IDENTITY;
    r->positions = j->costs.positions;
    r->latency = j->o.profile ? predicted(j) : (double)NAN;
    r->latency_limit = j->limits.latency > 0 ? j->limits.latency : (double)NAN;
    snprintf(r->unit, sizeof r->unit, "%s", j->table.unit);
    fet__note("the search found %d blocks at %d places: %s", r->blocks, r->positions, j->arch);
    st = write_result(j, r);
done:
    return st;
}

static fet_status train_found(job *j, fet_nas_search_result *r)
{
    fet_tune_options t = j->o.train;

    t.model_options.arch = j->arch;
    t.resume = 1; /* RUN is there, whether or not training had begun */
    return fet__train_within(&t, j->record, &r->train);
}

/* On this machine, if it is the one that the profile speaks of. */
static fet_status measure_found(job *j, fet_nas_search_result *r)
{
    double limit_ms = r->latency_limit * objective_scale(j->table.unit) / 1e3;
    fet_status st;

    if (!j->o.profile || j->table.foreign)
        return FET_OK;
    FET_TRY(fet__nas_measure(j->arch, MEASURED_RUNS, j->o.train.seed, &r->measured_ms));
    if (r->measured_ms > limit_ms)
        fet__warn("measured, the network takes %.4g ms where %.4g ms are the limit (and %.4g %s were predicted): is "
                  "the machine busy? A lower --latency searches a faster one",
                  r->measured_ms, limit_ms, r->latency, r->unit);
    st = write_result(j, r);
done:
    return st;
}

static void fill(const job *j, fet_nas_search_result *r)
{
    const fet__nas_search_result *s = &j->search;

    r->search_steps = s->steps;
    r->alpha_steps = s->alpha_steps;
    r->search_seconds = s->seconds;
    r->search_images_per_s = s->images_per_s;
    r->entropy = s->entropy;
    r->search_bytes = s->step_bytes > s->alpha_bytes ? s->step_bytes : s->alpha_bytes;
    r->candidate_bytes = s->weight_bytes;
    r->build_ms = 1e3 * s->build_seconds;
    r->step_ms = 1e3 * s->run_seconds;
}

fet_status fet_nas_search(const fet_nas_search_options *o, fet_nas_search_result *result)
{
    job j = {0};
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_nas_search: options or result is absent");
    memset(result, 0, sizeof *result);
    result->measured_ms = result->latency = result->latency_limit = (double)NAN;
    FET_TRY(take_options(&j, o));
    FET_TRY(open_data(&j));
    FET_TRY(open_frame(&j));
    FET_TRY(take_limits(&j));
    FET_TRY(take_preprocess(&j));
    FET_TRY(search(&j));
    fill(&j, result);
    FET_TRY(derive(&j, result));
    FET_TRY(train_found(&j, result));
    st = measure_found(&j, result);
done:
    if (st != FET_OK) {
        fet__free(result->arch);
        result->arch = NULL;
    }
    fet__nas_gates_fini(&j.search.gates);
    fet__nas_costs_fini(&j.costs);
    fet__arch_fini(&j.frame);
    fet__dataset_fini(&j.data);
    fet__free(j.choice);
    fet__free(j.arch);
    fet__free(j.arch_path);
    fet__free(j.record);
    fet_recipe_free(j.kept);
    return st;
}
