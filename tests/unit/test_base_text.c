/* Growing strings, and making untrusted text fit for a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/base.h"

static void text_grows(void **state)
{
    fet__text t = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        fet__text_printf(&t, "%03d,", i);
    fet__text_add(&t, "end", 3);
    fet__text_add(&t, "", 0);
    assert_false(t.failed);
    assert_int_equal(t.length, 4003);
    assert_int_equal(strlen(t.s), 4003);
    assert_memory_equal(t.s + 3996, "999,end", 8);
    fet__text_fini(&t);
    assert_null(t.s);
}

static void a_failed_growth_is_remembered(void **state)
{
    fet__text t = {0};

    (void)state;
    fet__text_printf(&t, "kept");
    fet__alloc_fail_after(1);
    fet__text_printf(&t, "%0500d", 1);
    fet__text_add(&t, "x", 1);
    assert_true(t.failed);
    assert_string_equal(t.s, "kept");
    fet__text_fini(&t);
}

static void control_characters_and_bad_utf8_are_shown_in_hex(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"pets/cat 1.jpg", "pets/cat 1.jpg"},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
        {"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x88", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x88"},
        {"\xc3", "\\xc3"},                            /* cut short */
        {"\xe2\x82", "\\xe2\\x82"},                   /* cut short */
        {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* over U+10FFFF */
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b"
         "31m"}, /* C1 control: also starts terminal sequences */
        {"\xff"
         "a",
         "\\xffa"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++)
        assert_string_equal(fet__escape(out, sizeof out, cases[i].in), cases[i].out);
}

static void long_text_is_cut_between_characters(void **state)
{
    char out[12];

    (void)state;
    assert_string_equal(fet__escape(out, sizeof out, "12345678901"), "12345678901");
    assert_string_equal(fet__escape(out, sizeof out, "123456789012"), "12345678...");
    assert_string_equal(fet__escape(out, sizeof out, "1234567\n9012"), "1234567...");
    assert_string_equal(fet__escape(out, sizeof out,
                                    "123456\xe2\x82\xac"
                                    "9012"),
                        "123456...");
    assert_string_equal(fet__escape(out, 1, "abc"), "");
    assert_string_equal(fet__escape(out, 4, "abcd"), "...");
    assert_string_equal(fet__escape(out, 4, "abc"), "abc");
}

static void four_shown_texts_live_at_once(void **state)
{
    const char *s[4];

    (void)state;
    s[0] = fet__show("a\n");
    s[1] = fet__show("b");
    s[2] = fet__show("c");
    s[3] = fet__show("d");
    assert_string_equal(s[0], "a\\n");
    assert_string_equal(s[3], "d");
    assert_string_equal(fet__show("e"), "e");
    assert_string_equal(s[1], "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows),
        cmocka_unit_test(a_failed_growth_is_remembered),
        cmocka_unit_test(control_characters_and_bad_utf8_are_shown_in_hex),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(four_shown_texts_live_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
