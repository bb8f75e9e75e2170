/* Image folders: DATA/{train,val,test}/CLASS/... or DATA/CLASS/.... Finds files by name alone; nothing is opened. A
 * class takes the images of its sub-folders too. Links are followed, but no folder is entered twice for one class, so
 * that circles end. Hidden names are passed over. */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH 64 /* folders below a class */

struct identity {
    dev_t device;
    ino_t node;
};

/* One class folder being walked. */
struct walk {
    fet__listing *l;
    size_t root_length; /* of "ROOT/" in front of relative paths */
    fet__entry entry;   /* class and split of all its images */
    struct identity *seen;
    int seen_count, seen_capacity;
    int64_t nested; /* images in sub-folders */
};

static bool is_split_name(const char *name)
{
    bool is = false;
    for (int s = 0; s < FET__SPLITS; s++)
        is = is || strcmp(name, fet__split_name((fet__split)s)) == 0;
    return is;
}

static bool is_folder(const char *folder, const char *name)
{
    char *path = fet__path_join(folder, name);
    bool is = path && fet__is_folder(path);
    fet__free(path);
    return is;
}

/* Does `folder` hold a folder (that is not hidden)? The first is copied to *first where that is not NULL. */
static fet_status find_subfolder(const char *folder, bool *found, char **first)
{
    char **names = NULL;
    int count = 0;
    *found = false;
    fet_status st = fet__list_folder(&names, &count, folder);
    if (st != FET_OK)
        return st;
    for (int i = 0; i < count && !*found; i++) {
        if (names[i][0] == '.' || !is_folder(folder, names[i]))
            continue;
        *found = true;
        if (first && !(*first = fet__strdup(names[i])))
            st = FET_E_NOMEM;
    }
    fet__names_free(names, count);
    return st;
}

/* Remember a folder; *again when this class has been in it before. */
static fet_status enter(struct walk *w, const struct stat *s, bool *again)
{
    *again = false;
    for (int i = 0; i < w->seen_count; i++)
        if (w->seen[i].device == s->st_dev && w->seen[i].node == s->st_ino)
            *again = true;
    if (*again)
        return FET_OK;
    if (w->seen_count == w->seen_capacity) {
        int capacity = w->seen_capacity ? w->seen_capacity * 2 : 16;
        struct identity *seen = fet__realloc(w->seen, (size_t)w->seen_capacity, (size_t)capacity, sizeof *seen);
        if (!seen)
            return FET_E_NOMEM;
        w->seen = seen;
        w->seen_capacity = capacity;
    }
    w->seen[w->seen_count++] = (struct identity){s->st_dev, s->st_ino};
    return FET_OK;
}

static fet_status walk_folder(struct walk *w, const char *folder, int depth);

static fet_status walk_subfolder(struct walk *w, const char *path, const struct stat *s, int depth)
{
    bool again;
    if (depth >= DEPTH)
        return FET_FAIL(FET_E_DATA, "%s: folders are nested deeper than %d", fet__show(path), DEPTH);
    fet_status st = enter(w, s, &again);
    if (st != FET_OK)
        return st;
    if (again) {
        fet__warn("%s: a link to a folder that its class already holds; skipped", fet__show(path));
        return FET_OK;
    }
    return walk_folder(w, path, depth + 1);
}

static fet_status walk_name(struct walk *w, const char *folder, const char *name, int depth)
{
    char *path = fet__arena_format(w->l->arena, "%s/%s", folder, name);
    if (!path)
        return FET_E_NOMEM;
    struct stat s;
    bool there = stat(path, &s) == 0;
    if (there && S_ISDIR(s.st_mode))
        return walk_subfolder(w, path, &s, depth);
    if (!fet__image_name(name)) {
        w->l->ignored++;
        return FET_OK;
    }
    /* A dangling link or a pipe that is named as an image stays in the list: who opens it names it. */
    w->entry.path = path;
    w->entry.rel = path + w->root_length;
    w->entry.bytes = there && S_ISREG(s.st_mode) ? (int64_t)s.st_size : -1;
    w->nested += depth > 0;
    return fet__listing_add(w->l, &w->entry);
}

static fet_status walk_folder(struct walk *w, const char *folder, int depth)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, folder);
    for (int i = 0; i < count && st == FET_OK; i++)
        if (names[i][0] != '.')
            st = walk_name(w, folder, names[i], depth);
    fet__names_free(names, count);
    return st;
}

