/* Lists of images in CSV files: columns path,label[,split,domain] in any order, named by the first line; RFC 4180 with
 * quoted fields (line ends within quotes too), CRLF or LF, a byte-order mark allowed. Every refusal names the line.
 * Relative paths start at the CSV file's folder. */
#include "data/data_int.h"

#include <string.h>
#include <strings.h>

enum column { PATH, LABEL, SPLIT, DOMAIN, COLUMNS };
static const char *const column_names[COLUMNS] = {"path", "label", "split", "domain"};

/* The record being read: its fields lie in `buffer` one after the other, each with a NUL. */
struct reader {
    const char *name; /* of the file */
    const char *text;
    size_t size, at;
    int64_t line;   /* of text[at], from 1 */
    int64_t record; /* line where the record began */
    char *buffer;   /* FET__CSV_RECORD + 1 bytes */
    size_t used;
    int fields;
    size_t start[FET__CSV_COLUMNS]; /* of each field in `buffer` */
};

static const char *field(const struct reader *r, int i)
{
    return r->buffer + r->start[i];
}

#define REFUSE(r, at_line, ...) (refuse((r), (at_line), __VA_ARGS__), FET_E_FORMAT)
static void refuse(const struct reader *r, int64_t line, const char *format, ...) FET_PRINTF(3, 4);
static void refuse(const struct reader *r, int64_t line, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    FET_FAIL(FET_E_FORMAT, "%s: line %lld: %s", fet__show(r->name), (long long)line, what);
}

static fet_status put(struct reader *r, char c)
{
    if (r->used >= FET__CSV_RECORD)
        return REFUSE(r, r->record, "longer than %d bytes", FET__CSV_RECORD);
    r->buffer[r->used++] = c;
    return FET_OK;
}

static bool at_line_end(const struct reader *r)
{
    return r->text[r->at] == '\n' || (r->text[r->at] == '\r' && r->at + 1 < r->size && r->text[r->at + 1] == '\n');
}

/* From behind the opening quote to behind the closing one. */
static fet_status read_quoted(struct reader *r)
{
    int64_t opened = r->line;
    for (; r->at < r->size; r->at++) {
        char c = r->text[r->at];
        if (c == '"') {
            if (r->at + 1 >= r->size || r->text[r->at + 1] != '"') {
                r->at++;
                return FET_OK;
            }
            r->at++; /* two quotes stand for one */
        }
        if (c == '\0')
            return REFUSE(r, r->line, "holds a NUL byte; not a text file");
        if (c == '\n')
            r->line++;
        fet_status st = put(r, c);
        if (st != FET_OK)
            return st;
    }
    return REFUSE(r, opened, "a quote is opened and never closed");
}

static fet_status read_plain(struct reader *r)
{
    for (; r->at < r->size && r->text[r->at] != ',' && !at_line_end(r); r->at++) {
        char c = r->text[r->at];
        if (c == '\0')
            return REFUSE(r, r->line, "holds a NUL byte; not a text file");
        if (c == '\r')
            return REFUSE(r, r->line, "a carriage return that no newline follows");
        if (c == '"')
            return REFUSE(r, r->line, "a quote within a field that does not begin with one (write \"\" inside quotes)");
        fet_status st = put(r, c);
        if (st != FET_OK)
            return st;
    }
    return FET_OK;
}

static fet_status read_field(struct reader *r)
{
    if (r->fields == FET__CSV_COLUMNS)
        return REFUSE(r, r->record, "more than %d fields", FET__CSV_COLUMNS);
    size_t start = r->used;
    bool quoted = r->at < r->size && r->text[r->at] == '"';
    if (quoted)
        r->at++;
    fet_status st = quoted ? read_quoted(r) : read_plain(r);
    if (st != FET_OK)
        return st;
    if (r->at < r->size && r->text[r->at] != ',' && !at_line_end(r))
        return REFUSE(r, r->line, "characters between a closing quote and the next comma");
    r->start[r->fields++] = start;
    return put(r, '\0');
}

/* The next record that is not an empty line; *end at the end of the text. */
static fet_status read_record(struct reader *r, bool *end)
{
    while (r->at < r->size && at_line_end(r)) {
        r->at += r->text[r->at] == '\r' ? 2 : 1;
        r->line++;
    }
    *end = r->at >= r->size;
    r->record = r->line;
    r->used = 0;
    r->fields = 0;
    while (!*end) {
        fet_status st = read_field(r);
        if (st != FET_OK)
            return st;
        if (r->at >= r->size || r->text[r->at] != ',')
            return FET_OK; /* the line end is passed over by the next call */
        r->at++;
    }
    return FET_OK;
}

