/* Fuzz target: the CSV parser. Rows that come out have what they promise, in the order of their lines; a refusal names
 * the file; and rows written as CSV again are the same rows. */
#include <stdlib.h>
#include <string.h>

#include "data/data_int.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct rows {
    int64_t line;
    fet__text again; /* the rows as CSV with every field quoted */
};

static void quote(fet__text *t, const char *s, const char *after)
{
    fet__text_add(t, "\"", 1);
    for (; *s; s++)
        fet__text_add(t, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
    fet__text_printf(t, "\"%s", after);
}

static fet_status take(void *user, const fet__csv_row *row)
{
    struct rows *r = user;
    size_t length = strlen(row->path);
    require(row->line > r->line);
    require(length > 0 && length <= FET__CSV_PATH);
    require(row->label[0] && strlen(row->label) <= FET__CSV_LABEL);
    require(row->split >= FET__TRAIN && row->split < FET__SPLITS);
    require(!row->domain || row->domain[0]);
    r->line = row->line;
    quote(&r->again, row->path, ",");
    quote(&r->again, row->label, ",");
    quote(&r->again, row->domain ? row->domain : "none", ",");
    fet__text_printf(&r->again, "%s\r\n", fet__split_name(row->split));
    return FET_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rows first = {.line = 1}, second = {.line = 1};
    fet__text_printf(&first.again, "path,label,domain,split\r\n");
    fet__text_printf(&second.again, "path,label,domain,split\r\n");
    if (fet__csv_parse((const char *)data, size, "input", take, &first) == FET_OK) {
        fet_status st = fet__csv_parse(first.again.s, first.again.length, "again", take, &second);
        /* Quotes make records longer: only that may stand in the way. */
        require(st == FET_OK || strstr(fet_error_message(), "longer than"));
        if (st == FET_OK)
            require(first.again.length == second.again.length && strcmp(first.again.s, second.again.s) == 0);
    } else {
        require(strncmp(fet_error_message(), "input: ", 7) == 0);
    }
    fet__text_fini(&first.again);
    fet__text_fini(&second.again);
    return 0;
}
