/* report.html of a run: what was trained on what, how it went, from log.csv. The page's form is report/'s. */
#include "report/report.h"
#include "train/train_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 10, EPOCH = 0, TRAIN_LOSS = 3, VAL_LOSS = 4, VAL_TOP1 = 5 };

/* Columns of log.csv as arrays; empty fields are NAN. */
typedef struct log_table {
    double *column[COLUMNS];
    int rows;
} log_table;

static void table_fini(log_table *t)
{
    int i;

    for (i = 0; i < COLUMNS; i++)
        fet__free(t->column[i]);
}

static void read_row(log_table *t, const char *line, const char *end)
{
    int c;

    for (c = 0; c < COLUMNS && line <= end; c++) {
        const char *comma = memchr(line, ',', (size_t)(end - line));
        const char *stop = comma ? comma : end;
        char text[64] = "";
        if (stop > line && stop - line < (long)sizeof text)
            memcpy(text, line, (size_t)(stop - line));
        t->column[c][t->rows] = text[0] ? strtod(text, NULL) : (double)NAN;
        line = stop + 1;
    }
    t->rows++;
}

static fet_status read_log(log_table *t, const char *path)
{
    fet__map map = {0};
    const char *at, *end;
    int lines = 1, i;
    fet_status st;

    FET_TRY(fet__map_open(&map, path));
    at = (const char *)map.data;
    end = at + map.size;
    for (i = 0; i < (int)map.size; i++)
        lines += at[i] == '\n';
    for (i = 0; i < COLUMNS; i++)
        FET_TRY(FET_NEW(t->column[i], lines));
    for (i = 0; at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        if (i > 0)
            read_row(t, at, stop);
        at = stop + 1;
    }
done:
    fet__map_close(&map);
    return st;
}

static const char *text_of(fet__arena *a, double v, const char *format)
{
    char *s;

    if (!isfinite(v))
        return "-";
    s = fet__arena_alloc(a, 64, 1);
    if (!s)
        return "-";
    if (strcmp(format, "percent") == 0)
        snprintf(s, 64, "%.2f %%", 100 * v);
    else if (strcmp(format, "count") == 0)
        snprintf(s, 64, "%.0f", v);
    else
        snprintf(s, 64, "%.5g", v);
    return s;
}

static void summary(fet__text *page, fet__arena *a, fet__model *m, const fet__dataset *d, const fet__loop_result *r)
{
    const char *rows[12][2];
    bool evaluated = r->last.images > 0;
    int n = 0;
    fet__text arch = {0};

    m->arch.class_->print(&m->arch, &arch);
#define ROW(key, value) (rows[n][0] = (key), rows[n][1] = (value), n++)
    ROW("model", m->path);
    ROW("architecture", arch.s ? arch.s : "");
    ROW("adapter", m->adapter ? m->adapter->spec : "none");
    ROW("data", d->root);
    ROW("training images", text_of(a, d->count[FET__TRAIN], "count"));
    ROW("validation images", text_of(a, d->count[FET__VAL], "count"));
    ROW("trained values", text_of(a, (double)r->trainable, "count"));
    ROW("all values", text_of(a, (double)r->parameters, "count"));
    ROW("seconds", text_of(a, r->seconds, ""));
    ROW("top-1, last epoch", text_of(a, evaluated ? r->last.top1 : (double)NAN, "percent"));
    ROW("top-1, best epoch", text_of(a, evaluated ? r->best.top1 : (double)NAN, "percent"));
#undef ROW
    fet__html_rows(page, "What was done", (const char *const(*)[2])rows, n);
    fet__text_fini(&arch);
}

fet_status fet__run_report(const fet__run_folder *r, fet__model *m, const fet__dataset *d,
                           const fet__loop_result *result)
{
    log_table t = {0};
    fet__text page = {0};
    fet__arena arena = {0};
    fet__outfile *f = NULL;
    fet_status st;

    FET_TRY(read_log(&t, r->log));
    fet__html_begin(&page, "fettle run");
    summary(&page, &arena, m, d, result);
    {
        fet__series loss[2] = {{"training", t.column[EPOCH], t.column[TRAIN_LOSS], t.rows},
                               {"validation", t.column[EPOCH], t.column[VAL_LOSS], t.rows}};
        fet__series top1[1] = {{"validation", t.column[EPOCH], t.column[VAL_TOP1], t.rows}};
        fet__html_chart(&page, "Loss", "epoch", loss, 2);
        fet__html_chart(&page, "Top-1 accuracy", "epoch", top1, 1);
    }
    fet__html_end(&page);
    if (page.failed) {
        st = FET_FAIL(FET_E_NOMEM, "no memory for the report");
        goto done;
    }
    FET_TRY(fet__outfile_open(&f, r->report));
    fet__outfile_write(f, page.s, page.length);
    st = fet__outfile_commit(f);
done:
    table_fini(&t);
    fet__text_fini(&page);
    fet__arena_fini(&arena);
    return st;
}
