/* The self-supervised branch of methods/mabn.md 4: two views of a picture, projector and predictor behind the pooled feature, a target
 * network that predicts the other view's projection. Which parameters train, and how, is decided elsewhere. */
#include "train/byol.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char target_prefix[] = "target.";

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static fet__norm_mode mode_of(void *user, const fet__build *b, const char *name)
{
    const fet__byol_net *n = user;
    bool target = begins(name, target_prefix), head;

    (void)b;
    if (n->joint) /* the target has statistics of its own, which only views reach */
        return n->clean && n->views && !target && !begins(name, "pro") && !begins(name, "pre") ? FET__NORM_BATCH
                                                                                               : FET__NORM_TRAIN;
    name += target ? sizeof target_prefix - 1 : 0;
    head = begins(name, "projector.") || begins(name, "predictor.");
    return head && n->head_batch ? FET__NORM_BATCH : FET__NORM_FROZEN;
}

void fet__byol_begin(fet__byol_net *n, fet__build *b)
{
    b->norm_mode = mode_of;
    b->norm_mode_user = n;
}

/* Linear, batch norm, ReLU, linear, named as in a sequence of four. */
static fet__node *perceptron(const fet__byol_net *n, fet__build *b, const char *name, fet__node *x)
{
    static const fet__linear_options plain = {.default_init = true};

    fet__enter(b, "%s", name);
    x = fet__nn_linear(b, "0", x, n->hidden, &plain);
    x = fet__relu(b->g, fet__nn_batch_norm(b, "1", x));
    x = fet__nn_linear(b, "3", x, n->out, &plain);
    fet__leave(b);
    return x;
}

/* Features of both views. Where norms are frozen pictures do not touch each other and both go through together. */
static void features(fet__byol_net *n, fet__build *b, fet__node *const view[2], fet__node *out[2])
{
    fet__node *both = NULL;

    if (n->joint) {
        n->backbone(n->user, b, view[0], &out[0], NULL);
        n->backbone(n->user, b, view[1], &out[1], NULL);
        return;
    }
    n->backbone(n->user, b, fet__concat(b->g, view, 2, 0), &both, NULL);
    for (int k = 0; k < 2; k++) {
        int64_t rows = both ? both->shape.dim[0] / 2 : 0;
        out[k] = fet__slice(b->g, both, 0, k * rows, (k + 1) * rows);
    }
}

static void build_target(fet__byol_net *n, fet__build *b, fet__node *const view[2], fet__node *out[2])
{
    const fet__hooks *hooks = b->hooks;
    fet__node *feature[2] = {NULL, NULL};

    b->hooks = NULL;
    fet__enter(b, "target");
    features(n, b, view, feature);
    for (int k = 0; k < 2; k++)
        out[k] = perceptron(n, b, "projector", feature[k]);
    fet__leave(b);
    b->hooks = hooks;
}

/* What of the branch comes behind the features. */
static fet_status build_heads(fet__byol_net *n, fet__build *b, fet__node *const view[2], fet__byol_nodes *out)
{
    fet__node *sum;

    for (int k = 0; k < 2; k++) {
        out->projection[k] = perceptron(n, b, "projector", out->feature[k]);
        out->prediction[k] = perceptron(n, b, "predictor", out->projection[k]);
    }
    if (n->target == FET__TARGET_ONLINE)
        memcpy(out->target, out->projection, sizeof out->target);
    else
        build_target(n, b, view, out->target);
    sum = fet__add(b->g, fet__byol_distance(b, out->prediction[0], out->target[1]),
                   fet__byol_distance(b, out->prediction[1], out->target[0]));
    out->loss = sum ? fet__scale(b->g, fet__sum_all(b->g, sum), 1.0 / (double)sum->shape.dim[0]) : NULL;
    return fet__graph_status(b->g);
}

fet_status fet__byol_build(fet__byol_net *n, fet__build *b, fet__node *const view[2], fet__byol_nodes *out)
{
    fet_status st;

    n->views = true;
    if (!out->feature[0])
        features(n, b, view, out->feature);
    st = build_heads(n, b, view, out);
    n->views = false;
    return st;
}

fet__node *fet__byol_distance(fet__build *b, fet__node *p, fet__node *t)
{
    fet__node *same;

    p = fet__nn_unit_rows(b->g, p);
    t = fet__stop_gradient(b->g, fet__nn_unit_rows(b->g, t));
    same = fet__sum(b->g, fet__mul(b->g, p, t), 1u << 1);
    return fet__shift(b->g, fet__scale(b->g, same, -2), 2);
}

/* ---- the target ---------------------------------------------------------------------------------------------------- */

void fet__byol_follow(fet__graph *g, fet__params *store, fet__node *tau)
{
    int n = fet__params_count(store);

    for (int i = 0; i < n; i++) {
        fet__param *p = fet__params_at(store, i), *online;
        fet__node *target, *next, *x;
        if (!begins(p->name, target_prefix) || p->role != FET__PARAM)
            continue;
        online = fet__params_find(store, p->name + sizeof target_prefix - 1);
        if (!online || online->role != FET__PARAM || !(next = fet__pending(g, fet__leaf(g, online))))
            continue;
        target = fet__leaf(g, p);
        x = fet__add(g, next, fet__mul(g, tau, fet__sub(g, target, next)));
        fet__assign(g, target, x);
    }
}

double fet__byol_tau(double base, int64_t step, int64_t steps)
{
    return 1 - (1 - base) * (cos(acos(-1.0) * (double)step / (double)steps) + 1) / 2;
}

static bool is_copied(const fet__param *p, const char *head)
{
    size_t length = strlen(head);

    return p->role != FET__STATE && !begins(p->name, target_prefix) && !begins(p->name, "predictor.") &&
           !(strncmp(p->name, head, length) == 0 && p->name[length] == '.');
}

fet_status fet__byol_copy_target(fet__params *store, const char *head)
{
    int n = fet__params_count(store);
    fet_status st = FET_OK;

    for (int i = 0; i < n; i++) {
        const fet__param *p = fet__params_at(store, i);
        char name[400];
        fet__param *copy;
        if (!is_copied(p, head))
            continue;
        snprintf(name, sizeof name, "%s%s", target_prefix, p->name);
        copy = fet__params_find(store, name);
        if (!copy)
            FET_TRY(fet__params_add(store, &copy, name, p->dtype, p->shape, p->role));
        FET_TRY(fet__param_own(copy));
        memcpy(copy->data, p->data, (size_t)p->bytes);
        copy->version++;
    }
done:
    return st;
}
