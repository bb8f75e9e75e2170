/* The machinery of the kernel tests; see kernel_case.h. */
#include "op/kernel_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { GUARD = 256 };
static const unsigned char guard_byte = 0xA5;

fet__problem kernel_case_problem(const kernel_case *c, fet_dtype t)
{
    fet__problem p = {.op = c->op, .attr = c->attr, .input_count = c->inputs, .group = c->group};
    for (int i = 0; i < c->inputs; i++) {
        p.input[i].dtype = c->integers >> i & 1 ? FET_I32 : t;
        p.input[i].shape = c->in[i];
    }
    p.output.dtype = c->integer_out ? FET_I32 : t;
    p.output.shape = c->out;
    p.threads = fet__threads();
    return p;
}

void kernel_case_inputs(const kernel_case *c, void *f32[4], void *f64[4])
{
    fet__rng rng = {.seed = 7, .stream = (uint32_t)c->op};
    double low = c->low, high = c->high;
    if (low == 0 && high == 0) {
        low = -1;
        high = 1;
    }
    for (int k = 0; k < c->inputs; k++) {
        int64_t n = fet__shape_count(&c->in[k]);
        bool integer = c->integers >> k & 1;
        f32[k] = fet__alloc((size_t)n, sizeof(float));
        f64[k] = fet__alloc((size_t)n, sizeof(double));
        assert_non_null(f32[k]);
        assert_non_null(f64[k]);
        for (int64_t i = 0; i < n; i++) {
            if (integer) {
                int32_t v = (int32_t)fet__rng_int(&rng, c->index_low, c->index_high);
                ((int32_t *)f32[k])[i] = ((int32_t *)f64[k])[i] = v;
            } else {
                float v = (float)fet__rng_uniform(&rng, low, high);
                ((float *)f32[k])[i] = v;
                ((double *)f64[k])[i] = v;
            }
        }
    }
}

/* Memory with known bytes around it. */
static unsigned char *guarded(size_t bytes)
{
    unsigned char *p = fet__alloc_raw(bytes + 2 * GUARD, 1);
    assert_non_null(p);
    memset(p, guard_byte, bytes + 2 * GUARD);
    return p + GUARD;
}

static void guarded_free(unsigned char *p, size_t bytes, const char *what, const char *name)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[bytes + i] != guard_byte || *(p - 1 - i) != guard_byte)
            fail_msg("%s wrote outside its %s", name, what);
    fet__free(p - GUARD);
}

static void pack_inputs(const fet__prepared *k, void *const input[4], void *packed[4], const void *use[4])
{
    for (int i = 0; i < 4; i++) {
        packed[i] = NULL;
        use[i] = input[i];
        if (i >= k->problem.input_count || !k->packed[i])
            continue;
        assert_true(k->problem.input[i].frozen);
        packed[i] = guarded(k->packed[i]);
        assert_int_equal(k->kernel->pack(k, i, input[i], packed[i]), FET_OK);
        use[i] = packed[i];
    }
}

static fet_status run_prepared(const fet__prepared *k, void *const input[4], void *output)
{
    fet__call call = {.output = output, .scratch = guarded(k->scratch)};
    void *packed[4];
    const void *use[4];
    pack_inputs(k, input, packed, use);
    for (int i = 0; i < 4; i++)
        call.input[i] = use[i];
    fet_status st = k->kernel->run(k, &call);
    if (st == FET_OK && k->problem.input_count > 0) { /* a second run must not depend on the first */
        memset(call.scratch, 0x3C, k->scratch);
        st = k->kernel->run(k, &call);
    }
    for (int i = 0; i < 4; i++)
        if (packed[i])
            guarded_free(packed[i], k->packed[i], "packed input", k->kernel->name);
    guarded_free(call.scratch, k->scratch, "scratch", k->kernel->name);
    return st;
}

