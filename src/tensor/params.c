/* The store of named tensors: entries in order of creation, found by name through a hash table with chains. Not for
 * concurrent changes: graphs that run only read and write an entry's data.
 *
 * Data is owned (64-byte aligned) or borrowed from a resource that the store keeps alive. */
#include "tensor/tensor.h"

#include <string.h>

typedef struct entry {
    fet__param param; /* first: a fet__param pointer is an entry pointer */
    char *name;
    uint32_t hash;
    struct entry *next; /* in its bucket */
} entry;

typedef struct keepsake {
    void *what;
    void (*release)(void *);
} keepsake;

struct fet__params {
    entry **entries;
    int count, room;
    entry **buckets;
    uint32_t bucket_count; /* a power of two, at least as many as entries */
    keepsake *kept;
    int kept_count;
};

#define FIRST_ROOM 64

fet_status fet__params_create(fet__params **out)
{
    fet__params *s;
    fet_status st;

    *out = NULL;
    FET_TRY(FET_NEW(s, 1));
    FET_TRY(FET_NEW(s->entries, FIRST_ROOM));
    FET_TRY(FET_NEW(s->buckets, FIRST_ROOM));
    s->room = FIRST_ROOM;
    s->bucket_count = FIRST_ROOM;
    *out = s;
    s = NULL;
done:
    fet__params_destroy(s);
    return st;
}

static void entry_free(entry *e)
{
    if (!e)
        return;
    if (!e->param.borrowed)
        fet__free(e->param.data);
    fet__free(e->name);
    fet__free(e);
}

/* Resources go last, in reverse order: a later one may rest on an earlier one. */
void fet__params_destroy(fet__params *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->count; i++)
        entry_free(s->entries[i]);
    for (int i = s->kept_count - 1; i >= 0; i--)
        s->kept[i].release(s->kept[i].what);
    fet__free(s->kept);
    fet__free(s->buckets);
    fet__free(s->entries);
    fet__free(s);
}

/* ---- the table ---- */

