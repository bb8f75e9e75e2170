/* LoRA adapters in the folders of Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors or .bin. */
#ifndef FET_PEFT_H
#define FET_PEFT_H

#include "adapter/adapter.h"
#include "model/import.h"

#define FET__PEFT_CONFIG "adapter_config.json"
#define FET__PEFT_TENSORS "adapter_model.safetensors"
#define FET__PEFT_PREFIX "base_model.model."

/* ---- peft_config.c ------------------------------------------------------------------------------------------- */
typedef struct fet__peft_config {
    double rank, alpha, dropout;
    bool root_scale; /* use_rslora: alpha / sqrt(r) */
    bool layer_bias; /* bias "lora_only": biases of the adapted layers train */
    char base[256];  /* base_model_name_or_path, for messages; "" */
    void *alphas;    /* alpha_pattern, a json_t; or NULL */
} fet__peft_config;
/* What fettle cannot follow exactly is refused by its name. */
fet_status fet__peft_config_read(fet__peft_config *out, const char *folder);
void fet__peft_config_fini(fet__peft_config *c);
/* The factor on the branch of a module. */
double fet__peft_scale(const fet__peft_config *c, const char *module, int64_t rank);

/* ---- peft.c ------------------------------------------------------------------------------------------------------ */
bool fet__is_peft(const char *path); /* such a folder */
/* Attach the folder's LoRA; the model is as before when that fails. */
fet_status fet__peft_attach(fet__model *m, const char *folder);

#endif
