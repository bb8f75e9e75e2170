/* The run of `fettle meta`: joint steps over all source domains, then episodes of one domain each. Draws are functions of (seed, stage,
 * step), and everything that changes is in state.safetensors, so that a run killed at any moment ends with the same bits. */
#include "train/mabn.h"
#include "train/train_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_SECONDS 60.0
#define CACHE_BYTES ((int64_t)256 << 20)
enum { JOINT, META, STAGES };
static const char *const stage_names[STAGES] = {"joint", "meta"};

typedef struct run {
    const fet__mabn_options *o;
    fet__mabn *a;
    const fet__dataset *d;
    fet__run_folder folder;
    char *branch;
    fet__optimizer_options optimizer;
    fet__mabn_step step;
    fet__views *views;
    int32_t *order, *domain_first, *domain_count; /* source samples by domain: order[first .. first + count) */
    int32_t *use;                                 /* of the running step */
    int source_count, domain_used;
    int32_t *domains;  /* with enough pictures for an episode */
    int64_t stage, at; /* what is done: `at` steps of the stage */
    int64_t steps[STAGES], skipped;
    double loss[STAGES], seconds, begun, saved;
    fet__text log;
    fet__mabn_result *out;
} run;

/* ---- what a step looks at --------------------------------------------------------------------------------------------- */

static fet_status list_domains(run *r)
{
    const fet__dataset *d = r->d;
    int need = r->o->support + r->o->query, used = 0;
    fet_status st;

    FET_TRY(FET_NEW(r->order, d->count[FET__TRAIN] + 1));
    FET_TRY(FET_NEW(r->domain_first, d->domain_count + 1));
    FET_TRY(FET_NEW(r->domain_count, d->domain_count + 1));
    FET_TRY(FET_NEW(r->domains, d->domain_count + 1));
    FET_TRY(FET_NEW(r->use, need > r->o->batch ? need : r->o->batch));
    for (int k = 0; k < (d->domain_count ? d->domain_count : 1); k++) {
        r->domain_first[k] = used;
        for (int i = 0; i < d->count[FET__TRAIN]; i++)
            if (d->samples[FET__TRAIN][i].domain == k)
                r->order[used++] = i;
        r->domain_count[k] = used - r->domain_first[k];
        if (r->domain_count[k] >= need)
            r->domains[r->domain_used++] = k;
        else if (r->o->meta && r->domain_count[k] > 0)
            fet__warn("domain %s: its %d pictures are fewer than support and query together (%d): no episodes",
                      d->domain_count ? fet__show(d->domains[k]) : "", r->domain_count[k], need);
    }
    r->source_count = used;
    if (r->o->joint && used < r->o->batch)
        st = FET_FAIL(FET_E_DATA, "%s: %d training pictures are fewer than a batch of %d", fet__show(d->root), used,
                      r->o->batch);
    else if (r->o->meta && r->domain_used == 0)
        st = FET_FAIL(FET_E_DATA, "%s: no domain has %d pictures for support and query", fet__show(d->root), need);
    else if (r->o->meta && r->domain_used == 1)
        fet__warn("%s: one domain alone has episodes; what helps on others is not learned", fet__show(d->root));
done:
    return st;
}

/* The joint batch: the next pictures of this epoch's order. */
static void draw_batch(run *r, int64_t step)
{
    int64_t each = r->source_count / r->o->batch, epoch = step / each, first = step % each * r->o->batch;
    fet__rng rng = {.seed = r->o->seed, .stream = fet__hash32("mabn.joint"), .step = (uint32_t)epoch};
    int32_t *all = NULL;

    if (FET_NEW(all, r->source_count) != FET_OK)
        return;
    memcpy(all, r->order, (size_t)r->source_count * sizeof *all);
    fet__rng_shuffle(&rng, all, r->source_count);
    memcpy(r->use, all + first, (size_t)r->o->batch * sizeof *all);
    fet__free(all);
}

/* An episode: a domain, and of it support and query, disjoint. */
static void draw_episode(run *r, int64_t step)
{
    fet__rng rng = {.seed = r->o->seed, .stream = fet__hash32("mabn.meta"), .step = (uint32_t)step};
    int32_t k = r->domains[fet__rng_int(&rng, 0, r->domain_used - 1)];
    int need = r->o->support + r->o->query, count = r->domain_count[k];
    int32_t *of = r->order + r->domain_first[k];

    for (int i = 0; i < need; i++) { /* the first `need` of a shuffle, without moving what lies in `order` */
        int32_t pick;
        bool again;
        do {
            pick = of[fet__rng_int(&rng, 0, count - 1)];
            again = false;
            for (int j = 0; j < i; j++)
                again = again || r->use[j] == pick;
        } while (again);
        r->use[i] = pick;
    }
}

