/* Checkpoints in several files and folders: the index and its files must agree, names stay inside the folder, and the
 * JSON texts beside them are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "store/json_text.h"
#include "store/shards.h"
#include "store/store_int.h"

static char folder[] = "/tmp/fettle-shards-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static char *path_of(const char *name)
{
    char *path = fet__path_join(folder, name);
    assert_non_null(path);
    return path;
}

static int empty_folder(void **state)
{
    char **names = NULL;
    int count = 0;
    (void)state;
    if (fet__list_folder(&names, &count, folder) != FET_OK)
        return -1;
    for (int i = 0; i < count; i++) {
        char *path = path_of(names[i]);
        if (unlink(path) != 0)
            rmdir(path);
        fet__free(path);
    }
    fet__names_free(names, count);
    return 0;
}

static int remove_folder(void **state)
{
    empty_folder(state);
    return rmdir(folder);
}

static void write_text(const char *name, const char *text)
{
    char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    fet__free(path);
}

/* A file with tensors of these names (ended by NULL), each two floats: its first letter and `second`. */
static void write_tensors(const char *file, const char *const *names, float second)
{
    fet__entry entries[8];
    float values[8][2];
    fet__meta_pair meta[] = {{"format", "pt"}, {FET__HF_CONFIG, "a claim of the file"}};
    int count = 0;
    for (; names[count]; count++) {
        values[count][0] = (float)names[count][0];
        values[count][1] = second;
        entries[count] = (fet__entry){names[count], FET_F32, FET_SHAPE(2), values[count], sizeof values[count]};
    }
    char *path = path_of(file);
    assert_int_equal(fet__safetensors_write(path, entries, count, meta, 2), FET_OK);
    fet__free(path);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define INDEX "model.safetensors.index.json"

static void write_two(void)
{
    write_tensors("m-1.safetensors", NAMES("b", "a"), 1);
    write_tensors("m-2.safetensors", NAMES("c"), 2);
    write_text(INDEX, "{\"metadata\": {\"total_size\": 24, \"x\": [1.5, null]}, \"weight_map\": {\"c\": "
                      "\"m-2.safetensors\", \"a\": \"m-1.safetensors\", \"b\": \"m-1.safetensors\"}}");
}

static fet__tensors *open_ok(const char *name)
{
    fet__tensors *t = NULL;
    char *path = name ? path_of(name) : fet__strdup(folder);
    if (fet__shards_open(&t, path) != FET_OK)
        fail_msg("%s", fet_error_message());
    fet__free(path);
    return t;
}

static void check_value(const fet__tensors *t, const char *name, float second)
{
    const fet__entry *e = fet__tensors_find(t, name);
    float values[2];
    assert_non_null(e);
    assert_int_equal(e->bytes, sizeof values);
    memcpy(values, e->data, sizeof values);
    assert_true(values[0] == (float)name[0] && values[1] == second);
}

static void reads_all_files(void **state)
{
    (void)state;
    write_two();
    for (int as_folder = 0; as_folder < 2; as_folder++) {
        fet__tensors *t = open_ok(as_folder ? NULL : INDEX);
        assert_int_equal(fet__tensors_count(t), 3);
        assert_string_equal(fet__tensors_at(t, 0)->name, "c"); /* files in the index's order, then the file's */
        check_value(t, "a", 1);
        check_value(t, "b", 1);
        check_value(t, "c", 2);
        assert_null(fet__tensors_find(t, "d"));
        assert_null(fet__tensors_meta(t, FET__HF_CONFIG));
        fet__tensors_close(t);
    }
}

static void keeps_texts_beside(void **state)
{
    (void)state;
    static const char config[] = "{\"num_attention_heads\": 3, \"id2label\": {\"0\": \"cat\"}}";
    write_tensors("model.safetensors", NAMES("w"), 7);
    fet__tensors *t = open_ok(NULL);
    assert_string_equal(fet__tensors_meta(t, FET__HF_CONFIG), "a claim of the file");
    fet__tensors_close(t);
    write_text(FET__HF_CONFIG, config);
    write_text(FET__HF_PREPROCESSOR, "{}");
    t = open_ok(NULL);
    assert_string_equal(fet__tensors_meta(t, FET__HF_CONFIG), config); /* the folder's, not the file's claim */
    assert_string_equal(fet__tensors_meta(t, FET__HF_PREPROCESSOR), "{}");
    assert_string_equal(fet__tensors_meta(t, "format"), "pt");
    assert_int_equal(fet__tensors_meta_count(t), 3);
    check_value(t, "w", 7);
    fet__tensors_close(t);
}

/* PyTorch's files as shards, and the door that every caller uses. */
static void reads_pytorch_files(void **state)
{
    (void)state;
    static const char *const files[] = {"state_dict.pt", "module_prefix.pt"};
    fet__text index = {0};
    fet__tensors *t = NULL;
    fet__text_printf(&index, "{\n\"weight_map\": {");
    for (int i = 0; i < 2; i++) {
        char *target = fet__path_join(FETTLE_SHARED "/golden/data/ckpt/valid", files[i]);
        char *link = fet__format("%s/pytorch_model-%d.bin", folder, i + 1);
        if (!fet__file_exists(target)) {
            printf("skipped: no reference checkpoints in %s\n", FETTLE_SHARED);
            fet__free(target);
            fet__free(link);
            skip();
        }
        assert_int_equal(symlink(target, link), 0); /* as the hub's cache has them */
        assert_int_equal(fet__tensors_open(&t, link), FET_OK);
        for (int k = 0; k < fet__tensors_count(t); k++)
            fet__text_printf(&index, "%s\"%s\": \"pytorch_model-%d.bin\"", i + k > 0 ? ", " : "",
                             fet__tensors_at(t, k)->name, i + 1);
        fet__tensors_close(t);
        fet__free(target);
        fet__free(link);
    }
    fet__text_printf(&index, "}}");
    write_text("pytorch_model.bin.index.json", index.s);
    fet__text_fini(&index);
    assert_int_equal(fet__tensors_open(&t, folder), FET_OK);
    assert_int_equal(fet__tensors_count(t), 18);
    const fet__entry *a = fet__tensors_find(t, "conv.weight"),
                     *b = fet__tensors_find(t, "state_dict/module.conv.weight");
    assert_true(a && b && a->bytes == b->bytes && a->data != b->data);
    fet__tensors_close(t);
}

static void prefers_one_file_of_safetensors(void **state)
{
    (void)state;
    write_two();
    write_tensors("model.safetensors", NAMES("w"), 7);
    write_text("pytorch_model.bin", "never looked at");
    fet__tensors *t = open_ok(NULL);
    assert_int_equal(fet__tensors_count(t), 1);
    fet__tensors_close(t);
}

static void expect_failure(const char *name, fet_status wanted, const char *words)
{
    fet__tensors *t = NULL;
    char *path = name ? path_of(name) : fet__strdup(folder);
    fet_status st = fet__shards_open(&t, path);
    const char *message = fet_error_message();
    if (st != wanted || !strstr(message, words) || !strstr(message, folder) || strchr(message, '\n'))
        fail_msg("expected status %d with '%s', got %d: %s", wanted, words, st, message);
    assert_null(t);
    fet__free(path);
}

#define MAP(map) "{\"weight_map\": {" map "}}"

static void refuses_indexes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "malformed JSON"},
        {"[]", "it is not an object"},
        {"{}", "no object \"weight_map\""},
        {"{\"weight_map\": 3}", "no object \"weight_map\""},
        {"{\"weight_map\": {}}", "lists no tensor"},
        {MAP("\"a\": 1"), "the file of tensor 'a' is not a string"},
        {MAP("\"a\": \"x.bin\", \"a\": \"x.bin\""), "duplicate"},
        {MAP("\"a\": \"\""), "not the name of a file in this folder"},
        {MAP("\"a\": \"../x.safetensors\""), "not the name of a file in this folder"},
        {MAP("\"a\": \"/etc/x.safetensors\""), "not the name of a file in this folder"},
        {MAP("\"a\": \"b\\\\x.safetensors\""), "not the name of a file in this folder"},
        {MAP("\"a\": \".safetensors\""), "not the name of a file in this folder"},
        {MAP("\"a\": \"x.safetensors.index.json\""), "known endings are"},
        {MAP("\"a\": \"x\\u0000.safetensors\""), "malformed JSON"},
    };
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        write_text(INDEX, rows[i][0]);
        expect_failure(INDEX, FET_E_FORMAT, rows[i][1]);
    }
}

