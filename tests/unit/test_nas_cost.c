/* Costs and limits of a search: what is counted adds up to what is planned, and the network that is taken is the most probable one within
 * the limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "method/nas_int.h"

#define POSITIONS 6

static fet__arch frame;
static fet__nas_table table;
static const fet__nas_objective none = {.kind = FET__NAS_NONE};

/* Milliseconds: kernels cost 1, 2, 3, expansions twice that of each other, stages alike. */
static int open_all(void **state)
{
    (void)state;
    if (fet__nas_frame(&frame, "quadranet:depths=2+1+2+1,dim=8,patch=2,img=32,classes=4") != FET_OK)
        return 1;
    table.fixed = 1;
    snprintf(table.unit, sizeof table.unit, "ms");
    for (int s = 0; s < QUADRANET_STAGES; s++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++) {
            int ms = (1 + j / 2) * (1 + j % 2);

            table.block[s][j] = ms;
        }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fet__arch_fini(&frame);
    return 0;
}

static fet__nas_limits within(double latency, double flops, int64_t memory)
{
    return (fet__nas_limits){.latency = latency, .flops = flops, .memory = memory, .latency_scale = 1, .unit = "ms"};
}

static void set(fet__nas_gates *g, int position, int candidate, double alpha)
{
    g->alpha[position * FET__NAS_SPACE + candidate] = alpha;
}

static void the_most_probable_is_taken(void **state)
{
    fet__nas_limits l = within(100, 0, 0);
    int choice[POSITIONS], wanted[POSITIONS] = {5, 1, 4, FET__NAS_IDENTITY, 2, 3};
    fet__nas_gates g;
    fet__nas_costs c;

    (void)state;
    assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
    assert_int_equal(c.count, 1);
    assert_int_equal(fet__nas_limits_check(&c, &frame, &l), FET_OK);
    assert_int_equal(fet__nas_gates_create(&g, POSITIONS, FET__NAS_SPACE, 1), FET_OK);
    for (int i = 0; i < POSITIONS; i++)
        set(&g, i, wanted[i], 3);
    assert_int_equal(fet__nas_choose(&c, &frame, &l, &g, choice), FET_OK);
    assert_memory_equal(choice, wanted, sizeof choice);
    fet__nas_gates_fini(&g);
    fet__nas_costs_fini(&c);
}

/* Blocks of 6, 2, 3, 0, 2, 4 ms and 1 ms besides are 18. Under 13 the place whose second choice is nearest gives way. */
static void places_that_care_least_give_way(void **state)
{
    fet__nas_limits l = within(13, 0, 0);
    int choice[POSITIONS], wanted[POSITIONS] = {5, 1, 4, FET__NAS_IDENTITY, 2, 3};
    fet__nas_gates g;
    fet__nas_costs c;

    (void)state;
    assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
    assert_int_equal(fet__nas_gates_create(&g, POSITIONS, FET__NAS_SPACE, 1), FET_OK);
    for (int i = 0; i < POSITIONS; i++)
        set(&g, i, wanted[i], 3);
    set(&g, 0, 0, 2.9); /* the first place would as soon have the smallest block */
    assert_int_equal(fet__nas_choose(&c, &frame, &l, &g, choice), FET_OK);
    wanted[0] = 0;
    assert_memory_equal(choice, wanted, sizeof choice);
    fet__nas_gates_fini(&g);
    fet__nas_costs_fini(&c);
}

/* Identities everywhere leave the block of each stage that was nearest to winning. */
static void every_stage_keeps_a_block(void **state)
{
    static const int wanted[POSITIONS] = {FET__NAS_IDENTITY, 5, 0, 1, FET__NAS_IDENTITY, 4};
    fet__nas_limits l = within(100, 0, 0);
    int choice[POSITIONS];
    fet__nas_gates g;
    fet__nas_costs c;
    char *text;

    (void)state;
    assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
    assert_int_equal(fet__nas_gates_create(&g, POSITIONS, FET__NAS_SPACE, 1), FET_OK);
    for (int i = 0; i < POSITIONS; i++) {
        set(&g, i, FET__NAS_IDENTITY, 3);
        if (wanted[i] != FET__NAS_IDENTITY)
            set(&g, i, wanted[i], 1);
    }
    assert_int_equal(fet__nas_choose(&c, &frame, &l, &g, choice), FET_OK);
    assert_memory_equal(choice, wanted, sizeof choice);
    text = fet__nas_text(&frame, choice);
    assert_non_null(strstr(text, "depths=1+1+1+1,"));
    assert_non_null(strstr(text, "blocks=k7e4+k3e2+k3e4+k7e2,"));
    fet__free(text);
    fet__nas_gates_fini(&g);
    fet__nas_costs_fini(&c);
}

