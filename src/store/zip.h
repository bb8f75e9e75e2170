/* Zip archives in memory, for PyTorch's and NumPy's files. libzip reads the directory and inflates; what a hostile
 * archive could lie about (places, sizes, names, overlaps, methods) is checked here as well. */
#ifndef FET_ZIP_H
#define FET_ZIP_H

#include "store/store.h"

typedef struct fet__zip fet__zip;

typedef struct fet__zip_entry {
    const char *name; /* as the archive has it, "archive/data/0" */
    uint64_t size, packed_size;
    bool stored; /* else deflated */
    uint32_t crc;
} fet__zip_entry;

/* ---- zip.c ----------------------------------------------------------------------------------------------- */
/* Read and check the directory. `data` must outlive the result; `name` is the file's, for messages. */
fet_status fet__zip_open(fet__zip **out, const void *data, size_t size, const char *name);
void fet__zip_close(fet__zip *z); /* accepts NULL */
int fet__zip_count(const fet__zip *z);
const fet__zip_entry *fet__zip_at(const fet__zip *z, int i);
int fet__zip_find(const fet__zip *z, const char *name); /* -1 when absent */
/* An entry's contents, their checksum compared. Stored: where they lie in `data` of open (at any alignment). Deflated:
 * in memory that `owner` keeps. */
fet_status fet__zip_data(fet__zip *z, int i, fet__tensors *owner, const void **data, size_t *size);

#endif
