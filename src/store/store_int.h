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

struct fet__tensors {
    fet__arena arena; /* owns everything below but the data */
    fet__map map;     /* the file, when we opened it ourselves */
    char *path;
    fet__entry *entries; /* in order of their data */
    const fet__entry **by_name;
    fet__meta_pair *meta; /* in the header's order */
    int count, meta_count;
};

/* ---- seal.c ---------------------------------------------------------------------------------------------- */
#define FET__SEAL "fettle.checksum"
fet_status fet__seal_check(const fet__tensors *t);

/* ---- safetensors.c --------------------------------------------------------------------------------------- */
const char *fet__st_dtype_name(fet_dtype t); /* "F32" */

#endif
