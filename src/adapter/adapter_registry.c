/* The table of adapters, parsing of "NAME[:key=value,...]", selection of what trains, and merging over all sites. What an
 * adapter does is in its own file. */
#include "adapter/adapter.h"
#include "adapter/adapter_int.h"

#include <math.h>
#include <string.h>

#define OPTION_LIMIT 64 /* options, or presets, of one adapter */

const fet__adapter_class *const fet__adapter_classes[] = {&fet__adapter_hydra,
                                                          &fet__adapter_lora,
                                                          &fet__adapter_seqlora,
                                                          &fet__adapter_mona,
                                                          &fet__adapter_adapter,
                                                          &fet__adapter_adaptformer,
                                                          &fet__adapter_repadapter,
                                                          &fet__adapter_ssf,
                                                          &fet__adapter_fact,
                                                          &fet__adapter_vpt,
                                                          &fet__adapter_bitfit,
                                                          &fet__adapter_norm,
                                                          &fet__adapter_partial1,
                                                          &fet__adapter_site,
                                                          &fet__adapter_linear,
                                                          &fet__adapter_full,
                                                          NULL};

static int option_count(const fet__adapter_class *c)
{
    int n = 0;

    while (c->options && c->options[n].key)
        n++;
    return n;
}

static const fet__adapter_class *find_class(const char *name, size_t length)
{
    int i;

    for (i = 0; fet__adapter_classes[i]; i++)
        if (strlen(fet__adapter_classes[i]->name) == length && memcmp(fet__adapter_classes[i]->name, name, length) == 0)
            return fet__adapter_classes[i];
    return NULL;
}

static fet_status unknown_class(const char *name, size_t length)
{
    const char *names[64];
    char word[64];
    int n = 0, near;

    for (; fet__adapter_classes[n]; n++)
        names[n] = fet__adapter_classes[n]->name;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    near = fet__nearest(word, names, n);
    if (near >= 0)
        return FET_FAIL(FET_E_ARG, "unknown adapter '%s'; the nearest is '%s' (fettle list adapters shows all)",
                        fet__show(word), names[near]);
    return FET_FAIL(FET_E_ARG, "unknown adapter '%s' (fettle list adapters shows all)", fet__show(word));
}

static int find_option(const fet__adapter_class *c, const char *key)
{
    int i, n = option_count(c);

    for (i = 0; i < n; i++)
        if (strcmp(c->options[i].key, key) == 0)
            return i;
    return -1;
}

static fet_status unknown_option(const fet__adapter_class *c, const char *key)
{
    const char *keys[OPTION_LIMIT] = {0};
    int n = option_count(c), i, near;

    if (n == 0)
        return FET_FAIL(FET_E_ARG, "adapter '%s' takes no options ('%s' given)", c->name, fet__show(key));
    for (i = 0; i < n && i < (int)FET_COUNT(keys); i++)
        keys[i] = c->options[i].key;
    near = fet__nearest(key, keys, i);
    if (near >= 0)
        return FET_FAIL(FET_E_ARG, "adapter '%s' has no option '%s'; the nearest is '%s'", c->name, fet__show(key),
                        keys[near]);
    return FET_FAIL(FET_E_ARG, "adapter '%s' has no option '%s'", c->name, fet__show(key));
}

/* `given` remembers which options this text named already: one that is named twice would lose its first value unsaid. */
static fet_status set_option(fet__adapter *a, char *pair, bool given[OPTION_LIMIT])
{
    char *equals = strchr(pair, '='), *value;
    int i;

    if (!equals)
        return FET_FAIL(FET_E_ARG, "adapter option '%s' is not of the form key=value", fet__show(pair));
    *equals = '\0';
    if (strcmp(pair, "preset") == 0 && a->class_->presets)
        return FET_OK; /* applied before all others */
    i = find_option(a->class_, pair);
    if (i < 0)
        return unknown_option(a->class_, pair);
    if (given[i])
        return FET_FAIL(FET_E_ARG, "adapter '%s': option '%s' is given twice", a->class_->name, pair);
    given[i] = true;
    value = fet__strdup(equals + 1);
    if (!value)
        return FET_E_NOMEM;
    fet__free(a->values[i]);
    a->values[i] = value;
    return FET_OK;
}

