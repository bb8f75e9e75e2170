/* Assigns: a parameter becomes a value after every read of its old value. Where that is safe the step that makes the value writes
 * straight into the parameter's memory ("direct"); otherwise the value is copied when all kernels have run. What must read the old
 * value later than that (outputs, assigns from parameter to parameter) reads a snapshot. All of it comes after the check of
 * `require_finite`, so a direct step must not be needed by the checked value, and nothing after it may fail. */
#include <string.h>

#include "exec/exec_int.h"

/* ---- collecting --------------------------------------------------------------------------------------------------- */

bool fet__is_assigned(const fet__program *p, const fet__param *param)
{
    for (int i = 0; i < p->assign_count; i++)
        if (p->assigns[i].target == param)
            return true;
    return false;
}

fet_status fet__assigns_collect(fet__program *p)
{
    int count = fet__graph_assigns(p->graph);
    fet_status st;

    FET_TRY(FET__TAKE(p, p->assigns, count));
    for (int i = 0; i < count; i++) {
        fet__node *target, *value = fet__graph_assign(p->graph, i, &target);

        p->assigns[p->assign_count++] = (fet__assignment){.target = target->param, .node = value};
        if (target->param->borrowed)
            FET_TRY(fet__param_own(target->param));
    }
done:
    return st;
}

/* ---- snapshots ---------------------------------------------------------------------------------------------------- */

/* `r` lies in the memory of an assigned parameter: let it lie in a copy that is made before the parameter is written. */
static void snapshot(fet__program *p, fet__ref *r, int *copy_of)
{
    if (copy_of[r->value] == 0) {
        fet__step *s = &p->steps[p->step_count];
        int index = p->value_count++;

        p->values[index] = (fet__value){.root = index,
                                        .bytes = p->values[r->value].bytes,
                                        .region = FET__IN_ARENA,
                                        .step = p->step_count++,
                                        .span = -1,
                                        .first = -1,
                                        .last = -1};
        *s = (fet__step){.kind = FET__STEP_COPY,
                         .value = index,
                         .input_count = 1,
                         .input = {{r->value, 0}},
                         .bytes = p->values[r->value].bytes,
                         .scratch = -1};
        copy_of[r->value] = index;
    }
    r->value = copy_of[r->value];
}

static bool holds_old_value(const fet__program *p, fet__ref r)
{
    const fet__value *v = &p->values[r.value];

    return v->region == FET__IN_PARAM && v->step < 0 && fet__is_assigned(p, v->param);
}

fet_status fet__assigns_snapshot(fet__program *p)
{
    int *copy_of = NULL;
    fet_status st;

    FET_TRY(FET_NEW(copy_of, p->value_count));
    for (int i = 0; i < p->assign_count; i++) {
        fet__assignment *a = &p->assigns[i];

        a->value = fet__ref_of(p, a->node);
        a->idle = p->values[a->value.value].param == a->target;
        if (!a->idle && holds_old_value(p, a->value))
            snapshot(p, &a->value, copy_of);
    }
    for (int i = 0; i < p->output_count; i++)
        if (holds_old_value(p, p->outputs[i].value)) {
            snapshot(p, &p->outputs[i].value, copy_of);
            p->values[p->outputs[i].value.value].output = true;
        }
done:
    fet__free(copy_of);
    return st;
}

/* ---- direct writes ------------------------------------------------------------------------------------------------ */

void fet__edge_add(fet__edges *e, int from, int to)
{
    e->to[e->count] = to;
    e->next[e->count] = e->head[from];
    e->head[from] = e->count++;
}

/* Kernels that look at data before they use it, or that hand the work to a library with failures of its own. */
static bool may_fail(const fet__step *s)
{
    if (s->kind != FET__STEP_KERNEL)
        return false;
    switch (s->node->op) {
    case FET__OP_GATHER:
    case FET__OP_SCATTER_ADD:
    case FET__OP_MEMORY_UPDATE:
    case FET__OP_CROSS_ENTROPY:
    case FET__OP_CROSS_ENTROPY_GRAD:
    case FET__OP_LINEAR:
    case FET__OP_MATMUL:
    case FET__OP_CONV2D:
    case FET__OP_CONV2D_DX:
    case FET__OP_CONV2D_DW: return true;
    default: return false;
    }
}

typedef struct search {
    int *stack;
    int *seen; /* == stamp: reached */
    int stamp;
} search;

/* Mark `from` and every step that must come after it. */
static void reach(search *w, const fet__edges *e, int from)
{
    int held = 0;

    w->stamp++;
    w->seen[from] = w->stamp;
    w->stack[held++] = from;
    while (held > 0) {
        int step = w->stack[--held];

        for (int k = e->head[step]; k >= 0; k = e->next[k])
            if (w->seen[e->to[k]] != w->stamp) {
                w->seen[e->to[k]] = w->stamp;
                w->stack[held++] = e->to[k];
            }
    }
}

static bool reads(const fet__step *s, int value)
{
    for (int i = 0; i < s->input_count; i++)
        if (s->input[i].value == value)
            return true;
    return false;
}

