/* From live nodes to values and steps: which nodes are only another look at bytes that exist already (views), which depend on
 * nothing that changes between runs (once values), and which need a step. Decides no order and no place. */
#include <string.h>

#include "exec/exec_int.h"

/* ---- views ------------------------------------------------------------------------------------------------------ */

/* A slice is contiguous when at most one axis is cut, the axes before it have size 1 in the result, and no step is taken. */
static bool contiguous_slice(const fet__node *n, int64_t *offset)
{
    const fet__shape *in = &n->input[0]->shape, *out = &n->shape;
    int64_t stride = (int64_t)fet__dtype_bytes(n->dtype), at = 0;
    bool cut = false;

    for (int a = out->rank - 1; a >= 0; a--) {
        if (cut && out->dim[a] != 1)
            return false;
        if (out->dim[a] > 1 && n->attr.slice.step[a] != 1)
            return false;
        cut = cut || out->dim[a] != in->dim[a];
        at += n->attr.slice.start[a] * stride;
        stride *= in->dim[a];
    }
    *offset = at;
    return true;
}

/* A transpose moves nothing when the axes that are longer than 1 keep their order. */
static bool idle_transpose(const fet__node *n)
{
    int before = -1;

    for (int i = 0; i < n->shape.rank; i++) {
        int a = n->attr.transpose.perm[i];

        if (n->input[0]->shape.dim[a] == 1)
            continue;
        if (a < before)
            return false;
        before = a;
    }
    return true;
}

bool fet__is_view(const fet__node *n, int64_t *offset)
{
    *offset = 0;
    if (n->input_count == 0 || n->dtype != n->input[0]->dtype)
        return false;
    switch (n->op) {
    case FET__OP_RESHAPE:
    case FET__OP_STOP_GRADIENT:
    case FET__OP_STANDARDIZED:
    case FET__OP_CAST: return true;
    case FET__OP_SLICE: return contiguous_slice(n, offset);
    case FET__OP_TRANSPOSE: return idle_transpose(n);
    case FET__OP_CONCAT: return n->input_count == 1;
    case FET__OP_BROADCAST: return fet__shape_equal(&n->shape, &n->input[0]->shape);
    default: return false;
    }
}

fet__ref fet__ref_of(const fet__program *p, const fet__node *n)
{
    const fet__value *v = &p->values[n->mark];

    return (fet__ref){v->root, v->offset};
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static bool all_once(const fet__program *p, const fet__node *n)
{
    for (int i = 0; i < n->input_count; i++)
        if (!p->values[n->input[i]->mark].once)
            return false;
    return true;
}

static void describe_leaf(const fet__program *p, fet__value *v)
{
    const fet__node *n = v->node;

    switch (n->op) {
    case FET__OP_INPUT:
        v->input = true;
        v->region = FET__IN_ARENA;
        break;
    case FET__OP_CONST:
        v->once = true;
        v->region = FET__IN_CONST;
        break;
    default:
        v->param = n->param;
        v->region = FET__IN_PARAM;
        v->once = !fet__is_assigned(p, n->param);
    }
}

static fet_status describe(fet__program *p, int index)
{
    fet__value *v = &p->values[index];
    const fet__node *n = v->node;
    int64_t count = fet__shape_count(&n->shape), offset;

    if (count < 0 || count > INT64_MAX / 16)
        return FET_FAIL(FET_E_NOMEM, "%s %s in '%s' has too many elements", fet__op_rows[n->op].name,
                        fet__shape_text(&n->shape), n->scope);
    v->bytes = count * (int64_t)fet__dtype_bytes(n->dtype);
    v->root = index;
    v->step = v->span = v->first = v->last = -1;
    if (fet__op_rows[n->op].class_ == FET__CLASS_LEAF) {
        describe_leaf(p, v);
    } else if (fet__is_view(n, &offset)) {
        const fet__value *source = &p->values[n->input[0]->mark];

        v->root = source->root;
        v->offset = source->offset + offset;
        v->once = source->once;
        v->region = source->region;
    } else {
        v->once = all_once(p, n);
        v->region = FET__IN_ARENA;
    }
    return FET_OK;
}

static fet_status collect_ports(fet__program *p)
{
    fet_status st = FET_OK;

    p->output_count = fet__graph_outputs(p->graph);
    FET_TRY(FET__TAKE(p, p->outputs, p->output_count));
    for (int i = 0; i < p->output_count; i++) {
        fet__port *port = &p->outputs[i];

        port->node = fet__graph_output(p->graph, i, &port->name);
        port->value = fet__ref_of(p, port->node);
        p->values[port->value.value].output = true;
    }
    FET_TRY(FET__TAKE(p, p->inputs, p->value_count));
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].input)
            p->inputs[p->input_count++] = (fet__port){p->values[i].node->name, {i, 0}, p->values[i].node};
done:
    return st;
}

fet_status fet__values_collect(fet__program *p)
{
    fet__node **nodes = NULL;
    fet_status st;
    int count;

    FET_TRY(fet__graph_order(p->graph, &nodes, &count));
    FET_TRY(FET__TAKE(p, p->values, count + fet__graph_outputs(p->graph) + p->assign_count));
    for (int i = 0; i < count; i++) {
        nodes[i]->mark = i;
        p->values[i].node = nodes[i];
        FET_TRY(describe(p, i));
    }
    p->value_count = count;
    p->info.nodes = count;
    FET_TRY(collect_ports(p));
done:
    fet__free(nodes);
    return st;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static void make_step(fet__program *p, int index)
{
    fet__step *s = &p->steps[p->step_count];
    fet__value *v = &p->values[index];

    s->kind = FET__STEP_KERNEL;
    s->value = index;
    s->node = v->node;
    s->once = v->once;
    s->scratch = -1;
    s->input_count = v->node->input_count;
    for (int i = 0; i < s->input_count; i++)
        s->input[i] = fet__ref_of(p, v->node->input[i]);
    v->step = p->step_count++;
}

/* Room for every step that can come to be: one a node, snapshots and writes of assigns, one pack an input. */
fet_status fet__steps_collect(fet__program *p)
{
    int capacity = 2 * p->assign_count + p->output_count;
    fet_status st = FET_OK;

    for (int i = 0; i < p->value_count; i++)
        capacity += 1 + p->values[i].node->input_count;
    FET_TRY(FET__TAKE(p, p->steps, capacity));
    FET_TRY(FET__TAKE(p, p->order, capacity));
    FET_TRY(FET__TAKE(p, p->packs, capacity));
    FET_TRY(FET__TAKE(p, p->spans, capacity + 2 * p->value_count + p->output_count + p->assign_count));
    for (int i = 0; i < p->value_count; i++) {
        const fet__value *v = &p->values[i];

        if (v->root == i && v->region == FET__IN_ARENA && !v->input)
            make_step(p, i);
    }
done:
    return st;
}
