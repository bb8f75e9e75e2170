/* report.html of `reid train`: curves over the epochs, the match curve, and rankings of some queries as thumbnails, right ones framed green and
 * wrong ones red. One file: pictures are data URIs. */
#include "method/reid_int.h"
#include "report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define THUMB 72 /* pixels of the longer side */
#define MOST_ROWS 100000

/* ---- log.csv -------------------------------------------------------------------------------------------------------- */

/* A column by the name in the header. Rows where the field is empty are NAN. */
typedef struct column {
    const char *name;
    double *x, *y;
    int count;
} column;

static int place_of(const char *head, const char *end, const char *name)
{
    size_t n = strlen(name);
    int at = 0;

    for (const char *p = head; p < end; at++) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        if ((size_t)(stop - p) == n && memcmp(p, name, n) == 0)
            return at;
        p = stop + 1;
    }
    return -1;
}

static double field_at(const char *line, const char *end, int place)
{
    char text[64] = "";

    for (int i = 0; line <= end; i++) {
        const char *comma = line < end ? memchr(line, ',', (size_t)(end - line)) : NULL, *stop = comma ? comma : end;
        if (i == place) {
            if (stop > line && stop - line < (long)sizeof text)
                memcpy(text, line, (size_t)(stop - line));
            return text[0] ? strtod(text, NULL) : (double)NAN;
        }
        line = stop + 1;
    }
    return (double)NAN;
}

static fet_status read_column(column *c, const fet__map *log)
{
    const char *at = (const char *)log->data, *end = at + log->size, *newline;
    int place = -1, lines = 1;
    fet_status st;

    for (const char *p = at; p < end && lines < MOST_ROWS; p++)
        lines += *p == '\n';
    FET_TRY(FET_NEW(c->x, lines));
    FET_TRY(FET_NEW(c->y, lines));
    for (int row = 0; at < end && row < lines; row++, at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        newline = newline ? newline : end;
        if (row == 0) {
            place = place_of(at, newline, c->name);
            continue;
        }
        c->x[c->count] = field_at(at, newline, 0) + 1; /* epochs as people count them */
        c->y[c->count++] = place >= 0 ? field_at(at, newline, place) : (double)NAN;
    }
done:
    return st;
}

static fet_status chart(fet__text *page, const fet__map *log, const char *heading, const char *const *names,
                        const char *const *shown, int count)
{
    column c[4] = {{0}};
    fet__series series[4];
    fet_status st = FET_OK;

    for (int i = 0; i < count; i++) {
        c[i].name = names[i];
        FET_TRY(read_column(&c[i], log));
        series[i] = (fet__series){shown[i], c[i].x, c[i].y, c[i].count};
    }
    fet__html_chart(page, heading, "epoch", series, count);
done:
    for (int i = 0; i < count; i++) {
        fet__free(c[i].x);
        fet__free(c[i].y);
    }
    return st;
}

static fet_status charts(fet__text *page, const char *run)
{
    static const char *const loss[] = {"loss", "source_loss"}, *const scores[] = {"map", "rank1"},
                             *const scores_shown[] = {"mAP", "rank 1"}, *const counts[] = {"clusters", "outliers"},
                             *const truth[] = {"purity", "pair_f1"}, *const truth_shown[] = {"purity", "pair F1"};
    char *path = fet__path_join(run, "log.csv");
    fet__map log = {0};
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(fet__map_open(&log, path));
    FET_TRY(chart(page, &log, "Loss", loss, loss, 2));
    FET_TRY(chart(page, &log, "Retrieval on the query images", scores, scores_shown, 2));
    FET_TRY(chart(page, &log, "Classes of several images, and of one", counts, counts, 2));
    FET_TRY(chart(page, &log, "Classes against the true identities", truth, truth_shown, 2));
done:
    fet__map_close(&log);
    fet__free(path);
    return st;
}

static void match_curve(fet__text *page, const fet__reid_found *found)
{
    double x[FET__REID_CURVE];
    fet__series series = {"share of queries with a match so far", x, found->curve, FET__REID_CURVE};

    for (int i = 0; i < FET__REID_CURVE; i++)
        x[i] = i + 1;
    fet__html_chart(page, "Match curve (CMC) of the last epoch", "position", &series, 1);
}

/* ---- thumbnails ------------------------------------------------------------------------------------------------------- */

static void base64(fet__text *t, const unsigned char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i < 3 ? size - i : 3;
        unsigned v =
            (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=',
                        left > 2 ? digits[v & 63] : '='};
        fet__text_add(t, four, sizeof four);
    }
}

