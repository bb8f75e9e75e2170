/* Learning rates over time: data.lr_schedules (one tensor a shape, named after its numbers) and
 * hydra.lr_schedule (the VTAB-1k recipe as it really ran, methods/hydra.md 4.4). */
#include "parity/parity.h"
#include "train/train.h"

#include <math.h>
#include <string.h>

/* ---- data.lr_schedules ----------------------------------------------------------------------------------- */

/* The peak is not always in the name; it follows from the first two values of the tensor. */
typedef struct shape {
    const char *name;
    const double *value;
    fet__schedule s;
} shape;

static bool whole(const char *text, int end)
{
    return end > 0 && text[end] == '\0';
}

static bool step(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__STEP, .base = x->value[0]};
    return sscanf(x->name, "step_%lf_%lf%n", &x->s.every, &x->s.gamma, &end) == 2 && whole(x->name, end);
}

/* "multistep_7_15_15_30_0.2": the last number is the factor. */
static bool multistep(shape *x)
{
    static const char head[] = "multistep_";
    const char *at = x->name + sizeof head - 1;
    double number[17];
    int n = 0, used = 0;

    if (strncmp(x->name, head, sizeof head - 1) != 0)
        return false;
    while (n < 17 && sscanf(at, "%lf%n", &number[n], &used) == 1) {
        n++;
        at += used + (at[used] == '_');
    }
    if (n < 2 || *at)
        return false;
    x->s = (fet__schedule){.kind = FET__STEP, .base = x->value[0], .gamma = number[n - 1], .milestone_count = n - 1};
    memcpy(x->s.milestones, number, (size_t)(n - 1) * sizeof *number);
    return true;
}

static bool cosine(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__COSINE, .base = x->value[0]};
    return sscanf(x->name, "cosine_T%lf_min%lf%n", &x->s.total, &x->s.min, &end) == 2 && whole(x->name, end);
}

static bool exponential(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__EXP, .base = x->value[0]};
    return sscanf(x->name, "exp_%lf%n", &x->s.gamma, &end) == 1 && whole(x->name, end);
}

static bool polynomial(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__POLY, .base = x->value[0]};
    return sscanf(x->name, "poly_p%lf_T%lf_min%lf%n", &x->s.power, &x->s.total, &x->s.min, &end) == 3 &&
           whole(x->name, end);
}

static bool warm_cosine(shape *x)
{
    double factor = 1;
    int end = 0;

    x->s = (fet__schedule){.kind = FET__COSINE, .prefix = true, .warmup_start = x->value[0]};
    if (sscanf(x->name, "warm%lf_linear_factor%lf_then_cosine%lf%n", &x->s.warmup, &factor, &x->s.total, &end) != 3 ||
        !whole(x->name, end))
        return false;
    x->s.base = x->value[0] / factor;
    return true;
}

static bool warm_multistep(shape *x)
{
    double factor = 1;
    int end = 0;

    x->s = (fet__schedule){.kind = FET__STEP, .gamma = 0.1, .milestone_count = 2, .warmup_start = x->value[0]};
    if (sscanf(x->name, "warmup_multistep_%lf_f%lf_%lf_%lf%n", &x->s.warmup, &factor, &x->s.milestones[0],
               &x->s.milestones[1], &end) != 4 ||
        !whole(x->name, end))
        return false;
    x->s.base = x->value[0] / factor;
    return true;
}

/* The rate rises by (base - start) / warmup a step. */
static void peak_from_rise(shape *x)
{
    x->s.base = x->s.warmup_start + x->s.warmup * (x->value[1] - x->value[0]);
}

static bool epoch_cosine(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__COSINE};
    if (sscanf(x->name, "epoch_cosine_T%lf_warm%lf_init%lf_noprefix%n", &x->s.total, &x->s.warmup, &x->s.warmup_start,
               &end) != 3 ||
        !whole(x->name, end))
        return false;
    peak_from_rise(x);
    return true;
}

static bool epoch_cosine_prefix(shape *x)
{
    int end = 0;

    x->s = (fet__schedule){.kind = FET__COSINE, .prefix = true, .warmup_start = x->value[0]};
    if (sscanf(x->name, "epoch_cosine_T%lf_warm%lf_prefix_min%lf%n", &x->s.total, &x->s.warmup, &x->s.min, &end) != 3 ||
        !whole(x->name, end))
        return false;
    peak_from_rise(x);
    return true;
}

static fet_status check_shape(parity_case *c, const char *name)
{
    static bool (*const readers[])(shape *) = {step,           multistep,    cosine,
                                               exponential,    polynomial,   warm_cosine,
                                               warm_multistep, epoch_cosine, epoch_cosine_prefix};
    double *expected = NULL, *rate = NULL;
    int64_t n;
    size_t i;
    shape x = {.name = name};
    fet_status st;

    FET_TRY(parity_doubles(c, name, &expected, &n));
    FET_TRY(FET_NEW(rate, n));
    x.value = expected;
    for (i = 0; i < FET_COUNT(readers) && !(n > 1 && readers[i](&x)); i++)
        ;
    if (i == FET_COUNT(readers)) {
        st = FET_FAIL(FET_E_FORMAT, "unknown schedule %s", fet__show(name));
        goto done;
    }
    for (int64_t t = 0; t < n; t++)
        rate[t] = fet__schedule_at(&x.s, (double)t);
    st = parity_compare(c, name, rate, FET_F64, n, PARITY_REL, 1e-9);
done:
    fet__free(expected);
    fet__free(rate);
    return st;
}

fet_status parity_lr_schedules(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = check_shape(c, fet__tensors_at(c->t, i)->name);
    return st;
}

/* ---- hydra.lr_schedule ----------------------------------------------------------------------------------- */

/* Epoch e runs at the rate of epoch max(e - 1, 0): the published loop steps its schedule at the end of the
 * epoch. */
static fet_status check_lagging(parity_case *c, const char *key, const char *text)
{
    fet__schedule s = {.kind = FET__COSINE,
                       .base = parity_number(c, "base_lr", 1e-3),
                       .min = parity_number(c, "lr_min", 1e-5),
                       .warmup = parity_number(c, "warmup_t", 10),
                       .warmup_start = parity_number(c, "warmup_lr_init", 1e-6)};
    char name[160];
    double *rate = NULL;
    const fet__entry *e;
    int64_t n;
    fet_status st;

    snprintf(name, sizeof name, "out.%s", key);
    if (!(e = fet__tensors_find(c->t, name)) || sscanf(text, "t_initial=%lf", &s.total) != 1)
        return FET_OK; /* another piece of metadata */
    n = fet__shape_count(&e->shape);
    FET_TRY(FET_NEW(rate, n));
    for (int64_t epoch = 0; epoch < n; epoch++)
        rate[epoch] = fet__schedule_at(&s, epoch > 0 ? (double)(epoch - 1) : 0);
    st = parity_compare(c, name, rate, FET_F64, n, PARITY_ABS, 1e-9);
done:
    fet__free(rate);
    return st;
}

fet_status parity_hydra_lr_schedule(parity_case *c)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_meta_count(c->t) && st == FET_OK; i++) {
        const char *key = fet__tensors_meta_key(c->t, i);
        st = check_lagging(c, key, fet__tensors_meta(c->t, key));
    }
    return st;
}
