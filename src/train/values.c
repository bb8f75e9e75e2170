/* What stands for parameters in a graph: themselves, or what steps of gradient descent made of them. The steps are nodes like all
 * others, so a gradient goes through them. What is descended on is the caller's. */
#include "train/byol.h"

#include <stdio.h>
#include <string.h>

static fet_status reserve(fet__values *v, fet__graph *g, int count)
{
    v->param = fet__arena_alloc(fet__graph_arena(g), (size_t)count + 1, sizeof(fet__param *));
    v->node = fet__arena_alloc(fet__graph_arena(g), (size_t)count + 1, sizeof(fet__node *));
    return v->param && v->node ? FET_OK : FET_E_NOMEM;
}

fet_status fet__values_of(fet__values *out, fet__build *b,
                          bool (*accept)(const fet__params *store, const fet__param *p))
{
    int n = fet__params_count(b->store);
    fet_status st;

    *out = (fet__values){0};
    FET_TRY(reserve(out, b->g, n));
    for (int i = 0; i < n; i++) {
        fet__param *p = fet__params_at(b->store, i);
        fet__node *leaf;
        if (p->role != FET__PARAM || !accept(b->store, p))
            continue;
        leaf = fet__leaf(b->g, p);
        out->param[out->count] = p;
        out->node[out->count++] = p->dtype == b->dtype ? leaf : fet__cast(b->g, leaf, b->dtype);
    }
    st = fet__graph_status(b->g);
done:
    return st;
}

fet_status fet__values_descend(fet__values *out, const fet__values *v, fet__graph *g, fet__node *loss, double rate,
                               fet__node ***grads)
{
    fet__values next = {.count = v->count};
    fet__node **grad;
    fet_status st;

    FET_TRY(reserve(&next, g, v->count));
    grad = fet__arena_alloc(fet__graph_arena(g), (size_t)v->count + 1, sizeof(fet__node *));
    if (!grad)
        return FET_E_NOMEM;
    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__gradient(g, loss, v->node, v->count, false, grad));
    for (int i = 0; i < v->count; i++) {
        next.param[i] = v->param[i];
        next.node[i] = fet__sub(g, v->node[i], fet__scale(g, grad[i], rate));
    }
    *out = next;
    if (grads)
        *grads = grad;
    st = fet__graph_status(g);
done:
    return st;
}

static fet__node *value_of(void *user, fet__build *b, fet__param *p)
{
    const fet__values *v = user;

    (void)b;
    for (int i = 0; i < v->count; i++)
        if (v->param[i] == p)
            return v->node[i];
    return NULL;
}

void fet__values_use(fet__build *b, fet__values *v)
{
    b->value = v ? value_of : NULL;
    b->value_user = v;
}

bool fet__is_norm_affine(const fet__params *store, const fet__param *p)
{
    const char *dot = strrchr(p->name, '.');
    char name[400];

    if (strncmp(p->name, "target.", 7) == 0 || !dot || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0))
        return false;
    snprintf(name, sizeof name, "%.*s.running_mean", (int)(dot - p->name), p->name);
    return fet__params_find(store, name) != NULL;
}
