/* Evaluation over a split: batches through an evaluation program into running metrics. */
#include "train/train.h"

#include <math.h>
#include <string.h>

fet__preprocess fet__model_preprocess(const fet__model *m)
{
    fet__preprocess p = {.height = m->input.height,
                         .width = m->input.width,
                         .filter = m->input.filter,
                         .crop_pct = m->input.crop_pct,
                         .standardize = m->input.standardize,
                         .channels = fet__model_channels(m),
                         .ignore_exif = m->ignore_exif,
                         .max_pixels = m->max_pixels};

    memcpy(p.mean, m->input.mean, sizeof p.mean);
    memcpy(p.std, m->input.std, sizeof p.std);
    return p;
}

/* The places behind an incomplete batch count nowhere (label -1) but in the statistics of batch norms: they repeat its pictures. */
void fet__step_feed(fet__step *s, const fet__batch *b, int batch, int64_t image_values)
{
    if (s->images) {
        memcpy(s->images, b->images, (size_t)batch * (size_t)image_values * sizeof(float));
        for (int64_t i = b->count; b->count > 0 && i < batch; i++)
            memcpy(s->images + i * image_values, s->images + (i - b->count) * image_values,
                   (size_t)image_values * sizeof(float));
    }
    if (s->labels)
        memcpy(s->labels, b->labels, (size_t)batch * sizeof(int32_t));
    if (s->labels2 && b->labels2)
        memcpy(s->labels2, b->labels2, (size_t)batch * sizeof(int32_t));
    if (s->own && b->own)
        memcpy(s->own, b->own, (size_t)batch * sizeof(float));
}

/* The loader puts the next readable picture where one cannot be read. Here that place is left out: label -1 counts nowhere. */
static void own_labels(int32_t *labels, const fet__batch *b, int batch)
{
    int i;

    for (i = 0; i < batch; i++)
        labels[i] = i < b->count && b->index[i] == b->step * batch + i ? b->labels[i] : -1;
}

static fet_status run_batches(fet__class_metrics *metrics, fet__step *step, fet__loader *loader, const fet__model *m,
                              int batch)
{
    int64_t values = (int64_t)m->input.height * m->input.width * 3;
    const fet__batch *b;
    int32_t *labels = NULL;
    fet_status st;

    FET_TRY(FET_NEW(labels, batch));
    FET_TRY(fet__loader_start(loader, 0, 0));
    for (;;) {
        FET_TRY(fet__loader_next(loader, &b));
        if (!b)
            break;
        fet__step_feed(step, b, batch, values);
        FET_TRY(fet__step_compute(step));
        own_labels(labels, b, batch);
        FET_TRY(fet__class_metrics_add(metrics, step->logits, labels, b->count));
    }
done:
    fet__free(labels);
    return st;
}

fet_status fet__evaluate_with(fet__eval_result *out, fet__step *step, int batch, fet__model *m, const fet__dataset *d,
                              fet__split split)
{
    fet__loader_options options = {.preprocess = fet__model_preprocess(m), .batch = batch};
    fet__class_metrics *metrics = NULL;
    fet__loader *loader = NULL;
    fet__class_result r;
    fet_status st;

    memset(out, 0, sizeof *out);
    if (d->count[split] == 0)
        return FET_FAIL(FET_E_DATA, "%s: the split '%s' holds no images", fet__show(d->root), fet__split_name(split));
    FET_TRY(fet__class_metrics_create(&metrics, m->arch.classes));
    FET_TRY(fet__loader_create(&loader, d->samples[split], d->count[split], &options));
    FET_TRY(run_batches(metrics, step, loader, m, batch));
    fet__class_metrics_result(metrics, &r);
    *out = (fet__eval_result){r.top1, r.top5, r.macro_f1, r.loss, r.images, fet__loader_skipped(loader)};
done:
    fet__loader_destroy(loader);
    fet__class_metrics_destroy(metrics);
    return st;
}

fet_status fet__evaluate(fet__eval_result *out, fet__model *m, const fet__dataset *d, fet__split split, int batch,
                         int64_t memory)
{
    fet__step_options options = {.memory = memory};
    fet__step step = {0};
    fet_status st = FET_OK;

    memset(out, 0, sizeof *out);
    options.batch = d->count[split] > 0 && batch > d->count[split] ? d->count[split] : batch;
    if (d->count[split] > 0)
        FET_TRY(fet__step_create(&step, m, &options));
    FET_TRY(fet__evaluate_with(out, &step, options.batch, m, d, split));
done:
    fet__step_fini(&step);
    return st;
}
