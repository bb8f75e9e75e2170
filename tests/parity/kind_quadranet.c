/* quadranet.*: quadratic layers of other kinds than kind_qresnet.c's, blocks of QuadraNet and of the memory study, the whole network forward and
 * backward. */
#include "parity/net_case.h"

#include <string.h>

static const net_tolerance by_file[] = {{"out.", PARITY_MAX, 1e-5}, {"grad.", PARITY_MAX, 1e-5}, {0}};

/* ---- layers -------------------------------------------------------------------------------------------------------- */

static fet_status finish(net_case *n, fet__node *y)
{
    fet__node *loss;
    fet_status st;
    net_output(n, "out.y", y);
    loss = net_weighted_sum(n, y, "in.grad_out", 1);
    FET_TRY(net_want(n, "grad.", 5));
    FET_TRY(net_run(n, loss));
done:
    return st;
}

fet_status parity_quad_fc(parity_case *c)
{
    net_case n = {0};
    fet_status st;
    FET_TRY(net_open(&n, c, by_file));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    st = finish(
        &n, fet__nn_quadratic_linear(&n.b, "", net_input(&n, "in.x"), fet__param_size(n.store, "linear1.weight", 0)));
done:
    net_close(&n);
    return st;
}

fet_status parity_quad_types(parity_case *c)
{
    fet__conv_options o = {.pad = 1, .bias = true};
    fet__node *x, *square, *a, *b, *part[4];
    net_case n = {0};
    fet_status st;
    int64_t out;
    FET_TRY(net_open(&n, c, by_file));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    out = fet__param_size(n.store, "conv1.weight", 0);
    x = net_input(&n, "in.x");
    square = fet__mul(n.b.g, x, x);
    a = fet__nn_conv(&n.b, "conv1", x, out, 3, &o);
    b = fet__nn_conv(&n.b, "conv2", x, out, 3, &o);
    part[0] = fet__nn_conv(&n.b, "conv1", square, out, 3, &o);
    part[1] = fet__mul(n.b.g, a, a);
    part[2] = fet__mul(n.b.g, a, b);
    part[3] = fet__add(n.b.g, part[2], fet__nn_conv(&n.b, "conv2", square, out, 3, &o));
    st = finish(&n, fet__concat(n.b.g, part, 4, 3));
done:
    net_close(&n);
    return st;
}

/* ---- blocks -------------------------------------------------------------------------------------------------------- */

typedef struct block_case {
    net_case n;
    fet__quadra_block o;
    fet__node *norm1, *after_spatial;
    fet__hooks hooks;
    int masks; /* handed out: first the spatial branch's, then the channel branch's */
} block_case;

static fet__node *see_norm(void *user, fet__build *b, const fet__site *s, fet__node *y)
{
    block_case *k = user;
    (void)b;
    if (strcmp(s->name, "norm1") == 0)
        k->norm1 = y;
    return y;
}

static fet__node *see_stream(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    block_case *k = user;
    (void)b;
    (void)x;
    if (strcmp(s->name, "attn") == 0)
        k->after_spatial = o;
    return o;
}

static fet__node *given_mask(void *user, fet__build *b, fet__shape shape, double p)
{
    block_case *k = user;
    fet__node *keep = net_input(&k->n, k->masks++ ? "in.keep_channel" : "in.keep_spatial");
    return fet__scale(b->g, fet__reshape(b->g, keep, shape), 1 / (1 - p));
}

static fet__node *tokens(net_case *n, fet__node *map)
{
    return map ? fet__reshape(n->b.g, map, FET_SHAPE(map->shape.dim[0], -1, map->shape.dim[3])) : NULL;
}

static fet__node *map_like(net_case *n, fet__node *x, const fet__node *map)
{
    return x ? fet__reshape(n->b.g, x, map->shape) : NULL;
}

/* The last node that was built inside a scope. */
static fet__node *last_in(net_case *n, const char *scope)
{
    fet__node **order = NULL, *last = NULL;
    int count = 0;
    if (fet__graph_order(n->b.g, &order, &count) != FET_OK)
        return NULL;
    for (int i = 0; i < count; i++)
        if (strncmp(order[i]->scope, scope, strlen(scope)) == 0 && order[i]->shape.rank == 4 && !order[i]->param &&
            (!last || order[i]->id > last->id))
            last = order[i];
    fet__free(order);
    return last;
}

static void output_if(block_case *k, const char *entry, fet__node *x)
{
    if (fet__tensors_find(k->n.c->t, entry))
        net_output(&k->n, entry, x);
}

