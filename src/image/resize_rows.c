/* The inner sums of the 8-bit resize, for every processor and, with SSE2 (part of each x86-64), for 16-bit
 * multiplies that add neighbours. Products of a byte and a 22-bit weight need 32-bit multiplies, which SSE2 lacks;
 * a weight split in two halves needs two 16-bit ones, and sums modulo 2^32 are exact because the true sum fits: no
 * filter's weights sum to more than 2 in absolute value. */
#include "image/resize_rows.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define FRACTION_BITS 22
#define LOW_BITS 12
#define CHANNELS 3

static uint32_t pair_of(int32_t first, int32_t second)
{
    return ((uint32_t)first & 0xFFFF) | (uint32_t)second << 16;
}

/* Two weights in [-2, 2] to their pair: rounded half away from zero, then split. */
static void put_pair(uint32_t *pair, const double *weight)
{
    int32_t fixed[2];

    for (int i = 0; i < 2; i++) {
        double scaled = weight[i] * (1 << FRACTION_BITS);

        fixed[i] = (int32_t)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
    }
    pair[0] = pair_of(fixed[0] >> LOW_BITS, fixed[1] >> LOW_BITS);
    pair[1] = pair_of(fixed[0] & ((1 << LOW_BITS) - 1), fixed[1] & ((1 << LOW_BITS) - 1));
}

fet_status fet__row_taps_build(fet__row_taps *out, int inputs, int outputs, int begin, int count, fet__filter f)
{
    fet_status st;
    fet__taps t;
    size_t pairs;

    memset(out, 0, sizeof *out);
    FET_TRY(fet__taps_build(&t, inputs, outputs, begin, count, f));
    pairs = (size_t)count * (size_t)t.max / 2;
    FET_TRY(FET_NEW(out->pair, pairs * 2));
    for (size_t i = 0; i < pairs; i++)
        put_pair(out->pair + 2 * i, t.weight + 2 * i);
    out->count = count;
    out->pairs = t.max / 2;
    out->first = t.first;
    out->used = t.used;
    t.first = t.used = NULL;
done:
    fet__taps_fini(&t);
    return st;
}

void fet__row_taps_fini(fet__row_taps *t)
{
    fet__free(t->first);
    fet__free(t->used);
    fet__free(t->pair);
    memset(t, 0, sizeof *t);
}

/* Weight number k of an output's pairs. */
static int32_t weight_at(const uint32_t *pair, int k)
{
    const uint32_t *p = pair + (k & ~1);
    int shift = (k & 1) * 16;

    return (int16_t)(p[0] >> shift) * (1 << LOW_BITS) + (int16_t)(p[1] >> shift);
}

static uint8_t finish(int32_t sum)
{
    sum = (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One byte of a column: the form without vector instructions, and the end of rows shorter than a vector. */
static uint8_t column_byte(const uint8_t *rows, size_t stride, const uint32_t *pair, int used)
{
    int32_t sum = 0;

    for (int k = 0; k < used; k++)
        sum += weight_at(pair, k) * rows[(size_t)k * stride];
    return finish(sum);
}

#if defined(__SSE2__)

typedef struct sums {
    __m128i high, low;
} sums;

static __m128i combine(sums s)
{
    __m128i half = _mm_set1_epi32(1 << (FRACTION_BITS - 1));

    return _mm_srai_epi32(_mm_add_epi32(_mm_add_epi32(_mm_slli_epi32(s.high, LOW_BITS), s.low), half), FRACTION_BITS);
}

static void add_madd(sums *s, __m128i values, __m128i high, __m128i low)
{
    s->high = _mm_add_epi32(s->high, _mm_madd_epi16(values, high));
    s->low = _mm_add_epi32(s->low, _mm_madd_epi16(values, low));
}

/* r0 g0 b0 r1 g1 b1 .. at `p` to the 16-bit numbers r0 r1 g0 g1 b0 b1 and two that nobody looks at. */
static __m128i pixel_pair(const uint8_t *p)
{
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);

    v = _mm_unpacklo_epi8(v, _mm_srli_epi64(v, 8 * CHANNELS));
    return _mm_unpacklo_epi8(v, _mm_setzero_si128());
}

static void put_pixel(uint8_t *to, sums s)
{
    __m128i words = _mm_packs_epi32(combine(s), _mm_setzero_si128());
    int32_t rgb = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));

    memcpy(to, &rgb, CHANNELS);
}

