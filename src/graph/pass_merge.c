/* Equal nodes become one: same operator, inputs, attributes, type and shape compute the same value, for graphs are pure (random
 * numbers too: they are a function of seed, stream and step). Copies made for recomputation stay apart from what they copy. */
#include "graph/graph_int.h"

#include <string.h>

typedef struct table {
    fet__node **slot;
    uint32_t mask;
} table;

static uint32_t mix(uint32_t h, int64_t v)
{
    uint64_t x = (h ^ (uint64_t)v) * 0x9e3779b97f4a7c15u;

    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static size_t const_bytes(const fet__node *n)
{
    return n->value ? (size_t)fet__shape_count(&n->shape) * fet__dtype_bytes(n->dtype) : 0;
}

/* Addition and multiplication do not care about order: compare their inputs by number. */
static void input_ids(const fet__node *n, int *ids)
{
    for (int i = 0; i < n->input_count; i++)
        ids[i] = n->input[i]->id;
    if ((n->op == FET__OP_ADD || n->op == FET__OP_MUL) && ids[0] > ids[1]) {
        int first = ids[0];

        ids[0] = ids[1];
        ids[1] = first;
    }
}

static uint32_t hash(const fet__node *n)
{
    enum { LOOKED_AT = 256 }; /* bytes of a constant */
    const unsigned char *value = n->value;
    int ids[FET__MAX_INPUTS] = {0};
    uint32_t h = mix(mix(mix(0, (int64_t)n->op), (int64_t)n->dtype), n->copy);

    for (int i = 0; i < n->shape.rank; i++)
        h = mix(h, n->shape.dim[i]);
    for (size_t i = 0; i < FET_COUNT(n->attr.raw); i++)
        h = mix(h, n->attr.raw[i]);
    input_ids(n, ids);
    for (int i = 0; i < n->input_count; i++)
        h = mix(h, ids[i]);
    for (size_t i = 0, count = const_bytes(n); i < count && i < LOOKED_AT; i++)
        h = mix(h, value[i]);
    return h;
}

static bool same_attr(const fet__attr *a, const fet__attr *b)
{
    return memcmp(a->raw, b->raw, sizeof a->raw) == 0;
}

static bool same_group(const fet__group *a, const fet__group *b)
{
    if (!a || !b)
        return a == b;
    if (!fet__shape_equal(&a->full, &b->full) || a->reduce_axes != b->reduce_axes || a->input_count != b->input_count ||
        a->instr_count != b->instr_count)
        return false;
    for (int i = 0; i < a->instr_count; i++) {
        const fet__instr *x = &a->instr[i], *y = &b->instr[i];

        if (x->op != y->op || x->a != y->a || x->b != y->b || x->c != y->c || !same_attr(&x->attr, &y->attr))
            return false;
    }
    return true;
}

static bool equal(const fet__node *a, const fet__node *b)
{
    int ia[FET__MAX_INPUTS] = {0}, ib[FET__MAX_INPUTS] = {0};

    if (a->op != b->op || a->dtype != b->dtype || a->copy != b->copy || a->input_count != b->input_count ||
        !fet__shape_equal(&a->shape, &b->shape) || !same_attr(&a->attr, &b->attr))
        return false;
    if (a->param != b->param || (a->op == FET__OP_INPUT && strcmp(a->name, b->name) != 0))
        return false;
    if (!same_group(a->group, b->group))
        return false;
    input_ids(a, ia);
    input_ids(b, ib);
    return memcmp(ia, ib, (size_t)a->input_count * sizeof ia[0]) == 0 &&
           (!a->value || memcmp(a->value, b->value, const_bytes(a)) == 0);
}

/* The node of this kind met first. */
static fet__node *representative(table *t, fet__node *n)
{
    uint32_t at = hash(n) & t->mask;

    while (t->slot[at] && !equal(t->slot[at], n))
        at = (at + 1) & t->mask;
    if (!t->slot[at])
        t->slot[at] = n;
    return t->slot[at];
}

fet_status fet__merge_round(fet__graph *g, bool *changed)
{
    fet__node **order = NULL, **to = NULL;
    table t = {0};
    int count = 0;
    fet_status st;

    FET_TRY(fet__graph_order(g, &order, &count));
    for (t.mask = 64; t.mask < 2 * (uint32_t)count; t.mask *= 2)
        ;
    FET_TRY(FET_NEW(t.slot, t.mask));
    t.mask--;
    FET_TRY(FET_NEW(to, g->count + 1));
    for (int k = 0; k < count; k++) {
        fet__node *n = order[k], *first;

        for (int i = 0; i < n->input_count; i++)
            if (to[n->input[i]->id])
                n->input[i] = to[n->input[i]->id];
        first = representative(&t, n);
        if (first != n) {
            to[n->id] = first;
            *changed = true;
        }
    }
    fet__graph_replace(g, to, g->count);
done:
    fet__free(order);
    fet__free(to);
    fet__free(t.slot);
    return st;
}

fet_status fet__pass_merge(fet__graph *g)
{
    bool changed = false;
    fet_status st = fet__graph_status(g);

    return st == FET_OK ? fet__merge_round(g, &changed) : st;
}
