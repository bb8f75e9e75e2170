/* Options of a search by name: set from text, checked, written to run.json beside those of training and read from there. */
#include "method/nas_int.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, INT, LONG, REAL, SWITCH, BYTES, COUNT };

typedef struct key {
    const char *name;
    enum kind kind;
    size_t offset;
    double low, high;
    const char *words; /* of TEXT: the choices */
} key;

#define AT(member) offsetof(fet_nas_search_options, member)
static const key keys[] = {
    {"profile", TEXT, AT(profile), 0, 0, NULL},
    {"foreign", SWITCH, AT(foreign), 0, 0, NULL},
    {"latency", TEXT, AT(latency), 0, 0, NULL},
    {"memory", BYTES, AT(network_memory), 1, 9e18, NULL},
    {"flops", COUNT, AT(flops), 1, 1e18, NULL},
    {"space", TEXT, AT(space), 0, 0, "quadra plain"},
    {"gates", TEXT, AT(gates), 0, 0, "two full"},
    {"objective", TEXT, AT(objective), 0, 0, "log linear none"},
    {"log-a", REAL, AT(log_a), 1e-6, 1e6, NULL},
    {"log-b", REAL, AT(log_b), 0, 100, NULL},
    {"lambda", REAL, AT(lambda), 0, 1e6, NULL},
    {"search-epochs", LONG, AT(search_epochs), 1, 1e6, NULL},
    {"search-warmup", LONG, AT(search_warmup), 0, 1e6, NULL},
    {"search-batch", INT, AT(search_batch), 1, 65536, NULL},
    {"search-optimizer", TEXT, AT(search_optimizer), 0, 0, "adamw sgd"},
    {"search-lr", REAL, AT(search_lr), 1e-12, 1e3, NULL},
    {"search-warmup-lr", REAL, AT(search_warmup_lr), 1e-12, 1e3, NULL},
    {"search-wd", REAL, AT(search_wd), 0, 1e3, NULL},
    {"search-momentum", REAL, AT(search_momentum), 0, 0.999999, NULL},
    {"search-clip", REAL, AT(search_clip), 0, 1e9, NULL},
    {"search-smoothing", REAL, AT(search_smoothing), 0, 0.999999, NULL},
    {"search-augment", TEXT, AT(search_augment), 0, 0, NULL},
    {"alpha-lr", REAL, AT(alpha_lr), 1e-12, 1e3, NULL},
    {"alpha-share", REAL, AT(alpha_share), 1e-6, 0.999999, NULL},
    {"alpha-every", LONG, AT(alpha_every), 1, 1e6, NULL},
};
#undef AT

void fet_nas_search_defaults(fet_nas_search_options *o)
{
    *o = (fet_nas_search_options){.space = "quadra",
                                  .gates = "two",
                                  .objective = "log",
                                  .log_a = 0.2,
                                  .log_b = 0.3,
                                  .lambda = 0.1,
                                  .search_epochs = 30,
                                  .search_warmup = 10,
                                  .search_optimizer = "adamw",
                                  .search_wd = -1,
                                  .search_momentum = 0.9,
                                  .search_clip = 5,
                                  .search_smoothing = 0.1,
                                  .search_augment = "light",
                                  .alpha_lr = 5e-3,
                                  .alpha_share = 0.5,
                                  .alpha_every = 2};
    fet_tune_defaults(&o->train);
}

static void *slot(fet_nas_search_options *o, const key *k)
{
    return (char *)o + k->offset;
}

static const void *peek(const fet_nas_search_options *o, const key *k)
{
    return (const char *)o + k->offset;
}

