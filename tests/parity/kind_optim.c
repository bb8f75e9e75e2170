/* Optimisers: data.optim_given_grads (the update rules alone) and data.optim_clip_ema, through fet__optimizer
 * and programs. The small network of data.optim_toy is in kind_optim_toy.c. */
#include "parity/optim_run.h"

#include <string.h>

/* ---- data.optim_given_grads ------------------------------------------------------------------------------ */

/* Gradients [steps, ...] of each parameter, and the parameters after each step in the same layout. */
typedef struct course {
    int64_t steps, size[UPDATER_TENSORS];
    double *grad[UPDATER_TENSORS];
    float *after[UPDATER_TENSORS];
} course;

static void course_fini(course *k)
{
    for (int i = 0; i < UPDATER_TENSORS; i++) {
        fet__free(k->grad[i]);
        fet__free(k->after[i]);
    }
}

static fet_status course_load(course *k, const parity_case *c, const updater *u)
{
    fet_status st = FET_OK;
    char name[200];
    int64_t n;

    for (int i = 0; i < u->count; i++) {
        k->size[i] = fet__shape_count(&u->param[i]->shape);
        snprintf(name, sizeof name, "in.grad.%s", u->param[i]->name);
        FET_TRY(parity_doubles(c, name, &k->grad[i], &n));
        FET_TRY(FET_NEW(k->after[i], n));
        if (k->size[i] < 1 || n % k->size[i] != 0 || (i > 0 && n / k->size[i] != k->steps)) {
            st = FET_FAIL(FET_E_FORMAT, "%s has %lld values for a parameter of %lld", name, (long long)n,
                          (long long)k->size[i]);
            goto done;
        }
        k->steps = n / k->size[i];
    }
done:
    return st;
}

static void feed(updater *u, int i, const double *values)
{
    float *slot = updater_gradient(u, i);

    if (slot)
        fet__convert(slot, FET_F32, values, FET_F64, fet__shape_count(&u->param[i]->shape));
}

static fet_status course_run(course *k, updater *u, const fet__schedule *s)
{
    fet_status st = FET_OK;

    for (int64_t t = 0; t < k->steps; t++) {
        for (int i = 0; i < u->count; i++)
            feed(u, i, k->grad[i] + t * k->size[i]);
        fet__optimizer_bind(&u->o, u->p, t, fet__schedule_at(s, (double)t));
        FET_TRY(fet__program_run(u->p));
        for (int i = 0; i < u->count; i++)
            memcpy(k->after[i] + t * k->size[i], u->param[i]->data, (size_t)k->size[i] * sizeof(float));
    }
done:
    return st;
}

static fet_status check_config(parity_case *c, const char *config, const json_t *j)
{
    updater u = {0};
    course k = {0};
    fet__schedule s;
    char name[200];
    fet_status st;

    if (!updater_options(config, j, &u.o) || !updater_rate(j, &s))
        return FET_FAIL(FET_E_FORMAT, "configuration %s cannot be read", fet__show(config));
    FET_TRY(fet__params_create(&u.store));
    FET_TRY(updater_add_all(&u, c, "in.param."));
    FET_TRY(course_load(&k, c, &u));
    FET_TRY(updater_build(&u, c->reference));
    FET_TRY(course_run(&k, &u, &s));
    for (int i = 0; i < u.count; i++) {
        snprintf(name, sizeof name, "out.%s.%s", config, u.param[i]->name);
        FET_TRY(parity_compare(c, name, k.after[i], FET_F32, k.steps * k.size[i], PARITY_MIXED, 1e-6));
    }
done:
    updater_fini(&u);
    fet__params_destroy(u.store);
    course_fini(&k);
    return st;
}

fet_status parity_optim_given_grads(parity_case *c)
{
    return updater_configs(c, check_config);
}

/* ---- data.optim_clip_ema --------------------------------------------------------------------------------- */

static fet_status feed_all(parity_case *c, updater *u)
{
    char name[200];
    double *grad = NULL;
    fet_status st = FET_OK;

    for (int i = 0; i < u->count && st == FET_OK; i++) {
        snprintf(name, sizeof name, "in.grad.%s", u->param[i]->name);
        st = parity_doubles(c, name, &grad, NULL);
        if (st == FET_OK)
            feed(u, i, grad);
        fet__free(grad);
        grad = NULL;
    }
    return st;
}

