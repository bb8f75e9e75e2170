/* Quadratic depthwise convolution, compiled for AVX2. */
#include "kernel/x86/quadratic_body.h"
