/* The run of `fettle meta`: joint steps over all source domains, then episodes of one domain each. Draws are functions of (seed, stage,
 * step), and everything that changes is in state.safetensors, so that a run killed at any moment ends with the same bits. */
#include "train/mabn.h"
#include "train/sites_draw.h"
#include "train/train_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_SECONDS 60.0
#define CACHE_BYTES ((int64_t)256 << 20)
#define STAGES 72 /* experts and what follows them */
#define CONTEXT_PICTURES 32

typedef struct stage {
    char name[24];
    enum { JOINT, META, PLAIN, ARM, AGGREGATE, EPISODE } kind;
    int expert, batch;   /* PLAIN: whose, -1: the model's */
    int64_t steps, each; /* each: of an epoch */
    double loss;         /* of the last step */
} stage;

typedef struct run {
    const fet__mabn_options *o;
    fet__mabn *a;
    const fet__dataset *d;
    fet__run_folder folder;
    char *branch;
    fet__optimizer_options optimizer;
    fet__mabn_step step;
    fet__views *views;
    fet__draw draw;
    stage stage[STAGES];
    int stages;
    int64_t now, at; /* what is done: `at` steps of stage `now` */
    int64_t skipped;
    double seconds, begun, saved;
    fet__text log;
    fet__mabn_result *out;
} run;

/* ---- stages of the methods ------------------------------------------------------------------------------------------- */

static bool is_episode(const stage *s)
{
    return s->kind == META || s->kind == EPISODE;
}

/* Passes over the pictures of the pool. */
static fet_status add_passes(run *r, const char *name, int kind, int expert)
{
    stage *s = &r->stage[r->stages++];
    const fet__mabn_options *o = r->o;

    *s = (stage){.kind = kind, .expert = expert, .batch = o->batch};
    snprintf(s->name, sizeof s->name, "%s", name);
    fet__draw_pool(&r->draw, expert);
    if (expert >= 0 && s->batch > r->draw.pool_count)
        s->batch = r->draw.pool_count; /* a group of few pictures */
    if (r->draw.pool_count < s->batch || r->draw.pool_count < 2)
        return FET_FAIL(FET_E_DATA, "%s: %d training pictures are fewer than a batch of %d", fet__show(r->d->root),
                        r->draw.pool_count, s->batch < 2 ? 2 : s->batch);
    s->each = r->draw.pool_count / s->batch;
    s->steps = o->epochs * s->each;
    return FET_OK;
}

/* Steps that take `need` pictures of a site, of `sites` sites. */
static fet_status add_sites(run *r, const char *name, int kind, int need, int64_t steps)
{
    stage *s = &r->stage[r->stages++];

    *s = (stage){.kind = kind, .expert = -1, .steps = steps};
    snprintf(s->name, sizeof s->name, "%s", name);
    s->each = kind == ARM ? r->draw.source_count / (r->o->sites * need) : steps / 10;
    if (s->each < 1)
        s->each = 1;
    if (kind == ARM)
        s->steps = r->o->epochs * s->each;
    return fet__draw_need(&r->draw, need);
}

static fet_status list_experts(run *r)
{
    char name[24];
    fet_status st;

    FET_TRY(fet__draw_groups(&r->draw, r->a->experts));
    for (int k = 0; k < r->a->experts; k++) {
        snprintf(name, sizeof name, "expert%d", k);
        FET_TRY(add_passes(r, name, PLAIN, k));
    }
    FET_TRY(add_passes(r, "student", PLAIN, -1));
    st = add_passes(r, "aggregator", AGGREGATE, -1);
done:
    return st;
}

static fet_status list_stages(run *r)
{
    const fet__mabn_options *o = r->o;
    int need = o->support + o->query;
    int64_t episodes = o->episodes ? o->episodes : 10 * (r->draw.source_count / need + 1);
    fet_status st = FET_OK;

    switch (r->a->method) {
    case FET__SITES_ERM: return add_passes(r, "erm", PLAIN, -1);
    case FET__SITES_ARM_BN:
    case FET__SITES_ARM_CML:
    case FET__SITES_ARM_LL: return add_sites(r, "arm", ARM, o->support, 0);
    case FET__SITES_META_DMOE: FET_TRY(list_experts(r)); return add_sites(r, "meta", EPISODE, need, episodes);
    case FET__SITES_MABN: break;
    }
    if (o->joint)
        FET_TRY(add_passes(r, "joint", JOINT, -1));
    if (o->meta)
        FET_TRY(add_sites(r, "meta", META, need, episodes));
    if (o->meta && r->draw.able_count == 1)
        fet__warn("%s: one domain alone has episodes; what helps on others is not learned", fet__show(r->d->root));
done:
    return st;
}

