/* Graphs of tensor operators: building with checks, gradients as more graph, passes, printing and parsing. Knows no kernel and
 * moves no data. The operators are described in tensor/op.h.
 *
 * Building never fails half-way: the first error is kept in the graph (fet__graph_status), later builders return NULL and accept
 * NULL inputs, so a model can be written straight down and checked once at the end. */
#ifndef FET_GRAPH_H
#define FET_GRAPH_H

#include "tensor/op.h"

typedef struct fet__graph fet__graph;
typedef struct fet__node fet__node;

struct fet__node {
    int id; /* number in the order of creation; unique in the graph */
    fet__op op;
    fet_dtype dtype;
    fet__shape shape;
    int input_count;
    fet__node **input;
    fet__attr attr;
    const char *name;        /* of leaves; else NULL */
    const char *scope;       /* where in the model it was built: "blocks.3.mlp"; "" outside */
    fet__param *param;       /* PARAM and STATE leaves */
    const void *value;       /* CONST leaves: contiguous data, owned by the graph's arena */
    const fet__group *group; /* GROUP */
    bool backward;           /* made by fet__gradient */
    int copy;                /* > 0: a recomputed copy; copies are not merged with the original */
    int mark;                /* scratch for passes */
};

/* ---- graph.c: life, leaves, roots ------------------------------------------------------------------------- */
fet_status fet__graph_create(fet__graph **out);
void fet__graph_destroy(fet__graph *g);
fet_status fet__graph_status(
    const fet__graph *g); /* first building error; its sentence is (again) the thread's message */
/* Record a building error from outside (a model that refuses a size). Returns NULL for convenience. */
fet__node *fet__graph_fail(fet__graph *g, fet_status code, const char *format, ...) FET_PRINTF(3, 4);
/* Scope names nest with dots: push("blocks.3"), push("mlp"). They appear in messages and prints. */
void fet__scope_push(fet__graph *g, const char *name);
void fet__scope_pop(fet__graph *g);
const char *fet__scope_text(const fet__graph *g);

fet__node *fet__input(fet__graph *g, const char *name, fet_dtype t, fet__shape shape);
fet__node *fet__leaf(fet__graph *g, fet__param *p); /* PARAM or STATE by p->role; one node per param */
fet__node *fet__const(fet__graph *g, fet_dtype t, fet__shape shape, const void *value); /* copied */
fet__node *fet__scalar(fet__graph *g, fet_dtype t, double value);                       /* rank 0, a FILL node */

void fet__output(fet__graph *g, const char *name, fet__node *x);
/* The only effect: after every read of the old value, `target` (PARAM or STATE leaf) becomes `value` (same shape and type). */
void fet__assign(fet__graph *g, fet__node *target, fet__node *value);
/* What an assign makes of `target`, NULL when none does; and an assign that takes the place of an earlier one, if there is one. */
fet__node *fet__pending(const fet__graph *g, const fet__node *target);
void fet__assign_again(fet__graph *g, fet__node *target, fet__node *value);
int fet__graph_outputs(const fet__graph *g);
fet__node *fet__graph_output(const fet__graph *g, int i, const char **name);
int fet__graph_assigns(const fet__graph *g);
fet__node *fet__graph_assign(const fet__graph *g, int i, fet__node **target); /* returns value */
/* Live nodes (reached from roots) in topological order; the array is the caller's (fet__free). */
fet_status fet__graph_order(const fet__graph *g, fet__node ***out, int *count);
fet__arena *fet__graph_arena(fet__graph *g);

