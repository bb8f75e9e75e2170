/* fet_meta: options to a model with its branch, the sites, and the run. */
#include "method/mabn_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT_MAPS 64 /* inside of a context network */
#define MOST_EXPERTS 4
#define VIEW "rrc+flip+jitter=0.4-0.4-0.2-0.1,p=0.8+gray=0.2+"
static const char view1_default[] = VIEW "blur", view2_default[] = VIEW "blur=0.1+solarize=0.2";

void fet_meta_defaults(fet_meta_options *o)
{
    *o = (fet_meta_options){.method = "mabn",
                            .stage = "both",
                            .epochs = 20,
                            .batch = 32,
                            .lr = 1e-4,
                            .support = 12,
                            .query = 12,
                            .inner_lr = -1,
                            .inner_steps = 1,
                            .order = 2,
                            .outer_lr = 3e-5,
                            .lambda = 0.1,
                            .hidden = 4096,
                            .projection = 256,
                            .target = "ema",
                            .tau = 0.996,
                            .head_norm = "frozen",
                            .view1 = view1_default,
                            .view2 = view2_default,
                            .meta_batch = 2,
                            .context = 3};
}

static int word(const char *value, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (value && strcmp(value, words[i]) == 0)
            return i;
    return -1;
}

static const char *const stages[] = {"both", "joint", "meta", NULL},
                         *const targets[] = {"ema", "online", "fixed", NULL},
                         *const norms[] = {"frozen", "batch", NULL};

static fet_status check(const fet_meta_options *o)
{
    if (!o->model || !o->data)
        return FET_FAIL(FET_E_ARG, "model and data are needed");
    if (word(o->stage, stages) < 0)
        return FET_FAIL(FET_E_ARG, "stage '%s' is none of both, joint, meta", fet__show(o->stage ? o->stage : ""));
    if (word(o->target, targets) < 0)
        return FET_FAIL(FET_E_ARG, "target '%s' is none of ema, online, fixed", fet__show(o->target ? o->target : ""));
    if (word(o->head_norm, norms) < 0)
        return FET_FAIL(FET_E_ARG, "head norm '%s' is neither frozen nor batch",
                        fet__show(o->head_norm ? o->head_norm : ""));
    if (o->batch < 2 || o->support < 1 || o->query < 1 || o->epochs < 0 || o->episodes < 0)
        return FET_FAIL(FET_E_ARG, "batch (at least 2), support, query, epochs or episodes are out of range");
    if (o->order != 1 && o->order != 2)
        return FET_FAIL(FET_E_ARG, "order %d is neither 1 nor 2", o->order);
    if (o->meta_batch < 1 || o->meta_batch > 256 || o->context < 1 || o->context > 256 || o->experts < 0 ||
        o->experts > 64 || o->experts == 1)
        return FET_FAIL(FET_E_ARG, "meta batch (1 to 256), context (1 to 256) or experts (2 to 64) are out of range");
    if (!(o->outer_lr >= 0) || !(o->lr >= 0) || !(o->lambda >= 0) || !(o->tau >= 0 && o->tau <= 1))
        return FET_FAIL(FET_E_ARG, "a rate, lambda or tau (0 to 1) is out of range");
    if (o->hidden < 1 || o->projection < 1 || o->hidden > 65536 || o->projection > 65536)
        return FET_FAIL(FET_E_ARG, "hidden %d and projection %d: 1 to 65536", o->hidden, o->projection);
    return FET_OK;
}

fet_status fet__sites_open(fet__dataset *out, const char *path, const fet_data_options *o, const fet__model *m)
{
    fet__dataset_options options;
    fet_status st;

    FET_TRY(fet__data_options_from(&options, o));
    options.sites = true;
    options.numbers = true;
    if (m && m->class_count) {
        options.model_classes = (const char *const *)m->classes;
        options.model_class_count = m->class_count;
    }
    st = fet__dataset_open(out, path, &options);
done:
    return st;
}

/* ---- the domain that stays outside ------------------------------------------------------------------------------------- */

