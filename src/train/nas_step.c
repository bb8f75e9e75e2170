/* A step of a search as a program. Which candidates are active changes with every step, so a graph of these alone is made, planned, run
 * and thrown away: its memory is that of one network, not of all. Weights and optimiser states stay in the store. */
#include "train/nas.h"

#include "train/train_int.h"

#include <string.h>

/* Most tensors of a block of either kind, and of all that is no block. */
#define BLOCK_TENSORS 16
#define OTHER_TENSORS 32

/* Weights that the graph under construction reads. */
typedef struct used {
    fet__param **param;
    int count, room;
} used;

static fet__node *note_use(void *user, fet__build *b, fet__param *p)
{
    used *u = user;
    bool known = u->count == u->room; /* never: room is for all */

    (void)b;
    for (int i = 0; i < u->count && !known; i++)
        known = u->param[i] == p;
    if (!known)
        u->param[u->count++] = p;
    return NULL;
}

static fet__node *put_place(void *user, fet__build *b, fet__node *x, const int grid[2], int number)
{
    (void)number;
    return fet__nas_position(user, b, x, grid, 0);
}

/* The chosen network under a loss. */
static fet__node *loss_of(fet__nas_super *n, fet__build *b, fet__nas_net *net, bool alpha)
{
    const fet__arch *a = n->frame;
    fet__node *images = fet__input(b->g, "images", FET_F32, FET_SHAPE(n->batch, a->height, a->width, 3));
    fet__node *labels = fet__input(b->g, "labels", FET_I32, FET_SHAPE(n->batch)), *features, *logits, *loss;

    fet__quadranet_build_with(a, b, images, put_place, net, &features, &logits);
    loss = fet__mean_loss(b->g, fet__cross_entropy(b->g, logits, labels, alpha ? 0 : n->smoothing), labels);
    fet__output(b->g, "loss", loss);
    return loss;
}

/* The gradients of what was used, as outputs "grad.I". */
static fet_status add_gradients(fet__graph *g, fet__node *loss, const used *u)
{
    fet__node **leaves = NULL, **grads = NULL;
    char name[32];
    fet_status st;

    FET_TRY(FET_NEW(leaves, u->count + 1));
    FET_TRY(FET_NEW(grads, u->count + 1));
    for (int i = 0; i < u->count; i++)
        leaves[i] = fet__leaf(g, u->param[i]);
    FET_TRY(fet__gradient(g, loss, leaves, u->count, false, grads));
    for (int i = 0; i < u->count; i++) {
        snprintf(name, sizeof name, "grad.%d", i);
        fet__output(g, name, grads[i]);
    }
    st = fet__graph_status(g);
done:
    fet__free(leaves);
    fet__free(grads);
    return st;
}

/* The graph of a step; weights that the store lacks are made where `initialise` says so. */
static fet_status build(fet__graph **out, fet__nas_super *n, const fet__nas_choice *choice, bool alpha, bool initialise,
                        used *u)
{
    const fet__quadranet *q = n->frame->config;
    fet__nas_net net = {.choice = choice,
                        .positions = n->positions,
                        .plain = q->mixer == FET__MIX_CONV,
                        .others = alpha,
                        .scale = q->scale};
    fet__build b = {.store = n->store,
                    .may_initialise = initialise,
                    .seed = n->seed,
                    .dtype = FET_F32,
                    .value = note_use,
                    .value_user = u};
    fet__node *loss;
    fet_status st;

    FET_TRY(fet__graph_create(out));
    b.g = *out;
    FET_TRY(fet__nas_begin(&net, b.g));
    loss = loss_of(n, &b, &net, alpha);
    FET_TRY(fet__graph_status(b.g));
    if (alpha)
        fet__output(b.g, "slopes", fet__nas_slopes(&net, b.g, loss));
    else
        FET_TRY(add_gradients(b.g, loss, u));
    st = fet__graph_status(b.g);
done:
    if (st != FET_OK) {
        fet__graph_destroy(*out);
        *out = NULL;
    }
    return st;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static fet_status list_uses(used *u, const fet__nas_super *n)
{
    u->room = BLOCK_TENSORS * n->positions + OTHER_TENSORS;
    return FET_NEW(u->param, u->room);
}

fet_status fet__nas_graph(fet__graph **out, fet__nas_super *n, const fet__nas_choice *choice, bool initialise)
{
    used u = {0};
    fet_status st = list_uses(&u, n);

    if (st == FET_OK)
        st = build(out, n, choice, false, initialise, &u);
    fet__free(u.param);
    return st;
}

static fet_status bind(fet__nas_step *s)
{
    char name[32];
    fet_status st;

    s->loss = fet__program_output(s->program, "loss");
    s->slopes = fet__program_output(s->program, "slopes");
    FET_TRY(FET_NEW(s->grad, s->count + 1));
    for (int i = 0; i < s->count; i++) {
        snprintf(name, sizeof name, "grad.%d", i);
        s->grad[i] = fet__program_output(s->program, name);
    }
done:
    return st;
}

fet_status fet__nas_step_create(fet__nas_step *out, fet__nas_super *n, const fet__nas_choice *choice, bool alpha)
{
    fet__program_options options = {
        .memory = n->memory, .quick = true, .check_finite = n->check_finite, .require_finite = "loss"};
    used u = {0};
    fet_status st;

    memset(out, 0, sizeof *out);
    FET_TRY(list_uses(&u, n));
    FET_TRY(build(&out->graph, n, choice, alpha, false, &u));
    FET_TRY(fet__program_create(&out->program, out->graph, &options));
    out->param = u.param;
    out->count = alpha ? 0 : u.count;
    u.param = NULL;
    st = bind(out);
done:
    fet__free(u.param);
    if (st != FET_OK)
        fet__nas_step_fini(out);
    return st;
}

void fet__nas_step_fini(fet__nas_step *s)
{
    fet__program_destroy(s->program);
    fet__graph_destroy(s->graph);
    fet__free(s->param);
    fet__free(s->grad);
    memset(s, 0, sizeof *s);
}