/* ---- what a step looks at --------------------------------------------------------------------------------------------- */

static void feed_labels(run *r, const int32_t *index, int count)
{
    const fet__sample *of = r->d->samples[FET__TRAIN];

    for (int i = 0; i < count; i++) {
        if (r->step.label)
            r->step.label[i] = of[index[i]].label;
        else
            r->step.target[i] = of[index[i]].target;
    }
}

/* All experts but the one that knows the episode's site. */
static void feed_experts(run *r)
{
    int experts = r->a->experts, own = r->draw.group[r->draw.domain], used = 0;

    for (int i = 0; i < r->o->support; i++)
        for (int k = 0; k < experts; k++)
            if (k != own)
                r->step.keep[used++] = i * experts + k;
}

static fet_status feed(run *r)
{
    fet__mabn_step *s = &r->step;
    const stage *now = &r->stage[r->now];
    const int32_t *use = r->draw.use;
    int support = is_episode(now) ? r->o->support : 0, query = is_episode(now) ? r->o->query : now->batch;
    uint32_t number = (uint32_t)r->at * 2;
    char stream[40];
    fet_status st = FET_OK;

    snprintf(stream, sizeof stream, "mabn.%s", now->name);
    if (is_episode(now)) {
        fet__draw_episode(&r->draw, stream, r->at, support + query);
    } else if (now->kind == ARM) {
        fet__draw_chunks(&r->draw, stream, r->at, r->o->sites, r->o->support);
        query = r->o->sites * r->o->support;
    } else {
        fet__draw_batch(&r->draw, stream, r->at, query);
    }
    if (now->kind == META)
        FET_TRY(fet__views_make(r->views, use, support, number + 1, NULL, s->support[0], s->support[1]));
    else if (support)
        FET_TRY(fet__views_make(r->views, use, support, number + 1, s->support[0], NULL, NULL));
    FET_TRY(fet__views_make(r->views, use + support, query, number, s->plain, s->view[0], s->view[1]));
    feed_labels(r, use + support, query);
    if (s->keep)
        feed_experts(r);
done:
    return st;
}

/* ---- state ------------------------------------------------------------------------------------------------------------ */

static void mark_all(fet__params *store, bool on)
{
    for (int i = 0; i < fet__params_count(store); i++)
        if (fet__params_at(store, i)->role != FET__STATE)
            fet__params_at(store, i)->trainable = on;
}

static fet_status save(run *r)
{
    json_t *loss = json_array(), *j;

    for (int i = 0; i < r->stages; i++)
        json_array_append_new(loss, json_real(r->stage[i].loss));
    j = json_pack("{s:i, s:I, s:I, s:I, s:o, s:f, s:I}", "format", 2, "stage", (json_int_t)r->now, "at",
                  (json_int_t)r->at, "skipped", (json_int_t)r->skipped, "loss", loss, "seconds",
                  r->seconds + fet__now() - r->begun, "log_bytes", (json_int_t)r->log.length);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    fet__outfile *f = NULL;
    fet_status st = text ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(fet__outfile_open(&f, r->folder.log)); /* the log before the state, which says how much of it counts */
    fet__outfile_write(f, r->log.s, r->log.length);
    FET_TRY(fet__outfile_commit(f));
    mark_all(r->a->m->store, true);
    st = fet__state_write(r->folder.state, r->a->m->store, text);
    mark_all(r->a->m->store, false);
    r->saved = fet__now();
done:
    free(text);
    json_decref(j);
    return st;
}

static fet_status restore_log(run *r, int64_t bytes)
{
    fet__map map = {0};
    fet_status st;

    FET_TRY(fet__map_open(&map, r->folder.log));
    if ((int64_t)map.size < bytes || bytes < 0)
        st = FET_FAIL(FET_E_FORMAT, "%s: it is shorter than the state says", fet__show(r->folder.log));
    else
        fet__text_add(&r->log, (const char *)map.data, (size_t)bytes);
    fet__map_close(&map);
done:
    return st;
}

