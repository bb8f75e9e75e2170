/* What the files of method/ share: the public model's inside, the translation of public options to the layers' own, and running a
 * model over pictures. Each public function is in the file named after its theme. */
#ifndef FET_METHOD_INT_H
#define FET_METHOD_INT_H

#include "fettle/fettle.h"
#include "train/train.h"

/* ---- api_model.c ------------------------------------------------------------------------------------------------ */
struct fet_model {
    fet__model *m;
    char *arch;     /* canonical text, kept up to date for fet_model_arch */
    fet__step step; /* the evaluation program of the last call, reused while batch and weights' places stay */
    int step_batch; /* 0: there is none */
    bool unproved;  /* a merge was over its tolerance: the weights must not be saved */
    char *merged;   /* JSON of the proof of a merge, for the saved file; or NULL */
};
/* Options in the layers' own form. `values` has room for the two triples that text options hold. */
fet_status fet__model_options_from(fet__model_options *out, const fet_model_options *o, uint64_t seed, float values[6]);
/* Open with options and a head of options->classes where the path is "none". */
fet_status fet__model_open_with(fet__model **out, const char *path, const fet_model_options *o, uint64_t seed);
/* Forget the program; whatever changes the graph (an adapter attached or merged) calls this. */
fet_status fet__model_changed(fet_model *m);

/* ---- api_data.c --------------------------------------------------------------------------------------------------- */
fet_status fet__data_options_from(fet__dataset_options *out, const fet_data_options *o);
fet_eval_result fet__eval_result_out(const fet__eval_result *r);
/* Let the model take pictures as the data options say. */
void fet__model_take_data_options(fet__model *m, const fet_data_options *o);

/* ---- version.c: process-wide settings ------------------------------------------------------------------------------ */
int64_t fet__budget(int64_t given); /* given, else the process's budget, else 0 (what is free) */

/* ---- forward.c ------------------------------------------------------------------------------------------------------- */
/* The evaluation program for `batch` pictures, made or reused. */
fet_status fet__model_program(fet_model *m, int batch, int64_t memory);
typedef fet_status (*fet__forward_fn)(void *user, const fet__batch *b, const fet__step *s);
/* Run the model over samples in order. An unreadable picture is an error when `strict`; else it is named and its place in the batch
 * has label -1 and index -1. */
typedef struct fet__forward_options {
    int batch;
    bool strict;
    int64_t memory;
} fet__forward_options;
fet_status fet__forward(fet_model *m, const fet__sample *samples, int count, const fet__forward_options *o,
                        fet__forward_fn fn, void *user);

/* ---- survey.c --------------------------------------------------------------------------------------------------------- */
/* What one picture costs, and the linear layers where adapters may act. */
typedef struct fet__survey {
    double flops;
    fet__text sites;    /* one name a line */
    fet__text branches; /* residual sums, "blocks.0.attn": where adapters insert modules */
} fet__survey;
fet_status fet__survey_model(fet__survey *out, fet__model *m);

/* ---- tune_options.c ------------------------------------------------------------------------------------------------- */
/* Fill in defaults that need no data, and check ranges (options may come from C, not only from text). */
fet_status fet__tune_check(fet_tune_options *o);
/* What is recorded in run.json; caller frees with fet__free. */
char *fet__tune_to_json(const fet_tune_options *o);
/* The options with which RUN began, over those given; paths, callbacks and `stop` stay. Given options that differ and are no default are
 * named in a warning. The texts live until fet_recipe_free(*keep). *found is false where RUN has no run.json yet. */
fet_status fet__tune_from_run(fet_tune_options *o, const char *run, void **keep, bool *found);

/* fet_train as the last part of another command, whose options are `record` (JSON) and hold here as they are given. With o->resume the
 * RUN exists, whether or not training had begun. (tune.c) */
fet_status fet__train_within(const fet_tune_options *o, const char *record, fet_tune_result *result);

/* Texts that options borrow: a recipe, or the JSON of a run. */
typedef struct fet__kept {
    fet__recipe recipe;
    void *json;
} fet__kept;

/* ---- bench.c -------------------------------------------------------------------------------------------------------- */
/* What is measured when it is no model: a module on a map. */
typedef struct fet__bench_form {
    int64_t grid[2], channels;
    fet__node *(*build)(fet__build *b, fet__adapter *a, fet__node *x); /* x [B, H, W, C] */
} fet__bench_form;
typedef struct fet__workload {
    const char *name, *help, *arch, *adapter; /* %s in arch: the size */
    bool any;                                 /* the network is the caller's */
    bool features;                            /* has rows of features instead of a batch of images */
    bool stays; /* the adapter's modules are part of the model in inference too, in their fused form */
    const fet__bench_form *module; /* instead of arch */
    const char *sizes[8];          /* the first is the default; NULL ends them */
    /* Measures by itself, instead of arch's step; NULL: as all others. */
    fet_status (*run)(const fet_bench_options *o, const struct fet__workload *w, fet_bench_result *out, char **text);
} fet__workload;
extern const fet__workload fet__workloads[]; /* ended by name NULL */
/* The result of `count` measured steps of `runs` runs each. Sorts `seconds`. */
void fet__bench_fill(fet_bench_result *r, const fet__program *p, int runs, double *seconds, int count, int batch);
/* Times alone: for what is no program. Sorts `seconds`. */
void fet__bench_times(fet_bench_result *r, double *seconds, int count, int64_t images);
fet_status fet__bench_profile(const fet__program *p, char **out); /* as text; caller frees */

/* ---- bench_mabn.c ---------------------------------------------------------------------------------------------- */
fet_status fet__bench_mabn(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text);

/* ---- bench_jaccard.c, bench_spcl.c --------------------------------------------------------------------------------- */
fet_status fet__bench_jaccard(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text);
void fet__bench_unit(float *x, int64_t width); /* to length 1 */
fet_status fet__bench_spcl(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text);

/* ---- bench_module.c ---------------------------------------------------------------------------------------------- */
extern const fet__bench_form fet__bench_depthwise, fet__bench_mona;
fet_status fet__bench_module(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text);

/* ---- api_data.c ----------------------------------------------------------------------------------------------------- */
/* JSON text that the caller of the library gets: a copy in our memory. Consumes `json` (a json_t). */
fet_status fet__json_out(char **out, void *json);

#endif
