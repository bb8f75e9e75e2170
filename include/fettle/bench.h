/* Measuring this machine and the built-in workloads. */
#ifndef FETTLE_BENCH_H
#define FETTLE_BENCH_H

#include "fettle/tune.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fet_bench_options {
    const char *workload;     /* "vit-hydra", "quadranet", ...: fet_list(&json, "workloads") */
    const char *size;         /* of a workload that has sizes ("quadranet": "xxs"); NULL: the first */
    const char *arch;         /* "model" alone: the network to measure, as fet_model_options.arch takes it; else NULL */
    int train;                /* not 0: a training step; 0: inference of the merged model */
    int batch, steps, warmup; /* 0: 16, 5, 1 (warm-up in steps) */
    int64_t memory;
    int profile; /* not 0: time per kernel in *text */
    uint64_t seed;
    int64_t rows; /* "jaccard" alone: features, and values of one; 0: 4,096 and 2,048 */
    int width;
} fet_bench_options;
typedef struct fet_bench_result {
    double median_s, min_s, images_per_s;
    int64_t peak_rss_mib, planned_mib;
    double gflops_per_image; /* needed operations */
    double gflops;           /* reached: needed operations over the median time */
    int batch;               /* that was measured; 0: the workload has features */
    int64_t rows;            /* of features; 0: the workload has images */
    int width;
    int parts;             /* in which the memory budget had a batch run; 1: as a whole */
    double repeated_share; /* operations for values computed again because of it, over the needed ones */
} fet_bench_result;
/* Random images and weights, as the PyTorch peer does. `text` may be NULL; else caller frees. */
FET_API fet_status fet_bench(const fet_bench_options *o, fet_bench_result *out, char **text);

/* Measured multiply-add peak of all threads in GFLOP/s. */
FET_API fet_status fet_bench_peak(double *f32, double *bf16);

/* Process-wide settings. Threads: 0 means the cores this process may use. */
FET_API fet_status fet_set_threads(int n);
FET_API int fet_threads(void);
/* Memory budget in bytes wherever options leave it 0; 0 (the default): what is free. */
FET_API fet_status fet_set_memory(int64_t bytes);
/* "0.1.0"; "oneDNN 2.6.3"; "avx512". Static. */
FET_API const char *fet_version(void);
FET_API const char *fet_version_library(void);
FET_API const char *fet_version_cpu(void);

#ifdef __cplusplus
}
#endif
#endif
