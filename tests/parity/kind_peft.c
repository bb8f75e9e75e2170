/* hydra.peft_lora: a LoRA in a folder of Hugging Face's PEFT on the base model of vit_base.safetensors: logits and merged weights
 * of expected.safetensors in that folder. */
#include "parity/vit_case.h"

#include <string.h>

static fet_status open_file(fet__tensors **out, const char *folder, const char *name)
{
    char *path = fet__path_join(folder, name);
    fet_status st = path ? fet__tensors_open(out, path) : FET_E_NOMEM;

    fet__free(path);
    return st;
}

/* The expectation's own images, in the model's order. */
static fet_status take_images(vit_case *v)
{
    int64_t hw = (int64_t)v->m->arch.height * v->m->arch.width, count;
    double *planes = NULL;
    fet_status st;

    FET_TRY(parity_doubles(v->c, "in.image", &planes, &count));
    if (count != v->batch * v->batches * 3 * hw)
        st = FET_FAIL(FET_E_FORMAT, "in.image has %lld values", (long long)count);
    for (int64_t i = 0; st == FET_OK && i < count; i++)
        v->images[i / (3 * hw) * 3 * hw + i % hw * 3 + i / hw % 3] = planes[i];
done:
    fet__free(planes);
    return st;
}

static fet_status check_merged(vit_case *v)
{
    static const char prefix[] = "out.merged.";
    fet__text merged = {0};
    fet_status st;

    FET_TRY(fet__model_merge(v->m, &merged));
    for (int i = 0; i < fet__tensors_count(v->c->t); i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        const fet__param *p;
        if (strncmp(e->name, prefix, strlen(prefix)) != 0)
            continue;
        p = fet__params_find(v->m->store, e->name + strlen(prefix));
        if (!p)
            return FET_FAIL(FET_E_VERIFY, "the merged model has no %s", e->name + strlen(prefix));
        FET_TRY(parity_compare(v->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 2e-6));
    }
done:
    fet__text_fini(&merged);
    return st;
}

static fet_status check(parity_case *expected, parity_case *base)
{
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, base, NULL));
    FET_TRY(fet__model_attach_file(v.m, expected->path));
    v.c = expected;
    FET_TRY(take_images(&v));
    FET_TRY(vit_check_step(&v, "out.logits", false));
    FET_TRY(check_merged(&v));
    FET_TRY(vit_check_step(&v, "out.logits", false)); /* merged, the same logits */
done:
    vit_close(&v);
    return st;
}

fet_status parity_peft_lora(parity_case *c)
{
    parity_case base = *c, expected = *c;
    fet_status st;

    base.t = expected.t = NULL;
    base.seen = expected.seen = NULL;
    FET_TRY(open_file(&expected.t, c->path, "expected.safetensors"));
    FET_TRY(open_file(&base.t, c->folder, "vit_base.safetensors"));
    FET_TRY(FET_NEW(expected.seen, fet__tensors_count(expected.t)));
    FET_TRY(FET_NEW(base.seen, fet__tensors_count(base.t)));
    FET_TRY(check(&expected, &base));
    c->compared = expected.compared;
    c->worst = expected.worst;
    c->worst_error = expected.worst_error;
    c->worst_tolerance = expected.worst_tolerance;
    memcpy(c->worst_name, expected.worst_name, sizeof c->worst_name);
done:
    fet__free(expected.seen);
    fet__free(base.seen);
    fet__tensors_close(expected.t);
    fet__tensors_close(base.t);
    return st;
}
