/* The reference kernels' shared helpers. One row, "ref", serves every operator; a function per operator and type does
 * the work. The typed functions are written once, in *.inc files, over REAL and FN(name) and instantiated by
 * ref_f32.c, ref_f64.c and ref_i32.c. All sums are taken in double. */
#ifndef FET_REF_INT_H
#define FET_REF_INT_H

#include "kernel/kernel.h"

typedef fet_status fet__ref_fn(const fet__problem *p, const fet__call *c);

/* Fewest elements for which a loop is worth a parallel region. */
#define FET__REF_PARALLEL 4096

/* ---- ref_index.c ----------------------------------------------------------------------------------------- */
void fet__ref_strides(int64_t stride[FET__MAX_RANK], const fet__shape *s);
/* Strides of `s` seen as a `full`: 0 on axes where s has size 1, everywhere for a scalar. */
void fet__ref_broadcast_strides(int64_t stride[FET__MAX_RANK], const fet__shape *s, const fet__shape *full);
/* Where element i (row-major) of shape s lies in a buffer with these strides. */
int64_t fet__ref_offset(int64_t i, const fet__shape *s, const int64_t stride[FET__MAX_RANK]);

/* A shape split in the axes that a reduction keeps and those that it sums over; both have full's rank. */
typedef struct fet__ref_reduction {
    fet__shape kept, gone;
    int64_t kept_count, gone_count;
    int64_t stride[FET__MAX_RANK]; /* of the full shape */
} fet__ref_reduction;
void fet__ref_split(fet__ref_reduction *out, const fet__shape *full, uint32_t axes);

/* Rows of a tensor: product of all axes but the last, which is `cols`. A scalar is one row of one. */
int64_t fet__ref_rows(const fet__shape *s);
int64_t fet__ref_cols(const fet__shape *s);

double fet__ref_load(const void *data, fet_dtype t, int64_t i); /* f32, f64, i32 */
void fet__ref_store(void *data, fet_dtype t, int64_t i, double v);
int32_t fet__ref_to_i32(double v); /* towards zero, saturating; NaN gives 0 */

/* ---- ref_element.c --------------------------------------------------------------------------------------- */
/* One element of an element-wise operator. */
double fet__ref_element(fet__op op, const fet__attr *attr, double a, double b, double c);
/* One element of a group: the value of its last register at element i of the iteration space. */
typedef struct fet__ref_group {
    const fet__group *group;
    const fet__problem *problem;
    const fet__call *call;
    int64_t stride[FET__MAX_INPUTS][FET__MAX_RANK];
} fet__ref_group;
void fet__ref_group_begin(fet__ref_group *g, const fet__problem *p, const fet__call *c);
double fet__ref_group_at(const fet__ref_group *g, int64_t i);

/* ---- ref_resize.c ---------------------------------------------------------------------------------------- */
/* Source positions and weights of one output position along one axis. */
typedef struct fet__ref_taps {
    int count;
    int64_t at[4];
    double weight[4];
} fet__ref_taps;
fet__ref_taps fet__ref_resize_taps(const fet__attr *a, int64_t in, int64_t out, int64_t o);

/* ---- ref_check.c ----------------------------------------------------------------------------------------- */
/* Every value within [low, high), else FET_E_DATA naming operator, value, its place and the range. */
fet_status fet__ref_check_range(const char *op, const char *what, const int32_t *v, int64_t count, int64_t low,
                                int64_t high);

/* ---- ref_move.c: type-blind operators --------------------------------------------------------------------- */
fet__ref_fn fet__ref_broadcast, fet__ref_reshape, fet__ref_transpose, fet__ref_slice, fet__ref_unslice, fet__ref_concat,
    fet__ref_roll, fet__ref_gather, fet__ref_cast;

/* ---- typed operators ------------------------------------------------------------------------------------- */
#define FET__REF_TYPED_ALL(X) X(element) X(iota) X(fill) X(sum) X(reduce_max) X(argmax) X(scatter_add)
/* clang-format off */
#define FET__REF_TYPED_FLOAT(X)                                                                                        \
    X(random)                                                                                                          \
    X(group)                                                                                                           \
    X(matmul) X(conv2d) X(conv2d_dx) X(conv2d_dw) X(resize) X(resize_t) X(avg_pool) X(avg_pool_t) X(max_pool_index)    \
        X(linear) X(softmax) X(softmax_grad) X(layer_norm) X(layer_norm_dx) X(layer_norm_dgamma) X(cross_entropy)      \
            X(cross_entropy_grad) X(memory_update) X(attention) X(attention_grad) X(attention_dbias) X(quadratic_dw)
/* clang-format on */
#define X(name) fet__ref_fn fet__ref_##name##_f32, fet__ref_##name##_f64, fet__ref_##name##_i32;
FET__REF_TYPED_ALL(X)
#undef X
#define X(name) fet__ref_fn fet__ref_##name##_f32, fet__ref_##name##_f64;
FET__REF_TYPED_FLOAT(X)
#undef X

#endif
