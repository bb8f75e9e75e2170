/* SHA-256 against the standard's examples, in one piece and in many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/base.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void known_sums(void **state)
{
    fet__sha256 *h;
    char hex[65], piece[1000];

    (void)state;
    assert_int_equal(fet__sha256_begin(&h), FET_OK);
    fet__sha256_add(h, NULL, 0);
    fet__sha256_end(h, hex);
    assert_string_equal(hex, EMPTY);
    assert_int_equal(fet__sha256_begin(&h), FET_OK);
    fet__sha256_add(h, "a", 1);
    fet__sha256_add(h, "bc", 2);
    fet__sha256_end(h, hex);
    assert_string_equal(hex, ABC);
    memset(piece, 'a', sizeof piece);
    assert_int_equal(fet__sha256_begin(&h), FET_OK);
    for (int i = 0; i < 1000; i++)
        fet__sha256_add(h, piece, sizeof piece);
    fet__sha256_end(h, hex);
    assert_string_equal(hex, MILLION_A);
}

static void dropping_and_failing_leak_nothing(void **state)
{
    uint64_t before = fet__alloc_bytes();
    fet__sha256 *h;

    (void)state;
    assert_int_equal(fet__sha256_begin(&h), FET_OK);
    fet__sha256_end(h, NULL);
    fet__alloc_fail_after(1);
    assert_int_equal(fet__sha256_begin(&h), FET_E_NOMEM);
    assert_null(h);
    fet__sha256_end(h, NULL);
    assert_int_equal(fet__alloc_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
        cmocka_unit_test(dropping_and_failing_leak_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
