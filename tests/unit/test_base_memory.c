/* Zeroing, alignment, overflow, counters, the failure hook, and arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/base.h"

static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20};

static void memory_is_aligned_zeroed_and_counted(void **state)
{
    uint64_t before = fet__alloc_bytes(), calls = fet__alloc_calls();

    (void)state;
    for (size_t i = 0; i < FET_COUNT(sizes); i++)
        for (int again = 0; again < 2; again++) {
            unsigned char *p = fet__alloc(sizes[i], 1);

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            assert_int_equal(fet__alloc_bytes() - before, sizes[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                if (p[k] != 0)
                    fail_msg("byte %zu of %zu is not zero", k, sizes[i]);
            memset(p, 0xff, sizes[i]); /* the second round meets dirty memory */
            fet__free(p);
        }
    assert_int_equal(fet__alloc_bytes(), before);
    assert_int_equal(fet__alloc_calls() - calls, 2 * FET_COUNT(sizes));
    fet__free(NULL);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    assert_null(fet__alloc(SIZE_MAX, 2));
    assert_non_null(strstr(fet_error_message(), "x 2 bytes"));
    assert_null(fet__alloc_raw(SIZE_MAX / 2, 2));
    assert_null(fet__alloc(SIZE_MAX - 10, 1));
    assert_null(fet__realloc(NULL, 0, SIZE_MAX / 4, 8));
}

static void realloc_keeps_contents_and_clears_the_rest(void **state)
{
    int *p = NULL, *grown;

    (void)state;
    assert_int_equal(FET_NEW(p, 3), FET_OK);
    for (int i = 0; i < 3; i++)
        p[i] = i + 1;
    grown = fet__realloc(p, 3, 100, sizeof *p);
    assert_non_null(grown);
    for (int i = 0; i < 100; i++)
        assert_int_equal(grown[i], i < 3 ? i + 1 : 0);
    fet__alloc_fail_after(1);
    assert_null(fet__realloc(grown, 100, 200, sizeof *p));
    assert_int_equal(grown[2], 3); /* the old block is still ours */
    fet__free(grown);
    p = fet__realloc(NULL, 0, 4, sizeof *p);
    assert_int_equal(p[3], 0);
    fet__free(p);
}

static void the_chosen_allocation_fails(void **state)
{
    void *p[3];

    (void)state;
    fet__alloc_fail_after(2);
    for (int i = 0; i < 3; i++)
        p[i] = fet__alloc(10, 1);
    assert_non_null(p[0]);
    assert_null(p[1]);
    assert_non_null(p[2]);
    assert_non_null(strstr(fet_error_message(), "out of memory"));
    fet__free(p[0]);
    fet__free(p[2]);
}

static void texts_are_copied(void **state)
{
    char *a = fet__strdup("seven"), *b = fet__strndup("seventeen", 5), *c = fet__format("%s-%d", a, 7);
    char *d = fet__strndup("ab", 100);

    (void)state;
    assert_string_equal(a, "seven");
    assert_string_equal(b, "seven");
    assert_string_equal(c, "seven-7");
    assert_string_equal(d, "ab");
    fet__free(a);
    fet__free(b);
    fet__free(c);
    fet__free(d);
}

static void arena_pieces_are_zeroed_apart_and_freed_together(void **state)
{
    uint64_t before = fet__alloc_bytes();
    fet__arena arena = {0};
    unsigned char *p[300];

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        p[i] = fet__arena_alloc(&arena, i * 7, 1);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal(p[i][k], 0);
        memset(p[i], (int)(i & 0xff), i * 7);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i * 7; k++)
            if (p[i][k] != (i & 0xff))
                fail_msg("piece %zu was overwritten at %zu", i, k);
    assert_string_equal(fet__arena_strdup(&arena, "name"), "name");
    assert_string_equal(fet__arena_format(&arena, "%s.%d", "blocks", 3), "blocks.3");
    assert_non_null(fet__arena_alloc(&arena, 3 << 20, 1));
    assert_null(fet__arena_alloc(&arena, SIZE_MAX, 16));
    fet__alloc_fail_after(1);
    assert_null(fet__arena_alloc(&arena, 5 << 20, 1));
    fet__arena_fini(&arena);
    fet__arena_fini(&arena);
    assert_int_equal(fet__alloc_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_zeroed_and_counted),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(realloc_keeps_contents_and_clears_the_rest),
        cmocka_unit_test(the_chosen_allocation_fails),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(arena_pieces_are_zeroed_apart_and_freed_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
