/* Metrics that look at labels and predictions only: confusion matrix, F1 in its three macro forms, accuracies by
 * class and by group. */
#include <math.h>
#include <string.h>

#include "metric/metric.h"

void fet__confusion(int64_t *out, const int32_t *label, const int32_t *predicted, int64_t n, int classes)
{
    memset(out, 0, (size_t)classes * (size_t)classes * sizeof *out);
    for (int64_t i = 0; i < n; i++)
        out[(int64_t)label[i] * classes + predicted[i]]++;
}

void fet__confusion_counts(fet__counts *out, const int64_t *confusion, int classes)
{
    memset(out, 0, (size_t)classes * sizeof *out);
    for (int t = 0; t < classes; t++) {
        for (int p = 0; p < classes; p++) {
            int64_t n = confusion[(int64_t)t * classes + p];
            out[t].truths += n;
            out[p].predictions += n;
            out[t].hits += t == p ? n : 0;
        }
    }
}

double fet__f1(const fet__counts *c)
{
    int64_t sum = c->truths + c->predictions;
    return sum > 0 ? 2.0 * (double)c->hits / (double)sum : 0;
}

static bool is_counted(const fet__counts *c, fet__macro over)
{
    return over == FET__MACRO_ALL || c->truths > 0 || (over == FET__MACRO_UNION && c->predictions > 0);
}

double fet__macro_f1(const fet__counts *c, int classes, fet__macro over)
{
    double sum = 0;
    int counted = 0;
    for (int i = 0; i < classes; i++) {
        if (is_counted(&c[i], over)) {
            sum += fet__f1(&c[i]);
            counted++;
        }
    }
    return counted > 0 ? sum / counted : NAN;
}

double fet__micro_f1(const fet__counts *c, int classes)
{
    fet__counts all = {0};
    for (int i = 0; i < classes; i++) {
        all.hits += c[i].hits;
        all.truths += c[i].truths;
        all.predictions += c[i].predictions;
    }
    return all.truths + all.predictions > 0 ? fet__f1(&all) : NAN;
}

double fet__mean_class_accuracy(const fet__counts *c, int classes)
{
    double sum = 0;
    int counted = 0;
    for (int i = 0; i < classes; i++) {
        if (c[i].truths > 0) {
            sum += (double)c[i].hits / (double)c[i].truths;
            counted++;
        }
    }
    return counted > 0 ? sum / counted : NAN;
}

void fet__group_accuracy(double *out, const int32_t *label, const int32_t *predicted, const int32_t *group, int64_t n,
                         int groups)
{
    for (int g = 0; g < groups; g++) {
        int64_t members = 0, hits = 0;
        for (int64_t i = 0; i < n; i++) {
            members += group[i] == g;
            hits += group[i] == g && label[i] == predicted[i];
        }
        out[g] = members > 0 ? (double)hits / (double)members : NAN;
    }
}

int fet__worst(const double *values, int count)
{
    int worst = -1;
    for (int i = 0; i < count; i++) {
        if (!isnan(values[i]) && (worst < 0 || values[i] < values[worst]))
            worst = i;
    }
    return worst;
}
