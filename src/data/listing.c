/* The raw list of labelled images that folder.c and csv.c fill, and small helpers on file names. */
#include "data/data_int.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define NAMES_SHOWN 8

fet_status fet__listing_add(fet__listing *l, const fet__entry *e)
{
    if (l->count == l->capacity) {
        if (l->capacity > INT32_MAX / 2)
            return FET_FAIL(FET_E_DATA, "more than %d images", l->count);
        int capacity = l->capacity ? l->capacity * 2 : 256;
        fet__entry *entries = fet__realloc(l->entries, (size_t)l->capacity, (size_t)capacity, sizeof *entries);
        if (!entries)
            return FET_E_NOMEM;
        l->entries = entries;
        l->capacity = capacity;
    }
    l->entries[l->count++] = *e;
    return FET_OK;
}

void fet__listing_fini(fet__listing *l)
{
    fet__free(l->entries);
    fet__nameset_fini(&l->classes);
    fet__nameset_fini(&l->domains);
    fet__nameset_fini(&l->groups);
    memset(l, 0, sizeof *l);
}

int64_t fet__file_bytes(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) ? (int64_t)s.st_size : -1;
}

void fet__text_names(fet__text *t, const char *const *names, const bool *keep, int count)
{
    int shown = 0, more = 0;
    for (int i = 0; i < count; i++) {
        if (keep && !keep[i])
            continue;
        if (shown == NAMES_SHOWN) {
            more++;
            continue;
        }
        fet__text_printf(t, "%s%s", shown ? ", " : "", fet__show(names[i]));
        shown++;
    }
    if (more)
        fet__text_printf(t, " and %d more", more);
}

bool fet__image_name(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm"};
    const char *dot = strrchr(name, '.');
    if (!dot)
        return false;
    for (size_t i = 0; i < FET_COUNT(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}
