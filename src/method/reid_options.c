/* Options of `reid train` as one table: set from text, checked, written to and read from run.json. */
#include "method/reid_int.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, CHOICE, INT, INT64, REAL, SWITCH, SIZE };

typedef struct entry {
    const char *key;
    enum kind kind;
    size_t offset;
    double low, high;
    const char *choices; /* CHOICE: "a b c" */
} entry;

#define AT(member) offsetof(fet_reid_options, member)
static const entry entries[] = {
    {"model", TEXT, AT(model), 0, 0, NULL},
    {"data", TEXT, AT(data), 0, 0, NULL},
    {"source", TEXT, AT(source), 0, 0, NULL},
    {"format", TEXT, AT(format), 0, 0, NULL},
    {"source-format", TEXT, AT(source_format), 0, 0, NULL},
    {"out", TEXT, AT(out), 0, 0, NULL},
    {"resume", SWITCH, AT(resume), 0, 1, NULL},
    {"epochs", INT64, AT(epochs), 1, 1e6, NULL},
    {"iters", INT64, AT(iters), -1, 1e7, NULL},
    {"batch", INT, AT(batch), 2, 65536, NULL},
    {"instances", INT, AT(instances), 0, 1024, NULL},
    {"image", SIZE, AT(height), 1, 16384, NULL},
    {"eps", REAL, AT(eps), 0, 1, NULL},
    {"eps-gap", REAL, AT(eps_gap), 0, 1, NULL},
    {"k1", INT, AT(k1), 1, 10000, NULL},
    {"k2", INT, AT(k2), 1, 10000, NULL},
    {"min-samples", INT, AT(min_samples), 1, 10000, NULL},
    {"temp", REAL, AT(temperature), 1e-3, 100, NULL},
    {"momentum", REAL, AT(momentum), 0, 0.9999, NULL},
    {"eval-step", INT64, AT(eval_step), 1, 1e6, NULL},
    {"lr", REAL, AT(lr), 0, 100, NULL},
    {"wd", REAL, AT(wd), 0, 10, NULL},
    {"lr-step", INT64, AT(lr_step), 1, 1e6, NULL},
    {"lr-gamma", REAL, AT(lr_gamma), 0, 1, NULL},
    {"labels", CHOICE, AT(labels), 0, 0, "self-paced clusters instances supervised"},
    {"outliers", CHOICE, AT(outliers), 0, 0, "keep drop"},
    {"update", CHOICE, AT(update), 0, 0, "sequential mean"},
    {"neck-bias", CHOICE, AT(neck_bias), 0, 0, "auto frozen trained"},
    {"norms", CHOICE, AT(norms), 0, 0, "domains shared"},
    {"bn-group", INT, AT(bn_group), 0, 65536, NULL},
    {"pool", CHOICE, AT(pool), 0, 0, "mean gem"},
    {"select", CHOICE, AT(select), 0, 0, "last best"},
    {"augment", TEXT, AT(augment), 0, 0, NULL},
    {"last-stride", INT, AT(last_stride), 0, 2, NULL},
    {"reference-order", SWITCH, AT(reference_order), 0, 1, NULL},
    {"save-every", REAL, AT(save_every), 0, 1e9, NULL},
    {"check-finite", SWITCH, AT(check_finite), 0, 1, NULL},
    {"arch", TEXT, AT(model_options.arch), 0, 0, NULL},
    {"mean", TEXT, AT(model_options.mean_text), 0, 0, NULL},
    {"std", TEXT, AT(model_options.std_text), 0, 0, NULL},
    {"interpolation", TEXT, AT(model_options.interpolation), 0, 0, NULL},
    {"max-pixels", INT64, AT(data_options.max_pixels), 0, 1e15, NULL},
    {"no-exif", SWITCH, AT(data_options.ignore_exif), 0, 1, NULL},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

void fet_reid_defaults(fet_reid_options *o)
{
    if (!o)
        return;
    *o = (fet_reid_options){.epochs = 50,
                            .iters = -1,
                            .batch = 64,
                            .instances = 4,
                            .eps = 0.6,
                            .eps_gap = 0.02,
                            .k1 = 30,
                            .k2 = 6,
                            .min_samples = 4,
                            .temperature = 0.05,
                            .momentum = 0.2,
                            .eval_step = 10,
                            .lr = 3.5e-4,
                            .wd = 5e-4,
                            .lr_step = 20,
                            .lr_gamma = 0.1,
                            .labels = "self-paced",
                            .outliers = "keep",
                            .update = "sequential",
                            .neck_bias = "auto",
                            .norms = "domains",
                            .select = "last",
                            .augment = "reid",
                            .last_stride = 1};
}

/* ---- from text ------------------------------------------------------------------------------------------------------ */

static const entry *find(const char *key)
{
    for (int i = 0; i < ENTRIES; i++)
        if (strcmp(entries[i].key, key) == 0)
            return &entries[i];
    return NULL;
}

static fet_status unknown(const char *key)
{
    const char *names[ENTRIES];
    int near;

    for (int i = 0; i < ENTRIES; i++)
        names[i] = entries[i].key;
    near = fet__nearest(key, names, ENTRIES);
    return FET_FAIL(FET_E_ARG, "unknown option '%s'%s%s", fet__show(key), near >= 0 ? "; the nearest is " : "",
                    near >= 0 ? names[near] : "");
}

static fet_status set_choice(const entry *e, void *to, const char *value)
{
    const char *at = strstr(e->choices, value);
    size_t n = strlen(value);

    while (at && n && !((at == e->choices || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')))
        at = strstr(at + 1, value);
    if (!at || !n)
        return FET_FAIL(FET_E_ARG, "%s '%s' is none of: %s", e->key, fet__show(value), e->choices);
    *(const char **)to = value;
    return FET_OK;
}

/* "256x128", height first, or one number for both. */
static fet_status set_size(const entry *e, int *to, const char *value)
{
    const char *cross = strchr(value, 'x');
    char first[24];
    int64_t height, width;

    snprintf(first, sizeof first, "%.*s", cross ? (int)(cross - value) : 23, value);
    if (!fet__parse_int(first, &height) || !fet__parse_int(cross ? cross + 1 : first, &width) || height < 1 ||
        width < 1 || height > (int64_t)e->high || width > (int64_t)e->high)
        return FET_FAIL(FET_E_ARG, "%s '%s' is neither HEIGHTxWIDTH nor one size, from 1 to %.0f", e->key,
                        fet__show(value), e->high);
    to[0] = (int)height;
    to[1] = (int)width;
    return FET_OK;
}

static fet_status set_number(const entry *e, void *to, const char *value)
{
    int64_t whole;
    double real;

    if (e->kind == REAL) {
        if (!fet__parse_double(value, &real) || !(real >= e->low && real <= e->high))
            return FET_FAIL(FET_E_ARG, "%s '%s' is not a number from %g to %g", e->key, fet__show(value), e->low,
                            e->high);
        *(double *)to = real;
        return FET_OK;
    }
    if (!fet__parse_int(value, &whole) || whole < (int64_t)e->low || whole > (int64_t)e->high)
        return FET_FAIL(FET_E_ARG, "%s '%s' is not a whole number from %.0f to %.0f", e->key, fet__show(value), e->low,
                        e->high);
    if (e->kind == INT)
        *(int *)to = (int)whole;
    else
        *(int64_t *)to = whole;
    return FET_OK;
}

static fet_status set_switch(const entry *e, int *to, const char *value)
{
    bool on;

    if (!fet__parse_bool(value, &on))
        return FET_FAIL(FET_E_ARG, "%s '%s' is neither true nor false", e->key, fet__show(value));
    *to = on;
    return FET_OK;
}

fet_status fet_reid_set(fet_reid_options *o, const char *key, const char *value)
{
    const entry *e = key ? find(key) : NULL;
    void *to;

    if (!o || !key || !value)
        return FET_FAIL(FET_E_ARG, "fet_reid_set: options, key or value is absent");
    if (!e)
        return unknown(key);
    to = (char *)o + e->offset;
    switch (e->kind) {
    case TEXT: *(const char **)to = value; return FET_OK;
    case CHOICE: return set_choice(e, to, value);
    case SIZE: return set_size(e, to, value);
    case SWITCH: return set_switch(e, to, value);
    default: return set_number(e, to, value);
    }
}

static double value_of(const entry *e, const void *at)
{
    switch (e->kind) {
    case INT: return *(const int *)at;
    case INT64: return (double)*(const int64_t *)at;
    case REAL: return *(const double *)at;
    default: return 0;
    }
}

/* Values may also come from C, not only from text. */
static fet_status check_entry(const fet_reid_options *o, const entry *e)
{
    const void *at = (const char *)o + e->offset;
    double v = value_of(e, at);

    if (e->kind == CHOICE && *(const char *const *)at) {
        const char *kept = *(const char *const *)at, *ignored = NULL;
        return set_choice(e, &ignored, kept);
    }
    if (e->kind != INT && e->kind != INT64 && e->kind != REAL)
        return FET_OK;
    if (!(v >= e->low && v <= e->high))
        return FET_FAIL(FET_E_ARG, "%s %g is not from %g to %g", e->key, v, e->low, e->high);
    return FET_OK;
}

fet_status fet__reid_check(const fet_reid_options *o)
{
    fet_status st = FET_OK;

    for (int i = 0; i < ENTRIES && st == FET_OK; i++)
        st = check_entry(o, &entries[i]);
    if (st != FET_OK)
        return st;
    if (!(o->eps > o->eps_gap) || !(o->eps + o->eps_gap < 1))
        return FET_FAIL(FET_E_ARG, "eps %g with eps-gap %g: the radii %g and %g must lie within 0 and 1", o->eps,
                        o->eps_gap, o->eps - o->eps_gap, o->eps + o->eps_gap);
    if (o->k2 > o->k1)
        return FET_FAIL(FET_E_ARG, "k2 %d is above k1 %d", o->k2, o->k1);
    if (o->bn_group == 1 || (o->bn_group > 0 && o->batch % o->bn_group != 0))
        return FET_FAIL(FET_E_ARG, "bn-group %d: groups of two images or more that divide the batch of %d", o->bn_group,
                        o->batch);
    if (o->height < 0 || o->width < 0)
        return FET_FAIL(FET_E_ARG, "an image size of %d x %d", o->height, o->width);
    return FET_OK;
}

/* ---- run.json ------------------------------------------------------------------------------------------------------- */

static bool is_kept(const entry *e)
{
    return strcmp(e->key, "out") != 0 && strcmp(e->key, "resume") != 0;
}

static json_t *text_value(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *entry_value(const fet_reid_options *o, const entry *e)
{
    const void *at = (const char *)o + e->offset;
    char size[48];

    switch (e->kind) {
    case TEXT:
    case CHOICE: return text_value(*(const char *const *)at);
    case SWITCH: return json_boolean(*(const int *)at != 0);
    case INT: return json_integer(*(const int *)at);
    case INT64: return json_integer((json_int_t) * (const int64_t *)at);
    case REAL: return json_real(*(const double *)at);
    case SIZE: break;
    }
    if (((const int *)at)[0] == 0)
        return json_null();
    snprintf(size, sizeof size, "%dx%d", ((const int *)at)[0], ((const int *)at)[1]);
    return json_string(size);
}

char *fet__reid_to_json(const fet_reid_options *o)
{
    json_t *j = json_object();
    char *text, *out;

    for (int i = 0; i < ENTRIES; i++)
        if (is_kept(&entries[i]))
            json_object_set_new(j, entries[i].key, entry_value(o, &entries[i]));
    json_object_set_new(j, "seed", json_integer((json_int_t)o->seed));
    text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    out = text ? fet__strdup(text) : NULL;
    free(text);
    json_decref(j);
    return out;
}

/* The stored value as the text that sets it; NULL: the option was not given. In the arena. */
static char *stored_text(fet__arena *arena, const json_t *v)
{
    if (json_is_string(v))
        return fet__arena_strdup(arena, json_string_value(v));
    if (json_is_boolean(v))
        return fet__arena_strdup(arena, json_is_true(v) ? "true" : "false");
    if (json_is_integer(v))
        return fet__arena_format(arena, "%lld", (long long)json_integer_value(v));
    return json_is_real(v) ? fet__arena_format(arena, "%.17g", json_real_value(v)) : NULL;
}

/* A given value that was changed away from the default and differs from the stored one is told. */
static void tell_difference(const fet_reid_options *given, const entry *e, const json_t *stored)
{
    fet_reid_options defaults;
    json_t *now, *usual;

    fet_reid_defaults(&defaults);
    now = entry_value(given, e);
    usual = entry_value(&defaults, e);
    if (!json_equal(now, stored) && !json_equal(now, usual))
        fet__warn("--%s: the run began with another value, which holds", e->key);
    json_decref(now);
    json_decref(usual);
}

static fet_status take_entry(fet_reid_options *o, const entry *e, const json_t *stored, fet__arena *arena)
{
    char *text;

    if (!stored)
        return FET_FAIL(FET_E_FORMAT, "run.json: the option '%s' is missing: not a run of `reid train`", e->key);
    tell_difference(o, e, stored);
    if (json_is_null(stored)) {
        memset((char *)o + e->offset, 0, e->kind == SIZE ? 2 * sizeof(int) : sizeof(const char *));
        return FET_OK;
    }
    text = stored_text(arena, stored);
    return text ? fet_reid_set(o, e->key, text) : FET_E_NOMEM;
}

fet_status fet__reid_from_run(fet_reid_options *o, const char *run, void **keep, bool *found)
{
    char *path = fet__path_join(run, "run.json");
    fet__arena *arena = NULL;
    json_error_t error;
    json_t *j = NULL, *options;
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    *keep = NULL;
    *found = false;
    FET_TRY(st);
    if (!fet__file_exists(path))
        goto done;
    FET_TRY(FET_NEW(arena, 1));
    *keep = arena;
    j = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    options = json_object_get(j, "options");
    if (!json_is_object(options)) {
        st = FET_FAIL(FET_E_FORMAT, "%s: not the description of a run", fet__show(path));
        goto done;
    }
    for (int i = 0; i < ENTRIES; i++)
        if (is_kept(&entries[i]))
            FET_TRY(take_entry(o, &entries[i], json_object_get(options, entries[i].key), arena));
    o->seed = (uint64_t)json_integer_value(json_object_get(options, "seed"));
    *found = true;
done:
    json_decref(j);
    fet__free(path);
    return st;
}

void fet__reid_texts_free(void *keep)
{
    if (keep)
        fet__arena_fini(keep);
    fet__free(keep);
}
