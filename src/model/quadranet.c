/* QuadraNet and the networks of the same frame: four stages of blocks behind strided patches (methods/quadranet.md 3). The block's
 * mixer is an option, so that plain depthwise, gated (HorNet) and mixer-free networks are the same code. Tensor names are the authors'. */
#include "model/quadranet.h"

#include "model/model_int.h"

#include <string.h>

#define STAGES QUADRANET_STAGES

typedef fet__quadranet quadranet;

static const char *const names[] = {"quadranet36_xxs",
                                    "quadranet36_xs",
                                    "quadranet36_t",
                                    "quadranet36_s",
                                    "quadranet36_b",
                                    "quadranet25_xxs",
                                    "quadranet25_xs",
                                    "quadranet25_t",
                                    "quadranet25_s",
                                    "quadranet25_b",
                                    "quadranet12_xxs",
                                    "quadranet12_xs",
                                    "quadranet12_t",
                                    "hornet_tiny_7x7",
                                    "hornet_small_7x7",
                                    "hornet_base_7x7",
                                    NULL};
static const char *const mixers[] = {"quadratic", "conv", "gated", "none", "window"};

/* Of mixer=window, as the memory study has it. */
#define WINDOW 7
#define HEAD_WIDTH 32

static void set_defaults(quadranet *q)
{
    *q = (quadranet){.depths = {3, 3, 27, 3},
                     .dim = 16,
                     .kernel = 7,
                     .expand = 4,
                     .patch = 4,
                     .classes = 1000,
                     .image = {224, 224},
                     .mixer = FET__MIX_QUADRATIC,
                     .scale = 1e-6};
}

static fet_status publish(fet__arch *a, const quadranet *q)
{
    int least = q->patch << (STAGES - 1);
    if (q->image[0] < least || q->image[1] < least)
        return FET_FAIL(FET_E_ARG, "architecture 'quadranet': images of %dx%d are smaller than the strides' %d",
                        q->image[0], q->image[1], least);
    if (q->kernel % 2 == 0)
        return FET_FAIL(FET_E_ARG, "architecture 'quadranet': kernel=%d is not odd", q->kernel);
    if (q->mixer == FET__MIX_GATED && q->dim % 16 != 0)
        return FET_FAIL(FET_E_ARG, "architecture 'quadranet': gated mixers need a dim divisible by 16, not %d", q->dim);
    if (q->mixer == FET__MIX_WINDOW && (q->dim % HEAD_WIDTH != 0 || q->expand != 4 || q->quadratic_channels))
        return FET_FAIL(
            FET_E_ARG,
            "architecture 'quadranet': window mixers need a dim divisible by %d, expand=4 and plain channel "
            "layers, not dim=%d, expand=%d",
            HEAD_WIDTH, q->dim, q->expand);
    a->classes = q->classes;
    a->height = q->image[0];
    a->width = q->image[1];
    a->channels = 3;
    a->head = "head";
    a->feature_size = (int64_t)q->dim << (STAGES - 1);
    a->input = fet__input_imagenet(q->image[0], q->image[1]);
    a->input.filter = FET__BICUBIC;
    if (q->image[0] <= 64)
        a->input.crop_pct = 0;
    return FET_OK;
}

/* ---- names and options --------------------------------------------------------------------------------------- */

static bool known_name(quadranet *q, const char *name)
{
    static const struct {
        const char *size;
        int dim;
    } sizes[] = {{"xxs", 16}, {"xs", 32}, {"t", 64}, {"s", 96}, {"b", 128}};
    static const struct {
        int blocks, depths[STAGES];
    } forms[] = {{36, {3, 3, 27, 3}}, {25, {2, 3, 18, 2}}, {12, {2, 2, 6, 2}}};
    int blocks = 0, end = 0;
    char size[8];

    if (strncmp(name, "hornet_", 7) == 0) {
        memcpy(q->depths, forms[1].depths, sizeof q->depths);
        q->mixer = FET__MIX_GATED;
        q->dim = strcmp(name, "hornet_tiny_7x7") == 0 ? 64 : strcmp(name, "hornet_small_7x7") == 0 ? 96 : 128;
        return q->dim < 128 || strcmp(name, "hornet_base_7x7") == 0;
    }
    if (strcmp(name, "quadranet") == 0)
        return true;
    if (sscanf(name, "quadranet%d_%7[a-z]%n", &blocks, size, &end) != 2 || name[end])
        return false;
    for (size_t f = 0; f < FET_COUNT(forms); f++)
        for (size_t i = 0; i < FET_COUNT(sizes); i++)
            if (forms[f].blocks == blocks && strcmp(sizes[i].size, size) == 0) {
                memcpy(q->depths, forms[f].depths, sizeof q->depths);
                q->dim = sizes[i].dim;
                return true;
            }
    return false;
}

static fet_status set_mixer(const char *family, const fet__arch_option *o, const char *value)
{
    for (size_t i = 0; i < FET_COUNT(mixers); i++)
        if (strcmp(value, mixers[i]) == 0) {
            *(int *)o->target = (int)i;
            return FET_OK;
        }
    return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is none of quadratic, conv, gated, none, window", family,
                    o->key, fet__show(value));
}

