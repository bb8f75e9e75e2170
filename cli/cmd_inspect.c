/* fettle inspect: what a checkpoint holds. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const flag flags_inspect[] = {
    {"arch", "NAME[:key=value,...]", "recognised", "read the file as this architecture", false},
    {"all", NULL, "off", "list every tensor, not the first ones only", false},
    FLAG_END};

#define FIRST 20

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s ? shown(s) : "-";
}

/* The first ones, unless all are wanted. */
static void print_tensors(const json_t *list, bool all)
{
    size_t i, k, n = json_array_size(list), shown_count = all || n <= FIRST + 1 ? n : FIRST;

    for (i = 0; i < shown_count; i++) {
        const json_t *t = json_array_get(list, i), *shape = json_object_get(t, "shape");
        printf("  %-44s %-5s [", text_of(t, "name"), text_of(t, "dtype"));
        for (k = 0; k < json_array_size(shape); k++)
            printf("%s%lld", k ? ", " : "", (long long)json_integer_value(json_array_get(shape, k)));
        puts("]");
    }
    if (shown_count < n)
        printf("  ... and %zu more (--all)\n", n - shown_count);
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

/* "blocks.3.attn.qkv" -> "attn.qkv": what adapters are given as at=. */
static const char *tail(const char *site)
{
    const char *at, *end, *found = site;

    for (at = site; *at; at++)
        if (*at == '.' && (size_t)strspn(at + 1, "0123456789") > 0) {
            end = at + 1 + strspn(at + 1, "0123456789");
            if (*end == '.')
                found = end + 1;
        }
    return found;
}

/* Layers, or branches, of the same place in every block on one line. */
static void print_sites(const json_t *sites, const char *one, const char *more)
{
    size_t i, k, n = json_array_size(sites);

    for (i = 0; i < n; i++) {
        const char *own = tail(json_string_value(json_array_get(sites, i)));
        size_t count = 0;
        for (k = 0; k < i && strcmp(tail(json_string_value(json_array_get(sites, k))), own) != 0; k++)
            ;
        if (k < i)
            continue;
        for (k = i; k < n; k++)
            count += strcmp(tail(json_string_value(json_array_get(sites, k))), own) == 0;
        printf("  %-24s %zu %s\n", shown(own), count, count == 1 ? one : more);
    }
}

static void print_values(json_t *leaves)
{
    void *at;
    int n = 0;

    for (at = json_object_iter(leaves); at && n < FIRST; at = json_object_iter_next(leaves, at), n++) {
        char *text = json_dumps(json_object_iter_value(at), JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
        printf("  %-32s %.60s\n", shown(json_object_iter_key(at)), text ? shown(text) : "");
        free(text);
    }
}

static void print_classes(const json_t *classes, long long outputs)
{
    size_t i, n = json_array_size(classes);
    char list[200] = "";

    for (i = 0; i < n && i < 5 && strlen(list) < 120; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%.40s", i ? ", " : "",
                 shown(json_string_value(json_array_get(classes, i))));
    }
    if (outputs == 0)
        row("classes", "no head: features only");
    else if (n == 0)
        row("classes", "%lld, without names", outputs);
    else
        row("classes", "%lld: %s%s", outputs, list, i < n ? ", ..." : "");
}

static void print_input(const json_t *in)
{
    const json_t *mean = json_object_get(in, "mean"), *std = json_object_get(in, "std");
    double crop = json_number_value(json_object_get(in, "crop_pct"));
    const char *from = json_string_value(json_object_get(in, "from"));
    char cut[32] = "resized to the exact size";
    double v[6];
    size_t i;

    for (i = 0; i < 6; i++)
        v[i] = json_number_value(json_array_get(i < 3 ? mean : std, i % 3));
    if (crop > 0)
        snprintf(cut, sizeof cut, "crop %.4g", crop);
    row("pictures", "%lldx%lld, %s, %s", (long long)json_integer_value(json_object_get(in, "height")),
        (long long)json_integer_value(json_object_get(in, "width")), text_of(in, "interpolation"), cut);
    row("normalisation", "mean %.4g %.4g %.4g, std %.4g %.4g %.4g", v[0], v[1], v[2], v[3], v[4], v[5]);
    row("", "%s%s", from ? "from " : "assumed: usual for these models", from ? shown(from) : "");
}

static void print_model(const json_t *j)
{
    const char *names = json_string_value(json_object_get(j, "names_of"));

    row("architecture", "%s", text_of(j, "architecture"));
    row("names in the file", "%s", names ? shown(names) : "fettle's");
    row("parameters", "%lld", (long long)json_integer_value(json_object_get(j, "parameters")));
    row("work", "%.3f GFLOP an image", json_number_value(json_object_get(j, "gflops_per_image")));
    print_classes(json_object_get(j, "classes"), (long long)json_integer_value(json_object_get(j, "outputs")));
    row("features", "%lld", (long long)json_integer_value(json_object_get(j, "features")));
    print_input(json_object_get(j, "input"));
    puts("\nlinear layers, where adapters can act (at=)");
    print_sites(json_object_get(j, "sites"), "layer", "layers");
    if (json_array_size(json_object_get(j, "branches"))) {
        puts("\nbranches, where adapters can insert modules (at=)");
        print_sites(json_object_get(j, "branches"), "branch", "branches");
    }
}

static void print(json_t *j, bool all)
{
    json_t *meta = json_object_get(j, "metadata"), *leaves = json_object_get(j, "leaves");
    const char *why = json_string_value(json_object_get(j, "why_no_model"));

    row("file", "%s", text_of(j, "file"));
    row("kind", "%s", text_of(j, "kind"));
    row("tensors", "%zu, %lld values, %.2f MiB", json_array_size(json_object_get(j, "tensors")),
        (long long)json_integer_value(json_object_get(j, "values")),
        (double)json_integer_value(json_object_get(j, "bytes")) / 1048576);
    if (why)
        row("no model", "%s", shown(why));
    if (json_object_get(j, "architecture"))
        print_model(j);
    if (json_object_size(meta)) {
        puts("\nmetadata");
        print_metadata(meta);
    }
    if (json_object_size(leaves)) {
        puts("\nvalues besides the tensors");
        print_values(leaves);
    }
    puts("\ntensors");
    print_tensors(json_object_get(j, "tensors"), all);
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
    print(j, args_switch(a, "all"));
    json_decref(j);
    return EXIT_DONE;
}

const command command_inspect = {
    "inspect",
    "FILE",
    1,
    1,
    "Show what a file is: architecture, parameters, work, classes, preprocessing, adapter sites, tensors.",
    "fettle inspect vit.safetensors",
    {flags_inspect},
    run};
