/* Opening a model: tensors from a file (or none) into a store, the architecture from metadata or from the tensors, everything
 * missing or unused found by building the graph once. Foreign names become ours in import.c; attaching and saving are in model.c and
 * model_save.c. */
#include "model/hub.h"
#include "model/import.h"
#include "model/model_int.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *fet__model_file(const char *path, const char *name_in_run)
{
    return fet__is_folder(path) ? fet__path_join(path, name_in_run) : fet__strdup(path);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

static void close_tensors(void *t)
{
    fet__tensors_close(t);
}

/* float32 that lies aligned is used where the file is mapped; other floating types are converted; integers are left out. */
static fet_status adopt(fet__params *store, const fet__entry *e, const char *path)
{
    fet__param *p;
    fet_status st;

    if (!fet__dtype_is_float(e->dtype)) {
        fet__note("%s: tensor %s (%s) holds whole numbers and is not used", fet__show(path), fet__show(e->name),
                  fet__dtype_name(e->dtype));
        return FET_OK;
    }
    if (e->dtype == FET_F32 && (uintptr_t)e->data % sizeof(float) == 0) {
        FET_TRY(fet__params_add_borrowed(store, &p, e->name, FET_F32, e->shape, FET__PARAM, e->data));
    } else {
        FET_TRY(fet__params_add(store, &p, e->name, FET_F32, e->shape, FET__PARAM));
        fet__convert(p->data, FET_F32, e->data, e->dtype, fet__shape_count(&e->shape));
    }
    p->loaded = true;
done:
    return st;
}

static fet_status read_metadata(fet__model *m, const fet__tensors *t, const char *path, char **arch)
{
    const char *classes = fet__tensors_meta(t, "fettle.classes"),
               *preprocess = fet__tensors_meta(t, "fettle.preprocess");
    const char *text = fet__tensors_meta(t, "fettle.arch"), *fused = fet__tensors_meta(t, "fettle.fused");
    fet_status st = FET_OK;

    m->merged = fet__tensors_meta(t, "fettle.merged") != NULL;
    if (text && !(*arch = fet__arena_strdup(&m->arena, text)))
        return FET_E_NOMEM;
    if (classes)
        FET_TRY(fet__classes_parse(classes, path, &m->arena, &m->classes, &m->class_count));
    if (preprocess)
        FET_TRY(fet__preprocess_parse(preprocess, path, &m->input));
    if (fused)
        FET_TRY(fet__fused_parse(m, fused, path));
done:
    return st;
}

/* What opening finds out besides the tensors. */
typedef struct opened {
    char *arch; /* metadata fettle.arch: our own file; or NULL */
    fet__import import;
    fet__hub hub;
} opened;

/* A RUN's model, or what the Hugging Face hub calls one. */
static fet_status model_file(char **out, const char *path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"};
    size_t i;

    *out = NULL;
    if (!fet__is_folder(path))
        return (*out = fet__strdup(path)) ? FET_OK : FET_E_NOMEM;
    for (i = 0; i < FET_COUNT(names); i++) {
        if (!(*out = fet__path_join(path, names[i])))
            return FET_E_NOMEM;
        if (fet__file_exists(*out))
            return FET_OK;
        fet__free(*out);
        *out = NULL;
    }
    return FET_FAIL(
        FET_E_IO,
        "%s: the folder holds no model.safetensors and no pytorch_model.bin (a RUN of tune holds an adapter: "
        "give it with --adapter, and its base model with --model)",
        fet__show(path));
}

static fet_status read_hub(opened *o, const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? fet__strndup(file, (size_t)(slash - file) + 1) : fet__strdup(".");
    fet_status st = folder ? fet__hub_read(&o->hub, folder) : FET_E_NOMEM;

    fet__free(folder);
    return st;
}

static fet_status load_tensors_of(fet__model *m, const fet__tensors *t, const char *file, const char *weights,
                                  opened *o)
{
    fet_status st = FET_OK;
    int i;

    FET_TRY(read_metadata(m, t, file, &o->arch));
    o->hub = (fet__hub){.arena = &m->arena, .hints = &o->import.hints};
    if (o->arch) { /* our own names */
        for (i = 0; i < fet__tensors_count(t); i++)
            FET_TRY(adopt(m->store, fet__tensors_at(t, i), file));
        return FET_OK;
    }
    FET_TRY(fet__import_tensors(&o->import, t, m->store, weights));
    FET_TRY(read_hub(o, file));
done:
    return st;
}

static fet_status load(fet__model *m, const char *path, const char *weights, opened *o)
{
    char *file = NULL;
    fet__tensors *t = NULL;
    fet_status st;

    FET_TRY(model_file(&file, path));
    FET_TRY(fet__tensors_open(&t, file));
    FET_TRY(load_tensors_of(m, t, file, weights, o));
    FET_TRY(fet__params_keep(m->store, t, close_tensors));
    t = NULL;
done:
    fet__tensors_close(t);
    fet__free(file);
    return st;
}

/* ---- probing --------------------------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const fet__param *p = *(const fet__param *const *)a, *q = *(const fet__param *const *)b;

    return p < q ? -1 : p > q;
}

/* The parameters that the graph reads, sorted by address. */
static fet_status used_params(const fet__graph *g, fet__param ***out, int *count)
{
    fet__node **order = NULL;
    int i, nodes = 0;
    fet_status st;

    *count = 0;
    FET_TRY(fet__graph_order(g, &order, &nodes));
    FET_TRY(FET_NEW(*out, nodes + 1));
    for (i = 0; i < nodes; i++)
        if (order[i]->param)
            (*out)[(*count)++] = order[i]->param;
    qsort(*out, (size_t)*count, sizeof **out, by_address);
done:
    fet__free(order);
    return st;
}

static fet_status drop_unused(fet__model *m, const fet__graph *g)
{
    fet__param **used = NULL;
    int count = 0, i, n = fet__params_count(m->store), unused = 0;
    fet__text names = {0};
    fet_status st;

    FET_TRY(used_params(g, &used, &count));
    for (i = n - 1; i >= 0; i--) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->kept || bsearch(&p, used, (size_t)count, sizeof *used, by_address))
            continue;
        if (unused++ < 4)
            fet__text_printf(&names, "%s%s", names.length ? ", " : "", fet__show(p->name));
        fet__params_remove(m->store, p);
    }
    if (unused)
        fet__note("%s: %d of %d tensors are not used by the model: %s%s", fet__show(m->path), unused, n,
                  names.s ? names.s : "", unused > 4 ? ", ..." : "");
