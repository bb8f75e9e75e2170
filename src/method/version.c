/* Versions and settings of the process: threads, memory budget. */
#include "method/method_int.h"

#include <stdatomic.h>

#define MAX_THREADS 1024

static _Atomic int64_t budget;
static _Atomic int own_threads; /* what this process began with; 0: never changed */

const char *fet_version(void)
{
    return FETTLE_VERSION;
}

const char *fet_version_library(void)
{
    return fet__machine_library();
}

const char *fet_version_cpu(void)
{
    return fet__cpu_text();
}

fet_status fet_set_threads(int n)
{
    if (n < 0 || n > MAX_THREADS)
        return FET_FAIL(FET_E_ARG, "%d threads; 1 to %d are possible, or 0 for the cores that this process may use", n,
                        MAX_THREADS);
    if (n > 0 && atomic_load(&own_threads) == 0)
        atomic_store(&own_threads, fet__threads());
    if (n == 0)
        n = atomic_load(&own_threads);
    if (n > 0)
        fet__set_threads(n);
    return FET_OK;
}

int fet_threads(void)
{
    return fet__threads();
}

fet_status fet_set_memory(int64_t bytes)
{
    if (bytes < 0)
        return FET_FAIL(FET_E_ARG, "a memory budget of %lld bytes", (long long)bytes);
    atomic_store(&budget, bytes);
    return FET_OK;
}

int64_t fet__budget(int64_t given)
{
    return given > 0 ? given : atomic_load(&budget);
}
