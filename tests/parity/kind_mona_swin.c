/* mona.swin_*: Swin transformers under Mona and the adapters that it is compared with (methods/mona.md 4), and Mona's training under
 * two weight-decay rules (section 5). The backbone's part is in swin_case.h. */
#include "parity/swin_case.h"
#include "train/train.h"

#include <jansson.h>
#include <string.h>

static fet_status check_inner(parity_case *c, const char *format)
{
    char spec[128];

    snprintf(spec, sizeof spec, "%s,n=%.0f", format, parity_number(c, "inner", 64));
    return swin_check(c, spec, NULL);
}

fet_status parity_swin_mona(parity_case *c)
{
    return check_inner(c, "mona:preset=mona");
}

fet_status parity_swin_adapter(parity_case *c)
{
    return check_inner(c, "adapter:preset=mona");
}

fet_status parity_swin_adaptformer(parity_case *c)
{
    return check_inner(c, "adaptformer:preset=mona");
}

/* ---- training -------------------------------------------------------------------------------------------- */

typedef struct recipe {
    fet__optimizer_options o;
    int64_t steps;
    double rate;
} recipe;

static fet_status read_recipe(const parity_case *c, recipe *r)
{
    const char *betas = parity_text(c, "betas", "0.9,0.999"), *clip = parity_text(c, "grad_clip", "null");
    char rule[16];

    *r = (recipe){.steps = (int64_t)parity_number(c, "steps", 1), .rate = parity_number(c, "lr", 1e-3)};
    r->o = (fet__optimizer_options){
        .kind = FET__ADAMW, .eps = parity_number(c, "eps", 1e-8), .weight_decay = parity_number(c, "weight_decay", 0)};
    if (strcmp(clip, "null") != 0 && strcmp(clip, "None") != 0)
        r->o.clip = parity_number(c, "grad_clip", 0);
    snprintf(rule, sizeof rule, "%s", parity_text(c, "rule", ""));
    if (sscanf(betas, "%lf,%lf", &r->o.beta1, &r->o.beta2) != 2 || r->steps < 1 ||
        strcmp(parity_text(c, "optimizer", ""), "AdamW") != 0 ||
        strcmp(parity_text(c, "lr_schedule", ""), "constant") != 0 || !fet__decay_rule_parse(rule, &r->o.no_decay))
        return FET_FAIL(FET_E_FORMAT, "the recipe in the metadata is not one that this runner knows");
    return FET_OK;
}

static fet_status train(swin_case *v, const recipe *r, double *loss, double *norm)
{
    fet__step_options o = {.batch = v->batch, .train = true, .optimizer = &r->o, .reference = v->c->reference};
    fet__step s = {0};
    fet_status st;

    FET_TRY(fet__step_create(&s, v->m, &o));
    for (int64_t k = 0; k < r->steps; k++) {
        swin_feed(v, s.images, FET_F32, s.labels, k % v->batches);
        if (s.step)
            *s.step = (int32_t)k;
        fet__optimizer_bind(&r->o, s.program, k, r->rate);
        FET_TRY(fet__step_compute(&s));
        loss[k] = (double)*s.loss;
        norm[k] = (double)*s.grad_norm;
    }
done:
    fet__step_fini(&s);
    return st;
}

static fet_status compare_final(swin_case *v)
{
    static const char prefix[] = "final.";
    char name[200];
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(v->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        const fet__param *p;
        if (strncmp(e->name, prefix, strlen(prefix)) != 0)
            continue;
        if (!(p = fet__params_find(v->m->store, swin_name(v, e->name + strlen(prefix), name))))
            return FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
        st = parity_compare(v->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 5e-6);
    }
    return st;
}

/* Which tensors are spared the decay: the golden's list, no more and no less. */
static fet_status check_spared(const swin_case *v, const recipe *r)
{
    json_t *list = json_loads(parity_text(v->c, "no_decay", ""), 0, NULL);
    int found = 0, spared = 0;
    char name[200];
    fet_status st = FET_OK;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *golden = json_string_value(json_array_get(list, i));
        const fet__param *p = fet__params_find(v->m->store, swin_name(v, golden ? golden : "", name));
        found += p && p->trainable && !fet__decays(r->o.no_decay, v->m->store, p);
    }
    for (int i = 0; i < fet__params_count(v->m->store); i++) {
        const fet__param *p = fet__params_at(v->m->store, i);
        spared += p->role == FET__PARAM && p->trainable && !fet__decays(r->o.no_decay, v->m->store, p);
    }
    if (found != (int)json_array_size(list) || found == 0 || spared != found)
        st = FET_FAIL(FET_E_VERIFY, "%d tensors are spared the decay, %d of the golden's %d among them", spared, found,
                      (int)json_array_size(list));
    json_decref(list);
    return st;
}

fet_status parity_swin_mona_train(parity_case *c)
{
    swin_case v = {.c = c};
    double *loss = NULL, *norm = NULL;
    char spec[128];
    recipe r;
    fet_status st;

    snprintf(spec, sizeof spec, "mona:preset=mona,n=%.0f,dropout=%.17g", parity_number(c, "inner", 64),
             parity_number(c, "dropout", 0));
    v.adapter = spec;
    FET_TRY(read_recipe(c, &r));
    FET_TRY(FET_NEW(loss, r.steps));
    FET_TRY(FET_NEW(norm, r.steps));
    FET_TRY(swin_open(&v, 0));
    FET_TRY(swin_check_graph(&v)); /* the gradients of step 0 */
    FET_TRY(check_spared(&v, &r));
    FET_TRY(train(&v, &r, loss, norm));
    FET_TRY(parity_compare(c, "loss", loss, FET_F64, r.steps, PARITY_ABS, 1e-5));
    FET_TRY(parity_compare(c, "out.grad_norm", norm, FET_F64, r.steps, PARITY_ABS, 1e-4));
    FET_TRY(compare_final(&v));
done:
    fet__free(loss);
    fet__free(norm);
    swin_close(&v);
    return st;
}
