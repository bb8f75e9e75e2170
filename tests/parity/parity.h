/* The parity runner's inner interface: one function a kind of golden file, which computes with libfettle and
 * compares. main.c walks folders, dispatches on the metadata's `kind`, and prints. Tests may use everything
 * in src/. */
#ifndef FET_PARITY_H
#define FET_PARITY_H

#include "store/store.h"

/* One golden (file or folder) being checked. A kind calls parity_compare for each expected tensor; any
 * failure of the work itself is returned as a status with its message. */
typedef struct parity_case {
    const char *path;   /* the file, or the folder for kinds without safetensors */
    const char *folder; /* where it lies; base_file is beside it */
    fet__tensors *t;    /* NULL for folder kinds */
    int compared;       /* tensors compared so far; a kind that compares nothing fails */
    double worst;       /* largest error over its tolerance so far; > 1 fails */
    double worst_error, worst_tolerance;
    char worst_name[160];
    bool *seen;      /* per entry of t: compared or noted; main.c fails a golden of which a result was forgotten */
    bool reference;  /* run graphs by the reference kernels alone, in double where the kind builds the graph */
    double **record; /* not NULL: keep what would be compared, per entry of t (tests/golden makes goldens so) */
} parity_case;

/* Metadata as number or text; the defaults are for absent keys. */
double parity_number(const parity_case *c, const char *key, double fallback);
const char *parity_text(const parity_case *c, const char *key, const char *fallback);
/* Entry by name as float64 array (caller frees); FET_E_FORMAT when absent. count may be NULL. */
fet_status parity_doubles(const parity_case *c, const char *name, double **out, int64_t *count);

/* How far values may be apart. ABS: absolute. MAX: relative to the largest entry of the expected tensor.
 * MIXED: value + 1e-4 * |expected| (or another share that the metadata names). REL: relative to each expected
 * entry. */
typedef enum parity_mode { PARITY_ABS, PARITY_MAX, PARITY_MIXED, PARITY_REL } parity_mode;
/* Tolerance for tensor `name`: from metadata `tol` (longest prefix) if present, else the given one. */
void parity_tolerance(const parity_case *c, const char *name, parity_mode *mode, double *value);
/* Compare with entry `name` of the golden. Counts, sizes and non-finite values must agree too. */
fet_status parity_compare(parity_case *c, const char *name, const void *actual, fet_dtype type, int64_t count,
                          parity_mode mode, double tolerance);
/* The same for one number. */
fet_status parity_compare_one(parity_case *c, const char *name, double actual, parity_mode mode, double tolerance);
/* Note an error measured by the kind itself. */
void parity_note(parity_case *c, const char *name, double error, double tolerance);

typedef struct parity_kind {
    const char *kind; /* "data.resize" */
    fet_status (*run)(parity_case *c);
    const char *folder; /* not NULL: for what is no safetensors: the end of its path, e.g. "images/bad" */
} parity_kind;
extern const parity_kind parity_kinds[]; /* kinds.c: ended by kind NULL */

