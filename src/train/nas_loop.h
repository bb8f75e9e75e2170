/* What the files of a search's loop share: where it stands, and how that is kept on disk. */
#ifndef FET_NAS_LOOP_H
#define FET_NAS_LOOP_H

#include "train/nas.h"
#include "train/train_int.h"

/* Everything besides tensors that a search needs to go on as if it had never stopped. Alphas are in the gates. */
typedef struct fet__nas_state {
    int64_t step, epoch, epoch_step, alpha_steps; /* steps of weights; batches of the running epoch; steps of alpha */
    double loss_sum, alpha_sum;                   /* over the running epoch's steps */
    int64_t epoch_alphas;
    double last_loss, last_alpha, seconds;
    int64_t log_bytes, memory;
    int threads, batch;
} fet__nas_state;

typedef struct fet__nas_run {
    const fet__nas_search_options *o;
    fet__run_folder folder;
    char *state_path, *log_path;
    fet__nas_state s;
    fet__nas_super super;
    fet__nas_gates gates;
    fet__nas_choice *choice;
    double *grad;            /* of alpha, [positions][FET__NAS_SPACE] */
    fet__sample *samples[2]; /* of steps of weights, of alpha */
    int count[2];
    fet__loader *loader[2];
    int64_t epoch_steps, steps,
        alpha_epoch; /* of an epoch; of the search; epoch of the alphas' loader, -1: not begun */
    double save_seconds, begun, saved, epoch_begun;
    int64_t epoch_images;
    double build_seconds, run_seconds; /* of this session's steps of weights */
    int64_t session_steps, step_bytes, alpha_bytes;
} fet__nas_run;

/* ---- nas_files.c ------------------------------------------------------------------------------------------------------ */
fet_status fet__nas_state_write(const fet__nas_run *r);
/* r->s alone, without tensors and alphas. */
fet_status fet__nas_state_peek(fet__nas_run *r);
fet_status fet__nas_state_read(fet__nas_run *r);
fet_status fet__nas_json_write(const fet__nas_run *r); /* run.json */
fet_status fet__nas_json_check(const fet__nas_run *r); /* of a resumed search: the data are those of its start */
fet_status fet__nas_log_resume(fet__nas_run *r);
fet_status fet__nas_log_append(fet__nas_run *r, double lr, double images_per_s);

/* ---- nas_split.c ------------------------------------------------------------------------------------------------------- */
/* Which of the training images steps of weights take and which those of alpha: of each class the share, by the seed. */
fet_status fet__nas_split(fet__nas_run *r);

#endif
