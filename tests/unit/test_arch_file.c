/* The file that describes a network: read as the architecture that it says, and refused in words where it says something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/model_int.h"

static const char plain[] =
    "{\"fettle_arch\": 1, \"family\": \"quadranet\", \"mixer\": \"conv\", \"dim\": 8, \"patch\": 2, \"image\": [32, "
    "64], \"classes\": 3, "
    "\"scale\": 1e-6, \"positions\": [{\"stage\": 0, \"kernel\": 3, \"expansion\": 2}, {\"stage\": 0, \"identity\": "
    "true}, "
    "{\"stage\": 1, \"kernel\": 7, \"expansion\": 4}, {\"stage\": 2, \"kernel\": 5, \"expansion\": 4}, "
    "{\"stage\": 2, \"kernel\": 5, \"expansion\": 2}, {\"stage\": 3, \"kernel\": 3, \"expansion\": 4}], \"found\": "
    "{\"any\": 1}}";

static void it_is_the_network_that_it_says(void **state)
{
    fet__text text = {0}, printed = {0};
    fet__arch a;

    (void)state;
    assert_int_equal(fet__arch_file_text(&text, plain, strlen(plain), "net.json"), FET_OK);
    assert_int_equal(fet__arch_create(&a, text.s), FET_OK);
    a.class_->print(&a, &printed);
    assert_string_equal(printed.s, "quadranet:depths=1+1+2+1,dim=8,kernel=7,expand=4,patch=2,mixer=conv,"
                                   "blocks=k3e2+k7e4+k5e4+k5e2+k3e4,scale=1e-06,img=32x64,classes=3");
    fet__arch_fini(&a);
    fet__text_fini(&text);
    fet__text_fini(&printed);
}

/* The file with the value at `key` ("positions/2/kernel") changed or, NULL, taken away. */
static char *changed(const char *key, const char *value)
{
    json_t *root = json_loads(plain, 0, NULL), *at = root, *v = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    char words[64], *part, *next, *save = NULL, *text;

    assert_true(root && (v || !value));
    snprintf(words, sizeof words, "%s", key);
    for (part = strtok_r(words, "/", &save); (next = strtok_r(NULL, "/", &save)) != NULL; part = next)
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
    if (json_is_array(at))
        json_array_set_new(at, (size_t)atoi(part), v);
    else if (v)
        json_object_set_new(at, part, v);
    else
        json_object_del(at, part);
    text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

static void anything_else_is_refused(void **state)
{
    static const struct {
        const char *key, *value, *words;
    } rows[] = {
        {"fettle_arch", "2", "'fettle_arch' is not 1"},
        {"fettle_arch", NULL, "'fettle_arch' is not 1"},
        {"family", "\"vit\"", "'family'"},
        {"mixer", "\"conv,dim=9\"", "'mixer'"},
        {"mixer", "3", "'mixer'"},
        {"dim", "8.5", "'dim' is no whole number"},
        {"dim", NULL, "'dim' is missing"},
        {"dim", "-8", "'dim' is no whole number"},
        {"patch", "4294967298", "'patch' is no whole number"},
        {"image", "[32]", "'image' is not [height, width]"},
        {"image", "[32, \"32\"]", "'image' is not [height, width]"},
        {"image", "[32, 0]", "'image' is not [height, width]"},
        {"classes", "null", "'classes'"},
        {"scale", "\"1\"", "'scale' is no number"},
        {"surprise", "1", "unknown key 'surprise'"},
        {"fettle arch", "1", "unknown key"},
        {"positions", "{}", "'positions' is no list"},
        {"positions", "[]", "stage 0 has no block"},
        {"positions/2", "7", "position 2 is no object"},
        {"positions/2/stage", "4", "position 2 is of stage 4"},
        {"positions/3/stage", "0", "position 3 is of stage 0 after stage 1"},
        {"positions/2/kernel", NULL, "'kernel' is missing"},
        {"positions/2/width", "3", "unknown key 'width'"},
        {"positions/2/identity", "true", "position 2 is the identity and something else"},
        {"positions/1/identity", "false", "position 1 is the identity and something else"},
        {"positions/2", "{\"stage\": 1, \"identity\": true}", "stage 1 has no block"},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        char *json = changed(rows[i].key, rows[i].value);
        fet__text text = {0};

        assert_int_equal(fet__arch_file_text(&text, json, strlen(json), "net.json"), FET_E_FORMAT);
        if (!strstr(fet_error_message(), rows[i].words) || !strstr(fet_error_message(), "net.json"))
            fail_msg("'%s' is not in: %s", rows[i].words, fet_error_message());
        fet__text_fini(&text);
        free(json);
    }
}

/* What the parser of architectures refuses is the file's fault, too. */
static void a_name_or_a_file_is_taken(void **state)
{
    char path[] = "/tmp/fettle-arch-XXXXXX", *json = changed("positions/2/kernel", "4");
    int file = mkstemp(path);
    fet__arch a;

    (void)state;
    assert_true(file >= 0 && write(file, plain, sizeof plain - 1) == (ssize_t)sizeof plain - 1);
    assert_int_equal(fet__arch_open(&a, path), FET_OK);
    assert_int_equal(a.width, 64);
    fet__arch_fini(&a);
    assert_int_equal(fet__arch_create(&a, path), FET_E_ARG); /* what a checkpoint says is never a file */
    assert_true(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
    assert_true(write(file, json, strlen(json)) == (ssize_t)strlen(json));
    assert_int_equal(fet__arch_open(&a, path), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "k4e4"));
    assert_non_null(strstr(fet_error_message(), path));
    close(file);
    unlink(path);
    assert_int_equal(fet__arch_open(&a, path), FET_E_IO);
    assert_int_equal(fet__arch_open(&a, "resnet5"), FET_E_ARG);
    assert_int_equal(fet__arch_open(&a, "resnet50"), FET_OK);
    fet__arch_fini(&a);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_network_that_it_says),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(a_name_or_a_file_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