fet_status kernel_case_run(const fet__problem *p, const fet__kernel *k, void *const input[4], void *output)
{
    fet__prepared prepared;
    fet_status st = fet__kernel_prepare_with(&prepared, p, k);
    if (st != FET_OK)
        fail_msg("%s: prepare: %s", k->name, fet_error_message());
    st = run_prepared(&prepared, input, output);
    fet__kernel_release(&prepared);
    return st;
}

static const fet__kernel *reference_row(const fet__problem *p)
{
    const fet__kernel *rows[16];
    int n = fet__kernel_candidates(rows, 16, p);
    assert_in_range(n, 1, 16);
    assert_string_equal(rows[n - 1]->name, "ref");
    return rows[n - 1];
}

static double value(const void *data, fet_dtype t, int64_t i)
{
    return t == FET_I32   ? ((const int32_t *)data)[i]
           : t == FET_F64 ? ((const double *)data)[i]
                          : (double)((const float *)data)[i];
}

double *kernel_case_reference(const kernel_case *c, void *const f64[4])
{
    fet__problem p = kernel_case_problem(c, FET_F64);
    int64_t n = fet__shape_count(&c->out);
    void *y = fet__alloc((size_t)n, sizeof(double));
    double *out = fet__alloc((size_t)n, sizeof(double));
    assert_non_null(y);
    assert_non_null(out);
    if (kernel_case_run(&p, reference_row(&p), f64, y) != FET_OK)
        fail_msg("reference of %s: %s", fet__op_rows[c->op].name, fet_error_message());
    for (int64_t i = 0; i < n; i++)
        out[i] = value(y, p.output.dtype, i);
    fet__free(y);
    return out;
}

static void compare(const kernel_case *c, const fet__problem *p, const char *name, const void *y,
                    const double *expected)
{
    double tolerance = c->tolerance > 0 ? c->tolerance : 2e-6;
    int64_t n = fet__shape_count(&c->out);
    for (int64_t i = 0; i < n; i++) {
        double v = value(y, p->output.dtype, i);
        if (!(fabs(v - expected[i]) <= tolerance * (1 + fabs(expected[i]))) && !(isnan(v) && isnan(expected[i])) &&
            v != expected[i])
            fail_msg("%s by %s (%d threads), input %s, output %s: element %lld is %.9g, expected %.9g",
                     fet__op_rows[c->op].name, name, fet__threads(), c->inputs ? fet__shape_text(&c->in[0]) : "-",
                     fet__shape_text(&c->out), (long long)i, v, expected[i]);
    }
}

/* The output written over an input that the row allows: the same bits as beside it. */
static void check_overlays(const fet__problem *p, const fet__kernel *k, void *const input[4], const void *expected,
                           size_t bytes)
{
    fet__prepared prepared;
    assert_int_equal(fet__kernel_prepare_with(&prepared, p, k), FET_OK);
    for (int i = 0; i < p->input_count && i < 4; i++) {
        if (!(prepared.overlay >> i & 1))
            continue;
        unsigned char *y = guarded(bytes), *scratch = guarded(prepared.scratch);
        fet__call call = {.output = y, .scratch = scratch};
        for (int j = 0; j < p->input_count && j < 4; j++)
            call.input[j] = input[j];
        memcpy(y, input[i], bytes);
        call.input[i] = y;
        assert_int_equal(prepared.packed[1], 0);
        assert_int_equal(k->run(&prepared, &call), FET_OK);
        if (memcmp(y, expected, bytes) != 0)
            fail_msg("%s by %s: written over input %d the result differs", fet__op_rows[p->op].name, k->name, i);
        guarded_free(scratch, prepared.scratch, "scratch", k->name);
        guarded_free(y, bytes, "output", k->name);
    }
    fet__kernel_release(&prepared);
}

