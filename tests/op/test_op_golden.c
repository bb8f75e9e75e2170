/* The published numbers for double backward (golden/mabn/12_double_backward_ops): for y = f(a..), gradients for an upstream gy, then
 * s = sum <grad_i, v_i> and its gradients with respect to a.. and gy. The operators are
 * double_backward.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "exec/exec.h"
#include "op/double_backward.h"
#include "store/store.h"

#define PATH FETTLE_SHARED "/golden/mabn/12_double_backward_ops.safetensors"

#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

/* ---- the check ---- */

static fet__tensors *file;

static const fet__entry *entry(const double_backward_case *c, const char *part, const char *prefix, const char *name)
{
    char full[96];
    const fet__entry *e;

    snprintf(full, sizeof full, "%s.%s.%s%s", part, c->name, prefix, name);
    e = fet__tensors_find(file, full);
    if (!e)
        fail_msg("the file has no %s", full);
    return e;
}

static fet__node *constant(fet__graph *g, const fet__entry *e, fet_dtype t)
{
    int64_t count = fet__shape_count(&e->shape);
    void *data = fet__alloc((size_t)count, fet__dtype_bytes(t));
    fet__node *n;

    assert_non_null(data);
    fet__convert(data, t, e->data, e->dtype, count);
    n = fet__const(g, t, e->shape, data);
    fet__free(data);
    return n;
}

/* The engine computes in float64; the file is rounded to float32. An absent gradient stands for zeros. */
static void compare(const double_backward_case *c, fet__program *p, const fet__entry *e)
{
    const double *got = fet__program_output(p, e->name);

    for (int64_t i = 0; i < fet__shape_count(&e->shape); i++) {
        float want;

        memcpy(&want, (const char *)e->data + (size_t)i * sizeof want, sizeof want);
        if (!(fabs((got ? got[i] : 0) - (double)want) <= 1e-6 + 2e-6 * fabs((double)want)))
            fail_msg("%s: %s[%lld] is %.9g, not %.9g", c->name, e->name, (long long)i, got ? got[i] : 0.0,
                     (double)want);
    }
}

static void output(fet__graph *g, const fet__entry *e, fet__node *x)
{
    if (!x)
        return;
    assert_true(fet__shape_equal(&x->shape, &e->shape));
    fet__output(g, e->name, x);
}

static void run(const double_backward_case *c, bool reference)
{
    fet__node *in[MOST + 1] = {NULL}, *other[2] = {NULL}, *grad[MOST], *grad2[MOST + 1], *y, *s = NULL;
    const fet__entry *want[2 + 2 * MOST];
    int count = 0, wants = 0;
    fet__program *p = NULL;
    fet__graph *g = NULL;

    assert_ok(fet__graph_create(&g));
    for (; count < MOST && c->wrt[count]; count++)
        in[count] = constant(g, entry(c, "in", "", c->wrt[count]), FET_F64);
    for (int i = 0; i < 2 && c->other[i]; i++) {
        const fet__entry *e = entry(c, "in", "", c->other[i]);

        other[i] = constant(g, e, e->dtype == FET_I64 ? FET_I32 : FET_F64);
    }
    in[count] = constant(g, entry(c, "in", "", "gy"), FET_F64);
    y = c->build(g, in, other, c->user);
    output(g, want[wants++] = entry(c, "out", "", "y"), y);
    assert_ok(fet__gradient(g, fet__sum_all(g, fet__mul(g, y, in[count])), in, count, false, grad));
    for (int i = 0; i < count; i++) {
        fet__node *share = fet__sum_all(g, fet__mul(g, grad[i], constant(g, entry(c, "in", "v_", c->wrt[i]), FET_F64)));

        output(g, want[wants++] = entry(c, "grad", "", c->wrt[i]), grad[i]);
        s = s ? fet__add(g, s, share) : share;
    }
    assert_ok(fet__gradient(g, s, in, count + 1, true, grad2));
    for (int i = 0; i <= count; i++)
        output(g, want[wants++] = entry(c, "grad2", "", i < count ? c->wrt[i] : "gy"), grad2[i]);
    assert_ok(fet__program_create(&p, g, &(fet__program_options){.reference = reference}));
    assert_ok(fet__program_run(p));
    for (int i = 0; i < wants; i++)
        compare(c, p, want[i]);
    fet__program_destroy(p);
    fet__graph_destroy(g);
}

static void check(void **state)
{
    if (!file) {
        print_message("%s is not there\n", PATH);
        skip();
    }
    run(*state, true);
    run(*state, false);
}

int main(void)
{
    struct CMUnitTest tests[64];
    size_t count = 0;
    int failed;

    memset(tests, 0, sizeof tests);
    for (; double_backward_cases[count].name && count < FET_COUNT(tests); count++) {
        tests[count].name = double_backward_cases[count].name;
        tests[count].test_func = check;
        tests[count].initial_state = (void *)&double_backward_cases[count];
    }
    if (fet__file_exists(PATH) && fet__tensors_open(&file, PATH) != FET_OK) {
        print_error("%s\n", fet_error_message());
        return 1;
    }
    failed = _cmocka_run_group_tests("double backward", tests, count, NULL, NULL);
    fet__tensors_close(file);
    return failed;
}
