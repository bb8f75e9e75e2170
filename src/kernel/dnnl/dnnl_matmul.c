/* Matrix products by oneDNN: matmul and linear, and the rule that says when a frozen weight is packed.
 *
 * Measured with oneDNN 2.6.3 on two AVX-512 cores (float32; M rows; K, N in 768, 2304, 3072; medians of interleaved
 * runs), as a share of the packed product's speed, which reached 250-345 GFLOP/s where the cores ran undisturbed:
 *
 *                                   M = 3152        788          394         197          50
 *   x w^T, plain (matmul)           90-99 %      98-103 %     95-100 %    96-103 %     86-90 %
 *   dy w, plain (matmul)        88-97, 49 %   92-102, 59 %  94-96, 62 %  99, 52 %     89-98 %
 *   dy w, plain (sgemm)            90-120 %     100-104 %     95-103 %    99-100 %     96-106 %
 *
 * The second figures of the second line are N = 3072, whose rows lie 4096-byte multiples apart and fight for the
 * same cache sets; sgemm copies panels first and does not mind. So a weight that is not transposed goes to sgemm and
 * is never packed, and a transposed one is packed only below PACK_ROWS rows: a packed copy is memory, and above it
 * bought less than 4 %. Products of few columns are the exception: with N = 2 and K = 3072 matmul takes half of
 * sgemm's time (with N = 768 and K = 2 it is the other way round).
 *
 * From INNER_ROWS rows on, x w^T is asked of the inner product, which is sgemm with bias, activation and residual
 * behind it: at M = 3152 it was 7-11 % faster than matmul on one thread, 4-12 % faster (once 4 % slower) on two; at M
 * = 197 it is 3 % slower, at 50 up to 45 %. */
#include "kernel/dnnl/dnnl_kernels.h"

enum { PACK_ROWS = 160, SGEMM_COLUMNS = 32, INNER_ROWS = 1024, INNER_SIDE = 64 };

/* A product with leading axes folded into one batch. a: [batch or 1, m, k], b: [batch or 1, k, n]. */
typedef struct product {
    int64_t batch, m, n, k;
    bool a_shared, b_shared, ta, tb;
} product;

static product product_of(const fet__problem *p)
{
    const fet__shape *a = &p->input[0].shape, *b = &p->input[1].shape, *y = &p->output.shape;
    product r = {.batch = 1, .ta = p->attr.matmul.ta, .tb = p->attr.matmul.tb};
    r.m = y->dim[y->rank - 2];
    r.n = y->dim[y->rank - 1];
    r.k = a->dim[a->rank - (r.ta ? 2 : 1)];
    for (int i = 0; i + 2 < y->rank; i++)
        r.batch *= y->dim[i];
    r.a_shared = a->rank == 2;
    r.b_shared = b->rank == 2;
    if (r.b_shared && (!r.ta || r.batch == 1)) { /* rows of every batch are rows of one matrix */
        r.m *= r.batch;
        r.batch = 1;
    }
    return r;
}

bool fet__dnnl_sgemm_accepts(const fet__problem *p)
{
    if (p->op != FET__OP_MATMUL || !fet__dnnl_takes(p))
        return false;
    product r = product_of(p);
    return r.batch == 1 && !r.tb && r.n >= SGEMM_COLUMNS;
}

fet_status fet__dnnl_sgemm_run(const fet__prepared *k, const fet__call *c)
{
    product r = product_of(&k->problem);
    return fet__dnnl_sgemm(r.ta, r.m, r.n, r.k, c->input[0], c->input[1], c->output);
}

bool fet__dnnl_matmul_accepts(const fet__problem *p)
{
    return p->op == FET__OP_MATMUL && fet__dnnl_takes(p);
}

/* rows x cols of each of `batch` (1: one for all) matrices; `transposed`: stored [cols, rows]. */
static fet__dnnl_view matrix(int64_t batch, bool batched, int64_t rows, int64_t cols, bool transposed)
{
    fet__dnnl_view v = {.rank = batched ? 3 : 2};
    int at = batched ? 1 : 0;
    v.dim[0] = batch;
    v.stride[0] = rows * cols;
    v.dim[at] = rows;
    v.dim[at + 1] = cols;
    v.stride[at] = transposed ? 1 : cols;
    v.stride[at + 1] = transposed ? rows : 1;
    return v;
}

/* One product of [rows, in], which is s->src already, with weights stored [out, in] (`transposed`) or [in, out]. */
static fet_status prepare_single(fet__prepared *k, fet__dnnl_spec *s, int64_t rows, int64_t in, int64_t out,
                                 bool transposed)
{
    bool inner = transposed && s->src.stride[1] == 1 && rows >= INNER_ROWS && in >= INNER_SIDE && out >= INNER_SIDE;
    s->kind = inner ? FET__DNNL_INNER : FET__DNNL_MATMUL;
    s->weights = inner ? matrix(1, false, out, in, false) : matrix(1, false, in, out, transposed);
    s->dst = matrix(1, false, rows, out, false);
    if (inner && s->bias.rank)
        s->bias = (fet__dnnl_view){.rank = 1, .dim = {out}, .stride = {1}};
    s->packed = s->free_weights = k->problem.input[1].frozen && rows <= PACK_ROWS;
    return fet__dnnl_prepare_row(k, s);
}

fet_status fet__dnnl_matmul_prepare(fet__prepared *k)
{
    product r = product_of(&k->problem);
    bool batched = r.batch > 1;
    fet__dnnl_spec s = {.kind = FET__DNNL_MATMUL};
    s.src = matrix(r.a_shared ? 1 : r.batch, batched, r.m, r.k, r.ta);
    if (!batched)
        return prepare_single(k, &s, r.m, r.k, r.n, r.tb);
    s.weights = matrix(r.b_shared ? 1 : r.batch, batched, r.k, r.n, r.tb);
    s.dst = matrix(r.batch, batched, r.m, r.n, false);
    return fet__dnnl_prepare_row(k, &s);
}

bool fet__dnnl_linear_accepts(const fet__problem *p)
{
    return p->op == FET__OP_LINEAR && fet__dnnl_takes(p);
}

fet_status fet__dnnl_linear_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    int64_t out = p->input[1].shape.dim[0], in = p->input[1].shape.dim[1];
    int64_t rows = fet__shape_count(&p->output.shape) / out;
    fet__dnnl_spec s = {.activation = (fet__activation)p->attr.linear.activation};
    s.src = matrix(1, false, rows, in, false);
    if (p->input_count > 2)
        s.bias = matrix(1, false, 1, out, false);
    s.add = p->input_count > 3;
    return prepare_single(k, &s, rows, in, out, true);
}

fet_status fet__dnnl_product_run(const fet__prepared *k, const fet__call *c)
{
    void *slot[FET__DNNL_SLOTS] = {
        [FET__DNNL_SRC] = (void *)c->input[0], [FET__DNNL_WEIGHTS] = (void *)c->input[1], [FET__DNNL_DST] = c->output};
    if (k->problem.input_count > 2)
        slot[FET__DNNL_BIAS] = (void *)c->input[2];
    if (k->problem.input_count > 3)
        slot[FET__DNNL_ADD] = (void *)c->input[3];
    return fet__dnnl_run(k->state, slot, c->scratch);
}
