/* Fuzz target: NumPy's single array. An accepted one keeps its promises: sizes agree, every byte can be read, values that
 * need no change lie in the input. A refused one gives a sentence. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"

/* A broken promise is a crash, which is what the fuzzer looks for. */
static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const fet__tensors *t, const uint8_t *file, size_t size)
{
    const fet__entry *e = fet__tensors_at(t, 0);
    char hex[65];
    require(fet__tensors_count(t) == 1 && fet__tensors_find(t, "") == e);
    require(fet__shape_count(&e->shape) * (int64_t)fet__dtype_bytes(e->dtype) == e->bytes);
    require((size_t)e->bytes < size);
    if (memmem(file, size, "True", 4) == NULL && memchr(file, '>', size) == NULL)
        require((const uint8_t *)e->data == file + size - e->bytes);
    require(fet__fingerprint(hex, e, 1, NULL, NULL) == FET_OK); /* reads every value */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__tensors *t = NULL;
    if (fet__npy_parse(&t, data, size, "input") == FET_OK)
        check_promises(t, data, size);
    else
        require(t == NULL && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    fet__tensors_close(t);
    return 0;
}
