/* Checkpoints in several files, and Hugging Face folders:
 *
 *     model.safetensors.index.json   {"metadata": {...}, "weight_map": {"a.weight": "model-00001-of-00002.safetensors", ...}}
 *     config.json                    what the architecture is (heads, class names): kept as metadata
 *
 * The index is as untrusted as the rest: it can name files of its own folder only, each file is opened once, and index
 * and files must agree about every tensor. What config.json means is known to model/. */
#include "store/shards.h"

#include <stdlib.h>
#include <string.h>

#include "store/json_text.h"
#include "store/store_int.h"

#define MAX_FILES 1024
#define INDEX_ENDING ".index.json"

#define BAD(name, format, ...)                                                                                         \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed index of a checkpoint: " format, fet__show(name), __VA_ARGS__)

/* ---- the index ----------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t length = strlen(s), own = strlen(end);
    return length >= own && strcmp(s + length - own, end) == 0;
}

/* A file of the same folder, and a file of tensors: another index would lead anywhere, also in circles. */
static fet_status check_file_name(const char *file, const char *tensor, const char *name)
{
    if (file[0] == '\0' || file[0] == '.' || strchr(file, '/') || strchr(file, '\\') || strlen(file) > 255)
        return BAD(name, "tensor '%s' is said to lie in '%s', which is not the name of a file in this folder",
                   fet__show(tensor), fet__show(file));
    if (!ends_with(file, ".safetensors") && !ends_with(file, ".bin") && !ends_with(file, ".pt") &&
        !ends_with(file, ".pth"))
        return BAD(name, "tensor '%s' is said to lie in '%s'; known endings are .safetensors, .bin, .pt and .pth",
                   fet__show(tensor), fet__show(file));
    return FET_OK;
}

static fet_status file_number(fet__shard_index *x, int *out, const char *file, const char *name)
{
    for (int i = 0; i < x->file_count; i++) {
        if (strcmp(x->files[i], file) == 0) {
            *out = i;
            return FET_OK;
        }
    }
    if (x->file_count == MAX_FILES)
        return BAD(name, "it names more than %d files", MAX_FILES);
    const char *copy = fet__arena_strdup(&x->arena, file);
    if (!copy)
        return FET_E_NOMEM;
    x->files[x->file_count] = copy;
    *out = x->file_count++;
    return FET_OK;
}

static int by_tensor(const void *a, const void *b)
{
    return strcmp(((const fet__shard_row *)a)->tensor, ((const fet__shard_row *)b)->tensor);
}

static fet_status read_weight_map(fet__shard_index *x, json_t *map, const char *name)
{
    fet_status st = FET_OK;
    const char *tensor;
    json_t *value;
    size_t size = json_object_size(map);
    if (size > FET__ST_MAX_TENSORS)
        return BAD(name, "it lists %zu tensors, over the limit of %d", size, FET__ST_MAX_TENSORS);
    x->rows = fet__arena_alloc(&x->arena, size + 1, sizeof *x->rows);
    x->files = fet__arena_alloc(&x->arena, MAX_FILES, sizeof *x->files);
    if (!x->rows || !x->files)
        return FET_E_NOMEM;
    json_object_foreach(map, tensor, value)
    {
        if (!json_is_string(value))
            return BAD(name, "the file of tensor '%s' is not a string", fet__show(tensor));
        FET_TRY(check_file_name(json_string_value(value), tensor, name));
        FET_TRY(file_number(x, &x->rows[x->count].file, json_string_value(value), name));
        x->rows[x->count].tensor = fet__arena_strdup(&x->arena, tensor);
        if (!x->rows[x->count].tensor)
            return FET_E_NOMEM;
        x->count++;
    }
    qsort(x->rows, (size_t)x->count, sizeof *x->rows, by_tensor);
done:
    return st;
}

fet_status fet__shard_index_parse(fet__shard_index *out, const char *text, size_t size, const char *name)
{
    fet_status st = FET_OK;
    json_t *root = NULL;
    memset(out, 0, sizeof *out);
    FET_TRY(fet__json_parse(&root, text, size, name));
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map))
        st = BAD(name, "%s", "it has no object \"weight_map\"");
    else if (json_object_size(map) == 0)
        st = BAD(name, "%s", "its \"weight_map\" lists no tensor");
    else
        st = read_weight_map(out, map, name);
