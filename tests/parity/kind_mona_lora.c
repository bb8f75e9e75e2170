/* mona.swin_lora: LoRA on the query and value rows of a Swin transformer's fused layers (methods/mona.md section 4). The golden keeps
 * both branches in one pair of tensors, ours are two: a copy of the golden with the rows told apart is what is checked. */
#include "parity/golden_copy.h"
#include "parity/swin_case.h"
#include "train/train.h"

#include <string.h>

/* "..attn.qkv.lora_A" is the first halves of "..attn.q.lora.down.weight" and "..attn.v.lora.down.weight". */
static fet_status cut(golden_copy *x, const fet__entry *e)
{
    static const char *const parts[] = {"q", "v"};
    const char *down = strstr(e->name, "qkv.lora_A"), *up = strstr(e->name, "qkv.lora_B"), *at = down ? down : up;
    char name[200];
    fet_status st = FET_OK;

    if (!at)
        return golden_keep(x, e);
    for (int i = 0; i < 2 && st == FET_OK; i++) {
        snprintf(name, sizeof name, "%.*s%s.lora.%s.weight", (int)(at - e->name), e->name, parts[i],
                 down ? "down" : "up");
        st = golden_rows(x, e, name, i, 2);
    }
    return st;
}

/* ---- checks ---------------------------------------------------------------------------------------------- */

static fet_status compare_merged(const swin_case *v)
{
    static const char prefix[] = "out.merged.";
    char name[200];
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(v->c->t) && st == FET_OK; i++) {
        const fet__entry *e = fet__tensors_at(v->c->t, i);
        const fet__param *p;
        if (strncmp(e->name, prefix, strlen(prefix)) != 0)
            continue;
        p = fet__params_find(v->m->store, swin_name(v, e->name + strlen(prefix), name));
        if (!p)
            return FET_FAIL(FET_E_VERIFY, "the merged model has no %s", name);
        st = parity_compare(v->c, e->name, p->data, p->dtype, fet__shape_count(&p->shape), PARITY_ABS, 1e-5);
    }
    return st;
}

static fet_status check_merge(parity_case *c, const char *spec)
{
    swin_case v = {.c = c, .adapter = spec};
    fet__text merged = {0};
    fet__step_options o = {.reference = c->reference};
    fet__step s = {0};
    fet_status st;

    FET_TRY(swin_open(&v, 0));
    FET_TRY(fet__model_merge(v.m, &merged));
    FET_TRY(compare_merged(&v));
    o.batch = v.batch;
    FET_TRY(fet__step_create(&s, v.m, &o));
    swin_feed(&v, s.images, FET_F32, s.labels, 0);
    FET_TRY(fet__step_compute(&s));
    st = parity_compare(c, "out.eval_logits_merged", s.logits, FET_F32, (int64_t)v.batch * v.m->arch.classes,
                        PARITY_ABS, 2e-5);
done:
    fet__step_fini(&s);
    fet__text_fini(&merged);
    swin_close(&v);
    return st;
}

fet_status parity_swin_lora(parity_case *c)
{
    golden_copy *x = NULL;
    char spec[128];
    fet_status st;

    snprintf(spec, sizeof spec, "lora:preset=mona,rank=%.0f,alpha=%.17g", parity_number(c, "lora_r", 64),
             parity_number(c, "lora_alpha", 1));
    FET_TRY(golden_copy_open(&x, c, cut));
    FET_TRY(swin_check(&x->case_, spec, NULL));
    FET_TRY(check_merge(&x->case_, spec));
done:
    golden_copy_close(x, c, cut, st == FET_OK);
    return st;
}
