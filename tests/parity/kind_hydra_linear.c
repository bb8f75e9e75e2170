/* hydra.linear: one linear layer under LoRA, SeqLoRA and Hydra (methods/hydra.md 1.1 to 1.4): output, every
 * gradient, merged weights. The layer is nn/'s, the branches are those of adapter/; nothing is written out
 * here. */
#include "adapter/adapter.h"
#include "exec/exec.h"
#include "parity/parity.h"

#include <string.h>

#define LAYER "layer"
#define MAX_WRT 16

typedef struct variant {
    const char *name, *adapter, *params; /* params: whose param.* it uses */
    bool biases, base_bias, given_masks;
} variant;

static const variant variants[] = {
    {"lora", "lora", "lora", false, true, false},
    {"seqlora", "seqlora", "seqlora", false, true, false},
    {"hydra_nobias", "hydra", "hydra_nobias", false, true, false},
    {"hydra", "hydra", "hydra", true, true, false},
    {"hydra_basenobias", "hydra", "hydra", true, false, false},
    {"hydra_dropout", "hydra", "hydra", true, true, true},
};

typedef struct work {
    parity_case *c;
    const variant *v;
    fet__params *store;
    fet__adapter *adapter;
    fet__build b;
    fet__program *p;
    fet__node *wrt[MAX_WRT];
    char wrt_name[MAX_WRT][64]; /* after "grad.VARIANT." */
    int wrt_count, masks;
} work;

/* ---- parameters ------------------------------------------------------------------------------------------ */

static fet_status add_param(work *w, const fet__entry *e, const char *name)
{
    fet__param *p;
    double *values = NULL;
    fet_status st;

    FET_TRY(parity_doubles(w->c, e->name, &values, NULL));
    FET_TRY(fet__params_add(w->store, &p, name, FET_F32, e->shape, FET__PARAM));
    fet__convert(p->data, FET_F32, values, FET_F64, fet__shape_count(&e->shape));
done:
    fet__free(values);
    return st;
}

/* "par.down.weight" or, without biases, "par.down" -> "layer.hydra.par.down.weight". */
static void store_name(const variant *v, const char *leaf, char out[160])
{
    snprintf(out, 160, LAYER ".%s.%s%s", v->adapter, leaf, v->biases ? "" : ".weight");
}

static fet_status load_params(work *w)
{
    fet_status st = FET_OK;
    char prefix[80], name[160];
    size_t length;

    snprintf(prefix, sizeof prefix, "param.%s.", w->v->params);
    length = strlen(prefix);
    for (int i = 0; i < fet__tensors_count(w->c->t); i++) {
        const fet__entry *e = fet__tensors_at(w->c->t, i);
        if (strncmp(e->name, prefix, length) == 0)
            store_name(w->v, e->name + length, name);
        else if (strcmp(e->name, "param.base.weight") == 0)
            snprintf(name, sizeof name, LAYER ".weight");
        else if (strcmp(e->name, "param.base.bias") == 0 && w->v->base_bias)
            snprintf(name, sizeof name, LAYER ".bias");
        else
            continue;
        FET_TRY(add_param(w, e, name));
    }
done:
    return st;
}

static fet_status create_adapter(work *w)
{
    const parity_case *c = w->c;
    char spec[256], key[80];
    double scale;

    snprintf(key, sizeof key, "scale_%s", w->v->name);
    scale = parity_number(c, key, parity_number(c, "scale", 1));
    snprintf(spec, sizeof spec, "%s:at=" LAYER ",rank=%.0f,scale=%.17g,bias=%s,dropout=%.17g", w->v->adapter,
             parity_number(c, "rank", 1), scale, w->v->biases ? "true" : "false",
             w->v->given_masks ? parity_number(c, "dropout_p", 0) : 0);
    return fet__adapter_create(&w->adapter, spec);
}

/* ---- graph ----------------------------------------------------------------------------------------------- */

/* The masks of the parallel and of the sequential branch come in this order. */
static fet__node *given_mask(void *user, fet__build *b, fet__shape shape, double p)
{
    work *w = user;
    const char *name = w->masks++ == 0 ? "mul_par" : "mul_seq";

    (void)p;
    return fet__input(b->g, name, b->dtype, shape);
}

static void want(work *w, const char *name, fet__node *x)
{
    if (w->wrt_count == MAX_WRT)
        return;
    snprintf(w->wrt_name[w->wrt_count], sizeof w->wrt_name[0], "%s", name);
    w->wrt[w->wrt_count++] = x;
}

/* Gradients for x, the frozen base and all of the branches, named as in the golden. */
static void want_all(work *w, fet__node *x)
{
    size_t own = strlen(LAYER) + 1 + strlen(w->v->adapter) + 1;

    want(w, "x", x);
    for (int i = 0; i < fet__params_count(w->store); i++) {
        fet__param *p = fet__params_at(w->store, i);
        fet__node *leaf = fet__leaf(w->b.g, p);
        char name[64];
        if (strcmp(p->name, LAYER ".weight") == 0 || strcmp(p->name, LAYER ".bias") == 0)
            snprintf(name, sizeof name, "base.%s", p->name + strlen(LAYER) + 1);
        else
            snprintf(name, sizeof name, "%.*s", (int)(strlen(p->name + own) - (w->v->biases ? 0 : strlen(".weight"))),
                     p->name + own);
        want(w, name, leaf);
    }
}

