/* Row-major index arithmetic and typed element access for the reference kernels. */
#include <math.h>

#include "kernel/ref/ref_int.h"

void fet__ref_strides(int64_t stride[FET__MAX_RANK], const fet__shape *s)
{
    int64_t n = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= s->dim[i];
    }
}

void fet__ref_broadcast_strides(int64_t stride[FET__MAX_RANK], const fet__shape *s, const fet__shape *full)
{
    if (s->rank == 0) {
        for (int i = 0; i < full->rank; i++)
            stride[i] = 0;
        return;
    }
    fet__ref_strides(stride, s);
    for (int i = 0; i < full->rank; i++)
        if (s->dim[i] == 1)
            stride[i] = 0;
}

int64_t fet__ref_offset(int64_t i, const fet__shape *s, const int64_t stride[FET__MAX_RANK])
{
    int64_t at = 0;
    for (int a = s->rank - 1; a >= 0; a--) {
        at += i % s->dim[a] * stride[a];
        i /= s->dim[a];
    }
    return at;
}

void fet__ref_split(fet__ref_reduction *out, const fet__shape *full, uint32_t axes)
{
    out->kept = out->gone = *full;
    for (int i = 0; i < full->rank; i++)
        (axes >> i & 1 ? &out->kept : &out->gone)->dim[i] = 1;
    out->kept_count = fet__shape_count(&out->kept);
    out->gone_count = fet__shape_count(&out->gone);
    fet__ref_strides(out->stride, full);
}

int64_t fet__ref_rows(const fet__shape *s)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < s->rank; i++)
        n *= s->dim[i];
    return n;
}

int64_t fet__ref_cols(const fet__shape *s)
{
    return s->rank ? s->dim[s->rank - 1] : 1;
}

double fet__ref_load(const void *data, fet_dtype t, int64_t i)
{
    switch (t) {
    case FET_F64: return ((const double *)data)[i];
    case FET_I32: return ((const int32_t *)data)[i];
    default: return ((const float *)data)[i];
    }
}

int32_t fet__ref_to_i32(double v)
{
    if (isnan(v))
        return 0;
    return v >= INT32_MAX ? INT32_MAX : v <= INT32_MIN ? INT32_MIN : (int32_t)v;
}

void fet__ref_store(void *data, fet_dtype t, int64_t i, double v)
{
    switch (t) {
    case FET_F64: ((double *)data)[i] = v; break;
    case FET_I32: ((int32_t *)data)[i] = fet__ref_to_i32(v); break;
    default: ((float *)data)[i] = (float)v;
    }
}
