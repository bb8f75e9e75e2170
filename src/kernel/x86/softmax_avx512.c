/* Softmax, cross-entropy and their gradients, compiled for AVX-512. */
#include "kernel/x86/softmax_body.h"
