/* Residual networks for 32x32 pictures: the CIFAR ResNets of 6n+2 layers, whose shortcuts across stages have no parameters, and
 * their quadratic form, whose 3x3 convolutions are products of two plus a third (methods/quadranet.md section 5). Tensor names are
 * those of the published checkpoints. ResNets for large pictures are in resnet.c. */
#include "model/model_int.h"

#include <stdlib.h>
#include <string.h>

#define STAGES 3

typedef struct cifar {
    int blocks, width, classes, channels, image[2]; /* blocks: of each stage */
    bool quadratic, bias;                           /* bias: of the convolutions in quadratic layers */
    bool conv_shortcut;                             /* 1x1 convolution and norm; else every second pixel, padded */
} cifar;

static const char *const names[] = {"resnet20",  "resnet32",  "resnet44",  "resnet56",  "resnet110",
                                    "qresnet14", "qresnet20", "qresnet32", "qresnet56", NULL};

static void set_defaults(cifar *r)
{
    *r = (cifar){.blocks = 3, .width = 16, .classes = 10, .channels = 3, .image = {32, 32}, .bias = true};
}

static fet_status publish(fet__arch *a, const cifar *r)
{
    static const float plain_mean[3] = {0.485F, 0.456F, 0.406F}, plain_std[3] = {0.229F, 0.224F, 0.225F};
    static const float quadratic_mean[3] = {0.4914F, 0.4822F, 0.4465F}, quadratic_std[3] = {0.2023F, 0.1994F, 0.2010F};

    if (!r->conv_shortcut && r->width % 2 != 0)
        return FET_FAIL(FET_E_ARG,
                        "architecture 'resnet_cifar': a shortcut that pads on both sides needs an even width, not %d",
                        r->width);
    a->classes = r->classes;
    a->height = r->image[0];
    a->width = r->image[1];
    a->channels = r->channels;
    a->head = "linear";
    a->feature_size = (int64_t)r->width << (STAGES - 1);
    a->input = (fet__input_spec){.height = r->image[0], .width = r->image[1], .filter = FET__BILINEAR, .crop_pct = 0};
    memcpy(a->input.mean, r->quadratic ? quadratic_mean : plain_mean, sizeof a->input.mean);
    memcpy(a->input.std, r->quadratic ? quadratic_std : plain_std, sizeof a->input.std);
    return FET_OK;
}

/* ---- names and options --------------------------------------------------------------------------------------- */

static bool known_name(cifar *r, const char *name)
{
    bool quadratic = name[0] == 'q';

    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            r->blocks = (atoi(name + strcspn(name, "0123456789")) - 2) / 6;
            r->quadratic = r->conv_shortcut = quadratic;
            return true;
        }
    return strcmp(name, "resnet_cifar") == 0;
}

static fet_status set_depth(const char *family, const fet__arch_option *o, const char *value)
{
    int64_t depth;

    if (!fet__parse_int(value, &depth) || depth < 8 || depth > 1202 || (depth - 2) % 6 != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is not of the form 6n+2, from 8 to 1202", family, o->key,
                        fet__show(value));
    *(int *)o->target = (int)((depth - 2) / 6);
    return FET_OK;
}