static entry **bucket_of(const fet__params *s, uint32_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static void link_entry(fet__params *s, entry *e)
{
    entry **bucket = bucket_of(s, e->hash);

    e->next = *bucket;
    *bucket = e;
}

static void unlink_entry(fet__params *s, const entry *e)
{
    entry **at = bucket_of(s, e->hash);

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

/* Entries and buckets grow together; either both have grown or nothing has changed. */
static fet_status make_room(fet__params *s)
{
    int room = s->room * 2;
    entry **entries, **buckets;

    if (s->count < s->room)
        return FET_OK;
    if (FET_NEW(buckets, room) != FET_OK)
        return FET_E_NOMEM;
    entries = fet__realloc(s->entries, (size_t)s->room, (size_t)room, sizeof *entries);
    if (!entries) {
        fet__free(buckets);
        return FET_E_NOMEM;
    }
    fet__free(s->buckets);
    s->entries = entries;
    s->buckets = buckets;
    s->room = room;
    s->bucket_count = (uint32_t)room;
    for (int i = 0; i < s->count; i++)
        link_entry(s, entries[i]);
    return FET_OK;
}

fet__param *fet__params_find(const fet__params *s, const char *name)
{
    uint32_t hash = fet__hash32(name);

    for (entry *e = *bucket_of(s, hash); e; e = e->next)
        if (e->hash == hash && strcmp(e->name, name) == 0)
            return &e->param;
    return NULL;
}

int fet__params_count(const fet__params *s)
{
    return s->count;
}

fet__param *fet__params_at(const fet__params *s, int i)
{
    return &s->entries[i]->param;
}

/* ---- adding ---- */

static fet_status check_new_name(const fet__params *s, const char *name)
{
    if (!*name)
        return FET_FAIL(FET_E_ARG, "a parameter has an empty name");
    if (fet__params_find(s, name))
        return FET_FAIL(FET_E_ARG, "parameter %s exists already", fet__show(name));
    return FET_OK;
}

static fet_status check_bytes(int64_t *bytes, const char *name, fet_dtype t, const fet__shape *shape)
{
    int64_t count = fet__shape_count(shape);

    if (count < 0 || __builtin_mul_overflow(count, (int64_t)fet__dtype_bytes(t), bytes))
        return FET_FAIL(FET_E_ARG, "parameter %s: a tensor of shape %s cannot exist", fet__show(name),
                        fet__shape_text(shape));
    return FET_OK;
}

/* Borrowed data whose place in the file is not a multiple of the element size cannot be read as such: it is copied. */
static fet_status set_data(fet__param *p, const void *data)
{
    if (data && (uintptr_t)data % fet__dtype_bytes(p->dtype) == 0) {
        p->data = (void *)(uintptr_t)data;
        p->borrowed = true;
        return FET_OK;
    }
    p->data = data ? fet__alloc_raw((size_t)p->bytes, 1) : fet__alloc((size_t)p->bytes, 1);
    if (!p->data)
        return FET_E_NOMEM;
    if (data && p->bytes > 0)
        memcpy(p->data, data, (size_t)p->bytes);
    return FET_OK;
}

static fet_status add(fet__params *s, fet__param **out, const char *name, fet_dtype t, const fet__shape *shape,
                      fet__role role, const void *data)
{
    entry *e = NULL;
    fet_status st;
    int64_t bytes = 0;

    if (out)
        *out = NULL;
    FET_TRY(check_new_name(s, name));
    FET_TRY(check_bytes(&bytes, name, t, shape));
    FET_TRY(make_room(s));
    FET_TRY(FET_NEW(e, 1));
    e->name = fet__strdup(name);
    FET_TRY(e->name ? FET_OK : FET_E_NOMEM);
    e->hash = fet__hash32(name);
    e->param = (fet__param){.name = e->name, .dtype = t, .shape = *shape, .bytes = bytes, .role = role, .version = 1};
    FET_TRY(set_data(&e->param, data));
    s->entries[s->count++] = e;
    link_entry(s, e);
    if (out)
        *out = &e->param;
    e = NULL;
done:
    entry_free(e);
    return st;
}

fet_status fet__params_add(fet__params *s, fet__param **out, const char *name, fet_dtype t, fet__shape shape,
                           fet__role role)
{
    return add(s, out, name, t, &shape, role, NULL);
}

fet_status fet__params_add_borrowed(fet__params *s, fet__param **out, const char *name, fet_dtype t, fet__shape shape,
                                    fet__role role, const void *data)
{
    if (!data)
        return FET_FAIL(FET_E_BUG, "parameter %s borrows no data", fet__show(name));
    return add(s, out, name, t, &shape, role, data);
}

/* ---- changing ---- */

fet_status fet__params_rename(fet__params *s, fet__param *p, const char *name)
{
    entry *e = (entry *)(void *)p;
    fet_status st;
    char *copy;

    if (strcmp(name, e->name) == 0)
        return FET_OK;
    st = check_new_name(s, name);
    if (st != FET_OK)
        return st;
    copy = fet__strdup(name);
    if (!copy)
        return FET_E_NOMEM;
    unlink_entry(s, e);
    fet__free(e->name);
    e->name = copy;
    e->param.name = copy;
    e->hash = fet__hash32(copy);
    link_entry(s, e);
    return FET_OK;
}

void fet__params_remove(fet__params *s, fet__param *p)
{
    entry *e = (entry *)(void *)p;
    int at = 0;

    while (s->entries[at] != e)
        at++;
    memmove(s->entries + at, s->entries + at + 1, (size_t)(s->count - at - 1) * sizeof *s->entries);
    s->count--;
    unlink_entry(s, e);
    entry_free(e);
}

fet_status fet__param_own(fet__param *p)
{
    void *copy;

    if (!p->borrowed)
        return FET_OK;
    copy = fet__alloc_raw((size_t)p->bytes, 1);
    if (!copy)
        return FET_E_NOMEM;
    if (p->bytes > 0)
        memcpy(copy, p->data, (size_t)p->bytes);
    p->data = copy;
    p->borrowed = false;
    return FET_OK;
}

/* On failure the resource stays the caller's. */
fet_status fet__params_keep(fet__params *s, void *resource, void (*release)(void *))
{
    keepsake *grown = fet__realloc(s->kept, (size_t)s->kept_count, (size_t)s->kept_count + 1, sizeof *grown);

    if (!grown)
        return FET_E_NOMEM;
    s->kept = grown;
    s->kept[s->kept_count++] = (keepsake){resource, release};
    return FET_OK;
}

int64_t fet__params_bytes(const fet__params *s)
{
    int64_t bytes = 0;

    for (int i = 0; i < s->count; i++)
        if (!s->entries[i]->param.borrowed)
            bytes += s->entries[i]->param.bytes;
    return bytes;
}
