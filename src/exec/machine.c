/* What the layers above may know of the machine and its kernels: the library's name and the measured peak. */
#include "exec/exec.h"

#include "kernel/kernel.h"

const char *fet__machine_library(void)
{
    return fet__kernel_library();
}

double fet__machine_peak(fet_dtype t, double seconds)
{
    return fet__measure_peak(t, seconds);
}
