/* Groups found in features without labels: exact nearest neighbours, k-reciprocal Jaccard distances, DBSCAN, and the
 * self-paced criteria that decide which groups to believe. Everything is O(rows * k) in memory; no rows x rows matrix
 * is ever made. Source: SpCL (Ge et al., NeurIPS 2020), sections 3.2 and 3.3, and its reference code where the two
 * differ. Knows no models, files or training. */
#ifndef FET_CLUSTER_H
#define FET_CLUSTER_H

#include "kernel/kernel.h"

/* ---- neighbours.c ------------------------------------------------------------------------------------------------ */
/* The k rows nearest to each row of unit vectors, itself included (normally first), by (distance, index). */
typedef struct fet__neighbours {
    int64_t rows;
    int k;
    int32_t *index;      /* [rows][k] */
    float *cosine;       /* [rows][k] */
    float *least_cosine; /* [rows]: of the farthest row; NULL unless asked for */
} fet__neighbours;
/* x: [rows][width], finite; 1 <= k; a k above rows becomes rows. The result does not depend on the thread count. */
fet_status fet__neighbours_find(fet__neighbours *out, const float *x, int64_t rows, int64_t width, int k,
                                bool farthest);
void fet__neighbours_fini(fet__neighbours *n);
/* FET_E_NUMERIC naming the first row with a value that is not finite. */
fet_status fet__rows_finite(const float *x, int64_t rows, int64_t width);
float fet__row_cosine(const float *a, const float *b, int64_t width);
/* Of two rows of x: looked up where the second is among the first's neighbours, else computed. */
float fet__neighbour_cosine(const fet__neighbours *n, const float *x, int64_t width, int64_t row, int64_t other);

/* ---- distances.c ------------------------------------------------------------------------------------------------ */
/* out: [m][n] squared distances |a|^2 + |b|^2 - 2 <a, b> between rows, by blocked products on all threads; never below 0. The result does not
 * depend on the thread count. */
fet_status fet__row_distances(float *out, const float *a, int64_t m, const float *b, int64_t n, int64_t width);

/* ---- reciprocal.c --------------------------------------------------------------------------------------------- */
/* Sparse rows: columns ascend within a row, weights of a row sum to 1. */
typedef struct fet__sparse {
    int64_t rows;
    int64_t *start;  /* [rows + 1] */
    int32_t *column; /* [start[rows]] */
    float *weight;
} fet__sparse;
void fet__sparse_fini(fet__sparse *s);
/* Weight of a member before the row is normalised. */
typedef float fet__member_weight(const void *user, int64_t row, int64_t member);
/* The expanded k-reciprocal neighbourhoods: row i holds those of its first `near` neighbours that have i among theirs, and the
 * like sets by `half` neighbours of each of these where more than two thirds of them are in already. */
fet_status fet__reciprocal(fet__sparse *out, const fet__neighbours *n, int near, int half, fet__member_weight *weight,
                           const void *user);
/* Row i becomes the mean of the rows of its first k2 neighbours. */
fet_status fet__sparse_mean(fet__sparse *out, const fet__sparse *v, const fet__neighbours *n, int k2);

