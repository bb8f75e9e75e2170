/* The vocabulary that graphs and kernels share: operators, their attributes, element-wise programs. What an operator means is
 * said here, once; how it is differentiated is graph/'s business, how it is computed kernel/'s.
 *
 * Layouts: everything contiguous, row-major. Feature maps are [B, H, W, C]; convolution weights are [O, I/groups, kh, kw] as in
 * checkpoints; tokens are [B, T, C]. Floating types of one node are one type (f32, or f64 in the reference path); integer inputs
 * (labels, indices) are i32. Comparison results and masks are 0 or 1 in the floating type.
 *
 *   add sub mul div min max neg abs exp log sqrt rsqrt tanh erf sigmoid   element by element, equal shapes (broadcast is explicit)
 *   pow_int(x)                x^attr.power.n
 *   compare(a, b)             a REL b ? 1 : 0                       attr.compare.relation
 *   where(c, a, b)            c != 0 ? a : b
 *   cast(x)                   to the node's dtype                   stop_gradient(x): x, gradient 0
 *   broadcast(x)              x [.. 1 ..] repeated to the node's shape; ranks are equal
 *   random(step)              uniform [0, 1) by Philox: element i of (attr.random.seed, .stream, step); step is an i32 scalar input
 *   iota                      i32 or float [n]: 0..n-1              fill: every element attr.fill.value
 *   sum, reduce_max(x)        over the axes in attr.reduce.axes (bit i: axis i), which stay with size 1
 *   argmax(x)                 i32 over the last axis, which stays with size 1; lowest index wins ties
 *   matmul(a, b)              a [.., M, K] b [.., K, N] -> [.., M, N]; attr.matmul.ta / .tb: that side is stored transposed in its last
 *                             two axes; leading axes are equal, or one side has rank 2 and serves all
 *   conv2d(x, w)              [B,H,W,I] * [O,I/g,kh,kw] -> [B,H',W',O]; zero padding; attr.conv
 *   conv2d_dx(dy, w)          gradient with respect to x; shape from the node
 *   conv2d_dw(x, dy)          gradient with respect to w; shape from the node
 *   reshape, transpose(x)     transpose: output axis i is input axis attr.transpose.perm[i]
 *   slice(x)                  x[start + step * i] per axis, sizes from the node; attr.slice
 *   unslice(x)                the transpose of slice: zeros of the node's shape with x written at start + step * i (pad is unslice with
 *                             step 1); attr.slice
 *   concat(a, b, ..)          along attr.axis.axis
 *   roll(x)                   y[i] = x[(i - shift) mod n] per axis; attr.roll.shift
 *   gather(x, i)              rows: x [N, ..], i i32 [M..] -> [M.., ..]; an index out of range fails the run
 *   scatter_add(i, u)         zeros [N, ..] (node's shape), row i[m] += u[m], in the order of m
 *   memory_update(F, i, f)    F [M, D], i i32 [B], f [B, D]: F where, for b = 0, 1, .. in order, row r = i[b] has become v / |v|,
 *                             v = momentum row + (1 - momentum) f[b]; a v without a positive finite length leaves the row as it
 *                             is; attr.memory.momentum. No gradient
 *   resize(x)                 [B,H,W,C] -> node's H', W'; attr.resize; resize_t is its transpose
 *   avg_pool(x)               [B,H,W,C]; attr.pool; divides by kernel area (padding counted) ; avg_pool_t is its transpose
 *   max_pool_index(x)         i32 [B,H',W',C]: flat index into x of the largest element of each window, first in scan order wins ties;
 *                             padding never wins. The value is gather over x reshaped to [B*H*W*C].
 *   standardized(y, x, s)     y itself, which is (x - mean of x) * s, where s is x's reciprocal standard deviation; both are taken
 *                             over the axes on which s has size 1. For gradients this is one function of x alone; passes remove it
 *   gelu(x)                   x * Phi(x) with erf;  gelu_grad(x): Phi(x) + x * phi(x)
 *   linear(x, w[, b[, r]])    x [.., I] w [O, I] b [O] r [.., O]: act(x w^T + b) + r; attr.linear.activation; b may be absent (2 inputs);
 *                             with r, b is present
 *   softmax(x)                over the last axis; softmax_grad(y, dy) = y * (dy - sum(dy * y))
 *   layer_norm(x, g, b)       over the last axis: (x - mean) * rsqrt(var + eps) * g + b, biased variance; attr.norm.eps
 *   layer_norm_dx(x, g, dy), layer_norm_dgamma(x, dy) -> [C]        statistics are computed again from x; nothing is kept
 *   cross_entropy(z, l)       z [N, C], l i32 [N] -> [N]: -sum_c q_c log softmax(z)_c, q = (1 - s) onehot + s / C; l = -1 gives 0;
 *                             a label outside [-1, C) fails the run; attr.cross_entropy.smoothing
 *   cross_entropy_grad(z, l, dy[N]) -> [N, C]
 *   attention(qkv[, bias])    qkv [B, T, 3*H*D] (q, k, v; head-major inside each) -> [B, T, H*D]: softmax(scale q k^T + bias) v;
 *                             bias [G, H, T, T], G divides B, batch b uses bias[b % G]; attr.attention
 *   attention_grad(qkv, dy[, bias]) -> like qkv                     probabilities are computed again, row block by row block
 *   attention_dbias(qkv, dy, bias) -> like bias                     likewise; added over the batch entries that share a bias
 *   quadratic_dw(x, wa, ba, wb, bb, wc, bc)
 *                             x [B,H,W,C], filters [C,1,kh,kw] of odd sizes, biases [C] -> like x: (wa * x + ba)(wb * x + bb) + wc * x + bc,
 *                             depthwise convolutions with stride 1 and zero padding kh / 2, kw / 2
 *   group(a, ..)              an element-wise program over tiles; made by the fusion pass only (see fet__group) */
