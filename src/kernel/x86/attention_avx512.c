/* Attention, compiled for AVX-512. */
#include "kernel/x86/attention_body.h"
