/* Workloads that are one layer or module instead of a model: its output summed, with the gradients of all its parameters and of its
 * input, as the peer measures them. The sum is weighted by an input, for the engine would make use of a gradient that is one
 * everywhere; and parameters count as changed before each step, so that nothing made of them alone is kept. */
#include "method/method_int.h"

/* A module being measured. The gradients are outputs of the program: computed, and looked at by nobody. */
typedef struct bench_module {
    fet__params *store;
    fet__graph *graph;
    fet__adapter *adapter;
    fet__program *program;
} bench_module;

static void destroy(bench_module *m)
{
    fet__program_destroy(m->program);
    fet__graph_destroy(m->graph);
    fet__adapter_destroy(m->adapter);
    fet__params_destroy(m->store);
}

static fet_status add_gradients(bench_module *m, fet__node *x, fet__node *loss)
{
    int count = fet__params_count(m->store) + 1;
    fet__node **of = NULL, **gradients = NULL;
    fet_status st;

    FET_TRY(FET_NEW(of, count));
    FET_TRY(FET_NEW(gradients, count));
    of[0] = x;
    for (int i = 1; i < count; i++) {
        fet__params_at(m->store, i - 1)->trainable = true;
        of[i] = fet__leaf(m->graph, fet__params_at(m->store, i - 1));
    }
    FET_TRY(fet__gradient(m->graph, loss, of, count, false, gradients));
    for (int i = 0; i < count; i++) {
        char name[32];

        snprintf(name, sizeof name, "gradient.%d", i);
        fet__output(m->graph, name, gradients[i]);
    }
    st = fet__graph_status(m->graph);
done:
    fet__free(of);
    fet__free(gradients);
    return st;
}

static void fill(float *values, const fet__shape *shape, uint64_t seed, const char *name)
{
    for (int64_t i = 0; i < fet__shape_count(shape); i++)
        values[i] = (float)fet__random_normal(seed, fet__hash32(name), 0, (uint64_t)i);
}

static fet_status run_once(const bench_module *m)
{
    for (int i = 0; i < fet__params_count(m->store); i++)
        fet__params_at(m->store, i)->version++;
    return fet__program_run(m->program);
}

static fet_status create(bench_module *m, const fet_bench_options *o, const fet__workload *w)
{
    fet__program_options program = {.memory = fet__budget(o->memory)};
    fet__build b = {.may_initialise = true, .train = o->train != 0, .seed = o->seed, .dtype = FET_F32};
    fet__shape size = FET_SHAPE(o->batch, w->module->grid[0], w->module->grid[1], w->module->channels);
    fet__node *x, *y, *loss;
    fet_status st;

    FET_TRY(fet__params_create(&m->store));
    FET_TRY(fet__graph_create(&m->graph));
    if (w->adapter)
        FET_TRY(fet__adapter_create(&m->adapter, w->adapter));
    b.g = m->graph;
    b.store = m->store;
    x = fet__input(m->graph, "x", FET_F32, size);
    y = w->module->build(&b, m->adapter, x);
    FET_TRY(fet__graph_status(m->graph));
    loss = fet__sum_all(m->graph, fet__mul(m->graph, y, fet__input(m->graph, "weights", FET_F32, y->shape)));
    fet__output(m->graph, "loss", loss);
    if (o->train)
        FET_TRY(add_gradients(m, x, loss));
    FET_TRY(fet__program_create(&m->program, m->graph, &program));
    fill(fet__program_input(m->program, "x"), &x->shape, o->seed, "bench.images");
    fill(fet__program_input(m->program, "weights"), &y->shape, o->seed, "bench.weights");
done:
    return st;
}

fet_status fet__bench_module(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text)
{
    bench_module m = {0};
    double *seconds = NULL;
    fet_status st;

    FET_TRY(create(&m, o, w));
    FET_TRY(FET_NEW(seconds, o->steps));
    for (int i = 0; i < o->warmup; i++)
        FET_TRY(run_once(&m));
    fet__program_profile(m.program, o->profile != 0);
    for (int i = 0; i < o->steps; i++) {
        double begun = fet__now();

        FET_TRY(run_once(&m));
        seconds[i] = fet__now() - begun;
    }
    fet__bench_fill(out, m.program, 1, seconds, o->steps, o->batch);
    if (text && o->profile)
        FET_TRY(fet__bench_profile(m.program, text));
done:
    fet__free(seconds);
    destroy(&m);
    return st;
}

/* ---- the modules ------------------------------------------------------------------------------------------------------- */

static fet__node *depthwise(fet__build *b, fet__adapter *a, fet__node *x)
{
    const int kernel = 7;
    int64_t channels = x->shape.dim[3];
    fet__conv_options o = {.pad = kernel / 2, .groups = (int)channels, .bias = true, .default_init = true};

    (void)a;
    return fet__nn_conv(b, "conv", x, channels, kernel, &o);
}

static fet__node *mona(fet__build *b, fet__adapter *a, fet__node *x)
{
    fet__site *site = fet__site_new(b, FET__SITE_RESIDUAL, "attn");

    if (!site)
        return NULL;
    site->branch = FET__BRANCH_ATTENTION;
    site->in = site->out = x->shape.dim[3];
    site->grid[0] = (int)x->shape.dim[1];
    site->grid[1] = (int)x->shape.dim[2];
    return a->hooks.stream(a->hooks.user, b, site, NULL, x);
}

const fet__bench_form fet__bench_depthwise = {{56, 56}, 64, depthwise};
const fet__bench_form fet__bench_mona = {{56, 56}, 96, mona};
