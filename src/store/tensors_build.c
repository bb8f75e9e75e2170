/* How readers put an open file together: entries, leaves, the look-up by name, and what must stay alive with them
 * (mappings, memory, other open files). What the formats mean is not known here. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

/* Memory of a fet__tensors: data that could not be used where the file has it. */
typedef struct fet__owned {
    struct fet__owned *next;
    void *data;
} fet__owned;

fet_status fet__tensors_new(fet__tensors **out, const char *name)
{
    fet_status st = FET_OK;
    fet__tensors *t = NULL;
    *out = NULL;
    FET_TRY(FET_NEW(t, 1));
    t->path = fet__arena_strdup(&t->arena, name);
    if (!t->path) {
        fet__tensors_close(t);
        return FET_E_NOMEM;
    }
    *out = t;
done:
    return st;
}

void fet__tensors_close(fet__tensors *t)
{
    if (!t)
        return;
    for (fet__owned *o = t->owned; o; o = o->next)
        fet__free(o->data);
    for (int i = 0; i < t->map_count; i++)
        fet__map_close(&t->maps[i]);
    for (int i = 0; i < t->part_count; i++)
        fet__tensors_close(t->parts[i]);
    fet__free(t->entries);
    fet__free(t->by_name);
    fet__free(t->leaves);
    fet__free(t->maps);
    fet__free(t->parts);
    fet__arena_fini(&t->arena);
    fet__free(t);
}

/* Room for one more element of an array that doubles. NULL on failure. */
static void *room(void *array, int count, int *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    int larger = *capacity ? 2 * *capacity : 64;
    void *grown = fet__realloc(array, (size_t)*capacity, (size_t)larger, size);
    if (grown)
        *capacity = larger;
    return grown;
}

fet_status fet__tensors_add(fet__tensors *t, const char *name, fet_dtype dtype, const fet__shape *shape,
                            const void *data, int64_t bytes)
{
    if (t->count >= FET__ST_MAX_TENSORS)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: unsupported: it holds more than %d tensors", fet__show(t->path),
                        FET__ST_MAX_TENSORS);
    void *grown = room(t->entries, t->count, &t->capacity, sizeof *t->entries);
    char *copy = fet__arena_strdup(&t->arena, name);
    if (grown)
        t->entries = grown;
    if (!grown || !copy)
        return FET_E_NOMEM;
    t->entries[t->count++] = (fet__entry){.name = copy, .dtype = dtype, .shape = *shape, .data = data, .bytes = bytes};
    return FET_OK;
}

fet_status fet__tensors_add_leaf(fet__tensors *t, const char *path, const char *json)
{
    void *grown = room(t->leaves, t->leaf_count, &t->leaf_capacity, sizeof *t->leaves);
    char *path_copy = fet__arena_strdup(&t->arena, path), *json_copy = fet__arena_strdup(&t->arena, json);
    if (grown)
        t->leaves = grown;
    if (!grown || !path_copy || !json_copy)
        return FET_E_NOMEM;
    t->leaves[t->leaf_count++] = (fet__leaf){path_copy, json_copy};
    return FET_OK;
}

void *fet__tensors_alloc(fet__tensors *t, size_t bytes)
{
    fet__owned *o = fet__arena_alloc(&t->arena, 1, sizeof *o);
    if (!o)
        return NULL;
    o->data = fet__alloc_raw(bytes, 1);
    o->next = t->owned;
    t->owned = o;
    return o->data;
}

static int by_entry_name(const void *a, const void *b)
{
    const fet__entry *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

/* Sorted: no hash that a file could spoil. */
fet_status fet__tensors_seal_names(fet__tensors *t)
{
    fet_status st = FET_OK;
    FET_TRY(FET_NEW(t->by_name, t->count));
    for (int i = 0; i < t->count; i++)
        t->by_name[i] = &t->entries[i];
    if (t->count > 0)
        qsort(t->by_name, (size_t)t->count, sizeof *t->by_name, by_entry_name);
    for (int i = 1; i < t->count; i++) {
        if (strcmp(t->by_name[i - 1]->name, t->by_name[i]->name) == 0)
            return FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed: duplicate tensor name '%s'", fet__show(t->path),
                            fet__show(t->by_name[i]->name));
    }
done:
    return st;
}

fet_status fet__tensors_keep_map(fet__tensors *t, const fet__map *map)
{
    fet__map *grown = fet__realloc(t->maps, (size_t)t->map_count, (size_t)t->map_count + 1, sizeof *grown);
    if (!grown)
        return FET_E_NOMEM;
    t->maps = grown;
    t->maps[t->map_count++] = *map;
    return FET_OK;
}

fet_status fet__tensors_keep_part(fet__tensors *t, fet__tensors *part)
{
    fet__tensors **grown = fet__realloc(t->parts, (size_t)t->part_count, (size_t)t->part_count + 1, sizeof *grown);
    if (!grown)
        return FET_E_NOMEM;
    t->parts = grown;
    t->parts[t->part_count++] = part;
    return FET_OK;
}
