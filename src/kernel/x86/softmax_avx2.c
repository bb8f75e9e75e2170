/* Softmax, cross-entropy and their gradients, compiled for AVX2. */
#include "kernel/x86/softmax_body.h"
