/* What the files of fet_meta, fet_adapt and fet_evaluate_tta share: keeping norms as they were. */
#ifndef FET_METHOD_MABN_INT_H
#define FET_METHOD_MABN_INT_H

#include "fettle/meta.h"
#include "method/method_int.h"

/* Scales, shifts and running statistics of a store, or all of it, to go back to. */
typedef struct fet__norm_copy {
    int count;
    fet__param **param;
    char *data;
} fet__norm_copy;
fet_status fet__norm_copy_take(fet__norm_copy *c, fet__params *store, bool everything); /* everything: of the model */
void fet__norm_copy_restore(const fet__norm_copy *c);
void fet__norm_copy_fini(fet__norm_copy *c);

/* ---- mabn_options.c ---------------------------------------------------------------------------------------------------- */
bool fet__sites_method_parse(const char *name, fet__sites_method *out);
const char *fet__sites_method_name(fet__sites_method m);
/* An option that was set and means nothing to the method is an error that names it. */
fet_status fet__meta_check_method(const fet_meta_options *o, fet__sites_method method);
char *fet__meta_to_json(const fet_meta_options *o); /* what run.json records; caller frees */
/* The options with which RUN began, over those given; callbacks, `out` and `stop` stay, and where model and data lie if that was given. The
 * texts live until fet__meta_texts_free(*keep). */
fet_status fet__meta_from_run(fet_meta_options *o, const char *run, void **keep);
void fet__meta_texts_free(void *keep);

/* Labels follow the model's class names where it has them. */
fet_status fet__sites_open(fet__dataset *out, const char *path, const fet_data_options *o, const fet__model *m);

/* ---- mabn_adapt.c, mabn_sites.c: an adaptation that is going on ------------------------------------------------------------ */
typedef struct fet__adapt_work {
    const fet_adapt_options *o;
    fet__model *m;
    fet__mabn a; /* of method mabn */
    fet__norm_copy start;
    fet__episode_options episode;
    fet__augment_plan view[2];
    fet__dataset data;
    char *holdout;
    int what;    /* which of norms; or the method's own */
    int trained; /* the method of RUN; -1: it is no RUN of `meta` */
    const struct way *way;
    char *branch; /* RUN/branch.safetensors, or NULL */
    double prior;
} fet__adapt_work;
/* From the trained values to those of a site's pictures, in the store; and its file. */
fet_status fet__adapt_site(fet__adapt_work *w, const char *name, const fet__sample *samples, int count,
                           fet_adapt_domain *d);
fet_status fet__adapt_write(fet__adapt_work *w, const char *path, const char *name, int64_t *bytes);
/* Every site of a set with labels: a file each, and what it brings. */
fet_status fet__adapt_sites(fet__adapt_work *w, fet_adapt_result *r);

#endif
