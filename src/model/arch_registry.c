/* The table of architectures and the parsing that they share. Each architecture is in its own file. */
#include "model/model_int.h"

#include <string.h>

const fet__arch_class *const fet__arch_classes[] = {
    &fet__arch_vit,      &fet__arch_swin,      &fet__arch_resnet,   &fet__arch_resnet_cifar,
    &fet__arch_densenet, &fet__arch_quadranet, &fet__arch_convnext, NULL};

static fet_status unknown_name(const char *name)
{
    const char *known[128];
    int i, j, n = 0, near;

    for (i = 0; fet__arch_classes[i]; i++)
        for (j = 0; fet__arch_classes[i]->names[j] && n < 128; j++)
            known[n++] = fet__arch_classes[i]->names[j];
    near = fet__nearest(name, known, n);
    if (near >= 0)
        return FET_FAIL(FET_E_ARG, "unknown architecture '%s'; the nearest is '%s' (fettle list models shows all)",
                        fet__show(name), known[near]);
    return FET_FAIL(FET_E_ARG, "unknown architecture '%s' (fettle list models shows all)", fet__show(name));
}

fet_status fet__arch_create(fet__arch *out, const char *text)
{
    const char *colon = strchr(text, ':');
    char *name = colon ? fet__strndup(text, (size_t)(colon - text)) : fet__strdup(text);
    fet_status st = FET_E_NOMATCH;
    int i;

    memset(out, 0, sizeof *out);
    if (!name)
        return FET_E_NOMEM;
    for (i = 0; fet__arch_classes[i] && st == FET_E_NOMATCH; i++) {
        out->class_ = fet__arch_classes[i];
        out->config = fet__alloc(1, out->class_->config_bytes);
        st = out->config ? out->class_->parse(out, name, colon ? colon + 1 : "") : FET_E_NOMEM;
        if (st != FET_OK)
            fet__arch_fini(out);
    }
    if (st == FET_E_NOMATCH)
        st = unknown_name(name);
    fet__free(name);
    return st;
}

fet_status fet__arch_recognise(fet__arch *out, const fet__params *store)
{
    return fet__arch_recognise_hinted(out, store, NULL);
}

fet_status fet__arch_recognise_hinted(fet__arch *out, const fet__params *store, const fet__arch_hints *hints)
{
    fet_status st = FET_OK;
    bool ours = false;
    int i;

    memset(out, 0, sizeof *out);
    for (i = 0; fet__arch_classes[i]; i++) {
        out->class_ = fet__arch_classes[i];
        out->config = fet__alloc(1, out->class_->config_bytes);
        out->hints = hints;
        st = out->config ? out->class_->recognise(out, store, &ours) : FET_E_NOMEM;
        out->hints = NULL;
        if (st == FET_OK && ours)
            return FET_OK;
        fet__arch_fini(out);
        if (st != FET_OK)
            return st;
    }
    return FET_FAIL(FET_E_FORMAT,
                    "its tensors belong to no architecture that fettle knows (%d tensors, the first is %s)",
                    fet__params_count(store), fet__params_count(store) ? fet__params_at(store, 0)->name : "none");
}

void fet__arch_fini(fet__arch *a)
{
    fet__free(a->config);
    memset(a, 0, sizeof *a);
}

int fet__arch_channels(const fet__arch *a)
{
    return a->channels ? a->channels : 3;
}

fet_status fet__arch_options(const char *family, const char *options, const fet__arch_option *table, int count)
{
    fet_status st = FET_OK;
    char *copy = fet__strdup(options), *pair, *save = NULL;

    if (!copy)
        return FET_E_NOMEM;
    for (pair = strtok_r(copy, ",", &save); pair; pair = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(pair, '=');
        const char *keys[64];
        int i, near;
        if (!equals) {
            st = FET_FAIL(FET_E_ARG, "architecture option '%s' is not of the form key=value", fet__show(pair));
            goto done;
        }
        *equals = '\0';
        for (i = 0; i < count && strcmp(table[i].key, pair) != 0; i++)
            keys[i] = table[i].key;
        if (i == count) {
            near = fet__nearest(pair, keys, count);
            st = FET_FAIL(FET_E_ARG, "architecture '%s' has no option '%s'%s%s", family, fet__show(pair),
                          near >= 0 ? "; the nearest is " : "", near >= 0 ? keys[near] : "");
            goto done;
        }
        FET_TRY(table[i].set(family, &table[i], equals + 1));
    }
done:
    fet__free(copy);
    return st;
}

fet_status fet__arch_set_int(const char *family, const fet__arch_option *o, const char *value)
{
    int64_t v;

    if (!fet__parse_int(value, &v) || v < (int64_t)o->low || v > (int64_t)o->high)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is not a whole number from %.0f to %.0f", family, o->key,
                        fet__show(value), o->low, o->high);
    *(int *)o->target = (int)v;
    return FET_OK;
}

fet_status fet__arch_set_double(const char *family, const fet__arch_option *o, const char *value)
{
    double v;

    if (!fet__parse_double(value, &v) || v < o->low || v > o->high)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is not a number from %g to %g", family, o->key,
                        fet__show(value), o->low, o->high);
    *(double *)o->target = v;
    return FET_OK;
}

fet_status fet__arch_set_bool(const char *family, const fet__arch_option *o, const char *value)
{
    if (!fet__parse_bool(value, o->target))
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither true nor false", family, o->key,
                        fet__show(value));
    return FET_OK;
}
