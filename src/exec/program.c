/* Life of a program: from a graph to tables, regions of memory and pointers, and back to nothing. What the parts decide is in the
 * files named after them; this file calls them in order and answers questions about the result. */
#include <string.h>
#include <sys/mman.h>

#include "exec/exec_int.h"

/* As measured over the workloads of the bench: peak less all that was planned was 32 MiB with 1,200 nodes and small products, 58 with 2,000 and
 * large ones, 76 with 7,900 and small ones. */
#define NODE_BYTES ((int64_t)6656)
#define PRODUCT_BYTES ((int64_t)20 << 20) /* oneDNN's own copies inside a large product, of all threads */
#define LARGE_PRODUCT 2e8                 /* operations */

/* ---- tables ------------------------------------------------------------------------------------------------------- */

void fet__tables_drop(fet__program *p)
{
    for (int i = 0; i < p->step_count; i++)
        if (p->steps[i].kind == FET__STEP_KERNEL && p->steps[i].kernel != NULL)
            fet__kernel_release(p->steps[i].kernel);
    fet__arena_fini(&p->memory);
    fet__free(p->arena);
    fet__free(p->once);
    fet__free(p->packed);
}

static fet_status find_required(fet__program *p)
{
    p->required = -1;
    if (p->options.require_finite == NULL)
        return FET_OK;
    for (int i = 0; i < p->output_count; i++)
        if (strcmp(p->outputs[i].name, p->options.require_finite) == 0)
            p->required = i;
    if (p->required < 0)
        return FET_FAIL(FET_E_ARG, "the graph has no output '%s' that could be required to be finite",
                        p->options.require_finite);
    return FET_OK;
}

static bool has_large_product(const fet__program *p)
{
    for (int t = 0; t < p->order_count; t++) {
        const fet__step *s = &p->steps[p->order[t]];

        if (s->kind == FET__STEP_KERNEL && strcmp(s->kernel->kernel->name, "dnnl.sgemm") == 0 &&
            fet__node_cost(s->node).flops > LARGE_PRODUCT)
            return true;
    }
    return false;
}

static void add_up(fet__program *p)
{
    fet__program_info *info = &p->info;

    for (int t = p->prologue_count; t < p->order_count; t++) {
        const fet__step *s = &p->steps[p->order[t]];

        if (s->kind == FET__STEP_KERNEL) {
            fet__cost cost = fet__node_cost(s->node);

            info->flops += cost.flops;
            info->bytes_moved += cost.bytes;
        } else {
            info->bytes_moved += 2.0 * (double)s->bytes;
        }
    }
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].root == i && p->values[i].step < 0 && p->values[i].param != NULL)
            info->weight_bytes += p->values[i].bytes;
    for (int i = 0; i < p->assign_count; i++) {
        bool read = false;

        for (int k = 0; k < p->value_count && !read; k++)
            read = p->values[k].step < 0 && p->values[k].param == p->assigns[i].target;
        if (!read)
            info->weight_bytes += p->assigns[i].target->bytes;
    }
    info->steps = p->order_count;
    info->process_bytes = FET__PROCESS_BYTES + NODE_BYTES * info->nodes + (has_large_product(p) ? PRODUCT_BYTES : 0);
    info->total_bytes = info->arena_bytes + info->packed_bytes + info->once_bytes;
}

fet_status fet__tables_make(fet__program *p, fet__graph *g, const fet__program_options *o, bool pack, const int *rank)
{
    fet_status st;

    *p = (fet__program){.graph = g, .options = *o, .first_repeat = INT32_MAX};
    FET_TRY(fet__assigns_collect(p));
    FET_TRY(fet__values_collect(p));
    FET_TRY(find_required(p));
    FET_TRY(fet__steps_collect(p));
    FET_TRY(fet__assigns_snapshot(p));
    FET_TRY(fet__choose_kernels(p, pack && !o->reference));
    FET_TRY(fet__once_prepare(p));
    FET_TRY(fet__schedule(p, rank));
    add_up(p);
done:
    return st;
}

/* ---- regions and pointers ----------------------------------------------------------------------------------------- */

/* One block, in large pages where the system has them: kernels walk over megabytes. */
static fet_status take_region(unsigned char **out, int64_t bytes)
{
    const uintptr_t huge = (uintptr_t)1 << 21;
    uintptr_t from, to;

    *out = fet__alloc_raw((size_t)bytes + 64, 1);
    if (*out == NULL)
        return FET_E_NOMEM;
    from = ((uintptr_t)*out + huge - 1) & ~(huge - 1);
    to = ((uintptr_t)*out + (uintptr_t)bytes) & ~(huge - 1);
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* only advice: refusal costs speed */
    return FET_OK;
}