/* ---- jaccard.c ------------------------------------------------------------------------------------------------ */
/* Jaccard distances between weighted neighbourhoods, computed row by row when asked for. */
typedef struct fet__jaccard fet__jaccard;
/* x: [rows][width], unit vectors; k1 and k2 above rows become rows (k1 = 30, k2 = 6 in the paper). */
fet_status fet__jaccard_create(fet__jaccard **out, const float *x, int64_t rows, int64_t width, int k1, int k2);
/* The same from the k1 nearest neighbours of x's rows; takes over `n`. */
fet_status fet__jaccard_from(fet__jaccard **out, fet__neighbours *n, const float *x, int64_t width, int k1, int k2);
/* Of neighbourhoods that exist already; takes over `v`. */
fet_status fet__jaccard_of(fet__jaccard **out, fet__sparse *v);
void fet__jaccard_destroy(fet__jaccard *j); /* accepts NULL */
int64_t fet__jaccard_rows(const fet__jaccard *j);
/* One thread's workspace. */
typedef struct fet__jaccard_row {
    float *overlap;   /* [rows], zero between uses */
    int32_t *touched; /* rows that may be nearer than 1 */
    int64_t count;
} fet__jaccard_row;
fet_status fet__jaccard_row_init(fet__jaccard_row *r, const fet__jaccard *j);
void fet__jaccard_row_fini(fet__jaccard_row *r);
/* Fills r->touched with every row whose distance to i is below 1, in no particular order; fet__jaccard_distance then gives it. */
void fet__jaccard_row_begin(fet__jaccard_row *r, const fet__jaccard *j, int64_t i);
static inline float fet__jaccard_distance(const fet__jaccard_row *r, int32_t other)
{
    float t = r->overlap[other], d = 1.0F - t / (2.0F - t);
    return d > 0 ? d : 0;
}
void fet__jaccard_row_end(fet__jaccard_row *r);

/* ---- dbscan.c ------------------------------------------------------------------------------------------------- */
/* Clusters at several radii in one pass. labels: [radii][rows]; cluster numbers follow the smallest index of a core point; a
 * border point belongs to the lowest-numbered cluster that reaches it; the rest is -1. A point counts among its own neighbours. Radii lie
 * in [0, 1). */
fet_status fet__dbscan(int32_t *labels, int32_t *clusters, const fet__jaccard *j, const float *radius, int radii,
                       int least);

/* ---- self_paced.c --------------------------------------------------------------------------------------------- */
typedef struct fet__self_paced_options {
    int k1, k2;          /* 30, 6 */
    double eps, eps_gap; /* 0.6, 0.02: normal radius, and how far the tight and the loose one lie from it */
    int least;           /* 4: neighbours of a core point */
    int32_t first_label; /* the smallest label given: the number of source classes */
    bool no_gaps; /* the toolbox's form: a class of one, or the last member of a rejected one, keeps its number */
} fet__self_paced_options;
/* What goes on from epoch to epoch: the independence threshold, taken where the first cluster is seen. */
typedef struct fet__self_paced_state {
    bool known;
    float threshold; /* alpha: largest 1 - IoU with the loose clustering that is believed */
} fet__self_paced_state;
typedef struct fet__pseudo_labels {
    int64_t rows;
    int32_t *label;                           /* [rows]: first_label and up; numbers may be missing */
    int32_t *normal, *tight, *loose;          /* [rows]: DBSCAN's, -1 for outliers */
    float *compact, *independent;             /* [rows]: 1 - IoU with the tight and the loose class */
    int32_t classes;                          /* normal classes, outliers as classes of one included */
    float *class_compact, *class_independent; /* [classes]: the smallest of their members */
    int32_t clusters, singles, limit; /* final classes with more than one row, with one; labels are below limit */
} fet__pseudo_labels;
/* Refuses values that are not finite, eps + eps_gap >= 1, eps <= eps_gap. */
fet_status fet__self_paced(fet__pseudo_labels *out, fet__self_paced_state *state, const float *x, int64_t rows,
                           int64_t width, const fet__self_paced_options *o);
void fet__pseudo_labels_fini(fet__pseudo_labels *p);
/* Means of the rows of each label first..first + count - 1 (zero where there is none); labels outside are left out.
 * centers: [count][width]. */
fet_status fet__label_means(float *centers, const float *x, const int32_t *label, int64_t rows, int64_t width,
                            int32_t first, int32_t count);

/* ---- rerank.c --------------------------------------------------------------------------------------------------- */
/* out: [queries][entries] distances from unit vectors: (1 - lambda) Jaccard + lambda scaled distance (20, 6, 0.3 in the reference). */
fet_status fet__rerank(float *out, const float *query, int64_t queries, const float *gallery, int64_t entries,
                       int64_t width, int k1, int k2, double lambda);

#endif
