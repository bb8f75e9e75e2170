/* The reference table: its one row, which function serves an operator and type, and how much scratch that function
 * wants. */
#include "kernel/ref/ref_int.h"

/* By type of the values worked on: f32, f64, i32. */
typedef struct entry {
    fet__ref_fn *f32, *f64, *i32;
} entry;
#define ALL(name)                                                                                                      \
    {                                                                                                                  \
        fet__ref_##name##_f32, fet__ref_##name##_f64, fet__ref_##name##_i32                                            \
    }
#define FLOAT(name)                                                                                                    \
    {                                                                                                                  \
        fet__ref_##name##_f32, fet__ref_##name##_f64, NULL                                                             \
    }
#define BLIND(name)                                                                                                    \
    {                                                                                                                  \
        fet__ref_##name, fet__ref_##name, fet__ref_##name                                                              \
    }

static const entry entries[FET__OP_COUNT] = {
    [FET__OP_ADD] = ALL(element),
    [FET__OP_SUB] = ALL(element),
    [FET__OP_MUL] = ALL(element),
    [FET__OP_DIV] = ALL(element),
    [FET__OP_MIN] = ALL(element),
    [FET__OP_MAX] = ALL(element),
    [FET__OP_NEG] = ALL(element),
    [FET__OP_ABS] = ALL(element),
    [FET__OP_EXP] = FLOAT(element),
    [FET__OP_LOG] = FLOAT(element),
    [FET__OP_SQRT] = FLOAT(element),
    [FET__OP_RSQRT] = FLOAT(element),
    [FET__OP_TANH] = FLOAT(element),
    [FET__OP_ERF] = FLOAT(element),
    [FET__OP_SIGMOID] = FLOAT(element),
    [FET__OP_POW_INT] = ALL(element),
    [FET__OP_COMPARE] = ALL(element),
    [FET__OP_WHERE] = ALL(element),
    [FET__OP_CAST] = BLIND(cast),
    [FET__OP_STOP_GRADIENT] = BLIND(reshape),
    [FET__OP_BROADCAST] = BLIND(broadcast),
    [FET__OP_RANDOM] = FLOAT(random),
    [FET__OP_IOTA] = ALL(iota),
    [FET__OP_FILL] = ALL(fill),
    [FET__OP_SUM] = ALL(sum),
    [FET__OP_REDUCE_MAX] = ALL(reduce_max),
    [FET__OP_ARGMAX] = ALL(argmax),
    [FET__OP_MATMUL] = FLOAT(matmul),
    [FET__OP_CONV2D] = FLOAT(conv2d),
    [FET__OP_CONV2D_DX] = FLOAT(conv2d_dx),
    [FET__OP_CONV2D_DW] = FLOAT(conv2d_dw),
    [FET__OP_RESHAPE] = BLIND(reshape),
    [FET__OP_TRANSPOSE] = BLIND(transpose),
    [FET__OP_SLICE] = BLIND(slice),
    [FET__OP_UNSLICE] = BLIND(unslice),
    [FET__OP_CONCAT] = BLIND(concat),
    [FET__OP_ROLL] = BLIND(roll),
    [FET__OP_GATHER] = BLIND(gather),
    [FET__OP_SCATTER_ADD] = ALL(scatter_add),
    [FET__OP_RESIZE] = FLOAT(resize),
    [FET__OP_RESIZE_T] = FLOAT(resize_t),
    [FET__OP_AVG_POOL] = FLOAT(avg_pool),
    [FET__OP_AVG_POOL_T] = FLOAT(avg_pool_t),
    [FET__OP_MAX_POOL_INDEX] = FLOAT(max_pool_index),
    [FET__OP_MEMORY_UPDATE] = FLOAT(memory_update),
    [FET__OP_STANDARDIZED] = BLIND(reshape),
    [FET__OP_GELU] = FLOAT(element),
    [FET__OP_GELU_GRAD] = FLOAT(element),
    [FET__OP_LINEAR] = FLOAT(linear),
    [FET__OP_SOFTMAX] = FLOAT(softmax),
    [FET__OP_SOFTMAX_GRAD] = FLOAT(softmax_grad),
    [FET__OP_LAYER_NORM] = FLOAT(layer_norm),
    [FET__OP_LAYER_NORM_DX] = FLOAT(layer_norm_dx),
    [FET__OP_LAYER_NORM_DGAMMA] = FLOAT(layer_norm_dgamma),
    [FET__OP_CROSS_ENTROPY] = FLOAT(cross_entropy),
    [FET__OP_CROSS_ENTROPY_GRAD] = FLOAT(cross_entropy_grad),
    [FET__OP_ATTENTION] = FLOAT(attention),
    [FET__OP_ATTENTION_GRAD] = FLOAT(attention_grad),
    [FET__OP_ATTENTION_DBIAS] = FLOAT(attention_dbias),
    [FET__OP_QUADRATIC_DW] = FLOAT(quadratic_dw),
    [FET__OP_GROUP] = FLOAT(group),
};

