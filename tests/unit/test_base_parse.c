/* Numbers, sizes and durations as options write them; globs over layer names; the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static void integers(void **state)
{
    static const char *const bad[] = {
        "", " 1", "1 ", "1x", "--1", "+-1", "0x10", "1e3", "1.0", "-", "9223372036854775808", "-9223372036854775809"};
    int64_t v = 0;

    (void)state;
    assert_true(fet__parse_int("42", &v) && v == 42);
    assert_true(fet__parse_int("-7", &v) && v == -7);
    assert_true(fet__parse_int("+7", &v) && v == 7);
    assert_true(fet__parse_int("010", &v) && v == 10);
    assert_true(fet__parse_int("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(fet__parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        if (fet__parse_int(bad[i], &v))
            fail_msg("\"%s\" was read as an integer", bad[i]);
}

static void doubles(void **state)
{
    static const char *const bad[] = {"", "nan", "inf", "-inf", "1e999", "0x1p3", " 1", "1 ", "1,5", ".", "e5", "1e"};
    double v = 0;

    (void)state;
    assert_true(fet__parse_double("5e-4", &v) && v == 5e-4);
    assert_true(fet__parse_double("-0.5", &v) && v == -0.5);
    assert_true(fet__parse_double(".5", &v) && v == 0.5);
    assert_true(fet__parse_double("1.", &v) && v == 1);
    assert_true(fet__parse_double("1e-310", &v) && v > 0); /* a subnormal number is a number */
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        if (fet__parse_double(bad[i], &v))
            fail_msg("\"%s\" was read as a number", bad[i]);
}

static void truth(void **state)
{
    bool v = false;

    (void)state;
    assert_true(fet__parse_bool("yes", &v) && v);
    assert_true(fet__parse_bool("off", &v) && !v);
    assert_true(fet__parse_bool("1", &v) && v);
    assert_true(fet__parse_bool("false", &v) && !v);
    assert_false(fet__parse_bool("", &v));
    assert_false(fet__parse_bool("maybe", &v));
}

static void sizes(void **state)
{
    static const char *const bad[] = {
        "", "-1", "G", "1X", "1 G", "1GiBs", "nan", "1e30", "9000000000G", "1iB", "9223372036854775808"};
    int64_t v = 0;

    (void)state;
    assert_true(fet__parse_bytes("1048576", &v) && v == 1048576);
    assert_true(fet__parse_bytes("0", &v) && v == 0);
    assert_true(fet__parse_bytes("512M", &v) && v == (int64_t)512 << 20);
    assert_true(fet__parse_bytes("2g", &v) && v == (int64_t)2 << 30);
    assert_true(fet__parse_bytes("1.5GiB", &v) && v == (int64_t)3 << 29);
    assert_true(fet__parse_bytes("3KB", &v) && v == 3000);
    assert_true(fet__parse_bytes("64B", &v) && v == 64);
    assert_true(fet__parse_bytes("9223372036854775807", &v) && v == INT64_MAX);
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        if (fet__parse_bytes(bad[i], &v))
            fail_msg("\"%s\" was read as a size", bad[i]);
}

static void durations(void **state)
{
    static const char *const bad[] = {"", "5", "ms", "-1ms", "5 ms", "5m", "1e308s"};
    double v = 0;

    (void)state;
    assert_true(fet__parse_ms("5ms", &v) && v == 5);
    assert_true(fet__parse_ms("0.2s", &v) && fabs(v - 200) < 1e-9);
    assert_true(fet__parse_ms("300us", &v) && fabs(v - 0.3) < 1e-12);
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        if (fet__parse_ms(bad[i], &v))
            fail_msg("\"%s\" was read as a duration", bad[i]);
}

static const struct {
    const char *pattern, *name;
    bool match, site;
} globs[] = {
    {"mlp.fc2", "mlp.fc2", true, true},
    {"mlp.fc2", "blocks.3.mlp.fc2", false, true},
    {"fc2", "blocks.3.mlp.fc2", false, true},
    {"lp.fc2", "blocks.3.mlp.fc2", false, false}, /* not at a dot */
    {"mlp", "blocks.3.mlp.fc2", false, false},
    {"blocks.*.fc2", "blocks.3.mlp.fc2", true, true},
    {"*fc*", "blocks.3.mlp.fc2", true, true},
    {"*", "", true, true},
    {"", "", true, false},
    {"", "x", false, false},
    {"blocks.?.mlp.fc2", "blocks.3.mlp.fc2", true, true},
    {"blocks.?.mlp.fc2", "blocks.11.mlp.fc2", false, false},
    {"blocks.[024].*", "blocks.4.attn.proj", true, true},
    {"blocks.[0-3].*", "blocks.4.attn.proj", false, false},
    {"blocks.[!0-3].*", "blocks.4.attn.proj", true, true},
    {"[0-3].mlp.fc2", "blocks.2.mlp.fc2", false, true},
    {"a[", "a[", true, true}, /* a set that never closes is itself */
    {"a[]]b", "a]b", true, true},
    {"*a*b*c", "xxaxbxbxc", true, true},
    {"*a*b*c", "xxaxbxbxcd", false, false},
};

static void globbing(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(globs); i++) {
        if (fet__glob(globs[i].pattern, globs[i].name) != globs[i].match)
            fail_msg("glob: \"%s\" on \"%s\"", globs[i].pattern, globs[i].name);
        if (fet__glob_site(globs[i].pattern, globs[i].name) != globs[i].site)
            fail_msg("site: \"%s\" on \"%s\"", globs[i].pattern, globs[i].name);
    }
    assert_true(fet__glob_site("attn.proj+mlp.fc2", "blocks.0.mlp.fc2"));
    assert_true(fet__glob_site("attn.proj+mlp.fc2", "blocks.0.attn.proj"));
    assert_false(fet__glob_site("attn.proj+mlp.fc2", "blocks.0.mlp.fc1"));
    assert_false(fet__glob_site("+", "fc1"));
    assert_true(fet__glob_site("+fc1", "fc1"));
    assert_true(fet__glob_site("fc1+", "fc1"));
}

static void many_stars_do_not_explode(void **state)
{
    char name[2001];

    (void)state;
    memset(name, 'a', 2000);
    name[2000] = '\0';
    assert_false(fet__glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name)); /* the time-out is the check */
}

static void nearest_word(void **state)
{
    static const char *const words[] = {"adam", "adamw", "sgd", "rmsprop", "cosine"};
    int n = (int)FET_COUNT(words);

    (void)state;
    assert_int_equal(fet__nearest("adamw", words, n), 1);
    assert_int_equal(fet__nearest("adma", words, n), 0); /* a swap of neighbours is one slip */
    assert_int_equal(fet__nearest("cosin", words, n), 4);
    assert_int_equal(fet__nearest("RMSprop", words, n), 3);
    assert_int_equal(fet__nearest("lars", words, n), -1);
    assert_int_equal(fet__nearest("", words, n), -1);
    assert_int_equal(fet__nearest("adam", words, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(doubles),
        cmocka_unit_test(truth),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(globbing),
        cmocka_unit_test(many_stars_do_not_explode),
        cmocka_unit_test(nearest_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
