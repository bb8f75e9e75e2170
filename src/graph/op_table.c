/* The one table that says, for every operator, how its shape follows, how it is differentiated, how it is lowered and what it
 * costs. The rules themselves are in op_*.c and lower_*.c. Each row is checked against ops.def when this file is compiled. */
#include "graph/graph_int.h"

#include <string.h>

#define ALL FET__TRAFFIC_ALL
#define NONE FET__TRAFFIC_NONE
#define PART FET__TRAFFIC_PART
#define EVERY UINT32_MAX

/* ROW(operator, infer, vjp, lower, flops, traffic, blocked inputs, covered inputs), in the order of ops.def */
#define ROWS(ROW)                                                                                                      \
    ROW(INPUT, fet__infer_leaf, NULL, NULL, fet__flops_none, NONE, 0, EVERY)                                           \
    ROW(PARAM, fet__infer_leaf, NULL, NULL, fet__flops_none, NONE, 0, EVERY)                                           \
    ROW(STATE, fet__infer_leaf, NULL, NULL, fet__flops_none, NONE, 0, EVERY)                                           \
    ROW(CONST, fet__infer_leaf, NULL, NULL, fet__flops_none, NONE, 0, EVERY)                                           \
    ROW(ADD, fet__infer_element, fet__vjp_add, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(SUB, fet__infer_element, fet__vjp_sub, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(MUL, fet__infer_element, fet__vjp_mul, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(DIV, fet__infer_element, fet__vjp_div, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(MIN, fet__infer_element, fet__vjp_min, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(MAX, fet__infer_element, fet__vjp_max, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(NEG, fet__infer_element, fet__vjp_neg, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(ABS, fet__infer_element, fet__vjp_abs, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(EXP, fet__infer_element, fet__vjp_exp, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(LOG, fet__infer_element, fet__vjp_log, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(SQRT, fet__infer_element, fet__vjp_sqrt, NULL, fet__flops_element, ALL, 0, EVERY)                              \
    ROW(RSQRT, fet__infer_element, fet__vjp_rsqrt, NULL, fet__flops_element, ALL, 0, EVERY)                            \
    ROW(TANH, fet__infer_element, fet__vjp_tanh, NULL, fet__flops_element, ALL, 0, EVERY)                              \
    ROW(ERF, fet__infer_element, fet__vjp_erf, NULL, fet__flops_element, ALL, 0, EVERY)                                \
    ROW(SIGMOID, fet__infer_element, fet__vjp_sigmoid, NULL, fet__flops_element, ALL, 0, EVERY)                        \
    ROW(POW_INT, fet__infer_element, fet__vjp_pow_int, NULL, fet__flops_element, ALL, 0, EVERY)                        \
    ROW(COMPARE, fet__infer_element, NULL, NULL, fet__flops_element, ALL, 0, EVERY)                                    \
    ROW(WHERE, fet__infer_element, fet__vjp_where, NULL, fet__flops_element, ALL, 1, EVERY)                            \
    ROW(CAST, fet__infer_cast, fet__vjp_cast, NULL, fet__flops_none, ALL, 0, EVERY)                                    \
    ROW(STOP_GRADIENT, fet__infer_same, NULL, NULL, fet__flops_none, NONE, 0, EVERY)                                   \
    ROW(BROADCAST, fet__infer_broadcast, fet__vjp_broadcast, NULL, fet__flops_none, ALL, 0, EVERY)                     \
    ROW(RANDOM, fet__infer_random, NULL, NULL, fet__flops_random, ALL, 0, EVERY)                                       \
    ROW(IOTA, fet__infer_iota, NULL, NULL, fet__flops_none, ALL, 0, EVERY)                                             \
    ROW(FILL, fet__infer_fill, NULL, NULL, fet__flops_none, ALL, 0, EVERY)                                             \
    ROW(SUM, fet__infer_reduce, fet__vjp_sum, NULL, fet__flops_reduce, ALL, 0, EVERY)                                  \
    ROW(REDUCE_MAX, fet__infer_reduce, fet__vjp_reduce_max, NULL, fet__flops_reduce, ALL, 0, EVERY)                    \
    ROW(ARGMAX, fet__infer_argmax, NULL, NULL, fet__flops_reduce, ALL, 0, EVERY)                                       \
    ROW(MATMUL, fet__infer_matmul, fet__vjp_matmul, NULL, fet__flops_matmul, ALL, 0, EVERY)                            \
    ROW(CONV2D, fet__infer_conv2d, fet__vjp_conv2d, NULL, fet__flops_conv2d, ALL, 0, EVERY)                            \
    ROW(CONV2D_DX, fet__infer_conv2d_dx, fet__vjp_conv2d_dx, NULL, fet__flops_conv2d_dx, ALL, 0, EVERY)                \
    ROW(CONV2D_DW, fet__infer_conv2d_dw, fet__vjp_conv2d_dw, NULL, fet__flops_conv2d_dw, ALL, 0, EVERY)                \
    ROW(RESHAPE, fet__infer_reshape, fet__vjp_reshape, NULL, fet__flops_none, NONE, 0, EVERY)                          \
    ROW(TRANSPOSE, fet__infer_transpose, fet__vjp_transpose, NULL, fet__flops_none, ALL, 0, EVERY)                     \
    ROW(SLICE, fet__infer_slice, fet__vjp_slice, NULL, fet__flops_none, PART, 0, EVERY)                                \
    ROW(UNSLICE, fet__infer_unslice, fet__vjp_unslice, NULL, fet__flops_none, ALL, 0, EVERY)                           \
    ROW(CONCAT, fet__infer_concat, fet__vjp_concat, NULL, fet__flops_none, ALL, 0, EVERY)                              \
    ROW(ROLL, fet__infer_same, fet__vjp_roll, NULL, fet__flops_none, ALL, 0, EVERY)                                    \
    ROW(GATHER, fet__infer_gather, fet__vjp_gather, NULL, fet__flops_none, PART, 0, EVERY)                             \
    ROW(SCATTER_ADD, fet__infer_scatter_add, fet__vjp_scatter_add, NULL, fet__flops_scatter_add, ALL, 0, EVERY)        \
    ROW(RESIZE, fet__infer_resize, fet__vjp_resize, NULL, fet__flops_resize, ALL, 0, EVERY)                            \
    ROW(RESIZE_T, fet__infer_resize, fet__vjp_resize_t, NULL, fet__flops_resize_t, ALL, 0, EVERY)                      \
    ROW(AVG_POOL, fet__infer_avg_pool, fet__vjp_avg_pool, NULL, fet__flops_pool, ALL, 0, EVERY)                        \
    ROW(AVG_POOL_T, fet__infer_avg_pool_t, fet__vjp_avg_pool_t, NULL, fet__flops_pool_t, ALL, 0, EVERY)                \
    ROW(MAX_POOL_INDEX, fet__infer_max_pool_index, NULL, NULL, fet__flops_pool, ALL, 0, EVERY)                         \
    ROW(MEMORY_UPDATE, fet__infer_memory_update, NULL, NULL, fet__flops_memory_update, PART, 0, EVERY)                 \
    ROW(STANDARDIZED, fet__infer_standardized, fet__vjp_standardized, NULL, fet__flops_none, NONE, 5, EVERY)           \
    ROW(GELU, fet__infer_element, fet__vjp_gelu, fet__lower_gelu, fet__flops_gelu, ALL, 0, EVERY)                      \
    ROW(GELU_GRAD, fet__infer_element, NULL, fet__lower_gelu_grad, fet__flops_gelu, ALL, 0, EVERY)                     \
    ROW(LINEAR, fet__infer_linear, fet__vjp_linear, fet__lower_linear, fet__flops_linear, ALL, 0, EVERY)               \
    ROW(SOFTMAX, fet__infer_softmax, fet__vjp_softmax, fet__lower_softmax, fet__flops_softmax, ALL, 0, EVERY)          \
    ROW(SOFTMAX_GRAD, fet__infer_softmax, NULL, fet__lower_softmax_grad, fet__flops_softmax, ALL, 0, EVERY)            \
    ROW(LAYER_NORM, fet__infer_layer_norm, fet__vjp_layer_norm, fet__lower_layer_norm, fet__flops_layer_norm, ALL, 0,  \
        EVERY)                                                                                                         \
    ROW(LAYER_NORM_DX, fet__infer_layer_norm_dx, NULL, fet__lower_layer_norm_dx, fet__flops_layer_norm, ALL, 0, EVERY) \
    ROW(LAYER_NORM_DGAMMA, fet__infer_layer_norm_dgamma, NULL, fet__lower_layer_norm_dgamma, fet__flops_layer_norm,    \
        ALL, 0, EVERY)                                                                                                 \
    ROW(CROSS_ENTROPY, fet__infer_cross_entropy, fet__vjp_cross_entropy, fet__lower_cross_entropy,                     \
        fet__flops_cross_entropy, ALL, 0, EVERY)                                                                       \
    ROW(CROSS_ENTROPY_GRAD, fet__infer_cross_entropy_grad, NULL, fet__lower_cross_entropy_grad,                        \
        fet__flops_cross_entropy, ALL, 0, EVERY)                                                                       \
    ROW(ATTENTION, fet__infer_attention, fet__vjp_attention, fet__lower_attention, fet__flops_attention, ALL, 0,       \
        EVERY)                                                                                                         \
    ROW(ATTENTION_GRAD, fet__infer_attention_grad, NULL, fet__lower_attention_grad, fet__flops_attention_grad, ALL, 0, \
        EVERY)                                                                                                         \
    ROW(ATTENTION_DBIAS, fet__infer_attention_dbias, NULL, fet__lower_attention_dbias, fet__flops_attention_dbias,     \
        ALL, 0, EVERY)                                                                                                 \
    ROW(QUADRATIC_DW, fet__infer_quadratic_dw, fet__vjp_quadratic_dw, fet__lower_quadratic_dw,                         \
        fet__flops_quadratic_dw, ALL, 0, EVERY)                                                                        \
    ROW(GROUP, fet__infer_group, NULL, fet__lower_group, fet__flops_group, ALL, 0, EVERY)

enum {
#define ROW(id, ...) ROW_##id,
    ROWS(ROW)
#undef ROW
        ROW_COUNT
};
#define X(id, name, least, most, class)                                                                                \
    _Static_assert((int)ROW_##id == (int)FET__OP_##id, "row of " name " is out of order");
#include "tensor/ops.def"
#undef X
_Static_assert((int)ROW_COUNT == (int)FET__OP_COUNT, "one row per operator");

static const fet__rule rules[] = {
#define ROW(id, infer, vjp, lower, flops, traffic, blocked, covered)                                                   \
    {infer, vjp, lower, flops, traffic, blocked, covered},
    ROWS(ROW)
#undef ROW
};

const fet__rule *fet__rule_of(fet__op op)
{
    return &rules[op];
}

bool fet__op_differentiable(fet__op op)
{
    return rules[op].vjp || rules[op].lower;
}

fet__node *fet__lower(fet__graph *g, fet__node *x)
{
    const char *scope = g->scope_now;
    fet__node *y = x;

    if (!x || g->status != FET_OK)
        return NULL;
    if (rules[x->op].lower) {
        g->scope_now = x->scope;
        y = rules[x->op].lower(g, x);
        g->scope_now = scope;
    }
    return y;
}

/* ---- refusals ---- */

static fet_status refuse(fet__op op, fet__node *const *in, int count, const char *format, va_list args)
{
    fet__text t = {0};
    char reason[256];
    fet_status st;

    vsnprintf(reason, sizeof reason, format, args);
    for (int i = 0; i < count && i < FET__MAX_INPUTS; i++)
        fet__text_printf(&t, "%s%s%s", i == 0 ? ": " : " x ",
                         in[i]->dtype == FET_F32 ? "" : fet__dtype_name(in[i]->dtype), fet__shape_text(&in[i]->shape));
    st = FET_FAIL(FET_E_ARG, "%s: %s%s", fet__op_rows[op].name, reason, t.s ? t.s : "");
    fet__text_fini(&t);
    return st;
}

fet_status fet__refuse(const fet__node *draft, const char *format, ...)
{
    va_list args;
    fet_status st;

    va_start(args, format);
    st = refuse(draft->op, draft->input, draft->input_count, format, args);
    va_end(args);
    return st;
}

fet__node *fet__refuse_build(fet__graph *g, fet__op op, fet__node *const *in, int count, const char *format, ...)
{
    va_list args;
    fet_status st;

    va_start(args, format);
    st = refuse(op, in, count, format, args);
    va_end(args);
    return fet__graph_take(g, st);
}

/* ---- cost ---- */

double fet__flops_none(const fet__node *n)
{
    (void)n;
    return 0;
}

double fet__flops_element(const fet__node *n)
{
    return (double)fet__shape_count(&n->shape);
}

static double node_bytes(const fet__node *n)
{
    return (double)fet__shape_count(&n->shape) * (double)fet__dtype_bytes(n->dtype);
}

fet__cost fet__node_cost(const fet__node *n)
{
    const fet__rule *r = &rules[n->op];
    fet__cost c = {.flops = r->flops(n)};

    if (r->traffic == FET__TRAFFIC_NONE)
        return c;
    c.bytes = node_bytes(n);
    if (r->traffic == FET__TRAFFIC_PART) {
        c.bytes *= 2;
        return c;
    }
    for (int i = 0; i < n->input_count; i++) {
        bool again = false;

        for (int j = 0; j < i; j++)
            again = again || n->input[j] == n->input[i];
        c.bytes += again ? 0 : node_bytes(n->input[i]);
    }
    return c;
}
