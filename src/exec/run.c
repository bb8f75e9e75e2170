/* The run loop: the prologue where something frozen changed, then every step in order, the check of the required value just before
 * the first step that writes the store. Allocates nothing; only a failure's message does. */
#include <math.h>
#include <string.h>

#include "exec/exec_int.h"

/* ---- looking for what is not finite ------------------------------------------------------------------------------- */

/* Index of the first element that is infinite or not a number; -1 when all are finite or the type has no such values. An exponent of
 * all ones is the sign of both, and comparing integers is faster than classifying. */
static int64_t first_bad(const void *data, fet_dtype t, int64_t count)
{
    if (t == FET_F32) {
        const uint32_t *x = data;

        for (int64_t i = 0; i < count; i++)
            if ((x[i] & 0x7f800000u) == 0x7f800000u)
                return i;
    } else if (t == FET_F64) {
        const double *x = data;

        for (int64_t i = 0; i < count; i++)
            if (!isfinite(x[i]))
                return i;
    } else if (t == FET_BF16) {
        const uint16_t *x = data;

        for (int64_t i = 0; i < count; i++)
            if ((x[i] & 0x7f80u) == 0x7f80u)
                return i;
    }
    return -1;
}

static double element(const void *data, fet_dtype t, int64_t i)
{
    double x = 0;

    fet__convert(&x, FET_F64, (const unsigned char *)data + (size_t)i * fet__dtype_bytes(t), t, 1);
    return x;
}

static fet_status check_node(const fet__node *n, const void *data)
{
    int64_t at = first_bad(data, n->dtype, fet__shape_count(&n->shape));

    if (at < 0)
        return FET_OK;
    return FET_FAIL(FET_E_NUMERIC, "%s %%%d %s in '%s' is not finite: element %lld is %g", fet__op_rows[n->op].name,
                    n->id, fet__shape_text(&n->shape), n->scope, (long long)at, element(data, n->dtype, at));
}

static fet_status check_required(const fet__program *p)
{
    const fet__port *port;
    const void *data;
    int64_t at;

    if (p->required < 0)
        return FET_OK;
    port = &p->outputs[p->required];
    data = fet__ref_data(p, port->value);
    at = first_bad(data, port->node->dtype, fet__shape_count(&port->node->shape));
    if (at < 0)
        return FET_OK;
    return FET_FAIL(FET_E_NUMERIC, "%s is not finite (%g)", port->name, element(data, port->node->dtype, at));
}

/* ---- steps -------------------------------------------------------------------------------------------------------- */

static fet_status do_step(fet__step *s)
{
    switch (s->kind) {
    case FET__STEP_KERNEL: return s->kernel->kernel->run(s->kernel, &s->call);
    case FET__STEP_PACK: return s->kernel->kernel->pack(s->kernel, s->slot, s->call.input[0], s->call.output);
    default: memcpy(s->call.output, s->call.input[0], (size_t)s->bytes); return FET_OK;
    }
}

fet_status fet__step_run(fet__program *p, fet__step *s)
{
    double start = p->profile ? fet__now() : 0;
    fet_status st = do_step(s);

    if (p->profile) {
        s->seconds += fet__now() - start;
        s->calls++;
    }
    if (st != FET_OK)
        return fet__fail_in(st, "%s in '%s'", fet__step_name(s), s->node ? s->node->scope : "");
    if (p->options.check_finite && s->kind == FET__STEP_KERNEL)
        return check_node(s->node, s->call.output);
    return FET_OK;
}

static void look_up_params(fet__program *p)
{
    for (int i = 0; i < p->binding_count; i++) {
        fet__binding *b = &p->bindings[i];

        if (b->in)
            *b->in = (const unsigned char *)b->param->data + b->offset;
        else
            *b->out = b->param->data;
    }
}

static fet_status run_steps(fet__program *p)
{
    fet_status st;

    FET_TRY(fet__once_refresh(p));
    for (int t = p->prologue_count; t < p->order_count; t++) {
        if (t == p->tail)
            FET_TRY(check_required(p));
        FET_TRY(fet__step_run(p, &p->steps[p->order[t]]));
    }
    if (p->tail == p->order_count)
        FET_TRY(check_required(p));
    for (int i = 0; i < p->assign_count; i++)
        p->assigns[i].target->version++; /* other programs over this store may hold packed copies */
done:
    return st;
}

fet_status fet__program_run(fet__program *p)
{
    unsigned mode = fet__denormals_off();
    fet_status st;

    look_up_params(p);
    st = run_steps(p);
    fet__denormals_restore(mode);
    return st;
}
