/* The options of tune and train by name: one table that reads command-line text, recipes and run.json, writes run.json, and says which
 * given options a resumed run leaves aside. What the options do is in tune.c. */
#include "method/method_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, INT, LONG, REAL, SWITCH, BYTES, SEED };

typedef struct key {
    const char *name;
    const char *words;                      /* of TEXT: the choices, or NULL for any text */
    fet_status (*check)(const char *value); /* of TEXT: whether it can be read; or NULL */
    size_t offset;
    double low, high; /* of numbers; low is left out of the range where `open` */
    double zero;      /* what 0 is stored as, where a stored 0 means "default" */
    enum kind kind;
    bool open;
    bool minus; /* a negative value stands for a default */
    bool place; /* says where things lie, not what is done: a resume may give another */
} key;

/* As far as it can be said before the size of the pictures is known. */
static fet_status check_augment(const char *value)
{
    fet__augment_plan plan;

    return fet__augment_parse(&plan, value, 0, 0);
}

#define AT(member) offsetof(fet_tune_options, member)
static const key keys[] = {
    {.name = "model", .kind = TEXT, .offset = AT(model), .place = true},
    {.name = "data", .kind = TEXT, .offset = AT(data), .place = true},
    {.name = "adapter", .kind = TEXT, .offset = AT(adapter)},
    {.name = "out", .kind = TEXT, .offset = AT(out), .place = true},
    {.name = "resume", .kind = SWITCH, .offset = AT(resume), .place = true},
    {.name = "epochs", .kind = LONG, .offset = AT(epochs), .low = 1, .high = 1e9},
    {.name = "steps", .kind = LONG, .offset = AT(steps), .low = 1, .high = 2e9},
    {.name = "batch", .kind = INT, .offset = AT(batch), .low = 1, .high = 65536},
    {.name = "lr", .kind = REAL, .offset = AT(lr), .low = 0, .high = 1e6, .open = true},
    {.name = "wd", .kind = REAL, .offset = AT(wd), .low = 0, .high = 1e6, .minus = true},
    {.name = "optimizer", .kind = TEXT, .offset = AT(optimizer), .words = "sgd adam adamw rmsprop"},
    {.name = "momentum", .kind = REAL, .offset = AT(momentum), .low = 0, .high = 1, .minus = true},
    {.name = "nesterov", .kind = SWITCH, .offset = AT(nesterov)},
    {.name = "amsgrad", .kind = SWITCH, .offset = AT(amsgrad)},
    {.name = "no-decay-1d", .kind = SWITCH, .offset = AT(no_decay_1d)},
    {.name = "no-decay", .kind = TEXT, .offset = AT(no_decay), .words = "none 1d norm+bias cls det seg"},
    {.name = "schedule", .kind = TEXT, .offset = AT(schedule), .words = "cosine step constant"},
    {.name = "warmup", .kind = REAL, .offset = AT(warmup), .low = 0, .high = 1e9, .minus = true},
    {.name = "lr-min", .kind = REAL, .offset = AT(lr_min), .low = 0, .high = 1e6, .minus = true},
    {.name = "warmup-start", .kind = REAL, .offset = AT(warmup_start), .low = 0, .high = 1e6, .minus = true},
    {.name = "warmup-multiply", .kind = SWITCH, .offset = AT(warmup_multiply)},
    {.name = "warmup-first", .kind = SWITCH, .offset = AT(warmup_first)},
    {.name = "schedule-epochs", .kind = REAL, .offset = AT(schedule_epochs), .low = 0, .high = 1e9, .open = true},
    {.name = "schedule-by-epoch", .kind = SWITCH, .offset = AT(schedule_by_epoch)},
    {.name = "schedule-lag", .kind = SWITCH, .offset = AT(schedule_lag)},
    {.name = "every", .kind = REAL, .offset = AT(every), .low = 0, .high = 1e9, .open = true},
    {.name = "gamma", .kind = REAL, .offset = AT(gamma), .low = 0, .high = 1e6, .open = true},
    {.name = "clip", .kind = REAL, .offset = AT(clip), .low = 0, .high = 1e9},
    {.name = "ema", .kind = REAL, .offset = AT(ema), .low = 0, .high = 0.9999999},
    {.name = "smoothing", .kind = REAL, .offset = AT(smoothing), .low = 0, .high = 0.999999},
    {.name = "drop-path", .kind = REAL, .offset = AT(drop_path), .low = 0, .high = 0.999999},
    {.name = "augment", .kind = TEXT, .offset = AT(augment), .check = check_augment},
    {.name = "drop-last", .kind = SWITCH, .offset = AT(drop_last)},
    {.name = "eval-every", .kind = LONG, .offset = AT(eval_every), .low = 1, .high = 1e9},
    {.name = "save-every", .kind = REAL, .offset = AT(save_every), .low = 0, .high = 1e9, .open = true},
    {.name = "seed", .kind = SEED, .offset = AT(seed)},
    {.name = "split-seed", .kind = SEED, .offset = AT(data_options.seed)},
    {.name = "memory", .kind = BYTES, .offset = AT(memory), .low = 1, .high = 9e18},
    {.name = "check-finite", .kind = SWITCH, .offset = AT(check_finite)},
    {.name = "arch", .kind = TEXT, .offset = AT(model_options.arch)},
    {.name = "weights", .kind = TEXT, .offset = AT(model_options.weights)},
    {.name = "mean", .kind = TEXT, .offset = AT(model_options.mean_text)},
    {.name = "std", .kind = TEXT, .offset = AT(model_options.std_text)},
    {.name = "interpolation",
     .kind = TEXT,
     .offset = AT(model_options.interpolation),
     .words = "nearest box bilinear hamming bicubic lanczos"},
    {.name = "crop-pct",
     .kind = REAL,
     .offset = AT(model_options.crop_pct),
     .low = 0,
     .high = 1,
     .minus = true,
     .zero = -1},
    {.name = "image", .kind = INT, .offset = AT(model_options.image), .low = 1, .high = 16384},
    {.name = "val-fraction",
     .kind = REAL,
     .offset = AT(data_options.val_fraction),
     .low = 0,
     .high = 0.999999,
     .minus = true,
     .zero = -1},
    {.name = "classes", .kind = TEXT, .offset = AT(data_options.classes)},
    {.name = "class-order", .kind = TEXT, .offset = AT(data_options.class_order), .words = "byte natural"},
    {.name = "max-pixels", .kind = LONG, .offset = AT(data_options.max_pixels), .low = 1, .high = 1e12},
    {.name = "no-exif", .kind = SWITCH, .offset = AT(data_options.ignore_exif)},
};
#undef AT

