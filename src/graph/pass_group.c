/* Element-wise chains become groups: one pass over memory instead of one a node.
 *
 * Going from the last node to the first, each element-wise node (or sum over one) that is still alone is the root of a group. It
 * takes in producers of the same shape, latest first, when all their uses are inside the group; broadcasts, fills and random numbers
 * are cheap enough to be taken in by every group that uses them. So no value is computed twice but those, every value that somebody
 * else wants stays a node of its own, and a group never depends on itself: only its root can be seen from outside. Forward nodes do
 * not join backward groups, for their inputs would have to live until then; unless these are leaves that live anyway (the decay of an
 * optimiser's moments). */
#include "graph/graph_int.h"

#include <string.h>

enum { MOST_MEMBERS = FET__GROUP_INSTRS + FET__MAX_INPUTS };

typedef struct pass {
    fet__graph *g;
    fet__node **order;
    int count;
    int *place;          /* by id: position in order */
    int *uses;           /* by id: edges from live nodes and roots */
    unsigned char *late; /* by id */
    bool *rooted;        /* by id: made of host scalars, states and trained parameters alone */
} pass;

typedef struct draft {
    fet__node *root;
    fet__shape full;
    fet_dtype dtype;
    bool late;
    fet__node *member[MOST_MEMBERS]; /* later ones first */
    int members, instrs, taken;      /* taken: broadcasts, fills and random numbers among them */
    fet__node *refused[MOST_MEMBERS * 3];
    int refusals;
    fet__node *input[FET__MAX_INPUTS + 3];
    int inputs;
} draft;

static bool is_free(const fet__node *n)
{
    return n->op == FET__OP_BROADCAST || n->op == FET__OP_FILL || n->op == FET__OP_RANDOM;
}

/* Types: registers of a group have one floating type; i32 values come in through a cast. */
static bool is_groupable(const fet__node *n)
{
    if (n->dtype != FET_F32 && n->dtype != FET_F64)
        return false;
    if (n->op == FET__OP_CAST)
        return n->input[0]->dtype == FET_I32;
    return fet__is_element(n->op) && n->op != FET__OP_STOP_GRADIENT;
}

static int find(fet__node *const *list, int count, const fet__node *n)
{
    for (int i = 0; i < count; i++)
        if (list[i] == n)
            return i;
    return -1;
}

static bool is_member(const draft *d, const fet__node *n)
{
    return find(d->member, d->members, n) >= 0;
}

/* Edges from members to n. */
static int uses_inside(const draft *d, const fet__node *n)
{
    int count = 0;

    for (int m = 0; m < d->members; m++)
        for (int i = 0; i < d->member[m]->input_count; i++)
            count += d->member[m]->input[i] == n;
    return count;
}

static bool may_join(const pass *p, const draft *d, const fet__node *n)
{
    if (!fet__shape_equal(&n->shape, &d->full))
        return false;
    if (n->op == FET__OP_BROADCAST)
        return n->dtype == d->dtype || n->dtype == FET_I32;
    if (n->dtype != d->dtype)
        return false;
    return is_free(n) ||
           (is_groupable(n) && (p->late[n->id] == d->late || p->rooted[n->id]) && uses_inside(d, n) == p->uses[n->id]);
}

/* What a member's input is read from: a broadcast's source, and the number itself where it was reshaped to be broadcast. */
static fet__node *source_of(const draft *d, fet__node *n)
{
    if (n->op != FET__OP_BROADCAST || !is_member(d, n))
        return n;
    n = n->input[0];
    return n->op == FET__OP_RESHAPE && n->input[0]->shape.rank == 0 ? n->input[0] : n;
}

/* Inputs of the group in the order in which the program reads them; false when there are too many. */
static bool collect_inputs(draft *d)
{
    d->inputs = 0;
    for (int m = d->members - 1; m >= 0; m--) {
        const fet__node *n = d->member[m];

        for (int i = 0; n->op != FET__OP_BROADCAST && i < n->input_count; i++) {
            fet__node *in = source_of(d, n->input[i]);

            if ((in == n->input[i] && is_member(d, in)) || find(d->input, d->inputs, in) >= 0)
                continue;
            if (d->inputs == FET__MAX_INPUTS)
                return false;
            d->input[d->inputs++] = in;
        }
    }
    return true;
}

static bool try_add(draft *d, fet__node *n)
{
    bool instr = n->op != FET__OP_BROADCAST;

    if (d->members == MOST_MEMBERS || (instr && d->instrs == FET__GROUP_INSTRS))
        return false;
    d->member[d->members++] = n;
    if (!collect_inputs(d)) {
        d->members--;
        collect_inputs(d);
        return false;
    }
    d->instrs += instr;
    d->taken += is_free(n);
    return true;
}

/* The latest producer not yet decided about. All members that could use it are in by then, for users come later than it. */
static fet__node *next_candidate(const pass *p, const draft *d)
{
    fet__node *best = NULL;

    for (int m = 0; m < d->members; m++) {
        const fet__node *n = d->member[m];

        for (int i = 0; n->op != FET__OP_BROADCAST && i < n->input_count; i++) {
            fet__node *in = n->input[i];

            if (is_member(d, in) || find(d->refused, d->refusals, in) >= 0)
                continue;
            if (!best || p->place[in->id] > p->place[best->id])
                best = in;
        }
    }
    return best;
}

