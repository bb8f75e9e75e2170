/* Orders: every item after what it needs, memory kept low, the same answer each time, circles refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "plan/plan.h"

#define ITEMS 6000
#define NEEDS 3

typedef struct dag {
    int n;
    int need[ITEMS][NEEDS];
    const int *before[ITEMS];
    int count[ITEMS], rank[ITEMS];
    int64_t bytes[ITEMS];
} dag;

static dag d;

static void make_dag(uint64_t seed, int n)
{
    fet__rng r = {.seed = seed};

    d.n = n;
    for (int i = 0; i < n; i++) {
        d.before[i] = d.need[i];
        d.count[i] = 0;
        d.rank[i] = i;
        d.bytes[i] = fet__rng_int(&r, 0, 1000);
        for (int k = 0; k < NEEDS && i > 0; k++) {
            int far = fet__rng_uniform(&r, 0, 1) < 0.3 ? i : (i < 10 ? i : 10);
            int j = i - 1 - (int)fet__rng_int(&r, 0, far - 1);

            for (int seen = 0; seen < d.count[i]; seen++)
                if (d.need[i][seen] == j)
                    j = -1;
            if (j >= 0)
                d.need[i][d.count[i]++] = j;
        }
    }
}

static void assert_topological(const int *order)
{
    static int position[ITEMS];

    memset(position, 0xff, sizeof position);
    for (int t = 0; t < d.n; t++) {
        assert_in_range(order[t], 0, d.n - 1);
        assert_int_equal(position[order[t]], -1);
        for (int k = 0; k < d.count[order[t]]; k++)
            assert_int_not_equal(position[d.before[order[t]][k]], -1);
        position[order[t]] = t;
    }
}

/* Fullest moment of an order, counted the slow way. */
static int64_t peak(const int *order)
{
    static int last[ITEMS];
    int64_t live = 0, most = 0;

    for (int t = 0; t < d.n; t++)
        last[order[t]] = d.n;
    for (int t = 0; t < d.n; t++)
        for (int k = 0; k < d.count[order[t]]; k++)
            last[d.before[order[t]][k]] = t;
    for (int t = 0; t < d.n; t++) {
        live += d.bytes[order[t]];
        most = live > most ? live : most;
        for (int k = 0; k < d.count[order[t]]; k++)
            if (last[d.before[order[t]][k]] == t)
                live -= d.bytes[d.before[order[t]][k]];
    }
    return most;
}

static void run_order(int *order, const int64_t *bytes)
{
    assert_int_equal(fet__plan_order(order, d.n, d.before, d.count, bytes, d.rank), FET_OK);
    assert_topological(order);
}

static void test_random_graphs_come_out_topological(void **state)
{
    static int order[ITEMS], again[ITEMS];

    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        make_dag(seed, (int)(1 + seed * 17 % 300));
        run_order(order, d.bytes);
        run_order(again, d.bytes);
        assert_memory_equal(order, again, (size_t)d.n * sizeof *order);
        assert_int_equal(fet__plan_improve(order, d.n, d.before, d.count, d.bytes), FET_OK);
        assert_topological(order);
    }
}

static void test_equal_growth_follows_rank(void **state)
{
    static int order[ITEMS];
    static const int64_t zero[ITEMS];

    (void)state;
    make_dag(3, 200);
    run_order(order, zero);
    for (int i = 0; i < d.n; i++)
        assert_int_equal(order[i], i);
}

/* Four big values, each reduced to a small one: greedy reduces each before it makes the next. */
static void test_greedy_frees_before_it_grows(void **state)
{
    int order[8];

    (void)state;
    make_dag(0, 8);
    for (int i = 0; i < 8; i++) {
        d.count[i] = i >= 4;
        d.need[i][0] = i - 4;
        d.bytes[i] = i < 4 ? 1000 : 10;
    }
    run_order(order, d.bytes);
    assert_int_equal(peak(order), 1040);
}

/* Item 1 is big, is ready at once and is needed only at the end: it moves to its user; item 8, the small reduction of a big
 * early value, moves up to where the value was made. */
static void test_improve_moves_both_ways(void **state)
{
    int order[10];

    (void)state;
    make_dag(0, 10);
    for (int i = 0; i < 10; i++) {
        order[i] = i;
        d.count[i] = i > 2;
        d.need[i][0] = i == 3 ? 0 : i - 1;
        d.bytes[i] = 10;
    }
    d.bytes[1] = d.bytes[2] = 1000;
    d.need[8][0] = 2;
    d.count[9] = 3;
    d.need[9][0] = 7;
    d.need[9][1] = 1;
    d.need[9][2] = 8;
    assert_int_equal(fet__plan_improve(order, 10, d.before, d.count, d.bytes), FET_OK);
    assert_topological(order);
    assert_true(peak(order) <= 2060);
    assert_int_equal(order[9], 9);
    for (int t = 0; t < 10; t++)
        assert_true(order[t] != 1 || t >= 6);
}

static void test_circles_and_strangers_are_refused(void **state)
{
    int order[ITEMS];

    (void)state;
    make_dag(1, 5);
    d.count[0] = 1;
    d.need[0][0] = 4;
    d.count[4] = 1;
    d.need[4][0] = 0;
    assert_int_equal(fet__plan_order(order, d.n, d.before, d.count, d.bytes, d.rank), FET_E_BUG);
    assert_non_null(strstr(fet_error_message(), "circle"));
    d.need[0][0] = 5;
    assert_int_equal(fet__plan_order(order, d.n, d.before, d.count, d.bytes, d.rank), FET_E_BUG);
}

static void test_thousands_of_items_take_no_time(void **state)
{
    static int order[ITEMS];
    double start = fet__now();

    (void)state;
    make_dag(7, ITEMS);
    run_order(order, d.bytes);
    assert_int_equal(fet__plan_improve(order, d.n, d.before, d.count, d.bytes), FET_OK);
    assert_true(fet__now() - start < 2.0);
}

static void test_no_memory_is_a_status(void **state)
{
    static int order[ITEMS];

    (void)state;
    make_dag(2, 20);
    for (uint64_t n = 1; n <= 12; n++) {
        fet__alloc_fail_after(n);
        assert_int_equal(fet__plan_order(order, d.n, d.before, d.count, d.bytes, d.rank), FET_E_NOMEM);
    }
    fet__alloc_fail_after(0);
    run_order(order, d.bytes);
    for (uint64_t n = 1; n <= 8; n++) {
        fet__alloc_fail_after(n);
        assert_int_equal(fet__plan_improve(order, d.n, d.before, d.count, d.bytes), FET_E_NOMEM);
    }
    fet__alloc_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs_come_out_topological),
        cmocka_unit_test(test_equal_growth_follows_rank),
        cmocka_unit_test(test_greedy_frees_before_it_grows),
        cmocka_unit_test(test_improve_moves_both_ways),
        cmocka_unit_test(test_circles_and_strangers_are_refused),
        cmocka_unit_test(test_thousands_of_items_take_no_time),
        cmocka_unit_test(test_no_memory_is_a_status),
    };

    return cmocka_run_group_tests_name("plan.order", tests, NULL, NULL);
}
