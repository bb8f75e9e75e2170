/* quadranet.qresnet14_*: a real checkpoint, evaluated and differentiated; quadranet.quad_conv_relu_bn, quadlib_ours, quad_dense: one
 * quadratic convolution. */
#include "parity/net_case.h"

#include <string.h>

/* ---- qresnet14 ------------------------------------------------------------------------------------------- */

/* Pictures as bytes [B, H, W, 3], normalised in the graph; its input is named like the entry. */
static fet__node *normalised(net_case *n)
{
    const fet__entry *e = fet__tensors_find(n->c->t, "in.images_u8");
    fet__graph *g = n->b.g;
    fet__node *x;

    if (!e)
        return fet__graph_fail(g, FET_E_FORMAT, "the golden has no in.images_u8");
    x = fet__cast(g, fet__input(g, e->name, FET_I32, e->shape), n->type);
    x = fet__sub(g, fet__scale(g, x, 1.0 / 255), net_input(n, "in.mean"));
    return fet__div(g, x, net_input(n, "in.std"));
}

/* The mean over the picture of the last map that was built in a scope and below it. */
static void output_mean(net_case *n, const char *entry, fet__node *const *order, int count, const char *scope)
{
    size_t length = strlen(scope);
    fet__node *last = NULL;

    for (int i = 0; i < count; i++)
        if (order[i]->op == FET__OP_MAX && order[i]->shape.rank == 4 && strncmp(order[i]->scope, scope, length) == 0 &&
            (length || !*order[i]->scope) && (!last || order[i]->id > last->id))
            last = order[i];
    net_output(n, entry, fet__nn_mean_pool(&n->b, last));
}

static fet_status output_means(net_case *n)
{
    fet__node **order = NULL;
    int count;
    fet_status st;

    FET_TRY(fet__graph_order(n->b.g, &order, &count));
    output_mean(n, "out.stem_mean", order, count, "");
    output_mean(n, "out.layer1_mean", order, count, "layer1");
    output_mean(n, "out.layer2_mean", order, count, "layer2");
    output_mean(n, "out.layer3_mean", order, count, "layer3");
done:
    fet__free(order);
    return st;
}

static fet_status check_best(net_case *n)
{
    const fet__entry *e = fet__tensors_find(n->c->t, "out.logits");
    const void *own = fet__program_output(n->p, "out.logits");
    int64_t rows = e->shape.dim[0], classes = e->shape.dim[1];

    for (int64_t i = 0; i < rows; i++) {
        const float *want = (const float *)e->data + i * classes;
        int64_t a = 0, b = 0;
        for (int64_t k = 1; k < classes; k++) {
            double now, best;
            fet__convert(&now, FET_F64, (const char *)own + (size_t)(i * classes + k) * fet__dtype_bytes(n->type),
                         n->type, 1);
            fet__convert(&best, FET_F64, (const char *)own + (size_t)(i * classes + a) * fet__dtype_bytes(n->type),
                         n->type, 1);
            a = now > best ? k : a;
            b = want[k] > want[b] ? k : b;
        }
        if (a != b)
            return FET_FAIL(FET_E_VERIFY, "image %lld: class %lld instead of %lld", (long long)i, (long long)a,
                            (long long)b);
    }
    return FET_OK;
}

fet_status parity_qresnet14_logits(parity_case *c)
{
    static const net_tolerance tolerances[] = {{"out.normalised", PARITY_ABS, 1e-6}, {"out.", PARITY_MAX, 2e-5}, {0}};
    fet__node *features, *logits, *x;
    fet__arch a = {0};
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(fet__arch_recognise(&a, n.store));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    x = normalised(&n);
    a.class_->build(&a, &n.b, x, &features, &logits);
    net_output(&n, "out.logits", logits);
    net_output(&n, "out.features", features);
    FET_TRY(fet__graph_status(n.b.g));
    FET_TRY(output_means(&n));
    net_output(&n, "out.normalised", fet__slice(n.b.g, x, 0, 0, 2));
    FET_TRY(net_run(&n, NULL));
    st = check_best(&n);
done:
    fet__arch_fini(&a);
    net_close(&n);
    return st;
}

fet_status parity_qresnet14_train_grad(parity_case *c)
{
    static const net_tolerance tolerances[] = {
        {"loss", PARITY_REL, 1e-5}, {"grad.", PARITY_MAX, 1e-3}, {"final.", PARITY_MAX, 1e-5}, {0}};
    fet__node *features, *logits, *loss;
    fet__arch a = {0};
    net_case n = {0};
    fet_status st;

    FET_TRY(net_open(&n, c, tolerances));
    FET_TRY(fet__arch_recognise(&a, n.store));
    FET_TRY(net_begin(&n, FET__NORM_TRAIN, true));
    a.class_->build(&a, &n.b, normalised(&n), &features, &logits);
    loss = net_cross_entropy(&n, logits, "in.label");
    net_output(&n, "loss", loss);
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
    st = net_final(&n, "final.", 1);
done:
    fet__arch_fini(&a);
    net_close(&n);
    return st;
}

/* ---- one layer ------------------------------------------------------------------------------------------- */

static fet_status check_layer(parity_case *c, fet__quadratic_form form, bool depthwise)
{
    static const net_tolerance tolerances[] = {{"", PARITY_MAX, 2e-5}, {0}};
    bool train = strcmp(parity_text(c, "mode", "eval"), "train") == 0;
    net_case n = {0};
    fet__conv_options o = {.stride = (int)parity_number(c, "stride", 1),
                           .dilation = (int)parity_number(c, "dilation", 1),
                           .groups = (int)parity_number(c, "groups", 1)};
    fet__node *y, *loss;
    fet_status st;
    int64_t kernel, out;

    FET_TRY(net_open(&n, c, tolerances));
    out = fet__param_size(n.store, "conv1.weight", 0);
    kernel = fet__param_size(n.store, "conv1.weight", 2);
    if (depthwise)
        o.groups = (int)out;
    o.pad = (int)parity_number(c, "pad", -1);
    o.pad = o.pad < 0 ? (int)kernel / 2 : o.pad;
    o.bias = fet__params_find(n.store, "conv1.bias") != NULL;
    FET_TRY(net_begin(&n, train ? FET__NORM_TRAIN : FET__NORM_FROZEN, train));
    y = fet__nn_quadratic_conv(&n.b, "", net_input(&n, "in.x"), out, (int)kernel, &o, form);
    net_output(&n, "out.y", y);
    loss = net_weighted_sum(&n, y, "in.grad_out", 1);
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
    st = net_final(&n, "final.", 1);
done:
    net_close(&n);
    return st;
}

fet_status parity_quad_conv_relu_bn(parity_case *c)
{
    return check_layer(c, FET__QUADRATIC_RELU_NORM, false);
}

fet_status parity_quadlib_ours(parity_case *c)
{
    return check_layer(c, FET__QUADRATIC_NORMS, false);
}

fet_status parity_quad_dense(parity_case *c)
{
    return check_layer(c, FET__QUADRATIC_PLAIN, false);
}

fet_status parity_quad_dw(parity_case *c)
{
    return check_layer(c, FET__QUADRATIC_PLAIN, true);
}