/* One step of plain SGD at rate 1 from zero leaves the clipped gradient, negated. */
static fet_status check_clip(parity_case *c, const char *prefix, double limit)
{
    updater u = {.o = {.kind = FET__SGD, .clip = limit}};
    char name[200];
    fet_status st;

    FET_TRY(fet__params_create(&u.store));
    FET_TRY(updater_add_all(&u, c, "in.grad."));
    for (int i = 0; i < u.count; i++)
        memset(u.param[i]->data, 0, (size_t)u.param[i]->bytes);
    FET_TRY(updater_build(&u, c->reference));
    FET_TRY(feed_all(c, &u));
    fet__optimizer_bind(&u.o, u.p, 0, 1);
    FET_TRY(fet__program_run(u.p));
    for (int i = 0; i < u.count; i++) {
        float *v = u.param[i]->data;
        int64_t n = fet__shape_count(&u.param[i]->shape);
        for (int64_t k = 0; k < n; k++)
            v[k] = -v[k];
        snprintf(name, sizeof name, "%s.%s", prefix, u.param[i]->name);
        FET_TRY(parity_compare(c, name, v, FET_F32, n, PARITY_ABS, 1e-6));
    }
    snprintf(name, sizeof name, "%s.total_norm", prefix);
    st = parity_compare(c, name, fet__program_output(u.p, "grad_norm"), FET_F32, 1, PARITY_ABS, 1e-6);
done:
    updater_fini(&u);
    fet__params_destroy(u.store);
    return st;
}

static fet_status run_average(parity_case *c, const char *name, fet__program *p, fet__param *average)
{
    int64_t size = fet__shape_count(&average->shape), n;
    double *x = NULL;
    float *after = NULL, *slot = fet__program_input(p, "x");
    fet_status st;

    FET_TRY(parity_doubles(c, "in.ema_x", &x, &n));
    FET_TRY(FET_NEW(after, n));
    for (int64_t t = 0; t < n / size; t++) {
        fet__convert(slot, FET_F32, x + t * size, FET_F64, size);
        FET_TRY(fet__program_run(p));
        memcpy(after + t * size, average->data, (size_t)size * sizeof *after);
    }
    st = parity_compare(c, name, after, FET_F32, n, PARITY_ABS, 1e-6);
done:
    fet__free(x);
    fet__free(after);
    return st;
}

/* average <- decay * average + (1 - decay) * x, as a state that a program assigns. */
static fet_status check_average(parity_case *c, const char *name, double decay)
{
    fet__program_options po = {.reference = c->reference};
    fet__params *store = NULL;
    fet__graph *g = NULL;
    fet__program *p = NULL;
    fet__param *average;
    fet__node *old, *x;
    double *start = NULL;
    const fet__entry *e = fet__tensors_find(c->t, "in.ema0");
    fet_status st;

    FET_TRY(parity_doubles(c, "in.ema0", &start, NULL));
    FET_TRY(fet__params_create(&store));
    FET_TRY(fet__params_add(store, &average, "average", FET_F32, e->shape, FET__STATE));
    fet__convert(average->data, FET_F32, start, FET_F64, fet__shape_count(&e->shape));
    FET_TRY(fet__graph_create(&g));
    old = fet__leaf(g, average);
    x = fet__input(g, "x", FET_F32, e->shape);
    fet__assign(g, old, fet__add(g, fet__scale(g, old, decay), fet__scale(g, x, 1 - decay)));
    FET_TRY(fet__graph_status(g));
    FET_TRY(fet__program_create(&p, g, &po));
    st = run_average(c, name, p, average);
done:
    fet__free(start);
    fet__program_destroy(p);
    fet__graph_destroy(g);
    fet__params_destroy(store);
    return st;
}

fet_status parity_optim_clip_ema(parity_case *c)
{
    fet_status st = FET_OK;
    double value;
    char prefix[64];

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++) {
        const char *name = fet__tensors_at(c->t, i)->name, *norm = strstr(name, ".total_norm");
        if (sscanf(name, "out.ema_%lf", &value) == 1)
            st = check_average(c, name, value);
        if (!norm || sscanf(name, "out.clip%lf", &value) != 1)
            continue;
        snprintf(prefix, sizeof prefix, "%.*s", (int)(norm - name), name);
        st = check_clip(c, prefix, value);
    }
    return st;
}
