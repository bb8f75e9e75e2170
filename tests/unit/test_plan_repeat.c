/* Computing again under a limit: the new timeline reads what the old one read, holds what it says, keeps to the limit where it says so, and
 * finds what a chain of blocks offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "plan/plan.h"

enum { WORKS = 400, NEEDS = 4 };

static fet__work works[WORKS];
static int needs[WORKS][NEEDS];

static void add(int at, int64_t bytes, double cost, int count, const int *input)
{
    works[at] = (fet__work){.bytes = bytes, .cost = cost, .input_count = count, .input = needs[at]};
    for (int i = 0; i < count; i++)
        needs[at][i] = input[i];
}

/* A forward half, and a backward half that mostly reads its mirror image; some works may not be repeated, some lie over an input. */
static void make_random(uint64_t seed, int n)
{
    fet__rng r = {.seed = seed};

    for (int i = 0; i < n; i++) {
        int in[NEEDS], count = 0, wanted = i == 0 ? 0 : 1 + (int)fet__rng_int(&r, 0, NEEDS - 1);

        for (int k = 0; k < wanted; k++) {
            int mirror = n - 1 - i, near = i - 1 - (int)fet__rng_int(&r, 0, i < 8 ? i - 1 : 7);
            int j = k > 0 && i > n / 2 && mirror < i && mirror >= 0 ? mirror : near;

            for (int seen = 0; seen < count; seen++)
                j = in[seen] == j ? -1 : j;
            if (j >= 0)
                in[count++] = j;
        }
        add(i, fet__rng_int(&r, 0, 9) == 0 ? 0 : 64 * fet__rng_int(&r, 1, 4000),
            fet__rng_int(&r, 0, 9) == 0 ? -1 : (double)fet__rng_int(&r, 1, 1000), count, in);
        works[i].scratch = fet__rng_int(&r, 0, 4) == 0 ? 64 * fet__rng_int(&r, 1, 500) : 0;
        works[i].overlay = (uint32_t)fet__rng_int(&r, 0, 15);
        works[i].kept = fet__rng_int(&r, 0, 30) == 0;
        for (int k = 0; k < count && fet__rng_int(&r, 0, 1); k++)
            works[i].bytes = works[in[k]].bytes;
    }
}

/* What the turns hold, counted the slow way; and are they what they should be? */
static int64_t held_by(const fet__turns *t, int n, int64_t base)
{
    static int last[20 * WORKS];
    int64_t most = 0;
    bool seen[WORKS] = {false};

    for (int i = 0; i < t->count; i++) {
        const fet__work *w = &works[t->turn[i].work];

        assert_int_equal(t->turn[i].again, seen[t->turn[i].work]);
        assert_true(!t->turn[i].again || w->cost >= 0);
        seen[t->turn[i].work] = true;
        last[i] = w->kept ? t->count - 1 : i;
        for (int k = 0; k < w->input_count; k++) {
            assert_in_range(t->turn[i].input[k], 0, i - 1);
            assert_int_equal(t->turn[t->turn[i].input[k]].work, w->input[k]);
            if (last[t->turn[i].input[k]] < i)
                last[t->turn[i].input[k]] = i;
        }
    }
    for (int i = 0; i < n; i++)
        assert_true(seen[i]);
    for (int i = 0; i < t->count; i++) {
        const fet__work *w = &works[t->turn[i].work];
        int64_t live = base + (w->scratch + 63) / 64 * 64;
        bool over = false;

        for (int k = 0; k <= i; k++)
            live += last[k] >= i ? (works[t->turn[k].work].bytes + 63) / 64 * 64 : 0;
        for (int k = 0; k < w->input_count; k++) {
            const fet__work *in = &works[w->input[k]];

            over =
                over || ((w->overlay >> k & 1) && last[t->turn[i].input[k]] == i && in->bytes == w->bytes && !in->kept);
        }
        live -= over ? (w->bytes + 63) / 64 * 64 : 0;
        most = live > most ? live : most;
    }
    return most;
}

