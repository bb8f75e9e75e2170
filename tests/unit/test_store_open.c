/* Opening files on disk: dispatch by content, and the words for files that are something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

static char folder[] = "/tmp/fettle-store-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static char *write_file(const char *name, const void *bytes, size_t size)
{
    char *path = fet__path_join(folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
    return path;
}

static void expect_kind(const void *bytes, size_t size, const char *words)
{
    char *path = write_file("some file", bytes, size);
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, path), FET_E_FORMAT);
    assert_null(t);
    const char *message = fet_error_message();
    if (!strstr(message, words) || !strstr(message, path))
        fail_msg("expected '%s' about %s, got: %s", words, path, message);
    unlink(path);
    fet__free(path);
}

#define KIND(bytes, words) expect_kind(bytes, sizeof(bytes) - 1, words)

static void names_foreign_formats(void **state)
{
    (void)state;
    KIND("PK\3\4....................archive/data.pkl...", "malformed zip archive");
    KIND("PK\5\6..................", "malformed zip archive");
    KIND("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "malformed: the zip archive of 0 members");
    KIND("\x80\x02}q\1.", "no tensors found");
    KIND("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "malformed: pickle 2 (protocol version)");
    KIND("\x93NUMPY\1\0v\0{'descr': '<f4'}", "malformed");
    KIND("GGUF\3\0\0\0........", "a GGUF model");
    KIND("\x89HDF\r\n\x1a\n........", "an HDF5 file");
    KIND("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer");
    KIND("<!DOCTYPE html><title>404</title>", "a web page");
    KIND("\n <HTML lang=en>", "a web page");
    KIND("<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page");
    KIND("{\"metadata\":{},\"weight_map\":{}}", "weight_map");
    KIND("{\"a\": 1}", "JSON text");
    KIND("\x89PNG\r\n\x1a\n", "a PNG image");
    KIND("\x1f\x8b\x08....", "a gzip archive");
    KIND("", "it is empty");
    KIND("some text that is nothing", "malformed safetensors file");
    KIND("\x7b\0\0\0\0\0\0\0", "malformed safetensors file"); /* 0x7b is also '{' */
    KIND("\x1f\x8b\x01\0\0\0\0\0{\"w\":", "malformed safetensors file: the header length");
    char tar[512] = {0};
    memcpy(tar + 257, "ustar", 5);
    expect_kind(tar, sizeof tar, "a tar archive");
}

/* A length that spells another format's signature is still a length when the header fits behind it. */
static void safetensors_come_first(void **state)
{
    (void)state;
    size_t header = 0x8b1f, size = 8 + header; /* begins like gzip */
    char *file = malloc(size);
    assert_non_null(file);
    memset(file, ' ', size);
    uint64_t length = header;
    memcpy(file, &length, 8);
    memcpy(file + 8, "{}", 2);
    char *path = write_file("spaces.safetensors", file, size);
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, path), FET_OK);
    assert_int_equal(fet__tensors_count(t), 0);
    assert_null(fet__tensors_find(t, "w"));
    fet__tensors_close(t);
    unlink(path);
    fet__free(path);
    free(file);
}

static void missing_files_and_folders(void **state)
{
    (void)state;
    fet__tensors *t = NULL;
    char *path = fet__path_join(folder, "absent");
    assert_int_equal(fet__tensors_open(&t, path), FET_E_IO);
    assert_non_null(strstr(fet_error_message(), path));
    assert_int_not_equal(fet__tensors_open(&t, folder), FET_OK);
    assert_non_null(strstr(fet_error_message(), folder));
    assert_null(t);
    fet__tensors_close(NULL);
    fet__free(path);
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    char *path = write_file("a\nb\x1b[31m", "nothing", 7);
    fet__tensors *t = NULL;
    assert_int_equal(fet__tensors_open(&t, path), FET_E_FORMAT);
    assert_null(strchr(fet_error_message(), '\n'));
    assert_null(strchr(fet_error_message(), '\x1b'));
    unlink(path);
    fet__free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_foreign_formats),
        cmocka_unit_test(safetensors_come_first),
        cmocka_unit_test(missing_files_and_folders),
        cmocka_unit_test(control_characters_are_escaped),
    };
    return cmocka_run_group_tests_name("store.open", tests, make_folder, remove_folder);
}
