/* Places: spans that live at a common step never share bytes, the arena stays near the fullest step, and refusals are sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "plan/plan.h"

#define SPANS 400

/* An independent statement of the promise: per step, no byte range of a live span meets another's. */
static void assert_disjoint(const fet__span *s, int count, int64_t arena)
{
    for (int i = 0; i < count; i++) {
        assert_true(s[i].offset >= 0 && s[i].offset % 64 == 0 && s[i].offset + s[i].bytes <= arena);
        for (int j = i + 1; j < count; j++) {
            bool together = s[i].first <= s[j].last && s[j].first <= s[i].last;
            bool shared = s[i].offset < s[j].offset + s[j].bytes && s[j].offset < s[i].offset + s[i].bytes;

            assert_false(together && shared && s[i].bytes > 0 && s[j].bytes > 0);
        }
    }
}

static int random_spans(fet__span *s, fet__rng *r)
{
    int count = (int)fet__rng_int(r, 0, SPANS), steps = (int)fet__rng_int(r, 1, 200);

    for (int i = 0; i < count; i++) {
        int first = (int)fet__rng_int(r, 0, steps - 1);
        int life = fet__rng_uniform(r, 0, 1) < 0.2 ? steps : 8;
        int last = first + (int)fet__rng_int(r, 0, life);

        s[i] = (fet__span){
            .bytes = fet__rng_int(r, 0, 1 << fet__rng_int(r, 0, 20)), .first = first, .last = last, .offset = -1};
    }
    return count;
}

static void test_random_spans_never_overlap(void **state)
{
    static fet__span s[SPANS], again[SPANS];

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        fet__rng r = {.seed = seed};
        int count = random_spans(s, &r);
        int64_t arena, floor, arena2, floor2;

        memcpy(again, s, sizeof s);
        assert_int_equal(fet__plan_place(s, count, &arena, &floor), FET_OK);
        assert_disjoint(s, count, arena);
        assert_int_equal(fet__plan_verify(s, count, arena), FET_OK);
        assert_true(arena >= floor);
        assert_true((double)arena <= 1.05 * (double)floor);
        assert_int_equal(fet__plan_place(again, count, &arena2, &floor2), FET_OK);
        assert_memory_equal(again, s, (size_t)count * sizeof *s);
        assert_int_equal(arena, arena2);
        /* Content with less than the best: still a plan, the same every time, and never below it. */
        assert_int_equal(fet__plan_place_near(again, count, 0.5, &arena2, &floor2), FET_OK);
        assert_disjoint(again, count, arena2);
        assert_int_equal(floor, floor2);
        assert_true(arena2 >= arena && (double)arena2 <= 1.5 * (double)floor);
    }
}

/* Forward keeps one value a layer for backward, and each step has a temporary: the arena can be as small as the fullest step. */
static void test_stack_of_lives_reaches_the_floor(void **state)
{
    fet__span s[3 * 40];
    int64_t arena, floor;
    int count = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        s[count++] = (fet__span){.bytes = 1000 + 64 * i, .first = i, .last = 79 - i};
        s[count++] = (fet__span){.bytes = 4096, .first = i, .last = i};
        s[count++] = (fet__span){.bytes = 4096, .first = 40 + i, .last = 40 + i};
    }
    assert_int_equal(fet__plan_place(s, count, &arena, &floor), FET_OK);
    assert_int_equal(arena, floor);
}

static void test_neighbours_in_time_share_and_zero_bytes_cost_nothing(void **state)
{
    fet__span s[] = {{.bytes = 100, .first = 0, .last = 1},
                     {.bytes = 100, .first = 2, .last = 3},
                     {.bytes = 0, .first = 0, .last = 3}};
    int64_t arena, floor;

    (void)state;
    assert_int_equal(fet__plan_place(s, 3, &arena, &floor), FET_OK);
    assert_int_equal(arena, 128);
    assert_int_equal(floor, 128);
    assert_int_equal(s[0].offset, s[1].offset);
    assert_int_equal(fet__plan_place(s, 0, &arena, &floor), FET_OK);
    assert_int_equal(arena, 0);
}

static void test_bad_spans_are_refused(void **state)
{
    fet__span backwards = {.bytes = 1, .first = 3, .last = 2};
    fet__span huge[] = {{.bytes = INT64_MAX / 5}, {.bytes = INT64_MAX / 5}};
    int64_t arena, floor;

    (void)state;
    assert_int_equal(fet__plan_place(&backwards, 1, &arena, &floor), FET_E_BUG);
    assert_non_null(strstr(fet_error_message(), "lives from 3 to 2"));
    assert_int_equal(fet__plan_place(huge, 2, &arena, &floor), FET_E_NOMEM);
}

static void test_verify_sees_a_broken_promise(void **state)
{
    fet__span s[] = {{.bytes = 100, .first = 0, .last = 1, .offset = 0},
                     {.bytes = 10, .first = 1, .last = 3, .offset = 64}};

    (void)state;
    assert_int_equal(fet__plan_verify(s, 2, 128), FET_E_BUG);
    s[1].offset = 128;
    assert_int_equal(fet__plan_verify(s, 2, 192), FET_OK);
    assert_int_equal(fet__plan_verify(s, 2, 130), FET_E_BUG);
    s[1].offset = 129;
    assert_int_equal(fet__plan_verify(s, 2, 192), FET_E_BUG);
}

static void test_no_memory_is_a_status(void **state)
{
    fet__span s[] = {{.bytes = 100, .first = 0, .last = 1}};
    int64_t arena, floor;

    (void)state;
    for (uint64_t n = 1; n <= 5; n++) {
        fet__alloc_fail_after(n);
        assert_int_equal(fet__plan_place(s, 1, &arena, &floor), FET_E_NOMEM);
    }
    fet__alloc_fail_after(0);
    assert_int_equal(fet__plan_place(s, 1, &arena, &floor), FET_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_spans_never_overlap),
        cmocka_unit_test(test_stack_of_lives_reaches_the_floor),
        cmocka_unit_test(test_neighbours_in_time_share_and_zero_bytes_cost_nothing),
        cmocka_unit_test(test_bad_spans_are_refused),
        cmocka_unit_test(test_verify_sees_a_broken_promise),
        cmocka_unit_test(test_no_memory_is_a_status),
    };

    return cmocka_run_group_tests_name("plan.span", tests, NULL, NULL);
}
