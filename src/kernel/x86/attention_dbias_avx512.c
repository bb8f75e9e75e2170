/* The gradient of attention's bias, compiled for AVX-512. */
#include "kernel/x86/attention_dbias_body.h"
