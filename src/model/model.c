/* A model in memory: building its graph, classes and head, adapters attached and merged. Opening is in model_open.c, writing in
 * model_save.c. */
#include "model/model_int.h"
#include "model/peft.h"

#include <math.h>
#include <string.h>

fet_status fet__model_build(fet__model *m, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    fet_status st;
    int i;

    b->store = m->store;
    b->hooks = fet__model_hooks(m);
    b->seed = m->seed;
    m->arch.class_->build(&m->arch, b, fet__model_with_context(m, b, images), features, logits);
    st = fet__graph_status(b->g);
    if (st == FET_OK && m->adapter)
        st = fet__adapter_check_used(m->adapter, b);
    for (i = 0; i < m->fused_count && st == FET_OK; i++)
        st = fet__adapter_check_used(m->fused[i], b);
    return st;
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

static bool same_classes(const fet__model *m, int count, const char *const *names)
{
    int i;

    if (m->arch.classes != count)
        return false;
    if (!names || m->class_count == 0)
        return true;
    for (i = 0; i < count; i++)
        if (strcmp(names[i], m->classes[i]) != 0)
            return false;
    return true;
}

static fet_status keep_names(fet__model *m, int count, const char *const *names)
{
    int i;

    m->class_count = 0;
    m->classes = NULL;
    if (!names)
        return FET_OK;
    m->classes = fet__arena_alloc(&m->arena, (size_t)count, sizeof *m->classes);
    for (i = 0; m->classes && i < count; i++)
        if (!(m->classes[i] = fet__arena_strdup(&m->arena, names[i])))
            return FET_E_NOMEM;
    m->class_count = count;
    return m->classes ? FET_OK : FET_E_NOMEM;
}

static fet_status fresh_tensor(fet__model *m, const char *leaf, fet__shape shape)
{
    char name[128];
    bool trainable = false;
    fet__param *p;
    fet_status st;

    snprintf(name, sizeof name, "%s.%s", m->arch.head, leaf);
    p = fet__params_find(m->store, name);
    if (p) {
        trainable = p->trainable;
        fet__params_remove(m->store, p);
    }
    FET_TRY(fet__params_add(m->store, &p, name, FET_F32, shape, FET__PARAM));
    p->trainable = trainable;
    fet__init_fill(p->data, FET_F32, fet__shape_count(&shape), fet__init_kaiming5(m->arch.feature_size), m->seed, name);
done:
    return st;
}

fet_status fet__model_fresh_head(fet__model *m, int count)
{
    fet_status st;

    FET_TRY(fresh_tensor(m, "weight", FET_SHAPE(count, m->arch.feature_size)));
    FET_TRY(fresh_tensor(m, "bias", FET_SHAPE(count)));
    m->arch.classes = count;
    m->class_count = 0;
done:
    return st;
}

fet_status fet__model_set_classes(fet__model *m, int count, const char *const *names, bool *fresh)
{
    fet_status st;

    *fresh = false;
    if (count < 1)
        return FET_FAIL(FET_E_ARG, "a head needs at least one class");
    if (same_classes(m, count, names)) {
        if (names && m->class_count == 0)
            return keep_names(m, count, names);
        return FET_OK;
    }
    FET_TRY(fet__model_fresh_head(m, count));
    FET_TRY(keep_names(m, count, names));
    *fresh = true;
done:
    return st;
}

/* ---- fingerprint -------------------------------------------------------------------------------------------------- */

typedef struct base_filter {
    const fet__model *m;
} base_filter;

static bool is_head(void *user, const char *name)
{
    const fet__model *m = ((const base_filter *)user)->m;
    size_t length = strlen(m->arch.head);

    return strncmp(name, m->arch.head, length) == 0 && name[length] == '.';
}

fet_status fet__model_fingerprint(fet__model *m, char hex[65])
{
    base_filter filter = {m};
    fet__entry *entries = NULL;
    int i, n = fet__params_count(m->store), count = 0;
    fet_status st;

    if (m->base_fingerprint[0]) {
        if (hex != m->base_fingerprint)
            memcpy(hex, m->base_fingerprint, sizeof m->base_fingerprint);
        return FET_OK;
    }
    FET_TRY(FET_NEW(entries, n + 1));
    for (i = 0; i < n; i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (p->role != FET__STATE && !p->adapter)
            entries[count++] = (fet__entry){p->name, p->dtype, p->shape, p->data, p->bytes};
    }
    FET_TRY(fet__fingerprint(m->base_fingerprint, entries, count, is_head, &filter));
    if (hex != m->base_fingerprint)
        memcpy(hex, m->base_fingerprint, sizeof m->base_fingerprint);
done:
    fet__free(entries);
    return st;
}

/* ---- adapters --------------------------------------------------------------------------------------------------------- */

/* The model as it was before the adapter; also after an attempt that failed half-way. */
void fet__model_detach(fet__model *m)
{
    int i;

    for (i = fet__params_count(m->store) - 1; i >= 0; i--)
        if (fet__params_at(m->store, i)->adapter)
            fet__params_remove(m->store, fet__params_at(m->store, i));
    fet__adapter_destroy(m->adapter);
    m->adapter = NULL;
}

static fet_status refuse_second(const fet__model *m)
{
    return m->adapter
               ? FET_FAIL(FET_E_ARG, "the model already has adapter '%s': merge it first", m->adapter->class_->name)
               : FET_OK;
}

/* Running statistics follow where the adapter trains the layer they belong to as it trains everything. */
static void select_buffers(fet__model *m)
{
    const fet__adapter_class *c = m->adapter->class_;

    for (int i = 0; i < fet__params_count(m->store); i++) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->role == FET__BUFFER)
            p->trainable = c->trains && c->trains(m->adapter, p);
    }
}

