/* Metrics of a score against yes and no: area under the ROC curve, average precision in two conventions. All walk
 * over the samples in falling order of score. */
#include <math.h>
#include <stdlib.h>

#include "metric/metric.h"

typedef struct ranked {
    double score;
    int64_t index;
    bool yes;
} ranked;

/* Falling score; equal ones as they were given, so that the order is the same on every machine. */
static int by_score(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    return p->index < q->index ? -1 : 1;
}

/* Sorted copy of every `stride`-th score and answer; the number of yes in *total. */
static fet_status rank(ranked **out, int64_t *total, const double *score, const int32_t *yes, int64_t n, int stride)
{
    ranked *r;
    if (FET_NEW(r, n) != FET_OK)
        return FET_E_NOMEM;
    *total = 0;
    for (int64_t i = 0; i < n; i++) {
        r[i] = (ranked){score[i * stride], i, yes[i * stride] != 0};
        *total += r[i].yes;
    }
    qsort(r, (size_t)n, sizeof *r, by_score);
    *out = r;
    return FET_OK;
}

/* The end of the run of equal scores that begins at i; *hits counts its yes. */
static int64_t end_of_ties(const ranked *r, int64_t n, int64_t i, int64_t *hits)
{
    double score = r[i].score;
    *hits = 0;
    for (; i < n && r[i].score == score; i++)
        *hits += r[i].yes;
    return i;
}

fet_status fet__roc_auc(double *out, const double *score, const int32_t *yes, int64_t n)
{
    ranked *r = NULL;
    int64_t total = 0, above = 0, hits = 0;
    double pairs = 0; /* halves of pairs are exact in float64 up to 2^52 */
    fet_status st = rank(&r, &total, score, yes, n, 1);
    if (st != FET_OK)
        return st;
    for (int64_t i = 0, end; i < n; i = end) {
        end = end_of_ties(r, n, i, &hits);
        double misses = (double)(end - i - hits);
        pairs += misses * ((double)above + 0.5 * (double)hits);
        above += hits;
    }
    *out = total > 0 && total < n ? pairs / ((double)total * (double)(n - total)) : NAN;
    fet__free(r);
    return FET_OK;
}

fet_status fet__average_precision(double *out, const double *score, const int32_t *yes, int64_t n)
{
    ranked *r = NULL;
    int64_t total = 0, found = 0, hits = 0;
    double sum = 0;
    fet_status st = rank(&r, &total, score, yes, n, 1);
    if (st != FET_OK)
        return st;
    for (int64_t i = 0, end; i < n; i = end) {
        end = end_of_ties(r, n, i, &hits);
        found += hits;
        sum += (double)hits / (double)(total > 0 ? total : 1) * ((double)found / (double)end);
    }
    *out = total > 0 ? sum : NAN;
    fet__free(r);
    return FET_OK;
}

/* Walks from the end, so that `best` is the best precision at the present recall or above. */
static double eleven_points(const ranked *r, int64_t n, int64_t total)
{
    double sum = 0, best = 0;
    int64_t found = total;
    int k = 10;
    for (int64_t i = n - 1; i >= 0; i--) {
        for (; k >= 0 && (double)found / (double)total < k * 0.1; k--)
            sum += best;
        double precision = (double)found / (double)(i + 1);
        best = precision > best ? precision : best;
        found -= r[i].yes;
    }
    return (sum + best * (k + 1)) / 11;
}

static fet_status column_precision_11(double *out, const double *score, const int32_t *yes, int64_t n, int stride)
{
    ranked *r = NULL;
    int64_t total = 0;
    fet_status st = rank(&r, &total, score, yes, n, stride);
    if (st != FET_OK)
        return st;
    *out = total > 0 ? eleven_points(r, n, total) : NAN;
    fet__free(r);
    return FET_OK;
}

fet_status fet__average_precision_11(double *out, const double *score, const int32_t *yes, int64_t n)
{
    return column_precision_11(out, score, yes, n, 1);
}

fet_status fet__map_11(double *out, double *per_label, const double *score, const int32_t *yes, int64_t n, int labels)
{
    double sum = 0;
    int counted = 0;
    for (int c = 0; c < labels; c++) {
        double value = NAN;
        fet_status st = column_precision_11(&value, score + c, yes + c, n, labels);
        if (st != FET_OK)
            return st;
        if (per_label)
            per_label[c] = value;
        if (!isnan(value)) {
            sum += value;
            counted++;
        }
    }
    *out = counted > 0 ? sum / counted : NAN;
    return FET_OK;
}
