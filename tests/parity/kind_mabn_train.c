/* mabn.trajectory, mabn.tta, mabn.joint_training: both stages and the adaptation at a new site, step by step. */
#include "parity/mini_case.h"

#include <string.h>

static const net_tolerance tolerances[] = {{"out.", PARITY_MIXED, 1e-5},
                                           {"loss", PARITY_MIXED, 1e-6},
                                           {"grad", PARITY_MIXED, 1e-6},
                                           {"final", PARITY_MIXED, 1e-6},
                                           {0}};

/* Scalars of each step, against an entry with all steps. */
typedef struct series {
    const char *output, *entry;
    double *value;
} series;

static fet_status series_open(series *s, int count, int64_t steps)
{
    fet_status st = FET_OK;

    for (int i = 0; i < count && st == FET_OK; i++)
        st = FET_NEW(s[i].value, steps);
    return st;
}

static void series_take(series *s, int count, net_case *n, int64_t step)
{
    for (int i = 0; i < count; i++)
        s[i].value[step] = mini_scalar(n, s[i].output);
}

static fet_status series_check(const series *s, int count, net_case *n, int64_t steps)
{
    fet_status st = FET_OK;

    for (int i = 0; i < count && st == FET_OK; i++)
        st = parity_compare(n->c, s[i].entry, s[i].value, FET_F64, steps, PARITY_MIXED, 1e-6);
    return st;
}

static void series_close(series *s, int count)
{
    for (int i = 0; i < count; i++)
        fet__free(s[i].value);
}

static fet__optimizer_options adam(void)
{
    fet__optimizer_options o = fet__optimizer_defaults();

    o.kind = FET__ADAM;
    o.weight_decay = 0;
    return o;
}

static fet__node *tau_input(net_case *n)
{
    return fet__input(n->b.g, "byol.tau", FET_F32, fet__shape_scalar());
}

/* ---- outer steps --------------------------------------------------------------------------------------------------- */

static fet_status build_outer(net_case *n, fet__byol_net *net, const fet__optimizer_options *o)
{
    fet__episode_options eo = mini_episode(n);
    fet__episode_input in;
    fet__episode e;
    fet_status st;

    eo.second_order = strcmp(parity_text(n->c, "second_order", "true"), "true") == 0;
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    mini_byol(n, net);
    in = mini_episode_input(n, "in.task0");
    FET_TRY(fet__episode_build(&e, net, &n->b, &in, &eo));
    fet__output(n->b.g, "inner", e.inner_loss[0]);
    fet__output(n->b.g, "main", e.outer.main);
    fet__output(n->b.g, "byol", e.outer.byol);
    fet__output(n->b.g, "loss", e.outer.loss);
    FET_TRY(mini_update(n, o, &e.start, e.grad));
    fet__byol_follow(n->b.g, n->store, tau_input(n));
    st = mini_program(n);
done:
    return st;
}

static fet_status feed_task(net_case *n, int task)
{
    static const char *const leaves[] = {"support_view1", "support_view2", "query",
                                         "query_view1",   "query_view2",   "query_label"};
    char input[64], entry[64];
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(leaves) && st == FET_OK; i++) {
        snprintf(input, sizeof input, "in.task0.%s", leaves[i]);
        snprintf(entry, sizeof entry, "in.task%d.%s", task, leaves[i]);
        st = mini_feed(n, input, entry);
    }
    return st;
}

fet_status parity_mabn_trajectory(parity_case *c)
{
    series s[] = {{"inner", "out.inner_loss", NULL},
                  {"main", "out.outer_main_loss", NULL},
                  {"byol", "out.outer_byol_loss", NULL},
                  {"loss", "loss", NULL}};
    int64_t steps = (int64_t)parity_number(c, "steps", 0), tasks = (int64_t)parity_number(c, "tasks", 1);
    fet__optimizer_options o = adam();
    fet__byol_net net;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(series_open(s, (int)FET_COUNT(s), steps));
    FET_TRY(build_outer(&n, &net, &o));
    *(float *)fet__program_input(n.p, "byol.tau") = (float)parity_number(c, "tau", 1);
    for (int64_t k = 0; k < steps; k++) {
        FET_TRY(feed_task(&n, (int)(k % tasks)));
        fet__optimizer_bind(&o, n.p, k, parity_number(c, "outer_lr", 0));
        FET_TRY(fet__program_run(n.p));
        series_take(s, (int)FET_COUNT(s), &n, k);
    }
    FET_TRY(series_check(s, (int)FET_COUNT(s), &n, steps));
    st = net_final(&n, "final.", 0);
done:
    series_close(s, (int)FET_COUNT(s));
    net_close(&n);
    return st;
}

/* ---- a new site ---------------------------------------------------------------------------------------------------- */

