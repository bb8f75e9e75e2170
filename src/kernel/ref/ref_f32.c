/* The typed reference kernels in float32. */
#include <math.h>
#include <string.h>

#include "kernel/ref/ref_int.h"

#define REAL float
#define STORE(v) ((float)(v))
#define FN(name) fet__ref_##name##_f32

#include "kernel/ref/ref_attention.inc"
#include "kernel/ref/ref_basic.inc"
#include "kernel/ref/ref_conv.inc"
#include "kernel/ref/ref_entropy.inc"
#include "kernel/ref/ref_group.inc"
#include "kernel/ref/ref_matmul.inc"
#include "kernel/ref/ref_memory.inc"
#include "kernel/ref/ref_norm.inc"
#include "kernel/ref/ref_pool.inc"
#include "kernel/ref/ref_quadratic.inc"
