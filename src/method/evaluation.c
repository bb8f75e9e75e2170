/* fet_evaluate: accuracy of an opened model on a split. The loop over batches is train/'s. */
#include "method/method_int.h"

#include <string.h>

#define EVAL_BATCH 32

/* A model whose classes have names reads labels by name; any other takes the data's classes in their order, which only makes sense when
 * there are as many. */
static fet_status check_classes(const fet__model *m, const fet__dataset *d)
{
    if (m->arch.classes == 0)
        return FET_FAIL(FET_E_ARG, "%s: the model has no head, so it cannot be evaluated", fet__show(m->path));
    if (d->class_count > m->arch.classes)
        return FET_FAIL(FET_E_DATA, "%s: it has %d classes, but the head of %s has %d outputs", fet__show(d->root),
                        d->class_count, fet__show(m->path), m->arch.classes);
    if (m->class_count == 0 && d->class_count < m->arch.classes)
        fet__warn(
            "%s: %d classes are taken for the first of the model's %d outputs, for the model does not name its classes",
            fet__show(d->root), d->class_count, m->arch.classes);
    return FET_OK;
}

fet_status fet_evaluate(fet_model *m, const char *data, const char *split, const fet_data_options *o, int batch,
                        fet_eval_result *out)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    fet__eval_result r;
    fet__split s = FET__VAL;
    fet_status st;

    if (!m || !data || !out)
        return FET_FAIL(FET_E_ARG, "fet_evaluate: model, data or result is absent");
    memset(out, 0, sizeof *out);
    if (batch < 0)
        return FET_FAIL(FET_E_ARG, "batch %d is below 1", batch);
    if (split)
        FET_TRY(fet__split_parse(split, &s));
    FET_TRY(fet__data_options_from(&options, o));
    if (s == FET__TEST)
        options.val_fraction = 0; /* a split of training images does not touch the test images */
    if (m->m->class_count) {
        options.model_classes = (const char *const *)m->m->classes;
        options.model_class_count = m->m->class_count;
    }
    FET_TRY(fet__dataset_open(&d, data, &options));
    FET_TRY(check_classes(m->m, &d));
    fet__model_take_data_options(m->m, o);
    FET_TRY(fet__evaluate(&r, m->m, &d, s, batch ? batch : EVAL_BATCH, fet__budget(0)));
    *out = (fet_eval_result){r.top1, r.top5, r.macro_f1, r.loss, r.images, r.skipped};
done:
    fet__dataset_fini(&d);
    return st;
}
