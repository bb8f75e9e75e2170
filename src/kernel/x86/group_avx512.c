/* The tile interpreter, compiled for AVX-512. */
#include "kernel/x86/group_body.h"
