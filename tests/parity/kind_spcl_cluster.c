/* spcl.jaccard and spcl.pseudo_labels: neighbourhoods, distances and self-paced labels against the dense reference. The dense matrices exist
 * here only. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/cluster.h"
#include "parity/parity.h"

static fet_status load_features(const parity_case *c, const char *name, float **out, int64_t *rows, int64_t *width)
{
    double *values = NULL;
    int64_t count;
    const fet__entry *e = fet__tensors_find(c->t, name);
    if (!e || e->shape.rank != 2)
        return FET_FAIL(FET_E_FORMAT, "%s: no matrix of features", name);
    *rows = e->shape.dim[0];
    *width = e->shape.dim[1];
    fet_status st = parity_doubles(c, name, &values, &count);
    if (st != FET_OK)
        return st;
    FET_TRY(FET_NEW(*out, count));
    for (int64_t i = 0; i < count; i++)
        (*out)[i] = (float)values[i];
done:
    fet__free(values);
    return st;
}

/* ---- spcl.jaccard ---------------------------------------------------------------------------------------------- */

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The first `k` neighbours of every row as a set: the order inside may differ by rounding. */
static fet_status same_sets(parity_case *c, const fet__neighbours *n, const double *expected, int k)
{
    double *ours = NULL, *theirs = NULL, wrong = 0;
    fet_status st;
    FET_TRY(FET_NEW(ours, k));
    FET_TRY(FET_NEW(theirs, k));
    for (int64_t i = 0; i < n->rows; i++) {
        for (int e = 0; e < k; e++) {
            ours[e] = n->index[i * n->k + e];
            theirs[e] = expected[i * n->k + e];
        }
        qsort(ours, (size_t)k, sizeof *ours, by_double);
        qsort(theirs, (size_t)k, sizeof *theirs, by_double);
        for (int e = 0; e < k; e++)
            wrong += ours[e] != theirs[e];
    }
    parity_note(c, "out.initial_rank", wrong, 0.5);
done:
    fet__free(ours);
    fet__free(theirs);
    return st;
}

static fet_status check_rank(parity_case *c, const float *x, int64_t rows, int64_t width, int k1, int k2)
{
    fet__neighbours n = {0};
    double *expected = NULL;
    int64_t count;
    fet_status st;
    FET_TRY(parity_doubles(c, "out.initial_rank", &expected, &count));
    FET_TRY(fet__neighbours_find(&n, x, rows, width, k1, false));
    if (n.k != k1 || count != rows * k1) {
        st = FET_FAIL(FET_E_FORMAT, "out.initial_rank has %lld entries, not %lld x %d", (long long)count,
                      (long long)rows, k1);
        goto done;
    }
    FET_TRY(same_sets(c, &n, expected, k2));
    FET_TRY(same_sets(c, &n, expected, (int)rint(k1 / 2.0) + 1));
    FET_TRY(same_sets(c, &n, expected, k1));
done:
    fet__neighbours_fini(&n);
    fet__free(expected);
    return st;
}

static fet_status check_distance(parity_case *c, const float *x, int64_t rows, int64_t width, int k1, int k2)
{
    fet__jaccard *j = NULL;
    fet__jaccard_row r = {0};
    float *dense = NULL;
    fet_status st;
    FET_TRY(FET_NEW(dense, rows * rows));
    FET_TRY(fet__jaccard_create(&j, x, rows, width, k1, k2));
    FET_TRY(fet__jaccard_row_init(&r, j));
    for (int64_t i = 0; i < rows; i++) {
        fet__jaccard_row_begin(&r, j, i);
        for (int32_t other = 0; other < rows; other++)
            dense[i * rows + other] = fet__jaccard_distance(&r, other);
        fet__jaccard_row_end(&r);
    }
    FET_TRY(parity_compare(c, "out.dist", dense, FET_F32, rows * rows, PARITY_ABS, 3e-6));
done:
    fet__jaccard_row_fini(&r);
    fet__jaccard_destroy(j);
    fet__free(dense);
    return st;
}

typedef struct points {
    const float *x;
    int64_t width;
} points;

static float closeness(const void *user, int64_t row, int64_t member)
{
    const points *p = user;
    return expf(2.0F * fet__row_cosine(p->x + row * p->width, p->x + member * p->width, p->width) - 2.0F);
}

