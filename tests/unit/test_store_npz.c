/* NumPy's archives in memory: names, stored members in place and deflated ones, and what is refused. The archives are made
 * by libzip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zip.h>

#include "store/store_int.h"

#define HEADER "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   \n"
#define ARRAY "\x93NUMPY\1\0\x3d\0" HEADER "01234567"
#define OBJECTS "\x93NUMPY\1\0\x3b\0{'descr': '|O', 'fortran_order': False, 'shape': (2,), }  \n"

typedef struct archive {
    unsigned char bytes[4096];
    size_t size;
} archive;

typedef struct member {
    const char *name, *data;
    size_t size;
} member;

static void make_archive(archive *a, const member *m, int count, bool packed)
{
    zip_source_t *sink = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *z = zip_open_from_source(sink, ZIP_CREATE, NULL);
    assert_non_null(z);
    zip_source_keep(sink);
    for (int i = 0; i < count; i++) {
        assert_true(zip_file_add(z, m[i].name, zip_source_buffer(z, m[i].data, m[i].size, 0), 0) == i);
        zip_set_file_compression(z, (zip_uint64_t)i, packed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    }
    assert_int_equal(zip_close(z), 0);
    assert_int_equal(zip_source_open(sink), 0);
    zip_int64_t got = zip_source_read(sink, a->bytes, sizeof a->bytes);
    assert_true(got > 0 && got < (zip_int64_t)sizeof a->bytes);
    a->size = (size_t)got;
    zip_source_close(sink);
    zip_source_free(sink);
}

#define MEMBER(name, text)                                                                                             \
    {                                                                                                                  \
        (name), (text), sizeof(text) - 1                                                                               \
    }

static const member two[] = {MEMBER("Transformer/block_0/kernel.npy", ARRAY), MEMBER("cls.npy", ARRAY)};

static void check_tensors(bool packed)
{
    archive a;
    fet__tensors *t = NULL;
    make_archive(&a, two, 2, packed);
    if (fet__npz_parse(&t, a.bytes, a.size, "box.npz") != FET_OK)
        fail_msg("%s", fet_error_message());
    assert_int_equal(fet__tensors_count(t), 2);
    assert_string_equal(fet__tensors_at(t, 0)->name, "Transformer/block_0/kernel");
    const fet__entry *e = fet__tensors_find(t, "cls");
    assert_non_null(e);
    assert_int_equal(e->dtype, FET_F32);
    assert_string_equal(fet__shape_text(&e->shape), "[2]");
    assert_memory_equal(e->data, "01234567", 8);
    const unsigned char *p = e->data;
    assert_int_equal(p > a.bytes && p < a.bytes + a.size, !packed);
    fet__tensors_close(t);
}

static void reads_stored_in_place_and_deflated(void **state)
{
    (void)state;
    check_tensors(false);
    check_tensors(true);
}

static void expect_refused(const archive *a, const char *words)
{
    fet__tensors *t = NULL;
    fet_status st = fet__npz_parse(&t, a->bytes, a->size, "box.npz");
    const char *message = fet_error_message();
    if (st != FET_E_FORMAT || !strstr(message, words) || !strstr(message, "box.npz") || strchr(message, '\n'))
        fail_msg("expected '%s', got %d: %s", words, st, message);
    assert_null(t);
}

static void refuses_members(void **state)
{
    (void)state;
    static const member text[] = {MEMBER("cls.npy", ARRAY), MEMBER("readme.txt", "hello")};
    static const member no_array[] = {MEMBER("cls.npy", "hello and more bytes")};
    static const member objects[] = {MEMBER("cls.npy", ARRAY), MEMBER("w.npy", OBJECTS "..")};
    static const member cut[] = {{"cls.npy", ARRAY, sizeof ARRAY - 3}};
    static const member folder[] = {MEMBER("a/", "")};
    archive a;
    make_archive(&a, text, 2, false);
    expect_refused(&a, "its member 'readme.txt' is no .npy array");
    make_archive(&a, folder, 1, false);
    expect_refused(&a, "its member 'a/' is no .npy array");
    make_archive(&a, no_array, 1, true);
    expect_refused(&a, "box.npz: cls.npy: malformed NumPy array: it does not begin with");
    make_archive(&a, objects, 2, false);
    expect_refused(&a, "box.npz: w.npy: refused: the array holds Python objects");
    make_archive(&a, cut, 1, true);
    expect_refused(&a, "box.npz: cls.npy: malformed NumPy array: shape [2] in f32 needs 8 bytes but 6 follow");
}

static void damage_gives_a_sentence(void **state)
{
    (void)state;
    archive a, part;
    make_archive(&a, two, 2, false);
    for (part.size = 0; part.size < a.size; part.size++) {
        memcpy(part.bytes, a.bytes, part.size);
        expect_refused(&part, "cannot read box.npz");
    }
    for (size_t bit = 0; bit < 8 * a.size; bit++) {
        fet__tensors *t = NULL;
        a.bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
        if (fet__npz_parse(&t, a.bytes, a.size, "box.npz") != FET_OK)
            assert_non_null(strstr(fet_error_message(), "cannot read box.npz"));
        fet__tensors_close(t);
        a.bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    archive a;
    fet_status st = FET_E_NOMEM;
    uint64_t n = 0;
    make_archive(&a, two, 2, true);
    while (st == FET_E_NOMEM && n < 200) {
        fet__tensors *t = NULL;
        fet__alloc_fail_after(++n);
        st = fet__npz_parse(&t, a.bytes, a.size, "box.npz");
        fet__alloc_fail_after(0);
        fet__tensors_close(t);
    }
    assert_int_equal(st, FET_OK);
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_stored_in_place_and_deflated),
        cmocka_unit_test(refuses_members),
        cmocka_unit_test(damage_gives_a_sentence),
        cmocka_unit_test(survives_lack_of_memory),
    };
    return cmocka_run_group_tests_name("store.npz", tests, NULL, NULL);
}
