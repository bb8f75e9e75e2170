/* A golden file in the making: metadata, drawn inputs and parameters, and results still empty, which the
 * file's own kind then computes on the reference path. */
#ifndef FET_GOLDEN_SKELETON_H
#define FET_GOLDEN_SKELETON_H

#include "store/store.h"

#define SKELETON_ENTRIES 256
#define SKELETON_META 32

/* Set kind, file (without ending) and seed; the rest is filled by the functions below. The first failure
 * sticks until finish. */
typedef struct skeleton {
    const char *kind, *file;
    uint64_t seed;
    fet__arena arena;
    fet__entry entry[SKELETON_ENTRIES];
    int count;
    fet__meta_pair meta[SKELETON_META];
    int meta_count;
    bool failed;
} skeleton;

void skeleton_meta(skeleton *s, const char *key, const char *value);
/* float32, normal numbers with deviation `spread`; 0: a result, left empty. */
void skeleton_add(skeleton *s, const char *name, fet__shape shape, double spread);
void skeleton_shift(skeleton *s, float term); /* adds to the values of the last entry */
void skeleton_labels(skeleton *s, const char *name, int64_t count, int64_t classes);      /* int64 below classes */
void skeleton_add_bytes(skeleton *s, const char *name, fet__shape shape);                 /* uint8 result */
void skeleton_add_typed(skeleton *s, const char *name, fet_dtype type, fet__shape shape); /* result */
/* Write FOLDER/FILE.safetensors, let the kind compute its results, write it again with them. Also releases s.
 * */
fet_status skeleton_finish(skeleton *s, const char *folder);

#endif
