/* Training and evaluation: tune a pretrained model with an adapter, train one from scratch, evaluate, embed, plan. */
#ifndef FETTLE_TUNE_H
#define FETTLE_TUNE_H

#include "fettle/data.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fet_train_progress {
    int64_t step, steps, epoch, epochs;
    double loss, lr, images_per_s, seconds_left;
    double top1; /* of the last evaluation, fraction; < 0 before the first */
} fet_train_progress;

/* Options of tune and train. Call fet_tune_defaults first; then set what differs. */
typedef struct fet_tune_options {
    const char *model;      /* checkpoint, RUN, or "none" */
    const char *data;       /* image folder or CSV */
    const char *adapter;    /* "hydra:rank=2,at=mlp.fc2" ...; ignored by fet_train, which trains everything */
    const char *out;        /* RUN folder; must not exist without resume */
    int resume;             /* continue RUN; the options of its first start hold */
    int64_t epochs;         /* 0: 20 */
    int64_t steps;          /* > 0: stop after so many steps */
    int batch;              /* 0: 32 */
    double lr;              /* peak learning rate; 0: 1e-3 */
    double wd;              /* weight decay; < 0: 1e-4 */
    const char *optimizer;  /* sgd adam adamw rmsprop; NULL: adamw */
    double momentum;        /* sgd; < 0: 0.9 */
    int nesterov;           /* not 0: sgd with Nesterov's momentum */
    int amsgrad;            /* not 0: adam and adamw keep the largest second moment */
    int no_decay_1d;        /* not 0: no weight decay on biases and norms */
    const char *no_decay;   /* which tensors it spares: "none", "1d", "norm+bias", "cls", "det", "seg"; NULL: none */
    int warmup_first;       /* not 0: the decay begins when warm-up ends; 0: both begin together */
    int warmup_multiply;    /* not 0: the warm-up is a factor on the schedule, not a line up to it */
    const char *schedule;   /* cosine step constant; NULL: cosine */
    double warmup;          /* epochs; < 0: a tenth of the epochs */
    double lr_min;          /* at the end of cosine; < 0: lr / 100 */
    double warmup_start;    /* learning rate at which warm-up begins; < 0: lr / 1000 */
    double schedule_epochs; /* length of the decay; 0: epochs. The VTAB form of Hydra uses 500 for 100 epochs */
    int schedule_by_epoch;  /* not 0: the rate changes between epochs only */
    int schedule_lag;       /* not 0: epoch e runs at the rate of epoch e - 1, as the public VTAB scripts do */
    double every, gamma;    /* step: the factor gamma after each `every` epochs; 0: a third of the epochs, 0.1 */
    double clip;            /* global gradient norm; 0: off */
    double ema;             /* decay of a moving average of the weights, which is then evaluated and saved; 0: none */
    double smoothing;       /* label smoothing in [0, 1) */
    double drop_path;       /* rate of the last block in [0, 1) */
    const char *augment;    /* none light strong, or steps joined by '+' (docs/augmentation.md); NULL: light */
    int drop_last;          /* not 0: an epoch's last, incomplete batch is left out */
    int64_t eval_every;     /* epochs between evaluations; 0: 1. The last epoch is always evaluated */
    double save_every;      /* seconds between saves, besides one at every epoch; 0: 60 */
    uint64_t seed;
    int64_t memory;   /* budget in bytes; 0: what is free */
    int check_finite; /* look at every node's result */
    fet_model_options model_options;
    fet_data_options data_options;
    void (*progress)(void *user, const fet_train_progress *p); /* every step; NULL: none */
    void *user;
    const volatile int *stop; /* becomes a signal number: save and return FET_E_INTERRUPTED; NULL: none */
} fet_tune_options;

typedef struct fet_eval_result {
    double top1, top5, macro_f1, loss; /* fractions of 1; NAN when undefined */
    int64_t images;
    int64_t skipped; /* unreadable images that were left out */
} fet_eval_result;

