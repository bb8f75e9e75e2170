/* The safetensors parser on files in memory: what it accepts, what it refuses with which words, and that neither a
 * cut nor a flipped bit nor a failed allocation does more than give a sentence. Files on disk are in
 * test_store_open.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

/* A file of `header` (its length in front) and `data_bytes` bytes 0, 1, 2, ... */
static unsigned char *make_file(const char *header, size_t header_bytes, size_t data_bytes, size_t *size)
{
    *size = 8 + header_bytes + data_bytes;
    unsigned char *file = malloc(*size);
    assert_non_null(file);
    uint64_t length = header_bytes;
    memcpy(file, &length, 8);
    memcpy(file + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        file[8 + header_bytes + i] = (unsigned char)i;
    return file;
}

static void expect_sentence(const char *words)
{
    const char *message = fet_error_message();
    if (!strstr(message, words) || !strstr(message, "box.st") || strchr(message, '\n'))
        fail_msg("expected a sentence with box.st and '%s', got: %s", words, message);
}

static void expect_refused(const char *header, size_t header_bytes, size_t data_bytes, const char *words)
{
    size_t size;
    unsigned char *file = make_file(header, header_bytes, data_bytes, &size);
    fet__tensors *t = NULL;
    fet_status st = fet__safetensors_parse(&t, file, size, "box.st");
    if (st != FET_E_FORMAT)
        fail_msg("status %d for header %s", st, header);
    assert_null(t);
    expect_sentence(words);
    free(file);
}

#define W(fields) "{\"w\":{" fields "}}"

static void refuses_with_reason(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *words;
    } rows[] = {
        {" {}", 0, "must begin with '{'"},
        {"\xef\xbb\xbf{}", 0, "must begin with '{'"},
        {"[]", 0, "must begin with '{'"},
        {"{", 0, "not valid JSON"},
        {"{}x", 0, "unexpected 'x' at byte 2"},
        {"{}{}", 0, "not valid JSON"},
        {"{\"w\":null}", 0, "unexpected 'n'"},
        {"{\"w\":1}", 0, "tensor 'w': its description is not an object"},
        {"{\"w\":{}}", 0, "tensor 'w' has no dtype"},
        {"{\"w\":[[[[]]]]}", 0, "nested too deep"},
        {"{/**/}", 0, "unexpected '/'"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"extra\":[]"), 4, "other fields"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"shape\":[1]"), 4, "duplicate"},
        {W("\"dtype\":\"F32\",\"shape\":[1]"), 4, "has no data_offsets"},
        {W("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "has no shape"},
        {W("\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "dtype is not a string"},
        {W("\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]"), 4,
         "unsupported: tensor 'w' has element type 'F8_E4M3'"},
        {W("\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "element type 'f32'"},
        {W("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]"), 4, "shape is not a list"},
        {W("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4, "unexpected '-'"},
        {W("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4, "unexpected '.'"},
        {W("\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]"), 4, "unexpected 'e'"},
        {W("\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,4]"), 4, "unexpected 't'"},
        {W("\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]"), 4, "size 0 of its shape"},
        {W("\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]"), 4, "not valid JSON"},
        {W("\"dtype\":\"F32\",\"shape\":[1,],\"data_offsets\":[0,4]"), 4, "not valid JSON"},
        {W("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]"), 4, "not valid JSON"},
        {W("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4, "12 dimensions"},
        {W("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"), 4, "overflows"},
        {W("\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0, "overflows"},
        {W("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4, "needs 8 bytes"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, "list of two"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]"), 4, "list of two"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\"0\",4]"), 4, "not whole numbers"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4, "reversed"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 3, "beyond the data part of 3 bytes"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, "a hole: bytes 0 to 3"},
        {W("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 9, "5 bytes after the last tensor"},
        {"{}", 1, "1 bytes after the last tensor"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "value of 'k' in __metadata__ is not a string"},
        {"{\"__metadata__\":{\"k\":\"a\",\"k\":\"b\"}}", 0, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, "'a' and 'b' overlap at byte 2"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
         4, "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
        {"{\"w\\u0000x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "not valid JSON"},
        {"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "not valid JSON"},
        {"{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "not valid JSON"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++)
        expect_refused(rows[i].header, strlen(rows[i].header), rows[i].data_bytes, rows[i].words);
    expect_refused("{}\0\0", 4, 0, "unexpected 00 at byte 2");
}

static void refuses_bad_frames(void **state)
{
    (void)state;
    static const struct {
        uint64_t length;
        size_t size;
        const char *words;
    } rows[] = {
        {0, 0, "it is empty"},
        {0, 7, "7 bytes"},
        {0, 8, "header length (bytes 0 to 7) is 0"},
        {3, 10, "is 3, but only 2 bytes follow"},
        {100000001, 10, "over the limit of 100000000"},
        {UINT64_C(1) << 63, 10, "9223372036854775808, over the limit"},
        {UINT64_MAX, 10, "18446744073709551615, over the limit"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        unsigned char file[16] = {0};
        memcpy(file, &rows[i].length, 8);
        memcpy(file + 8, "{}", 2);
        fet__tensors *t = NULL;
        assert_int_equal(fet__safetensors_parse(&t, file, rows[i].size, "box.st"), FET_E_FORMAT);
        assert_null(t);
        expect_sentence(rows[i].words);
    }
}

static const char good_header[] = "{ \"z\":{\"shape\":[3],\"data_offsets\":[8,14],\"dtype\":\"BF16\"},\n\"a\\u00e9\":"
                                  "{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                                  "\"\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[14,15]},\"e\":{\"dtype\":"
                                  "\"I64\",\"shape\":[0,5],\"data_offsets\":[8,8]},"
                                  "\"__metadata__\":{\"format\":\"pt\",\"fettle.x\":\"{\\\"a\\\": 1}\"}}  ";

static void reads_what_is_there(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(good_header, strlen(good_header), 15, &size);
    fet__tensors *t = NULL;
    assert_int_equal(fet__safetensors_parse(&t, file, size, "box.st"), FET_OK);
    assert_string_equal(fet__tensors_path(t), "box.st");
    assert_int_equal(fet__tensors_count(t), 4);
    static const char *const order[] = {"a\xc3\xa9", "e", "z", ""}; /* by place of data */
    for (int i = 0; i < 4; i++)
        assert_string_equal(fet__tensors_at(t, i)->name, order[i]);
    const fet__entry *z = fet__tensors_find(t, "z");
    assert_ptr_equal(z, fet__tensors_at(t, 2));
    assert_int_equal(z->dtype, FET_BF16);
    assert_int_equal(z->shape.rank, 1);
    assert_int_equal(z->shape.dim[0], 3);
    assert_int_equal(z->bytes, 6);
    assert_ptr_equal(z->data, file + size - 15 + 8);
    const fet__entry *scalar = fet__tensors_find(t, "");
    assert_non_null(scalar);
    assert_int_equal(scalar->shape.rank, 0);
    assert_int_equal(*(const unsigned char *)scalar->data, 14);
    assert_null(fet__tensors_find(t, "absent"));
    assert_int_equal(fet__tensors_meta_count(t), 2);
    assert_string_equal(fet__tensors_meta_key(t, 0), "format");
    assert_string_equal(fet__tensors_meta(t, "fettle.x"), "{\"a\": 1}");
    assert_null(fet__tensors_meta(t, "absent"));
    fet__tensors_close(t);
    free(file);
}

static void knows_misaligned_data(void **state)
{
    (void)state;
    _Alignas(8) unsigned char bytes[16] = {0};
    fet__entry e = {.dtype = FET_F32, .data = bytes};
    assert_true(fet__entry_aligned(&e));
    e.data = bytes + 2;
    assert_false(fet__entry_aligned(&e));
    e.dtype = FET_F16;
    assert_true(fet__entry_aligned(&e));
}

/* Every prefix of a good file is refused, and a copy of exactly its size shows any read beyond to the sanitizer. */
static void every_cut_is_refused(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(good_header, strlen(good_header), 15, &size);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, file, cut);
        fet__tensors *t = NULL;
        assert_int_equal(fet__safetensors_parse(&t, copy, cut, "box.st"), FET_E_FORMAT);
        assert_null(t);
        free(copy);
    }
    free(file);
}

/* Touch every byte that an accepted file promises. */
static unsigned sum_of(const fet__tensors *t)
{
    unsigned sum = 0;
    for (int i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        assert_int_equal(e->bytes, fet__shape_count(&e->shape) * (int64_t)fet__dtype_bytes(e->dtype));
        for (int64_t k = 0; k < e->bytes; k++)
            sum += ((const unsigned char *)e->data)[k];
    }
    return sum;
}

static void flipped_bits_are_harmless(void **state)
{
    (void)state;
    size_t size;
    int accepted = 0;
    unsigned char *file = make_file(good_header, strlen(good_header), 15, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        file[bit / 8] ^= (unsigned char)(1u << bit % 8);
        fet__tensors *t = NULL;
        if (fet__safetensors_parse(&t, file, size, "box.st") == FET_OK) {
            accepted++;
            assert_true(sum_of(t) > 0);
        } else {
            assert_null(t);
            expect_sentence("cannot read");
        }
        fet__tensors_close(t);
        file[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(accepted >= 8 * 15); /* flips in the data are legal values */
    free(file);
}

/* Names long enough to fill several blocks of the arena, so that each kind of its allocations gets to fail. */
static unsigned char *make_long_file(size_t *size)
{
    fet__text header = {0};
    char name[1001];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    fet__text_printf(&header, "{\"__metadata__\":{\"a\":\"%s\"", name);
    for (int i = 0; i < 30; i++)
        fet__text_printf(&header, ",\"%s%d\":\"%s\"", name, i, name);
    fet__text_printf(&header, "}");
    for (int i = 0; i < 80; i++)
        fet__text_printf(&header, ",\"%s%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", name, i, i,
                         i + 1);
    fet__text_printf(&header, "}");
    assert_false(header.failed);
    unsigned char *file = make_file(header.s, header.length, 80, size);
    fet__text_fini(&header);
    return file;
}

/* Fail the first allocation, then the second, ... until the file is read; how many failed. */
static int fail_in_turn(const unsigned char *file, size_t size)
{
    uint64_t held = fet__alloc_bytes();
    fet_status st = FET_E_NOMEM;
    int failures = 0;
    for (uint64_t n = 1; st != FET_OK; n++) {
        fet__tensors *t = NULL;
        fet__alloc_fail_after(n);
        st = fet__safetensors_parse(&t, file, size, "box.st");
        fet__alloc_fail_after(0);
        if (st != FET_OK) {
            failures++;
            assert_int_equal(st, FET_E_NOMEM);
            assert_null(t);
        }
        fet__tensors_close(t);
        assert_int_equal(fet__alloc_bytes(), held);
        assert_true(n < 2000);
    }
    return failures;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(good_header, strlen(good_header), 15, &size);
    assert_true(fail_in_turn(file, size) >= 3);
    free(file);
    file = make_long_file(&size);
    assert_true(fail_in_turn(file, size) >= 6);
    free(file);
}

/* "[]" costs two bytes in a file and a hundred in memory: refused before anything is built. */
static void many_values_are_refused_early(void **state)
{
    (void)state;
    size_t brackets = 3000000, length = 6 + brackets;
    char *header = malloc(length + 1);
    strcpy(header, "{\"w\":[");
    memset(header + 6, ',', brackets);
    uint64_t before = fet__alloc_bytes();
    expect_refused(header, length, 0, "unsupported");
    assert_int_equal(fet__alloc_bytes(), before);
    free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_reason),
        cmocka_unit_test(refuses_bad_frames),
        cmocka_unit_test(reads_what_is_there),
        cmocka_unit_test(knows_misaligned_data),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(flipped_bits_are_harmless),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(many_values_are_refused_early),
    };
    return cmocka_run_group_tests_name("store.reader", tests, NULL, NULL);
}
