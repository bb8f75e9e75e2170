/* What the files of store/ share and others do not see: the open file and the names of element types in safetensors. */
#ifndef FET_STORE_INT_H
#define FET_STORE_INT_H

#include "store/store.h"

/* The format's numbers are little-endian and are used as they lie in the mapping. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor files are read in place: little-endian machines only");

/* Limits of a safetensors file. The header limit is the reference reader's. The others bound what the JSON library
 * builds from a small hostile header (about 150 bytes for each "[]"): some 100 MB in the worst case, far less for
 * real files, which have about ten values a tensor. */
#define FET__ST_MAX_HEADER 100000000
#define FET__ST_MAX_TENSORS 65536
#define FET__ST_MAX_VALUES (16 * FET__ST_MAX_TENSORS)
#define FET__ST_METADATA "__metadata__"

/* A non-tensor leaf of a pickled object. */
typedef struct fet__leaf {
    const char *path, *json;
} fet__leaf;

struct fet__tensors {
    fet__arena arena; /* owns names, metadata and leaves */
    char *path;
    fet__entry *entries; /* in order of their data */
    const fet__entry **by_name;
    fet__meta_pair *meta; /* in the header's order */
    fet__leaf *leaves;
    int count, capacity, meta_count, leaf_count, leaf_capacity;
    fet__map *maps; /* files that we opened ourselves */
    int map_count;
    fet__tensors **parts; /* other open files that hold data of this one */
    int part_count;
    struct fet__owned *owned; /* memory given out by fet__tensors_alloc() */
};

/* ---- tensors_build.c ------------------------------------------------------------------------------------- */
/* How a reader makes its result: new, add..., seal_names; on failure it is closed with fet__tensors_close(). `name` is the
 * file's, for messages. */
fet_status fet__tensors_new(fet__tensors **out, const char *name);
/* `name` is copied; `data` is borrowed: a mapping, or memory that t owns. FET_E_FORMAT when there are too many. */
fet_status fet__tensors_add(fet__tensors *t, const char *name, fet_dtype dtype, const fet__shape *shape,
                            const void *data, int64_t bytes);
fet_status fet__tensors_add_leaf(fet__tensors *t, const char *path, const char *json); /* both are copied */
/* Memory that lives as long as t, not cleared, 64-byte aligned; NULL on failure. */
void *fet__tensors_alloc(fet__tensors *t, size_t bytes);
/* Build the look-up by name. FET_E_FORMAT when two entries share one name. No fet__tensors_add() after it. */
fet_status fet__tensors_seal_names(fet__tensors *t);
/* From then on t closes the mapping, or the other open file. On failure they stay the caller's. */
fet_status fet__tensors_keep_map(fet__tensors *t, const fet__map *map);
fet_status fet__tensors_keep_part(fet__tensors *t, fet__tensors *part);

/* ---- npy.c, npz.c, shards.c ------------------------------------------------------------------------------ */
/* A file in memory; `data` must outlive the result. */
fet_status fet__npy_parse(fet__tensors **out, const void *data, size_t size, const char *name);
fet_status fet__npz_parse(fet__tensors **out, const void *data, size_t size, const char *name);
/* A folder, or the JSON index of a checkpoint in several files. */
fet_status fet__shards_open(fet__tensors **out, const char *path);

/* ---- seal.c ---------------------------------------------------------------------------------------------- */
#define FET__SEAL "fettle.checksum"
fet_status fet__seal_check(const fet__tensors *t);

/* ---- safetensors.c --------------------------------------------------------------------------------------- */
const char *fet__st_dtype_name(fet_dtype t); /* "F32" */

#endif