static fet_status set_options(fet__adapter *a, const char *text)
{
    bool given[OPTION_LIMIT] = {false};
    fet_status st = FET_OK;
    char *copy = fet__strdup(text), *pair, *save = NULL;

    if (!copy)
        return FET_E_NOMEM;
    for (pair = strtok_r(copy, ",", &save); pair && st == FET_OK; pair = strtok_r(NULL, ",", &save))
        st = set_option(a, pair, given);
    fet__free(copy);
    return st;
}

static fet_status set_preset(fet__adapter *a, const char *name)
{
    const fet__preset *p = a->class_->presets;
    const char *names[OPTION_LIMIT] = {0};
    int n = 0, near;

    for (; p && p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return set_options(a, p->options);
        if (n < OPTION_LIMIT)
            names[n++] = p->name;
    }
    near = fet__nearest(name, names, n);
    return FET_FAIL(FET_E_ARG, "adapter '%s' has no preset '%s'; %s is '%s'", a->class_->name, fet__show(name),
                    near >= 0 ? "the nearest" : "one that it has", names[near >= 0 ? near : 0]);
}

/* The last "preset=NAME" of the text, wherever it stands: what is said beside a preset overrides it. */
static fet_status apply_preset(fet__adapter *a, const char *text)
{
    fet_status st = FET_OK;
    char *copy = fet__strdup(text), *pair, *save = NULL;

    if (!copy)
        return FET_E_NOMEM;
    for (pair = strtok_r(copy, ",", &save); pair && st == FET_OK; pair = strtok_r(NULL, ",", &save))
        if (a->class_->presets && strncmp(pair, "preset=", 7) == 0)
            st = set_preset(a, pair + 7);
    fet__free(copy);
    return st;
}

static fet_status write_spec(fet__adapter *a)
{
    fet__text t = {0};
    int i, n = option_count(a->class_), written = 0;

    fet__text_printf(&t, "%s", a->class_->name);
    for (i = 0; i < n; i++)
        if (a->values[i][0])
            fet__text_printf(&t, "%c%s=%s", written++ ? ',' : ':', a->class_->options[i].key, a->values[i]);
    if (!t.failed)
        a->spec = fet__strdup(t.s);
    fet__text_fini(&t);
    return a->spec ? FET_OK : FET_E_NOMEM;
}

fet_status fet__adapter_create(fet__adapter **out, const char *spec)
{
    fet_status st;
    const char *colon = strchr(spec, ':');
    size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
    const fet__adapter_class *c = find_class(spec, length);
    fet__adapter *a = NULL;
    int i, n;

    *out = NULL;
    if (!c)
        return unknown_class(spec, length);
    FET_TRY(FET_NEW(a, 1));
    a->class_ = c;
    n = option_count(c);
    FET_TRY(FET_NEW(a->values, n + 1));
    for (i = 0; i < n; i++)
        if (!(a->values[i] = fet__strdup(c->options[i].value))) {
            st = FET_E_NOMEM;
            goto done;
        }
    if (!(a->config = fet__alloc(1, c->config_bytes ? c->config_bytes : 1))) {
        st = FET_E_NOMEM;
        goto done;
    }
    if (colon) {
        FET_TRY(apply_preset(a, colon + 1));
        FET_TRY(set_options(a, colon + 1));
    }
    if (c->configure)
        FET_TRY(c->configure(a));
    FET_TRY(write_spec(a));
    a->hooks = c->hooks;
    a->hooks.user = a;
    *out = a;
    a = NULL;
done:
    fet__adapter_destroy(a);
    return st;
}

