/* Values of the pickle machine: made, grown, and charged to one limit, so that a small hostile file cannot ask for more. */
#include <string.h>

#include "store/pickle_int.h"

/* ---- memory ------------------------------------------------------------------------------------------------- */

static bool within_limit(fet__pickle *m, size_t more)
{
    size_t tables = (m->stack_capacity + m->memo_capacity + m->mark_capacity + m->storage_capacity) * sizeof(void *);
    if (more <= FET__PICKLE_MAX_BYTES && m->arena.bytes + tables + more <= FET__PICKLE_MAX_BYTES)
        return true;
    m->failure = FET__PK_FAIL(m, "too large", "its objects (tensor data aside) need more than the limit of %zu MiB",
                              FET__PICKLE_MAX_BYTES >> 20);
    return false;
}

void *fet__pk_alloc(fet__pickle *m, size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    if (!within_limit(m, bytes))
        return NULL;
    void *p = fet__arena_alloc(&m->arena, count, size);
    if (!p)
        m->failure = FET_E_NOMEM;
    return p;
}

fet_status fet__pk_room(fet__pickle *m, void **array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return FET_OK;
    size_t larger = count < 32 ? 64 : 2 * count;
    if (!within_limit(m, (larger - *capacity) * size))
        return m->failure;
    void *grown = fet__realloc(*array, *capacity, larger, size);
    if (!grown)
        return FET_E_NOMEM;
    *array = grown;
    *capacity = larger;
    return FET_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

fet__pk *fet__pk_new(fet__pickle *m, fet__pk_kind kind)
{
    fet__pk *v = fet__pk_alloc(m, 1, sizeof *v);
    if (v) {
        v->kind = (uint8_t)kind;
        v->dtype = -1;
    }
    return v;
}

fet_status fet__pk_keep(const fet__pickle *m, fet__pk **out, fet__pk *v)
{
    *out = v;
    return v ? FET_OK : m->failure;
}

fet__pk *fet__pk_text(fet__pickle *m, fet__pk_kind kind, const char *text, size_t length)
{
    if (length > UINT32_MAX) {
        m->failure = FET__PK_FAIL(m, "too large", "a string of %zu bytes", length);
        return NULL;
    }
    fet__pk *v = fet__pk_new(m, kind);
    if (v) {
        v->as.text = text;
        v->count = (uint32_t)length;
    }
    return v;
}

fet__pk *fet__pk_integer(fet__pickle *m, fet__pk_kind kind, int64_t value)
{
    fet__pk *v = fet__pk_new(m, kind);
    if (v)
        v->as.integer = value;
    return v;
}

fet__pk *fet__pk_tuple(fet__pickle *m, fet__pk_kind kind, fet__pk *const *items, size_t count)
{
    fet__pk *v = fet__pk_new(m, kind);
    if (!v || fet__pk_extend(m, v, items, count) != FET_OK)
        return NULL;
    return v;
}

fet_status fet__pk_extend(fet__pickle *m, fet__pk *list, fet__pk *const *items, size_t count)
{
    size_t needed = list->count + count;
    if (count == 0)
        return FET_OK;
    if (needed > list->capacity) {
        size_t capacity = list->capacity ? 2 * (size_t)list->capacity : count;
        if (capacity < needed)
            capacity = needed;
        fet__pk **grown = fet__pk_alloc(m, capacity, sizeof *grown);
        if (!grown)
            return m->failure;
        if (list->count)
            memcpy(grown, list->as.items, list->count * sizeof *grown);
        list->as.items = grown;
        list->capacity = (uint32_t)capacity; /* the limit keeps it far below 2^32 */
    }
    memcpy(list->as.items + list->count, items, count * sizeof *items);
    list->count = (uint32_t)needed;
    return FET_OK;
}

/* Keys that Python would refuse are a sign of damage. Only the first items of a tuple are looked at: names come from them. */
static bool hashable(const fet__pk *v, int depth)
{
    if (v->kind == FET__PK_LIST || v->kind == FET__PK_DICT)
        return false;
    for (uint32_t i = 0; v->kind == FET__PK_TUPLE && depth > 0 && i < v->count && i < 8; i++) {
        if (!hashable(v->as.items[i], depth - 1))
            return false;
    }
    return true;
}

fet_status fet__pk_update(fet__pickle *m, fet__pk *dict, fet__pk *const *pairs, size_t count)
{
    if (count % 2 != 0)
        return FET__PK_BAD(m, "%zu keys and values, an odd number, for a dict", count);
    for (size_t i = 0; i < count; i += 2) {
        if (!hashable(pairs[i], 3))
            return FET__PK_BAD(m, "a %s as the key of a dict", fet__pk_kind_name(pairs[i]));
    }
    return fet__pk_extend(m, dict, pairs, count);
}

const char *fet__pk_kind_name(const fet__pk *v)
{
    static const char *const names[] = {
        [FET__PK_NONE] = "None",
        [FET__PK_BOOL] = "bool",
        [FET__PK_INT] = "int",
        [FET__PK_BIG] = "int of over 64 bits",
        [FET__PK_FLOAT] = "float",
        [FET__PK_STR] = "str",
        [FET__PK_BYTES] = "bytes",
        [FET__PK_LIST] = "list",
        [FET__PK_TUPLE] = "tuple",
        [FET__PK_DICT] = "dict",
        [FET__PK_SET] = "set",
        [FET__PK_GLOBAL] = "class",
        [FET__PK_OPAQUE] = "opaque value",
        [FET__PK_NUMPY_DTYPE] = "dtype",
        [FET__PK_STORAGE] = "storage",
        [FET__PK_TENSOR] = "tensor",
    };
    return names[v->kind];
}

bool fet__pk_is(const fet__pk *v, const char *text)
{
    return v->kind == FET__PK_STR && v->count == strlen(text) && memcmp(v->as.text, text, v->count) == 0;
}

const char *fet__pk_show(fet__pickle *m, const char *text, size_t length)
{
    char *out = m->shown[m->next_shown ^= 1];
    size_t kept = length < FET__PICKLE_MAX_NAME ? length : FET__PICKLE_MAX_NAME;
    memcpy(out, text, kept);
    out[kept] = '\0';
    for (char *p = out; (p = memchr(p, 0, (size_t)(out + kept - p))) != NULL;)
        *p = '?';
    return fet__show(out);
}
