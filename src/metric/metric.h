/* Metrics of classification and correlation, on plain C arrays. Knows no tensors, models or files.
 *
 * Conventions. Rows of logits are [samples][classes], row-major. Ties go to the lower class index. Labels are class
 * indices in 0..classes-1. Scores and logits must be finite. A value that is not defined for the input (no samples,
 * one class only, no variation, ...) is NAN, and only then. Sums are taken in float64. */
#ifndef FET_METRIC_H
#define FET_METRIC_H

#include "base/base.h"

/* ---- logits.c: one row or all rows of logits ----------------------------------------------------------------- */
int32_t fet__row_argmax(const double *row, int classes);
/* How many classes come before `label`: larger logits, and equal ones with a lower index. Top-k holds when rank < k. */
int fet__label_rank(const double *row, int classes, int32_t label);
double fet__row_nll(const double *row, int classes, int32_t label); /* -log softmax(row)[label] */
void fet__predict(int32_t *out, const double *logits, int64_t n, int classes);
double fet__topk_accuracy(const double *logits, const int32_t *label, int64_t n, int classes, int k);
double fet__mean_nll(const double *logits, const int32_t *label, int64_t n, int classes);
/* Expected calibration error: samples fall into bins (i/bins, (i+1)/bins] of their largest probability; the sum over
 * bins of |accuracy - mean probability|, weighted with the bin's share of samples. NAN unless bins is
 * 1..FET__MAX_BINS. */
#define FET__MAX_BINS 100
double fet__calibration_error(const double *logits, const int32_t *label, int64_t n, int classes, int bins);

/* ---- confusion.c: counts of labels and predictions ----------------------------------------------------------- */
/* out[truth * classes + predicted]. */
void fet__confusion(int64_t *out, const int32_t *label, const int32_t *predicted, int64_t n, int classes);

/* Per class: samples that are and are predicted to be it, samples of it, predictions of it. */
typedef struct fet__counts {
    int64_t hits, truths, predictions;
} fet__counts;
void fet__confusion_counts(fet__counts *out, const int64_t *confusion, int classes);

double fet__f1(const fet__counts *c); /* 2 hits / (truths + predictions); 0 when both are 0 */
/* Which classes macro-F1 averages over: all, those with a truth or a prediction, those with a truth. */
typedef enum fet__macro { FET__MACRO_ALL, FET__MACRO_UNION, FET__MACRO_TRUE } fet__macro;
double fet__macro_f1(const fet__counts *c, int classes, fet__macro over); /* NAN when there is no such class */
double fet__micro_f1(const fet__counts *c, int classes);
double fet__mean_class_accuracy(const fet__counts *c, int classes); /* over the classes with a truth */

/* out[g] = share of right predictions in group g; NAN for an empty one. */
void fet__group_accuracy(double *out, const int32_t *label, const int32_t *predicted, const int32_t *group, int64_t n,
                         int groups);
/* Index of the smallest value that is not NAN (the first of equals), or -1: worst group, by whatever measure. */
int fet__worst(const double *values, int count);

/* ---- ranking.c: scores against yes (not 0) and no (0) --------------------------------------------------------- */
/* Share of pairs (yes, no) that the score orders rightly, ties one half. NAN unless both kinds occur. */
fet_status fet__roc_auc(double *out, const double *score, const int32_t *yes, int64_t n);
/* Sum over distinct thresholds, falling, of (recall - recall before) * precision. NAN without a yes. */
fet_status fet__average_precision(double *out, const double *score, const int32_t *yes, int64_t n);
/* Mean over the recalls k * 0.1, k = 0..10 (as float64 products), of the best precision at that recall or above;
 * samples in falling order of score, equal ones as given. NAN without a yes. */
fet_status fet__average_precision_11(double *out, const double *score, const int32_t *yes, int64_t n);
/* The same for each column of [n][labels] and their mean over the columns that have a yes. per_label may be NULL. */
fet_status fet__map_11(double *out, double *per_label, const double *score, const int32_t *yes, int64_t n, int labels);

