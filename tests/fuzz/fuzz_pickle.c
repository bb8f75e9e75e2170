/* Fuzz target: the pickle machine, the rebuilding of tensors and the walk over what a pickle holds. Storages of up to 4 KiB get
 * data, so that views of them are copied; others have none and are refused when they are needed. */
#include <stdlib.h>
#include <string.h>

#include "store/torch.h"

#define STORAGE_BYTES 4096

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_promises(const fet__tensors *t)
{
    char hex[65];
    int count = fet__tensors_count(t);
    for (int i = 0; i < count; i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        require(fet__shape_count(&e->shape) * (int64_t)fet__dtype_bytes(e->dtype) == e->bytes);
        require(e->bytes == 0 || e->data);
    }
    for (int i = 0; i < fet__tensors_leaf_count(t); i++) {
        const char *path = NULL, *json = NULL;
        fet__tensors_leaf(t, i, &path, &json);
        require(path && json && *json);
    }
    require(fet__fingerprint(hex, count ? fet__tensors_at(t, 0) : NULL, count, NULL, NULL) == FET_OK);
}

/* Exactly as many bytes as the storage claims: the sanitizer sees the first one beyond. */
static void give_data(fet__torch_file *f)
{
    for (size_t i = 0; i < f->pickle.storage_count; i++) {
        fet__torch_storage *s = f->pickle.storages[i];
        if (s->first == s && s->bytes > 0 && s->bytes <= STORAGE_BYTES) {
            unsigned char *data = malloc((size_t)s->bytes);
            require(data != NULL);
            memset(data, 1, (size_t)s->bytes);
            s->data = data;
        }
    }
}

static void take_data(fet__torch_file *f)
{
    for (size_t i = 0; i < f->pickle.storage_count; i++) {
        if (f->pickle.storages[i]->first == f->pickle.storages[i])
            free((void *)(uintptr_t)f->pickle.storages[i]->data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__torch_file f = {.name = "input", .data = data, .size = 1 << 20, .swap = size % 2 == 1};
    fet__pk *root = NULL;
    require(fet__tensors_new(&f.t, "input") == FET_OK);
    fet__pickle_begin(&f.pickle, "input", "pickle", data, size);
    fet_status st = fet__pickle_run(&f.pickle, &root);
    if (st == FET_OK)
        st = fet__torch_group_storages(&f);
    if (st == FET_OK) {
        give_data(&f);
        st = fet__torch_walk(&f, root);
        if (st == FET_OK)
            check_promises(f.t);
        take_data(&f);
    }
    require(st == FET_OK || (strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n')));
    fet__pickle_end(&f.pickle);
    fet__tensors_close(f.t);
    return 0;
}
