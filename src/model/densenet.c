/* DenseNet as torchvision defines it (methods/mabn.md section 11): in each layer of a dense block everything before it is the input.
 * Tensor names are torchvision's. */
#include "model/model_int.h"

#include <string.h>

#define STAGES 4

typedef struct densenet {
    int growth, blocks[STAGES], init, bn_size; /* bn_size: inner channels of a layer as a multiple of growth */
    int channels, classes, image[2];
} densenet;

static const struct {
    const char *name;
    int growth, init, blocks[STAGES];
} published[] = {{"densenet121", 32, 64, {6, 12, 24, 16}},
                 {"densenet169", 32, 64, {6, 12, 32, 32}},
                 {"densenet201", 32, 64, {6, 12, 48, 32}},
                 {"densenet161", 48, 96, {6, 12, 36, 24}}};
static const char *const names[] = {"densenet121", "densenet161", "densenet169", "densenet201", NULL};

static void set_defaults(densenet *d)
{
    *d = (densenet){.growth = 32,
                    .blocks = {6, 12, 24, 16},
                    .init = 64,
                    .bn_size = 4,
                    .channels = 3,
                    .classes = 1000,
                    .image = {224, 224}};
}

static int64_t feature_size(const densenet *d)
{
    int64_t c = d->init;

    for (int i = 0; i < STAGES; i++) {
        c += (int64_t)d->blocks[i] * d->growth;
        if (i < STAGES - 1)
            c /= 2;
    }
    return c;
}

static fet_status publish(fet__arch *a, const densenet *d)
{
    a->classes = d->classes;
    a->height = d->image[0];
    a->width = d->image[1];
    a->channels = d->channels;
    a->head = "classifier";
    a->feature_size = feature_size(d);
    a->input = fet__input_imagenet(d->image[0], d->image[1]);
    return FET_OK;
}

/* ---- names and options --------------------------------------------------------------------------------------- */

