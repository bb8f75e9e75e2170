/* Thin products, AVX-512. */
#include "kernel/x86/skinny_body.h"
