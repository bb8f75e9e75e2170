/* The safetensors writer and the fingerprint: the bytes it makes, that they read back equal and lie aligned, what it
 * refuses to write, and that a full disk leaves one sentence and no file. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

static char folder[] = "/tmp/fettle-store-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/out.safetensors", folder);
    return 0;
}

/* Also the proof that nothing was left behind: rmdir fails on a folder that is not empty. */
static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const float floats[] = {1.0f, -2.5f, 0.0f, 3.0f, 4.0f, 5.0f};
static const int64_t longs[] = {-1, INT64_MAX};
static const uint16_t halves[] = {0x3f80, 0xc020, 0x0000};
static const uint8_t bytes[] = {1, 2, 3, 4, 5};

static fet__entry entry(const char *name, fet_dtype t, fet__shape shape, const void *data)
{
    int64_t size = fet__shape_count(&shape) * (int64_t)fet__dtype_bytes(t);
    return (fet__entry){.name = name, .dtype = t, .shape = shape, .data = data, .bytes = size};
}

static void exact_bytes(void **state)
{
    (void)state;
    const fet__entry e = entry("w", FET_F32, FET_SHAPE(1, 2), floats);
    const fet__meta_pair meta = {"a\"b", "x\n"};
    assert_int_equal(fet__safetensors_write(path, &e, 1, &meta, 1), FET_OK);
    static const char header[] = "{\"__metadata__\":{\"a\\\"b\":\"x\\n\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}";
    char expected[128];
    size_t padded = (strlen(header) + 7) / 8 * 8;
    memset(expected, ' ', sizeof expected);
    uint64_t length = padded;
    memcpy(expected, &length, 8);
    memcpy(expected + 8, header, strlen(header));
    memcpy(expected + 8 + padded, floats, 8);
    fet__map map;
    assert_int_equal(fet__map_open(&map, path), FET_OK);
    assert_int_equal(map.size, 16 + padded);
    assert_memory_equal(map.data, expected, map.size);
    fet__map_close(&map);
    unlink(path);
}

static void round_trip(void **state)
{
    (void)state;
    const fet__entry entries[] = {
        entry("odd", FET_U8, FET_SHAPE(5), bytes),    entry("w.weight", FET_F32, FET_SHAPE(2, 3), floats),
        entry("h", FET_BF16, FET_SHAPE(3), halves),   entry("scalar", FET_F32, fet__shape_scalar(), floats + 1),
        entry("steps", FET_I64, FET_SHAPE(2), longs), entry("empty", FET_F64, FET_SHAPE(0, 7), NULL),
        entry("", FET_BOOL, FET_SHAPE(1, 1), bytes),  entry("\xc3\xa9\t\"", FET_I16, FET_SHAPE(3), halves),
    };
    static const char *const order[] = {"steps", "empty", "w.weight", "scalar", "h", "\xc3\xa9\t\"", "odd", ""};
    const fet__meta_pair meta[] = {{"fettle.arch", "{\"name\":\"vit\"}"}, {"", ""}};
    assert_int_equal(fet__safetensors_write(path, entries, FET_COUNT(entries), meta, 2), FET_OK);
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    assert_int_equal(fet__tensors_count(t), FET_COUNT(entries));
    for (int i = 0; i < (int)FET_COUNT(entries); i++) {
        const fet__entry *want = &entries[i], *got = fet__tensors_find(t, want->name);
        assert_non_null(got);
        assert_int_equal(got->dtype, want->dtype);
        assert_true(fet__shape_equal(&got->shape, &want->shape));
        assert_int_equal(got->bytes, want->bytes);
        if (want->bytes > 0)
            assert_memory_equal(got->data, want->data, (size_t)want->bytes);
        assert_true(fet__entry_aligned(got));
        assert_string_equal(fet__tensors_at(t, i)->name, order[i]);
    }
    assert_int_equal(fet__tensors_meta_count(t), 2);
    assert_string_equal(fet__tensors_meta(t, "fettle.arch"), meta[0].value);
    assert_string_equal(fet__tensors_meta(t, ""), "");
    fet__tensors_close(t);
    unlink(path);
}

