/* Training: optimisers and schedules as graph, the step as one program, the run folder with exact resume. Knows models only through
 * model/model.h; methods (tune, later SpCL, MABN, search) are built on it in method/. */
#ifndef FET_TRAIN_H
#define FET_TRAIN_H

#include "data/data.h"
#include "exec/exec.h"
#include "metric/metric.h"
#include "model/model.h"

/* ---- decay.c: what weight decay spares --------------------------------------------------------------------------- */
typedef enum fet__decay_rule {
    FET__DECAY_ALL,       /* nothing is spared */
    FET__DECAY_MATRICES,  /* 1d: tensors of rank < 2 are (biases, norms, scales) */
    FET__DECAY_NORM_BIAS, /* norm+bias: tensors of norms, and every bias */
    FET__DECAY_CLS,       /* cls: the same but for biases of depthwise filters, and position tables (mona.md 5) */
    FET__DECAY_DET,       /* det: names that hold 'norm', and position tables */
    FET__DECAY_SEG        /* seg: position tables alone */
} fet__decay_rule;
bool fet__decay_rule_parse(const char *name, fet__decay_rule *out); /* none 1d norm+bias cls det seg */
bool fet__decays(fet__decay_rule rule, const fet__params *store, const fet__param *p);

/* ---- optimizer.c (common), sgd.c, adam.c, rmsprop.c ------------------------------------------------------------ */
typedef struct fet__optimizer_options {
    enum { FET__SGD, FET__ADAM, FET__ADAMW, FET__RMSPROP } kind;
    double momentum, dampening;
    bool nesterov;            /* SGD; momentum also RMSprop */
    double beta1, beta2, eps; /* Adam, AdamW; eps also RMSprop */
    double alpha;             /* RMSprop */
    bool amsgrad;
    double weight_decay;      /* SGD, Adam, RMSprop: added to the gradient; AdamW: decoupled, p *= 1 - lr wd first */
    fet__decay_rule no_decay; /* what is spared it */
    double average;           /* > 0: a moving average of the parameters with this decay, as states "optim.NAME.ema" */
    double clip;              /* > 0: global L2 norm; coefficient min(1, clip / (norm + 1e-6)) */
} fet__optimizer_options;
fet__optimizer_options fet__optimizer_defaults(void); /* AdamW 0.9 0.999 1e-8, weight decay 1e-4, no clipping */
bool fet__optimizer_parse(const char *name, fet__optimizer_options *o);
/* The host's scalars for step `step` (from 0), written to the program's inputs: "opt.lr", "opt.bias1" (1 - beta1^t), "opt.bias2"
 * (the square root of 1 - beta2^t), "opt.first" (1 in the first step). */
void fet__optimizer_bind(const fet__optimizer_options *o, fet__program *p, int64_t step, double lr);
/* Add the update to the graph: states "optim.NAME.m" etc. in `store`, assigns to the parameters and states. Outputs "grad_norm" and
 * "grad_sq.I", the squared norm of gradient I, both before clipping. */
fet_status fet__optimizer_build(const fet__optimizer_options *o, fet__graph *g, fet__params *store,
                                fet__node *const *params, fet__node *const *grads, int count);

/* ---- schedule.c --------------------------------------------------------------------------------------------------- */
typedef struct fet__schedule {
    enum { FET__COSINE, FET__STEP, FET__CONSTANT, FET__POLY, FET__EXP, FET__LINEAR } kind;
    double base, min;       /* learning rate at the peak and at the end */
    double total;           /* length of the decay, in the unit of t (epochs or steps) */
    double warmup;          /* length of the warm-up in the same unit; 0: none */
    double warmup_start;    /* rate at t = 0, absolute */
    bool warmup_multiplies; /* warm-up is a factor from warmup_start / base to 1 on the decay, not a line to base */
    bool prefix;           /* true: decay counts from the end of warm-up (t - warmup); false: from 0 (timm's default) */
    double gamma;          /* STEP, EXP: factor */
    double milestones[16]; /* STEP: times; a repeated one counts twice */
    int milestone_count;
    double every; /* STEP: when > 0, floor(t / every) instead of milestones */
    double power; /* POLY */
} fet__schedule;
double fet__schedule_at(const fet__schedule *s, double t);

