/* What the files of graph/ share: the graph's body, the row that describes an operator to them, and small helpers.
 * Nothing outside this folder includes it. Sections are named after the file that implements them. */
#ifndef FET_GRAPH_INT_H
#define FET_GRAPH_INT_H

#include "graph/graph.h"

typedef struct fet__root {
    const char *name;  /* of an output */
    fet__node *target; /* of an assign */
    fet__node *value;
} fet__root;

typedef struct fet__roots {
    fet__root *item;
    int count, capacity;
} fet__roots;

struct fet__graph {
    fet__arena arena; /* nodes, their input lists, names, constants, groups */
    fet__node **node; /* by id; NULL where a parsed text left a number out */
    int count, capacity;
    fet__roots output, assign;
    const char **scope; /* stack of whole scope texts */
    int scope_count, scope_capacity;
    const char *scope_now; /* text that new nodes get */
    bool backward;         /* new nodes are made by fet__gradient */
    fet_status status;     /* first building error */
    char *message;
};

/* ---- graph.c ---------------------------------------------------------------------------------------------- */
/* Put a copy of `draft` (its input list too) into the graph; id, scope and backward are the graph's present ones. */
fet__node *fet__node_add(fet__graph *g, const fet__node *draft);
/* The same under a given number, for the parser. */
fet__node *fet__node_add_at(fet__graph *g, const fet__node *draft, int id);
/* Keep the thread's present message as the graph's first error; returns NULL. */
fet__node *fet__graph_take(fet__graph *g, fet_status code);
/* True when all are there; records "<op>: input <i> is missing" when one is not and the graph is still sound. */
bool fet__have(fet__graph *g, fet__op op, fet__node *const *in, int count);

/* ---- order.c ---------------------------------------------------------------------------------------------- */
/* What `roots` need, producers first; nodes come in the order of their numbers as far as that allows, a node with a later
 * number right before its first user. low[id], where given, stands in for the inputs of node id. */
fet_status fet__order_from(const fet__graph *g, fet__node *const *roots, int root_count, fet__node *const *low,
                           fet__node ***out, int *count);

/* ---- op_table.c ------------------------------------------------------------------------------------------- */
/* A vector-Jacobian product: from dy to d[i] for every i with want[i]. A d[i] left NULL is a zero gradient. */
typedef struct fet__vjp {
    fet__graph *g;
    fet__node *n, *dy;
    bool want[FET__MAX_INPUTS];
    fet__node *d[FET__MAX_INPUTS];
} fet__vjp;

typedef enum fet__traffic { FET__TRAFFIC_ALL, FET__TRAFFIC_NONE, FET__TRAFFIC_PART } fet__traffic;

typedef struct fet__rule {
    /* Type and shape of `draft` from its inputs and attributes. Where the operator leaves them open, draft holds what the
     * caller gave (`shaped`: it gave a shape) and infer checks it. */
    fet_status (*infer)(fet__node *draft, bool shaped);
    void (*vjp)(fet__vjp *a);                         /* NULL: no rule of its own */
    fet__node *(*lower)(fet__graph *g, fet__node *n); /* fused operators only */
    double (*flops)(const fet__node *n);
    fet__traffic
        traffic; /* ALL: inputs and output; NONE: a view or nothing to read; PART: reads only as much as it writes */
    uint32_t blocked; /* inputs that no gradient passes (a condition) */
    uint32_t covered; /* inputs that vjp serves; when another one is wanted the node is lowered */
} fet__rule;
const fet__rule *fet__rule_of(fet__op op);
/* "matmul: <reason>: [4, 17, 48] x [32, 10]" as FET_E_ARG. */
fet_status fet__refuse(const fet__node *draft, const char *format, ...) FET_PRINTF(2, 3);
/* The same when no node exists yet. */
fet__node *fet__refuse_build(fet__graph *g, fet__op op, fet__node *const *in, int count, const char *format, ...)
    FET_PRINTF(5, 6);
double fet__flops_none(const fet__node *n);
double fet__flops_element(const fet__node *n); /* one an output element */

/* ---- op_element.c ----------------------------------------------------------------------------------------- */
fet_status fet__infer_element(fet__node *n, bool shaped);
fet_status fet__infer_cast(fet__node *n, bool shaped);
fet_status fet__infer_same(fet__node *n, bool shaped);
void fet__vjp_add(fet__vjp *a);
void fet__vjp_sub(fet__vjp *a);
void fet__vjp_mul(fet__vjp *a);
void fet__vjp_div(fet__vjp *a);
void fet__vjp_min(fet__vjp *a);
void fet__vjp_max(fet__vjp *a);
void fet__vjp_neg(fet__vjp *a);
void fet__vjp_abs(fet__vjp *a);
void fet__vjp_exp(fet__vjp *a);
void fet__vjp_log(fet__vjp *a);
void fet__vjp_sqrt(fet__vjp *a);
void fet__vjp_rsqrt(fet__vjp *a);
void fet__vjp_tanh(fet__vjp *a);
void fet__vjp_erf(fet__vjp *a);
void fet__vjp_sigmoid(fet__vjp *a);
void fet__vjp_pow_int(fet__vjp *a);
void fet__vjp_where(fet__vjp *a);
void fet__vjp_cast(fet__vjp *a);