static fet_status thumbnail(fet__text *page, const fet__reid_image *image, const char *frame,
                            const fet__decode_options *decode)
{
    fet__image whole = {0}, small = {0};
    fet__text png = {0};
    int height, width;
    fet_status st;

    FET_TRY(fet__image_read(&whole, image->path, decode));
    height = whole.height >= whole.width ? THUMB : (int)((int64_t)THUMB * whole.height / whole.width);
    width = whole.width >= whole.height ? THUMB : (int)((int64_t)THUMB * whole.width / whole.height);
    height = height < 1 ? 1 : height;
    width = width < 1 ? 1 : width;
    FET_TRY(fet__image_resize(&small, &whole, 0, 0, whole.height, whole.width, height, width, FET__BICUBIC));
    FET_TRY(fet__image_encode_png(&png, &small));
    fet__text_printf(
        page, "<img width=\"%d\" height=\"%d\" style=\"border:4px solid %s\" alt=\"\" src=\"data:image/png;base64,",
        width, height, frame);
    base64(page, (const unsigned char *)png.s, png.length);
    fet__text_printf(page, "\" title=\"");
    fet__html_text(page, image->rel);
    fet__text_printf(page, "\">");
done:
    fet__image_fini(&whole);
    fet__image_fini(&small);
    fet__text_fini(&png);
    return st;
}

static fet_status query_row(fet__text *page, const fet__reid_ranking *r, const fet__reid_set *set,
                            const fet__decode_options *decode)
{
    fet_status st;

    fet__text_printf(page, "<p>");
    FET_TRY(thumbnail(page, &set->images[FET__REID_QUERY][r->query], "#888", decode));
    fet__text_printf(page, " &rarr; ");
    for (int k = 0; k < r->count; k++)
        FET_TRY(
            thumbnail(page, &set->images[FET__REID_GALLERY][r->entry[k]], r->right[k] ? "#2c9a3f" : "#d33", decode));
    fet__text_printf(page, "</p>\n");
done:
    return st;
}

static fet_status queries(fet__text *page, const fet__reid_found *found, const fet__reid_set *set,
                          const fet__decode_options *decode)
{
    fet_status st = FET_OK;

    if (!found->shown || found->shown_count == 0)
        return FET_OK;
    fet__text_printf(page, "<h2>Queries and their nearest gallery images</h2>\n<p>At the left the query; then the "
                           "nearest images, green: the same identity, red: another one. Images of the query's own "
                           "identity and camera are left out.</p>\n");
    for (int i = 0; i < found->shown_count && st == FET_OK; i++)
        st = query_row(page, &found->shown[i], set, decode);
    return st;
}

/* ---- the page ----------------------------------------------------------------------------------------------------------- */

typedef char cell[96];

static void percent(cell out, double v)
{
    if (isfinite(v))
        snprintf(out, sizeof(cell), "%.2f %%", 100 * v);
    else
        snprintf(out, sizeof(cell), "-");
}

static void summary(fet__text *page, const fet_reid_options *o, const fet_reid_result *r, const fet__reid_found *found)
{
    bool evaluated = found->scores.queries > 0;
    cell map, rank, best, purity, f1, classes, values, seconds;
    const char *rows[12][2];
    int n = 0;

    percent(map, evaluated ? found->scores.map : (double)NAN);
    snprintf(rank, sizeof rank, "%.2f / %.2f / %.2f %%", 100 * found->scores.rank1, 100 * found->scores.rank5,
             100 * found->scores.rank10);
    snprintf(best, sizeof best, "%.2f %% in epoch %lld", 100 * r->best.map, (long long)r->best_epoch + 1);
    percent(purity, r->purity);
    percent(f1, r->pair_f1);
    snprintf(classes, sizeof classes, "%lld and %lld", (long long)r->clusters, (long long)r->outliers);
    snprintf(values, sizeof values, "%lld of %lld", (long long)r->trainable, (long long)r->parameters);
    snprintf(seconds, sizeof seconds, "%.1f", r->seconds);
#define ROW(key, value) (rows[n][0] = (key), rows[n][1] = (value), n++)
    ROW("model", o->model);
    ROW("data", o->data);
    ROW("source", o->source ? o->source : "none");
    ROW("labels", o->labels);
    ROW("mAP, last epoch", map);
    ROW("rank 1 / 5 / 10", evaluated ? rank : "-");
    ROW("best mAP", r->best_epoch >= 0 ? best : "-");
    ROW("classes of several images and of one", classes);
    ROW("purity", purity);
    ROW("pair F1", f1);
    ROW("trained values", values);
    ROW("seconds", seconds);
#undef ROW
    fet__html_rows(page, "Run", (const char *const(*)[2])rows, n);
    if (evaluated)
        fet__text_printf(page, "<p>The best epoch was chosen on the same query images that it is measured on: its "
                               "score is optimistic.</p>\n");
}

fet_status fet__reid_report(const char *run, const fet_reid_options *o, const fet_reid_result *r,
                            const fet__reid_found *found, const fet__reid_set *set)
{
    fet__decode_options decode = {.max_pixels = o->data_options.max_pixels,
                                  .ignore_exif = o->data_options.ignore_exif != 0};
    char *path = fet__path_join(run, "report.html");
    fet__outfile *f = NULL;
    fet__text page = {0};
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    fet__html_begin(&page, "fettle reid train");
    summary(&page, o, r, found);
    FET_TRY(charts(&page, run));
    if (found->scores.queries > 0)
        match_curve(&page, found);
    FET_TRY(queries(&page, found, set, &decode));
    fet__html_end(&page);
    if (page.failed) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(fet__outfile_open(&f, path));
    fet__outfile_write(f, page.s, page.length);
    st = fet__outfile_commit(f);
done:
    fet__text_fini(&page);
    fet__free(path);
    return st;
}
