/* Codes and texts, the per-thread message, context, cutting of long messages, and the notices' receiver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/base.h"

static void codes_have_text_and_exit_status(void **state)
{
    (void)state;
    assert_string_equal(fet_status_text(FET_OK), "success");
    assert_string_equal(fet_status_text(FET_E_NOMATCH), "nothing matched");
    assert_string_equal(fet_status_text((fet_status)-99), "unknown status");
    assert_int_equal(fet_status_exit(FET_OK), 0);
    assert_int_equal(fet_status_exit(FET_E_ARG), 2);
    assert_int_equal(fet_status_exit(FET_E_VERIFY), 3);
    assert_int_equal(fet_status_exit(FET_E_INTERRUPTED), 130);
    assert_int_equal(fet_status_exit((fet_status)-99), 1);
}

static void a_failure_sets_the_message_and_context_goes_in_front(void **state)
{
    (void)state;
    assert_int_equal(FET_FAIL(FET_E_IO, "%s: line %d", "a.yaml", 7), FET_E_IO);
    assert_string_equal(fet_error_message(), "a.yaml: line 7");
    assert_int_equal(fet__fail_in(FET_E_FORMAT, "loading %s", "adapter"), FET_E_FORMAT);
    assert_string_equal(fet_error_message(), "loading adapter: a.yaml: line 7");
    fet__fail(FET_E_ARG, "again <%s>", fet_error_message()); /* arguments may be the message itself */
    assert_string_equal(fet_error_message(), "again <loading adapter: a.yaml: line 7>");
}

static void a_long_message_is_cut_at_a_character(void **state)
{
    char text[5001];
    size_t length;

    (void)state;
    for (int shift = 0; shift < 3; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3); /* the euro sign */
        text[5000] = '\0';
        fet__fail(FET_E_IO, "%s", text);
        length = strlen(fet_error_message());
        assert_in_range(length, 2000, 2047);
        assert_string_equal(fet_error_message() + length - 3, "...");
        assert_int_equal((length - 3 - (size_t)shift) % 3, 0);
    }
}

static void *fail_elsewhere(void *slot)
{
    fet__fail(FET_E_DATA, "from the worker");
    snprintf(slot, 64, "%s", fet_error_message());
    return NULL;
}

static void messages_belong_to_threads_and_can_be_handed_over(void **state)
{
    pthread_t worker;
    char slot[64] = "";

    (void)state;
    fet__fail(FET_E_IO, "mine");
    assert_int_equal(pthread_create(&worker, NULL, fail_elsewhere, slot), 0);
    pthread_join(worker, NULL);
    assert_string_equal(fet_error_message(), "mine");
    assert_int_equal(fet__fail_take(FET_E_DATA, slot), FET_E_DATA);
    assert_string_equal(fet_error_message(), "from the worker");
    fet__fail_take(FET_E_DATA, "100 %s"); /* handed over as text, never as a format */
    assert_string_equal(fet_error_message(), "100 %s");
}

static void collect(void *user, int level, const char *text)
{
    snprintf(user, 64, "%d:%s", level, text);
}

static void notices_reach_the_receiver_only(void **state)
{
    char got[64] = "nothing";

    (void)state;
    fet__warn("nobody listens");
    fet_set_log(collect, got);
    assert_string_equal(got, "nothing");
    fet__warn("%d skipped", 3);
    assert_string_equal(got, "1:3 skipped");
    fet__note("fine");
    assert_string_equal(got, "0:fine");
    fet_set_log(NULL, NULL);
    fet__note("gone");
    assert_string_equal(got, "0:fine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_text_and_exit_status),
        cmocka_unit_test(a_failure_sets_the_message_and_context_goes_in_front),
        cmocka_unit_test(a_long_message_is_cut_at_a_character),
        cmocka_unit_test(messages_belong_to_threads_and_can_be_handed_over),
        cmocka_unit_test(notices_reach_the_receiver_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
