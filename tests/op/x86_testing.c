/* What the tests of the x86 kernels share: buffers with guard values, running a row, comparing with the reference. */
#include "x86_testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANDIDATES 32

trial trial_of(fet__op op, fet__shape output)
{
    trial t = {.problem = {.op = op, .output = {.dtype = FET_F32, .shape = output}, .threads = 1}};

    return t;
}

/* malloc of the very size, so that the address sanitizer sees a read or write beyond the end. */
static void *data_for(fet_dtype t, const fet__shape *s)
{
    size_t bytes = (size_t)fet__shape_count(s) * fet__dtype_bytes(t);
    void *p = malloc(bytes ? bytes : 1);

    assert_non_null(p);
    return p;
}

static void *add_input(trial *t, fet_dtype dtype, fet__shape shape)
{
    int i = t->problem.input_count++;

    t->problem.input[i] = (fet__desc){.dtype = dtype, .shape = shape};
    t->input[i] = data_for(dtype, &shape);
    return t->input[i];
}

float *trial_input(trial *t, fet__shape shape)
{
    float *x = add_input(t, FET_F32, shape), low = t->low, high = t->high;

    if (low == 0 && high == 0) {
        low = -2;
        high = 2;
    }
    t->stream++;
    for (int64_t i = 0; i < fet__shape_count(&shape); i++)
        x[i] = low + (high - low) * fet__random_uniform(1, t->stream, 0, (uint64_t)i);
    return x;
}

int32_t *trial_labels(trial *t, fet__shape shape, int32_t low, int32_t high)
{
    int32_t *x = add_input(t, FET_I32, shape);

    t->stream++;
    for (int64_t i = 0; i < fet__shape_count(&shape); i++)
        x[i] = low + (int32_t)(fet__random_u32(1, t->stream, 0, (uint64_t)i) % (uint32_t)(high - low));
    return x;
}

void trial_group(trial *t, const fet__group *g)
{
    t->problem.group = g;
}

static void finish(trial *t)
{
    for (int i = 0; i < t->problem.input_count; i++)
        free(t->input[i]);
    memset(t, 0, sizeof *t);
}

static bool is_own(const fet__kernel *k)
{
    return strncmp(k->name, "avx", 3) == 0 || strncmp(k->name, "x86.", 4) == 0;
}

/* Own rows, then the reference. */
static int own_rows(const fet__kernel **own, const fet__kernel **reference, const fet__problem *p)
{
    const fet__kernel *all[CANDIDATES];
    int count = fet__kernel_candidates(all, CANDIDATES, p), n = 0;

    assert_true(count > 0 && count <= CANDIDATES);
    for (int i = 0; i < count; i++) {
        if (is_own(all[i]))
            own[n++] = all[i];
        if (strncmp(all[i]->name, "ref", 3) == 0)
            *reference = all[i];
    }
    return n;
}

/* Run into `out`, or with the output laid over input `over`, whose data is copied first. */
static fet_status run_row(const trial *t, const fet__kernel *row, int threads, int over, float *out, uint32_t *overlay)
{
    fet__problem p = t->problem;
    fet__prepared k;
    fet__call c = {.output = out};
    fet_status st;

    p.threads = threads;
    assert_int_equal(fet__kernel_prepare_with(&k, &p, row), FET_OK);
    for (int i = 0; i < p.input_count; i++)
        c.input[i] = t->input[i];
    if (over >= 0) {
        memcpy(out, t->input[over], (size_t)fet__shape_count(&p.output.shape) * 4);
        c.input[over] = out;
    } else {
        memset(out, 0xff, (size_t)fet__shape_count(&p.output.shape) * 4);
    }
    c.scratch = fet__alloc_raw(k.scratch, 1);
    assert_non_null(c.scratch);
    memset(c.scratch, 0xff, k.scratch);
    st = row->run(&k, &c);
    fet__free(c.scratch);
    *overlay = k.overlay;
    fet__kernel_release(&k);
    return st;
}

static bool is_near(float got, float wanted, double relative, double absolute)
{
    if (isnan(wanted))
        return isnan(got);
    if (isinf(wanted))
        return got == wanted;
    return fabs((double)got - (double)wanted) <= absolute + relative * fabs((double)wanted);
}

