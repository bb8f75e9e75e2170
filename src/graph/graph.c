/* Life of a graph: nodes, leaves, scopes, roots, and the first building error. What operators mean is in op_*.c, how they are
 * asked for in build_*.c. Everything a node points to lives in the graph's arena and dies with the graph. */
#include "graph/graph_int.h"

#include <string.h>

fet_status fet__graph_create(fet__graph **out)
{
    fet__graph *g = fet__alloc(1, sizeof *g);

    *out = g;
    if (!g)
        return FET_E_NOMEM;
    g->scope_now = "";
    return FET_OK;
}

void fet__graph_destroy(fet__graph *g)
{
    if (!g)
        return;
    fet__arena_fini(&g->arena);
    fet__free(g->node);
    fet__free(g->output.item);
    fet__free(g->assign.item);
    fet__free(g->scope);
    fet__free(g->message);
    fet__free(g);
}

fet__arena *fet__graph_arena(fet__graph *g)
{
    return &g->arena;
}

/* ---- the first error ---- */

fet_status fet__graph_status(const fet__graph *g)
{
    if (g->status == FET_OK)
        return FET_OK;
    return FET_FAIL(g->status, "%s", g->message ? g->message : "out of memory while building a graph");
}

fet__node *fet__graph_fail(fet__graph *g, fet_status code, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (g->status != FET_OK)
        return NULL;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->status = code;
    if (*g->scope_now)
        g->message = fet__format("%s (in %s)", text, g->scope_now);
    else
        g->message = fet__strdup(text);
    fet__graph_status(g);
    return NULL;
}

fet__node *fet__graph_take(fet__graph *g, fet_status code)
{
    char text[1024];

    snprintf(text, sizeof text, "%s", fet_error_message());
    return fet__graph_fail(g, code, "%s", text);
}

bool fet__have(fet__graph *g, fet__op op, fet__node *const *in, int count)
{
    if (g->status != FET_OK)
        return false;
    for (int i = 0; i < count; i++) {
        if (!in[i]) {
            fet__graph_fail(g, FET_E_ARG, "%s: input %d is missing", fet__op_rows[op].name, i);
            return false;
        }
    }
    return true;
}

/* ---- scopes ---- */

void fet__scope_push(fet__graph *g, const char *name)
{
    const char *text;

    if (g->scope_count == g->scope_capacity) {
        int capacity = g->scope_capacity ? 2 * g->scope_capacity : 16;
        const char **bigger = fet__realloc(g->scope, (size_t)g->scope_count, (size_t)capacity, sizeof *bigger);

        if (!bigger) {
            fet__graph_take(g, FET_E_NOMEM);
            return;
        }
        g->scope = bigger;
        g->scope_capacity = capacity;
    }
    if (*g->scope_now && *name)
        text = fet__arena_format(&g->arena, "%s.%s", g->scope_now, name);
    else
        text = fet__arena_strdup(&g->arena, *name ? name : g->scope_now);
    if (!text) {
        fet__graph_take(g, FET_E_NOMEM);
        text = g->scope_now; /* push all the same, so that pops stay paired */
    }
    g->scope[g->scope_count++] = g->scope_now;
    g->scope_now = text;
}

void fet__scope_pop(fet__graph *g)
{
    if (g->scope_count > 0)
        g->scope_now = g->scope[--g->scope_count];
}

const char *fet__scope_text(const fet__graph *g)
{
    return g->scope_now;
}

/* ---- nodes ---- */

static fet_status reserve_nodes(fet__graph *g, int count)
{
    int capacity = g->capacity ? g->capacity : 256;
    fet__node **bigger;

    if (count <= g->capacity)
        return FET_OK;
    while (capacity < count)
        capacity *= 2;
    bigger = fet__realloc(g->node, (size_t)g->capacity, (size_t)capacity, sizeof *bigger);
    if (!bigger)
        return FET_E_NOMEM;
    g->node = bigger;
    g->capacity = capacity;
    return FET_OK;
}

fet__node *fet__node_add_at(fet__graph *g, const fet__node *draft, int id)
{
    fet__node *n;

    if (reserve_nodes(g, id + 1) != FET_OK)
        return fet__graph_take(g, FET_E_NOMEM);
    n = fet__arena_alloc(&g->arena, 1, sizeof *n);
    if (!n)
        return fet__graph_take(g, FET_E_NOMEM);
    *n = *draft;
    n->id = id;
    n->input = fet__arena_alloc(&g->arena, (size_t)draft->input_count + 1, sizeof *n->input);
    if (!n->input)
        return fet__graph_take(g, FET_E_NOMEM);
    for (int i = 0; i < draft->input_count; i++)
        n->input[i] = draft->input[i];
    n->scope = g->scope_now;
    n->backward = g->backward;
    n->mark = 0;
    g->node[id] = n;
    if (id >= g->count)
        g->count = id + 1;
    return n;
}

