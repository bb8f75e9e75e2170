/* CSV text to rows: RFC 4180 with quoted fields (line ends within quotes too), CRLF or LF, a byte-order mark allowed. Columns are
 * found by the names in the first line, in any order. Every refusal names the line. What the columns mean is the caller's. */
#include "data/data_int.h"

#include <string.h>
#include <strings.h>

/* The record being read: its fields lie in `buffer` one after the other, each with a NUL. */
struct reader {
    const char *name; /* of the file */
    const fet__csv_column *columns;
    int column_count;
    const char *usage;
    const char *text;
    size_t size, at;
    int64_t line;   /* of text[at], from 1 */
    int64_t record; /* line where the record began */
    bool quiet;     /* columns that nobody asks for are usual */
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
    for (int f = 0; f < r->fields && !r->quiet; f++) {
        bool used = false;
        for (int c = 0; c < r->column_count; c++)
            used = used || at[c] == f;
        if (!used)
            fet__note("%s: column '%s' is not used", fet__show(r->name), fet__show(field(r, f)));
    }
}

static fet_status read_header(struct reader *r, int *at)
{
    bool end;
    fet_status st = read_record(r, &end);
    if (st != FET_OK)
        return st;
    if (end)
        return FET_FAIL(FET_E_FORMAT, "%s: empty; expected a first line %s", fet__show(r->name), r->usage);
    for (int c = 0; c < r->column_count; c++) {
        for (int f = 0; f < r->fields; f++) {
            if (!is_named(field(r, f), r->columns[c].name))
                continue;
            if (at[c] >= 0)
                return REFUSE(r, r->record, "two columns are named '%s'", r->columns[c].name);
            at[c] = f;
        }
        if (at[c] < 0 && r->columns[c].needed)
            return REFUSE(r, r->record, "no column '%s'; the first line names the columns, separated by commas: %s",
                          r->columns[c].name, r->usage);
    }
    note_unused(r, at);
    return FET_OK;
}

static fet_status read_row(const struct reader *r, const int *at, int fields, const char **value)
{
    if (r->fields != fields)
        return REFUSE(r, r->record, "%d fields where the first line has %d", r->fields, fields);
    for (int c = 0; c < r->column_count; c++) {
        const fet__csv_column *column = &r->columns[c];
        value[c] = at[c] >= 0 ? field(r, at[c]) : NULL;
        if (!value[c])
            continue;
        if (!*value[c] && !column->may_be_empty)
            return REFUSE(r, r->record, "the %s is empty", column->name);
        if (strlen(value[c]) > column->limit)
            return REFUSE(r, r->record, "the %s is longer than %zu bytes", column->name, column->limit);
    }
    return FET_OK;
}

static fet_status read_rows(struct reader *r, fet__csv_row_fn fn, void *user)
{
    int at[FET__CSV_COLUMNS], fields;
    const char *value[FET__CSV_COLUMNS];
    bool end = false;
    fet_status st;
    memset(at, -1, sizeof at);
    st = read_header(r, at);
    fields = r->fields;
    while (st == FET_OK) {
        st = read_record(r, &end);
        if (st != FET_OK || end)
            break;
        st = read_row(r, at, fields, value);
        if (st == FET_OK)
            st = fn(user, r->record, value);
    }
    return st;
}

static fet_status read_text(struct reader r, fet__csv_row_fn fn, void *user)
{
    const char *text = r.text, *name = r.name;
    size_t size = r.size;
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return FET_FAIL(FET_E_FORMAT, "%s: UTF-16 text; save it as UTF-8", fet__show(name));
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at = 3;
    r.buffer = fet__alloc_raw(FET__CSV_RECORD + 1, 1);
    if (!r.buffer)
        return FET_E_NOMEM;
    fet_status st = read_rows(&r, fn, user);
    fet__free(r.buffer);
    return st;
}

fet_status fet__csv_read(const char *text, size_t size, const char *name, const fet__csv_column *columns, int count,
                         const char *usage, fet__csv_row_fn fn, void *user)
{
    struct reader r = {
        .name = name, .columns = columns, .column_count = count, .usage = usage, .text = text, .size = size, .line = 1};
    return read_text(r, fn, user);
}

fet_status fet__csv_read_file(const char *path, const fet__csv_column *columns, int count, const char *usage,
                              fet__csv_row_fn fn, void *user)
{
    struct reader r = {
        .name = path, .columns = columns, .column_count = count, .usage = usage, .line = 1, .quiet = true};
    fet__map map;
    fet_status st = fet__map_open(&map, path);
    if (st != FET_OK)
        return st;
    r.text = (const char *)map.data;
    r.size = map.size;
    st = read_text(r, fn, user);
    fet__map_close(&map);
    return st;
}
