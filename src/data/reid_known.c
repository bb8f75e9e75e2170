/* The folder layouts and file-name rules of published re-identification sets. A name is judged by its last component only; what breaks a
 * rule is refused with the file and the rule. Source: SpCL's reference code and the sets' own descriptions (spcl.md, section 7). */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- file names "<id>_c<camera>..." ---------------------------------------------------------------------------- */

/* How a set numbers people and cameras. */
typedef struct rule {
    int64_t id_low, id_high;
    int camera_low, camera_high;
    const int *cameras; /* the cameras that there are, ended by 0; NULL: all from low to high */
} rule;

static const int personx_cameras[] = {3, 4, 8, 10, 11, 12, 0};
static const rule market = {0, 1501, 1, 6, NULL}, duke = {0, INT64_MAX, 1, 8, NULL},
                  personx = {0, INT64_MAX, 3, 12, personx_cameras}, veri = {0, 776, 1, 20, NULL},
                  vehiclex = {1, 1362, 6, 36, NULL};

static bool read_number(const char **s, int64_t *out)
{
    char *end;
    const char *digits = **s == '-' ? *s + 1 : *s;
    if (*digits < '0' || *digits > '9' || strspn(digits, "0123456789") > 9)
        return false;
    *out = strtoll(*s, &end, 10);
    *s = end;
    return true;
}

static int camera_index(const rule *r, int64_t camera)
{
    if (camera < r->camera_low || camera > r->camera_high)
        return -1;
    if (!r->cameras)
        return (int)camera - r->camera_low;
    for (int i = 0; r->cameras[i]; i++)
        if (r->cameras[i] == camera)
            return i;
    return -1;
}

/* *junk: identity -1, which no role keeps. */
static fet_status read_name(fet__reid_image *im, const rule *r, const char *name, bool *junk)
{
    const char *s = name;
    int64_t camera;
    *junk = false;
    if (!read_number(&s, &im->id) || strncmp(s, "_c", 2) != 0)
        return FET_FAIL(FET_E_DATA, "%s: the name is not of the form ID_cCAMERA...", fet__show(im->path));
    s += 2;
    if (*s == '-' || !read_number(&s, &camera))
        return FET_FAIL(FET_E_DATA, "%s: no camera number behind _c in the name", fet__show(im->path));
    *junk = im->id == -1;
    if (!*junk && (im->id < r->id_low || im->id > r->id_high))
        return FET_FAIL(FET_E_DATA, "%s: identity %lld is outside of this set's %lld to %lld", fet__show(im->path),
                        (long long)im->id, (long long)r->id_low, (long long)r->id_high);
    im->camera = camera_index(r, camera);
    if (im->camera < 0)
        return FET_FAIL(FET_E_DATA, "%s: camera %lld is not one of this set's", fet__show(im->path), (long long)camera);
    return FET_OK;
}

static bool is_jpg(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcasecmp(name + length - 4, ".jpg") == 0;
}

static fet_status place(fet__reid_listing *l, fet__reid_image *im, const char *folder, const char *name)
{
    char *path = fet__arena_format(l->arena, "%s/%s%s%s", l->root, folder, *folder ? "/" : "", name);
    if (!path)
        return FET_E_NOMEM;
    *im = (fet__reid_image){.path = path, .rel = path + strlen(l->root) + 1};
    return FET_OK;
}

/* A file that lies directly in one of the set's folders; one that is no .jpg is passed over. */
static fet_status take_name(fet__reid_listing *l, fet__reid_role role, const char *folder, const rule *r,
                            const char *name)
{
    fet__reid_image im;
    bool junk;
    fet_status st = FET_OK;
    if (!is_jpg(name))
        return FET_OK;
    FET_TRY(place(l, &im, folder, name));
    FET_TRY(read_name(&im, r, name, &junk));
    if (!junk)
        st = fet__reid_add(l, role, &im);
done:
    return st;
}