typedef struct fet_tune_result {
    int64_t steps, epochs, images_skipped;
    double train_loss, seconds, images_per_s;
    fet_eval_result last, best; /* on the validation split; images 0 when there is none */
    int64_t best_epoch;
    int64_t trainable, parameters; /* values, not tensors */
    int64_t planned_bytes;
} fet_tune_result;

FET_API void fet_tune_defaults(fet_tune_options *o);

/* Tune a pretrained model: the base is frozen, adapter and head train (methods/hydra.md; "full", "linear" and "bitfit" select otherwise). Writes
 * RUN (run.json, state.safetensors, adapter.safetensors, log.csv, report.html). FET_E_NUMERIC: the loss was not finite; step, learning
 * rate and last good checkpoint are named. FET_E_INTERRUPTED: stopped and saved. */
FET_API fet_status fet_tune(const fet_tune_options *o, fet_tune_result *result);
/* Train all parameters from scratch (model "none" and model_options.arch) or from a checkpoint; RUN also holds model.safetensors. */
FET_API fet_status fet_train(const fet_tune_options *o, fet_tune_result *result);

/* Set one option by its command-line name ("lr", "adapter", "augment", ...) from text, as recipes do. FET_E_ARG names the nearest known key. The
 * text must outlive the options. */
FET_API fet_status fet_tune_set(fet_tune_options *o, const char *key, const char *value);
/* Apply a YAML recipe file; its texts live until fet_recipe_free(*keep). */
FET_API fet_status fet_tune_recipe(fet_tune_options *o, const char *path, void **keep);
FET_API void fet_recipe_free(void *keep);

/* Evaluate on a split ("train", "val", "test"; NULL: val). Labels follow the model's class names when it has them. */
FET_API fet_status fet_evaluate(fet_model *m, const char *data, const char *split, const fet_data_options *o, int batch,
                                fet_eval_result *out);

/* The same, and what the sites of the data say where it has some: a CSV with a column domain, or a known set (docs/sites.md). */
typedef struct fet_sites_result {
    int numbers;     /* not 0: labels are numbers; then loss is the mean squared error, accuracies and F1 are NAN */
    int groups;      /* sites (FMoW: regions; PovertyMap: urban and rural) with pictures; 0: the data has none */
    double r, worst; /* Pearson's r of numbers; accuracy or r of the worst group. NAN: not defined */
    char worst_name[128]; /* may be cut */
} fet_sites_result;
FET_API fet_status fet_evaluate_sites(fet_model *m, const char *data, const char *split, const fet_data_options *o,
                                      int batch, fet_eval_result *out, fet_sites_result *sites);

/* Features before the head for every image of all splits, written as safetensors: "features" [N, D] f32, "labels" [N] i64, and metadata
 * "paths" and "classes" (JSON lists). */
FET_API fet_status fet_embed(fet_model *m, const char *data, const fet_data_options *o, const char *out,
                             int64_t *images);

/* The training step's plan as text (with `steps`, every step) and totals, before anything runs. Caller frees *text with fet_free. */
typedef struct fet_plan_report {
    int64_t total_bytes, arena_bytes, weight_bytes, packed_bytes, floor_bytes;
    int64_t trainable, parameters;
    double gflops_per_image;
    double seconds_per_step; /* needed operations over this machine's measured peak, a lower bound */
    int steps;
    int64_t process_bytes;     /* about what the program itself takes: code, libraries, tables. In total_bytes */
    int parts;                 /* in which a batch is run, the gradients added up; 1: as a whole */
    int repeated;              /* of the steps: values computed again because of the budget */
    double repeated_share;     /* their operations over the needed ones */
    char repeated_layers[256]; /* where they are: "blocks.0-7, norm"; ends in "..." where there are more */
} fet_plan_report;
FET_API fet_status fet_plan(const fet_tune_options *o, int train, int steps, fet_plan_report *report, char **text);

/* Adapters that --adapter knows, as JSON: name, help, options with defaults, presets, whether it merges. Also "models" and "workloads".
 * Caller frees. FET_E_ARG for another word. */
FET_API fet_status fet_list(char **json, const char *what);

#ifdef __cplusplus
}
#endif
#endif
