/* What is computed of a vision transformer and compared: one graph with residual stream and gradients,
 * evaluation steps, merging. */
#include "parity/vit_case.h"

#include <string.h>

#define GRAD "grad."

/* ---- the graph ------------------------------------------------------------------------------------------- */

typedef struct traced {
    fet__graph *g;
    fet__program *p;
    fet__node **leaf, **grad;
    fet__param **param;
    int count;      /* gradients */
    fet_dtype type; /* of activations; parameters and their gradients are float32 */
} traced;

static void traced_fini(traced *t)
{
    fet__program_destroy(t->p);
    fet__graph_destroy(t->g);
    fet__free(t->leaf);
    fet__free(t->grad);
    fet__free(t->param);
}

/* The residual stream after the embedding (scope "") or a block is the last sum that was built there. */
static fet__node *last_sum(fet__node *const *order, int count, const char *scope)
{
    fet__node *last = NULL;

    for (int i = 0; i < count; i++)
        if (order[i]->op == FET__OP_ADD && strcmp(order[i]->scope, scope) == 0 && (!last || order[i]->id > last->id))
            last = order[i];
    return last;
}

static fet_status output_stream(const vit_case *v, fet__graph *g, const char *name, const char *scope,
                                fet__node *const *order, int count)
{
    fet__node *x;

    if (!fet__tensors_find(v->c->t, name))
        return FET_OK;
    if (!(x = last_sum(order, count, scope)))
        return FET_FAIL(FET_E_BUG, "no sum was built in scope '%s'", scope);
    fet__output(g, name, x);
    return FET_OK;
}

static fet_status output_streams(const vit_case *v, fet__graph *g)
{
    fet__node **order = NULL;
    char name[64], scope[64];
    int count;
    fet_status st;

    FET_TRY(fet__graph_order(g, &order, &count));
    FET_TRY(output_stream(v, g, "out.embed", "", order, count));
    for (int i = 0; i < v->depth; i++) {
        snprintf(name, sizeof name, "out.block%d", i);
        snprintf(scope, sizeof scope, "blocks.%d", i);
        FET_TRY(output_stream(v, g, name, scope, order, count));
    }
done:
    fet__free(order);
    return st;
}

/* Leaves for every grad.* of the golden. */
static fet_status collect(const vit_case *v, traced *t)
{
    fet_status st;
    char name[200];

    int most = fet__tensors_count(v->c->t) + v->depth + 1;

    FET_TRY(FET_NEW(t->leaf, most));
    FET_TRY(FET_NEW(t->grad, most));
    FET_TRY(FET_NEW(t->param, most));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        for (int part = 0; strncmp(e->name, GRAD, strlen(GRAD)) == 0 && part < vit_parts(e); part++) {
            fet__param *p = fet__params_find(v->m->store, vit_part_name(e->name + strlen(GRAD), part, name));
            if (!p)
                return FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
            t->leaf[t->count] = fet__leaf(t->g, p);
            t->param[t->count++] = p;
        }
    }
done:
    return st;
}

static fet_status build(const vit_case *v, traced *t)
{
    fet__program_options po = {.reference = v->c->reference};
    fet__build b = {.dtype = t->type};
    fet__node *images, *labels, *features, *logits, *loss;
    char name[220];
    fet_status st;

    FET_TRY(fet__graph_create(&t->g));
    b.g = t->g;
    images = fet__input(t->g, "images", t->type, FET_SHAPE(v->batch, v->m->arch.height, v->m->arch.width, 3));
    labels = fet__input(t->g, "labels", FET_I32, FET_SHAPE(v->batch));
    FET_TRY(fet__model_build(v->m, &b, images, &features, &logits));
    loss = fet__scale(t->g, fet__sum_all(t->g, fet__cross_entropy(t->g, logits, labels, 0)), 1.0 / v->batch);
    fet__output(t->g, "logits", logits);
    fet__output(t->g, "loss", loss);
    FET_TRY(output_streams(v, t->g));
    FET_TRY(collect(v, t));
    FET_TRY(fet__gradient(t->g, loss, t->leaf, t->count, false, t->grad));
    for (int i = 0; i < t->count; i++) {
        snprintf(name, sizeof name, GRAD "%s", t->param[i]->name);
        fet__output(t->g, name, t->grad[i]);
    }
    FET_TRY(fet__program_create(&t->p, t->g, &po));
done:
    return st;
}

