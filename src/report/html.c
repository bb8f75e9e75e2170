/* HTML pages with tables and line charts (inline SVG): what report.html of a run is made of. */
#include "report/report.h"

#include <math.h>
#include <string.h>

#define WIDTH 640.0
#define HEIGHT 260.0
#define LEFT 64.0
#define RIGHT 16.0
#define TOP 16.0
#define BOTTOM 36.0

void fet__html_text(fet__text *t, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            fet__text_add(t, "&lt;", 4);
        else if (*s == '>')
            fet__text_add(t, "&gt;", 4);
        else if (*s == '&')
            fet__text_add(t, "&amp;", 5);
        else if (*s == '"')
            fet__text_add(t, "&quot;", 6);
        else
            fet__text_add(t, s, 1);
    }
}

static void element(fet__text *t, const char *tag, const char *text)
{
    fet__text_printf(t, "<%s>", tag);
    fet__html_text(t, text);
    fet__text_printf(t, "</%s>", tag);
}

void fet__html_begin(fet__text *t, const char *title)
{
    fet__text_printf(t, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    element(t, "title", title);
    fet__text_printf(t, "<style>body{font:15px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 "
                        "1em;color:#222}table{border-collapse:collapse}"
                        "td{padding:.15em 1em .15em "
                        "0;vertical-align:top}td+td{font-family:monospace;word-break:break-all}h2{margin-top:1.6em}"
                        "svg{width:100%%;height:auto}text{font:12px sans-serif;fill:#555}</style></head><body>\n");
    element(t, "h1", title);
}

void fet__html_rows(fet__text *t, const char *heading, const char *const (*rows)[2], int count)
{
    int i;

    element(t, "h2", heading);
    fet__text_printf(t, "<table>\n");
    for (i = 0; i < count; i++) {
        fet__text_printf(t, "<tr>");
        element(t, "td", rows[i][0]);
        element(t, "td", rows[i][1]);
        fet__text_printf(t, "</tr>\n");
    }
    fet__text_printf(t, "</table>\n");
}

typedef struct range {
    double low, high;
} range;

static void widen(range *r, double v)
{
    if (!isfinite(v))
        return;
    if (v < r->low)
        r->low = v;
    if (v > r->high)
        r->high = v;
}

static double place(range r, double v, double from, double to)
{
    return r.high > r.low ? from + (to - from) * (v - r.low) / (r.high - r.low) : (from + to) / 2;
}

static void axes(fet__text *t, range x, range y, const char *x_name)
{
    int i;

    for (i = 0; i <= 4; i++) {
        double v = y.low + (y.high - y.low) * i / 4, at = place(y, v, HEIGHT - BOTTOM, TOP);
        fet__text_printf(t,
                         "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%g\" y=\"%.1f\" "
                         "text-anchor=\"end\">%.4g</text>",
                         LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4, v);
    }
    fet__text_printf(t, "<text x=\"%g\" y=\"%g\">%.4g</text><text x=\"%g\" y=\"%g\" text-anchor=\"end\">", LEFT,
                     HEIGHT - 18, x.low, WIDTH - RIGHT, HEIGHT - 18);
    fet__text_printf(t, "%.4g</text><text x=\"%g\" y=\"%g\" text-anchor=\"middle\">", x.high, WIDTH / 2, HEIGHT - 18);
    fet__html_text(t, x_name);
    fet__text_printf(t, "</text>");
}

void fet__html_chart(fet__text *t, const char *heading, const char *x_name, const fet__series *series, int count)
{
    static const char *const colours[] = {"#0b6e99", "#c4541a", "#3b8132", "#7a3e9d"};
    range x = {INFINITY, -INFINITY}, y = {INFINITY, -INFINITY};
    int i, k;

    for (i = 0; i < count; i++)
        for (k = 0; k < series[i].count; k++)
            if (isfinite(series[i].y[k])) {
                widen(&x, series[i].x[k]);
                widen(&y, series[i].y[k]);
            }
    if (x.low > x.high)
        return;
    element(t, "h2", heading);
    fet__text_printf(t, "<svg viewBox=\"0 0 %g %g\">", WIDTH, HEIGHT);
    axes(t, x, y, x_name);
    for (i = 0; i < count; i++) {
        const char *colour = colours[i % (int)FET_COUNT(colours)];
        fet__text_printf(t, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", colour);
        for (k = 0; k < series[i].count; k++)
            if (isfinite(series[i].y[k]))
                fet__text_printf(t, "%.1f,%.1f ", place(x, series[i].x[k], LEFT, WIDTH - RIGHT),
                                 place(y, series[i].y[k], HEIGHT - BOTTOM, TOP));
        fet__text_printf(t, "\"/><text x=\"%g\" y=\"%g\" style=\"fill:%s\">", LEFT + 120.0 * i, HEIGHT - 2, colour);
        fet__html_text(t, series[i].name);
        fet__text_printf(t, "</text>");
    }
    fet__text_printf(t, "</svg>\n");
}

void fet__html_end(fet__text *t)
{
    fet__text_printf(t, "</body></html>\n");
}