/* ---- build_*.c: one function an operator. All check shapes and types and say operator, operands and scope. -- */
fet__node *fet__unary(fet__graph *g, fet__op op, fet__node *x);
fet__node *fet__binary(fet__graph *g, fet__op op, fet__node *a, fet__node *b); /* inserts broadcasts (numpy's rule) */
#define fet__add(g, a, b) fet__binary(g, FET__OP_ADD, a, b)
#define fet__sub(g, a, b) fet__binary(g, FET__OP_SUB, a, b)
#define fet__mul(g, a, b) fet__binary(g, FET__OP_MUL, a, b)
#define fet__div(g, a, b) fet__binary(g, FET__OP_DIV, a, b)
fet__node *fet__scale(fet__graph *g, fet__node *x, double factor); /* mul by a constant; x itself when factor is 1 */
fet__node *fet__shift(fet__graph *g, fet__node *x, double term);   /* add a constant */
fet__node *fet__pow_int(fet__graph *g, fet__node *x, int n);
fet__node *fet__compare(fet__graph *g, fet__relation r, fet__node *a, fet__node *b); /* inserts broadcasts */
fet__node *fet__where(fet__graph *g, fet__node *c, fet__node *a, fet__node *b);      /* inserts broadcasts */
fet__node *fet__relu(fet__graph *g, fet__node *x);                                   /* max(x, 0); gradient 0 at 0 */
fet__node *fet__quick_gelu(fet__graph *g, fet__node *x);                             /* x * sigmoid(1.702 x) */
fet__node *fet__cast(fet__graph *g, fet__node *x, fet_dtype t);
fet__node *fet__stop_gradient(fet__graph *g, fet__node *x);
fet__node *fet__broadcast(fet__graph *g, fet__node *x, fet__shape shape); /* numpy's rule; leading axes are added */
fet__node *fet__random(fet__graph *g, fet__node *step, uint64_t seed, uint32_t stream, fet_dtype t, fet__shape shape);
fet__node *fet__iota(fet__graph *g, fet_dtype t, int64_t n);
fet__node *fet__fill(fet__graph *g, fet_dtype t, fet__shape shape, double value);
fet__node *fet__sum(fet__graph *g, fet__node *x, uint32_t axes); /* axes stay with size 1 */
fet__node *fet__mean(fet__graph *g, fet__node *x, uint32_t axes);
fet__node *fet__reduce_max(fet__graph *g, fet__node *x, uint32_t axes);
fet__node *fet__sum_all(fet__graph *g, fet__node *x); /* rank 0 */
fet__node *fet__argmax(fet__graph *g, fet__node *x);
fet__node *fet__matmul(fet__graph *g, fet__node *a, fet__node *b, bool ta, bool tb);
typedef struct fet__conv {
    int stride[2], pad[2], dilation[2], groups; /* zero stride, dilation or groups mean 1 */
} fet__conv;
fet__node *fet__conv2d(fet__graph *g, fet__node *x, fet__node *w, const fet__conv *c);
fet__node *fet__conv2d_dx(fet__graph *g, fet__node *dy, fet__node *w, const fet__conv *c, fet__shape x_shape);
fet__node *fet__conv2d_dw(fet__graph *g, fet__node *x, fet__node *dy, const fet__conv *c, fet__shape w_shape);
fet__node *fet__reshape(fet__graph *g, fet__node *x, fet__shape shape); /* one size may be -1 */
fet__node *fet__transpose(fet__graph *g, fet__node *x, const int *perm);
fet__node *fet__slice(fet__graph *g, fet__node *x, int axis, int64_t start, int64_t stop); /* one axis, step 1 */
fet__node *fet__slice_all(fet__graph *g, fet__node *x, const int64_t *start, const int64_t *step, fet__shape size);
fet__node *fet__pad(fet__graph *g, fet__node *x, const int64_t *low, const int64_t *high); /* zeros */
fet__node *fet__concat(fet__graph *g, fet__node *const *x, int count, int axis);
fet__node *fet__roll(fet__graph *g, fet__node *x, int axis, int64_t shift);
fet__node *fet__gather(fet__graph *g, fet__node *x, fet__node *index);
fet__node *fet__scatter_add(fet__graph *g, fet__node *index, fet__node *updates, int64_t rows);
fet__node *fet__memory_update(fet__graph *g, fet__node *memory, fet__node *index, fet__node *rows, double momentum);
fet__node *fet__resize(fet__graph *g, fet__node *x, int64_t h, int64_t w, bool bicubic, bool align_corners);
typedef struct fet__pool {
    int kernel[2], stride[2], pad[2];
} fet__pool;
fet__node *fet__avg_pool(fet__graph *g, fet__node *x, const fet__pool *p);
fet__node *fet__max_pool(fet__graph *g, fet__node *x, const fet__pool *p); /* max_pool_index and gather */
fet__node *fet__gelu(fet__graph *g, fet__node *x);
fet__node *fet__linear(fet__graph *g, fet__node *x, fet__node *w,
                       fet__node *b); /* b may be absent: pass NULL only then */
