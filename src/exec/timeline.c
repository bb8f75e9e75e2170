/* The order of a run. Candidates: an order that a budget's choice came with, the graph's own order (creation, late nodes right before their first user) and the greedy one by
 * memory, each as it is and improved. Every candidate that could win is placed for real, and the smallest arena wins (the
 * earlier candidate on a tie), so a clever order is never worse than the plain one. Steps that write the store come after all
 * that may fail. */
#include <string.h>

#include "exec/exec_int.h"

typedef struct items {
    int count;          /* steps of the run without the copies at the end */
    int *step;          /* item -> step */
    int *item;          /* step -> item, -1 */
    const int **before; /* for item `count`, the end of the run, too: it needs every item, so it comes last */
    int *before_count;
    int *pool;
    int64_t *bytes;
    int64_t *nothing; /* zeros: makes the greedy order a plain one by rank */
    int *rank;
    int *order, *spare;
    int *best;
} items;

/* ---- the graph of items ------------------------------------------------------------------------------------------- */

/* Every pair (made here, read there), and room for one more edge for each read of a parameter. */
static fet_status collect_edges(const fet__program *p, fet__edges *e)
{
    size_t capacity = 0;
    fet_status st;

    for (int i = 0; i < p->step_count; i++)
        capacity += 2 * (size_t)p->steps[i].input_count;
    FET_TRY(FET_NEW(e->head, p->step_count));
    FET_TRY(FET_NEW(e->next, capacity));
    FET_TRY(FET_NEW(e->to, capacity));
    memset(e->head, 0xff, (size_t)p->step_count * sizeof *e->head);
    for (int i = 0; i < p->step_count; i++)
        for (int k = 0; k < p->steps[i].input_count; k++) {
            int maker = p->values[p->steps[i].input[k].value].step;

            if (maker >= 0 && !p->steps[i].once && !p->steps[maker].once)
                fet__edge_add(e, maker, i);
        }
done:
    return st;
}

static void fini_edges(fet__edges *e)
{
    fet__free(e->head);
    fet__free(e->next);
    fet__free(e->to);
}

static bool is_item(const fet__step *s)
{
    return !s->once && s->kind != FET__STEP_ASSIGN;
}

static fet_status take_items(const fet__program *p, items *t, int edges)
{
    size_t n = (size_t)p->step_count + 1;
    fet_status st;

    FET_TRY(FET_NEW(t->step, n));
    FET_TRY(FET_NEW(t->item, n));
    FET_TRY(FET_NEW(t->before, n));
    FET_TRY(FET_NEW(t->before_count, n));
    FET_TRY(FET_NEW(t->pool, (size_t)edges + n));
    FET_TRY(FET_NEW(t->bytes, n));
    FET_TRY(FET_NEW(t->nothing, n));
    FET_TRY(FET_NEW(t->rank, n));
    FET_TRY(FET_NEW(t->order, n));
    FET_TRY(FET_NEW(t->spare, n));
    FET_TRY(FET_NEW(t->best, n));
done:
    return st;
}

static void fini_items(items *t)
{
    fet__free(t->step);
    fet__free(t->item);
    fet__free((void *)t->before);
    fet__free(t->before_count);
    fet__free(t->pool);
    fet__free(t->bytes);
    fet__free(t->nothing);
    fet__free(t->rank);
    fet__free(t->order);
    fet__free(t->spare);
    fet__free(t->best);
}

/* Turn successor lists into lists of what each item needs, each once. */
static void fill_needs(const fet__program *p, items *t, const fet__edges *e, int *fill)
{
    int held = 0;

    for (int i = 0; i < t->count; i++)
        for (int k = e->head[t->step[i]]; k >= 0; k = e->next[k])
            t->before_count[t->item[e->to[k]]]++;
    for (int i = 0; i < t->count; i++) {
        fill[i] = held;
        t->before[i] = t->pool + held;
        held += t->before_count[i];
        t->before_count[i] = 0;
    }
    for (int i = 0; i < t->count; i++)
        for (int k = e->head[t->step[i]]; k >= 0; k = e->next[k]) {
            int user = t->item[e->to[k]], n = t->before_count[user];

            if (n > 0 && t->pool[fill[user] + n - 1] == i) /* makers come in order, so equal ones are neighbours */
                continue;
            t->pool[fill[user] + n] = i;
            t->before_count[user]++;
        }
    t->before[t->count] = t->pool + held;
    for (int i = 0; i < t->count; i++) {
        const fet__value *v = &p->values[p->steps[t->step[i]].value];

        if (e->head[t->step[i]] < 0 || v->output)
            t->pool[held + t->before_count[t->count]++] = i;
    }
}

