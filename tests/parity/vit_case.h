/* A vision transformer out of a golden file: the model from metadata, tensors under our names, batches as the
 * model wants them, one program with logits, loss, residual stream and gradients. Shared by the kinds
 * hydra.vit_*. */
#ifndef FET_PARITY_VIT_CASE_H
#define FET_PARITY_VIT_CASE_H

#include "parity/parity.h"
#include "train/train.h"

typedef struct vit_case {
    parity_case *c;
    fet__tensors *base_file; /* beside the golden, or NULL when the golden is whole */
    parity_case base;        /* its tensors; or the golden's own */
    fet__model *m;
    int batch, depth;
    int64_t batches;         /* image sets in the file */
    double *images, *labels; /* of all batches; images NHWC */
} vit_case;

/* Model with the base parameters and, when `adapter` is not NULL, that adapter attached and filled from the
 * golden's param.*. */
fet_status vit_open(vit_case *v, parity_case *c, const char *adapter);
void vit_close(vit_case *v);
/* Our name for a golden's: "blocks.0.attn.hydra_proj_par.down_proj.weight" is
 * "blocks.0.attn.proj.hydra.par.down.weight", "..attn.lora_q_down" is "..attn.q.lora.down.weight". Returns
 * out. */
const char *vit_name(const char *golden, char out[200]);
/* A golden may hold the tensors of several blocks in one, along its first axis: how many, and our name of one of them. */
int vit_parts(const fet__entry *e);
const char *vit_part_name(const char *golden, int part, char out[200]);
/* Logits, loss, out.embed and out.block*, gradients of every grad.* of the golden, on batch 0. */
fet_status vit_check_graph(vit_case *v);
/* Logits and loss of an evaluation step (fet__step) on a batch: compares with `logits_name`, and with "loss"
 * when check_loss. */
fet_status vit_check_step(vit_case *v, const char *logits_name, bool check_loss);
/* Merge the adapter: out.merged.* and out.merged_logits. */
fet_status vit_check_merge(vit_case *v);
/* Batch i into a program's inputs. */
void vit_feed(const vit_case *v, void *images, fet_dtype type, int32_t *labels, int64_t i);

#endif
