/* Element types: sizes, names, and conversion between any two. Speed matters only for the float pairs that checkpoints
 * use; the rest goes through one wide value per element.
 *
 * Rules: float targets round to nearest even (once: through a value that keeps a sticky bit, never twice). Integer
 * targets drop the fraction, saturate, and turn NaN into 0. Boolean targets are 1 for anything that is not zero. */
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

typedef enum kind { FLOATING, SIGNED, UNSIGNED, BOOLEAN } kind;

static const struct {
    const char *name;
    size_t bytes;
    kind kind;
} table[] = {
    [FET_F32] = {"f32", 4, FLOATING},  [FET_F64] = {"f64", 8, FLOATING}, [FET_BF16] = {"bf16", 2, FLOATING},
    [FET_F16] = {"f16", 2, FLOATING},  [FET_I64] = {"i64", 8, SIGNED},   [FET_I32] = {"i32", 4, SIGNED},
    [FET_I16] = {"i16", 2, SIGNED},    [FET_I8] = {"i8", 1, SIGNED},     [FET_U8] = {"u8", 1, UNSIGNED},
    [FET_BOOL] = {"bool", 1, BOOLEAN}, [FET_U16] = {"u16", 2, UNSIGNED}, [FET_U32] = {"u32", 4, UNSIGNED},
    [FET_U64] = {"u64", 8, UNSIGNED},
};
_Static_assert(FET_COUNT(table) == FET_DTYPE_COUNT, "one row per type");

size_t fet__dtype_bytes(fet_dtype t)
{
    return table[t].bytes;
}

const char *fet__dtype_name(fet_dtype t)
{
    return table[t].name;
}

bool fet__dtype_parse(const char *s, fet_dtype *out)
{
    for (int i = 0; i < FET_DTYPE_COUNT; i++)
        if (strcmp(s, table[i].name) == 0) {
            *out = (fet_dtype)i;
            return true;
        }
    return false;
}

bool fet__dtype_is_float(fet_dtype t)
{
    return table[t].kind == FLOATING;
}

/* ---- half types ---- */

static uint32_t bits_of(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float v;

    memcpy(&v, &u, sizeof v);
    return v;
}

float fet__bf16_to_f32(uint16_t v)
{
    return float_of((uint32_t)v << 16);
}

uint16_t fet__f32_to_bf16(float v)
{
    uint32_t u = bits_of(v);

    if ((u & 0x7fffffffu) > 0x7f800000u) /* NaN: keep it one, whatever its low bits */
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* sign 1, exponent 5 (bias 15), fraction 10 */
static float f16_to_f32(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000u) << 16, exponent = v >> 10 & 31u, fraction = v & 0x3ffu;

    if (exponent == 31)
        return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24, exact in float */
        float magnitude = (float)fraction * 0x1p-24f;

        return float_of(sign | bits_of(magnitude));
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

static uint16_t f32_to_f16(float v)
{
    uint32_t u = bits_of(v), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* from 65520 on the nearest is infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) /* below 2^-14: adding 0.5 leaves the multiple of 2^-24, rounded, in the low bits */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u));
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}

/* A double as a float whose last bit is set when bits were lost ("round to odd"): rounding that to a half type gives
 * what rounding the double directly would give. */
static float odd_float(double v)
{
    float f = (float)v;
    uint32_t u;

    if ((double)f == v || isnan(v))
        return f;
    u = bits_of(f);
    if (fabs((double)f) > fabs(v))
        u--; /* towards zero; infinity becomes the largest float */
    return float_of(u | 1u);
}

/* ---- any pair ---- */

/* One element: as double, or exactly as an integer. */
typedef struct wide {
    kind kind;
    double f;
    int64_t i;
    uint64_t u;
} wide;

/* The same for a 64-bit magnitude, as a double: exact up to 53 bits, sticky above. */
static double sticky_double(uint64_t u)
{
    if (u >> 53)
        u = (u >> 11 | ((u & 0x7ffu) != 0)) << 11;
    return (double)u;
}

static wide load(const char *p, fet_dtype t)
{
    wide w = {table[t].kind, 0, 0, 0};
    union {
        float f32;
        double f64;
        int64_t i64;
        int32_t i32;
        int16_t i16;
        int8_t i8;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
    } v;

    memcpy(&v, p, table[t].bytes);
    switch (t) {
    case FET_F32: w.f = v.f32; break;
    case FET_F64: w.f = v.f64; break;
    case FET_BF16: w.f = fet__bf16_to_f32(v.u16); break;
    case FET_F16: w.f = f16_to_f32(v.u16); break;
    case FET_I64: w.i = v.i64; break;
    case FET_I32: w.i = v.i32; break;
    case FET_I16: w.i = v.i16; break;
    case FET_I8: w.i = v.i8; break;
    case FET_U8: w.u = v.u8; break;
    case FET_BOOL: w.u = v.u8 != 0; break;
    case FET_U16: w.u = v.u16; break;
    case FET_U32: w.u = v.u32; break;
    case FET_U64: w.u = v.u64; break;
    }
    return w;
}

