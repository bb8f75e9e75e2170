/* What the parts of kernel/ share beyond kernel.h. */
#ifndef FET_KERNEL_INT_H
#define FET_KERNEL_INT_H

#include "kernel/kernel.h"

/* Matrix products with a side of a few elements; asked before the other tables. */
extern const fet__kernel fet__kernels_skinny[];

#endif
