/* Re-identification sets of one's own: ID/CAMERA[_*].jpg, below train/, query/ and gallery/ or, without these, every image in every role; or
 * a CSV file path,id,camera[,split]. Names of identities and cameras are any text; they are numbered in byte order. */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>

/* An image with the names of its identity and camera, before these are numbered. */
typedef struct found {
    const char *path, *rel;
    int32_t id, camera;
    int role; /* -1: every role */
} found;

typedef struct plain {
    fet__reid_listing *l;
    fet__nameset ids, cameras;
    found *items;
    int count, capacity;
    int64_t ignored;
    const char *folder; /* in front of a CSV file's relative paths */
} plain;

static fet_status keep(plain *p, const char *path, const char *rel, const char *id, const char *camera, int role)
{
    found f = {.path = path, .rel = rel, .role = role};
    fet_status st = fet__nameset_add(&p->ids, id, &f.id);
    if (st == FET_OK)
        st = fet__nameset_add(&p->cameras, camera, &f.camera);
    if (st != FET_OK)
        return st;
    if (p->count == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 256;
        found *items = fet__realloc(p->items, (size_t)p->capacity, (size_t)capacity, sizeof *items);
        if (!items)
            return FET_E_NOMEM;
        p->items = items;
        p->capacity = capacity;
    }
    p->items[p->count++] = f;
    return FET_OK;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* It is what stands before the first '_' or the extension. */
bool fet__reid_plain_camera(char out[FET__REID_CAMERA], const char *name)
{
    size_t length = strcspn(name, "_.");
    if (length == 0 || length >= FET__REID_CAMERA)
        return false;
    memcpy(out, name, length);
    out[length] = 0;
    return true;
}

static fet_status keep_file(plain *p, const char *folder, const char *id, const char *name, int role)
{
    char *path = fet__arena_format(p->l->arena, "%s/%s/%s", folder, id, name), camera[FET__REID_CAMERA];
    if (!path)
        return FET_E_NOMEM;
    if (!fet__reid_plain_camera(camera, name))
        return FET_FAIL(FET_E_DATA, "%s: the name does not begin with a camera (CAMERA.jpg or CAMERA_anything.jpg)",
                        fet__show(path));
    return keep(p, path, path + strlen(p->l->root) + 1, id, camera, role);
}

static fet_status list_identity(plain *p, const char *folder, const char *id, int role)
{
    char **names = NULL, *path = fet__path_join(folder, id);
    int count = 0;
    fet_status st = path ? fet__list_folder(&names, &count, path) : FET_E_NOMEM;
    for (int i = 0; i < count && st == FET_OK; i++) {
        if (names[i][0] == '.')
            continue;
        if (fet__image_name(names[i]))
            st = keep_file(p, folder, id, names[i], role);
        else
            p->ignored++;
    }
    fet__names_free(names, count);
    fet__free(path);
    return st;
}

static fet_status list_role(plain *p, const char *folder, int role)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, folder);
    for (int i = 0; i < count && st == FET_OK; i++) {
        char *inner = names[i][0] == '.' ? NULL : fet__path_join(folder, names[i]);
        if (inner && fet__is_folder(inner))
            st = list_identity(p, folder, names[i], role);
        fet__free(inner);
    }
    fet__names_free(names, count);
    return st;
}

