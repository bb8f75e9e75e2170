/* fettle inspect: what a checkpoint holds. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const flag flags_inspect[] = {
    {"arch", "NAME[:key=value,...]", "recognised", "read the file as this architecture", false}, FLAG_END};

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? shown(s) : "-";
}

static void print_tensors(const json_t *list)
{
    size_t i, k;

    for (i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i), *shape = json_object_get(t, "shape");
        printf("  %-44s %-5s [", text_of(t, "name"), text_of(t, "dtype"));
        for (k = 0; k < json_array_size(shape); k++)
            printf("%s%lld", k ? ", " : "", (long long)json_integer_value(json_array_get(shape, k)));
        puts("]");
    }
}

static void print_metadata(json_t *meta)
{
    void *at;

    for (at = json_object_iter(meta); at; at = json_object_iter_next(meta, at)) {
        const json_t *value = json_object_iter_value(at);
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
        const char *plain = text ? text : json_string_value(value);
        char copy[160];
        snprintf(copy, sizeof copy, "%s", plain ? plain : "");
        printf("  %-24s %s%s\n", shown(json_object_iter_key(at)), shown(copy),
               plain && strlen(plain) >= sizeof copy ? "..." : "");
        free(text);
    }
}

static void print_sites(const json_t *sites)
{
    size_t i;

    for (i = 0; i < json_array_size(sites); i++)
        printf("  %s\n", shown(json_string_value(json_array_get(sites, i))));
}

static void print(json_t *j)
{
    json_t *meta = json_object_get(j, "metadata");
    const char *why = json_string_value(json_object_get(j, "why_no_model"));

    row("file", "%s", text_of(j, "file"));
    row("kind", "%s", text_of(j, "kind"));
    row("tensors", "%zu, %lld values, %.2f MiB", json_array_size(json_object_get(j, "tensors")),
        (long long)json_integer_value(json_object_get(j, "values")),
        (double)json_integer_value(json_object_get(j, "bytes")) / 1048576);
    if (why)
        row("no model", "%s", shown(why));
    if (json_object_get(j, "architecture")) {
        row("architecture", "%s", text_of(j, "architecture"));
        row("parameters", "%lld", (long long)json_integer_value(json_object_get(j, "parameters")));
        row("work", "%.3f GFLOP an image", json_number_value(json_object_get(j, "gflops_per_image")));
    }
    if (json_object_size(meta)) {
        puts("\nmetadata");
        print_metadata(meta);
    }
    puts("\ntensors");
    print_tensors(json_object_get(j, "tensors"));
    if (json_object_get(j, "sites")) {
        puts("\nlinear layers, where adapters can act");
        print_sites(json_object_get(j, "sites"));
    }
    if (json_array_size(json_object_get(j, "branches"))) {
        puts("\nbranches, where adapters can insert modules");
        print_sites(json_object_get(j, "branches"));
    }
}

static int run(args *a)
{
    char *text = NULL;
    json_t *j;
    fet_status st = fet_inspect(&text, a->operands[0], args_text(a, "arch"));

    if (st != FET_OK)
        return fail(st);
    j = json_loads(text, 0, NULL);
    fet_free(text);
    if (a->json)
        return print_json(j);
    print(j);
    json_decref(j);
    return EXIT_DONE;
}

const command command_inspect = {"inspect",
                                 "FILE",
                                 1,
                                 1,
                                 "Show tensors, architecture, parameters, work and adapter sites of a file.",
                                 "fettle inspect vit.safetensors",
                                 {flags_inspect},
                                 run};
