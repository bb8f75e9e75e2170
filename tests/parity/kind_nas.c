/* quadranet.nas_gates: slopes along gates, the objectives and steps of alpha on a mixed operator of three paths; quadranet.nas_toy_search:
 * steps of weights and of alpha in turn over a small super-network. */
#include "parity/net_case.h"
#include "train/nas.h"
#include "train/train.h"

#include <string.h>

static const net_tolerance by_file[] = {{"out.", PARITY_ABS, 1e-5}, {0}};

/* ---- three paths ----------------------------------------------------------------------------------------------------- */

#define PATHS 3
typedef struct mixed {
    net_case n;
    fet__nas_gates gates;
    fet__nas_choice choice;
    double *cost, *target;
    bool deaf; /* the reference's rule for the zero path */
} mixed;

static void mixed_fini(mixed *m)
{
    net_close(&m->n);
    fet__nas_gates_fini(&m->gates);
    fet__free(m->cost);
    fet__free(m->target);
}

static fet__node *path(net_case *n, fet__node *x, int i)
{
    const fet__conv_options three = {.pad = 1, .groups = (int)x->shape.dim[3], .bias = true}, one = {.bias = true};
    int64_t c = x->shape.dim[3];

    if (i == 0)
        return fet__nn_conv(&n->b, "cand.0", x, c, 3, &three);
    return i == 1 ? fet__nn_conv(&n->b, "cand.1", x, c, 1, &one) : fet__fill(n->b.g, n->type, x->shape, 0);
}

/* Cross-entropy with one path active, and the slopes along the gates of the paths that were drawn. */
static fet_status run_mixed(mixed *m, double *ce, double slope[PATHS])
{
    const fet__linear_options head = {.default_init = true};
    fet__program_options po = {.reference = m->n.c->reference};
    net_case *n = &m->n;
    fet__node *x, *y, *loss, *d, *path_of[PATHS], *part[PATHS];
    double value[PATHS + 1];
    fet_status st;

    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    x = net_input(n, "in.x");
    FET_TRY(fet__graph_status(n->b.g));
    for (int i = 0; i < PATHS; i++)
        path_of[i] = path(n, x, i);
    y = fet__add(n->b.g, path_of[m->choice.active], fet__fill(n->b.g, n->type, x->shape, 0));
    loss = fet__nn_linear(&n->b, "head", fet__nn_mean_pool(&n->b, fet__add(n->b.g, x, y)),
                          fet__param_size(n->store, "head.weight", 0), &head);
    loss = net_cross_entropy(n, loss, "in.label");
    FET_TRY(fet__gradient(n->b.g, loss, &y, 1, false, &d));
    for (int i = 0; i < PATHS; i++)
        part[i] = fet__reshape(n->b.g, fet__sum_all(n->b.g, fet__mul(n->b.g, d, path_of[i])), FET_SHAPE(1));
    fet__output(n->b.g, "slopes", fet__concat(n->b.g, part, PATHS, 0));
    fet__output(n->b.g, "loss", loss);
    FET_TRY(fet__program_create(&n->p, n->b.g, &po));
    {
        const fet__entry *image = fet__tensors_find(n->c->t, "in.x"), *label = fet__tensors_find(n->c->t, "in.label");

        fet__convert(fet__program_input(n->p, "in.x"), n->type, image->data, image->dtype,
                     fet__shape_count(&image->shape));
        fet__convert(fet__program_input(n->p, "in.label"), FET_I32, label->data, label->dtype,
                     fet__shape_count(&label->shape));
    }
    FET_TRY(fet__program_run(n->p));
    fet__convert(value, FET_F64, fet__program_output(n->p, "loss"), n->type, 1);
    *ce = value[0];
    fet__convert(value, FET_F64, fet__program_output(n->p, "slopes"), n->type, PATHS);
    for (int i = 0; i < PATHS; i++)
        slope[i] = m->choice.other < 0 || i == m->choice.active || i == m->choice.other ? value[i] : 0;
done:
    return st;
}

