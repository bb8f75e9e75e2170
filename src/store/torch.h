/* PyTorch's files: tensors, storages and the two containers. */
#ifndef FET_TORCH_H
#define FET_TORCH_H

#include "store/pickle.h"
#include "store/store_int.h"
#include "store/zip.h"

/* A storage as a persistent id names it: a piece of memory that tensors are views of. Several ids may name one. */
typedef struct fet__torch_storage {
    const char *key; /* not terminated */
    size_t key_length;
    bool typed; /* else numel counts bytes */
    fet_dtype dtype;
    int64_t numel, bytes;
    int64_t begin, end;               /* the part of it that this id means, bytes */
    size_t op;                        /* where in the pickle, for messages */
    struct fet__torch_storage *first; /* the first id with this key, which has the data */
    const unsigned char *data;        /* of `first`: NULL until it is needed */
} fet__torch_storage;

typedef struct fet__torch_tensor {
    fet__torch_storage *storage;
    fet_dtype dtype;
    fet__shape shape;
    int64_t stride[FET__MAX_RANK], offset; /* elements */
    size_t op;
    const void *data; /* contiguous values, once they have been asked for */
} fet__torch_tensor;

/* One file being read. */
typedef struct fet__torch_file {
    const char *name;
    const unsigned char *data;
    size_t size;
    fet__tensors *t;
    fet__pickle pickle;
    fet__zip *zip;  /* NULL: legacy */
    char *prefix;   /* of the zip's members: "archive/" */
    bool swap;      /* the file's numbers are big-endian */
    int64_t copied; /* bytes of tensors that could not be used where they lie */
} fet__torch_file;

/* ---- torch.c --------------------------------------------------------------------------------------------- */
/* `z` is the file's archive. It may be closed then, but its bytes must outlive the result; `name` is the file's, for messages. */
fet_status fet__torch_zip_parse(fet__tensors **out, fet__zip *z, size_t size, const char *name);
/* A legacy checkpoint (five pickles, then the storages), or a plain pickle. */
fet_status fet__torch_legacy_parse(fet__tensors **out, const void *data, size_t size, const char *name);

/* ---- torch_data.c ---------------------------------------------------------------------------------------- */
/* Find which ids name the same storage, and refuse those that disagree about it. */
fet_status fet__torch_group_storages(fet__torch_file *f);
/* The data of storages in a legacy file: from `at`, in the order of `keys`. */
fet_status fet__torch_place_storages(fet__torch_file *f, const fet__pk *keys, size_t at);
/* Set t->data: where the file has the values, or a copy in row-major order. */
fet_status fet__torch_tensor_data(fet__torch_file *f, fet__torch_tensor *t);

/* ---- torch_walk.c ---------------------------------------------------------------------------------------- */
/* Add what the object holds to f->t: tensors under their paths, other leaves as JSON. */
fet_status fet__torch_walk(fet__torch_file *f, fet__pk *root);

/* ---- torch_leaf.c ---------------------------------------------------------------------------------------- */
/* A leaf as JSON; a dict's key as Python's str() has it. False for a key that has no short text. */
void fet__torch_leaf_json(fet__text *out, const fet__pk *v);
bool fet__torch_key_text(fet__text *out, const fet__pk *key);

#endif