#ifndef FET_OP_H
#define FET_OP_H

#include "tensor/tensor.h"

typedef enum fet__op {
#define X(id, name, least, most, class) FET__OP_##id,
#include "tensor/ops.def"
#undef X
    FET__OP_COUNT
} fet__op;

typedef enum fet__op_class {
    FET__CLASS_LEAF,
    FET__CLASS_ELEMENT,       /* core, element-wise */
    FET__CLASS_CORE,          /* core, the rest */
    FET__CLASS_FUSED_ELEMENT, /* element-wise with a lowering */
    FET__CLASS_FUSED
} fet__op_class;

typedef struct fet__op_row {
    const char *name;
    int least, most; /* inputs */
    fet__op_class class_;
} fet__op_row;
extern const fet__op_row fet__op_rows[FET__OP_COUNT]; /* op.c */

typedef enum fet__relation { FET__EQ, FET__NE, FET__LT, FET__LE, FET__GT, FET__GE } fet__relation;
typedef enum fet__activation { FET__ACT_NONE, FET__ACT_RELU, FET__ACT_GELU } fet__activation;

#define FET__MAX_INPUTS 12

/* Which member counts is a matter of the operator (see above). Unused bytes are zero, so that attributes compare by memcmp. */
typedef union fet__attr {
    struct {
        uint32_t axes;
    } reduce;
    struct {
        int32_t ta, tb;
    } matmul;
    struct {
        int32_t stride[2], pad[2], dilation[2], groups;
    } conv;
    struct {
        int32_t perm[FET__MAX_RANK];
    } transpose;
    struct {
        int32_t start[FET__MAX_RANK], step[FET__MAX_RANK];
    } slice;
    struct {
        int32_t shift[FET__MAX_RANK];
    } roll;
    struct {
        int32_t axis;
    } axis;
    struct {
        int32_t n;
    } power;
    struct {
        int32_t relation;
    } compare;
    struct {
        double value;
    } fill;
    struct {
        uint64_t seed;
        uint32_t stream;
    } random;
    struct {
        int32_t bicubic, align_corners;
    } resize;
    struct {
        int32_t kernel[2], stride[2], pad[2];
    } pool;
    struct {
        int32_t activation;
    } linear;
    struct {
        double momentum;
    } memory;
    struct {
        double eps;
    } norm;
    struct {
        double smoothing;
    } cross_entropy;
    struct {
        double scale;
        int32_t heads;
    } attention;
    int64_t raw[FET__MAX_RANK]; /* start and step of a slice are the largest member */
} fet__attr;
_Static_assert(sizeof(fet__attr) == FET__MAX_RANK * sizeof(int64_t), "raw must cover every member");

/* ---- element-wise programs (the body of a group) ----------------------------------------------------------- */

/* Registers are tiles of a few hundred elements. Register r of the first `input_count` is input r, read through its broadcast
 * pattern; each instruction writes the next register. The last register is the result. With `reduce_axes` the result, which has
 * shape `full`, is summed over those axes (they stay with size 1). */
typedef struct fet__instr {
    uint16_t op;     /* an element-wise operator (class ELEMENT or FUSED_ELEMENT), RANDOM or FILL */
    int16_t a, b, c; /* registers; -1 unused */
    fet__attr attr;  /* of the operator */
} fet__instr;

#define FET__GROUP_INSTRS 40
typedef struct fet__group {
    fet__shape full;      /* iteration space */
    uint32_t reduce_axes; /* 0: none */
    int input_count;      /* inputs have full's rank with size 1 on broadcast axes, or are scalars of rank 0 */
    int instr_count;
    fet__instr instr[FET__GROUP_INSTRS];
} fet__group;

#endif
