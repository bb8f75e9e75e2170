/* What lies beside the tensors in a folder of the Hugging Face hub: config.json (heads, eps, activation, class names; or timm's
 * pretrained_cfg) and preprocessor_config.json (how pictures become inputs). Untrusted: what has the wrong type is refused by name. */
#include "model/hub.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/json_text.h"

/* The names of 21,841 classes in both directions take 2 MB. */
#define CONFIG_BYTES ((size_t)8 << 20)

static fet_status read_object(json_t **out, const char *path)
{
    fet__map map = {0};
    fet_status st = fet__map_open(&map, path);

    if (st != FET_OK)
        return st;
    st = fet__json_load(out, (const char *)map.data, map.size, CONFIG_BYTES, path);
    fet__map_close(&map);
    if (st != FET_OK || json_is_object(*out))
        return st;
    json_decref(*out);
    *out = NULL;
    return FET_FAIL(FET_E_FORMAT, "%s: no JSON object", fet__show(path));
}

/* NULL and *st FET_OK when there is no such file. */
static json_t *load(const char *folder, const char *name, fet_status *st)
{
    char *path = fet__path_join(folder, name);
    json_t *j = NULL;

    *st = path ? FET_OK : FET_E_NOMEM;
    if (path && fet__file_exists(path))
        *st = read_object(&j, path);
    fet__free(path);
    return j;
}

