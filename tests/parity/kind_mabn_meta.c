/* mabn.byol_ema, mabn.aux, mabn.meta: the auxiliary loss, its gradient by the norms, and the gradient of an outer loss through inner
 * steps. What takes several optimiser steps is in kind_mabn_train.c. */
#include "parity/mini_case.h"

#include <math.h>
#include <string.h>

static const net_tolerance tolerances[] = {
    {"out.", PARITY_MIXED, 1e-5}, {"loss", PARITY_MIXED, 1e-6}, {"grad", PARITY_MIXED, 1e-6}, {0}};

/* ---- the loss alone ------------------------------------------------------------------------------------------------ */

static fet_status check_loss(net_case *n)
{
    fet__node *p[2], *t[2], *each, *loss, *zero;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    p[0] = net_input(n, "in.p1");
    p[1] = net_input(n, "in.p2");
    t[0] = net_input(n, "in.t1");
    t[1] = net_input(n, "in.t2");
    each = fet__add(n->b.g, fet__byol_distance(&n->b, p[0], t[1]), fet__byol_distance(&n->b, p[1], t[0]));
    net_output(n, "out.per_sample", each);
    zero = net_input(n, "in.p_zero_row");
    net_output(n, "out.per_sample_zero_row", fet__byol_distance(&n->b, zero, fet__slice(n->b.g, t[0], 0, 0, 3)));
    loss = fet__mean(n->b.g, each, 3);
    loss = fet__reshape(n->b.g, loss, fet__shape_scalar());
    net_output(n, "loss", loss);
    FET_TRY(net_want(n, "grad.", 5));
    st = net_run(n, loss);
done:
    return st;
}

/* The target's average, with the share as a number that may change from step to step. */
static fet_status check_average(net_case *n, const char *entry, double tau)
{
    fet__param *online, *target;
    const fet__entry *from = fet__tensors_find(n->c->t, "in.ema_online"),
                     *to = fet__tensors_find(n->c->t, "in.ema_target");
    fet_status st;

    if (!from || !to)
        return FET_FAIL(FET_E_FORMAT, "the golden has nothing to average");
    online = fet__params_find(n->store, "x");
    target = fet__params_find(n->store, "target.x");
    if (!online) {
        FET_TRY(fet__params_add(n->store, &online, "x", FET_F32, from->shape, FET__PARAM));
        FET_TRY(fet__params_add(n->store, &target, "target.x", FET_F32, to->shape, FET__PARAM));
    }
    memcpy(online->data, from->data, (size_t)from->bytes);
    memcpy(target->data, to->data, (size_t)to->bytes);
    online->version++;
    target->version++;
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    fet__assign(n->b.g, fet__leaf(n->b.g, online), fet__leaf(n->b.g, online));
    fet__byol_follow(n->b.g, n->store, fet__input(n->b.g, "tau", FET_F32, fet__shape_scalar()));
    FET_TRY(mini_program(n));
    *(float *)fet__program_input(n->p, "tau") = (float)tau;
    FET_TRY(fet__program_run(n->p));
    st = parity_compare(n->c, entry, target->data, FET_F32, fet__shape_count(&target->shape), PARITY_MIXED, 1e-6);
done:
    return st;
}

static fet_status check_schedule(net_case *n)
{
    double *step = NULL, *tau = NULL, steps = parity_number(n->c, "K", 1);
    int64_t count;
    fet_status st;

    FET_TRY(parity_doubles(n->c, "in.tau_step", &step, &count));
    FET_TRY(FET_NEW(tau, count));
    for (int64_t i = 0; i < count; i++)
        tau[i] = fet__byol_tau(0.996, (int64_t)step[i], (int64_t)steps);
    st = parity_compare(n->c, "out.tau_schedule", tau, FET_F64, count, PARITY_MIXED, 1e-6);
done:
    fet__free(step);
    fet__free(tau);
    return st;
}

fet_status parity_mabn_byol_ema(parity_case *c)
{
    static const struct {
        const char *entry;
        double tau;
    } averages[] = {{"out.ema_0.99", 0.99}, {"out.ema_0.996", 0.996}, {"out.ema_0.0", 0}, {"out.ema_1.0", 1}};
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(check_loss(&n));
    for (size_t i = 0; i < FET_COUNT(averages); i++)
        FET_TRY(check_average(&n, averages[i].entry, averages[i].tau));
    st = check_schedule(&n);
done:
    net_close(&n);
    return st;
}

/* ---- the branch ---------------------------------------------------------------------------------------------------- */

fet_status parity_mabn_aux(parity_case *c)
{
    static const char *const names[4][2] = {
        {"out.h1", "out.h2"}, {"out.z1", "out.z2"}, {"out.p1", "out.p2"}, {"out.t1", "out.t2"}};
    net_case n = {0};
    fet__byol_net net;
    fet__byol_nodes out = {0};
    fet__values phi, next;
    fet__node *view[2], **grad;
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    mini_byol(&n, &net);
    view[0] = net_input(&n, "in.view1");
    view[1] = net_input(&n, "in.view2");
    FET_TRY(fet__values_of(&phi, &n.b, fet__is_norm_affine));
    fet__values_use(&n.b, &phi);
    FET_TRY(fet__byol_build(&net, &n.b, view, &out));
    for (int k = 0; k < 2; k++) {
        net_output(&n, names[0][k], out.feature[k]);
        net_output(&n, names[1][k], out.projection[k]);
        net_output(&n, names[2][k], out.prediction[k]);
        net_output(&n, names[3][k], out.target[k]);
    }
    net_output(&n, "loss", out.loss);
    FET_TRY(fet__values_descend(&next, &phi, n.b.g, out.loss, 1, &grad));
    FET_TRY(mini_output_values(&n, "grad.", &phi, grad));
    st = net_run(&n, NULL);
done:
    net_close(&n);
    return st;
}

/* ---- the episode --------------------------------------------------------------------------------------------------- */

static fet_status check_episode(net_case *n, bool second_order)
{
    fet__byol_net net;
    fet__episode_options o = mini_episode(n);
    fet__episode_input in;
    fet__episode e;
    fet__node *each[FET__INNER_STEPS];
    fet_status st;

    o.second_order = second_order;
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    mini_byol(n, &net);
    in = mini_episode_input(n, "in");
    FET_TRY(fet__episode_build(&e, &net, &n->b, &in, &o));
    for (int k = 0; k < o.inner_steps; k++)
        each[k] = fet__reshape(n->b.g, e.inner_loss[k], FET_SHAPE(1));
    net_output(n, "out.inner_losses", fet__concat(n->b.g, each, o.inner_steps, 0));
    net_output(n, "out.query_logits", e.outer.logits);
    net_output(n, "out.outer_main_loss", e.outer.main);
    net_output(n, "out.outer_byol_loss", e.outer.byol);
    net_output(n, "loss", e.outer.loss);
    FET_TRY(mini_output_values(n, "out.inner_grad.", &e.start, e.inner_grad));
    FET_TRY(mini_output_values(n, "out.adapted.", &e.adapted, e.adapted.node));
    FET_TRY(mini_output_values(n, second_order ? "grad." : "grad_first_order.", &e.start, e.grad));
    st = net_run(n, NULL);
done:
    return st;
}

fet_status parity_mabn_meta(parity_case *c)
{
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(check_episode(&n, true));
    st = check_episode(&n, false);
done:
    net_close(&n);
    return st;
}