/* May the step write over root `old` while it reads it? Only where the kernel allows it, element for element. */
static bool may_overlay(const fet__program *p, const fet__step *s, int old)
{
    for (int i = 0; i < s->input_count; i++) {
        if (s->input[i].value != old)
            continue;
        if (s->kind != FET__STEP_KERNEL || (s->kernel->overlay >> i & 1) == 0 || s->input[i].offset != 0)
            return false;
        if (p->values[s->node->input[i]->mark].bytes != p->values[old].bytes)
            return false;
    }
    return true;
}

/* Run late, the step keeps its inputs alive until the end of the run: that must not cost more than the result would. */
static bool cheap_to_delay(const fet__program *p, const fet__step *s)
{
    int64_t bytes = 0;

    for (int i = 0; i < s->input_count; i++)
        if (p->values[s->input[i].value].region == FET__IN_ARENA && !p->values[s->input[i].value].input)
            bytes += p->values[s->input[i].value].bytes;
    return bytes <= 2 * p->values[s->value].bytes + 65536;
}

/* Can the step that makes the value write into the target's memory at the end of the run? On true, w->seen marks that step and
 * all that must follow it. `old`: the target's leaf, -1 when nothing reads it. */
static bool can_be_direct(const fet__program *p, const fet__edges *e, const fet__assignment *a, int old, search *w)
{
    const fet__value *v = &p->values[a->value.value];
    const fet__step *s;

    if (p->options.reference || p->options.check_finite || a->idle || v->step < 0 || v->once ||
        v->region != FET__IN_ARENA)
        return false;
    s = &p->steps[v->step];
    if (s->kind != FET__STEP_KERNEL || v->bytes != a->target->bytes || a->value.offset != 0)
        return false;
    if ((old >= 0 && !may_overlay(p, s, old)) || !cheap_to_delay(p, s))
        return false;
    reach(w, e, v->step);
    for (int i = 0; i < p->step_count; i++) {
        if (w->seen[i] == w->stamp && p->steps[i].early)
            return false;
        if (w->seen[i] == w->stamp && i != v->step && old >= 0 && reads(&p->steps[i], old))
            return false;
    }
    return true;
}

static void make_direct(fet__program *p, fet__edges *e, fet__assignment *a, int old, const search *w)
{
    fet__value *v = &p->values[a->value.value];

    a->direct = true;
    v->region = FET__IN_PARAM;
    v->param = a->target;
    for (int i = 0; i < p->step_count; i++) {
        if (w->seen[i] == w->stamp)
            p->steps[i].tail = true;
        else if (old >= 0 && !p->steps[i].once && reads(&p->steps[i], old))
            fet__edge_add(e, i, v->step);
    }
}

/* Steps are numbered in a topological order, so one pass from the last to the first finds all that an early step needs. */
static void mark_early(fet__program *p)
{
    for (int i = 0; i < p->step_count; i++)
        p->steps[i].early = may_fail(&p->steps[i]);
    if (p->required >= 0 && p->values[p->outputs[p->required].value.value].step >= 0)
        p->steps[p->values[p->outputs[p->required].value.value].step].early = true;
    for (int i = p->step_count - 1; i >= 0; i--)
        for (int k = 0; p->steps[i].early && k < p->steps[i].input_count; k++)
            if (p->values[p->steps[i].input[k].value].step >= 0)
                p->steps[p->values[p->steps[i].input[k].value].step].early = true;
}

fet_status fet__assigns_decide(fet__program *p, fet__edges *e)
{
    search w = {0};
    fet_status st;

    mark_early(p);

    FET_TRY(FET_NEW(w.stack, p->step_count));
    FET_TRY(FET_NEW(w.seen, p->step_count));
    for (int k = 0; k < p->assign_count; k++) {
        fet__assignment *a = &p->assigns[k];
        int old = -1;

        for (int i = 0; i < p->value_count; i++)
            if (p->values[i].root == i && p->values[i].step < 0 && p->values[i].param == a->target)
                old = i;
        if (can_be_direct(p, e, a, old, &w))
            make_direct(p, e, a, old, &w);
    }
done:
    fet__free(w.seen);
    fet__free(w.stack);
    return st;
}

/* ---- copies at the end -------------------------------------------------------------------------------------------- */

fet_status fet__assigns_copy(fet__program *p)
{
    for (int k = 0; k < p->assign_count; k++) {
        const fet__assignment *a = &p->assigns[k];

        if (a->direct || a->idle)
            continue;
        if (p->values[a->value.value].bytes - a->value.offset < a->target->bytes)
            return FET_FAIL(FET_E_BUG, "assign to '%s' has too few bytes", a->target->name);
        p->steps[p->step_count++] = (fet__step){.kind = FET__STEP_ASSIGN,
                                                .value = -1,
                                                .input_count = 1,
                                                .input = {a->value},
                                                .target = a->target,
                                                .bytes = a->target->bytes,
                                                .scratch = -1,
                                                .tail = true};
    }
    return FET_OK;
}
