/* NumPy's single arrays in memory: what the header's grammar accepts, what it refuses with which words, orders of bytes
 * and of indices, and that neither a cut nor a flipped bit nor a failed allocation does more than give a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store_int.h"

/* Format version 1 with this header, and `data` behind it. The caller frees it. */
static unsigned char *make_file(const char *header, const void *data, size_t data_bytes, size_t *size)
{
    size_t length = strlen(header);
    *size = 10 + length + data_bytes;
    unsigned char *file = malloc(*size);
    assert_non_null(file);
    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (unsigned char)(length & 255);
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + 10, header, length);
    if (data_bytes > 0)
        memcpy(file + 10 + length, data, data_bytes);
    return file;
}

static void expect_sentence(const char *words)
{
    const char *message = fet_error_message();
    if (!strstr(message, words) || !strstr(message, "box.npy") || strchr(message, '\n'))
        fail_msg("expected a sentence with box.npy and '%s', got: %s", words, message);
}

static void expect_refused(const void *file, size_t size, const char *words)
{
    fet__tensors *t = NULL;
    assert_int_equal(fet__npy_parse(&t, file, size, "box.npy"), FET_E_FORMAT);
    assert_null(t);
    expect_sentence(words);
}

static void refuse_header(const char *header, const char *words)
{
    size_t size;
    unsigned char *file = make_file(header, "0123456789abcdef", 16, &size);
    expect_refused(file, size, words);
    free(file);
}