/* One row at 1, 2 and 7 threads; own kernels must give the same bits at each. */
static void check_row(const kernel_case *c, const fet__kernel *k, bool frozen, void *const input[4],
                      const double *expected)
{
    static const int counts[] = {1, 2, 7};
    int before = fet__threads();
    size_t bytes = (size_t)fet__shape_count(&c->out) * (c->integer_out ? 4 : sizeof(float));
    unsigned char *first = NULL;
    for (size_t t = 0; t < FET_COUNT(counts); t++) {
        fet__set_threads(counts[t]);
        fet__problem p = kernel_case_problem(c, FET_F32);
        p.input[1].frozen = frozen;
        unsigned char *y = guarded(bytes);
        if (kernel_case_run(&p, k, input, y) != FET_OK)
            fail_msg("%s by %s: %s", fet__op_rows[c->op].name, k->name, fet_error_message());
        compare(c, &p, k->name, y, expected);
        if (!first) {
            first = y;
            if (!frozen)
                check_overlays(&p, k, input, y, bytes);
            continue;
        }
        if (strncmp(k->name, "dnnl", 4) != 0 && memcmp(first, y, bytes) != 0)
            fail_msg("%s by %s: %d threads give other bits than 1", fet__op_rows[c->op].name, k->name, counts[t]);
        guarded_free(y, bytes, "output", k->name);
    }
    guarded_free(first, bytes, "output", k->name);
    fet__set_threads(before);
}

static bool has_weights(fet__op op)
{
    return op == FET__OP_MATMUL || op == FET__OP_LINEAR || op == FET__OP_CONV2D || op == FET__OP_CONV2D_DX;
}

void kernel_case_check(const kernel_case *c)
{
    void *f32[4] = {NULL}, *f64[4] = {NULL};
    kernel_case_inputs(c, f32, f64);
    double *expected = kernel_case_reference(c, f64);
    for (int frozen = 0; frozen < (has_weights(c->op) ? 2 : 1); frozen++) {
        fet__problem p = kernel_case_problem(c, FET_F32);
        p.input[1].frozen = frozen;
        const fet__kernel *rows[16];
        int n = fet__kernel_candidates(rows, 16, &p);
        assert_in_range(n, 1, 16);
        for (int i = 0; i < n; i++)
            check_row(c, rows[i], frozen, f32, expected);
    }
    fet__free(expected);
    for (int i = 0; i < 4; i++) {
        fet__free(f32[i]);
        fet__free(f64[i]);
    }
}

void kernel_cases_check(const kernel_case *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kernel_case_check(&c[i]);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void kernel_case_adjoint(const kernel_case *forward, const kernel_case *transposed, int input, int transposed_input)
{
    void *f32[2][4] = {{NULL}}, *f64[2][4] = {{NULL}};
    kernel_case_inputs(forward, f32[0], f64[0]);
    kernel_case_inputs(transposed, f32[1], f64[1]);
    for (int i = 0; i < 4; i++) /* the operands that both have (weights, indices) are the same numbers */
        for (int j = 0; j < 4; j++)
            if (i < forward->inputs && j < transposed->inputs && i != input && j != transposed_input) {
                bool integer = forward->integers >> i & 1;
                memcpy(f64[1][j], f64[0][i], (size_t)fet__shape_count(&forward->in[i]) * (integer ? 4 : 8));
            }
    double *y = kernel_case_reference(forward, f64[0]), *x = kernel_case_reference(transposed, f64[1]);
    double a = dot(y, f64[1][transposed_input], fet__shape_count(&forward->out));
    double b = dot(x, f64[0][input], fet__shape_count(&transposed->out));
    if (!(fabs(a - b) <= 1e-11 * (1 + fabs(a))))
        fail_msg("%s is not the transpose of %s: %.15g, %.15g", fet__op_rows[transposed->op].name,
                 fet__op_rows[forward->op].name, b, a);
    fet__free(y);
    fet__free(x);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++) {
            fet__free(f32[k][i]);
            fet__free(f64[k][i]);
        }
}
