/* fet_evaluate, fet_evaluate_sites: accuracy of an opened model on a split. The loop over batches is train/'s. */
#include "method/method_int.h"

#include <string.h>

#define EVAL_BATCH 32

/* A model whose classes have names reads labels by name; any other takes the data's classes in their order, which only makes sense when
 * there are as many. */
static fet_status check_classes(const fet__model *m, const fet__dataset *d)
{
    if (m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "%s: the model has no head, so it cannot be evaluated", fet__show(m->path));
    if (d->regression && m->arch.classes != 1)
        return FET_FAIL(FET_E_DATA, "%s: its labels are numbers, and the model has %d outputs", fet__show(d->root),
                        m->arch.classes);
    if (d->class_count > m->arch.classes)
        return FET_FAIL(FET_E_DATA, "%s: it has %d classes, but the head of %s has %d outputs", fet__show(d->root),
                        d->class_count, fet__show(m->path), m->arch.classes);
    if (m->class_count == 0 && d->class_count < m->arch.classes && !d->regression)
        fet__warn(
            "%s: %d classes are taken for the first of the model's %d outputs, for the model does not name its classes",
            fet__show(d->root), d->class_count, m->arch.classes);
    return FET_OK;
}

static fet_status score(const fet_model *m, const fet__dataset *d, fet__split s, int batch, fet_eval_result *out,
                        fet_sites_result *sites)
{
    fet__scores *scores = NULL;
    fet__site_scores r;
    fet_status st;

    if (d->count[s] == 0)
        return FET_FAIL(FET_E_DATA, "%s: the split '%s' holds no images", fet__show(d->root), fet__split_name(s));
    FET_TRY(fet__scores_create(&scores, m->m, d));
    FET_TRY(fet__score(&scores, 1, m->m, d->samples[s], d->count[s], batch, fet__budget(0)));
    FET_TRY(fet__scores_result(scores, &r));
    *out = fet__eval_result_out(&r.all);
    if (!sites)
        goto done;
    *sites = (fet_sites_result){.numbers = d->regression, .groups = r.groups, .r = r.r, .worst = r.worst};
    snprintf(sites->worst_name, sizeof sites->worst_name, "%s", r.worst_name ? r.worst_name : "");
done:
    fet__scores_destroy(scores);
    return st;
}

fet_status fet_evaluate(fet_model *m, const char *data, const char *split, const fet_data_options *o, int batch,
                        fet_eval_result *out)
{
    return fet_evaluate_sites(m, data, split, o, batch, out, NULL);
}

fet_status fet_evaluate_sites(fet_model *m, const char *data, const char *split, const fet_data_options *o, int batch,
                              fet_eval_result *out, fet_sites_result *sites)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    fet__split s = FET__VAL;
    fet_status st;

    if (!m || !data || !out)
        return FET_FAIL(FET_E_ARG, "fet_evaluate: model, data or result is absent");
    memset(out, 0, sizeof *out);
    if (sites)
        memset(sites, 0, sizeof *sites);
    if (batch < 0)
        return FET_FAIL(FET_E_ARG, "batch %d is below 1", batch);
    if (split)
        FET_TRY(fet__split_parse(split, &s));
    FET_TRY(fet__data_options_from(&options, o));
    if (s == FET__TEST)
        options.val_fraction = 0; /* a split of training images does not touch the test images */
    options.known = options.numbers = true;
    options.domains = o ? o->domains : NULL;
    if (m->m->class_count) {
        options.model_classes = (const char *const *)m->m->classes;
        options.model_class_count = m->m->class_count;
    }
    FET_TRY(fet__dataset_open(&d, data, &options));
    FET_TRY(check_classes(m->m, &d));
    fet__model_take_data_options(m->m, o);
    st = score(m, &d, s, batch ? batch : EVAL_BATCH, out, sites);
done:
    fet__dataset_fini(&d);
    return st;
}
