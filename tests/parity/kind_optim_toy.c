/* data.optim_toy: linear, batch normalisation in train mode, ReLU, linear, mean cross-entropy, trained for some
 * steps by several optimisers. Batch normalisation is composed of core operators here; its running statistics are
 * states that the program assigns. The gradients leave the first program and go into one updater per group of
 * parameters.
 *
 * The network computes in double: the true gradient of a bias before batch statistics is zero, and Adam turns
 * what rounding leaves of it into steps. In float the drift of the golden and one of our own would add up to
 * more than its tolerance; what is under test is the optimiser, which works in float. */
#include "parity/optim_run.h"

#include <string.h>

#define BN_EPS 1e-5
#define BN_MOMENTUM 0.1
#define SURE_STEPS 10 /* losses of the first steps agree closely; later ones amplify rounding */

typedef struct toy {
    fet__params *store;
    fet__graph *g;
    fet__program *p;
    updater all;      /* the list of parameters only; its program is not built */
    updater group[2]; /* matrices and vectors, or all and none */
    fet__schedule rate[2];
    int groups;
    int64_t steps, batch, features;
    double *x, *y;     /* [steps, batch, features], [steps, batch] */
    double *loss, *lr; /* per step */
} toy;

static void toy_fini(toy *t)
{
    updater_fini(&t->group[0]);
    updater_fini(&t->group[1]);
    fet__program_destroy(t->p);
    fet__graph_destroy(t->g);
    fet__params_destroy(t->store);
    fet__free(t->x);
    fet__free(t->y);
    fet__free(t->loss);
    fet__free(t->lr);
}

/* ---- the network ----------------------------------------------------------------------------------------- */

static fet__node *param(const toy *t, const char *name)
{
    fet__param *p = fet__params_find(t->store, name);

    return p ? fet__cast(t->g, fet__leaf(t->g, p), FET_F64)
             : fet__graph_fail(t->g, FET_E_FORMAT, "param.%s is absent", name);
}

static fet__node *state(const toy *t, const char *name, int64_t size, double start)
{
    fet__param *p;

    if (fet__params_add(t->store, &p, name, FET_F32, FET_SHAPE(size), FET__STATE) != FET_OK)
        return fet__graph_fail(t->g, FET_E_NOMEM, "no memory for %s", name);
    for (int64_t i = 0; i < size; i++)
        ((float *)p->data)[i] = (float)start;
    return fet__leaf(t->g, p);
}

static void keep_running(const toy *t, const char *name, double start, fet__node *now, double factor)
{
    fet__node *old;

    if (!now)
        return;
    now = fet__reshape(t->g, now, FET_SHAPE(now->shape.dim[1]));
    old = state(t, name, now->shape.dim[0], start);
    now = fet__cast(t->g, fet__scale(t->g, now, BN_MOMENTUM * factor), FET_F32);
    fet__assign(t->g, old, fet__add(t->g, fet__scale(t->g, old, 1 - BN_MOMENTUM), now));
}

/* Statistics of the batch; the running variance is the unbiased one. */
static fet__node *batch_norm(const toy *t, fet__node *x)
{
    double n = (double)t->batch;
    fet__node *mean = fet__mean(t->g, x, 1u), *centred = fet__sub(t->g, x, mean);
    fet__node *variance = fet__mean(t->g, fet__mul(t->g, centred, centred), 1u);
    fet__node *scale = fet__unary(t->g, FET__OP_RSQRT, fet__shift(t->g, variance, BN_EPS));

    keep_running(t, "bn.running_mean", 0, mean, 1);
    keep_running(t, "bn.running_var", 1, variance, n / (n - 1));
    x = fet__mul(t->g, fet__mul(t->g, centred, scale), param(t, "bn.weight"));
    return fet__add(t->g, x, param(t, "bn.bias"));
}