static void nothing_at_all(void **state)
{
    (void)state;
    fet__tensors *t = NULL;
    assert_int_equal(fet__safetensors_write(path, NULL, 0, NULL, 0), FET_OK);
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    assert_int_equal(fet__tensors_count(t), 0);
    assert_int_equal(fet__tensors_meta_count(t), 0);
    fet__tensors_close(t);
    const fet__meta_pair meta = {"k", "v"};
    assert_int_equal(fet__safetensors_write(path, NULL, 0, &meta, 1), FET_OK);
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    assert_string_equal(fet__tensors_meta(t, "k"), "v");
    fet__tensors_close(t);
    unlink(path);
}

static void refuses_what_would_not_read(void **state)
{
    (void)state;
    fet__entry good = entry("w", FET_F32, FET_SHAPE(2), floats), short_of_bytes = good, bad_name = good,
               reserved = good;
    short_of_bytes.bytes = 4;
    bad_name.name = "\xff";
    reserved.name = "__metadata__";
    const fet__entry twins[] = {good, good};
    const fet__meta_pair metas[] = {{"k", "1"}, {"k", "2"}}, not_text = {"k", "\xc0"};
    const struct {
        const fet__entry *entries;
        int count;
        const fet__meta_pair *meta;
        int meta_count;
        const char *words;
    } rows[] = {
        {&short_of_bytes, 1, NULL, 0, "tensor 'w' of shape [2] has 4 bytes"},
        {&bad_name, 1, NULL, 0, "not valid UTF-8"},
        {&reserved, 1, NULL, 0, "cannot be named __metadata__"},
        {twins, 2, NULL, 0, "two tensors are named 'w'"},
        {&good, 1, metas, 2, "two metadata are named 'k'"},
        {&good, 1, &not_text, 1, "not valid UTF-8"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet_status st = fet__safetensors_write(path, rows[i].entries, rows[i].count, rows[i].meta, rows[i].meta_count);
        assert_int_equal(st, FET_E_ARG);
        if (!strstr(fet_error_message(), rows[i].words) || !strstr(fet_error_message(), path))
            fail_msg("expected '%s': %s", rows[i].words, fet_error_message());
        assert_false(fet__file_exists(path));
    }
}

/* The limits of the reader hold for the writer too. */
static void too_many_tensors(void **state)
{
    (void)state;
    enum { COUNT = 65537 };
    fet__entry *many = malloc(COUNT * sizeof *many);
    assert_non_null(many);
    for (int i = 0; i < COUNT; i++)
        many[i] = entry("w", FET_U8, FET_SHAPE(0), NULL);
    assert_int_equal(fet__safetensors_write(path, many, COUNT, NULL, 0), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "65537 tensors; the limit is 65536"));
    assert_false(fet__file_exists(path));
    free(many);
}

