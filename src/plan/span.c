/* Places for spans in one arena. Spans are placed one after the other, largest first, each into the tightest gap that the spans
 * placed before leave free during its life. Which order is best depends on the graph, so a few are tried, and each is tried again
 * with those spans moved forward that came to lie too high. The smallest arena is kept; the search ends when one as small as the
 * fullest step is found, or after a bounded amount of work. What a span holds is unknown here. */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

#define ALIGNMENT 64
#define BYTES_MAX (INT64_MAX / 4)

static int64_t rounded(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- orders of placing ---------------------------------------------------------------------------------------- */

typedef struct key {
    double weight; /* larger is placed earlier */
    int64_t bytes;
    int first, index;
} key;

static int by_weight(const void *pa, const void *pb)
{
    const key *a = pa, *b = pb;

    if (a->weight != b->weight)
        return a->weight < b->weight ? 1 : -1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

enum { BY_SIZE, BY_AREA, BY_LIFE, BY_START, ORDERS };

static double weight_of(const fet__span *s, int order)
{
    double life = (double)s->last - s->first + 1;

    switch (order) {
    case BY_SIZE: return (double)s->bytes;
    case BY_AREA: return (double)s->bytes * life;
    case BY_LIFE: return life;
    default: return 1.0 / (1.0 + s->first);
    }
}

static void sort_spans(key *keys, const fet__span *spans, int count, int order, const double *blame)
{
    for (int i = 0; i < count; i++)
        keys[i] = (key){weight_of(&spans[i], order) * blame[i], spans[i].bytes, spans[i].first, i};
    qsort(keys, (size_t)count, sizeof *keys, by_weight);
}

/* ---- placing ---------------------------------------------------------------------------------------------------- */

/* Spans with a place, in order of offset; compact, for every later span walks over all of them. */
typedef struct placed {
    int64_t offset, end;
    int first, last;
} placed;

/* The offset of the tightest gap of `bytes` among the spans that live at a common time. */
static int64_t tightest_gap(const placed *list, int count, int first, int last, int64_t bytes)
{
    int64_t end = 0, best = -1, best_gap = INT64_MAX;

    for (int i = 0; i < count; i++) {
        if (list[i].last < first || list[i].first > last)
            continue;
        if (list[i].offset - end >= bytes && list[i].offset - end < best_gap) {
            best = end;
            best_gap = list[i].offset - end;
        }
        if (list[i].end > end)
            end = list[i].end;
    }
    return best >= 0 ? best : end;
}

static void insert(placed *list, int count, placed item)
{
    int low = 0, high = count;

    while (low < high) {
        int middle = (low + high) / 2;

        if (list[middle].offset <= item.offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(list + low + 1, list + low, (size_t)(count - low) * sizeof *list);
    list[low] = item;
}

/* Place all spans in the order of `keys`; offsets go to `offset`, the return value is the arena. */
static int64_t place_all(const fet__span *spans, int count, const key *keys, placed *list, int64_t *offset)
{
    int64_t arena = 0;
    int held = 0;

    for (int i = 0; i < count; i++) {
        const fet__span *s = &spans[keys[i].index];
        int64_t bytes = rounded(s->bytes), at;

        offset[keys[i].index] = 0;
        if (bytes == 0)
            continue;
        at = tightest_gap(list, held, s->first, s->last, bytes);
        offset[keys[i].index] = at;
        insert(list, held++, (placed){at, at + bytes, s->first, s->last});
        if (at + bytes > arena)
            arena = at + bytes;
    }
    return arena;
}

/* ---- the fullest step -------------------------------------------------------------------------------------------- */

static fet_status check_spans(const fet__span *spans, int count)
{
    int64_t total = 0;

    for (int i = 0; i < count; i++) {
        if (spans[i].bytes < 0 || spans[i].first < 0 || spans[i].first > spans[i].last)
            return FET_FAIL(FET_E_BUG, "plan: span %d has %lld bytes and lives from %d to %d", i,
                            (long long)spans[i].bytes, spans[i].first, spans[i].last);
        if (spans[i].bytes > BYTES_MAX - ALIGNMENT || total > BYTES_MAX - rounded(spans[i].bytes))
            return FET_FAIL(FET_E_NOMEM, "plan: the values need more than %lld bytes of address space",
                            (long long)BYTES_MAX);
        total += rounded(spans[i].bytes);
    }
    return FET_OK;
}

fet_status fet__plan_floor(const fet__span *spans, int count, int64_t *floor)
{
    int64_t *change = NULL, live = 0;
    fet_status st;
    int steps = 0;

    *floor = 0;
    FET_TRY(check_spans(spans, count));
    for (int i = 0; i < count; i++)
        if (spans[i].last >= steps)
            steps = spans[i].last + 1;
    FET_TRY(FET_NEW(change, (size_t)steps + 1));
    for (int i = 0; i < count; i++) {
        change[spans[i].first] += rounded(spans[i].bytes);
        change[spans[i].last + 1] -= rounded(spans[i].bytes);
    }
    for (int t = 0; t < steps; t++) {
        live += change[t];
        if (live > *floor)
            *floor = live;
    }
done:
    fet__free(change);
    return st;
}

/* ---- the search --------------------------------------------------------------------------------------------------- */

#define ROUNDS_MOST 24
#define BLAME 1.5 /* how much heavier a span becomes each time it does not fit below the floor */

/* A round costs about count^2 / 4 looks at a placed span. */
static int rounds_for(int count)
{
    double affordable = 5e7 / (1.0 + (double)count * count);

    return affordable > ROUNDS_MOST ? ROUNDS_MOST : affordable < 1 ? 1 : (int)affordable;
}

typedef struct search {
    placed *list;
    int64_t *offset;
    double *blame;
    key *keys;
} search;

/* Place in one order, then again with the misplaced ones earlier, until the arena is no larger than `enough`. Keeps what is better than
 * *arena. */
static void search_order(search *w, fet__span *spans, int count, int order, int64_t floor, int64_t enough,
                         int64_t *arena)
{
    for (int i = 0; i < count; i++)
        w->blame[i] = 1;
    for (int left = rounds_for(count); left > 0 && (*arena < 0 || *arena > enough); left--) {
        int64_t size;

        sort_spans(w->keys, spans, count, order, w->blame);
        size = place_all(spans, count, w->keys, w->list, w->offset);
        for (int i = 0; i < count; i++)
            if (w->offset[i] + rounded(spans[i].bytes) > floor)
                w->blame[i] *= BLAME;
        if (*arena >= 0 && size >= *arena)
            continue;
        *arena = size;
        for (int i = 0; i < count; i++)
            spans[i].offset = w->offset[i];
    }
}

fet_status fet__plan_place_near(fet__span *spans, int count, double slack, int64_t *arena, int64_t *floor)
{
    int64_t smallest = -1;
    search w = {0};
    fet_status st;

    *arena = 0;
    FET_TRY(fet__plan_floor(spans, count, floor));
    FET_TRY(FET_NEW(w.keys, count));
    FET_TRY(FET_NEW(w.list, (size_t)count + 1));
    FET_TRY(FET_NEW(w.offset, count));
    FET_TRY(FET_NEW(w.blame, count));
    for (int order = 0; order < ORDERS; order++)
        search_order(&w, spans, count, order, *floor, *floor + (int64_t)(slack * (double)*floor), &smallest);
    *arena = smallest;
done:
    fet__free(w.blame);
    fet__free(w.offset);
    fet__free(w.list);
    fet__free(w.keys);
    return st;
}

fet_status fet__plan_place(fet__span *spans, int count, int64_t *arena, int64_t *floor)
{
    return fet__plan_place_near(spans, count, 0, arena, floor);
}

/* ---- the promise --------------------------------------------------------------------------------------------------- */

fet_status fet__plan_verify(const fet__span *spans, int count, int64_t arena)
{
    for (int i = 0; i < count; i++) {
        const fet__span *a = &spans[i];

        if (a->offset < 0 || a->offset % ALIGNMENT != 0 || a->bytes > arena - a->offset)
            return FET_FAIL(FET_E_BUG, "plan: span %d (%lld bytes at %lld) leaves the arena of %lld bytes", i,
                            (long long)a->bytes, (long long)a->offset, (long long)arena);
        for (int j = 0; j < i; j++) {
            const fet__span *b = &spans[j];

            if (a->last < b->first || b->last < a->first || a->bytes == 0 || b->bytes == 0)
                continue;
            if (a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
                return FET_FAIL(FET_E_BUG, "plan: spans %d and %d share bytes and live at a common step", j, i);
        }
    }
    return FET_OK;
}
