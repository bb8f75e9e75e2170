/* mona.swin_lora: LoRA on the query and value rows of a Swin transformer's fused layers (methods/mona.md section 4). The golden keeps
 * both branches in one pair of tensors, ours are two: a copy of the golden with the rows told apart is what is checked. */
#include "parity/swin_case.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 1024

/* ---- a copy with the branches told apart ----------------------------------------------------------------- */

typedef struct copy {
    fet__entry entry[LIMIT];
    char name[LIMIT][200];
    int count;
    fet__tensors *t;
} copy;

static fet_status add(copy *x, const fet__entry *e, const char *name, int64_t part, int64_t parts)
{
    fet__entry *own = &x->entry[x->count];

    if (x->count == LIMIT)
        return FET_FAIL(FET_E_FORMAT, "more than %d tensors", LIMIT);
    *own = *e;
    own->name = x->name[x->count];
    snprintf(x->name[x->count++], sizeof x->name[0], "%s", name);
    if (parts > 1) {
        own->shape.dim[0] /= parts;
        own->bytes /= parts;
        own->data = (const char *)e->data + part * own->bytes;
    }
    return FET_OK;
}

/* "..attn.qkv.lora_A" is the first halves of "..attn.q.lora.down.weight" and "..attn.v.lora.down.weight". */
static fet_status add_split(copy *x, const fet__entry *e, const char *at, const char *leaf)
{
    static const char *const parts[] = {"q", "v"};
    char name[200];
    fet_status st = FET_OK;

    for (int i = 0; i < 2 && st == FET_OK; i++) {
        snprintf(name, sizeof name, "%.*s%s.lora.%s.weight", (int)(at - e->name), e->name, parts[i], leaf);
        st = add(x, e, name, i, 2);
    }
    return st;
}

static fet_status add_entry(copy *x, const fet__entry *e)
{
    const char *down = strstr(e->name, "qkv.lora_A"), *up = strstr(e->name, "qkv.lora_B");

    if (down || up)
        return add_split(x, e, down ? down : up, down ? "down" : "up");
    return add(x, e, e->name, 0, 1);
}

/* Through a file, so that the metadata come along. */
static fet_status reopen(copy *x, const fet__tensors *from)
{
    char path[] = "/tmp/fettle-parity-XXXXXX";
    fet__meta_pair meta[64];
    int n = 0, file = mkstemp(path);
    fet_status st;

    if (file < 0)
        return FET_FAIL(FET_E_IO, "no temporary file");
    close(file);
    for (int i = 0; i < fet__tensors_meta_count(from) && n < (int)FET_COUNT(meta); i++, n++)
        meta[n] =
            (fet__meta_pair){fet__tensors_meta_key(from, i), fet__tensors_meta(from, fet__tensors_meta_key(from, i))};
    st = fet__safetensors_write(path, x->entry, x->count, meta, n);
    if (st == FET_OK)
        st = fet__tensors_open(&x->t, path);
    unlink(path); /* the mapping stays */
    return st;
}

static fet_status copy_of(copy *x, const fet__tensors *from)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(from) && st == FET_OK; i++)
        st = add_entry(x, fet__tensors_at(from, i));
    return st == FET_OK ? reopen(x, from) : st;
}

/* What was compared of the copy counts for the golden: each half of a pair. */
static void carry(parity_case *c, const parity_case *own)
{
    c->compared = own->compared;
    c->worst = own->worst;
    c->worst_error = own->worst_error;
    c->worst_tolerance = own->worst_tolerance;
    memcpy(c->worst_name, own->worst_name, sizeof c->worst_name);
    for (int i = 0; i < fet__tensors_count(c->t); i++) {
        copy x = {.count = 0};
        bool all = add_entry(&x, fet__tensors_at(c->t, i)) == FET_OK;
        for (int j = 0; j < x.count; j++)
            for (int k = 0; k < fet__tensors_count(own->t); k++)
                if (strcmp(x.name[j], fet__tensors_at(own->t, k)->name) == 0)
                    all = all && own->seen[k];
        c->seen[i] = c->seen[i] || all;
    }
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
    parity_case own = *c;
    copy *x = NULL;
    char spec[128];
    fet_status st;

    snprintf(spec, sizeof spec, "lora:preset=mona,rank=%.0f,alpha=%.17g", parity_number(c, "lora_r", 64),
             parity_number(c, "lora_alpha", 1));
    own.seen = NULL;
    FET_TRY(FET_NEW(x, 1));
    FET_TRY(copy_of(x, c->t));
    own.t = x->t;
    FET_TRY(FET_NEW(own.seen, fet__tensors_count(own.t)));
    FET_TRY(swin_check(&own, spec, NULL));
    FET_TRY(check_merge(&own, spec));
    carry(c, &own);
done:
    fet__free(own.seen);
    if (x)
        fet__tensors_close(x->t);
    fet__free(x);
    return st;
}
