/* Thin products, AVX2. */
#include "kernel/x86/skinny_body.h"