static fet_status hold_out(fet__dataset *d, const char *name)
{
    int held = 0, moved = 0;
    fet_status st = FET_OK;

    while (held < d->domain_count && strcmp(d->domains[held], name) != 0)
        held++;
    if (held == d->domain_count)
        return FET_FAIL(FET_E_ARG, "%s: it has no domain '%s' to hold out", fet__show(d->root), fet__show(name));
    for (int s = 0; s < FET__SPLITS; s++) {
        int kept = 0;
        for (int i = 0; i < d->count[s]; i++) {
            if (d->samples[s][i].domain != held)
                d->samples[s][kept++] = d->samples[s][i];
            else
                moved++;
        }
        d->count[s] = kept;
    }
    fet__note("%s: the %d pictures of domain %s take no part", fet__show(d->root), moved, fet__show(name));
    if (d->count[FET__TRAIN] == 0)
        st = FET_FAIL(FET_E_DATA, "%s: no training pictures are left without domain '%s'", fet__show(d->root),
                      fet__show(name));
    return st;
}

/* ---- model and branch --------------------------------------------------------------------------------------------------- */

/* What is told to resume ends where it began: the initial values are drawn again and the state replaces them. */
static fet_status open_branch(fet__mabn *a, fet__model *m, const fet_meta_options *o, fet__sites_method method)
{
    char *path = fet__is_folder(o->model) ? fet__path_join(o->model, "branch.safetensors") : NULL;
    bool there = path && fet__file_exists(path);
    fet_status st;

    if (method != FET__SITES_MABN)
        st = fet__rival_init(a, m, method, o->context, CONTEXT_MAPS, o->experts);
    else if (there)
        st = fet__mabn_load_branch(a, m, path, NULL);
    else if (strcmp(o->stage, "meta") == 0)
        st = FET_FAIL(FET_E_ARG, "%s: it has no branch.safetensors: train one with --stage joint, or both stages",
                      fet__show(o->model));
    else
        st = fet__mabn_init(a, m, o->hidden, o->projection);
    fet__free(path);
    if (st != FET_OK)
        return st;
    a->net.target = strcmp(o->target, "online") == 0 ? FET__TARGET_ONLINE : FET__TARGET_FOLLOWS;
    a->net.head_batch = strcmp(o->head_norm, "batch") == 0;
    return FET_OK;
}

static void forward_progress(void *user, const fet__progress *p)
{
    const fet_meta_options *o = user;
    fet_train_progress q = {p->step, p->steps,        p->epoch,        p->epochs, p->loss,
                            p->lr,   p->images_per_s, p->seconds_left, p->top1};

    o->progress(o->user, &q);
}

static fet_status run(const fet_meta_options *o, fet__mabn *a, const fet__dataset *d, const char *config,
                      fet__mabn_result *out)
{
    fet__augment_plan view[2];
    int stage = word(o->stage, stages);
    union {
        const void *in;
        void *out;
    } user = {o};
    fet__mabn_options options = {.out = o->out,
                                 .resume = o->resume,
                                 .joint = stage != 2,
                                 .meta = stage != 1,
                                 .epochs = o->epochs,
                                 .episodes = o->episodes,
                                 .batch = o->batch,
                                 .support = o->support,
                                 .query = o->query,
                                 .sites = o->meta_batch,
                                 .lr = o->lr,
                                 .outer_lr = o->outer_lr,
                                 .tau = strcmp(o->target, "fixed") == 0 ? 1 : o->tau,
                                 .view = view,
                                 .seed = o->seed,
                                 .memory = fet__budget(o->memory),
                                 .config_json = config,
                                 .progress = o->progress ? forward_progress : NULL,
                                 .user = user.out,
                                 .stop = o->stop};
    fet_status st;

    options.episode = (fet__episode_options){.inner_lr = o->inner_lr,
                                             .lambda = o->lambda,
                                             .inner_steps = o->inner_steps,
                                             .second_order = o->order == 2,
                                             .squared = a->squared};
    FET_TRY(fet__augment_parse(&view[0], o->view1 ? o->view1 : view1_default, a->m->input.height, a->m->input.width));
    FET_TRY(fet__augment_parse(&view[1], o->view2 ? o->view2 : view2_default, a->m->input.height, a->m->input.width));
    st = fet__mabn_run(out, a, d, &options);
done:
    return st;
}

typedef struct job {
    fet_meta_options o;
    void *texts;
    fet__sites_method method;
    fet__dataset d;
    fet__model *m;
    fet__mabn a;
    char *config;
} job;

