/* oneDNN behind a narrow window: one contraction (matrix product or a convolution's three forms) with what follows it,
 * created once and run with pointers. Everything that differs between versions 2 and 3 of its C API is in dnnl_api.c;
 * no other file sees its headers. */
#ifndef FET_DNNL_API_H
#define FET_DNNL_API_H

#include "kernel/kernel.h"

#define FET__DNNL_AXES 6

/* A float32 operand: sizes in oneDNN's order of axes, strides in elements. Rank 0: absent. */
typedef struct fet__dnnl_view {
    int rank;
    int64_t dim[FET__DNNL_AXES], stride[FET__DNNL_AXES];
} fet__dnnl_view;

typedef enum fet__dnnl_kind {
    FET__DNNL_MATMUL,  /* dst = src * weights, batched over the axes in front of the last two */
    FET__DNNL_INNER,   /* the same for one matrix, weights [out, in]: another implementation */
    FET__DNNL_CONV,    /* dst = src * weights */
    FET__DNNL_CONV_DX, /* src = gradient, from weights and dst */
    FET__DNNL_CONV_DW  /* weights = gradient, from src and dst */
} fet__dnnl_kind;

typedef struct fet__dnnl_spec {
    fet__dnnl_kind kind;
    fet__dnnl_view src, weights, bias, dst;
    fet__activation activation;
    bool add;          /* a last operand of dst's view is added behind the activation */
    bool free_weights; /* oneDNN chooses the weights' layout; they are reordered in each run, or once when `packed` */
    bool packed;       /* weights are handed over as fet__dnnl_pack wrote them */
    int64_t stride[2], dilation[2], pad[2], pad_end[2]; /* convolutions; dilation 1 is dense */
} fet__dnnl_spec;

typedef struct fet__dnnl fet__dnnl;

enum { FET__DNNL_SRC, FET__DNNL_WEIGHTS, FET__DNNL_BIAS, FET__DNNL_DST, FET__DNNL_ADD, FET__DNNL_SLOTS };

fet_status fet__dnnl_create(fet__dnnl **out, const fet__dnnl_spec *spec);
void fet__dnnl_destroy(fet__dnnl *d);                     /* accepts NULL */
size_t fet__dnnl_scratch(const fet__dnnl *d);             /* bytes */
size_t fet__dnnl_packed(const fet__dnnl *d);              /* bytes of the weights as packed; 0 when they stay plain */
const char *fet__dnnl_implementation(const fet__dnnl *d); /* "brg:avx512_core", for tests and profiles */
fet_status fet__dnnl_pack(fet__dnnl *d, const void *plain, void *packed);
fet_status fet__dnnl_run(fet__dnnl *d, void *const slot[FET__DNNL_SLOTS], void *scratch);

/* Plain row-major c[m, n] = a b; `ta`: a is stored [k, m]; b is [k, n]. Copies panels of its own while it runs. */
fet_status fet__dnnl_sgemm(bool ta, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c);

#endif