static double wide_float(const wide *w, bool exact_double)
{
    if (w->kind == FLOATING)
        return w->f;
    if (w->kind == SIGNED && w->i < 0)
        return exact_double ? (double)w->i : -sticky_double(0 - (uint64_t)w->i);
    if (w->kind == SIGNED)
        return exact_double ? (double)w->i : sticky_double((uint64_t)w->i);
    return exact_double ? (double)w->u : sticky_double(w->u);
}

static int64_t wide_signed(const wide *w, int bits)
{
    int64_t high = (int64_t)(UINT64_MAX >> (65 - bits)), low = -high - 1;

    if (w->kind == FLOATING) {
        if (isnan(w->f))
            return 0;
        return w->f >= (double)high ? high : w->f <= (double)low ? low : (int64_t)w->f;
    }
    if (w->kind == SIGNED)
        return w->i > high ? high : w->i < low ? low : w->i;
    return w->u > (uint64_t)high ? high : (int64_t)w->u;
}

static uint64_t wide_unsigned(const wide *w, int bits)
{
    uint64_t high = UINT64_MAX >> (64 - bits);

    if (w->kind == FLOATING) {
        if (!(w->f > 0)) /* NaN too */
            return 0;
        return w->f >= (double)high ? high : (uint64_t)w->f;
    }
    if (w->kind == SIGNED)
        return w->i < 0 ? 0 : (uint64_t)w->i > high ? high : (uint64_t)w->i;
    return w->u > high ? high : w->u;
}

static bool wide_true(const wide *w)
{
    return w->kind == FLOATING ? w->f != 0 : w->kind == SIGNED ? w->i != 0 : w->u != 0;
}

static void save_float(char *p, fet_dtype t, const wide *w)
{
    double f = wide_float(w, t == FET_F64);
    float single = (float)f;
    uint16_t half;

    if (t == FET_F64) {
        memcpy(p, &f, sizeof f);
    } else if (t == FET_F32) {
        memcpy(p, &single, sizeof single);
    } else {
        half = t == FET_BF16 ? fet__f32_to_bf16(odd_float(f)) : f32_to_f16(odd_float(f));
        memcpy(p, &half, sizeof half);
    }
}

/* Types are little-endian in memory as in files, so the low bytes of a wide integer are the narrow one. */
static void save(char *p, fet_dtype t, const wide *w)
{
    int bits = (int)table[t].bytes * 8;
    uint64_t u = 0;

    switch (table[t].kind) {
    case FLOATING: save_float(p, t, w); return;
    case SIGNED: u = (uint64_t)wide_signed(w, bits); break;
    case UNSIGNED: u = wide_unsigned(w, bits); break;
    case BOOLEAN: u = wide_true(w); break;
    }
    memcpy(p, &u, table[t].bytes);
}

/* ---- the pairs that must be quick: simple loops that compilers turn into vector code ---- */

/* memcpy of one element allows any alignment: sources may lie in a file mapping. */
static bool convert_quick(char *dst, fet_dtype dst_type, const char *src, fet_dtype src_type, int64_t count)
{
    if (src_type == FET_BF16 && dst_type == FET_F32) {
        for (int64_t i = 0; i < count; i++) {
            uint16_t h;
            float f;

            memcpy(&h, src + 2 * i, 2);
            f = fet__bf16_to_f32(h);
            memcpy(dst + 4 * i, &f, 4);
        }
        return true;
    }
    if (src_type == FET_F32 && dst_type == FET_BF16) {
        for (int64_t i = 0; i < count; i++) {
            uint16_t h;
            float f;

            memcpy(&f, src + 4 * i, 4);
            h = fet__f32_to_bf16(f);
            memcpy(dst + 2 * i, &h, 2);
        }
        return true;
    }
    if (src_type == FET_F16 && dst_type == FET_F32) {
        for (int64_t i = 0; i < count; i++) {
            uint16_t h;
            float f;

            memcpy(&h, src + 2 * i, 2);
            f = f16_to_f32(h);
            memcpy(dst + 4 * i, &f, 4);
        }
        return true;
    }
    return false;
}

void fet__convert(void *dst, fet_dtype dst_type, const void *src, fet_dtype src_type, int64_t count)
{
    size_t to = table[dst_type].bytes, from = table[src_type].bytes;

    if (count <= 0)
        return;
    if (dst_type == src_type) {
        memmove(dst, src, (size_t)count * to);
        return;
    }
    if (convert_quick(dst, dst_type, src, src_type, count))
        return;
    for (int64_t i = 0; i < count; i++) {
        wide w = load((const char *)src + (size_t)i * from, src_type);

        save((char *)dst + (size_t)i * to, dst_type, &w);
    }
}
