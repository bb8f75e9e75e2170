/* Zip archives: contents of the reference files, and what is refused. The archives made here are small lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zip.h>

#include "store/store_int.h"
#include "store/zip.h"

#define CKPT FETTLE_SHARED "/golden/data/ckpt"

/* An archive of two members, stored or deflated, made by libzip. */
typedef struct archive {
    unsigned char bytes[4096];
    size_t size;
} archive;

static char zeros[2000];

static void make_archive(archive *a, bool packed)
{
    zip_source_t *sink = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *z = zip_open_from_source(sink, ZIP_CREATE, NULL);
    zip_source_keep(sink);
    zip_file_add(z, "top/hello", zip_source_buffer(z, "hello zip", 9, 0), 0);
    zip_file_add(z, "top/zeros", zip_source_buffer(z, zeros, sizeof zeros, 0), 0);
    for (zip_uint64_t i = 0; i < 2; i++)
        zip_set_file_compression(z, i, packed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
    assert_int_equal(zip_close(z), 0);
    assert_int_equal(zip_source_open(sink), 0);
    zip_int64_t got = zip_source_read(sink, a->bytes, sizeof a->bytes);
    assert_true(got > 100);
    a->size = (size_t)got;
    zip_source_close(sink);
    zip_source_free(sink);
}

static void check_contents(bool packed)
{
    archive a;
    fet__zip *z = NULL;
    fet__tensors *owner = NULL;
    const void *data = NULL;
    size_t size = 0;
    make_archive(&a, packed);
    assert_int_equal(fet__tensors_new(&owner, "file"), FET_OK);
    if (fet__zip_open(&z, a.bytes, a.size, "file") != FET_OK)
        fail_msg("%s", fet_error_message());
    assert_int_equal(fet__zip_count(z), 2);
    assert_int_equal(fet__zip_find(z, "top/none"), -1);
    int i = fet__zip_find(z, "top/zeros");
    assert_string_equal(fet__zip_at(z, i)->name, "top/zeros");
    assert_int_equal(fet__zip_at(z, i)->stored, !packed);
    assert_int_equal(fet__zip_data(z, i, owner, &data, &size), FET_OK);
    assert_int_equal(size, sizeof zeros);
    assert_memory_equal(data, zeros, size);
    assert_int_equal((const unsigned char *)data > a.bytes && (const unsigned char *)data < a.bytes + a.size, !packed);
    assert_int_equal(fet__zip_data(z, fet__zip_find(z, "top/hello"), owner, &data, &size), FET_OK);
    assert_int_equal(size, 9);
    assert_memory_equal(data, "hello zip", 9);
    fet__zip_close(z);
    fet__tensors_close(owner);
}

static void stored_and_deflated_members(void **state)
{
    (void)state;
    check_contents(false); /* where they lie */
    check_contents(true);  /* in memory */
}

/* Whatever byte is changed: refused, or the contents are what they were. */
static void changed_bytes_never_change_contents(void **state)
{
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        archive a;
        make_archive(&a, packed);
        for (size_t at = 0; at < a.size; at++) {
            fet__zip *z = NULL;
            fet__tensors *owner = NULL;
            const void *data = NULL;
            size_t size = 0;
            a.bytes[at] ^= 0x41;
            assert_int_equal(fet__tensors_new(&owner, "some file"), FET_OK);
            if (fet__zip_open(&z, a.bytes, a.size, "some file") != FET_OK) {
                assert_null(z);
                assert_non_null(strstr(fet_error_message(), "some file"));
            } else if (fet__zip_find(z, "top/hello") >= 0 &&
                       fet__zip_data(z, fet__zip_find(z, "top/hello"), owner, &data, &size) == FET_OK) {
                assert_int_equal(size, 9);
                assert_memory_equal(data, "hello zip", 9);
            }
            fet__zip_close(z);
            fet__tensors_close(owner);
            a.bytes[at] ^= 0x41;
        }
    }
}

static void cut_archives_are_refused(void **state)
{
    (void)state;
    archive a;
    make_archive(&a, false);
    for (size_t size = 0; size < a.size; size++) {
        fet__zip *z = NULL;
        assert_int_equal(fet__zip_open(&z, a.bytes, size, "file"), FET_E_FORMAT);
        assert_non_null(strstr(fet_error_message(), "malformed"));
        assert_null(z);
    }
}

static void expect_refusal(const char *name, const char *words)
{
    fet__map map = {0};
    fet__zip *z = NULL;
    fet__tensors *owner = NULL;
    char *path = fet__path_join(CKPT "/malicious", name);
    const void *data = NULL;
    size_t size = 0;
    assert_int_equal(fet__map_open(&map, path), FET_OK);
    assert_int_equal(fet__tensors_new(&owner, path), FET_OK);
    fet_status st = fet__zip_open(&z, map.data, map.size, path);
    for (int i = 0; st == FET_OK && i < fet__zip_count(z); i++)
        st = fet__zip_data(z, i, owner, &data, &size);
    if (st != FET_E_FORMAT || !strstr(fet_error_message(), words) || !strstr(fet_error_message(), name))
        fail_msg("%s: status %d, expected '%s': %s", name, st, words, fet_error_message());
    fet__zip_close(z);
    fet__tensors_close(owner);
    fet__map_close(&map);
    fet__free(path);
}

static void lying_directories_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"zip_truncated_half.pt", "no end record"},
        {"zip_cd_offset_beyond.pt", "malformed"},
        {"zip_cd_count_lie.pt", "malformed"},
        {"zip_cd_size_lie.pt", "malformed"},
        {"zip64_cd_offset_huge.pt", "malformed"},
        {"zip64_count_huge.pt", "malformed"},
        {"zip_cd_name_len_lie.pt", "malformed"},
        {"zip_local_offset_lie.pt", "malformed"},
        {"zip_size_lie.pt", "malformed"},
        {"zip_encrypted_flag.pt", "encrypted"},
        {"zip_method_99.pt", "unsupported"},
        {"zip_crc_mismatch.pt", "checksum"},
        {"zip_local_name_differs.pt", "differently"},
        {"zip_overlapping_entries.pt", "malformed"},
        {"zip_duplicate_pkl.pt", "duplicate"},
        {"zip_nul_in_name.pt", "name"},
        {"zip_deflate_garbage.pt", "inflate"},
        {"zip64_sizes_huge.pt", "malformed"},
        {"zip64_offset_wraps.pt", "malformed"},
        {"zip64_extra_truncated.pt", "cut short"},
        {"npz_duplicate.npz", "duplicate"},
    };
    if (!fet__is_folder(CKPT)) {
        print_message("skipped: no folder %s\n", CKPT);
        skip();
    }
    for (size_t i = 0; i < FET_COUNT(rows); i++)
        expect_refusal(rows[i].name, rows[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_deflated_members),
        cmocka_unit_test(changed_bytes_never_change_contents),
        cmocka_unit_test(cut_archives_are_refused),
        cmocka_unit_test(lying_directories_are_refused),
    };
    return cmocka_run_group_tests_name("store.zip", tests, NULL, NULL);
}
