/* Squared Euclidean distances between two sets of rows, block by block. Ranking by them is the caller's. */
#include "cluster/cluster.h"

enum { BLOCK = 256 }; /* rows of `b` that one product takes */

static float square(const float *row, int64_t width)
{
    return fet__row_cosine(row, row, width);
}

/* Products of every row of `a` with the rows of one block of `b`, into `p`; then distances into their place. */
static fet_status block(float *out, float *p, const float *a_square, const float *a, int64_t m, const float *b,
                        int64_t n, int64_t first, int64_t width)
{
    int64_t count = n - first < BLOCK ? n - first : BLOCK;
    fet_status st = fet__product_nt(p, a, b + first * width, m, count, width);
    if (st != FET_OK)
        return st;
    for (int64_t j = 0; j < count; j++) {
        float b_square = square(b + (first + j) * width, width);
        for (int64_t i = 0; i < m; i++) {
            float d = a_square[i] + b_square - 2 * p[i * count + j];
            out[i * n + first + j] = d < 0 ? 0 : d; /* a NaN stays one */
        }
    }
    return FET_OK;
}

fet_status fet__row_distances(float *out, const float *a, int64_t m, const float *b, int64_t n, int64_t width)
{
    int team = fet__threads();
    float *products = NULL, *a_square = NULL;
    fet_status failed = FET_OK, st;
    FET_TRY(FET_NEW(products, (int64_t)team * m * BLOCK));
    FET_TRY(FET_NEW(a_square, m));
    for (int64_t i = 0; i < m; i++)
        a_square[i] = square(a + i * width, width);
#pragma omp parallel for schedule(static) num_threads(team)
    for (int64_t first = 0; first < n; first += BLOCK) {
        fet_status one =
            block(out, products + (int64_t)fet__thread_index() * m * BLOCK, a_square, a, m, b, n, first, width);
        if (one != FET_OK) {
#pragma omp critical(fet__row_distances_failed)
            failed = one;
        }
    }
    if (failed != FET_OK)
        st = FET_FAIL(failed, "distances of %lld x %lld rows: a matrix product failed", (long long)m, (long long)n);
done:
    fet__free(products);
    fet__free(a_square);
    return st;
}