fet__node *fet__node_add(fet__graph *g, const fet__node *draft)
{
    return fet__node_add_at(g, draft, g->count);
}

fet__node *fet__make(fet__graph *g, fet__op op, fet__node *const *in, int count, const fet__attr *attr, fet_dtype t,
                     const fet__shape *shape)
{
    fet__node draft = {.op = op, .dtype = t, .input_count = count, .input = (fet__node **)in};
    fet_status st;

    if (g->status != FET_OK)
        return NULL;
    if ((int)op < 0 || op >= FET__OP_COUNT || fet__op_rows[op].class_ == FET__CLASS_LEAF || op == FET__OP_GROUP)
        return fet__graph_fail(g, FET_E_BUG, "operator %d cannot be made from parts", (int)op);
    if (count < fet__op_rows[op].least || count > fet__op_rows[op].most)
        return fet__graph_fail(g, FET_E_ARG, "%s: takes %d to %d inputs, not %d", fet__op_rows[op].name,
                               fet__op_rows[op].least, fet__op_rows[op].most, count);
    if (!fet__have(g, op, in, count))
        return NULL;
    if (attr)
        draft.attr = *attr;
    if (shape)
        draft.shape = *shape;
    st = fet__rule_of(op)->infer(&draft, shape != NULL);
    if (st != FET_OK)
        return fet__graph_take(g, st);
    return fet__node_add(g, &draft);
}

/* ---- leaves ---- */

/* Shapes that come from outside: sizes are positive and their product is a number. */
static bool good_shape(fet__graph *g, const char *what, const char *name, const fet__shape *s)
{
    if (s->rank < 0 || s->rank > FET__MAX_RANK) {
        fet__graph_fail(g, FET_E_ARG, "%s %s: rank %d is not in 0..%d", what, fet__show(name), s->rank, FET__MAX_RANK);
        return false;
    }
    if (fet__shape_count(s) < 1) {
        fet__graph_fail(g, FET_E_ARG, "%s %s: sizes must be positive and their product below 2^63: %s", what,
                        fet__show(name), fet__shape_text(s));
        return false;
    }
    return true;
}

fet__node *fet__input(fet__graph *g, const char *name, fet_dtype t, fet__shape shape)
{
    fet__node draft = {.op = FET__OP_INPUT, .dtype = t, .shape = shape};

    if (g->status != FET_OK || !good_shape(g, "input", name, &shape))
        return NULL;
    for (int i = 0; i < g->count; i++) {
        fet__node *n = g->node[i];

        if (!n || n->op != FET__OP_INPUT || strcmp(n->name, name) != 0)
            continue;
        if (n->dtype == t && fet__shape_equal(&n->shape, &shape))
            return n;
        return fet__graph_fail(g, FET_E_ARG, "input %s: asked for as %s%s and as %s%s", fet__show(name),
                               fet__dtype_name(n->dtype), fet__shape_text(&n->shape), fet__dtype_name(t),
                               fet__shape_text(&shape));
    }
    draft.name = fet__arena_strdup(&g->arena, name);
    return draft.name ? fet__node_add(g, &draft) : fet__graph_take(g, FET_E_NOMEM);
}

fet__node *fet__leaf(fet__graph *g, fet__param *p)
{
    fet__node draft = {.op = FET__OP_PARAM, .param = p};

    if (g->status != FET_OK)
        return NULL;
    if (!p)
        return fet__graph_fail(g, FET_E_ARG, "leaf: no parameter was given");
    for (int i = 0; i < g->count; i++)
        if (g->node[i] && g->node[i]->param == p)
            return g->node[i];
    if (!good_shape(g, "parameter", p->name, &p->shape))
        return NULL;
    if (p->role == FET__STATE)
        draft.op = FET__OP_STATE;
    draft.dtype = p->dtype;
    draft.shape = p->shape;
    draft.name = fet__arena_strdup(&g->arena, p->name);
    return draft.name ? fet__node_add(g, &draft) : fet__graph_take(g, FET_E_NOMEM);
}

