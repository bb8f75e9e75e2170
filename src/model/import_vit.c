/* Names of vision transformers: timm (ours), DeiT with a distillation token, torchvision, Hugging Face. */
#include "model/import.h"

/* ---- timm ----------------------------------------------------------------------------------------------------------- */

const fet__import_rule fet__import_plain_heads[] = {
    {"head.weight", "head.weight", NULL},       {"head.bias", "head.bias", NULL},       {"head.fc.*", "head.*", NULL},
    {"classifier.weight", "head.weight", NULL}, {"classifier.bias", "head.bias", NULL}, {0}};

const fet__import_family fet__import_timm_vit = {.name = "timm ViT",
                                                 .anchor = {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"},
                                                 .outside = fet__import_plain_heads,
                                                 .open = true};

/* Two heads on two tokens, averaged, are one linear map of both tokens side by side. */
static const fet__import_rule distilled[] = {{"head.weight", "head.weight", &fet__import_head_left},
                                             {"head.bias", "head.bias", &fet__import_bias_left},
                                             {"head_dist.weight", "head.weight", &fet__import_head_right},
                                             {"head_dist.bias", "head.bias", &fet__import_bias_right},
                                             {0}};
const fet__import_family fet__import_timm_distilled = {
    .name = "distilled DeiT",
    .anchor = {"dist_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"},
    .rules = distilled,
    .open = true};

/* ---- torchvision ------------------------------------------------------------------------------------------------------ */

#define TV "encoder.layers.encoder_layer_{i}."
static const fet__import_rule torchvision[] = {
    {"class_token", "cls_token", NULL},
    {"conv_proj.*", "patch_embed.proj.*", NULL},
    {"encoder.pos_embedding", "pos_embed", NULL},
    {TV "ln_1.*", "blocks.{i}.norm1.*", NULL},
    {TV "self_attention.in_proj_weight", "blocks.{i}.attn.qkv.weight", NULL},
    {TV "self_attention.in_proj_bias", "blocks.{i}.attn.qkv.bias", NULL},
    {TV "self_attention.out_proj.*", "blocks.{i}.attn.proj.*", NULL},
    {TV "ln_2.*", "blocks.{i}.norm2.*", NULL},
    {TV "mlp.0.*", "blocks.{i}.mlp.fc1.*", NULL},
    {TV "mlp.3.*", "blocks.{i}.mlp.fc2.*", NULL},
    {TV "mlp.linear_1.*", "blocks.{i}.mlp.fc1.*", NULL}, /* files of torchvision 0.12 */
    {TV "mlp.linear_2.*", "blocks.{i}.mlp.fc2.*", NULL},
    {"encoder.ln.*", "norm.*", NULL},
    {"heads.head.*", "head.*", NULL},
    {0}};

static void torchvision_hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    fet__import_input(out, FET__COLORS_IMAGENET, FET__BILINEAR, 0.875);
}

const fet__import_family fet__import_torchvision_vit = {
    .name = "torchvision ViT",
    .anchor = {"conv_proj.weight", "class_token", "encoder.layers.encoder_layer_0.ln_1.weight"},
    .rules = torchvision,
    .hints = torchvision_hints};

/* ---- Hugging Face -------------------------------------------------------------------------------------------------------- */

#define HF "encoder.layer.{i}."
#define HF_BODY                                                                                                        \
    {"embeddings.cls_token", "cls_token", NULL}, {"embeddings.position_embeddings", "pos_embed", NULL},                \
        {"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*", NULL},                                      \
        {HF "layernorm_before.*", "blocks.{i}.norm1.*", NULL},                                                         \
        {HF "attention.attention.query.*", "blocks.{i}.attn.qkv.*", &fet__import_query},                               \
        {HF "attention.attention.key.*", "blocks.{i}.attn.qkv.*", &fet__import_key},                                   \
        {HF "attention.attention.value.*", "blocks.{i}.attn.qkv.*", &fet__import_value},                               \
        {HF "attention.output.dense.*", "blocks.{i}.attn.proj.*", NULL},                                               \
        {HF "layernorm_after.*", "blocks.{i}.norm2.*", NULL},                                                          \
        {HF "intermediate.dense.*", "blocks.{i}.mlp.fc1.*", NULL},                                                     \
        {HF "output.dense.*", "blocks.{i}.mlp.fc2.*", NULL},                                                           \
    {                                                                                                                  \
        "layernorm.*", "norm.*", NULL                                                                                  \
    }

static const fet__import_rule huggingface[] = {HF_BODY, {0}};
static const fet__import_rule huggingface_deit[] = {
    HF_BODY, {"embeddings.distillation_token", "dist_token", NULL}, {0}};
static const fet__import_rule huggingface_deit_heads[] = {
    {"cls_classifier.weight", "head.weight", &fet__import_head_left},
    {"cls_classifier.bias", "head.bias", &fet__import_bias_left},
    {"distillation_classifier.weight", "head.weight", &fet__import_head_right},
    {"distillation_classifier.bias", "head.bias", &fet__import_bias_right},
    {0}};

/* The configuration beside the file says better; these are the library's defaults. */
static void huggingface_hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    out->eps = 1e-12;
    fet__import_input(out, FET__COLORS_HALF, FET__BILINEAR, 0);
}

static void huggingface_deit_hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    out->eps = 1e-12;
    fet__import_input(out, FET__COLORS_IMAGENET, FET__BICUBIC, 0.875);
}

#define HF_ANCHOR "embeddings.patch_embeddings.projection.weight", "encoder.layer.0.attention.attention.query.weight"
const fet__import_family fet__import_huggingface_vit = {.name = "Hugging Face ViT",
                                                        .anchor = {HF_ANCHOR, "embeddings.cls_token"},
                                                        .rules = huggingface,
                                                        .outside = fet__import_plain_heads,
                                                        .hints = huggingface_hints};

const fet__import_family fet__import_huggingface_deit = {.name = "Hugging Face distilled DeiT",
                                                         .anchor = {HF_ANCHOR, "embeddings.distillation_token"},
                                                         .rules = huggingface_deit,
                                                         .outside = huggingface_deit_heads,
                                                         .hints = huggingface_deit_hints};