/* Under one limit after the other, what is planned for the taken network stays below it; operations are exact. */
static void plans_stay_below_their_limits(void **state)
{
    fet__nas_gates g;
    int choice[POSITIONS];

    (void)state;
    assert_int_equal(fet__nas_gates_create(&g, POSITIONS, FET__NAS_SPACE, 1), FET_OK);
    for (int i = 0; i < POSITIONS; i++)
        set(&g, i, 5, 2); /* the largest */
    for (int round = 0; round < 6; round++) {
        int64_t bytes, parameters, memory = round % 2 ? 500000 + 60000 * round : 0;
        double flops, sum, most = round % 2 ? 0 : 2e6 + 5e5 * round;
        fet__nas_limits l = within(0, most, memory);
        fet__nas_costs c;
        char *text;

        assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
        assert_int_equal(fet__nas_limits_check(&c, &frame, &l), FET_OK);
        assert_int_equal(fet__nas_choose(&c, &frame, &l, &g, choice), FET_OK);
        text = fet__nas_text(&frame, choice);
        assert_int_equal(fet__nas_plan(text, &bytes, &flops, &parameters), FET_OK);
        sum = c.cost[0].fixed;
        for (int i = 0; i < POSITIONS; i++)
            sum += c.cost[0].cost[i * FET__NAS_SPACE + choice[i]];
        if (memory)
            assert_true(bytes <= memory && (double)bytes > 0.6 * (double)memory);
        else
            assert_true(flops <= most && fabs(sum - flops) < 1e-9 * flops && flops > 0.7 * most);
        fet__free(text);
        fet__nas_costs_fini(&c);
    }
    fet__nas_gates_fini(&g);
}

static void what_cannot_be_met_is_named(void **state)
{
    static const struct {
        double latency, flops;
        int64_t memory;
        const char *words;
    } rows[] = {
        {4.5, 0, 0, "latency limit of 4.5 ms: the nearest has 5 ms"},
        {0, 1000, 0, "flops limit of 1000: the nearest has"},
        {0, 0, 1000, "memory limit of 0.001 MiB: the nearest has"},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__nas_limits l = within(rows[i].latency, rows[i].flops, rows[i].memory);
        fet__nas_costs c;

        assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
        assert_int_equal(fet__nas_limits_check(&c, &frame, &l), FET_E_ARG);
        if (!strstr(fet_error_message(), rows[i].words))
            fail_msg("'%s' is not in: %s", rows[i].words, fet_error_message());
        assert_non_null(strstr(fet_error_message(), "quadranet:depths=1+1+1+1"));
        fet__nas_costs_fini(&c);
    }
}

/* Candidates of equal or nearly equal cost must not take each other's place for ever. */
static void choosing_comes_to_an_end(void **state)
{
    fet__nas_limits l = within(100, 0, 0);
    double cost[POSITIONS * FET__NAS_SPACE];
    fet__nas_costs c;
    int met = 0;

    (void)state;
    assert_int_equal(fet__nas_costs_create(&c, &frame, &table, &l, none), FET_OK);
    c.cost[0].cost = cost;
    for (int trial = 0; trial < 400; trial++) {
        int choice[POSITIONS];
        fet__nas_gates g;

        for (int i = 0; i < POSITIONS * FET__NAS_SPACE; i++)
            cost[i] = i % FET__NAS_SPACE == FET__NAS_IDENTITY ? 0 : 0.1 * (1 + (trial * 7 + i * 5) % 4);
        c.cost[0].objective.target = 0.01 * (trial % 40) + 1.2;
        assert_int_equal(fet__nas_gates_create(&g, POSITIONS, FET__NAS_SPACE, (uint64_t)trial), FET_OK);
        met += fet__nas_choose(&c, &frame, &l, &g, choice) == FET_OK;
        fet__nas_gates_fini(&g);
    }
    assert_in_range(met, 1, 399);
    fet__nas_costs_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_probable_is_taken),  cmocka_unit_test(places_that_care_least_give_way),
        cmocka_unit_test(every_stage_keeps_a_block),   cmocka_unit_test(plans_stay_below_their_limits),
        cmocka_unit_test(what_cannot_be_met_is_named), cmocka_unit_test(choosing_comes_to_an_end),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
