/* fet_inspect: what a checkpoint holds, as JSON: tensors and metadata always, architecture, cost and adapter sites where it is a model. */
#include "method/method_int.h"
#include "store/json_text.h"

#include <jansson.h>
#include <string.h>

#define LEAVES 64

static json_t *shape_json(const fet__shape *s)
{
    json_t *j = json_array();
    int i;

    for (i = 0; i < s->rank; i++)
        json_array_append_new(j, json_integer((json_int_t)s->dim[i]));
    return j;
}

static json_t *tensors_json(const fet__tensors *t, int64_t *values, int64_t *bytes)
{
    json_t *j = json_array();
    int i;

    for (i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        *values += fet__shape_count(&e->shape);
        *bytes += e->bytes;
        json_array_append_new(j, json_pack("{s:s, s:s, s:o, s:I}", "name", e->name, "dtype", fet__dtype_name(e->dtype),
                                           "shape", shape_json(&e->shape), "bytes", (json_int_t)e->bytes));
    }
    return j;
}

/* Our own entries are JSON themselves and are shown as such; all others as text. */
static json_t *metadata_json(const fet__tensors *t)
{
    json_t *j = json_object();
    int i;

    for (i = 0; i < fet__tensors_meta_count(t); i++) {
        const char *k = fet__tensors_meta_key(t, i), *v = fet__tensors_meta(t, k);
        json_t *inner = NULL;
        if (strncmp(k, "fettle.", 7) != 0 ||
            fet__json_load(&inner, v, strlen(v), FET__JSON_METADATA_BYTES, fet__tensors_path(t)) != FET_OK)
            inner = json_string(v);
        json_object_set_new(j, k, inner);
    }
    return j;
}

static json_t *lines_json(const char *lines)
{
    json_t *j = json_array();
    const char *end;

    for (; lines && (end = strchr(lines, '\n')) != NULL; lines = end + 1)
        json_array_append_new(j, json_stringn(lines, (size_t)(end - lines)));
    return j;
}

/* What a pickled file holds besides tensors: epoch, accuracy, options. The first of them are enough. */
static json_t *leaves_json(const fet__tensors *t)
{
    json_t *j = json_object();
    int i;

    for (i = 0; i < fet__tensors_leaf_count(t) && i < LEAVES; i++) {
        const char *path, *text;
        json_t *value;
        fet__tensors_leaf(t, i, &path, &text);
        value = json_loads(text, JSON_DECODE_ANY, NULL);
        json_object_set_new(j, path, value ? value : json_string(fet__show(text)));
    }
    return j;
}

static json_t *three_json(const float v[3])
{
    return json_pack("[f,f,f]", (double)v[0], (double)v[1], (double)v[2]);
}

static json_t *input_json(const fet__model *m)
{
    const fet__input_spec *s = &m->input;

    return json_pack("{s:i, s:i, s:o, s:o, s:s, s:f, s:s?}", "height", s->height, "width", s->width, "mean",
                     three_json(s->mean), "std", three_json(s->std), "interpolation", fet__filter_name(s->filter),
                     "crop_pct", s->crop_pct, "from", m->input_from);
}

static json_t *classes_json(const fet__model *m)
{
    json_t *j = json_array();
    int i;

    for (i = 0; i < m->class_count; i++)
        json_array_append_new(j, json_string(m->classes[i]));
    return j;
}

static fet_status describe_model(json_t *j, const char *path, const char *arch)
{
    fet_model_options o = {.arch = arch};
    fet__model *m = NULL;
    fet__survey s = {0};
    fet__text text = {0};
    fet_status st;

    FET_TRY(fet__model_open_with(&m, path, &o, 0));
    FET_TRY(fet__survey_model(&s, m));
    m->arch.class_->print(&m->arch, &text);
    json_object_set_new(j, "architecture", json_string(text.s ? text.s : ""));
    json_object_set_new(j, "family", json_string(m->arch.class_->family));
    json_object_set_new(j, "names_of", m->names_of ? json_string(m->names_of) : json_null());
    json_object_set_new(j, "parameters", json_integer((json_int_t)fet__model_parameters(m, false)));
    json_object_set_new(j, "gflops_per_image", json_real(s.flops / 1e9));
    json_object_set_new(j, "image", json_pack("[i,i]", m->input.height, m->input.width));
    json_object_set_new(j, "outputs", json_integer(m->arch.classes));
    json_object_set_new(j, "classes", classes_json(m));
    json_object_set_new(j, "input", input_json(m));
    json_object_set_new(j, "features", json_integer((json_int_t)m->arch.feature_size));
    json_object_set_new(j, "sites", lines_json(s.sites.s));
    json_object_set_new(j, "branches", lines_json(s.branches.s));
done:
    fet__text_fini(&text);
    fet__text_fini(&s.sites);
    fet__text_fini(&s.branches);
    fet__model_close(m);
    return st;
}