static fet_status set_blocks(const char *family, const fet__arch_option *o, const char *value)
{
    return fet__quadranet_take_blocks(o->target, family, value);
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    quadranet *q = a->config;
    fet__arch_option table[] = {{"depths", q->depths, 1, STAGES, fet__arch_set_counts},
                                {"dim", &q->dim, 1, 4096, fet__arch_set_int},
                                {"kernel", &q->kernel, 1, 63, fet__arch_set_int},
                                {"expand", &q->expand, 1, 64, fet__arch_set_int},
                                {"patch", &q->patch, 1, 32, fet__arch_set_int},
                                {"blocks", q, 0, 0, set_blocks},
                                {"mixer", &q->mixer, 0, 0, set_mixer},
                                {"quadratic_channels", &q->quadratic_channels, 0, 0, fet__arch_set_bool},
                                {"scale", &q->scale, 0, 10, fet__arch_set_double},
                                {"img", q->image, 8, 16384, fet__arch_set_image},
                                {"classes", &q->classes, 0, 1 << 24, fet__arch_set_int}};
    fet_status st;

    set_defaults(q);
    if (!known_name(q, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options("quadranet", options, table, (int)FET_COUNT(table)));
    FET_TRY(fet__quadranet_check_blocks(q));
    st = publish(a, q);
done:
    return st;
}

static void print(const fet__arch *a, fet__text *out)
{
    const quadranet *q = a->config;

    fet__text_printf(out, "quadranet:depths=%d+%d+%d+%d,dim=%d,kernel=%d,expand=%d,patch=%d,mixer=%s", q->depths[0],
                     q->depths[1], q->depths[2], q->depths[3], q->dim, q->kernel, q->expand, q->patch,
                     mixers[q->mixer]);
    fet__quadranet_print_blocks(q, out);
    if (q->quadratic_channels)
        fet__text_printf(out, ",quadratic_channels=true");
    fet__text_printf(out, ",scale=%.9g", q->scale);
    fet__arch_print_image(out, q->image);
    fet__text_printf(out, ",classes=%d", a->classes);
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

static int64_t first_size(const fet__params *s, int axis, const char *const *candidates)
{
    int64_t size = -1;
    for (; *candidates && size < 0; candidates++)
        size = fet__param_size(s, *candidates, axis);
    return size;
}

static void recognise_mixer(quadranet *q, const fet__params *s)
{
    bool quadratic = fet__params_find(s, "stages.0.0.QuadraConv.conv1.weight") != NULL;
    bool conv = fet__params_find(s, "stages.0.0.QuadraConv.weight") != NULL;
    bool window = fet__params_find(s, "stages.0.0.attn.qkv.weight") != NULL;
    bool gate = fet__params_find(s, "stages.0.0.gnconv.dwconv.weight") != NULL;
    q->mixer = quadratic ? FET__MIX_QUADRATIC
               : conv    ? FET__MIX_CONV
               : gate    ? FET__MIX_GATED
               : window  ? FET__MIX_WINDOW
                         : FET__MIX_NONE;
}

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    static const char *const kernels[] = {"stages.0.0.QuadraConv.conv1.weight", "stages.0.0.QuadraConv.weight",
                                          "stages.0.0.gnconv.dwconv.weight", NULL};
    static const char *const hidden[] = {"stages.0.0.pwconv1.weight", "stages.0.0.pwconv1.linear1.weight",
                                         "stages.0.0.mlp.fc1.weight", NULL};
    quadranet *q = a->config;
    int64_t dim = fet__param_size(s, "downsample_layers.0.0.weight", 0), kernel = first_size(s, 2, kernels);
    int64_t wide = first_size(s, 0, hidden), classes = fet__param_size(s, "head.weight", 0);
    int64_t patch = fet__param_size(s, "downsample_layers.0.0.weight", 2);
    char prefix[16];
    fet_status st;

    *ours = dim > 0 && wide > 0 && fet__params_find(s, "stages.0.0.norm2.weight") != NULL;
    if (!*ours)
        return FET_OK;
    set_defaults(q);
    for (int i = 0; i < STAGES; i++) {
        snprintf(prefix, sizeof prefix, "stages.%d", i);
        q->depths[i] = fet__count_blocks(s, prefix, "norm2.weight");
        if (q->depths[i] < 1 || q->depths[i] > 1000)
            return FET_FAIL(FET_E_FORMAT, "stage %d of a quadratic network has %d blocks", i, q->depths[i]);
    }
    if (dim > 4096 || wide % dim || wide / dim > 64 || kernel > 63 || classes > 1 << 24 || patch < 1 || patch > 32)
        return FET_FAIL(FET_E_FORMAT, "its sizes are not those of a quadratic network (width %lld, inner width %lld)",
                        (long long)dim, (long long)wide);
    q->dim = (int)dim;
    q->expand = (int)(wide / dim);
    q->kernel = kernel > 0 ? (int)kernel : q->kernel;
    q->patch = (int)patch;
    q->classes = classes > 0 ? (int)classes : 0;
    q->quadratic_channels = fet__params_find(s, "stages.0.0.pwconv1.linear1.weight") != NULL;
    q->scale = fet__params_find(s, "stages.0.0.gamma2") ? q->scale : 0;
    recognise_mixer(q, s);
    FET_TRY(fet__quadranet_read_blocks(q, s));
    FET_TRY(publish(a, q));
    fet__note("quadratic network with %s mixers: %d+%d+%d+%d blocks, width %d; assumed image %d, mean and deviation of "
              "ImageNet",
              mixers[q->mixer], q->depths[0], q->depths[1], q->depths[2], q->depths[3], q->dim, q->image[0]);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

/* Patches of the map to the width of the stage; the grid shrinks. */
static fet__node *down(const quadranet *q, fet__build *b, fet__node *x, int stage, int grid[2])
{
    const fet__init small = {FET__INIT_NORMAL, 0.02};
    int patch = stage ? 2 : q->patch;

    fet__enter(b, "downsample_layers.%d", stage);
    if (stage)
        x = fet__nn_layer_norm(b, "0", x, 1e-6);
    if (stage && x)
        x = fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], grid[0], grid[1], x->shape.dim[2]));
    x = fet__nn_patch_embedding(b, stage ? "1" : "0", fet__nn_whole_patches(b, x, patch), patch, q->dim << stage, true,
                                small);
    if (!stage)
        x = fet__nn_layer_norm(b, "1", x, 1e-6);
    fet__leave(b);
    grid[0] /= patch;
    grid[1] /= patch;
    return x;
}

