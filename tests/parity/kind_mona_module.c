/* mona.mona_module: one Mona module on a token grid (methods/mona.md 1): output, every gradient, the merged filter, and what stands in
 * between. The module is the adapter's; nothing of it is written out here. */
#include "adapter/mona_int.h"
#include "exec/exec.h"
#include "parity/parity.h"

#include <string.h>

#define MAX_WRT 32
#define PLANES "adapter_conv_out_nchw"

typedef struct work {
    parity_case *c;
    fet__params *store;
    fet__build b;
    fet__program *p;
    fet__mona m;
    int grid[2];
    fet__node *wrt[MAX_WRT];
    char wrt_name[MAX_WRT][64]; /* after "grad." */
    int wrt_count;
} work;

static fet_status load_params(work *w)
{
    static const char prefix[] = "param.";
    double *values = NULL;
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(w->c->t); i++) {
        const fet__entry *e = fet__tensors_at(w->c->t, i);
        fet__param *p;
        if (strncmp(e->name, prefix, sizeof prefix - 1) != 0)
            continue;
        FET_TRY(parity_doubles(w->c, e->name, &values, NULL));
        FET_TRY(fet__params_add(w->store, &p, e->name + sizeof prefix - 1, FET_F32, e->shape, FET__PARAM));
        fet__convert(p->data, FET_F32, values, FET_F64, fet__shape_count(&e->shape));
        fet__free(values);
        values = NULL;
    }
done:
    fet__free(values);
    return st;
}

/* ---- graph ------------------------------------------------------------------------------------------------- */

static fet__node *given_mask(void *user, fet__build *b, fet__shape shape, double p)
{
    (void)user;
    (void)p;
    return fet__input(b->g, "mask", b->dtype, shape);
}

static void want(work *w, const char *name, fet__node *x)
{
    if (w->wrt_count == MAX_WRT)
        return;
    snprintf(w->wrt_name[w->wrt_count], sizeof w->wrt_name[0], "%s", name);
    w->wrt[w->wrt_count++] = x;
}

static fet__node *as_planes(fet__graph *g, fet__node *x)
{
    static const int planes[4] = {0, 3, 1, 2};

    return fet__transpose(g, x, planes);
}

/* The convolution's operands are the projection and the merged filter; the linear layer that reads it is the projector, and the one
 * that makes that layer's bias reads the filters' mean bias. */
static fet_status output_inner(work *w)
{
    fet__node **order = NULL, *conv = NULL, *projector = NULL, *made, *bias = NULL;
    fet__graph *g = w->b.g;
    int count;
    fet_status st;

    FET_TRY(fet__graph_order(g, &order, &count));
    for (int i = 0; i < count; i++) {
        if (order[i]->op == FET__OP_CONV2D)
            conv = order[i];
        else if (order[i]->op == FET__OP_LINEAR && conv && order[i]->input[0] == conv)
            projector = order[i];
    }
    for (made = projector ? projector->input[2] : NULL; made && made->op == FET__OP_RESHAPE; made = made->input[0])
        ;
    if (made && made->op == FET__OP_LINEAR)
        bias = fet__reshape(g, made->input[0], FET_SHAPE(w->m.width));
    if (!bias) {
        st = FET_FAIL(FET_E_BUG, "the module has another form than this check knows");
        goto done;
    }
    fet__output(g, "project1", conv->input[0]);
    fet__output(g, "merged_weight", conv->input[1]);
    want(w, "merged_weight", conv->input[1]);
    want(w, "merged_bias", made->input[0]);
    want(w, PLANES, projector);
    fet__output(g, "merged_bias", bias);
    fet__output(g, "merged_dw_nchw", as_planes(g, fet__add(g, conv, bias)));
    fet__output(g, "adapter_conv_nchw", as_planes(g, projector));
done:
    fet__free(order);
    return st;
}