static fet_status feed(run *r)
{
    fet__mabn_step *s = &r->step;
    int support = r->stage == META ? r->o->support : 0, query = r->stage == META ? r->o->query : r->o->batch;
    uint32_t number = (uint32_t)r->at * 2;
    fet_status st = FET_OK;

    if (r->stage == META)
        draw_episode(r, r->at);
    else
        draw_batch(r, r->at);
    if (support)
        FET_TRY(fet__views_make(r->views, r->use, support, number + 1, NULL, s->support[0], s->support[1]));
    FET_TRY(fet__views_make(r->views, r->use + support, query, number, s->plain, s->view[0], s->view[1]));
    for (int i = 0; i < query && s->label; i++)
        s->label[i] = r->d->samples[FET__TRAIN][r->use[support + i]].label;
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
    json_t *j =
        json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:f, s:I}", "format", 1, "stage", (json_int_t)r->stage, "at",
                  (json_int_t)r->at, "skipped", (json_int_t)r->skipped, "joint_loss", r->loss[JOINT], "outer_loss",
                  r->loss[META], "seconds", r->seconds + fet__now() - r->begun, "log_bytes", (json_int_t)r->log.length);
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
    if (json_integer_value(json_object_get(j, "format")) != 1) {
        st = FET_FAIL(FET_E_FORMAT, "%s: not the state of a run of this version", fet__show(r->folder.state));
        goto done;
    }
    r->stage = json_integer_value(json_object_get(j, "stage"));
    r->at = json_integer_value(json_object_get(j, "at"));
    r->skipped = json_integer_value(json_object_get(j, "skipped"));
    r->loss[JOINT] = json_number_value(json_object_get(j, "joint_loss"));
    r->loss[META] = json_number_value(json_object_get(j, "outer_loss"));
    r->seconds = json_number_value(json_object_get(j, "seconds"));
    if (r->stage < 0 || r->stage >= STAGES || r->at < 0 || r->at > r->steps[r->stage])
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
    fet__outfile *f = NULL;
    fet_status st = text ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(fet__outfile_open(&f, r->folder.json));
    fet__outfile_printf(f, "%s\n", text);
    st = fet__outfile_commit(f);
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

static fet_status create_step(run *r)
{
    const fet__mabn_options *o = r->o;
    fet__program_info info;
    fet_status st;

    mark_all(r->a->m->store, false);
    if (r->stage == JOINT)
        FET_TRY(fet__mabn_joint_create(&r->step, r->a, o->batch, o->episode.lambda, &r->optimizer, o->memory));
    else
        FET_TRY(fet__mabn_meta_create(&r->step, r->a, o->support, o->query, &o->episode, &r->optimizer, o->memory));
    info = fet__program_describe(r->step.program);
    if (info.total_bytes + info.weight_bytes > r->out->planned_bytes)
        r->out->planned_bytes = info.total_bytes + info.weight_bytes;
    r->out->adapting = r->step.adapting;
done:
    return st;
}

static void tell(run *r, double now)
{
    const fet__mabn_step *s = &r->step;
    int64_t each = r->stage == JOINT ? r->source_count / r->o->batch : r->steps[META] / 10 + 1;
    fet__progress p = {.step = r->at + 1,
                       .steps = r->steps[r->stage],
                       .epoch = r->at / each,
                       .epochs = (r->steps[r->stage] + each - 1) / each,
                       .loss = (double)*s->loss,
                       .lr = r->stage == JOINT ? r->o->lr : r->o->outer_lr,
                       .top1 = -1};

    if ((r->at + 1) % each == 0 || r->at + 1 == r->steps[r->stage])
        fet__text_printf(&r->log, "%s,%lld,%.9g,%.9g,%.9g,%.9g\n", stage_names[r->stage], (long long)r->at + 1,
                         (double)*s->loss, s->main ? (double)*s->main : 0, s->byol ? (double)*s->byol : 0,
                         s->inner ? (double)*s->inner : 0);
    p.seconds_left = r->at > 0 ? (now - r->begun) / (double)(r->at + 1) * (double)(p.steps - p.step) : 0;
    p.images_per_s = 0;
    if (r->o->progress)
        r->o->progress(r->o->user, &p);
}

