/* hydra.vit_*: the plain vision transformer, Hydra and LoRA on it, and a short training run. What they share
 * is in vit_case.h. */
#include "parity/vit_case.h"

#include <jansson.h>
#include <string.h>

fet_status parity_vit_base(parity_case *c)
{
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, c, NULL));
    FET_TRY(vit_check_graph(&v));
    FET_TRY(vit_check_step(&v, "out.logits", true));
done:
    vit_close(&v);
    return st;
}

static void hydra_spec(const parity_case *c, char out[256])
{
    snprintf(out, 256, "hydra:at=attn.proj+mlp.fc2,rank=%.0f,scale=%.17g,init=xavier,bias=true,dropout=%.17g",
             parity_number(c, "rank", 2), parity_number(c, "scale", 1), parity_number(c, "dropout", 0));
}

static fet_status check_adapter(parity_case *c, const char *spec)
{
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, c, spec));
    FET_TRY(vit_check_graph(&v));
    FET_TRY(vit_check_step(&v, "out.logits", true));
    FET_TRY(vit_check_merge(&v));
done:
    vit_close(&v);
    return st;
}

fet_status parity_vit_hydra_both(parity_case *c)
{
    char spec[256];

    hydra_spec(c, spec);
    return check_adapter(c, spec);
}

fet_status parity_vit_lora_qv(parity_case *c)
{
    char spec[256];

    snprintf(spec, sizeof spec, "lora:at=attn.q+attn.v,rank=%.0f,alpha=%.17g", parity_number(c, "rank", 4),
             parity_number(c, "alpha", 8));
    return check_adapter(c, spec);
}

/* ---- training -------------------------------------------------------------------------------------------- */

typedef struct recipe {
    fet__optimizer_options o;
    fet__schedule s;
    int64_t epochs, per_epoch;
} recipe;

static double argument(const json_t *j, const char *key, double fallback)
{
    const json_t *v = json_object_get(j, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

static fet_status read_recipe(const parity_case *c, recipe *r)
{
    const char *betas = parity_text(c, "betas", "0.9,0.999");
    json_t *j = json_loads(parity_text(c, "schedule_args", ""), 0, NULL);
    bool good;

    *r = (recipe){.epochs = (int64_t)parity_number(c, "epochs", 1),
                  .per_epoch = (int64_t)parity_number(c, "steps_per_epoch", 1)};
    r->o = (fet__optimizer_options){
        .kind = FET__ADAMW, .eps = parity_number(c, "eps", 1e-8), .weight_decay = parity_number(c, "weight_decay", 0)};
    r->s = (fet__schedule){.kind = FET__COSINE,
                           .base = parity_number(c, "lr", 1e-3),
                           .total = argument(j, "t_initial", 1),
                           .warmup = argument(j, "warmup_t", 0),
                           .min = argument(j, "lr_min", 0),
                           .warmup_start = argument(j, "warmup_lr_init", 0)};
    good = j && sscanf(betas, "%lf,%lf", &r->o.beta1, &r->o.beta2) == 2 &&
           strcmp(parity_text(c, "optimizer", ""), "AdamW") == 0 &&
           strcmp(parity_text(c, "schedule", ""), "timm cosine") == 0 && r->epochs >= 1 && r->per_epoch >= 1;
    json_decref(j);
    return good ? FET_OK : FET_FAIL(FET_E_FORMAT, "the recipe in the metadata is not one that this runner knows");
}

static fet_status train(vit_case *v, const recipe *r, double *loss, double *rate)
{
    fet__step_options o = {.batch = v->batch, .train = true, .optimizer = &r->o, .reference = v->c->reference};
    fet__step s = {0};
    fet_status st;

    FET_TRY(fet__step_create(&s, v->m, &o));
    for (int64_t k = 0; k < r->epochs * r->per_epoch; k++) {
        int64_t epoch = k / r->per_epoch;
        rate[k] = fet__schedule_at(&r->s, epoch > 0 ? (double)(epoch - 1) : 0); /* the lag of methods/hydra.md 4.4 */
        vit_feed(v, s.images, FET_F32, s.labels, k % v->batches);
        if (s.step)
            *s.step = (int32_t)k;
        fet__optimizer_bind(&r->o, s.program, k, rate[k]);
        FET_TRY(fet__step_compute(&s));
        loss[k] = (double)*s.loss;
    }
done:
    fet__step_fini(&s);
    return st;
}

static fet_status compare_final(vit_case *v)
{
    static const char prefix[] = "final.";
    char name[200];
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(v->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        const fet__param *p;
        if (strncmp(e->name, prefix, strlen(prefix)) != 0)
            continue;
        if (!(p = fet__params_find(v->m->store, vit_name(e->name + strlen(prefix), name))))
            return FET_FAIL(FET_E_FORMAT, "the model has no tensor %s (%s)", name, e->name);
        st = parity_compare(v->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 5e-6);
    }
    return st;
}

fet_status parity_vit_hydra_train(parity_case *c)
{
    vit_case v;
    recipe r;
    double *loss = NULL, *rate = NULL;
    char spec[256];
    int64_t steps;
    fet_status st;

    hydra_spec(c, spec);
    FET_TRY(vit_open(&v, c, spec));
    FET_TRY(read_recipe(c, &r));
    steps = r.epochs * r.per_epoch;
    FET_TRY(FET_NEW(loss, steps));
    FET_TRY(FET_NEW(rate, steps));
    FET_TRY(train(&v, &r, loss, rate));
    FET_TRY(parity_compare(c, "loss", loss, FET_F64, steps, PARITY_ABS, 2e-5));
    FET_TRY(parity_compare(c, "out.lr", rate, FET_F64, steps, PARITY_ABS, 1e-9));
    FET_TRY(compare_final(&v));
    FET_TRY(vit_check_step(&v, "out.final_logits", false));
done:
    fet__free(loss);
    fet__free(rate);
    vit_close(&v);
    return st;
}
