/* k-reciprocal neighbourhoods as sparse rows: who counts me among his nearest, widened by the like neighbourhoods of those, and
 * smoothed over the nearest few. The distances between neighbourhoods are in jaccard.c. */
#include <string.h>

#include "cluster/cluster.h"

void fet__sparse_fini(fet__sparse *s)
{
    fet__free(s->start);
    fet__free(s->column);
    fet__free(s->weight);
    memset(s, 0, sizeof *s);
}

/* Whole vectors of numbers are compared, without a way out in between: that is several times faster for a few dozen. */
static bool holds(const int32_t *set, int count, int32_t who)
{
    int hits = 0, e = 0;
    for (; e + 8 <= count; e += 8)
        for (int i = 0; i < 8; i++)
            hits |= set[e + i] == who;
    for (; e < count; e++)
        hits |= set[e] == who;
    return hits;
}

/* The first `first` neighbours of `row` that have it among their own first ones; in their order. */
static int mutual(int32_t *out, const fet__neighbours *n, int64_t row, int first)
{
    int count = 0;
    first = first < n->k ? first : n->k;
    for (int e = 0; e < first; e++) {
        int32_t j = n->index[row * n->k + e];
        if (holds(n->index + (int64_t)j * n->k, first, (int32_t)row))
            out[count++] = j;
    }
    return count;
}

/* Shell's sort: sets here have tens to hundreds of numbers. */
static void sort_numbers(int32_t *set, int64_t count)
{
    static const int64_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < FET_COUNT(gaps); g++)
        for (int64_t i = gaps[g]; i < count; i++) {
            int32_t number = set[i];
            int64_t at = i;
            for (; at >= gaps[g] && set[at - gaps[g]] > number; at -= gaps[g])
                set[at] = set[at - gaps[g]];
            set[at] = number;
        }
}

static int common(const int32_t *a, int a_count, const int32_t *b, int b_count)
{
    int n = 0;
    for (int i = 0; i < a_count; i++)
        n += holds(b, b_count, a[i]);
    return n;
}

/* Members of row i in ascending order. `set` has room for near + near * half + 1, `a` for near + 1, `b` for half. */
static int expand(int32_t *set, int32_t *a, int32_t *b, const fet__neighbours *n, int64_t i, int near, int half)
{
    int a_count = mutual(a, n, i, near), count;
    if (!holds(a, a_count, (int32_t)i)) /* more than k twins in front of it: it is its own all the same */
        a[a_count++] = (int32_t)i;
    memcpy(set, a, (size_t)a_count * sizeof *a);
    count = a_count;
    for (int e = 0; e < a_count; e++) {
        int b_count = mutual(b, n, a[e], half);
        if (3 * common(b, b_count, a, a_count) <= 2 * b_count)
            continue;
        for (int k = 0; k < b_count; k++) /* most are in already */
            if (!holds(set, count, b[k]))
                set[count++] = b[k];
    }
    sort_numbers(set, count);
    return count;
}

/* ---- building sparse rows in parallel: threads fill chunks of rows, which are then put end to end -------------- */

enum { CHUNK = 512 }; /* rows */

typedef struct chunk {
    int32_t *column;
    float *weight;
    int64_t count, capacity;
} chunk;

static fet_status chunk_room(chunk *c, int64_t more)
{
    if (c->count + more <= c->capacity)
        return FET_OK;
    int64_t to = 2 * c->capacity + more;
    int32_t *column = fet__realloc(c->column, (size_t)c->capacity, (size_t)to, sizeof *column);
    if (!column)
        return FET_E_NOMEM;
    c->column = column;
    float *weight = fet__realloc(c->weight, (size_t)c->capacity, (size_t)to, sizeof *weight);
    if (!weight)
        return FET_E_NOMEM;
    c->weight = weight;
    c->capacity = to;
    return FET_OK;
}

static fet_status join(fet__sparse *out, chunk *chunks, int64_t count)
{
    fet_status st = FET_OK;
    int64_t total = 0, i;
    for (i = 0; i < out->rows; i++)
        out->start[i + 1] += out->start[i];
    for (i = 0; i < count; i++)
        total += chunks[i].count;
    FET_TRY(FET_NEW(out->column, total));
    FET_TRY(FET_NEW(out->weight, total));
    for (i = 0, total = 0; i < count; total += chunks[i].count, i++) {
        memcpy(out->column + total, chunks[i].column, (size_t)chunks[i].count * sizeof *out->column);
        memcpy(out->weight + total, chunks[i].weight, (size_t)chunks[i].count * sizeof *out->weight);
        fet__free(chunks[i].column);
        fet__free(chunks[i].weight);
        chunks[i].column = NULL;
        chunks[i].weight = NULL;
    }
done:
    return st;
}

/* A row's maker appends the row to `c`; `space` is its thread's own. */
typedef fet_status row_maker(const void *job, void *space, int64_t row, chunk *c);

