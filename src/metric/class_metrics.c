/* The running evaluation: batches of float32 logits in, the numbers of `fettle eval` out. It keeps counts per class,
 * not the confusion matrix, which for 20,000 classes would take gigabytes. */
#include <math.h>

#include "metric/metric.h"

struct fet__class_metrics {
    int classes;
    fet__counts *counts; /* [classes] */
    double *row;         /* [classes]; the present row, widened */
    double loss;
    int64_t top1, top5, images;
};

fet_status fet__class_metrics_create(fet__class_metrics **out, int classes)
{
    fet_status st = FET_OK;
    fet__class_metrics *m = NULL;
    *out = NULL;
    if (classes < 1)
        return FET_FAIL(FET_E_ARG, "cannot evaluate a classifier of %d classes", classes);
    FET_TRY(FET_NEW(m, 1));
    m->classes = classes;
    FET_TRY(FET_NEW(m->counts, classes));
    FET_TRY(FET_NEW(m->row, classes));
    *out = m;
    m = NULL;
done:
    fet__class_metrics_destroy(m);
    return st;
}

static fet_status check_batch(const fet__class_metrics *m, const float *logits, const int32_t *labels, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        if (labels[i] < 0)
            continue;
        if (labels[i] >= m->classes)
            return FET_FAIL(FET_E_DATA, "image %lld of the evaluation has label %d, but the model has %d classes",
                            (long long)(m->images + i), labels[i], m->classes);
        for (int c = 0; c < m->classes; c++) {
            float value = logits[i * m->classes + c];
            if (!isfinite(value))
                return FET_FAIL(FET_E_NUMERIC, "the model's output for class %d is %g on image %lld of the evaluation",
                                c, (double)value, (long long)(m->images + i));
        }
    }
    return FET_OK;
}

static void add_row(fet__class_metrics *m, const float *logits, int32_t label)
{
    for (int c = 0; c < m->classes; c++)
        m->row[c] = (double)logits[c];
    int rank = fet__label_rank(m->row, m->classes, label);
    m->counts[label].truths++;
    m->counts[label].hits += rank == 0;
    m->counts[fet__row_argmax(m->row, m->classes)].predictions++;
    m->top1 += rank < 1;
    m->top5 += rank < 5;
    m->loss += fet__row_nll(m->row, m->classes, label);
    m->images++;
}

fet_status fet__class_metrics_add(fet__class_metrics *m, const float *logits, const int32_t *labels, int64_t rows)
{
    fet_status st = check_batch(m, logits, labels, rows);
    if (st != FET_OK)
        return st;
    for (int64_t i = 0; i < rows; i++) {
        if (labels[i] >= 0)
            add_row(m, logits + i * m->classes, labels[i]);
    }
    return FET_OK;
}

void fet__class_metrics_result(const fet__class_metrics *m, fet__class_result *out)
{
    double n = m->images > 0 ? (double)m->images : NAN;
    out->top1 = (double)m->top1 / n;
    out->top5 = (double)m->top5 / n;
    out->loss = m->loss / n;
    out->macro_f1 = fet__macro_f1(m->counts, m->classes, FET__MACRO_TRUE);
    out->images = m->images;
}

void fet__class_metrics_destroy(fet__class_metrics *m)
{
    if (!m)
        return;
    fet__free(m->counts);
    fet__free(m->row);
    fet__free(m);
}
