/* The only place that takes memory from the system: checked sizes, 64-byte alignment, counters, a hook that makes a
 * chosen allocation fail, and arenas on top. No pools: the graph's plan is what places tensors.
 *
 * A block is [64 bytes of head][the caller's bytes]. The head remembers the size for the byte counter, and where the
 * system's block began. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
/* From here on calloc is used for zeroed memory: the kernel hands out zero pages, so untouched parts cost nothing. */
#define LAZY_ZERO ((size_t)1 << 20)

typedef struct block_head {
    size_t bytes;
    void *raw;
} block_head;
_Static_assert(sizeof(block_head) <= ALIGNMENT, "the head must fit before the caller's bytes");

static atomic_uint_fast64_t calls;
static atomic_uint_fast64_t held;
static atomic_uint_fast64_t fail_countdown;

uint64_t fet__alloc_calls(void)
{
    return atomic_load(&calls);
}

uint64_t fet__alloc_bytes(void)
{
    return atomic_load(&held);
}

void fet__alloc_fail_after(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

/* True for exactly the allocation that brings the countdown from 1 to 0. */
static bool must_fail(void)
{
    uint_fast64_t n = atomic_load(&fail_countdown);

    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &n, n - 1))
            return n == 1;
    return false;
}

static block_head *head_of(void *p)
{
    return (block_head *)(void *)((char *)p - ALIGNMENT);
}

static void *take(size_t bytes, bool zero)
{
    void *raw = NULL;
    char *p;

    if (zero && bytes >= LAZY_ZERO) {
        raw = calloc(1, bytes + 2 * ALIGNMENT);
        if (!raw)
            return NULL;
        p = (char *)raw + ALIGNMENT;
        p += (ALIGNMENT - (uintptr_t)p % ALIGNMENT) % ALIGNMENT;
    } else {
        if (posix_memalign(&raw, ALIGNMENT, bytes + ALIGNMENT) != 0)
            return NULL;
        p = (char *)raw + ALIGNMENT;
        if (zero)
            memset(p, 0, bytes);
    }
    head_of(p)->bytes = bytes;
    head_of(p)->raw = raw;
    return p;
}

static void *allocate(size_t count, size_t size, bool zero)
{
    size_t bytes;
    void *p;

    atomic_fetch_add(&calls, 1);
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - 2 * ALIGNMENT) {
        fet__fail(FET_E_NOMEM, "out of memory: %zu x %zu bytes are more than memory can address", count, size);
        return NULL;
    }
    p = must_fail() ? NULL : take(bytes, zero);
    if (!p) {
        fet__fail(FET_E_NOMEM, "out of memory: the system refused %zu bytes", bytes);
        return NULL;
    }
    atomic_fetch_add(&held, bytes);
    return p;
}

void *fet__alloc(size_t count, size_t size)
{
    return allocate(count, size, true);
}

void *fet__alloc_raw(size_t count, size_t size)
{
    return allocate(count, size, false);
}

void *fet__realloc(void *p, size_t old_count, size_t count, size_t size)
{
    size_t keep = old_count < count ? old_count : count;
    void *fresh = allocate(count, size, true);

    if (!fresh)
        return NULL;
    if (p && keep * size > 0)
        memcpy(fresh, p, keep * size);
    fet__free(p);
    return fresh;
}

void fet__free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub(&held, head_of(p)->bytes);
    free(head_of(p)->raw);
}

char *fet__strdup(const char *s)
{
    return fet__strndup(s, strlen(s));
}

char *fet__strndup(const char *s, size_t length)
{
    size_t n = strnlen(s, length);
    char *copy = fet__alloc_raw(n + 1, 1);

    if (!copy)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

static char *format_with(void *(*get)(void *, size_t), void *from, const char *format, va_list ap) FET_PRINTF(3, 0);
static char *format_with(void *(*get)(void *, size_t), void *from, const char *format, va_list ap)
{
    va_list again;
    char *s = NULL;
    int length;

    va_copy(again, ap);
    length = vsnprintf(NULL, 0, format, ap);
    if (length < 0)
        fet__fail(FET_E_BUG, "a text could not be formatted (\"%s\")", format);
    else
        s = get(from, (size_t)length + 1);
    if (s)
        vsnprintf(s, (size_t)length + 1, format, again);
    va_end(again);
    return s;
}

static void *get_heap(void *from, size_t bytes)
{
    (void)from;
    return fet__alloc_raw(bytes, 1);
}

char *fet__format(const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    s = format_with(get_heap, NULL, format, ap);
    va_end(ap);
    return s;
}

/* ---- arenas ---- */

#define ARENA_ALIGN 16
#define ARENA_FIRST 4096
#define ARENA_LARGEST ((size_t)1 << 20)

typedef struct fet__arena_block {
    struct fet__arena_block *next;
    size_t used, capacity;
    size_t unused_word; /* keeps the bytes behind the head 16-byte aligned */
} fet__arena_block;
_Static_assert(sizeof(fet__arena_block) % ARENA_ALIGN == 0, "bytes behind the head must be aligned");

/* With AddressSanitizer each piece is a block of its own, so that running over one piece into the next is seen. */
static size_t block_capacity(const fet__arena *a, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    (void)a;
    return bytes;
#else
    size_t capacity = a->bytes < ARENA_FIRST ? ARENA_FIRST : a->bytes;

    if (capacity > ARENA_LARGEST)
        capacity = ARENA_LARGEST;
    return bytes > capacity ? bytes : capacity;
#endif
}

void *fet__arena_alloc(fet__arena *a, size_t count, size_t size)
{
    fet__arena_block *b = a->head;
    size_t bytes, rounded;
    void *p;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX / 2) {
        fet__fail(FET_E_NOMEM, "out of memory: %zu x %zu bytes are more than memory can address", count, size);
        return NULL;
    }
    rounded = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (!b || b->capacity - b->used < (rounded ? rounded : ARENA_ALIGN)) {
        size_t capacity = block_capacity(a, rounded ? rounded : ARENA_ALIGN);

        b = fet__alloc(1, sizeof *b + capacity);
        if (!b)
            return NULL;
        b->capacity = capacity;
        b->next = a->head;
        a->head = b;
        a->bytes += capacity;
    }
    p = (char *)(b + 1) + b->used;
    b->used += rounded;
    return p;
}

char *fet__arena_strdup(fet__arena *a, const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = fet__arena_alloc(a, bytes, 1);

    if (copy)
        memcpy(copy, s, bytes);
    return copy;
}

static void *get_arena(void *from, size_t bytes)
{
    return fet__arena_alloc(from, bytes, 1);
}

char *fet__arena_format(fet__arena *a, const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    s = format_with(get_arena, a, format, ap);
    va_end(ap);
    return s;
}

void fet__arena_fini(fet__arena *a)
{
    while (a->head) {
        fet__arena_block *next = a->head->next;

        fet__free(a->head);
        a->head = next;
    }
    a->bytes = 0;
}
