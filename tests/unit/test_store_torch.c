/* PyTorch's reference files: every tensor bit-exact, every other leaf equal, nothing copied that can be used where it lies; and
 * every hostile file as its table says, in time and memory. Skipped where the reference files are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <zip.h>

#include "store/store.h"

#define DATA FETTLE_SHARED "/golden/data"
#define CKPT DATA "/ckpt"
#define WEIGHTS FETTLE_SHARED "/data/weights"

static void need(const char *path)
{
    if (!fet__is_folder(path)) {
        print_message("skipped: no folder %s\n", path);
        skip();
    }
}

static bool ends(const char *s, const char *ending)
{
    size_t length = strlen(s), n = strlen(ending);
    return length >= n && strcmp(s + length - n, ending) == 0;
}

static bool is_torch(const char *name)
{
    return ends(name, ".pt") || ends(name, ".pth") || ends(name, ".pkl");
}

static fet__tensors *open_file(const char *folder, const char *name)
{
    fet__tensors *t = NULL;
    char *path = fet__path_join(folder, name);
    if (fet__tensors_open(&t, path) != FET_OK)
        fail_msg("%s", fet_error_message());
    fet__free(path);
    return t;
}

/* ---- valid files -------------------------------------------------------------------------------------------- */

static void expect_tensors(const fet__tensors *got, const fet__tensors *want)
{
    if (fet__tensors_count(got) != fet__tensors_count(want))
        fail_msg("%s: %d tensors instead of %d", fet__tensors_path(got), fet__tensors_count(got),
                 fet__tensors_count(want));
    for (int i = 0; i < fet__tensors_count(want); i++) {
        const fet__entry *w = fet__tensors_at(want, i), *g = fet__tensors_find(got, w->name);
        if (!g || g->dtype != w->dtype || !fet__shape_equal(&g->shape, &w->shape) || g->bytes != w->bytes ||
            memcmp(g->data, w->data, (size_t)w->bytes) != 0)
            fail_msg("%s: '%s' is absent or differs", fet__tensors_path(got), w->name);
    }
}

/* All leaves as one JSON object; equal as text, number by number, because big integers have no other type. */
static void expect_leaves(const fet__tensors *got, const fet__tensors *want)
{
    const size_t flags = JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    const char *text = fet__tensors_meta(want, "scalars");
    json_t *all = json_loads(text ? text : "{}", flags, NULL);
    assert_non_null(all);
    if ((size_t)fet__tensors_leaf_count(got) != json_object_size(all))
        fail_msg("%s: %d leaves instead of %zu", fet__tensors_path(got), fet__tensors_leaf_count(got),
                 json_object_size(all));
    for (int i = 0; i < fet__tensors_leaf_count(got); i++) {
        const char *path = NULL, *json = NULL;
        fet__tensors_leaf(got, i, &path, &json);
        json_t *mine = json_loads(json, flags, NULL), *wanted = json_object_get(all, path);
        if (!mine || !wanted || !json_equal(mine, wanted))
            fail_msg("%s: leaf '%s' is %s", fet__tensors_path(got), path, json);
        json_decref(mine);
    }
    json_decref(all);
}

static void valid_files(void **state)
{
    (void)state;
    need(CKPT "/valid");
    char **names = NULL;
    int count = 0, checked = 0;
    assert_int_equal(fet__list_folder(&names, &count, CKPT "/valid"), FET_OK);
    for (int i = 0; i < count; i++) {
        if (!is_torch(names[i]))
            continue;
        char *expected = fet__format("%s.expect.safetensors", names[i]);
        fet__tensors *got = open_file(CKPT "/valid", names[i]), *want = open_file(CKPT "/valid", expected);
        expect_tensors(got, want);
        expect_leaves(got, want);
        fet__tensors_close(got);
        fet__tensors_close(want);
        fet__free(expected);
        checked++;
    }
    fet__names_free(names, count);
    assert_true(checked >= 30);
}

