/* A golden with some tensors cut into others, for what a reference keeps in one tensor and we in several. The copy is checked in the
 * golden's place; what was compared of it counts for the golden. */
#ifndef FET_PARITY_GOLDEN_COPY_H
#define FET_PARITY_GOLDEN_COPY_H

#include "parity/parity.h"

#define GOLDEN_COPY_LIMIT 1024

typedef struct golden_copy {
    fet__entry entry[GOLDEN_COPY_LIMIT];
    char name[GOLDEN_COPY_LIMIT][200];
    void *owned[GOLDEN_COPY_LIMIT]; /* cut data; NULL: the golden's */
    int count;
    fet__tensors *t;   /* the copy, opened */
    parity_case case_; /* to be checked */
} golden_copy;

/* How one entry comes over: a call or several of golden_rows or golden_columns, or of golden_keep. */
typedef fet_status golden_cut(golden_copy *x, const fet__entry *e);
fet_status golden_keep(golden_copy *x, const fet__entry *e);
/* Part `part` of `parts` equal blocks of rows, or of columns of a float32 matrix. */
fet_status golden_rows(golden_copy *x, const fet__entry *e, const char *name, int64_t part, int64_t parts);
fet_status golden_columns(golden_copy *x, const fet__entry *e, const char *name, int64_t part, int64_t parts);

fet_status golden_copy_open(golden_copy **out, const parity_case *c, golden_cut *cut);
/* Ends it; with `count` what was compared counts for c. */
void golden_copy_close(golden_copy *x, parity_case *c, golden_cut *cut, bool count);

#endif
