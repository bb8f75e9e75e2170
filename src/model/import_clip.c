/* CLIP's visual tower, as OpenAI and as Hugging Face name it (methods/hydra.md 10.4). The text tower is left in the file. */
#include "model/import.h"

#define BLOCK "transformer.resblocks.{i}."
static const fet__import_rule openai[] = {{"class_embedding", "cls_token", &fet__import_token},
                                          {"positional_embedding", "pos_embed", &fet__import_tokens},
                                          {"conv1.weight", "patch_embed.proj.weight", NULL},
                                          {"ln_pre.*", "norm_pre.*", NULL},
                                          {BLOCK "ln_1.*", "blocks.{i}.norm1.*", NULL},
                                          {BLOCK "attn.in_proj_weight", "blocks.{i}.attn.qkv.weight", NULL},
                                          {BLOCK "attn.in_proj_bias", "blocks.{i}.attn.qkv.bias", NULL},
                                          {BLOCK "attn.out_proj.*", "blocks.{i}.attn.proj.*", NULL},
                                          {BLOCK "ln_2.*", "blocks.{i}.norm2.*", NULL},
                                          {BLOCK "mlp.c_fc.*", "blocks.{i}.mlp.fc1.*", NULL},
                                          {BLOCK "mlp.c_proj.*", "blocks.{i}.mlp.fc2.*", NULL},
                                          {"ln_post.*", "norm.*", NULL},
                                          {"proj", "proj.weight", &fet__import_matrix},
                                          {0}};

#define LAYER "encoder.layers.{i}."
static const fet__import_rule huggingface[] = {
    {"embeddings.class_embedding", "cls_token", &fet__import_token},
    {"embeddings.position_embedding.weight", "pos_embed", &fet__import_tokens},
    {"embeddings.patch_embedding.weight", "patch_embed.proj.weight", NULL},
    {"pre_layrnorm.*", "norm_pre.*", NULL},
    {LAYER "layer_norm1.*", "blocks.{i}.norm1.*", NULL},
    {LAYER "self_attn.q_proj.*", "blocks.{i}.attn.qkv.*", &fet__import_query},
    {LAYER "self_attn.k_proj.*", "blocks.{i}.attn.qkv.*", &fet__import_key},
    {LAYER "self_attn.v_proj.*", "blocks.{i}.attn.qkv.*", &fet__import_value},
    {LAYER "self_attn.out_proj.*", "blocks.{i}.attn.proj.*", NULL},
    {LAYER "layer_norm2.*", "blocks.{i}.norm2.*", NULL},
    {LAYER "mlp.fc1.*", "blocks.{i}.mlp.fc1.*", NULL},
    {LAYER "mlp.fc2.*", "blocks.{i}.mlp.fc2.*", NULL},
    {"post_layernorm.*", "norm.*", NULL},
    {0}};
static const fet__import_rule huggingface_outside[] = {{"visual_projection.weight", "proj.weight", NULL},
                                                       {"classifier.weight", "head.weight", NULL},
                                                       {"classifier.bias", "head.bias", NULL},
                                                       {0}};

static void hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    out->eps = 1e-5;
    out->quick_gelu = true;
    fet__import_input(out, FET__COLORS_CLIP, FET__BICUBIC, 1);
}

const fet__import_family fet__import_openai_clip = {
    .name = "OpenAI CLIP",
    .anchor = {"class_embedding", "ln_pre.weight", "transformer.resblocks.0.attn.in_proj_weight"},
    .rules = openai,
    .hints = hints};

const fet__import_family fet__import_huggingface_clip = {
    .name = "Hugging Face CLIP",
    .anchor = {"embeddings.class_embedding", "pre_layrnorm.weight", "encoder.layers.0.self_attn.q_proj.weight"},
    .rules = huggingface,
    .outside = huggingface_outside,
    .hints = hints};
