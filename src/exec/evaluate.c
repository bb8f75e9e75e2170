/* One node by the reference kernel, outside any program: constant folding, and tests. */
#include <string.h>

#include "exec/exec_int.h"

/* Data of an operand: a constant's own, or made here (`*made`, freed by the caller). */
static fet_status operand(const fet__node *n, const void **data, void **made)
{
    int64_t count = fet__shape_count(&n->shape);
    fet_status st = FET_OK;

    if (n->op == FET__OP_CONST && n->value != NULL) {
        *data = n->value;
        return FET_OK;
    }
    if (fet__op_rows[n->op].class_ == FET__CLASS_LEAF)
        return FET_FAIL(FET_E_BUG, "%s '%s' has no value before a run", fet__op_rows[n->op].name,
                        n->name ? n->name : "");
    *made = fet__alloc((size_t)count, fet__dtype_bytes(n->dtype));
    if (*made == NULL)
        return FET_E_NOMEM;
    FET_TRY(fet__evaluate_node(NULL, n, *made));
    *data = *made;
done:
    return st;
}

static fet_status run_reference(const fet__node *n, const fet__call *call)
{
    fet__prepared kernel = {0};
    fet__problem problem;
    fet__call full = *call;
    fet_status st;

    FET_TRY(fet__problem_of(&problem, n));
    FET_TRY(fet__kernel_prepare(&kernel, &problem, true));
    full.scratch = fet__alloc_raw(kernel.scratch + 64, 1);
    st = full.scratch == NULL ? FET_E_NOMEM : kernel.kernel->run(&kernel, &full);
    fet__free(full.scratch);
    fet__kernel_release(&kernel);
done:
    return st;
}

fet_status fet__evaluate_node(void *user, const fet__node *n, void *out)
{
    void *made[FET__MAX_INPUTS] = {0};
    fet__call call = {.output = out};
    int64_t count = fet__shape_count(&n->shape), offset;
    fet_status st = FET_OK;

    (void)user;
    if (n->input_count > FET__MAX_INPUTS || count < 0 || fet__op_rows[n->op].class_ == FET__CLASS_LEAF)
        return FET_FAIL(FET_E_BUG, "%s in '%s' cannot be evaluated", fet__op_rows[n->op].name, n->scope);
    for (int i = 0; i < n->input_count; i++)
        FET_TRY(operand(n->input[i], &call.input[i], &made[i]));
    if (call.input[0] != NULL && fet__is_view(n, &offset))
        memcpy(out, (const unsigned char *)call.input[0] + offset, (size_t)count * fet__dtype_bytes(n->dtype));
    else
        FET_TRY(run_reference(n, &call));
done:
    for (int i = 0; i < n->input_count; i++)
        fet__free(made[i]);
    return st;
}
