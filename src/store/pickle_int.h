/* What the files of the pickle machine share. */
#ifndef FET_PICKLE_INT_H
#define FET_PICKLE_INT_H

#include "store/pickle.h"

/* `word` is "malformed", "refused", "unsupported" or "too large". */
#define FET__PK_FAIL(m, word, format, ...)                                                                             \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: " word ": %s, byte %zu: " format, fet__show((m)->file),                    \
             fet__show((m)->place), (m)->op, __VA_ARGS__)
#define FET__PK_BAD(m, format, ...) FET__PK_FAIL(m, "malformed", format, __VA_ARGS__)
#define FET__PK_MODULE_ADVICE                                                                                          \
    "it holds a pickled module object and not a state_dict; in PyTorch, save model.state_dict() and use that file"

/* What a global stands for when it is called. */
typedef enum fet__pk_action {
    FET__PK_UNKNOWN, /* any other class or function: its result is an opaque value */
    FET__PK_MAKE_LIST,
    FET__PK_MAKE_TUPLE,
    FET__PK_MAKE_SET,
    FET__PK_MAKE_DICT, /* dict, OrderedDict, Counter */
    FET__PK_MAKE_DEFAULTDICT,
    FET__PK_MAKE_BYTES,
    FET__PK_MAKE_OBJECT, /* copyreg._reconstructor and the like: an instance of the first argument */
    FET__PK_ENCODE,      /* _codecs.encode: how protocols 0 to 2 write bytes */
    FET__PK_NUMPY_SCALAR,
    FET__PK_NUMPY_TYPE, /* numpy.dtype */
    FET__PK_SIZE,       /* torch.Size */
    FET__PK_TYPE,       /* an element type, or a tensor class: named, never called */
    FET__PK_STORAGE_TYPE,
    FET__PK_REBUILD, /* torch._utils._rebuild_tensor and its successors */
    FET__PK_REBUILD_V2,
    FET__PK_REBUILD_V3,
    FET__PK_REBUILD_PARAMETER,
    FET__PK_REBUILD_FROM_TYPE
} fet__pk_action;

/* ---- pickle_value.c -------------------------------------------------------------------------------------- */
void *fet__pk_alloc(fet__pickle *m, size_t count, size_t size); /* of m's arena, within the limit; NULL: m->failure */
fet__pk *fet__pk_new(fet__pickle *m, fet__pk_kind kind);        /* NULL: m->failure */
fet__pk *fet__pk_text(fet__pickle *m, fet__pk_kind kind, const char *text, size_t length);
fet__pk *fet__pk_integer(fet__pickle *m, fet__pk_kind kind, int64_t v);
fet__pk *fet__pk_tuple(fet__pickle *m, fet__pk_kind kind, fet__pk *const *items, size_t count); /* or a list */
/* *out = v; the reason of m's last failed allocation where v is NULL. */
fet_status fet__pk_keep(const fet__pickle *m, fet__pk **out, fet__pk *v);
/* An array of pointers or numbers with room for one more element; charged to the limit. */
fet_status fet__pk_room(fet__pickle *m, void **array, size_t count, size_t *capacity, size_t size);
fet_status fet__pk_extend(fet__pickle *m, fet__pk *list, fet__pk *const *items, size_t count);
fet_status fet__pk_update(fet__pickle *m, fet__pk *dict, fet__pk *const *pairs,
                          size_t count);         /* count: keys and values */
const char *fet__pk_kind_name(const fet__pk *v); /* "list" */

/* ---- pickle_text.c --------------------------------------------------------------------------------------- */
bool fet__pk_valid_utf8(const char *s, size_t length);
/* Arguments of the text instructions. */
fet_status fet__pk_read_int(fet__pickle *m, fet__pk **out, const char *line, size_t length);
fet_status fet__pk_read_float(fet__pickle *m, fet__pk **out, const char *line, size_t length);
fet_status fet__pk_read_quoted(fet__pickle *m, fet__pk **out, const char *line, size_t length);
fet_status fet__pk_read_escaped(fet__pickle *m, fet__pk **out, const char *line, size_t length);
/* A little-endian two's complement integer of any length. */
fet_status fet__pk_read_long(fet__pickle *m, fet__pk **out, const unsigned char *bytes, size_t length);
/* UTF-8 of characters below 256, as those bytes. */
fet_status fet__pk_latin1(fet__pickle *m, fet__pk **out, const fet__pk *text);

/* ---- pickle_global.c ------------------------------------------------------------------------------------- */
fet_status fet__pk_global(fet__pickle *m, fet__pk **out, const char *module, size_t module_length, const char *name,
                          size_t name_length);

/* ---- pickle_call.c --------------------------------------------------------------------------------------- */
/* What a call of `callee` gives, by our rules. */
fet_status fet__pk_call(fet__pickle *m, fet__pk **out, const fet__pk *callee, fet__pk *const *args, size_t count);
/* The instruction BUILD: `state` is given to `target`. */
fet_status fet__pk_build(fet__pickle *m, fet__pk *target, const fet__pk *state);

/* ---- torch_tensor.c -------------------------------------------------------------------------------------- */
/* A storage by its persistent id, and a tensor by the arguments of its rebuild function. */
fet_status fet__torch_persistent(fet__pickle *m, fet__pk **out, const fet__pk *id);
fet_status fet__torch_rebuild(fet__pickle *m, fet__pk **out, fet__pk_action action, fet__pk *const *args, size_t count);

#endif
