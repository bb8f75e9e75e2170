/* Labelled images on disk: listing folders and CSV files, splits, class names, loader threads with prefetch,
 * synthetic data, checks. Images come out as normalised float NHWC batches. Knows no model. */
#ifndef FET_DATA_H
#define FET_DATA_H

#include "image/image.h"

typedef struct fet__sample {
    const char *path; /* as it can be opened; owned by the data set */
    int32_t label;    /* index into classes; -1 unknown */
    int32_t domain;   /* index into domains; 0 when there are none */
    int32_t group;    /* index into groups, -1: counts in none; 0 when there are none */
    float target;     /* of a set to be regressed: the number */
} fet__sample;

typedef enum fet__split { FET__TRAIN, FET__VAL, FET__TEST, FET__SPLITS } fet__split;

/* ---- dataset.c (options, class names, splits), folder.c, csv.c -------------------------------------------- */
typedef struct fet__dataset {
    char *root;
    int class_count;
    char **classes; /* byte order (or natural), over all splits together */
    int domain_count;
    char **domains;
    int group_count; /* what the worst is taken over where that is not the domains: regions, urban and rural; 0: the domains */
    char **groups;
    bool regression;    /* labels are numbers (fet__sample.target); there are no classes */
    bool official;      /* train, val and test are those that the set's authors published */
    bool standardize;   /* its pictures are seen by their own mean and deviation, channel by channel */
    const char *format; /* of sites: "plain", "iwildcam", ... */
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
    bool sites; /* folders are ROOT/DOMAIN/CLASS/... or ROOT/DOMAIN/{train,val,test}/CLASS/...; CSV files as ever */
    bool known; /* known sets of sites (wilds.c) are recognised, though others are read as plain folders */
    const char *format;  /* of sites: a known set's name, or "plain"; NULL: recognised */
    const char *fold;    /* of PovertyMap: "A" to "E"; NULL: A */
    const char *domains; /* "a,b": these alone; NULL: all */
    bool numbers;        /* labels may be numbers */
    bool one_class_too;  /* a single class is no error (features, checks and counts need no second one) */
} fet__dataset_options;
/* DATA/{train,val,test}/CLASS/..., DATA/CLASS/..., or file.csv (path,label[,split,domain]). Says through fet__note
 * that a share was split off, and names classes that are empty or missing from a split. Refuses: no images, one class only
 * unless `model_classes` is given, unreadable folders. Files that do not look like images by extension are ignored and counted. */
fet_status fet__dataset_open(fet__dataset *out, const char *path, const fet__dataset_options *o);
void fet__dataset_fini(fet__dataset *d);
fet_status fet__split_parse(const char *s, fet__split *out);
const char *fet__split_name(fet__split s);

/* ---- augment_plan.c (text to plan), augment_apply.c (a plan on a picture), batch_mix.c -------------------------- */
typedef enum fet__augment_kind {
    FET__AUGMENT_FLIP,
    FET__AUGMENT_FLIP_ROWS,
    FET__AUGMENT_TURN, /* by 0 to 3 quarters */
    FET__AUGMENT_JITTER,
    FET__AUGMENT_OP, /* one operation of the image layer, its argument drawn evenly from `range` */
    FET__AUGMENT_BLUR,
    FET__AUGMENT_RAND,
    FET__AUGMENT_RAND_BINS
} fet__augment_kind;
typedef struct fet__augment_step {
    fet__augment_kind kind;
    double probability;
    double range[2]; /* of the operation's argument, of the blur's sigma */
    fet__jitter jitter;
    fet__pixel_op op;
    fet__sampling sampling;
    bool mean_fill; /* what lies outside is the mean of the preprocessing, whatever `fill` says */
    bool boxes;     /* blur by boxes */
    int kernel;     /* of the blur; 0: a tenth of the shorter side, odd */
    fet__rand_layers layers;
    fet__rand_bins bins;
} fet__augment_step;
typedef struct fet__mix {
    double mixup, cutmix; /* alphas; 0: off */
    double probability, switching;
    bool shuffled; /* partners are a random permutation; false: the batch turned round */
} fet__mix;
#define FET__AUGMENT_STEPS 16
/* What happens to a training picture. Zero-initialised changes nothing: the pipeline of evaluation. */
typedef struct fet__augment_plan {
    enum {
        FET__FRAME_FIT,          /* as in evaluation */
        FET__FRAME_RESIZED_CROP, /* a random box, resized */
        FET__FRAME_PAD_CROP      /* resized without margin, padded and cropped */
    } frame;
    double scale[2], ratio[2];
    bool own_filter; /* false: that of the preprocessing */
    fet__filter filter;
    fet__pad_crop pad; /* pad < 0: an eighth of the shorter side */
    int count;
    fet__augment_step steps[FET__AUGMENT_STEPS];
    fet__erase erase;
    fet__mix mix;
} fet__augment_plan;
/* "none", "light", "strong" or steps joined by '+' (docs/augmentation.md) for pictures of height x width; 0 x 0 where the size
 * is not known yet. FET_E_ARG with the place and the nearest known word. */
