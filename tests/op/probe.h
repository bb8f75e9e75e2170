/* Derivatives by the engine against central differences, in float64.
 *
 * For y = f(x..) the probe takes t0 = <c, y> with random c, and then t(k+1) = sum over inputs z (x.. and c) of <v, d tk / dz> with
 * random v: t1 holds first derivatives, t2 second ones, and so on. Each gradient of tk that the engine builds is held against
 * central differences of tk; one that the engine says is absent must have differences of zero. The whole is run twice, by the
 * reference kernels without any pass and by an ordinary program, and the two must agree. */
#ifndef PROBE_H
#define PROBE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "exec/exec.h"

#define PROBE_INPUTS 7
#define PROBE_LEVELS 3

/* Inputs are written kind and shape, "f[3,4]":
 *   f  between -1.5 and 1.5       +  between 0.4 and 2        ~  0.2 to 1.5 in size, either sign
 *   d  distinct, spread evenly    m  0 or 1, not moved        s  like f, not moved (its gradient is stopped)
 *   i7 i32 in [0, 7)              l7 i32 in [-1, 7) */
typedef struct probe {
    const char *name;
    const char *input[PROBE_INPUTS];
    fet__node *(*build)(fet__graph *g, fet__node *const *in, const void *user);
    const void *user;
    int levels;       /* gradients of gradients to look at; 0: PROBE_LEVELS */
    double tolerance; /* |difference| <= tolerance * (1 + largest of the gradient); 0: 1e-6 */
    bool flat;        /* no input has a derivative */
} probe;

void probe_check(const probe *p);

#endif
