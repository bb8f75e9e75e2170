/* Known sets of sites as their authors give them out (methods/mabn.md 7): iWildCam, Camelyon17, RxRx1, FMoW and PovertyMap in the folders of
 * the WILDS package, DomainNet by its lists. Which file says what is here; what is done with it is decided elsewhere. Nothing is opened but
 * tables and lists. */
#include "data/data_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 8

typedef struct task {
    const fet__wilds *set;
    fet__listing *l;
    const char *root, *table; /* table: the file that is being read */
    int64_t row;              /* from 0, whatever is left out */
    int64_t left_out, missing;
    const char *first_missing;
    fet__nameset regions; /* FMoW: country code -> region, two lists side by side */
    const char **region_of;
    int fold;              /* PovertyMap */
    signed char *id_split; /* PovertyMap: by row, from the split file; NULL: there is none */
    int64_t id_rows;
} task;

/* What a row says about its picture. */
typedef struct found {
    const char *path; /* relative; NULL: the row is left out */
    const char *label, *domain, *group;
    fet__split split;
    float target;
} found;

struct fet__wilds {
    const char *name, *table,
        *mark; /* mark: a column of `table` that only this set has; NULL: the table's name is enough */
    const char *usage;
    fet__csv_column column[MOST_COLUMNS];
    fet_status (*row)(task *t, int64_t line, const char *const *value, found *out);
    fet_status (*begin)(task *t);
    bool numbers, natural;
};

#define COLUMN(name)                                                                                                   \
    {                                                                                                                  \
        name, FET__CSV_LABEL, true, false                                                                              \
    }
#define REFUSE(t, line, ...) refuse(t, line, __VA_ARGS__)
static fet_status refuse(const task *t, int64_t line, const char *format, ...) FET_PRINTF(3, 4);
static fet_status refuse(const task *t, int64_t line, const char *format, ...)
{
    char what[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return FET_FAIL(FET_E_FORMAT, "%s: line %lld: %s (format %s)", fet__show(t->table), (long long)line, what,
                    t->set->name);
}

static int word_of(const char *value, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(value, words[i]) == 0)
            return i;
    return -1;
}

/* train, val and test are what they say, id_val and id_test are left out. */
static fet_status split_of(const task *t, int64_t line, const char *value, found *out)
{
    static const char *const words[] = {"train", "val", "test", "id_val", "id_test", NULL};
    int i = word_of(value, words);

    if (i < 0)
        return REFUSE(t, line, "the split '%s' is none of train, val, test, id_val, id_test", fet__show(value));
    if (i > 2)
        out->path = NULL;
    else
        out->split = (fet__split)i;
    return FET_OK;
}

/* ---- iWildCam ----------------------------------------------------------------------------------------------------------- */

static fet_status iwildcam(task *t, int64_t line, const char *const *v, found *out)
{
    out->path = fet__arena_format(t->l->arena, "train/%s", v[1]); /* all splits lie in train/ */
    out->label = v[2];
    out->domain = v[3];
    return out->path ? split_of(t, line, v[0], out) : FET_E_NOMEM;
}

/* ---- Camelyon17 ----------------------------------------------------------------------------------------------------------- */

static fet_status camelyon17(task *t, int64_t line, const char *const *v, found *out)
{
    static const char *const centers[] = {"0", "1", "2", "3", "4", NULL};
    int center = word_of(v[5], centers);

    if (center < 0)
        return REFUSE(t, line, "the center '%s' is none of 0 to 4", fet__show(v[5]));
    if (strcmp(v[6], "0") != 0 && strcmp(v[6], "1") != 0)
        return REFUSE(t, line, "the split '%s' is neither 0 (train) nor 1 (id_val)", fet__show(v[6]));
    out->path = fet__arena_format(t->l->arena, "patches/patient_%s_node_%s/patch_patient_%s_node_%s_x_%s_y_%s.png",
                                  v[0], v[1], v[0], v[1], v[2], v[3]);
    out->domain = fet__arena_format(t->l->arena, "center%s", v[5]);
    if (!out->path || !out->domain)
        return FET_E_NOMEM;
    out->label = v[4];
    out->split = center == 1 ? FET__VAL : center == 2 ? FET__TEST : FET__TRAIN;
    if (out->split == FET__TRAIN && v[6][0] == '1')
        out->path = NULL;
    return FET_OK;
}

/* ---- RxRx1 ---------------------------------------------------------------------------------------------------------------- */