void fet__adapter_destroy(fet__adapter *a)
{
    int i, n;

    if (!a)
        return;
    n = option_count(a->class_);
    for (i = 0; a->values && i < n; i++)
        fet__free(a->values[i]);
    fet__free(a->values);
    fet__free(a->config);
    fet__free(a->spec);
    fet__free(a);
}

const char *fet__adapter_value(const fet__adapter *a, const char *key)
{
    int i = find_option(a->class_, key);

    return i < 0 ? "" : a->values[i];
}

fet_status fet__adapter_int(const fet__adapter *a, const char *key, int64_t low, int64_t high, int64_t *out)
{
    const char *s = fet__adapter_value(a, key);

    if (!fet__parse_int(s, out) || *out < low || *out > high)
        return FET_FAIL(FET_E_ARG, "adapter '%s': %s=%s is not a whole number from %lld to %lld", a->class_->name, key,
                        fet__show(s), (long long)low, (long long)high);
    return FET_OK;
}

fet_status fet__adapter_double(const fet__adapter *a, const char *key, double low, double high, double *out)
{
    const char *s = fet__adapter_value(a, key);

    if (!fet__parse_double(s, out) || *out < low || *out > high)
        return FET_FAIL(FET_E_ARG, "adapter '%s': %s=%s is not a number from %g to %g", a->class_->name, key,
                        fet__show(s), low, high);
    return FET_OK;
}

fet_status fet__adapter_bool(const fet__adapter *a, const char *key, bool *out)
{
    const char *s = fet__adapter_value(a, key);

    if (!fet__parse_bool(s, out))
        return FET_FAIL(FET_E_ARG, "adapter '%s': %s=%s is neither true nor false", a->class_->name, key, fet__show(s));
    return FET_OK;
}

