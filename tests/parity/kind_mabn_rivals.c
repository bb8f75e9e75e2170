/* mabn.tent_bnadapt, mabn.arm_bn, mabn.arm_cml, mabn.arm_ll, mabn.meta_dmoe: the methods that MABN is compared with. */
#include "parity/mini_case.h"
#include "train/rivals.h"

#include <string.h>

static const net_tolerance tolerances[] = {{"out.", PARITY_MIXED, 1e-5},
                                           {"loss", PARITY_MIXED, 1e-6},
                                           {"grad", PARITY_MIXED, 1e-6},
                                           {"final", PARITY_MIXED, 1e-6},
                                           {0}};

static fet__optimizer_options adam(void)
{
    fet__optimizer_options o = fet__optimizer_defaults();

    o.kind = FET__ADAM;
    o.weight_decay = 0;
    return o;
}

/* ---- statistics of the batch, entropy -------------------------------------------------------------------------------- */

static fet_status check_statistics(parity_case *c)
{
    static const struct {
        const char *entry;
        fet__norm_mode mode;
    } modes[] = {{"out.logits_source", FET__NORM_FROZEN},
                 {"out.logits_bn_batch", FET__NORM_BATCH},
                 {"out.logits_bn_mix", FET__NORM_MIX}};
    net_case n = {0};
    fet__node *feature, *logits;
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    for (size_t i = 0; i < FET_COUNT(modes); i++) {
        FET_TRY(net_begin(&n, modes[i].mode, false));
        n.b.norm_prior = parity_number(c, "bn_adapt_N", 16);
        mini_backbone(&n, &n.b, net_input(&n, "in.batch0"), &feature, &logits);
        net_output(&n, modes[i].entry, logits);
        FET_TRY(net_run(&n, NULL));
    }
done:
    net_close(&n);
    return st;
}

static fet_status build_tent(net_case *n, const char *kind, const fet__optimizer_options *o)
{
    char prefix[32];
    fet__values phi, next;
    fet__node *feature, *logits, *loss, **grad;
    fet_status st;

    FET_TRY(net_begin(n, strcmp(kind, "batch") == 0 ? FET__NORM_BATCH : FET__NORM_FROZEN, false));
    FET_TRY(fet__values_of(&phi, &n->b, fet__is_norm_affine));
    fet__values_use(&n->b, &phi);
    mini_backbone(n, &n->b, net_input(n, "in.batch0"), &feature, &logits);
    loss = fet__mean_entropy(n->b.g, logits);
    fet__output(n->b.g, "logits", logits);
    fet__output(n->b.g, "loss", loss);
    FET_TRY(fet__values_descend(&next, &phi, n->b.g, loss, 1, &grad));
    snprintf(prefix, sizeof prefix, "grad.%s.", kind);
    FET_TRY(mini_output_values(n, prefix, &phi, grad));
    FET_TRY(mini_update(n, o, &phi, grad));
    st = mini_program(n);
done:
    return st;
}

static fet_status tent_steps(net_case *n, const char *kind, const fet__optimizer_options *o, double *loss)
{
    char name[48];
    fet_status st = FET_OK;

    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "in.batch%d", k);
        FET_TRY(mini_feed(n, "in.batch0", name));
        fet__optimizer_bind(o, n->p, k, parity_number(n->c, "lr", 0));
        FET_TRY(fet__program_run(n->p));
        loss[k] = mini_scalar(n, "loss");
        snprintf(name, sizeof name, "out.%s.logits%d", kind, k);
        FET_TRY(mini_compare(n, "logits", name));
        for (int i = 0; i < n->output_count && k == 0; i++)
            FET_TRY(mini_compare(n, n->outputs[i].entry, n->outputs[i].entry));
    }
done:
    return st;
}

static fet_status check_tent(parity_case *c, const char *kind)
{
    char prefix[48];
    double loss[3];
    fet__optimizer_options o = adam();
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(build_tent(&n, kind, &o));
    FET_TRY(tent_steps(&n, kind, &o, loss));
    snprintf(prefix, sizeof prefix, "loss.%s", kind);
    FET_TRY(parity_compare(c, prefix, loss, FET_F64, 3, PARITY_MIXED, 1e-6));
    snprintf(prefix, sizeof prefix, "final.%s.", kind);
    st = mini_final(&n, prefix);
done:
    net_close(&n);
    return st;
}

