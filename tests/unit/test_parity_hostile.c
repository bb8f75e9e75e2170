/* The parity runner's judge of hostile files: what it reads out of the tables' sentences, and that a crash, a hang, a
 * program started, a file written and memory taken are seen for what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "parity/hostile.h"

static void expect_row(const char *text, bool may_load, bool may_fail, const char *words)
{
    hostile_row r = {0};
    char all[256] = "";
    snprintf(r.text, sizeof r.text, "%s", text);
    hostile_row_parse(&r);
    for (int i = 0; i < r.word_count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s|", r.words[i]);
    if (r.may_load != may_load || r.may_fail != may_fail || strcmp(all, words) != 0)
        fail_msg("%s: load %d, fail %d, words %s", text, r.may_load, r.may_fail, all);
}

static void understands_sentences(void **state)
{
    (void)state;
    expect_row("error \"refused\"; nothing imported or run", false, true, "refused|");
    expect_row("error \"malformed\" or \"too large\"", false, true, "malformed|too large|");
    expect_row("error \"malformed\" or unsupported", false, true, "malformed|unsupported|");
    expect_row("error \"malformed\" or loads by the central directory alone; never a crash", true, true, "malformed|");
    expect_row("error \"unsupported\" (encrypted, \"malformed\")", false, true, "unsupported|");
    expect_row("loads or is refused; never a crash", true, true, "");
    expect_row("loads as an empty dict -> error \"no tensors found\"; not inflated", false, true, "no tensors found|");
    expect_row("unknown class: no import; then error \"no tensors found\"", false, true, "no tensors found|");
    expect_row("loads 5000 empty tensors quickly (no quadratic time)", true, false, "");
    expect_row("the container loads bit-exactly; using it gives a clear error", true, false, "");
    expect_row("error: a module object, not a state_dict. (Reading it would be acceptable too)", true, true, "");
    expect_row("error: checksum / data stream", false, true, "checksum|data stream|");
    expect_row("error: truncated by default; a switch may give the decoded rows", false, true, "truncated|");
    expect_row("decodes; EXIF ignored with a warning", true, false, "");
    expect_row("error, or index beyond the palette reads as black", true, true, "");
    expect_row("nothing in particular", false, false, "");
}

static fet_status fails(const char *path, hostile_outcome *o)
{
    o->tensors = 7;
    fet__warn("beware of %s", path);
    return FET_FAIL(FET_E_FORMAT, "%s is bad", path);
}

static fet_status crashes(const char *path, hostile_outcome *o)
{
    (void)path;
    (void)o;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return FET_OK;
}

static fet_status hangs(const char *path, hostile_outcome *o)
{
    (void)path;
    (void)o;
    for (volatile int i = 0; i < 10; i = 1)
        pause();
    return FET_OK;
}

static fet_status starts_program(const char *path, hostile_outcome *o)
{
    (void)path;
    (void)o;
    return system("true") == 0 ? FET_OK : FET_E_IO;
}

static fet_status writes_file(const char *path, hostile_outcome *o)
{
    (void)o;
    return open(path, O_RDWR) >= 0 ? FET_OK : FET_E_IO;
}

static fet_status takes_memory(const char *path, hostile_outcome *o)
{
    (void)path;
    (void)o;
    volatile char *p = malloc((size_t)40 << 20);
    for (size_t i = 0; p && i < (size_t)40 << 20; i += 4096)
        p[i] = 1;
    return p ? FET_OK : FET_E_NOMEM;
}

static fet_status takes_too_much(const char *path, hostile_outcome *o)
{
    (void)path;
    void *volatile p = malloc((size_t)200 << 20); /* volatile: a compiler may take unused memory for granted */
    o->values = p != NULL;
    return FET_OK;
}

static hostile_outcome outcome_of(hostile_reader read)
{
    hostile_outcome o;
    if (hostile_try(&o, "/proc/self/exe", read) != FET_OK)
        fail_msg("%s", fet_error_message());
    return o;
}

static void sees_what_happens(void **state)
{
    (void)state;
    hostile_outcome o = outcome_of(fails);
    assert_true(o.ended);
    assert_int_equal(o.st, FET_E_FORMAT);
    assert_int_equal(o.tensors, 7);
    assert_string_equal(o.message, "/proc/self/exe is bad");
    assert_string_equal(o.warning, "beware of /proc/self/exe");
    assert_int_equal(outcome_of(crashes).signal, SIGSEGV);
    assert_int_equal(outcome_of(hangs).signal, SIGALRM);
    assert_int_equal(outcome_of(starts_program).signal, SIGSYS);
    assert_int_equal(outcome_of(writes_file).signal, SIGSYS);
}

static void sees_memory(void **state)
{
    (void)state;
    if (hostile_memory_is_unlimited()) {
        printf("skipped: memory is not limited under a sanitizer\n");
        skip();
    }
    hostile_outcome o = outcome_of(takes_memory);
    assert_int_equal(o.st, FET_OK);
    assert_true(o.grown > (int64_t)39 << 20);
    assert_int_equal(outcome_of(takes_too_much).values, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_sentences),
        cmocka_unit_test(sees_what_happens),
        cmocka_unit_test(sees_memory),
    };
    return cmocka_run_group_tests_name("parity.hostile", tests, NULL, NULL);
}
