/* The expectation tables of INDEX.md, read as they are written for people: `| file | bytes | error "malformed" or loads |`.
 * The first part of the text that says anything decides ("loads", "error", "refused", ...); quoted words must be in the
 * message of a refusal. What is in brackets explains and does not decide. */
#include "parity/hostile.h"

#include <ctype.h>
#include <string.h>

/* ---- from text to expectation -------------------------------------------------------------------------------- */

static bool has_one(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

static bool says_load(const char *text)
{
    static const char *const words[] = {"load", "decodes", "finish", "the first", "sparse memo", "reads as", NULL};

    return has_one(text, words);
}

static bool says_fail(const char *text)
{
    static const char *const words[] = {"error", "refuse", "malformed", "unsupported", "refusal", "too long", NULL};

    return has_one(text, words);
}

static void drop_brackets(char *text)
{
    char *to = text;
    int depth = 0;

    for (const char *from = text; *from; from++) {
        depth += *from == '(';
        if (depth == 0)
            *to++ = *from;
        depth -= *from == ')' && depth > 0;
    }
    *to = '\0';
}

static bool has_word(const hostile_row *r, const char *word)
{
    for (int i = 0; i < r->word_count; i++)
        if (strcmp(r->words[i], word) == 0)
            return true;
    return false;
}

static void add_word(hostile_row *r, const char *begin, size_t length)
{
    while (length > 0 && isspace((unsigned char)*begin)) {
        begin++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)begin[length - 1]))
        length--;
    /* Longer than that it is a description and not a word. */
    if (length > 0 && length < 25 && r->word_count < HOSTILE_WORDS)
        snprintf(r->words[r->word_count++], sizeof r->words[0], "%.*s", (int)length, begin);
}

static void add_quoted(hostile_row *r, const char *clause)
{
    for (const char *open = strchr(clause, '"'); open; open = strchr(open, '"')) {
        const char *close = strchr(open + 1, '"');

        if (!close)
            return;
        add_word(r, open + 1, (size_t)(close - open - 1));
        open = close + 1;
    }
}

/* "error: checksum / data stream" */
static void add_listed(hostile_row *r, const char *clause)
{
    const char *at = strstr(clause, "error: "), *end;

    if (!at)
        return;
    at += strlen("error: ");
    end = strstr(at, " by default");
    end = end ? end : at + strlen(at);
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash ? slash : end;

        add_word(r, at, (size_t)(stop - at));
        at = stop + 1;
    }
}

static void parse_words(hostile_row *r, const char *clause)
{
    static const char *const plain[] = {"malformed", "unsupported"};

    add_quoted(r, clause);
    if (r->word_count == 0)
        add_listed(r, clause);
    for (size_t i = 0; i < FET_COUNT(plain); i++)
        if (strstr(clause, plain[i]) && !has_word(r, plain[i]))
            add_word(r, plain[i], strlen(plain[i]));
}

static void parse_amount(hostile_row *r, const char *clause)
{
    const char *at = strstr(clause, "loads ");
    long long amount = 0;

    r->amount = at && sscanf(at, "loads %lld", &amount) == 1 ? amount : -1;
}

void hostile_row_parse(hostile_row *r)
{
    char text[sizeof r->text], *state = NULL, *arrow;

    snprintf(text, sizeof text, "%s", r->text);
    r->warns = strstr(text, "with a warning") != NULL;
    r->may_load = strstr(text, "acceptable too") != NULL;
    r->may_fail = false;
    r->word_count = 0;
    r->amount = -1;
    drop_brackets(text);
    for (char *clause = strtok_r(text, ";", &state); clause; clause = strtok_r(NULL, ";", &state)) {
        arrow = strstr(clause, "->");
        clause = arrow ? arrow + 2 : clause;
        if (!says_load(clause) && !says_fail(clause))
            continue;
        r->may_load |= says_load(clause);
        r->may_fail = says_fail(clause);
        parse_words(r, clause);
        parse_amount(r, clause);
        return;
    }
}

/* ---- from the file to rows ----------------------------------------------------------------------------------- */

/* "| `a.pt` | 267 | text |": the first column's name in backticks and the last column's text. */
static bool parse_line(hostile_row *r, const char *line, size_t length)
{
    char copy[1024], *name, *name_end, *last, *text;

    if (length < 2 || length >= sizeof copy || line[0] != '|')
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)length, line);
    name = strchr(copy, '`');
    name_end = name ? strchr(name + 1, '`') : NULL;
    last = strrchr(copy, '|');
    if (!name_end || last <= name_end)
        return false;
    *last = *name_end = '\0';
    text = strrchr(name_end + 1, '|');
    if (!text)
        return false;
    snprintf(r->file, sizeof r->file, "%s", name + 1);
    snprintf(r->text, sizeof r->text, "%s", text + 1 + strspn(text + 1, " "));
    return true;
}

static bool is_heading(const char *line, size_t length, const char *heading)
{
    size_t own = strlen(heading);

    return length >= 4 + own && strncmp(line, "### ", 4) == 0 && strncmp(line + 4, heading, own) == 0;
}

static fet_status parse_table(hostile_table *out, const char *text, size_t size, const char *heading)
{
    bool inside = false;

    for (size_t at = 0; at < size;) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;

        if (length > 0 && line[0] == '#')
            inside = is_heading(line, length, heading);
        if (inside) {
            hostile_row *rows = fet__realloc(out->rows, (size_t)out->count, (size_t)out->count + 1, sizeof *rows);
            if (!rows)
                return FET_E_NOMEM;
            out->rows = rows;
            if (parse_line(&rows[out->count], line, length))
                hostile_row_parse(&rows[out->count++]);
        }
        at += length + 1;
    }
    return FET_OK;
}

fet_status hostile_table_read(hostile_table *out, const char *index_path, const char *heading)
{
    fet_status st = FET_OK;
    fet__map map = {0};

    memset(out, 0, sizeof *out);
    FET_TRY(fet__map_open(&map, index_path));
    FET_TRY(parse_table(out, (const char *)map.data, map.size, heading));
    if (out->count == 0)
        st = FET_FAIL(FET_E_FORMAT, "%s has no table under '### %s'", fet__show(index_path), heading);
done:
    if (map.data)
        fet__map_close(&map);
    return st;
}

void hostile_table_fini(hostile_table *t)
{
    fet__free(t->rows);
    memset(t, 0, sizeof *t);
}

const hostile_row *hostile_table_find(const hostile_table *t, const char *file)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].file, file) == 0)
            return &t->rows[i];
    return NULL;
}
