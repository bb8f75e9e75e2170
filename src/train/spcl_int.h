/* What the files of SpCL's loop share: where a run stands, the streams of its images, its files. */
#ifndef FET_SPCL_INT_H
#define FET_SPCL_INT_H

#include "train/train_int.h"

enum { FET__SPCL_SOURCE, FET__SPCL_TARGET };

typedef struct fet__spcl_state {
    int64_t step, epoch, epoch_step;
    double loss_sum, source_loss_sum; /* of the running epoch's steps */
    double last_loss, seconds;
    fet__spcl_scores last, best;
    int64_t best_epoch; /* -1: none yet */
    fet__spcl_labels epoch_labels;
    fet__spcl_threshold threshold;
    int64_t log_bytes, memory;
    int threads, batch;
} fet__spcl_state;

/* One domain's training images as batches by identity. */
typedef struct fet__spcl_stream {
    const fet__reid_image *images;
    int count;
    fet__sample *samples;
    int32_t *label, *camera; /* source: identities; target: those of the epoch come from the run */
    int32_t *order;          /* of the running epoch */
    fet__loader *loader;
} fet__spcl_stream;

typedef struct fet__spcl_run {
    const fet__spcl_options *o;
    fet__model *m;
    fet__run_folder folder;
    fet__spcl_state s;
    fet__spcl_step step;
    fet__spcl_stream stream[2];
    fet__param *labels; /* state "spcl.label": `label` as it is saved */
    int32_t *label;     /* [rows]; below 0: left out of this epoch */
    int64_t source_rows, target_rows, rows, width;
    int64_t epoch_steps, steps; /* of the epoch; of the run, as far as one can tell */
    double save_seconds, begun, saved, epoch_begun;
    int64_t epoch_images;
} fet__spcl_run;

/* ---- spcl_stream.c -------------------------------------------------------------------------------------------------- */
fet_status fet__spcl_stream_open(fet__spcl_run *r, int domain);
/* Full batches of one pass; at least 1. */
fet_status fet__spcl_stream_batches(const fet__spcl_run *r, int domain, int64_t *batches);
/* The order of the running epoch, and its batches from the running step on. */
fet_status fet__spcl_stream_start(fet__spcl_run *r, int domain, int64_t batches);
void fet__spcl_stream_close(fet__spcl_stream *t);

/* ---- spcl_files.c --------------------------------------------------------------------------------------------------- */
fet_status fet__spcl_state_write(const fet__spcl_run *r);
fet_status fet__spcl_state_peek(fet__spcl_run *r); /* r->s without tensors */
fet_status fet__spcl_state_read(fet__spcl_run *r);
fet_status fet__spcl_run_write(const fet__spcl_run *r); /* run.json */
fet_status fet__spcl_run_check(const fet__spcl_run *r);
fet_status fet__spcl_log_resume(fet__spcl_run *r);
fet_status fet__spcl_log_append(fet__spcl_run *r, bool evaluated, double images_per_s);

#endif
