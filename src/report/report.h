/* Reports that a person reads: one HTML page without scripts or outside files. Knows nothing of models or runs. */
#ifndef FET_REPORT_H
#define FET_REPORT_H

#include "base/base.h"

/* ---- html.c ------------------------------------------------------------------------------------------------------- */
typedef struct fet__series {
    const char *name;
    const double *x, *y; /* NAN: no point there */
    int count;
} fet__series;
/* A page is text that grows: begin, then rows and charts, then end. All texts are escaped. */
void fet__html_begin(fet__text *t, const char *title);
void fet__html_rows(fet__text *t, const char *heading, const char *const (*rows)[2], int count);
void fet__html_chart(fet__text *t, const char *heading, const char *x_name, const fet__series *series, int count);
void fet__html_text(fet__text *t, const char *s); /* escaped, within an element or a quoted attribute */
void fet__html_end(fet__text *t);

#endif
