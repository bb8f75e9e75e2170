/* fet_adapt: from a new site's pictures to a file of scales, shifts or statistics; for sites with labels also what it brings. Each site
 * begins from the same trained values. */
#include "method/mabn_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TENT_RATE 1e-3
enum { AFFINE = 1, STATS = 2, OWN = 4 }; /* OWN: what the method alone knows */

typedef fet__adapt_work work;

void fet_adapt_defaults(fet_adapt_options *o)
{
    *o = (fet_adapt_options){.count = 12, .inner_lr = -1, .prior = 16};
}

/* ---- options ---------------------------------------------------------------------------------------------------------- */

typedef struct way {
    const char *name;
    int what;         /* what it changes if nothing else is said */
    bool affine;      /* may change scales and shifts */
    int trained;      /* the method by which RUN must have been trained; -1: any */
    const char *spec; /* of the file, where it is not of norms */
} way;
static const way ways[] = {{"mabn", AFFINE, true, FET__SITES_MABN, NULL},
                           {"bn", STATS, false, -1, NULL},
                           {"tent", AFFINE, true, -1, NULL},
                           {"arm-bn", STATS, false, -1, NULL},
                           {"arm-cml", OWN, false, FET__SITES_ARM_CML, "site:adapt=context"},
                           {"arm-ll", OWN, false, FET__SITES_ARM_LL, "full"},
                           {"meta-dmoe", OWN, false, FET__SITES_META_DMOE, "full"}};

static fet_status find_way(work *w)
{
    const char *method = w->o->method;
    size_t i = 0;

    if (!method)
        method = w->trained >= 0 ? fet__sites_method_name((fet__sites_method)w->trained) : "mabn";
    while (i < FET_COUNT(ways) && strcmp(method, ways[i].name) != 0)
        i++;
    if (i == FET_COUNT(ways))
        return !w->o->method
                   ? FET_FAIL(
                         FET_E_ARG,
                         "%s was trained by method %s, which has no adaptation of its own: choose bn, tent or arm-bn",
                         fet__show(w->o->model), method)
                   : FET_FAIL(FET_E_ARG, "method '%s' is none of mabn, bn, tent, arm-bn, arm-cml, arm-ll, meta-dmoe",
                              fet__show(method));
    w->way = &ways[i];
    if (w->way->trained >= 0 && w->way->trained != w->trained)
        return FET_FAIL(FET_E_ARG, "%s: method %s needs a RUN that was trained for it (fettle meta --method %s)%s%s",
                        fet__show(w->o->model), method, method, w->trained >= 0 ? "; this one was by " : "",
                        w->trained >= 0 ? fet__sites_method_name((fet__sites_method)w->trained) : "");
    return FET_OK;
}

static fet_status check_method(work *w)
{
    const fet_adapt_options *o = w->o;
    fet_status st;

    FET_TRY(find_way(w));
    w->what = w->way->what;
    w->prior = strcmp(w->way->name, "arm-bn") == 0 ? 0 : o->prior;
    if (!o->adapt)
        return FET_OK;
    if (w->what == OWN)
        return FET_FAIL(FET_E_ARG, "method '%s' decides itself what it changes: adapt means nothing to it",
                        w->way->name);
    w->what = strcmp(o->adapt, "affine") == 0  ? AFFINE
              : strcmp(o->adapt, "stats") == 0 ? STATS
              : strcmp(o->adapt, "both") == 0  ? AFFINE | STATS
                                               : 0;
    if (!w->what)
        return FET_FAIL(FET_E_ARG, "adapt '%s' is none of affine, stats, both", fet__show(o->adapt));
    if ((w->what & AFFINE) && !w->way->affine)
        return FET_FAIL(FET_E_ARG, "method '%s' changes statistics alone (--adapt stats)", w->way->name);
done:
    return st;
}

static fet_status check(work *w)
{
    const fet_adapt_options *o = w->o;

    if (!o->model || !o->out || !o->images == !o->data)
        return FET_FAIL(FET_E_ARG, "model, out, and either images or data are needed");
    if (o->count < 0 || o->count > 65536 || o->inner_steps < 0 || !(o->prior >= 0))
        return FET_FAIL(FET_E_ARG, "count, inner steps or prior are out of range");
    if (o->images && o->shuffle_domains)
        return FET_FAIL(FET_E_ARG, "domains are shuffled where there are several: give data, not images");
    return FET_OK;
}