static bool known_name(densenet *d, const char *name)
{
    for (size_t i = 0; i < FET_COUNT(published); i++)
        if (strcmp(published[i].name, name) == 0) {
            d->growth = published[i].growth;
            d->init = published[i].init;
            memcpy(d->blocks, published[i].blocks, sizeof d->blocks);
            return true;
        }
    return strcmp(name, "densenet") == 0;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    densenet *d = a->config;
    fet__arch_option table[] = {{"growth", &d->growth, 1, 4096, fet__arch_set_int},
                                {"blocks", d->blocks, 1, STAGES, fet__arch_set_counts},
                                {"init", &d->init, 1, 4096, fet__arch_set_int},
                                {"bn_size", &d->bn_size, 1, 64, fet__arch_set_int},
                                {"in_channels", &d->channels, 1, 4096, fet__arch_set_int},
                                {"classes", &d->classes, 0, 1 << 24, fet__arch_set_int},
                                {"img", d->image, 29, 16384, fet__arch_set_image}};
    fet_status st;

    set_defaults(d);
    if (!known_name(d, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options("densenet", options, table, (int)FET_COUNT(table)));
    st = publish(a, d);
done:
    return st;
}

static void print(const fet__arch *a, fet__text *out)
{
    const densenet *d = a->config;

    fet__text_printf(out, "densenet:growth=%d,blocks=%d+%d+%d+%d,init=%d,bn_size=%d", d->growth, d->blocks[0],
                     d->blocks[1], d->blocks[2], d->blocks[3], d->init, d->bn_size);
    fet__arch_print_image(out, d->image);
    fet__text_printf(out, ",classes=%d", a->classes);
    if (d->channels != 3)
        fet__text_printf(out, ",in_channels=%d", d->channels);
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

/* Layers are counted from 1. */
static int count_layers(const fet__params *s, int block)
{
    char name[96];
    int n = 0;

    do
        snprintf(name, sizeof name, "features.denseblock%d.denselayer%d.conv1.weight", block, n + 1);
    while (fet__params_find(s, name) && ++n < 1024);
    return n;
}

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    densenet *d = a->config;
    int64_t init = fet__param_size(s, "features.conv0.weight", 0), channels;
    int64_t growth = fet__param_size(s, "features.denseblock1.denselayer1.conv2.weight", 0);
    int64_t inner = fet__param_size(s, "features.denseblock1.denselayer1.conv1.weight", 0);
    int64_t classes = fet__param_size(s, "classifier.weight", 0);
    fet_status st;

    *ours = init > 0 && growth > 0;
    if (!*ours)
        return FET_OK;
    set_defaults(d);
    channels = fet__param_size(s, "features.conv0.weight", 1);
    if (init > 4096 || growth > 4096 || inner % growth != 0 || inner / growth > 64 || channels < 1 || channels > 4096 ||
        classes > 1 << 24)
        return FET_FAIL(FET_E_FORMAT, "its sizes are not those of a DenseNet (growth %lld, inner width %lld)",
                        (long long)growth, (long long)inner);
    for (int i = 0; i < STAGES; i++)
        if ((d->blocks[i] = count_layers(s, i + 1)) == 0)
            return FET_FAIL(FET_E_FORMAT, "a DenseNet without features.denseblock%d", i + 1);
    d->init = (int)init;
    d->growth = (int)growth;
    d->bn_size = (int)(inner / growth);
    d->channels = (int)channels;
    d->classes = classes > 0 ? (int)classes : 0;
    FET_TRY(publish(a, d));
    fet__note("DenseNet: growth %d, blocks %d+%d+%d+%d; assumed image %d, ImageNet mean and deviation, bilinear "
              "resizing, crop %.3g",
              d->growth, d->blocks[0], d->blocks[1], d->blocks[2], d->blocks[3], d->image[0], a->input.crop_pct);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static fet__node *norm_relu(fet__build *b, const char *name, fet__node *x)
{
    return fet__relu(b->g, fet__nn_batch_norm(b, name, x));
}

static fet__node *dense_block(const densenet *d, fet__build *b, fet__node *x, int i)
{
    fet__conv_options plain = {.fan_in = true}, three = {.pad = 1, .fan_in = true};

    for (int k = 0; k < d->blocks[i]; k++) {
        fet__node *both[2] = {x, NULL};

        fet__enter(b, "features.denseblock%d.denselayer%d", i + 1, k + 1);
        x = fet__nn_conv(b, "conv1", norm_relu(b, "norm1", x), (int64_t)d->bn_size * d->growth, 1, &plain);
        both[1] = fet__nn_conv(b, "conv2", norm_relu(b, "norm2", x), d->growth, 3, &three);
        x = fet__concat(b->g, both, 2, 3);
        fet__leave(b);
    }
    return x;
}

static fet__node *transition(fet__build *b, fet__node *x, int i)
{
    fet__conv_options o = {.fan_in = true};
    fet__pool half = {.kernel = {2, 2}, .stride = {2, 2}};

    if (!x)
        return NULL;
    fet__enter(b, "features.transition%d", i + 1);
    x = fet__nn_conv(b, "conv", norm_relu(b, "norm", x), x->shape.dim[3] / 2, 1, &o);
    fet__leave(b);
    return fet__avg_pool(b->g, x, &half);
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    const densenet *d = a->config;
    fet__linear_options head = {.weight_init = fet__init_kaiming5(a->feature_size), .bias_init = {FET__INIT_ZERO, 0}};
    fet__conv_options stem = {.stride = 2, .pad = 3, .fan_in = true};
    fet__node *x = fet__nn_conv(b, "features.conv0", images, d->init, 7, &stem);

    x = fet__nn_max_pool(b, norm_relu(b, "features.norm0", x), 3, 2, 1);
    for (int i = 0; i < STAGES; i++) {
        x = dense_block(d, b, x, i);
        if (i < STAGES - 1)
            x = transition(b, x, i);
    }
    *features = x = fet__nn_mean_pool(b, norm_relu(b, "features.norm5", x));
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, x, a->classes, &head) : NULL;
}

/* Nothing in the store depends on the image's size. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    densenet *d = a->config;

    (void)store;
    if (height < 29 || width < 29)
        return FET_FAIL(FET_E_ARG, "a DenseNet needs pictures of 29x29 or more, not %dx%d", height, width);
    d->image[0] = height;
    d->image[1] = width;
    d->classes = a->classes; /* the head may have been replaced */
    return publish(a, d);
}

const fet__arch_class fet__arch_densenet = {
    .family = "densenet",
    .help = "DenseNet (torchvision); densenet:growth=,blocks=6+12+24+16,init=,bn_size=,img=,classes=,...",
    .names = names,
    .config_bytes = sizeof(densenet),
    .parse = parse,
    .recognise = recognise,
    .print = print,
    .build = build,
    .resize = resize};
