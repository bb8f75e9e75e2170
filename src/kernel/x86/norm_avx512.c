/* Layer norm and its gradients, compiled for AVX-512. */
#include "kernel/x86/norm_body.h"