static fet_status compare_output(const vit_case *v, const traced *t, const char *name, const char *output,
                                 fet_dtype type, int64_t count, parity_mode mode, double tolerance)
{
    const void *values = fet__program_output(t->p, output);

    if (!values)
        return FET_FAIL(FET_E_BUG, "the program lost output %s", output);
    return parity_compare(v->c, name, values, type, count, mode, tolerance);
}

static fet_status compare_gradient(const vit_case *v, const traced *t, const fet__entry *e)
{
    int parts = vit_parts(e);
    int64_t count = fet__shape_count(&e->shape) / parts;
    char name[220], own[200];
    float *all = NULL;
    fet_status st;

    FET_TRY(FET_NEW(all, count * parts));
    for (int part = 0; part < parts; part++) {
        const void *values;
        snprintf(name, sizeof name, GRAD "%s", vit_part_name(e->name + strlen(GRAD), part, own));
        if (!(values = fet__program_output(t->p, name))) {
            st = FET_FAIL(FET_E_BUG, "the program lost output %s", name);
            goto done;
        }
        memcpy(all + part * count, values, (size_t)count * sizeof *all);
    }
    st = parity_compare(v->c, e->name, all, FET_F32, count * parts, PARITY_MAX, 1e-5);
done:
    fet__free(all);
    return st;
}

static fet_status compare(const vit_case *v, const traced *t)
{
    int64_t logits = (int64_t)v->batch * v->m->arch.classes;
    fet_status st;

    FET_TRY(compare_output(v, t, "out.logits", "logits", t->type, logits, PARITY_ABS, 5e-6));
    FET_TRY(compare_output(v, t, "loss", "loss", t->type, 1, PARITY_ABS, 1e-6));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        int64_t count = fet__shape_count(&e->shape);
        if (strcmp(e->name, "out.embed") == 0 || strncmp(e->name, "out.block", 9) == 0)
            FET_TRY(compare_output(v, t, e->name, e->name, t->type, count, PARITY_ABS, 5e-6));
        if (strncmp(e->name, GRAD, strlen(GRAD)) == 0)
            FET_TRY(compare_gradient(v, t, e));
    }
done:
    return st;
}

fet_status vit_check_graph(vit_case *v)
{
    traced t = {.type = v->c->reference ? FET_F64 : FET_F32};
    fet_status st;

    FET_TRY(build(v, &t));
    vit_feed(v, fet__program_input(t.p, "images"), t.type, fet__program_input(t.p, "labels"), 0);
    FET_TRY(fet__program_run(t.p));
    FET_TRY(compare(v, &t));
done:
    traced_fini(&t);
    return st;
}

/* ---- steps and merging ----------------------------------------------------------------------------------- */

fet_status vit_check_step(vit_case *v, const char *logits_name, bool check_loss)
{
    fet__step_options o = {.batch = v->batch, .reference = v->c->reference};
    int64_t count = (int64_t)v->batch * v->m->arch.classes;
    float *all = NULL;
    fet__step s = {0};
    fet_status st;

    FET_TRY(FET_NEW(all, v->batches * count));
    FET_TRY(fet__step_create(&s, v->m, &o));
    for (int64_t i = 0; i < v->batches; i++) {
        vit_feed(v, s.images, FET_F32, s.labels, i);
        FET_TRY(fet__step_compute(&s));
        memcpy(all + i * count, s.logits, (size_t)count * sizeof *all);
    }
    FET_TRY(parity_compare(v->c, logits_name, all, FET_F32, v->batches * count, PARITY_ABS, 1e-5));
    if (check_loss)
        FET_TRY(parity_compare(v->c, "loss", s.loss, FET_F32, 1, PARITY_ABS, 1e-6));
done:
    fet__step_fini(&s);
    fet__free(all);
    return st;
}

fet_status vit_check_merge(vit_case *v)
{
    static const char prefix[] = "out.merged.";
    fet__text merged = {0};
    fet_status st;

    FET_TRY(fet__model_merge(v->m, &merged));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        const fet__param *p;
        if (strncmp(e->name, prefix, strlen(prefix)) != 0)
            continue;
        if (!(p = fet__params_find(v->m->store, e->name + strlen(prefix)))) {
            st = FET_FAIL(FET_E_VERIFY, "the merged model has no %s", e->name + strlen(prefix));
            goto done;
        }
        FET_TRY(parity_compare(v->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 2e-6));
    }
    FET_TRY(vit_check_step(v, "out.merged_logits", false));
done:
    fet__text_fini(&merged);
    return st;
}