/* Where a reference lies, or NULL for parameters, whose memory may move. */
static unsigned char *fixed_place(const fet__program *p, fet__ref r)
{
    const fet__value *v = &p->values[r.value];

    switch (v->region) {
    case FET__IN_ARENA: return p->arena + v->place + r.offset;
    case FET__IN_ONCE: return p->once + v->place + r.offset;
    case FET__IN_CONST: return (unsigned char *)(uintptr_t)v->node->value + r.offset;
    default: return NULL;
    }
}

const void *fet__ref_data(const fet__program *p, fet__ref r)
{
    const fet__value *v = &p->values[r.value];

    return v->region == FET__IN_PARAM ? (const unsigned char *)v->param->data + r.offset : fixed_place(p, r);
}

static void bind_in(fet__program *p, const void **slot, fet__ref r)
{
    *slot = fixed_place(p, r);
    if (*slot == NULL)
        p->bindings[p->binding_count++] =
            (fet__binding){.param = p->values[r.value].param, .offset = r.offset, .in = slot};
}

static void bind_out(fet__program *p, void **slot, fet__param *param)
{
    p->bindings[p->binding_count++] = (fet__binding){.param = param, .out = slot};
}

static void bind_step(fet__program *p, fet__step *s)
{
    for (int k = 0; k < s->input_count; k++)
        if (s->pack[k] > 0)
            s->call.input[k] = p->packed + p->packs[s->pack[k] - 1].place;
        else
            bind_in(p, &s->call.input[k], s->input[k]);
    if (s->scratch >= 0)
        s->call.scratch = p->arena + p->spans[s->scratch].offset;
    if (s->kind == FET__STEP_PACK)
        s->call.output = p->packed + p->packs[s->packed].place;
    else if (s->kind == FET__STEP_ASSIGN)
        bind_out(p, &s->call.output, s->target);
    else if (p->values[s->value].region == FET__IN_PARAM)
        bind_out(p, &s->call.output, p->values[s->value].param);
    else
        s->call.output = fixed_place(p, (fet__ref){s->value, 0});
}

static fet_status take_memory(fet__program *p)
{
    size_t pointers = 0;
    fet_status st;

    for (int t = 0; t < p->order_count; t++)
        pointers += 1 + (size_t)p->steps[p->order[t]].input_count;
    FET_TRY(FET__TAKE(p, p->bindings, pointers));
    FET_TRY(take_region(&p->arena, p->info.arena_bytes));
    FET_TRY(take_region(&p->once, p->info.once_bytes));
    FET_TRY(take_region(&p->packed, p->info.packed_bytes));
    for (int t = 0; t < p->order_count; t++)
        bind_step(p, &p->steps[p->order[t]]);
done:
    return st;
}

/* ---- the interface ------------------------------------------------------------------------------------------------ */

fet_status fet__program_create(fet__program **out, fet__graph *g, const fet__program_options *o)
{
    const fet__program_options none = {0};
    fet__program *p = NULL;
    fet_status st;

    *out = NULL;
    FET_TRY(fet__graph_status(g));
    if (o == NULL)
        o = &none;
    if (!o->reference)
        FET_TRY(fet__graph_optimize(g, fet__evaluate_node, NULL));
    FET_TRY(FET_NEW(p, 1));
    FET_TRY(fet__fit_budget(p, g, o));
    FET_TRY(take_memory(p));
    *out = p;
    p = NULL;
done:
    fet__program_destroy(p);
    return st;
}

void fet__program_destroy(fet__program *p)
{
    if (p == NULL)
        return;
    fet__tables_drop(p);
    fet__free(p);
}

fet__program_info fet__program_describe(const fet__program *p)
{
    return p->info;
}

static const fet__port *find_port(const fet__port *ports, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0)
            return &ports[i];
    return NULL;
}

void *fet__program_input(fet__program *p, const char *name)
{
    const fet__port *port = find_port(p->inputs, p->input_count, name);

    return port ? fixed_place(p, port->value) : NULL;
}

const void *fet__program_output(const fet__program *p, const char *name)
{
    const fet__port *port = find_port(p->outputs, p->output_count, name);

    return port ? fet__ref_data(p, port->value) : NULL;
}
