/* What the files of the training loop share: where a run stands, and how it is kept on disk. */
#ifndef FET_TRAIN_INT_H
#define FET_TRAIN_INT_H

#include "train/train.h"

/* Everything besides tensors that a run needs to go on as if it had never stopped. */
typedef struct fet__run_state {
    int64_t step, epoch, epoch_step; /* steps done in all; epoch that is running; batches done in it */
    double loss_sum;                 /* over the running epoch's batches, weighted with their images */
    int64_t loss_images, skipped;
    fet__eval_result last, best;
    int64_t best_epoch;              /* -1: none yet */
    double last_train_loss, seconds; /* seconds of all sessions */
    int64_t log_bytes;               /* of log.csv that belong to this state */
    int64_t memory;                  /* budget of the first start */
    int threads, batch, parts;       /* parts: in which the batch is run; 0: an old state, which does not say */
    char *alive;                     /* '1' for each trained tensor that has had a gradient; fet__alloc'ed */
} fet__run_state;

/* ---- step.c --------------------------------------------------------------------------------------------------------- */
/* Gradients of what trains and the optimiser's update into s->graph; fills the lists of trained tensors. */
fet_status fet__step_train(fet__step *s, fet__model *m, fet__node *loss, const fet__step_options *o);
/* Mean of `each` over the samples with a label from 0 on. */
fet__node *fet__mean_loss(fet__graph *g, fet__node *each, fet__node *labels);

/* ---- budget_note.c -------------------------------------------------------------------------------------------------- */
/* Says what a budget led to: what is computed again, in how many parts a batch is run, what is planned of the budget. */
void fet__note_budget(const fet__program *p, const fet__program_info *info, int batch, int parts, int64_t budget);

/* ---- run_programs.c ------------------------------------------------------------------------------------------------- */
typedef struct fet__run_programs {
    fet__step step, evaluation; /* evaluation: no program where there is nothing to evaluate on */
    int evaluation_batch;
    fet__program_info plan; /* of both, with the loaders' batches in the total */
    int64_t cache_bytes;    /* what may be spent on decoded images */
} fet__run_programs;
/* Programs that together fit s->memory; s->parts is followed, or filled in where it is 0. Notes what the budget led to. */
fet_status fet__run_programs_open(fet__run_programs *out, fet__model *m, const fet__dataset *d,
                                  const fet__loop_options *o, fet__run_state *s);
void fet__run_programs_close(fet__run_programs *p);

/* ---- checkpoint.c ------------------------------------------------------------------------------------------------- */
/* state.safetensors: trained tensors as param.NAME, optimiser states by their names, the rest as JSON metadata. Atomic. */
fet_status fet__checkpoint_write(const char *path, const fet__model *m, const fet__run_state *s);
/* Reads it back into the model's store and `s`; every tensor must be there with its shape. */
fet_status fet__checkpoint_read(const char *path, fet__model *m, fet__run_state *s);
/* Only the JSON part (the budget and batch are needed before the program is built). */
fet_status fet__checkpoint_peek(const char *path, fet__run_state *s);
void fet__run_state_fini(fet__run_state *s);
/* The same for runs with a state of their own: the store's trained tensors and states with `text` as metadata fettle.state. Reading: the
 * store may be NULL; *text (caller frees) may be. */
fet_status fet__state_write(const char *path, const fet__params *store, const char *text);
fet_status fet__state_read(const char *path, fet__params *store, char **text);

/* ---- average.c ---------------------------------------------------------------------------------------------------- */
#define FET__STATE_NAME 512
/* Trained tensors and running statistics exchange contents with their averages, where they have one; again: back. */
void fet__average_exchange(fet__params *store);

/* ---- run_folder.c ------------------------------------------------------------------------------------------------- */
typedef struct fet__run_folder {
    char *path, *state, *adapter, *best, *model, *log, *json, *report;
} fet__run_folder;
/* Looks only, the folder is made later: a new one, or with `resume` an existing one that holds state.safetensors or at least run.json. */
fet_status fet__run_open(fet__run_folder *out, const char *path, bool resume, bool *has_state);
void fet__run_close(fet__run_folder *r);
fet_status fet__run_write_json(const fet__run_folder *r, fet__model *m, const fet__dataset *d,
                               const fet__loop_options *o, const fet__run_state *s, const fet__program_info *info);
/* The base model and the data of a resumed run must be those of its first start. */
fet_status fet__run_check(const fet__run_folder *r, fet__model *m, const fet__dataset *d);
/* Cut log.csv back to what the state knows, or begin it. */
fet_status fet__log_resume(const fet__run_folder *r, fet__run_state *s);
/* One line; the columns of the evaluation stay empty where there was none in this epoch. */
fet_status fet__log_append(const fet__run_folder *r, fet__run_state *s, bool evaluated, double lr, double images_per_s);

/* ---- run_report.c ------------------------------------------------------------------------------------------------- */
fet_status fet__run_report(const fet__run_folder *r, fet__model *m, const fet__dataset *d,
                           const fet__loop_result *result);

#endif
