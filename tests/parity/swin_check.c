/* What is computed of a Swin transformer and compared: one graph with the maps of all stages, the classifier, gradients. */
#include "exec/exec.h"
#include "parity/swin_case.h"

#include <string.h>

#define GRAD "grad."

typedef struct traced {
    fet__graph *g;
    fet__program *p;
    fet__node **leaf, **grad;
    fet__param **param;
    const fet__entry **entry;
    int count;      /* gradients */
    fet_dtype type; /* of activations */
} traced;

static void traced_fini(traced *t)
{
    fet__program_destroy(t->p);
    fet__graph_destroy(t->g);
    fet__free(t->leaf);
    fet__free(t->grad);
    fet__free(t->param);
    fet__free((void *)t->entry);
}

/* Leaves for every grad.* of the golden, which are the last image set's. */
static fet_status collect(const swin_case *v, traced *t)
{
    int most = fet__tensors_count(v->c->t) + 1;
    fet_status st;
    char name[200];

    FET_TRY(FET_NEW(t->leaf, most));
    FET_TRY(FET_NEW(t->grad, most));
    FET_TRY(FET_NEW(t->param, most));
    FET_TRY(FET_NEW(t->entry, most));
    for (int i = 0; i < most - 1 && v->input + 1 == v->inputs; i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        fet__param *p;
        if (strncmp(e->name, GRAD, strlen(GRAD)) != 0)
            continue;
        if (!(p = fet__params_find(v->m->store, swin_name(v, e->name + strlen(GRAD), name))))
            return FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
        t->entry[t->count] = e;
        t->leaf[t->count] = fet__leaf(t->g, p);
        t->param[t->count++] = p;
    }
done:
    return st;
}

/* Maps are [B, C, H, W] in goldens. */
static void output_maps(const swin_case *v, fet__graph *g, fet__node *const *maps)
{
    static const int planes[4] = {0, 3, 1, 2};
    const fet__swin *swin = v->m->arch.config;
    char name[32];

    for (int s = 0; s < swin->stages; s++) {
        snprintf(name, sizeof name, "out.%d.norm%d", v->input, s);
        if (fet__tensors_find(v->c->t, name))
            fet__output(g, name, fet__transpose(g, maps[s], planes));
    }
}

static fet_status build(swin_case *v, traced *t)
{
    fet__program_options po = {.reference = v->c->reference};
    fet__build b = {.dtype = t->type, .may_initialise = true};
    fet__node *maps[FET__SWIN_STAGES], *images, *labels, *features, *logits, *loss;
    const fet__swin *swin = v->m->arch.config;
    fet_status st;

    FET_TRY(fet__graph_create(&t->g));
    b.g = t->g;
    b.store = v->m->store;
    b.hooks = v->m->adapter ? &v->m->adapter->hooks : NULL;
    images = fet__input(t->g, "images", t->type, FET_SHAPE(v->batch, v->m->arch.height, v->m->arch.width, 3));
    labels = fet__input(t->g, "labels", FET_I32, FET_SHAPE(v->batch));
    fet__swin_stages(&v->m->arch, &b, images, (1u << swin->stages) - 1, maps);
    fet__swin_head(&v->m->arch, &b, maps[swin->stages - 1], &features, &logits);
    loss = fet__scale(t->g, fet__sum_all(t->g, fet__cross_entropy(t->g, logits, labels, 0)), 1.0 / v->batch);
    FET_TRY(fet__graph_status(t->g));
    FET_TRY(swin_fill(v)); /* the building made norm0, norm1, .. */
    fet__output(t->g, "logits", logits);
    fet__output(t->g, "loss", loss);
    output_maps(v, t->g, maps);
    FET_TRY(collect(v, t));
    FET_TRY(fet__gradient(t->g, loss, t->leaf, t->count, true, t->grad));
    for (int i = 0; i < t->count; i++)
        if (t->grad[i])
            fet__output(t->g, t->entry[i]->name, t->grad[i]);
    FET_TRY(fet__program_create(&t->p, t->g, &po));
done:
    return st;
}

static fet_status compare_output(const swin_case *v, const traced *t, const char *name, const char *output,
                                 fet_dtype type, parity_mode mode, double tolerance)
{
    const void *values = fet__program_output(t->p, output);
    const fet__entry *e = fet__tensors_find(v->c->t, name);

    if (!e)
        return FET_OK;
    if (!values)
        return FET_FAIL(FET_E_BUG, "the program lost output %s", output);
    return parity_compare(v->c, name, values, type, fet__shape_count(&e->shape), mode, tolerance);
}

/* The norms of stages that the classifier does not look at have gradient zero. */
static fet_status compare_gradient(const swin_case *v, const traced *t, int i)
{
    int64_t count = fet__shape_count(&t->entry[i]->shape);
    double *zeros = NULL;
    fet_status st;

    if (t->grad[i])
        return compare_output(v, t, t->entry[i]->name, t->entry[i]->name, t->param[i]->dtype, PARITY_MAX, 5e-5);
    FET_TRY(FET_NEW(zeros, count));
    st = parity_compare(v->c, t->entry[i]->name, zeros, FET_F64, count, PARITY_ABS, 0);
done:
    fet__free(zeros);
    return st;
}

static fet_status compare(const swin_case *v, const traced *t)
{
    const fet__swin *swin = v->m->arch.config;
    char name[64];
    fet_status st = FET_OK;

    for (int s = 0; s < swin->stages; s++) {
        snprintf(name, sizeof name, "out.%d.norm%d", v->input, s);
        FET_TRY(compare_output(v, t, name, name, t->type, PARITY_ABS, 2e-5));
    }
    snprintf(name, sizeof name, "out.%d.logits", v->input);
    FET_TRY(compare_output(v, t, name, "logits", t->type, PARITY_ABS, 2e-5));
    snprintf(name, sizeof name, "loss.%d", v->input);
    FET_TRY(compare_output(v, t, name, "loss", t->type, PARITY_ABS, 1e-6));
    for (int i = 0; i < t->count; i++)
        FET_TRY(compare_gradient(v, t, i));
done:
    return st;
}

fet_status swin_check_graph(swin_case *v)
{
    traced t = {.type = v->c->reference ? FET_F64 : FET_F32};
    fet_status st;

    FET_TRY(build(v, &t));
    swin_feed(v, fet__program_input(t.p, "images"), t.type, fet__program_input(t.p, "labels"), 0);
    FET_TRY(fet__program_run(t.p));
    FET_TRY(compare(v, &t));
done:
    traced_fini(&t);
    return st;
}

fet_status swin_check(parity_case *c, const char *adapter, void (*rename)(char name[200]))
{
    swin_case v = {.c = c, .adapter = adapter, .rename = rename};
    fet_status st = FET_OK;
    int i = 0;

    do {
        FET_TRY(swin_open(&v, i));
        FET_TRY(swin_check_graph(&v));
        swin_close(&v);
    } while (++i < v.inputs);
done:
    swin_close(&v);
    return st;
}
