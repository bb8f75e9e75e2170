/* The gradient of attention, compiled for AVX2. */
#include "kernel/x86/attention_grad_body.h"
