/* Types, shapes, and the store of named tensors that graphs share. No arithmetic lives here, and no file formats. */
#ifndef FET_TENSOR_H
#define FET_TENSOR_H

#include "base/base.h"
#include "fettle/types.h"

#define FET__MAX_RANK 8

/* ---- dtype.c --------------------------------------------------------------------------------------------- */
size_t fet__dtype_bytes(fet_dtype t);
const char *fet__dtype_name(fet_dtype t);             /* "f32" */
bool fet__dtype_parse(const char *s, fet_dtype *out); /* "f32" "bf16" ... */
bool fet__dtype_is_float(fet_dtype t);
/* Convert `count` elements; float targets round to nearest even. Any pair of numeric types. */
void fet__convert(void *dst, fet_dtype dst_type, const void *src, fet_dtype src_type, int64_t count);
float fet__bf16_to_f32(uint16_t v);
uint16_t fet__f32_to_bf16(float v);

/* ---- shape.c --------------------------------------------------------------------------------------------- */
typedef struct fet__shape {
    int rank; /* 0 is a scalar */
    int64_t dim[FET__MAX_RANK];
} fet__shape;
#define FET_SHAPE(...)                                                                                                 \
    fet__shape_make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
fet__shape fet__shape_make(int rank, const int64_t *dim);
fet__shape fet__shape_scalar(void);
int64_t fet__shape_count(const fet__shape *s); /* product; -1 when it overflows or a size is negative */
bool fet__shape_equal(const fet__shape *a, const fet__shape *b);
const char *fet__shape_text(const fet__shape *s); /* "[4, 17, 48]"; rotating per-thread buffer, eight live */

/* ---- params.c -------------------------------------------------------------------------------------------- */

/* A named tensor that outlives graphs: a weight, an adapter's factor, a running statistic, an optimiser moment. */
typedef enum fet__role {
    FET__PARAM, /* named as in checkpoints; frozen or trainable */
    FET__STATE, /* changed by runs, never by gradients */
    FET__BUFFER /* named as in checkpoints and saved with the model, changed by runs, never by gradients: running
                   statistics. `trainable` says that training updates it */
} fet__role;

typedef struct fet__param {
    const char *name; /* "blocks.3.mlp.fc2.weight"; owned by the store */
    fet_dtype dtype;  /* of `data` */
    fet__shape shape;
    int64_t bytes;
    void *data; /* contiguous, row-major; never NULL */
    fet__role role;
    bool trainable;
    bool norm;        /* scale or shift of a norm layer */
    bool kept;        /* part of the model though evaluation does not read it */
    bool adapter;     /* created by an adapter: goes into adapter.safetensors */
    bool loaded;      /* came from a file, not from an initialiser */
    bool borrowed;    /* data lies in a file mapping; copied before the first write (fet__param_own) */
    uint64_t version; /* grows whenever the host changes data: packed copies and folded values are then remade */
} fet__param;

typedef struct fet__params fet__params;
fet_status fet__params_create(fet__params **out);
void fet__params_destroy(fet__params *s);
/* Create an entry with zeroed data. Fails when the name exists. The pointer is stable until the store is destroyed. */
fet_status fet__params_add(fet__params *s, fet__param **out, const char *name, fet_dtype t, fet__shape shape,
                           fet__role role);
/* The same over memory that somebody else keeps alive (a file mapping). */
fet_status fet__params_add_borrowed(fet__params *s, fet__param **out, const char *name, fet_dtype t, fet__shape shape,
                                    fet__role role, const void *data);
fet__param *fet__params_find(const fet__params *s, const char *name); /* NULL when absent */
int fet__params_count(const fet__params *s);
fet__param *fet__params_at(const fet__params *s, int i); /* in order of creation */
fet_status fet__params_rename(fet__params *s, fet__param *p, const char *name);
void fet__params_remove(fet__params *s, fet__param *p); /* the pointer becomes invalid */
/* Copy borrowed data into memory of the store, so that it can be written. */
fet_status fet__param_own(fet__param *p);
/* Keep a resource (e.g. a file mapping) alive until the store is destroyed. */
fet_status fet__params_keep(fet__params *s, void *resource, void (*release)(void *));
/* Bytes of data held by entries that are not borrowed. */
int64_t fet__params_bytes(const fet__params *s);

#endif
