/* Fuzz target: legacy PyTorch files, and files of one pickle. Of an accepted one the sizes of tensors agree, every byte can be
 * read and names are found. */
#include <stdlib.h>
#include <string.h>

#include "store/torch.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const fet__tensors *t)
{
    char hex[65];
    int count = fet__tensors_count(t);
    require(count > 0);
    for (int i = 0; i < count; i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        require(fet__shape_count(&e->shape) * (int64_t)fet__dtype_bytes(e->dtype) == e->bytes);
        require(fet__tensors_find(t, e->name) == e);
    }
    require(fet__fingerprint(hex, fet__tensors_at(t, 0), count, NULL, NULL) == FET_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__tensors *t = NULL;
    if (fet__torch_legacy_parse(&t, data, size, "input") == FET_OK)
        check_promises(t);
    else
        require(t == NULL && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    fet__tensors_close(t);
    return 0;
}
