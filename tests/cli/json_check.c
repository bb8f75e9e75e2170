/* Holds the program's --json output to what a script relies on. Reads one JSON text from standard input:
 *     json_check KEY:TYPE...   every key is there with its type (int real text list object bool any); nothing but JSON was printed
 *     json_check -v KEY        prints the value of KEY */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_of_type(const json_t *v, const char *type)
{
    if (strcmp(type, "int") == 0)
        return json_is_integer(v);
    if (strcmp(type, "real") == 0)
        return json_is_real(v);
    if (strcmp(type, "text") == 0)
        return json_is_string(v);
    if (strcmp(type, "list") == 0)
        return json_is_array(v);
    if (strcmp(type, "object") == 0)
        return json_is_object(v);
    if (strcmp(type, "bool") == 0)
        return json_is_boolean(v);
    return strcmp(type, "any") == 0 && v;
}

static int check(const json_t *j, const char *want)
{
    char key[64];
    const char *colon = strchr(want, ':');

    if (!colon || (size_t)(colon - want) >= sizeof key)
        return 0;
    memcpy(key, want, (size_t)(colon - want));
    key[colon - want] = '\0';
    if (is_of_type(json_object_get(j, key), colon + 1))
        return 1;
    fprintf(stderr, "json_check: %s is missing or of another type\n", want);
    return 0;
}

static int print_value(const json_t *j, const char *key)
{
    char *text = json_dumps(json_object_get(j, key), JSON_ENCODE_ANY | JSON_COMPACT);

    if (!text)
        return 1;
    puts(text);
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *j = json_loadf(stdin, 0, &error);
    int i, status = 0;

    if (!j) {
        fprintf(stderr, "json_check: line %d: %s\n", error.line, error.text);
        return 1;
    }
    if (argc == 3 && strcmp(argv[1], "-v") == 0)
        status = print_value(j, argv[2]);
    else
        for (i = 1; i < argc; i++)
            status |= !check(j, argv[i]);
    json_decref(j);
    return status;
}
