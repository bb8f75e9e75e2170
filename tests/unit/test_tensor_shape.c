/* Shapes: counting, overflow, equality, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tensor/tensor.h"

static void counting(void **state)
{
    fet__shape s = FET_SHAPE(4, 17, 48), scalar = fet__shape_scalar(), empty = FET_SHAPE(3, 0, 2);
    fet__shape huge = FET_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40), negative = FET_SHAPE(2, -1);
    int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    fet__shape deep = fet__shape_make(9, dims), wrong = fet__shape_make(-2, dims), eight = fet__shape_make(8, dims);

    (void)state;
    assert_int_equal(fet__shape_count(&s), 4 * 17 * 48);
    assert_int_equal(fet__shape_count(&scalar), 1);
    assert_int_equal(fet__shape_count(&empty), 0);
    assert_int_equal(fet__shape_count(&huge), -1);
    assert_int_equal(fet__shape_count(&negative), -1);
    assert_int_equal(fet__shape_count(&deep), -1);
    assert_int_equal(fet__shape_count(&wrong), -1);
    assert_int_equal(fet__shape_count(&eight), 1);
}

static void equality(void **state)
{
    fet__shape a = FET_SHAPE(2, 3), b = FET_SHAPE(2, 3), c = FET_SHAPE(2, 4), d = FET_SHAPE(2, 3, 1);

    (void)state;
    a.dim[5] = 99; /* sizes behind the rank do not count */
    assert_true(fet__shape_equal(&a, &b));
    assert_false(fet__shape_equal(&a, &c));
    assert_false(fet__shape_equal(&a, &d));
}

static void text(void **state)
{
    fet__shape s = FET_SHAPE(4, 17, 48), scalar = fet__shape_scalar(), one = FET_SHAPE(5);
    int64_t least[8] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
    fet__shape longest = fet__shape_make(8, least), deep = fet__shape_make(9, least);
    const char *kept = fet__shape_text(&s);

    (void)state;
    for (int i = 0; i < 7; i++)
        assert_string_equal(fet__shape_text(&one), "[5]");
    assert_string_equal(kept, "[4, 17, 48]"); /* eight live at once */
    assert_string_equal(fet__shape_text(&scalar), "[]");
    assert_string_equal(fet__shape_text(&longest),
                        "[-9223372036854775808, -9223372036854775808, -9223372036854775808, -9223372036854775808, "
                        "-9223372036854775808, -9223372036854775808, -9223372036854775808, -9223372036854775808]");
    assert_string_equal(fet__shape_text(&deep), "[rank over 8]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counting), cmocka_unit_test(equality), cmocka_unit_test(text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
