/* See mini_case.h. */
#include "parity/mini_case.h"

#include <stdlib.h>
#include <string.h>

/* ---- the network --------------------------------------------------------------------------------------------------- */

static fet__node *block(fet__build *b, const char *name, fet__node *x, int64_t width, int stride)
{
    fet__conv_options first = {.stride = stride, .pad = 1}, second = {.pad = 1}, plain = {.stride = stride};
    fet__node *y, *side = x;

    if (!x)
        return NULL;
    fet__enter(b, "%s", name);
    y = fet__nn_conv(b, "conv1", x, width, 3, &first);
    y = fet__relu(b->g, fet__nn_batch_norm(b, "bn1", y));
    y = fet__nn_batch_norm(b, "bn2", fet__nn_conv(b, "conv2", y, width, 3, &second));
    if (stride != 1)
        side = fet__nn_batch_norm(b, "downsample.1", fet__nn_conv(b, "downsample.0", x, width, 1, &plain));
    fet__leave(b);
    return fet__relu(b->g, fet__add(b->g, y, side));
}

static int64_t size_of(const net_case *n, const fet__build *b, const char *name)
{
    char full[320];

    snprintf(full, sizeof full, "%s%s%s", b->prefix, b->prefix[0] ? "." : "", name);
    return fet__param_size(n->store, full, 0);
}

void mini_backbone(void *user, fet__build *b, fet__node *images, fet__node **feature, fet__node **logits)
{
    static const fet__linear_options plain = {.default_init = true};
    const net_case *n = user;
    int64_t width = size_of(n, b, "conv1.weight"), classes = size_of(n, b, "fc.weight");
    fet__conv_options stem = {.pad = 1};
    fet__node *x = fet__nn_conv(b, "conv1", images, width, 3, &stem);

    x = fet__relu(b->g, fet__nn_batch_norm(b, "bn1", x));
    x = fet__nn_max_pool(b, x, 3, 2, 1);
    x = block(b, "layer1.0", x, width, 1);
    x = block(b, "layer2.0", x, 2 * width, 2);
    x = block(b, "layer3.0", x, 2 * width, 1);
    *feature = x = fet__nn_mean_pool(b, x);
    if (logits)
        *logits = fet__nn_linear(b, "fc", x, classes, &plain);
}

void mini_byol(net_case *n, fet__byol_net *out)
{
    *out = (fet__byol_net){.backbone = mini_backbone,
                           .user = n,
                           .hidden = (int64_t)parity_number(n->c, "hid", 0),
                           .out = (int64_t)parity_number(n->c, "proj", 0),
                           .head_batch = strcmp(parity_text(n->c, "hmode", "frozen"), "batch") == 0};
    if (strcmp(parity_text(n->c, "tmode", "ema"), "online") == 0)
        out->target = FET__TARGET_ONLINE;
    fet__byol_begin(out, &n->b);
}

fet__episode_options mini_episode(const net_case *n)
{
    return (fet__episode_options){.inner_lr = parity_number(n->c, "inner_lr", 0),
                                  .lambda = parity_number(n->c, "lambda", 0),
                                  .inner_steps = (int)parity_number(n->c, "inner_steps", 1),
                                  .second_order = true,
                                  .squared = strcmp(parity_text(n->c, "loss", "ce"), "mse") == 0};
}

static fet__node *input(net_case *n, const char *prefix, const char *leaf)
{
    char name[96];
    const fet__entry *e;

    snprintf(name, sizeof name, "%s.%s", prefix, leaf);
    e = fet__tensors_find(n->c->t, name);
    return e ? net_input(n, e->name) : fet__graph_fail(n->b.g, FET_E_FORMAT, "the golden has no %s", name);
}

