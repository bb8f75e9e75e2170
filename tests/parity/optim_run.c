/* Programs that apply an optimiser to given gradients, and their options; see optim_run.h. */
#include "parity/optim_run.h"

#include <string.h>

void updater_fini(updater *u)
{
    fet__program_destroy(u->p);
    fet__graph_destroy(u->g);
    u->p = NULL;
    u->g = NULL;
}

fet_status updater_take(updater *u, fet__param *p)
{
    if (u->count == UPDATER_TENSORS)
        return FET_FAIL(FET_E_FORMAT, "more than %d parameters", UPDATER_TENSORS);
    u->param[u->count++] = p;
    return FET_OK;
}

static fet_status add_one(updater *u, const parity_case *c, const fet__entry *e, const char *name)
{
    double *values = NULL;
    fet__param *p;
    fet_status st;

    FET_TRY(parity_doubles(c, e->name, &values, NULL));
    FET_TRY(fet__params_add(u->store, &p, name, FET_F32, e->shape, FET__PARAM));
    p->trainable = true;
    fet__convert(p->data, FET_F32, values, FET_F64, fet__shape_count(&e->shape));
    st = updater_take(u, p);
done:
    fet__free(values);
    return st;
}

fet_status updater_add_all(updater *u, const parity_case *c, const char *prefix)
{
    size_t length = strlen(prefix);
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(c->t, i);
        if (strncmp(e->name, prefix, length) == 0)
            st = add_one(u, c, e, e->name + length);
    }
    return st;
}

fet_status updater_build(updater *u, bool reference)
{
    fet__program_options po = {.reference = reference};
    fet__node *leaf[UPDATER_TENSORS], *grad[UPDATER_TENSORS];
    char name[200];
    fet_status st;

    FET_TRY(fet__graph_create(&u->g));
    for (int i = 0; i < u->count; i++) {
        snprintf(name, sizeof name, "grad.%s", u->param[i]->name);
        leaf[i] = fet__leaf(u->g, u->param[i]);
        grad[i] = fet__input(u->g, name, FET_F32, u->param[i]->shape);
    }
    FET_TRY(fet__optimizer_build(&u->o, u->g, u->store, leaf, grad, u->count));
    FET_TRY(fet__program_create(&u->p, u->g, &po));
done:
    return st;
}

float *updater_gradient(updater *u, int i)
{
    char name[200];

    snprintf(name, sizeof name, "grad.%s", u->param[i]->name);
    return fet__program_input(u->p, name);
}

/* ---- options from JSON ----------------------------------------------------------------------------------- */

static double number(const json_t *j, const char *key, double fallback)
{
    const json_t *v = json_object_get(j, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

bool updater_options(const char *config, const json_t *j, fet__optimizer_options *o)
{
    const json_t *betas = json_object_get(j, "betas");
    char word[32];

    *o = (fet__optimizer_options){0};
    snprintf(word, sizeof word, "%.*s", (int)strcspn(config, "_"), config);
    if (!json_is_object(j) || !json_object_get(j, "lr") || !fet__optimizer_parse(word, o))
        return false;
    o->momentum = number(j, "momentum", 0);
    o->dampening = number(j, "dampening", 0);
    o->nesterov = json_is_true(json_object_get(j, "nesterov"));
    o->beta1 = betas ? json_number_value(json_array_get(betas, 0)) : 0.9;
    o->beta2 = betas ? json_number_value(json_array_get(betas, 1)) : 0.999;
    o->eps = number(j, "eps", 1e-8);
    o->alpha = number(j, "alpha", 0.99);
    o->amsgrad = json_is_true(json_object_get(j, "amsgrad"));
    o->weight_decay = number(j, "weight_decay", 0);
    return true;
}

bool updater_rate(const json_t *j, fet__schedule *s)
{
    const json_t *v = json_object_get(j, "lr");

    *s = (fet__schedule){.kind = FET__CONSTANT, .base = json_number_value(v)};
    if (json_is_number(v))
        return true;
    s->kind = FET__STEP;
    return json_is_string(v) &&
           sscanf(json_string_value(v), "%lf * %lf**floor(t/%lf)", &s->base, &s->gamma, &s->every) == 3;
}

fet_status updater_configs(parity_case *c, fet_status (*check)(parity_case *c, const char *config, const json_t *j))
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_meta_count(c->t) && st == FET_OK; i++) {
        const char *key = fet__tensors_meta_key(c->t, i);
        json_t *j = strcmp(key, "tol") == 0 ? NULL : json_loads(fet__tensors_meta(c->t, key), 0, NULL);
        if (j)
            st = check(c, key, j);
        json_decref(j);
    }
    return st;
}
