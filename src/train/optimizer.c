/* Optimisers as graph: the update of every trained tensor is a few element-wise nodes that end in an assign, so that one step is one
 * program. Rules as PyTorch's (golden/data/INDEX.md): SGD, Adam, AdamW, RMSprop, global-norm clipping. The loop that runs the
 * steps is in loop.c. */
#include "train/train.h"

#include <math.h>
#include <string.h>

fet__optimizer_options fet__optimizer_defaults(void)
{
    return (fet__optimizer_options){.kind = FET__ADAMW,
                                    .momentum = 0.9,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .eps = 1e-8,
                                    .alpha = 0.99,
                                    .weight_decay = 1e-4};
}

bool fet__optimizer_parse(const char *name, fet__optimizer_options *o)
{
    static const char *const names[] = {"sgd", "adam", "adamw", "rmsprop"};
    int i;

    for (i = 0; i < (int)FET_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            o->kind = FET__SGD + i;
            return true;
        }
    return false;
}

static void bind(fet__program *p, const char *name, double value)
{
    float *slot = fet__program_input(p, name);

    if (slot)
        *slot = (float)value;
}

void fet__optimizer_bind(const fet__optimizer_options *o, fet__program *p, int64_t step, double lr)
{
    bind(p, "opt.lr", lr);
    bind(p, "opt.bias1", 1 - pow(o->beta1, (double)(step + 1)));
    bind(p, "opt.bias2", sqrt(1 - pow(o->beta2, (double)(step + 1))));
    bind(p, "opt.first", step == 0 ? 1 : 0);
}

/* The parts that all updates share. */
typedef struct update {
    const fet__optimizer_options *o;
    fet__graph *g;
    fet__params *store;
    fet__node *lr, *bias1, *bias2, *first;
} update;

static fet__node *state(update *u, const fet__node *p, const char *leaf)
{
    char name[400];
    fet__param *s;

    snprintf(name, sizeof name, "optim.%s.%s", p->param->name, leaf);
    s = fet__params_find(u->store, name);
    if (s && !fet__shape_equal(&s->shape, &p->shape))
        return fet__graph_fail(u->g, FET_E_BUG, "optimiser state %s has shape %s", name, fet__shape_text(&s->shape));
    if (!s && fet__params_add(u->store, &s, name, p->dtype, p->shape, FET__STATE) != FET_OK)
        return fet__graph_fail(u->g, FET_E_NOMEM, "no memory for optimiser state %s", name);
    return fet__leaf(u->g, s);
}

/* a * x + (1 - a) * y */
static fet__node *average(fet__graph *g, double a, fet__node *x, fet__node *y)
{
    return fet__add(g, fet__scale(g, x, a), fet__scale(g, y, 1 - a));
}

static fet__node *descend(update *u, fet__node *p, fet__node *direction)
{
    return fet__sub(u->g, p, fet__mul(u->g, direction, u->lr));
}

/* The parameter's new value, and the average that follows it: it begins at the initial value. */
static void put(update *u, fet__node *p, fet__node *next)
{
    fet__node *old;

    fet__assign(u->g, p, next);
    if (u->o->average <= 0)
        return;
    old = state(u, p, "ema");
    fet__assign(u->g, old, average(u->g, u->o->average, fet__where(u->g, u->first, p, old), next));
}

/* Running statistics are averaged with the weights they go with, as they are when the step begins. */
static void average_buffers(update *u)
{
    int i, n = fet__params_count(u->store);

    for (i = 0; u->o->average > 0 && i < n; i++) {
        fet__param *b = fet__params_at(u->store, i);
        fet__node *x, *old;
        if (b->role != FET__BUFFER || !b->trainable)
            continue;
        x = fet__leaf(u->g, b);
        old = state(u, x, "ema");
        fet__assign(u->g, old, average(u->g, u->o->average, fet__where(u->g, u->first, x, old), x));
    }
}

static void sgd(update *u, fet__node *p, fet__node *grad)
{
    const fet__optimizer_options *o = u->o;
    fet__node *buffer, *next;

    if (o->momentum != 0) {
        buffer = state(u, p, "momentum");
        next = fet__add(u->g, fet__scale(u->g, buffer, o->momentum), fet__scale(u->g, grad, 1 - o->dampening));
        next = fet__where(u->g, u->first, grad, next); /* the first buffer is the gradient, undamped */
        fet__assign(u->g, buffer, next);
        grad = o->nesterov ? fet__add(u->g, grad, fet__scale(u->g, next, o->momentum)) : next;
    }
    put(u, p, descend(u, p, grad));
}