static fet_status rxrx1(task *t, int64_t line, const char *const *v, found *out)
{
    bool first = strcmp(v[1], "1") == 0;

    if (!first && strcmp(v[1], "2") != 0)
        return REFUSE(t, line, "the site '%s' is neither 1 nor 2", fet__show(v[1]));
    out->path = fet__arena_format(t->l->arena, "images/%s/Plate%s/%s_s%s.png", v[2], v[3], v[4], v[1]);
    if (!out->path)
        return FET_E_NOMEM;
    out->domain = v[2];
    out->label = v[5];
    if (strcmp(v[0], "train") == 0 && !first) { /* the second site of training wells is id_test */
        out->path = NULL;
        return FET_OK;
    }
    return split_of(t, line, v[0], out);
}

/* ---- FMoW ----------------------------------------------------------------------------------------------------------------- */

static fet_status take_region(void *user, int64_t line, const char *const *v)
{
    task *t = user;
    int32_t at;
    fet_status st = fet__nameset_add(&t->regions, v[0], &at);

    (void)line;
    if (st != FET_OK)
        return st;
    if (at >= 1024)
        return FET_FAIL(FET_E_FORMAT, "%s: more than 1024 countries", fet__show(t->table));
    t->region_of[at] = fet__arena_strdup(t->l->arena, v[1]);
    return t->region_of[at] ? FET_OK : FET_E_NOMEM;
}

static fet_status fmow_begin(task *t)
{
    static const fet__csv_column columns[] = {COLUMN("alpha-3"), COLUMN("region")};
    char *path = fet__arena_format(t->l->arena, "%s/country_code_mapping.csv", t->root);

    t->region_of = fet__arena_alloc(t->l->arena, 1024, sizeof *t->region_of);
    if (!path || !t->region_of)
        return FET_E_NOMEM;
    if (!fet__file_exists(path))
        return FET_FAIL(FET_E_DATA, "%s: it is missing, and regions are read from it (format fmow)", fet__show(path));
    t->table = path;
    return fet__csv_read_file(path, columns, 2, "alpha-3,region", take_region, t);
}

static fet_status fmow(task *t, int64_t line, const char *const *v, found *out)
{
    static const char *const splits[] = {"train", "val", "test", "seq", NULL};
    int32_t at = fet__nameset_find(&t->regions, v[2]);
    const char *region = at >= 0 ? t->region_of[at] : "Other";
    int split = word_of(v[0], splits), year = atoi(v[3]), period;

    if (split < 0)
        return REFUSE(t, line, "the split '%s' is none of train, val, test, seq", fet__show(v[0]));
    if (year < 1990 || year > 2100 || strlen(v[3]) < 10 || v[3][4] != '-')
        return REFUSE(t, line, "the timestamp '%s' does not begin with a date", fet__show(v[3]));
    period = year >= 2016 ? 2 : year >= 2013 ? 1 : 0;
    if (split != period)
        return FET_OK; /* seq, and what is neither of its period nor of its split: id_val, id_test and the rest */
    out->path = fet__arena_format(t->l->arena, "images/rgb_img_%lld.png", (long long)t->row);
    out->domain = fet__arena_format(t->l->arena, "%d_%s", year, region);
    if (!out->path || !out->domain)
        return FET_E_NOMEM;
    out->label = v[1];
    out->group = strcmp(region, "Other") == 0 ? NULL : region; /* which the worst region leaves out */
    out->split = (fet__split)period;
    return FET_OK;
}

/* ---- PovertyMap ------------------------------------------------------------------------------------------------------------- */

#define FOLDS 5
static const char *const test_countries[FOLDS] = {
    "angola cote_d_ivoire ethiopia mali rwanda", "benin burkina_faso guinea sierra_leone tanzania",
    "cameroon ghana malawi zimbabwe", "democratic_republic_of_congo mozambique nigeria togo uganda",
    "kenya lesotho senegal zambia"};
/* Of the fold before, as the authors turn them round. */
static const int val_fold[FOLDS] = {1, 2, 3, 4, 0};

