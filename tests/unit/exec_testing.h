/* Helpers of the tests of exec/: a store and graph per test, data in and out. */
#ifndef EXEC_TESTING_H
#define EXEC_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exec/exec.h"

/* The message in the log says why. */
#define assert_ok(expr)                                                                                                \
    do {                                                                                                               \
        if ((expr) != FET_OK)                                                                                          \
            fail_msg("%s: %s", #expr, fet_error_message());                                                            \
    } while (0)

typedef struct fixture {
    fet__params *store;
    fet__graph *g;
    fet__program *p;
} fixture;

static inline void setup(fixture *f)
{
    *f = (fixture){0};
    assert_ok(fet__params_create(&f->store));
    assert_ok(fet__graph_create(&f->g));
}

static inline void teardown(fixture *f)
{
    fet__program_destroy(f->p);
    fet__graph_destroy(f->g);
    fet__params_destroy(f->store);
}

static inline void create(fixture *f, const fet__program_options *o)
{
    assert_ok(fet__program_create(&f->p, f->g, o));
}

/* A parameter with values start, start + step, ... */
static inline fet__param *ramp(fet__params *store, const char *name, fet__shape shape, double start, double step)
{
    fet__param *p = NULL;

    assert_ok(fet__params_add(store, &p, name, FET_F32, shape, FET__PARAM));
    for (int64_t i = 0; i < fet__shape_count(&shape); i++)
        ((float *)p->data)[i] = (float)(start + step * (double)i);
    return p;
}

static inline void feed(fixture *f, const char *name, const float *data, int64_t count)
{
    void *to = fet__program_input(f->p, name);

    assert_non_null(to);
    memcpy(to, data, (size_t)count * sizeof *data);
}

static inline void expect(const void *data, const double *want, int64_t count)
{
    const float *x = data;

    assert_non_null(data);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(x[i] - want[i]) <= 1e-5 * (1 + fabs(want[i]))))
            fail_msg("element %d is %g instead of %g", (int)i, (double)x[i], want[i]);
}
#define expect_output(f, name, ...)                                                                                    \
    expect(fet__program_output((f)->p, name), (const double[]){__VA_ARGS__},                                           \
           sizeof((double[]){__VA_ARGS__}) / sizeof(double))
#define expect_param(param, ...)                                                                                       \
    expect((param)->data, (const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

#endif