static const key *find(const char *name)
{
    for (size_t i = 0; i < FET_COUNT(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* ---- from text ---------------------------------------------------------------------------------------------------- */

static bool among(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = words; n && !strchr(word, ' ') && (p = strstr(p, word)) != NULL; p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

/* "300M": thousands, not 1024s. */
static bool parse_count(const char *s, double *out)
{
    static const char suffixes[] = "kMGT";
    char number[64];
    size_t n = strlen(s);
    const char *suffix = n ? strchr(suffixes, s[n - 1]) : NULL;

    if (!n || n >= sizeof number)
        return false;
    snprintf(number, sizeof number, "%.*s", (int)(n - (suffix != NULL)), s);
    if (!fet__parse_double(number, out))
        return false;
    for (const char *p = suffixes; suffix && p <= suffix; p++)
        *out *= 1000;
    return true;
}

static fet_status out_of_range(const key *k, const char *value)
{
    return FET_FAIL(FET_E_ARG, "%s '%s' is not a number from %g to %g", k->name, fet__show(value), k->low, k->high);
}

static fet_status set_number(fet_nas_search_options *o, const key *k, const char *value)
{
    void *to = slot(o, k);
    int64_t whole = 0;
    double v = 0;
    bool real = k->kind == REAL || k->kind == COUNT;
    bool good = k->kind == REAL    ? fet__parse_double(value, &v)
                : k->kind == COUNT ? parse_count(value, &v)
                : k->kind == BYTES ? fet__parse_bytes(value, &whole)
                                   : fet__parse_int(value, &whole);

    if (!real)
        v = (double)whole;
    if (!good || !(v >= k->low && v <= k->high))
        return out_of_range(k, value);
    if (real)
        *(double *)to = v;
    else if (k->kind == INT)
        *(int *)to = (int)whole;
    else
        *(int64_t *)to = whole;
    return FET_OK;
}

static fet_status set_own(fet_nas_search_options *o, const key *k, const char *value)
{
    bool on;

    if (k->kind == SWITCH) {
        if (!fet__parse_bool(value, &on))
            return FET_FAIL(FET_E_ARG, "%s '%s' is neither true nor false", k->name, fet__show(value));
        *(int *)slot(o, k) = on;
        return FET_OK;
    }
    if (k->kind != TEXT)
        return set_number(o, k, value);
    if (k->words && !among(k->words, value))
        return FET_FAIL(FET_E_ARG, "%s '%s' is none of: %s", k->name, fet__show(value), k->words);
    *(const char **)slot(o, k) = value;
    return FET_OK;
}

fet_status fet_nas_search_set(fet_nas_search_options *o, const char *name, const char *value)
{
    const key *k;

    if (!o || !name || !value)
        return FET_FAIL(FET_E_ARG, "fet_nas_search_set: options, name or value is absent");
    if (strcmp(name, "budget") == 0)
        name = "memory"; /* of training's options, for the search's own --memory is the network's */
    else if ((k = find(name)) != NULL)
        return set_own(o, k, value);
    return fet_tune_set(&o->train, name, value);
}

/* ---- run.json ----------------------------------------------------------------------------------------------------- */

static json_t *to_json(const fet_nas_search_options *o, const key *k)
{
    const void *p = peek(o, k);
    const char *s;

    switch (k->kind) {
    case TEXT: s = *(const char *const *)p; return s ? json_string(fet__show(s)) : json_null();
    case INT: return json_integer(*(const int *)p);
    case SWITCH: return json_boolean(*(const int *)p);
    case REAL:
    case COUNT: return json_real(*(const double *)p);
    case LONG:
    case BYTES: break;
    }
    return json_integer((json_int_t) * (const int64_t *)p);
}

fet_status fet__nas_options_json(char **out, const fet_nas_search_options *o)
{
    char *train = fet__tune_to_json(&o->train), *text = NULL;
    json_t *j = train ? json_loads(train, 0, NULL) : NULL, *search = json_object();

    for (size_t i = 0; j && i < FET_COUNT(keys); i++)
        json_object_set_new(search, keys[i].name, to_json(o, &keys[i]));
    if (j && json_object_set(j, "search", search) == 0)
        text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    *out = text ? fet__strdup(text) : NULL;
    free(text);
    json_decref(search);
    json_decref(j);
    fet__free(train);
    return *out ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for the options' record");
}

static fet_status from_json(fet_nas_search_options *o, const key *k, const json_t *v, const char *path)
{
    void *to = slot(o, k);
    bool real = k->kind == REAL || k->kind == COUNT;
    bool good = k->kind == TEXT     ? json_is_string(v) || json_is_null(v)
                : k->kind == SWITCH ? json_is_boolean(v)
                : real              ? json_is_number(v)
                                    : json_is_integer(v);

    if (!good)
        return FET_FAIL(FET_E_FORMAT, "%s: option %s of the search is %s", fet__show(path), k->name,
                        v ? "of the wrong type" : "missing");
    if (k->kind == TEXT)
        *(const char **)to = json_string_value(v);
    else if (real)
        *(double *)to = json_number_value(v);
    else if (k->kind == SWITCH)
        *(int *)to = json_is_true(v);
    else if (k->kind == INT)
        *(int *)to = (int)json_integer_value(v);
    else
        *(int64_t *)to = (int64_t)json_integer_value(v);
    return FET_OK;
}

static bool same(const fet_nas_search_options *a, const fet_nas_search_options *b, const key *k)
{
    json_t *x = to_json(a, k), *y = to_json(b, k);
    bool equal = json_equal(x, y);

    json_decref(x);
    json_decref(y);
    return equal;
}

fet_status fet__nas_options_from_run(fet_nas_search_options *o, void **keep, bool *found)
{
    fet_nas_search_options given = *o, defaults;
    const json_t *search;
    fet_status st;

    FET_TRY(fet__tune_from_run(&o->train, o->train.out, keep, found));
    if (!*found)
        return FET_OK;
    search = json_object_get(json_object_get(((const fet__kept *)*keep)->json, "options"), "search");
    if (!search)
        return FET_FAIL(FET_E_ARG, "%s: the run there is no search", fet__show(o->train.out));
    fet_nas_search_defaults(&defaults);
    for (size_t i = 0; i < FET_COUNT(keys); i++) {
        bool place = strcmp(keys[i].name, "profile") == 0 && given.profile; /* may have moved: its contents decide */

        if (!place)
            FET_TRY(from_json(o, &keys[i], json_object_get(search, keys[i].name), o->train.out));
        if (!place && !same(&given, &defaults, &keys[i]) && !same(&given, o, &keys[i]))
            fet__warn("%s is left aside: a resumed search keeps the options of its first start", keys[i].name);
    }
done:
    return st;
}

/* ---- checks ------------------------------------------------------------------------------------------------------- */

fet_status fet__nas_options_check(fet_nas_search_options *o)
{
    bool sgd;

    for (size_t i = 0; i < FET_COUNT(keys); i++) {
        const key *k = &keys[i];
        const char *text = k->kind == TEXT ? *(const char *const *)peek(o, k) : NULL;

        if (k->words && (!text || !among(k->words, text)))
            return FET_FAIL(FET_E_ARG, "%s '%s' is none of: %s", k->name, text ? fet__show(text) : "", k->words);
    }
    if (o->search_epochs < 1 || o->search_warmup < 0 || o->alpha_every < 1 ||
        !(o->alpha_share > 0 && o->alpha_share < 1) || !(o->alpha_lr > 0))
        return FET_FAIL(FET_E_ARG, "a search needs epochs, a share of images for the gates and a rate for them");
    if (o->latency && !o->profile)
        return FET_FAIL(FET_E_ARG, "a latency limit needs a profile (fettle nas profile measures this machine)");
    if (!o->latency && o->network_memory <= 0 && !(o->flops > 0))
        return FET_FAIL(FET_E_ARG, "a search needs a limit: latency, memory or flops");
    sgd = strcmp(o->search_optimizer, "sgd") == 0;
    o->search_lr = o->search_lr > 0 ? o->search_lr : sgd ? 0.025 : 1e-3;
    o->search_warmup_lr = o->search_warmup_lr > 0 ? o->search_warmup_lr : sgd ? 0.05 : 1e-3;
    o->search_wd = o->search_wd >= 0 ? o->search_wd : sgd ? 4e-5 : 0.05;
    return FET_OK;
}
