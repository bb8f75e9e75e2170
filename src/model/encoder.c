/* A model turned into an encoder for retrieval: without its classifier, and for residual networks with what re-identification changes
 * (methods/spcl.md, sections 1 and 2): last stride, pooling, a batch norm behind it, norms of one or two domains. Weights that exist are
 * carried over: a plain norm becomes both branches, of two branches one becomes the plain norm. */
#include "model/model_int.h"

#include <string.h>

static const char *const leaves[] = {"weight", "bias", "running_mean", "running_var"};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

static void drop_head(fet__model *m)
{
    size_t length = strlen(m->arch.head);

    for (int i = fet__params_count(m->store) - 1; i >= 0; i--) {
        fet__param *p = fet__params_at(m->store, i);
        if (length && strncmp(p->name, m->arch.head, length) == 0 && p->name[length] == '.')
            fet__params_remove(m->store, p);
    }
    m->arch.classes = 0;
    m->class_count = 0;
    m->classes = NULL;
}

/* ---- norms of one and of two domains ------------------------------------------------------------------------------ */

static fet_status copy_as(fet__params *store, const fet__param *p, const char *name)
{
    fet__param *q;
    fet_status st = fet__params_add(store, &q, name, p->dtype, p->shape, p->role);

    if (st != FET_OK)
        return st;
    memcpy(q->data, p->data, (size_t)p->bytes);
    q->loaded = p->loaded;
    return FET_OK;
}

/* BASE.weight and its like become BASE.BN_S.weight and BASE.BN_T.weight. */
static fet_status split_norm(fet__params *store, const char *base)
{
    char from[320], source[320], target[320];
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(leaves) && st == FET_OK; i++) {
        fet__param *p;
        snprintf(from, sizeof from, "%s.%s", base, leaves[i]);
        snprintf(source, sizeof source, "%s.BN_S.%s", base, leaves[i]);
        snprintf(target, sizeof target, "%s.BN_T.%s", base, leaves[i]);
        if (!(p = fet__params_find(store, from)))
            continue;
        st = copy_as(store, p, target);
        if (st == FET_OK)
            st = fet__params_rename(store, p, source);
    }
    return st;
}

/* Of the two branches below BASE one becomes BASE's own. */
static fet_status join_norm(fet__params *store, const char *base, bool source)
{
    char kept[320], dropped[320], to[320];
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(leaves) && st == FET_OK; i++) {
        fet__param *p;
        snprintf(kept, sizeof kept, "%s.%s.%s", base, source ? "BN_S" : "BN_T", leaves[i]);
        snprintf(dropped, sizeof dropped, "%s.%s.%s", base, source ? "BN_T" : "BN_S", leaves[i]);
        snprintf(to, sizeof to, "%s.%s", base, leaves[i]);
        if ((p = fet__params_find(store, dropped)))
            fet__params_remove(store, p);
        if ((p = fet__params_find(store, kept)))
            st = fet__params_rename(store, p, to);
    }
    return st;
}

/* The layers whose running mean's name ends in `end`, without that end; in the arena. */
static fet_status norms_ending(fet__arena *arena, const fet__params *store, const char *end, char ***out, int *count)
{
    int n = fet__params_count(store);

    *count = 0;
    *out = fet__arena_alloc(arena, (size_t)n + 1, sizeof **out);
    if (!*out)
        return FET_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const char *name = fet__params_at(store, i)->name;
        if (!ends_with(name, end))
            continue;
        (*out)[*count] = fet__arena_format(arena, "%.*s", (int)(strlen(name) - strlen(end)), name);
        if (!(*out)[(*count)++])
            return FET_E_NOMEM;
    }
    return FET_OK;
}

static fet_status change_norms(fet__model *m, bool two, bool source)
{
    fet__arena arena = {0};
    char **base = NULL;
    int count = 0;
    fet_status st = norms_ending(&arena, m->store, two ? ".running_mean" : ".BN_S.running_mean", &base, &count);

    for (int i = 0; i < count && st == FET_OK; i++)
        st = two ? split_norm(m->store, base[i]) : join_norm(m->store, base[i], source);
    fet__arena_fini(&arena);
    return st;
}

/* ---- architecture -------------------------------------------------------------------------------------------------- */

static fet_status change_arch(fet__model *m, const fet__encoder_options *o, bool two)
{
    fet__text t = {0};
    fet__arch next = {0};
    fet_status st;

    m->arch.class_->print(&m->arch, &t);
    fet__text_printf(&t, ",classes=0,neck=true,domains=%s", two ? "true" : "false");
    if (o->last_stride)
        fet__text_printf(&t, ",stride=%d", o->last_stride);
    if (o->pool)
        fet__text_printf(&t, ",pool=%s", o->pool);
    if (t.failed) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(fet__arch_create(&next, t.s));
    fet__arch_fini(&m->arch);
    m->arch = next;
done:
    fet__text_fini(&t);
    return st;
}

static fet_status change_resnet(fet__model *m, const fet__encoder_options *o)
{
    bool has_two = fet__params_find(m->store, "bn1.BN_S.weight") != NULL;
    bool two = o->domains == FET__DOMAINS_KEEP ? has_two : o->domains == FET__DOMAINS_TWO;
    fet_status st = FET_OK;

    if (two != has_two)
        FET_TRY(change_norms(m, two, o->domains == FET__DOMAINS_SOURCE));
    st = change_arch(m, o, two);
done:
    return st;
}

fet_status fet__model_encoder(fet__model *m, const fet__encoder_options *o)
{
    bool resnet = strcmp(m->arch.class_->family, "resnet") == 0;
    fet_status st = FET_OK;

    if (m->adapter)
        return FET_FAIL(FET_E_ARG, "an encoder is made of a model without an adapter: merge it first");
    drop_head(m);
    if (resnet)
        FET_TRY(change_resnet(m, o));
    else if (o->domains == FET__DOMAINS_TWO)
        fet__note("architecture '%s' has no norms of two domains: source and target share theirs",
                  m->arch.class_->family);
    else if (o->domains == FET__DOMAINS_SOURCE)
        fet__note("architecture '%s' has no norms of two domains: --domain changes nothing", m->arch.class_->family);
    if (!resnet && o->pool)
        return FET_FAIL(FET_E_ARG, "architecture '%s' has no choice of pooling", m->arch.class_->family);
    m->base_fingerprint[0] = '\0';
    st = fet__model_probe(m, true, true);
done:
    return st;
}