fet__node *fet__const(fet__graph *g, fet_dtype t, fet__shape shape, const void *value)
{
    fet__node draft = {.op = FET__OP_CONST, .dtype = t, .shape = shape};
    size_t count, size = fet__dtype_bytes(t);
    void *copy;

    if (g->status != FET_OK || !good_shape(g, "const", "", &shape))
        return NULL;
    count = (size_t)fet__shape_count(&shape);
    copy = fet__arena_alloc(&g->arena, count, size);
    if (!copy)
        return fet__graph_take(g, FET_E_NOMEM);
    memcpy(copy, value, count * size);
    draft.value = copy;
    return fet__node_add(g, &draft);
}

fet__node *fet__scalar(fet__graph *g, fet_dtype t, double value)
{
    return fet__fill(g, t, fet__shape_scalar(), value);
}

/* ---- roots ---- */

static void root_add(fet__graph *g, fet__roots *r, fet__root root)
{
    if (r->count == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 16;
        fet__root *bigger = fet__realloc(r->item, (size_t)r->count, (size_t)capacity, sizeof *bigger);

        if (!bigger) {
            fet__graph_take(g, FET_E_NOMEM);
            return;
        }
        r->item = bigger;
        r->capacity = capacity;
    }
    r->item[r->count++] = root;
}

void fet__output(fet__graph *g, const char *name, fet__node *x)
{
    fet__root root = {.value = x};

    if (g->status != FET_OK)
        return;
    if (!x) {
        fet__graph_fail(g, FET_E_ARG, "output %s: has no value", fet__show(name));
        return;
    }
    for (int i = 0; i < g->output.count; i++) {
        if (strcmp(g->output.item[i].name, name) == 0) {
            fet__graph_fail(g, FET_E_ARG, "output %s: the name is taken", fet__show(name));
            return;
        }
    }
    root.name = fet__arena_strdup(&g->arena, name);
    if (!root.name) {
        fet__graph_take(g, FET_E_NOMEM);
        return;
    }
    root_add(g, &g->output, root);
}

void fet__assign(fet__graph *g, fet__node *target, fet__node *value)
{
    fet__root root = {.target = target, .value = value};

    if (g->status != FET_OK)
        return;
    if (!target || !value) {
        fet__graph_fail(g, FET_E_ARG, "assign: %s is missing", target ? "the value" : "the target");
        return;
    }
    if (target->op != FET__OP_PARAM && target->op != FET__OP_STATE) {
        fet__graph_fail(g, FET_E_ARG, "assign: %%%d (%s) is neither a parameter nor a state", target->id,
                        fet__op_rows[target->op].name);
        return;
    }
    if (target->dtype != value->dtype || !fet__shape_equal(&target->shape, &value->shape)) {
        fet__graph_fail(g, FET_E_ARG, "assign: %s is %s%s, its new value %s%s", fet__show(target->name),
                        fet__dtype_name(target->dtype), fet__shape_text(&target->shape), fet__dtype_name(value->dtype),
                        fet__shape_text(&value->shape));
        return;
    }
    for (int i = 0; i < g->assign.count; i++) {
        if (g->assign.item[i].target == target) {
            fet__graph_fail(g, FET_E_ARG, "assign: %s is assigned twice", fet__show(target->name));
            return;
        }
    }
    root_add(g, &g->assign, root);
}

fet__node *fet__pending(const fet__graph *g, const fet__node *target)
{
    for (int i = 0; i < g->assign.count; i++)
        if (g->assign.item[i].target == target)
            return g->assign.item[i].value;
    return NULL;
}

void fet__assign_again(fet__graph *g, fet__node *target, fet__node *value)
{
    fet__root *items = g->assign.item;
    int kept = 0;

    for (int i = 0; i < g->assign.count; i++)
        if (!target || items[i].target != target)
            items[kept++] = items[i];
    g->assign.count = kept;
    fet__assign(g, target, value);
}

int fet__graph_ids(const fet__graph *g)
{
    return g->count;
}

int fet__graph_outputs(const fet__graph *g)
{
    return g->output.count;
}

fet__node *fet__graph_output(const fet__graph *g, int i, const char **name)
{
    if (name)
        *name = g->output.item[i].name;
    return g->output.item[i].value;
}

int fet__graph_assigns(const fet__graph *g)
{
    return g->assign.count;
}

fet__node *fet__graph_assign(const fet__graph *g, int i, fet__node **target)
{
    if (target)
        *target = g->assign.item[i].target;
    return g->assign.item[i].value;
}