static fet_status take_options(job *j)
{
    fet_status st;

    if (!j->o.out)
        return FET_FAIL(FET_E_ARG, "out (the RUN folder) is needed");
    if (j->o.resume)
        FET_TRY(fet__meta_from_run(&j->o, j->o.out, &j->texts));
    if (!fet__sites_method_parse(j->o.method, &j->method))
        return FET_FAIL(FET_E_ARG, "method '%s' is none of mabn, erm, arm-bn, arm-cml, arm-ll, meta-dmoe",
                        fet__show(j->o.method ? j->o.method : ""));
    FET_TRY(check(&j->o));
    if (!j->o.resume)
        FET_TRY(fet__meta_check_method(&j->o, j->method));
    if (j->o.inner_lr < 0)
        j->o.inner_lr = j->method == FET__SITES_ARM_LL ? 0.1 : 3e-4;
    st = FET_OK;
done:
    return st;
}

/* One for every site that takes part, within bounds; the draw refuses more than there are. */
static int usual_experts(const fet__dataset *d)
{
    int sites = 0;

    for (int k = 0; k < d->domain_count; k++)
        for (int i = 0; i < d->count[FET__TRAIN]; i++)
            if (d->samples[FET__TRAIN][i].domain == k) {
                sites++;
                break;
            }
    return sites < 2 ? 2 : sites < MOST_EXPERTS ? sites : MOST_EXPERTS;
}

static fet_status open_data(job *j)
{
    fet_meta_options *o = &j->o;
    bool fresh;
    fet_status st;

    FET_TRY(fet__sites_open(&j->d, o->data, &o->data_options, NULL));
    if (o->holdout && o->holdout[0])
        FET_TRY(hold_out(&j->d, o->holdout));
    if (j->d.domain_count < 2)
        fet__warn("%s: one domain alone: nothing is learned about the differences between domains",
                  fet__show(j->d.root));
    if (o->experts == 0)
        o->experts = usual_experts(&j->d);
    if (j->d.regression)
        FET_TRY(fet__model_set_classes(j->m, 1, NULL, &fresh));
    else
        FET_TRY(fet__model_set_classes(j->m, j->d.class_count, (const char *const *)j->d.classes, &fresh));
    if (fresh)
        fet__note("the head begins anew with %d outputs", j->m->arch.classes);
    j->m->input.standardize = j->m->input.standardize || j->d.standardize;
    o->data_options.format = j->d.format;
    fet__model_take_data_options(j->m, &o->data_options);
done:
    return st;
}

static fet_status train(job *j, fet_meta_result *result)
{
    fet__mabn_result r = {0};
    fet_status st;

    FET_TRY(take_options(j));
    FET_TRY(fet__model_open_with(&j->m, j->o.model, &j->o.model_options, j->o.seed));
    FET_TRY(open_data(j));
    FET_TRY(open_branch(&j->a, j->m, &j->o, j->method));
    j->a.squared = j->d.regression;
    if (!(j->config = fet__meta_to_json(&j->o)))
        return FET_E_ARG;
    FET_TRY(run(&j->o, &j->a, &j->d, j->config, &r));
    *result = (fet_meta_result){.steps = r.steps,
                                .episodes = r.episodes,
                                .skipped = r.skipped,
                                .joint_loss = r.joint_loss,
                                .outer_loss = r.outer_loss,
                                .seconds = r.seconds,
                                .step_seconds = r.step_seconds,
                                .adapting = r.adapting,
                                .planned_bytes = r.planned_bytes,
                                .val = fet__eval_result_out(&r.val.all),
                                .r = r.val.r,
                                .worst = r.val.worst};
done:
    return st;
}

fet_status fet_meta(const fet_meta_options *o, fet_meta_result *result)
{
    job *j = NULL;
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_meta: options or result are absent");
    memset(result, 0, sizeof *result);
    FET_TRY(FET_NEW(j, 1));
    j->o = *o;
    st = train(j, result);
    fet__free(j->config);
    fet__dataset_fini(&j->d);
    fet__model_close(j->m);
    fet__meta_texts_free(j->texts);
    fet__free(j);
done:
    return st;
}
