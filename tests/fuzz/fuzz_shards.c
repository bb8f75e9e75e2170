/* Fuzz target: the index of a checkpoint in several files. What comes out names only files of its own folder, rows are
 * sorted and each belongs to a file, and every file has a row. */
#include <stdlib.h>
#include <string.h>

#include "store/shards.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const fet__shard_index *x)
{
    require(x->count > 0 && x->file_count > 0 && x->file_count <= x->count);
    for (int i = 0; i < x->count; i++) {
        require(x->rows[i].file >= 0 && x->rows[i].file < x->file_count && !x->rows[i].seen);
        require(i == 0 || strcmp(x->rows[i - 1].tensor, x->rows[i].tensor) < 0);
    }
    for (int i = 0; i < x->file_count; i++) {
        require(x->files[i][0] != '\0' && x->files[i][0] != '.' && !strchr(x->files[i], '/'));
        for (int k = 0; k < i; k++)
            require(strcmp(x->files[k], x->files[i]) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__shard_index x;
    if (fet__shard_index_parse(&x, (const char *)data, size, "input") == FET_OK)
        check_promises(&x);
    else
        require(strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    fet__shard_index_fini(&x);
    return 0;
}
