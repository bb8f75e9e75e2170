/* data.ckpt: checkpoint files of every format. ckpt/valid: all tensors and all other leaves against what stands beside
 * each file. ckpt/malicious: what happens to each is in INDEX.md's table. */
#include <jansson.h>
#include <string.h>

#include "parity/hostile.h"

#define EXPECT ".expect.safetensors"

/* ---- valid ----------------------------------------------------------------------------------------------------- */

static fet_status compare_tensors(const fet__tensors *t, const fet__tensors *expected)
{
    for (int i = 0; i < fet__tensors_count(expected); i++) {
        const fet__entry *e = fet__tensors_at(expected, i), *found = fet__tensors_find(t, e->name);

        if (!found)
            return FET_FAIL(FET_E_VERIFY, "tensor '%s' is missing", fet__show(e->name));
        if (found->dtype != e->dtype || !fet__shape_equal(&found->shape, &e->shape) || found->bytes != e->bytes)
            return FET_FAIL(FET_E_VERIFY, "tensor '%s' is %s %s, not %s %s", fet__show(e->name),
                            fet__dtype_name(found->dtype), fet__shape_text(&found->shape), fet__dtype_name(e->dtype),
                            fet__shape_text(&e->shape));
        if (e->bytes > 0 && memcmp(found->data, e->data, (size_t)e->bytes) != 0)
            return FET_FAIL(FET_E_VERIFY, "tensor '%s' has other values", fet__show(e->name));
    }
    if (fet__tensors_count(t) != fet__tensors_count(expected))
        return FET_FAIL(FET_E_VERIFY, "%d tensors, not %d", fet__tensors_count(t), fet__tensors_count(expected));
    return FET_OK;
}

/* 2**70 is beyond the JSON library's whole numbers: where an expectation has one, all numbers of it are reals. */
static json_t *parse_scalars(const char *text, size_t *flags)
{
    json_t *root;

    *flags = JSON_DECODE_ANY;
    root = json_loads(text, *flags, NULL);
    if (root)
        return root;
    *flags |= JSON_DECODE_INT_AS_REAL;
    return json_loads(text, *flags, NULL);
}

static fet_status compare_leaf(const json_t *expected, const char *path, const char *text, size_t flags)
{
    const json_t *wanted = json_object_get(expected, path);
    json_t *value = json_loads(text, flags, NULL);
    bool same = wanted && value && json_equal(wanted, value);

    json_decref(value);
    if (!wanted)
        return FET_FAIL(FET_E_VERIFY, "'%s' (%s) is not expected", fet__show(path), fet__show(text));
    return same ? FET_OK : FET_FAIL(FET_E_VERIFY, "'%s' is %s", fet__show(path), fet__show(text));
}

static fet_status compare_scalars(const fet__tensors *t, const fet__tensors *expect)
{
    fet_status st = FET_OK;
    const char *text = fet__tensors_meta(expect, "scalars");
    size_t flags = 0;
    json_t *expected = parse_scalars(text ? text : "{}", &flags);

    if (!expected)
        return FET_FAIL(FET_E_FORMAT, "the expected scalars are no JSON");
    if (fet__tensors_count(expect) == 0)
        json_object_del(expected, ""); /* {}: a table without tensors seen as an object */
    for (int i = 0; i < fet__tensors_leaf_count(t) && st == FET_OK; i++) {
        const char *path, *json;

        fet__tensors_leaf(t, i, &path, &json);
        st = compare_leaf(expected, path, json, flags);
    }
    if (st == FET_OK && (size_t)fet__tensors_leaf_count(t) != json_object_size(expected))
        st = FET_FAIL(FET_E_VERIFY, "%d other leaves, not %zu", fet__tensors_leaf_count(t), json_object_size(expected));
    json_decref(expected);
    return st;
}

/* Whether INDEX.md allows a clear refusal of this valid but odd file. */
static bool may_refuse(const hostile_table *table, const char *file)
{
    const hostile_row *r = hostile_table_find(table, file);

    return r && strstr(r->text, "refus") != NULL;
}

static fet_status check_valid(const char *folder, const char *file, const hostile_table *table)
{
    fet_status st = FET_OK;
    fet__tensors *t = NULL, *expected = NULL;
    char *path = fet__path_join(folder, file), *beside = path ? fet__format("%s" EXPECT, path) : NULL;

    if (!beside) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(fet__tensors_open(&expected, beside));
    st = fet__tensors_open(&t, path);
    if (st == FET_E_FORMAT && may_refuse(table, file) && strstr(fet_error_message(), file)) {
        st = FET_OK;
        goto done;
    }
    if (st != FET_OK)
        goto done;
    FET_TRY(compare_tensors(t, expected));
    FET_TRY(compare_scalars(t, expected));
done:
    fet__tensors_close(t);
    fet__tensors_close(expected);
    fet__free(path);
    fet__free(beside);
    return st;
}

static bool is_expectation(const char *name)
{
    size_t length = strlen(name), own = strlen(EXPECT);

    return length > own && strcmp(name + length - own, EXPECT) == 0;
}

fet_status parity_ckpt_valid(parity_case *c)
{
    fet_status st = FET_OK;
    hostile_table table = {0};
    char **names = NULL, *index = fet__path_join(c->path, "../../INDEX.md");
    int count = 0, bad = 0;

    if (!index)
        return FET_E_NOMEM;
    FET_TRY(hostile_table_read(&table, index, "Valid"));
    FET_TRY(fet__list_folder(&names, &count, c->path));
    for (int i = 0; i < count; i++) {
        if (is_expectation(names[i]))
            continue;
        fet_status one = check_valid(c->path, names[i], &table);
        parity_note(c, names[i], one == FET_OK ? 0.0 : 1.0, 0.5);
        if (one == FET_OK)
            continue;
        bad++;
        fprintf(stderr, "%s: %s\n", names[i], fet_error_message());
    }
    if (c->compared < table.count)
        st = FET_FAIL(FET_E_VERIFY, "INDEX.md lists %d files; there are %d", table.count, c->compared);
    else if (bad)
        st = FET_FAIL(FET_E_VERIFY, "%d of %d files differ (above)", bad, c->compared);
done:
    fet__names_free(names, count);
    hostile_table_fini(&table);
    fet__free(index);
    return st;
}

/* ---- malicious ------------------------------------------------------------------------------------------------- */

static fet_status read_tensors(const char *path, hostile_outcome *o)
{
    fet__tensors *t = NULL;
    fet_status st = fet__tensors_open(&t, path);

    for (int i = 0; st == FET_OK && i < fet__tensors_count(t); i++) {
        o->tensors++;
        o->values += fet__shape_count(&fet__tensors_at(t, i)->shape);
    }
    fet__tensors_close(t);
    return st;
}

fet_status parity_ckpt_malicious(parity_case *c)
{
    return hostile_folder(c, "Malicious", read_tensors);
}
