/* What a model is worth at several sites: accuracy and F1, or correlation with numbers, over everything and for the worst group (methods/mabn.md
 * 8). Pictures come through the loader, bands by views. */
#include "train/train.h"

#include <math.h>
#include <string.h>

struct fet__scores {
    const fet__dataset *d;
    fet__class_metrics *classes; /* NULL: numbers */
    int outputs, groups;
    int64_t *hits, *seen; /* by group */
    double *predicted, *truth;
    int32_t *group;
    int64_t count, capacity, skipped;
};

fet_status fet__scores_create(fet__scores **out, const fet__model *m, const fet__dataset *d)
{
    fet__scores *s = NULL;
    fet_status st;

    FET_TRY(FET_NEW(s, 1));
    s->d = d;
    s->outputs = m->arch.classes;
    s->groups = d->group_count ? d->group_count : d->domain_count;
    if (!d->regression)
        FET_TRY(fet__class_metrics_create(&s->classes, s->outputs));
    FET_TRY(FET_NEW(s->hits, s->groups + 1));
    FET_TRY(FET_NEW(s->seen, s->groups + 1));
    *out = s;
    s = NULL;
done:
    fet__scores_destroy(s);
    return st;
}

void fet__scores_destroy(fet__scores *s)
{
    if (!s)
        return;
    fet__class_metrics_destroy(s->classes);
    fet__free(s->hits);
    fet__free(s->seen);
    fet__free(s->predicted);
    fet__free(s->truth);
    fet__free(s->group);
    fet__free(s);
}

static int32_t group_of(const fet__scores *s, const fet__sample *x)
{
    int32_t g = s->d->group_count ? x->group : x->domain;

    return g < s->groups ? g : -1;
}

static fet_status grow(fet__scores *s, int64_t more)
{
    int64_t capacity = s->capacity * 2 > s->count + more ? s->capacity * 2 : s->count + more;
    double *p = NULL, *t = NULL;
    int32_t *g = NULL;
    fet_status st;

    if (s->count + more <= s->capacity)
        return FET_OK;
    FET_TRY(FET_NEW(p, capacity));
    FET_TRY(FET_NEW(t, capacity));
    FET_TRY(FET_NEW(g, capacity));
    if (s->count) {
        memcpy(p, s->predicted, (size_t)s->count * sizeof *p);
        memcpy(t, s->truth, (size_t)s->count * sizeof *t);
        memcpy(g, s->group, (size_t)s->count * sizeof *g);
    }
    fet__free(s->predicted);
    fet__free(s->truth);
    fet__free(s->group);
    s->predicted = p, s->truth = t, s->group = g;
    s->capacity = capacity;
    return FET_OK;
done:
    fet__free(p);
    fet__free(t);
    return st;
}

static fet_status add_numbers(fet__scores *s, const float *logits, const fet__sample *rows, int count)
{
    fet_status st = grow(s, count);

    for (int i = 0; i < count && st == FET_OK; i++) {
        if (rows[i].label < 0)
            continue;
        if (!isfinite(logits[i]))
            return FET_FAIL(FET_E_NUMERIC, "%s: the model's output is not finite", fet__show(rows[i].path));
        s->predicted[s->count] = (double)logits[i];
        s->truth[s->count] = (double)rows[i].target;
        s->group[s->count++] = group_of(s, &rows[i]);
    }
    return st;
}