/* ---- op_make.c: sources, reductions ------------------------------------------------------------------------ */
fet_status fet__infer_leaf(fet__node *n, bool shaped);
fet_status fet__infer_broadcast(fet__node *n, bool shaped);
fet_status fet__infer_random(fet__node *n, bool shaped);
fet_status fet__infer_iota(fet__node *n, bool shaped);
fet_status fet__infer_fill(fet__node *n, bool shaped);
fet_status fet__infer_reduce(fet__node *n, bool shaped);
fet_status fet__infer_argmax(fet__node *n, bool shaped);
void fet__vjp_broadcast(fet__vjp *a);
void fet__vjp_sum(fet__vjp *a);
void fet__vjp_reduce_max(fet__vjp *a);
double fet__flops_reduce(const fet__node *n);
double fet__flops_random(const fet__node *n);

/* ---- op_contract.c ----------------------------------------------------------------------------------------- */
fet_status fet__infer_matmul(fet__node *n, bool shaped);
fet_status fet__infer_conv2d(fet__node *n, bool shaped);
fet_status fet__infer_conv2d_dx(fet__node *n, bool shaped);
fet_status fet__infer_conv2d_dw(fet__node *n, bool shaped);
void fet__vjp_matmul(fet__vjp *a);
void fet__vjp_conv2d(fet__vjp *a);
void fet__vjp_conv2d_dx(fet__vjp *a);
void fet__vjp_conv2d_dw(fet__vjp *a);
double fet__flops_matmul(const fet__node *n);
double fet__flops_conv2d(const fet__node *n);
double fet__flops_conv2d_dx(const fet__node *n);
double fet__flops_conv2d_dw(const fet__node *n);

/* ---- op_move.c --------------------------------------------------------------------------------------------- */
fet_status fet__infer_reshape(fet__node *n, bool shaped);
fet_status fet__infer_transpose(fet__node *n, bool shaped);
fet_status fet__infer_slice(fet__node *n, bool shaped);
fet_status fet__infer_unslice(fet__node *n, bool shaped);
fet_status fet__infer_concat(fet__node *n, bool shaped);
fet_status fet__infer_gather(fet__node *n, bool shaped);
fet_status fet__infer_scatter_add(fet__node *n, bool shaped);
fet_status fet__infer_memory_update(fet__node *n, bool shaped);
void fet__vjp_reshape(fet__vjp *a);
void fet__vjp_transpose(fet__vjp *a);
void fet__vjp_slice(fet__vjp *a);
void fet__vjp_unslice(fet__vjp *a);
void fet__vjp_concat(fet__vjp *a);
void fet__vjp_roll(fet__vjp *a);
void fet__vjp_gather(fet__vjp *a);
void fet__vjp_scatter_add(fet__vjp *a);
double fet__flops_scatter_add(const fet__node *n);
double fet__flops_memory_update(const fet__node *n);

/* ---- op_image.c: resize and pooling ------------------------------------------------------------------------- */
fet_status fet__infer_resize(fet__node *n, bool shaped);
fet_status fet__infer_avg_pool(fet__node *n, bool shaped);
fet_status fet__infer_avg_pool_t(fet__node *n, bool shaped);
fet_status fet__infer_max_pool_index(fet__node *n, bool shaped);
void fet__vjp_resize(fet__vjp *a);
void fet__vjp_resize_t(fet__vjp *a);
void fet__vjp_avg_pool(fet__vjp *a);
void fet__vjp_avg_pool_t(fet__vjp *a);
double fet__flops_resize(const fet__node *n);
double fet__flops_resize_t(const fet__node *n);
double fet__flops_pool(const fet__node *n);
double fet__flops_pool_t(const fet__node *n);

/* ---- op_standardized.c ------------------------------------------------------------------------------------- */
fet_status fet__infer_standardized(fet__node *n, bool shaped);
void fet__vjp_standardized(fet__vjp *a);