static fet__node *window_block(const quadranet *q, fet__build *b, fet__node *x, int stage, int i,
                               const fet__quadra_block *o)
{
    fet__windows w = {.grid = {o->grid[0], o->grid[1]},
                      .window = WINDOW,
                      .shift = i % 2 ? WINDOW / 2 : 0,
                      .clamp = true,
                      .pad_last = true};

    return fet__nn_window_block(b, x, (q->dim << stage) / HEAD_WIDTH, &w, o->drop_path);
}

static fet__node *blocks(const quadranet *q, fet__build *b, fet__node *x, int stage, const int grid[2], int *number)
{
    int total = q->depths[0] + q->depths[1] + q->depths[2] + q->depths[3];
    fet__quadra_block o = {.kernel = q->kernel,
                           .expand = q->expand,
                           .order = stage + 2,
                           .quadratic_channels = q->quadratic_channels,
                           .scale = q->scale,
                           .grid = {grid[0], grid[1]}};
    o.mixer = q->mixer;
    for (int i = 0; i < q->depths[stage]; i++, ++*number) {
        if (q->own_count) {
            o.kernel = q->own_kernel[*number];
            o.expand = q->own_expand[*number];
        }
        o.drop_path = total > 1 ? b->drop_path * *number / (total - 1) : 0;
        fet__enter(b, "stages.%d.%d", stage, i);
        x = q->mixer == FET__MIX_WINDOW ? window_block(q, b, x, stage, i, &o) : fet__nn_quadra_block(b, x, &o);
        fet__leave(b);
    }
    return x;
}

void fet__quadranet_build_with(const fet__arch *a, fet__build *b, fet__node *images, fet__quadranet_place place,
                               void *user, fet__node **features, fet__node **logits)
{
    static const fet__linear_options head = {.weight_init = {FET__INIT_NORMAL, 0.02}, .bias_init = {FET__INIT_ZERO, 0}};
    const quadranet *q = a->config;
    int grid[2] = {a->height, a->width}, number = 0;
    fet__node *x = images;

    for (int stage = 0; stage < STAGES; stage++) {
        x = down(q, b, x, stage, grid);
        if (!place)
            x = blocks(q, b, x, stage, grid, &number);
        for (int i = 0; place && i < q->depths[stage]; i++)
            x = place(user, b, x, grid, number++);
    }
    if (x)
        x = fet__reshape(b->g, fet__mean(b->g, x, 1u << 1), FET_SHAPE(x->shape.dim[0], x->shape.dim[2]));
    *features = fet__nn_layer_norm(b, "norm", x, 1e-6);
    *logits = NULL;
    if (a->classes > 0)
        *logits = fet__nn_linear(b, a->head, *features, a->classes, &head);
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    fet__quadranet_build_with(a, b, images, NULL, NULL, features, logits);
}

/* Any size will do: nothing but the grid depends on it. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    quadranet *q = a->config;

    (void)store;
    q->image[0] = height;
    q->image[1] = width;
    q->classes = a->classes; /* the head may have been replaced */
    return publish(a, q);
}

const fet__arch_class fet__arch_quadranet = {
    .family = "quadranet",
    .help =
        "quadratic depthwise networks and their frame with other mixers: depths dim kernel expand blocks patch mixer "
        "quadratic_channels scale img classes",
    .names = names,
    .config_bytes = sizeof(quadranet),
    .parse = parse,
    .recognise = recognise,
    .print = print,
    .build = build,
    .resize = resize,
};
