/* Fuzz target: small JSON files (config.json, adapter_config.json). An accepted text is an object within the limits, and
 * written again it reads the same. */
#include <stdlib.h>
#include <string.h>

#include "store/json_text.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static int depth_of(json_t *v)
{
    int deepest = 0;
    size_t i;
    const char *key;
    json_t *item;
    json_array_foreach(v, i, item)
    {
        int depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach(v, key, item)
    {
        int depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_array(v) || json_is_object(v));
}

static void check_promises(json_t *root)
{
    json_t *again = NULL;
    char *text = json_dumps(root, JSON_COMPACT);
    require(json_is_object(root) && depth_of(root) <= 64);
    require(text != NULL);
    /* Escapes may make it longer than the limit. */
    if (strlen(text) <= FET__JSON_MAX_BYTES) {
        require(fet__json_parse(&again, text, strlen(text), "again") == FET_OK);
        require(json_equal(root, again) == 1);
    }
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root = NULL;
    if (fet__json_parse(&root, (const char *)data, size, "input") == FET_OK)
        check_promises(root);
    else
        require(root == NULL && strstr(fet_error_message(), "input") && !strchr(fet_error_message(), '\n'));
    json_decref(root);
    return 0;
}