void fet__resize_row_pair(uint8_t *const to[2], const uint8_t *const row[2], const fet__row_taps *t)
{
    for (int x = 0; x < t->count; x++) {
        const uint32_t *pair = t->pair + (size_t)x * (size_t)t->pairs * 2;
        size_t at = (size_t)t->first[x] * CHANNELS, out = (size_t)x * CHANNELS;
        sums a = {_mm_setzero_si128(), _mm_setzero_si128()}, b = a;

        for (int k = 0; k < t->used[x]; k += 2, at += 2 * CHANNELS, pair += 2) {
            __m128i both = _mm_loadl_epi64((const __m128i *)(const void *)pair);
            __m128i high = _mm_shuffle_epi32(both, 0x00), low = _mm_shuffle_epi32(both, 0x55);

            add_madd(&a, pixel_pair(row[0] + at), high, low);
            add_madd(&b, pixel_pair(row[1] + at), high, low);
        }
        put_pixel(to[0] + out, a);
        put_pixel(to[1] + out, b);
    }
}

/* 16 bytes of an output row. */
static void column_block(uint8_t *to, const uint8_t *rows, size_t stride, const uint32_t *pair, int used)
{
    const __m128i zero = _mm_setzero_si128();
    sums s[4] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};

    for (int k = 0; k < used; k += 2, pair += 2) {
        const uint8_t *p = rows + (size_t)k * stride,
                      *q = k + 1 < used ? p + stride : p; /* a lone tap's partner has weight 0 */
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p),
                b = _mm_loadu_si128((const __m128i *)(const void *)q);
        __m128i high = _mm_set1_epi32((int32_t)pair[0]), low = _mm_set1_epi32((int32_t)pair[1]);
        __m128i front = _mm_unpacklo_epi8(a, b), back = _mm_unpackhi_epi8(a, b);

        add_madd(&s[0], _mm_unpacklo_epi8(front, zero), high, low);
        add_madd(&s[1], _mm_unpackhi_epi8(front, zero), high, low);
        add_madd(&s[2], _mm_unpacklo_epi8(back, zero), high, low);
        add_madd(&s[3], _mm_unpackhi_epi8(back, zero), high, low);
    }
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi16(_mm_packs_epi32(combine(s[0]), combine(s[1])),
                                                             _mm_packs_epi32(combine(s[2]), combine(s[3]))));
}

void fet__resize_column(uint8_t *to, const uint8_t *rows, size_t stride, size_t bytes, const fet__row_taps *t, int y)
{
    const uint32_t *pair = t->pair + (size_t)y * (size_t)t->pairs * 2;
    int used = t->used[y];
    size_t x = 0;

    rows += (size_t)t->first[y] * stride;
    for (; x + 16 <= bytes; x += 16)
        column_block(to + x, rows + x, stride, pair, used);
    if (x < bytes && bytes >= 16)
        column_block(to + bytes - 16, rows + bytes - 16, stride, pair, used); /* overlaps the block before */
    else
        for (; x < bytes; x++)
            to[x] = column_byte(rows + x, stride, pair, used);
}

#else

void fet__resize_row_pair(uint8_t *const to[2], const uint8_t *const row[2], const fet__row_taps *t)
{
    for (int x = 0; x < t->count; x++) {
        const uint32_t *pair = t->pair + (size_t)x * (size_t)t->pairs * 2;
        size_t at = (size_t)t->first[x] * CHANNELS, out = (size_t)x * CHANNELS;

        for (int i = 0; i < 2 * CHANNELS; i++)
            to[i / CHANNELS][out + (size_t)(i % CHANNELS)] =
                column_byte(row[i / CHANNELS] + at + (size_t)(i % CHANNELS), CHANNELS, pair, t->used[x]);
    }
}

void fet__resize_column(uint8_t *to, const uint8_t *rows, size_t stride, size_t bytes, const fet__row_taps *t, int y)
{
    const uint32_t *pair = t->pair + (size_t)y * (size_t)t->pairs * 2;

    rows += (size_t)t->first[y] * stride;
    for (size_t x = 0; x < bytes; x++)
        to[x] = column_byte(rows + x, stride, pair, t->used[y]);
}

#endif