static fet_status list_folder(fet__reid_listing *l, fet__reid_role role, const char *folder, const rule *r)
{
    char **names = NULL, *path = fet__path_join(l->root, folder);
    int count = 0;
    fet_status st = path ? fet__list_folder(&names, &count, path) : FET_E_NOMEM;
    for (int i = 0; i < count && st == FET_OK; i++)
        st = take_name(l, role, folder, r, names[i]);
    fet__names_free(names, count);
    fet__free(path);
    return st;
}

static fet_status list_boxes(fet__reid_listing *l, const rule *r)
{
    fet_status st;
    FET_TRY(list_folder(l, FET__REID_TRAIN, "bounding_box_train", r));
    FET_TRY(list_folder(l, FET__REID_QUERY, "query", r));
    FET_TRY(list_folder(l, FET__REID_GALLERY, "bounding_box_test", r));
done:
    return st;
}

static fet_status list_market(fet__reid_listing *l)
{
    return list_boxes(l, &market);
}

static fet_status list_duke(fet__reid_listing *l)
{
    return list_boxes(l, &duke);
}

static fet_status list_personx(fet__reid_listing *l)
{
    return list_boxes(l, &personx);
}

static fet_status list_veri(fet__reid_listing *l)
{
    fet_status st;
    FET_TRY(list_folder(l, FET__REID_TRAIN, "image_train", &veri));
    FET_TRY(list_folder(l, FET__REID_QUERY, "image_query", &veri));
    FET_TRY(list_folder(l, FET__REID_GALLERY, "image_test", &veri));
done:
    return st;
}

static fet_status list_vehiclex(fet__reid_listing *l)
{
    return list_folder(l, FET__REID_TRAIN, "image_train", &vehiclex);
}

/* Does the first image of the training folder have `mark` behind its identity? */
static bool first_has(const char *root, const char *folder, const char *mark)
{
    char **names = NULL, *path = fet__path_join(root, folder);
    int count = 0;
    bool yes = false;
    if (path && fet__list_folder(&names, &count, path) == FET_OK)
        for (int i = 0; i < count; i++)
            if (is_jpg(names[i])) {
                const char *s = names[i];
                int64_t id;
                yes = read_number(&s, &id) && strncmp(s, "_c", 2) == 0 && s[2] && s[3] && strchr(mark, s[3]);
                break;
            }
    fet__names_free(names, count);
    fet__free(path);
    return yes;
}

/* Market-1501 has "c1s1", DukeMTMC "c2_"; with neither it is PersonX. */
static bool fits_market(const char *root)
{
    return first_has(root, "bounding_box_train", "s");
}

static bool fits_duke(const char *root)
{
    return first_has(root, "bounding_box_train", "_");
}

static bool has_queries(const char *root)
{
    char *path = fet__path_join(root, "image_query");
    bool yes = path && fet__is_folder(path);
    fet__free(path);
    return yes;
}

/* ---- lists "name id" --------------------------------------------------------------------------------------------- */

enum { LIST_MOST = 64 << 20, LINE_MOST = 4096 };

typedef fet_status line_fn(fet__reid_listing *l, void *user, const char *name, int64_t id);

static fet_status split_line(char *line, const char *list, int64_t number, const char **name, int64_t *id)
{
    char *space = strrchr(line, ' ');
    const char *digits = space ? space + 1 : "";
    if (!space || space == line || !read_number(&digits, id) || *digits || *id < 0)
        return FET_FAIL(FET_E_DATA, "%s: line %lld is not of the form NAME ID", fet__show(list), (long long)number);
    *space = 0;
    *name = line;
    if (line[0] == '/' || strstr(line, ".."))
        return FET_FAIL(FET_E_DATA, "%s: line %lld names a file outside of the set", fet__show(list),
                        (long long)number);
    return FET_OK;
}

