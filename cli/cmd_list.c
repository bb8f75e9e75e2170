/* fettle list: adapters, models, workloads, recipes. */
#include "cli/cli.h"

#include <string.h>

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? s : "";
}

static void print_adapter(const json_t *a)
{
    const json_t *options = json_object_get(a, "options"), *presets = json_object_get(a, "presets");
    size_t i;

    printf("%s: %s%s\n", text_of(a, "name"), text_of(a, "help"),
           json_is_true(json_object_get(a, "merges")) ? "" : " (does not merge)");
    for (i = 0; i < json_array_size(options); i++) {
        const json_t *o = json_array_get(options, i);
        printf("  %-10s %s [%s]\n", text_of(o, "key"), text_of(o, "help"), text_of(o, "default"));
    }
    for (i = 0; i < json_array_size(presets); i++) {
        const json_t *p = json_array_get(presets, i);
        printf("  preset=%s: %s\n", text_of(p, "name"), text_of(p, "options"));
    }
}

static void print_model(const json_t *m)
{
    const json_t *names = json_object_get(m, "names");
    size_t i;

    printf("%s: %s\n", text_of(m, "family"), text_of(m, "help"));
    for (i = 0; i < json_array_size(names); i++)
        printf("  %s\n", json_string_value(json_array_get(names, i)));
}

static int run(args *a)
{
    const char *what = a->operands[0];
    char *text = NULL;
    json_t *j;
    fet_status st;
    size_t i;

    if (strcmp(what, "recipes") == 0)
        return recipe_list(a->json);
    st = fet_list(&text, what);
    if (st != FET_OK)
        return usage_error(a, "'%s' is none of: adapters models workloads recipes", shown(what));
    j = json_loads(text, 0, NULL);
    fet_free(text);
    if (a->json)
        return print_json(json_pack("{s:o}", what, j));
    for (i = 0; i < json_array_size(j); i++) {
        const json_t *e = json_array_get(j, i);
        if (strcmp(what, "adapters") == 0)
            print_adapter(e);
        else if (strcmp(what, "models") == 0)
            print_model(e);
        else
            printf("%-12s %s\n", text_of(e, "name"), text_of(e, "help"));
    }
    json_decref(j);
    return EXIT_DONE;
}

const command command_list = {"list",
                              "adapters|models|workloads|recipes",
                              1,
                              1,
                              "List what this build knows by name.",
                              "fettle list adapters",
                              {NULL},
                              run};