static fet_status list_class(fet__listing *l, const char *folder, const char *name, size_t root_length,
                             fet__split split, bool *nested)
{
    struct walk w = {.l = l, .root_length = root_length, .entry = {.split = split, .domain = -1}};
    struct stat s;
    bool again;
    fet_status st = FET_OK;
    char *path = fet__path_join(folder, name);
    if (!path)
        return FET_E_NOMEM;
    if (stat(path, &s) == 0)
        FET_TRY(enter(&w, &s, &again));
    FET_TRY(fet__nameset_add(&l->classes, name, &w.entry.name));
    FET_TRY(walk_folder(&w, path, 0));
    *nested = *nested || w.nested > 0;
done:
    fet__free(w.seen);
    fet__free(path);
    return st;
}

/* Every folder in `folder` is a class. */
static fet_status list_classes(fet__listing *l, const char *folder, size_t root_length, fet__split split)
{
    char **names = NULL;
    int count = 0;
    bool nested = false;
    fet_status st = fet__list_folder(&names, &count, folder);
    for (int i = 0; i < count && st == FET_OK; i++) {
        if (names[i][0] == '.')
            continue;
        if (is_folder(folder, names[i]))
            st = list_class(l, folder, names[i], root_length, split, &nested);
        else if (fet__image_name(names[i]))
            l->loose++;
        else
            l->ignored++;
    }
    fet__names_free(names, count);
    if (st == FET_OK && nested)
        fet__note("%s: some classes have sub-folders; their images count for the class", fet__show(folder));
    return st;
}

/* Folders beside train, val and test would be taken for used when nothing is said. */
static void note_others(const char *root, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (names[i][0] != '.' && !is_split_name(names[i]) && is_folder(root, names[i]))
            fet__note("%s/%s: not used; the splits are train, val and test", fet__show(root), fet__show(names[i]));
}

static fet_status list_splits(fet__listing *l, const char *root, const bool *is_split)
{
    char **names = NULL;
    int count = 0;
    fet_status st = FET_OK;
    for (int s = 0; s < FET__SPLITS && st == FET_OK; s++) {
        const char *name = fet__split_name((fet__split)s);
        char *path = fet__path_join(root, name);
        if (!path)
            return FET_E_NOMEM;
        if (is_split[s])
            st = list_classes(l, path, strlen(root) + 1, (fet__split)s);
        else if (fet__is_folder(path))
            fet__note("%s: not used; it holds no class folders", fet__show(path));
        fet__free(path);
    }
    if (st == FET_OK)
        st = fet__list_folder(&names, &count, root);
    if (st == FET_OK)
        note_others(root, names, count);
    fet__names_free(names, count);
    return st;
}

/* DATA/DOMAIN/train/CLASS would otherwise be read as classes named after domains. */
static fet_status refuse_domains(const char *root)
{
    char *first = NULL, *folder = NULL, *train = NULL;
    bool found;
    fet_status st = find_subfolder(root, &found, &first);
    if (st != FET_OK || !found)
        goto done;
    folder = fet__path_join(root, first);
    train = folder ? fet__path_join(folder, "train") : NULL;
    if (!train) {
        st = FET_E_NOMEM;
        goto done;
    }
    if (fet__is_folder(train)) {
        FET_TRY(find_subfolder(train, &found, NULL));
        if (found)
            st = FET_FAIL(FET_E_DATA, "%s: holds whole data sets, not classes: give one of its folders, such as %s",
                          fet__show(root), fet__show(folder));
    }
done:
    fet__free(first);
    fet__free(folder);
    fet__free(train);
    return st;
}

fet_status fet__folder_list(fet__listing *l, const char *root)
{
    bool is_split[FET__SPLITS] = {false}, any = false, flat = false;
    for (int s = 0; s < FET__SPLITS; s++) {
        char *path = fet__path_join(root, fet__split_name((fet__split)s));
        if (!path)
            return FET_E_NOMEM;
        fet_status st = FET_OK;
        if (fet__is_folder(path)) {
            st = find_subfolder(path, &is_split[s], NULL);
            flat = flat || !is_split[s];
        }
        fet__free(path);
        if (st != FET_OK)
            return st;
        any = any || is_split[s];
    }
    if (any)
        return list_splits(l, root, is_split);
    fet_status st = refuse_domains(root);
    if (st == FET_OK)
        st = list_classes(l, root, strlen(root) + 1, FET__TRAIN);
    if (st == FET_OK && flat) { /* split folders with images but without classes, or a class that is named "train"? */
        bool others = false;
        for (int i = 0; i < l->classes.count; i++)
            others = others || !is_split_name(l->classes.names[i]);
        if (!others)
            st = FET_FAIL(FET_E_DATA, "%s: its split folders hold no class folders (expected %s/train/CLASS/IMAGE)",
                          fet__show(root), fet__show(root));
    }
    return st;
}
