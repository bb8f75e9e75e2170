/* mabn.double_backward_ops: second derivatives, operator by operator; mabn.metrics: accuracy, F1 over the classes that occur, groups,
 * correlation. */
#include "metric/metric.h"
#include "op/double_backward.h"
#include "parity/mini_case.h"

#include <math.h>
#include <string.h>

/* ---- operators --------------------------------------------------------------------------------------------------------- */

static const net_tolerance tolerances[] = {
    {"out.", PARITY_MIXED, 2e-4}, {"grad.", PARITY_MIXED, 2e-4}, {"grad2.", PARITY_MIXED, 3e-4}, {0}};

static const fet__entry *entry_of(const net_case *n, const double_backward_case *d, const char *part, const char *name)
{
    char full[96];

    snprintf(full, sizeof full, "%s.%s.%s", part, d->name, name);
    return fet__tensors_find(n->c->t, full);
}

static fet__node *input_of(net_case *n, const double_backward_case *d, const char *prefix, const char *name)
{
    char leaf[64];
    const fet__entry *e;

    snprintf(leaf, sizeof leaf, "%s%s", prefix, name);
    e = entry_of(n, d, "in", leaf);
    if (!e)
        return fet__graph_fail(n->b.g, FET_E_FORMAT, "the golden has no in.%s.%s", d->name, leaf);
    return fet__input(n->b.g, e->name, fet__dtype_is_float(e->dtype) ? n->type : FET_I32, e->shape);
}

/* As the file has it: no turning. An absent gradient stands for zeros. */
static void expect(net_case *n, const fet__entry *e, fet__node *x)
{
    if (!e)
        return;
    if (!x)
        x = fet__fill(n->b.g, n->type, e->shape, 0);
    fet__output(n->b.g, e->name, x);
    n->outputs[n->output_count++] = (net_value){e->name, x};
}

static fet_status check_operator(net_case *n, const double_backward_case *d)
{
    fet__node *in[MOST + 1] = {NULL}, *other[2] = {NULL}, *grad[MOST], *grad2[MOST + 1], *y, *s = NULL;
    int count = 0;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    for (; count < MOST && d->wrt[count]; count++)
        in[count] = input_of(n, d, "", d->wrt[count]);
    for (int i = 0; i < 2 && d->other[i]; i++)
        other[i] = input_of(n, d, "", d->other[i]);
    in[count] = input_of(n, d, "", "gy");
    FET_TRY(fet__graph_status(n->b.g));
    y = d->build(n->b.g, in, other, d->user);
    expect(n, entry_of(n, d, "out", "y"), y);
    FET_TRY(fet__graph_status(n->b.g));
    FET_TRY(fet__gradient(n->b.g, fet__sum_all(n->b.g, fet__mul(n->b.g, y, in[count])), in, count, false, grad));
    for (int i = 0; i < count; i++) {
        fet__node *share = fet__sum_all(n->b.g, fet__mul(n->b.g, grad[i], input_of(n, d, "v_", d->wrt[i])));
        expect(n, entry_of(n, d, "grad", d->wrt[i]), grad[i]);
        s = s ? fet__add(n->b.g, s, share) : share;
    }
    FET_TRY(fet__gradient(n->b.g, s, in, count + 1, true, grad2));
    for (int i = 0; i <= count; i++)
        expect(n, entry_of(n, d, "grad2", i < count ? d->wrt[i] : "gy"), grad2[i]);
    st = net_run(n, NULL);
done:
    return st;
}

fet_status parity_mabn_double_backward_ops(parity_case *c)
{
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    for (const double_backward_case *d = double_backward_cases; d->name && st == FET_OK; d++)
        st = check_operator(&n, d);
done:
    net_close(&n);
    return st;
}

/* ---- metrics ----------------------------------------------------------------------------------------------------------- */

typedef struct table {
    double *number[7]; /* truth, prediction, group, regression's two, urban, logits */
    int32_t *truth, *predicted, *group, *urban;
    int64_t n, values;
    int classes, groups;
} table;

static const char *const columns[] = {"in.y_true",   "in.y_pred", "in.group", "in.reg_true",
                                      "in.reg_pred", "in.urban",  "in.logits"};

static fet_status whole(int32_t **out, const double *v, int64_t n)
{
    fet_status st = FET_NEW(*out, n);

    for (int64_t i = 0; i < n && st == FET_OK; i++)
        (*out)[i] = (int32_t)v[i];
    return st;
}

static fet_status load(const parity_case *c, table *t)
{
    int64_t n;
    fet_status st = FET_OK;

    t->classes = (int)parity_number(c, "k", 0);
    t->groups = (int)parity_number(c, "g", 0);
    for (size_t i = 0; i < FET_COUNT(columns); i++) {
        FET_TRY(parity_doubles(c, columns[i], &t->number[i], &n));
        t->n = i == 0 ? n : t->n;
        if (n != (i == 6 ? t->n * t->classes : t->n))
            return FET_FAIL(FET_E_FORMAT, "%s has another length", columns[i]);
    }
    FET_TRY(whole(&t->truth, t->number[0], t->n));
    FET_TRY(whole(&t->predicted, t->number[1], t->n));
    FET_TRY(whole(&t->group, t->number[2], t->n));
    FET_TRY(whole(&t->urban, t->number[5], t->n));
    for (int64_t i = 0; i < t->n; i++)
        if (t->truth[i] < 0 || t->truth[i] >= t->classes || t->predicted[i] < 0 || t->predicted[i] >= t->classes ||
            t->group[i] < 0 || t->group[i] >= t->groups || (t->urban[i] != 0 && t->urban[i] != 1))
            return FET_FAIL(FET_E_FORMAT, "row %lld is out of range", (long long)i);
done:
    return st;
}

