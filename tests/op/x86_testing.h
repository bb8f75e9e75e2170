/* Comparing the rows of kernel/x86 with the reference: results within a tolerance, bits equal at 1, 2 and 7 threads, the output
 * laid over every input that the row offers, scratch and output full of NaN before a run. */
#ifndef X86_TESTING_H
#define X86_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "kernel/kernel.h"

/* A problem with data for its inputs. Zero-initialised; the shapes and data are added in order. */
typedef struct trial {
    fet__problem problem;
    void *input[FET__MAX_INPUTS];
    float low, high; /* range of random inputs; both 0: [-2, 2] */
    uint32_t stream; /* of the next random input */
} trial;

trial trial_of(fet__op op, fet__shape output);
float *trial_input(trial *t, fet__shape shape); /* random; the data, to be changed by the test */
int32_t *trial_labels(trial *t, fet__shape shape, int32_t low, int32_t high);
void trial_group(trial *t, const fet__group *g);
/* Every own row (avx512., avx2., x86.) against the reference: |got - wanted| <= absolute + relative |wanted|; infinities and NaN at
 * the same places. Fails when the processor level in use has no own row. Frees the trial. */
void trial_check(trial *t, double relative, double absolute);
/* The same when the output's values are exact in float: bit for bit. */
void trial_check_exact(trial *t);
/* Every own row must end the run with this status. Frees the trial. */
void trial_fails(trial *t, fet_status wanted);
/* No own row accepts. Frees the trial. */
void trial_refused(trial *t);

/* Groups by hand. Each returns the register that the instruction writes. */
fet__group group_over(fet__shape full, uint32_t reduce_axes, int input_count);
int16_t group_add(fet__group *g, fet__op op, int16_t a, int16_t b, int16_t c);

#endif