fet__episode_input mini_episode_input(net_case *n, const char *prefix)
{
    fet__episode_input in = {{input(n, prefix, "support_view1"), input(n, prefix, "support_view2")},
                             input(n, prefix, "query"),
                             {input(n, prefix, "query_view1"), input(n, prefix, "query_view2")},
                             input(n, prefix, "query_label")};

    return in;
}

bool mini_any(const fet__params *store, const fet__param *p)
{
    const char *dot = strrchr(p->name, '.');

    (void)store;
    return dot && strncmp(dot, ".running_", 9) != 0;
}

/* ---- values and programs ------------------------------------------------------------------------------------------- */

fet_status mini_output_values(net_case *n, const char *prefix, const fet__values *v, fet__node *const *node)
{
    size_t length = strlen(prefix);

    for (int i = 0; i < fet__tensors_count(n->c->t); i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        int k = 0;
        if (strncmp(e->name, prefix, length) != 0)
            continue;
        while (k < v->count && strcmp(v->param[k]->name, e->name + length) != 0)
            k++;
        if (k == v->count)
            return FET_FAIL(FET_E_FORMAT, "%s names nothing that adapts", e->name);
        fet__output(n->b.g, e->name, node[k]);
        n->outputs[n->output_count++] = (net_value){e->name, node[k]};
    }
    return fet__graph_status(n->b.g);
}

fet_status mini_feed(net_case *n, const char *name, const char *entry)
{
    const fet__entry *e = fet__tensors_find(n->c->t, entry);
    void *to = fet__program_input(n->p, name);

    if (!e || !to)
        return FET_FAIL(FET_E_FORMAT, "no input %s or no entry %s", name, entry);
    fet__convert(to, fet__dtype_is_float(e->dtype) ? n->type : FET_I32, e->data, e->dtype, fet__shape_count(&e->shape));
    return FET_OK;
}

fet_status mini_update(net_case *n, const fet__optimizer_options *o, const fet__values *v, fet__node *const *grad)
{
    fet__node **leaf = NULL, **own = NULL;
    fet_status st;

    FET_TRY(FET_NEW(leaf, v->count));
    FET_TRY(FET_NEW(own, v->count));
    for (int i = 0; i < v->count; i++) {
        leaf[i] = fet__leaf(n->b.g, v->param[i]);
        own[i] = n->type == v->param[i]->dtype ? grad[i] : fet__cast(n->b.g, grad[i], v->param[i]->dtype);
    }
    st = fet__optimizer_build(o, n->b.g, n->store, leaf, own, v->count);
done:
    fet__free(leaf);
    fet__free(own);
    return st;
}

fet_status mini_program(net_case *n)
{
    fet__program_options o = {.reference = n->c->reference};
    fet_status st = fet__graph_status(n->b.g);

    return st == FET_OK ? fet__program_create(&n->p, n->b.g, &o) : st;
}

double mini_scalar(net_case *n, const char *output)
{
    const void *from = fet__program_output(n->p, output);
    double value = 0;

    if (from)
        fet__convert(&value, FET_F64, from, n->type, 1);
    return value;
}

fet_status mini_compare(net_case *n, const char *output, const char *entry)
{
    const fet__entry *e = fet__tensors_find(n->c->t, entry);
    const void *from = fet__program_output(n->p, output);

    if (!e || !from)
        return FET_FAIL(FET_E_FORMAT, "no output %s or no entry %s", output, entry);
    return parity_compare(n->c, e->name, from, n->type, fet__shape_count(&e->shape), PARITY_MIXED, 1e-6);
}

fet_status mini_final(net_case *n, const char *prefix)
{
    size_t length = strlen(prefix);
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(n->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(n->c->t, i);
        const fet__param *p = fet__params_find(n->store, e->name + (strlen(e->name) > length ? length : 0));
        if (strncmp(e->name, prefix, length) != 0)
            continue;
        st = p ? parity_compare(n->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_MIXED, 1e-6)
               : FET_FAIL(FET_E_FORMAT, "%s names no parameter", e->name);
    }
    return st;
}