/* Comparisons and indices have another type than the values they are made from. */
static fet_dtype type_worked_on(const fet__problem *p)
{
    switch (p->op) {
    case FET__OP_COMPARE:
    case FET__OP_ARGMAX:
    case FET__OP_MAX_POOL_INDEX: return p->input[0].dtype;
    default: return p->output.dtype;
    }
}

static fet__ref_fn *function_for(const fet__problem *p)
{
    const entry *e = &entries[p->op];
    bool blind = e->f32 && e->f32 == e->f64;
    switch (type_worked_on(p)) {
    case FET_F32: return e->f32;
    case FET_F64: return e->f64;
    case FET_I32: return e->i32;
    default: return blind ? e->f32 : NULL;
    }
}

static bool accepts(const fet__problem *p)
{
    return function_for(p) != NULL;
}

static size_t scratch_for(const fet__problem *p)
{
    const fet__shape *x = &p->input[0].shape, *y = &p->output.shape;
    switch (p->op) {
    case FET__OP_SCATTER_ADD:
    case FET__OP_RESIZE_T:
    case FET__OP_LAYER_NORM_DGAMMA: return (size_t)fet__shape_count(y) * sizeof(double);
    case FET__OP_MEMORY_UPDATE: return (size_t)y->dim[1] * sizeof(double);
    case FET__OP_ATTENTION: return (size_t)(x->dim[0] * x->dim[1]) * sizeof(double);
    case FET__OP_ATTENTION_GRAD: /* per image: dq, dk, dv of one head, and two rows of the map */
        return (size_t)(x->dim[0] * x->dim[1] * (x->dim[2] / p->attr.attention.heads + 2)) * sizeof(double);
    case FET__OP_ATTENTION_DBIAS: /* per head: its sums, and two rows of the map */
        return (size_t)(y->dim[0] * y->dim[1] * y->dim[2] * (y->dim[3] + 2)) * sizeof(double);
    default: return 0;
    }
}

/* Element-wise results may replace an operand that has as many bytes, and so may a reshape's. */
static uint32_t overlay_for(const fet__problem *p)
{
    uint32_t bits = 0;
    if (p->op == FET__OP_MEMORY_UPDATE)
        return 1; /* rows that are not named stay: nothing is moved when the memory is its own result */
    bool element = fet__op_rows[p->op].class_ == FET__CLASS_ELEMENT && p->op != FET__OP_CAST;
    element |= fet__op_rows[p->op].class_ == FET__CLASS_FUSED_ELEMENT || p->op == FET__OP_RESHAPE;
    element |= p->op == FET__OP_GROUP && !p->group->reduce_axes;
    if (!element)
        return 0;
    for (int i = 0; i < p->input_count; i++)
        if (fet__shape_count(&p->input[i].shape) == fet__shape_count(&p->output.shape) &&
            fet__dtype_bytes(p->input[i].dtype) == fet__dtype_bytes(p->output.dtype))
            bits |= 1u << i;
    return bits;
}

static fet_status prepare(fet__prepared *k)
{
    k->scratch = (scratch_for(&k->problem) + 63) / 64 * 64;
    k->overlay = overlay_for(&k->problem);
    return FET_OK;
}

static fet_status run(const fet__prepared *k, const fet__call *c)
{
    return function_for(&k->problem)(&k->problem, c);
}

const fet__kernel fet__kernels_ref[] = {
    {.name = "ref", .accepts = accepts, .prepare = prepare, .run = run},
    {.name = NULL},
};
