/* What the programs of MABN (mabn_step.c) and of its rivals (rival_step.c) are put together from. */
#ifndef FET_MABN_PARTS_H
#define FET_MABN_PARTS_H

#include "train/mabn.h"

fet_status fet__mabn_begin(fet__mabn_step *s, fet__build *b, fet__model *m, bool train);
fet__node *fet__mabn_pictures(fet__mabn_step *s, const fet__model *m, const char *name, int count);
fet__node *fet__mabn_labels(fet__mabn_step *s, const fet__mabn *a, int count); /* classes, or numbers */
void fet__mabn_show(fet__mabn_step *s, const char *name, fet__node *x);        /* as an output; NULL: nothing */
/* Optimiser on `v` by its gradients; what is written must be the store's own memory. */
fet_status fet__mabn_update(fet__mabn_step *s, fet__params *store, const fet__values *v, fet__node *const *grad,
                            const fet__optimizer_options *o);
fet_status fet__own_all(fet__params *store);
/* The program, and where its inputs and outputs lie; `finite` names the output that must be finite. */
fet_status fet__mabn_finish(fet__mabn_step *s, int64_t memory, const char *finite);
/* For fet__build.norm_mode: the mode that `user` points to. */
fet__norm_mode fet__norm_mode_given(void *user, const fet__build *b, const char *name);

/* ---- mabn_branch.c ---------------------------------------------------------------------------------------------------- */
fet_status fet__mabn_check_norms(const fet__model *m); /* are there norms to adapt? */
/* RUN/branch.safetensors and its metadata (lent by the file); and its tensors into a store. */
fet_status fet__branch_open(fet__tensors **out, const char **text, const char *path);
fet_status fet__branch_add_all(fet__params *store, const fet__tensors *t, const char *path);

#endif