static void fini(table *t)
{
    for (size_t i = 0; i < FET_COUNT(t->number); i++)
        fet__free(t->number[i]);
    fet__free(t->truth);
    fet__free(t->predicted);
    fet__free(t->group);
    fet__free(t->urban);
}

static fet_status one(parity_case *c, const char *name, double v)
{
    return parity_compare_one(c, name, v, PARITY_ABS, 1e-6);
}

static fet_status check_classes(parity_case *c, const table *t)
{
    int64_t *confusion = NULL, hits = 0;
    fet__counts *counts = NULL;
    double *f1 = NULL, *present = NULL, recall = 0;
    int used = 0;
    fet_status st;

    FET_TRY(FET_NEW(confusion, t->classes * t->classes));
    FET_TRY(FET_NEW(counts, t->classes));
    FET_TRY(FET_NEW(f1, t->classes));
    FET_TRY(FET_NEW(present, t->classes));
    fet__confusion(confusion, t->truth, t->predicted, t->n, t->classes);
    fet__confusion_counts(counts, confusion, t->classes);
    for (int i = 0; i < t->classes; i++) {
        hits += counts[i].hits;
        if (!counts[i].truths)
            continue;
        recall += (double)counts[i].hits / (double)counts[i].truths;
        present[used] = i;
        f1[used++] = fet__f1(&counts[i]);
    }
    FET_TRY(one(c, "out.accuracy", (double)hits / (double)t->n));
    FET_TRY(one(c, "out.f1_macro", fet__macro_f1(counts, t->classes, FET__MACRO_TRUE)));
    FET_TRY(one(c, "out.f1_macro_all_labels_sklearn_default", fet__macro_f1(counts, t->classes, FET__MACRO_UNION)));
    FET_TRY(one(c, "out.recall_macro", fet__mean_class_accuracy(counts, t->classes)));
    parity_note(c, "out.recall_macro", fabs(recall / used - fet__mean_class_accuracy(counts, t->classes)), 1e-12);
    FET_TRY(parity_compare(c, "out.f1_per_class", f1, FET_F64, used, PARITY_ABS, 1e-6));
    st = parity_compare(c, "out.classes_present", present, FET_F64, used, PARITY_ABS, 0);
done:
    fet__free(confusion);
    fet__free(counts);
    fet__free(f1);
    fet__free(present);
    return st;
}

static fet_status check_groups(parity_case *c, const table *t)
{
    double *accuracy = NULL, *count = NULL, r[2], sum = 0;
    int worst, used = 0;
    fet_status st;

    FET_TRY(FET_NEW(accuracy, t->groups));
    FET_TRY(FET_NEW(count, t->groups));
    fet__group_accuracy(accuracy, t->truth, t->predicted, t->group, t->n, t->groups);
    for (int64_t i = 0; i < t->n; i++)
        count[t->group[i]]++;
    worst = fet__worst(accuracy, t->groups);
    FET_TRY(one(c, "out.worst_group_accuracy", worst < 0 ? (double)NAN : accuracy[worst]));
    for (int i = 0; i < t->groups; i++) {
        if (count[i] > 0) {
            sum += accuracy[i];
            used++;
        } else {
            accuracy[i] = 0; /* what the file has for an empty group; ours is undefined */
        }
    }
    FET_TRY(one(c, "out.mean_group_accuracy", sum / used));
    FET_TRY(parity_compare(c, "out.group_count", count, FET_F64, t->groups, PARITY_ABS, 0));
    FET_TRY(parity_compare(c, "out.group_accuracy", accuracy, FET_F64, t->groups, PARITY_ABS, 1e-6));
    FET_TRY(one(c, "out.pearson_r", fet__pearson(t->number[4], t->number[3], t->n)));
    FET_TRY(fet__group_pearson(r, t->number[4], t->number[3], t->urban, t->n, 2));
    worst = fet__worst(r, 2);
    FET_TRY(parity_compare(c, "out.pearson_r_group", r, FET_F64, 2, PARITY_ABS, 1e-6));
    st = one(c, "out.pearson_r_worst", worst < 0 ? (double)NAN : r[worst]);
done:
    fet__free(accuracy);
    fet__free(count);
    return st;
}

/* Cross-entropy, entropy and squared error as the losses have them. */
static fet_status check_losses(parity_case *c, const table *t)
{
    int32_t *best = NULL;
    double square = 0;
    net_case n = {0};
    fet_status st;

    FET_TRY(FET_NEW(best, t->n));
    fet__predict(best, t->number[6], t->n, t->classes);
    FET_TRY(parity_compare(c, "out.argmax", best, FET_I32, t->n, PARITY_ABS, 0));
    for (int64_t i = 0; i < t->n; i++)
        square += (t->number[4][i] - t->number[3][i]) * (t->number[4][i] - t->number[3][i]);
    FET_TRY(one(c, "out.mse", square / (double)t->n));
    FET_TRY(one(c, "out.cross_entropy", fet__mean_nll(t->number[6], t->truth, t->n, t->classes)));
    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    net_output(&n, "out.entropy", fet__mean_entropy(n.b.g, net_input(&n, "in.logits")));
    st = net_run(&n, NULL);
done:
    fet__free(best);
    net_close(&n);
    return st;
}

fet_status parity_mabn_metrics(parity_case *c)
{
    table t = {0};
    fet_status st;

    FET_TRY(load(c, &t));
    FET_TRY(check_classes(c, &t));
    FET_TRY(check_groups(c, &t));
    st = check_losses(c, &t);
done:
    fini(&t);
    return st;
}
