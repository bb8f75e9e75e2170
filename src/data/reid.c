/* Re-identification sets: recognising a set's layout, and putting what its reader found into roles, order and training labels. The layouts of
 * the known sets are in reid_known.c, plain folders and CSV files in reid_plain.c. */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>

const char *fet__reid_role_name(fet__reid_role role)
{
    static const char *const names[FET__REID_ROLES] = {"train", "query", "gallery"};
    return names[role];
}

fet_status fet__reid_add(fet__reid_listing *l, fet__reid_role role, const fet__reid_image *image)
{
    fet__reid_list *list = &l->list[role];
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 256;
        fet__reid_image *images =
            fet__realloc(list->images, (size_t)list->capacity, (size_t)capacity, sizeof *list->images);
        if (!images)
            return FET_E_NOMEM;
        list->images = images;
        list->capacity = capacity;
    }
    list->images[list->count++] = *image;
    return FET_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const fet__reid_image *)a)->path, ((const fet__reid_image *)b)->path);
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Training labels are 0, 1, ... in ascending order of the identities that occur in training; the row of an image is its place in path
 * order. */
static fet_status number(fet__reid_set *s)
{
    fet__reid_image *train = s->images[FET__REID_TRAIN];
    int count = s->count[FET__REID_TRAIN], distinct = 0;
    int64_t *ids = NULL;
    fet_status st;
    FET_TRY(FET_NEW(ids, count + 1));
    for (int i = 0; i < count; i++)
        ids[i] = train[i].id;
    qsort(ids, (size_t)count, sizeof *ids, by_id);
    for (int i = 0; i < count; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[distinct++] = ids[i];
    for (int i = 0; i < count; i++) {
        const int64_t *at = bsearch(&train[i].id, ids, (size_t)distinct, sizeof *ids, by_id);
        train[i].label = (int32_t)(at - ids);
    }
    s->identities = distinct;
done:
    fet__free(ids);
    return st;
}

static fet_status fingerprint(fet__reid_set *s)
{
    fet__sha256 *h;
    char line[96];
    fet_status st = fet__sha256_begin(&h);
    if (st != FET_OK)
        return st;
    for (int role = 0; role < FET__REID_ROLES; role++)
        for (int i = 0; i < s->count[role]; i++) {
            const fet__reid_image *im = &s->images[role][i];
            int length = snprintf(line, sizeof line, "%c%lld %d %lld\n", '0' + role, (long long)im->id, im->camera,
                                  (long long)fet__file_bytes(im->path));
            fet__sha256_add(h, line, (size_t)length);
            fet__sha256_add(h, im->rel, strlen(im->rel) + 1);
        }
    fet__sha256_end(h, s->fingerprint);
    return FET_OK;
}

static fet_status take(fet__reid_set *s, fet__reid_listing *l)
{
    fet_status st = FET_OK;
    int total = 0;
    for (int role = 0; role < FET__REID_ROLES; role++) {
        fet__reid_list *list = &l->list[role];
        if (list->count)
            qsort(list->images, (size_t)list->count, sizeof *list->images, by_path);
        s->images[role] = list->images;
        s->count[role] = list->count;
        list->images = NULL;
        total += list->count;
    }
    if (total == 0)
        return FET_FAIL(FET_E_DATA, "%s: no images (format %s)", fet__show(s->root), s->format);
    FET_TRY(number(s));
    FET_TRY(fingerprint(s));
done:
    return st;
}

static bool has(const char *root, const char *name)
{
    char *path = fet__path_join(root, name);
    bool there = path && fet__file_exists(path);
    fet__free(path);
    return there;
}

/* The first format, of those that fit, is tried; plain is what remains. Market-1501, DukeMTMC and PersonX have the same folders: their
 * file names tell them apart, or the user does. */
static const fet__reid_format *recognise(const char *root)
{
    for (const fet__reid_format *f = fet__reid_formats; f->name; f++)
        if (f->mark && has(root, f->mark) && (!f->fits || f->fits(root)))
            return f;
    return fet__reid_format_find("plain");
}

const fet__reid_format *fet__reid_format_find(const char *name)
{
    for (const fet__reid_format *f = fet__reid_formats; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static fet_status choose(const fet__reid_format **out, const char *root, const char *name)
{
    const char *names[32];
    int count = 0, near;
    *out = name ? fet__reid_format_find(name) : recognise(root);
    if (*out)
        return FET_OK;
    for (const fet__reid_format *f = fet__reid_formats; f->name && count < 32; f++)
        names[count++] = f->name;
    near = fet__nearest(name, names, count);
    return FET_FAIL(
        FET_E_ARG,
        "unknown format '%s'%s%s%s (market1501, msmt17, dukemtmc, personx, vehicleid, vehiclex, veri, plain)",
        fet__show(name), near >= 0 ? "; the nearest is '" : "", near >= 0 ? names[near] : "", near >= 0 ? "'" : "");
}

/* A set may lie in DATA or in the folder of its usual name within DATA. */
static char *find_root(const char *path, const char *format)
{
    static const char *const usual[] = {
        "Market-1501-v15.09.15", "MSMT17_V1", "PersonX",         "subset1",      "VehicleID", "VehicleID_V1.0",
        "AIC20_ReID_Simulation", "VeRi",      "VeRi_with_plate", "DukeMTMC-reID"};
    const fet__reid_format *f = format ? fet__reid_format_find(format) : NULL;
    if (f ? !f->mark || has(path, f->mark) : recognise(path)->mark != NULL)
        return fet__strdup(path);
    for (size_t i = 0; i < FET_COUNT(usual); i++) {
        char *inner = fet__path_join(path, usual[i]);
        if (!inner)
            return NULL;
        if (fet__is_folder(inner) && (f ? has(inner, f->mark) : recognise(inner)->mark != NULL))
            return inner;
        fet__free(inner);
    }
    return fet__strdup(path);
}

fet_status fet__reid_open(fet__reid_set *out, const char *path, const fet__reid_options *o)
{
    static const fet__reid_options defaults = {0};
    fet__reid_listing l = {0};
    const fet__reid_format *f = NULL;
    char *root = NULL;
    fet_status st = FET_OK;
    memset(out, 0, sizeof *out);
    o = o ? o : &defaults;
    if (!fet__file_exists(path))
        return FET_FAIL(FET_E_IO, "%s: no such file or folder", fet__show(path));
    root = find_root(path, o->format);
    out->root = root ? fet__arena_strdup(&out->arena, root) : NULL;
    if (!out->root) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(choose(&f, root, o->format));
    out->format = f->name;
    l = (fet__reid_listing){.arena = &out->arena, .root = out->root, .options = o};
    FET_TRY(f->list(&l));
    FET_TRY(take(out, &l));
done:
    for (int role = 0; role < FET__REID_ROLES; role++)
        fet__free(l.list[role].images);
    fet__free(root);
    if (st != FET_OK)
        fet__reid_fini(out);
    return st;
}

void fet__reid_fini(fet__reid_set *s)
{
    for (int role = 0; role < FET__REID_ROLES; role++)
        fet__free(s->images[role]);
    fet__arena_fini(&s->arena);
    memset(s, 0, sizeof *s);
}
