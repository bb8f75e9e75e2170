/* Layer norm and its gradients, compiled for AVX2. */
#include "kernel/x86/norm_body.h"