/* ---- op_fused.c -------------------------------------------------------------------------------------------- */
fet_status fet__infer_linear(fet__node *n, bool shaped);
fet_status fet__infer_softmax(fet__node *n, bool shaped);
fet_status fet__infer_layer_norm(fet__node *n, bool shaped);
fet_status fet__infer_layer_norm_dx(fet__node *n, bool shaped);
fet_status fet__infer_layer_norm_dgamma(fet__node *n, bool shaped);
fet_status fet__infer_cross_entropy(fet__node *n, bool shaped);
fet_status fet__infer_cross_entropy_grad(fet__node *n, bool shaped);
fet_status fet__infer_attention(fet__node *n, bool shaped);
fet_status fet__infer_attention_grad(fet__node *n, bool shaped);
fet_status fet__infer_attention_dbias(fet__node *n, bool shaped);
fet_status fet__infer_quadratic_dw(fet__node *n, bool shaped);
fet_status fet__infer_group(fet__node *n, bool shaped);
void fet__vjp_gelu(fet__vjp *a);
void fet__vjp_quadratic_dw(fet__vjp *a);
void fet__vjp_linear(fet__vjp *a);
void fet__vjp_softmax(fet__vjp *a);
void fet__vjp_layer_norm(fet__vjp *a);
void fet__vjp_cross_entropy(fet__vjp *a);
void fet__vjp_attention(fet__vjp *a);
double fet__flops_gelu(const fet__node *n);
double fet__flops_linear(const fet__node *n);
double fet__flops_softmax(const fet__node *n);
double fet__flops_layer_norm(const fet__node *n);
double fet__flops_cross_entropy(const fet__node *n);
double fet__flops_attention(const fet__node *n);
double fet__flops_attention_grad(const fet__node *n);
double fet__flops_attention_dbias(const fet__node *n);
double fet__flops_quadratic_dw(const fet__node *n);
double fet__flops_group(const fet__node *n);
/* [.., I] as [R, I], and the sum over all axes but the last, as a vector. */
fet__node *fet__rows(fet__graph *g, fet__node *x);
fet__node *fet__sum_rows(fet__graph *g, fet__node *x);

/* ---- op_lower.c, lower_attention.c: core operators only ------------------------------------------------------ */
fet__node *fet__lower_gelu(fet__graph *g, fet__node *n);
fet__node *fet__lower_gelu_grad(fet__graph *g, fet__node *n);
fet__node *fet__lower_linear(fet__graph *g, fet__node *n);
fet__node *fet__lower_softmax(fet__graph *g, fet__node *n);
fet__node *fet__lower_softmax_grad(fet__graph *g, fet__node *n);
fet__node *fet__lower_layer_norm(fet__graph *g, fet__node *n);
fet__node *fet__lower_layer_norm_dx(fet__graph *g, fet__node *n);
fet__node *fet__lower_layer_norm_dgamma(fet__graph *g, fet__node *n);
fet__node *fet__lower_cross_entropy(fet__graph *g, fet__node *n);
fet__node *fet__lower_cross_entropy_grad(fet__graph *g, fet__node *n);
fet__node *fet__lower_attention(fet__graph *g, fet__node *n);
fet__node *fet__lower_attention_grad(fet__graph *g, fet__node *n);
fet__node *fet__lower_attention_dbias(fet__graph *g, fet__node *n);
fet__node *fet__lower_quadratic_dw(fet__graph *g, fet__node *n);
fet__node *fet__lower_group(fet__graph *g, fet__node *n);
/* softmax over the last axis in core operators, and its gradient from y and dy. */
fet__node *fet__core_softmax(fet__graph *g, fet__node *x);
fet__node *fet__core_softmax_grad(fet__graph *g, fet__node *y, fet__node *dy);

/* ---- rewrite.c: what passes share --------------------------------------------------------------------------- */
/* Every input, output and assigned value that is `to`-mapped (to[id] != NULL, id < count) is replaced; chains are followed. */
void fet__graph_replace(fet__graph *g, fet__node *const *to, int count);
/* Uses of each node by live nodes (an edge each) and roots; array by id, the caller's. */
fet_status fet__graph_uses(const fet__graph *g, fet__node *const *order, int count, int **out);
/* by id: 1 where the node is a gradient's or depends on one */
fet_status fet__graph_late(const fet__graph *g, fet__node *const *order, int count, unsigned char **out);
bool fet__is_fill(const fet__node *n, double *value);
bool fet__is_element(fet__op op); /* class ELEMENT or FUSED_ELEMENT */
uint32_t fet__all_axes(int rank);

/* ---- pass_*.c: one round; *changed is set when anything was replaced ------------------------------------------- */
fet_status fet__merge_round(fet__graph *g, bool *changed);
fet_status fet__algebra_round(fet__graph *g, bool *changed);

/* ---- algebra_move.c: the identities of operators that move data ------------------------------------------------- */
fet__node *fet__simplify_move(fet__graph *g, fet__node *n);

/* ---- algebra_slice.c: rows that nobody wants -------------------------------------------------------------------- */
/* `uses` counts uses of the nodes with numbers below `ids`. */
fet__node *fet__simplify_rows(fet__graph *g, fet__node *n, const int *uses, int ids);

/* ---- attr_text.c: attributes by name, for print and parse ---------------------------------------------------- */
void fet__attr_print(fet__text *t, fet__op op, const fet__attr *attr, int rank, const char *separator);
/* One `name=value` at *s into attr; moves *s behind it. False: not one of the operator's attributes, or malformed. */
bool fet__attr_parse(const char **s, fet__op op, fet__attr *attr, int rank);
void fet__print_double(fet__text *t, double v); /* shortest text that reads back as v */

#endif