static int best_of(const float *row, int outputs)
{
    int best = 0;

    for (int c = 1; c < outputs; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

/* Rows with a label below 0 count nowhere. */
static fet_status add_rows(fet__scores *s, const float *logits, const fet__sample *rows, int count)
{
    fet_status st = FET_OK;

    if (!s->classes)
        return add_numbers(s, logits, rows, count);
    for (int i = 0; i < count && st == FET_OK; i++) {
        const float *row = logits + (int64_t)i * s->outputs;
        int32_t g = group_of(s, &rows[i]);
        st = fet__class_metrics_add(s->classes, row, &rows[i].label, 1);
        if (st != FET_OK || rows[i].label < 0 || g < 0)
            continue;
        s->seen[g]++;
        s->hits[g] += best_of(row, s->outputs) == rows[i].label;
    }
    return st;
}

/* ---- running the model ---------------------------------------------------------------------------------------------------- */

typedef struct work {
    fet__scores *const *into;
    int scores, batch;
    fet__step step;
    fet__sample *rows;
} work;

static fet_status give(const work *w, int count)
{
    fet_status st = FET_OK;

    for (int k = 0; k < w->scores && st == FET_OK; k++)
        st = add_rows(w->into[k], w->step.logits, w->rows, count);
    return st;
}

static fet_status run_pictures(work *w, const fet__model *m, const fet__sample *samples, int count)
{
    fet__loader_options options = {.preprocess = fet__model_preprocess(m), .batch = w->batch};
    int64_t values = (int64_t)m->input.height * m->input.width * 3;
    fet__loader *loader = NULL;
    const fet__batch *b;
    fet_status st;

    FET_TRY(fet__loader_create(&loader, samples, count, &options));
    FET_TRY(fet__loader_start(loader, 0, 0));
    for (;;) {
        FET_TRY(fet__loader_next(loader, &b));
        if (!b)
            break;
        fet__step_feed(&w->step, b, w->batch, values);
        FET_TRY(fet__step_compute(&w->step));
        for (int i = 0; i < b->count; i++) { /* another picture stands where one cannot be read */
            w->rows[i] = samples[b->index[i]];
            if (b->index[i] != b->step * w->batch + i)
                w->rows[i].label = -1;
        }
        FET_TRY(give(w, b->count));
    }
    for (int k = 0; k < w->scores; k++)
        w->into[k]->skipped += fet__loader_skipped(loader);
done:
    fet__loader_destroy(loader);
    return st;
}

static fet_status run_bands(work *w, const fet__model *m, const fet__sample *samples, int count)
{
    fet__views_options options = {.preprocess = fet__model_preprocess(m), .bands = fet__bands_read};
    fet__views *v = NULL;
    int32_t *index = NULL;
    fet_status st;

    FET_TRY(FET_NEW(index, w->batch));
    FET_TRY(fet__views_create(&v, samples, count, &options));
    for (int at = 0; at < count; at += w->batch) {
        int n = count - at < w->batch ? count - at : w->batch;
        for (int i = 0; i < w->batch; i++) { /* what is beyond the end repeats the first picture and counts nowhere */
            index[i] = i < n ? at + i : at;
            w->rows[i] = samples[index[i]];
            w->step.labels[i] = -1; /* the program's own loss is not asked for */
        }
        FET_TRY(fet__views_make(v, index, w->batch, 0, w->step.images, NULL, NULL));
        FET_TRY(fet__step_compute(&w->step));
        FET_TRY(give(w, n));
    }
done:
    fet__views_destroy(v);
    fet__free(index);
    return st;
}

fet_status fet__score(fet__scores *const *into, int scores, fet__model *m, const fet__sample *samples, int count,
                      int batch, int64_t memory)
{
    fet__step_options options = {.memory = memory, .bands = true};
    work w = {.into = into, .scores = scores, .batch = batch < count ? batch : count};
    bool bands;
    fet_status st;

    if (count == 0)
        return FET_OK;
    bands = fet__bands_name(samples[0].path);
    if (!bands && fet__model_channels(m) != 3)
        return FET_FAIL(FET_E_DATA, "%s: a picture of 3 channels, and the model takes %d (.npz or .npy)",
                        fet__show(samples[0].path), fet__model_channels(m));
    options.batch = w.batch;
    FET_TRY(FET_NEW(w.rows, w.batch));
    FET_TRY(fet__step_create(&w.step, m, &options));
    if (!w.step.logits)
        st = FET_FAIL(FET_E_ARG, "%s: the model has no head, so it cannot be evaluated", fet__show(m->path));
    else
        st = bands ? run_bands(&w, m, samples, count) : run_pictures(&w, m, samples, count);
done:
    fet__step_fini(&w.step);
    fet__free(w.rows);
    return st;
}

/* ---- results --------------------------------------------------------------------------------------------------------------- */

static fet_status result_of_numbers(const fet__scores *s, fet__site_scores *out, double *each)
{
    double sum = 0;
    int64_t kept = 0;
    double *p = NULL, *t = NULL;
    int32_t *g = NULL;
    fet_status st;

    out->r = fet__pearson(s->predicted, s->truth, s->count);
    for (int64_t i = 0; i < s->count; i++)
        sum += (s->predicted[i] - s->truth[i]) * (s->predicted[i] - s->truth[i]);
    out->all.images = s->count;
    out->all.loss = s->count ? sum / (double)s->count : (double)NAN;
    out->all.top1 = out->all.top5 = out->all.macro_f1 = (double)NAN;
    FET_TRY(FET_NEW(p, s->count + 1));
    FET_TRY(FET_NEW(t, s->count + 1));
    FET_TRY(FET_NEW(g, s->count + 1));
    for (int64_t i = 0; i < s->count; i++)
        if (s->group[i] >= 0)
            p[kept] = s->predicted[i], t[kept] = s->truth[i], g[kept++] = s->group[i];
    st = fet__group_pearson(each, p, t, g, kept, s->groups);
done:
    fet__free(p);
    fet__free(t);
    fet__free(g);
    return st;
}

fet_status fet__scores_result(const fet__scores *s, fet__site_scores *out)
{
    double *each = NULL;
    fet__class_result r;
    fet_status st;

    *out = (fet__site_scores){.r = (double)NAN, .worst = (double)NAN, .worst_group = -1};
    FET_TRY(FET_NEW(each, s->groups + 1));
    if (s->classes) {
        fet__class_metrics_result(s->classes, &r);
        out->all = (fet__eval_result){r.top1, r.top5, r.macro_f1, r.loss, r.images, 0};
        for (int k = 0; k < s->groups; k++)
            each[k] = s->seen[k] ? (double)s->hits[k] / (double)s->seen[k] : (double)NAN;
    } else {
        FET_TRY(result_of_numbers(s, out, each));
    }
    out->all.skipped = s->skipped;
    for (int k = 0; k < s->groups; k++)
        out->groups += !isnan(each[k]);
    out->worst_group = fet__worst(each, s->groups);
    if (out->worst_group >= 0) {
        out->worst = each[out->worst_group];
        out->worst_name = s->d->group_count ? s->d->groups[out->worst_group] : s->d->domains[out->worst_group];
    }
done:
    fet__free(each);
    return st;
}
