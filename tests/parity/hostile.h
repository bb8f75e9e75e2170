/* Files that are an attack or broken, and what INDEX.md says must happen to each: reading its tables, trying a file in a
 * child process under limits, and the verdict. What "reading" means is the kind's. */
#ifndef FET_PARITY_HOSTILE_H
#define FET_PARITY_HOSTILE_H

#include "parity/parity.h"

/* ---- hostile_table.c: a row of a table in INDEX.md ------------------------------------------------------------- */
#define HOSTILE_WORDS 4
typedef struct hostile_row {
    char file[128];
    char text[512];                /* of the last column */
    bool may_load, may_fail;       /* both where the text leaves it open */
    bool warns;                    /* when it loads */
    char words[HOSTILE_WORDS][32]; /* one of them is in the refusal's message; none: any message will do */
    int word_count;
    int64_t amount; /* "loads 5000 empty tensors", "loads 3 values"; -1: not told */
} hostile_row;
typedef struct hostile_table {
    hostile_row *rows;
    int count;
} hostile_table;
/* The table under the heading that begins with `heading`. */
fet_status hostile_table_read(hostile_table *out, const char *index_path, const char *heading);
void hostile_table_fini(hostile_table *t);
const hostile_row *hostile_table_find(const hostile_table *t, const char *file);
void hostile_row_parse(hostile_row *r); /* from file and text to the rest */

/* ---- hostile_try.c: one file in a child process ---------------------------------------------------------------- */
typedef struct hostile_outcome {
    bool ended; /* the reader returned */
    int signal; /* what killed the child, or 0 */
    fet_status st;
    double seconds;
    int64_t grown; /* bytes of resident memory, at the peak */
    int64_t tensors, values;
    char message[1024], warning[512];
} hostile_outcome;
/* Reads the file; counts what it got. */
typedef fet_status (*hostile_reader)(const char *path, hostile_outcome *o);
fet_status hostile_try(hostile_outcome *o, const char *path, hostile_reader read);
bool hostile_memory_is_unlimited(void); /* under a sanitizer */

/* ---- hostile_judge.c: a whole folder ----------------------------------------------------------------------------- */
/* Try every file of the folder c->path and hold it against the table of the INDEX.md two folders above it. Each that
 * differs is named on stderr. */
fet_status hostile_folder(parity_case *c, const char *heading, hostile_reader read);

#endif
