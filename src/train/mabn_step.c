/* The programs of MABN: a joint step, an episode, an adaptation; and those of its rivals at a new site. Each is one planned graph. Who
 * feeds them is mabn_run.c and method/. */
#include "train/mabn_parts.h"

#include <string.h>

fet__node *fet__mabn_pictures(fet__mabn_step *s, const fet__model *m, const char *name, int count)
{
    return fet__input(s->graph, name, FET_F32, FET_SHAPE(count, m->arch.height, m->arch.width, fet__model_channels(m)));
}

fet__node *fet__mabn_labels(fet__mabn_step *s, const fet__mabn *a, int count)
{
    return a->squared ? fet__input(s->graph, "targets", FET_F32, FET_SHAPE(count, 1))
                      : fet__input(s->graph, "labels", FET_I32, FET_SHAPE(count));
}

fet_status fet__mabn_begin(fet__mabn_step *s, fet__build *b, fet__model *m, bool train)
{
    memset(s, 0, sizeof *s);
    *b = (fet__build){.store = m->store, .train = train, .dtype = FET_F32, .seed = m->seed};
    if (fet__graph_create(&s->graph) != FET_OK)
        return FET_E_NOMEM;
    b->g = s->graph;
    if (train)
        b->step = fet__input(b->g, "step", FET_I32, fet__shape_scalar());
    return FET_OK;
}

void fet__mabn_show(fet__mabn_step *s, const char *name, fet__node *x)
{
    if (x)
        fet__output(s->graph, name, x);
}

fet_status fet__mabn_finish(fet__mabn_step *s, int64_t memory, const char *finite)
{
    fet__program_options o = {.memory = memory, .whole = memory > 0, .require_finite = finite};
    fet_status st;

    FET_TRY(fet__graph_status(s->graph));
    st = fet__program_create(&s->program, s->graph, &o);
    if (st == FET_E_NOMEM) /* the statistics of a batch, or an inner step on all of the support */
        fet__fail_in(st,
                     "the pictures of a step are not run in parts, for their loss is taken over all of them together");
    FET_TRY(st);
    s->plain = fet__program_input(s->program, "images");
    s->view[0] = fet__program_input(s->program, "view1");
    s->view[1] = fet__program_input(s->program, "view2");
    s->support[0] = fet__program_input(s->program, "support1");
    s->support[1] = fet__program_input(s->program, "support2");
    s->label = fet__program_input(s->program, "labels");
    s->target = fet__program_input(s->program, "targets");
    s->keep = fet__program_input(s->program, "keep");
    s->tau = fet__program_input(s->program, "byol.tau");
    s->loss = fet__program_output(s->program, "loss");
    s->main = fet__program_output(s->program, "main");
    s->byol = fet__program_output(s->program, "byol");
    s->inner = fet__program_output(s->program, "inner");
done:
    return st;
}

void fet__mabn_step_fini(fet__mabn_step *s)
{
    fet__program_destroy(s->program);
    fet__graph_destroy(s->graph);
    memset(s, 0, sizeof *s);
}

/* Optimiser on `v` by its gradients; what is written must be the store's own memory. */
fet_status fet__mabn_update(fet__mabn_step *s, fet__params *store, const fet__values *v, fet__node *const *grad,
                            const fet__optimizer_options *o)
{
    fet_status st = FET_OK;

    for (int i = 0; i < v->count; i++) {
        s->adapting += fet__shape_count(&v->param[i]->shape);
        FET_TRY(fet__param_own(v->param[i]));
    }
    st = fet__optimizer_build(o, s->graph, store, v->node, grad, v->count);
done:
    return st;
}

fet_status fet__own_all(fet__params *store)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__params_count(store) && st == FET_OK; i++)
        st = fet__param_own(fet__params_at(store, i));
    return st;
}

/* ---- stages --------------------------------------------------------------------------------------------------------- */

static bool online(const fet__params *store, const fet__param *p)
{
    (void)store;
    return strncmp(p->name, "target.", 7) != 0;
}

fet_status fet__mabn_joint_create(fet__mabn_step *out, fet__mabn *a, int batch, double lambda,
                                  const fet__optimizer_options *o, int64_t memory)
{
    fet__episode_options e = {.lambda = lambda, .squared = a->squared};
    fet__build b;
    fet__node *x, *view[2], *label, **grad;
    fet__values all, next;
    fet__outer outer;
    fet_status st;

    FET_TRY(fet__mabn_begin(out, &b, a->m, true));
    a->net.joint = true;
    fet__byol_begin(&a->net, &b);
    x = fet__mabn_pictures(out, a->m, "images", batch);
    view[0] = fet__mabn_pictures(out, a->m, "view1", batch);
    view[1] = fet__mabn_pictures(out, a->m, "view2", batch);
    label = fet__mabn_labels(out, a, batch);
    FET_TRY(fet__values_of(&all, &b, lambda != 0 ? online : fet__mabn_of_model)); /* NOLINT: exactly none */
    FET_TRY(fet__outer_build(&outer, &a->net, &b, x, view, label, &e));
    fet__mabn_show(out, "loss", outer.loss);
    fet__mabn_show(out, "main", outer.main);
    fet__mabn_show(out, "byol", outer.byol);
    FET_TRY(fet__values_descend(&next, &all, out->graph, outer.loss, 1, &grad));
    FET_TRY(fet__own_all(a->m->store));
    FET_TRY(fet__mabn_update(out, a->m->store, &all, grad, o));
    fet__byol_follow(out->graph, a->m->store, fet__input(out->graph, "byol.tau", FET_F32, fet__shape_scalar()));
    st = fet__mabn_finish(out, memory, "loss");
done:
    a->net.joint = false;
    return st;
}

