/* Kernels: what computes an operator. A kernel is a row in a table; the first row that accepts a problem runs it, and
 * the reference (obvious C, double accumulation) is the last row for every operator and floating type. exec/ chooses;
 * nothing here sees a graph. */
#ifndef FET_KERNEL_H
#define FET_KERNEL_H

#include "tensor/op.h"

typedef struct fet__desc {
    fet_dtype dtype;
    fet__shape shape;
    bool frozen; /* input does not change between runs: it may be packed once */
} fet__desc;

/* One operator with everything that is known before data is. */
typedef struct fet__problem {
    fet__op op;
    fet__attr attr;
    int input_count;
    fet__desc input[FET__MAX_INPUTS];
    fet__desc output;
    const fet__group *group; /* GROUP; borrowed as long as the kernel state lives */
    int threads;
} fet__problem;

/* A prepared kernel: primitives created, sizes known. */
typedef struct fet__prepared {
    const struct fet__kernel *kernel;
    fet__problem problem;
    void *state;                    /* the kernel's own */
    size_t scratch;                 /* bytes needed during run, 64-byte aligned */
    size_t packed[FET__MAX_INPUTS]; /* > 0: this frozen input is wanted packed, in so many bytes */
    uint32_t overlay;               /* bit i: the output may be written over input i (same size, element by element) */
} fet__prepared;

typedef struct fet__call {
    const void *input[FET__MAX_INPUTS]; /* packed where prepared.packed asks for it */
    void *output;
    void *scratch;
} fet__call;

typedef struct fet__kernel {
    const char *name; /* "dnnl.matmul", "avx512.layer_norm", "ref" */
    bool (*accepts)(const fet__problem *p);
    fet_status (*prepare)(fet__prepared *k);                                           /* may be NULL */
    fet_status (*pack)(const fet__prepared *k, int input, const void *src, void *dst); /* NULL when nothing is packed */
    fet_status (*run)(const fet__prepared *k, const fet__call *c);
    void (*release)(fet__prepared *k); /* may be NULL */
} fet__kernel;

/* Choose and prepare. `reference` takes the reference row. FET_E_BUG when nobody accepts (names operator and types). */
fet_status fet__kernel_prepare(fet__prepared *out, const fet__problem *p, bool reference);
void fet__kernel_release(fet__prepared *k);
/* Every row that accepts `p`, best first (for tests that compare all of them). Returns the number. */
int fet__kernel_candidates(const fet__kernel **out, int capacity, const fet__problem *p);
fet_status fet__kernel_prepare_with(fet__prepared *out, const fet__problem *p, const fet__kernel *k);

/* Tables of the parts, ended by a row with name NULL. */
extern const fet__kernel fet__kernels_ref[];
extern const fet__kernel fet__kernels_x86[];
extern const fet__kernel fet__kernels_dnnl[];

/* c[m, n] = a[m, k] b[n, k]^T in float32, row-major. Inside a parallel region it runs on the calling thread alone: for code that is
 * parallel itself and has no graph. */
fet_status fet__product_nt(float *c, const float *a, const float *b, int64_t m, int64_t n, int64_t k);

/* "oneDNN 2.6.3" or "none"; for --version. */
const char *fet__kernel_library(void);
/* Measured multiply-add peak of all threads, GFLOP/s: float32 in registers of the best own kernel level. bf16: 0 when
 * the processor has none. */
double fet__measure_peak(fet_dtype t, double seconds);

/* Number of times a row of this name prefix was prepared; lets tests see that the fast path is taken. */
int64_t fet__kernel_uses(const char *prefix);

#endif