static fet_status compare_sparse(parity_case *c, const char *name, const fet__sparse *v)
{
    float *dense = NULL;
    fet_status st;
    FET_TRY(FET_NEW(dense, v->rows * v->rows));
    for (int64_t i = 0; i < v->rows; i++)
        for (int64_t e = v->start[i]; e < v->start[i + 1]; e++)
            dense[i * v->rows + v->column[e]] = v->weight[e];
    FET_TRY(parity_compare(c, name, dense, FET_F32, v->rows * v->rows, PARITY_ABS, 2e-6));
done:
    fet__free(dense);
    return st;
}

static fet_status check_weights(parity_case *c, const float *x, int64_t rows, int64_t width, int k1, int k2)
{
    points p = {x, width};
    fet__neighbours n = {0};
    fet__sparse v = {0}, smooth = {0};
    fet_status st;
    FET_TRY(fet__neighbours_find(&n, x, rows, width, k1, false));
    FET_TRY(fet__reciprocal(&v, &n, k1, (int)rint(k1 / 2.0) + 1, closeness, &p));
    FET_TRY(fet__sparse_mean(&smooth, &v, &n, k2));
    FET_TRY(compare_sparse(c, "out.V", &v));
    FET_TRY(compare_sparse(c, "out.V_expanded", &smooth));
done:
    fet__sparse_fini(&v);
    fet__sparse_fini(&smooth);
    fet__neighbours_fini(&n);
    return st;
}

fet_status parity_spcl_jaccard(parity_case *c)
{
    int k1 = (int)parity_number(c, "k1", 30), k2 = (int)parity_number(c, "k2", 6);
    float *x = NULL;
    int64_t rows, width;
    fet_status st;
    FET_TRY(load_features(c, "in.features", &x, &rows, &width));
    FET_TRY(check_rank(c, x, rows, width, k1, k2));
    if (fet__tensors_find(c->t, "out.V"))
        FET_TRY(check_weights(c, x, rows, width, k1, k2));
    FET_TRY(check_distance(c, x, rows, width, k1, k2));
done:
    fet__free(x);
    return st;
}

/* ---- spcl.pseudo_labels ---------------------------------------------------------------------------------------- */

static fet_status compare_round(parity_case *c, const char *stem, int round, const void *values, fet_dtype type,
                                int64_t count)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", stem, round);
    return parity_compare(c, name, values, type, count, PARITY_ABS, 1e-7);
}

static fet_status compare_scores(parity_case *c, int round, const fet__pseudo_labels *p,
                                 const fet__self_paced_state *state)
{
    fet_status st;
    FET_TRY(compare_round(c, "out.R_comp", round, p->compact, FET_F32, p->rows));
    FET_TRY(compare_round(c, "out.R_indep", round, p->independent, FET_F32, p->rows));
    FET_TRY(compare_round(c, "out.cluster_R_comp", round, p->class_compact, FET_F32, p->classes));
    FET_TRY(compare_round(c, "out.cluster_R_indep", round, p->class_independent, FET_F32, p->classes));
    FET_TRY(compare_round(c, "out.indep_threshold", round, &state->threshold, FET_F32, 1));
done:
    return st;
}

/* DBSCAN numbers clusters as the reference does; its outliers are -1 in both or numbered behind the clusters in the golden. */
static fet_status compare_clusters(parity_case *c, int round, const char *stem, const int32_t *label, int64_t rows)
{
    char name[64];
    double *expected = NULL, wrong = 0;
    int64_t count;
    int32_t next = 0;
    fet_status st;
    snprintf(name, sizeof name, "%s.%d", stem, round);
    FET_TRY(parity_doubles(c, name, &expected, &count));
    for (int64_t i = 0; i < rows; i++)
        next = label[i] >= next ? label[i] + 1 : next;
    for (int64_t i = 0; i < rows && count == rows; i++) {
        double single = expected[i] < 0 ? -1 : label[i] < 0 ? next++ : 0;
        wrong += (label[i] < 0 ? single : label[i]) != expected[i];
    }
    parity_note(c, name, count == rows ? wrong : 1, 0.5);
done:
    fet__free(expected);
    return st;
}

