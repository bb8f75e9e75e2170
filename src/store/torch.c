/* PyTorch's two containers.
 *
 *     zip:     archive/data.pkl (the object), archive/data/KEY (a storage each), archive/byteorder, archive/version
 *     legacy:  five pickles (magic number, protocol version, description of the system, the object, list of storage keys),
 *              then for each key the number of elements in 8 bytes and the elements, little-endian whatever the system
 *
 * A file of one pickle that is neither is read too: it can hold no tensors of PyTorch's, and is told so. */
#include <string.h>

#include "store/pickle_int.h"
#include "store/torch.h"

#define MAGIC "119547037146038801333356" /* 0x1950a86a20f9469cfc6c */
#define PROTOCOL 1001
#define MAX_PACKED_PICKLE (16 << 20) /* inflated bytes; an object of a hundred thousand tensors has less */

#define FAIL(f, word, format, ...)                                                                                     \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: " word ": " format, fet__show((f)->name), __VA_ARGS__)

/* ---- common ------------------------------------------------------------------------------------------------- */

static fet_status begin(fet__torch_file *f, const void *data, size_t size, const char *name)
{
    *f = (fet__torch_file){.name = name, .data = data, .size = size};
    return fet__tensors_new(&f->t, name);
}

/* The result goes to the caller, or is dropped; everything else was for reading only. */
static fet_status end(fet__torch_file *f, fet__tensors **out, fet_status st)
{
    *out = st == FET_OK ? f->t : NULL;
    if (st != FET_OK)
        fet__tensors_close(f->t);
    fet__pickle_end(&f->pickle);
    fet__free(f->prefix);
    return st;
}

static fet_status refuse_empty(fet__torch_file *f, const fet__pk *root)
{
    if (root->kind == FET__PK_OPAQUE)
        return FAIL(f, "no tensors found",
                    "its object is of class %s; in PyTorch, save model.state_dict() and use that file",
                    fet__pk_show(&f->pickle, root->as.text, root->count));
    return FAIL(f, "no tensors found", "its object is of type %s", fet__pk_kind_name(root));
}

static fet_status collect(fet__torch_file *f, fet__pk *root)
{
    fet_status st = FET_OK;
    FET_TRY(fet__torch_walk(f, root));
    if (fet__tensors_count(f->t) == 0)
        return refuse_empty(f, root);
    FET_TRY(fet__tensors_seal_names(f->t));
done:
    return st;
}

/* ---- zip ---------------------------------------------------------------------------------------------------- */

/* The one member "data.pkl" or "TOP/data.pkl"; sets the prefix. */
static fet_status find_pickle(fet__torch_file *f, int *out)
{
    static const char wanted[] = "data.pkl";
    *out = -1;
    for (int i = 0; i < fet__zip_count(f->zip); i++) {
        const char *name = fet__zip_at(f->zip, i)->name, *slash = strchr(name, '/');
        if (strcmp(slash ? slash + 1 : name, wanted) != 0)
            continue;
        if (*out >= 0)
            return FAIL(f, "malformed", "the archive has two pickles, '%s' and '%s'",
                        fet__show(fet__zip_at(f->zip, *out)->name), fet__show(name));
        *out = i;
    }
    if (*out < 0)
        return FAIL(f, "malformed", "the zip archive of %d members has no data.pkl (PyTorch) and no .npy (NumPy)",
                    fet__zip_count(f->zip));
    const char *name = fet__zip_at(f->zip, *out)->name;
    f->prefix = fet__strndup(name, strlen(name) - strlen(wanted));
    return f->prefix ? FET_OK : FET_E_NOMEM;
}

/* Index of the member PREFIX + name, or -1. */
static fet_status find_member(const fet__torch_file *f, const char *name, int *out)
{
    char *path = fet__format("%s%s", f->prefix, name);
    if (!path)
        return FET_E_NOMEM;
    *out = fet__zip_find(f->zip, path);
    fet__free(path);
    return FET_OK;
}

/* TorchScript has its program beside the pickle. */
static fet_status refuse_script(fet__torch_file *f)
{
    fet_status st = FET_OK;
    int constants = -1;
    FET_TRY(find_member(f, "constants.pkl", &constants));
    bool script = constants >= 0;
    size_t length = strlen(f->prefix);
    for (int i = 0; !script && i < fet__zip_count(f->zip); i++) {
        const char *name = fet__zip_at(f->zip, i)->name;
        script = strncmp(name, f->prefix, length) == 0 && strncmp(name + length, "code/", 5) == 0;
    }
    if (script)
        return FAIL(f, "unsupported", "it is a %s; in PyTorch, save model.state_dict() and use that file",
                    "TorchScript archive (a program)");
done:
    return st;
}

