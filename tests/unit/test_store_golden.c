/* The reference files: every broken safetensors file is refused (or read) as its table says, the valid ones are
 * equal to what is expected of them. Skipped where the reference files are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

#define CKPT FETTLE_SHARED "/golden/data/ckpt"

static void need(const char *path)
{
    if (!fet__is_folder(path)) {
        print_message("skipped: no folder %s\n", path);
        skip();
    }
}

/* Broken files that the table lets a reader open; all others must be refused. */
static bool may_load(const char *name)
{
    static const char *const names[] = {"st_huge_shape_zero_dim", "st_name_100k", "st_traversal_name",
                                        "st_empty_name",          "st_many_tiny", "st_values_nan_inf"};
    for (size_t i = 0; i < FET_COUNT(names); i++) {
        if (strncmp(name, names[i], strlen(names[i])) == 0 && name[strlen(names[i])] == '.')
            return true;
    }
    return false;
}

/* Words that the table asks for; "malformed" where it says nothing special. */
static const char *wanted_words(const char *name)
{
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"st_unknown_dtype.safetensors", "unsupported"},
        {"st_f8_dtype.safetensors", "F8_E4M3"},
        {"st_lowercase_dtype.safetensors", "unsupported"},
        {"st_rank_300.safetensors", "unsupported"},
        {"st_duplicate_names.safetensors", "duplicate"},
        {"st_duplicate_field.safetensors", "duplicate"},
        {"st_duplicate_metadata.safetensors", "duplicate"},
        {"st_overlap.safetensors", "overlap"},
        {"st_identical_ranges.safetensors", "overlap"},
        {"st_hole.safetensors", "hole"},
        {"st_trailing_bytes.safetensors", "after the last tensor"},
        {"st_shape_overflow_to_zero.safetensors", "overflow"},
        {"st_shape_overflow_wraps_to_4.safetensors", "overflow"},
        {"st_bytes_overflow.safetensors", "overflow"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].words;
    }
    return "malformed";
}

static void check_broken(const char *name)
{
    fet__tensors *t = NULL;
    char *path = fet__path_join(CKPT "/malicious", name);
    double start = fet__now();
    fet_status st = fet__tensors_open(&t, path);
    const char *message = fet_error_message();
    if (may_load(name) ? st != FET_OK : st != FET_E_FORMAT)
        fail_msg("%s: status %d: %s", name, st, message);
    if (st != FET_OK && (!strstr(message, name) || !strstr(message, wanted_words(name)) || strlen(message) > 600))
        fail_msg("%s: the message should hold '%s': %s", name, wanted_words(name), message);
    assert_true(fet__now() - start < 2);
    fet__tensors_close(t);
    fet__free(path);
}

static void broken_files(void **state)
{
    (void)state;
    need(CKPT "/malicious");
    char **names = NULL;
    int count = 0, checked = 0;
    assert_int_equal(fet__list_folder(&names, &count, CKPT "/malicious"), FET_OK);
    for (int i = 0; i < count; i++) {
        if (strncmp(names[i], "st_", 3) == 0) {
            check_broken(names[i]);
            checked++;
        }
    }
    fet__names_free(names, count);
    assert_true(checked >= 60);
}

static void many_tiny_tensors(void **state)
{
    (void)state;
    need(CKPT "/malicious");
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, CKPT "/malicious/st_many_tiny.safetensors"), FET_OK);
    assert_int_equal(fet__tensors_count(t), 5000);
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(fet__tensors_find(t, fet__tensors_at(t, i)->name), fet__tensors_at(t, i));
    fet__tensors_close(t);
}

static void other_formats_are_named(void **state)
{
    (void)state;
    need(CKPT);
    static const struct {
        const char *path, *words;
    } rows[] = {
        {CKPT "/malicious/png_named.pt", "a PNG image"},
        {CKPT "/malicious/html_named.pth", "a web page"},
        {CKPT "/malicious/lfs_pointer.pth", "a Git LFS pointer"},
        {CKPT "/malicious/random_bytes.pth", "malformed"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__tensors *t = NULL;
        assert_int_equal(fet__tensors_open(&t, rows[i].path), FET_E_FORMAT);
        if (!strstr(fet_error_message(), rows[i].words))
            fail_msg("%s: expected '%s': %s", rows[i].path, rows[i].words, fet_error_message());
    }
}

static void expect_same(const fet__tensors *got, const fet__tensors *want)
{
    assert_int_equal(fet__tensors_count(got), fet__tensors_count(want));
    for (int i = 0; i < fet__tensors_count(want); i++) {
        const fet__entry *w = fet__tensors_at(want, i), *g = fet__tensors_find(got, w->name);
        if (!g)
            fail_msg("%s lacks '%s'", fet__tensors_path(got), w->name);
        assert_int_equal(g->dtype, w->dtype);
        assert_true(fet__shape_equal(&g->shape, &w->shape));
        assert_int_equal(g->bytes, w->bytes);
        assert_memory_equal(g->data, w->data, (size_t)w->bytes);
    }
}

static void valid_files(void **state)
{
    (void)state;
    need(CKPT "/valid");
    static const char *const names[] = {"dtypes", "unsorted", "whitespace_escapes", "empty_table", "rank0_rank8"};
    for (size_t i = 0; i < FET_COUNT(names); i++) {
        fet__tensors *got = NULL, *want = NULL;
        char path[512], expected[512];
        snprintf(path, sizeof path, CKPT "/valid/%s.safetensors", names[i]);
        snprintf(expected, sizeof expected, CKPT "/valid/%s.safetensors.expect.safetensors", names[i]);
        fet_status st = fet__tensors_open(&got, path);
        if (st != FET_OK)
            fail_msg("%s", fet_error_message());
        assert_int_equal(fet__tensors_open(&want, expected), FET_OK);
        expect_same(got, want);
        fet__tensors_close(got);
        fet__tensors_close(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files),
        cmocka_unit_test(many_tiny_tensors),
        cmocka_unit_test(other_formats_are_named),
        cmocka_unit_test(valid_files),
    };
    return cmocka_run_group_tests_name("store.golden", tests, NULL, NULL);
}
