/* Clustering on its own: neighbours against a plain search, DBSCAN against a plain dense one, and the sets that break such code: one row,
 * twins, one giant cluster, outliers only, fewer rows than k1, values that are not numbers. The golden files are parity's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "cluster/cluster.h"

enum { WIDTH = 24 };

/* `groups` directions with noise around them, unit length. */
static float *draw(int64_t rows, int groups, double noise, uint64_t seed)
{
    float *x = fet__alloc((size_t)rows * WIDTH, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t c = 0; c < WIDTH; c++) {
            double v = fet__random_normal(seed, 1, 0, (uint64_t)((i % groups) * WIDTH + c)) +
                       noise * fet__random_normal(seed, 2, 0, (uint64_t)(i * WIDTH + c));
            x[i * WIDTH + c] = (float)v;
            sum += v * v;
        }
        for (int64_t c = 0; c < WIDTH; c++)
            x[i * WIDTH + c] /= (float)sqrt(sum);
    }
    return x;
}

/* ---- neighbours ------------------------------------------------------------------------------------------------ */

/* A row's neighbour at place e may differ from the plain search's only by rounding of the cosine. */
static void test_neighbours_are_exact(void **state)
{
    const int64_t rows = 600; /* more than two blocks, the last not full */
    float *x = draw(rows, 40, 0.4, 3);
    fet__neighbours n;
    (void)state;
    assert_int_equal(fet__neighbours_find(&n, x, rows, WIDTH, 7, true), FET_OK);
    for (int64_t i = 0; i < rows; i++) {
        float least = 1;
        for (int e = 0; e < 7; e++) {
            float cosine = fet__row_cosine(x + i * WIDTH, x + (int64_t)n.index[i * 7 + e] * WIDTH, WIDTH);
            int better = 0;
            for (int64_t j = 0; j < rows; j++) {
                float other = fet__row_cosine(x + i * WIDTH, x + j * WIDTH, WIDTH);
                better += other > cosine + 1e-6F;
                least = other < least ? other : least;
            }
            assert_true(better <= e);
        }
        assert_true(fabsf(n.least_cosine[i] - least) < 1e-6F);
    }
    fet__neighbours_fini(&n);
    fet__free(x);
}

static void test_threads_change_nothing(void **state)
{
    const int64_t rows = 700;
    float *x = draw(rows, 30, 0.5, 5);
    fet__neighbours n[3];
    static const int team[3] = {1, 2, 7};
    int before = fet__threads();
    (void)state;
    for (int i = 0; i < 3; i++) {
        fet__set_threads(team[i]);
        assert_int_equal(fet__neighbours_find(&n[i], x, rows, WIDTH, 12, false), FET_OK);
    }
    fet__set_threads(before);
    for (int i = 1; i < 3; i++)
        assert_memory_equal(n[0].index, n[i].index, (size_t)rows * 12 * sizeof(int32_t));
    for (int i = 0; i < 3; i++)
        fet__neighbours_fini(&n[i]);
    fet__free(x);
}

static void test_twins_go_by_index(void **state)
{
    const int64_t rows = 300;
    float *x = draw(rows, 1, 0, 7);
    fet__neighbours n;
    (void)state;
    assert_int_equal(fet__neighbours_find(&n, x, rows, WIDTH, 5, false), FET_OK);
    for (int64_t i = 0; i < rows; i++)
        for (int e = 0; e < 5; e++)
            assert_int_equal(n.index[i * 5 + e], e);
    fet__neighbours_fini(&n);
    fet__free(x);
}

/* ---- DBSCAN against a plain one -------------------------------------------------------------------------------- */

static void dense_distances(float *d, const fet__jaccard *j)
{
    int64_t n = fet__jaccard_rows(j);
    fet__jaccard_row r;
    assert_int_equal(fet__jaccard_row_init(&r, j), FET_OK);
    for (int64_t i = 0; i < n; i++) {
        fet__jaccard_row_begin(&r, j, i);
        for (int32_t o = 0; o < n; o++)
            d[i * n + o] = fet__jaccard_distance(&r, o);
        fet__jaccard_row_end(&r);
    }
    fet__jaccard_row_fini(&r);
}

static int neighbours_within(const float *d, int64_t n, int64_t i, float eps)
{
    int count = 0;
    for (int64_t j = 0; j < n; j++)
        count += d[i * n + j] <= eps;
    return count;
}

/* The textbook's form: flood from each core point that has no cluster yet. */
static int32_t plain_dbscan(int32_t *label, const float *d, int64_t n, float eps, int least)
{
    int32_t next = 0, *stack = fet__alloc((size_t)n, sizeof *stack);
    assert_non_null(stack);
    for (int64_t i = 0; i < n; i++)
        label[i] = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t top = 0;
        if (label[i] >= 0 || neighbours_within(d, n, i, eps) < least)
            continue;
        label[i] = next;
        stack[top++] = (int32_t)i;
        while (top > 0) {
            int64_t at = stack[--top];
            for (int64_t j = 0; j < n; j++)
                if (label[j] < 0 && d[at * n + j] <= eps) {
                    label[j] = next;
                    if (neighbours_within(d, n, j, eps) >= least)
                        stack[top++] = (int32_t)j;
                }
        }
        next++;
    }
    fet__free(stack);
    return next;
}