static fet_status build_network(toy *t, bool reference)
{
    fet__program_options po = {.reference = reference, .require_finite = "loss"};
    fet__node *leaf[UPDATER_TENSORS], *grad[UPDATER_TENSORS], *x, *labels, *loss;
    char name[200];
    fet_status st;

    FET_TRY(fet__graph_create(&t->g));
    x = fet__input(t->g, "x", FET_F64, FET_SHAPE(t->batch, t->features));
    labels = fet__input(t->g, "y", FET_I32, FET_SHAPE(t->batch));
    x = batch_norm(t, fet__linear(t->g, x, param(t, "l1.weight"), param(t, "l1.bias")));
    x = fet__linear(t->g, fet__relu(t->g, x), param(t, "l2.weight"), param(t, "l2.bias"));
    loss = fet__scale(t->g, fet__sum_all(t->g, fet__cross_entropy(t->g, x, labels, 0)), 1.0 / (double)t->batch);
    fet__output(t->g, "loss", loss);
    FET_TRY(fet__graph_status(t->g));
    for (int i = 0; i < t->all.count; i++)
        leaf[i] = fet__leaf(t->g, t->all.param[i]);
    FET_TRY(fet__gradient(t->g, loss, leaf, t->all.count, false, grad));
    for (int i = 0; i < t->all.count; i++) {
        snprintf(name, sizeof name, "grad.%s", t->all.param[i]->name);
        fet__output(t->g, name, grad[i]);
    }
    FET_TRY(fet__program_create(&t->p, t->g, &po));
done:
    return st;
}

/* ---- configurations -------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Factors on the rate (golden/data/INDEX.md): the configuration's last word names the rule; others are
 * constant. */
static fet__schedule rule_of(const char *config, double base)
{
    fet__schedule s = {.kind = FET__CONSTANT, .base = base};

    if (ends_with(config, "_cos"))
        s = (fet__schedule){.kind = FET__COSINE, .base = base, .warmup = 5, .total = 25, .prefix = true};
    else if (ends_with(config, "_step"))
        s = (fet__schedule){.kind = FET__STEP, .base = base, .gamma = 0.5, .every = 8};
    else if (ends_with(config, "_multi"))
        s = (fet__schedule){
            .kind = FET__STEP, .base = base, .gamma = 0.1, .milestones = {12, 22}, .milestone_count = 2};
    return s;
}

/* The warm-up of these rules counts from one: (t + 1) / warmup; it has reached the peak when the decay begins
 * at t = warmup. */
static double rate_at(const fet__schedule *s, int64_t t)
{
    double now = (double)t;

    if (now + 1 < s->warmup)
        return fet__schedule_at(s, now + 1);
    return now < s->warmup ? s->base : fet__schedule_at(s, now);
}

static fet_status set_groups(toy *t, const char *config, const json_t *list)
{
    fet_status st = FET_OK;

    t->groups = (int)json_array_size(list);
    if (!json_is_array(list) || t->groups < 1 || t->groups > 2)
        return FET_FAIL(FET_E_FORMAT, "configuration %s is no list of one or two groups", fet__show(config));
    for (int i = 0; i < t->groups; i++) {
        fet__schedule constant;
        const json_t *j = json_array_get(list, (size_t)i);
        t->group[i].store = t->store;
        if (!updater_options(config, j, &t->group[i].o) || !updater_rate(j, &constant))
            return FET_FAIL(FET_E_FORMAT, "configuration %s cannot be read", fet__show(config));
        t->rate[i] = rule_of(config, constant.base);
    }
    for (int i = 0; i < t->all.count; i++) {
        int vector = t->groups == 2 && t->all.param[i]->shape.rank < 2;
        FET_TRY(updater_take(&t->group[vector], t->all.param[i]));
    }
done:
    return st;
}

static fet_status load_batches(toy *t, const parity_case *c)
{
    const fet__entry *e = fet__tensors_find(c->t, "in.x");
    int64_t labels = 0;
    fet_status st;

    FET_TRY(parity_doubles(c, "in.x", &t->x, NULL));
    FET_TRY(parity_doubles(c, "in.y", &t->y, &labels));
    if (e->shape.rank != 3 || e->shape.dim[0] * e->shape.dim[1] != labels || labels == 0) {
        st = FET_FAIL(FET_E_FORMAT, "in.x is %s for %lld labels", fet__shape_text(&e->shape), (long long)labels);
        goto done;
    }
    t->steps = e->shape.dim[0];
    t->batch = e->shape.dim[1];
    t->features = e->shape.dim[2];
    FET_TRY(FET_NEW(t->loss, t->steps));
    FET_TRY(FET_NEW(t->lr, t->steps));
done:
    return st;
}

/* ---- running --------------------------------------------------------------------------------------------- */

