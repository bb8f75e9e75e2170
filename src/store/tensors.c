/* An open file of tensors: opening by content, whatever the name says, and the look-ups. A file that is known to be something
 * else (a web page from a failed download, a GGUF model, ...) is refused by that name. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/store_int.h"
#include "store/torch.h"
#include "store/zip.h"

/* ---- what a file looks like --------------------------------------------------------------------------------- */

typedef struct signature {
    const char *bytes;
    size_t length;
    const char *word, *what;
} signature;

#define SIGNATURE(bytes, word, what)                                                                                   \
    {                                                                                                                  \
        (bytes), sizeof(bytes) - 1, (word), (what)                                                                     \
    }
static const signature signatures[] = {
    SIGNATURE("GGUF", "unsupported", "a GGUF model"),
    SIGNATURE("\x89HDF\r\n\x1a\n", "unsupported", "an HDF5 file"),
    SIGNATURE("\x1f\x8b", "unsupported", "a gzip archive"),
    SIGNATURE("version https://git-lfs", "malformed",
              "a Git LFS pointer and not the data it stands for (fetch it with 'git lfs pull')"),
    SIGNATURE("\x89PNG", "malformed", "a PNG image"),
    SIGNATURE("\xff\xd8\xff", "malformed", "a JPEG image"),
    SIGNATURE("%PDF", "malformed", "a PDF document"),
    SIGNATURE("\x7f"
              "ELF",
              "malformed", "a program"),
};

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

/* What no reader reads, by name; FET_OK where nothing is known. */
static fet_status refuse_foreign(const fet__map *m, const char *path)
{
    static const signature page = SIGNATURE("", "malformed", "a web page (a failed download?)");
    static const signature tar = SIGNATURE("", "unsupported", "a tar archive (PyTorch before 0.2 wrote such files)");
    static const signature json = SIGNATURE("", "malformed", "JSON text");
    const signature *known = NULL;
    for (size_t i = 0; !known && i < FET_COUNT(signatures); i++) {
        const signature *s = &signatures[i];
        if (m->size >= s->length && memcmp(m->data, s->bytes, s->length) == 0)
            known = s;
    }
    if (!known && is_web_page(m))
        known = &page;
    if (!known && m->size > 262 && memcmp(m->data + 257, "ustar", 5) == 0)
        known = &tar;
    if (!known && m->size > 1 && m->data[0] == '{' && m->data[1] != 0) /* 7b 00 is the length of a cut header */
        known = &json;
    if (!known)
        return FET_OK;
    return FET_FAIL(FET_E_FORMAT,
                    "cannot read %s: %s: it is %s; read are safetensors, PyTorch (.pt .pth .bin) and NumPy (.npy .npz)",
                    fet__show(path), known->word, known->what);
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

static bool begins(const fet__map *m, const char *bytes, size_t length)
{
    return m->size >= length && memcmp(m->data, bytes, length) == 0;
}

static bool is_index(const fet__map *m)
{
    static const char word[] = "\"weight_map\"";
    return m->size > 1 && m->data[0] == '{' && m->data[1] != 0 &&
           memmem(m->data, m->size, word, sizeof word - 1) != NULL;
}

/* ---- open --------------------------------------------------------------------------------------------------- */

typedef fet_status (*parser)(fet__tensors **out, const void *data, size_t size, const char *name);

static bool ends(const char *s, const char *ending)
{
    size_t length = strlen(s), n = strlen(ending);
    return length >= n && strcmp(s + length - n, ending) == 0;
}

/* A zip archive is NumPy's when it has arrays and no pickle. */
static fet_status parse_zip(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    fet__zip *z = NULL;
    bool arrays = false, pickle = false;
    FET_TRY(fet__zip_open(&z, data, size, name));
    for (int i = 0; i < fet__zip_count(z); i++) {
        arrays |= ends(fet__zip_at(z, i)->name, ".npy");
        pickle |= ends(fet__zip_at(z, i)->name, "data.pkl");
    }
    FET_TRY(arrays && !pickle ? fet__npz_parse(out, data, size, name) : fet__torch_zip_parse(out, z, size, name));
done:
    fet__zip_close(z);
    return st;
}

/* Files of ours carry a checksum. */
static fet_status parse_safetensors(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet_status st = fet__safetensors_parse(out, data, size, name);
    if (st == FET_OK)
        st = fet__seal_check(*out);
    if (st != FET_OK) {
        fet__tensors_close(*out);
        *out = NULL;
    }
    return st;
}

static fet_status choose_parser(const fet__map *m, const char *path, parser *out)
{
    *out = parse_safetensors;
    if (looks_like_safetensors(m))
        return FET_OK;
    if (begins(m, "PK\3\4", 4) || begins(m, "PK\5\6", 4))
        *out = parse_zip;
    else if (begins(m, "\x93NUMPY", 6))
        *out = fet__npy_parse;
    else if (begins(m, "\x80", 1) && m->size > 1 && m->data[1] < 0x80) /* a pickle's protocol */
        *out = fet__torch_legacy_parse;
    else
        return refuse_foreign(m, path);
    return FET_OK;
}

static fet_status open_file(fet__tensors **out, const char *path, bool *index)
{
    fet_status st = FET_OK;
    fet__map map = {0};
    fet__tensors *t = NULL;
    parser parse = NULL;
    FET_TRY(fet__map_open(&map, path));
    *index = !looks_like_safetensors(&map) && is_index(&map);
    if (*index)
        goto done;
    FET_TRY(choose_parser(&map, path, &parse));
    FET_TRY(parse(&t, map.data, map.size, path));
    FET_TRY(fet__tensors_keep_map(t, &map));
    *out = t;
    return FET_OK;
done:
    fet__tensors_close(t);
    if (map.data)
        fet__map_close(&map);
    return st;
}

fet_status fet__tensors_open(fet__tensors **out, const char *path)
{
    bool index = fet__is_folder(path);
    *out = NULL;
    fet_status st = index ? FET_OK : open_file(out, path, &index);
    return st == FET_OK && index ? fet__shards_open(out, path) : st;
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