static fet_status peek(run *r)
{
    char *text = NULL;
    json_t *j = NULL;
    fet_status st;

    FET_TRY(fet__state_read(r->folder.state, NULL, &text));
    j = json_loads(text, 0, NULL);
    if (json_integer_value(json_object_get(j, "format")) != 2) {
        st = FET_FAIL(FET_E_FORMAT, "%s: not the state of a run of this version", fet__show(r->folder.state));
        goto done;
    }
    r->now = json_integer_value(json_object_get(j, "stage"));
    r->at = json_integer_value(json_object_get(j, "at"));
    r->skipped = json_integer_value(json_object_get(j, "skipped"));
    for (int i = 0; i < r->stages; i++)
        r->stage[i].loss = json_number_value(json_array_get(json_object_get(j, "loss"), (size_t)i));
    r->seconds = json_number_value(json_object_get(j, "seconds"));
    if (r->now < 0 || r->now >= r->stages || r->at < 0 || r->at > r->stage[r->now].steps)
        st = FET_FAIL(FET_E_FORMAT, "%s: stage or step are out of range", fet__show(r->folder.state));
    else
        st = restore_log(r, json_integer_value(json_object_get(j, "log_bytes")));
done:
    fet__free(text);
    json_decref(j);
    return st;
}

static fet_status write_run_json(const run *r)
{
    json_t *options = json_loads(r->o->config_json ? r->o->config_json : "{}", 0, NULL);
    json_t *j = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:i}}", "fettle", FETTLE_VERSION, "command", "meta", "options",
                          options ? options : json_object(), "data", "path", r->d->root, "fingerprint",
                          r->d->fingerprint, "domains", r->d->domain_count);
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    fet_status st = text ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    st = fet__file_write_text(r->folder.json, text);
done:
    free(text);
    json_decref(j);
    return st;
}

static fet_status check_data(const run *r)
{
    json_t *j = json_load_file(r->folder.json, 0, NULL);
    const char *then = json_string_value(json_object_get(json_object_get(j, "data"), "fingerprint"));
    fet_status st = FET_OK;

    if (!then || strcmp(then, r->d->fingerprint) != 0)
        st = FET_FAIL(FET_E_DATA, "%s: the data are not those that the run began with", fet__show(r->d->root));
    json_decref(j);
    return st;
}

/* ---- stages ----------------------------------------------------------------------------------------------------------- */

static void remove_states(fet__params *store)
{
    for (int i = fet__params_count(store) - 1; i >= 0; i--)
        if (fet__params_at(store, i)->role == FET__STATE)
            fet__params_remove(store, fet__params_at(store, i));
}

static fet_status create_program(run *r)
{
    const fet__mabn_options *o = r->o;
    const stage *s = &r->stage[r->now];

    switch (s->kind) {
    case JOINT: return fet__mabn_joint_create(&r->step, r->a, s->batch, o->episode.lambda, &r->optimizer, o->memory);
    case META:
        return fet__mabn_meta_create(&r->step, r->a, o->support, o->query, &o->episode, &r->optimizer, o->memory);
    case PLAIN: return fet__rival_plain_create(&r->step, r->a, s->expert, s->batch, &r->optimizer, o->memory);
    case ARM: return fet__rival_arm_create(&r->step, r->a, o->sites, o->support, &o->episode, &r->optimizer, o->memory);
    case AGGREGATE: return fet__rival_aggregate_create(&r->step, r->a, s->batch, &r->optimizer, o->memory);
    case EPISODE: break;
    }
    return fet__rival_episode_create(&r->step, r->a, o->support, o->query, &o->episode, &r->optimizer, o->memory);
}

/* Of a step. */
static int64_t pictures_of(const run *r)
{
    const stage *s = &r->stage[r->now];

    if (s->kind == ARM)
        return (int64_t)r->o->sites * r->o->support;
    return is_episode(s) ? r->o->support + r->o->query : s->batch;
}

static fet_status create_step(run *r)
{
    fet__program_info info;
    int64_t planned;
    fet_status st;

    mark_all(r->a->m->store, false);
    fet__draw_pool(&r->draw, r->stage[r->now].expert);
    FET_TRY(create_program(r));
    info = fet__program_describe(r->step.program);
    planned = info.total_bytes + info.weight_bytes + info.process_bytes;
    if (planned > r->out->planned_bytes)
        r->out->planned_bytes = planned;
    if (r->o->memory > 0 || info.repeated > 0)
        fet__note_budget(r->step.program, &info, (int)pictures_of(r), 1,
                         r->o->memory > 0 ? r->o->memory : planned + fet__free_memory());
    r->out->adapting = r->step.adapting;
done:
    return st;
}

