/* Metrics that look at logits: predictions, top-k, likelihood, calibration. */
#include <math.h>

#include "metric/metric.h"

int32_t fet__row_argmax(const double *row, int classes)
{
    int32_t best = 0;
    for (int c = 1; c < classes; c++) {
        if (row[c] > row[best])
            best = c;
    }
    return best;
}

int fet__label_rank(const double *row, int classes, int32_t label)
{
    int before = 0;
    for (int c = 0; c < classes; c++)
        before += row[c] > row[label] || (c < label && row[c] == row[label]);
    return before;
}

/* log(sum(exp(row))) - largest, which cannot overflow. */
static double log_sum(const double *row, int classes, double largest)
{
    double sum = exp(row[0] - largest);
    for (int c = 1; c < classes; c++)
        sum += exp(row[c] - largest);
    return log(sum);
}

double fet__row_nll(const double *row, int classes, int32_t label)
{
    double largest = row[fet__row_argmax(row, classes)];
    return log_sum(row, classes, largest) + (largest - row[label]);
}

void fet__predict(int32_t *out, const double *logits, int64_t n, int classes)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = fet__row_argmax(logits + i * classes, classes);
}

double fet__topk_accuracy(const double *logits, const int32_t *label, int64_t n, int classes, int k)
{
    int64_t hits = 0;
    for (int64_t i = 0; i < n; i++)
        hits += fet__label_rank(logits + i * classes, classes, label[i]) < k;
    return n > 0 ? (double)hits / (double)n : NAN;
}

double fet__mean_nll(const double *logits, const int32_t *label, int64_t n, int classes)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fet__row_nll(logits + i * classes, classes, label[i]);
    return n > 0 ? sum / (double)n : NAN;
}

/* The bin (b/bins, (b+1)/bins] that holds `confidence`, by comparison with the bounds themselves: what a rounded
 * product says of a value on a bound would depend on the number of bins. */
static int find_bin(double confidence, int bins)
{
    int b = 0;
    while (b < bins - 1 && confidence > (double)(b + 1) / bins)
        b++;
    return b;
}

/* With N samples in all, a bin's share n/N times |hits/n - sum/n| is |hits - sum| / N. */
double fet__calibration_error(const double *logits, const int32_t *label, int64_t n, int classes, int bins)
{
    double surplus[FET__MAX_BINS] = {0}, error = 0;
    if (n < 1 || bins < 1 || bins > FET__MAX_BINS)
        return NAN;
    for (int64_t i = 0; i < n; i++) {
        const double *row = logits + i * classes;
        int32_t best = fet__row_argmax(row, classes);
        double confidence = exp(-log_sum(row, classes, row[best]));
        surplus[find_bin(confidence, bins)] += (best == label[i]) - confidence;
    }
    for (int b = 0; b < bins; b++)
        error += fabs(surplus[b]);
    return error / (double)n;
}
