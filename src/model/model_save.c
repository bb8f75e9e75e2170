/* Writing models and adapters as safetensors with fettle's metadata. */
#include "model/model_int.h"

#include <string.h>

#define META_LIMIT 32

static int add_meta(fet__meta_pair *meta, int n, const char *key, const char *value)
{
    if (value && n < META_LIMIT)
        meta[n++] = (fet__meta_pair){key, value};
    return n;
}

static fet_status write(fet__model *m, const char *path, bool (*wanted)(const fet__param *), fet__meta_pair *meta,
                        int count)
{
    fet__entry *entries = NULL;
    int i, n = fet__params_count(m->store), used = 0;
    fet_status st;

    FET_TRY(FET_NEW(entries, n + 1));
    for (i = 0; i < n; i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (wanted(p))
            entries[used++] = (fet__entry){p->name, p->dtype, p->shape, p->data, p->bytes};
    }
    FET_TRY(fet__sealed_write(path, entries, used, meta, count));
done:
    fet__free(entries);
    return st;
}

static bool of_model(const fet__param *p)
{
    return p->role != FET__STATE;
}

static bool of_adapter(const fet__param *p)
{
    return p->role != FET__STATE && p->trainable;
}

/* What model and adapter files both carry; texts are freed by the caller. */
typedef struct texts {
    fet__text arch;
    char *classes, *preprocess, *adapter, *fused;
} texts;

static void texts_fini(texts *t)
{
    fet__text_fini(&t->arch);
    fet__free(t->classes);
    fet__free(t->preprocess);
    fet__free(t->adapter);
    fet__free(t->fused);
}

static fet_status common(fet__model *m, texts *t, fet__meta_pair *meta, int *n)
{
    m->arch.class_->print(&m->arch, &t->arch);
    if (t->arch.failed || !(t->preprocess = fet__preprocess_json(&m->input)))
        return FET_E_NOMEM;
    if (m->class_count && !(t->classes = fet__classes_json(m->classes, m->class_count)))
        return FET_E_ARG;
    *n = add_meta(meta, *n, "format", "pt");
    *n = add_meta(meta, *n, "fettle.version", FETTLE_VERSION);
    *n = add_meta(meta, *n, "fettle.arch", t->arch.s);
    *n = add_meta(meta, *n, "fettle.classes", t->classes);
    *n = add_meta(meta, *n, "fettle.preprocess", t->preprocess);
    return FET_OK;
}

fet_status fet__model_save(fet__model *m, const char *path, const fet__meta_pair *more, int more_count)
{
    fet__meta_pair meta[META_LIMIT];
    texts t = {0};
    int n = 0, i;
    fet_status st;

    if (m->adapter && !m->adapter->class_->trains && m->adapter->used)
        return FET_FAIL(FET_E_ARG, "adapter '%s' is attached: merge it before the model is saved",
                        m->adapter->class_->name);
    FET_TRY(common(m, &t, meta, &n));
    if (m->fused_count && !(t.fused = fet__fused_json(m))) {
        st = FET_E_NOMEM;
        goto done;
    }
    n = add_meta(meta, n, "fettle.fused", t.fused);
    for (i = 0; i < more_count; i++)
        n = add_meta(meta, n, more[i].key, more[i].value);
    FET_TRY(write(m, path, of_model, meta, n));
done:
    texts_fini(&t);
    return st;
}

fet_status fet__model_save_adapter(fet__model *m, const char *path, const fet__meta_pair *more, int more_count)
{
    fet__meta_pair meta[META_LIMIT];
    fet__adapter_meta a = {.input = m->input};
    texts t = {0};
    int n = 0, i;
    fet_status st;

    FET_TRY(common(m, &t, meta, &n));
    FET_TRY(fet__model_fingerprint(m, a.fingerprint));
    snprintf(a.model, sizeof a.model, "%s", m->path); /* for messages only: may be cut */
    if ((size_t)snprintf(a.spec, sizeof a.spec, "%s", m->adapter ? m->adapter->spec : "full") >= sizeof a.spec ||
        (size_t)snprintf(a.arch, sizeof a.arch, "%s", t.arch.s) >= sizeof a.arch) {
        st = FET_FAIL(
            FET_E_ARG,
            "the adapter's options or the architecture's are too long to be stored (%zu and %zu characters at most)",
            sizeof a.spec - 1, sizeof a.arch - 1);
        goto done;
    }
    if (!(t.adapter = fet__adapter_meta_json(&a))) {
        st = FET_E_NOMEM;
        goto done;
    }
    n = add_meta(meta, n, "fettle.adapter", t.adapter);
    for (i = 0; i < more_count; i++)
        n = add_meta(meta, n, more[i].key, more[i].value);
    FET_TRY(write(m, path, of_adapter, meta, n));
done:
    texts_fini(&t);
    return st;
}
