/* The weights of a super-network and their updates. The update is done here and not by the step's graph: a graph is made anew for every
 * step, and an optimiser's nodes for each of some hundred tensors would make it four times as large. */
#include "train/nas.h"

#include <math.h>
#include <string.h>

/* ---- states ------------------------------------------------------------------------------------------------------ */

static fet__param *state(const fet__nas_super *n, const fet__param *p, const char *leaf)
{
    char name[400];

    snprintf(name, sizeof name, "optim.%s.%s", p->name, leaf);
    return fet__params_find(n->store, name);
}

static fet_status add_state(fet__nas_super *n, const fet__param *p, const char *leaf, fet__shape shape)
{
    char name[400];
    fet__param *made;

    snprintf(name, sizeof name, "optim.%s.%s", p->name, leaf);
    return fet__params_add(n->store, &made, name, FET_F32, shape, FET__STATE);
}

static fet_status add_states(fet__nas_super *n)
{
    int count = fet__params_count(n->store);
    fet_status st = FET_OK;

    for (int i = 0; i < count; i++) {
        fet__param *p = fet__params_at(n->store, i);

        p->trainable = true;
        FET_TRY(add_state(n, p, "m", p->shape));
        if (n->descent.sgd)
            continue;
        FET_TRY(add_state(n, p, "v", p->shape));
        FET_TRY(add_state(n, p, "steps", FET_SHAPE(1)));
    }
done:
    return st;
}

/* A graph with the same candidate everywhere makes that candidate's weights. */
fet_status fet__nas_super_create(fet__nas_super *n)
{
    fet__nas_choice *choice = NULL;
    fet__graph *g = NULL;
    fet_status st;

    FET_TRY(fet__params_create(&n->store));
    FET_TRY(FET_NEW(choice, n->positions));
    for (int j = 0; j < FET__NAS_IDENTITY; j++) {
        for (int i = 0; i < n->positions; i++)
            choice[i] = (fet__nas_choice){j, -1};
        FET_TRY(fet__nas_graph(&g, n, choice, true));
        fet__graph_destroy(g);
    }
    st = add_states(n);
done:
    fet__free(choice);
    return st;
}

void fet__nas_super_fini(fet__nas_super *n)
{
    fet__params_destroy(n->store);
    n->store = NULL;
}

/* ---- updates ----------------------------------------------------------------------------------------------------- */

double fet__nas_norm(fet__param *const *param, const float *const *grad, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++) {
        int64_t values = fet__shape_count(&param[i]->shape);
        double part = 0;

        for (int64_t k = 0; k < values; k++)
            part += (double)grad[i][k] * (double)grad[i][k];
        sum += part;
    }
    return sqrt(sum);
}

/* buffer = momentum buffer + g, p -= lr (g + momentum buffer), as PyTorch's SGD. */
static void sgd(const fet__nas_super *n, fet__param *p, const float *grad, double factor, double decay, double lr)
{
    float *x = p->data, *m = state(n, p, "m")->data, f = (float)factor, d = (float)decay, rate = (float)lr;
    float momentum = (float)n->descent.momentum;
    int64_t values = fet__shape_count(&p->shape);

    for (int64_t k = 0; k < values; k++) {
        float g = grad[k] * f + x[k] * d;

        m[k] = m[k] * momentum + g;
        x[k] -= rate * (g + momentum * m[k]);
    }
}

static void adamw(const fet__nas_super *n, fet__param *p, const float *grad, double factor, double decay, double lr)
{
    const fet__nas_descent *o = &n->descent;
    float *x = p->data, *m = state(n, p, "m")->data, *v = state(n, p, "v")->data, *steps = state(n, p, "steps")->data;
    float b1 = (float)o->beta1, b2 = (float)o->beta2, f = (float)factor, eps = (float)o->eps, rate, root;
    float keep = (float)(1 - lr * decay), rest1 = (float)(1 - o->beta1), rest2 = (float)(1 - o->beta2);
    int64_t values = fet__shape_count(&p->shape);

    steps[0] += 1;
    rate = (float)(lr / (1 - pow(o->beta1, (double)steps[0])));
    root = (float)(1 / sqrt(1 - pow(o->beta2, (double)steps[0])));
    for (int64_t k = 0; k < values; k++) {
        float g = grad[k] * f;

        m[k] = b1 * m[k] + rest1 * g;
        v[k] = b2 * v[k] + rest2 * g * g;
        x[k] = keep * x[k] - rate * m[k] / (sqrtf(v[k]) * root + eps);
    }
}

void fet__nas_descend(fet__nas_super *n, fet__param *const *param, const float *const *grad, int count, double norm,
                      double lr)
{
    const fet__nas_descent *o = &n->descent;
    double factor = o->clip > 0 ? fmin(1, o->clip / (norm + 1e-6)) : 1;

    for (int i = 0; i < count; i++) {
        double decay = fet__decays(o->no_decay, n->store, param[i]) ? o->weight_decay : 0;

        if (o->sgd)
            sgd(n, param[i], grad[i], factor, decay, lr);
        else
            adamw(n, param[i], grad[i], factor, decay, lr);
        param[i]->version++;
    }
}
