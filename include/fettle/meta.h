/* New sites without labels (MABN, Wu et al., AAAI 2024, arXiv 2312.10165): train once on several known sites so that the batch norms learn to be
 * adapted, then adapt them at each new site from a dozen pictures. What a site needs is a small file of scales and shifts. */
#ifndef FETTLE_META_H
#define FETTLE_META_H

#include "fettle/tune.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Options of training. Call fet_meta_defaults first; then set what differs. */
typedef struct fet_meta_options {
    const char *model; /* checkpoint with batch norms, or a RUN of `meta` */
    const char *data; /* ROOT/DOMAIN/CLASS/..., ROOT/DOMAIN/{train,val,test}/CLASS/..., or a CSV with a column domain */
    const char *out;  /* RUN folder; must not exist without resume */
    int resume; /* continue RUN with the options of its first start; model and data may be given where they moved */
    const char *
        method; /* "mabn"; "erm" (all sites mixed), "arm-bn", "arm-cml", "arm-ll", "meta-dmoe": what it is compared with */
    const char
        *stage; /* mabn: "both": joint training, then episodes; "joint"; "meta" (model is a RUN that has the branch) */
    const char *holdout; /* a domain that takes no part; NULL: none */
    int64_t epochs;      /* 20: passes of the joint stage; for other methods of each stage that passes over pictures */
    int batch;           /* 32: its pictures a step, all domains together */
    double lr;           /* 1e-4: its Adam */
    int64_t episodes;    /* 0: ten passes over the pictures */
    int support, query;  /* 12, 12: pictures of an episode, of one domain, disjoint */
    double inner_lr;     /* < 0: 3e-4, arm-ll 0.1; small data with strong shifts want 1e-2 to 1e-1 */
    int inner_steps;     /* 1 */
    int order;           /* 2: the outer gradient goes through the inner step; 1: it does not */
    double outer_lr;     /* 3e-5: Adam of the episodes */
    double lambda;       /* 0.1: weight of the branch's loss */
    int hidden, projection;    /* 4096, 256: of projector and predictor; small networks want less */
    const char *target;        /* "ema", "online", "fixed": what the branch predicts, in episodes */
    double tau;                /* 0.996: how slowly an ema target follows */
    const char *head_norm;     /* "frozen", "batch": norms of the branch in episodes */
    const char *view1, *view2; /* augmentation of the two views (docs/augmentation.md); NULL: BYOL's */
    int meta_batch;            /* 2: arm: sites of a step, `support` pictures each */
    int context;               /* 3: arm-cml: channels of a site's context */
    int experts;               /* 0: meta-dmoe: as many as there are sites, 4 at most */
    uint64_t seed;
    int64_t memory; /* budget in bytes; 0: what is free */
    fet_model_options model_options;
    fet_data_options data_options;
    void (*progress)(void *user, const fet_train_progress *p);
    void *user;
    const volatile int *stop;
} fet_meta_options;

typedef struct fet_meta_result {
    int64_t steps, episodes, skipped; /* skipped: episodes whose loss was not finite */
    double joint_loss, outer_loss;    /* of the last step */
    double seconds, step_seconds;     /* of the whole; mean of a step of the last stage */
    int64_t adapting;                 /* values that the last stage trains */
    int64_t planned_bytes;
    fet_eval_result val; /* of the known sites, without adaptation; of numbers the loss alone */
    double r, worst; /* correlation with numbers (NAN: there are classes); accuracy or r of the worst site or group */
} fet_meta_result;

FET_API void fet_meta_defaults(fet_meta_options *o);
/* Writes RUN: model.safetensors (a plain checkpoint), branch.safetensors (what adaptation needs besides), state.safetensors, run.json, log.csv. */
FET_API fet_status fet_meta(const fet_meta_options *o, fet_meta_result *result);

/* Options of adaptation. Call fet_adapt_defaults first; then set what differs. */
typedef struct fet_adapt_options {
    const char *model;   /* RUN of `meta`; for methods without a branch any checkpoint with batch norms */
    const char *images;  /* a folder of pictures of the new site; or NULL and */
    const char *data;    /* sites as in fet_meta_options, with labels to measure by */
    const char *out;     /* the file to write; with `data` a folder, a file each domain */
    const char *domains; /* "a,b": these alone; NULL: the domain that training held out, or all */
    const char *
        method; /* "bn" (statistics), "tent" (entropy), "arm-bn" (statistics of the pictures alone), and that by which RUN was trained: "mabn", "arm-cml",
                            "arm-ll", "meta-dmoe"; NULL: that one */
    const char *adapt;   /* "affine", "stats", "both"; NULL: what the method is about */
    int count;           /* 12: pictures to adapt from */
    double inner_lr;     /* < 0: the run's */
    int inner_steps;     /* 0: the run's */
    double prior;        /* 16: as how many pictures the known statistics count */
    int shuffle_domains; /* not 0: each domain is measured with another one's file too */
    uint64_t seed;
    int64_t memory;
    fet_model_options model_options;
    fet_data_options data_options;
} fet_adapt_options;

typedef struct fet_adapt_domain {
    const char *name; /* borrowed until fet_adapt_free */
    int64_t images;
    /* Accuracy (of numbers: Pearson's r) without adaptation, with it, with another domain's; NAN: not measured, not defined. */
    double before, after, shuffled;
    double f1[3]; /* macro F1 over the classes that the domain has: the same three; NAN: numbers */
    double
        loss; /* of the branch, the entropy, the learned loss, on the pictures before the step; NAN: the method has none */
    int adapted; /* 0: there was nothing to adapt from, or the loss was not finite: the file is the start */
} fet_adapt_domain;
typedef struct fet_adapt_result {
    int count; /* 0 with `images` but for one entry without measures */
    fet_adapt_domain *domain;
    double before, after, shuffled; /* over all pictures */
    double worst_before, worst_after,
        worst_shuffled;        /* of the worst domain; of FMoW the worst region, of PovertyMap of urban and rural */
    double f1[3];              /* over all pictures: before, after, shuffled */
    const char *worst_name[3]; /* borrowed until fet_adapt_free; NULL: there is none */
    int numbers;               /* not 0: the values above are correlations */
    int64_t bytes;             /* of a file */
    double seconds;            /* of one adaptation, load not counted */
    void *keep;
} fet_adapt_result;
FET_API void fet_adapt_defaults(fet_adapt_options *o);
FET_API fet_status fet_adapt(const fet_adapt_options *o, fet_adapt_result *result);
FET_API void fet_adapt_free(fet_adapt_result *result);

/* Evaluation that adapts while it goes: one step of entropy minimisation a batch, on top of whatever is attached. Pictures come in random order
 * (o->seed). */
typedef struct fet_tta_result {
    int64_t batches, adapted; /* adapted: before the guard stopped it */
    double diversity, first; /* of predicted classes in the last window and in the first, 0..1; NAN: too few pictures */
    int stopped;             /* the guard against collapse stopped it and took the changes back */
} fet_tta_result;
/* `how`: "tent" or "tent:stats=source|batch,lr=1e-3,guard=true|false". Defaults: stats=source, lr=1e-3, guard=true. */
FET_API fet_status fet_evaluate_tta(fet_model *m, const char *data, const char *split, const fet_data_options *o,
                                    int batch, const char *how, fet_eval_result *out, fet_tta_result *result);

#ifdef __cplusplus
}
#endif
#endif
