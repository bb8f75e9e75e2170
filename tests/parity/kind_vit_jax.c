/* hydra.vit_jax: a vision transformer in Google's Flax names and layout. Opening it must give the tensors of
 * vit_base.safetensors beside it bit for bit, and its logits. */
#include "parity/vit_case.h"

#include <string.h>

static fet_status same_bits(parity_case *c, const fet__model *m, const fet__entry *e)
{
    const fet__param *p = fet__params_find(m->store, e->name + strlen("param."));
    bool same;

    if (!p)
        return FET_FAIL(FET_E_VERIFY, "the file gave no tensor %s", e->name + strlen("param."));
    same = fet__shape_equal(&p->shape, &e->shape) && p->dtype == e->dtype &&
           memcmp(p->data, e->data, (size_t)e->bytes) == 0;
    parity_note(c, e->name, same ? 0 : 1, 0.5);
    return FET_OK;
}

static fet_status check_tensors(parity_case *c, const fet__model *m)
{
    fet_status st = FET_OK;
    int params = 0;

    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        if (strncmp(fet__tensors_at(c->t, i)->name, "param.", 6) == 0) {
            st = same_bits(c, m, fet__tensors_at(c->t, i));
            params++;
        }
    if (st == FET_OK && params != fet__params_count(m->store))
        st = FET_FAIL(FET_E_VERIFY, "the file gave %d tensors, the reference has %d", fet__params_count(m->store),
                      params);
    return st;
}

/* The kind's own case has no tensors; it is checked against the reference's. */
static fet_status check(parity_case *base, const char *path)
{
    fet__model_options o = {.crop_pct = -1};
    fet__model *m = NULL;
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, base, NULL));
    FET_TRY(fet__model_open(&m, path, &o));
    FET_TRY(check_tensors(base, m));
    fet__model_close(v.m);
    v.m = m;
    m = NULL;
    FET_TRY(vit_check_step(&v, "out.logits", true));
done:
    fet__model_close(m);
    vit_close(&v);
    return st;
}

fet_status parity_vit_jax(parity_case *c)
{
    parity_case base = *c;
    char *path = fet__path_join(c->folder, "vit_base.safetensors");
    fet__tensors *t = NULL;
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(fet__tensors_open(&t, path));
    base.t = t;
    FET_TRY(FET_NEW(base.seen, fet__tensors_count(t)));
    FET_TRY(check(&base, c->path));
    c->compared = base.compared;
    c->worst = base.worst;
    c->worst_error = base.worst_error;
    c->worst_tolerance = base.worst_tolerance;
    memcpy(c->worst_name, base.worst_name, sizeof c->worst_name);
done:
    if (base.seen != c->seen)
        fet__free(base.seen);
    fet__tensors_close(t);
    fet__free(path);
    return st;
}
