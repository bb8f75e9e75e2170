/* The index of a checkpoint in several files, apart from the files: the fuzz target's door. */
#ifndef FET_SHARDS_H
#define FET_SHARDS_H

#include "store/store.h"

/* Which file holds which tensor: rows sorted by the tensor's name, files as they first appear, each once. */
typedef struct fet__shard_row {
    const char *tensor;
    int file;
    bool seen; /* in its file */
} fet__shard_row;
typedef struct fet__shard_index {
    int count, file_count;
    fet__shard_row *rows;
    const char **files; /* names without a folder */
    fet__arena arena;
} fet__shard_index;

/* ---- shards.c -------------------------------------------------------------------------------------------- */
/* `name` is for messages. Ended by fet__shard_index_fini(), also after a failure. */
fet_status fet__shard_index_parse(fet__shard_index *out, const char *text, size_t size, const char *name);
void fet__shard_index_fini(fet__shard_index *x);

#endif
