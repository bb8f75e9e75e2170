/* Quadratic depthwise convolution, compiled for AVX-512. */
#include "kernel/x86/quadratic_body.h"
