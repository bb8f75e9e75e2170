/* data.metrics_class: every classification metric over the inputs that lie in the same file. Sizes come from the
 * file. */
#include <math.h>

#include "metric/metric.h"
#include "parity/parity.h"

typedef struct inputs {
    double *logits, *score, *x, *y, *ml_score;
    int32_t *label, *group, *yes, *ml_yes, *predicted;
    int64_t n;
    int classes, groups, columns;
} inputs;

static void inputs_fini(inputs *in)
{
    void *const all[] = {in->logits, in->score, in->x,   in->y,      in->ml_score,
                         in->label,  in->group, in->yes, in->ml_yes, in->predicted};
    for (size_t i = 0; i < FET_COUNT(all); i++)
        fet__free(all[i]);
}

/* Whole numbers in low..limit-1; a file that says otherwise would send the metrics outside of their arrays. */
static fet_status load_indices(const parity_case *c, const char *name, int32_t **out, int64_t *count, int limit)
{
    double *values = NULL;
    fet_status st = parity_doubles(c, name, &values, count);
    if (st != FET_OK)
        return st;
    FET_TRY(FET_NEW(*out, *count));
    for (int64_t i = 0; i < *count; i++) {
        if (!(values[i] >= 0 && values[i] < limit)) {
            st = FET_FAIL(FET_E_FORMAT, "%s: entry %lld is %g, not an index below %d", name, (long long)i, values[i],
                          limit);
            goto done;
        }
        (*out)[i] = (int32_t)values[i];
    }
done:
    fet__free(values);
    return st;
}

/* The length of a tensor as rows of `n`; 0 when it does not divide. */
static int columns_of(int64_t count, int64_t n)
{
    return n > 0 && count % n == 0 ? (int)(count / n) : 0;
}

static fet_status load(const parity_case *c, inputs *in)
{
    fet_status st = FET_OK;
    int64_t n[8] = {0};
    double *per_group = NULL;
    FET_TRY(parity_doubles(c, "in.auc_score", &in->score, &in->n));
    FET_TRY(parity_doubles(c, "in.logits", &in->logits, &n[0]));
    FET_TRY(parity_doubles(c, "in.ml_score", &in->ml_score, &n[1]));
    FET_TRY(parity_doubles(c, "out.group_acc", &per_group, &n[2]));
    in->classes = columns_of(n[0], in->n);
    in->columns = columns_of(n[1], in->n);
    in->groups = (int)n[2];
    FET_TRY(load_indices(c, "in.label", &in->label, &n[3], in->classes));
    FET_TRY(load_indices(c, "in.group", &in->group, &n[4], in->groups));
    FET_TRY(load_indices(c, "in.auc_label", &in->yes, &n[5], 2));
    FET_TRY(load_indices(c, "in.ml_label", &in->ml_yes, &n[1], 2));
    FET_TRY(parity_doubles(c, "in.pearson_x", &in->x, &n[6]));
    FET_TRY(parity_doubles(c, "in.pearson_y", &in->y, &n[7]));
    for (int i = 3; i < 8; i++) {
        if (n[i] != in->n || in->classes < 1 || n[1] != in->columns * in->n)
            FET_TRY(FET_FAIL(FET_E_FORMAT, "%s: inputs of different lengths", fet__show(c->path)));
    }
    FET_TRY(FET_NEW(in->predicted, in->n));
    fet__predict(in->predicted, in->logits, in->n, in->classes);
done:
    fet__free(per_group);
    return st;
}

/* Tolerances are those of INDEX.md where the file's metadata gives none. */
static fet_status compare(parity_case *c, const char *name, const double *values, int64_t count)
{
    return parity_compare(c, name, values, FET_F64, count, PARITY_ABS, 1e-9);
}

static fet_status compare_one(parity_case *c, const char *name, double value)
{
    return compare(c, name, &value, 1);
}

static fet_status check_logits(parity_case *c, const inputs *in)
{
    fet_status st = FET_OK;
    FET_TRY(parity_compare(c, "out.pred", in->predicted, FET_I32, in->n, PARITY_ABS, 0));
    FET_TRY(compare_one(c, "out.top1", fet__topk_accuracy(in->logits, in->label, in->n, in->classes, 1)));
    FET_TRY(compare_one(c, "out.top5", fet__topk_accuracy(in->logits, in->label, in->n, in->classes, 5)));
    FET_TRY(compare_one(c, "out.mean_nll", fet__mean_nll(in->logits, in->label, in->n, in->classes)));
    FET_TRY(compare_one(c, "out.ece15", fet__calibration_error(in->logits, in->label, in->n, in->classes, 15)));
done:
    return st;
}

