/* The tile interpreter, compiled for AVX2. */
#include "kernel/x86/group_body.h"
