/* ConvNeXt as timm names it: four stages of blocks with one branch, a layer norm in front of each strided patch. Blocks are in
 * nn/quadra_block.c. */
#include "model/model_int.h"

#include <string.h>

#define STAGES 4

typedef struct convnext {
    int depths[STAGES], widths[STAGES], kernel, patch, classes, image[2];
    double scale;
} convnext;

static const struct {
    const char *name;
    int depths[STAGES], dim;
} forms[] = {{"convnext_tiny", {3, 3, 9, 3}, 96},
             {"convnext_small", {3, 3, 27, 3}, 96},
             {"convnext_base", {3, 3, 27, 3}, 128},
             {"convnext_large", {3, 3, 27, 3}, 192}};
static const char *const names[] = {"convnext_tiny", "convnext_small", "convnext_base", "convnext_large", NULL};

static void set_defaults(convnext *v)
{
    *v = (convnext){.depths = {3, 3, 9, 3},
                    .widths = {96, 192, 384, 768},
                    .kernel = 7,
                    .patch = 4,
                    .classes = 1000,
                    .image = {224, 224},
                    .scale = 1e-6};
}

static fet_status publish(fet__arch *a, const convnext *v)
{
    int least = v->patch << (STAGES - 1);
    if (v->image[0] < least || v->image[1] < least)
        return FET_FAIL(FET_E_ARG, "architecture 'convnext': images of %dx%d are smaller than the strides' %d",
                        v->image[0], v->image[1], least);
    if (v->kernel % 2 == 0)
        return FET_FAIL(FET_E_ARG, "architecture 'convnext': kernel=%d is not odd", v->kernel);
    a->classes = v->classes;
    a->height = v->image[0];
    a->width = v->image[1];
    a->channels = 3;
    a->head = "head.fc";
    a->feature_size = v->widths[STAGES - 1];
    a->input = fet__input_imagenet(v->image[0], v->image[1]);
    a->input.filter = FET__BICUBIC;
    if (v->image[0] <= 64)
        a->input.crop_pct = 0;
    return FET_OK;
}

/* ---- names and options --------------------------------------------------------------------------------------- */

