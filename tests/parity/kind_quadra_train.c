/* quadranet.net_adamw15: a network trained for some steps with the recipe's optimiser; quadranet.quad_type1_fullrank: the neuron that the
 * factorised one stands for. */
#include "parity/net_case.h"
#include "train/train.h"

#include <string.h>

static const net_tolerance tolerances[] = {{"out.", PARITY_MAX, 1e-5}, {"grad.", PARITY_MAX, 1e-5}, {0}};

fet_status parity_quad_full(parity_case *c)
{
    net_case n = {0};
    fet__node *y, *loss;
    fet_status st;
    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    y = fet__nn_quadratic_full(&n.b, "", net_input(&n, "in.x"), fet__param_size(n.store, "weight", 0), 3);
    net_output(&n, "out.y", y);
    loss = net_weighted_sum(&n, y, "in.grad_out", 1);
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
done:
    net_close(&n);
    return st;
}

/* ---- training ------------------------------------------------------------------------------------------------------ */

typedef struct trainer {
    net_case n;
    fet__arch arch;
    fet__optimizer_options o;
    double *lr, *loss, *norm;
    int64_t steps;
} trainer;

static void trainer_fini(trainer *t)
{
    fet__arch_fini(&t->arch);
    net_close(&t->n);
    fet__free(t->lr);
    fet__free(t->loss);
    fet__free(t->norm);
}

static fet_status add_update(trainer *t, fet__node *loss)
{
    net_case *n = &t->n;
    int count = fet__params_count(n->store), used = 0;
    fet__node **leaf = NULL, **grad = NULL;
    fet_status st;
    FET_TRY(FET_NEW(leaf, count));
    FET_TRY(FET_NEW(grad, count));
    for (int i = 0; i < count; i++)
        leaf[used++] = fet__leaf(n->b.g, fet__params_at(n->store, i));
    FET_TRY(fet__gradient(n->b.g, loss, leaf, used, false, grad));
    FET_TRY(fet__optimizer_build(&t->o, n->b.g, n->store, leaf, grad, used));
done:
    fet__free(leaf);
    fet__free(grad);
    return st;
}

static fet_status build(trainer *t)
{
    net_case *n = &t->n;
    const fet__entry *e = fet__tensors_find(n->c->t, "in.x0");
    fet__program_options po = {.reference = n->c->reference};
    fet__node *x, *label, *features, *logits, *each, *loss;
    fet_status st;
    if (!e || e->shape.rank != 4)
        return FET_FAIL(FET_E_FORMAT, "the golden has no images in.x0");
    FET_TRY(fet__arch_recognise(&t->arch, n->store));
    FET_TRY(t->arch.class_->resize(&t->arch, n->store, (int)e->shape.dim[2], (int)e->shape.dim[3]));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, false));
    x = fet__transpose(n->b.g, fet__input(n->b.g, "x", n->type, e->shape), (int[]){0, 2, 3, 1});
    label = fet__input(n->b.g, "label", FET_I32, FET_SHAPE(e->shape.dim[0]));
    t->arch.class_->build(&t->arch, &n->b, x, &features, &logits);
    each = fet__cross_entropy(n->b.g, logits, label, parity_number(n->c, "label_smoothing", 0.1));
    loss = fet__scale(n->b.g, fet__sum_all(n->b.g, each), 1.0 / (double)e->shape.dim[0]);
    fet__output(n->b.g, "loss", loss);
    FET_TRY(fet__graph_status(n->b.g));
    FET_TRY(add_update(t, loss));
    FET_TRY(fet__program_create(&n->p, n->b.g, &po));
done:
    return st;
}

static fet_status feed(trainer *t, int64_t step)
{
    net_case *n = &t->n;
    char name[16];
    const fet__entry *x, *label;
    snprintf(name, sizeof name, "in.x%d", (int)(step % 2));
    x = fet__tensors_find(n->c->t, name);
    snprintf(name, sizeof name, "in.label%d", (int)(step % 2));
    label = fet__tensors_find(n->c->t, name);
    if (!x || !label)
        return FET_FAIL(FET_E_FORMAT, "the golden lacks images or labels of step %lld", (long long)step);
    fet__convert(fet__program_input(n->p, "x"), n->type, x->data, x->dtype, fet__shape_count(&x->shape));
    fet__convert(fet__program_input(n->p, "label"), FET_I32, label->data, label->dtype,
                 fet__shape_count(&label->shape));
    return FET_OK;
}

static fet_status one_step(trainer *t, int64_t step)
{
    net_case *n = &t->n;
    fet_status st;
    FET_TRY(feed(t, step));
    fet__optimizer_bind(&t->o, n->p, step, t->lr[step]);
    FET_TRY(fet__program_run(n->p));
    fet__convert(&t->loss[step], FET_F64, fet__program_output(n->p, "loss"), n->type, 1);
    t->norm[step] = *(const float *)fet__program_output(n->p, "grad_norm");
done:
    return st;
}

fet_status parity_quadranet_adamw(parity_case *c)
{
    static const net_tolerance final[] = {{"final.", PARITY_ABS, 2e-5}, {0}};
    trainer t = {.o = fet__optimizer_defaults()};
    fet_status st;
    t.o.weight_decay = parity_number(c, "weight_decay", 0.05);
    t.o.no_decay = FET__DECAY_MATRICES;
    t.o.clip = parity_number(c, "clip_global_norm", 5);
    FET_TRY(net_open(&t.n, c, final));
    FET_TRY(parity_doubles(c, "in.lr", &t.lr, &t.steps));
    FET_TRY(FET_NEW(t.loss, t.steps));
    FET_TRY(FET_NEW(t.norm, t.steps));
    FET_TRY(build(&t));
    for (int64_t step = 0; step < t.steps; step++)
        FET_TRY(one_step(&t, step));
    FET_TRY(parity_compare(c, "loss", t.loss, FET_F64, t.steps, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(c, "out.grad_norm", t.norm, FET_F64, t.steps, PARITY_MAX, 1e-4));
    FET_TRY(net_final(&t.n, "final.", (int)t.steps));
done:
    trainer_fini(&t);
    return st;
}
