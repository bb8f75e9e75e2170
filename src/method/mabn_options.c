/* Options of fet_meta as a table: which method each belongs to, what run.json and branch.safetensors record, and what a resumed run
 * takes from there. What the options do is in mabn_meta.c. */
#include "method/mabn_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BIT(method) (1u << (method))
#define MABN BIT(FET__SITES_MABN)
#define ARM (BIT(FET__SITES_ARM_BN) | BIT(FET__SITES_ARM_CML) | BIT(FET__SITES_ARM_LL))
#define CML BIT(FET__SITES_ARM_CML)
#define LL BIT(FET__SITES_ARM_LL)
#define DMOE BIT(FET__SITES_META_DMOE)
#define ALL (~0u)

typedef struct entry {
    const char *key; /* in the record; with hyphens: the flag */
    enum { TEXT, INT, INT64, REAL } kind;
    size_t offset;
    unsigned methods; /* to which it means something */
    bool place;       /* says where things lie: a resume may give another */
} entry;

#define AT(member) offsetof(fet_meta_options, member)
static const entry entries[] = {{"model", TEXT, AT(model), ALL, true},
                                {"data", TEXT, AT(data), ALL, true},
                                {"format", TEXT, AT(data_options.format), ALL, false},
                                {"fold", TEXT, AT(data_options.fold), ALL, false},
                                {"method", TEXT, AT(method), ALL, false},
                                {"stage", TEXT, AT(stage), MABN, false},
                                {"holdout", TEXT, AT(holdout), ALL, false},
                                {"epochs", INT64, AT(epochs), ALL, false},
                                {"batch", INT, AT(batch), ~ARM, false},
                                {"lr", REAL, AT(lr), ALL, false},
                                {"episodes", INT64, AT(episodes), MABN | DMOE, false},
                                {"support", INT, AT(support), MABN | DMOE | ARM, false},
                                {"query", INT, AT(query), MABN | DMOE, false},
                                {"inner_lr", REAL, AT(inner_lr), MABN | DMOE | LL, false},
                                {"inner_steps", INT, AT(inner_steps), MABN | DMOE | LL, false},
                                {"order", INT, AT(order), MABN, false},
                                {"outer_lr", REAL, AT(outer_lr), MABN | DMOE, false},
                                {"lambda", REAL, AT(lambda), MABN, false},
                                {"hidden", INT, AT(hidden), MABN, false},
                                {"projection", INT, AT(projection), MABN, false},
                                {"target", TEXT, AT(target), MABN, false},
                                {"tau", REAL, AT(tau), MABN, false},
                                {"head_norm", TEXT, AT(head_norm), MABN, false},
                                {"view1", TEXT, AT(view1), MABN, false},
                                {"view2", TEXT, AT(view2), MABN, false},
                                {"meta_batch", INT, AT(meta_batch), ARM, false},
                                {"context", INT, AT(context), CML, false},
                                {"experts", INT, AT(experts), DMOE, false},
                                {"seed", INT64, AT(seed), ALL, false},
                                {"memory", INT64, AT(memory), ALL, false},
                                {"arch", TEXT, AT(model_options.arch), ALL, false},
                                {"mean", TEXT, AT(model_options.mean_text), ALL, false},
                                {"std", TEXT, AT(model_options.std_text), ALL, false},
                                {"interpolation", TEXT, AT(model_options.interpolation), ALL, false},
                                {"crop_pct", REAL, AT(model_options.crop_pct), ALL, false},
                                {"image", INT, AT(model_options.image), ALL, false},
                                {"weights", TEXT, AT(model_options.weights), ALL, false},
                                {"val_fraction", REAL, AT(data_options.val_fraction), ALL, false},
                                {"classes", TEXT, AT(data_options.classes), ALL, false},
                                {"class_order", TEXT, AT(data_options.class_order), ALL, false},
                                {"max_pixels", INT64, AT(data_options.max_pixels), ALL, false},
                                {"no_exif", INT, AT(data_options.ignore_exif), ALL, false},
                                {"split_seed", INT64, AT(data_options.seed), ALL, false}};
#define ENTRIES ((int)FET_COUNT(entries))

static const char *const methods[] = {"mabn", "erm", "arm-bn", "arm-cml", "arm-ll", "meta-dmoe"};

bool fet__sites_method_parse(const char *name, fet__sites_method *out)
{
    for (size_t i = 0; i < FET_COUNT(methods); i++)
        if (name && strcmp(name, methods[i]) == 0) {
            *out = (fet__sites_method)i;
            return true;
        }
    return false;
}

const char *fet__sites_method_name(fet__sites_method m)
{
    return methods[m];
}