static bool known_name(convnext *v, const char *name)
{
    for (size_t i = 0; i < FET_COUNT(forms); i++)
        if (strcmp(forms[i].name, name) == 0) {
            memcpy(v->depths, forms[i].depths, sizeof v->depths);
            for (int s = 0; s < STAGES; s++)
                v->widths[s] = forms[i].dim << s;
            return true;
        }
    return strcmp(name, "convnext") == 0;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    convnext *v = a->config;
    fet__arch_option table[] = {
        {"depths", v->depths, 1, STAGES, fet__arch_set_counts}, {"widths", v->widths, 1, STAGES, fet__arch_set_counts},
        {"kernel", &v->kernel, 1, 63, fet__arch_set_int},       {"patch", &v->patch, 1, 32, fet__arch_set_int},
        {"scale", &v->scale, 0, 10, fet__arch_set_double},      {"img", v->image, 8, 16384, fet__arch_set_image},
        {"classes", &v->classes, 0, 1 << 24, fet__arch_set_int}};
    fet_status st;

    set_defaults(v);
    if (!known_name(v, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options("convnext", options, table, (int)FET_COUNT(table)));
    st = publish(a, v);
done:
    return st;
}

static void print(const fet__arch *a, fet__text *out)
{
    const convnext *v = a->config;

    fet__text_printf(out, "convnext:depths=%d+%d+%d+%d,widths=%d+%d+%d+%d,kernel=%d,patch=%d,scale=%.9g", v->depths[0],
                     v->depths[1], v->depths[2], v->depths[3], v->widths[0], v->widths[1], v->widths[2], v->widths[3],
                     v->kernel, v->patch, v->scale);
    fet__arch_print_image(out, v->image);
    fet__text_printf(out, ",classes=%d", a->classes);
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    convnext *v = a->config;
    int64_t kernel = fet__param_size(s, "stages.0.blocks.0.conv_dw.weight", 2);
    int64_t patch = fet__param_size(s, "stem.0.weight", 2), classes = fet__param_size(s, "head.fc.weight", 0);
    char name[64];
    fet_status st;

    *ours = kernel > 0 && patch > 0 && fet__params_find(s, "stages.0.blocks.0.mlp.fc1.weight") != NULL;
    if (!*ours)
        return FET_OK;
    set_defaults(v);
    for (int i = 0; i < STAGES; i++) {
        snprintf(name, sizeof name, "stages.%d.blocks", i);
        v->depths[i] = fet__count_blocks(s, name, "conv_dw.weight");
        snprintf(name, sizeof name, "stages.%d.blocks.0.conv_dw.weight", i);
        int64_t width = fet__param_size(s, name, 0);
        if (v->depths[i] < 1 || v->depths[i] > 1000 || width > 1 << 16)
            return FET_FAIL(FET_E_FORMAT, "stage %d of a ConvNeXt has %d blocks of width %lld", i, v->depths[i],
                            (long long)width);
        v->widths[i] = (int)width;
    }
    if (kernel > 63 || patch > 32 || classes > 1 << 24)
        return FET_FAIL(FET_E_FORMAT, "its sizes are not those of a ConvNeXt (kernel %lld, patch %lld)",
                        (long long)kernel, (long long)patch);
    v->kernel = (int)kernel;
    v->patch = (int)patch;
    v->classes = classes > 0 ? (int)classes : 0;
    v->scale = fet__params_find(s, "stages.0.blocks.0.gamma") ? v->scale : 0;
    FET_TRY(publish(a, v));
    fet__note("ConvNeXt: %d+%d+%d+%d blocks, width %d; assumed image %d, mean and deviation of ImageNet", v->depths[0],
              v->depths[1], v->depths[2], v->depths[3], v->widths[0], v->image[0]);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static fet__node *stem(const convnext *v, fet__build *b, fet__node *images, int grid[2])
{
    const fet__init small = {FET__INIT_TRUNC_NORMAL, 0.02};
    fet__node *x = fet__nn_patch_embedding(b, "stem.0", fet__nn_whole_patches(b, images, v->patch), v->patch,
                                           v->widths[0], true, small);

    grid[0] /= v->patch;
    grid[1] /= v->patch;
    return fet__nn_layer_norm(b, "stem.1", x, 1e-6);
}

static fet__node *down(const convnext *v, fet__build *b, fet__node *x, int stage, int grid[2])
{
    const fet__init small = {FET__INIT_TRUNC_NORMAL, 0.02};

    x = fet__nn_layer_norm(b, "downsample.0", x, 1e-6);
    if (x)
        x = fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], grid[0], grid[1], x->shape.dim[2]));
    x = fet__nn_patch_embedding(b, "downsample.1", fet__nn_whole_patches(b, x, 2), 2, v->widths[stage], true, small);
    grid[0] /= 2;
    grid[1] /= 2;
    return x;
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    static const fet__linear_options head = {.weight_init = {FET__INIT_TRUNC_NORMAL, 0.02},
                                             .bias_init = {FET__INIT_ZERO, 0}};
    const convnext *v = a->config;
    int grid[2] = {a->height, a->width}, number = 0, total = 0;
    fet__node *x = stem(v, b, images, grid);

    for (int s = 0; s < STAGES; s++)
        total += v->depths[s];
    for (int s = 0; s < STAGES; s++) {
        fet__enter(b, "stages.%d", s);
        if (s)
            x = down(v, b, x, s, grid);
        for (int i = 0; i < v->depths[s]; i++, number++) {
            fet__quadra_block o = {.kernel = v->kernel, .expand = 4, .scale = v->scale, .grid = {grid[0], grid[1]}};
            o.drop_path = total > 1 ? b->drop_path * number / (total - 1) : 0;
            fet__enter(b, "blocks.%d", i);
            x = fet__nn_convnext_block(b, x, &o);
            fet__leave(b);
        }
        fet__leave(b);
    }
    if (x)
        x = fet__reshape(b->g, fet__mean(b->g, x, 1u << 1), FET_SHAPE(x->shape.dim[0], x->shape.dim[2]));
    *features = fet__nn_layer_norm(b, "head.norm", x, 1e-6);
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, *features, a->classes, &head) : NULL;
}

/* Any size will do: nothing but the grid depends on it. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    convnext *v = a->config;

    (void)store;
    v->image[0] = height;
    v->image[1] = width;
    v->classes = a->classes; /* the head may have been replaced */
    return publish(a, v);
}

const fet__arch_class fet__arch_convnext = {
    .family = "convnext",
    .help = "ConvNeXt; convnext:depths=3+3+9+3,widths=96+192+384+768,kernel=,patch=,scale=,img=,classes=",
    .names = names,
    .config_bytes = sizeof(convnext),
    .parse = parse,
    .recognise = recognise,
    .print = print,
    .build = build,
    .resize = resize,
};