fet_status fet__model_attach(fet__model *m, const char *spec)
{
    char fingerprint[65];
    fet_status st;

    FET_TRY(refuse_second(m));
    FET_TRY(fet__model_fingerprint(m, fingerprint)); /* before anything of the base can change */
    FET_TRY(fet__adapter_create(&m->adapter, spec));
    st = fet__model_probe(m, false, false);
    if (st == FET_OK)
        st = fet__adapter_select(m->adapter, m->store, m->arch.head);
    if (st == FET_OK)
        select_buffers(m);
    if (st != FET_OK)
        fet__model_detach(m);
done:
    return st;
}

/* A file that names what its adapter does not train would change the base unsaid. */
static fet_status check_tensor(const fet__model *m, const fet__entry *e, const char *path)
{
    const fet__param *p = fet__params_find(m->store, e->name);

    if (!p)
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s belongs to no layer of the model", fet__show(path),
                        fet__show(e->name));
    if (!p->trainable)
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s is not one that adapter '%s' trains", fet__show(path),
                        fet__show(e->name), m->adapter->class_->name);
    if (!fet__dtype_is_float(e->dtype))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s holds whole numbers (%s)", fet__show(path), fet__show(e->name),
                        fet__dtype_name(e->dtype));
    if (!fet__shape_equal(&p->shape, &e->shape))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s has shape %s where the model needs %s", fet__show(path),
                        fet__show(e->name), fet__shape_text(&e->shape), fet__shape_text(&p->shape));
    return FET_OK;
}

static fet_status load_tensor(fet__model *m, const fet__entry *e)
{
    fet__param *p = fet__params_find(m->store, e->name);
    fet_status st;

    FET_TRY(fet__param_own(p));
    fet__convert(p->data, p->dtype, e->data, e->dtype, fet__shape_count(&e->shape));
    p->loaded = true;
    p->version++;
done:
    return st;
}

static fet_status check_fits(fet__model *m, const fet__adapter_meta *meta, const char *path)
{
    fet__text arch = {0};
    fet_status st = FET_OK;
    char own[65];

    FET_TRY(fet__model_fingerprint(m, own));
    if (strcmp(own, meta->fingerprint) != 0) {
        m->arch.class_->print(&m->arch, &arch);
        st = FET_FAIL(FET_E_FORMAT,
                      "%s: the adapter was trained on another model: it fits %s (%s, fingerprint %.12s...), this is %s "
                      "(%s, %.12s...)",
                      fet__show(path), fet__show(meta->model), fet__show(meta->arch), meta->fingerprint,
                      fet__show(m->path), arch.s ? arch.s : "", own);
    }
done:
    fet__text_fini(&arch);
    return st;
}

/* Everything that trains must be in the file, for a missing tensor would silently stay at its initial value; and nothing else. */
static fet_status check_tensors(const fet__model *m, const fet__tensors *t, const char *path)
{
    fet_status st = FET_OK;
    int i;

    for (i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (p->trainable && !fet__tensors_find(t, p->name))
            return FET_FAIL(FET_E_FORMAT, "%s: tensor %s %s is missing", fet__show(path), p->name,
                            fet__shape_text(&p->shape));
    }
    for (i = 0; i < fet__tensors_count(t) && st == FET_OK; i++)
        st = check_tensor(m, fet__tensors_at(t, i), path);
    return st;
}

static fet_status load_tensors(fet__model *m, const fet__tensors *t, const char *path)
{
    fet_status st;
    int i;

    FET_TRY(check_tensors(m, t, path));
    for (i = 0; i < fet__tensors_count(t); i++)
        FET_TRY(load_tensor(m, fet__tensors_at(t, i)));
done:
    if (st != FET_OK)
        fet__model_detach(m);
    return st;
}

