/* Depthwise convolution and its gradient of the map, compiled for AVX-512. */
#include "kernel/x86/depthwise_body.h"
