/* Names of Swin transformers (methods/mona.md 3): Microsoft and detection files, timm, the mm libraries, Hugging Face, torchvision. Ours are
 * timm's since 0.9: what merges in front of stage S is layers.S.downsample; all others write it at the end of stage S - 1. */
#include "model/import.h"

/* ---- Microsoft, detection, timm ------------------------------------------------------------------------------------------ */

#define MERGING(from, layout)                                                                                          \
    {from "0.downsample.*", "layers.1.downsample.*", layout},                                                          \
        {from "1.downsample.*", "layers.2.downsample.*", layout},                                                      \
        {from "2.downsample.*", "layers.3.downsample.*", layout},                                                      \
        {from "3.downsample.*", "layers.4.downsample.*", layout},                                                      \
    {                                                                                                                  \
        from "4.downsample.*", "layers.5.downsample.*", layout                                                         \
    }
#define HEAD                                                                                                           \
    {"head.weight", "head.fc.weight", NULL}, {"head.bias", "head.fc.bias", NULL},                                      \
    {                                                                                                                  \
        "head.fc.*", "head.fc.*", NULL                                                                                 \
    }
static const fet__import_rule microsoft[] = {MERGING("layers.", NULL), HEAD, {0}};
static const fet__import_rule timm[] = {HEAD, {0}};
static const fet__import_rule heads[] = {HEAD, {"classifier.*", "head.fc.*", NULL}, {0}};

static void hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    fet__import_input(out, FET__COLORS_IMAGENET, FET__BICUBIC, 0.9);
}

#define OWN_ANCHOR "patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight"
const fet__import_family fet__import_microsoft_swin = {.name = "Swin",
                                                       .anchor = {OWN_ANCHOR, "layers.0.downsample.norm.weight"},
                                                       .rules = microsoft,
                                                       .outside = heads,
                                                       .open = true,
                                                       .hints = hints};
const fet__import_family fet__import_timm_swin = {
    .name = "timm Swin", .anchor = {OWN_ANCHOR}, .rules = timm, .outside = heads, .open = true, .hints = hints};

/* ---- mmdetection, mmsegmentation, mmclassification ------------------------------------------------------------------------- */

static const fet__import_layout merging = {.merging_order = true};
#define MM "stages.{s}.blocks.{i}."
#define OWN "layers.{s}.blocks.{i}."
static const fet__import_rule mm[] = {{"patch_embed.projection.*", "patch_embed.proj.*", NULL},
                                      {"patch_embed.norm.*", "patch_embed.norm.*", NULL},
                                      {MM "norm1.*", OWN "norm1.*", NULL},
                                      {MM "attn.w_msa.*", OWN "attn.*", NULL},
                                      {MM "norm2.*", OWN "norm2.*", NULL},
                                      {MM "ffn.layers.0.0.*", OWN "mlp.fc1.*", NULL},
                                      {MM "ffn.layers.1.*", OWN "mlp.fc2.*", NULL},
                                      MERGING("stages.", &merging),
                                      {"norm{s}.*", "norm{s}.*", NULL},
                                      {"norm.*", "norm.*", NULL},
                                      {0}};
const fet__import_family fet__import_mm_swin = {
    .name = "Swin of the mm libraries",
    .anchor = {"patch_embed.projection.weight", "stages.0.blocks.0.attn.w_msa.qkv.weight"},
    .rules = mm,
    .outside = heads,
    .hints = hints};

/* ---- Hugging Face ------------------------------------------------------------------------------------------------------------ */

#define HF "encoder.layers.{s}.blocks.{i}."
static const fet__import_rule huggingface[] = {
    {"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*", NULL},
    {"embeddings.norm.*", "patch_embed.norm.*", NULL},
    {HF "layernorm_before.*", OWN "norm1.*", NULL},
    {HF "attention.self.relative_position_bias_table", OWN "attn.relative_position_bias_table", NULL},
    {HF "attention.self.query.*", OWN "attn.qkv.*", &fet__import_query},
    {HF "attention.self.key.*", OWN "attn.qkv.*", &fet__import_key},
    {HF "attention.self.value.*", OWN "attn.qkv.*", &fet__import_value},
    {HF "attention.output.dense.*", OWN "attn.proj.*", NULL},
    {HF "layernorm_after.*", OWN "norm2.*", NULL},
    {HF "intermediate.dense.*", OWN "mlp.fc1.*", NULL},
    {HF "output.dense.*", OWN "mlp.fc2.*", NULL},
    MERGING("encoder.layers.", NULL),
    {"layernorm.*", "norm.*", NULL},
    {0}};

static void huggingface_hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    fet__import_input(out, FET__COLORS_IMAGENET, FET__BICUBIC, 0);
}

const fet__import_family fet__import_huggingface_swin = {
    .name = "Hugging Face Swin",
    .anchor = {"embeddings.patch_embeddings.projection.weight",
               "encoder.layers.0.blocks.0.attention.self.query.weight"},
    .rules = huggingface,
    .outside = heads,
    .hints = huggingface_hints};

/* ---- torchvision ---------------------------------------------------------------------------------------------------------------- */

#define STAGE(n, at)                                                                                                   \
    {"features." at ".{i}.norm1.*", "layers." n ".blocks.{i}.norm1.*", NULL},                                          \
        {"features." at ".{i}.attn.*", "layers." n ".blocks.{i}.attn.*", NULL},                                        \
        {"features." at ".{i}.norm2.*", "layers." n ".blocks.{i}.norm2.*", NULL},                                      \
        {"features." at ".{i}.mlp.0.*", "layers." n ".blocks.{i}.mlp.fc1.*", NULL},                                    \
    {                                                                                                                  \
        "features." at ".{i}.mlp.3.*", "layers." n ".blocks.{i}.mlp.fc2.*", NULL                                       \
    }
static const fet__import_rule torchvision[] = {{"features.0.0.*", "patch_embed.proj.*", NULL},
                                               {"features.0.2.*", "patch_embed.norm.*", NULL},
                                               STAGE("0", "1"),
                                               {"features.2.*", "layers.1.downsample.*", NULL},
                                               STAGE("1", "3"),
                                               {"features.4.*", "layers.2.downsample.*", NULL},
                                               STAGE("2", "5"),
                                               {"features.6.*", "layers.3.downsample.*", NULL},
                                               STAGE("3", "7"),
                                               {"norm.*", "norm.*", NULL},
                                               {"head.*", "head.fc.*", NULL},
                                               {0}};

/* torchvision resizes to 232 (tiny), 246 (small) or 238 (base): the file does not say which, and 0.94 is between them. */
static void torchvision_hints(const fet__import *im, fet__arch_hints *out)
{
    (void)im;
    fet__import_input(out, FET__COLORS_IMAGENET, FET__BICUBIC, 0.94);
}

const fet__import_family fet__import_torchvision_swin = {
    .name = "torchvision Swin",
    .anchor = {"features.0.0.weight", "features.1.0.attn.relative_position_bias_table", "features.1.0.mlp.3.weight"},
    .rules = torchvision,
    .hints = torchvision_hints};
