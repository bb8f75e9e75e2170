/* Philox4x32-10 (base/random.c defines it) on VL blocks at a time: 4 * VL values of a stream per call. */
#ifndef FET_X86_RANDOM_BODY_H
#define FET_X86_RANDOM_BODY_H

#include <string.h>

#include "kernel/x86/vec.h"

#define PHILOX_BATCH (4 * VL)

#if VL == 16
#define unpack_low(a, b) _mm512_unpacklo_epi32(a, b)
#define unpack_high(a, b) _mm512_unpackhi_epi32(a, b)
#define unpack_low2(a, b) _mm512_unpacklo_epi64(a, b)
#define unpack_high2(a, b) _mm512_unpackhi_epi64(a, b)
#else
#define unpack_low(a, b) _mm256_unpacklo_epi32(a, b)
#define unpack_high(a, b) _mm256_unpackhi_epi32(a, b)
#define unpack_low2(a, b) _mm256_unpacklo_epi64(a, b)
#define unpack_high2(a, b) _mm256_unpackhi_epi64(a, b)
#endif

/* Unpacking gathers, in vector i, the blocks of lanes 4L + i for L = 0.., so lane 4L + i works on block i * VL/4 + L. */
INLINE vi block_of_lane(void)
{
    vi lane = vi_lanes(), inside = vi_and(lane, vi_set(3));
#if VL == 16
    return vi_add(_mm512_slli_epi32(inside, 2), vi_srl(lane, 2));
#else
    return vi_add(_mm256_slli_epi32(inside, 1), vi_srl(lane, 2));
#endif
}

INLINE vf uniform_of_bits(vi bits)
{
    return v_mul(v_of_int(vi_srl(bits, 8)), v_set(0x1p-24f));
}

/* Values 4 * block .. 4 * block + PHILOX_BATCH - 1. */
static void philox_batch(float *out, uint64_t seed, uint32_t stream, uint32_t step, uint64_t block)
{
    vi first = vi_set((int32_t)(uint32_t)block);
    vi c0 = vi_add(first, block_of_lane());
    vi c1 = vi_add(vi_set((int32_t)(uint32_t)(block >> 32)), vi_below(c0, first)); /* carry */
    vi c2 = vi_set((int32_t)step), c3 = vi_set((int32_t)stream);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    vi t0, t1, t2, t3;

    for (int round = 0; round < 10; round++) {
        vi low0, high0, low1, high1;

        vi_mul_wide(c0, vi_set((int32_t)0xD2511F53u), &low0, &high0);
        vi_mul_wide(c2, vi_set((int32_t)0xCD9E8D57u), &low1, &high1);
        c0 = vi_xor(vi_xor(high1, c1), vi_set((int32_t)k0));
        c2 = vi_xor(vi_xor(high0, c3), vi_set((int32_t)k1));
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    t0 = unpack_low(c0, c1);
    t1 = unpack_high(c0, c1);
    t2 = unpack_low(c2, c3);
    t3 = unpack_high(c2, c3);
    v_store(out, uniform_of_bits(unpack_low2(t0, t2)));
    v_store(out + VL, uniform_of_bits(unpack_high2(t0, t2)));
    v_store(out + 2 * VL, uniform_of_bits(unpack_low2(t1, t3)));
    v_store(out + 3 * VL, uniform_of_bits(unpack_high2(t1, t3)));
}

/* Elements first .. first + count - 1 of a stream, any alignment. */
static void random_span(float *out, int64_t count, uint64_t seed, uint32_t stream, uint32_t step, uint64_t first)
{
    while (count > 0) {
        uint64_t skip = first % 4;
        int64_t take = PHILOX_BATCH - (int64_t)skip;
        float batch[PHILOX_BATCH];

        if (skip == 0 && count >= PHILOX_BATCH) {
            philox_batch(out, seed, stream, step, first / 4);
        } else {
            take = take < count ? take : count;
            philox_batch(batch, seed, stream, step, first / 4);
            memcpy(out, batch + skip, (size_t)take * sizeof *out);
        }
        out += take;
        first += (uint64_t)take;
        count -= take;
    }
}

#endif