done:
    json_decref(root);
    return st;
}

void fet__shard_index_fini(fet__shard_index *x)
{
    fet__arena_fini(&x->arena);
    memset(x, 0, sizeof *x);
}

/* ---- the files ----------------------------------------------------------------------------------------------- */

/* Tensors come in files, never through a further folder or index: that could go in circles. */
static fet_status open_file(fet__tensors **out, const char *path)
{
    fet__map map = {0};
    *out = NULL;
    if (fet__is_folder(path))
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: it is a folder and not a file of tensors", fet__show(path));
    fet_status st = fet__map_open(&map, path);
    if (st != FET_OK)
        return st;
    bool text = map.size > 1 && map.data[0] == '{' && map.data[1] != 0; /* 7b 00 may be a header's length */
    fet__map_close(&map);
    if (text)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed: it is JSON text and not a file of tensors",
                        fet__show(path));
    return fet__tensors_open(out, path);
}

/* A tensor of file `file`, which the index must place there. */
static fet_status add_tensor(fet__tensors *t, fet__shard_index *x, int file, const fet__entry *e)
{
    fet__shard_row wanted = {.tensor = e->name};
    fet__shard_row *row = bsearch(&wanted, x->rows, (size_t)x->count, sizeof *x->rows, by_tensor);
    if (!row)
        return BAD(t->path, "%s holds tensor '%s', which the index does not list", fet__show(x->files[file]),
                   fet__show(e->name));
    if (row->file != file)
        return BAD(t->path, "%s holds tensor '%s', which the index places in %s", fet__show(x->files[file]),
                   fet__show(e->name), fet__show(x->files[row->file]));
    row->seen = true;
    return fet__tensors_add(t, e->name, e->dtype, &e->shape, e->data, e->bytes);
}

static fet_status add_file(fet__tensors *t, fet__shard_index *x, int file, const char *folder)
{
    fet_status st = FET_OK;
    fet__tensors *part = NULL;
    char *path = fet__path_join(folder, x->files[file]);
    if (!path)
        return FET_E_NOMEM;
    FET_TRY(open_file(&part, path));
    st = fet__tensors_keep_part(t, part);
    if (st != FET_OK) {
        fet__tensors_close(part);
        goto done;
    }
    for (int i = 0; i < fet__tensors_count(part) && st == FET_OK; i++)
        st = add_tensor(t, x, file, fet__tensors_at(part, i));
done:
    fet__free(path);
    return st;
}

static fet_status add_files(fet__tensors *t, fet__shard_index *x, const char *folder)
{
    fet_status st = FET_OK;
    for (int i = 0; i < x->file_count; i++)
        FET_TRY(add_file(t, x, i, folder));
    for (int i = 0; i < x->count; i++) {
        if (!x->rows[i].seen)
            return BAD(t->path, "tensor '%s' is said to lie in %s, which does not hold it",
                       fet__show(x->rows[i].tensor), fet__show(x->files[x->rows[i].file]));
    }
    FET_TRY(fet__tensors_seal_names(t));
done:
    return st;
}

static fet_status open_index(fet__tensors **out, const char *path, const char *folder)
{
    fet_status st = FET_OK;
    fet__map map = {0};
    fet__shard_index x = {0};
    fet__tensors *t = NULL;
    *out = NULL;
    FET_TRY(fet__map_open(&map, path));
    FET_TRY(fet__shard_index_parse(&x, (const char *)map.data, map.size, path));
    FET_TRY(fet__tensors_new(&t, path));
    FET_TRY(add_files(t, &x, folder));
    *out = t;
    t = NULL;
done:
    fet__tensors_close(t);
    fet__shard_index_fini(&x);
    if (map.data)
        fet__map_close(&map);
    return st;
}

/* ---- what lies beside them ----------------------------------------------------------------------------------- */

