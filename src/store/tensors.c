/* An open file of tensors: opening by content, and the look-ups. A file that is known to be something else (a PyTorch
 * archive, a web page from a failed download, ...) is refused by that name; it is never parsed here. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/store_int.h"

/* ---- what a file looks like --------------------------------------------------------------------------------- */

typedef struct signature {
    const char *bytes;
    size_t length;
    const char *what;
} signature;

#define SIGNATURE(bytes, what)                                                                                         \
    {                                                                                                                  \
        (bytes), sizeof(bytes) - 1, (what)                                                                             \
    }
static const signature signatures[] = {
    SIGNATURE("\x93NUMPY", "a NumPy .npy array"),
    SIGNATURE("GGUF", "a GGUF model"),
    SIGNATURE("\x89HDF\r\n\x1a\n", "an HDF5 file"),
    SIGNATURE("version https://git-lfs",
              "a Git LFS pointer and not the data it stands for (fetch it with 'git lfs pull')"),
    SIGNATURE("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "a legacy PyTorch checkpoint"),
    SIGNATURE("\x80\x02", "a Python pickle (perhaps a PyTorch checkpoint)"),
    SIGNATURE("\x80\x03", "a Python pickle (perhaps a PyTorch checkpoint)"),
    SIGNATURE("\x80\x04", "a Python pickle (perhaps a PyTorch checkpoint)"),
    SIGNATURE("\x80\x05", "a Python pickle (perhaps a PyTorch checkpoint)"),
    SIGNATURE("\x1f\x8b", "a gzip archive"),
    SIGNATURE("\x89PNG", "a PNG image"),
    SIGNATURE("\xff\xd8\xff", "a JPEG image"),
    SIGNATURE("%PDF", "a PDF document"),
    SIGNATURE("\x7f"
              "ELF",
              "a program"),
};

static bool holds(const fet__map *m, const char *text, size_t within)
{
    size_t end = m->size < within ? m->size : within;
    return memmem(m->data, end, text, strlen(text)) != NULL;
}

/* The archive's first members tell PyTorch's from NumPy's; their names lie in the clear behind "PK". */
static const char *zip_kind(const fet__map *m)
{
    if (holds(m, "data.pkl", 4096))
        return "a PyTorch zip checkpoint";
    if (holds(m, ".npy", 4096))
        return "a NumPy .npz archive";
    return "a zip archive (perhaps a PyTorch checkpoint)";
}

/* A web page or an XML error message saved under the name of a model. */
static bool is_web_page(const fet__map *m)
{
    static const char *const starts[] = {"<!doctype", "<html", "<head", "<?xml"};
    size_t i = 0;
    while (i < m->size && i < 64 && strchr(" \t\r\n", m->data[i]) && m->data[i])
        i++;
    for (size_t k = 0; k < FET_COUNT(starts); k++) {
        size_t length = strlen(starts[k]);
        if (m->size - i >= length && strncasecmp((const char *)m->data + i, starts[k], length) == 0)
            return true;
    }
    return false;
}

/* What the contents are known to be, or NULL. */
static const char *foreign_kind(const fet__map *m)
{
    if (m->size >= 4 && (memcmp(m->data, "PK\3\4", 4) == 0 || memcmp(m->data, "PK\5\6", 4) == 0))
        return zip_kind(m);
    for (size_t i = 0; i < FET_COUNT(signatures); i++) {
        const signature *s = &signatures[i];
        if (m->size >= s->length && memcmp(m->data, s->bytes, s->length) == 0)
            return s->what;
    }
    if (is_web_page(m))
        return "a web page (a failed download?)";
    if (m->size > 262 && memcmp(m->data + 257, "ustar", 5) == 0)
        return "a tar archive";
    if (m->size > 1 && m->data[0] == '{' && m->data[1] != 0) /* 7b 00 is the length of a cut header */
        return holds(m, "\"weight_map\"", m->size) ? "the index of a checkpoint in several files" : "JSON text";
    return NULL;
}

/* A possible header length and the header's first byte. What begins like this is never guessed to be another format. */
static bool looks_like_safetensors(const fet__map *m)
{
    uint64_t length = 0;
    if (m->size < 9)
        return false;
    memcpy(&length, m->data, 8);
    return length <= FET__ST_MAX_HEADER && m->data[8] == '{';
}

/* ---- open -------------------------------------------------------------------------------------------------- */

fet_status fet__tensors_open(fet__tensors **out, const char *path)
{
    fet_status st = FET_OK;
    fet__map map = {0};
    fet__tensors *t = NULL;
    *out = NULL;
    FET_TRY(fet__map_open(&map, path));
    const char *kind = looks_like_safetensors(&map) ? NULL : foreign_kind(&map);
    if (kind) {
        st = FET_FAIL(FET_E_FORMAT, "cannot read %s: unsupported: it is %s; this version reads safetensors files",
                      fet__show(path), kind);
        goto done;
    }
    FET_TRY(fet__safetensors_parse(&t, map.data, map.size, path));
    FET_TRY(fet__seal_check(t));
    FET_TRY(fet__tensors_keep_map(t, &map));
    *out = t;
    return FET_OK;
done:
    fet__tensors_close(t);
    if (map.data)
        fet__map_close(&map);
    return st;
}

/* ---- look-ups ----------------------------------------------------------------------------------------------- */

const char *fet__tensors_path(const fet__tensors *t)
{
    return t->path;
}

int fet__tensors_count(const fet__tensors *t)
{
    return t->count;
}

const fet__entry *fet__tensors_at(const fet__tensors *t, int i)
{
    return &t->entries[i];
}

static int name_to_entry(const void *name, const void *entry)
{
    return strcmp(name, (*(const fet__entry *const *)entry)->name);
}

const fet__entry *fet__tensors_find(const fet__tensors *t, const char *name)
{
    if (t->count == 0)
        return NULL;
    const fet__entry **found = bsearch(name, t->by_name, (size_t)t->count, sizeof *t->by_name, name_to_entry);
    return found ? *found : NULL;
}

bool fet__entry_aligned(const fet__entry *e)
{
    return (uintptr_t)e->data % fet__dtype_bytes(e->dtype) == 0;
}

int fet__tensors_meta_count(const fet__tensors *t)
{
    return t->meta_count;
}

const char *fet__tensors_meta_key(const fet__tensors *t, int i)
{
    return t->meta[i].key;
}

/* Metadata are a handful of pairs: no index. */
const char *fet__tensors_meta(const fet__tensors *t, const char *key)
{
    for (int i = 0; i < t->meta_count; i++) {
        if (strcmp(t->meta[i].key, key) == 0)
            return t->meta[i].value;
    }
    return NULL;
}

int fet__tensors_leaf_count(const fet__tensors *t)
{
    return t->leaf_count;
}

void fet__tensors_leaf(const fet__tensors *t, int i, const char **path, const char **json)
{
    *path = t->leaves[i].path;
    *json = t->leaves[i].json;
}