fet_status parity_mabn_tta(parity_case *c)
{
    fet__byol_net net;
    fet__episode_options o;
    fet__episode e;
    fet__node *view[2], *test, *feature, *before, *after;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    mini_byol(&n, &net);
    o = mini_episode(&n);
    view[0] = net_input(&n, "in.support_view1");
    view[1] = net_input(&n, "in.support_view2");
    test = net_input(&n, "in.test");
    FET_TRY(fet__episode_adapt(&e, &net, &n.b, view, &o));
    mini_backbone(&n, &n.b, test, &feature, &before);
    fet__values_use(&n.b, &e.adapted);
    mini_backbone(&n, &n.b, test, &feature, &after);
    net_output(&n, "loss", e.inner_loss[0]);
    net_output(&n, "out.logits_before", before);
    net_output(&n, "out.logits_after", after);
    FET_TRY(mini_output_values(&n, "grad.", &e.start, e.inner_grad));
    FET_TRY(mini_output_values(&n, "final.", &e.adapted, e.adapted.node));
    st = net_run(&n, NULL);
done:
    net_close(&n);
    return st;
}

/* ---- the first stage ----------------------------------------------------------------------------------------------- */

static bool trains(const fet__params *store, const fet__param *p)
{
    return mini_any(store, p) && strncmp(p->name, "target.", 7) != 0;
}

static fet_status build_joint(net_case *n, fet__byol_net *net, const fet__optimizer_options *o)
{
    fet__episode_options eo = mini_episode(n);
    fet__values all, next;
    fet__node *x, *view[2], *label, **grad;
    fet__outer outer;
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_TRAIN, true));
    mini_byol(n, net);
    net->joint = true;
    x = net_input(n, "in.batch0.x");
    view[0] = net_input(n, "in.batch0.view1");
    view[1] = net_input(n, "in.batch0.view2");
    label = net_input(n, "in.batch0.label");
    FET_TRY(fet__values_of(&all, &n->b, trains));
    fet__values_use(&n->b, &all);
    FET_TRY(fet__outer_build(&outer, net, &n->b, x, view, label, &eo));
    fet__values_use(&n->b, NULL);
    fet__output(n->b.g, "logits", outer.logits);
    fet__output(n->b.g, "main", outer.main);
    fet__output(n->b.g, "byol", outer.byol);
    fet__output(n->b.g, "loss", outer.loss);
    FET_TRY(fet__values_descend(&next, &all, n->b.g, outer.loss, 1, &grad));
    FET_TRY(mini_output_values(n, "grad.", &all, grad));
    FET_TRY(mini_update(n, o, &all, grad));
    fet__byol_follow(n->b.g, n->store, tau_input(n));
    st = mini_program(n);
done:
    return st;
}

static fet_status joint_step(net_case *n, const fet__optimizer_options *o, int64_t k)
{
    static const char *const leaves[] = {"x", "view1", "view2", "label"};
    char input[64], entry[64];
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(leaves) && st == FET_OK; i++) {
        snprintf(input, sizeof input, "in.batch0.%s", leaves[i]);
        snprintf(entry, sizeof entry, "in.batch%d.%s", (int)(k % (int64_t)parity_number(n->c, "batches", 1)),
                 leaves[i]);
        st = mini_feed(n, input, entry);
    }
    if (st != FET_OK)
        return st;
    fet__optimizer_bind(o, n->p, k, parity_number(n->c, "lr", 0));
    FET_TRY(fet__program_run(n->p));
    if (k == 0) {
        FET_TRY(mini_compare(n, "logits", "out.logits"));
        for (int i = 0; i < n->output_count; i++)
            FET_TRY(mini_compare(n, n->outputs[i].entry, n->outputs[i].entry));
    }
done:
    return st;
}

fet_status parity_mabn_joint_training(parity_case *c)
{
    series s[] = {{"main", "out.ce", NULL}, {"byol", "out.byol", NULL}, {"loss", "loss", NULL}};
    int64_t steps = (int64_t)parity_number(c, "steps", 0);
    fet__optimizer_options o = adam();
    fet__byol_net net;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(series_open(s, (int)FET_COUNT(s), steps));
    FET_TRY(build_joint(&n, &net, &o));
    *(float *)fet__program_input(n.p, "byol.tau") = (float)parity_number(c, "tau", 1);
    for (int64_t k = 0; k < steps; k++) {
        FET_TRY(joint_step(&n, &o, k));
        series_take(s, (int)FET_COUNT(s), &n, k);
    }
    FET_TRY(series_check(s, (int)FET_COUNT(s), &n, steps));
    FET_TRY(mini_final(&n, "final."));
    st = mini_final(&n, "final_unstable.");
done:
    series_close(s, (int)FET_COUNT(s));
    net_close(&n);
    return st;
}
