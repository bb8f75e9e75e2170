/* Adapting every site of a set with labels: a file each, accuracy and F1 (or correlation) without it, with it and with another site's, over
 * all and for the worst. How a site is adapted is mabn_adapt.c's. */
#include "method/mabn_int.h"

#include <math.h>
#include <string.h>

typedef fet__adapt_work work;

/* ---- which sites -------------------------------------------------------------------------------------------------- */

enum { BEFORE, AFTER, SHUFFLED, WHENS };

typedef struct sites {
    work *w;
    fet_adapt_result *r;
    fet__sample **samples; /* of each measured domain: all splits; of published ones test alone */
    int *count;
    char **file;
    fet__scores *all[WHENS];
} sites;

static bool in_list(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

static bool is_wanted(const work *w, const char *name)
{
    if (w->o->domains)
        return in_list(w->o->domains, name);
    for (int i = 0; w->holdout && i < w->data.domain_count; i++)
        if (strcmp(w->data.domains[i], w->holdout) == 0)
            return strcmp(name, w->holdout) == 0;
    return true;
}

static fet_status collect(sites *s)
{
    fet__dataset *d = &s->w->data;
    int domains = d->domain_count ? d->domain_count : 1;
    fet_status st = FET_OK;

    s->r->domain = fet__arena_alloc(&d->arena, (size_t)domains, sizeof *s->r->domain);
    s->samples = fet__arena_alloc(&d->arena, (size_t)domains, sizeof *s->samples);
    s->count = fet__arena_alloc(&d->arena, (size_t)domains, sizeof *s->count);
    s->file = fet__arena_alloc(&d->arena, (size_t)domains, sizeof *s->file);
    if (!s->r->domain || !s->samples || !s->count || !s->file)
        return FET_E_NOMEM;
    if (d->domain_count == 0)
        fet__warn("%s: no column domain: all of it is one domain", fet__show(d->root));
    for (int k = 0; k < domains && st == FET_OK; k++) {
        const char *name = d->domain_count ? d->domains[k] : "all";
        int at = s->r->count, n = 0;
        fet__sample *list = fet__arena_alloc(
            &d->arena, (size_t)(d->count[FET__TRAIN] + d->count[FET__VAL] + d->count[FET__TEST]) + 1, sizeof *list);
        if (!list)
            return FET_E_NOMEM;
        for (int i = d->official ? FET__TEST : 0; i < FET__SPLITS; i++)
            for (int c = 0; c < d->count[i]; c++)
                if (d->samples[i][c].domain == k)
                    list[n++] = d->samples[i][c];
        if (n == 0 || !is_wanted(s->w, name))
            continue;
        s->samples[at] = list;
        s->count[at] = n;
        s->file[at] = fet__arena_format(&d->arena, "%s/%s.safetensors", s->w->o->out, name);
        s->r->domain[at] = (fet_adapt_domain){
            .name = name, .images = n, .shuffled = (double)NAN, .f1 = {(double)NAN, (double)NAN, (double)NAN}};
        s->r->count++;
        if (!s->file[at] || strchr(name, '/'))
            st = FET_FAIL(FET_E_DATA, "domain '%s' cannot be the name of a file", fet__show(name));
    }
    if (st == FET_OK && s->r->count == 0)
        st = FET_FAIL(FET_E_ARG, "%s: none of its domains is asked for", fet__show(d->root));
    return st;
}

/* ---- measures ----------------------------------------------------------------------------------------------------------- */

/* What the model in memory is worth at site k, also as part of all. */
static fet_status measure(const sites *s, int k, int when)
{
    fet_adapt_domain *d = &s->r->domain[k];
    fet__scores *both[2] = {NULL, s->all[when]};
    double *value = when == BEFORE ? &d->before : when == AFTER ? &d->after : &d->shuffled;
    fet__site_scores r;
    fet_status st;

    FET_TRY(fet__scores_create(&both[0], s->w->m, &s->w->data));
    FET_TRY(fet__score(both, 2, s->w->m, s->samples[k], s->count[k], 32, fet__budget(s->w->o->memory)));
    FET_TRY(fet__scores_result(both[0], &r));
    *value = s->w->data.regression ? r.r : r.all.top1;
    d->f1[when] = r.all.macro_f1;
done:
    fet__scores_destroy(both[0]);
    return st;
}

/* Over all pictures; the worst is that of the set's groups where it names some. */
static fet_status sum_up(const sites *s, int when, double *value, double *worst)
{
    fet__site_scores r;
    fet_status st = fet__scores_result(s->all[when], &r);

    if (st != FET_OK)
        return st;
    *value = s->w->data.regression ? r.r : r.all.top1;
    *worst = s->w->data.domain_count || s->w->data.group_count ? r.worst : *value;
    s->r->f1[when] = r.all.macro_f1;
    s->r->worst_name[when] = r.worst_name;
    return FET_OK;
}

static fet_status load_site(const work *w, const char *path)
{
    fet__tensors *t = NULL;
    fet_status st;

    FET_TRY(fet__tensors_open(&t, path));
    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        fet__param *p = fet__params_find(w->m->store, e->name);
        if (!p)
            continue; /* the checksum */
        fet__convert(p->data, p->dtype, e->data, e->dtype, fet__shape_count(&e->shape));
        p->version++;
    }
done:
    fet__tensors_close(t);
    return st;
}

