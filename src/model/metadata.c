/* The JSON that fettle keeps in safetensors metadata: class names, preprocessing, what an adapter fits. Untrusted when read. */
#include "model/model_int.h"

#include <stdlib.h>
#include <string.h>

#include "store/json_text.h"

/* Texts of jansson are malloc'ed; ours are fet__alloc'ed. Consumes `j`. */
static char *dump(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL, *own = text ? fet__strdup(text) : NULL;

    if (!own)
        FET_FAIL(FET_E_NOMEM, "no memory for JSON metadata");
    free(text);
    json_decref(j);
    return own;
}

char *fet__classes_json(char *const *names, int count)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    if ((int)json_array_size(list) != count) {
        json_decref(list);
        FET_FAIL(FET_E_ARG, "a class name is not valid UTF-8 and cannot be stored");
        return NULL;
    }
    return dump(list);
}

static json_t *load(const char *json, const char *path, const char *key)
{
    json_t *j = NULL;

    if (fet__json_load(&j, json, strlen(json), FET__JSON_METADATA_BYTES, path) != FET_OK)
        fet__fail_in(FET_E_FORMAT, "metadata %s", key);
    return j;
}

fet_status fet__classes_parse(const char *json, const char *path, fet__arena *arena, char ***names, int *count)
{
    json_t *list = load(json, path, "fettle.classes"), *seen = json_object();
    fet_status st = FET_E_FORMAT;
    size_t i, n;

    if (!list)
        goto done;
    n = json_array_size(list);
    if (!json_is_array(list) || n > 1u << 24) {
        FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.classes is not a list of names", fet__show(path));
        goto done;
    }
    *names = fet__arena_alloc(arena, n + 1, sizeof **names);
    for (i = 0; *names && i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || json_object_get(seen, name)) {
            FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.classes: entry %zu is %s", fet__show(path), i,
                     name ? "there twice" : "not a text");
            goto done;
        }
        json_object_set_new(seen, name, json_true());
        if (!((*names)[i] = fet__arena_strdup(arena, name)))
            *names = NULL;
    }
    *count = (int)n;
    st = *names ? FET_OK : FET_E_NOMEM;
done:
    json_decref(list);
    json_decref(seen);
    return st;
}

static json_t *three(const float v[3])
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < 3; i++)
        json_array_append_new(list, json_real((double)v[i]));
    return list;
}

static json_t *input_object(const fet__input_spec *s)
{
    json_t *j = json_object();

    json_object_set_new(j, "height", json_integer(s->height));
    json_object_set_new(j, "width", json_integer(s->width));
    json_object_set_new(j, "mean", three(s->mean));
    json_object_set_new(j, "std", three(s->std));
    json_object_set_new(j, "interpolation", json_string(fet__filter_name(s->filter)));
    json_object_set_new(j, "crop_pct", json_real(s->crop_pct));
    if (s->standardize)
        json_object_set_new(j, "standardize", json_true());
    return j;
}

char *fet__preprocess_json(const fet__input_spec *s)
{
    return dump(input_object(s));
}

static bool read_three(const json_t *list, float out[3], bool positive)
{
    size_t i;

    if (!json_is_array(list) || json_array_size(list) != 3)
        return false;
    for (i = 0; i < 3; i++) {
        double v = json_number_value(json_array_get(list, i));
        if (!json_is_number(json_array_get(list, i)) || v < -1e6 || v > 1e6)
            return false;
        out[i] = (float)v; /* what is kept decides, so that it can be read again when it was saved */
        if (positive && out[i] < 1e-6F)
            return false;
    }
    return true;
}

static fet_status input_from(const json_t *j, const char *path, fet__input_spec *out)
{
    const char *filter = json_string_value(json_object_get(j, "interpolation"));
    json_int_t h = json_integer_value(json_object_get(j, "height")),
               w = json_integer_value(json_object_get(j, "width"));
    double crop = json_number_value(json_object_get(j, "crop_pct"));

    out->standardize = json_is_true(json_object_get(j, "standardize"));
    if (h < 1 || h > 16384 || w < 1 || w > 16384 || crop < 0 || crop > 1 || !filter ||
        !fet__filter_parse(filter, &out->filter) || !read_three(json_object_get(j, "mean"), out->mean, false) ||
        !read_three(json_object_get(j, "std"), out->std, true))
        return FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.preprocess lacks a value or has one out of range",
                        fet__show(path));
    out->height = (int)h;
    out->width = (int)w;
    out->crop_pct = crop;
    return FET_OK;
}

fet_status fet__preprocess_parse(const char *json, const char *path, fet__input_spec *out)
{
    json_t *j = load(json, path, "fettle.preprocess");
    fet_status st = j ? input_from(j, path, out) : FET_E_FORMAT;

    json_decref(j);
    return st;
}

char *fet__adapter_meta_json(const fet__adapter_meta *m)
{
    json_t *j = json_object();

    json_object_set_new(j, "spec", json_string(m->spec));
    json_object_set_new(j, "arch", json_string(m->arch));
    json_object_set_new(j, "fingerprint", json_string(m->fingerprint));
    json_object_set_new(j, "model", json_string(m->model));
    json_object_set_new(j, "preprocess", input_object(&m->input));
    return dump(j);
}

static bool copy_text(const json_t *j, const char *key, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s && (size_t)snprintf(out, size, "%s", s) < size;
}

fet_status fet__adapter_meta_parse(const char *json, const char *path, fet__adapter_meta *out)
{
    json_t *j = load(json, path, "fettle.adapter");
    fet_status st = FET_E_FORMAT;

    memset(out, 0, sizeof *out);
    if (!j)
        return st;
    if (!copy_text(j, "spec", out->spec, sizeof out->spec) || !copy_text(j, "arch", out->arch, sizeof out->arch) ||
        !copy_text(j, "fingerprint", out->fingerprint, sizeof out->fingerprint) || strlen(out->fingerprint) != 64) {
        FET_FAIL(FET_E_FORMAT, "%s: metadata fettle.adapter lacks spec, arch or fingerprint", fet__show(path));
    } else {
        if (!copy_text(j, "model", out->model, sizeof out->model))
            out->model[0] = '\0';
        st = input_from(json_object_get(j, "preprocess"), path, &out->input);
    }
    json_decref(j);
    return st;
}