/* Members are kept by place, which candidates come in already, but for the chance that two differ only by sharing. */
static void grow(const pass *p, draft *d)
{
    for (fet__node *n; (n = next_candidate(p, d));) {
        if (may_join(p, d, n) && try_add(d, n))
            continue;
        if (d->refusals == (int)FET_COUNT(d->refused))
            return;
        d->refused[d->refusals++] = n;
    }
}

static int16_t register_of(const draft *d, fet__node *n)
{
    fet__node *in = source_of(d, n);
    int at = in == n && is_member(d, n) ? -1 : find(d->input, d->inputs, in), count = d->inputs;

    if (at >= 0)
        return (int16_t)at;
    for (int m = d->members - 1; d->member[m] != n; m--)
        count += d->member[m]->op != FET__OP_BROADCAST;
    return (int16_t)count;
}

static void write_program(const draft *d, fet__group *out)
{
    out->full = d->full;
    out->input_count = d->inputs;
    for (int m = d->members - 1; m >= 0; m--) {
        const fet__node *n = d->member[m];
        fet__instr *in = &out->instr[out->instr_count];
        int16_t *arg[3] = {&in->a, &in->b, &in->c};

        if (n->op == FET__OP_BROADCAST)
            continue;
        in->op = (uint16_t)n->op;
        in->attr = n->attr;
        for (int i = 0; i < 3; i++)
            *arg[i] = i < n->input_count ? register_of(d, n->input[i]) : (int16_t)-1;
        out->instr_count++;
    }
}

/* An edge to n is gone; a node that nobody uses lets go of its inputs. */
static void release(pass *p, fet__node *n)
{
    if (--p->uses[n->id] > 0)
        return;
    for (int i = 0; i < n->input_count; i++)
        release(p, n->input[i]);
}

static fet_status become_group(pass *p, draft *d)
{
    fet__group *program = fet__arena_alloc(&p->g->arena, 1, sizeof *program);
    fet__node **in = fet__arena_alloc(&p->g->arena, (size_t)d->inputs + 1, sizeof *in), *root = d->root;

    if (!program || !in)
        return FET_E_NOMEM;
    write_program(d, program);
    if (root->op == FET__OP_SUM)
        program->reduce_axes = root->attr.reduce.axes;
    for (int i = 0; i < d->inputs; i++) {
        in[i] = d->input[i];
        p->uses[in[i]->id]++;
    }
    for (int i = 0; i < root->input_count; i++)
        release(p, root->input[i]);
    root->op = FET__OP_GROUP;
    root->input = in;
    root->input_count = d->inputs;
    root->group = program;
    memset(&root->attr, 0, sizeof root->attr);
    return FET_OK;
}

static fet_status group_from(pass *p, fet__node *root)
{
    draft d = {.root = root, .dtype = root->dtype, .late = p->late[root->id]};
    fet__node *first = root->op == FET__OP_SUM ? root->input[0] : root;

    if (!is_groupable(first) || (first != root && (p->uses[first->id] != 1 || p->late[first->id] != d.late)))
        return FET_OK;
    d.full = first->shape;
    if (!try_add(&d, first))
        return FET_OK;
    grow(p, &d);
    if (d.inputs == 0 || (first == root && d.instrs < 2 && d.taken == 0))
        return FET_OK; /* nothing gained over the plain operator */
    return become_group(p, &d);
}

/* Frozen parameters do not count: what depends on them alone is computed once and must stay apart. Of inputs only the host's scalars
 * do (a learning rate). */
static bool is_rooted(const pass *p, const fet__node *n)
{
    if (n->op == FET__OP_PARAM)
        return n->param->trainable;
    if (n->op == FET__OP_STATE || n->op == FET__OP_FILL || (n->op == FET__OP_INPUT && n->shape.rank == 0))
        return true;
    if (!is_groupable(n) && n->op != FET__OP_BROADCAST && n->op != FET__OP_RESHAPE)
        return false;
    for (int i = 0; i < n->input_count; i++)
        if (!p->rooted[n->input[i]->id])
            return false;
    return n->input_count > 0;
}

fet_status fet__pass_group(fet__graph *g)
{
    pass p = {.g = g};
    fet_status st;

    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__graph_order(g, &p.order, &p.count));
    FET_TRY(fet__graph_uses(g, p.order, p.count, &p.uses));
    FET_TRY(fet__graph_late(g, p.order, p.count, &p.late));
    FET_TRY(FET_NEW(p.place, g->count + 1));
    FET_TRY(FET_NEW(p.rooted, g->count + 1));
    for (int k = 0; k < p.count; k++) {
        p.place[p.order[k]->id] = k;
        p.rooted[p.order[k]->id] = is_rooted(&p, p.order[k]);
    }
    for (int k = p.count - 1; k >= 0; k--)
        if (p.uses[p.order[k]->id] > 0 && p.order[k]->input_count > 0)
            FET_TRY(group_from(&p, p.order[k]));
done:
    fet__free(p.order);
    fet__free(p.uses);
    fet__free(p.late);
    fet__free(p.place);
    fet__free(p.rooted);
    return st;
}