static bool among(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

static fet_status take_id(void *user, int64_t line, const char *const *v)
{
    static const char *const words[] = {"train", "id_val", "id_test", NULL};
    task *t = user;
    int64_t row;
    int split = word_of(v[1], words);

    if (!fet__parse_int(v[0], &row) || row < 0 || row >= t->id_rows || split < 0)
        return REFUSE(t, line, "it is no row from 0 to %lld with a split train, id_val or id_test",
                      (long long)t->id_rows - 1);
    t->id_split[row] = (signed char)split;
    return FET_OK;
}

static fet_status poverty_begin(task *t)
{
    static const fet__csv_column columns[] = {COLUMN("row"), COLUMN("split")};
    char *path = fet__arena_format(t->l->arena, "%s/split_%c.csv", t->root, 'A' + t->fold);

    if (!path)
        return FET_E_NOMEM;
    t->table = path;
    if (!fet__file_exists(path)) {
        fet__note("%s: there is none: all pictures of the training countries train, id_val and id_test among them",
                  fet__show(path));
        return FET_OK;
    }
    t->id_rows = 1 << 20;
    t->id_split = fet__arena_alloc(t->l->arena, (size_t)t->id_rows, 1);
    return t->id_split ? fet__csv_read_file(path, columns, 2, "row,split", take_id, t) : FET_E_NOMEM;
}

static fet_status poverty(task *t, int64_t line, const char *const *v, found *out)
{
    static const char *const truths[] = {"True", "true", "1", "False", "false", "0", NULL};
    int urban = word_of(v[2], truths), fold = 0;
    double target;

    while (fold < FOLDS && !among(test_countries[fold], v[0]))
        fold++;
    if (fold == FOLDS)
        return REFUSE(t, line, "the country '%s' is none of the 23", fet__show(v[0]));
    if (urban < 0)
        return REFUSE(t, line, "urban '%s' is neither True nor False", fet__show(v[2]));
    if (!fet__parse_double(v[1], &target) || !isfinite(target))
        return REFUSE(t, line, "wealthpooled '%s' is no number", fet__show(v[1]));
    out->path = fet__arena_format(t->l->arena, "images/landsat_poverty_img_%lld.npz", (long long)t->row);
    out->group = urban < 3 ? "urban" : "rural";
    out->domain = fet__arena_format(t->l->arena, "%s-%s", v[0], out->group);
    if (!out->path || !out->domain)
        return FET_E_NOMEM;
    out->target = (float)target;
    out->split = fold == t->fold ? FET__TEST : fold == val_fold[t->fold] ? FET__VAL : FET__TRAIN;
    if (out->split == FET__TRAIN && t->id_split && t->row < t->id_rows && t->id_split[t->row])
        out->path = NULL;
    return FET_OK;
}

/* ---- DomainNet ---------------------------------------------------------------------------------------------------------------- */

static fet_status domainnet(task *t, int64_t line, const char *const *v, found *out)
{
    out->path = v[0];
    out->domain = v[1];
    out->label = v[3];
    return split_of(t, line, v[2], out);
}

/* ---- rows to the listing -------------------------------------------------------------------------------------------------------- */

static fet_status add(task *t, const found *f, int64_t line)
{
    fet__entry e = {.split = f->split, .domain = -1, .group = -1, .line = line, .target = f->target};
    char *path = fet__arena_format(t->l->arena, "%s/%s", t->root, f->path);
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    e.path = path;
    e.rel = path + strlen(t->root) + 1;
    e.bytes = fet__file_bytes(path);
    if (e.bytes < 0 && t->missing++ == 0)
        t->first_missing = path;
    if (!t->set->numbers)
        FET_TRY(fet__nameset_add(&t->l->classes, f->label, &e.name));
    FET_TRY(fet__nameset_add(&t->l->domains, f->domain, &e.domain));
    if (f->group)
        FET_TRY(fet__nameset_add(&t->l->groups, f->group, &e.group));
    st = fet__listing_add(t->l, &e);
done:
    return st;
}

static fet_status take_row(void *user, int64_t line, const char *const *value)
{
    task *t = user;
    found f = {0};
    fet_status st = t->set->row(t, line, value, &f);

    if (st == FET_OK && f.path)
        st = add(t, &f, line);
    else if (st == FET_OK)
        t->left_out++;
    t->row++;
    return st;
}

static fet_status finish(const task *t)
{
    if (t->missing && t->missing == t->l->count)
        return FET_FAIL(FET_E_DATA, "%s: format %s: none of its %lld files is there (such as %s)", fet__show(t->root),
                        t->set->name, (long long)t->missing, fet__show(t->first_missing));
    if (t->missing)
        fet__warn("%s: %lld of its %d files are not there (such as %s)", fet__show(t->root), (long long)t->missing,
                  t->l->count, fet__show(t->first_missing));
    fet__note(
        "%s: format %s, official splits: %d pictures of %d domains; %lld rows belong to none of train, val and test",
        fet__show(t->root), t->set->name, t->l->count, t->l->domains.count, (long long)t->left_out);
    return FET_OK;
}

/* ---- lists: DOMAIN_train.txt and DOMAIN_test.txt of lines "domain/class/file label" ----------------------------------------------- */

static fet_status list_line(task *t, char *text, int64_t line, fet__split split, const char *domain)
{
    char *space = strrchr(text, ' '), *slash = strchr(text, '/'), *end, *name;
    found f = {.path = text, .domain = domain, .split = split};
    long number;

    if (!space || !slash || slash > space)
        return REFUSE(t, line, "it is not of the form domain/class/file label");
    *space = '\0';
    number = strtol(space + 1, &end, 10);
    if (end == space + 1 || (*end && *end != '\r') || number < 0)
        return REFUSE(t, line, "the label '%s' is no number", fet__show(space + 1));
    name = fet__arena_strdup(t->l->arena, slash + 1);
    if (!name)
        return FET_E_NOMEM;
    if (!(end = strchr(name, '/')))
        return REFUSE(t, line, "it is not of the form domain/class/file label");
    *end = '\0';
    f.label = name;
    return add(t, &f, line);
}

static fet_status read_list(task *t, const char *path, fet__split split, const char *domain)
{
    fet__map map;
    fet_status st = fet__map_open(&map, path);
    const char *at, *stop, *newline;
    int64_t line = 1;

    if (st != FET_OK)
        return st;
    t->table = path;
    at = (const char *)map.data;
    stop = at + map.size;
    for (; at < stop && st == FET_OK; at = newline + 1, line++) {
        char *text;
        newline = memchr(at, '\n', (size_t)(stop - at));
        if (!newline)
            newline = stop;
        if (newline == at)
            continue;
        if (newline - at > FET__CSV_PATH || memchr(at, '\0', (size_t)(newline - at))) {
            st = REFUSE(t, line, "it is longer than %d bytes or holds a NUL", FET__CSV_PATH);
            break;
        }
        text = fet__strndup(at, (size_t)(newline - at));
        st = text ? list_line(t, text, line, split, domain) : FET_E_NOMEM;
        fet__free(text);
    }
    fet__map_close(&map);
    return st;
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* Calls read_list for every list there is (t NULL: only counts the domains that have both). */
static fet_status each_list(task *t, const char *root, int *pairs)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, root);

    *pairs = 0;
    for (int i = 0; i < count && st == FET_OK; i++) {
        char *domain, *train, *test;
        if (!ends(names[i], "_train.txt"))
            continue;
        domain = fet__strndup(names[i], strlen(names[i]) - strlen("_train.txt"));
        train = fet__format("%s/%s", root, names[i]);
        test = fet__format("%s/%s_test.txt", root, domain ? domain : "");
        st = domain && train && test ? FET_OK : FET_E_NOMEM;
        *pairs += st == FET_OK && fet__file_exists(test);
        if (t && st == FET_OK && !fet__file_exists(test))
            st = FET_FAIL(FET_E_DATA, "%s: it is missing, and %s is there (format domainnet)", fet__show(test),
                          fet__show(train));
        if (t && st == FET_OK)
            st = read_list(t, fet__arena_strdup(t->l->arena, train), FET__TRAIN, domain);
        if (t && st == FET_OK)
            st = read_list(t, fet__arena_strdup(t->l->arena, test), FET__TEST, domain);
        fet__free(domain);
        fet__free(train);
        fet__free(test);
    }
    fet__names_free(names, count);
    return st;
}

