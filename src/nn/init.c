/* Initial values of parameters: counter-based, a function of seed and name, so that adding a layer changes no other layer's start. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

fet__init fet__init_xavier(int64_t in, int64_t out)
{
    return (fet__init){FET__INIT_UNIFORM, sqrt(6.0 / (double)(in + out))};
}

fet__init fet__init_kaiming5(int64_t in)
{
    return (fet__init){FET__INIT_UNIFORM, 1.0 / sqrt((double)in)};
}

/* Draws of one element come from consecutive steps of its own stream, so that a rejected draw disturbs no neighbour. */
static double draw(fet__init init, uint64_t seed, uint32_t stream, uint64_t i)
{
    double z = 0;
    uint32_t attempt;

    switch (init.kind) {
    case FET__INIT_ZERO: return 0;
    case FET__INIT_ONE: return 1;
    case FET__INIT_VALUE: return init.a;
    case FET__INIT_UNIFORM: return init.a * (2.0 * (double)fet__random_uniform(seed, stream, 0, i) - 1.0);
    case FET__INIT_NORMAL: return init.a * fet__random_normal(seed, stream, 0, i);
    case FET__INIT_TRUNC_NORMAL:
        for (attempt = 0; attempt < 64; attempt++) {
            z = fet__random_normal(seed, stream, attempt, i);
            if (fabs(z) <= 2.0)
                return init.a * z;
        }
        return 0;
    }
    return 0;
}

void fet__init_fill(void *data, fet_dtype t, int64_t count, fet__init init, uint64_t seed, const char *name)
{
    uint32_t stream = fet__hash32(name);
    int64_t i;

    if (init.kind == FET__INIT_ZERO) {
        memset(data, 0, (size_t)count * fet__dtype_bytes(t));
        return;
    }
    /* Every element is a function of its index alone, so threads change nothing. */
#pragma omp parallel for schedule(static) num_threads(fet__threads())
    for (i = 0; i < count; i++) {
        double v = draw(init, seed, stream, (uint64_t)i);
        if (t == FET_F64)
            ((double *)data)[i] = v;
        else
            ((float *)data)[i] = (float)v;
    }
}
