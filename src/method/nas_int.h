/* What the files of nas_*.c share: the frame of a search and the table of measured blocks. */
#ifndef FET_NAS_INT_H
#define FET_NAS_INT_H

#include "fettle/nas.h"
#include "method/method_int.h"
#include "model/quadranet.h"
#include "train/nas.h"

/* Milliseconds of each candidate but the identity in each stage, and of all that is no block. */
typedef struct fet__nas_table {
    double fixed, block[QUADRANET_STAGES][FET__NAS_IDENTITY];
} fet__nas_table;

/* ---- nas_table.c --------------------------------------------------------------------------------------------------- */
/* The quadratic network named by `text` (NULL: quadranet36_xxs), whose blocks must not differ. fet__arch_fini ends it. */
fet_status fet__nas_frame(fet__arch *out, const char *text);
/* Rows, columns and channels of a stage. */
void fet__nas_stage(const fet__arch *frame, int stage, int grid[2], int *channels);
/* fixed + the blocks of `q`, whose kernels and expansions are of the space. */
double fet__nas_predict(const fet__nas_table *t, const fet__quadranet *q);
fet_status fet__nas_table_write(const fet__nas_table *t, const fet__arch *frame, const char *path,
                                const fet_nas_profile_report *report);
/* FET_E_FORMAT names what is absent or no positive number; FET_E_ARG: it was measured on another machine, with other threads or another
 * version, unless `foreign`. */
fet_status fet__nas_table_read(fet__nas_table *out, const fet__arch *frame, const char *path, bool foreign);

#endif