static const char *const side_files[] = {FET__HF_CONFIG, FET__HF_PREPROCESSOR};

/* The text of a side file as metadata under its name; an entry that the tensors' own file has under that name is
 * replaced, because it would be a claim about a file that is here. */
static fet_status keep_text(fet__tensors *t, const char *path, const char *key)
{
    fet_status st = FET_OK;
    fet__map map = {0};
    json_t *root = NULL;
    int at = 0;
    FET_TRY(fet__map_open(&map, path));
    FET_TRY(fet__json_parse(&root, (const char *)map.data, map.size, path));
    fet__meta_pair *grown = fet__arena_alloc(&t->arena, (size_t)t->meta_count + 1, sizeof *grown);
    char *text = fet__arena_alloc(&t->arena, map.size + 1, 1);
    if (!grown || !text) {
        st = FET_E_NOMEM;
        goto done;
    }
    memcpy(text, map.data, map.size);
    for (int i = 0; i < t->meta_count; i++)
        grown[i] = t->meta[i];
    while (at < t->meta_count && strcmp(grown[at].key, key) != 0)
        at++;
    grown[at] = (fet__meta_pair){key, text};
    t->meta_count += at == t->meta_count;
    t->meta = grown;
done:
    json_decref(root);
    if (map.data)
        fet__map_close(&map);
    return st;
}

static fet_status keep_side_files(fet__tensors *t, const char *folder)
{
    fet_status st = FET_OK;
    for (size_t i = 0; i < FET_COUNT(side_files) && st == FET_OK; i++) {
        char *path = fet__path_join(folder, side_files[i]);
        if (!path)
            return FET_E_NOMEM;
        if (fet__file_exists(path))
            st = keep_text(t, path, side_files[i]);
        fet__free(path);
    }
    return st;
}

/* ---- a folder ------------------------------------------------------------------------------------------------ */

/* In this order: where a folder has the same weights in both formats, safetensors is read in place. */
static const char *const weight_files[] = {
    "model.safetensors",           "model.safetensors" INDEX_ENDING,
    "pytorch_model.bin",           "pytorch_model.bin" INDEX_ENDING,
    "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
};

static fet_status refuse_folder(const char *folder)
{
    char *adapter = fet__path_join(folder, "adapter_config.json");
    bool is_adapter = adapter && fet__file_exists(adapter);
    fet__free(adapter);
    if (is_adapter)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: the folder holds an adapter (adapter_config.json) and no model",
                        fet__show(folder));
    return FET_FAIL(FET_E_FORMAT,
                    "cannot read %s: the folder holds no model: neither model.safetensors nor pytorch_model.bin nor "
                    "an index of either",
                    fet__show(folder));
}

/* Path of the folder's weights. */
static fet_status find_weights(char **out, const char *folder)
{
    *out = NULL;
    for (size_t i = 0; i < FET_COUNT(weight_files); i++) {
        char *path = fet__path_join(folder, weight_files[i]);
        if (!path)
            return FET_E_NOMEM;
        if (fet__file_exists(path)) {
            *out = path;
            return FET_OK;
        }
        fet__free(path);
    }
    return refuse_folder(folder);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return fet__strdup(".");
    return slash == path ? fet__strdup("/") : fet__strndup(path, (size_t)(slash - path));
}

fet_status fet__shards_open(fet__tensors **out, const char *path)
{
    fet_status st = FET_OK;
    fet__tensors *t = NULL;
    char *weights = NULL, *folder = NULL;
    *out = NULL;
    bool is_folder = fet__is_folder(path);
    folder = is_folder ? fet__strdup(path) : folder_of(path);
    if (!folder)
        return FET_E_NOMEM;
    if (is_folder)
        FET_TRY(find_weights(&weights, folder));
    const char *file = weights ? weights : path;
    FET_TRY(!weights || ends_with(file, INDEX_ENDING) ? open_index(&t, file, folder) : open_file(&t, file));
    FET_TRY(keep_side_files(t, folder));
    *out = t;
    t = NULL;
done:
    fet__tensors_close(t);
    fet__free(weights);
    fet__free(folder);
    return st;
}