/* ---- the sets ------------------------------------------------------------------------------------------------------------------------ */

static const fet__wilds sets[] = {
    {.name = "iwildcam",
     .table = "metadata.csv",
     .mark = "location_remapped",
     .usage = "split,filename,y,location_remapped",
     .column = {COLUMN("split"), COLUMN("filename"), COLUMN("y"), COLUMN("location_remapped")},
     .row = iwildcam,
     .natural = true},
    {.name = "camelyon17",
     .table = "metadata.csv",
     .mark = "tumor",
     .usage = "patient,node,x_coord,y_coord,tumor,center,split",
     .column = {COLUMN("patient"), COLUMN("node"), COLUMN("x_coord"), COLUMN("y_coord"), COLUMN("tumor"),
                COLUMN("center"), COLUMN("split")},
     .row = camelyon17,
     .natural = true},
    {.name = "rxrx1",
     .table = "metadata.csv",
     .mark = "sirna_id",
     .usage = "dataset,site,experiment,plate,well,sirna_id",
     .column = {COLUMN("dataset"), COLUMN("site"), COLUMN("experiment"), COLUMN("plate"), COLUMN("well"),
                COLUMN("sirna_id")},
     .row = rxrx1,
     .natural = true},
    {.name = "fmow",
     .table = "rgb_metadata.csv",
     .usage = "split,category,country_code,timestamp",
     .column = {COLUMN("split"), COLUMN("category"), COLUMN("country_code"), COLUMN("timestamp")},
     .row = fmow,
     .begin = fmow_begin},
    {.name = "povertymap",
     .table = "dhs_metadata.csv",
     .usage = "country,wealthpooled,urban",
     .column = {COLUMN("country"), COLUMN("wealthpooled"), COLUMN("urban")},
     .row = poverty,
     .begin = poverty_begin,
     .numbers = true},
    {.name = "domainnet",
     .table = "metadata.csv",
     .mark = "image_path",
     .usage = "image_path,domain,split,category",
     .column = {COLUMN("image_path"), COLUMN("domain"), COLUMN("split"), COLUMN("category")},
     .row = domainnet}};

