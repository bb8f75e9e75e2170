/* Fuzz target: the recipe parser. What it accepts has distinct, non-empty names on lines in ascending order. */
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fet__recipe r;
    if (fet__recipe_parse(&r, (const char *)data, size, "input") == FET_OK) {
        require(r.count > 0);
        for (int i = 0; i < r.count; i++) {
            require(r.keys[i][0] != '\0' && r.lines[i] >= (i ? r.lines[i - 1] : 1));
            for (int k = 0; k < i; k++)
                require(strcmp(r.keys[i], r.keys[k]) != 0);
        }
    } else {
        require(r.count == 0 && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    }
    fet__recipe_fini(&r);
    return 0;
}