static void test_dbscan_is_the_plain_one(void **state)
{
    const int64_t rows = 260;
    const float eps[3] = {0.45F, 0.6F, 0.75F};
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        float *x = draw(rows, 12, 0.55, 100 + seed), *d = fet__alloc((size_t)(rows * rows), sizeof *d);
        int32_t label[3 * 260], expected[260], clusters[3];
        fet__jaccard *j;
        assert_non_null(d);
        assert_int_equal(fet__jaccard_create(&j, x, rows, WIDTH, 15, 4), FET_OK);
        dense_distances(d, j);
        assert_int_equal(fet__dbscan(label, clusters, j, eps, 3, 4), FET_OK);
        for (int e = 0; e < 3; e++) {
            assert_int_equal(clusters[e], plain_dbscan(expected, d, rows, eps[e], 4));
            assert_memory_equal(label + e * rows, expected, sizeof expected);
        }
        fet__jaccard_destroy(j);
        fet__free(d);
        fet__free(x);
    }
}

/* ---- sets that break such code --------------------------------------------------------------------------------- */

static const fet__self_paced_options usual = {.k1 = 30, .k2 = 6, .eps = 0.6, .eps_gap = 0.02, .least = 4};

static void labels_of(fet__pseudo_labels *p, const float *x, int64_t rows)
{
    fet__self_paced_state s = {0};
    assert_int_equal(fet__self_paced(p, &s, x, rows, WIDTH, &usual), FET_OK);
}

static void test_one_row_is_its_own_class(void **state)
{
    float *x = draw(1, 1, 0, 1);
    fet__pseudo_labels p;
    (void)state;
    labels_of(&p, x, 1);
    assert_int_equal(p.singles, 1);
    assert_int_equal(p.clusters, 0);
    fet__pseudo_labels_fini(&p);
    fet__free(x);
}

static void test_fewer_rows_than_k1(void **state)
{
    float *x = draw(10, 2, 0.01, 1);
    fet__pseudo_labels p;
    (void)state;
    labels_of(&p, x, 10);
    assert_int_equal(p.clusters, 2);
    for (int i = 2; i < 10; i++)
        assert_int_equal(p.label[i], p.label[i % 2]);
    fet__pseudo_labels_fini(&p);
    fet__free(x);
}

static void test_twins_beyond_k1_end(void **state)
{
    float *x = draw(400, 1, 0, 9);
    fet__pseudo_labels p;
    (void)state;
    labels_of(&p, x, 400);
    assert_int_equal(p.clusters + p.singles > 0, 1);
    for (int i = 0; i < 400; i++)
        assert_in_range(p.label[i], 0, p.limit - 1);
    fet__pseudo_labels_fini(&p);
    fet__free(x);
}

static void test_outliers_only(void **state)
{
    float *x = draw(40, 40, 0, 11);
    fet__pseudo_labels p;
    fet__self_paced_state s = {0};
    fet__self_paced_options o = usual;
    (void)state;
    o.k1 = 2;
    o.k2 = 1;
    o.eps = 0.05;
    assert_int_equal(fet__self_paced(&p, &s, x, 40, WIDTH, &o), FET_OK);
    assert_int_equal(p.clusters, 0);
    assert_int_equal(p.singles, 40);
    assert_false(s.known); /* the threshold waits for the first cluster */
    fet__pseudo_labels_fini(&p);
    fet__free(x);
}

static void test_refusals(void **state)
{
    float *x = draw(20, 2, 0.1, 13);
    fet__pseudo_labels p;
    fet__self_paced_state s = {0};
    fet__self_paced_options o = usual;
    (void)state;
    x[7 * WIDTH + 3] = NAN;
    assert_int_equal(fet__self_paced(&p, &s, x, 20, WIDTH, &o), FET_E_NUMERIC);
    assert_non_null(strstr(fet_error_message(), "row 7, column 3"));
    x[7 * WIDTH + 3] = 0;
    o.eps = 0.99;
    assert_int_equal(fet__self_paced(&p, &s, x, 20, WIDTH, &o), FET_E_ARG);
    fet__free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours_are_exact),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_twins_go_by_index),
        cmocka_unit_test(test_dbscan_is_the_plain_one),
        cmocka_unit_test(test_one_row_is_its_own_class),
        cmocka_unit_test(test_fewer_rows_than_k1),
        cmocka_unit_test(test_twins_beyond_k1_end),
        cmocka_unit_test(test_outliers_only),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
