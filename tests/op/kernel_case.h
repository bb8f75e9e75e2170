/* Table-driven kernel tests. A case is one problem with the ranges of its random inputs; the check computes it by the
 * reference in float64 and holds every row that accepts the float32 problem against that: values, thread counts,
 * packed weights, overlays, and that nothing is written outside output and scratch. */
#ifndef KERNEL_CASE_H
#define KERNEL_CASE_H

#include "kernel/kernel.h"

#define DIMS(...)                                                                                                      \
    {                                                                                                                  \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                                                     \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define SCALAR                                                                                                         \
    {                                                                                                                  \
        0,                                                                                                             \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

typedef struct kernel_case {
    fet__op op;
    fet__attr attr;
    int inputs;
    fet__shape in[4], out;
    unsigned integers; /* bit i: input i is i32, drawn from [index_low, index_high] */
    int index_low, index_high;
    bool integer_out;
    double low, high; /* range of floating inputs; both 0: [-1, 1] */
    double tolerance; /* |difference| <= tolerance * (1 + |expected|); 0: 2e-6 */
    const fet__group *group;
} kernel_case;

fet__problem kernel_case_problem(const kernel_case *c, fet_dtype t);
/* Random inputs, the same numbers for f32 and f64. Free each with fet__free. */
void kernel_case_inputs(const kernel_case *c, void *f32[4], void *f64[4]);
/* Prepare a row, pack, run and release; output is allocated by the caller. Cmocka-fails on errors; returns the run's
 * status. */
fet_status kernel_case_run(const fet__problem *p, const fet__kernel *k, void *const input[4], void *output);
void kernel_case_check(const kernel_case *c);
void kernel_cases_check(const kernel_case *c, size_t count);
/* The reference in f64 on given inputs; result as doubles (i32 results converted). Free with fet__free. */
double *kernel_case_reference(const kernel_case *c, void *const f64[4]);

/* For y = f(x0, ..): the inner product of f(x0) with v equals that of x0 with its transpose g(v). */
void kernel_case_adjoint(const kernel_case *forward, const kernel_case *transposed, int input, int transposed_input);

#endif
