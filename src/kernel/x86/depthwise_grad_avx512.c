/* Filter gradient of depthwise convolution, compiled for AVX-512. */
#include "kernel/x86/depthwise_grad_body.h"
