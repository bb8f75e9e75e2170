/* Exact nearest neighbours of unit vectors by blocked matrix products. Each pair of blocks is multiplied once and serves
 * both sides; what remains of it is each row's running list of the k best. Distances themselves are not kept. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "cluster/cluster.h"

enum {
    SIDE = 256, /* rows of a block: 256 x 256 products stay in a core's own cache */
    STRIP = 32  /* products that are looked at together */
};

/* The best so far of one row, best first: larger cosine, then smaller index. */
typedef struct best {
    float *cosine;
    int32_t *index;
} best;

static inline void insert(best b, int k, float cosine, int32_t index)
{
    int at = k - 1;
    if (cosine < b.cosine[at] || (cosine == b.cosine[at] && index > b.index[at]))
        return;
    for (; at > 0 && (cosine > b.cosine[at - 1] || (cosine == b.cosine[at - 1] && index < b.index[at - 1])); at--) {
        b.cosine[at] = b.cosine[at - 1];
        b.index[at] = b.index[at - 1];
    }
    b.cosine[at] = cosine;
    b.index[at] = index;
}

static void clear(float *cosine, int32_t *index, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        cosine[i] = -INFINITY;
        index[i] = INT32_MAX;
    }
}

typedef struct search {
    const float *x;
    int64_t rows, width;
    int k, team;
    float *cosine; /* [rows][k] */
    int32_t *index;
    float *last;        /* [rows]: of the last in each list, side by side for many comparisons at once */
    float *least;       /* [rows]; NULL: not asked for */
    float *block;       /* [team][SIDE][SIDE]: products */
    float *own_cosine;  /* [team][SIDE][k]: lists of the present block's rows, one set a thread */
    float *own_least;   /* [team][SIDE] */
    int32_t *own_index; /* [team][SIDE][k] */
} search;

static int64_t block_rows(const search *s, int64_t block)
{
    int64_t left = s->rows - block * SIDE;
    return left < SIDE ? left : SIDE;
}

/* What a product must reach to come into row i's list: the row's own one stands still while its block is at work. */
static inline float bar(const search *s, best own, int64_t i)
{
    float last = own.cosine[s->k - 1];
    return last > s->last[i] ? last : s->last[i];
}

/* One product: row `i` of block a with row `other`. `own` belongs to the first; the second's list nobody else looks at now. */
static inline void offer(search *s, best own, float cosine, int64_t i, int64_t other, bool both)
{
    if (cosine >= bar(s, own, i))
        insert(own, s->k, cosine, (int32_t)other);
    if (both && cosine >= s->last[other]) {
        best b = {s->cosine + other * s->k, s->index + other * s->k};
        insert(b, s->k, cosine, (int32_t)i);
        s->last[other] = b.cosine[s->k - 1];
    }
}

/* Does any of STRIP products reach a list? Most do not, once the lists have filled. */
static inline bool reaches(const float *cosine, float own, const float *last)
{
    int hits = 0;
    for (int j = 0; j < STRIP; j++)
        hits |= (cosine[j] >= own) | (cosine[j] >= last[j]);
    return hits;
}

/* The products of row `i` with block b's rows from `first` on. */
static void offer_row(search *s, best own, const float *cosine, int64_t i, int64_t first, int64_t n, bool both)
{
    for (int64_t j = 0; j < n; j += STRIP) {
        int64_t count = n - j < STRIP ? n - j : STRIP;
        if (count == STRIP && !reaches(cosine + j, bar(s, own, i), s->last + first + j))
            continue;
        for (int64_t e = j; e < j + count; e++)
            offer(s, own, cosine[e], i, first + e, both);
    }
}

static void keep_least(float *least, float *others, const float *cosine, int64_t n, bool both)
{
    for (int64_t j = 0; j < n; j++) {
        *least = cosine[j] < *least ? cosine[j] : *least;
        if (both && cosine[j] < others[j])
            others[j] = cosine[j];
    }
}

/* Products of block `a` with block `b`: into this thread's lists for a's rows, and straight into those of b, which no other thread
 * looks at. */
static fet_status pair(search *s, int64_t a, int64_t b, int thread)
{
    int64_t m = block_rows(s, a), n = block_rows(s, b), k = s->k;
    float *p = s->block + (size_t)thread * SIDE * SIDE;
    fet_status st = fet__product_nt(p, s->x + a * SIDE * s->width, s->x + b * SIDE * s->width, m, n, s->width);
    if (st != FET_OK)
        return st;
    for (int64_t i = 0; i < m; i++) {
        int64_t at = (int64_t)thread * SIDE + i;
        best own = {s->own_cosine + at * k, s->own_index + at * k};
        offer_row(s, own, p + i * n, a * SIDE + i, b * SIDE, n, a != b);
        if (s->least)
            keep_least(&s->own_least[at], s->least + b * SIDE, p + i * n, n, a != b);
    }
    return FET_OK;
}