fet__node *fet__linear_nobias(fet__graph *g, fet__node *x, fet__node *w);
fet__node *fet__softmax(fet__graph *g, fet__node *x);
/* (x - mean) * scale, where both are statistics of x over the axes on which they have size 1; see STANDARDIZED. */
fet__node *fet__standardize(fet__graph *g, fet__node *x, fet__node *mean, fet__node *scale);
fet__node *fet__layer_norm(fet__graph *g, fet__node *x, fet__node *gamma, fet__node *beta, double eps);
fet__node *fet__cross_entropy(fet__graph *g, fet__node *logits, fet__node *labels, double smoothing);
fet__node *fet__attention(fet__graph *g, fet__node *qkv, fet__node *bias, int heads,
                          double scale); /* bias may be NULL */
/* a b + c of three depthwise convolutions with odd filters [C, 1, kh, kw] and biases [C], in one pass over x. */
fet__node *fet__quadratic_dw(fet__graph *g, fet__node *x, fet__node *const weight[3], fet__node *const bias[3]);
/* Any operator from its parts, checked; what the parser and the rules use. */
fet__node *fet__make(fet__graph *g, fet__op op, fet__node *const *in, int count, const fet__attr *attr, fet_dtype t,
                     const fet__shape *shape);

/* ---- gradient.c, op_*.c ------------------------------------------------------------------------------------ */

/* grads[i] = d loss / d wrt[i] (loss has one element), as new nodes; builds only what the wrt need. May be called on a graph that
 * already holds gradients: fused operators without a rule of their own are lowered first. A wrt that the loss does not reach is
 * an error that names it, unless `allow_unreached`, which then gives NULL there. */
fet_status fet__gradient(fet__graph *g, fet__node *loss, fet__node *const *wrt, int count, bool allow_unreached,
                         fet__node **grads);
/* The node's value written in core operators (the node itself when its operator is core). */
fet__node *fet__lower(fet__graph *g, fet__node *x);
bool fet__op_differentiable(fet__op op); /* false: argmax, compare, iota, ... (integer or piecewise constant results) */

/* What a node needs at least: floating operations and bytes read plus written (each input once). */
typedef struct fet__cost {
    double flops, bytes;
} fet__cost;
fet__cost fet__node_cost(const fet__node *n);

/* ---- pass_*.c: each takes a graph and changes it in place; fet__graph_verify holds before and after --------- */
fet_status fet__graph_verify(const fet__graph *g);
/* Evaluate one node whose inputs are all CONST/FILL/IOTA into `out`; supplied from above, for graph/ knows no kernel. */
typedef fet_status (*fet__evaluate_fn)(void *user, const fet__node *n, void *out);
fet_status fet__pass_fold(fet__graph *g, fet__evaluate_fn evaluate, void *user);
fet_status fet__pass_merge(
    fet__graph *g); /* equal nodes (same op, inputs, attributes) become one; RANDOM too (it is pure) */
fet_status fet__pass_algebra(
    fet__graph *g); /* x*1, x+0, x/1, --x, reshape and transpose chains, slice of unslice, sum of one ... */
fet_status fet__pass_scale(fet__graph *g); /* frozen scales of channels behind a convolution go into its weights */
fet_status fet__pass_fuse(
    fet__graph *g); /* linear + activation, linear + residual where the middle value has no other use */
/* Let backward nodes compute cheap forward values again (element-wise chains, layer norm) when what they need is kept anyway. */
fet_status fet__pass_recompute(fet__graph *g);
fet_status fet__pass_group(fet__graph *g); /* element-wise chains to GROUP nodes */
/* All of the above in the right order (algebra and merge to a fixed point). */
fet_status fet__graph_optimize(fet__graph *g, fet__evaluate_fn evaluate, void *user);
/* An order of runs in which some nodes are computed `again`. from[k]: the run whose value input k is, or looks at in another shape; -1: as
 * it is. The graph gets the copies; made[i] is what run i computes then. */
typedef struct fet__run {
    fet__node *node;
    bool again;
    const int *from;
} fet__run;
fet_status fet__pass_repeat(fet__graph *g, const fet__run *runs, int count, fet__node **made);
int fet__graph_ids(const fet__graph *g); /* node numbers are below it */

/* ---- print.c, parse_graph.c --------------------------------------------------------------------------------- */
/* One line a node: `%12 f32[4,17,48] = linear(%10, $blocks.0.mlp.fc1.weight, $blocks.0.mlp.fc1.bias) {activation=none} @blocks.0.mlp`. */
fet_status fet__graph_print(const fet__graph *g, fet__text *out);
/* Parse what print wrote (parameters are looked up in `store`; CONST data is printed in full up to 16 elements, a longer one
 * cannot be parsed back and says so). */
fet_status fet__graph_parse(fet__graph **out, const char *text, fet__params *store);

#endif
