/* From steps to kernels: a node becomes a problem, the first kernel that accepts it is prepared, and the packed copies that kernels
 * ask for are listed. Equal copies of one weight are shared. */
#include <string.h>

#include "exec/exec_int.h"

fet_status fet__problem_of(fet__problem *out, const fet__node *n)
{
    memset(out, 0, sizeof *out);
    if (n->input_count > FET__MAX_INPUTS)
        return FET_FAIL(FET_E_BUG, "%s in '%s' has %d inputs", fet__op_rows[n->op].name, n->scope, n->input_count);
    out->op = n->op;
    out->attr = n->attr;
    out->input_count = n->input_count;
    for (int i = 0; i < n->input_count; i++) {
        out->input[i].dtype = n->input[i]->dtype;
        out->input[i].shape = n->input[i]->shape;
    }
    out->output.dtype = n->dtype;
    out->output.shape = n->shape;
    out->group = n->group;
    out->threads = fet__threads();
    return FET_OK;
}

static bool equal_descs(const fet__desc *a, const fet__desc *b)
{
    return a->dtype == b->dtype && a->frozen == b->frozen && fet__shape_equal(&a->shape, &b->shape);
}

static bool equal_problems(const fet__problem *a, const fet__problem *b)
{
    if (a->op != b->op || memcmp(a->attr.raw, b->attr.raw, sizeof a->attr.raw) != 0 || a->group != b->group)
        return false;
    if (a->threads != b->threads || a->input_count != b->input_count || !equal_descs(&a->output, &b->output))
        return false;
    for (int i = 0; i < a->input_count; i++)
        if (!equal_descs(&a->input[i], &b->input[i]))
            return false;
    return true;
}

/* The copy of this input that is packed already for an equal problem, or -1. */
static int shared_pack(const fet__program *p, const fet__step *s, const fet__problem *problem, int slot)
{
    for (int i = 0; i < p->pack_count; i++) {
        const fet__pack *k = &p->packs[i];

        if (k->source.value == s->input[slot].value && k->source.offset == s->input[slot].offset && k->slot == slot &&
            k->kernel == s->kernel->kernel && equal_problems(k->problem, problem))
            return i;
    }
    return -1;
}

/* A PACK step and its copy. */
static void add_pack(fet__program *p, fet__step *user, const fet__problem *problem, int slot)
{
    fet__step *s = &p->steps[p->step_count++];

    p->packs[p->pack_count] = (fet__pack){.source = user->input[slot],
                                          .problem = problem,
                                          .kernel = user->kernel->kernel,
                                          .slot = slot,
                                          .bytes = (int64_t)user->kernel->packed[slot],
                                          .place = p->info.packed_bytes};
    p->info.packed_bytes += fet__rounded((int64_t)user->kernel->packed[slot]);
    *s = (fet__step){.kind = FET__STEP_PACK,
                     .value = -1,
                     .node = user->node,
                     .input_count = 1,
                     .input = {user->input[slot]},
                     .packed = p->pack_count,
                     .slot = slot,
                     .kernel = user->kernel,
                     .scratch = -1,
                     .once = true};
    user->pack[slot] = ++p->pack_count;
}

static fet_status choose(fet__program *p, fet__step *s, bool pack)
{
    fet__problem *problem = NULL;
    fet__prepared *kernel = NULL;
    fet_status st = FET_OK;

    FET_TRY(FET__TAKE(p, problem, 1));
    FET_TRY(fet__problem_of(problem, s->node));
    for (int i = 0; i < s->input_count; i++)
        problem->input[i].frozen = pack && !s->once && p->values[s->input[i].value].once;
    FET_TRY(FET__TAKE(p, kernel, 1));
    st = fet__kernel_prepare(kernel, problem, p->options.reference);
    if (st != FET_OK) {
        fet__fail_in(st, "%s in '%s'", fet__op_rows[s->node->op].name, s->node->scope);
        goto done;
    }
    s->kernel = kernel;
    for (int i = 0; i < s->input_count; i++) {
        int shared;

        if (kernel->packed[i] == 0)
            continue;
        shared = shared_pack(p, s, problem, i);
        if (shared >= 0)
            s->pack[i] = shared + 1;
        else
            add_pack(p, s, problem, i);
    }
done:
    return st;
}

fet_status fet__choose_kernels(fet__program *p, bool pack)
{
    int count = p->step_count; /* PACK steps are added behind */
    fet_status st = FET_OK;

    for (int i = 0; i < count; i++)
        if (p->steps[i].kind == FET__STEP_KERNEL)
            FET_TRY(choose(p, &p->steps[i], pack));
done:
    return st;
}