static fet_status update_group(toy *t, int g, int64_t step)
{
    updater *u = &t->group[g];
    char name[200];

    for (int i = 0; i < u->count; i++) {
        float *slot = updater_gradient(u, i);
        snprintf(name, sizeof name, "grad.%s", u->param[i]->name);
        if (slot)
            memcpy(slot, fet__program_output(t->p, name), (size_t)u->param[i]->bytes);
    }
    fet__optimizer_bind(&u->o, u->p, step, rate_at(&t->rate[g], step));
    return fet__program_run(u->p);
}

/* Gradients of the first step belong to whichever configuration runs; the golden has them once. */
static fet_status compare_gradients(parity_case *c, const toy *t)
{
    fet_status st = FET_OK;
    char name[200], own[200];

    for (int i = 0; i < t->all.count && st == FET_OK; i++) {
        const fet__param *p = t->all.param[i];
        snprintf(name, sizeof name, "grad.step0.%s", p->name);
        snprintf(own, sizeof own, "grad.%s", p->name);
        st = parity_compare(c, name, fet__program_output(t->p, own), FET_F32, fet__shape_count(&p->shape), PARITY_ABS,
                            1e-5);
    }
    return st;
}

static fet_status train(parity_case *c, toy *t)
{
    int64_t values = t->batch * t->features;
    fet_status st = FET_OK;

    for (int64_t k = 0; k < t->steps; k++) {
        fet__convert(fet__program_input(t->p, "x"), FET_F64, t->x + k * values, FET_F64, values);
        fet__convert(fet__program_input(t->p, "y"), FET_I32, t->y + k * t->batch, FET_F64, t->batch);
        FET_TRY(fet__program_run(t->p));
        t->loss[k] = *(const double *)fet__program_output(t->p, "loss");
        t->lr[k] = rate_at(&t->rate[0], k);
        if (k == 0)
            FET_TRY(compare_gradients(c, t));
        for (int g = 0; g < t->groups; g++)
            FET_TRY(update_group(t, g, k));
    }
done:
    return st;
}

/* final.CONFIG.NAME or, where the true gradient is zero, final_unstable.CONFIG.NAME. */
static fet_status compare_final(parity_case *c, const char *config, const char *leaf, const void *data, fet_dtype type,
                                int64_t count)
{
    char name[200];

    snprintf(name, sizeof name, "final.%s.%s", config, leaf);
    if (!fet__tensors_find(c->t, name))
        snprintf(name, sizeof name, "final_unstable.%s.%s", config, leaf);
    return parity_compare(c, name, data, type, count, PARITY_ABS, 1e-3);
}

static fet_status compare_results(parity_case *c, const toy *t, const char *config)
{
    char name[200];
    double *expected = NULL;
    fet_status st;

    snprintf(name, sizeof name, "out.%s.lr", config);
    FET_TRY(parity_compare(c, name, t->lr, FET_F64, t->steps, PARITY_REL, 1e-9));
    snprintf(name, sizeof name, "out.%s.loss", config);
    FET_TRY(parity_compare(c, name, t->loss, FET_F64, t->steps, PARITY_ABS, 1e-3));
    FET_TRY(parity_doubles(c, name, &expected, NULL));
    for (int64_t k = 0; k < t->steps && k < SURE_STEPS; k++)
        parity_note(c, name, t->loss[k] > expected[k] ? t->loss[k] - expected[k] : expected[k] - t->loss[k], 1e-5);
    for (int i = 0; i < fet__params_count(t->store); i++) {
        const fet__param *p = fet__params_at(t->store, i);
        if (strncmp(p->name, "optim.", 6) != 0)
            FET_TRY(compare_final(c, config, p->name, p->data, p->dtype, fet__shape_count(&p->shape)));
    }
    st = compare_final(c, config, "bn.num_batches_tracked", &t->steps, FET_I64, 1);
done:
    fet__free(expected);
    return st;
}

static fet_status check_config(parity_case *c, const char *config, const json_t *list)
{
    toy t = {0};
    fet_status st;

    FET_TRY(load_batches(&t, c));
    FET_TRY(fet__params_create(&t.store));
    t.all.store = t.store;
    FET_TRY(updater_add_all(&t.all, c, "param."));
    FET_TRY(set_groups(&t, config, list));
    FET_TRY(build_network(&t, c->reference));
    for (int g = 0; g < t.groups; g++)
        FET_TRY(updater_build(&t.group[g], c->reference));
    FET_TRY(train(c, &t));
    FET_TRY(compare_results(c, &t, config));
done:
    toy_fini(&t);
    return st;
}

fet_status parity_optim_toy(parity_case *c)
{
    return updater_configs(c, check_config);
}