static fet_status check_block(parity_case *c, fet__quadra_block o, bool convnext)
{
    block_case k = {.o = o};
    net_case *n = &k.n;
    bool drop = fet__tensors_find(c->t, "in.keep_spatial") != NULL;
    fet__node *x, *y;
    fet_status st;
    k.hooks = (fet__hooks){.user = &k, .norm = see_norm, .stream = see_stream};
    FET_TRY(net_open(n, c, by_file));
    FET_TRY(net_begin(n, FET__NORM_FROZEN, drop));
    n->b.hooks = &k.hooks;
    n->b.mask = given_mask;
    n->b.mask_user = &k;
    x = net_input(n, "in.x");
    FET_TRY(fet__graph_status(n->b.g));
    k.o.grid[0] = (int)x->shape.dim[1];
    k.o.grid[1] = (int)x->shape.dim[2];
    k.o.drop_path = drop ? 1 - parity_number(c, "keep_prob", 1) : 0;
    k.o.scale = fet__params_find(n->store, convnext ? "gamma" : "gamma2") ? 1e-6 : 0;
    y = map_like(n, (convnext ? fet__nn_convnext_block : fet__nn_quadra_block)(&n->b, tokens(n, x), &k.o), x);
    fet__output(n->b.g, "whole", y); /* so that the look-up by scope sees the block */
    output_if(&k, "out.quad", last_in(n, "QuadraConv"));
    output_if(&k, "out.gnconv", last_in(n, "gnconv"));
    output_if(&k, "out.norm1", map_like(n, k.norm1, x));
    output_if(&k, "out.after_spatial", map_like(n, k.after_spatial, x));
    st = finish(n, y);
done:
    net_close(n);
    return st;
}

static fet__quadra_block sizes(const parity_case *c)
{
    return (fet__quadra_block){.kernel = (int)parity_number(c, "kernel", 7),
                               .expand = (int)parity_number(c, "expand", 4),
                               .order = (int)parity_number(c, "order", 2)};
}

fet_status parity_quadra_block(parity_case *c)
{
    return check_block(c, sizes(c), false);
}

fet_status parity_quadra_block_fc(parity_case *c)
{
    fet__quadra_block o = sizes(c);
    o.quadratic_channels = true;
    return check_block(c, o, false);
}

fet_status parity_study_convblock(parity_case *c)
{
    fet__quadra_block o = sizes(c);
    o.mixer = FET__MIX_CONV;
    return check_block(c, o, false);
}

fet_status parity_study_horblock(parity_case *c)
{
    fet__quadra_block o = sizes(c);
    o.mixer = FET__MIX_GATED;
    return check_block(c, o, false);
}

fet_status parity_study_skipblock(parity_case *c)
{
    fet__quadra_block o = sizes(c);
    o.mixer = FET__MIX_NONE;
    return check_block(c, o, false);
}

fet_status parity_study_convnext(parity_case *c)
{
    return check_block(c, sizes(c), true);
}

/* ---- the network --------------------------------------------------------------------------------------------------- */

typedef struct stream_means {
    net_case *n;
    fet__node *stage[4], *down[4];
} stream_means;

/* The stream before a stage's first block and behind its last. */
static fet__node *see_stages(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    stream_means *m = user;
    int stage = s->name[strlen("stages.")] - '0';
    (void)b;
    if (stage < 0 || stage > 3)
        return o;
    if (!m->down[stage])
        m->down[stage] = x;
    m->stage[stage] = o;
    return o;
}

static fet__node *mean_of(net_case *n, fet__node *x)
{
    return x ? fet__reshape(n->b.g, fet__mean(n->b.g, x, 1u << 1), FET_SHAPE(x->shape.dim[0], x->shape.dim[2])) : NULL;
}

fet_status parity_quadranet_forward_backward(parity_case *c)
{
    static const char *const stages[] = {"out.stage0_mean", "out.stage1_mean", "out.stage2_mean", "out.stage3_mean"};
    static const char *const downs[] = {"out.down0_mean", "out.down1_mean", "out.down2_mean", "out.down3_mean"};
    fet__node *features, *logits, *loss, *x;
    fet__arch a = {0};
    net_case n = {0};
    stream_means m = {.n = &n};
    fet__hooks hooks = {.user = &m, .stream = see_stages};
    fet_status st;
    FET_TRY(net_open(&n, c, by_file));
    FET_TRY(fet__arch_recognise(&a, n.store));
    FET_TRY(net_begin(&n, FET__NORM_FROZEN, false));
    x = net_input(&n, "in.x");
    FET_TRY(fet__graph_status(n.b.g));
    FET_TRY(a.class_->resize(&a, n.store, (int)x->shape.dim[1], (int)x->shape.dim[2]));
    n.b.hooks = &hooks;
    a.class_->build(&a, &n.b, x, &features, &logits);
    net_output(&n, "out.features", features);
    net_output(&n, "out.logits", logits);
    for (int i = 0; i < 4; i++) {
        net_output(&n, downs[i], mean_of(&n, m.down[i]));
        net_output(&n, stages[i], mean_of(&n, m.stage[i]));
    }
    loss = net_cross_entropy(&n, logits, "in.label");
    net_output(&n, "loss", loss);
    FET_TRY(net_want(&n, "grad.", 5));
    FET_TRY(net_run(&n, loss));
done:
    fet__arch_fini(&a);
    net_close(&n);
    return st;
}