/* Header names are compared without case and without the spaces around them. */
static bool is_named(const char *s, const char *name)
{
    size_t length = strlen(name);
    s += strspn(s, " \t");
    return strncasecmp(s, name, length) == 0 && s[length + strspn(s + length, " \t")] == '\0';
}

static void note_unused(const struct reader *r, const int *at)
{
    for (int f = 0; f < r->fields; f++) {
        bool used = false;
        for (int c = 0; c < COLUMNS; c++)
            used = used || at[c] == f;
        if (!used)
            fet__note("%s: column '%s' is not used", fet__show(r->name), fet__show(field(r, f)));
    }
}

static fet_status read_header(struct reader *r, int at[COLUMNS])
{
    bool end;
    fet_status st = read_record(r, &end);
    if (st != FET_OK)
        return st;
    if (end)
        return FET_FAIL(FET_E_FORMAT, "%s: empty; expected a first line path,label[,split,domain]", fet__show(r->name));
    for (int c = 0; c < COLUMNS; c++) {
        at[c] = -1;
        for (int f = 0; f < r->fields; f++) {
            if (!is_named(field(r, f), column_names[c]))
                continue;
            if (at[c] >= 0)
                return REFUSE(r, r->record, "two columns are named '%s'", column_names[c]);
            at[c] = f;
        }
        if (at[c] < 0 && (c == PATH || c == LABEL))
            return REFUSE(r, r->record,
                          "no column '%s'; the first line names the columns, separated by commas: "
                          "path,label[,split,domain]",
                          column_names[c]);
    }
    note_unused(r, at);
    return FET_OK;
}

static fet_status check_text(const struct reader *r, enum column c, const char *s, size_t limit)
{
    if (!*s)
        return REFUSE(r, r->record, "the %s is empty", column_names[c]);
    if (strlen(s) > limit)
        return REFUSE(r, r->record, "the %s is longer than %zu bytes", column_names[c], limit);
    return FET_OK;
}

static fet_status read_row(const struct reader *r, const int at[COLUMNS], int columns, fet__csv_row *row)
{
    if (r->fields != columns)
        return REFUSE(r, r->record, "%d fields where the first line has %d", r->fields, columns);
    *row = (fet__csv_row){.line = r->record, .path = field(r, at[PATH]), .label = field(r, at[LABEL])};
    row->domain = at[DOMAIN] >= 0 ? field(r, at[DOMAIN]) : NULL;
    fet_status st = check_text(r, PATH, row->path, FET__CSV_PATH);
    if (st == FET_OK)
        st = check_text(r, LABEL, row->label, FET__CSV_LABEL);
    if (st == FET_OK && row->domain)
        st = check_text(r, DOMAIN, row->domain, FET__CSV_LABEL);
    if (st == FET_OK && at[SPLIT] >= 0) {
        st = fet__split_parse(field(r, at[SPLIT]), &row->split);
        if (st != FET_OK)
            return fet__fail_in(FET_E_FORMAT, "%s: line %lld", fet__show(r->name), (long long)r->record);
    }
    return st;
}

fet_status fet__csv_parse(const char *text, size_t size, const char *name, fet__csv_fn fn, void *user)
{
    struct reader r = {.name = name, .text = text, .size = size, .line = 1};
    int at[COLUMNS] = {-1, -1, -1, -1}, columns;
    bool end = false;
    fet_status st;
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return FET_FAIL(FET_E_FORMAT, "%s: UTF-16 text; save it as UTF-8", fet__show(name));
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at = 3;
    r.buffer = fet__alloc_raw(FET__CSV_RECORD + 1, 1);
    if (!r.buffer)
        return FET_E_NOMEM;
    FET_TRY(read_header(&r, at));
    columns = r.fields;
    for (;;) {
        fet__csv_row row;
        FET_TRY(read_record(&r, &end));
        if (end)
            break;
        FET_TRY(read_row(&r, at, columns, &row));
        FET_TRY(fn(user, &row));
    }
done:
    fet__free(r.buffer);
    return st;
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
    fet__entry e = {.split = row->split, .domain = -1, .line = row->line};
    bool absolute = row->path[0] == '/';
    char *path = fet__arena_format(t->l->arena, "%s%s", absolute ? "" : t->folder, row->path);
    if (!path)
        return FET_E_NOMEM;
    e.path = path;
    e.rel = path + (absolute ? 0 : strlen(t->folder));
    e.bytes = fet__file_bytes(path);
    if (e.bytes < 0 && t->missing++ == 0)
        t->first_missing = path;
    fet_status st = fet__nameset_add(&t->l->classes, row->label, &e.name);
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