static fet_status list_folders(plain *p)
{
    bool roles = false;
    fet_status st = FET_OK;
    for (int role = 0; role < FET__REID_ROLES && st == FET_OK; role++) {
        char *folder = fet__path_join(p->l->root, fet__reid_role_name((fet__reid_role)role));
        if (!folder)
            return FET_E_NOMEM;
        if (fet__is_folder(folder)) {
            char *inside = fet__arena_strdup(p->l->arena, folder);
            roles = true;
            st = inside ? list_role(p, inside, role) : FET_E_NOMEM;
        }
        fet__free(folder);
    }
    return st == FET_OK && !roles ? list_role(p, p->l->root, -1) : st;
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

enum { PATH, ID, CAMERA, SPLIT, COLUMNS };

static fet_status csv_row(void *user, int64_t line, const char *const *value)
{
    plain *p = user;
    int role = -1;
    bool absolute = value[PATH][0] == '/';
    char *path = fet__arena_format(p->l->arena, "%s%s", absolute ? "" : p->folder, value[PATH]);
    if (!path)
        return FET_E_NOMEM;
    if (value[SPLIT] && *value[SPLIT]) {
        for (role = FET__REID_ROLES - 1; role >= 0; role--)
            if (strcmp(value[SPLIT], fet__reid_role_name((fet__reid_role)role)) == 0)
                break;
        if (role < 0)
            return FET_FAIL(FET_E_DATA, "%s: line %lld: split '%s' is none of train, query, gallery",
                            fet__show(p->l->root), (long long)line, fet__show(value[SPLIT]));
    }
    return keep(p, path, path + (absolute ? 0 : strlen(p->folder)), value[ID], value[CAMERA], role);
}

static fet_status read_csv(plain *p, const char *text, size_t size)
{
    static const fet__csv_column columns[COLUMNS] = {[PATH] = {"path", FET__CSV_PATH, true, false},
                                                     [ID] = {"id", FET__CSV_LABEL, true, false},
                                                     [CAMERA] = {"camera", FET__CSV_LABEL, true, false},
                                                     [SPLIT] = {"split", FET__CSV_LABEL, false, true}};
    const char *path = p->l->root, *slash = strrchr(path, '/');
    char *folder = fet__strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    fet_status st;
    if (!folder)
        return FET_E_NOMEM;
    p->folder = folder;
    st = fet__csv_read(text, size, path, columns, COLUMNS, "path,id,camera[,split]", csv_row, p);
    fet__free(folder);
    return st;
}

static fet_status list_csv(plain *p)
{
    fet__map map;
    fet_status st = fet__map_open(&map, p->l->root);
    if (st == FET_OK) {
        st = read_csv(p, (const char *)map.data, map.size);
        fet__map_close(&map);
    }
    return st;
}

/* ---- numbering --------------------------------------------------------------------------------------------------- */

typedef struct named {
    const char *name;
    int32_t index;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* rank[i] = place of name i in byte order. */
static fet_status rank_names(int32_t **rank, const fet__nameset *set)
{
    named *order = NULL;
    fet_status st;
    FET_TRY(FET_NEW(order, set->count + 1));
    FET_TRY(FET_NEW(*rank, set->count + 1));
    for (int i = 0; i < set->count; i++)
        order[i] = (named){set->names[i], i};
    qsort(order, (size_t)set->count, sizeof *order, by_name);
    for (int i = 0; i < set->count; i++)
        (*rank)[order[i].index] = i;
done:
    fet__free(order);
    return st;
}

/* With one camera every true match would be junk: each image then is a camera of its own, and only itself is left out of its
 * ranking. */
static fet_status hand_over(plain *p)
{
    int32_t *id = NULL, *camera = NULL;
    bool one_camera = p->cameras.count < 2;
    fet_status st;
    FET_TRY(rank_names(&id, &p->ids));
    FET_TRY(rank_names(&camera, &p->cameras));
    for (int i = 0; i < p->count; i++) {
        const found *f = &p->items[i];
        fet__reid_image im = {
            .path = f->path, .rel = f->rel, .id = id[f->id], .camera = one_camera ? i : camera[f->camera]};
        for (int role = 0; role < FET__REID_ROLES; role++)
            if (f->role < 0 || f->role == role)
                FET_TRY(fet__reid_add(p->l, (fet__reid_role)role, &im));
    }
    if (one_camera && p->count)
        fet__note("%s: all images are by one camera, so nothing but the query itself is left out of its ranking",
                  fet__show(p->l->root));
done:
    fet__free(id);
    fet__free(camera);
    return st;
}

static void fini(plain *p)
{
    fet__nameset_fini(&p->ids);
    fet__nameset_fini(&p->cameras);
    fet__free(p->items);
}

fet_status fet__reid_plain(fet__reid_listing *l)
{
    plain p = {.l = l};
    fet_status st = fet__is_folder(l->root) ? list_folders(&p) : list_csv(&p);
    if (st == FET_OK)
        st = hand_over(&p);
    if (st == FET_OK && p.ignored)
        fet__note("%s: %lld files are no images by their names and were passed over", fet__show(l->root),
                  (long long)p.ignored);
    fini(&p);
    return st;
}

fet_status fet__reid_take_csv(fet__reid_listing *l, const char *text, size_t size)
{
    plain p = {.l = l};
    fet_status st = read_csv(&p, text, size);
    if (st == FET_OK)
        st = hand_over(&p);
    fini(&p);
    return st;
}
