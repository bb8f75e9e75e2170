/* JSON that comes from elsewhere: the limits are checked over the bytes before the JSON library takes memory for what
 * they describe (some 300 bytes for each "{}"). What the fields mean is known to the callers. The header of a safetensors
 * file has tighter rules of its own (safetensors.c). */
#include "store/json_text.h"

#include <string.h>

#define MAX_DEPTH 64
#define MAX_CONTAINERS 65536
#define MAX_VALUES 262144

#define BAD(name, format, ...)                                                                                         \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed JSON: " format, fet__show(name), __VA_ARGS__)

/* The position behind the string whose opening quote is at `i`, or the end. */
static size_t skip_string(const char *text, size_t size, size_t i)
{
    for (i++; i < size && text[i] != '"'; i++) {
        if (text[i] == '\\')
            i++;
    }
    return i + 1;
}

static fet_status check_limits(const char *text, size_t size, const char *name)
{
    int depth = 0;
    size_t containers = 0, values = 0;
    for (size_t i = 0; i < size;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, size, i);
            continue;
        }
        if (c == '{' || c == '[') {
            containers++;
            if (++depth > MAX_DEPTH)
                return BAD(name, "nested too deep at byte %zu (over %d levels)", i, MAX_DEPTH);
        }
        depth -= c == '}' || c == ']';
        values += c == ',' || c == ':';
        i++;
    }
    if (containers > MAX_CONTAINERS || values > MAX_VALUES)
        return BAD(name, "it holds %zu lists and objects with %zu values; the limits are %d and %d", containers, values,
                   MAX_CONTAINERS, MAX_VALUES);
    return FET_OK;
}

fet_status fet__json_load(json_t **out, const char *text, size_t size, size_t max_bytes, const char *name)
{
    json_error_t error;
    *out = NULL;
    if (size > max_bytes)
        return BAD(name, "it has %zu bytes, over the limit of %zu", size, max_bytes);
    fet_status st = check_limits(text, size, name);
    if (st != FET_OK)
        return st;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (*out)
        return FET_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory for its %zu bytes of JSON", fet__show(name), size);
    return BAD(name, "line %d, column %d: %s", error.line, error.column, fet__show(error.text));
}

fet_status fet__json_parse(json_t **out, const char *text, size_t size, const char *name)
{
    fet_status st = fet__json_load(out, text, size, FET__JSON_MAX_BYTES, name);
    if (st != FET_OK || json_is_object(*out))
        return st;
    json_decref(*out);
    *out = NULL;
    return BAD(name, "%s", "it is not an object ({...})");
}

fet_status fet__json_read(json_t **out, const char *path)
{
    fet__map map = {0};
    *out = NULL;
    fet_status st = fet__map_open(&map, path);
    if (st != FET_OK)
        return st;
    st = fet__json_parse(out, (const char *)map.data, map.size, path);
    fet__map_close(&map);
    return st;
}
