/* The list of families, the most telling first: a name that two of them hold decides nothing. */
#include "model/import.h"

const fet__import_family *const fet__import_families[] = {
    &fet__import_flax_vit,         &fet__import_big_vision_vit,    &fet__import_openai_clip,
    &fet__import_huggingface_clip, &fet__import_huggingface_deit,  &fet__import_huggingface_vit,
    &fet__import_torchvision_vit,  &fet__import_huggingface_swin,  &fet__import_mm_swin,
    &fet__import_torchvision_swin, &fet__import_microsoft_swin,    &fet__import_timm_swin,
    &fet__import_timm_distilled,   &fet__import_timm_vit,          &fet__import_resnet,
    &fet__import_indexed_resnet,   &fet__import_sequential_resnet, NULL};

const fet__import_layout fet__import_query = {.part = 0, .parts = 3};
const fet__import_layout fet__import_key = {.part = 1, .parts = 3};
const fet__import_layout fet__import_value = {.part = 2, .parts = 3};
const fet__import_layout fet__import_matrix = {.rank = 2, .axis = {1, 0}, .merge = {1, 1, -1}};
const fet__import_layout fet__import_token = {.rank = 1, .axis = {0}, .merge = {0, 0, 1, -1}};
const fet__import_layout fet__import_tokens = {.rank = 2, .axis = {0, 1}, .merge = {0, 1, 1, -1}};
const fet__import_layout fet__import_head_left = {.part = 0, .parts = 2, .columns = true, .scale = 0.5};
const fet__import_layout fet__import_head_right = {.part = 1, .parts = 2, .columns = true, .scale = 0.5};
const fet__import_layout fet__import_bias_left = {.part = 0, .parts = 2, .summed = true, .scale = 0.5};
const fet__import_layout fet__import_bias_right = {.part = 1, .parts = 2, .summed = true, .scale = 0.5};

static const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f}, imagenet_std[3] = {0.229f, 0.224f, 0.225f};
static const float half[3] = {0.5f, 0.5f, 0.5f};
static const float clip_mean[3] = {0.48145466f, 0.4578275f, 0.40821073f},
                   clip_std[3] = {0.26862954f, 0.26130258f, 0.27577711f};

void fet__import_input(fet__arch_hints *out, fet__import_colors colors, fet__filter filter, double crop_pct)
{
    const float *mean = colors == FET__COLORS_CLIP ? clip_mean : colors == FET__COLORS_HALF ? half : imagenet_mean;
    const float *std = colors == FET__COLORS_CLIP ? clip_std : colors == FET__COLORS_HALF ? half : imagenet_std;
    int i;

    out->has_input = true;
    out->input = (fet__input_spec){.filter = filter, .crop_pct = crop_pct};
    for (i = 0; i < 3; i++) {
        out->input.mean[i] = mean[i];
        out->input.std[i] = std[i];
    }
}