#define HEAD(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static void refuses_with_reason(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "expected '{'"},
        {"{", "where the header ends"},
        {"{}", "has no 'descr'"},
        {"{'descr': '<f4', 'shape': (4,)}", "has no 'fortran_order'"},
        {"{'descr': '<f4', 'fortran_order': False}", "has no 'shape'"},
        {HEAD("'<f4'", "False", "(4,)") "{", "only white space after the dictionary"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (4,)}", "expected ',' or '}'"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", "the key 'descr' twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'x': 1}", "unknown key 'x'"},
        {"{descr: '<f4'}", "expected a key in quotes"},
        {"{'descr' '<f4'}", "expected ':'"},
        {"{'descr", "expected the closing quote"},
        {"{'d\\x65scr': '<f4'}", "expected a key in quotes"},
        {"__import__('os').system('true')", "expected '{'"},
        {HEAD("'<f4'", "1", "(4,)"), "expected True or False"},
        {HEAD("'<f4'", "Fals", "(4,)"), "expected True or False"},
        {HEAD("'<f4'", "False", "4"), "expected '(' (shape)"},
        {HEAD("'<f4'", "False", "[4]"), "expected '(' (shape)"},
        {HEAD("'<f4'", "False", "(4)"), "expected ',' after the only size"},
        {HEAD("'<f4'", "False", "(2**2,)"), "expected ',' or ')'"},
        {HEAD("'<f4'", "False", "(-4,)"), "expected a whole number"},
        {HEAD("'<f4'", "False", "(4.0,)"), "expected ',' or ')'"},
        {HEAD("'<f4'", "False", "(,)"), "expected a whole number"},
        {HEAD("'<f4'", "False", "(2,,2)"), "expected a whole number"},
        {HEAD("'<f4'", "False", "((4,),)"), "expected a whole number"},
        {HEAD("'<f4'", "False", "(04,)"), "begins with 0"},
        {HEAD("'<f4'", "False", "(99999999999999999999,)"), "beyond 64 bits"},
        {HEAD("'<f4'", "False", "(4294967296, 4294967296)"), "overflows"},
        {HEAD("'<f4'", "False", "(4611686018427387905, 4)"), "overflows"},
        {HEAD("'<f4'", "False", "(4611686018427387904, )"), "overflows"},
        {HEAD("'<f4'", "False", "(5,)"), "needs 20 bytes but 16 follow"},
        {HEAD("'<f4'", "False", "(3,)"), "4 bytes after the array"},
        {HEAD("'<f4'", "False", "(1,1,1,1,1,1,1,1,4)"), "unsupported: its shape has more than 8 dimensions"},
        {HEAD("'|O'", "False", "(2,)"), "refused: the array holds Python objects"},
        {HEAD("'O'", "False", "(2,)"), "refused: the array holds Python objects"},
        {HEAD("[('a', '<f4')]", "False", "(2,)"), "unsupported: a NumPy array of structured elements"},
        {HEAD("'<U1'", "False", "(4,)"), "unsupported: a NumPy array of Unicode text"},
        {HEAD("'|S4'", "False", "(4,)"), "unsupported: a NumPy array of text"},
        {HEAD("'|V16'", "False", "(1,)"), "unsupported: a NumPy array of raw bytes"},
        {HEAD("'<c8'", "False", "(2,)"), "unsupported: a NumPy array of complex numbers"},
        {HEAD("'<M8[s]'", "False", "(2,)"), "unsupported: a NumPy array of dates or times"},
        {HEAD("'<f16'", "False", "(1,)"), "unknown element type (element type '<f16'"},
        {HEAD("''", "False", "(1,)"), "unsupported"},
        {HEAD("4", "False", "(1,)"), "expected the element type in quotes"},
        {HEAD("'<f4aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "False", "(1,)"), "expected the element type"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++)
        refuse_header(rows[i][0], rows[i][1]);
}

static void refuses_frames(void **state)
{
    (void)state;
    expect_refused("", 0, "it is empty");
    expect_refused("\x93NUMPX\1\0\0\0\0\0", 12, "does not begin with");
    expect_refused("\x93NUMPY\1\0\0", 9, "too few for a header");
    expect_refused("\x93NUMPY\11\0\0\0\0\0", 12, "unsupported: NumPy array of format version 9.0");
    expect_refused("\x93NUMPY\1\1\0\0\0\0", 12, "format version 1.1");
    expect_refused("\x93NUMPY\1\0\xff\xff{}", 12, "is 65535, but only 2 bytes follow");
    expect_refused("\x93NUMPY\2\0\xff\xff\xff\xff{}", 14, "is 4294967295, but only 2 bytes follow");
    unsigned char *big = calloc(100000, 1);
    assert_non_null(big);
    memcpy(big, "\x93NUMPY\2\0\xf0\x80\1\0", 12);
    expect_refused(big, 100000, "over the limit of 65536");
    free(big);
}

static void expect_values(const char *header, const void *data, size_t bytes, fet_dtype dtype, const char *shape,
                          const void *values)
{
    size_t size;
    unsigned char *file = make_file(header, data, bytes, &size);
    fet__tensors *t = NULL;
    if (fet__npy_parse(&t, file, size, "box.npy") != FET_OK)
        fail_msg("%s: %s", header, fet_error_message());
    assert_int_equal(fet__tensors_count(t), 1);
    const fet__entry *e = fet__tensors_find(t, "");
    assert_non_null(e);
    assert_int_equal(e->dtype, dtype);
    assert_string_equal(fet__shape_text(&e->shape), shape);
    assert_int_equal(e->bytes, bytes);
    assert_memory_equal(e->data, values, bytes);
    fet__tensors_close(t);
    free(file);
}

static void reads_orders(void **state)
{
    (void)state;
    static const int16_t plain[6] = {1, 2, 3, 4, 5, 6}, turned[6] = {1, 3, 5, 2, 4, 6};
    static const unsigned char big[4] = {1, 2, 3, 4}, swapped[4] = {2, 1, 4, 3};
    static const unsigned char big_turned[8] = {0, 1, 0, 2, 0, 3, 0, 4};
    static const int16_t both[4] = {1, 3, 2, 4};
    expect_values(HEAD("'<i2'", "False", "(2, 3)"), plain, 12, FET_I16, "[2, 3]", plain);
    expect_values(HEAD("'<i2'", "True", "(2, 3)"), plain, 12, FET_I16, "[2, 3]", turned);
    expect_values(HEAD("'<i2'", "True", "(6,)"), plain, 12, FET_I16, "[6]", plain);
    expect_values(HEAD("'>u2'", "False", "(2,)"), big, 4, FET_U16, "[2]", swapped);
    expect_values(HEAD("'>i2'", "True", "(2, 2)"), big_turned, 8, FET_I16, "[2, 2]", both);
    expect_values(HEAD("'>f8'", "False", "()"), "\x3f\xf0\0\0\0\0\0", 8, FET_F64, "[]", &(double){1.0});
    expect_values(HEAD("'|b1'", "False", "(3,)"), "\0\1\0", 3, FET_BOOL, "[3]", "\0\1\0");
    expect_values(HEAD("'=f4'", "False", "(2, 0)"), NULL, 0, FET_F32, "[2, 0]", "");
    expect_values(HEAD("'>f4'", "True", "(0, 4611686018427387904)"), NULL, 0, FET_F32, "[0, 4611686018427387904]", "");
    expect_values("{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"|u1\"}\n", "abc", 3, FET_U8, "[3]", "abc");
}

/* Three indices: the result's element (i, j, k) lies at i + 2 (j + 3 k) in the file. */
static void turns_three_indices(void **state)
{
    (void)state;
    uint32_t file[24], values[24];
    for (uint32_t i = 0; i < 24; i++)
        file[i] = i;
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < 3; j++)
            for (uint32_t k = 0; k < 4; k++)
                values[(i * 3 + j) * 4 + k] = i + 2 * (j + 3 * k);
    expect_values(HEAD("'<u4'", "True", "(2, 3, 4)"), file, sizeof file, FET_U32, "[2, 3, 4]", values);
}

