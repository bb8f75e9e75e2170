/* The gradient of attention, compiled for AVX-512. */
#include "kernel/x86/attention_grad_body.h"
