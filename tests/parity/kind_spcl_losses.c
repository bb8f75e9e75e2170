/* spcl.toolbox_losses: values and gradients of the toolbox's losses. */
#include "parity/parity.h"
#include "train/train.h"

#include <string.h>

typedef struct losses {
    parity_case *c;
    fet__graph *g;
    fet__program *p;
    fet__node *logits, *logits_teacher, *embeddings, *embeddings_teacher, *labels;
} losses;

static fet__node *input(losses *l, const char *name, bool whole)
{
    const fet__entry *e = fet__tensors_find(l->c->t, name);

    return e ? fet__input(l->g, name, whole ? FET_I32 : FET_F32, e->shape)
             : fet__graph_fail(l->g, FET_E_FORMAT, "the golden has no %s", name);
}

static fet_status add(losses *l, const char *name, fet__node *loss, fet__node *by)
{
    char *value = fet__arena_format(fet__graph_arena(l->g), "loss.%s", name);
    char *slope = fet__arena_format(fet__graph_arena(l->g), "grad.%s", name);
    fet__node *grad;
    fet_status st;

    if (!value || !slope)
        return FET_E_NOMEM;
    FET_TRY(fet__graph_status(l->g));
    FET_TRY(fet__gradient(l->g, loss, &by, 1, false, &grad));
    fet__output(l->g, value, loss);
    fet__output(l->g, slope, grad);
done:
    return st;
}

static fet_status build(losses *l)
{
    fet__graph *g;
    fet__node *each, *mean;
    fet_status st;

    FET_TRY(fet__graph_create(&l->g));
    g = l->g;
    l->logits = input(l, "in.logits", false);
    l->logits_teacher = input(l, "in.logits_teacher", false);
    l->embeddings = input(l, "in.emb", false);
    l->embeddings_teacher = input(l, "in.emb_teacher", false);
    l->labels = input(l, "in.labels", true);
    each = fet__cross_entropy(g, l->logits, l->labels, 0.1);
    FET_TRY(fet__graph_status(g));
    mean = fet__scale(g, fet__sum_all(g, each), 1.0 / (double)each->shape.dim[0]);
    FET_TRY(add(l, "cross_entropy_smooth", mean, l->logits));
    FET_TRY(add(l, "soft_entropy", fet__soft_entropy(g, l->logits, l->logits_teacher), l->logits));
    FET_TRY(add(l, "triplet_m03", fet__triplet_loss(g, l->embeddings, l->labels, 0.3), l->embeddings));
    FET_TRY(add(l, "softmax_triplet_m0", fet__softmax_triplet_loss(g, l->embeddings, l->labels, 0), l->embeddings));
    FET_TRY(add(l, "softmax_triplet_m05", fet__softmax_triplet_loss(g, l->embeddings, l->labels, 0.5), l->embeddings));
    FET_TRY(add(l, "soft_softmax_triplet",
                fet__soft_softmax_triplet_loss(g, l->embeddings, l->embeddings_teacher, l->labels), l->embeddings));
    FET_TRY(fet__program_create(&l->p, g, &(fet__program_options){.reference = l->c->reference}));
done:
    return st;
}

static fet_status compare(losses *l)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(l->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(l->c->t, i);
        const void *own = fet__program_output(l->p, e->name);
        if (own)
            st = parity_compare(l->c, e->name, own, FET_F32, fet__shape_count(&e->shape), PARITY_ABS, 1e-5);
    }
    return st;
}

fet_status parity_spcl_toolbox_losses(parity_case *c)
{
    losses l = {.c = c};
    fet_status st;

    FET_TRY(build(&l));
    for (int i = 0; i < fet__tensors_count(c->t); i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);
        void *to = fet__program_input(l.p, e->name);
        if (to)
            fet__convert(to, fet__dtype_is_float(e->dtype) ? FET_F32 : FET_I32, e->data, e->dtype,
                         fet__shape_count(&e->shape));
    }
    FET_TRY(fet__program_run(l.p));
    st = compare(&l);
done:
    fet__program_destroy(l.p);
    fet__graph_destroy(l.g);
    return st;
}