static fet_status read_lines(fet__reid_listing *l, const char *data, size_t size, const char *list, line_fn *fn,
                             void *user)
{
    char line[LINE_MOST];
    fet_status st = FET_OK;
    size_t at = 0;
    for (int64_t number = 1; at < size; number++) {
        const char *text = data + at, *end = memchr(text, '\n', size - at), *name;
        size_t length = end ? (size_t)(end - text) : size - at;
        int64_t id;
        at += length + 1;
        if (length && text[length - 1] == '\r')
            length--;
        if (length == 0)
            continue;
        if (length >= sizeof line || memchr(text, 0, length))
            return FET_FAIL(FET_E_DATA, "%s: line %lld is longer than %d bytes or no text", fet__show(list),
                            (long long)number, LINE_MOST);
        memcpy(line, text, length);
        line[length] = 0;
        FET_TRY(split_line(line, list, number, &name, &id));
        FET_TRY(fn(l, user, name, id));
    }
done:
    return st;
}

static fet_status read_list(fet__reid_listing *l, const char *list, line_fn *fn, void *user)
{
    char *path = fet__path_join(l->root, list);
    fet__map map = {0};
    fet_status st = path ? fet__map_open(&map, path) : FET_E_NOMEM;
    if (st == FET_OK && map.size > LIST_MOST)
        st = FET_FAIL(FET_E_DATA, "%s: larger than %d MiB", fet__show(path), LIST_MOST >> 20);
    if (st == FET_OK)
        st = read_lines(l, (const char *)map.data, map.size, path, fn, user);
    if (map.data)
        fet__map_close(&map);
    fet__free(path);
    return st;
}

/* ---- MSMT17: the camera is the third field of the base name --------------------------------------------------- */

struct msmt {
    fet__reid_role role;
    const char *folder;
};

static fet_status msmt_line(fet__reid_listing *l, void *user, const char *name, int64_t id)
{
    const struct msmt *m = user;
    const char *base = strrchr(name, '/'), *s = base ? base + 1 : name;
    fet__reid_image im;
    int64_t camera = 0;
    fet_status st = place(l, &im, m->folder, name);
    if (st != FET_OK)
        return st;
    for (int field = 0; field < 2 && s; field++) {
        s = strchr(s, '_');
        s = s ? s + 1 : NULL;
    }
    if (!s || *s == '-' || !read_number(&s, &camera) || camera < 1 || camera > 15)
        return FET_FAIL(FET_E_DATA, "%s: the third field of the name is no camera from 1 to 15", fet__show(im.path));
    im.id = id;
    im.camera = (int)camera - 1;
    return fet__reid_add(l, m->role, &im);
}

static fet_status list_msmt17(fet__reid_listing *l)
{
    struct msmt train = {FET__REID_TRAIN, "train"}, query = {FET__REID_QUERY, "test"},
                gallery = {FET__REID_GALLERY, "test"};
    fet_status st;
    FET_TRY(read_list(l, "list_train.txt", msmt_line, &train));
    FET_TRY(read_list(l, "list_val.txt", msmt_line, &train));
    FET_TRY(read_list(l, "list_query.txt", msmt_line, &query));
    FET_TRY(read_list(l, "list_gallery.txt", msmt_line, &gallery));
done:
    return st;
}

/* ---- VehicleID: no cameras; one image of each test identity is drawn for the gallery ---------------------------- */

/* There are no cameras: each image gets one of its own, or every true match would be junk. */
struct vehicleid {
    fet__reid_role role;
    int32_t *images;
};

static fet_status vehicleid_line(fet__reid_listing *l, void *user, const char *name, int64_t id)
{
    struct vehicleid *v = user;
    fet__reid_image im;
    char *file = fet__format("%s.jpg", name);
    fet_status st = file ? place(l, &im, "image", file) : FET_E_NOMEM;
    fet__free(file);
    if (st != FET_OK)
        return st;
    im.id = id;
    im.camera = (*v->images)++;
    return fet__reid_add(l, v->role, &im);
}