static fet_status read_byte_order(fet__torch_file *f)
{
    fet_status st = FET_OK;
    const void *data = NULL;
    size_t size = 0;
    int i = -1;
    FET_TRY(find_member(f, "byteorder", &i));
    if (i < 0)
        return FET_OK;
    if (fet__zip_at(f->zip, i)->size > 16)
        return FAIL(f, "malformed", "member 'byteorder' has %llu bytes",
                    (unsigned long long)fet__zip_at(f->zip, i)->size);
    FET_TRY(fet__zip_data(f->zip, i, f->t, &data, &size));
    f->swap = size == 3 && memcmp(data, "big", 3) == 0;
    if (!f->swap && (size != 6 || memcmp(data, "little", 6) != 0))
        return FAIL(f, "malformed", "member 'byteorder' of %zu bytes says neither little nor big", size);
done:
    return st;
}

static fet_status check_pickle_size(fet__torch_file *f, const fet__zip_entry *e)
{
    if (!e->stored && e->size > MAX_PACKED_PICKLE)
        return FAIL(f, "too large", "member '%s' inflates to %llu bytes; the limit for the object itself is %d",
                    fet__show(e->name), (unsigned long long)e->size, MAX_PACKED_PICKLE);
    return FET_OK;
}

static fet_status read_zip(fet__torch_file *f)
{
    fet_status st = FET_OK;
    const void *data = NULL;
    size_t size = 0;
    int i = -1;
    fet__pk *root = NULL;
    FET_TRY(find_pickle(f, &i));
    FET_TRY(refuse_script(f));
    FET_TRY(read_byte_order(f));
    FET_TRY(check_pickle_size(f, fet__zip_at(f->zip, i)));
    FET_TRY(fet__zip_data(f->zip, i, f->t, &data, &size));
    fet__pickle_begin(&f->pickle, f->name, fet__zip_at(f->zip, i)->name, data, size);
    FET_TRY(fet__pickle_run(&f->pickle, &root));
    FET_TRY(fet__torch_group_storages(f));
    FET_TRY(collect(f, root));
done:
    return st;
}

fet_status fet__torch_zip_parse(fet__tensors **out, fet__zip *z, size_t size, const char *name)
{
    fet__torch_file f;
    fet_status st = begin(&f, NULL, size, name);
    f.zip = z;
    if (st == FET_OK)
        st = read_zip(&f);
    return end(&f, out, st);
}

/* ---- legacy ------------------------------------------------------------------------------------------------- */

/* The next of the file's pickles; `what` it is, for messages. */
static fet_status next_pickle(fet__torch_file *f, fet__pk **out, const char *what)
{
    f->pickle.place = what;
    return fet__pickle_run(&f->pickle, out);
}

static bool is_magic(const fet__pk *v)
{
    return v->kind == FET__PK_BIG && v->count == strlen(MAGIC) && memcmp(v->as.text, MAGIC, v->count) == 0;
}

static fet_status check_protocol(fet__torch_file *f, const fet__pk *version)
{
    if (version->kind != FET__PK_INT)
        return FAIL(f, "malformed", "the protocol version of the legacy file is a %s", fet__pk_kind_name(version));
    if (version->as.integer != PROTOCOL)
        return FAIL(f, "unsupported", "version %lld of the legacy format (read is %d)", (long long)version->as.integer,
                    PROTOCOL);
    return FET_OK;
}

static fet_status read_legacy(fet__torch_file *f)
{
    fet_status st = FET_OK;
    fet__pk *version = NULL, *system = NULL, *root = NULL, *keys = NULL;
    FET_TRY(next_pickle(f, &version, "pickle 2 (protocol version)"));
    FET_TRY(check_protocol(f, version));
    FET_TRY(next_pickle(f, &system, "pickle 3 (system)"));
    if (system->kind != FET__PK_DICT)
        return FAIL(f, "malformed", "the description of the system is a %s", fet__pk_kind_name(system));
    FET_TRY(next_pickle(f, &root, "pickle 4 (object)"));
    FET_TRY(fet__torch_group_storages(f));
    FET_TRY(next_pickle(f, &keys, "pickle 5 (storage keys)"));
    FET_TRY(fet__torch_place_storages(f, keys, f->pickle.at));
    f->pickle.place = "pickle 4 (object)";
    FET_TRY(collect(f, root));
done:
    return st;
}

static fet_status read_pickles(fet__torch_file *f)
{
    fet_status st = FET_OK;
    fet__pk *first = NULL;
    fet__pickle_begin(&f->pickle, f->name, "pickle 1", f->data, f->size);
    FET_TRY(fet__pickle_run(&f->pickle, &first));
    if (is_magic(first))
        return read_legacy(f);
    if (first->kind == FET__PK_BIG || first->kind == FET__PK_INT)
        return FAIL(f, "malformed", "it begins with a number in a pickle that is not the magic number %s", MAGIC);
    FET_TRY(fet__torch_group_storages(f));
    FET_TRY(collect(f, first));
done:
    return st;
}

fet_status fet__torch_legacy_parse(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet__torch_file f;
    fet_status st = begin(&f, data, size, name);
    if (st == FET_OK)
        st = read_pickles(&f);
    return end(&f, out, st);
}