/* The size of its images and the classes of its head become the model's. */
static fet_status take_size(fet__model *m, const fet__adapter_meta *meta, const char *file)
{
    fet_status st = FET_OK;

    if (meta->input.height != m->arch.height || meta->input.width != m->arch.width) {
        if (!m->arch.class_->resize)
            return FET_FAIL(FET_E_ARG, "%s: the adapter was trained at %dx%d pixels, the model takes %dx%d",
                            fet__show(file), meta->input.height, meta->input.width, m->arch.height, m->arch.width);
        st = m->arch.class_->resize(&m->arch, m->store, meta->input.height, meta->input.width);
    }
    if (st == FET_OK)
        m->input = meta->input;
    return st;
}

static fet_status take_classes(fet__model *m, const fet__tensors *t, const char *file)
{
    const char *classes = fet__tensors_meta(t, "fettle.classes");
    const fet__entry *e;
    char **names = NULL, head[128];
    int count = 0;
    bool fresh;
    fet_status st = FET_OK;

    if (classes) {
        FET_TRY(fet__classes_parse(classes, file, &m->arena, &names, &count));
        FET_TRY(fet__model_set_classes(m, count, (const char *const *)names, &fresh));
        goto done;
    }
    snprintf(head, sizeof head, "%s.weight", m->arch.head);
    e = fet__tensors_find(t, head);
    if (e && e->shape.rank == 2 && e->shape.dim[0] >= 1 && e->shape.dim[0] <= 1 << 24 &&
        e->shape.dim[0] != m->arch.classes)
        st = fet__model_fresh_head(m, (int)e->shape.dim[0]);
done:
    return st;
}

static fet_status attach_tensors(fet__model *m, const fet__tensors *t, const char *file)
{
    const char *text = fet__tensors_meta(t, "fettle.adapter");
    fet__adapter_meta meta;
    fet_status st;

    if (!text)
        return FET_FAIL(FET_E_FORMAT, "%s: no adapter of fettle (metadata fettle.adapter is absent)", fet__show(file));
    FET_TRY(refuse_second(m));
    FET_TRY(fet__adapter_meta_parse(text, file, &meta));
    FET_TRY(check_fits(m, &meta, file));
    FET_TRY(take_size(m, &meta, file));
    FET_TRY(take_classes(m, t, file));
    FET_TRY(fet__model_attach(m, meta.spec));
    st = load_tensors(m, t, file);
done:
    return st;
}

fet_status fet__model_attach_file(fet__model *m, const char *path)
{
    char *file;
    fet__tensors *t = NULL;
    fet_status st;

    if (fet__is_peft(path))
        return fet__peft_attach(m, path);
    if (!(file = fet__model_file(path, "adapter.safetensors")))
        return FET_E_NOMEM;
    FET_TRY(fet__tensors_open(&t, file));
    FET_TRY(attach_tensors(m, t, file));
done:
    fet__tensors_close(t);
    fet__free(file);
    return st;
}

fet_status fet__model_merge(fet__model *m, fet__text *merged)
{
    fet__build b = {.may_initialise = false};
    fet__node *images, *features, *logits;
    fet_status st;

    if (!m->adapter)
        return FET_FAIL(FET_E_ARG, "there is no adapter to merge");
    FET_TRY(fet__fused_room(m));
    FET_TRY(fet__graph_create(&b.g));
    images = fet__input(b.g, "images", FET_F32, FET_SHAPE(1, m->arch.height, m->arch.width, fet__model_channels(m)));
    FET_TRY(fet__model_build(m, &b, images, &features, &logits));
    FET_TRY(fet__adapter_merge(m->adapter, m->store, b.sites, b.site_count, m->fused_count + 1, merged));
    if (m->adapter->fused) {
        fet__note("adapter '%s' is no linear change of a layer: it stays in the model in its fused form (metadata "
                  "fettle.fused)",
                  m->adapter->class_->name);
        fet__fused_keep(m, m->adapter);
    } else {
        fet__adapter_destroy(m->adapter);
    }
    m->adapter = NULL;
    m->merged = true;
    m->base_fingerprint[0] = '\0';
done:
    fet__graph_destroy(b.g);
    return st;
}

int64_t fet__model_parameters(const fet__model *m, bool trainable_only)
{
    int64_t sum = 0;
    int i;

    for (i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (p->role == FET__PARAM && (p->trainable || !trainable_only))
            sum += fet__shape_count(&p->shape);
    }
    return sum;
}
