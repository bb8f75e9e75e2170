/* A training step whose batch is run in parts, the gradients added up: one program for the parts, one for the update. step.c builds with it; what
 * a part's graph looks like is build's business there. */
#ifndef FET_MICRO_BATCH_H
#define FET_MICRO_BATCH_H

#include "train/train_int.h"

/* How many parts, while a part's graph is built. */
typedef struct fet__micro_form {
    int parts;
    fet__node *part; /* i32 [1]: which part this is; made when first asked for */
} fet__micro_form;

/* Dropout and drop path draw for the whole batch and a part takes its rows, so that the numbers do not depend on the parts. */
void fet__micro_masks(fet__micro_form *f, fet__build *b);
/* The sum of the part over the labels of the whole batch. */
fet__node *fet__micro_mean(fet__graph *g, fet__node *each);
/* step.c: the lists of trained tensors. */
fet_status fet__step_collect(fet__step *s, fet__model *m);
/* Takes over s->graph, a part's graph with its loss; s becomes the step of the whole batch. s->params are collected. FET_E_NOMEM: over the budget. */
fet_status fet__micro_create(fet__step *s, fet__model *m, fet__node *loss, const fet__step_options *o, int batch);
void fet__micro_destroy(struct fet__micro *u);
fet_status fet__micro_compute(fet__step *s);
fet__program *fet__micro_program(const struct fet__micro *u); /* of a part */
/* Both programs, a whole step. */
fet__program_info fet__micro_info(const fet__step *s);

#endif