/* Every domain by another one's file: a random cycle, so that none meets its own. */
static fet_status measure_shuffled(sites *s)
{
    fet__rng r = {.seed = s->w->o->seed, .stream = fet__hash32("mabn.shuffle")};
    int32_t *order = NULL;
    int n = s->r->count;
    fet_status st;

    if (n < 2)
        return FET_FAIL(FET_E_ARG, "one domain alone cannot take another one's file");
    FET_TRY(FET_NEW(order, n));
    for (int i = 0; i < n; i++)
        order[i] = i;
    fet__rng_shuffle(&r, order, n);
    for (int i = 0; i < n; i++) {
        fet__norm_copy_restore(&s->w->start);
        FET_TRY(load_site(s->w, s->file[order[(i + 1) % n]]));
        FET_TRY(measure(s, order[i], SHUFFLED));
    }
done:
    fet__free(order);
    return st;
}

static fet_status each_site(sites *s)
{
    fet_adapt_result *r = s->r;
    double begun, spent = 0;
    fet_status st = FET_OK;

    for (int k = 0; k < r->count; k++) {
        fet__norm_copy_restore(&s->w->start);
        FET_TRY(measure(s, k, BEFORE));
        begun = fet__now();
        FET_TRY(fet__adapt_site(s->w, r->domain[k].name, s->samples[k], s->count[k], &r->domain[k]));
        spent += fet__now() - begun;
        FET_TRY(fet__adapt_write(s->w, s->file[k], r->domain[k].name, &r->bytes));
        FET_TRY(measure(s, k, AFTER));
    }
    r->seconds = spent / r->count;
    if (s->w->o->shuffle_domains)
        FET_TRY(measure_shuffled(s));
done:
    return st;
}

static fet_status check_outputs(const work *w)
{
    if (w->m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "%s: the model has no head, so that it cannot be measured", fet__show(w->o->model));
    if (w->data.regression && w->m->arch.classes != 1)
        return FET_FAIL(FET_E_DATA, "%s: its labels are numbers, and the model has %d outputs", fet__show(w->data.root),
                        w->m->arch.classes);
    if (!w->data.regression && w->data.class_count > w->m->arch.classes)
        return FET_FAIL(FET_E_DATA, "%s: it has %d classes, but the model has %d outputs", fet__show(w->data.root),
                        w->data.class_count, w->m->arch.classes);
    return FET_OK;
}

fet_status fet__adapt_sites(work *w, fet_adapt_result *r)
{
    sites s = {.w = w, .r = r};
    fet_status st;

    FET_TRY(fet__sites_open(&w->data, w->o->data, &w->o->data_options, w->m));
    FET_TRY(check_outputs(w));
    FET_TRY(collect(&s));
    FET_TRY(fet__make_folder(w->o->out));
    for (int i = 0; i < WHENS; i++)
        FET_TRY(fet__scores_create(&s.all[i], w->m, &w->data));
    r->numbers = w->data.regression;
    FET_TRY(each_site(&s));
    FET_TRY(sum_up(&s, BEFORE, &r->before, &r->worst_before));
    FET_TRY(sum_up(&s, AFTER, &r->after, &r->worst_after));
    st = sum_up(&s, SHUFFLED, &r->shuffled, &r->worst_shuffled);
done:
    for (int i = 0; i < WHENS; i++)
        fet__scores_destroy(s.all[i]);
    return st;
}
