/* Recipes by name: the user's file, or one of those that ship with the program. */
#include "cli/cli.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FETTLE_RECIPES_INSTALLED
#define FETTLE_RECIPES_INSTALLED "/usr/local/share/fettle/recipes"
#endif
#define MAX_RECIPES 512
#define MAX_DEPTH 3

static char *join(const char *a, const char *b, const char *suffix)
{
    size_t n = strlen(a) + strlen(b) + strlen(suffix) + 2;
    char *s = malloc(n);

    if (s)
        snprintf(s, n, "%s%s%s%s", a, a[0] ? "/" : "", b, suffix);
    return s;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Folders that may hold recipes, in the order of search: the environment's, beside the build, the installed ones. Caller frees each. */
static int folders(char *out[4])
{
    const char *own = getenv("FETTLE_RECIPES");
    char exe[4096], *slash;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    int count = 0;

    if (own && own[0])
        out[count++] = join("", own, "");
    if (n > 0) {
        exe[n] = '\0';
        slash = strrchr(exe, '/');
        if (slash && slash != exe) {
            *slash = '\0';
            out[count++] = join(exe, "../recipes", "");
            out[count++] = join(exe, "../share/fettle/recipes", "");
        }
    }
    out[count++] = join("", FETTLE_RECIPES_INSTALLED, "");
    return count;
}

/* ---- finding ------------------------------------------------------------------------------------------------------ */

static char *in_folder(const char *folder, const char *name)
{
    static const char *const suffixes[] = {"", ".yaml"};
    size_t i;

    for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *path = join(folder, name, suffixes[i]);
        if (path && is_file(path))
            return path;
        free(path);
    }
    return NULL;
}

char *recipe_find(const char *name)
{
    char *at[4], *found = NULL;
    int i, n;

    if (is_file(name))
        return join("", name, "");
    n = folders(at);
    for (i = 0; i < n; i++) {
        if (!found && at[i] && name[0] != '/' && !strstr(name, ".."))
            found = in_folder(at[i], name);
        free(at[i]);
    }
    if (!found)
        complain("%s: no such recipe file, and no recipe of that name (fettle list recipes shows all)", shown(name));
    return found;
}

/* ---- listing ------------------------------------------------------------------------------------------------------ */

typedef struct found {
    char *name[MAX_RECIPES], *path[MAX_RECIPES];
    int count;
} found;

static void add_folder(found *f, const char *folder, const char *prefix, int depth);

static void add_entry(found *f, const char *folder, const char *prefix, const char *entry, int depth)
{
    char *path = join(folder, entry, ""), *name = join(prefix, entry, "");
    size_t n = strlen(entry);
    struct stat st;
    int i;

    if (!path || !name || stat(path, &st) != 0)
        goto done;
    if (S_ISDIR(st.st_mode)) {
        add_folder(f, path, name, depth + 1);
        goto done;
    }
    if (n < 6 || strcmp(entry + n - 5, ".yaml") != 0 || f->count == MAX_RECIPES)
        goto done;
    name[strlen(name) - 5] = '\0';
    for (i = 0; i < f->count; i++)
        if (strcmp(f->name[i], name) == 0)
            goto done; /* an earlier folder's recipe hides it */
    f->name[f->count] = name;
    f->path[f->count++] = path;
    return;
done:
    free(path);
    free(name);
}

static void add_folder(found *f, const char *folder, const char *prefix, int depth)
{
    struct dirent **entries;
    int i, n = depth > MAX_DEPTH ? -1 : scandir(folder, &entries, NULL, alphasort);

    for (i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.')
            add_entry(f, folder, prefix, entries[i]->d_name, depth);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

/* The recipe's first line is a comment that says what it is. */
static void first_line(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "r");
    char line[256] = "";
    size_t skip;

    if (f && fgets(line, sizeof line, f))
        line[strcspn(line, "\r\n")] = '\0';
    if (f)
        fclose(f);
    skip = strspn(line, "# ");
    snprintf(out, size, "%s", line[0] == '#' ? line + skip : "");
}

int recipe_list(bool json)
{
    static found f;
    json_t *list = json_array();
    char *at[4], help[256];
    int i, n = folders(at);

    for (i = 0; i < n; i++) {
        if (at[i])
            add_folder(&f, at[i], "", 0);
        free(at[i]);
    }
    for (i = 0; i < f.count; i++) {
        first_line(f.path[i], help, sizeof help);
        if (!json)
            printf("%-32s %s\n", shown(f.name[i]), shown(help));
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", shown(f.name[i]), "help", shown(help), "path",
                                              shown(f.path[i])));
        free(f.name[i]);
        free(f.path[i]);
    }
    if (!json) {
        if (f.count == 0)
            puts("no recipes found (FETTLE_RECIPES names a folder to look in)");
        json_decref(list);
        return EXIT_DONE;
    }
    return print_json(json_pack("{s:o}", "recipes", list));
}