/* ---- step.c: a training or evaluation program for a model ------------------------------------------------------------ */
typedef struct fet__step_options {
    int batch; /* images of one run */
    bool train;
    bool mix; /* training pictures have two labels each, with shares: batches of a plan that mixes */
    double smoothing, drop_path;
    const fet__optimizer_options *optimizer; /* NULL: evaluation */
    int64_t memory;                          /* for all that the process takes; 0: what is free, for the program */
    int64_t beside;                          /* of it, what others take: data, another program */
    int parts; /* training: the batch is run in so many, the gradients added up; 0: in as few as the memory asks for */
    bool check_finite, reference;
    bool bands; /* images of any number of channels, which the caller reads; else pictures have 3 */
    uint64_t seed;
} fet__step_options;
/* Inputs: "images" [B,H,W,3], "labels" i32 [B], with `mix` "labels2" i32 [B] and "own" [B] (share of the first label), "step" i32
 * (training), optimiser scalars. Outputs: "loss" (mean over labels >= 0), "logits",
 * "features", and in training "grad_norm". */
typedef struct fet__step {
    fet__graph *graph;
    fet__program *program;
    float *images;
    int32_t *labels, *step;
    int32_t *labels2; /* NULL without mixing, as `own` */
    float *own;
    const float *loss, *logits, *features, *grad_norm;
    int trainable; /* tensors */
    int64_t trainable_values;
    fet__param **params;           /* the trainable ones, in store order; [trainable] */
    int batch, part;               /* images of a step, and of one run of the program (evaluation may take several) */
    struct fet__step_parts *parts; /* evaluation in parts, else NULL */
    const fet__param
        *coupled; /* a statistic of the batch that the forward half moves: samples touch each other; NULL: none */
    struct fet__micro *micro; /* training in parts, else NULL: `program` is the update alone then */
} fet__step;
/* A training step that is over its budget even with values computed again is run in parts of equal size, where samples do not touch each other
 * and nothing else forbids it: the result is the same but for rounding. FET_E_NOMEM says why not, or what would do.
 * An evaluation whose working memory would leave the processor's cache takes the batch in parts: samples do not touch each other, so
 * only speed and memory change. */
fet_status fet__step_create(fet__step *out, fet__model *m, const fet__step_options *o);
void fet__step_fini(fet__step *s);
/* Run the step on what images and labels hold; then logits, features and loss are there. */
fet_status fet__step_compute(fet__step *s);
/* What the whole step takes, and the program that most of it is in (of a part, where the batch is run in parts). */
fet__program_info fet__step_info(const fet__step *s);
fet__program *fet__step_program(const fet__step *s);
/* Copy a loader's batch into the program's inputs. */
void fet__step_feed(fet__step *s, const fet__batch *b, int batch, int64_t image_values);

/* ---- hybrid_memory.c: SpCL ------------------------------------------------------------------------------------------- */
/* Which class each row of a memory [M, D] has. */
typedef struct fet__memory_classes {
    fet__node *label;   /* i32 [M] in 0..M-1, gaps allowed */
    fet__node *size;    /* [M, 1]: rows of each class, at least 1 */
    fet__node *present; /* [M, 1]: 1 for the classes that there are */
} fet__memory_classes;
fet__memory_classes fet__memory_classes_of(fet__graph *g, fet__node *label);
/* Mean over the batch of -ln(p[own class] + 1e-6), p = e / (sum e + 1e-6), e = exp(<f, c> / temperature) of the classes that are present; c, the
 * centre of a class, is the mean of its rows, not of unit length. features [B, D], unit rows; target i32 [B]. No gradient reaches the memory. */
fet__node *fet__memory_loss(fet__graph *g, fet__node *features, fet__node *memory, const fet__memory_classes *c,
                            fet__node *target, double temperature);
/* The same value, with the gradient that the reference's source loss has: taken through the centres of `later`, the memory after the target
 * rows were updated (spcl.md 3.6). */
fet__node *fet__memory_loss_late(fet__graph *g, fet__node *features, fet__node *memory, const fet__memory_classes *c,
                                 fet__node *target, double temperature, fet__node *later);

/* ---- reid_losses.c: other losses of re-identification ----------------------------------------------------------------- */
/* Means over the batch. logits, teacher [B, C]; embeddings [B, D], labels i32 [B]; nothing reaches the teacher. Positives are the farthest image of the
 * same label, itself included, negatives the nearest of another. */
fet__node *fet__soft_entropy(fet__graph *g, fet__node *logits, fet__node *teacher);
fet__node *fet__triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *labels, double margin);
fet__node *fet__softmax_triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *labels, double margin);
fet__node *fet__soft_softmax_triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *teacher, fet__node *labels);

