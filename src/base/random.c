/* Counter-based random numbers: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
 * A value is a pure function of seed, stream, step and element, so the thread count, recomputation and a resume cannot
 * change it. Distributions for augmentation (Beta and the like) are made by their users from these.
 *
 * One block of four lanes:   counter = {block low, block high, step, stream},  key = {seed low, seed high}
 * Normal values come in pairs: lanes 2k and 2k + 1 give elements 2k (cosine) and 2k + 1 (sine) by Box-Muller. */
#include "base/base.h"

#include <math.h>

#define ROUNDS 10
#define MULTIPLY_0 0xD2511F53u
#define MULTIPLY_1 0xCD9E8D57u
#define KEY_STEP_0 0x9E3779B9u /* golden ratio */
#define KEY_STEP_1 0xBB67AE85u /* sqrt(3) - 1 */
#define TWO_PI 6.283185307179586476925286766559

void fet__philox(uint32_t out[4], uint64_t seed, uint32_t stream, uint32_t step, uint64_t block)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = step, c3 = stream;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLY_0 * c0, p1 = (uint64_t)MULTIPLY_1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += KEY_STEP_0;
        k1 += KEY_STEP_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t fet__random_u32(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i)
{
    uint32_t lanes[4];

    fet__philox(lanes, seed, stream, step, i / 4);
    return lanes[i % 4];
}

float fet__random_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i)
{
    return (float)(fet__random_u32(seed, stream, step, i) >> 8) * 0x1p-24f;
}

/* a is moved off zero by half a step, so the logarithm is finite; the largest value is sqrt(2 ln 2^33) = 6.76. */
static void box_muller(double out[2], uint32_t a, uint32_t b)
{
    double radius = sqrt(-2.0 * log(((double)a + 0.5) * 0x1p-32));
    double angle = TWO_PI * ((double)b * 0x1p-32);

    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void fet__random_normal4(double out[4], uint64_t seed, uint32_t stream, uint32_t step, uint64_t block)
{
    uint32_t lanes[4];

    fet__philox(lanes, seed, stream, step, block);
    box_muller(out, lanes[0], lanes[1]);
    box_muller(out + 2, lanes[2], lanes[3]);
}

double fet__random_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i)
{
    double four[4];

    fet__random_normal4(four, seed, stream, step, i / 4);
    return four[i % 4];
}

uint32_t fet__hash32(const char *s)
{
    uint32_t h = 2166136261u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

uint32_t fet__rng_u32(fet__rng *r)
{
    return fet__random_u32(r->seed, r->stream, r->step, r->next++);
}

static uint64_t next_u64(fet__rng *r)
{
    uint64_t high = fet__rng_u32(r);

    return high << 32 | fet__rng_u32(r);
}

/* 53 random bits. Rounding of the sum can reach `high`, which is not part of the range: step back below it. */
double fet__rng_uniform(fet__rng *r, double low, double high)
{
    double u = (double)(next_u64(r) >> 11) * 0x1p-53;
    double v = low + (high - low) * u;

    if (v >= high && high > low)
        v = nextafter(high, low);
    return v;
}

int64_t fet__rng_int(fet__rng *r, int64_t low, int64_t high)
{
    uint64_t range = (uint64_t)high - (uint64_t)low + 1; /* 0 stands for 2^64 */
    uint64_t v = next_u64(r);

    if (high <= low)
        return low;
    if (range != 0) {
        uint64_t first = (0 - range) % range; /* 2^64 mod range: below it the last incomplete run would bias */

        while (v < first)
            v = next_u64(r);
        v %= range;
    }
    return (int64_t)((uint64_t)low + v);
}

double fet__rng_normal(fet__rng *r)
{
    double pair[2];
    uint32_t a = fet__rng_u32(r);

    box_muller(pair, a, fet__rng_u32(r));
    return pair[0];
}

void fet__rng_shuffle(fet__rng *r, int32_t *items, int64_t count)
{
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = fet__rng_int(r, 0, i);
        int32_t keep = items[i];

        items[i] = items[j];
        items[j] = keep;
    }
}