/* Compares with PREFIX.NAME.WHAT where the golden has it. */
static fet_status compare(parity_case *c, const char *prefix, const char *name, const char *what, const double *value,
                          int64_t count)
{
    char entry[96];

    snprintf(entry, sizeof entry, "%s.%s.%s", prefix, name, what);
    if (!fet__tensors_find(c->t, entry))
        return FET_OK;
    return parity_compare(c, entry, value, FET_F64, count, PARITY_MAX, 1e-4);
}

static fet_status take_alphas(mixed *m)
{
    double *alpha = NULL;
    int64_t count;
    fet_status st;

    fet__nas_gates_fini(&m->gates);
    FET_TRY(parity_doubles(m->n.c, "in.alpha", &alpha, &count));
    FET_TRY(fet__nas_gates_create(&m->gates, 1, PATHS, 1));
    memcpy(m->gates.alpha, alpha, PATHS * sizeof *alpha);
    m->gates.deaf = m->deaf ? m->choice.active : -1;
    m->gates.lr = parity_number(m->n.c, "adam_lr", 1e-3);
done:
    fet__free(alpha);
    return st;
}

/* One objective from the start: everything that the golden names so. */
static fet_status check_objective(mixed *m, const char *name, const fet__nas_objective *o)
{
    parity_case *c = m->n.c;
    double ce = 0, slope[PATHS], expected, before[PATHS], latency[PATHS] = {0}, grad[PATHS] = {0}, off;
    fet__nas_choice whole = {m->choice.active, -1};
    fet__nas_loss loss;
    fet_status st;

    FET_TRY(take_alphas(m));
    FET_TRY(run_mixed(m, &ce, slope));
    expected = fet__nas_expected(&m->gates, &m->choice, m->cost, 0);
    FET_TRY(fet__nas_loss_at(o, ce, expected, &loss));
    FET_TRY(compare(c, "out", name, "ce", &ce, 1));
    FET_TRY(compare(c, "out", name, "expected_latency", &expected, 1));
    FET_TRY(compare(c, "out", name, "loss", &loss.loss, 1));
    fet__nas_pull(&m->gates, &m->choice, m->cost, loss.by_cost, latency);
    memcpy(grad, latency, sizeof grad);
    fet__nas_pull(&m->gates, &m->choice, slope, loss.by_ce, grad);
    for (int i = 0; i < PATHS; i++)
        slope[i] *= loss.by_ce;
    FET_TRY(compare(c, "grad", name, "gates", slope, PATHS));
    FET_TRY(compare(c, "grad", name, "alpha_latency_part", latency, PATHS));
    FET_TRY(compare(c, "grad", name, "alpha", grad, PATHS));
    /* Adam alone, as if no pair had been drawn, then with the pair's share kept. */
    FET_TRY(fet__nas_update(&m->gates, &whole, grad));
    FET_TRY(compare(c, "final", name, "alpha_adam", m->gates.alpha, PATHS));
    FET_TRY(compare(c, "final", name, "alpha", m->gates.alpha, PATHS));
    if (m->choice.other < 0)
        goto done;
    FET_TRY(take_alphas(m));
    fet__nas_shares(&m->gates, 0, whole, before);
    FET_TRY(fet__nas_update(&m->gates, &m->choice, grad));
    FET_TRY(compare(c, "final", name, "alpha_rescaled", m->gates.alpha, PATHS));
    fet__nas_shares(&m->gates, 0, whole, slope);
    off = before[m->choice.active] + before[m->choice.other] - slope[m->choice.active] - slope[m->choice.other];
    parity_note(c, "the pair's share", off < 0 ? -off : off, 1e-12);
done:
    return st;
}