static void data_stay_in_place(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(HEAD("'<f4'", "False", "(4,)"), "0123456789abcdef", 16, &size);
    fet__tensors *t = NULL;
    assert_int_equal(fet__npy_parse(&t, file, size, "box.npy"), FET_OK);
    assert_ptr_equal(fet__tensors_at(t, 0)->data, file + size - 16);
    fet__tensors_close(t);
    free(file);
}

/* Every cut is refused, and no flipped bit does harm. */
static void damage_gives_a_sentence(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(HEAD("'>f4'", "True", "(2, 2)"), "0123456789abcdef", 16, &size);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *part = malloc(cut + 1); /* of its own size, so that a sanitizer sees a read beyond it */
        assert_non_null(part);
        memcpy(part, file, cut);
        expect_refused(part, cut, "malformed");
        free(part);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        fet__tensors *t = NULL;
        file[bit / 8] ^= (unsigned char)(1U << bit % 8);
        if (fet__npy_parse(&t, file, size, "box.npy") != FET_OK)
            expect_sentence("cannot read");
        fet__tensors_close(t);
        file[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
    free(file);
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    size_t size;
    unsigned char *file = make_file(HEAD("'>f4'", "True", "(2, 2)"), "0123456789abcdef", 16, &size);
    fet_status st = FET_E_NOMEM;
    uint64_t n = 0;
    while (st == FET_E_NOMEM && n < 100) {
        fet__tensors *t = NULL;
        fet__alloc_fail_after(++n);
        st = fet__npy_parse(&t, file, size, "box.npy");
        fet__alloc_fail_after(0);
        fet__tensors_close(t);
    }
    assert_int_equal(st, FET_OK);
    assert_true(n > 3);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_reason),
        cmocka_unit_test(refuses_frames),
        cmocka_unit_test(reads_orders),
        cmocka_unit_test(turns_three_indices),
        cmocka_unit_test(data_stay_in_place),
        cmocka_unit_test(damage_gives_a_sentence),
        cmocka_unit_test(survives_lack_of_memory),
    };
    return cmocka_run_group_tests_name("store.npy", tests, NULL, NULL);
}
