/* What every layer stands on: failures, memory, text, files, random numbers, threads, small parsers.
 * Knows nothing of tensors. Sections are named after the file that implements them. */
#ifndef FET_BASE_H
#define FET_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "fettle/status.h"

#define FET_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define FET_COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- status.c -------------------------------------------------------------------------------------------- */

/* Set this thread's message and return `code`: `return FET_FAIL(FET_E_IO, "%s: ...", path)`. */
#define FET_FAIL(code, ...) fet__failed((code), fet__fail((code), __VA_ARGS__))
/* Inside a function with `fet_status st` and a `done:` label. */
#define FET_TRY(expr)                                                                                                  \
    do {                                                                                                               \
        st = (expr);                                                                                                   \
        if (st != FET_OK)                                                                                              \
            goto done;                                                                                                 \
    } while (0)

fet_status fet__fail(fet_status code, const char *format, ...) FET_PRINTF(2, 3);
/* Shows a compiler that a failure is never FET_OK. */
static inline fet_status fet__failed(fet_status code, fet_status set)
{
    (void)set;
    return code;
}
/* Put "context: " in front of the present message and return `code` (for layer borders). */
fet_status fet__fail_in(fet_status code, const char *format, ...) FET_PRINTF(2, 3);
/* Hand a worker's failure to the caller's thread: copies `message` into this thread's slot. */
fet_status fet__fail_take(fet_status code, const char *message);
void fet__note(const char *format, ...) FET_PRINTF(1, 2);
void fet__warn(const char *format, ...) FET_PRINTF(1, 2);

/* ---- memory.c -------------------------------------------------------------------------------------------- */

/* Zeroed, 64-byte aligned memory of count * size bytes (overflow-checked; 0 bytes gives a valid pointer), or
 * NULL with the message set. All allocation of the library goes through here or through an arena. */
void *fet__alloc(size_t count, size_t size);
/* Same without clearing, for large buffers that are written in full. */
void *fet__alloc_raw(size_t count, size_t size);
/* Grow an array to `count` elements; keeps contents; new bytes are zero. NULL on failure (old stays valid). */
void *fet__realloc(void *p, size_t old_count, size_t count, size_t size);
void fet__free(void *p);
char *fet__strdup(const char *s);
char *fet__strndup(const char *s, size_t length);
char *fet__format(const char *format, ...) FET_PRINTF(1, 2); /* caller frees with fet__free */
/* FET_TRY(FET_NEW(p, n)): n zeroed elements of *p's type. */
#define FET_NEW(p, count) (((p) = fet__alloc((size_t)(count), sizeof *(p))) ? FET_OK : FET_E_NOMEM)

/* Number of allocations so far in the process and bytes now held; for the test that a step allocates nothing. */
uint64_t fet__alloc_calls(void);
uint64_t fet__alloc_bytes(void);
/* Make the n-th next allocation fail (1: the next; 0: never). For tests. */
void fet__alloc_fail_after(uint64_t n);

/* A chain of blocks that is freed as a whole. */
typedef struct fet__arena {
    struct fet__arena_block *head;
    size_t bytes;
} fet__arena;
void *fet__arena_alloc(fet__arena *a, size_t count, size_t size); /* zeroed, 16-byte aligned, NULL on failure */
char *fet__arena_strdup(fet__arena *a, const char *s);
char *fet__arena_format(fet__arena *a, const char *format, ...) FET_PRINTF(2, 3);
void fet__arena_fini(fet__arena *a);

/* ---- text.c ---------------------------------------------------------------------------------------------- */

/* A growing string. Zero-initialised is empty. A failed growth is sticky (`failed`) and checked once at the end. */
typedef struct fet__text {
    char *s; /* NUL-terminated, or NULL while empty */
    size_t length, capacity;
    bool failed;
} fet__text;
void fet__text_printf(fet__text *t, const char *format, ...) FET_PRINTF(2, 3);
void fet__text_add(fet__text *t, const char *s, size_t length);
void fet__text_fini(fet__text *t);

/* Write `s` into `out` with control characters (and invalid UTF-8) as \n, \t, \xNN; truncates with "...".
 * Returns out. For paths in messages. */
const char *fet__escape(char *out, size_t size, const char *s);
/* The same with a rotating per-thread buffer, four live at once: printf("%s", fet__show(path)). */
const char *fet__show(const char *s);

/* ---- parse.c --------------------------------------------------------------------------------------------- */

/* Whole-string parsers; false when anything is left over, out of range or (for numbers) not finite. */
bool fet__parse_int(const char *s, int64_t *out);
bool fet__parse_double(const char *s, double *out);
bool fet__parse_bool(const char *s, bool *out);     /* true false 1 0 yes no on off */
bool fet__parse_bytes(const char *s, int64_t *out); /* 1048576, 512M, 2G, 1.5GiB */
bool fet__parse_ms(const char *s, double *out);     /* 5ms, 0.2s, 300us -> milliseconds */

