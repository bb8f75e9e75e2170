/* Classification metrics: against the reference values (where they are there), by hand on small cases, and the
 * running evaluation against the functions on whole arrays. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "metric/metric.h"
#include "store/store.h"

#define GOLDEN FETTLE_SHARED "/golden/data/metrics_class.safetensors"
#define TOLERANCE 1e-9

static void near(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= TOLERANCE))
        fail_msg("got %.17g, expected %.17g", got, want);
}

static void undefined(double got)
{
    if (!isnan(got))
        fail_msg("got %.17g where no value is defined", got);
}

/* ---- reference values -------------------------------------------------------------------------------------- */

enum { N = 260, C = 7, GROUPS = 4, LABELS = 4 };

typedef struct golden {
    fet__tensors *t;
    double logits[N * C], auc_score[N], x[N], y[N], ml_score[N * LABELS];
    int32_t label[N], group[N], auc_yes[N], ml_yes[N * LABELS], predicted[N];
    fet__counts counts[C];
} golden;
static golden g;

static const fet__entry *entry(const char *name)
{
    const fet__entry *e = fet__tensors_find(g.t, name);
    if (!e)
        fail_msg("%s has no '%s'", GOLDEN, name);
    return e;
}

static void load(void *out, fet_dtype t, const char *name, int64_t count)
{
    const fet__entry *e = entry(name);
    assert_int_equal(fet__shape_count(&e->shape), count);
    assert_true(fet__entry_aligned(e));
    fet__convert(out, t, e->data, e->dtype, count);
}

static double want(const char *name)
{
    double value = 0;
    load(&value, FET_F64, name, 1);
    return value;
}

static int open_golden(void **state)
{
    (void)state;
    if (!fet__file_exists(GOLDEN)) {
        print_message("no file %s: the comparison with reference values is skipped\n", GOLDEN);
        return 0;
    }
    if (fet__tensors_open(&g.t, GOLDEN) != FET_OK)
        return -1;
    load(g.logits, FET_F64, "in.logits", N * C);
    load(g.label, FET_I32, "in.label", N);
    load(g.group, FET_I32, "in.group", N);
    load(g.auc_score, FET_F64, "in.auc_score", N);
    load(g.auc_yes, FET_I32, "in.auc_label", N);
    load(g.x, FET_F64, "in.pearson_x", N);
    load(g.y, FET_F64, "in.pearson_y", N);
    load(g.ml_score, FET_F64, "in.ml_score", N * LABELS);
    load(g.ml_yes, FET_I32, "in.ml_label", N * LABELS);
    fet__predict(g.predicted, g.logits, N, C);
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    fet__tensors_close(g.t);
    return 0;
}

static void need_golden(void)
{
    if (!g.t)
        skip();
}

static void golden_predictions(void **state)
{
    (void)state;
    need_golden();
    int32_t predicted[N];
    int64_t confusion[C * C], expected[C * C];
    load(predicted, FET_I32, "out.pred", N);
    assert_memory_equal(g.predicted, predicted, sizeof predicted);
    fet__confusion(confusion, g.label, g.predicted, N, C);
    load(expected, FET_I64, "out.confusion_true_by_pred", C * C);
    assert_memory_equal(confusion, expected, sizeof expected);
    near(fet__topk_accuracy(g.logits, g.label, N, C, 1), want("out.top1"));
    near(fet__topk_accuracy(g.logits, g.label, N, C, 5), want("out.top5"));
    near(fet__mean_nll(g.logits, g.label, N, C), want("out.mean_nll"));
    near(fet__calibration_error(g.logits, g.label, N, C, 15), want("out.ece15"));
}

static void golden_f1(void **state)
{
    (void)state;
    need_golden();
    int64_t confusion[C * C];
    double f1[C];
    fet__confusion(confusion, g.label, g.predicted, N, C);
    fet__confusion_counts(g.counts, confusion, C);
    load(f1, FET_F64, "out.f1_per_class", C);
    for (int c = 0; c < C; c++)
        near(fet__f1(&g.counts[c]), f1[c]);
    near(fet__macro_f1(g.counts, C, FET__MACRO_ALL), want("out.macro_f1_all"));
    near(fet__macro_f1(g.counts, C, FET__MACRO_UNION), want("out.macro_f1_union"));
    near(fet__macro_f1(g.counts, C, FET__MACRO_TRUE), want("out.macro_f1_true_present"));
    near(fet__micro_f1(g.counts, C), want("out.micro_f1"));
    near(fet__mean_class_accuracy(g.counts, C), want("out.mean_per_class_acc"));
}