fet_status parity_mabn_tent_bnadapt(parity_case *c)
{
    fet_status st = check_statistics(c);

    if (st == FET_OK)
        st = check_tent(c, "batch");
    return st == FET_OK ? check_tent(c, "source") : st;
}

/* ---- ARM ----------------------------------------------------------------------------------------------------------- */

/* Rows of one domain. */
static fet__node *chunk_of(net_case *n, fet__node *x, int k)
{
    int support = (int)parity_number(n->c, "support", 1);

    return fet__slice(n->b.g, x, 0, (int64_t)k * support, (int64_t)(k + 1) * support);
}

fet_status parity_mabn_arm_bn(parity_case *c)
{
    fet__optimizer_options o = adam();
    fet__values all, next;
    fet__node *x, *feature, *logits[2], *both, *loss, **grad;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_TRAIN, true));
    FET_TRY(fet__values_of(&all, &n.b, mini_any));
    fet__values_use(&n.b, &all);
    x = net_input(&n, "in.x");
    for (int k = 0; k < 2; k++)
        mini_backbone(&n, &n.b, chunk_of(&n, x, k), &feature, &logits[k]);
    both = fet__concat(n.b.g, logits, 2, 0);
    loss = net_cross_entropy(&n, both, "in.label");
    net_output(&n, "out.logits", both);
    net_output(&n, "loss", loss);
    FET_TRY(fet__values_descend(&next, &all, n.b.g, loss, 1, &grad));
    FET_TRY(mini_output_values(&n, "grad.", &all, grad));
    FET_TRY(mini_update(&n, &o, &all, grad));
    FET_TRY(mini_program(&n));
    FET_TRY(mini_feed(&n, "in.x", "in.x"));
    FET_TRY(mini_feed(&n, "in.label", "in.label"));
    fet__optimizer_bind(&o, n.p, 0, parity_number(c, "lr", 0));
    FET_TRY(fet__program_run(n.p));
    for (int i = 0; i < n.output_count; i++)
        FET_TRY(mini_compare(&n, n.outputs[i].entry, n.outputs[i].entry));
    st = mini_final(&n, "final.");
done:
    net_close(&n);
    return st;
}

static fet__node *with_context(net_case *n, fet__node **mean)
{
    return fet__arm_context(&n->b, net_input(n, "in.x"), (int)parity_number(n->c, "support", 1),
                            (int)parity_number(n->c, "ctx", 1), (int)parity_number(n->c, "hid", 1), mean);
}

fet_status parity_mabn_arm_cml(parity_case *c)
{
    fet__node *feature, *logits, *loss, *mean;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    mini_backbone(&n, &n.b, with_context(&n, NULL), &feature, &logits);
    net_output(&n, "out.eval.logits", logits);
    FET_TRY(net_run(&n, NULL));
    FET_TRY(net_begin(&n, FET__NORM_TRAIN, true));
    mini_backbone(&n, &n.b, with_context(&n, &mean), &feature, &logits);
    net_output(&n, "out.train.context", mean);
    net_output(&n, "out.train.logits", logits);
    net_output(&n, "loss", loss = net_cross_entropy(&n, logits, "in.label"));
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
    st = net_final(&n, "final.", 1);
done:
    net_close(&n);
    return st;
}

static bool is_model(const fet__params *store, const fet__param *p)
{
    return mini_any(store, p) && strncmp(p->name, "learned_loss.", 13) != 0;
}

/* One domain: the learned loss changes the whole model, which then sees the same pictures with their labels. */
static fet_status build_learned(net_case *n, fet__node *x, fet__node *label, fet__node *out[3])
{
    fet__values all, next;
    fet__node *feature, *logits;
    fet_status st;

    FET_TRY(fet__values_of(&all, &n->b, is_model));
    fet__values_use(&n->b, &all);
    mini_backbone(n, &n->b, x, &feature, &logits);
    out[0] = fet__arm_learned_loss(&n->b, logits);
    FET_TRY(fet__values_descend(&next, &all, n->b.g, out[0], parity_number(n->c, "inner_lr", 0), NULL));
    fet__values_use(&n->b, &next);
    mini_backbone(n, &n->b, x, &feature, &out[1]);
    fet__values_use(&n->b, NULL);
    out[2] = fet__main_loss(n->b.g, out[1], label, false);
    st = fet__graph_status(n->b.g);
done:
    return st;
}