fet_status fet__adapter_word(const fet__adapter *a, const char *key, const char *const *words, int *out)
{
    const char *s = fet__adapter_value(a, key);
    fet__text list = {0};
    fet_status st;
    int i;

    for (i = 0; words[i]; i++) {
        if (strcmp(s, words[i]) == 0) {
            *out = i;
            fet__text_fini(&list);
            return FET_OK;
        }
        fet__text_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    st = FET_FAIL(FET_E_ARG, "adapter '%s': %s=%s is none of %s", a->class_->name, key, fet__show(s),
                  list.s ? list.s : "");
    fet__text_fini(&list);
    return st;
}

fet_status fet__adapter_select(fet__adapter *a, fet__params *store, const char *head_prefix)
{
    size_t length = strlen(head_prefix);
    int i, n = fet__params_count(store);
    fet_status st = FET_OK;

    if (a && a->class_->survey)
        st = a->class_->survey(a, store);
    if (st != FET_OK)
        return st;
    for (i = 0; i < n; i++) {
        fet__param *p = fet__params_at(store, i);
        bool spares = a && a->class_->spares_head;
        bool head = !spares && length && strncmp(p->name, head_prefix, length) == 0 && p->name[length] == '.';
        p->trainable = (p->role == FET__PARAM || (spares && p->role == FET__BUFFER)) && fet__dtype_is_float(p->dtype) &&
                       (p->adapter || head || (a && a->class_->trains && a->class_->trains(a, p)));
    }
    return FET_OK;
}

static bool site_matches(const fet__adapter_class *c, const char *pattern, const fet__site *s)
{
    int i;

    if (fet__glob_site(pattern, s->name))
        return true;
    for (i = 0; c->parts && i < s->part_count; i++)
        if (fet__glob_site(pattern, s->part[i]))
            return true;
    return false;
}

static bool site_fits(const fet__adapter_class *c, const fet__site *s)
{
    unsigned sites = c->sites ? c->sites : 1u << FET__SITE_LINEAR;

    return (sites >> s->kind & 1) && (c->branch == FET__BRANCH_OTHER || (int)s->branch == c->branch);
}

bool fet__adapter_acts(const fet__adapter *a, const fet__site *s)
{
    return site_fits(a->class_, s) && site_matches(a->class_, fet__adapter_value(a, "at"), s);
}

/* Some layer names for a message: those of the first block tell the pattern of all. */
static void some_names(const fet__adapter *a, const fet__build *b, fet__text *t)
{
    int i, shown = 0;

    for (i = 0; i < b->site_count && shown < 8; i++)
        if (site_fits(a->class_, &b->sites[i]))
            fet__text_printf(t, "%s%s", shown++ ? ", " : "", b->sites[i].name);
}

static fet_status no_match(const fet__adapter *a, const fet__build *b, const char *pattern)
{
    fet__text names = {0};
    fet_status st;
    bool other = false;
    int i;

    for (i = 0; i < b->site_count; i++)
        other = other || site_matches(a->class_, pattern, &b->sites[i]);
    some_names(a, b, &names);
    st = FET_FAIL(FET_E_NOMATCH, "adapter '%s': at=%s matches no %s%s; there are for example %s", a->class_->name,
                  fet__show(pattern), a->class_->sites == 0 ? "linear layer" : "place that it can take",
                  other ? " (it names a layer of another kind)" : "", names.s ? names.s : "(none)");
    fet__text_fini(&names);
    return st;
}

fet_status fet__adapter_check_used(const fet__adapter *a, const fet__build *b)
{
    fet_status st = FET_OK;
    char *copy, *pattern, *save = NULL;

    if (find_option(a->class_, "at") < 0)
        return FET_OK;
    copy = fet__strdup(fet__adapter_value(a, "at"));
    if (!copy)
        return FET_E_NOMEM;
    for (pattern = strtok_r(copy, "+", &save); pattern && st == FET_OK; pattern = strtok_r(NULL, "+", &save)) {
        bool found = false;
        int i;
        for (i = 0; i < b->site_count && !found; i++)
            found = site_fits(a->class_, &b->sites[i]) && site_matches(a->class_, pattern, &b->sites[i]);
        if (!found)
            st = no_match(a, b, pattern);
    }
    if (st == FET_OK && a->used == 0)
        st = no_match(a, b, fet__adapter_value(a, "at"));
    fet__free(copy);
    return st;
}

fet_status fet__merge_bias(fet__params *store, const fet__site *s, const double *bias)
{
    char name[320];
    fet__param *p;
    int64_t i;
    fet_status st;

    snprintf(name, sizeof name, "%.300s.bias", s->name);
    p = fet__params_find(store, name);
    for (i = 0; !p && i < s->out && bias[i] == 0; i++)
        ;
    if (!p && i == s->out)
        return FET_OK;
    if (!p) {
        FET_TRY(fet__params_add(store, &p, name, FET_F32, FET_SHAPE(s->out), FET__PARAM));
        p->loaded = true;
    }
    FET_TRY(fet__param_own(p));
    fet__convert(p->data, p->dtype, bias, FET_F64, s->out);
    p->version++;
done:
    return st;
}

static fet_status merge_site(fet__adapter *a, fet__params *store, const fet__site *s, fet__text *merged)
{
    fet_status st = a->class_->fuse ? a->class_->fuse(a, store, s) : a->class_->merge(a, store, s);

    if (st == FET_OK)
        fet__text_printf(merged, "%s\n", s->name);
    return st;
}

fet_status fet__adapter_merge(fet__adapter *a, fet__params *store, const fet__site *sites, int count, int number,
                              fet__text *merged)
{
    fet_status st = FET_OK;
    int i;

    if (a->class_->merge_refusal)
        return FET_FAIL(FET_E_ARG, "adapter '%s' does not merge: %s", a->class_->name, a->class_->merge_refusal);
    a->fused = a->class_->fuse ? number : 0;
    for (i = 0; i < count && (a->class_->merge || a->class_->fuse); i++)
        if (fet__adapter_acts(a, &sites[i]))
            FET_TRY(merge_site(a, store, &sites[i], merged));
    for (i = fet__params_count(store) - 1; i >= 0; i--)
        if (fet__params_at(store, i)->adapter)
            fet__params_remove(store, fet__params_at(store, i));
done:
    return st;
}