static void golden_groups(void **state)
{
    (void)state;
    need_golden();
    double accuracy[GROUPS], expected[GROUPS], r[GROUPS];
    fet__group_accuracy(accuracy, g.label, g.predicted, g.group, N, GROUPS);
    load(expected, FET_F64, "out.group_acc", GROUPS);
    for (int i = 0; i < GROUPS; i++)
        near(accuracy[i], expected[i]);
    int worst = fet__worst(accuracy, GROUPS);
    assert_int_equal(worst, (int)want("out.worst_group_index"));
    near(accuracy[worst], want("out.worst_group_acc"));
    near(fet__pearson(g.x, g.y, N), want("out.pearson"));
    assert_int_equal(fet__group_pearson(r, g.x, g.y, g.group, N, GROUPS), FET_OK);
    near(r[fet__worst(r, GROUPS)], want("out.worst_group_pearson"));
}

static void golden_ranking(void **state)
{
    (void)state;
    need_golden();
    double value, per_label[LABELS], expected[LABELS];
    assert_int_equal(fet__roc_auc(&value, g.auc_score, g.auc_yes, N), FET_OK);
    near(value, want("out.roc_auc"));
    assert_int_equal(fet__average_precision(&value, g.auc_score, g.auc_yes, N), FET_OK);
    near(value, want("out.average_precision_step"));
    assert_int_equal(fet__map_11(&value, per_label, g.ml_score, g.ml_yes, N, LABELS), FET_OK);
    near(value, want("out.map_11pt_multilabel"));
    load(expected, FET_F64, "out.ap11_per_class", LABELS);
    for (int c = 0; c < LABELS; c++)
        near(per_label[c], expected[c]);
}

/* In uneven batches with padding rows between. */
static void golden_running(void **state)
{
    (void)state;
    need_golden();
    float logits[N * C], padding[2 * C] = {0};
    const int32_t unlabelled[2] = {-1, -1};
    fet__class_metrics *m = NULL;
    fet__class_result r;
    load(logits, FET_F32, "in.logits", N * C);
    assert_int_equal(fet__class_metrics_create(&m, C), FET_OK);
    for (int64_t at = 0, rows; at < N; at += rows) {
        rows = N - at < 37 ? N - at : 37;
        assert_int_equal(fet__class_metrics_add(m, logits + at * C, g.label + at, rows), FET_OK);
        assert_int_equal(fet__class_metrics_add(m, padding, unlabelled, 2), FET_OK);
    }
    fet__class_metrics_result(m, &r);
    assert_int_equal(r.images, N);
    near(r.top1, want("out.top1"));
    near(r.top5, want("out.top5"));
    near(r.macro_f1, want("out.macro_f1_true_present"));
    near(r.loss, want("out.mean_nll"));
    fet__class_metrics_destroy(m);
}

/* ---- small cases by hand ----------------------------------------------------------------------------------- */

static void ties_go_to_the_lower_class(void **state)
{
    (void)state;
    const double row[] = {1, 3, 3, 3, -2};
    assert_int_equal(fet__row_argmax(row, 5), 1);
    const int ranks[] = {3, 0, 1, 2, 4};
    for (int c = 0; c < 5; c++)
        assert_int_equal(fet__label_rank(row, 5, c), ranks[c]);
    const int32_t second = 2, third = 3;
    near(fet__topk_accuracy(row, &second, 1, 5, 2), 1);
    near(fet__topk_accuracy(row, &third, 1, 5, 2), 0);
}

static void likelihood_does_not_overflow(void **state)
{
    (void)state;
    const double row[] = {1000, 0, 1000};
    near(fet__row_nll(row, 3, 0), log(2));
    near(fet__row_nll(row, 3, 1), 1000 + log(2));
    const double low[] = {-1000, -1000};
    near(fet__row_nll(low, 2, 1), log(2));
}

static void calibration_by_hand(void **state)
{
    (void)state;
    /* Confidences 0.75 (right), 0.75 (wrong) and exactly 0.5 (right, upper bound of bin (0, 0.5]). */
    const double logits[] = {log(3), 0, 0, log(3), 0, 0};
    const int32_t label[] = {0, 0, 0};
    near(fet__calibration_error(logits, label, 3, 2, 2), (fabs(1 - 1.5) + 0.5) / 3);
    undefined(fet__calibration_error(logits, label, 0, 2, 2));
    undefined(fet__calibration_error(logits, label, 3, 2, FET__MAX_BINS + 1));
    /* Full confidence belongs to the last bin. */
    const double sure[] = {900, 0};
    near(fet__calibration_error(sure, label, 1, 2, 15), 0);
}