static double rate_of(const run *r)
{
    return is_episode(&r->stage[r->now]) ? r->o->outer_lr : r->o->lr;
}

static void tell(run *r, double now, double begun, int64_t first)
{
    const fet__mabn_step *s = &r->step;
    const stage *here = &r->stage[r->now];
    fet__progress p = {.step = r->at + 1,
                       .steps = here->steps,
                       .epoch = r->at / here->each,
                       .epochs = (here->steps + here->each - 1) / here->each,
                       .loss = (double)*s->loss,
                       .lr = rate_of(r),
                       .top1 = -1};

    if ((r->at + 1) % here->each == 0 || r->at + 1 == here->steps)
        fet__text_printf(&r->log, "%s,%lld,%.9g,%.9g,%.9g,%.9g\n", here->name, (long long)r->at + 1, (double)*s->loss,
                         s->main ? (double)*s->main : 0, s->byol ? (double)*s->byol : 0,
                         s->inner ? (double)*s->inner : 0);
    p.images_per_s = (double)((r->at + 1 - first) * pictures_of(r)) / (now - begun + 1e-9);
    p.seconds_left = (now - begun) / (double)(r->at + 1 - first) * (double)(p.steps - p.step);
    if (r->o->progress)
        r->o->progress(r->o->user, &p);
}

static fet_status one_step(run *r)
{
    stage *s = &r->stage[r->now];
    fet_status st;

    FET_TRY(feed(r));
    fet__optimizer_bind(&r->optimizer, r->step.program, r->at, rate_of(r));
    if (r->step.tau)
        *r->step.tau = s->kind == JOINT ? (float)fet__byol_tau(0.996, r->at, s->steps) : (float)r->o->tau;
    st = fet__program_run(r->step.program);
    if (st == FET_E_NUMERIC && is_episode(s)) { /* nothing was changed: this episode is passed over */
        fet__warn("episode %lld: its loss is not finite; passed over", (long long)r->at + 1);
        r->skipped++;
        st = FET_OK;
    } else if (st == FET_OK) {
        s->loss = (double)*r->step.loss;
    }
done:
    return st;
}

static fet_status run_stage(run *r, bool restore)
{
    const stage *s = &r->stage[r->now];
    double begun;
    int64_t first = r->at;
    fet_status st;

    FET_TRY(create_step(r));
    if (restore) {
        mark_all(r->a->m->store, true);
        st = fet__state_read(r->folder.state, r->a->m->store, NULL);
        mark_all(r->a->m->store, false);
        FET_TRY(st);
    }
    begun = fet__now();
    for (; r->at < s->steps; r->at++) {
        if (r->o->stop && *r->o->stop) {
            FET_TRY(save(r));
            return FET_FAIL(FET_E_INTERRUPTED, "stopped in stage %s after %lld steps; %s continues with --resume",
                            s->name, (long long)r->at, fet__show(r->o->out));
        }
        FET_TRY(one_step(r));
        tell(r, fet__now(), begun, first);
        if (fet__now() - r->saved > SAVE_SECONDS) {
            r->at++;
            st = save(r);
            r->at--;
            FET_TRY(st);
        }
    }
    if (r->at > first)
        r->out->step_seconds = (fet__now() - begun) / (double)(r->at - first);
done:
    fet__mabn_step_fini(&r->step);
    return st;
}

/* The next stage begins without this one's states (its target with the last state of ours), and can be resumed from there. */
static fet_status enter_next(run *r)
{
    fet_status st;

    remove_states(r->a->m->store);
    r->now++;
    r->at = 0;
    FET_TRY(create_step(r)); /* makes the states that are saved */
    st = save(r);
    fet__mabn_step_fini(&r->step);
done:
    return st;
}