/* ---- spcl_step.c: the step with its memory --------------------------------------------------------------------------- */
typedef struct fet__spcl_step_options {
    int batch;                 /* images of one domain */
    int64_t source_rows, rows; /* of the memory: source identities, and all. Two domains when both kinds are there */
    double temperature, momentum;
    bool mean_update;     /* a source row moves once a batch, by the mean of its features; false: by each in turn */
    bool reference_order; /* the source's gradient as the reference takes it */
    int norm_group;       /* images of one domain whose statistics batch norms take together; 0: all */
    const fet__optimizer_options *optimizer;
    int64_t memory;
    bool check_finite, reference;
} fet__spcl_step_options;
typedef struct fet__spcl_step {
    fet__step base;          /* program, images, loss, features [domains batch, D] of unit length, what trains */
    int domains;             /* 1 or 2 */
    fet__param *memory;      /* state "spcl.memory" [rows, D]; the caller gives it its first values */
    int32_t *row, *class_of; /* [domains batch] */
    int32_t *label;          /* [rows]: class of each row */
    float *used;             /* [rows]: 1 for the classes that count */
    const float *source_loss, *target_loss; /* source_loss: NULL with one domain */
} fet__spcl_step;
/* The model has its trainable tensors chosen (and features only). */
fet_status fet__spcl_step_create(fet__spcl_step *out, fet__model *m, const fet__spcl_step_options *o);
void fet__spcl_step_fini(fet__spcl_step *s);
/* Labels of all rows, gaps allowed; below 0: the row belongs to no class and must not come in a batch. */
fet_status fet__spcl_step_labels(fet__spcl_step *s, const int32_t *label, int64_t rows, int64_t *classes);
/* Places at, at + 1, ... of the batch hold images of these rows. */
void fet__spcl_step_rows(fet__spcl_step *s, int at, const int32_t *row, int count);

/* ---- evaluate_loop.c ------------------------------------------------------------------------------------------------- */
typedef struct fet__eval_result {
    double top1, top5, macro_f1, loss;
    int64_t images, skipped;
} fet__eval_result;
/* bands_file.c. Array "x" (or the only one) of a NumPy file, [channels, H, W], to `out` [H, W, channels]. FET_E_DATA for another size or a value
 * that is not finite. */
fet_status fet__bands_read(float *out, const char *path, int height, int width, int channels);
fet__preprocess fet__model_preprocess(const fet__model *m); /* how the model wants its pictures, for the data layer */
fet_status fet__evaluate(fet__eval_result *out, fet__model *m, const fet__dataset *d, fet__split split, int batch,
                         int64_t memory);

/* The same with an evaluation program for `batch` images that the caller has. */
fet_status fet__evaluate_with(fet__eval_result *out, fet__step *step, int batch, fet__model *m, const fet__dataset *d,
                              fet__split split);

/* ---- site_scores.c ----------------------------------------------------------------------------------------------------- */
typedef struct fet__scores fet__scores; /* running; of a data set with domains or groups, classes or numbers */
typedef struct fet__site_scores {
    fet__eval_result all; /* of numbers: loss (mean squared error), images and skipped alone */
    double r;             /* of numbers: Pearson's; NAN: classes, or not defined */
    double
        worst; /* accuracy or r of the worst group (of the worst domain where the set names no groups); NAN: there is none */
    int worst_group, groups; /* groups: those with a value */
    const char *worst_name;  /* the data set's */
} fet__site_scores;
/* `d` is borrowed until destroy. */
fet_status fet__scores_create(fet__scores **out, const fet__model *m, const fet__dataset *d);
void fet__scores_destroy(fet__scores *s); /* accepts NULL */
/* Runs the model over samples of the set; each of `into` takes the outcome. Unreadable pictures are left out and counted; unreadable bands are an
 * error. */
fet_status fet__score(fet__scores *const *into, int scores, fet__model *m, const fet__sample *samples, int count,
                      int batch, int64_t memory);
fet_status fet__scores_result(const fet__scores *s, fet__site_scores *out);

