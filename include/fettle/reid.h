/* Re-identification without labels: learn an embedding that finds the same object again, measure it, search with it. Method: SpCL (Ge et al.,
 * NeurIPS 2020, arXiv 2006.02713). */
#ifndef FETTLE_REID_H
#define FETTLE_REID_H

#include "fettle/tune.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Options of training. Call fet_reid_defaults first; then set what differs. */
typedef struct fet_reid_options {
    const char *model;  /* checkpoint, RUN, or "none" (needs model_options.arch): any architecture */
    const char *data;   /* the images to learn from; their identities are used by `labels` "supervised" alone */
    const char *source; /* a labelled set of other identities, learnt from beside them; NULL: none */
    const char
        *format; /* of `data`: market1501 msmt17 dukemtmc personx vehicleid vehiclex veri plain; NULL: recognised */
    const char *source_format; /* of `source` */
    const char *out;           /* RUN folder; must not exist without resume */
    int resume;                /* continue RUN; the options of its first start hold */
    int64_t epochs;            /* 50 */
    int64_t
        iters; /* steps an epoch; 0: one pass over the images; < 0: 400 for persons, 800 for vehicles and MSMT17, else a pass */
    int batch;               /* 64 images of each domain */
    int instances;           /* 4 images of an identity in a row; 0: no order by identity */
    int height, width;       /* pixels; 0: 256 x 128 for persons, 224 x 224 for vehicles, else the model's */
    double eps, eps_gap;     /* 0.6, 0.02: clustering radius, and how far the tight and the loose one lie from it */
    int k1, k2, min_samples; /* 30, 6, 4: neighbourhoods, and neighbours of a cluster's core */
    double temperature, momentum; /* 0.05, 0.2: of the loss, of the memory's rows */
    int64_t eval_step;            /* 10 epochs between evaluations; the last epoch is always evaluated */
    double lr, wd;                /* 3.5e-4, 5e-4: Adam's rate and L2 term */
    int64_t lr_step;              /* 20 epochs between falls of the rate */
    double lr_gamma;              /* 0.1: factor of a fall */
    const char *labels;    /* "self-paced", "clusters" (no criterion), "instances" (each image its own), "supervised" */
    const char *outliers;  /* "keep" as classes of one, "drop" */
    const char *update;    /* "sequential", "mean": of the source's rows in the memory */
    const char *neck_bias; /* "frozen", "trained", "auto": trained with a source, as the reference does */
    const char *norms;     /* "domains": own batch norms for source and target; "shared" */
    /* Images of a domain whose statistics batch norms take together; 0: 16, as on the reference's accelerators, where that divides the batch, else
     * the batch. The running ones follow the first group. */
    int bn_group;
    const char *pool;    /* "mean", "gem", NULL: the model's */
    const char *select;  /* model.safetensors is that of the "last" epoch, or of the "best" evaluation */
    const char *augment; /* as in fet_tune_options; "reid": padded crop, flip, random erasing */
    int last_stride;     /* 1: of a residual network's last stage; 2; 0: the model's */
    int reference_order; /* not 0: the source's gradient through target rows that were updated already */
    double save_every;   /* seconds between saves, besides one at every epoch; 0: 60 */
    uint64_t seed;
    int64_t memory; /* budget in bytes; 0: what is free */
    int check_finite;
    fet_model_options model_options;
    fet_data_options data_options;                             /* max_pixels and ignore_exif */
    void (*progress)(void *user, const fet_train_progress *p); /* every step; top1 is the mAP; NULL: none */
    void *user;
    const volatile int *stop; /* becomes a signal number: save and return FET_E_INTERRUPTED; NULL: none */
} fet_reid_options;

typedef struct fet_reid_scores {
    double map, rank1, rank5, rank10;  /* fractions of 1 */
    int64_t queries, skipped, gallery; /* queries that have a match; that have none; images searched */
} fet_reid_scores;

typedef struct fet_reid_result {
    int64_t steps, epochs, best_epoch; /* best_epoch -1: there is nothing to evaluate on */
    double loss, seconds, images_per_s;
    fet_reid_scores last, best;
    int64_t clusters, outliers, dropped; /* of the last epoch: classes of several images, of one; images left out */
    double purity, pair_f1; /* of the last epoch's classes against the true identities; NAN where unknown */
    int64_t trainable, parameters, planned_bytes;
} fet_reid_result;

FET_API void fet_reid_defaults(fet_reid_options *o);
/* Set one option by its command-line name ("eps", "instances", "image", ...) from text. FET_E_ARG names the value, its limits, or the nearest known
 * key. The text must outlive the options. */
FET_API fet_status fet_reid_set(fet_reid_options *o, const char *key, const char *value);

/* Train. RUN: run.json, state.safetensors, log.csv, best.safetensors, model.safetensors, report.html. FET_E_NUMERIC: a loss or a feature was not
 * finite. FET_E_INTERRUPTED: stopped and saved. */
FET_API fet_status fet_reid_train(const fet_reid_options *o, fet_reid_result *result);

typedef struct fet_reid_eval_options {
    const char *format; /* NULL: recognised */
    int test_size;      /* VehicleID's test list: 800, 1600, 2400; 0: 800 */
    int rerank;         /* not 0: k-reciprocal re-ranking (20, 6, 0.3) */
    int batch;          /* 0: 64 */
    int64_t memory;
    uint64_t seed; /* of VehicleID's gallery draw */
} fet_reid_eval_options;
/* An encoder for fet_reid_evaluate and fet_reid_search: a model whose head is left out, and whose norms of two domains become those of `domain`
 * ("target", NULL: target; "source"). Caller closes it with fet_model_close. */
FET_API fet_status fet_reid_open(fet_model **out, const char *path, const char *domain, const fet_model_options *o);
/* Mean average precision and the first positions of the match curve over the set's query and gallery images. FET_E_DATA: no query has a match. */
FET_API fet_status fet_reid_evaluate(fet_model *m, const char *data, const fet_reid_eval_options *o,
                                     fet_reid_scores *out);

typedef struct fet_reid_match {
    char *path;
    double distance; /* Euclidean, of unit features: 0 to 2 */
} fet_reid_match;
/* The `top` nearest images below the folder `gallery` for each of `count` images: matches[i * top + k], k from the nearest on; a gallery of fewer leaves
 * path NULL. Caller frees each path with fet_free. */
FET_API fet_status fet_reid_search(fet_model *m, const char *gallery, const char *const *images, int count, int top,
                                   fet_reid_match *matches);

/* Zero-initialised means defaults. */
typedef struct fet_reid_synth_options {
    int identities, cameras, per_camera,
        width; /* 40 a domain (half for training), 4, 3 images by each camera, 32 pixels (twice as high) */
    uint64_t seed;
} fet_reid_synth_options;
/* Write OUT/{source,target}/{train,query,gallery}/ID/CAMERA_NN.png: figures of two domains with other identities, palettes and cameras (colour, blur,
 * background), deterministic by seed. OUT must not exist. */
FET_API fet_status fet_reid_synth(const char *out, const fet_reid_synth_options *o, int64_t *images);

#ifdef __cplusplus
}
#endif
#endif
