/* Golden files in the making; see skeleton.h. */
#include "golden/skeleton.h"
#include "parity/parity.h"

#include <string.h>

void skeleton_meta(skeleton *s, const char *key, const char *value)
{
    if (s->meta_count == SKELETON_META)
        s->failed = true;
    else
        s->meta[s->meta_count++] = (fet__meta_pair){key, value};
}

static void *add(skeleton *s, const char *name, fet_dtype type, fet__shape shape)
{
    int64_t bytes = fet__shape_count(&shape) * (int64_t)fet__dtype_bytes(type);
    char *own = fet__arena_strdup(&s->arena, name);
    void *data = fet__arena_alloc(&s->arena, (size_t)bytes, 1);

    if (!own || !data || s->count == SKELETON_ENTRIES) {
        s->failed = true;
        return NULL;
    }
    s->entry[s->count++] = (fet__entry){own, type, shape, data, bytes};
    return data;
}

void skeleton_add(skeleton *s, const char *name, fet__shape shape, double spread)
{
    float *data = add(s, name, FET_F32, shape);

    for (int64_t i = 0; data && spread != 0 && i < fet__shape_count(&shape); i++)
        data[i] = (float)(spread * fet__random_normal(s->seed, fet__hash32(name), 0, (uint64_t)i));
}

void skeleton_shift(skeleton *s, float term)
{
    const fet__entry *e = &s->entry[s->count - 1];
    float *data = s->count ? (float *)(uintptr_t)e->data : NULL;

    for (int64_t i = 0; data && i < fet__shape_count(&e->shape); i++)
        data[i] += term;
}

void skeleton_labels(skeleton *s, const char *name, int64_t count, int64_t classes)
{
    int64_t *data = add(s, name, FET_I64, FET_SHAPE(count));

    for (int64_t i = 0; data && i < count; i++)
        data[i] = fet__random_u32(s->seed, fet__hash32(name), 0, (uint64_t)i) % classes;
}

void skeleton_add_bytes(skeleton *s, const char *name, fet__shape shape)
{
    add(s, name, FET_U8, shape);
}

void skeleton_add_typed(skeleton *s, const char *name, fet_dtype type, fet__shape shape)
{
    add(s, name, type, shape);
}

/* ---- finishing ------------------------------------------------------------------------------------------- */

static const parity_kind *find_kind(const char *kind)
{
    for (const parity_kind *k = parity_kinds; k->kind; k++)
        if (strcmp(k->kind, kind) == 0)
            return k;
    return NULL;
}

/* Results into the skeleton's entries; every entry that is no input must have got one. */
static fet_status take_results(skeleton *s, const fet__tensors *t, double *const *record)
{
    for (int i = 0; i < s->count; i++) {
        const fet__entry *e = &s->entry[i];
        int at;
        for (at = 0; strcmp(fet__tensors_at(t, at)->name, e->name) != 0; at++)
            ;
        if (record[at])
            fet__convert((void *)(uintptr_t)e->data, e->dtype, record[at], FET_F64, fet__shape_count(&e->shape));
        else if (strncmp(e->name, "in.", 3) != 0 && strncmp(e->name, "param.", 6) != 0)
            return FET_FAIL(FET_E_BUG, "%s: %s was not computed", s->kind, e->name);
    }
    return FET_OK;
}

static fet_status compute(skeleton *s, const char *folder, const char *path)
{
    parity_case c = {.path = path, .folder = folder, .reference = true};
    const parity_kind *k = find_kind(s->kind);
    fet_status st;

    FET_TRY(fet__tensors_open(&c.t, path));
    FET_TRY(FET_NEW(c.record, fet__tensors_count(c.t)));
    FET_TRY(k ? k->run(&c) : FET_FAIL(FET_E_BUG, "no kind %s", s->kind));
    st = take_results(s, c.t, c.record);
done:
    for (int i = 0; c.record && i < fet__tensors_count(c.t); i++)
        fet__free(c.record[i]);
    fet__free(c.record);
    fet__tensors_close(c.t);
    return st;
}

static char *file_path(const skeleton *s, const char *folder)
{
    char name[128];

    snprintf(name, sizeof name, "%s.safetensors", s->file);
    return fet__path_join(folder, name);
}

fet_status skeleton_finish(skeleton *s, const char *folder)
{
    char *path = file_path(s, folder);
    fet_status st;

    skeleton_meta(s, "kind", s->kind);
    if (!path || s->failed) {
        st = FET_FAIL(FET_E_NOMEM, "%s: too many entries, or no memory", s->kind);
        goto done;
    }
    FET_TRY(fet__make_folder(folder));
    FET_TRY(fet__safetensors_write(path, s->entry, s->count, s->meta, s->meta_count));
    FET_TRY(compute(s, folder, path));
    st = fet__safetensors_write(path, s->entry, s->count, s->meta, s->meta_count);
done:
    fet__free(path);
    fet__arena_fini(&s->arena);
    return st;
}
