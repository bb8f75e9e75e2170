/* Rows for thin products: matmul(a stored transposed, b) where one of the results' sides is at most FET__SKINNY_RANK.
 * Measured on two AVX-512 cores with K = 3152 and ranks 2 to 16: oneDNN's two products read 1-9 GB/s, this one reads
 * at memory's pace. */
#include "kernel/kernel_int.h"
#include "kernel/x86/skinny.h"

typedef struct shape {
    int64_t depth, rank, columns;
    bool flipped; /* the thin operand is b, the result [L, R] */
} shape;

static bool shape_of(shape *out, const fet__problem *p)
{
    if (p->op != FET__OP_MATMUL || !p->attr.matmul.ta || p->attr.matmul.tb || p->output.shape.rank != 2)
        return false;
    int64_t m = p->output.shape.dim[0], n = p->output.shape.dim[1];
    *out =
        (shape){.depth = p->input[0].shape.dim[0], .rank = m <= n ? m : n, .columns = m <= n ? n : m, .flipped = m > n};
    return out->depth > 0 && out->rank > 0 && out->rank <= FET__SKINNY_RANK;
}

static bool accepts(const fet__problem *p, fet__cpu level)
{
    shape s;
    return fet__cpu_level() >= level && p->output.dtype == FET_F32 && p->input[0].dtype == FET_F32 &&
           p->input[1].dtype == FET_F32 && shape_of(&s, p);
}

static bool accepts_avx2(const fet__problem *p)
{
    return accepts(p, FET__CPU_AVX2);
}

static bool accepts_avx512(const fet__problem *p)
{
    return accepts(p, FET__CPU_AVX512);
}

static fet_status prepare(fet__prepared *k)
{
    shape s;
    if (shape_of(&s, &k->problem) && s.flipped)
        k->scratch = ((size_t)(s.rank * s.columns) * sizeof(float) + 63) / 64 * 64;
    return FET_OK;
}

static fet_status run(const fet__prepared *k, const fet__call *c, void (*body)(const fet__skinny *, int64_t, int64_t))
{
    enum { LINE = 16 };
    shape s = {0};
    shape_of(&s, &k->problem);
    fet__skinny job = {c->input[s.flipped ? 1 : 0],
                       c->input[s.flipped ? 0 : 1],
                       s.flipped ? c->scratch : c->output,
                       s.depth,
                       s.rank,
                       s.columns};
    int64_t parts = fet__threads(), lines = (s.columns + LINE - 1) / LINE;
    parts = lines < parts ? lines : parts;
#pragma omp parallel for schedule(static) if (s.depth * s.columns > 65536)
    for (int64_t i = 0; i < parts; i++) {
        int64_t last = (i + 1) * lines / parts * LINE;
        body(&job, i * lines / parts * LINE, last < s.columns ? last : s.columns);
    }
    float *y = c->output;
    for (int64_t l = 0; l < s.columns && s.flipped; l++)
        for (int64_t r = 0; r < s.rank; r++)
            y[l * s.rank + r] = job.sum[r * s.columns + l];
    return FET_OK;
}

static fet_status run_avx2(const fet__prepared *k, const fet__call *c)
{
    return run(k, c, fet__avx2_skinny);
}

static fet_status run_avx512(const fet__prepared *k, const fet__call *c)
{
    return run(k, c, fet__avx512_skinny);
}

const fet__kernel fet__kernels_skinny[] = {
    {.name = "avx512.skinny", .accepts = accepts_avx512, .prepare = prepare, .run = run_avx512},
    {.name = "avx2.skinny", .accepts = accepts_avx2, .prepare = prepare, .run = run_avx2},
    {.name = NULL},
};