/* ---- correlation.c -------------------------------------------------------------------------------------------- */
/* Pearson's r. NAN for fewer than two samples or when x or y does not vary. */
double fet__pearson(const double *x, const double *y, int64_t n);
/* out[g] = r within group g (NAN where undefined); group indices are 0..groups-1. */
fet_status fet__group_pearson(double *out, const double *x, const double *y, const int32_t *group, int64_t n,
                              int groups);

/* ---- retrieval.c: ranked galleries ------------------------------------------------------------------------------ */
typedef struct fet__retrieval fet__retrieval;
typedef struct fet__retrieval_view {
    int64_t id;
    int32_t camera;
} fet__retrieval_view;
/* Gallery entries with the query's identity and camera are junk: they are left out of its ranking. */
typedef struct fet__retrieval_options {
    int curve;             /* positions of the match curve: 100 as a rule */
    bool separate_cameras; /* every entry of the query's camera is junk */
    bool keep_same_camera; /* nothing is junk: sets without cameras */
    bool all_matches;      /* each of a query's n matches adds 1/n to the curve, not the first alone */
    bool by_position;      /* average precision by positions; else equal distances are one step */
} fet__retrieval_options;
fet_status fet__retrieval_create(fet__retrieval **out, const fet__retrieval_options *o);
/* One query against the gallery. *precision (may be NULL): its average precision, NAN when it has no true match, which is skipped
 * and counted. FET_E_NUMERIC for a distance that is not a number. */
fet_status fet__retrieval_add(fet__retrieval *r, const fet__retrieval_view *query, const float *distance,
                              const fet__retrieval_view *gallery, int64_t count, double *precision);
/* Mean average precision and the curve (may be NULL; [options.curve]): share of queries whose first match comes at that position or before.
 * FET_E_DATA when no query had a match. */
fet_status fet__retrieval_result(const fet__retrieval *r, double *map, double *curve);
int64_t fet__retrieval_queries(const fet__retrieval *r); /* with a match */
int64_t fet__retrieval_skipped(const fet__retrieval *r); /* without */
void fet__retrieval_destroy(fet__retrieval *r);          /* accepts NULL */

/* ---- grouping.c: groups found without labels ------------------------------------------------------------------------- */
typedef struct fet__grouping_result {
    double
        purity; /* share of the items in groups of two and more whose truth is their group's most frequent one; NAN without such groups */
    double pair_f1; /* pairs put together against pairs of one truth; NAN when there are neither */
} fet__grouping_result;
/* found below 0: in no group. */
fet_status fet__grouping(fet__grouping_result *out, const int32_t *found, const int32_t *truth, int64_t n);

/* ---- class_metrics.c: a running evaluation -------------------------------------------------------------------- */
/* Takes batches of float32 logits as an evaluation loop has them; memory is proportional to the classes, not to
 * samples. */
typedef struct fet__class_metrics fet__class_metrics;
typedef struct fet__class_result {
    double top1, top5; /* fractions of 1; top5 is 1 where there are at most five classes. NAN without images */
    double macro_f1;   /* over the classes that occur as truth; NAN without images */
    double loss;       /* mean of -log softmax(logits)[label]; NAN without images */
    int64_t images;    /* rows counted */
} fet__class_result;

fet_status fet__class_metrics_create(fet__class_metrics **out, int classes);
/* Rows with a label below 0 (padding of a last batch, unknown label) are left out. A label >= classes is FET_E_DATA,
 * a logit that is not finite FET_E_NUMERIC; nothing of the batch is counted then. `logits` is [rows][classes]. */
fet_status fet__class_metrics_add(fet__class_metrics *m, const float *logits, const int32_t *labels, int64_t rows);
void fet__class_metrics_result(const fet__class_metrics *m, fet__class_result *out);
void fet__class_metrics_destroy(fet__class_metrics *m); /* accepts NULL */

#endif
