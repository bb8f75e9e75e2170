/* Writes a file of tensors again without one of them, sealed as before: what a file with a layer missing looks like. Usage: cut_tensor IN OUT
 * NAME */
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

int main(int argc, char **argv)
{
    static fet__entry entries[4096];
    static fet__meta_pair meta[64];
    fet__tensors *t = NULL;
    int count = 0, pairs = 0;

    if (argc != 4 || fet__tensors_open(&t, argv[1]) != FET_OK || fet__tensors_count(t) > 4096)
        return 2;
    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        if (strcmp(e->name, argv[3]) != 0 && strcmp(e->name, "fettle.checksum") != 0)
            entries[count++] = *e;
    }
    for (int i = 0; i < fet__tensors_meta_count(t) && pairs < 64; i++) {
        const char *key = fet__tensors_meta_key(t, i);
        if (strcmp(key, "fettle.checksum") != 0)
            meta[pairs++] = (fet__meta_pair){key, fet__tensors_meta(t, key)};
    }
    if (fet__sealed_write(argv[2], entries, count, meta, pairs) != FET_OK)
        return 1;
    fet__tensors_close(t);
    return 0;
}