static void *slot(fet_tune_options *o, const key *k)
{
    return (char *)o + k->offset;
}

static const void *peek(const fet_tune_options *o, const key *k)
{
    return (const char *)o + k->offset;
}

static const key *find(const char *name)
{
    size_t i;

    for (i = 0; i < FET_COUNT(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

void fet_tune_defaults(fet_tune_options *o)
{
    *o = (fet_tune_options){.wd = -1, .momentum = -1, .warmup = -1, .lr_min = -1, .warmup_start = -1};
}

/* ---- from text --------------------------------------------------------------------------------------------------- */

static fet_status unknown(const char *name)
{
    const char *names[FET_COUNT(keys)];
    int i, near;

    for (i = 0; i < (int)FET_COUNT(keys); i++)
        names[i] = keys[i].name;
    near = fet__nearest(name, names, (int)FET_COUNT(keys));
    if (near >= 0)
        return FET_FAIL(FET_E_ARG, "unknown option '%s'; the nearest is '%s'", fet__show(name), names[near]);
    return FET_FAIL(FET_E_ARG, "unknown option '%s'", fet__show(name));
}

/* Is `word` one of the space-separated choices? */
static bool among(const char *words, const char *word)
{
    size_t n = strlen(word);
    const char *p = words;

    for (; n && !strchr(word, ' ') && (p = strstr(p, word)) != NULL; p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static fet_status set_text(fet_tune_options *o, const key *k, const char *value)
{
    if (k->words && !among(k->words, value))
        return FET_FAIL(FET_E_ARG, "%s '%s' is none of: %s", k->name, fet__show(value), k->words);
    if (k->check && k->check(value) != FET_OK)
        return FET_E_ARG;
    *(const char **)slot(o, k) = value;
    return FET_OK;
}

static fet_status out_of_range(const key *k, const char *value)
{
    const char *sort = k->kind == REAL ? "a number" : "a whole number";

    if (k->open)
        return FET_FAIL(FET_E_ARG, "%s '%s' is not %s above %g (and at most %g)", k->name, fet__show(value), sort,
                        k->low, k->high);
    return FET_FAIL(FET_E_ARG, "%s '%s' is not %s from %.12g to %.12g", k->name, fet__show(value), sort, k->low,
                    k->high);
}

static bool in_range(const key *k, double v)
{
    return (k->open ? v > k->low : v >= k->low) && v <= k->high;
}

static fet_status set_whole(fet_tune_options *o, const key *k, const char *value)
{
    int64_t v;

    if (k->kind == BYTES ? !fet__parse_bytes(value, &v) : !fet__parse_int(value, &v))
        return k->kind == BYTES
                   ? FET_FAIL(FET_E_ARG, "%s '%s' is not a size such as 512M or 2G", k->name, fet__show(value))
                   : out_of_range(k, value);
    if (k->kind == SEED) {
        if (v < 0)
            return FET_FAIL(FET_E_ARG, "%s '%s' is not a whole number from 0 on", k->name, fet__show(value));
        *(uint64_t *)slot(o, k) = (uint64_t)v;
        return FET_OK;
    }
    if (!in_range(k, (double)v))
        return out_of_range(k, value);
    if (k->kind == INT)
        *(int *)slot(o, k) = (int)v;
    else
        *(int64_t *)slot(o, k) = v;
    return FET_OK;
}

static fet_status set_real(fet_tune_options *o, const key *k, const char *value)
{
    double v;

    if (!fet__parse_double(value, &v) || !in_range(k, v))
        return out_of_range(k, value);
    *(double *)slot(o, k) = v == 0 ? k->zero : v;
    return FET_OK;
}

static fet_status set_switch(fet_tune_options *o, const key *k, const char *value)
{
    bool on;

    if (!fet__parse_bool(value, &on))
        return FET_FAIL(FET_E_ARG, "%s '%s' is neither true nor false", k->name, fet__show(value));
    *(int *)slot(o, k) = on;
    return FET_OK;
}

fet_status fet_tune_set(fet_tune_options *o, const char *name, const char *value)
{
    const key *k;

    if (!o || !name || !value)
        return FET_FAIL(FET_E_ARG, "fet_tune_set: options, name or value is absent");
    k = find(name);
    if (!k)
        return unknown(name);
    switch (k->kind) {
    case TEXT: return set_text(o, k, value);
    case REAL: return set_real(o, k, value);
    case SWITCH: return set_switch(o, k, value);
    case INT:
    case LONG:
    case BYTES:
    case SEED: break;
    }
    return set_whole(o, k, value);
}

/* ---- recipes ----------------------------------------------------------------------------------------------------- */

fet_status fet_tune_recipe(fet_tune_options *o, const char *path, void **keep)
{
    fet__kept *kept = NULL;
    fet_status st;
    int i;

    if (!o || !path || !keep)
        return FET_FAIL(FET_E_ARG, "fet_tune_recipe: options, path or keeper is absent");
    *keep = NULL;
    FET_TRY(FET_NEW(kept, 1));
    FET_TRY(fet__recipe_read(&kept->recipe, path));
    for (i = 0; i < kept->recipe.count; i++) {
        st = fet_tune_set(o, kept->recipe.keys[i], kept->recipe.values[i]);
        if (st != FET_OK) {
            st = fet__fail_in(st, "%s:%d", fet__show(path), kept->recipe.lines[i]);
            goto done;
        }
    }
    *keep = kept;
    kept = NULL;
done:
    fet_recipe_free(kept);
    return st;
}

void fet_recipe_free(void *keep)
{
    fet__kept *kept = keep;

    if (!kept)
        return;
    fet__recipe_fini(&kept->recipe);
    json_decref(kept->json);
    fet__free(kept);
}

/* ---- run.json ---------------------------------------------------------------------------------------------------- */

/* A path that is not UTF-8 is recorded escaped: for the reader, and a resume must give it again. */
static json_t *text_json(const char *s)
{
    json_t *j = json_string(s);

    return j ? j : json_string(fet__show(s));
}

static json_t *to_json(const fet_tune_options *o, const key *k)
{
    const void *p = peek(o, k);
    const char *s;

    switch (k->kind) {
    case TEXT: s = *(const char *const *)p; return s ? text_json(s) : json_null();
    case INT: return json_integer(*(const int *)p);
    case SWITCH: return json_boolean(*(const int *)p);
    case REAL: return json_real(*(const double *)p);
    case LONG:
    case BYTES:
    case SEED: break; /* eight bytes each */
    }
    return json_integer((json_int_t) * (const int64_t *)p);
}

/* Triples given as numbers are recorded as text, which is how they are read back. */
static void triple_to_json(json_t *j, const char *name, const float *v)
{
    char text[96];

    if (!v)
        return;
    snprintf(text, sizeof text, "%.9g,%.9g,%.9g", (double)v[0], (double)v[1], (double)v[2]);
    json_object_set_new(j, name, json_string(text));
}

char *fet__tune_to_json(const fet_tune_options *o)
{
    json_t *j = json_object();
    char *text, *own = NULL;
    size_t i;

    for (i = 0; i < FET_COUNT(keys); i++)
        if (strcmp(keys[i].name, "resume") != 0 && strcmp(keys[i].name, "out") != 0)
            json_object_set_new(j, keys[i].name, to_json(o, &keys[i]));
    triple_to_json(j, "mean", o->model_options.mean);
    triple_to_json(j, "std", o->model_options.std);
    text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text)
        own = fet__strdup(text);
    if (!own)
        FET_FAIL(FET_E_NOMEM, "no memory for the options' record");
    free(text);
    json_decref(j);
    return own;
}

static fet_status from_json(fet_tune_options *o, const key *k, const json_t *v, const char *path)
{
    bool good = k->kind == TEXT     ? json_is_string(v) || json_is_null(v)
                : k->kind == REAL   ? json_is_number(v)
                : k->kind == SWITCH ? json_is_boolean(v)
                                    : json_is_integer(v);

    if (!good)
        return FET_FAIL(FET_E_FORMAT, "%s: option %s is %s", fet__show(path), k->name,
                        v ? "of the wrong type" : "missing");
    if (k->kind == TEXT)
        *(const char **)slot(o, k) = json_string_value(v);
    else if (k->kind == REAL)
        *(double *)slot(o, k) = json_number_value(v);
    else if (k->kind == SWITCH)
        *(int *)slot(o, k) = json_is_true(v);
    else if (k->kind == INT)
        *(int *)slot(o, k) = (int)json_integer_value(v);
    else
        *(int64_t *)slot(o, k) = (int64_t)json_integer_value(v);
    return FET_OK;
}

static bool same(const fet_tune_options *a, const fet_tune_options *b, const key *k)
{
    const void *x = peek(a, k), *y = peek(b, k);
    const char *s, *t;

    switch (k->kind) {
    case TEXT:
        s = *(const char *const *)x;
        t = *(const char *const *)y;
        return s == t || (s && t && strcmp(s, t) == 0);
    case INT:
    case SWITCH: return *(const int *)x == *(const int *)y;
    case REAL: return *(const double *)x == *(const double *)y;
    case LONG:
    case BYTES:
    case SEED: break;
    }
    return *(const int64_t *)x == *(const int64_t *)y;
}

/* The run's own options hold; what was asked for besides is not silently dropped. */
static void name_left_aside(const fet_tune_options *given, const fet_tune_options *stored)
{
    fet_tune_options defaults;
    size_t i;

    fet_tune_defaults(&defaults);
    for (i = 0; i < FET_COUNT(keys); i++)
        if (!keys[i].place && !same(given, &defaults, &keys[i]) && !same(given, stored, &keys[i]))
            fet__warn("%s is left aside: a resumed run keeps the options of its first start", keys[i].name);
}

static fet_status read_options(fet_tune_options *o, const json_t *j, const char *path)
{
    fet_tune_options stored = *o;
    size_t i;
    fet_status st = FET_OK;

    stored.model_options.mean = stored.model_options.std = NULL;
    if (!json_is_object(j))
        return FET_FAIL(FET_E_FORMAT, "%s: it records no options", fet__show(path));
    for (i = 0; i < FET_COUNT(keys); i++) {
        if (strcmp(keys[i].name, "resume") == 0 || strcmp(keys[i].name, "out") == 0)
            continue;
        if (keys[i].place && *(const char *const *)peek(o, &keys[i]))
            continue; /* the same data or model in another place: their fingerprints decide */
        FET_TRY(from_json(&stored, &keys[i], json_object_get(j, keys[i].name), path));
    }
    name_left_aside(o, &stored);
    *o = stored;
done:
    return st;
}

fet_status fet__tune_from_run(fet_tune_options *o, const char *run, void **keep, bool *found)
{
    char *path = fet__path_join(run, "run.json");
    fet__kept *kept = NULL;
    json_error_t error;
    fet_status st = FET_OK;

    *keep = NULL;
    *found = path && fet__file_exists(path);
    if (!path)
        return FET_E_NOMEM;
    if (!*found)
        goto done;
    FET_TRY(FET_NEW(kept, 1));
    kept->json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!kept->json) {
        st = FET_FAIL(FET_E_FORMAT, "%s: line %d: %s", fet__show(path), error.line, error.text);
        goto done;
    }
    FET_TRY(read_options(o, json_object_get(kept->json, "options"), path));
    *keep = kept;
    kept = NULL;
done:
    fet_recipe_free(kept);
    fet__free(path);
    return st;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static fet_status check_numbers(const fet_tune_options *o)
{
    size_t i;

    for (i = 0; i < FET_COUNT(keys); i++) {
        const key *k = &keys[i];
        const void *p = peek(o, k);
        const char *text = k->kind == TEXT ? *(const char *const *)p : NULL;
        double v = k->kind == REAL ? *(const double *)p : k->kind == INT ? *(const int *)p : 0;
        if (k->kind == LONG || k->kind == BYTES)
            v = (double)*(const int64_t *)p;
        /* 0 stands for a default everywhere, a negative value here and there; text never gives them. */
        if (isnan(v) || v > k->high || (v < 0 && !k->minus))
            return FET_FAIL(FET_E_ARG, "%s %g is out of range", k->name, v);
        if (text && k->words && !among(k->words, text))
            return FET_FAIL(FET_E_ARG, "%s '%s' is none of: %s", k->name, fet__show(text), k->words);
        if (text && k->check && k->check(text) != FET_OK)
            return FET_E_ARG;
    }
    return FET_OK;
}

fet_status fet__tune_check(fet_tune_options *o)
{
    fet__model_options model;
    float values[6] = {0};
    fet_status st;

    FET_TRY(check_numbers(o));
    FET_TRY(fet__model_options_from(&model, &o->model_options, o->seed,
                                    values)); /* triples and sizes, before anything is opened */
    o->epochs = o->epochs ? o->epochs : 20;
    o->batch = o->batch ? o->batch : 32;
    o->lr = o->lr > 0 ? o->lr : 1e-3;
    o->wd = o->wd >= 0 ? o->wd : 1e-4;
    o->momentum = o->momentum >= 0 ? o->momentum : 0.9;
    o->optimizer = o->optimizer ? o->optimizer : "adamw";
    o->schedule = o->schedule ? o->schedule : "cosine";
    o->augment = o->augment ? o->augment : "light";
    o->lr_min = o->lr_min >= 0 ? o->lr_min : o->lr / 100;
    o->warmup_start = o->warmup_start >= 0 ? o->warmup_start : o->lr / 1000;
    o->gamma = o->gamma > 0 ? o->gamma : 0.1;
    o->eval_every = o->eval_every ? o->eval_every : 1;
    if (o->no_decay && o->no_decay_1d && strcmp(o->no_decay, "1d") != 0)
        return FET_FAIL(FET_E_ARG, "give no-decay or no-decay-1d, not both");
    if (o->schedule_lag && !o->schedule_by_epoch)
        return FET_FAIL(FET_E_ARG, "schedule-lag needs schedule-by-epoch");
done:
    return st;
}