static fet_status build(work *w, const fet__shape *shape)
{
    fet__program_options po = {.reference = w->c->reference};
    fet__node *x, *y, *loss, *grad[MAX_WRT];
    char name[80];
    fet_status st;

    FET_TRY(fet__graph_create(&w->b.g));
    x = fet__input(w->b.g, "x", w->b.dtype, *shape);
    y = fet__mona_module(&w->b, &w->m, x, w->grid, 0, false);
    loss = fet__sum_all(w->b.g, fet__mul(w->b.g, y, fet__input(w->b.g, "dy", w->b.dtype, *shape)));
    FET_TRY(fet__graph_status(w->b.g));
    fet__output(w->b.g, "y", y);
    fet__output(w->b.g, "loss", loss);
    FET_TRY(output_inner(w));
    want(w, "x", x);
    for (int i = 0; i < fet__params_count(w->store); i++)
        want(w, fet__params_at(w->store, i)->name, fet__leaf(w->b.g, fet__params_at(w->store, i)));
    FET_TRY(fet__gradient(w->b.g, loss, w->wrt, w->wrt_count, false, grad));
    for (int i = 0; i < w->wrt_count; i++) {
        snprintf(name, sizeof name, "grad.%s", w->wrt_name[i]);
        fet__output(w->b.g, name, strcmp(w->wrt_name[i], PLANES) == 0 ? as_planes(w->b.g, grad[i]) : grad[i]);
    }
    FET_TRY(fet__program_create(&w->p, w->b.g, &po));
done:
    return st;
}

/* ---- running and comparing --------------------------------------------------------------------------------- */

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

static fet_status compare(work *w, const char *name, const char *output, fet_dtype type, parity_mode mode,
                          double tolerance)
{
    const fet__entry *e = fet__tensors_find(w->c->t, name);
    const void *values = fet__program_output(w->p, output);

    if (!e || !values)
        return FET_FAIL(FET_E_FORMAT, "%s is not in the golden or was not computed", name);
    return parity_compare(w->c, name, values, type, fet__shape_count(&e->shape), mode, tolerance);
}

static fet_status compare_all(work *w)
{
    static const char *const inner[] = {"y",           "project1",       "merged_weight",
                                        "merged_bias", "merged_dw_nchw", "adapter_conv_nchw"};
    char name[80];
    fet_status st;

    FET_TRY(compare(w, "loss", "loss", w->b.dtype, PARITY_ABS, 1e-4));
    for (size_t i = 0; i < FET_COUNT(inner); i++) {
        snprintf(name, sizeof name, "out.%s", inner[i]);
        FET_TRY(compare(w, name, inner[i], w->b.dtype, PARITY_ABS, 1e-5));
    }
    for (int i = 0; i < w->wrt_count; i++) {
        snprintf(name, sizeof name, "grad.%s", w->wrt_name[i]);
        FET_TRY(compare(w, name, name, w->wrt[i]->dtype, PARITY_MAX, 2e-5));
    }
done:
    return st;
}

fet_status parity_mona_module(parity_case *c)
{
    const fet__entry *x = fet__tensors_find(c->t, "in.x");
    work w = {.c = c,
              .grid = {(int)parity_number(c, "H", 0), (int)parity_number(c, "W", 0)},
              .m = {.width = (int64_t)parity_number(c, "inner", 64),
                    .kernel = {3, 5, 7},
                    .kernel_count = 3,
                    .scaled_norm = true}};
    bool masked = fet__tensors_find(c->t, "in.dropout_mask") != NULL;
    fet_status st;

    if (!x)
        return FET_FAIL(FET_E_FORMAT, "in.x is absent");
    w.m.dropout = masked ? 0.1 : 0;
    FET_TRY(fet__params_create(&w.store));
    FET_TRY(load_params(&w));
    w.b =
        (fet__build){.store = w.store, .dtype = c->reference ? FET_F64 : FET_F32, .train = masked, .mask = given_mask};
    FET_TRY(build(&w, &x->shape));
    FET_TRY(feed(&w, "x", "in.x"));
    FET_TRY(feed(&w, "dy", "in.dy"));
    FET_TRY(feed(&w, "mask", "in.dropout_mask"));
    FET_TRY(fet__program_run(w.p));
    FET_TRY(compare_all(&w));
done:
    fet__program_destroy(w.p);
    fet__graph_destroy(w.b.g);
    fet__params_destroy(w.store);
    return st;
}