/* LoRA of Hugging Face's PEFT. */
static bool is_peft(const fet__tensors *t)
{
    for (int i = 0; i < fet__tensors_count(t); i++)
        if (strstr(fet__tensors_at(t, i)->name, ".lora_A."))
            return true;
    return false;
}

/* A file that is no model is still shown, with the reason why it is none. */
static fet_status describe(json_t *j, const fet__tensors *t, const char *path, const char *arch)
{
    static const struct {
        const char *key, *kind;
    } ours[] = {{"fettle.adapter", "adapter"}, {"fettle.state", "state of a run"}, {"fettle.features", "features"}};
    fet_status st;
    size_t i;

    for (i = 0; !arch && i < FET_COUNT(ours); i++)
        if (fet__tensors_meta(t, ours[i].key)) {
            json_object_set_new(j, "kind", json_string(ours[i].kind));
            return FET_OK;
        }
    if (!arch && is_peft(t)) {
        json_object_set_new(j, "kind", json_string("adapter (PEFT)"));
        return FET_OK;
    }
    st = describe_model(j, path, arch);
    json_object_set_new(j, "kind", json_string(st == FET_OK ? "model" : "tensors"));
    if (st == FET_E_NOMEM || (st != FET_OK && arch))
        return st;
    if (st != FET_OK)
        json_object_set_new(j, "why_no_model", json_string(fet__show(fet_error_message())));
    return FET_OK;
}

/* A folder stands for its model, or its adapter where it has no model: a RUN's, or one of the Hugging Face hub. */
static fet_status file_of(char **file, const char *path)
{
    static const char *const names[] = {"model.safetensors",
                                        "adapter.safetensors",
                                        "model.safetensors.index.json",
                                        "pytorch_model.bin",
                                        "pytorch_model.bin.index.json",
                                        "open_clip_pytorch_model.bin",
                                        "adapter_model.safetensors",
                                        "adapter_model.bin"};
    size_t i;

    if (!fet__is_folder(path))
        return (*file = fet__strdup(path)) ? FET_OK : FET_E_NOMEM;
    for (i = 0; i < FET_COUNT(names); i++) {
        *file = fet__path_join(path, names[i]);
        if (!*file || fet__file_exists(*file))
            return *file ? FET_OK : FET_E_NOMEM;
        fet__free(*file);
        *file = NULL;
    }
    return FET_FAIL(FET_E_IO,
                    "%s: the folder is no RUN: it holds neither %s nor %s (nor what the Hugging Face hub has)",
                    fet__show(path), names[0], names[1]);
}

fet_status fet_inspect(char **json, const char *path, const char *arch)
{
    char *file = NULL;
    fet__tensors *t = NULL;
    json_t *j = NULL, *tensors;
    int64_t values = 0, bytes = 0;
    fet_status st;

    if (!json || !path)
        return FET_FAIL(FET_E_ARG, "fet_inspect: result or path is absent");
    *json = NULL;
    FET_TRY(file_of(&file, path));
    FET_TRY(fet__tensors_open(&t, file));
    j = json_object();
    tensors = tensors_json(t, &values, &bytes);
    json_object_set_new(j, "file", json_string(fet__show(file)));
    json_object_set_new(j, "values", json_integer((json_int_t)values));
    json_object_set_new(j, "bytes", json_integer((json_int_t)bytes));
    FET_TRY(describe(j, t, file, arch));
    json_object_set_new(j, "metadata", metadata_json(t));
    json_object_set_new(j, "leaves", leaves_json(t));
    json_object_set_new(j, "tensors", tensors);
    st = fet__json_out(json, j);
    j = NULL;
done:
    json_decref(j);
    fet__tensors_close(t);
    fet__free(file);
    return st;
}
