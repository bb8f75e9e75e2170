/* Labelled images on disk: listing folders and CSV files, splits, class names, loader threads with prefetch,
 * synthetic data, checks. Images come out as normalised float NHWC batches. Knows no model. */
#ifndef FET_DATA_H
#define FET_DATA_H

#include "image/image.h"

typedef struct fet__sample {
    const char *path; /* as it can be opened; owned by the data set */
    int32_t label;    /* index into classes; -1 unknown */
    int32_t domain;   /* index into domains; 0 when there are none */
} fet__sample;

typedef enum fet__split { FET__TRAIN, FET__VAL, FET__TEST, FET__SPLITS } fet__split;

/* ---- dataset.c (options, class names, splits), folder.c, csv.c -------------------------------------------- */
typedef struct fet__dataset {
    char *root;
    int class_count;
    char **classes; /* byte order (or natural), over all splits together */
    int domain_count;
    char **domains;
    int count[FET__SPLITS];
    fet__sample *samples[FET__SPLITS]; /* sorted by path */
    bool split_off;                    /* val was taken from train by fraction */
    char fingerprint[65];              /* SHA-256 over split, relative path, label and file size of every sample */
    fet__arena arena;
} fet__dataset;
typedef struct fet__dataset_options {
    double val_fraction; /* < 0: 0.1; used only when there is no val split */
    uint64_t seed;
    const char *classes; /* "a,b,c" keeps some; NULL all */
    bool natural_order;
    /* When not NULL: labels follow these names; a class that is not among them is an error. */
    const char *const *model_classes;
    int model_class_count;
    bool one_class_too; /* a single class is no error (features, checks and counts need no second one) */
} fet__dataset_options;
/* DATA/{train,val,test}/CLASS/..., DATA/CLASS/..., or file.csv (path,label[,split,domain]). Says through fet__note
 * that a share was split off, and names classes that are empty or missing from a split. Refuses: no images, one class only
 * unless `model_classes` is given, unreadable folders. Files that do not look like images by extension are ignored and counted. */
fet_status fet__dataset_open(fet__dataset *out, const char *path, const fet__dataset_options *o);
void fet__dataset_fini(fet__dataset *d);
fet_status fet__split_parse(const char *s, fet__split *out);
const char *fet__split_name(fet__split s);

/* ---- loader.c -------------------------------------------------------------------------------------------- */
typedef enum fet__augment { FET__AUGMENT_NONE, FET__AUGMENT_LIGHT, FET__AUGMENT_STRONG } fet__augment;
/* none: as in evaluation. light: random resized crop with scale (0.5, 1) and flip (images of up to 64 pixels: pad-crop by
 * size/8 and flip). strong: random resized crop with scale (0.08, 1), flip and colour jitter 0.4, 0.4, 0.4, 0.1. */
bool fet__augment_parse(const char *s, fet__augment *out);

typedef struct fet__preprocess {
    int height, width;
    float mean[3], std[3];
    fet__filter filter;
    double crop_pct; /* evaluation: shorter side to floor(size / crop_pct), then centre crop; 0: resize to exactly
                             height x width, aspect not kept */
    bool ignore_exif;
    int64_t max_pixels; /* 0: default */
} fet__preprocess;
/* One image, evaluation pipeline (train = false) or with augmentation; `out` is height * width * 3 floats. Thread-safe. */
fet_status fet__preprocess_file(float *out, const char *path, const fet__preprocess *p, fet__augment a, fet__rng *r);

typedef struct fet__loader_options {
    fet__preprocess preprocess;
    int batch;
    fet__augment augment;
    bool shuffle; /* order is a function of (seed, epoch) alone */
    bool drop_last;
    uint64_t seed;
    int threads;         /* 0: as many as compute threads */
    int prefetch;        /* batches ahead; 0: 2 */
    bool strict;         /* an unreadable image is an error (evaluation); else it is named, counted and replaced by the
                             next readable sample of the epoch's order */
    int64_t cache_bytes; /* keep this many bytes of decoded images in memory (the resized ones where no random crop
                             comes first); 0: none. Batches are the same with and without. */
} fet__loader_options;
typedef struct fet__batch {
    int count;       /* images in this batch, <= options.batch; the rest of the buffers is zero, labels -1 */
    float *images;   /* [batch, height, width, 3] */
    int32_t *labels; /* [batch] */
    int32_t *index;  /* [batch] position in the split */
    int64_t step;    /* batch number in the epoch */
} fet__batch;
typedef struct fet__loader fet__loader;
/* `samples` and their paths are borrowed until destroy. */
fet_status fet__loader_create(fet__loader **out, const fet__sample *samples, int count, const fet__loader_options *o);
int64_t fet__loader_steps(const fet__loader *l); /* batches an epoch */
/* Begin an epoch at batch `first_step` (for resuming): batches come out in order from there. */
fet_status fet__loader_start(fet__loader *l, int64_t epoch, int64_t first_step);
/* Borrow the next batch until the following call; *out = NULL at the end of the epoch. No allocation in here. Augmentation
 * draws come from (seed, epoch, position in the epoch), so results do not depend on the thread count. */
fet_status fet__loader_next(fet__loader *l, const fet__batch **out);
int64_t fet__loader_skipped(const fet__loader *l); /* unreadable images so far */
void fet__loader_destroy(fet__loader *l);

/* ---- synth.c --------------------------------------------------------------------------------------------- */
typedef struct fet__synth_options {
    int classes;       /* 2..10 shapes; 0: 5 */
    int domains;       /* 1..4 visual domains; 0: 2 */
    int per_class;     /* training images a class and domain; 0: 60 */
    int val_per_class; /* 0: 20 */
    int size;          /* pixels, 0: 32 */
    int first_class;   /* draw classes first_class.. (so that two tasks differ) */
    uint64_t seed;
} fet__synth_options;
/* Writes OUT/DOMAIN/{train,val}/CLASS/NNNN.png: labelled textured shapes, deterministic by seed. OUT must not exist. */
fet_status fet__synth(const char *out, const fet__synth_options *o, int64_t *images);

/* ---- check.c --------------------------------------------------------------------------------------------- */
typedef struct fet__check_report {
    int64_t images, unreadable, duplicates; /* duplicates: byte-identical files, in any split */
    int64_t leaks;                          /* byte-identical across splits */
    int64_t empty_classes;
    int min_height, min_width, max_height, max_width;
} fet__check_report;
/* Decode everything with all threads; each finding is one line through `line`. */
fet_status fet__dataset_check(fet__check_report *out, const fet__dataset *d, const fet__decode_options *o,
                              void (*line)(void *user, const char *text), void *user);
/* Per-channel mean and std over a split after resizing (for `data stats`). */
fet_status fet__dataset_stats(double mean[3], double std[3], const fet__dataset *d, fet__split s,
                              const fet__preprocess *p);

#endif