static fet_status check_counts(parity_case *c, const inputs *in)
{
    fet_status st = FET_OK;
    int classes = in->classes;
    int64_t *confusion = NULL;
    fet__counts *counts = NULL;
    double *f1 = NULL;
    FET_TRY(FET_NEW(confusion, classes * classes));
    FET_TRY(FET_NEW(counts, classes));
    FET_TRY(FET_NEW(f1, classes));
    fet__confusion(confusion, in->label, in->predicted, in->n, classes);
    fet__confusion_counts(counts, confusion, classes);
    for (int i = 0; i < classes; i++)
        f1[i] = fet__f1(&counts[i]);
    FET_TRY(parity_compare(c, "out.confusion_true_by_pred", confusion, FET_I64, classes * classes, PARITY_ABS, 0));
    FET_TRY(compare(c, "out.f1_per_class", f1, classes));
    FET_TRY(compare_one(c, "out.macro_f1_all", fet__macro_f1(counts, classes, FET__MACRO_ALL)));
    FET_TRY(compare_one(c, "out.macro_f1_union", fet__macro_f1(counts, classes, FET__MACRO_UNION)));
    FET_TRY(compare_one(c, "out.macro_f1_true_present", fet__macro_f1(counts, classes, FET__MACRO_TRUE)));
    FET_TRY(compare_one(c, "out.micro_f1", fet__micro_f1(counts, classes)));
    FET_TRY(compare_one(c, "out.mean_per_class_acc", fet__mean_class_accuracy(counts, classes)));
done:
    fet__free(confusion);
    fet__free(counts);
    fet__free(f1);
    return st;
}

static fet_status check_groups(parity_case *c, const inputs *in)
{
    fet_status st = FET_OK;
    double *values = NULL;
    FET_TRY(FET_NEW(values, in->groups));
    fet__group_accuracy(values, in->label, in->predicted, in->group, in->n, in->groups);
    FET_TRY(compare(c, "out.group_acc", values, in->groups));
    int worst = fet__worst(values, in->groups);
    FET_TRY(compare_one(c, "out.worst_group_acc", worst < 0 ? NAN : values[worst]));
    FET_TRY(parity_compare(c, "out.worst_group_index", &worst, FET_I32, 1, PARITY_ABS, 0));
    FET_TRY(compare_one(c, "out.pearson", fet__pearson(in->x, in->y, in->n)));
    FET_TRY(fet__group_pearson(values, in->x, in->y, in->group, in->n, in->groups));
    worst = fet__worst(values, in->groups);
    FET_TRY(compare_one(c, "out.worst_group_pearson", worst < 0 ? NAN : values[worst]));
done:
    fet__free(values);
    return st;
}

static fet_status check_ranking(parity_case *c, const inputs *in)
{
    fet_status st = FET_OK;
    double value = 0, *per_label = NULL;
    FET_TRY(FET_NEW(per_label, in->columns));
    FET_TRY(fet__roc_auc(&value, in->score, in->yes, in->n));
    FET_TRY(compare_one(c, "out.roc_auc", value));
    FET_TRY(fet__average_precision(&value, in->score, in->yes, in->n));
    FET_TRY(compare_one(c, "out.average_precision_step", value));
    FET_TRY(fet__map_11(&value, per_label, in->ml_score, in->ml_yes, in->n, in->columns));
    FET_TRY(compare_one(c, "out.map_11pt_multilabel", value));
    FET_TRY(compare(c, "out.ap11_per_class", per_label, in->columns));
done:
    fet__free(per_label);
    return st;
}

fet_status parity_metrics_class(parity_case *c)
{
    fet_status st = FET_OK;
    inputs in = {0};
    FET_TRY(load(c, &in));
    FET_TRY(check_logits(c, &in));
    FET_TRY(check_counts(c, &in));
    FET_TRY(check_groups(c, &in));
    FET_TRY(check_ranking(c, &in));
done:
    inputs_fini(&in);
    return st;
}