fet_status parity_nas_gates(parity_case *c)
{
    static const char *const kinds[] = {"log", "lin", "none"};
    mixed m = {.choice = {(int)parity_number(c, "active", 0), (int)parity_number(c, "inactive", -1)}};
    fet__nas_objective o = {.a = parity_number(c, "reg_log_a", 0.2),
                            .b = parity_number(c, "reg_log_b", 0.3),
                            .lambda = parity_number(c, "reg_lin_lambda", 0.1)};
    const char *way = m.choice.other < 0 ? "full" : "two";
    double p[PATHS];
    char name[32];
    fet_status st;

    FET_TRY(net_open(&m.n, c, by_file));
    FET_TRY(parity_doubles(c, "in.latency_ms", &m.cost, NULL));
    FET_TRY(parity_doubles(c, "in.ref_latency", &m.target, NULL));
    o.target = m.target[0];
    for (int k = 0; k < (int)FET_COUNT(kinds); k++) {
        o.kind = k == 0 ? FET__NAS_LOG : k == 1 ? FET__NAS_LINEAR : FET__NAS_NONE;
        snprintf(name, sizeof name, "%s_%s", way, kinds[k]);
        FET_TRY(check_objective(&m, name, &o));
    }
    if (m.choice.other >= 0)
        goto done;
    fet__nas_probabilities(m.gates.alpha, PATHS, p);
    FET_TRY(take_alphas(&m));
    fet__nas_shares(&m.gates, 0, m.choice, p);
    FET_TRY(parity_compare(c, "out.probs", p, FET_F64, PATHS, PARITY_ABS, 1e-6));
    m.choice.active = (int)parity_number(c, "zero_path", 2);
    o.kind = FET__NAS_LOG;
    FET_TRY(check_objective(&m, "zero_right", &o));
    m.deaf = true;
    FET_TRY(check_objective(&m, "zero_official", &o));
done:
    mixed_fini(&m);
    return st;
}

/* ---- the toy search -------------------------------------------------------------------------------------------------- */

#define POSITIONS 2
typedef struct toy {
    net_case n;
    fet__nas_gates gates;
    fet__optimizer_options o;
    fet__nas_objective objective;
    fet__nas_choice choice[POSITIONS];
    double *cost, *target, *alpha;
    double *loss, *arch_loss, *expected, *grad, *kept; /* of every step */
    int64_t steps;
} toy;

static void toy_fini(toy *t)
{
    double *const all[] = {t->cost, t->target, t->alpha, t->loss, t->arch_loss, t->expected, t->grad, t->kept};

    net_close(&t->n);
    fet__nas_gates_fini(&t->gates);
    for (size_t i = 0; i < FET_COUNT(all); i++)
        fet__free(all[i]);
}

/* The network under the choice of now; images [B, C, H, W]. */
static fet__node *toy_loss(toy *t, fet__nas_net *net, double smoothing)
{
    const fet__linear_options head = {.default_init = true};
    const fet__shape *s = &fet__tensors_find(t->n.c->t, "in.x")->shape;
    int grid[2] = {(int)s->dim[3], (int)s->dim[4]};
    fet__build *b = &t->n.b;
    fet__node *x = fet__input(b->g, "x", t->n.type, FET_SHAPE(s->dim[1], s->dim[2], s->dim[3], s->dim[4]));
    fet__node *label = fet__input(b->g, "label", FET_I32, FET_SHAPE(s->dim[1]));

    x = fet__reshape(b->g, fet__transpose(b->g, x, (int[]){0, 2, 3, 1}),
                     FET_SHAPE(s->dim[1], s->dim[3] * s->dim[4], s->dim[2]));
    for (int i = 0; i < POSITIONS; i++)
        x = fet__nas_position(net, b, x, grid, 0);
    x = fet__reshape(b->g, fet__mean(b->g, x, 1u << 1), FET_SHAPE(s->dim[1], s->dim[2]));
    x = fet__nn_linear(b, "head", fet__nn_layer_norm(b, "norm", x, 1e-6), fet__param_size(t->n.store, "head.weight", 0),
                       &head);
    x = fet__scale(b->g, fet__sum_all(b->g, fet__cross_entropy(b->g, x, label, smoothing)), 1.0 / (double)s->dim[1]);
    fet__output(b->g, "loss", x);
    return x;
}