static void the_three_macro_conventions(void **state)
{
    (void)state;
    /* Class 0: always right. 1: always taken for 2. 2: predicted only. 3: nowhere. */
    const int32_t label[] = {0, 0, 1, 1}, predicted[] = {0, 0, 2, 2};
    int64_t confusion[16];
    fet__counts c[4];
    fet__confusion(confusion, label, predicted, 4, 4);
    assert_int_equal(confusion[0], 2);
    assert_int_equal(confusion[1 * 4 + 2], 2);
    fet__confusion_counts(c, confusion, 4);
    near(fet__macro_f1(c, 4, FET__MACRO_ALL), 1.0 / 4);
    near(fet__macro_f1(c, 4, FET__MACRO_UNION), 1.0 / 3);
    near(fet__macro_f1(c, 4, FET__MACRO_TRUE), 1.0 / 2);
    near(fet__micro_f1(c, 4), 0.5);
    near(fet__mean_class_accuracy(c, 4), 0.5);
}

static void groups_by_hand(void **state)
{
    (void)state;
    const int32_t label[] = {0, 1, 0, 1}, predicted[] = {0, 0, 1, 1}, group[] = {0, 0, 2, 2};
    double accuracy[3];
    fet__group_accuracy(accuracy, label, predicted, group, 4, 3);
    near(accuracy[0], 0.5);
    undefined(accuracy[1]);
    near(accuracy[2], 0.5);
    assert_int_equal(fet__worst(accuracy, 3), 0);
    assert_int_equal(fet__worst(&accuracy[1], 1), -1);
    assert_int_equal(fet__worst(accuracy, 0), -1);
}

static void ranking_by_hand(void **state)
{
    (void)state;
    const double score[] = {0.9, 0.8, 0.8, 0.1};
    const int32_t yes[] = {1, 0, 1, 0};
    double value;
    assert_int_equal(fet__roc_auc(&value, score, yes, 4), FET_OK);
    near(value, (1 + 1 + 0.5 + 1) / 4);
    assert_int_equal(fet__average_precision(&value, score, yes, 4), FET_OK);
    near(value, 0.5 * 1 + 0.5 * 2 / 3);
    /* Ties stay in the given order: precision 1 up to recall 0.5, 2/3 up to recall 1. */
    assert_int_equal(fet__average_precision_11(&value, score, yes, 4), FET_OK);
    near(value, (6 * 1 + 5 * 2.0 / 3) / 11);
    /* The first sample a miss: precision at recall 0 is still the best that comes. */
    const int32_t late[] = {0, 0, 0, 1};
    assert_int_equal(fet__average_precision_11(&value, score, late, 4), FET_OK);
    near(value, 0.25);
}

static void pearson_by_hand(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3}, y[] = {2, 4, 6}, down[] = {3, 2, 1}, flat[] = {0.1, 0.1, 0.1};
    const double far[] = {1e9 + 1, 1e9 + 2, 1e9 + 3};
    near(fet__pearson(x, y, 3), 1);
    near(fet__pearson(x, down, 3), -1);
    near(fet__pearson(far, y, 3), 1);
    undefined(fet__pearson(x, flat, 3));
    undefined(fet__pearson(x, y, 1));
    undefined(fet__pearson(x, y, 0));
}

static void nothing_gives_nan(void **state)
{
    (void)state;
    double value = 0;
    const double score[] = {0.5, 0.6};
    const int32_t yes[] = {1, 1}, no[] = {0, 0};
    fet__counts none[2] = {{0}};
    undefined(fet__topk_accuracy(score, yes, 0, 2, 1));
    undefined(fet__mean_nll(score, yes, 0, 2));
    undefined(fet__macro_f1(none, 2, FET__MACRO_TRUE));
    undefined(fet__macro_f1(none, 2, FET__MACRO_UNION));
    near(fet__macro_f1(none, 2, FET__MACRO_ALL), 0);
    undefined(fet__micro_f1(none, 2));
    undefined(fet__mean_class_accuracy(none, 2));
    assert_int_equal(fet__roc_auc(&value, score, yes, 2), FET_OK);
    undefined(value);
    assert_int_equal(fet__roc_auc(&value, score, no, 2), FET_OK);
    undefined(value);
    assert_int_equal(fet__average_precision(&value, score, no, 2), FET_OK);
    undefined(value);
    assert_int_equal(fet__average_precision_11(&value, score, no, 2), FET_OK);
    undefined(value);
    assert_int_equal(fet__map_11(&value, NULL, score, no, 1, 2), FET_OK);
    undefined(value);
    assert_int_equal(fet__roc_auc(&value, score, yes, 0), FET_OK);
    undefined(value);
}