static double number_of(const json_t *j, const char *key, double fallback)
{
    const json_t *v = json_object_get(j, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

/* How the run was trained is how it adapts. */
static fet_status take_run(work *w, const char *text)
{
    json_t *j = json_loads(text, 0, NULL);
    const char *view[2] = {json_string_value(json_object_get(j, "view1")),
                           json_string_value(json_object_get(j, "view2"))};
    const char *head = json_string_value(json_object_get(j, "head_norm")), *target;
    const char *holdout = json_string_value(json_object_get(j, "holdout"));
    fet_status st = FET_OK;

    target = json_string_value(json_object_get(j, "target"));
    w->episode = (fet__episode_options){
        .inner_lr = w->o->inner_lr >= 0 ? w->o->inner_lr : number_of(j, "inner_lr", 3e-4),
        .inner_steps = w->o->inner_steps ? w->o->inner_steps : (int)number_of(j, "inner_steps", 1)};
    w->a.net.head_batch = head && strcmp(head, "batch") == 0;
    w->a.net.target = target && strcmp(target, "online") == 0 ? FET__TARGET_ONLINE : FET__TARGET_FOLLOWS;
    for (int k = 0; k < 2 && st == FET_OK; k++)
        st = fet__augment_parse(&w->view[k], view[k] ? view[k] : "light", w->m->input.height, w->m->input.width);
    if (st == FET_OK && holdout && holdout[0] && !(w->holdout = fet__strdup(holdout)))
        st = FET_E_NOMEM;
    json_decref(j);
    return st;
}

/* By which method RUN was trained, from what lies beside its model. */
static fet_status look_at_run(work *w)
{
    fet__sites_method method;
    json_t *j = NULL;
    char *text = NULL;
    const char *name;
    fet_status st = FET_OK;

    w->trained = -1;
    if (!fet__is_folder(w->o->model))
        return FET_OK;
    if (!(w->branch = fet__path_join(w->o->model, "branch.safetensors")))
        return FET_E_NOMEM;
    if (!fet__file_exists(w->branch)) {
        fet__free(w->branch);
        w->branch = NULL;
        return FET_OK;
    }
    FET_TRY(fet__mabn_branch_text(&text, w->branch));
    j = json_loads(text, 0, NULL);
    name = json_string_value(json_object_get(j, "method"));
    if (!fet__sites_method_parse(name ? name : "mabn", &method)) /* runs from before there was another say nothing */
        st = FET_FAIL(FET_E_FORMAT, "%s: its metadata name no method that is known", fet__show(w->branch));
    else
        w->trained = (int)method;
done:
    json_decref(j);
    fet__free(text);
    return st;
}

/* What adaptation needs beside the model, and how the run was trained. */
static fet_status open_branch(work *w)
{
    char *text = NULL;
    fet_status st;

    if (!w->branch)
        return FET_OK;
    if (w->way->trained == FET__SITES_MABN)
        st = fet__mabn_load_branch(&w->a, w->m, w->branch, &text);
    else if (w->way->trained >= 0)
        st = fet__rival_load(&w->a, w->m, (fet__sites_method)w->trained, w->branch, &text);
    else
        st = fet__mabn_branch_text(&text, w->branch);
    if (st == FET_OK)
        st = take_run(w, text);
    fet__free(text);
    return st;
}

static fet_status attach(work *w)
{
    static const char *const words[] = {NULL, "affine", "stats", "both"};
    char spec[32];

    if (w->way->spec)
        return fet__model_attach(w->m, w->way->spec);
    snprintf(spec, sizeof spec, "site:adapt=%s", words[w->what]);
    return fet__model_attach(w->m, spec);
}

static fet_status open_all(work *w)
{
    char print[65];
    fet_status st;

    FET_TRY(check(w));
    FET_TRY(look_at_run(w));
    FET_TRY(check_method(w));
    FET_TRY(fet__model_open_with(&w->m, w->o->model, &w->o->model_options, w->o->seed));
    fet__model_take_data_options(w->m, &w->o->data_options);
    FET_TRY(fet__model_fingerprint(w->m, print)); /* of the model as it was trained: kept */
    FET_TRY(attach(w));                           /* before the branch is there, which is no part of the file */
    FET_TRY(open_branch(w));
    st = fet__norm_copy_take(&w->start, w->m->store, w->what == OWN);
    if (st == FET_OK && w->start.count == 0)
        st = FET_FAIL(FET_E_ARG, "%s: the model has no batch norm with running statistics: there is nothing to adapt",
                      fet__show(w->o->model));
done:
    return st;
}

static void close_all(work *w)
{
    fet__norm_copy_fini(&w->start);
    fet__dataset_fini(&w->data);
    fet__free(w->holdout);
    fet__free(w->branch);
    fet__model_close(w->m);
}

/* ---- one site --------------------------------------------------------------------------------------------------------- */

/* The pictures to adapt from: drawn from all of the site's, in the order drawn. */
static fet_status draw(const work *w, const char *name, int count, int32_t **out, int *used)
{
    fet__rng r = {.seed = w->o->seed, .stream = fet__hash32(name)};
    fet_status st;

    FET_TRY(FET_NEW(*out, count + 1));
    for (int i = 0; i < count; i++)
        (*out)[i] = i;
    fet__rng_shuffle(&r, *out, count);
    *used = w->o->count < count ? w->o->count : count;
done:
    return st;
}

static fet_status move_statistics(work *w, fet__views *v, const int32_t *pick, int used)
{
    fet__mabn_step s = {0};
    fet_status st;

    FET_TRY(fet__mabn_stats_create(&s, w->m, used, w->prior, fet__budget(w->o->memory)));
    FET_TRY(fet__views_make(v, pick, used, 0, s.plain, NULL, NULL));
    st = fet__program_run(s.program);
done:
    fet__mabn_step_fini(&s);
    return st;
}

static fet_status move_affine(work *w, fet__views *v, const int32_t *pick, int used, double *loss)
{
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet__mabn_step s = {0};
    fet_status st;

    adam.kind = FET__ADAM;
    adam.weight_decay = 0;
    if (w->way->trained == FET__SITES_MABN) {
        FET_TRY(fet__mabn_adapt_create(&s, &w->a, used, &w->episode, fet__budget(w->o->memory)));
        FET_TRY(fet__views_make(v, pick, used, 0, NULL, s.support[0], s.support[1]));
    } else {
        FET_TRY(fet__mabn_tent_create(&s, w->m, used, false, &adam, fet__budget(w->o->memory)));
        FET_TRY(fet__views_make(v, pick, used, 0, s.plain, NULL, NULL));
        fet__optimizer_bind(&adam, s.program, 0, w->o->inner_lr >= 0 ? w->o->inner_lr : TENT_RATE);
    }
    FET_TRY(fet__program_run(s.program));
    *loss = (double)*(s.inner ? s.inner : s.loss);
done:
    fet__mabn_step_fini(&s);
    return st;
}

/* As the method of the run does it. */
static fet_status move_own(work *w, fet__views *v, const int32_t *pick, int used, double *loss)
{
    fet__mabn_step s = {0};
    fet_status st;

    FET_TRY(fet__rival_adapt_create(&s, &w->a, used, &w->episode, fet__budget(w->o->memory)));
    FET_TRY(fet__views_make(v, pick, used, 0, s.plain, NULL, NULL));
    FET_TRY(fet__program_run(s.program));
    if (w->trained != FET__SITES_ARM_CML) /* a context has no loss */
        *loss = (double)*s.loss;
done:
    fet__mabn_step_fini(&s);
    return st;
}

static void drop_states(fet__params *store)
{
    for (int i = fet__params_count(store) - 1; i >= 0; i--)
        if (fet__params_at(store, i)->role == FET__STATE)
            fet__params_remove(store, fet__params_at(store, i));
}

/* From the trained values to this site's. A loss that is not finite leaves the trained ones. */
fet_status fet__adapt_site(work *w, const char *name, const fet__sample *samples, int count, fet_adapt_domain *d)
{
    fet__views_options vo = {.preprocess = fet__model_preprocess(w->m),
                             .bands = fet__bands_read,
                             .view = {w->view[0], w->view[1]},
                             .seed = w->o->seed};
    fet__views *v = NULL;
    int32_t *pick = NULL;
    int used = 0;
    fet_status st;

    fet__norm_copy_restore(&w->start);
    d->loss = (double)NAN;
    FET_TRY(draw(w, name, count, &pick, &used));
    if (used == 0) {
        fet__warn("%s: no pictures to adapt from: the trained values stay", fet__show(name));
        goto done;
    }
    FET_TRY(fet__views_create(&v, samples, count, &vo));
    if (w->what & STATS)
        FET_TRY(move_statistics(w, v, pick, used));
    if (w->what & AFFINE)
        FET_TRY(move_affine(w, v, pick, used, &d->loss));
    if (w->what == OWN)
        FET_TRY(move_own(w, v, pick, used, &d->loss));
    d->adapted = 1;
done:
    if (st == FET_E_NUMERIC) {
        fet__norm_copy_restore(&w->start);
        fet__warn("%s: the loss is not finite: the trained values stay", fet__show(name));
        st = FET_OK;
    }
    drop_states(w->m->store);
    fet__views_destroy(v);
    fet__free(pick);
    return st;
}

fet_status fet__adapt_write(work *w, const char *path, const char *name, int64_t *bytes)
{
    fet__meta_pair more[] = {{"fettle.domain", name}};
    struct stat s;
    fet_status st = fet__model_save_adapter(w->m, path, more, 1);

    if (st == FET_OK && stat(path, &s) == 0)
        *bytes = (int64_t)s.st_size;
    return st;
}

/* ---- a folder of pictures ---------------------------------------------------------------------------------------------- */

static fet_status list_images(work *w, fet__arena *arena, fet__sample **out, int *count)
{
    char **names = NULL;
    int n = 0;
    fet_status st;

    *count = 0;
    FET_TRY(fet__list_folder(&names, &n, w->o->images));
    if (!(*out = fet__arena_alloc(arena, (size_t)n + 1, sizeof **out)))
        st = FET_E_NOMEM;
    for (int i = 0; i < n && st == FET_OK; i++) {
        char *path = fet__arena_format(arena, "%s/%s", w->o->images, names[i]);
        if (!path)
            st = FET_E_NOMEM;
        else if (names[i][0] != '.' && fet__image_name(names[i]))
            (*out)[(*count)++] = (fet__sample){.path = path, .label = -1};
    }
done:
    fet__names_free(names, n);
    return st;
}

static void forget(fet_adapt_domain *d)
{
    d->before = d->after = d->shuffled = (double)NAN;
    for (int i = 0; i < 3; i++)
        d->f1[i] = (double)NAN;
}

static fet_status adapt_images(work *w, fet_adapt_result *r)
{
    fet__arena *arena = &w->data.arena;
    fet__sample *samples = NULL;
    int count = 0;
    double begun;
    fet_status st;

    if (!(r->domain = fet__arena_alloc(arena, 1, sizeof *r->domain)))
        return FET_E_NOMEM;
    r->count = 1;
    r->before = r->after = r->shuffled = r->worst_before = r->worst_after = r->worst_shuffled = (double)NAN;
    r->f1[0] = r->f1[1] = r->f1[2] = (double)NAN;
    r->domain->name = fet__arena_strdup(arena, w->o->images);
    FET_TRY(list_images(w, arena, &samples, &count));
    r->domain->images = count;
    forget(r->domain);
    begun = fet__now();
    FET_TRY(fet__adapt_site(w, w->o->images, samples, count, r->domain));
    r->seconds = fet__now() - begun;
    st = fet__adapt_write(w, w->o->out, w->o->images, &r->bytes);
done:
    return st;
}

/* ---- door ------------------------------------------------------------------------------------------------------------- */

fet_status fet_adapt(const fet_adapt_options *o, fet_adapt_result *result)
{
    work *w = NULL;
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_adapt: options or result are absent");
    memset(result, 0, sizeof *result);
    FET_TRY(FET_NEW(w, 1));
    w->o = o;
    result->keep = w; /* names of domains lie in it */
    FET_TRY(open_all(w));
    st = o->images ? adapt_images(w, result) : fet__adapt_sites(w, result);
done:
    if (st != FET_OK)
        fet_adapt_free(result);
    return st;
}

void fet_adapt_free(fet_adapt_result *result)
{
    if (!result || !result->keep)
        return;
    close_all(result->keep);
    fet__free(result->keep);
    memset(result, 0, sizeof *result);
}