/* The threads' lists of block a's rows go into the rows' own. */
static void gather(search *s, int64_t a)
{
    int64_t k = s->k;
    for (int t = 0; t < s->team; t++)
        for (int64_t i = 0; i < block_rows(s, a); i++) {
            int64_t from = (int64_t)t * SIDE + i, to = a * SIDE + i;
            best b = {s->cosine + to * k, s->index + to * k};
            for (int64_t e = 0; e < k && s->own_index[from * k + e] != INT32_MAX; e++)
                insert(b, s->k, s->own_cosine[from * k + e], s->own_index[from * k + e]);
            s->last[to] = b.cosine[k - 1];
            if (s->least && s->own_least[from] < s->least[to])
                s->least[to] = s->own_least[from];
        }
}

static fet_status run(search *s)
{
    int64_t blocks = (s->rows + SIDE - 1) / SIDE;
    fet_status failed = FET_OK;
    for (int64_t a = 0; a < blocks; a++) {
        clear(s->own_cosine, s->own_index, (int64_t)s->team * SIDE * s->k);
        for (int64_t i = 0; i < (int64_t)s->team * SIDE; i++)
            s->own_least[i] = INFINITY;
#pragma omp parallel for schedule(dynamic, 1) num_threads(s->team)
        for (int64_t b = a; b < blocks; b++) {
            fet_status st = pair(s, a, b, fet__thread_index());
            if (st != FET_OK) {
#pragma omp critical(fet__neighbours_failed)
                failed = st;
            }
        }
        if (failed != FET_OK)
            return FET_FAIL(failed, "nearest neighbours: a matrix product failed");
        gather(s, a);
    }
    return FET_OK;
}

fet_status fet__rows_finite(const float *x, int64_t rows, int64_t width)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < width; c++)
            if (!isfinite(x[i * width + c]))
                return FET_FAIL(FET_E_NUMERIC, "features: row %lld, column %lld is not a finite number", (long long)i,
                                (long long)c);
    return FET_OK;
}

float fet__row_cosine(const float *a, const float *b, int64_t width)
{
    float part[16] = {0}, sum = 0;
    int64_t c = 0;
    for (; c + 16 <= width; c += 16)
        for (int i = 0; i < 16; i++)
            part[i] += a[c + i] * b[c + i];
    for (; c < width; c++)
        part[0] += a[c] * b[c];
    for (int i = 0; i < 16; i++)
        sum += part[i];
    return sum;
}

float fet__neighbour_cosine(const fet__neighbours *n, const float *x, int64_t width, int64_t row, int64_t other)
{
    const int32_t *index = n->index + row * n->k;
    for (int e = 0; e < n->k; e++)
        if (index[e] == other)
            return n->cosine[row * n->k + e];
    return fet__row_cosine(x + row * width, x + other * width, width);
}

fet_status fet__neighbours_find(fet__neighbours *out, const float *x, int64_t rows, int64_t width, int k, bool farthest)
{
    fet_status st = FET_OK;
    search s = {.x = x, .rows = rows, .width = width, .team = fet__threads()};
    memset(out, 0, sizeof *out);
    if (rows < 1 || rows > INT32_MAX - SIDE || width < 1 || k < 1)
        return FET_FAIL(FET_E_ARG, "nearest neighbours: %lld rows of %lld values with k = %d", (long long)rows,
                        (long long)width, k);
    s.k = k < rows ? k : (int)rows;
    FET_TRY(fet__rows_finite(x, rows, width));
    FET_TRY(FET_NEW(s.cosine, rows * s.k));
    FET_TRY(FET_NEW(s.index, rows * s.k));
    FET_TRY(FET_NEW(s.last, rows));
    if (farthest)
        FET_TRY(FET_NEW(s.least, rows));
    FET_TRY(FET_NEW(s.block, (int64_t)s.team * SIDE * SIDE));
    FET_TRY(FET_NEW(s.own_cosine, (int64_t)s.team * SIDE * s.k));
    FET_TRY(FET_NEW(s.own_index, (int64_t)s.team * SIDE * s.k));
    FET_TRY(FET_NEW(s.own_least, (int64_t)s.team * SIDE));
    clear(s.cosine, s.index, rows * s.k);
    for (int64_t i = 0; i < rows; i++)
        s.last[i] = -INFINITY;
    for (int64_t i = 0; s.least && i < rows; i++)
        s.least[i] = INFINITY;
    FET_TRY(run(&s));
    *out = (fet__neighbours){.rows = rows, .k = s.k, .index = s.index, .cosine = s.cosine, .least_cosine = s.least};
    s.index = NULL;
    s.cosine = s.least = NULL;
done:
    fet__free(s.cosine);
    fet__free(s.index);
    fet__free(s.last);
    fet__free(s.least);
    fet__free(s.block);
    fet__free(s.own_cosine);
    fet__free(s.own_index);
    fet__free(s.own_least);
    return st;
}

void fet__neighbours_fini(fet__neighbours *n)
{
    fet__free(n->index);
    fet__free(n->cosine);
    fet__free(n->least_cosine);
    memset(n, 0, sizeof *n);
}