static void index_and_files_must_agree(void **state)
{
    (void)state;
    write_two();
    write_text(INDEX, MAP("\"a\": \"m-1.safetensors\", \"b\": \"m-1.safetensors\", \"c\": \"m-2.safetensors\", "
                          "\"d\": \"m-2.safetensors\""));
    expect_failure(NULL, FET_E_FORMAT, "tensor 'd' is said to lie in m-2.safetensors, which does not hold it");
    write_text(INDEX, MAP("\"a\": \"m-1.safetensors\", \"c\": \"m-2.safetensors\""));
    expect_failure(NULL, FET_E_FORMAT, "m-1.safetensors holds tensor 'b', which the index does not list");
    write_text(INDEX, MAP("\"a\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\", \"c\": \"m-2.safetensors\""));
    expect_failure(NULL, FET_E_FORMAT, "m-1.safetensors holds tensor 'b', which the index places in m-2.safetensors");
    write_text(INDEX, MAP("\"a\": \"m-3.safetensors\""));
    expect_failure(NULL, FET_E_IO, "m-3.safetensors");
}

/* An index among its own files, or a folder, could go in circles. */
static void files_are_only_files(void **state)
{
    (void)state;
    write_text(INDEX, MAP("\"a\": \"loop.safetensors\""));
    write_text("loop.safetensors", MAP("\"a\": \"loop.safetensors\""));
    expect_failure(NULL, FET_E_FORMAT, "it is JSON text and not a file of tensors");
    char *path = path_of("loop.safetensors");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fet__make_folder(path), FET_OK);
    expect_failure(NULL, FET_E_FORMAT, "it is a folder and not a file of tensors");
    fet__tensors *t = NULL;
    char *index = path_of(INDEX);
    assert_int_equal(fet__tensors_open(&t, folder), FET_E_FORMAT); /* the same through the door for all formats */
    assert_int_equal(fet__tensors_open(&t, index), FET_E_FORMAT);
    assert_non_null(strstr(fet_error_message(), "it is a folder and not a file of tensors"));
    fet__free(index);
    fet__free(path);
}

