/* NumPy's arrays, for the reader of a single one and of an archive of them. */
#ifndef FET_NPY_H
#define FET_NPY_H

#include "store/store.h"

/* ---- npy.c ----------------------------------------------------------------------------------------------- */
bool fet__npy_is(const void *data, size_t size); /* the magic is there */
/* Read one array and add it to `t` as `tensor`. `data` must outlive t; `name` is for messages. */
fet_status fet__npy_add(fet__tensors *t, const char *tensor, const void *data, size_t size, const char *name);

#endif
