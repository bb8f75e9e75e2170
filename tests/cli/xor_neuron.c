/* Exclusive or, learnt by one neuron: a quadratic one can, an ordinary one cannot. Built on the engine's layers: a graph with its gradient and
 * AdamW in it, run as a program. Used by tests/cli/example.sh and by experiments/quadranet.sh.
 *     xor_neuron [STARTS]      a row for each kind of neuron: from how many random starts all four cases were learnt */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "exec/exec.h"
#include "nn/nn.h"
#include "train/train.h"

#define STEPS 300
#define RATE 0.05
#define MOST_VALUES 8 /* tensors of a neuron */

static const float cases[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const float wanted[4] = {0, 1, 1, 0};

typedef struct neuron {
    fet__params *store;
    fet__graph *graph;
    fet__program *program;
    fet__optimizer_options optimizer;
    int64_t values;
} neuron;
typedef struct result {
    int right;    /* of the four cases */
    double error; /* the largest distance from 0 or 1 */
} result;

static void destroy(neuron *n)
{
    fet__program_destroy(n->program);
    fet__graph_destroy(n->graph);
    fet__params_destroy(n->store);
}

/* The mean squared error, its gradient and the optimiser's update, all in one graph. */
static fet_status add_training(neuron *n, fet__node *y)
{
    fet__graph *g = n->graph;
    fet__node *error = fet__sub(g, y, fet__input(g, "wanted", FET_F32, FET_SHAPE(4, 1)));
    fet__node *loss = fet__scale(g, fet__sum_all(g, fet__mul(g, error, error)), 0.25);
    fet__node *leaf[MOST_VALUES], *gradient[MOST_VALUES];
    int count = fet__params_count(n->store);
    fet_status st;

    if (count > MOST_VALUES)
        return FET_FAIL(FET_E_BUG, "a neuron of %d tensors", count);
    for (int i = 0; i < count; i++) {
        fet__param *p = fet__params_at(n->store, i);

        p->trainable = true;
        leaf[i] = fet__leaf(g, p);
        n->values += fet__shape_count(&p->shape);
    }
    FET_TRY(fet__gradient(g, loss, leaf, count, false, gradient));
    FET_TRY(fet__optimizer_build(&n->optimizer, g, n->store, leaf, gradient, count));
    st = fet__graph_status(g);
done:
    return st;
}

static fet_status create(neuron *n, bool quadratic, uint64_t seed)
{
    const fet__linear_options plain = {.weight_init = {FET__INIT_NORMAL, 0.02}};
    fet__build b = {.may_initialise = true, .seed = seed, .dtype = FET_F32};
    fet__program_options options = {.require_finite = NULL};
    fet__node *x, *y;
    fet_status st;

    *n = (neuron){.optimizer = fet__optimizer_defaults()};
    n->optimizer.weight_decay = 0;
    FET_TRY(fet__params_create(&n->store));
    FET_TRY(fet__graph_create(&n->graph));
    b.g = n->graph;
    b.store = n->store;
    x = fet__input(n->graph, "x", FET_F32, FET_SHAPE(4, 2));
    y = quadratic ? fet__nn_quadratic_linear(&b, "neuron", x, 1) : fet__nn_linear(&b, "neuron", x, 1, &plain);
    fet__output(n->graph, "y", y);
    FET_TRY(add_training(n, y));
    FET_TRY(fet__program_create(&n->program, n->graph, &options));
done:
    return st;
}

static fet_status learn(neuron *n, result *out)
{
    float *x, *target;
    const float *y;
    fet_status st = FET_OK;

    for (int step = 0; step <= STEPS; step++) {
        x = fet__program_input(n->program, "x");
        target = fet__program_input(n->program, "wanted");
        for (int i = 0; i < 4; i++) {
            x[2 * i] = cases[i][0];
            x[2 * i + 1] = cases[i][1];
            target[i] = wanted[i];
        }
        fet__optimizer_bind(&n->optimizer, n->program, step, RATE);
        FET_TRY(fet__program_run(n->program));
    }
    y = fet__program_output(n->program, "y"); /* what the last step began with */
    *out = (result){0, 0};
    for (int i = 0; i < 4; i++) {
        double distance = fabs((double)y[i] - (double)wanted[i]);

        out->right += distance < 0.4; /* clearly on its side of the middle */
        out->error = distance > out->error ? distance : out->error;
    }
done:
    return st;
}

static fet_status one_kind(bool quadratic, int starts)
{
    int learnt = 0, most = 0;
    int64_t values = 0;
    double error = 0;
    fet_status st = FET_OK;

    for (int seed = 0; seed < starts; seed++) {
        neuron n;
        result r = {0, 0};

        st = create(&n, quadratic, (uint64_t)seed);
        if (st == FET_OK)
            st = learn(&n, &r);
        values = n.values;
        destroy(&n);
        FET_TRY(st);
        learnt += r.right == 4;
        most = r.right > most ? r.right : most;
        error = r.error > error ? r.error : error;
    }
    printf("%s neuron, %lld values: XOR learnt from %d of %d starts, at most %d of 4 cases right, largest error %.3f\n",
           quadratic ? "one quadratic" : "one ordinary", (long long)values, learnt, starts, most, error);
done:
    return st;
}

int main(int argc, char **argv)
{
    int starts = argc > 1 ? atoi(argv[1]) : 20;
    fet_status st;

    if (argc > 2 || starts < 1 || starts > 10000) {
        fprintf(stderr, "usage: xor_neuron [STARTS], from 1 to 10000\n");
        return 2;
    }
    fet__set_threads(1); /* there is nothing to share */
    st = one_kind(true, starts);
    if (st == FET_OK)
        st = one_kind(false, starts);
    if (st != FET_OK)
        fprintf(stderr, "xor_neuron: %s\n", fet_error_message());
    return st == FET_OK ? 0 : 1;
}
