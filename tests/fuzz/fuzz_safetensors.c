/* Fuzz target: the safetensors parser. An accepted file must keep its promises: every byte of every tensor is
 * readable, sizes agree, tensors cover the data part exactly, names are found. A refused one must give a sentence. */
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

/* A broken promise is a crash, which is what the fuzzer looks for. */
static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const fet__tensors *t, const uint8_t *file, size_t size)
{
    uint64_t header = 0;
    int64_t total = 0;
    memcpy(&header, file, 8);
    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        require(fet__shape_count(&e->shape) * (int64_t)fet__dtype_bytes(e->dtype) == e->bytes);
        require((const uint8_t *)e->data == file + 8 + header + total);
        require(fet__tensors_find(t, e->name) == e);
        total += e->bytes;
    }
    require(total == (int64_t)(size - 8 - header));
    for (int i = 0; i < fet__tensors_meta_count(t); i++)
        require(fet__tensors_meta(t, fet__tensors_meta_key(t, i)) != NULL);
    char hex[65];
    const fet__entry *first = fet__tensors_count(t) ? fet__tensors_at(t, 0) : NULL;
    require(fet__fingerprint(hex, first, fet__tensors_count(t), NULL, NULL) == FET_OK); /* reads every value */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__tensors *t = NULL;
    if (fet__safetensors_parse(&t, data, size, "input") == FET_OK)
        check_promises(t, data, size);
    else
        require(t == NULL && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    fet__tensors_close(t);
    return 0;
}
