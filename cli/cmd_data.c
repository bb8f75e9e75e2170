/* fettle data synth, check, stats. */
#include "cli/cli.h"

#include <string.h>

enum { SYNTH_DOMAINS = 4 };

static const flag flags_synth[] = {{"out", "DIR", "the operand", "folder to write; must not exist", false},
                                   {"kind", "shapes|domains|reid", "shapes",
                                    "shapes; in all domains, for `fettle meta`; figures, for `fettle reid`", false},
                                   {"classes", "N", "5", "shapes", false},
                                   {"domains", "N", "2; kind domains: 4", "visual domains, a folder each", false},
                                   {"per-class", "N", "60", "training images of a class in a domain", false},
                                   {"val-per-class", "N", "20", "validation images of a class in a domain", false},
                                   {"size", "N", "32", "pixels of a side; reid: of the width", false},
                                   {"first-class", "N", "0", "begin with this shape, so that two tasks differ", false},
                                   {"identities", "N", "40", "reid: of each of two domains, half for training", false},
                                   {"cameras", "N", "4", "reid: of each domain", false},
                                   {"per-camera", "N", "3", "reid: images of an identity by a camera", false},
                                   FLAG_END};
static const flag flags_set[] = {{"data", "DATA", "the operand", "data set", true}, FLAG_END};
static const flag flags_stats[] = {{"size", "N", "64", "images are resized to this size first", false}, FLAG_END};

/* --NAME or the operand, one of them. NULL: said what is wrong. */
static const char *path_of(const args *a, const char *name)
{
    const char *path = args_text(a, name);

    if (path && a->operand_count) {
        usage_error(a, "'%s' is one word too many: --%s is given", shown(a->operands[0]), name);
        return NULL;
    }
    if (!path && a->operand_count)
        path = a->operands[0];
    if (!path)
        usage_error(a, "--%s is needed", name);
    return path;
}

static bool small_int(const args *a, const char *name, int64_t low, int64_t high, int *out)
{
    int64_t v;

    if (!args_int(a, name, low, high, 0, &v))
        return false;
    *out = (int)v;
    return true;
}

static int say_images(const args *a, const char *out, int64_t images)
{
    if (a->json)
        return print_json(json_pack("{s:I, s:o}", "images", (json_int_t)images, "out", json_text(out)));
    printf("%lld images in %s\n", (long long)images, shown(out));
    return EXIT_DONE;
}

/* Flags of the other kind are no silent extras. */
static bool only_flags_of(const args *a, bool reid)
{
    static const char *const shapes[] = {"classes", "domains", "per-class", "val-per-class", "first-class", NULL};
    static const char *const figures[] = {"identities", "cameras", "per-camera", NULL};

    for (const char *const *name = reid ? shapes : figures; *name; name++)
        if (args_text(a, *name)) {
            usage_error(a, "--%s belongs to --kind %s", *name, reid ? "shapes" : "reid");
            return false;
        }
    return true;
}

static int run_synth_reid(const args *a, const char *out)
{
    fet_reid_synth_options o = {.seed = a->seed};
    int64_t images = 0;
    fet_status st;

    if (!only_flags_of(a, true) || !small_int(a, "identities", 4, 100000, &o.identities) ||
        !small_int(a, "cameras", 1, 64, &o.cameras) || !small_int(a, "per-camera", 2, 1000, &o.per_camera) ||
        !small_int(a, "size", 16, 512, &o.width))
        return EXIT_USAGE;
    st = fet_reid_synth(out, &o, &images);
    return st == FET_OK ? say_images(a, out, images) : fail(st);
}

static int run_synth(args *a)
{
    const char *out = path_of(a, "out"), *kind = args_text(a, "kind");
    fet_synth_options o = {.seed = a->seed};
    int64_t images = 0;
    fet_status st;

    if (!out)
        return EXIT_USAGE;
    if (kind && strcmp(kind, "reid") == 0)
        return run_synth_reid(a, out);
    if (kind && strcmp(kind, "domains") == 0)
        o.domains = SYNTH_DOMAINS;
    else if (kind && strcmp(kind, "shapes") != 0)
        return usage_error(a, "--kind '%s' is none of shapes, domains, reid", shown(kind));
    if (!only_flags_of(a, false) || !small_int(a, "classes", 2, 10, &o.classes) ||
        (args_text(a, "domains") && !small_int(a, "domains", 1, SYNTH_DOMAINS, &o.domains)) ||
        !small_int(a, "per-class", 1, 1000000, &o.per_class) ||
        !small_int(a, "val-per-class", 1, 1000000, &o.val_per_class) || !small_int(a, "size", 8, 4096, &o.size) ||
        !small_int(a, "first-class", 0, 9, &o.first_class))
        return EXIT_USAGE;
    st = fet_data_synth(out, &o, &images);
    if (st != FET_OK)
        return fail(st);
    return say_images(a, out, images);
}

