/* Recipes: what is read, and that everything else that YAML can say is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

static fet_status parse(fet__recipe *r, const char *text)
{
    return fet__recipe_parse(r, text, strlen(text), "my.yaml");
}

static void reads_options(void **state)
{
    (void)state;
    static const char text[] = "# tune on pets\n"
                               "---\n"
                               "lr: 5e-4\n"
                               "adapter: hydra:at=attn.proj+mlp.fc2,rank=2\n"
                               "\n"
                               "classes: [cat, \"dog\"]\n"
                               "at:\n"
                               "  - attn.proj\n"
                               "  - mlp.fc2\n"
                               "title: 'a: b # c'\n"
                               "empty: \"\"\n"
                               "json: false\n"
                               "caf\xc3\xa9: \"\\u00e9\"\n"
                               "...\n";
    static const struct {
        const char *key, *value;
        int line;
    } want[] = {
        {"lr", "5e-4", 3},         {"adapter", "hydra:at=attn.proj+mlp.fc2,rank=2", 4},
        {"classes", "cat+dog", 6}, {"at", "attn.proj+mlp.fc2", 7},
        {"title", "a: b # c", 10}, {"empty", "", 11},
        {"json", "false", 12},     {"caf\xc3\xa9", "\xc3\xa9", 13},
    };
    fet__recipe r;
    assert_int_equal(parse(&r, text), FET_OK);
    assert_int_equal(r.count, FET_COUNT(want));
    for (int i = 0; i < r.count; i++) {
        assert_string_equal(r.keys[i], want[i].key);
        assert_string_equal(r.values[i], want[i].value);
        assert_int_equal(r.lines[i], want[i].line);
    }
    fet__recipe_fini(&r);
    assert_int_equal(r.count, 0);
    assert_null(r.keys);
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "holds no options"},
        {"# only a comment\n", "holds no options"},
        {"{}", "holds no options"},
        {"- a\n- b\n", "line 1: a recipe is a mapping"},
        {"just text\n", "line 1: a recipe is a mapping"},
        {"lr: 1\nlr: 2\n", "line 2: 'lr' is given again (first on line 1)"},
        {"lr: 1\nbatch:\n", "line 2: the value of 'batch' is missing"},
        {"lr: {a: 1}\n", "line 1: the value of 'lr' must be a plain value, not a mapping"},
        {"lr: 1\nat:\n  deep:\n    er: 1\n", "line 3: the value of 'at' must be a plain value, not a mapping"},
        {"at: [a, [b]]\n", "line 1: an item of a list must be a plain value, not a list"},
        {"at: []\n", "line 1: the value of 'at' is an empty list"},
        {"at: [a, '']\n", "line 1: an item of a list is empty"},
        {"at:\n - a\n -\n", "an item of a list is missing"},
        {"a: &x 1\n", "line 1: anchors (&x) are not allowed"},
        {"a: 1\nb: *x\n", "line 2: the value of 'b' must be a plain value, not an alias"},
        {"a: !!int 1\n", "line 1: tags (tag:yaml.org,2002:int) are not allowed"},
        {"&r\na: 1\n", "anchors (&r)"},
        {"!x\na: 1\n", "tags (!x)"},
        {"a: &x [1]\n", "anchors (&x)"},
        {"? [a]\n: 1\n", "an option's name must be a plain value, not a list"},
        {"? {a: 1}\n: 1\n", "an option's name must be a plain value, not a mapping"},
        {"'': 1\n", "line 1: an option's name is empty"},
        {"?\n: 1\n", "line 1: an option's name is missing"},
        {"a: 1\n---\nb: 2\n", "line 2: a recipe is one document"},
        {"a: \"\\0x\"\n", "line 1: the value of 'a' holds a NUL"},
        {"a: 1\n\tb: 2\n", "line 2: not valid YAML"},
        {"a: 'open\n", "not valid YAML"},
        {"a: \xff\n", "not valid YAML"},
        {"a: [1\n", "not valid YAML"},
        {"%YAML 9.9\n---\na: 1\n", "not valid YAML"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__recipe r;
        fet_status st = parse(&r, rows[i].text);
        if (st != FET_E_FORMAT)
            fail_msg("status %d for: %s", st, rows[i].text);
        const char *message = fet_error_message();
        if (!strstr(message, rows[i].words) || !strstr(message, "my.yaml") || strchr(message, '\n'))
            fail_msg("expected '%s' for:\n%s\ngot: %s", rows[i].words, rows[i].text, message);
        assert_int_equal(r.count, 0);
        assert_null(r.keys);
    }
}

static void limits(void **state)
{
    (void)state;
    fet__recipe r;
    fet__text text = {0};
    for (int i = 0; i < 1025; i++)
        fet__text_printf(&text, "k%d: 1\n", i);
    assert_int_equal(fet__recipe_parse(&r, text.s, text.length, "my.yaml"), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "line 1025: more than 1024 options"));
    fet__text_fini(&text);
    size_t size = 300000;
    char *big = calloc(1, size);
    assert_int_equal(fet__recipe_parse(&r, big, size, "my.yaml"), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "too many for a recipe"));
    memset(big, '[', size);
    assert_int_equal(fet__recipe_parse(&r, big, 200000, "my.yaml"), FET_E_FORMAT);
    free(big);
}

static void cuts_and_flips_are_harmless(void **state)
{
    (void)state;
    static const char text[] = "lr: 5e-4\nat: [a, 'b']\nname: \"x\\ty\"\nlist:\n  - one\n  - two\n";
    size_t size = sizeof text - 1;
    char *copy = malloc(size);
    for (size_t cut = 0; cut < size; cut++) {
        char *part = malloc(cut ? cut : 1);
        memcpy(part, text, cut);
        fet__recipe r;
        fet_status st = fet__recipe_parse(&r, part, cut, "my.yaml");
        assert_true(st == FET_OK ? r.count > 0 : r.count == 0);
        fet__recipe_fini(&r);
        free(part);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        memcpy(copy, text, size);
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        fet__recipe r;
        fet_status st = fet__recipe_parse(&r, copy, size, "my.yaml");
        assert_true(st == FET_OK || st == FET_E_FORMAT);
        fet__recipe_fini(&r);
    }
    free(copy);
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    uint64_t held = fet__alloc_bytes();
    fet_status st = FET_E_NOMEM;
    int failures = 0;
    for (uint64_t n = 1; st != FET_OK; n++) {
        fet__recipe r;
        fet__alloc_fail_after(n);
        st = parse(&r, "lr: 1\nat: [a, b]\n");
        fet__alloc_fail_after(0);
        if (st != FET_OK) {
            failures++;
            assert_int_equal(st, FET_E_NOMEM);
        }
        fet__recipe_fini(&r);
        assert_int_equal(fet__alloc_bytes(), held);
        assert_true(n < 1000);
    }
    assert_true(failures >= 7);
}

static void reads_files(void **state)
{
    (void)state;
    char path[] = "/tmp/fettle-recipe-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "lr: 1\n", 6), 6);
    close(fd);
    fet__recipe r;
    assert_int_equal(fet__recipe_read(&r, path), FET_OK);
    assert_int_equal(r.count, 1);
    fet__recipe_fini(&r);
    unlink(path);
    assert_int_equal(fet__recipe_read(&r, path), FET_E_IO);
    assert_non_null(strstr(fet_error_message(), path));
    assert_int_equal(r.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_options),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(limits),
        cmocka_unit_test(cuts_and_flips_are_harmless),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(reads_files),
    };
    return cmocka_run_group_tests_name("store.recipe", tests, NULL, NULL);
}