fet_status fet__mabn_meta_create(fet__mabn_step *out, fet__mabn *a, int support, int query,
                                 const fet__episode_options *eo, const fet__optimizer_options *o, int64_t memory)
{
    fet__episode_input in;
    fet__episode e;
    fet__build b;
    fet_status st;

    FET_TRY(fet__mabn_begin(out, &b, a->m, false));
    fet__byol_begin(&a->net, &b);
    in.support[0] = fet__mabn_pictures(out, a->m, "support1", support);
    in.support[1] = fet__mabn_pictures(out, a->m, "support2", support);
    in.query = fet__mabn_pictures(out, a->m, "images", query);
    in.query_view[0] = fet__mabn_pictures(out, a->m, "view1", query);
    in.query_view[1] = fet__mabn_pictures(out, a->m, "view2", query);
    in.label = fet__mabn_labels(out, a, query);
    FET_TRY(fet__episode_build(&e, &a->net, &b, &in, eo));
    fet__mabn_show(out, "loss", e.outer.loss);
    fet__mabn_show(out, "main", e.outer.main);
    fet__mabn_show(out, "byol", e.outer.byol);
    fet__mabn_show(out, "inner", e.inner_loss[0]);
    FET_TRY(fet__own_all(a->m->store));
    FET_TRY(fet__mabn_update(out, a->m->store, &e.start, e.grad, o));
    fet__byol_follow(out->graph, a->m->store, fet__input(out->graph, "byol.tau", FET_F32, fet__shape_scalar()));
    st = fet__mabn_finish(out, memory, "loss");
done:
    return st;
}

fet_status fet__mabn_adapt_create(fet__mabn_step *out, fet__mabn *a, int support, const fet__episode_options *eo,
                                  int64_t memory)
{
    fet__node *view[2];
    fet__episode e;
    fet__build b;
    fet_status st;

    FET_TRY(fet__mabn_begin(out, &b, a->m, false));
    fet__byol_begin(&a->net, &b);
    view[0] = fet__mabn_pictures(out, a->m, "support1", support);
    view[1] = fet__mabn_pictures(out, a->m, "support2", support);
    FET_TRY(fet__episode_adapt(&e, &a->net, &b, view, eo));
    fet__mabn_show(out, "inner", e.inner_loss[0]);
    for (int i = 0; i < e.start.count; i++) {
        FET_TRY(fet__param_own(e.start.param[i]));
        fet__assign(out->graph, e.start.node[i], e.adapted.node[i]);
        out->adapting += fet__shape_count(&e.start.param[i]->shape);
    }
    st = fet__mabn_finish(out, memory, "inner");
done:
    return st;
}

/* ---- rivals --------------------------------------------------------------------------------------------------------- */

fet__norm_mode fet__norm_mode_given(void *user, const fet__build *b, const char *name)
{
    (void)b;
    (void)name;
    return *(const fet__norm_mode *)user;
}

fet_status fet__mabn_stats_create(fet__mabn_step *out, fet__model *m, int count, double prior, int64_t memory)
{
    fet__norm_mode mode = FET__NORM_ADOPT;
    fet__node *x, *feature, *logits;
    fet__build b;
    fet_status st;

    FET_TRY(fet__mabn_begin(out, &b, m, false));
    b.norm_mode = fet__norm_mode_given;
    b.norm_mode_user = &mode;
    b.norm_prior = prior;
    x = fet__mabn_pictures(out, m, "images", count);
    FET_TRY(fet__own_all(m->store));
    FET_TRY(fet__model_build(m, &b, x, &feature, &logits));
    fet__mabn_show(out, "loss", fet__sum_all(out->graph, feature));
    st = fet__mabn_finish(out, memory, "loss");
done:
    return st;
}

static bool affine_of_model(const fet__params *store, const fet__param *p)
{
    return fet__is_norm_affine(store, p) && !fet__mabn_is_branch(p);
}

fet_status fet__mabn_tent_create(fet__mabn_step *out, fet__model *m, int count, bool batch_statistics,
                                 const fet__optimizer_options *o, int64_t memory)
{
    fet__norm_mode mode = batch_statistics ? FET__NORM_BATCH : FET__NORM_FROZEN;
    fet__node *x, *feature, *logits, *loss, **grad;
    fet__values phi, next;
    fet__build b;
    fet_status st;

    FET_TRY(fet__mabn_begin(out, &b, m, false));
    b.norm_mode = fet__norm_mode_given;
    b.norm_mode_user = &mode;
    x = fet__mabn_pictures(out, m, "images", count);
    FET_TRY(fet__values_of(&phi, &b, affine_of_model));
    if (phi.count == 0)
        return FET_FAIL(FET_E_ARG, "the model has no batch norm with running statistics: there is nothing to adapt");
    FET_TRY(fet__model_build(m, &b, x, &feature, &logits));
    if (!logits)
        return FET_FAIL(FET_E_ARG, "the model has no head, so that its entropy is not defined");
    fet__mabn_show(out, "logits", logits);
    fet__mabn_show(out, "loss", loss = fet__mean_entropy(out->graph, logits));
    FET_TRY(fet__values_descend(&next, &phi, out->graph, loss, 1, &grad));
    FET_TRY(fet__mabn_update(out, m->store, &phi, grad, o));
    st = fet__mabn_finish(out, memory, "loss");
done:
    return st;
}
