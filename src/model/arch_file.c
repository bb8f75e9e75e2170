/* A network found by a search, as a JSON file: read as the architecture text that says the same. What each number may be is checked
 * where that text is parsed; here it is made sure that the file says it, once and in full. */
#include "model/model_int.h"
#include "model/quadranet.h"
#include "store/json_text.h"

#include <string.h>

#define FORMAT 1
#define MOST 1000000000

static fet_status bad(const char *path, const char *what)
{
    return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: %s", fet__show(path), what);
}

/* Is `key` one of the space-separated words? */
static bool among(const char *words, const char *key)
{
    size_t n = strlen(key);

    for (const char *p = words; n && (p = strstr(p, key)) != NULL; p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static fet_status known_keys(const json_t *j, const char *words, const char *path)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        if (strchr(key, ' ') || !among(words, key))
            return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: unknown key '%s'", fet__show(path),
                            fet__show(key));
    }
    return FET_OK;
}

static fet_status whole(const json_t *of, const char *key, const char *path, int *out)
{
    const json_t *v = json_object_get(of, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > MOST)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: '%s' is %s", fet__show(path), key,
                        v ? "no whole number from 0 on" : "missing");
    *out = (int)json_integer_value(v);
    return FET_OK;
}

static fet_status size_of(const json_t *root, const char *path, int image[2])
{
    const json_t *v = json_object_get(root, "image");

    if (!json_is_array(v) || json_array_size(v) != 2)
        return bad(path, "'image' is not [height, width]");
    for (size_t i = 0; i < 2; i++) {
        const json_t *n = json_array_get(v, i);

        if (!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > MOST)
            return bad(path, "'image' is not [height, width]");
        image[i] = (int)json_integer_value(n);
    }
    return FET_OK;
}

/* One place of the frame, in order of the stages; identities leave no block. */
static fet_status position(const json_t *j, const char *path, int number, int *stage, int depths[QUADRANET_STAGES],
                           fet__text *blocks)
{
    int at = 0, kernel = 0, expand = 0;
    fet_status st;

    if (!json_is_object(j))
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: position %d is no object", fet__show(path),
                        number);
    FET_TRY(known_keys(j, "stage kernel expansion identity", path));
    FET_TRY(whole(j, "stage", path, &at));
    if (at >= QUADRANET_STAGES || at < *stage)
        return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: position %d is of stage %d after stage %d",
                        fet__show(path), number, at, *stage);
    *stage = at;
    if (json_object_get(j, "identity")) {
        if (!json_is_true(json_object_get(j, "identity")) || json_object_size(j) != 2)
            return FET_FAIL(FET_E_FORMAT,
                            "%s: not the description of a network: position %d is the identity and something else",
                            fet__show(path), number);
        return FET_OK;
    }
    FET_TRY(whole(j, "kernel", path, &kernel));
    FET_TRY(whole(j, "expansion", path, &expand));
    fet__text_printf(blocks, "%sk%de%d", blocks->length ? "+" : "", kernel, expand);
    depths[at]++;
done:
    return st;
}

static fet_status positions(const json_t *root, const char *path, int depths[QUADRANET_STAGES], fet__text *blocks)
{
    const json_t *list = json_object_get(root, "positions");
    int stage = 0;
    fet_status st = FET_OK;

    if (!json_is_array(list))
        return bad(path, "'positions' is no list");
    for (size_t i = 0; i < json_array_size(list); i++)
        FET_TRY(position(json_array_get(list, i), path, (int)i, &stage, depths, blocks));
    for (int i = 0; i < QUADRANET_STAGES; i++)
        if (depths[i] == 0)
            return FET_FAIL(FET_E_FORMAT, "%s: not the description of a network: stage %d has no block",
                            fet__show(path), i);
done:
    return st;
}

fet_status fet__arch_file_text(fet__text *out, const char *json, size_t size, const char *path)
{
    int depths[QUADRANET_STAGES] = {0}, dim = 0, patch = 0, classes = 0, image[2] = {0}, format = 0;
    const char *mixer, *family;
    json_t *root = NULL;
    fet__text blocks = {0};
    fet_status st;

    FET_TRY(fet__json_parse(&root, json, size, path));
    if (whole(root, "fettle_arch", path, &format) != FET_OK || format != FORMAT)
        st = bad(path, "'fettle_arch' is not 1");
    FET_TRY(st);
    FET_TRY(known_keys(root, "fettle_arch family mixer dim patch image classes scale positions found", path));
    family = json_string_value(json_object_get(root, "family"));
    mixer = json_string_value(json_object_get(root, "mixer"));
    if (!family || strcmp(family, "quadranet") != 0)
        st = bad(path, "'family' is not \"quadranet\"");
    else if (!mixer || (strcmp(mixer, "quadratic") != 0 && strcmp(mixer, "conv") != 0))
        st = bad(path, "'mixer' is neither \"quadratic\" nor \"conv\"");
    else if (!json_is_number(json_object_get(root, "scale")))
        st = bad(path, "'scale' is no number");
    FET_TRY(st);
    FET_TRY(whole(root, "dim", path, &dim));
    FET_TRY(whole(root, "patch", path, &patch));
    FET_TRY(whole(root, "classes", path, &classes));
    FET_TRY(size_of(root, path, image));
    FET_TRY(positions(root, path, depths, &blocks));
    fet__text_printf(out,
                     "quadranet:depths=%d+%d+%d+%d,dim=%d,patch=%d,mixer=%s,blocks=%s,scale=%.9g,img=%dx%d,classes=%d",
                     depths[0], depths[1], depths[2], depths[3], dim, patch, mixer, blocks.s,
                     json_number_value(json_object_get(root, "scale")), image[0], image[1], classes);
    if (out->failed || blocks.failed)
        st = FET_E_NOMEM;
done:
    json_decref(root);
    fet__text_fini(&blocks);
    return st;
}

static fet_status read_file(fet__arch *out, const char *path)
{
    fet__map map = {0};
    fet__text text = {0};
    fet_status st;

    FET_TRY(fet__map_open(&map, path));
    FET_TRY(fet__arch_file_text(&text, (const char *)map.data, map.size, path));
    st = fet__arch_create(out, text.s);
    if (st != FET_OK)
        st = fet__fail_in(st == FET_E_ARG ? FET_E_FORMAT : st, "%s", fet__show(path));
done:
    fet__map_close(&map);
    fet__text_fini(&text);
    return st;
}

/* No architecture's name has a slash or ends so. */
static bool looks_like_a_path(const char *text)
{
    size_t n = strlen(text);

    return strchr(text, '/') || (n > 5 && strcmp(text + n - 5, ".json") == 0);
}

fet_status fet__arch_open(fet__arch *out, const char *text)
{
    fet_status st;

    memset(out, 0, sizeof *out);
    if (looks_like_a_path(text))
        return read_file(out, text);
    st = fet__arch_create(out, text);
    if (st != FET_OK && fet__file_exists(text) && !fet__is_folder(text))
        return read_file(out, text);
    return st;
}