static fet_status make_items(fet__program *p, items *t, const fet__edges *e)
{
    fet_status st;

    FET_TRY(take_items(p, t, e->count));
    for (int i = 0; i < p->step_count; i++) {
        t->item[i] = -1;
        if (!is_item(&p->steps[i]))
            continue;
        t->item[i] = t->count;
        t->step[t->count] = i;
        if (p->values[p->steps[i].value].region == FET__IN_ARENA)
            t->bytes[t->count] = fet__rounded(p->values[p->steps[i].value].bytes);
        t->count++;
    }
    fill_needs(p, t, e, t->spare);
done:
    return st;
}

/* ---- candidates --------------------------------------------------------------------------------------------------- */

/* Item order -> the run's part of the timeline. A step of the tail waits until the last early step has run; the copies come at the
 * very end. */
static void write_timeline(fet__program *p, const items *t, const int *order)
{
    int at = p->prologue_count, last = -1;

    for (int i = 0; i <= t->count; i++)
        if (order[i] < t->count && p->steps[t->step[order[i]]].early)
            last = i;
    for (int i = 0; i <= last; i++)
        if (order[i] < t->count && !p->steps[t->step[order[i]]].tail)
            p->order[at++] = t->step[order[i]];
    for (int i = 0; i <= t->count; i++)
        if (order[i] < t->count && (i > last || p->steps[t->step[order[i]]].tail))
            p->order[at++] = t->step[order[i]];
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].kind == FET__STEP_ASSIGN)
            p->order[at++] = i;
    p->order_count = at;
    for (p->tail = p->prologue_count; p->tail < at && !p->steps[p->order[p->tail]].tail;)
        p->tail++;
}

static fet_status try_order(fet__program *p, items *t, const int *order, int64_t *smallest)
{
    int64_t arena, floor;
    fet_status st;

    write_timeline(p, t, order);
    FET_TRY(fet__place_values(p, *smallest, &arena, &floor));
    if (*smallest < 0 || arena < *smallest) {
        *smallest = arena;
        memcpy(t->best, order, (size_t)(t->count + 1) * sizeof *order);
    }
done:
    return st;
}

static fet_status try_rank(fet__program *p, items *t, bool greedy, int64_t *smallest)
{
    fet_status st;

    FET_TRY(fet__plan_order(t->order, t->count + 1, (const int *const *)t->before, t->before_count,
                            greedy ? t->bytes : t->nothing, t->rank));
    FET_TRY(try_order(p, t, t->order, smallest));
    FET_TRY(fet__plan_improve(t->order, t->count + 1, (const int *const *)t->before, t->before_count, t->bytes));
    FET_TRY(try_order(p, t, t->order, smallest));
done:
    return st;
}

/* An order that was chosen before (fit_budget.c), by node. Snapshots come where their inputs allow. */
static fet_status try_given(fet__program *p, items *t, const int *rank, int64_t *smallest)
{
    fet_status st;

    for (int i = 0; i < t->count; i++) {
        const fet__node *n = p->steps[t->step[i]].node;

        t->rank[i] = n ? rank[n->id] : INT32_MAX;
    }
    t->rank[t->count] = INT32_MAX;
    FET_TRY(try_rank(p, t, false, smallest));
done:
    return st;
}

static fet_status try_all(fet__program *p, items *t, const int *rank, int64_t *smallest)
{
    fet_status st;

    if (rank)
        FET_TRY(try_given(p, t, rank, smallest));
    for (int i = 0; i <= t->count; i++)
        t->rank[i] = i; /* steps were made in the order of fet__graph_order */
    FET_TRY(try_rank(p, t, false, smallest));
    FET_TRY(try_rank(p, t, true, smallest));
done:
    return st;
}

fet_status fet__schedule(fet__program *p, const int *rank)
{
    int64_t smallest = -1;
    fet__edges edges = {0};
    items t = {0};
    fet_status st;

    FET_TRY(collect_edges(p, &edges));
    FET_TRY(fet__assigns_decide(p, &edges));
    FET_TRY(fet__assigns_copy(p));
    FET_TRY(make_items(p, &t, &edges));
    FET_TRY(try_all(p, &t, rank, &smallest));
    write_timeline(p, &t, t.best);
    FET_TRY(fet__place_values(p, -1, &p->info.arena_bytes, &p->info.floor_bytes));
    FET_TRY(fet__plan_verify(p->spans, p->span_count, p->info.arena_bytes));
done:
    fini_items(&t);
    fini_edges(&edges);
    return st;
}