static double number_or(const json_t *j, const char *key, double fallback)
{
    const json_t *v = json_object_get(j, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

/* ---- preprocessing -------------------------------------------------------------------------------------------------- */

static bool three(const json_t *v, float out[3], double least)
{
    size_t i;

    for (i = 0; i < 3; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        double value = json_number_value(x);
        if (!json_is_number(x) || !(value >= least && value <= 1e6))
            return false;
        out[i] = (float)value;
    }
    return true;
}

/* {"height": h, "width": w}, {"shortest_edge": s}, or a number. 0: absent. `exact`: both sides are given. */
static int edge(const json_t *v, bool *exact)
{
    double height = json_is_object(v) ? number_or(v, "height", 0) : json_number_value(v), side = height;

    *exact = json_is_object(v) && height > 0;
    if (json_is_object(v) && height <= 0)
        side = number_or(v, "shortest_edge", 0);
    return side >= 1 && side <= 16384 ? (int)side : 0;
}

static void take_sizes(const json_t *j, fet__input_spec *s)
{
    bool exact, ignored;
    int size = edge(json_object_get(j, "size"), &exact), crop = edge(json_object_get(j, "crop_size"), &ignored);
    bool cropped = json_is_true(json_object_get(j, "do_center_crop"));

    if (size == 0)
        return;
    if (!cropped || crop == 0)
        crop = size;
    s->height = s->width = crop;
    s->crop_pct = cropped && crop <= size ? (double)crop / size : 0;
    if (!cropped && !exact && json_is_object(json_object_get(j, "size")))
        s->crop_pct = 1;
}

static fet_status take_preprocessor(const json_t *j, const char *folder, fet__arch_hints *out)
{
    static const fet__filter filters[] = {FET__NEAREST, FET__LANCZOS, FET__BILINEAR,
                                          FET__BICUBIC, FET__BOX,     FET__HAMMING};
    const int filter_count = (int)FET_COUNT(filters);
    double filter = number_or(j, "resample", -1);
    int i;

    if (!json_is_false(json_object_get(j, "do_normalize"))) {
        if (!three(json_object_get(j, "image_mean"), out->input.mean, -1e6) ||
            !three(json_object_get(j, "image_std"), out->input.std, 1e-6))
            return FET_FAIL(FET_E_FORMAT, "%s/preprocessor_config.json: image_mean or image_std is not three numbers",
                            fet__show(folder));
    } else {
        for (i = 0; i < 3; i++) {
            out->input.mean[i] = 0;
            out->input.std[i] = 1;
        }
    }
    if (filter >= 0 && filter < filter_count)
        out->input.filter = filters[(int)filter];
    else if (!out->has_input)
        out->input.filter = FET__BILINEAR;
    take_sizes(j, &out->input);
    out->has_input = true;
    out->input_source = "its preprocessor_config.json";
    return FET_OK;
}

static fet_status take_timm_input(const json_t *j, const char *folder, fet__arch_hints *out)
{
    const char *filter = json_string_value(json_object_get(j, "interpolation"));
    double crop = number_or(j, "crop_pct", 0.875),
           side = json_number_value(json_array_get(json_object_get(j, "input_size"), 1));

    if (!json_object_get(j, "mean"))
        return FET_OK;
    if (!three(json_object_get(j, "mean"), out->input.mean, -1e6) ||
        !three(json_object_get(j, "std"), out->input.std, 1e-6) || !(crop > 0 && crop <= 1) || !filter ||
        !fet__filter_parse(filter, &out->input.filter))
        return FET_FAIL(FET_E_FORMAT, "%s/config.json: pretrained_cfg lacks a value or has one out of range",
                        fet__show(folder));
    out->input.crop_pct = crop;
    if (side >= 1 && side <= 16384)
        out->input.height = out->input.width = (int)side;
    out->has_input = true;
    out->input_source = "its config.json";
    return FET_OK;
}

/* ---- config.json -------------------------------------------------------------------------------------------------------- */

static fet_status take_activation(const json_t *j, const char *folder, fet__arch_hints *out)
{
    const char *act = json_string_value(json_object_get(j, "hidden_act"));

    if (!act)
        return FET_OK;
    out->quick_gelu = strcmp(act, "quick_gelu") == 0;
    if (!out->quick_gelu && strcmp(act, "gelu") != 0)
        return FET_FAIL(FET_E_FORMAT, "%s/config.json: activation '%s' is not supported (gelu and quick_gelu are)",
                        fet__show(folder), fet__show(act));
    return FET_OK;
}

static bool is_placeholder(const char *name)
{
    return strncmp(name, "LABEL_", 6) == 0;
}

/* Names must differ; a word that stands for two classes gets its number. */
static fet_status add_name(fet__hub *out, json_t *seen, const char *name, int i)
{
    out->classes[i] = json_object_get(seen, name) ? fet__arena_format(out->arena, "%s #%d", name, i)
                                                  : fet__arena_strdup(out->arena, name);
    if (!out->classes[i] || json_object_set_new(seen, out->classes[i], json_true()) != 0)
        return FET_E_NOMEM;
    return FET_OK;
}

/* {"0": "tench", ...} or ["tench", ...]; anything incomplete names nothing. */
static fet_status take_classes(const json_t *labels, fet__hub *out)
{
    size_t n = json_is_array(labels) ? json_array_size(labels) : json_object_size(labels), i;
    json_t *seen = json_object();
    char key[32];
    bool real = false;
    fet_status st = FET_OK;

    if (n > 0 && n <= 1 << 20)
        out->classes = fet__arena_alloc(out->arena, n, sizeof *out->classes);
    for (i = 0; out->classes && i < n && st == FET_OK; i++) {
        const char *name;
        snprintf(key, sizeof key, "%zu", i);
        name = json_string_value(json_is_array(labels) ? json_array_get(labels, i) : json_object_get(labels, key));
        if (!name)
            break;
        real = real || !is_placeholder(name);
        st = add_name(out, seen, name, (int)i);
    }
    out->class_count = out->classes && i == n && real ? (int)n : 0;
    json_decref(seen);
    return st;
}

static fet_status take_config(const json_t *j, const char *folder, fet__hub *out)
{
    const json_t *vision = json_object_get(j, "vision_config"), *timm = json_object_get(j, "pretrained_cfg");
    const json_t *body = json_is_object(vision) ? vision : j;
    double heads = number_or(body, "num_attention_heads", 0), eps = number_or(body, "layer_norm_eps", 0),
           image = number_or(body, "image_size", 0);
    fet_status st;

    if (heads >= 1 && heads <= 4096)
        out->hints->heads = (int)heads;
    if (eps > 0 && eps < 1)
        out->hints->eps = eps;
    if (image >= 1 && image <= 16384)
        out->hints->input.height = out->hints->input.width = (int)image;
    FET_TRY(take_activation(body, folder, out->hints));
    FET_TRY(take_classes(json_object_get(j, "id2label"), out));
    if (out->class_count == 0)
        FET_TRY(take_classes(json_object_get(j, "label_names"), out));
    FET_TRY(take_timm_input(json_is_object(timm) ? timm : j, folder, out->hints));
done:
    return st;
}

fet_status fet__hub_read(fet__hub *out, const char *folder)
{
    fet_status st;
    json_t *config = load(folder, "config.json", &st), *pictures = NULL;

    FET_TRY(st);
    pictures = load(folder, "preprocessor_config.json", &st);
    FET_TRY(st);
    if (config)
        FET_TRY(take_config(config, folder, out));
    if (pictures)
        FET_TRY(take_preprocessor(pictures, folder, out->hints));
done:
    json_decref(config);
    json_decref(pictures);
    return st;
}
