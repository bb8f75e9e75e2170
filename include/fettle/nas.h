/* Searching a network for a device (QuadraNet, arXiv 2311.17956, with the method of ProxylessNAS, arXiv 1812.00332): measure this machine,
 * search kernels, expansions and depth of a quadratic network under limits, train what was found, describe it in a file. */
#ifndef FETTLE_NAS_H
#define FETTLE_NAS_H

#include "fettle/tune.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- profiles: what blocks cost --------------------------------------------------------------------------------------- */
typedef struct fet_nas_profile_options {
    const char *frame; /* the network whose blocks are to be chosen, as --arch takes it; NULL: quadranet36_xxs */
    int repeats;       /* runs of a measurement, of which the median of the fastest quarter counts; 0: 100 */
    int check;         /* networks drawn from the space that are predicted and then measured; 0: 10, below 0: none */
    uint64_t seed;
} fet_nas_profile_options;
typedef struct fet_nas_profile_report {
    int entries, checked;           /* blocks measured; networks predicted and measured */
    double fixed_ms;                /* of everything besides blocks */
    double mean_error, worst_error; /* relative, of the networks that were predicted and measured */
} fet_nas_profile_report;
/* Measures every block of the frame's space (kernels 3, 5, 7 times expansions 2, 4, per stage, quadratic and plain; one image), fits their sum to whole networks and writes them to
 * `out` as JSON (docs/nas.md). An existing file is not replaced. */
FET_API fet_status fet_nas_profile(const fet_nas_profile_options *o, const char *out, fet_nas_profile_report *report);

/* ---- search ------------------------------------------------------------------------------------------------------------ */
/* Call fet_nas_search_defaults first; then set what differs. */
typedef struct fet_nas_search_options {
    /* data, out, resume, seed, memory (of this process), progress and stop; model_options.arch: the frame (NULL: quadranet36_xxs); all else
     * is how the found network is trained. Its model and adapter do not count. */
    fet_tune_options train;
    const char *profile;    /* file of fet_nas_profile; NULL: latency is neither limited nor predicted */
    int foreign;            /* not 0: a profile of another device is meant; a profile can say so itself */
    const char *latency;    /* limit, "5ms": a number and the profile's unit (s, ms and us are converted); NULL: none */
    int64_t network_memory; /* limit in bytes: weights and working memory of one image; 0: none */
    double flops;           /* limit: operations of one image, two a multiply-add; 0: none */
    const char *space;      /* quadra, plain (ordinary depthwise blocks) */
    const char *gates;      /* two (two paths a step of alpha), full */
    const char *objective;  /* log: a CE prod (ln E / ln R)^b; linear: CE + sum lambda (E - R) / R; none */
    double log_a, log_b, lambda;
    int64_t search_epochs, search_warmup; /* steps of weights and alpha; of weights alone before these */
    int search_batch;                     /* 0: that of training */
    const char *search_optimizer;         /* adamw, sgd (Nesterov) */
    double search_lr, search_warmup_lr;   /* 0: 1e-3 for adamw; 0.025 and 0.05 for sgd */
    double search_wd;                     /* < 0: 0.05 for adamw, 4e-5 for sgd */
    double search_momentum, search_clip, search_smoothing;
    const char *search_augment;
    double alpha_lr, alpha_share; /* share of the training images that gates learn from */
    int64_t alpha_every;          /* steps of weights to a step of alpha */
} fet_nas_search_options;
FET_API void fet_nas_search_defaults(fet_nas_search_options *o);
/* One option by its command-line name, of the search or of training, from text that outlives the options. */
FET_API fet_status fet_nas_search_set(fet_nas_search_options *o, const char *key, const char *value);

typedef struct fet_nas_search_result {
    fet_tune_result train; /* of the found network */
    char *arch;            /* its text for --arch; fet_free */
    int positions, blocks; /* of the frame; of the found network */
    int64_t search_steps, alpha_steps;
    double search_seconds, search_images_per_s, entropy;
    double latency, latency_limit; /* predicted, in `unit`; NAN without a profile, without a limit */
    char unit[16];
    double measured_ms; /* on this machine; NAN where the profile is of another one, or there is none */
    double flops;
    int64_t network_memory;   /* bytes: weights and working memory of one image */
    int64_t search_bytes;     /* largest plan of a step of the search (this session; 0: there was none) */
    int64_t candidate_bytes;  /* weights and states of all candidates */
    double build_ms, step_ms; /* mean of making and of running a step of weights (this session) */
} fet_nas_search_result;
/* Searches, derives the most probable network within the limits, trains it from scratch. RUN gets search.safetensors, search.csv, arch.json and
 * what fet_train writes (model.safetensors). Searched again with resume, it goes on to the same bits. FET_E_ARG: no network meets a limit (the
 * nearest is named), or the profile is another machine's. */
FET_API fet_status fet_nas_search(const fet_nas_search_options *o, fet_nas_search_result *result);
/* The network that the search in RUN found, as a file that --arch takes. An existing file is not replaced. *arch (fet_free) is its text. */
FET_API fet_status fet_nas_derive(const char *run, const char *out, char **arch);

#ifdef __cplusplus
}
#endif
#endif