static fet_status compare_means(parity_case *c, int round, const char *stem, const float *x, int64_t width,
                                const int32_t *label, int64_t rows, int32_t first)
{
    char name[64];
    float *centers = NULL;
    fet_status st;
    snprintf(name, sizeof name, "%s.%d", stem, round);
    const fet__entry *e = fet__tensors_find(c->t, name);
    if (!e || e->shape.rank != 2)
        return FET_FAIL(FET_E_FORMAT, "%s: no matrix of centres", name);
    FET_TRY(FET_NEW(centers, e->shape.dim[0] * width));
    FET_TRY(fet__label_means(centers, x, label, rows, width, first, (int32_t)e->shape.dim[0]));
    FET_TRY(parity_compare(c, name, centers, FET_F32, e->shape.dim[0] * width, PARITY_ABS, 1e-6));
done:
    fet__free(centers);
    return st;
}

typedef struct rounds {
    fet__self_paced_options options;
    fet__self_paced_state plain, domain, toolbox;
} rounds;

static fet_status check_toolbox(parity_case *c, int round, const float *x, int64_t rows, int64_t width, rounds *r)
{
    fet__self_paced_options o = r->options;
    fet__pseudo_labels p = {0};
    fet_status st;
    o.no_gaps = true;
    FET_TRY(fet__self_paced(&p, &r->toolbox, x, rows, width, &o));
    FET_TRY(compare_round(c, "out.labels_toolbox", round, p.label, FET_I32, rows));
    FET_TRY(compare_round(c, "out.num_classes_toolbox", round, &p.limit, FET_I32, 1));
    FET_TRY(compare_means(c, round, "out.centers_toolbox_first8", x, width, p.label, rows, 0));
done:
    fet__pseudo_labels_fini(&p);
    return st;
}

static fet_status check_round(parity_case *c, int round, rounds *r)
{
    char name[64];
    float *x = NULL;
    int64_t rows, width;
    fet__pseudo_labels p = {0}, domain = {0};
    fet__self_paced_options with_source = r->options;
    fet_status st;
    with_source.first_label = (int32_t)parity_number(c, "source_classes", 0);
    snprintf(name, sizeof name, "in.features.%d", round);
    FET_TRY(load_features(c, name, &x, &rows, &width));
    FET_TRY(fet__self_paced(&p, &r->plain, x, rows, width, &r->options));
    FET_TRY(fet__self_paced(&domain, &r->domain, x, rows, width, &with_source));
    FET_TRY(compare_clusters(c, round, "out.dbscan_normal", p.normal, rows));
    FET_TRY(compare_clusters(c, round, "out.dbscan_tight", p.tight, rows));
    FET_TRY(compare_clusters(c, round, "out.dbscan_loose", p.loose, rows));
    FET_TRY(compare_scores(c, round, &p, &r->plain));
    FET_TRY(compare_round(c, "out.labels_usl", round, p.label, FET_I32, rows));
    FET_TRY(compare_round(c, "out.labels_uda", round, domain.label, FET_I32, rows));
    FET_TRY(compare_round(c, "out.labels_baseline", round, p.normal, FET_I32, rows));
    FET_TRY(compare_means(c, round, "out.centers_baseline", x, width, p.normal, rows, 0));
    FET_TRY(check_toolbox(c, round, x, rows, width, r));
done:
    fet__pseudo_labels_fini(&p);
    fet__pseudo_labels_fini(&domain);
    fet__free(x);
    return st;
}

fet_status parity_spcl_pseudo_labels(parity_case *c)
{
    rounds r = {.options = {.k1 = (int)parity_number(c, "k1", 30),
                            .k2 = (int)parity_number(c, "k2", 6),
                            .eps = parity_number(c, "eps", 0.6),
                            .eps_gap = parity_number(c, "eps_gap", 0.02),
                            .least = (int)parity_number(c, "min_samples", 4)}};
    char name[32] = "in.features.0";
    fet_status st = FET_OK;
    for (int round = 0; fet__tensors_find(c->t, name); round++) {
        FET_TRY(check_round(c, round, &r));
        snprintf(name, sizeof name, "in.features.%d", round + 1);
    }
done:
    return st;
}
