/* Checks of integer data (indices, labels) that only a run can make. */
#include "kernel/ref/ref_int.h"

fet_status fet__ref_check_range(const char *op, const char *what, const int32_t *v, int64_t count, int64_t low,
                                int64_t high)
{
    for (int64_t i = 0; i < count; i++)
        if (v[i] < low || v[i] >= high)
            return FET_FAIL(FET_E_DATA, "%s: %s %d at place %lld is outside [%lld, %lld)", op, what, (int)v[i],
                            (long long)i, (long long)low, (long long)high);
    return FET_OK;
}
