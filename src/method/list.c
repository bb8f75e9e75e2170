/* fet_list: what this build knows by name, as JSON, straight from the registries. */
#include "method/method_int.h"

#include <jansson.h>
#include <string.h>

static json_t *options_json(const fet__option *o)
{
    json_t *j = json_array();

    for (; o && o->key; o++)
        json_array_append_new(j, json_pack("{s:s, s:s, s:s}", "key", o->key, "default", o->value, "help", o->help));
    return j;
}

static json_t *presets_json(const fet__preset *p)
{
    json_t *j = json_array();

    for (; p && p->name; p++)
        json_array_append_new(j, json_pack("{s:s, s:s}", "name", p->name, "options", p->options));
    return j;
}

static json_t *adapters(void)
{
    json_t *j = json_array();
    int i;

    for (i = 0; fet__adapter_classes[i]; i++) {
        const fet__adapter_class *c = fet__adapter_classes[i];
        json_array_append_new(j, json_pack("{s:s, s:s, s:b, s:b, s:o, s:o}", "name", c->name, "help", c->help, "merges",
                                           !c->merge_refusal, "fused", c->fuse != NULL, "options",
                                           options_json(c->options), "presets", presets_json(c->presets)));
    }
    return j;
}

static json_t *models(void)
{
    json_t *j = json_array();
    int i, n;

    for (i = 0; fet__arch_classes[i]; i++) {
        const fet__arch_class *c = fet__arch_classes[i];
        json_t *names = json_array();
        for (n = 0; c->names[n]; n++)
            json_array_append_new(names, json_string(c->names[n]));
        json_array_append_new(j, json_pack("{s:s, s:s, s:o}", "family", c->family, "help", c->help, "names", names));
    }
    return j;
}

static json_t *workloads(void)
{
    json_t *j = json_array();
    int i;

    for (i = 0; fet__workloads[i].name; i++)
        json_array_append_new(j,
                              json_pack("{s:s, s:s}", "name", fet__workloads[i].name, "help", fet__workloads[i].help));
    return j;
}

fet_status fet_list(char **json, const char *what)
{
    static const struct {
        const char *word;
        json_t *(*make)(void);
    } lists[] = {{"adapters", adapters}, {"models", models}, {"workloads", workloads}};
    size_t i;

    if (!json || !what)
        return FET_FAIL(FET_E_ARG, "fet_list: result or word is absent");
    *json = NULL;
    for (i = 0; i < FET_COUNT(lists); i++)
        if (strcmp(lists[i].word, what) == 0)
            return fet__json_out(json, lists[i].make());
    return FET_FAIL(FET_E_ARG, "nothing to list by the name '%s'; there are adapters, models and workloads",
                    fet__show(what));
}
