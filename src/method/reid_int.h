/* What the files of re-identification share: options as a table, encoders, features, scores. */
#ifndef FET_REID_INT_H
#define FET_REID_INT_H

#include "fettle/reid.h"
#include "cluster/cluster.h"
#include "method/method_int.h"

/* ---- reid_options.c ------------------------------------------------------------------------------------------------- */
fet_status fet__reid_check(const fet_reid_options *o); /* what one value alone does not tell */
char *fet__reid_to_json(const fet_reid_options *o);    /* caller frees with fet__free */
/* The options with which RUN began, over those given, which are named where they differ. Texts live until fet__reid_texts_free(*keep). *found is
 * false where RUN has no run.json yet. */
fet_status fet__reid_from_run(fet_reid_options *o, const char *run, void **keep, bool *found);
void fet__reid_texts_free(void *keep);

/* ---- reid_features.c ------------------------------------------------------------------------------------------------ */
/* out: [count][width]: features of unit length; an image that cannot be read is an error. One without any length is zeros, which is said. */
fet_status fet__reid_features(fet_model *m, const fet__sample *samples, int count, int batch, int64_t memory,
                              float *out);
fet_status fet__reid_image_features(fet_model *m, const fet__reid_image *images, int count, int batch, int64_t memory,
                                    float *out);

/* ---- reid_eval.c ---------------------------------------------------------------------------------------------------- */
#define FET__REID_CURVE 50
#define FET__REID_SHOWN 12 /* queries in a report */
/* One query's ranking, for a report. */
typedef struct fet__reid_ranking {
    int query, count;
    int entry[10]; /* gallery images from the nearest on, junk left out */
    bool right[10];
} fet__reid_ranking;
typedef struct fet__reid_found {
    fet_reid_scores scores;
    double curve[FET__REID_CURVE];
    fet__reid_ranking *shown; /* [FET__REID_SHOWN], spread over the queries; NULL: not asked for */
    int shown_count;
} fet__reid_found;
bool fet__reid_can_evaluate(const fet__reid_set *s); /* queries and gallery, and more than one identity */
/* Scores of the set's query and gallery images. */
fet_status fet__reid_score(fet__reid_found *out, fet_model *m, const fet__reid_set *s, const fet_reid_eval_options *o);

/* ---- reid_labels.c -------------------------------------------------------------------------------------------------- */
typedef struct fet__reid_labelling {
    const char *labels;
    bool drop_outliers;
    fet__self_paced_options options;
    const fet__reid_image *images; /* for true identities */
    bool truth_known;
} fet__reid_labelling;
fet_status fet__reid_label(const fet__reid_labelling *l, fet__spcl_labels *out, int32_t *label, const float *x,
                           int64_t rows, int64_t width, int32_t first, fet__spcl_threshold *threshold);

/* ---- reid_report.c -------------------------------------------------------------------------------------------------- */
fet_status fet__reid_report(const char *run, const fet_reid_options *o, const fet_reid_result *r,
                            const fet__reid_found *found, const fet__reid_set *set);

#endif