static void big_integers_keep_their_digits(void **state)
{
    (void)state;
    need(CKPT "/valid");
    fet__tensors *t = open_file(CKPT "/valid", "nested.pt");
    const char *path = NULL, *json = "";
    for (int i = 0; i < fet__tensors_leaf_count(t); i++) {
        fet__tensors_leaf(t, i, &path, &json);
        if (strcmp(path, "big") == 0)
            break;
    }
    assert_string_equal(json, "1180591620717411303424");
    fet__tensors_close(t);
}

/* Whichever allocation fails, the file is refused for want of memory and nothing is left behind. */
static void failing_allocations(void **state)
{
    (void)state;
    need(CKPT "/valid");
    static const char *const names[] = {"nested.pt",   "nested.legacy.pth", "misc_objects.pt", "views_shared.pt",
                                        "deflated.pt", "byteorder_big.pt",  "proto4.pt"};
    for (size_t i = 0; i < FET_COUNT(names); i++) {
        char *path = fet__path_join(CKPT "/valid", names[i]);
        uint64_t before = fet__alloc_bytes();
        fet_status st = FET_E_NOMEM;
        uint64_t n = 1;
        for (; st != FET_OK && n < 1000; n++) {
            fet__tensors *t = NULL;
            uint64_t calls = fet__alloc_calls();
            fet__alloc_fail_after(n);
            st = fet__tensors_open(&t, path);
            fet__alloc_fail_after(0);
            assert_true(st != FET_OK || fet__alloc_calls() - calls < n); /* no failure was passed over */
            if (st != FET_OK && st != FET_E_NOMEM)
                fail_msg("%s, allocation %d: status %d: %s", names[i], (int)n, st, fet_error_message());
            fet__tensors_close(t);
            assert_int_equal(fet__alloc_bytes(), before);
        }
        assert_int_equal(st, FET_OK);
        assert_true(n > 8);
        fet__free(path);
    }
}

/* Bytes of memory that an open file takes besides its mapping. */
static int64_t taken(const char *folder, const char *name)
{
    int64_t before = (int64_t)fet__alloc_bytes();
    fet__tensors *t = open_file(folder, name);
    int64_t bytes = (int64_t)fet__alloc_bytes() - before;
    fet__tensors_close(t);
    assert_int_equal(fet__alloc_bytes(), before);
    return bytes;
}

static void weights_are_used_where_they_lie(void **state)
{
    (void)state;
    need(WEIGHTS);
    assert_true(taken(WEIGHTS, "resnet56-4bfd9763.th") < 400000); /* of 3.4 MB */
    assert_true(taken(WEIGHTS, "qresnet14.pth") < 100000);        /* of 2.2 MB */
}

static void real_weights_open(void **state)
{
    (void)state;
    need(WEIGHTS);
    static const struct {
        const char *file, *name;
        int tensors;
    } rows[] = {
        {"resnet20-12fca82f.th", "state_dict/module.linear.weight", 97},
        {"resnet56-4bfd9763.th", "state_dict/module.linear.weight", 277},
    };
    fet__shape head = FET_SHAPE(10, 64);
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__tensors *t = open_file(WEIGHTS, rows[i].file);
        const fet__entry *e = fet__tensors_find(t, rows[i].name);
        assert_non_null(e);
        assert_true(fet__shape_equal(&e->shape, &head));
        assert_int_equal(fet__tensors_count(t), rows[i].tensors);
        fet__tensors_close(t);
    }
    fet__tensors *t = open_file(WEIGHTS, "qresnet14.pth");
    assert_int_equal(fet__tensors_count(t), 332);
    assert_string_equal(fet__tensors_at(t, 0)->name, "net/conv1.weight");
    fet__tensors_close(t);
}

/* ---- hostile files ------------------------------------------------------------------------------------------ */

#define SECONDS 2.0
#define BYTES ((int64_t)64 << 20)

enum { FINE, WRONG_STATUS, WRONG_WORDS, LONG_MESSAGE, SLOW, LARGE };

/* Words of the table that a message must have one of. */
static bool has_word(const char *message, const char *row)
{
    static const char *const words[] = {"refused",          "malformed", "unsupported", "too large", "too deep",
                                        "no tensors found", "checksum",  "duplicate",   "state_dict"};
    for (size_t i = 0; i < FET_COUNT(words); i++) {
        if (strstr(row, words[i]) && strstr(message, words[i]))
            return true;
    }
    return false;
}

