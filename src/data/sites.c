/* Data sets of several sites: ROOT/DOMAIN/CLASS/IMAGE, or ROOT/DOMAIN/{train,val,test}/CLASS/IMAGE. Lists what is there by name alone;
 * what a domain is used for is decided elsewhere. CSV files with a column `domain` are csv.c's. */
#include "data/data_int.h"

#include <string.h>

static const char example[] = "expected ROOT/DOMAIN/CLASS/IMAGE or ROOT/DOMAIN/train/CLASS/IMAGE";

typedef fet_status (*folder_fn)(fet__listing *l, const char *path, const char *name, fet__entry *e);

/* fn for every folder in `path`. Images beside the folders are counted. */
static fet_status each_folder(fet__listing *l, const char *path, fet__entry *e, folder_fn fn, int *folders)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, path);

    for (int i = 0; i < count && st == FET_OK; i++) {
        char *inner;
        if (names[i][0] == '.')
            continue;
        if (!(inner = fet__arena_format(l->arena, "%s/%s", path, names[i]))) {
            st = FET_E_NOMEM;
        } else if (fet__is_folder(inner)) {
            (*folders)++;
            st = fn(l, inner, names[i], e);
        } else {
            l->loose += fet__image_name(names[i]);
            l->ignored += !fet__image_name(names[i]);
        }
    }
    fet__names_free(names, count);
    return st;
}

static fet_status list_class(fet__listing *l, const char *path, const char *name, fet__entry *e)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__nameset_add(&l->classes, name, &e->name);

    if (st == FET_OK)
        st = fet__list_folder(&names, &count, path);
    for (int i = 0; i < count && st == FET_OK; i++) {
        fet__entry one = *e;
        char *file = fet__arena_format(l->arena, "%s/%s", path, names[i]);
        if (!file)
            st = FET_E_NOMEM;
        if (names[i][0] == '.' || st != FET_OK)
            continue;
        if (!fet__image_name(names[i])) {
            l->ignored++;
            continue;
        }
        one.path = file;
        one.rel = file + e->line; /* length of "ROOT/": no lines here */
        one.line = 0;
        one.bytes = fet__file_bytes(file);
        st = fet__listing_add(l, &one);
    }
    fet__names_free(names, count);
    return st;
}

static fet_status list_domain(fet__listing *l, const char *path, const char *name, fet__entry *e)
{
    int splits = 0, folders = 0;
    fet_status st = fet__nameset_add(&l->domains, name, &e->domain);

    for (int s = 0; s < FET__SPLITS && st == FET_OK; s++) {
        char *inner = fet__arena_format(l->arena, "%s/%s", path, fet__split_name((fet__split)s));
        if (!inner)
            return FET_E_NOMEM;
        if (!fet__is_folder(inner))
            continue;
        splits++;
        e->split = (fet__split)s;
        st = each_folder(l, inner, e, list_class, &folders);
    }
    if (splits || st != FET_OK)
        return st;
    e->split = FET__TRAIN;
    return each_folder(l, path, e, list_class, &folders);
}

fet_status fet__sites_list(fet__listing *l, const char *root)
{
    fet__entry e = {.line = (int64_t)strlen(root) + 1, .group = -1};
    int domains = 0;
    fet_status st = each_folder(l, root, &e, list_domain, &domains);

    if (st == FET_OK && (domains == 0 || l->count == 0))
        st = FET_FAIL(FET_E_DATA, "%s: no images of any domain (%s)", fet__show(root), example);
    return st;
}
