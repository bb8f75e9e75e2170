/* Decoded 8-bit images in memory, by sample number. Filled first come, first served until the byte limit is reached;
 * what is in stays in. Holds only what can be computed again with the same result, so it never changes a batch. */
#include "data/data_int.h"

#include <stdatomic.h>

struct entry {
    _Atomic(uint8_t *) pixels; /* published last: who sees it may read the size */
    atomic_int state;          /* 0 free, 1 being written or written */
    int height, width;
};

struct fet__image_cache {
    int count;
    int64_t limit;
    _Atomic int64_t bytes;
    struct entry *entries;
};

fet_status fet__image_cache_create(fet__image_cache **out, int count, int64_t bytes)
{
    *out = NULL;
    fet__image_cache *c = fet__alloc(1, sizeof *c);
    if (!c)
        return FET_E_NOMEM;
    c->entries = fet__alloc((size_t)count, sizeof *c->entries);
    if (!c->entries) {
        fet__free(c);
        return FET_E_NOMEM;
    }
    c->count = count;
    c->limit = bytes;
    *out = c;
    return FET_OK;
}

bool fet__image_cache_get(fet__image_cache *c, int32_t i, fet__image *out)
{
    struct entry *e = &c->entries[i];
    uint8_t *pixels = atomic_load_explicit(&e->pixels, memory_order_acquire);
    if (!pixels)
        return false;
    *out = (fet__image){e->height, e->width, pixels};
    return true;
}

bool fet__image_cache_put_take(fet__image_cache *c, int32_t i, const fet__image *im)
{
    struct entry *e = &c->entries[i];
    int64_t bytes = (int64_t)im->height * im->width * 3;
    if (atomic_load(&e->state) != 0)
        return false;
    if (atomic_fetch_add(&c->bytes, bytes) > c->limit - bytes) {
        atomic_fetch_sub(&c->bytes, bytes);
        return false;
    }
    int unused = 0;
    if (!atomic_compare_exchange_strong(&e->state, &unused, 1)) { /* another thread has just decoded the same */
        atomic_fetch_sub(&c->bytes, bytes);
        return false;
    }
    e->height = im->height;
    e->width = im->width;
    atomic_store_explicit(&e->pixels, im->pixels, memory_order_release);
    return true;
}

void fet__image_cache_destroy(fet__image_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->count; i++)
        fet__free(atomic_load(&c->entries[i].pixels));
    fet__free(c->entries);
    fet__free(c);
}