/* ---- check -------------------------------------------------------------------------------------------------------- */

typedef struct findings {
    bool json;
    json_t *list;
} findings;

static void on_finding(void *user, const char *text)
{
    findings *f = user;

    if (f->json)
        json_array_append_new(f->list, json_text(text));
    else
        puts(text);
}

static int print_report(const fet_data_report *r, findings *f)
{
    if (f->json)
        return print_json(json_pack(
            "{s:I, s:i, s:I, s:I, s:I, s:I, s:[i,i], s:[i,i], s:{s:I, s:I, s:I}, s:O}", "images", (json_int_t)r->images,
            "classes", r->classes, "unreadable", (json_int_t)r->unreadable, "duplicates", (json_int_t)r->duplicates,
            "leaks", (json_int_t)r->leaks, "empty_classes", (json_int_t)r->empty_classes, "smallest", r->min_height,
            r->min_width, "largest", r->max_height, r->max_width, "splits", "train", (json_int_t)r->train, "val",
            (json_int_t)r->val, "test", (json_int_t)r->test, "findings", f->list));
    row("images", "%lld (train %lld, val %lld, test %lld)", (long long)r->images, (long long)r->train,
        (long long)r->val, (long long)r->test);
    row("classes", "%d, %lld without images", r->classes, (long long)r->empty_classes);
    row("unreadable", "%lld", (long long)r->unreadable);
    row("duplicates", "%lld, of which %lld across splits", (long long)r->duplicates, (long long)r->leaks);
    row("smallest, largest", "%d x %d, %d x %d (height and width apart)", r->min_height, r->min_width, r->max_height,
        r->max_width);
    return EXIT_DONE;
}

static int run_check(args *a)
{
    fet_tune_options o;
    fet_data_report r;
    findings f = {a->json, NULL};
    const char *path = path_of(a, "data");
    void *keep;
    fet_status st;
    int status;

    if (!path)
        return EXIT_USAGE;
    status = options_apply(a, &o, &keep);
    if (status >= 0)
        return status;
    f.list = json_array();
    st = fet_data_check(&r, path, &o.data_options, on_finding, &f);
    if (st == FET_OK || st == FET_E_VERIFY)
        status = print_report(&r, &f);
    if (st != FET_OK)
        status = fail(st);
    json_decref(f.list);
    return status;
}

/* ---- stats -------------------------------------------------------------------------------------------------------- */

static void print_three(const char *label, const json_t *v)
{
    row(label, "%.5f, %.5f, %.5f", json_number_value(json_array_get(v, 0)), json_number_value(json_array_get(v, 1)),
        json_number_value(json_array_get(v, 2)));
}

static void print_stats(json_t *j)
{
    json_t *classes = json_object_get(j, "classes");
    void *at;

    printf("%-32s %8s %8s %8s\n", "class", "train", "val", "test");
    for (at = json_object_iter(classes); at; at = json_object_iter_next(classes, at)) {
        const json_t *counts = json_object_iter_value(at);
        printf("%-32s %8lld %8lld %8lld\n", json_object_iter_key(at),
               (long long)json_integer_value(json_object_get(counts, "train")),
               (long long)json_integer_value(json_object_get(counts, "val")),
               (long long)json_integer_value(json_object_get(counts, "test")));
    }
    print_three("mean", json_object_get(j, "mean"));
    print_three("deviation", json_object_get(j, "std"));
}

static int run_stats(args *a)
{
    fet_tune_options o;
    const char *path = path_of(a, "data");
    char *text = NULL;
    json_t *j;
    int size = 0, status;
    void *keep;
    fet_status st;

    if (!path || !small_int(a, "size", 1, 4096, &size))
        return EXIT_USAGE;
    status = options_apply(a, &o, &keep);
    if (status >= 0)
        return status;
    st = fet_data_stats(&text, path, &o.data_options, size);
    if (st != FET_OK)
        return fail(st);
    j = json_loads(text, 0, NULL);
    fet_free(text);
    if (a->json)
        return print_json(j);
    print_stats(j);
    json_decref(j);
    return EXIT_DONE;
}

const command command_data_synth = {
    "data synth",
    "[DIR]",
    0,
    1,
    "Draw labelled shapes in several visual domains, or figures seen by several cameras.",
    "fettle data synth --out shapes --classes 5 --domains 2",
    {flags_synth},
    run_synth};
const command command_data_check = {"data check",
                                    "[DATA]",
                                    0,
                                    1,
                                    "Decode every image; name unreadable, equal and leaking ones.",
                                    "fettle data check --data pets",
                                    {flags_set, flags_image_reading},
                                    run_check};
const command command_data_stats = {"data stats",
                                    "[DATA]",
                                    0,
                                    1,
                                    "Count images a class and split; mean and deviation of the channels.",
                                    "fettle data stats --data pets",
                                    {flags_set, flags_stats, flags_image_reading},
                                    run_stats};