/* A file that was there before stays whole when its successor fails. */
static void full_disk(void **state)
{
    (void)state;
    const fet__entry old = entry("w", FET_F32, FET_SHAPE(2), floats);
    assert_int_equal(fet__safetensors_write(path, &old, 1, NULL, 0), FET_OK);
    void *block = calloc(1, 1 << 20);
    const fet__entry big = entry("big", FET_U8, FET_SHAPE(1 << 20), block);
    struct rlimit former, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    limit = former;
    limit.rlim_cur = 64 * 1024;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fet_status st = fet__safetensors_write(path, &big, 1, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    assert_int_equal(st, FET_E_IO);
    if (!strstr(fet_error_message(), path) || !strstr(fet_error_message(), strerror(EFBIG)))
        fail_msg("not a clear sentence: %s", fet_error_message());
    free(block);
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    assert_non_null(fet__tensors_find(t, "w"));
    fet__tensors_close(t);
    unlink(path);
    char **names = NULL;
    int count = 0;
    assert_int_equal(fet__list_folder(&names, &count, folder), FET_OK);
    assert_int_equal(count, 0);
    fet__names_free(names, count);
}

static void missing_folder(void **state)
{
    (void)state;
    const fet__entry e = entry("w", FET_F32, FET_SHAPE(2), floats);
    char lost[96];
    snprintf(lost, sizeof lost, "%s/absent/out.safetensors", folder);
    assert_int_equal(fet__safetensors_write(lost, &e, 1, NULL, 0), FET_E_IO);
    assert_non_null(strstr(fet_error_message(), "absent"));
}

static void failed_allocations_leave_no_file(void **state)
{
    (void)state;
    const fet__entry entries[] = {entry("a", FET_U8, FET_SHAPE(5), bytes), entry("w", FET_F32, FET_SHAPE(2), floats)};
    const fet__meta_pair meta = {"k", "v"};
    uint64_t held = fet__alloc_bytes();
    fet_status st = FET_E_NOMEM;
    int failures = 0;
    for (uint64_t n = 1; st != FET_OK; n++) {
        fet__alloc_fail_after(n);
        st = fet__safetensors_write(path, entries, 2, &meta, 1);
        fet__alloc_fail_after(0);
        assert_int_equal(fet__alloc_bytes(), held);
        if (st == FET_OK)
            break;
        failures++;
        assert_int_equal(st, FET_E_NOMEM);
        assert_false(fet__file_exists(path));
        assert_true(n < 1000);
    }
    assert_true(failures >= 5);
    unlink(path);
}

/* ---- fingerprint ------------------------------------------------------------------------------------------- */

static bool is_head(void *user, const char *name)
{
    return strncmp(name, user, strlen(user)) == 0;
}

static void fingerprint_by_its_definition(void **state)
{
    (void)state;
    const fet__entry entries[] = {entry("b", FET_BF16, FET_SHAPE(3), halves),
                                  entry("head.w", FET_U8, FET_SHAPE(5), bytes),
                                  entry("a", FET_F32, FET_SHAPE(2, 3), floats)};
    const int64_t a_shape[] = {2, 2, 3}, b_shape[] = {1, 3};
    const float b_values[] = {1.0f, -2.5f, 0.0f};
    fet__sha256 *h = NULL;
    char want[65], got[65], moved[65];
    assert_int_equal(fet__sha256_begin(&h), FET_OK);
    fet__sha256_add(h, "a", 2);
    fet__sha256_add(h, a_shape, sizeof a_shape);
    fet__sha256_add(h, floats, sizeof floats);
    fet__sha256_add(h, "b", 2);
    fet__sha256_add(h, b_shape, sizeof b_shape);
    fet__sha256_add(h, b_values, sizeof b_values);
    fet__sha256_end(h, want);
    assert_int_equal(fet__fingerprint(got, entries, 3, is_head, "head."), FET_OK);
    assert_string_equal(got, want);
    const fet__entry other[] = {entries[2],
                                entry("b", FET_F32, FET_SHAPE(3), b_values)}; /* order and type do not count */
    assert_int_equal(fet__fingerprint(moved, other, 2, NULL, NULL), FET_OK);
    assert_string_equal(moved, want);
    assert_int_equal(fet__fingerprint(moved, entries, 3, NULL, NULL), FET_OK);
    assert_string_not_equal(moved, want);
}

/* More values than one piece, at an odd address. */
static void fingerprint_of_misaligned_data(void **state)
{
    (void)state;
    enum { N = 5000 };
    unsigned char *raw = malloc(1 + 2 * N);
    float *values = malloc(N * sizeof *values);
    assert_true(raw && values);
    for (int i = 0; i < N; i++) {
        uint16_t v = (uint16_t)(0x3f80 + i % 100);
        memcpy(raw + 1 + 2 * i, &v, 2);
        values[i] = fet__bf16_to_f32(v);
    }
    const fet__entry narrow = entry("w", FET_BF16, FET_SHAPE(N), raw + 1),
                     wide = entry("w", FET_F32, FET_SHAPE(N), values);
    char a[65], b[65];
    assert_int_equal(fet__fingerprint(a, &narrow, 1, NULL, NULL), FET_OK);
    assert_int_equal(fet__fingerprint(b, &wide, 1, NULL, NULL), FET_OK);
    assert_string_equal(a, b);
    free(raw);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(refuses_what_would_not_read),
        cmocka_unit_test(too_many_tensors),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(missing_folder),
        cmocka_unit_test(failed_allocations_leave_no_file),
        cmocka_unit_test(fingerprint_by_its_definition),
        cmocka_unit_test(fingerprint_of_misaligned_data),
    };
    return cmocka_run_group_tests_name("store.writer", tests, make_folder, remove_folder);
}
