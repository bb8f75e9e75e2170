/* Vision transformers in Google's JAX files (methods/hydra.md 10.2): kernels are [in, out], attention keeps its heads apart. */
#include "model/import.h"

#include <string.h>

static const fet__import_layout image_kernel = {.rank = 4, .axis = {3, 2, 0, 1}, .merge = {1, 1, 1, 1}};
/* [d, heads, size] -> rows of the fused layer; [heads, size] -> its bias; [heads, size, d] -> [d, heads * size] */
#define KERNEL(p)                                                                                                      \
    {                                                                                                                  \
        .rank = 3, .axis = {1, 2, 0}, .merge = {2, 1, -1}, .part = (p), .parts = 3                                     \
    }
#define BIAS(p)                                                                                                        \
    {                                                                                                                  \
        .rank = 2, .axis = {0, 1}, .merge = {2, -1}, .part = (p), .parts = 3                                           \
    }
static const fet__import_layout query_kernel = KERNEL(0), key_kernel = KERNEL(1), value_kernel = KERNEL(2);
static const fet__import_layout query_bias = BIAS(0), key_bias = BIAS(1), value_bias = BIAS(2);
static const fet__import_layout out_kernel = {.rank = 3, .axis = {2, 0, 1}, .merge = {1, 2, -1}};

#define BLOCK "Transformer/encoderblock_{i}/"
#define DENSE(from, to)                                                                                                \
    {from "/kernel", to ".weight", &fet__import_matrix},                                                               \
    {                                                                                                                  \
        from "/bias", to ".bias", NULL                                                                                 \
    }
#define NORM(from, to)                                                                                                 \
    {from "/scale", to ".weight", NULL},                                                                               \
    {                                                                                                                  \
        from "/bias", to ".bias", NULL                                                                                 \
    }
#define PART(name, which)                                                                                              \
    {name "/" #which "/kernel", "blocks.{i}.attn.qkv.weight", &which##_kernel},                                        \
    {                                                                                                                  \
        name "/" #which "/bias", "blocks.{i}.attn.qkv.bias", &which##_bias                                             \
    }
#define ATTENTION(name)                                                                                                \
    PART(BLOCK name, query), PART(BLOCK name, key), PART(BLOCK name, value),                                           \
        {BLOCK name "/out/kernel", "blocks.{i}.attn.proj.weight", &out_kernel},                                        \
    {                                                                                                                  \
        BLOCK name "/out/bias", "blocks.{i}.attn.proj.bias", NULL                                                      \
    }
#define EDGES                                                                                                          \
    {"cls", "cls_token", NULL}, {"embedding/kernel", "patch_embed.proj.weight", &image_kernel},                        \
        {"embedding/bias", "patch_embed.proj.bias", NULL},                                                             \
        {"Transformer/posembed_input/pos_embedding", "pos_embed", NULL}, {"pos_embedding", "pos_embed", NULL},         \
        NORM("Transformer/encoder_norm", "norm"), DENSE("head", "head")

static const fet__import_rule flax[] = {EDGES,
                                        NORM(BLOCK "LayerNorm_0", "blocks.{i}.norm1"),
                                        ATTENTION("MultiHeadDotProductAttention_1"),
                                        NORM(BLOCK "LayerNorm_2", "blocks.{i}.norm2"),
                                        DENSE(BLOCK "MlpBlock_3/Dense_0", "blocks.{i}.mlp.fc1"),
                                        DENSE(BLOCK "MlpBlock_3/Dense_1", "blocks.{i}.mlp.fc2"),
                                        {0}};

static const fet__import_rule big_vision[] = {EDGES,
                                              NORM(BLOCK "LayerNorm_0", "blocks.{i}.norm1"),
                                              ATTENTION("MultiHeadDotProductAttention_0"),
                                              NORM(BLOCK "LayerNorm_1", "blocks.{i}.norm2"),
                                              DENSE(BLOCK "MlpBlock_0/Dense_0", "blocks.{i}.mlp.fc1"),
                                              DENSE(BLOCK "MlpBlock_0/Dense_1", "blocks.{i}.mlp.fc2"),
                                              {0}};

/* The kernels say how many heads there are. */
static void hints(const fet__import *im, fet__arch_hints *out)
{
    int i;

    for (i = 0; i < im->count; i++) {
        const fet__entry *e = &im->items[i].e;
        if (fet__name_map(BLOCK "MultiHeadDotProductAttention_{k}/query/kernel", NULL, e->name, NULL, 0) &&
            e->shape.rank == 3 && e->shape.dim[1] <= 1024)
            out->heads = (int)e->shape.dim[1];
    }
    out->eps = 1e-6;
    fet__import_input(out, FET__COLORS_HALF, FET__BICUBIC, 0.9);
}

const fet__import_family fet__import_flax_vit = {
    .name = "Google ViT (Flax)",
    .anchor = {"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel", "embedding/kernel"},
    .rules = flax,
    .hints = hints};

const fet__import_family fet__import_big_vision_vit = {
    .name = "big_vision ViT (Flax)",
    .anchor = {"Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel", "embedding/kernel"},
    .rules = big_vision,
    .hints = hints};
