/* The program of one step: model, loss, gradients of what trains, optimiser; or, in evaluation, model and loss. What is fed to it
 * comes from loop.c and evaluate_loop.c. */
#include "train/train.h"

#include <string.h>

/* Mean over the samples that have a label: the last batch of an epoch is filled up with label -1, which gives loss 0. */
static fet__node *mean_loss(fet__graph *g, fet__node *logits, fet__node *labels, double smoothing)
{
    fet__node *each = fet__cross_entropy(g, logits, labels, smoothing), *valid, *count;

    valid = fet__compare(g, FET__GE, fet__cast(g, labels, FET_F32), fet__scalar(g, FET_F32, 0));
    count = fet__binary(g, FET__OP_MAX, fet__sum_all(g, valid), fet__scalar(g, FET_F32, 1));
    return fet__div(g, fet__sum_all(g, each), count);
}

static fet_status collect(fet__step *s, fet__model *m)
{
    int i, n = fet__params_count(m->store);
    fet_status st;

    FET_TRY(FET_NEW(s->params, n + 1));
    for (i = 0; i < n; i++) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->role != FET__PARAM || !p->trainable)
            continue;
        s->params[s->trainable++] = p;
        s->trainable_values += fet__shape_count(&p->shape);
    }
    if (s->trainable == 0)
        st = FET_FAIL(FET_E_ARG, "nothing would train: the adapter adds no parameters and the model has no head");
done:
    return st;
}

static fet_status add_update(fet__step *s, fet__model *m, fet__node *loss, const fet__step_options *o)
{
    fet__node **leaves = NULL, **grads = NULL;
    fet_status st;
    int i;

    FET_TRY(collect(s, m));
    FET_TRY(FET_NEW(leaves, s->trainable));
    FET_TRY(FET_NEW(grads, s->trainable));
    for (i = 0; i < s->trainable; i++) {
        leaves[i] = fet__leaf(s->graph, s->params[i]);
        FET_TRY(fet__param_own(s->params[i]));
    }
    FET_TRY(fet__gradient(s->graph, loss, leaves, s->trainable, false, grads));
    FET_TRY(fet__optimizer_build(o->optimizer, s->graph, m->store, leaves, grads, s->trainable));
done:
    fet__free(leaves);
    fet__free(grads);
    return st;
}

static fet_status build(fet__step *s, fet__model *m, const fet__step_options *o)
{
    fet__build b = {.train = o->train, .dtype = FET_F32, .drop_path = o->drop_path};
    fet__node *images, *labels, *features, *logits, *loss;
    fet_status st;

    FET_TRY(fet__graph_create(&s->graph));
    b.g = s->graph;
    if (o->train)
        b.step = fet__input(s->graph, "step", FET_I32, fet__shape_scalar());
    images = fet__input(s->graph, "images", FET_F32, FET_SHAPE(o->batch, m->arch.height, m->arch.width, 3));
    labels = fet__input(s->graph, "labels", FET_I32, FET_SHAPE(o->batch));
    FET_TRY(fet__model_build(m, &b, images, &features, &logits));
    fet__output(s->graph, "features", features);
    if (!logits) {
        st = o->train ? FET_FAIL(FET_E_ARG, "the model has no head to train") : FET_OK;
        goto done;
    }
    loss = mean_loss(s->graph, logits, labels, o->smoothing);
    fet__output(s->graph, "logits", logits);
    fet__output(s->graph, "loss", loss);
    FET_TRY(fet__graph_status(s->graph));
    if (o->optimizer)
        FET_TRY(add_update(s, m, loss, o));
done:
    return st;
}

fet_status fet__step_create(fet__step *out, fet__model *m, const fet__step_options *o)
{
    fet__program_options program = {.memory = o->memory,
                                    .reference = o->reference,
                                    .check_finite = o->check_finite,
                                    .require_finite = o->optimizer ? "loss" : NULL};
    fet_status st;

    memset(out, 0, sizeof *out);
    if (o->batch < 1)
        return FET_FAIL(FET_E_ARG, "batch %d is below 1", o->batch);
    FET_TRY(build(out, m, o));
    FET_TRY(fet__program_create(&out->program, out->graph, &program));
    out->images = fet__program_input(out->program, "images");
    out->labels = fet__program_input(out->program, "labels");
    out->step = fet__program_input(out->program, "step");
    out->loss = fet__program_output(out->program, "loss");
    out->logits = fet__program_output(out->program, "logits");
    out->features = fet__program_output(out->program, "features");
    out->grad_norm = fet__program_output(out->program, "grad_norm");
done:
    if (st != FET_OK)
        fet__step_fini(out);
    return st;
}

void fet__step_fini(fet__step *s)
{
    fet__program_destroy(s->program);
    fet__graph_destroy(s->graph);
    fet__free(s->params);
    memset(s, 0, sizeof *s);
}