/* kind_*.c */
fet_status parity_augment_blur(parity_case *c);
fet_status parity_augment_color(parity_case *c);
fet_status parity_augment_geom(parity_case *c);
fet_status parity_augment_levels(parity_case *c);
fet_status parity_augment_mix(parity_case *c);
fet_status parity_spcl_preprocess(parity_case *c);
fet_status parity_decode(parity_case *c);
fet_status parity_resize(parity_case *c);
fet_status parity_images_bad(parity_case *c);
fet_status parity_ckpt_valid(parity_case *c);
fet_status parity_ckpt_malicious(parity_case *c);
fet_status parity_metrics_class(parity_case *c);
fet_status parity_optim_given_grads(parity_case *c);
fet_status parity_optim_clip_ema(parity_case *c);
fet_status parity_optim_toy(parity_case *c);
fet_status parity_lr_schedules(parity_case *c);
fet_status parity_hydra_linear(parity_case *c);
fet_status parity_hydra_lr_schedule(parity_case *c);
fet_status parity_vit_base(parity_case *c);
fet_status parity_vit_hydra_both(parity_case *c);
fet_status parity_vit_hydra_train(parity_case *c);
fet_status parity_vit_lora_qv(parity_case *c);
fet_status parity_peft_lora(parity_case *c);
fet_status parity_clip_visual_hydra(parity_case *c);
fet_status parity_vit_jax(parity_case *c);
fet_status parity_vit_adapter_houlsby(parity_case *c);
fet_status parity_vit_adapter_pfeiffer(parity_case *c);
fet_status parity_vit_adaptformer(parity_case *c);
fet_status parity_vit_ssf(parity_case *c);
fet_status parity_vit_vpt_deep(parity_case *c);
fet_status parity_vit_fact_tk(parity_case *c);
fet_status parity_vit_fact_tt(parity_case *c);
fet_status parity_vit_repadapter(parity_case *c);
fet_status parity_swin_mona_train(parity_case *c);
fet_status parity_swin_lora(parity_case *c);
fet_status parity_swin_plain(parity_case *c);
fet_status parity_mona_module(parity_case *c);
fet_status parity_swin_mona(parity_case *c);
fet_status parity_swin_adapter(parity_case *c);
fet_status parity_swin_adaptformer(parity_case *c);
fet_status parity_spcl_jaccard(parity_case *c);
fet_status parity_spcl_memory(parity_case *c);
fet_status parity_spcl_pseudo_labels(parity_case *c);
fet_status parity_spcl_ranking(parity_case *c);
fet_status parity_spcl_ranking_ties(parity_case *c);
fet_status parity_spcl_tiny_net(parity_case *c);
fet_status parity_spcl_toolbox_losses(parity_case *c);
fet_status parity_relpos_mask(parity_case *c);
fet_status parity_resize_pool(parity_case *c);
fet_status parity_mabn_aux(parity_case *c);
fet_status parity_mabn_byol_ema(parity_case *c);
fet_status parity_mabn_joint_training(parity_case *c);
fet_status parity_mabn_meta(parity_case *c);
fet_status parity_mabn_trajectory(parity_case *c);
fet_status parity_mabn_tta(parity_case *c);
fet_status parity_mabn_arm_bn(parity_case *c);
fet_status parity_mabn_arm_cml(parity_case *c);
fet_status parity_mabn_arm_ll(parity_case *c);
fet_status parity_mabn_meta_dmoe(parity_case *c);
fet_status parity_mabn_tent_bnadapt(parity_case *c);
fet_status parity_mabn_double_backward_ops(parity_case *c);
fet_status parity_mabn_metrics(parity_case *c);
fet_status parity_mabn_augment(parity_case *c);
fet_status parity_mabn_densenet(parity_case *c);
fet_status parity_mabn_resnet(parity_case *c);
fet_status parity_qresnet14_logits(parity_case *c);
fet_status parity_qresnet14_train_grad(parity_case *c);
fet_status parity_quad_conv_relu_bn(parity_case *c);
fet_status parity_quad_dense(parity_case *c);
fet_status parity_quadlib_ours(parity_case *c);
fet_status parity_spcl_dsbn_block(parity_case *c);
fet_status parity_spcl_pool_ibn(parity_case *c);
fet_status parity_mona_lr_schedules(parity_case *c);
fet_status parity_models_logits(parity_case *c);
fet_status parity_models_pred(parity_case *c);
fet_status parity_quadra_block(parity_case *c);
fet_status parity_quadra_block_fc(parity_case *c);
fet_status parity_quadranet_forward_backward(parity_case *c);
fet_status parity_quad_dw(parity_case *c);
fet_status parity_quad_fc(parity_case *c);
fet_status parity_quad_types(parity_case *c);
fet_status parity_study_convblock(parity_case *c);
fet_status parity_study_convnext(parity_case *c);
fet_status parity_study_horblock(parity_case *c);
fet_status parity_study_skipblock(parity_case *c);
fet_status parity_study_swin(parity_case *c);
fet_status parity_nas_gates(parity_case *c);
fet_status parity_nas_toy_search(parity_case *c);
fet_status parity_quadranet_models(parity_case *c);
fet_status parity_quadranet_adamw(parity_case *c);
fet_status parity_quad_full(parity_case *c);

#endif