/* ---- values ------------------------------------------------------------------------------------------------------------- */

static json_t *value_of(const fet_meta_options *o, const entry *e)
{
    const void *at = (const char *)o + e->offset;
    const char *s;

    switch (e->kind) {
    case TEXT: s = *(const char *const *)at; return s && s[0] ? json_string(s) : json_null();
    case INT: return json_integer(*(const int *)at);
    case REAL: return json_real(*(const double *)at);
    case INT64: break;
    }
    return json_integer((json_int_t) * (const int64_t *)at);
}

static fet_status take(fet_meta_options *o, const entry *e, const json_t *v)
{
    void *at = (char *)o + e->offset;
    bool good = e->kind == TEXT   ? json_is_string(v) || json_is_null(v)
                : e->kind == REAL ? json_is_number(v)
                                  : json_is_integer(v);

    if (!good)
        return FET_FAIL(FET_E_FORMAT, "run.json: option %s is %s: not a run of `fettle meta`, or of another version",
                        e->key, v ? "of the wrong type" : "missing");
    if (e->kind == TEXT)
        *(const char **)at = json_string_value(v);
    else if (e->kind == REAL)
        *(double *)at = json_number_value(v);
    else if (e->kind == INT)
        *(int *)at = (int)json_integer_value(v);
    else
        *(int64_t *)at = (int64_t)json_integer_value(v);
    return FET_OK;
}

static bool differs(const fet_meta_options *a, const fet_meta_options *b, const entry *e)
{
    json_t *x = value_of(a, e), *y = value_of(b, e);
    bool same = json_equal(x, y) != 0;

    json_decref(x);
    json_decref(y);
    return !same;
}

/* ---- doors -------------------------------------------------------------------------------------------------------------- */

fet_status fet__meta_check_method(const fet_meta_options *o, fet__sites_method method)
{
    fet_meta_options usual;
    char name[32];

    fet_meta_defaults(&usual);
    for (int i = 0; i < ENTRIES; i++) {
        if ((entries[i].methods & BIT(method)) || !differs(o, &usual, &entries[i]))
            continue;
        snprintf(name, sizeof name, "%s", entries[i].key);
        for (char *c = name; *c; c++)
            *c = *c == '_' ? '-' : *c;
        return FET_FAIL(FET_E_ARG, "%s means nothing to method %s", name, methods[method]);
    }
    return FET_OK;
}

char *fet__meta_to_json(const fet_meta_options *o)
{
    json_t *j = json_object();
    char *text = NULL, *own = NULL;
    bool good = j != NULL;

    for (int i = 0; i < ENTRIES && good; i++)
        good = json_object_set_new(j, entries[i].key, value_of(o, &entries[i])) == 0;
    if (good)
        text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(17));
    own = text ? fet__strdup(text) : NULL;
    if (!own)
        FET_FAIL(FET_E_ARG, "a path among the options is not UTF-8, or there is no memory");
    free(text);
    json_decref(j);
    return own;
}

static fet_status take_all(fet_meta_options *o, const json_t *options)
{
    fet_meta_options usual, stored = *o;
    fet_status st = FET_OK;

    fet_meta_defaults(&usual);
    for (int i = 0; i < ENTRIES && st == FET_OK; i++) {
        const entry *e = &entries[i];
        if (e->place && differs(o, &usual, e))
            continue; /* the same model or data in another place: fingerprints decide */
        st = take(&stored, e, json_object_get(options, e->key));
        if (st == FET_OK && !e->place && differs(o, &usual, e) && differs(o, &stored, e))
            fet__warn("%s is left aside: a resumed run keeps the options of its first start", e->key);
    }
    if (st == FET_OK)
        *o = stored;
    return st;
}

fet_status fet__meta_from_run(fet_meta_options *o, const char *run, void **keep)
{
    char *path = fet__path_join(run, "run.json");
    json_error_t error;
    json_t *j = NULL;
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    *keep = NULL;
    FET_TRY(st);
    if (!fet__file_exists(path)) {
        st = FET_FAIL(FET_E_IO, "%s: there is no run to resume", fet__show(run));
        goto done;
    }
    j = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!j)
        st = FET_FAIL(FET_E_FORMAT, "%s: line %d: %s", fet__show(path), error.line, error.text);
    else
        st = take_all(o, json_object_get(j, "options"));
    if (st != FET_OK)
        goto done;
    *keep = j; /* the texts lie in it */
    j = NULL;
done:
    json_decref(j);
    fet__free(path);
    return st;
}

void fet__meta_texts_free(void *keep)
{
    json_decref(keep);
}
