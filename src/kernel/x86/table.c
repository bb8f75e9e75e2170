/* The rows of x86/. AVX-512 rows come first, then AVX2; each asks the processor's level before it looks at the problem, so that a
 * lower level falls through to the reference. Moves of bytes are baseline code and accept on every level. */
#include "kernel/x86/x86.h"

/* Which operators share an accept function and a run function's name: X(name, accepts, prepare, release) */
#define ARITHMETIC(X)                                                                                                  \
    X(group, group, fet__group_accepts(p), fet__group_prepare, fet__x86_free_state)                                    \
    X(element, group, fet__element_accepts(p), fet__group_prepare, fet__x86_free_state)                                \
    X(reduce, group, fet__reduce_accepts(p), fet__group_prepare, fet__x86_free_state)                                  \
    X(layer_norm, layer_norm, p->op == FET__OP_LAYER_NORM && fet__norm_accepts(p), fet__norm_prepare, NULL)            \
    X(layer_norm_dx, layer_norm_dx, p->op == FET__OP_LAYER_NORM_DX && fet__norm_accepts(p), fet__norm_prepare, NULL)   \
    X(layer_norm_dgamma, layer_norm_dgamma, p->op == FET__OP_LAYER_NORM_DGAMMA && fet__norm_accepts(p),                \
      fet__norm_prepare, NULL)                                                                                         \
    X(softmax, softmax, p->op == FET__OP_SOFTMAX && fet__softmax_accepts(p), fet__softmax_prepare, NULL)               \
    X(softmax_grad, softmax_grad, p->op == FET__OP_SOFTMAX_GRAD && fet__softmax_accepts(p), fet__softmax_prepare,      \
      NULL)                                                                                                            \
    X(cross_entropy, cross_entropy, p->op == FET__OP_CROSS_ENTROPY && fet__softmax_accepts(p), fet__softmax_prepare,   \
      NULL)                                                                                                            \
    X(cross_entropy_grad, cross_entropy_grad, p->op == FET__OP_CROSS_ENTROPY_GRAD && fet__softmax_accepts(p),          \
      fet__softmax_prepare, NULL)                                                                                      \
    X(attention, attention, p->op == FET__OP_ATTENTION && fet__attention_accepts(p), fet__attention_prepare,           \
      fet__x86_free_state)                                                                                             \
    X(attention_grad, attention_grad, p->op == FET__OP_ATTENTION_GRAD && fet__attention_accepts(p),                    \
      fet__attention_prepare, fet__x86_free_state)                                                                     \
    X(attention_dbias, attention_dbias, p->op == FET__OP_ATTENTION_DBIAS && fet__attention_accepts(p),                 \
      fet__attention_prepare, fet__x86_free_state)                                                                     \
    X(depthwise, depthwise, p->op == FET__OP_CONV2D && fet__depthwise_accepts(p), fet__depthwise_prepare,              \
      fet__x86_free_state)                                                                                             \
    X(depthwise_dx, depthwise, p->op == FET__OP_CONV2D_DX && fet__depthwise_accepts(p), fet__depthwise_prepare,        \
      fet__x86_free_state)                                                                                             \
    X(depthwise_dw, depthwise_dw, p->op == FET__OP_CONV2D_DW && fet__depthwise_accepts(p), fet__depthwise_prepare,     \
      fet__x86_free_state)                                                                                             \
    X(quadratic, quadratic, fet__quadratic_accepts(p), fet__quadratic_prepare, fet__x86_free_state)

#define X(name, body, fits, make, free)                                                                                \
    static bool name##_avx2(const fet__problem *p)                                                                     \
    {                                                                                                                  \
        return fet__x86_has(FET__CPU_AVX2) && (fits);                                                                  \
    }                                                                                                                  \
    static bool name##_avx512(const fet__problem *p)                                                                   \
    {                                                                                                                  \
        return fet__x86_has(FET__CPU_AVX512) && (fits);                                                                \
    }
ARITHMETIC(X)
#undef X

/* clang-format off */
const fet__kernel fet__kernels_x86[] = {
#define X(row, body, fits, make, free)                                                                                 \
    {.name = "avx512." #row, .accepts = row##_avx512, .prepare = make, .run = fet__avx512_##body, .release = free},
    ARITHMETIC(X)
#undef X
#define X(row, body, fits, make, free)                                                                                 \
    {.name = "avx2." #row, .accepts = row##_avx2, .prepare = make, .run = fet__avx2_##body, .release = free},
    ARITHMETIC(X)
#undef X
    {.name = "x86.rows", .accepts = fet__move_rows_accepts, .prepare = fet__move_rows_prepare, .run = fet__move_rows},
    {.name = "x86.box", .accepts = fet__move_box_accepts, .run = fet__move_box},
    {.name = "x86.pool", .accepts = fet__pool_accepts, .run = fet__pool_run},
    {.name = "x86.transpose", .accepts = fet__transpose_accepts, .run = fet__transpose_run},
    {.name = NULL},
};
/* clang-format on */