/* What is wrong with how the file is taken; runs in a process of its own, which a crash ends. */
static int judge(const char *path, const char *name, const char *row, int64_t file_bytes)
{
    fet__tensors *t = NULL;
    double start = fet__now();
    int64_t memory = fet__peak_rss();
    fet_status st = fet__tensors_open(&t, path);
    fet__tensors_close(t);
    const char *message = fet_error_message();
    bool may_load = !strstr(row, "error") || strstr(row, "loads or") || strstr(row, "or loads");
    if (fet__now() - start > SECONDS)
        return SLOW;
#if !defined(__SANITIZE_ADDRESS__)
    if (fet__peak_rss() - memory > BYTES + file_bytes)
        return LARGE;
#else
    (void)memory;
    (void)file_bytes;
#endif
    if (st == FET_OK)
        return may_load ? FINE : WRONG_STATUS;
    if (st != FET_E_FORMAT)
        return WRONG_STATUS;
    if (!strstr(message, name) || strlen(message) > 900 || strchr(message, '\n'))
        return LONG_MESSAGE;
    return may_load || has_word(message, row) ? FINE : WRONG_WORDS;
}

static void check_hostile(const char *name, const char *row)
{
    char *path = fet__path_join(CKPT "/malicious", name);
    fet__map map = {0};
    assert_int_equal(fet__map_open(&map, path), FET_OK);
    int64_t bytes = (int64_t)map.size;
    fet__map_close(&map);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(judge(path, name, row, bytes));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != FINE) {
        fet__tensors *t = NULL;
        fet_status st = WIFEXITED(status) ? fet__tensors_open(&t, path) : FET_E_BUG;
        fet__tensors_close(t);
        fail_msg("%s (%s): verdict %d, status %d: %s", name, row, status, st, fet_error_message());
    }
    fet__free(path);
}

/* An archive of 40 KB, all of which is the object. */
static void packed_objects_are_bounded(void **state)
{
    (void)state;
    char path[] = "/tmp/fettle-torch-XXXXXX";
    int file = mkstemp(path), error = 0;
    assert_true(file >= 0);
    close(file);
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &error);
    assert_non_null(z);
    size_t bytes = (size_t)20 << 20;
    char *pickle = calloc(bytes, 1);
    assert_non_null(pickle);
    assert_true(zip_file_add(z, "a/data.pkl", zip_source_buffer(z, pickle, bytes, 0), 0) == 0);
    assert_int_equal(zip_set_file_compression(z, 0, ZIP_CM_DEFLATE, 9), 0);
    assert_int_equal(zip_close(z), 0);
    fet__tensors *t = NULL;
    free(pickle);
    assert_int_equal(fet__tensors_open(&t, path), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "too large"));
    unlink(path);
}

static void hostile_files(void **state)
{
    (void)state;
    need(CKPT "/malicious");
    char line[1000];
    int checked = 0;
    FILE *index = fopen(DATA "/INDEX.md", "r");
    assert_non_null(index);
    bool inside = false;
    while (fgets(line, sizeof line, index)) {
        char name[200];
        inside |= strstr(line, "(`ckpt/malicious/`)") != NULL;
        if (!inside || sscanf(line, "| `%199[^`]` |", name) != 1 || !is_torch(name))
            continue;
        line[strcspn(line, "\n")] = '\0';
        check_hostile(name, line);
        checked++;
    }
    fclose(index);
    assert_true(checked >= 100);
    assert_false(fet__file_exists("fettle_pickle_was_executed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_files),         cmocka_unit_test(big_integers_keep_their_digits),
        cmocka_unit_test(failing_allocations), cmocka_unit_test(weights_are_used_where_they_lie),
        cmocka_unit_test(real_weights_open),   cmocka_unit_test(packed_objects_are_bounded),
        cmocka_unit_test(hostile_files),
    };
    return cmocka_run_group_tests_name("store.torch", tests, NULL, NULL);
}