/* Does the first line of the table name the column? */
static bool has_column(const char *path, const char *column)
{
    fet__map map;
    bool there = false;
    size_t n = strlen(column);

    if (fet__map_open(&map, path) != FET_OK)
        return false;
    for (size_t i = 0; i + n <= map.size && map.data[i] != '\n' && !there; i++)
        there = memcmp(map.data + i, column, n) == 0;
    fet__map_close(&map);
    return there;
}

static fet_status recognise(const fet__wilds **out, const char *root)
{
    int pairs;
    fet_status st = FET_OK;

    for (size_t i = 0; i < FET_COUNT(sets) && !*out; i++) {
        char *path = fet__path_join(root, sets[i].table);
        if (!path)
            return FET_E_NOMEM;
        if (fet__file_exists(path) && (!sets[i].mark || has_column(path, sets[i].mark)))
            *out = &sets[i];
        fet__free(path);
    }
    if (!*out)
        st = each_list(NULL, root, &pairs);
    if (st == FET_OK && !*out && pairs > 0)
        *out = &sets[FET_COUNT(sets) - 1];
    return st;
}

fet_status fet__wilds_find(const fet__wilds **out, const char *root, const char *format)
{
    *out = NULL;
    if (!format)
        return recognise(out, root);
    for (size_t i = 0; i < FET_COUNT(sets); i++)
        if (strcmp(format, sets[i].name) == 0)
            *out = &sets[i];
    if (!*out && strcmp(format, "plain") != 0)
        return FET_FAIL(FET_E_ARG,
                        "format '%s' is none of plain, iwildcam, camelyon17, rxrx1, fmow, povertymap, domainnet",
                        fet__show(format));
    return FET_OK;
}

static fet_status list_table(task *t)
{
    int columns = 0;
    char *path = fet__arena_format(t->l->arena, "%s/%s", t->root, t->set->table);
    fet_status st;

    if (!path)
        return FET_E_NOMEM;
    if (!fet__file_exists(path))
        return FET_FAIL(FET_E_DATA, "%s: it is missing: format %s is a folder with this table of columns %s",
                        fet__show(path), t->set->name, t->set->usage);
    if (t->set->begin) {
        st = t->set->begin(t);
        if (st != FET_OK)
            return st;
    }
    while (columns < MOST_COLUMNS && t->set->column[columns].name)
        columns++;
    t->table = path;
    return fet__csv_read_file(path, t->set->column, columns, t->set->usage, take_row, t);
}

fet_status fet__wilds_list(const fet__wilds *w, fet__listing *l, const char *root, const char *fold)
{
    task t = {.set = w, .l = l, .root = root};
    char *table = fet__path_join(root, w->table);
    int pairs;
    fet_status st = table ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    if (fold && (strlen(fold) != 1 || fold[0] < 'A' || fold[0] > 'E')) {
        st = FET_FAIL(FET_E_ARG, "fold '%s' is none of A, B, C, D, E", fet__show(fold));
        goto done;
    }
    t.fold = fold ? fold[0] - 'A' : 0;
    l->regression = w->numbers;
    l->natural = w->natural;
    l->official = true;
    l->format = w->name;
    if (w->row == domainnet && !fet__file_exists(table)) {
        FET_TRY(each_list(&t, root, &pairs));
        if (pairs == 0)
            st = FET_FAIL(FET_E_DATA,
                          "%s: format domainnet: neither metadata.csv nor lists DOMAIN_train.txt and DOMAIN_test.txt",
                          fet__show(root));
    } else {
        st = list_table(&t);
    }
    if (st == FET_OK)
        st = finish(&t);
done:
    fet__nameset_fini(&t.regions);
    fet__free(table);
    return st;
}
