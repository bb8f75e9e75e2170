/* fet_meta: options to a model with its branch, the sites, and the run. */
#include "method/mabn_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VIEW "rrc+flip+jitter=0.4-0.4-0.2-0.1,p=0.8+gray=0.2+"
static const char view1_default[] = VIEW "blur", view2_default[] = VIEW "blur=0.1+solarize=0.2";

void fet_meta_defaults(fet_meta_options *o)
{
    *o = (fet_meta_options){.stage = "both",
                            .epochs = 20,
                            .batch = 32,
                            .lr = 1e-4,
                            .support = 12,
                            .query = 12,
                            .inner_lr = 3e-4,
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
                            .view2 = view2_default};
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
    if (!o->model || !o->data || !o->out)
        return FET_FAIL(FET_E_ARG, "model, data and out are needed");
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
    if (!(o->inner_lr >= 0) || !(o->outer_lr >= 0) || !(o->lr >= 0) || !(o->lambda >= 0) ||
        !(o->tau >= 0 && o->tau <= 1))
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

static fet_status open_branch(fet__mabn *a, fet__model *m, const fet_meta_options *o)
{
    char *path = fet__is_folder(o->model) ? fet__path_join(o->model, "branch.safetensors") : NULL;
    bool there = path && fet__file_exists(path);
    fet_status st;

    if (there)
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

/* What adaptation reads later, and what run.json records. */
static char *config_of(const fet_meta_options *o)
{
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:i, s:f, s:I, s:i, s:i, s:f, s:i, s:i, s:f, s:f, s:s, s:f, s:s, s:s, s:s, s:I}",
        "model", o->model, "data", o->data, "stage", o->stage, "holdout", o->holdout ? o->holdout : "", "epochs",
        (json_int_t)o->epochs, "batch", o->batch, "lr", o->lr, "episodes", (json_int_t)o->episodes, "support",
        o->support, "query", o->query, "inner_lr", o->inner_lr, "inner_steps", o->inner_steps, "order", o->order,
        "outer_lr", o->outer_lr, "lambda", o->lambda, "target", o->target, "tau", o->tau, "head_norm", o->head_norm,
        "view1", o->view1, "view2", o->view2, "seed", (json_int_t)o->seed);
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    char *own = text ? fet__strdup(text) : NULL;

    free(text);
    json_decref(j);
    return own;
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

    options.episode = (fet__episode_options){
        .inner_lr = o->inner_lr, .lambda = o->lambda, .inner_steps = o->inner_steps, .second_order = o->order == 2};
    FET_TRY(fet__augment_parse(&view[0], o->view1 ? o->view1 : view1_default, a->m->input.height, a->m->input.width));
    FET_TRY(fet__augment_parse(&view[1], o->view2 ? o->view2 : view2_default, a->m->input.height, a->m->input.width));
    st = fet__mabn_run(out, a, d, &options);
done:
    return st;
}

fet_status fet_meta(const fet_meta_options *o, fet_meta_result *result)
{
    fet__mabn_result r = {0};
    fet__dataset d = {0};
    fet__model *m = NULL;
    fet__mabn a;
    char *config = NULL;
    bool fresh;
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_meta: options or result are absent");
    memset(result, 0, sizeof *result);
    FET_TRY(check(o));
    FET_TRY(fet__model_open_with(&m, o->model, &o->model_options, o->seed));
    FET_TRY(fet__sites_open(&d, o->data, &o->data_options, NULL));
    if (o->holdout && o->holdout[0])
        FET_TRY(hold_out(&d, o->holdout));
    if (d.domain_count < 2)
        fet__warn("%s: one domain alone: nothing is learned about the differences between domains", fet__show(d.root));
    FET_TRY(fet__model_set_classes(m, d.class_count, (const char *const *)d.classes, &fresh));
    if (fresh)
        fet__note("the head begins anew with %d classes", d.class_count);
    fet__model_take_data_options(m, &o->data_options);
    FET_TRY(open_branch(&a, m, o));
    if (!(config = config_of(o))) {
        st = FET_FAIL(FET_E_ARG, "a path among the options is not UTF-8, or there is no memory");
        goto done;
    }
    FET_TRY(run(o, &a, &d, config, &r));
    *result =
        (fet_meta_result){.steps = r.steps,
                          .episodes = r.episodes,
                          .skipped = r.skipped,
                          .joint_loss = r.joint_loss,
                          .outer_loss = r.outer_loss,
                          .seconds = r.seconds,
                          .step_seconds = r.step_seconds,
                          .adapting = r.adapting,
                          .planned_bytes = r.planned_bytes,
                          .val = {r.val.top1, r.val.top5, r.val.macro_f1, r.val.loss, r.val.images, r.val.skipped}};
done:
    fet__free(config);
    fet__dataset_fini(&d);
    fet__model_close(m);
    return st;
}
