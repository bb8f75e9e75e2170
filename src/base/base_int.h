/* What the files of base/ share among themselves: the limits that control groups put on this process. */
#ifndef FET_BASE_INT_H
#define FET_BASE_INT_H

#include "base/base.h"

/* Bytes that the memory limits in force still allow, or -1 when none is set. `mount` is where control groups are
 * mounted (/sys/fs/cgroup) and `self` lists the groups of the process (/proc/self/cgroup). */
int64_t fet__cgroup_memory_left(const char *mount, const char *self);
/* Processors that the CPU quota allows, rounded up, or -1 when none is set. */
int fet__cgroup_cpus(const char *mount, const char *self);

#endif
