/* Lists of images in CSV files: columns path,label[,split,domain] in any order; `target` instead of `label` holds numbers. Relative paths start at the CSV file's folder.
 * How the text is taken apart is csv_table.c's. */
#include "data/data_int.h"

#include <math.h>
#include <string.h>

enum column { PATH, LABEL, TARGET, SPLIT, DOMAIN, COLUMNS };
static const fet__csv_column columns[COLUMNS] = {[PATH] = {"path", FET__CSV_PATH, true, false},
                                                 [LABEL] = {"label", FET__CSV_LABEL, false, false},
                                                 [TARGET] = {"target", FET__CSV_LABEL, false, false},
                                                 [SPLIT] = {"split", FET__CSV_LABEL, false, true},
                                                 [DOMAIN] = {"domain", FET__CSV_LABEL, false, false}};

static const char usage[] = "path,label[,split,domain]";

struct rows {
    const char *name;
    fet__csv_fn fn;
    void *user;
};

static fet_status take_row(void *user, int64_t line, const char *const *value)
{
    const struct rows *r = user;
    fet__csv_row row = {.line = line, .path = value[PATH], .label = value[LABEL], .domain = value[DOMAIN]};
    if (!value[LABEL] == !value[TARGET])
        return FET_FAIL(FET_E_FORMAT, "%s: line 1: %s; the first line names the columns, separated by commas: %s",
                        fet__show(r->name), value[LABEL] ? "both 'label' and 'target'" : "no column 'label'", usage);
    if (value[TARGET] && (!fet__parse_double(value[TARGET], &row.target) || !isfinite(row.target)))
        return FET_FAIL(FET_E_FORMAT, "%s: line %lld: the target '%s' is no number", fet__show(r->name),
                        (long long)line, fet__show(value[TARGET]));
    if (value[SPLIT] && fet__split_parse(value[SPLIT], &row.split) != FET_OK)
        return fet__fail_in(FET_E_FORMAT, "%s: line %lld", fet__show(r->name), (long long)line);
    return r->fn(r->user, &row);
}

fet_status fet__csv_parse(const char *text, size_t size, const char *name, fet__csv_fn fn, void *user)
{
    struct rows r = {name, fn, user};
    return fet__csv_read(text, size, name, columns, COLUMNS, usage, take_row, &r);
}

/* ---- from rows to the listing ---------------------------------------------------------------------------- */

struct target {
    fet__listing *l;
    const char *folder; /* "" for the working folder, else with its slash */
    int missing;
    const char *first_missing;
};

static fet_status add_row(void *user, const fet__csv_row *row)
{
    struct target *t = user;
    fet__entry e = {.split = row->split, .domain = -1, .group = -1, .line = row->line, .target = (float)row->target};
    bool absolute = row->path[0] == '/';
    char *path = fet__arena_format(t->l->arena, "%s%s", absolute ? "" : t->folder, row->path);
    if (!path)
        return FET_E_NOMEM;
    e.path = path;
    e.rel = path + (absolute ? 0 : strlen(t->folder));
    e.bytes = fet__file_bytes(path);
    if (e.bytes < 0 && t->missing++ == 0)
        t->first_missing = path;
    t->l->regression = !row->label;
    fet_status st = row->label ? fet__nameset_add(&t->l->classes, row->label, &e.name) : FET_OK;
    if (st == FET_OK && row->domain)
        st = fet__nameset_add(&t->l->domains, row->domain, &e.domain);
    return st == FET_OK ? fet__listing_add(t->l, &e) : st;
}

fet_status fet__csv_list(fet__listing *l, const char *path)
{
    fet__map map;
    const char *slash = strrchr(path, '/');
    char *folder = fet__strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    if (!folder)
        return FET_E_NOMEM;
    struct target t = {.l = l, .folder = folder};
    fet_status st = fet__map_open(&map, path);
    if (st == FET_OK) {
        st = fet__csv_parse((const char *)map.data, map.size, path, add_row, &t);
        fet__map_close(&map);
    }
    if (st == FET_OK && t.missing && t.missing == l->count)
        st =
            FET_FAIL(FET_E_DATA, "%s: none of its %d files is there (such as %s; paths start at the CSV file's folder)",
                     fet__show(path), t.missing, fet__show(t.first_missing));
    else if (st == FET_OK && t.missing)
        fet__warn("%s: %d of its %d files are not there (such as %s)", fet__show(path), t.missing, l->count,
                  fet__show(t.first_missing));
    fet__free(folder);
    return st;
}