static void compare(const trial *t, const char *row, const float *got, const float *wanted, double relative,
                    double absolute)
{
    int64_t n = fet__shape_count(&t->problem.output.shape);

    for (int64_t i = 0; i < n; i++)
        if (relative == 0 && absolute == 0 ? memcmp(&got[i], &wanted[i], 4) != 0
                                           : !is_near(got[i], wanted[i], relative, absolute))
            fail_msg("%s(%s..) -> %s by %s: element %lld is %.9g, reference %.9g", fet__op_rows[t->problem.op].name,
                     t->problem.input_count ? fet__shape_text(&t->problem.input[0].shape) : "",
                     fet__shape_text(&t->problem.output.shape), row, (long long)i, (double)got[i], (double)wanted[i]);
}

static void same_bits(const fet__kernel *row, const char *what, const float *a, const float *b, size_t bytes)
{
    if (memcmp(a, b, bytes) != 0)
        fail_msg("%s: %s changes the result", row->name, what);
}

static void check_row(const trial *t, const fet__kernel *row, const float *wanted, double relative, double absolute)
{
    const fet__shape *s = &t->problem.output.shape;
    size_t bytes = (size_t)fet__shape_count(s) * 4;
    float *got = data_for(FET_F32, s), *again = data_for(FET_F32, s);
    uint32_t overlay, ignored;

    assert_int_equal(run_row(t, row, 1, -1, got, &overlay), FET_OK);
    compare(t, row->name, got, wanted, relative, absolute);
    assert_int_equal(run_row(t, row, 2, -1, again, &ignored), FET_OK);
    same_bits(row, "a second thread", got, again, bytes);
    assert_int_equal(run_row(t, row, 7, -1, again, &ignored), FET_OK);
    same_bits(row, "seven threads", got, again, bytes);
    for (int i = 0; i < t->problem.input_count; i++)
        if (overlay >> i & 1u) {
            assert_int_equal(fet__shape_count(&t->problem.input[i].shape), fet__shape_count(s));
            assert_int_equal(run_row(t, row, 2, i, again, &ignored), FET_OK);
            same_bits(row, "an overlay", got, again, bytes);
        }
    free(got);
    free(again);
}

void trial_check(trial *t, double relative, double absolute)
{
    const fet__kernel *own[CANDIDATES], *reference = NULL;
    float *wanted = data_for(FET_F32, &t->problem.output.shape);
    int count = own_rows(own, &reference, &t->problem);
    bool moves = count > 0 && strncmp(own[0]->name, "x86.", 4) == 0;
    uint32_t ignored;

    assert_non_null(reference);
    if (!moves)
        assert_int_equal(count, (int)fet__cpu_level() - (int)FET__CPU_BASE);
    assert_int_equal(run_row(t, reference, 1, -1, wanted, &ignored), FET_OK);
    for (int i = 0; i < count; i++)
        check_row(t, own[i], wanted, relative, absolute);
    free(wanted);
    finish(t);
}

void trial_check_exact(trial *t)
{
    trial_check(t, 0, 0);
}

void trial_fails(trial *t, fet_status wanted)
{
    const fet__kernel *own[CANDIDATES], *reference = NULL;
    float *out = data_for(FET_F32, &t->problem.output.shape);
    int count = own_rows(own, &reference, &t->problem);
    uint32_t ignored;

    for (int i = 0; i < count; i++)
        assert_int_equal(run_row(t, own[i], 2, -1, out, &ignored), wanted);
    free(out);
    finish(t);
}

void trial_refused(trial *t)
{
    const fet__kernel *own[CANDIDATES], *reference = NULL;

    assert_int_equal(own_rows(own, &reference, &t->problem), 0);
    finish(t);
}

fet__group group_over(fet__shape full, uint32_t reduce_axes, int input_count)
{
    return (fet__group){.full = full, .reduce_axes = reduce_axes, .input_count = input_count};
}

int16_t group_add(fet__group *g, fet__op op, int16_t a, int16_t b, int16_t c)
{
    g->instr[g->instr_count] = (fet__instr){.op = (uint16_t)op, .a = a, .b = b, .c = c};
    return (int16_t)(g->input_count + g->instr_count++);
}