/* ---- the running evaluation -------------------------------------------------------------------------------- */

static void running_refuses(void **state)
{
    (void)state;
    fet__class_metrics *m = NULL;
    fet__class_result r;
    assert_int_equal(fet__class_metrics_create(&m, 0), FET_E_ARG);
    assert_null(m);
    assert_int_equal(fet__class_metrics_create(&m, 2), FET_OK);
    fet__class_metrics_result(m, &r);
    assert_int_equal(r.images, 0);
    undefined(r.top1);
    undefined(r.top5);
    undefined(r.macro_f1);
    undefined(r.loss);
    const float good[] = {1, 0, 0, 1}, bad[] = {1, 0, NAN, 1}, infinite[] = {1, 0, INFINITY, 1};
    const int32_t labels[] = {0, 1}, outside[] = {0, 2}, unlabelled[] = {0, -1};
    assert_int_equal(fet__class_metrics_add(m, good, outside, 2), FET_E_DATA);
    assert_non_null(strstr(fet_error_message(), "has label 2, but the model has 2 classes"));
    assert_int_equal(fet__class_metrics_add(m, bad, labels, 2), FET_E_NUMERIC);
    assert_non_null(strstr(fet_error_message(), "class 0 is nan on image 1"));
    assert_int_equal(fet__class_metrics_add(m, infinite, labels, 2), FET_E_NUMERIC);
    fet__class_metrics_result(m, &r);
    assert_int_equal(r.images, 0);                                           /* a refused batch counts nothing */
    assert_int_equal(fet__class_metrics_add(m, bad, unlabelled, 2), FET_OK); /* padding is not looked at */
    assert_int_equal(fet__class_metrics_add(m, good, labels, 2), FET_OK);
    fet__class_metrics_result(m, &r);
    assert_int_equal(r.images, 3);
    near(r.top1, 1);
    near(r.top5, 1);
    near(r.macro_f1, 1);
    near(r.loss, log(1 + exp(-1)));
    fet__class_metrics_destroy(m);
    fet__class_metrics_destroy(NULL);
}

static void failed_allocations(void **state)
{
    (void)state;
    const double score[] = {0.5, 0.6};
    const int32_t yes[] = {1, 0}, group[] = {0, 0};
    double value;
    uint64_t held = fet__alloc_bytes();
    fet__alloc_fail_after(1);
    assert_int_equal(fet__roc_auc(&value, score, yes, 2), FET_E_NOMEM);
    fet__alloc_fail_after(1);
    assert_int_equal(fet__average_precision(&value, score, yes, 2), FET_E_NOMEM);
    fet__alloc_fail_after(2);
    assert_int_equal(fet__map_11(&value, NULL, score, yes, 1, 2), FET_E_NOMEM);
    fet__alloc_fail_after(1);
    assert_int_equal(fet__group_pearson(&value, score, score, group, 2, 1), FET_E_NOMEM);
    for (uint64_t n = 1; n <= 3; n++) {
        fet__class_metrics *m = NULL;
        fet__alloc_fail_after(n);
        assert_int_equal(fet__class_metrics_create(&m, 5), FET_E_NOMEM);
        assert_null(m);
    }
    fet__alloc_fail_after(0);
    assert_int_equal(fet__alloc_bytes(), held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_predictions),
        cmocka_unit_test(golden_f1),
        cmocka_unit_test(golden_groups),
        cmocka_unit_test(golden_ranking),
        cmocka_unit_test(golden_running),
        cmocka_unit_test(ties_go_to_the_lower_class),
        cmocka_unit_test(likelihood_does_not_overflow),
        cmocka_unit_test(calibration_by_hand),
        cmocka_unit_test(the_three_macro_conventions),
        cmocka_unit_test(groups_by_hand),
        cmocka_unit_test(ranking_by_hand),
        cmocka_unit_test(pearson_by_hand),
        cmocka_unit_test(nothing_gives_nan),
        cmocka_unit_test(running_refuses),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("metric.class", tests, open_golden, close_golden);
}
