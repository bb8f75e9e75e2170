/* Element types and conversion: every half value, rounding against an independent rule, saturation, every pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

static void names_and_sizes(void **state)
{
    static const size_t bytes[FET_DTYPE_COUNT] = {4, 8, 2, 2, 8, 4, 2, 1, 1, 1, 2, 4, 8};
    fet_dtype t;

    (void)state;
    for (int i = 0; i < FET_DTYPE_COUNT; i++) {
        assert_true(fet__dtype_parse(fet__dtype_name((fet_dtype)i), &t));
        assert_int_equal(t, i);
        assert_int_equal(fet__dtype_bytes((fet_dtype)i), bytes[i]);
        assert_int_equal(fet__dtype_is_float((fet_dtype)i), i <= FET_F16);
    }
    assert_string_equal(fet__dtype_name(FET_BF16), "bf16");
    assert_false(fet__dtype_parse("f31", &t));
    assert_false(fet__dtype_parse("", &t));
}

/* The value of a half-like number by its definition. */
static double half_value(unsigned bits, int exponent_bits)
{
    int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    unsigned fraction = bits & ((1u << fraction_bits) - 1);
    double sign = bits & 0x8000u ? -1 : 1;

    if (exponent == (1 << exponent_bits) - 1)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp((1u << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

static uint16_t narrow(double v, fet_dtype t)
{
    uint16_t out;

    fet__convert(&out, t, &v, FET_F64, 1);
    return out;
}

static void check_half_type(fet_dtype t, int exponent_bits)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        uint16_t in = (uint16_t)bits, back;
        double value = half_value(bits, exponent_bits), wide;
        float single;

        fet__convert(&single, FET_F32, &in, t, 1);
        fet__convert(&wide, FET_F64, &in, t, 1);
        fet__convert(&back, t, &single, FET_F32, 1);
        if (isnan(value)) {
            assert_true(isnan(single) && isnan(wide) && isnan(half_value(back, exponent_bits)));
            continue;
        }
        assert_true((double)single == value && wide == value);
        assert_int_equal(back, in); /* the sign of zero too */
    }
}

/* Between each two neighbours: the middle goes to the even one, a hair beside it to the nearer. The hair is far below
 * what a float can hold beside the middle, so a conversion that rounds twice fails here. */
static void check_half_rounding(fet_dtype t, int exponent_bits)
{
    for (unsigned bits = 0;; bits++) {
        double low = half_value(bits, exponent_bits), high = half_value(bits + 1, exponent_bits), middle;
        unsigned even = bits % 2 == 0 ? bits : bits + 1;

        if (isinf(high)) /* the step to infinity is where the next number would have been */
            high = 2 * low - half_value(bits - 1, exponent_bits);
        middle = low + (high - low) / 2;
        assert_int_equal(narrow(middle, t), even);
        assert_int_equal(narrow(nextafter(middle, 0), t), bits);
        assert_int_equal(narrow(nextafter(middle, INFINITY), t), bits + 1);
        assert_int_equal(narrow(-middle, t), even | 0x8000u);
        assert_int_equal(narrow(-nextafter(middle, 0), t), bits | 0x8000u);
        if (isinf(half_value(bits + 1, exponent_bits)))
            break;
    }
    assert_true(isinf(half_value(narrow(1e300, t), exponent_bits)));
    assert_true(isnan(half_value(narrow((double)NAN, t), exponent_bits)));
}

static void half_types_are_exact(void **state)
{
    (void)state;
    check_half_type(FET_F16, 5);
    check_half_type(FET_BF16, 8);
    check_half_rounding(FET_F16, 5);
    check_half_rounding(FET_BF16, 8);
    assert_true(fet__bf16_to_f32(0x3f80) == 1.0f);
    assert_int_equal(fet__f32_to_bf16(1.0f), 0x3f80);
}

static void floats_round_once_from_wide_integers(void **state)
{
    int64_t i = (INT64_C(1) << 54) + (INT64_C(1) << 30) + 1; /* just over the middle of two floats */
    uint64_t u = UINT64_MAX;
    float f;
    double d;

    (void)state;
    fet__convert(&f, FET_F32, &i, FET_I64, 1);
    assert_true(f == 0x1p54f + 0x1p31f);
    i = -i;
    fet__convert(&f, FET_F32, &i, FET_I64, 1);
    assert_true(f == -(0x1p54f + 0x1p31f));
    fet__convert(&f, FET_F32, &u, FET_U64, 1);
    assert_true(f == 0x1p64f);
    i = INT64_MIN;
    fet__convert(&d, FET_F64, &i, FET_I64, 1);
    assert_true(d == -0x1p63);
}

static void integers_saturate_and_drop_fractions(void **state)
{
    double in[8] = {1.9, -1.9, 300, -300, NAN, 1e30, -1e30, -0.5};
    int8_t i8[8], i8_answer[8] = {1, -1, 127, -128, 0, 127, -128, 0};
    uint8_t u8[8], u8_answer[8] = {1, 0, 255, 0, 0, 255, 0, 0}, truth[8], true_answer[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t i64[8], big[3] = {INT64_MIN, -1, INT64_MAX};
    uint64_t u64[8];
    int32_t i32[3];

    (void)state;
    fet__convert(i8, FET_I8, in, FET_F64, 8);
    assert_memory_equal(i8, i8_answer, sizeof i8);
    fet__convert(u8, FET_U8, in, FET_F64, 8);
    assert_memory_equal(u8, u8_answer, sizeof u8);
    fet__convert(truth, FET_BOOL, in, FET_F64, 8);
    assert_memory_equal(truth, true_answer, sizeof truth);
    fet__convert(i64, FET_I64, in, FET_F64, 8);
    assert_true(i64[5] == INT64_MAX && i64[6] == INT64_MIN && i64[4] == 0 && i64[3] == -300);
    fet__convert(u64, FET_U64, in, FET_F64, 8);
    assert_true(u64[5] == UINT64_MAX && u64[6] == 0 && u64[2] == 300);
    fet__convert(i32, FET_I32, big, FET_I64, 3);
    assert_true(i32[0] == INT32_MIN && i32[1] == -1 && i32[2] == INT32_MAX);
    fet__convert(u64, FET_U64, big, FET_I64, 3);
    assert_true(u64[0] == 0 && u64[1] == 0 && u64[2] == (uint64_t)INT64_MAX);
    u64[0] = UINT64_MAX;
    fet__convert(i64, FET_I64, u64, FET_U64, 1);
    assert_true(i64[0] == INT64_MAX);
}

/* Small numbers survive a round trip through every pair, at odd counts and at unaligned places. */
static void every_pair_carries_small_numbers(void **state)
{
    static const double values[5] = {0, 1, 1, 0, 1}, more[5] = {0, 1, 100, 7, 64};

    (void)state;
    for (int a = 0; a < FET_DTYPE_COUNT; a++)
        for (int b = 0; b < FET_DTYPE_COUNT; b++) {
            const double *in = a == FET_BOOL || b == FET_BOOL ? values : more;
            char from[41], to[42];
            double out[5];

            memset(to, 0x5a, sizeof to);
            fet__convert(from + 1, (fet_dtype)a, in, FET_F64, 5);
            fet__convert(to + 1, (fet_dtype)b, from + 1, (fet_dtype)a, 5);
            fet__convert(out, FET_F64, to + 1, (fet_dtype)b, 5);
            for (int i = 0; i < 5; i++)
                if (out[i] != in[i])
                    fail_msg("%s to %s: %g became %g", fet__dtype_name((fet_dtype)a), fet__dtype_name((fet_dtype)b),
                             in[i], out[i]);
            assert_int_equal(to[1 + 5 * fet__dtype_bytes((fet_dtype)b)], 0x5a);
            fet__convert(to, (fet_dtype)b, from + 1, (fet_dtype)a, 0);
            assert_int_equal(to[0], 0x5a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_sizes),
        cmocka_unit_test(half_types_are_exact),
        cmocka_unit_test(floats_round_once_from_wide_integers),
        cmocka_unit_test(integers_saturate_and_drop_fractions),
        cmocka_unit_test(every_pair_carries_small_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