static fet_status feed_and_run(toy *t, int64_t batch, double *loss)
{
    net_case *n = &t->n;
    const fet__entry *x = fet__tensors_find(n->c->t, "in.x"), *label = fet__tensors_find(n->c->t, "in.label");
    int64_t values = fet__shape_count(&x->shape) / x->shape.dim[0], labels = label->shape.dim[1];
    fet_status st;

    fet__convert(fet__program_input(n->p, "x"), n->type, (const float *)x->data + batch * values, x->dtype, values);
    fet__convert(fet__program_input(n->p, "label"), FET_I32, (const int64_t *)label->data + batch * labels,
                 label->dtype, labels);
    FET_TRY(fet__program_run(n->p));
    fet__convert(loss, FET_F64, fet__program_output(n->p, "loss"), n->type, 1);
done:
    return st;
}

static fet_status choose(toy *t, const char *entry, int64_t step)
{
    double *active = NULL;
    fet_status st;

    FET_TRY(parity_doubles(t->n.c, entry, &active, NULL));
    for (int i = 0; i < POSITIONS; i++)
        t->choice[i] = (fet__nas_choice){(int)active[step * POSITIONS + i], -1};
done:
    fet__free(active);
    return st;
}

/* Only what the path uses is updated: unused tensors get neither momentum nor decay. */
static fet_status weight_step(toy *t, int64_t step)
{
    fet__nas_net net = {.choice = t->choice, .positions = POSITIONS, .scale = 1e-6};
    fet__program_options po = {.reference = t->n.c->reference};
    net_case *n = &t->n;
    fet__node *loss, **leaf = NULL, **grad = NULL;
    int count = fet__params_count(n->store), used = 0;
    fet_status st;

    FET_TRY(choose(t, "in.active_weight_step", step));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    FET_TRY(fet__nas_begin(&net, n->b.g));
    loss = toy_loss(t, &net, 0.1);
    FET_TRY(fet__graph_status(n->b.g));
    FET_TRY(FET_NEW(leaf, count));
    FET_TRY(FET_NEW(grad, count));
    for (int i = 0; i < count; i++)
        if (fet__params_at(n->store, i)->role == FET__PARAM)
            leaf[used++] = fet__leaf(n->b.g, fet__params_at(n->store, i));
    FET_TRY(fet__gradient(n->b.g, loss, leaf, used, true, grad));
    count = 0;
    for (int i = 0; i < used; i++)
        if (grad[i]) {
            leaf[count] = leaf[i];
            grad[count++] = grad[i];
        }
    FET_TRY(fet__optimizer_build(&t->o, n->b.g, n->store, leaf, grad, count));
    FET_TRY(fet__program_create(&n->p, n->b.g, &po));
    fet__optimizer_bind(&t->o, n->p, step, 0.02);
    FET_TRY(feed_and_run(t, 2 * step, &t->loss[step]));
done:
    fet__free(leaf);
    fet__free(grad);
    return st;
}

static fet_status alpha_step(toy *t, int64_t step)
{
    fet__nas_net net = {.choice = t->choice, .positions = POSITIONS, .scale = 1e-6, .others = true};
    fet__program_options po = {.reference = t->n.c->reference};
    double ce = 0, slope[POSITIONS * FET__NAS_SPACE], *grad = t->grad + step * POSITIONS * FET__NAS_SPACE;
    net_case *n = &t->n;
    fet__node *slopes;
    fet__nas_loss loss;
    fet_status st;

    FET_TRY(choose(t, "in.active_arch_step", step));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    FET_TRY(fet__nas_begin(&net, n->b.g));
    slopes = fet__nas_slopes(&net, n->b.g, toy_loss(t, &net, 0));
    FET_TRY(fet__graph_status(n->b.g));
    fet__output(n->b.g, "slopes", slopes);
    FET_TRY(fet__program_create(&n->p, n->b.g, &po));
    FET_TRY(feed_and_run(t, 2 * step + 1, &ce));
    fet__convert(slope, FET_F64, fet__program_output(n->p, "slopes"), n->type, (int64_t)POSITIONS * FET__NAS_SPACE);
    t->expected[step] = fet__nas_expected(&t->gates, t->choice, t->cost, 0);
    FET_TRY(fet__nas_loss_at(&t->objective, ce, t->expected[step], &loss));
    t->arch_loss[step] = loss.loss;
    fet__nas_pull(&t->gates, t->choice, slope, loss.by_ce, grad);
    fet__nas_pull(&t->gates, t->choice, t->cost, loss.by_cost, grad);
    FET_TRY(fet__nas_update(&t->gates, t->choice, grad));
    memcpy(t->kept + step * POSITIONS * FET__NAS_SPACE, t->gates.alpha, sizeof slope);
done:
    return st;
}

