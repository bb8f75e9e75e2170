/* fet_model_merge: both models run on the same pictures, and the merge counts only when their outputs agree. The arithmetic of the
 * merge is the adapter's (methods/hydra.md 1.4). */
#include "method/method_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_IMAGES 8
#define CHECK_BATCH 16
#define TOLERANCE 1e-5

/* Logits of all pictures, row by row; filled before the merge, compared after it. */
typedef struct comparison {
    float *rows;
    int64_t count, done;
    int classes;
    bool second;
    double difference, largest;
    int64_t agreed;
} comparison;

static int highest(const float *row, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

/* A value that is not finite makes the difference infinite, so that no such merge passes. */
static void compare_row(comparison *c, const float *before, const float *after)
{
    int i;

    for (i = 0; i < c->classes; i++) {
        double d = fabs((double)before[i] - (double)after[i]), size = fabs((double)before[i]);
        if (!isfinite(d))
            d = (double)INFINITY;
        c->difference = d > c->difference ? d : c->difference;
        c->largest = size > c->largest ? size : c->largest;
    }
    c->agreed += highest(before, c->classes) == highest(after, c->classes);
}

static void take_row(comparison *c, const float *row)
{
    float *slot = c->rows + c->done * c->classes;

    if (c->second)
        compare_row(c, slot, row);
    else
        memcpy(slot, row, (size_t)c->classes * sizeof *slot);
    c->done++;
}

static fet_status take(void *user, const fet__batch *b, const fet__step *s)
{
    comparison *c = user;
    int i;

    for (i = 0; i < b->count; i++)
        if (b->index[i] >= 0)
            take_row(c, s->logits + (int64_t)i * c->classes);
    return FET_OK;
}

/* Normal numbers: pictures come to the model with mean 0 and deviation 1. */
static fet_status run_random(fet_model *m, comparison *c, uint64_t seed, int64_t memory)
{
    int64_t i, values = (int64_t)RANDOM_IMAGES * m->m->input.height * m->m->input.width * 3;
    fet_status st;

    FET_TRY(fet__model_program(m, RANDOM_IMAGES, fet__budget(memory)));
    for (i = 0; i < values; i++)
        m->step.images[i] = (float)fet__random_normal(seed, fet__hash32("merge.check"), 0, (uint64_t)i);
    for (i = 0; m->step.labels && i < RANDOM_IMAGES; i++)
        m->step.labels[i] = -1;
    FET_TRY(fet__step_compute(&m->step));
    for (i = 0; i < RANDOM_IMAGES; i++)
        take_row(c, m->step.logits + i * c->classes);
done:
    return st;
}

static fet_status run(fet_model *m, comparison *c, const fet__dataset *d, const fet_merge_options *o)
{
    fet__forward_options forward = {.batch = CHECK_BATCH, .memory = o->memory};

    c->done = 0;
    if (!o->check)
        return run_random(m, c, o->seed, o->memory);
    return fet__forward(m, d->samples[FET__VAL], d->count[FET__VAL], &forward, take, c);
}

static fet_status open_check(fet__dataset *d, comparison *c, const fet_merge_options *o)
{
    fet__dataset_options options = {.val_fraction = -1, .seed = o->seed, .one_class_too = true};
    fet_status st = FET_OK;

    c->count = RANDOM_IMAGES;
    if (!o->check)
        return FET_OK;
    FET_TRY(fet__dataset_open(d, o->check, &options));
    c->count = d->count[FET__VAL];
    if (c->count == 0)
        st = FET_FAIL(FET_E_DATA, "%s: there are no validation images to check the merge on", fet__show(d->root));
done:
    return st;
}

/* The proof as JSON for the merged file. */
static fet_status keep_proof(fet_model *m, const char *spec, const fet_merge_report *r, double tolerance)
{
    json_t *sites = json_array();
    const char *line, *end;

    for (line = r->merged; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            break;
        json_array_append_new(sites, json_stringn(line, (size_t)(end - line)));
    }
    fet__free(m->merged);
    return fet__json_out(&m->merged,
                         json_pack("{s:s, s:o, s:f, s:f, s:f, s:I, s:f}", "adapter", spec, "sites", sites,
                                   "max_abs_diff", r->max_abs_diff, "max_abs_logit", r->max_abs_logit, "top1_agreement",
                                   r->top1_agreement, "images", (json_int_t)r->images, "tolerance", tolerance));
}

static fet_status merge(fet_model *m, fet_merge_report *report)
{
    fet__text merged = {0};
    fet_status st;

    FET_TRY(fet__model_merge(m->m, &merged));
    FET_TRY(fet__model_changed(m));
    report->merged = fet__strdup(merged.s ? merged.s : "");
    if (merged.failed || !report->merged)
        st = FET_E_NOMEM;
done:
    fet__text_fini(&merged);
    return st;
}

static fet_status judge(fet_model *m, const comparison *c, double tolerance, fet_merge_report *r)
{
    r->max_abs_diff = c->difference;
    r->max_abs_logit = c->largest;
    r->top1_agreement = c->done ? (double)c->agreed / (double)c->done : (double)NAN;
    r->images = c->done;
    if (c->done == 0)
        return FET_FAIL(FET_E_DATA, "none of the images of the check can be read");
    if (c->difference <= tolerance * c->largest)
        return FET_OK;
    m->unproved = true;
    return FET_FAIL(
        FET_E_VERIFY,
        "the merged model differs from the adapted one by %g where %g (%g of the largest output %g) is allowed",
        c->difference, tolerance * c->largest, tolerance, c->largest);
}

static fet_status merge_and_compare(fet_model *m, const fet__dataset *d, const fet_merge_options *o, comparison *c,
                                    fet_merge_report *r)
{
    double tolerance = o->tolerance > 0 ? o->tolerance : TOLERANCE;
    char *spec = fet__strdup(m->m->adapter->spec);
    fet_status st;

    if (!spec)
        return FET_E_NOMEM;
    c->classes = m->m->arch.classes;
    FET_TRY(FET_NEW(c->rows, c->count * c->classes));
    FET_TRY(run(m, c, d, o));
    m->unproved = true; /* until the comparison holds */
    FET_TRY(merge(m, r));
    c->second = true;
    FET_TRY(run(m, c, d, o));
    FET_TRY(judge(m, c, tolerance, r));
    FET_TRY(keep_proof(m, spec, r, tolerance));
    m->unproved = false;
done:
    fet__free(c->rows);
    fet__free(spec);
    return st;
}

fet_status fet_model_merge(fet_model *m, const fet_merge_options *options, fet_merge_report *report)
{
    static const fet_merge_options defaults;
    const fet_merge_options *o = options ? options : &defaults;
    fet__dataset d = {0};
    comparison c = {0};
    fet_status st;

    if (!m || !report)
        return FET_FAIL(FET_E_ARG, "fet_model_merge: model or report is absent");
    memset(report, 0, sizeof *report);
    if (!m->m->adapter)
        return FET_FAIL(FET_E_ARG, "there is no adapter to merge");
    if (m->m->adapter->class_->merge_refusal)
        return FET_FAIL(FET_E_ARG, "adapter '%s' does not merge: %s", m->m->adapter->class_->name,
                        m->m->adapter->class_->merge_refusal);
    if (m->m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "the model has no head whose outputs could be compared");
    if (!(o->tolerance >= 0) || o->memory < 0)
        return FET_FAIL(FET_E_ARG, "fet_model_merge: tolerance %g or memory %lld is below 0", o->tolerance,
                        (long long)o->memory);
    FET_TRY(open_check(&d, &c, o));
    FET_TRY(merge_and_compare(m, &d, o, &c, report));
done:
    fet__dataset_fini(&d);
    return st;
}