static void test_random_works_hold_what_is_said(void **state)
{
    int fitted = 0, repeated = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        int n = 2 + (int)(seed * 7 % (WORKS - 2));
        int64_t base = (int64_t)(seed % 3) * 1000, whole;
        fet__turns t;

        make_random(seed, n);
        assert_int_equal(fet__plan_repeat(&t, works, n, base, INT64_MAX / 4), FET_OK);
        assert_int_equal(t.count, n);
        assert_int_equal(t.repeated, 0);
        whole = held_by(&t, n, base);
        assert_int_equal(t.peak, whole);
        fet__turns_fini(&t);
        for (int tenth = 9; tenth > 1; tenth -= 2) {
            assert_int_equal(fet__plan_repeat(&t, works, n, base, whole * tenth / 10), FET_OK);
            assert_int_equal(held_by(&t, n, base), t.peak);
            assert_int_equal(t.count, n + t.repeated);
            fitted += t.peak <= whole * tenth / 10;
            repeated += t.repeated;
            fet__turns_fini(&t);
        }
    }
    assert_true(fitted > 60 && repeated > 500);
}

/* Blocks x -> a -> b -> c -> x' (the last a sum), and back: each backward block reads a, b, c and the adjoint. */
static int make_chain(int blocks)
{
    int n = 0, x = 0, d;

    add(n++, 1000, -1, 0, NULL);
    for (int i = 0; i < blocks; i++) {
        int at = n;

        add(n++, 1000, 10, 1, (int[]){x});
        add(n++, 4000, 1000, 1, (int[]){at});
        add(n++, 1000, 1000, 1, (int[]){at + 1});
        add(n++, 1000, 10, 2, (int[]){x, at + 2});
        x = at + 3;
    }
    d = n;
    add(n++, 1000, -1, 1, (int[]){x});
    for (int i = blocks - 1; i >= 0; i--) {
        int at = 1 + 4 * i;

        add(n, 1000, -1, 4, (int[]){d, at, at + 1, at + 2});
        d = n++;
    }
    return n;
}

static void test_blocks_are_computed_again(void **state)
{
    enum { BLOCKS = 30 };
    int n = make_chain(BLOCKS);
    double cost = 0;
    fet__turns t;

    (void)state;
    assert_int_equal(fet__plan_repeat(&t, works, n, 0, INT64_MAX / 4), FET_OK);
    assert_true(t.peak > (int64_t)BLOCKS * 6000);
    fet__turns_fini(&t);
    /* the inside of a block takes 6,000 bytes, its input 1,000 */
    assert_int_equal(fet__plan_repeat(&t, works, n, 0, BLOCKS * 1100 + 12000), FET_OK);
    assert_true(t.peak <= BLOCKS * 1100 + 12000);
    for (int i = 0; i < t.count; i++)
        cost += t.turn[i].again ? works[t.turn[i].work].cost : 0;
    assert_true(cost <= BLOCKS * 2050.0); /* nothing twice */
    fet__turns_fini(&t);
    assert_int_equal(fet__plan_repeat(&t, works, n, 0, 25000), FET_OK); /* less than the inputs of all blocks */
    assert_true(t.peak <= 25000);
    fet__turns_fini(&t);
    assert_int_equal(fet__plan_repeat(&t, works, n, 0, 3000), FET_OK); /* impossible: as near as it gets, and said */
    assert_true(t.peak > 3000 && t.peak == held_by(&t, n, 0));
    fet__turns_fini(&t);
}

static void test_a_circle_is_refused(void **state)
{
    fet__turns t;

    (void)state;
    add(0, 64, 1, 1, (int[]){1});
    add(1, 64, 1, 1, (int[]){0});
    assert_int_equal(fet__plan_repeat(&t, works, 2, 0, 0), FET_E_BUG);
}

static void test_no_memory_is_a_status_at_every_place(void **state)
{
    int n = make_chain(4);
    fet_status st = FET_E_NOMEM;

    (void)state;
    for (uint64_t k = 1; st == FET_E_NOMEM && k < 1000; k++) {
        fet__turns t;

        fet__alloc_fail_after(k);
        st = fet__plan_repeat(&t, works, n, 0, 15000);
        fet__alloc_fail_after(0);
        fet__turns_fini(&t);
    }
    assert_int_equal(st, FET_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_works_hold_what_is_said),
        cmocka_unit_test(test_blocks_are_computed_again),
        cmocka_unit_test(test_a_circle_is_refused),
        cmocka_unit_test(test_no_memory_is_a_status_at_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
