/* Gates of an architecture search: draws follow the probabilities, pairs keep their share, the latency pulls towards what is cheap, and
 * what cannot be optimised is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "train/nas.h"

static void draws_follow_the_probabilities(void **state)
{
    fet__nas_gates g;
    fet__nas_choice c[1];
    double p[3];
    int seen[3] = {0}, second[3] = {0}, active[3] = {0}, n = 20000;

    (void)state;
    assert_int_equal(fet__nas_gates_create(&g, 1, 3, 7), FET_OK);
    g.alpha[0] = 1;
    g.alpha[1] = 0;
    g.alpha[2] = -1;
    fet__nas_probabilities(g.alpha, 3, p);
    for (int i = 0; i < n; i++) {
        assert_int_equal(fet__nas_draw(&g, false, 3, i, c), FET_OK);
        assert_true(c->other == -1);
        seen[c->active]++;
        assert_int_equal(fet__nas_draw(&g, true, 3, i, c), FET_OK);
        assert_true(c->other >= 0 && c->other != c->active);
        active[c->active]++;
        second[c->other]++;
    }
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)seen[i] / n - p[i]) < 0.015);
    assert_true(active[0] > active[1] && active[1] > active[2] && second[0] > 0);
    fet__nas_gates_fini(&g);
}

static void the_same_seed_draws_the_same(void **state)
{
    fet__nas_gates g;
    fet__nas_choice a[40], b[40];

    (void)state;
    assert_int_equal(fet__nas_gates_create(&g, 40, 7, 1), FET_OK);
    assert_int_equal(fet__nas_draw(&g, true, 5, 9, a), FET_OK);
    assert_int_equal(fet__nas_draw(&g, true, 5, 9, b), FET_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(fet__nas_draw(&g, true, 5, 10, b), FET_OK);
    assert_true(memcmp(a, b, sizeof a) != 0);
    fet__nas_gates_fini(&g);
}

/* Slopes of alpha against central differences of the objective in which gates are the shares themselves. */
static void slopes_are_derivatives(void **state)
{
    const double cost[6] = {3, 1, 0.5, 2, 4, 0}, slope[6] = {0.3, -0.2, 0.1, 0, 0.7, -0.4}, h = 1e-6;
    const fet__nas_objective o = {.kind = FET__NAS_LOG, .a = 0.2, .b = 0.6, .target = 3};

    (void)state;
    for (int pair = 0; pair < 2; pair++) {
        fet__nas_gates g;
        fet__nas_choice c[2] = {{1, pair ? 2 : -1}, {0, pair ? 1 : -1}};
        fet__nas_loss loss;
        double grad[6] = {0};

        assert_int_equal(fet__nas_gates_create(&g, 2, 3, 1), FET_OK);
        for (int i = 0; i < 6; i++)
            g.alpha[i] = 0.3 * i - 0.5;
        assert_int_equal(fet__nas_loss_at(&o, 1.5, fet__nas_expected(&g, c, cost, 2), &loss), FET_OK);
        fet__nas_pull(&g, c, cost, loss.by_cost, grad);
        fet__nas_pull(&g, c, slope, loss.by_ce, grad);
        for (int i = 0; i < 6; i++) {
            double at = g.alpha[i], value[2];
            for (int k = 0; k < 2; k++) {
                fet__nas_loss l;
                g.alpha[i] = at + (k ? h : -h);
                assert_int_equal(fet__nas_loss_at(&o, 1.5, fet__nas_expected(&g, c, cost, 2), &l), FET_OK);
                value[k] = l.loss + loss.by_ce * fet__nas_expected(&g, c, slope, 0);
            }
            g.alpha[i] = at;
            assert_true(fabs((value[1] - value[0]) / (2 * h) - grad[i]) < 1e-7);
        }
        fet__nas_gates_fini(&g);
    }
}

/* With no slope but the latency's, the cheapest candidate wins; ties go to the lowest index. */
static void latency_alone_finds_the_cheapest(void **state)
{
    const double cost[8] = {4, 1, 2, 3, 2, 2, 1, 1};
    const fet__nas_objective o = {.kind = FET__NAS_LINEAR, .lambda = 1, .target = 2};
    int found[2];

    (void)state;
    for (int pair = 0; pair < 2; pair++) {
        fet__nas_gates g;
        fet__nas_choice c[2];

        assert_int_equal(fet__nas_gates_create(&g, 2, 4, 3), FET_OK);
        g.lr = 0.05;
        g.alpha[6] = g.alpha[7];
        for (int i = 0; i < 400; i++) {
            double grad[8] = {0};
            fet__nas_loss loss;
            assert_int_equal(fet__nas_draw(&g, pair, 1, i, c), FET_OK);
            assert_int_equal(fet__nas_loss_at(&o, 1, fet__nas_expected(&g, c, cost, 0), &loss), FET_OK);
            fet__nas_pull(&g, c, cost, loss.by_cost, grad);
            assert_int_equal(fet__nas_update(&g, c, grad), FET_OK);
        }
        fet__nas_derive(&g, found);
        assert_int_equal(found[0], 1);
        assert_true(found[1] >= 2);
        assert_true(fet__nas_entropy(&g) < log(4));
        fet__nas_gates_fini(&g);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    const fet__nas_objective o = {.kind = FET__NAS_LOG, .a = 0.2, .b = 0.3, .target = 1},
                             line = {.kind = FET__NAS_LINEAR};
    fet__nas_choice c[1] = {{0, -1}};
    double grad[1] = {NAN}, before;
    fet__nas_loss loss;
    fet__nas_gates g;

    (void)state;
    assert_int_equal(fet__nas_gates_create(&g, 0, 3, 1), FET_E_ARG);
    fet__nas_gates_fini(&g);
    assert_int_equal(fet__nas_gates_create(&g, 1, FET__NAS_CANDIDATES + 1, 1), FET_E_ARG);
    fet__nas_gates_fini(&g);
    assert_int_equal(fet__nas_gates_create(&g, 1, 1, 1), FET_OK);
    assert_int_equal(fet__nas_draw(&g, true, 1, 1, c), FET_E_ARG);
    assert_int_equal(fet__nas_loss_at(&o, 1, 5, &loss), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "smaller unit"));
    assert_int_equal(fet__nas_loss_at(&line, 1, 5, &loss), FET_E_ARG);
    before = g.alpha[0];
    c[0] = (fet__nas_choice){0, -1};
    assert_int_equal(fet__nas_update(&g, c, grad), FET_E_NUMERIC);
    assert_true(g.alpha[0] == before && g.steps == 0);
    fet__nas_gates_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_probabilities), cmocka_unit_test(the_same_seed_draws_the_same),
        cmocka_unit_test(slopes_are_derivatives),         cmocka_unit_test(latency_alone_finds_the_cheapest),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