static void adam(update *u, fet__node *p, fet__node *grad, double decay)
{
    const fet__optimizer_options *o = u->o;
    fet__node *m = state(u, p, "m"), *v = state(u, p, "v"), *highest, *next_m, *next_v, *denominator, *base = p;

    next_m = average(u->g, o->beta1, m, grad);
    next_v = average(u->g, o->beta2, v, fet__mul(u->g, grad, grad));
    fet__assign(u->g, m, next_m);
    fet__assign(u->g, v, next_v);
    if (o->amsgrad) {
        highest = state(u, p, "v_max");
        next_v = fet__binary(u->g, FET__OP_MAX, highest, next_v);
        fet__assign(u->g, highest, next_v);
    }
    denominator = fet__shift(u->g, fet__div(u->g, fet__unary(u->g, FET__OP_SQRT, next_v), u->bias2), o->eps);
    if (o->kind == FET__ADAMW && decay != 0)
        base = fet__sub(u->g, p, fet__mul(u->g, p, fet__scale(u->g, u->lr, decay)));
    put(u, p, descend(u, base, fet__div(u->g, fet__div(u->g, next_m, u->bias1), denominator)));
}

static void rmsprop(update *u, fet__node *p, fet__node *grad)
{
    const fet__optimizer_options *o = u->o;
    fet__node *v = state(u, p, "v"), *buffer, *next, *direction;

    next = average(u->g, o->alpha, v, fet__mul(u->g, grad, grad));
    fet__assign(u->g, v, next);
    direction = fet__div(u->g, grad, fet__shift(u->g, fet__unary(u->g, FET__OP_SQRT, next), o->eps));
    if (o->momentum != 0) {
        buffer = state(u, p, "momentum");
        direction = fet__add(u->g, fet__scale(u->g, buffer, o->momentum), direction);
        fet__assign(u->g, buffer, direction);
    }
    put(u, p, descend(u, p, direction));
}

static void update_one(update *u, fet__node *p, fet__node *grad)
{
    const fet__optimizer_options *o = u->o;
    double decay = fet__decays(o->no_decay, u->store, p->param) ? o->weight_decay : 0;

    if (o->kind != FET__ADAMW && decay != 0)
        grad = fet__add(u->g, grad, fet__scale(u->g, p, decay));
    switch (o->kind) {
    case FET__SGD: sgd(u, p, grad); break;
    case FET__ADAM:
    case FET__ADAMW: adam(u, p, grad, decay); break;
    case FET__RMSPROP: rmsprop(u, p, grad); break;
    }
}

static fet__node *host_scalar(update *u, const char *name)
{
    return fet__input(u->g, name, FET_F32, fet__shape_scalar());
}

fet_status fet__optimizer_build(const fet__optimizer_options *o, fet__graph *g, fet__params *store,
                                fet__node *const *params, fet__node *const *grads, int count)
{
    update u = {.o = o, .g = g, .store = store};
    fet__node *total = NULL, *norm, *factor = NULL;
    char name[32];
    int i;

    u.lr = host_scalar(&u, "opt.lr");
    u.bias1 = host_scalar(&u, "opt.bias1");
    u.bias2 = host_scalar(&u, "opt.bias2");
    u.first = host_scalar(&u, "opt.first");
    for (i = 0; i < count; i++) {
        fet__node *square = fet__sum_all(g, fet__mul(g, grads[i], grads[i]));
        snprintf(name, sizeof name, "grad_sq.%d", i);
        fet__output(g, name, square);
        total = total ? fet__add(g, total, square) : square;
    }
    norm = fet__unary(g, FET__OP_SQRT, total);
    fet__output(g, "grad_norm", norm);
    if (o->clip > 0)
        factor = fet__binary(g, FET__OP_MIN, fet__scalar(g, FET_F32, 1),
                             fet__div(g, fet__scalar(g, FET_F32, o->clip), fet__shift(g, norm, 1e-6)));
    for (i = 0; i < count; i++)
        update_one(&u, params[i], factor ? fet__mul(g, grads[i], factor) : grads[i]);
    average_buffers(&u);
    return fet__graph_status(g);
}