static fet_status run_stages(run *r, bool has_state)
{
    fet_status st = FET_OK;

    for (bool restore = has_state;; restore = false) {
        FET_TRY(run_stage(r, restore));
        if (r->now + 1 == r->stages)
            break;
        FET_TRY(enter_next(r));
    }
    st = save(r);
done:
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static int most_pictures(const fet__mabn_options *o)
{
    int episode = o->support + o->query, chunks = o->support * o->sites;

    return o->batch > episode ? (o->batch > chunks ? o->batch : chunks) : episode > chunks ? episode : chunks;
}

static fet_status open_run(run *r, bool *has_state)
{
    const fet__mabn_options *o = r->o;
    fet__views_options v = {.preprocess = fet__model_preprocess(r->a->m),
                            .view = {o->view[0], o->view[1]},
                            .seed = o->seed,
                            .cache_bytes = CACHE_BYTES,
                            .bands = fet__bands_read};
    fet_status st;

    r->optimizer = fet__optimizer_defaults();
    r->optimizer.kind = FET__ADAM;
    r->optimizer.weight_decay = 0;
    FET_TRY(fet__run_open(&r->folder, o->out, o->resume, has_state));
    if (!(r->branch = fet__path_join(o->out, "branch.safetensors")))
        return FET_E_NOMEM;
    FET_TRY(fet__draw_create(&r->draw, r->d, o->seed, most_pictures(o)));
    FET_TRY(list_stages(r));
    FET_TRY(fet__views_create(&r->views, r->d->samples[FET__TRAIN], r->d->count[FET__TRAIN], &v));
    if (*has_state) {
        FET_TRY(check_data(r));
        FET_TRY(peek(r));
        goto done;
    }
    FET_TRY(fet__make_folder(o->out));
    fet__text_printf(&r->log, "stage,step,loss,main,byol,inner\n");
    st = write_run_json(r);
done:
    return st;
}

/* What a picture's context is where nobody has adapted: the mean over pictures of all known sites. */
static fet_status mean_context(run *r)
{
    int count = r->draw.source_count < CONTEXT_PICTURES ? r->draw.source_count : CONTEXT_PICTURES;
    fet_status st;

    fet__draw_pool(&r->draw, -1);
    fet__draw_batch(&r->draw, "mabn.context", 0, count);
    FET_TRY(fet__rival_adapt_create(&r->step, r->a, count, &r->o->episode, r->o->memory));
    FET_TRY(fet__views_make(r->views, r->draw.use, count, 0, r->step.plain, NULL, NULL));
    st = fet__program_run(r->step.program);
done:
    fet__mabn_step_fini(&r->step);
    return st;
}

static void sum_up(const run *r)
{
    fet__mabn_result *out = r->out;

    for (int i = 0; i < r->stages; i++) {
        const stage *s = &r->stage[i];
        *(is_episode(s) ? &out->episodes : &out->steps) += s->steps;
        *(is_episode(s) ? &out->outer_loss : &out->joint_loss) = s->loss;
    }
    out->skipped = r->skipped;
    out->seconds = r->seconds + fet__now() - r->begun;
}

static fet_status write_results(run *r)
{
    fet__scores *scores = NULL;
    fet_status st;

    if (r->a->method == FET__SITES_ARM_CML)
        FET_TRY(mean_context(r));
    FET_TRY(fet__mabn_save_branch(r->a, r->branch, r->o->config_json ? r->o->config_json : "{}"));
    fet__mabn_drop_branch(r->a);
    r->a->m->base_fingerprint[0] = '\0';
    FET_TRY(fet__model_save(r->a->m, r->folder.model, NULL, 0));
    sum_up(r);
    FET_TRY(fet__scores_create(&scores, r->a->m, r->d));
    FET_TRY(fet__score(&scores, 1, r->a->m, r->d->samples[FET__VAL], r->d->count[FET__VAL], 32, r->o->memory));
    st = fet__scores_result(scores, &r->out->val);
done:
    fet__scores_destroy(scores);
    return st;
}

fet_status fet__mabn_run(fet__mabn_result *out, fet__mabn *a, const fet__dataset *d, const fet__mabn_options *o)
{
    run r = {.o = o, .a = a, .d = d, .out = out};
    bool has_state = false;
    fet_status st;

    memset(out, 0, sizeof *out);
    r.begun = r.saved = fet__now();
    FET_TRY(open_run(&r, &has_state));
    FET_TRY(run_stages(&r, has_state));
    st = write_results(&r);
done:
    fet__mabn_step_fini(&r.step);
    fet__views_destroy(r.views);
    fet__run_close(&r.folder);
    fet__text_fini(&r.log);
    fet__free(r.branch);
    fet__draw_fini(&r.draw);
    return st;
}