fet_status fet__augment_parse(fet__augment_plan *out, const char *spec, int height, int width);
bool fet__augment_mixes(const fet__augment_plan *a); /* does it mix the pictures of a batch? NULL does not */

typedef struct fet__preprocess {
    int height, width;
    float mean[3], std[3];
    fet__filter filter;
    double crop_pct; /* evaluation: shorter side to floor(size / crop_pct), then centre crop; 0: resize to exactly
                             height x width, aspect not kept */
    bool ignore_exif;
    int64_t max_pixels; /* 0: default */
    bool standardize;   /* after that, each channel by its own mean and deviation in the picture */
    int channels;       /* 0: 3; other numbers are read from .npz and .npy files (bands.c), as they are */
} fet__preprocess;
/* One image, with the evaluation pipeline (`a` NULL) or augmented from the stream `r`; `out` is height * width * 3 floats.
 * Thread-safe. Batch mixing is the loader's. */
fet_status fet__preprocess_file(float *out, const char *path, const fet__preprocess *p, const fet__augment_plan *a,
                                fet__rng *r);
/* The same from a decoded image, which stays: two views of one picture are two calls that go on with one stream. */
fet_status fet__preprocess_image(float *out, const fet__image *image, const fet__preprocess *p,
                                 const fet__augment_plan *a, fet__rng *r);

/* ---- loader.c -------------------------------------------------------------------------------------------- */

typedef struct fet__loader_options {
    fet__preprocess preprocess;
    int batch;
    const fet__augment_plan *augment; /* NULL: none; copied */
    bool shuffle;                     /* order is a function of (seed, epoch) alone */
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
    int count;        /* images in this batch, <= options.batch; the rest of the buffers is zero, labels -1 */
    float *images;    /* [batch, height, width, 3] */
    int32_t *labels;  /* [batch] */
    int32_t *index;   /* [batch] position in the split */
    int32_t *labels2; /* [batch] label of what was mixed in, or NULL where the plan mixes nothing */
    float *own;       /* [batch] share of the first label, 1 where nothing was mixed in; or NULL */
    int64_t step;     /* batch number in the epoch */
} fet__batch;
typedef struct fet__loader fet__loader;
/* `samples` and their paths are borrowed until destroy. */
fet_status fet__loader_create(fet__loader **out, const fet__sample *samples, int count, const fet__loader_options *o);
int64_t fet__loader_steps(const fet__loader *l); /* batches an epoch */
/* Begin an epoch at batch `first_step` (for resuming): batches come out in order from there. */
fet_status fet__loader_start(fet__loader *l, int64_t epoch, int64_t first_step);
/* The same over `count` samples in an order of the caller's, who keeps it until the next start; samples may come several times. */
fet_status fet__loader_start_with(fet__loader *l, const int32_t *order, int64_t count, int64_t epoch,
                                  int64_t first_step);
/* Borrow the next batch until the following call; *out = NULL at the end of the epoch. No allocation in here. Augmentation
 * draws come from (seed, epoch, position in the epoch), so results do not depend on the thread count. */
fet_status fet__loader_next(fet__loader *l, const fet__batch **out);
int64_t fet__loader_skipped(const fet__loader *l); /* unreadable images so far */
void fet__loader_destroy(fet__loader *l);

/* ---- bands.c: pictures of any number of channels, as floats --------------------------------------------------------- */
bool fet__bands_name(const char *name); /* .npz, .npy */
/* A random view: a crop of a share `scale` of the area back to full size, turned over in both directions, noise of deviation 0.1. */
void fet__bands_view(float *out, const float *in, int height, int width, int channels, const double scale[2],
                     fet__rng *r);