static int by_id_and_path(const void *a, const void *b)
{
    const fet__reid_image *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* The test list lies in the query role; of each identity one image moves to the gallery. */
static fet_status draw_gallery(fet__reid_listing *l)
{
    fet__reid_list all = l->list[FET__REID_QUERY];
    fet__rng r = {.seed = l->options->seed, .stream = fet__hash32("vehicleid.gallery")};
    fet_status st = FET_OK;
    memset(&l->list[FET__REID_QUERY], 0, sizeof all);
    if (all.count)
        qsort(all.images, (size_t)all.count, sizeof *all.images, by_id_and_path);
    for (int first = 0, end; first < all.count && st == FET_OK; first = end) {
        for (end = first; end < all.count && all.images[end].id == all.images[first].id; end++)
            ;
        int chosen = (int)fet__rng_int(&r, first, end - 1);
        for (int i = first; i < end && st == FET_OK; i++)
            st = fet__reid_add(l, i == chosen ? FET__REID_GALLERY : FET__REID_QUERY, &all.images[i]);
    }
    fet__free(all.images);
    return st;
}

static fet_status list_vehicleid(fet__reid_listing *l)
{
    int32_t images = 0;
    struct vehicleid train = {FET__REID_TRAIN, &images}, test = {FET__REID_QUERY, &images};
    int size = l->options->test_size ? l->options->test_size : 800;
    char list[64];
    fet_status st;
    if (size != 800 && size != 1600 && size != 2400)
        return FET_FAIL(FET_E_ARG, "VehicleID has test lists of 800, 1600 and 2400 identities, not of %d", size);
    snprintf(list, sizeof list, "train_test_split/test_list_%d.txt", size);
    FET_TRY(read_list(l, "train_test_split/train_list.txt", vehicleid_line, &train));
    FET_TRY(read_list(l, list, vehicleid_line, &test));
    FET_TRY(draw_gallery(l));
done:
    return st;
}

/* ---- the same without a disk -------------------------------------------------------------------------------------- */

fet_status fet__reid_take_name(fet__reid_listing *l, const char *format, const char *name)
{
    static const struct {
        const char *format;
        const rule *rule;
    } rules[] = {
        {"market1501", &market}, {"dukemtmc", &duke}, {"personx", &personx}, {"veri", &veri}, {"vehiclex", &vehiclex}};
    for (size_t i = 0; i < FET_COUNT(rules); i++)
        if (strcmp(rules[i].format, format) == 0)
            return take_name(l, FET__REID_TRAIN, "folder", rules[i].rule, name);
    return FET_FAIL(FET_E_BUG, "format '%s' has no rule for names", fet__show(format));
}

fet_status fet__reid_take_list(fet__reid_listing *l, const char *format, const char *text, size_t size)
{
    struct msmt msmt = {FET__REID_QUERY, "test"};
    int32_t images = 0;
    struct vehicleid vehicle = {FET__REID_QUERY, &images};
    fet_status st;
    if (strcmp(format, "msmt17") == 0)
        return read_lines(l, text, size, "list", msmt_line, &msmt);
    st = read_lines(l, text, size, "list", vehicleid_line, &vehicle);
    return st == FET_OK ? draw_gallery(l) : st;
}

const fet__reid_format fet__reid_formats[] = {{"market1501", "bounding_box_train", fits_market, list_market},
                                              {"dukemtmc", "bounding_box_train", fits_duke, list_duke},
                                              {"personx", "bounding_box_train", NULL, list_personx},
                                              {"msmt17", "list_train.txt", NULL, list_msmt17},
                                              {"vehicleid", "train_test_split", NULL, list_vehicleid},
                                              {"veri", "image_train", has_queries, list_veri},
                                              {"vehiclex", "image_train", NULL, list_vehiclex},
                                              {"plain", NULL, NULL, fet__reid_plain},
                                              {0}};