static fet_status build(fet__sparse *out, int64_t rows, row_maker *make, const void *job, size_t space_bytes)
{
    int64_t count = (rows + CHUNK - 1) / CHUNK;
    int team = fet__threads();
    chunk *chunks = NULL;
    char *space = NULL;
    fet_status st = FET_OK, failed = FET_OK;
    *out = (fet__sparse){.rows = rows};
    FET_TRY(FET_NEW(out->start, rows + 1));
    FET_TRY(FET_NEW(chunks, count));
    FET_TRY(FET_NEW(space, (size_t)team * space_bytes));
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (int64_t k = 0; k < count; k++) {
        fet_status mine = FET_OK;
        for (int64_t i = k * CHUNK; i < rows && i < (k + 1) * CHUNK && mine == FET_OK; i++) {
            int64_t before = chunks[k].count;
            mine = make(job, space + (size_t)fet__thread_index() * space_bytes, i, &chunks[k]);
            out->start[i + 1] = chunks[k].count - before;
        }
        if (mine != FET_OK) {
#pragma omp critical(fet__sparse_failed)
            failed = mine;
        }
    }
    if (failed != FET_OK)
        st = FET_FAIL(failed, "neighbourhoods: out of memory");
    else
        st = join(out, chunks, count);
done:
    for (int64_t k = 0; chunks && k < count; k++) {
        fet__free(chunks[k].column);
        fet__free(chunks[k].weight);
    }
    fet__free(chunks);
    fet__free(space);
    if (st != FET_OK)
        fet__sparse_fini(out);
    return st;
}

/* ---- expanded neighbourhoods ----------------------------------------------------------------------------------- */

typedef struct expansion {
    const fet__neighbours *n;
    int near, half;
    fet__member_weight *weight;
    const void *user;
} expansion;

static fet_status expansion_row(const void *job, void *space, int64_t row, chunk *c)
{
    const expansion *e = job;
    int32_t *a = space, *b = a + e->near + 1, *set = b + e->half;
    int count = expand(set, a, b, e->n, row, e->near, e->half);
    float sum = 0;
    fet_status st = chunk_room(c, count);
    if (st != FET_OK)
        return st;
    for (int k = 0; k < count; k++) {
        float w = e->weight(e->user, row, set[k]);
        c->column[c->count + k] = set[k];
        c->weight[c->count + k] = w;
        sum += w;
    }
    for (int k = 0; k < count; k++)
        c->weight[c->count + k] /= sum;
    c->count += count;
    return FET_OK;
}

fet_status fet__reciprocal(fet__sparse *out, const fet__neighbours *n, int near, int half, fet__member_weight *weight,
                           const void *user)
{
    expansion e = {n, near < n->k ? near : n->k, half < n->k ? half : n->k, weight, user};
    size_t room = (size_t)(e.near + 1) + (size_t)e.half + (size_t)(e.near + 1) * (size_t)(e.half + 1);
    return build(out, n->rows, expansion_row, &e, room * sizeof(int32_t));
}

/* ---- means over the nearest few -------------------------------------------------------------------------------- */

typedef struct mean {
    const fet__sparse *v;
    const fet__neighbours *n;
    int k2;
} mean;

/* The sum lives in a dense row; columns seen for the first time are listed. A weight may be zero (exp underflows), so a mark tells, not the
 * sum. */
static fet_status mean_row(const void *job, void *space, int64_t row, chunk *c)
{
    const mean *m = job;
    int64_t rows = m->v->rows;
    float *sum = space;
    int32_t *listed = (int32_t *)space + rows;
    unsigned char *seen = (unsigned char *)(listed + rows);
    int64_t count = 0;
    for (int t = 0; t < m->k2; t++) {
        int64_t from = m->n->index[row * m->n->k + t];
        for (int64_t e = m->v->start[from]; e < m->v->start[from + 1]; e++) {
            int32_t at = m->v->column[e];
            if (!seen[at]) {
                seen[at] = 1;
                listed[count++] = at;
            }
            sum[at] += m->v->weight[e];
        }
    }
    fet_status st = chunk_room(c, count);
    sort_numbers(listed, count);
    for (int64_t k = 0; k < count; k++) {
        if (st == FET_OK) {
            c->column[c->count + k] = listed[k];
            c->weight[c->count + k] = sum[listed[k]] / (float)m->k2;
        }
        sum[listed[k]] = 0;
        seen[listed[k]] = 0;
    }
    c->count += st == FET_OK ? count : 0;
    return st;
}

fet_status fet__sparse_mean(fet__sparse *out, const fet__sparse *v, const fet__neighbours *n, int k2)
{
    mean m = {v, n, k2 < n->k ? k2 : n->k};
    size_t bytes = (size_t)v->rows * (sizeof(float) + sizeof(int32_t) + 1);
    return build(out, v->rows, mean_row, &m, (bytes + 63) / 64 * 64);
}