static fet_status set_shortcut(const char *family, const fet__arch_option *o, const char *value)
{
    bool conv = strcmp(value, "conv") == 0;

    if (!conv && strcmp(value, "pad") != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither pad nor conv", family, o->key,
                        fet__show(value));
    *(bool *)o->target = conv;
    return FET_OK;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    cifar *r = a->config;
    fet__arch_option table[] = {{"depth", &r->blocks, 0, 0, set_depth},
                                {"width", &r->width, 1, 4096, fet__arch_set_int},
                                {"classes", &r->classes, 0, 1 << 24, fet__arch_set_int},
                                {"in_channels", &r->channels, 1, 4096, fet__arch_set_int},
                                {"img", r->image, 4, 16384, fet__arch_set_image},
                                {"quadratic", &r->quadratic, 0, 0, fet__arch_set_bool},
                                {"bias", &r->bias, 0, 0, fet__arch_set_bool},
                                {"shortcut", &r->conv_shortcut, 0, 0, set_shortcut}};
    fet_status st;

    set_defaults(r);
    if (!known_name(r, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options("resnet_cifar", options, table, (int)FET_COUNT(table)));
    st = publish(a, r);
done:
    return st;
}

static void print(const fet__arch *a, fet__text *out)
{
    const cifar *r = a->config;

    fet__text_printf(out, "resnet_cifar:depth=%d,width=%d", 6 * r->blocks + 2, r->width);
    fet__arch_print_image(out, r->image);
    fet__text_printf(out, ",classes=%d,shortcut=%s", a->classes, r->conv_shortcut ? "conv" : "pad");
    if (r->channels != 3)
        fet__text_printf(out, ",in_channels=%d", r->channels);
    if (r->quadratic)
        fet__text_printf(out, ",quadratic=true,bias=%s", r->bias ? "true" : "false");
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    cifar *r = a->config;
    int64_t width = fet__param_size(s, "conv1.weight", 0), kernel = fet__param_size(s, "conv1.weight", 2);
    int64_t classes = fet__param_size(s, "linear.weight", 0), channels = fet__param_size(s, "conv1.weight", 1);
    bool quadratic = fet__params_find(s, "layer1.0.conv1.conv1.weight") != NULL;
    const char *conv = quadratic ? "conv1.conv1.weight" : "conv1.weight";
    fet_status st;

    *ours = kernel == 3 && fet__count_blocks(s, "layer3", conv) > 0 && fet__count_blocks(s, "layer4", conv) == 0;
    if (!*ours)
        return FET_OK;
    set_defaults(r);
    r->blocks = fet__count_blocks(s, "layer1", conv);
    if (fet__count_blocks(s, "layer2", conv) != r->blocks || fet__count_blocks(s, "layer3", conv) != r->blocks ||
        r->blocks > 200 || width < 1 || width > 4096 || classes > 1 << 24 || channels < 1 || channels > 4096)
        return FET_FAIL(FET_E_FORMAT, "its sizes are not those of a residual network for small pictures (width %lld)",
                        (long long)width);
    r->width = (int)width;
    r->classes = classes > 0 ? (int)classes : 0;
    r->channels = (int)channels;
    r->quadratic = quadratic;
    r->bias = fet__params_find(s, "layer1.0.conv1.conv1.bias") != NULL;
    r->conv_shortcut = fet__params_find(s, "layer2.0.shortcut.0.weight") != NULL;
    FET_TRY(publish(a, r));
    fet__note("%sresidual network for small pictures: %d layers, width %d; assumed image 32, mean %.4g %.4g %.4g, "
              "deviation %.4g %.4g %.4g",
              quadratic ? "quadratic " : "", 6 * r->blocks + 2, r->width, (double)a->input.mean[0],
              (double)a->input.mean[1], (double)a->input.mean[2], (double)a->input.std[0], (double)a->input.std[1],
              (double)a->input.std[2]);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

/* Every second pixel from the first on, and as many zero channels before as behind. */
static fet__node *pad_shortcut(fet__build *b, fet__node *x, int64_t out, int stride)
{
    int64_t start[4] = {0}, step[4] = {1, stride, stride, 1}, side = (out - x->shape.dim[3]) / 2;
    fet__shape size = x->shape;

    for (int i = 1; i < 3; i++)
        size.dim[i] = (size.dim[i] + stride - 1) / stride;
    x = fet__slice_all(b->g, x, start, step, size);
    return fet__pad(b->g, x, (int64_t[]){0, 0, 0, side}, (int64_t[]){0, 0, 0, side});
}

static fet__node *shortcut(const cifar *r, fet__build *b, fet__node *x, int64_t out, int stride)
{
    fet__conv_options o = {.stride = stride};

    if (!x || (stride == 1 && x->shape.dim[3] == out))
        return x;
    if (!r->conv_shortcut)
        return pad_shortcut(b, x, out, stride);
    x = fet__nn_conv(b, "shortcut.0", x, out, 1, &o);
    return fet__nn_batch_norm(b, "shortcut.1", x);
}

static fet__node *convolution(const cifar *r, fet__build *b, const char *name, fet__node *x, int64_t out, int stride)
{
    fet__conv_options o = {.stride = stride, .pad = 1, .bias = r->quadratic && r->bias};

    return r->quadratic ? fet__nn_quadratic_conv(b, name, x, out, 3, &o, FET__QUADRATIC_NORMS)
                        : fet__nn_conv(b, name, x, out, 3, &o);
}

static fet__node *block(const cifar *r, fet__build *b, fet__node *x, int64_t out, int stride)
{
    fet__node *y = convolution(r, b, "conv1", x, out, stride);

    y = fet__relu(b->g, fet__nn_batch_norm(b, "bn1", y));
    y = fet__nn_batch_norm(b, "bn2", convolution(r, b, "conv2", y, out, 1));
    return fet__relu(b->g, fet__add(b->g, y, shortcut(r, b, x, out, stride)));
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    static const fet__linear_options head = {.default_init = true};
    const cifar *r = a->config;
    fet__conv_options stem = {.pad = 1};
    fet__node *x = fet__nn_conv(b, "conv1", images, r->width, 3, &stem);

    x = fet__relu(b->g, fet__nn_batch_norm(b, "bn1", x));
    for (int i = 0; i < STAGES; i++)
        for (int k = 0; k < r->blocks; k++) {
            fet__enter(b, "layer%d.%d", i + 1, k);
            x = block(r, b, x, (int64_t)r->width << i, i > 0 && k == 0 ? 2 : 1);
            fet__leave(b);
        }
    *features = x = fet__nn_mean_pool(b, x);
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, x, a->classes, &head) : NULL;
}

/* Nothing in the store depends on the image's size. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    cifar *r = a->config;

    (void)store;
    r->image[0] = height;
    r->image[1] = width;
    r->classes = a->classes; /* the head may have been replaced */
    return publish(a, r);
}

const fet__arch_class fet__arch_resnet_cifar = {.family = "resnet_cifar",
                                                .help = "residual network for 32x32 pictures, plain or quadratic; "
                                                        "resnet_cifar:depth=20,width=,img=,classes=,in_channels=,"
                                                        "shortcut=pad|conv,quadratic=,...",
                                                .names = names,
                                                .config_bytes = sizeof(cifar),
                                                .parse = parse,
                                                .recognise = recognise,
                                                .print = print,
                                                .build = build,
                                                .resize = resize};