fet_status parity_mabn_arm_ll(parity_case *c)
{
    fet__node *x, *label, *out[2][3], *pair[2], *sum;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_BATCH, true));
    x = net_input(&n, "in.x");
    label = net_input(&n, "in.label");
    for (int k = 0; k < 2; k++)
        FET_TRY(build_learned(&n, chunk_of(&n, x, k), chunk_of(&n, label, k), out[k]));
    for (int k = 0; k < 2; k++)
        pair[k] = fet__reshape(n.b.g, out[k][0], FET_SHAPE(1));
    net_output(&n, "out.inner_loss", fet__concat(n.b.g, pair, 2, 0));
    pair[0] = out[0][1];
    pair[1] = out[1][1];
    net_output(&n, "out.logits", fet__concat(n.b.g, pair, 2, 0));
    sum = fet__add(n.b.g, out[0][2], out[1][2]);
    net_output(&n, "loss", fet__scale(n.b.g, sum, 0.5));
    FET_TRY(net_want(&n, "grad.", 5));
    st = net_run(&n, sum);
done:
    net_close(&n);
    return st;
}

/* ---- experts ------------------------------------------------------------------------------------------------------- */

/* All tokens of a picture but its own expert's. */
static fet__node *other_experts(net_case *n)
{
    const fet__entry *e = fet__tensors_find(n->c->t, "in.expert_features");
    double *masked = NULL;
    int32_t *row = NULL;
    int64_t count = 0, used = 0;
    fet__node *x = NULL;

    if (!e || e->shape.rank != 3 || parity_doubles(n->c, "in.masked_expert", &masked, &count) != FET_OK ||
        count != e->shape.dim[0] || FET_NEW(row, count * e->shape.dim[1]) != FET_OK)
        goto done;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < e->shape.dim[1]; k++)
            if (k != (int64_t)masked[i])
                row[used++] = (int32_t)(i * e->shape.dim[1] + k);
    x = fet__input(n->b.g, "in.expert_features", n->type, e->shape);
    x = fet__reshape(n->b.g, x, FET_SHAPE(count * e->shape.dim[1], e->shape.dim[2]));
    x = fet__gather(n->b.g, x, fet__const(n->b.g, FET_I32, FET_SHAPE(used), row));
    x = fet__reshape(n->b.g, x, FET_SHAPE(count, used / count, e->shape.dim[2]));
done:
    fet__free(masked);
    fet__free(row);
    return x ? x : fet__graph_fail(n->b.g, FET_E_FORMAT, "the golden's expert features have no sizes");
}

static bool is_student_feature(const fet__params *store, const fet__param *p)
{
    return mini_any(store, p) && strncmp(p->name, "student.", 8) == 0 && strncmp(p->name, "student.fc.", 11) != 0;
}

static void student(net_case *n, const char *entry, fet__node **feature, fet__node **logits)
{
    fet__enter(&n->b, "student");
    mini_backbone(n, &n->b, net_input(n, entry), feature, logits);
    fet__leave(&n->b);
}

fet_status parity_mabn_meta_dmoe(parity_case *c)
{
    fet__values all, next;
    fet__node *target, *feature, *logits, *inner, *loss;
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    fet__enter(&n.b, "aggregator");
    target = fet__expert_aggregate(&n.b, other_experts(&n), (int)parity_number(c, "heads", 1));
    fet__leave(&n.b);
    FET_TRY(fet__values_of(&all, &n.b, is_student_feature));
    fet__values_use(&n.b, &all);
    student(&n, "in.support", &feature, NULL);
    inner = fet__main_loss(n.b.g, feature, target, true);
    FET_TRY(fet__values_descend(&next, &all, n.b.g, inner, parity_number(c, "inner_lr", 0), NULL));
    fet__values_use(&n.b, &next);
    student(&n, "in.query", &feature, &logits);
    net_output(&n, "out.aggregated", target);
    net_output(&n, "out.inner_loss", inner);
    net_output(&n, "out.query_logits", logits);
    net_output(&n, "loss", loss = net_cross_entropy(&n, logits, "in.query_label"));
    FET_TRY(net_want(&n, "grad.", 5));
    st = net_run(&n, loss);
done:
    net_close(&n);
    return st;
}