static fet_status one_step(run *r)
{
    double lr = r->stage == JOINT ? r->o->lr : r->o->outer_lr;
    fet_status st;

    FET_TRY(feed(r));
    fet__optimizer_bind(&r->optimizer, r->step.program, r->at, lr);
    if (r->step.tau)
        *r->step.tau = r->stage == JOINT ? (float)fet__byol_tau(0.996, r->at, r->steps[JOINT]) : (float)r->o->tau;
    st = fet__program_run(r->step.program);
    if (st == FET_E_NUMERIC && r->stage == META) { /* nothing was changed: this episode is passed over */
        fet__warn("episode %lld: its loss is not finite; passed over", (long long)r->at + 1);
        r->skipped++;
        st = FET_OK;
    } else if (st == FET_OK) {
        r->loss[r->stage] = (double)*r->step.loss;
    }
done:
    return st;
}

static fet_status run_stage(run *r, bool restore)
{
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
    for (; r->at < r->steps[r->stage]; r->at++) {
        if (r->o->stop && *r->o->stop) {
            FET_TRY(save(r));
            return FET_FAIL(FET_E_INTERRUPTED, "stopped in stage %s after %lld steps; %s continues with --resume",
                            stage_names[r->stage], (long long)r->at, fet__show(r->o->out));
        }
        FET_TRY(one_step(r));
        tell(r, fet__now());
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

static fet_status run_stages(run *r, bool has_state)
{
    bool wanted[STAGES] = {r->o->joint, r->o->meta};
    fet_status st = FET_OK;

    if (!has_state)
        r->stage = r->o->joint ? JOINT : META;
    for (bool restore = has_state; r->stage < STAGES; r->stage++, r->at = 0, restore = false) {
        if (!wanted[r->stage])
            continue;
        FET_TRY(run_stage(r, restore));
        if (r->stage == JOINT && r->o->meta) { /* the second stage's target begins with the first one's last state */
            remove_states(r->a->m->store);
            r->stage = META, r->at = 0;
            FET_TRY(create_step(r)); /* makes the states that are saved */
            st = save(r);
            fet__mabn_step_fini(&r->step);
            FET_TRY(st);
            r->stage = JOINT;
        }
    }
    r->stage = r->o->meta ? META : JOINT;
    r->at = r->steps[r->stage];
    st = save(r);
done:
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static fet_status open_run(run *r, bool *has_state)
{
    const fet__mabn_options *o = r->o;
    fet__views_options v = {.preprocess = fet__model_preprocess(r->a->m),
                            .view = {o->view[0], o->view[1]},
                            .seed = o->seed,
                            .cache_bytes = CACHE_BYTES};
    fet_status st;

    r->optimizer = fet__optimizer_defaults();
    r->optimizer.kind = FET__ADAM;
    r->optimizer.weight_decay = 0;
    FET_TRY(fet__run_open(&r->folder, o->out, o->resume, has_state));
    if (!(r->branch = fet__path_join(o->out, "branch.safetensors")))
        return FET_E_NOMEM;
    FET_TRY(list_domains(r));
    r->steps[JOINT] = o->joint ? o->epochs * (r->source_count / o->batch) : 0;
    r->steps[META] = o->meta ? o->episodes : 0;
    if (o->meta && o->episodes == 0)
        r->steps[META] = 10 * (r->source_count / (o->support + o->query) + 1);
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

static fet_status write_results(run *r)
{
    fet__mabn_result *out = r->out;
    fet_status st;

    FET_TRY(fet__mabn_save_branch(r->a, r->branch, r->o->config_json ? r->o->config_json : "{}"));
    fet__mabn_drop_branch(r->a);
    r->a->m->base_fingerprint[0] = '\0';
    FET_TRY(fet__model_save(r->a->m, r->folder.model, NULL, 0));
    out->steps = r->steps[JOINT];
    out->episodes = r->steps[META];
    out->skipped = r->skipped;
    out->joint_loss = r->loss[JOINT];
    out->outer_loss = r->loss[META];
    out->seconds = r->seconds + fet__now() - r->begun;
    if (r->d->count[FET__VAL] > 0)
        st = fet__evaluate(&out->val, r->a->m, r->d, FET__VAL, 32, r->o->memory);
done:
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
    fet__free(r.order);
    fet__free(r.domain_first);
    fet__free(r.domain_count);
    fet__free(r.domains);
    fet__free(r.use);
    return st;
}