bool fet__image_name(const char *name); /* .jpg .jpeg .png .webp .bmp .ppm .pgm, in any case (listing.c) */

/* ---- views.c: a picture as it is and in two random views -------------------------------------------------------- */
typedef struct fet__views fet__views;
typedef struct fet__views_options {
    fet__preprocess preprocess;
    fet__augment_plan view[2];
    uint64_t seed;
    int64_t cache_bytes; /* keep this many bytes of decoded pictures; 0: none */
    /* Reads a file that fet__bands_name takes, to [H, W, channels]; NULL: such files are refused. */
    fet_status (*bands)(float *out, const char *path, int height, int width, int channels);
} fet__views_options;
/* `samples` are borrowed until destroy. */
fet_status fet__views_create(fet__views **out, const fet__sample *samples, int count, const fet__views_options *o);
void fet__views_destroy(fet__views *v); /* accepts NULL */
/* The samples of `index`, [count, H, W, channels] each; NULL: not wanted. Draws are a function of (seed, step, place), not of threads. An
 * unreadable picture is an error. */
fet_status fet__views_make(fet__views *v, const int32_t *index, int count, uint32_t step, float *plain, float *view1,
                           float *view2);

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

/* ---- reid.c: the same object on several pictures ------------------------------------------------------------------ */
typedef struct fet__reid_image {
    const char *path, *rel; /* as it can be opened; relative to the set. Owned by the set */
    int64_t id;             /* as the set numbers it; 0 in Market-1501's gallery is a distractor */
    int32_t camera;         /* from 0 */
    int32_t label;          /* training images: 0, 1, ... in ascending order of the identities; else 0 */
} fet__reid_image;
typedef enum fet__reid_role { FET__REID_TRAIN, FET__REID_QUERY, FET__REID_GALLERY, FET__REID_ROLES } fet__reid_role;
const char *fet__reid_role_name(fet__reid_role role);
typedef struct fet__reid_set {
    const char *root, *format;
    int count[FET__REID_ROLES];
    fet__reid_image
        *images[FET__REID_ROLES]; /* in byte order of the paths: an image's place is its row in the memory */
    int identities;               /* of the training images */
    char fingerprint[65];
    fet__arena arena;
} fet__reid_set;
typedef struct fet__reid_options {
    const char *format; /* NULL: recognised, plain when nothing else fits */
    int test_size;      /* VehicleID's test list: 800, 1600 or 2400; 0: 800 */
    uint64_t seed;      /* of VehicleID's gallery draw */
} fet__reid_options;
/* market1501, dukemtmc, personx, msmt17, vehicleid, veri, vehiclex (their folders, in DATA or in the folder of their usual name within it)
 * or plain: ID/CAMERA[_*].jpg below train/ query/ gallery/ or, without these, every image in every role, or a CSV file path,id,camera[,split].
 * FET_E_DATA with file and rule for a name that breaks the set's rules. Sets without cameras get one for each image. */
fet_status fet__reid_open(fet__reid_set *out, const char *path, const fet__reid_options *o);
void fet__reid_fini(fet__reid_set *s);

/* ---- reid_sampler.c ----------------------------------------------------------------------------------------------- */
/* One pass over the labels in random order: an image of the label, then instances - 1 others of it, by other cameras where there are any; a
 * label of one image gives one. With instances 0: every image once, shuffled. Items with a label below 0 are passed over. The order is a function
 * of (seed, pass) alone. *out holds *count indices (caller frees). */
fet_status fet__reid_draw(int32_t **out, int64_t *count, const int32_t *label, const int32_t *camera, int64_t items,
                          int instances, uint64_t seed, uint32_t pass);

/* ---- synth_reid.c ------------------------------------------------------------------------------------------------- */
typedef struct fet__synth_reid_options {
    int identities; /* of each domain, half of them for training; 0: 40 */
    int cameras;    /* 0: 4 */
    int per_camera; /* images of an identity by each; 0: 3 */
    int width;      /* pixels; the height is twice that; 0: 32 */
    uint64_t seed;
} fet__synth_reid_options;
/* Writes OUT/{source,target}/{train,query,gallery}/ID/CAMERA_NN.png: figures, deterministic by seed. OUT must not exist. */
fet_status fet__synth_reid(const char *out, const fet__synth_reid_options *o, int64_t *images);

#endif