static fet_status toy_open(toy *t, parity_case *c)
{
    const int64_t gates = (int64_t)POSITIONS * FET__NAS_SPACE;
    fet_status st;

    FET_TRY(net_open(&t->n, c, by_file));
    t->o = fet__optimizer_defaults();
    t->o.kind = FET__SGD;
    t->o.momentum = 0.9;
    t->o.nesterov = true;
    t->o.weight_decay = 4e-5;
    FET_TRY(parity_doubles(c, "in.latency_ms", &t->cost, NULL));
    FET_TRY(parity_doubles(c, "in.ref_latency", &t->target, NULL));
    FET_TRY(parity_doubles(c, "in.alpha", &t->alpha, NULL));
    t->objective = (fet__nas_objective){.a = 0.2, .b = 0.3, .target = t->target[0]};
    FET_TRY(fet__nas_gates_create(&t->gates, POSITIONS, FET__NAS_SPACE, 1));
    memcpy(t->gates.alpha, t->alpha, (size_t)gates * sizeof *t->alpha);
    t->gates.lr = 1e-2;
    t->steps = (int64_t)parity_number(c, "steps", 4);
    FET_TRY(FET_NEW(t->loss, t->steps));
    FET_TRY(FET_NEW(t->arch_loss, t->steps));
    FET_TRY(FET_NEW(t->expected, t->steps));
    FET_TRY(FET_NEW(t->grad, t->steps * gates));
    FET_TRY(FET_NEW(t->kept, t->steps * gates));
done:
    return st;
}

fet_status parity_nas_toy_search(parity_case *c)
{
    const int64_t gates = (int64_t)POSITIONS * FET__NAS_SPACE;
    int derived[POSITIONS];
    toy t = {0};
    fet_status st;

    FET_TRY(toy_open(&t, c));
    for (int64_t step = 0; step < t.steps; step++) {
        FET_TRY(weight_step(&t, step));
        FET_TRY(alpha_step(&t, step));
    }
    FET_TRY(parity_compare(c, "loss", t.loss, FET_F64, t.steps, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(c, "out.arch_loss", t.arch_loss, FET_F64, t.steps, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(c, "out.expected_latency", t.expected, FET_F64, t.steps, PARITY_ABS, 1e-4));
    FET_TRY(parity_compare(c, "grad.alpha", t.grad, FET_F64, t.steps * gates, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(c, "final.alpha_per_step", t.kept, FET_F64, t.steps * gates, PARITY_ABS, 1e-5));
    fet__nas_derive(&t.gates, derived);
    FET_TRY(parity_compare(c, "out.derived", derived, FET_I32, POSITIONS, PARITY_ABS, 0));
    for (int i = 0; i < fet__params_count(t.n.store); i++) {
        const fet__param *p = fet__params_at(t.n.store, i);
        char name[256];

        snprintf(name, sizeof name, "final.%s", p->name);
        if (p->role == FET__PARAM && fet__tensors_find(c->t, name))
            FET_TRY(parity_compare(c, name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 2e-5));
    }
done:
    toy_fini(&t);
    return st;
}