/* ---- run_folder.c, checkpoint.c, loop.c ------------------------------------------------------------------------------ */
typedef struct fet__progress {
    int64_t step, steps, epoch, epochs;
    double loss, lr, images_per_s, seconds_left, top1; /* top1 < 0: not evaluated yet */
} fet__progress;
typedef struct fet__loop_options {
    const char *out; /* RUN */
    bool resume;
    int64_t epochs, steps; /* steps > 0 ends there, whatever epochs say */
    int batch;
    fet__schedule schedule; /* base, min, warmup filled in; total is set by the loop (epochs) when 0 */
    bool
        schedule_per_epoch; /* t is the epoch, as in the reference recipes; false: t in fractions of an epoch at each step */
    bool schedule_lag;      /* with it: epoch e runs at the rate of epoch max(e - 1, 0) (methods/hydra.md 4.4) */
    fet__optimizer_options optimizer;
    const fet__augment_plan *augment; /* NULL: none */
    bool drop_last;                   /* leave out an epoch's last incomplete batch */
    int64_t eval_every;               /* epochs between evaluations; 0: 1. The last epoch is always evaluated */
    double smoothing, drop_path;
    double save_seconds; /* between saves within an epoch; 0: 60 */
    uint64_t seed;
    int64_t memory;
    bool check_finite, whole_model; /* whole_model: also writes model.safetensors (train) */
    const char *config_json;        /* what run.json records as "options": the command's, one JSON object */
    void (*progress)(void *user, const fet__progress *p);
    void *user;
    const volatile int *stop; /* set to a signal number by a handler: save and return FET_E_INTERRUPTED */
} fet__loop_options;
typedef struct fet__loop_result {
    int64_t steps, epochs, skipped;
    double train_loss;
    fet__eval_result last, best;
    int64_t best_epoch;
    double seconds, images_per_s;
    int64_t trainable, parameters; /* values */
    fet__program_info info;
} fet__loop_result;
/* Train what is trainable in `m` on d's train split, evaluating on val after each epoch (when it has images). Writes RUN: run.json,
 * state.safetensors, adapter.safetensors, log.csv, report.html; saves at every epoch and every 60 s; resumes bit-identically. */
fet_status fet__loop(fet__loop_result *out, fet__model *m, const fet__dataset *d, const fet__loop_options *o);

/* ---- spcl_loop.c ------------------------------------------------------------------------------------------------------ */
typedef struct fet__spcl_scores {
    double map, rank1, rank5, rank10;
    int64_t queries; /* 0: not evaluated */
} fet__spcl_scores;
typedef struct fet__spcl_labels {
    int64_t clusters, outliers, dropped; /* classes of several images, of one; images left out */
    double threshold;                    /* 1 - alpha; NAN where there is none */
    double purity, pair_f1;              /* against the true identities, where these are known; else NAN */
} fet__spcl_labels;
typedef struct fet__spcl_threshold {
    bool known;
    float alpha;
} fet__spcl_threshold;
typedef struct fet__spcl_options {
    const char *out; /* RUN */
    bool resume;
    const fet__reid_image *source, *target; /* training images in path order; one of the two may be absent */
    int source_count, target_count, source_identities;
    const char *source_print, *target_print; /* fingerprints of the sets, "" where there is none */
    const char *data_text;                   /* of both, for people */
    int64_t epochs, iters;                   /* iters <= 0: one pass over the target's images */
    int batch, instances;
    int64_t eval_step;
    fet__schedule schedule; /* t in epochs, at their beginning */
    fet__optimizer_options optimizer;
    double temperature, momentum;
    bool mean_update, reference_order;
    int norm_group;
    bool select_best; /* model.safetensors is the best evaluation's; false: the last epoch's */
    const fet__augment_plan *augment;
    double save_seconds;
    uint64_t seed;
    int64_t memory;
    bool check_finite;
    const char *config_json;
    /* First values of the memory, [rows, width]: centres of the source identities, then target features, of unit length. */
    fet_status (*fill_memory)(void *user, float *memory, int64_t source_rows, int64_t rows, int64_t width);
    /* Labels from `first` up for the memory's target rows; below 0: left out. */
    fet_status (*relabel)(void *user, fet__spcl_labels *out, int32_t *label, const float *x, int64_t rows,
                          int64_t width, int32_t first, fet__spcl_threshold *threshold);
    fet_status (*evaluate)(void *user, fet__spcl_scores *out); /* NULL: there is nothing to evaluate on */
    void (*progress)(void *user, const fet__progress *p);      /* top1 is the mAP; NULL: none */
    void *user;
    const volatile int *stop;
} fet__spcl_options;
typedef struct fet__spcl_result {
    int64_t steps, epochs, best_epoch; /* best_epoch -1: never evaluated */
    double loss, seconds, images_per_s;
    fet__spcl_scores last, best;
    fet__spcl_labels labels; /* of the last epoch */
    int64_t trainable, parameters;
    fet__program_info info;
} fet__spcl_result;
/* Train what is trainable in the encoder `m`. Writes RUN: run.json, state.safetensors (memory, labels and threshold too), log.csv,
 * best.safetensors, model.safetensors; resumes bit-identically. */
fet_status fet__spcl_loop(fet__spcl_result *out, fet__model *m, const fet__spcl_options *o);

#include "train/mabn.h" /* MABN and its rivals, which are built on all of the above */

#endif
