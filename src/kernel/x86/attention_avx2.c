/* Attention, compiled for AVX2. */
#include "kernel/x86/attention_body.h"