/* Glob over layer names and paths: '*' any run, '?' one character, [abc] a set. `+` separates alternatives
 * where `alternatives` is set: "attn.proj+mlp.fc2". A pattern without '*' matches whole dotted suffixes:
 * "mlp.fc2" matches "blocks.3.mlp.fc2". */
bool fet__glob(const char *pattern, const char *name);
bool fet__glob_site(const char *patterns, const char *name);
/* Index of the candidate nearest to `word` by edit distance, or -1 when none is near (distance > 1 + length/3). */
int fet__nearest(const char *word, const char *const *candidates, int count);

/* ---- file.c ---------------------------------------------------------------------------------------------- */

/* Map a whole regular file read-only. An empty file gives data != NULL and size 0. */
typedef struct fet__map {
    const unsigned char *data;
    size_t size;
} fet__map;
fet_status fet__map_open(fet__map *out, const char *path);
void fet__map_close(fet__map *m);

/* Write to a temporary name beside `path`; commit syncs file and folder and renames. Exactly one of commit and
 * abort ends it. Write errors are sticky and reported by commit (which then removes the temporary file). */
typedef struct fet__outfile fet__outfile;
fet_status fet__outfile_open(fet__outfile **out, const char *path);
void fet__outfile_write(fet__outfile *f, const void *data, size_t bytes);
void fet__outfile_printf(fet__outfile *f, const char *format, ...) FET_PRINTF(2, 3);
fet_status fet__outfile_commit(fet__outfile *f);
void fet__outfile_abort(fet__outfile *f); /* accepts NULL */
/* `text` and a newline, or another file's bytes, as the whole of `path`: as above, all or nothing. */
fet_status fet__file_write_text(const char *path, const char *text);
fet_status fet__file_copy(const char *from, const char *to);

fet_status fet__make_folder(const char *path); /* with parents; existing is fine */
bool fet__file_exists(const char *path);
bool fet__is_folder(const char *path);
char *fet__path_join(const char *folder, const char *name); /* caller frees */
/* Names in a folder, without . and .., in byte order; caller frees each and the array with fet__names_free. */
fet_status fet__list_folder(char ***out_names, int *out_count, const char *path);
void fet__names_free(char **names, int count);

/* ---- random.c -------------------------------------------------------------------------------------------- */

/* Philox4x32-10. Element i of a stream is lane i % 4 of counter {i / 4 (64 bits), step, stream} under key `seed`
 * (64 bits): the same value whatever computes it, in whatever order. */
void fet__philox(uint32_t out[4], uint64_t seed, uint32_t stream, uint32_t step, uint64_t block);
uint32_t fet__random_u32(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i);
float fet__random_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i); /* [0, 1): (u32 >> 8) * 2^-24 */
double fet__random_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t i); /* Box-Muller, N(0, 1) */
void fet__random_normal4(double out[4], uint64_t seed, uint32_t stream, uint32_t step,
                         uint64_t block); /* elements 4 block .. + 3 */
uint32_t fet__hash32(const char *s);      /* FNV-1a; turns a name into a stream number */

/* A sequential reader of one stream, for code that draws a varying number of values. */
typedef struct fet__rng {
    uint64_t seed, next;
    uint32_t stream, step;
} fet__rng;
uint32_t fet__rng_u32(fet__rng *r);
double fet__rng_uniform(fet__rng *r, double low, double high);
int64_t fet__rng_int(fet__rng *r, int64_t low, int64_t high); /* both ends included, unbiased */
double fet__rng_normal(fet__rng *r);
void fet__rng_shuffle(fet__rng *r, int32_t *items, int64_t count); /* Fisher-Yates */

/* ---- system.c -------------------------------------------------------------------------------------------- */

int fet__threads(void);         /* compute threads in use; default: cores that this process may use */
void fet__set_threads(int n);   /* also tells OpenMP; n >= 1 */
int fet__thread_index(void);    /* inside a parallel region, else 0 */
double fet__now(void);          /* seconds, monotonic */
int64_t fet__free_memory(void); /* bytes that can still be taken (MemAvailable, cgroup limit) */
int64_t fet__peak_rss(void);    /* bytes */

typedef enum fet__cpu { FET__CPU_BASE, FET__CPU_AVX2, FET__CPU_AVX512 } fet__cpu;
/* Best level of this processor, or lower when FETTLE_CPU=base|avx2|avx512 asks for it. */
fet__cpu fet__cpu_level(void);
const char *fet__cpu_text(void); /* "avx512" */

/* Flush denormals on every computing thread; returns the caller's former mode for the matching restore. */
unsigned fet__denormals_off(void);
void fet__denormals_restore(unsigned mode);

/* Hexadecimal SHA-256 in pieces. */
typedef struct fet__sha256 fet__sha256;
fet_status fet__sha256_begin(fet__sha256 **out);
void fet__sha256_add(fet__sha256 *h, const void *data, size_t bytes);
void fet__sha256_end(fet__sha256 *h, char hex[65]); /* also frees h; hex may be NULL to drop it */

#endif
