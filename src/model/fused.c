/* Modules that are part of a model: adapters that no plain weight could take in when they were merged, in their fused form. They are
 * listed in the file's metadata fettle.fused, a list of specs, and act through the same hooks as the adapter that is attached. */
#include "model/model_int.h"
#include "store/json_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- hooks: the fused modules in their order, then the attached adapter ------------------------------------------ */

static const fet__hooks *hooks_at(const fet__model *m, int i)
{
    if (i < m->fused_count)
        return &m->fused[i]->hooks;
    return i == m->fused_count && m->adapter ? &m->adapter->hooks : NULL;
}

static fet__node *linear(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    const fet__hooks *h;
    int i;

    for (i = 0; (h = hooks_at(user, i)) != NULL; i++)
        if (h->linear && y)
            y = h->linear(h->user, b, s, x, y);
    return y;
}

static fet__node *residual(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    const fet__hooks *h;
    int i;

    for (i = 0; (h = hooks_at(user, i)) != NULL; i++)
        if (h->residual && y)
            y = h->residual(h->user, b, s, x, y);
    return y;
}

static fet__node *stream(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    const fet__hooks *h;
    int i;

    for (i = 0; (h = hooks_at(user, i)) != NULL; i++)
        if (h->stream && o)
            o = h->stream(h->user, b, s, x, o);
    return o;
}

static fet__node *norm(void *user, fet__build *b, const fet__site *s, fet__node *y)
{
    const fet__hooks *h;
    int i;

    for (i = 0; (h = hooks_at(user, i)) != NULL; i++)
        if (h->norm && y)
            y = h->norm(h->user, b, s, y);
    return y;
}

static fet__node *tokens(void *user, fet__build *b, const fet__site *s, fet__node *x)
{
    const fet__hooks *h;
    int i;

    for (i = 0; (h = hooks_at(user, i)) != NULL; i++)
        if (h->tokens && x)
            x = h->tokens(h->user, b, s, x);
    return x;
}

const fet__hooks *fet__model_hooks(fet__model *m)
{
    int i;

    if (m->adapter)
        m->adapter->used = 0;
    for (i = 0; i < m->fused_count; i++)
        m->fused[i]->used = 0;
    if (m->fused_count == 0)
        return m->adapter ? &m->adapter->hooks : NULL;
    m->hooks = (fet__hooks){
        .user = m, .linear = linear, .residual = residual, .stream = stream, .norm = norm, .tokens = tokens};
    return &m->hooks;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

fet_status fet__fused_room(const fet__model *m)
{
    if (m->fused_count == FET__FUSED_LIMIT)
        return FET_FAIL(FET_E_ARG, "the model already carries %d fused modules, which is the most", FET__FUSED_LIMIT);
    return FET_OK;
}

void fet__fused_keep(fet__model *m, fet__adapter *a)
{
    m->fused[m->fused_count++] = a;
}

char *fet__fused_json(const fet__model *m)
{
    json_t *list = json_array();
    char *text, *own = NULL;
    int i;

    for (i = 0; i < m->fused_count; i++)
        json_array_append_new(list, json_string(m->fused[i]->spec));
    text = json_dumps(list, JSON_COMPACT);
    if (text)
        own = fet__strdup(text);
    free(text);
    json_decref(list);
    return own;
}

static fet_status add_spec(fet__model *m, const char *spec, const char *path)
{
    fet__adapter *a = NULL;
    fet_status st;

    FET_TRY(fet__fused_room(m));
    if (!spec)
        return FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.fused is not a list of adapters", fet__show(path));
    st = fet__adapter_create(&a, spec);
    if (st != FET_OK)
        return fet__fail_in(st == FET_E_ARG ? FET_E_FORMAT : st, "%s: metadata fettle.fused", fet__show(path));
    if (!a->class_->fuse) {
        st = FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.fused names '%s', which has no fused form", fet__show(path),
                      a->class_->name);
        fet__adapter_destroy(a);
        return st;
    }
    a->fused = m->fused_count + 1;
    fet__fused_keep(m, a);
done:
    return st;
}

fet_status fet__fused_parse(fet__model *m, const char *json, const char *path)
{
    json_t *list = NULL;
    fet_status st = FET_OK;
    size_t i;

    if (fet__json_load(&list, json, strlen(json), FET__JSON_METADATA_BYTES, path) != FET_OK || !json_is_array(list))
        st = FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.fused is not a list of adapters", fet__show(path));
    for (i = 0; st == FET_OK && i < json_array_size(list); i++)
        st = add_spec(m, json_string_value(json_array_get(list, i)), path);
    json_decref(list);
    return st;
}

void fet__fused_fini(fet__model *m)
{
    while (m->fused_count > 0)
        fet__adapter_destroy(m->fused[--m->fused_count]);
}
