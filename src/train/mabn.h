/* MABN on whole models: the branch beside a model, the programs of both stages and of the adaptation, and the run that trains them. The
 * losses are byol.h's. */
#ifndef FET_MABN_H
#define FET_MABN_H

#include "train/byol.h"
#include "train/rivals.h"
#include "train/train.h"

/* How a run is trained: MABN and what it is compared with (methods/mabn.md 10). */
typedef enum fet__sites_method {
    FET__SITES_MABN,
    FET__SITES_ERM,      /* all sites mixed, nothing else */
    FET__SITES_ARM_BN,   /* statistics of a site's pictures */
    FET__SITES_ARM_CML,  /* a context network whose mean over a site's pictures comes with each of them */
    FET__SITES_ARM_LL,   /* a learned loss without labels, one step on everything */
    FET__SITES_META_DMOE /* experts of groups of sites, an aggregator, a student that follows it */
} fet__sites_method;

/* ---- mabn_branch.c ---------------------------------------------------------------------------------------------------- */
/* A model with projector, predictor and target in its store. */
typedef struct fet__mabn {
    fet__model *m;
    fet__byol_net net;
    fet__sites_method method;
    bool squared;        /* squared error of one output to a number; else cross-entropy */
    int experts;         /* of Meta-DMoE */
    bool may_initialise; /* while its layers are made for the first time */
} fet__mabn;
/* Projector and predictor with initial values, the target as a copy. */
fet_status fet__mabn_init(fet__mabn *a, fet__model *m, int64_t hidden, int64_t out);
/* RUN/branch.safetensors: what the store holds besides the model; `text` is its JSON (metadata fettle.mabn). */
fet_status fet__mabn_save_branch(const fet__mabn *a, const char *path, const char *text);
/* And back, sizes included; *text (caller frees) may be NULL. */
fet_status fet__mabn_load_branch(fet__mabn *a, fet__model *m, const char *path, char **text);
/* The same for the other methods: what their training keeps beside the model (a context network of `hidden` maps and `context` outputs, a learned
 * loss, experts and their aggregator), or nothing. For a context the model's first convolution is widened. */
fet_status fet__rival_init(fet__mabn *a, fet__model *m, fet__sites_method method, int context, int hidden, int experts);
fet_status fet__rival_load(fet__mabn *a, fet__model *m, fet__sites_method method, const char *path, char **text);
/* The metadata alone; caller frees. */
fet_status fet__mabn_branch_text(char **text, const char *path);
bool fet__mabn_is_branch(const fet__param *p);
bool fet__mabn_of_model(const fet__params *store, const fet__param *p); /* for fet__values_of */
/* Takes the branch and all states out of the store: what stays is the plain model. */
void fet__mabn_drop_branch(fet__mabn *a);

/* ---- mabn_step.c ------------------------------------------------------------------------------------------------------ */
typedef struct fet__mabn_step {
    fet__graph *graph;
    fet__program *program;
    float *plain, *view[2], *support[2]; /* pictures [n, H, W, 3]; NULL where the step takes none */
    int32_t *label;
    float *target; /* numbers, where the loss is squared error */
    int32_t *keep; /* of Meta-DMoE: rows of [pictures experts] that count */
    float *tau;
    const float *loss, *main, *byol, *inner; /* inner: before the first inner step */
    int64_t adapting;                        /* values */
} fet__mabn_step;
/* First stage: everything trains. */
fet_status fet__mabn_joint_create(fet__mabn_step *out, fet__mabn *a, int batch, double lambda,
                                  const fet__optimizer_options *o, int64_t memory);
/* Second stage: the norms' scales and shifts train, through the inner steps. */
fet_status fet__mabn_meta_create(fet__mabn_step *out, fet__mabn *a, int support, int query,
                                 const fet__episode_options *e, const fet__optimizer_options *o, int64_t memory);
/* A new site: a run moves the scales and shifts in the store by the inner steps. */
fet_status fet__mabn_adapt_create(fet__mabn_step *out, fet__mabn *a, int support, const fet__episode_options *e,
                                  int64_t memory);
/* Running statistics become those of `count` pictures, mixed with the present ones that count as `prior` pictures. */
fet_status fet__mabn_stats_create(fet__mabn_step *out, fet__model *m, int count, double prior, int64_t memory);
/* One step of entropy minimisation on `count` pictures; logits (before the step) are output "logits". */
fet_status fet__mabn_tent_create(fet__mabn_step *out, fet__model *m, int count, bool batch_statistics,
                                 const fet__optimizer_options *o, int64_t memory);
void fet__mabn_step_fini(fet__mabn_step *s);

/* ---- rival_step.c ------------------------------------------------------------------------------------------------------ */
/* A supervised step on all of the network: the model (expert < 0) or an expert. */
fet_status fet__rival_plain_create(fet__mabn_step *out, fet__mabn *a, int expert, int batch,
                                   const fet__optimizer_options *o, int64_t memory);
/* A step of ARM: `sites` times `support` pictures, each chunk of one site; by a->method. `inner`: of the learned loss. */
fet_status fet__rival_arm_create(fet__mabn_step *out, fet__mabn *a, int sites, int support,
                                 const fet__episode_options *inner, const fet__optimizer_options *o, int64_t memory);
/* The aggregator learns to tell classes from the frozen experts' features. */
fet_status fet__rival_aggregate_create(fet__mabn_step *out, fet__mabn *a, int batch, const fet__optimizer_options *o,
                                       int64_t memory);
/* An episode of Meta-DMoE: the student follows what the experts but one say of the support, its labels of the query judge. */
fet_status fet__rival_episode_create(fet__mabn_step *out, fet__mabn *a, int support, int query,
                                     const fet__episode_options *e, const fet__optimizer_options *o, int64_t memory);
/* A new site, by a->method: a run moves what the method adapts (context map; everything; the student), by `support` pictures in input
 * "images". */
fet_status fet__rival_adapt_create(fet__mabn_step *out, fet__mabn *a, int support, const fet__episode_options *e,
                                   int64_t memory);

/* ---- mabn_run.c ------------------------------------------------------------------------------------------------------- */
typedef struct fet__mabn_options {
    const char *out;
    bool resume, joint, meta;
    int64_t epochs, episodes;         /* of every stage of passes; of the last stage, 0: 10 epochs */
    int batch, support, query, sites; /* sites: of a step of ARM */
    double lr, outer_lr, tau;
    fet__episode_options episode;
    const fet__augment_plan *view; /* two */
    uint64_t seed;
    int64_t memory;
    const char *config_json;
    void (*progress)(void *user, const fet__progress *p);
    void *user;
    const volatile int *stop;
} fet__mabn_options;
typedef struct fet__mabn_result {
    int64_t steps, episodes, skipped;
    double joint_loss, outer_loss, seconds;
    fet__site_scores val;
    int64_t adapting, planned_bytes; /* values that adapt; of the larger stage */
    double step_seconds;             /* mean of the last stage's steps */
} fet__mabn_result;
/* Training samples of domain `holdout` (-1: none) take no part. Writes RUN: run.json, log.csv, state.safetensors, model.safetensors,
 * branch.safetensors; a resumed run ends with the same bits. The model's store is the plain model afterwards. */
fet_status fet__mabn_run(fet__mabn_result *out, fet__mabn *a, const fet__dataset *d, const fet__mabn_options *o);

#endif
