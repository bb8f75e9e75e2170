/* fet_reid_search: the gallery images nearest to given ones; fet_reid_synth. */
#include "method/reid_int.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define SEARCH_BATCH 64
#define MOST_IMAGES 50000000
#define DEEPEST 32 /* folders within folders */

/* Image files below a folder, in byte order of their paths. */
typedef struct files {
    fet__sample *items;
    int count, capacity;
    fet__arena arena;
} files;

static bool is_image(const char *name)
{
    static const char *const ends[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm"};
    size_t n = strlen(name);

    for (size_t i = 0; i < FET_COUNT(ends); i++) {
        size_t k = strlen(ends[i]);
        if (n > k && strcasecmp(name + n - k, ends[i]) == 0)
            return true;
    }
    return false;
}

static fet_status add(files *f, const char *path)
{
    if (f->count == MOST_IMAGES)
        return FET_FAIL(FET_E_DATA, "more than %d images to search", MOST_IMAGES);
    if (f->count == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 256;
        fet__sample *items = fet__realloc(f->items, (size_t)f->capacity, (size_t)capacity, sizeof *items);
        if (!items)
            return FET_E_NOMEM;
        f->items = items;
        f->capacity = capacity;
    }
    f->items[f->count].path = fet__arena_strdup(&f->arena, path);
    return f->items[f->count++].path ? FET_OK : FET_E_NOMEM;
}

static fet_status list(files *f, const char *folder, int depth)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, folder);

    if (st == FET_OK && depth > DEEPEST)
        st = FET_FAIL(FET_E_DATA, "%s: more than %d folders within each other", fet__show(folder), DEEPEST);
    for (int i = 0; i < count && st == FET_OK; i++) {
        char *path = names[i][0] == '.' ? NULL : fet__path_join(folder, names[i]);
        if (path && fet__is_folder(path))
            st = list(f, path, depth + 1);
        else if (path && is_image(names[i]))
            st = add(f, path);
        fet__free(path);
    }
    fet__names_free(names, count);
    return st;
}

static void files_fini(files *f)
{
    fet__free(f->items);
    fet__arena_fini(&f->arena);
}

/* The `top` smallest of one row of squared distances. */
static fet_status nearest(fet_reid_match *out, int top, const float *distance, const files *f)
{
    int *entry = NULL, count = 0;
    fet_status st;

    FET_TRY(FET_NEW(entry, top));
    for (int g = 0; g < f->count; g++) {
        int at = count;
        if (count == top && !(distance[g] < distance[entry[top - 1]]))
            continue;
        at = at == top ? top - 1 : at;
        for (; at > 0 && distance[g] < distance[entry[at - 1]]; at--)
            entry[at] = entry[at - 1];
        entry[at] = g;
        count += count < top;
    }
    for (int k = 0; k < count; k++) {
        out[k].distance = sqrt((double)distance[entry[k]]);
        if (!(out[k].path = fet__strdup(f->items[entry[k]].path)))
            st = FET_E_NOMEM;
    }
done:
    fet__free(entry);
    return st;
}

static fet_status search(fet_model *m, const files *f, const fet__sample *queries, int count, int top,
                         fet_reid_match *matches)
{
    int64_t width = m->m->arch.feature_size;
    float *gallery = NULL, *query = NULL, *distance = NULL;
    fet_status st;

    FET_TRY(FET_NEW(gallery, f->count * width));
    FET_TRY(FET_NEW(query, count * width));
    FET_TRY(FET_NEW(distance, f->count));
    FET_TRY(fet__reid_features(m, f->items, f->count, SEARCH_BATCH, 0, gallery));
    FET_TRY(fet__reid_features(m, queries, count, SEARCH_BATCH, 0, query));
    for (int i = 0; i < count; i++) {
        FET_TRY(fet__row_distances(distance, query + i * width, 1, gallery, f->count, width));
        FET_TRY(nearest(matches + (int64_t)i * top, top, distance, f));
    }
done:
    fet__free(gallery);
    fet__free(query);
    fet__free(distance);
    return st;
}

fet_status fet_reid_synth(const char *out, const fet_reid_synth_options *o, int64_t *images)
{
    static const fet_reid_synth_options none;
    fet__synth_reid_options options;
    int64_t written = 0;

    if (!out)
        return FET_FAIL(FET_E_ARG, "fet_reid_synth: no folder to write to");
    o = o ? o : &none;
    options = (fet__synth_reid_options){.identities = o->identities,
                                        .cameras = o->cameras,
                                        .per_camera = o->per_camera,
                                        .width = o->width,
                                        .seed = o->seed};
    return fet__synth_reid(out, &options, images ? images : &written);
}

fet_status fet_reid_search(fet_model *m, const char *gallery, const char *const *images, int count, int top,
                           fet_reid_match *matches)
{
    files f = {0};
    fet__sample *queries = NULL;
    fet_status st;

    if (!m || !gallery || !images || !matches)
        return FET_FAIL(FET_E_ARG, "fet_reid_search: model, gallery, images or result is absent");
    if (count < 1 || top < 1 || top > 1000000)
        return FET_FAIL(FET_E_ARG, "%d images, the nearest %d of each", count, top);
    memset(matches, 0, (size_t)count * (size_t)top * sizeof *matches);
    if (!fet__is_folder(gallery))
        return FET_FAIL(FET_E_IO, "%s: no such folder", fet__show(gallery));
    FET_TRY(list(&f, gallery, 0));
    if (f.count == 0) {
        st = FET_FAIL(FET_E_DATA, "%s: no images below this folder", fet__show(gallery));
        goto done;
    }
    FET_TRY(FET_NEW(queries, count));
    for (int i = 0; i < count; i++)
        queries[i].path = images[i];
    st = search(m, &f, queries, count, top, matches);
done:
    fet__free(queries);
    files_fini(&f);
    return st;
}
