/* Fuzz target: zip archives. Of an accepted one every member is found by its name, stored members lie within the file, and what
 * is handed out has the size that it claims and can be read. */
#include <stdlib.h>
#include <string.h>

#include "store/store_int.h"
#include "store/zip.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static unsigned sum;

static void read_member(fet__zip *z, int i, const uint8_t *file, size_t file_size)
{
    const fet__zip_entry *e = fet__zip_at(z, i);
    fet__tensors *owner = NULL;
    const void *data = NULL;
    size_t size = 0;
    require(fet__zip_find(z, e->name) == i);
    if (e->size > 1 << 20)
        return;
    require(fet__tensors_new(&owner, "owner") == FET_OK);
    if (fet__zip_data(z, i, owner, &data, &size) == FET_OK) {
        const uint8_t *p = data;
        require(size == e->size);
        require(!e->stored || (p >= file && size <= (size_t)(file + file_size - p)));
        for (size_t k = 0; k < size; k++)
            sum += p[k];
    }
    fet__tensors_close(owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__zip *z = NULL;
    if (fet__zip_open(&z, data, size, "input") != FET_OK) {
        require(z == NULL && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
        return 0;
    }
    for (int i = 0; i < fet__zip_count(z); i++)
        read_member(z, i, data, size);
    fet__zip_close(z);
    return 0;
}
