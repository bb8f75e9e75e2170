/* Every kind of golden file that can be checked: a line a kind. Rows with a folder are for what is no
 * safetensors; the walk over files leaves these to them. A row without a function is known by its place only
 * and fails, as an unknown kind does. */
#include "parity/parity.h"

const parity_kind parity_kinds[] = {{"data.augment_blur", parity_augment_blur, NULL},
                                    {"data.augment_color", parity_augment_color, NULL},
                                    {"data.augment_geom", parity_augment_geom, NULL},
                                    {"data.augment_levels", parity_augment_levels, NULL},
                                    {"data.augment_mix", parity_augment_mix, NULL},
                                    {"data.ckpt", parity_ckpt_malicious, "ckpt/malicious"},
                                    {"data.ckpt", parity_ckpt_valid, "ckpt/valid"},
                                    {"data.decode", parity_decode, NULL},
                                    {"data.images_bad", parity_images_bad, "images/bad"},
                                    {"data.lr_schedules", parity_lr_schedules, NULL},
                                    {"data.metrics_class", parity_metrics_class, NULL},
                                    {"data.optim_clip_ema", parity_optim_clip_ema, NULL},
                                    {"data.optim_given_grads", parity_optim_given_grads, NULL},
                                    {"data.optim_toy", parity_optim_toy, NULL},
                                    {"data.resize", parity_resize, NULL},
                                    {"hydra.linear", parity_hydra_linear, NULL},
                                    {"hydra.lr_schedule", parity_hydra_lr_schedule, NULL},
                                    {"hydra.vit_base", parity_vit_base, NULL},
                                    {"hydra.vit_hydra_both", parity_vit_hydra_both, NULL},
                                    {"hydra.vit_hydra_train", parity_vit_hydra_train, NULL},
                                    {"hydra.vit_lora_qv", parity_vit_lora_qv, NULL},
                                    {"mona.swin_plain", parity_swin_plain, NULL},
                                    {"spcl.jaccard", parity_spcl_jaccard, NULL},
                                    {"spcl.pseudo_labels", parity_spcl_pseudo_labels, NULL},
                                    {"spcl.ranking", parity_spcl_ranking, NULL},
                                    {"spcl.ranking_ties", parity_spcl_ranking_ties, NULL},
                                    {"mona.relpos_mask", parity_relpos_mask, NULL},
                                    {"mona.resize_pool", parity_resize_pool, NULL},
                                    /* not checked yet */
                                    {"hydra.peft_lora", NULL, "peft_lora"},
                                    {"hydra.vit_jax", NULL, "vit_base_jax.npz"},
                                    {"quadranet.models", NULL, "quadranet/models.json"},
                                    {0}};
