/* The typed reference kernels in int32: labels, indices and step counters are added, compared and reduced like numbers.
 * Values pass through double, which holds every int32; results outside the type's range saturate. */
#include <math.h>

#include "kernel/ref/ref_int.h"

#define REAL int32_t
#define STORE(v) fet__ref_to_i32(v)
#define FN(name) fet__ref_##name##_i32

#include "kernel/ref/ref_basic.inc"
