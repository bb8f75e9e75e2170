/* Python pickles, read as data. The machine builds numbers, strings, containers and tensors by rules of its own; nothing is
 * imported, called or run. A pickle names every class and function that it wants (a "global"): pickle_global.c decides what
 * each name stands for, and refuses the file when the name has no business in a checkpoint. What is merely unknown becomes an
 * opaque value that is carried along and never looked into.
 *
 * The values are a graph: containers can be shared, and cyclic. They live until fet__pickle_end(). */
#ifndef FET_PICKLE_H
#define FET_PICKLE_H

#include "tensor/tensor.h"

/* What the values of one file may take, and the longest name of a global or of a storage. */
#define FET__PICKLE_MAX_BYTES ((size_t)32 << 20)
#define FET__PICKLE_MAX_NAME 255

typedef enum fet__pk_kind {
    FET__PK_NONE,
    FET__PK_BOOL, /* integer */
    FET__PK_INT,
    FET__PK_BIG, /* text: decimal digits of an integer beyond 64 bits */
    FET__PK_FLOAT,
    FET__PK_STR, /* text: valid UTF-8, may hold NUL */
    FET__PK_BYTES,
    FET__PK_LIST,
    FET__PK_TUPLE,
    FET__PK_DICT, /* items: key, value, key, value ... */
    FET__PK_SET,
    FET__PK_GLOBAL,      /* text: its name without the module; `action` says what it stands for */
    FET__PK_OPAQUE,      /* text: the name of its class */
    FET__PK_NUMPY_DTYPE, /* text: "f8"; `action` is 1 for big-endian */
    FET__PK_STORAGE,
    FET__PK_TENSOR
} fet__pk_kind;

typedef struct fet__pk {
    uint8_t kind;   /* fet__pk_kind */
    uint8_t action; /* GLOBAL: fet__pk_action */
    int8_t dtype;   /* GLOBAL that is an element type or a storage: fet_dtype, or -1 */
    bool on_path;   /* a walk is inside of this container */
    uint32_t count; /* bytes of text, items */
    uint32_t capacity;
    union {
        int64_t integer;
        double real;
        const char *text; /* not terminated */
        struct fet__pk **items;
        struct fet__torch_storage *storage;
        struct fet__torch_tensor *tensor;
    } as;
} fet__pk;

typedef struct fet__pickle {
    const char *file, *place; /* for messages: the file, and what in it the bytes are */
    const unsigned char *data;
    size_t size, at, op; /* next byte; where the present instruction begins */
    fet__arena arena;
    fet__pk **stack, **memo;
    size_t *marks;
    size_t depth, stack_capacity, memo_capacity, memo_count, mark_count, mark_capacity;
    struct fet__torch_storage **storages; /* named by this file's pickles, in order */
    size_t storage_count, storage_capacity;
    fet_status failure; /* why the last allocation failed */
    char shown[2][FET__PICKLE_MAX_NAME + 1];
    int next_shown;
} fet__pickle;

/* ---- pickle.c -------------------------------------------------------------------------------------------- */
/* `file` and `place` must outlive m. One call of run reads one pickle and stops behind it, so that a file of several is read
 * by several calls. */
void fet__pickle_begin(fet__pickle *m, const char *file, const char *place, const void *data, size_t size);
fet_status fet__pickle_run(fet__pickle *m, fet__pk **out);
void fet__pickle_end(fet__pickle *m);

/* Text of a value for a message: escaped, cut; two live at once. */
const char *fet__pk_show(fet__pickle *m, const char *text, size_t length);
bool fet__pk_is(const fet__pk *v, const char *text); /* a string equal to `text` */

#endif