done:
    fet__text_fini(&names);
    fet__free(used);
    return st;
}

fet_status fet__model_probe(fet__model *m, bool may_initialise, bool drop)
{
    fet__build b = {.may_initialise = may_initialise};
    fet__node *images, *features, *logits;
    fet_status st;

    FET_TRY(fet__graph_create(&b.g));
    images = fet__input(b.g, "images", FET_F32, FET_SHAPE(1, m->arch.height, m->arch.width, fet__model_channels(m)));
    FET_TRY(fet__model_build(m, &b, images, &features, &logits));
    fet__output(b.g, "features", features);
    if (logits)
        fet__output(b.g, "logits", logits);
    if (drop)
        FET_TRY(drop_unused(m, b.g));
done:
    fet__graph_destroy(b.g);
    return st;
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static fet_status apply_options(fet__model *m, const fet__model_options *o)
{
    if (o->mean)
        memcpy(m->input.mean, o->mean, sizeof m->input.mean);
    if (o->std)
        memcpy(m->input.std, o->std, sizeof m->input.std);
    if (o->interpolation && !fet__filter_parse(o->interpolation, &m->input.filter))
        return FET_FAIL(FET_E_ARG, "unknown interpolation '%s' (nearest, box, bilinear, hamming, bicubic, lanczos)",
                        fet__show(o->interpolation));
    if (o->crop_pct >= 0) {
        if (o->crop_pct > 1)
            return FET_FAIL(FET_E_ARG, "crop_pct %g is above 1", o->crop_pct);
        m->input.crop_pct = o->crop_pct;
    }
    return FET_OK;
}

/* Take over the size that the images of `input` have; resamples what depends on it. */
static fet_status set_size(fet__model *m, int height, int width)
{
    fet_status st = FET_OK;

    if (height == m->arch.height && width == m->arch.width) {
        m->input.height = height;
        m->input.width = width;
        return FET_OK;
    }
    FET_TRY(fet__model_fingerprint(m, m->base_fingerprint)); /* of the tensors as they are in the file */
    if (!m->arch.class_->resize)
        return FET_FAIL(FET_E_ARG, "architecture '%s' cannot take another image size", m->arch.class_->family);
    FET_TRY(m->arch.class_->resize(&m->arch, m->store, height, width));
    m->input.height = height;
    m->input.width = width;
done:
    return st;
}

static bool is_none(const char *path)
{
    return strcmp(path, "none") == 0;
}

static fet_status find_arch(fet__model *m, const char *path, const fet__model_options *o, const opened *found)
{
    if (o->arch)
        return fet__arch_open(&m->arch, o->arch);
    if (is_none(path))
        return FET_FAIL(FET_E_ARG, "model 'none' needs an architecture (--arch)");
    if (found->arch)
        return fet__arch_create(&m->arch, found->arch);
    return fet__arch_recognise_hinted(&m->arch, m->store, &found->import.hints);
}

/* An architecture named by the user says how many classes its published form has; the checkpoint knows better, unless the user gave the
 * number. */
static fet_status fit_head(fet__model *m, const char *arch)
{
    char name[128];
    const fet__param *p;
    int rows, asked = m->arch.classes;
    fet_status st;

    snprintf(name, sizeof name, "%s.weight", m->arch.head);
    p = fet__params_find(m->store, name);
    rows = p && p->shape.rank == 2 && p->shape.dim[0] < INT_MAX ? (int)p->shape.dim[0] : 0;
    if (rows == asked)
        return FET_OK;
    if (!strstr(arch, "classes=")) {
        m->arch.classes = rows;
        if (rows == 0)
            fet__note("%s: there is no %s, so the model gives features only", fet__show(m->path), name);
        return FET_OK;
    }
    if (asked == 0)
        return FET_OK;
    FET_TRY(fet__model_fresh_head(m, asked));
    fet__note("%s: its head has %d outputs, %d are asked for: the head begins anew", fet__show(m->path), rows, asked);
done:
    return st;
}

/* The metadata's preprocessing, else what the file's configuration or its family says, else the architecture's own. */
static void take_input(fet__model *m, const opened *o)
{
    const fet__arch_hints *h = &o->import.hints;

    m->names_of = h->source;
    m->input_from = h->input_source;
    if (m->input.height > 0) {
        m->input_from = "its metadata";
        return;
    }
    m->input = m->arch.input;
    if (!h->has_input)
        return;
    m->input = h->input;
    m->input.height = m->arch.height;
    m->input.width = m->arch.width;
}

static void tell_input(const fet__model *m, const opened *o)
{
    const fet__input_spec *s = &m->input;
    const fet__arch_hints *h = &o->import.hints;
    char crop[32] = "resized to the exact size";

    if (s->crop_pct > 0)
        snprintf(crop, sizeof crop, "crop %.4g", s->crop_pct);
    fet__note("pictures: %dx%d, %s, %s, mean %.4g %.4g %.4g, std %.4g %.4g %.4g (%s%s)", s->height, s->width,
              fet__filter_name(s->filter), crop, (double)s->mean[0], (double)s->mean[1], (double)s->mean[2],
              (double)s->std[0], (double)s->std[1], (double)s->std[2],
              h->input_source ? "as in " : "assumed: what is usual for ",
              h->input_source ? h->input_source
              : h->source     ? h->source
                              : m->arch.class_->family);
}

static fet_status take_classes(fet__model *m, const opened *o)
{
    if (m->class_count == 0 && o->hub.class_count > 0 && o->hub.class_count == m->arch.classes) {
        m->classes = o->hub.classes;
        m->class_count = o->hub.class_count;
    }
    if (o->hub.class_count > 0 && o->hub.class_count != m->arch.classes)
        fet__note("%s: config.json names %d classes, the head has %d: the names are not used", fet__show(m->path),
                  o->hub.class_count, m->arch.classes);
    if (m->class_count && m->class_count != m->arch.classes)
        return FET_FAIL(FET_E_FORMAT, "%s: it names %d classes but its head has %d outputs", fet__show(m->path),
                        m->class_count, m->arch.classes);
    return FET_OK;
}

/* The architecture, and that all its tensors are there. */
static fet_status understand(fet__model *m, const char *path, const fet__model_options *o, const opened *found)
{
    bool assumed;
    fet_status st;

    FET_TRY(find_arch(m, path, o, found));
    if (o->arch && !is_none(path))
        FET_TRY(fit_head(m, o->arch));
    assumed = !is_none(path) && m->input.height == 0;
    take_input(m, found);
    FET_TRY(apply_options(m, o));
    FET_TRY(fet__model_probe(m, is_none(path), !is_none(path)));
    if (!is_none(path) && !found->arch && !o->arch && m->arch.classes == 0)
        fet__note("%s: it has no classifier, so the model gives features only until it gets classes", fet__show(path));
    if (assumed)
        tell_input(m, found);
done:
    return st != FET_OK && !is_none(path) ? fet__fail_in(st, "%s", fet__show(path)) : st;
}

static fet_status open_into(fet__model *m, const char *path, const fet__model_options *o, opened *found)
{
    int height, width;
    fet_status st;

    FET_TRY(fet__params_create(&m->store));
    if (!(m->path = fet__strdup(path))) {
        st = FET_E_NOMEM;
        goto done;
    }
    m->seed = o->seed;
    if (!is_none(path))
        FET_TRY(load(m, path, o->weights, found));
    FET_TRY(understand(m, path, o, found));
    FET_TRY(take_classes(m, found));
    height = found->import.hints.input.height;
    width = found->import.hints.input.width;
    if (o->image || height == 0 || o->arch) {
        height = o->image ? o->image : m->arch.height;
        width = o->image ? o->image : m->arch.width;
    }
    FET_TRY(set_size(m, height, width));
done:
    return st;
}

fet_status fet__model_open(fet__model **out, const char *path, const fet__model_options *o)
{
    static const fet__model_options defaults = {.crop_pct = -1};
    opened found = {.arch = NULL};
    fet__model *m = NULL;
    fet_status st;

    *out = NULL;
    FET_TRY(FET_NEW(m, 1));
    FET_TRY(open_into(m, path, o ? o : &defaults, &found));
    *out = m;
    m = NULL;
done:
    fet__import_fini(&found.import);
    fet__model_close(m);
    return st;
}

void fet__model_close(fet__model *m)
{
    if (!m)
        return;
    fet__adapter_destroy(m->adapter);
    fet__fused_fini(m);
    fet__arch_fini(&m->arch);
    fet__params_destroy(m->store);
    fet__arena_fini(&m->arena);
    fet__free(m->path);
    fet__free(m);
}