static fet_status build(work *w)
{
    const fet__entry *x_entry = fet__tensors_find(w->c->t, "in.x"), *gy_entry = fet__tensors_find(w->c->t, "in.gy");
    fet__program_options po = {.reference = w->c->reference};
    fet__linear_options o = {.no_bias = !w->v->base_bias};
    fet__node *x, *y, *loss, *grad[MAX_WRT];
    char name[128];
    fet_status st;

    if (!x_entry || !gy_entry || x_entry->shape.rank < 1 || gy_entry->shape.rank < 1)
        return FET_FAIL(FET_E_FORMAT, "in.x or in.gy is absent");
    FET_TRY(fet__graph_create(&w->b.g));
    w->b.store = w->store;
    w->b.hooks = &w->adapter->hooks;
    w->b.dtype = w->c->reference ? FET_F64 : FET_F32;
    w->b.train = w->v->given_masks;
    w->b.mask = given_mask;
    w->b.mask_user = w;
    x = fet__input(w->b.g, "x", w->b.dtype, x_entry->shape);
    y = fet__nn_linear(&w->b, LAYER, x, gy_entry->shape.dim[gy_entry->shape.rank - 1], &o);
    loss = fet__sum_all(w->b.g, fet__mul(w->b.g, y, fet__input(w->b.g, "gy", w->b.dtype, gy_entry->shape)));
    FET_TRY(fet__graph_status(w->b.g));
    FET_TRY(fet__adapter_check_used(w->adapter, &w->b));
    want_all(w, x);
    FET_TRY(fet__gradient(w->b.g, loss, w->wrt, w->wrt_count, false, grad));
    fet__output(w->b.g, "y", y);
    for (int i = 0; i < w->wrt_count; i++) {
        snprintf(name, sizeof name, "grad.%s", w->wrt_name[i]);
        fet__output(w->b.g, name, grad[i]);
    }
    FET_TRY(fet__program_create(&w->p, w->b.g, &po));
done:
    return st;
}

/* ---- running and comparing ------------------------------------------------------------------------------- */

static fet_status feed(work *w, const char *input, const char *entry)
{
    void *slot = fet__program_input(w->p, input);
    double *values = NULL;
    int64_t n;
    fet_status st = FET_OK;

    if (!slot)
        return FET_OK;
    FET_TRY(parity_doubles(w->c, entry, &values, &n));
    fet__convert(slot, w->b.dtype, values, FET_F64, n);
done:
    fet__free(values);
    return st;
}

static fet_status run(work *w)
{
    fet_status st;
    char name[160], own[128];

    FET_TRY(feed(w, "x", "in.x"));
    FET_TRY(feed(w, "gy", "in.gy"));
    snprintf(name, sizeof name, "in.%s.mul_par", w->v->name);
    FET_TRY(feed(w, "mul_par", name));
    snprintf(name, sizeof name, "in.%s.mul_seq", w->v->name);
    FET_TRY(feed(w, "mul_seq", name));
    FET_TRY(fet__program_run(w->p));
    snprintf(name, sizeof name, "out.%s.y", w->v->name);
    FET_TRY(parity_compare(w->c, name, fet__program_output(w->p, "y"), w->b.dtype,
                           fet__shape_count(&fet__tensors_find(w->c->t, "in.gy")->shape), PARITY_ABS, 1e-5));
    for (int i = 0; i < w->wrt_count; i++) {
        snprintf(name, sizeof name, "grad.%s.%s", w->v->name, w->wrt_name[i]);
        snprintf(own, sizeof own, "grad.%s", w->wrt_name[i]);
        FET_TRY(parity_compare(w->c, name, fet__program_output(w->p, own), w->wrt[i]->dtype,
                               fet__shape_count(&w->wrt[i]->shape), PARITY_MAX, 1e-5));
    }
done:
    return st;
}

static fet_status merge(work *w)
{
    static const char *const leaves[] = {"weight", "bias"};
    fet__text merged = {0};
    char name[160], own[64];
    fet_status st;

    FET_TRY(fet__adapter_merge(w->adapter, w->store, w->b.sites, w->b.site_count, 1, &merged));
    for (int i = 0; i < 2; i++) {
        const fet__param *p;
        snprintf(name, sizeof name, "out.%s.merged.%s", w->v->name, leaves[i]);
        snprintf(own, sizeof own, LAYER ".%s", leaves[i]);
        if (!fet__tensors_find(w->c->t, name))
            continue;
        p = fet__params_find(w->store, own);
        if (!p) {
            st = FET_FAIL(FET_E_VERIFY, "%s: the merged layer has no %s", w->v->name, leaves[i]);
            goto done;
        }
        FET_TRY(parity_compare(w->c, name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 1e-5));
    }
done:
    fet__text_fini(&merged);
    return st;
}

static fet_status check(parity_case *c, const variant *v)
{
    work w = {.c = c, .v = v};
    fet_status st;

    FET_TRY(fet__params_create(&w.store));
    FET_TRY(load_params(&w));
    FET_TRY(create_adapter(&w));
    FET_TRY(build(&w));
    FET_TRY(run(&w));
    fet__program_destroy(w.p); /* merging takes parameters away that it reads */
    w.p = NULL;
    FET_TRY(merge(&w));
done:
    fet__program_destroy(w.p);
    fet__graph_destroy(w.b.g);
    fet__adapter_destroy(w.adapter);
    fet__params_destroy(w.store);
    return st;
}

fet_status parity_hydra_linear(parity_case *c)
{
    char name[80];
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(variants) && st == FET_OK; i++) {
        snprintf(name, sizeof name, "out.%s.y", variants[i].name);
        if (fet__tensors_find(c->t, name))
            st = check(c, &variants[i]);
    }
    return st;
}
