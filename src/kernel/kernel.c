/* Choosing and preparing kernels. The tables are asked in a fixed order and the first row that accepts the problem
 * takes it: thin products, own vector kernels, oneDNN, reference. Dense contractions that are large enough ask oneDNN
 * before the own vector kernels. What a row computes lives in its own folder; nothing is computed here. */
#include "kernel/kernel.h"

#include <stdatomic.h>
#include <string.h>

#include "kernel/kernel_int.h"

#ifndef FETTLE_DNNL
#define FETTLE_DNNL 0
#endif

#if !FETTLE_DNNL
static const fet__kernel no_rows[] = {{.name = NULL}};
#endif

enum { TABLE_SKINNY, TABLE_X86, TABLE_DNNL, TABLE_REF, TABLE_COUNT };
enum { ROWS_MOST = 256 };

static const fet__kernel *const tables[TABLE_COUNT] = {
    [TABLE_SKINNY] = fet__kernels_skinny,
    [TABLE_X86] = fet__kernels_x86,
#if FETTLE_DNNL
    [TABLE_DNNL] = fet__kernels_dnnl,
#else
    [TABLE_DNNL] = no_rows,
#endif
    [TABLE_REF] = fet__kernels_ref,
};

/* How often each row was prepared. The rows are read-only, so the counts lie beside them. */
static _Atomic int64_t uses[TABLE_COUNT][ROWS_MOST];

#if !FETTLE_DNNL
const char *fet__kernel_library(void)
{
    return "none";
}

fet_status fet__product_nt(float *c, const float *a, const float *b, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float part[8] = {0};
            int64_t e = 0;
            for (; e + 8 <= k; e += 8)
                for (int64_t l = 0; l < 8; l++)
                    part[l] += a[i * k + e + l] * b[j * k + e + l];
            for (; e < k; e++)
                part[0] += a[i * k + e] * b[j * k + e];
            c[i * n + j] = ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
        }
    return FET_OK;
}
#endif

static bool is_large_contraction(const fet__problem *p)
{
    int64_t terms;
    switch (p->op) {
    case FET__OP_MATMUL: {
        const fet__shape *a = &p->input[0].shape;
        if (a->rank < 2)
            return false;
        terms = a->dim[a->rank - (p->attr.matmul.ta ? 2 : 1)];
        break;
    }
    case FET__OP_LINEAR: terms = p->input[1].shape.rank == 2 ? p->input[1].shape.dim[1] : 0; break;
    case FET__OP_CONV2D:
    case FET__OP_CONV2D_DX:
    case FET__OP_CONV2D_DW: return p->attr.conv.groups == 1; /* depthwise filters are what the own kernels are for */
    default: return false;
    }
    return (double)terms * (double)fet__shape_count(&p->output.shape) >= 65536.0;
}

static void table_order(int order[TABLE_COUNT], const fet__problem *p)
{
    bool large = is_large_contraction(p);
    order[0] = TABLE_SKINNY;
    order[1] = large ? TABLE_DNNL : TABLE_X86;
    order[2] = large ? TABLE_X86 : TABLE_DNNL;
    order[3] = TABLE_REF;
}

int fet__kernel_candidates(const fet__kernel **out, int capacity, const fet__problem *p)
{
    int order[TABLE_COUNT], n = 0;
    table_order(order, p);
    for (int t = 0; t < TABLE_COUNT; t++)
        for (const fet__kernel *k = tables[order[t]]; k->name; k++)
            if (k->accepts(p)) {
                if (n < capacity)
                    out[n] = k;
                n++;
            }
    return n;
}

static void count_use(const fet__kernel *k)
{
    for (int t = 0; t < TABLE_COUNT; t++)
        for (int i = 0; i < ROWS_MOST && tables[t][i].name; i++)
            if (&tables[t][i] == k) {
                atomic_fetch_add_explicit(&uses[t][i], 1, memory_order_relaxed);
                return;
            }
}

int64_t fet__kernel_uses(const char *prefix)
{
    int64_t n = 0;
    for (int t = 0; t < TABLE_COUNT; t++)
        for (int i = 0; i < ROWS_MOST && tables[t][i].name; i++)
            if (strncmp(tables[t][i].name, prefix, strlen(prefix)) == 0)
                n += atomic_load_explicit(&uses[t][i], memory_order_relaxed);
    return n;
}

fet_status fet__kernel_prepare_with(fet__prepared *out, const fet__problem *p, const fet__kernel *k)
{
    memset(out, 0, sizeof *out);
    out->kernel = k;
    out->problem = *p;
    fet_status st = k->prepare ? k->prepare(out) : FET_OK;
    if (st != FET_OK) {
        fet__kernel_release(out);
        return st;
    }
    count_use(k);
    return FET_OK;
}

static fet_status nobody_accepts(const fet__problem *p)
{
    fet__text text = {0};
    for (int i = 0; i < p->input_count; i++)
        fet__text_printf(&text, "%s%s %s", i ? ", " : "", fet__dtype_name(p->input[i].dtype),
                         fet__shape_text(&p->input[i].shape));
    fet_status st = FET_FAIL(FET_E_BUG, "no kernel computes %s(%s) -> %s %s", fet__op_rows[p->op].name,
                             text.s ? text.s : "", fet__dtype_name(p->output.dtype), fet__shape_text(&p->output.shape));
    fet__text_fini(&text);
    return st;
}

fet_status fet__kernel_prepare(fet__prepared *out, const fet__problem *p, bool reference)
{
    memset(out, 0, sizeof *out);
    int order[TABLE_COUNT];
    table_order(order, p);
    for (int t = reference ? TABLE_REF : 0; t < TABLE_COUNT; t++)
        for (const fet__kernel *k = tables[order[t]]; k->name; k++)
            if (k->accepts(p))
                return fet__kernel_prepare_with(out, p, k);
    return nobody_accepts(p);
}

void fet__kernel_release(fet__prepared *k)
{
    if (k->kernel && k->kernel->release)
        k->kernel->release(k);
    memset(k, 0, sizeof *k);
}