static void refuses_folders_and_texts(void **state)
{
    (void)state;
    expect_failure(NULL, FET_E_FORMAT, "the folder holds no model");
    write_text("adapter_config.json", "{}");
    expect_failure(NULL, FET_E_FORMAT, "holds an adapter");
    write_tensors("model.safetensors", NAMES("w"), 7);
    write_text(FET__HF_CONFIG, "{\"a\": }");
    expect_failure(NULL, FET_E_FORMAT, "config.json: malformed JSON: line 1, column 7");
    write_text(FET__HF_CONFIG, "7");
    expect_failure(NULL, FET_E_FORMAT, "config.json: malformed JSON: line 1");
    write_text(FET__HF_CONFIG, "[7]");
    expect_failure(NULL, FET_E_FORMAT, "config.json: malformed JSON: it is not an object");
}

/* ---- JSON within limits ---------------------------------------------------------------------------------------- */

static void expect_json(const char *text, size_t size, const char *words)
{
    json_t *root = NULL;
    fet_status st = fet__json_parse(&root, text, size, "x.json");
    if ((st == FET_OK) != (words == NULL) || (words && !strstr(fet_error_message(), words)))
        fail_msg("expected '%s', got: %s", words ? words : "success", st == FET_OK ? "success" : fet_error_message());
    assert_true((root != NULL) == (st == FET_OK));
    json_decref(root);
}

static void json_has_limits(void **state)
{
    (void)state;
    size_t size = FET__JSON_MAX_BYTES + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text, "{}", 2);
    expect_json(text, size, "over the limit of 1048576");
    expect_json(text, size - 1, NULL);
    memset(text, '[', 100);
    expect_json(text, 100, "nested too deep at byte 64");
    static const char quoted[] =
        "{\"a\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}";
    expect_json(quoted, sizeof quoted - 1, NULL); /* brackets in a string are text */
    for (size_t i = 0; i + 3 <= size; i += 3)
        memcpy(text + i, "[],", 3);
    expect_json(text, size - 1, "lists and objects");
    memset(text, ',', size);
    expect_json(text, size - 1, "values; the limits are");
    expect_json("{\"a\": \"open", 11, "malformed JSON");
    expect_json("\"\\", 2, "malformed JSON");
    expect_json("{\"a\": 1} x", 10, "malformed JSON");
    free(text);
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    write_two();
    write_text(FET__HF_CONFIG, "{}");
    fet_status st = FET_E_NOMEM;
    uint64_t n = 0;
    while (st == FET_E_NOMEM && n < 500) {
        fet__tensors *t = NULL;
        fet__alloc_fail_after(++n);
        st = fet__shards_open(&t, folder);
        fet__alloc_fail_after(0);
        fet__tensors_close(t);
    }
    assert_int_equal(st, FET_OK);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_all_files, empty_folder),
        cmocka_unit_test_teardown(keeps_texts_beside, empty_folder),
        cmocka_unit_test_teardown(reads_pytorch_files, empty_folder),
        cmocka_unit_test_teardown(prefers_one_file_of_safetensors, empty_folder),
        cmocka_unit_test_teardown(refuses_indexes, empty_folder),
        cmocka_unit_test_teardown(index_and_files_must_agree, empty_folder),
        cmocka_unit_test_teardown(files_are_only_files, empty_folder),
        cmocka_unit_test_teardown(refuses_folders_and_texts, empty_folder),
        cmocka_unit_test(json_has_limits),
        cmocka_unit_test_teardown(survives_lack_of_memory, empty_folder),
    };
    return cmocka_run_group_tests_name("store.shards", tests, make_folder, remove_folder);
}
