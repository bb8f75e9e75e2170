/* ResNet as torchvision defines it (methods/mabn.md section 11), with what re-identification changes (methods/spcl.md section 1): the
 * last stage's stride, IBN-a, norms of two domains, GeM pooling, a batch norm behind the pooling. Tensor names are torchvision's.
 * Residual networks for 32x32 pictures are in resnet_cifar.c. */
#include "model/model_int.h"

#include <string.h>

#define STAGES 4

typedef struct resnet {
    bool bottleneck; /* 1x1, 3x3, 1x1 of four times the width; else two 3x3 */
    int width, blocks[STAGES], channels, classes, image[2];
    int last_stride;                /* of the last stage: 2, or 1 for re-identification */
    bool ibn, gem, neck, neck_bias; /* neck: a batch norm behind the pooling */
    bool domains;
} resnet;

static const struct {
    const char *name;
    bool bottleneck;
    int blocks[STAGES];
} published[] = {{"resnet18", false, {2, 2, 2, 2}},
                 {"resnet34", false, {3, 4, 6, 3}},
                 {"resnet50", true, {3, 4, 6, 3}},
                 {"resnet101", true, {3, 4, 23, 3}},
                 {"resnet152", true, {3, 8, 36, 3}}};
static const char *const names[] = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152", NULL};

static void set_defaults(resnet *r)
{
    *r = (resnet){.bottleneck = true,
                  .width = 64,
                  .blocks = {3, 4, 6, 3},
                  .channels = 3,
                  .classes = 1000,
                  .image = {224, 224},
                  .last_stride = 2};
}

static int64_t stage_width(const resnet *r, int stage)
{
    return ((int64_t)r->width << stage) * (r->bottleneck ? 4 : 1);
}

static fet_status publish(fet__arch *a, const resnet *r)
{
    if (r->ibn && r->width % 2 != 0)
        return FET_FAIL(FET_E_ARG, "architecture 'resnet': ibn=a halves the channels, and width %d is odd", r->width);
    a->classes = r->classes;
    a->height = r->image[0];
    a->width = r->image[1];
    a->channels = r->channels;
    a->head = "fc";
    a->feature_size = stage_width(r, STAGES - 1);
    a->input = fet__input_imagenet(r->image[0], r->image[1]);
    return FET_OK;
}

/* ---- names and options --------------------------------------------------------------------------------------- */

static fet_status set_block(const char *family, const fet__arch_option *o, const char *value)
{
    bool bottleneck = strcmp(value, "bottleneck") == 0;

    if (!bottleneck && strcmp(value, "basic") != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither basic nor bottleneck", family, o->key,
                        fet__show(value));
    *(bool *)o->target = bottleneck;
    return FET_OK;
}

static fet_status set_ibn(const char *family, const fet__arch_option *o, const char *value)
{
    bool ibn = strcmp(value, "a") == 0;

    if (!ibn && strcmp(value, "none") != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither a nor none", family, o->key, fet__show(value));
    *(bool *)o->target = ibn;
    return FET_OK;
}

static fet_status set_pool(const char *family, const fet__arch_option *o, const char *value)
{
    bool gem = strcmp(value, "gem") == 0;

    if (!gem && strcmp(value, "mean") != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither gem nor mean", family, o->key,
                        fet__show(value));
    *(bool *)o->target = gem;
    return FET_OK;
}

static bool known_name(resnet *r, const char *name)
{
    for (size_t i = 0; i < FET_COUNT(published); i++)
        if (strcmp(published[i].name, name) == 0) {
            r->bottleneck = published[i].bottleneck;
            memcpy(r->blocks, published[i].blocks, sizeof r->blocks);
            return true;
        }
    return strcmp(name, "resnet") == 0;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    resnet *r = a->config;
    fet__arch_option table[] = {{"block", &r->bottleneck, 0, 0, set_block},
                                {"blocks", r->blocks, 1, STAGES, fet__arch_set_counts},
                                {"width", &r->width, 1, 4096, fet__arch_set_int},
                                {"in_channels", &r->channels, 1, 4096, fet__arch_set_int},
                                {"classes", &r->classes, 0, 1 << 24, fet__arch_set_int},
                                {"img", r->image, 1, 16384, fet__arch_set_image},
                                {"stride", &r->last_stride, 1, 2, fet__arch_set_int},
                                {"ibn", &r->ibn, 0, 0, set_ibn},
                                {"pool", &r->gem, 0, 0, set_pool},
                                {"neck", &r->neck, 0, 0, fet__arch_set_bool},
                                {"domains", &r->domains, 0, 0, fet__arch_set_bool}};
    fet_status st;

    set_defaults(r);
    if (!known_name(r, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options("resnet", options, table, (int)FET_COUNT(table)));
    st = publish(a, r);
done:
    return st;
}

static void print(const fet__arch *a, fet__text *out)
{
    const resnet *r = a->config;

    fet__text_printf(out, "resnet:block=%s,blocks=%d+%d+%d+%d,width=%d", r->bottleneck ? "bottleneck" : "basic",
                     r->blocks[0], r->blocks[1], r->blocks[2], r->blocks[3], r->width);
    fet__arch_print_image(out, r->image);
    fet__text_printf(out, ",classes=%d", a->classes);
    if (r->channels != 3)
        fet__text_printf(out, ",in_channels=%d", r->channels);
    if (r->last_stride != 2)
        fet__text_printf(out, ",stride=%d", r->last_stride);
    if (r->ibn)
        fet__text_printf(out, ",ibn=a");
    if (r->gem)
        fet__text_printf(out, ",pool=gem");
    if (r->neck)
        fet__text_printf(out, ",neck=true");
    if (r->domains)
        fet__text_printf(out, ",domains=true");
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

static fet_status recognise_blocks(resnet *r, const fet__params *s)
{
    char prefix[16];

    for (int i = 0; i < STAGES; i++) {
        snprintf(prefix, sizeof prefix, "layer%d", i + 1);
        r->blocks[i] = fet__count_blocks(s, prefix, "conv1.weight");
        if (r->blocks[i] == 0)
            return FET_FAIL(FET_E_FORMAT, "a residual network without %s.0.conv1.weight", prefix);
    }
    r->bottleneck = fet__param_size(s, "layer1.0.conv3.weight", 0) > 0;
    return FET_OK;
}

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    resnet *r = a->config;
    int64_t width = fet__param_size(s, "conv1.weight", 0), channels = fet__param_size(s, "conv1.weight", 1);
    int64_t kernel = fet__param_size(s, "conv1.weight", 2), classes = fet__param_size(s, "fc.weight", 0);
    fet_status st;

    *ours = kernel > 0 && fet__param_size(s, "layer4.0.conv1.weight", 0) > 0;
    if (!*ours)
        return FET_OK;
    set_defaults(r);
    if (kernel != 7 || width < 1 || width > 4096 || channels < 1 || channels > 4096 || classes > 1 << 24)
        return FET_FAIL(FET_E_FORMAT,
                        "its sizes are not those of a residual network (stem of %lld x %lld channels, kernel %lld)",
                        (long long)width, (long long)channels, (long long)kernel);
    FET_TRY(recognise_blocks(r, s));
    r->width = (int)width;
    r->channels = (int)channels;
    r->classes = classes > 0 ? (int)classes : 0;
    r->ibn = fet__params_find(s, "layer1.0.bn1.IN.weight") != NULL;
    r->domains = fet__params_find(s, "bn1.BN_S.weight") != NULL;
    r->gem = fet__params_find(s, "global_pooling.p") != NULL;
    r->neck =
        fet__param_size(s, "feat_bn.running_mean", 0) > 0 || fet__param_size(s, "feat_bn.BN_S.running_mean", 0) > 0;
    FET_TRY(publish(a, r));
    fet__note("residual network: %s blocks %d+%d+%d+%d, width %d; assumed image %d, last stride 2, ImageNet mean and "
              "deviation, bilinear resizing, crop %.3g",
              r->bottleneck ? "bottleneck" : "basic", r->blocks[0], r->blocks[1], r->blocks[2], r->blocks[3], r->width,
              r->image[0], a->input.crop_pct);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static fet__node *shortcut(fet__build *b, fet__node *x, int64_t out, int stride)
{
    fet__conv_options o = {.stride = stride};
    fet__node *y = x;

    if (x && (stride != 1 || x->shape.dim[3] != out)) {
        y = fet__nn_conv(b, "downsample.0", x, out, 1, &o);
        y = fet__nn_batch_norm(b, "downsample.1", y);
    }
    return y;
}

static fet__node *basic(fet__build *b, fet__node *x, int64_t width, int stride, bool ibn)
{
    fet__conv_options first = {.stride = stride, .pad = 1}, second = {.pad = 1};
    fet__node *y = fet__nn_conv(b, "conv1", x, width, 3, &first);

    y = ibn ? fet__nn_ibn(b, "bn1", y) : fet__nn_batch_norm(b, "bn1", y);
    y = fet__nn_conv(b, "conv2", fet__relu(b->g, y), width, 3, &second);
    y = fet__nn_batch_norm(b, "bn2", y);
    return fet__relu(b->g, fet__add(b->g, y, shortcut(b, x, width, stride)));
}

fet__node *fet__resnet_bottleneck(fet__build *b, fet__node *x, int64_t width, int stride, bool ibn)
{
    fet__conv_options plain = {.stride = 1}, middle = {.stride = stride, .pad = 1};
    fet__node *y = fet__nn_conv(b, "conv1", x, width, 1, &plain);

    y = ibn ? fet__nn_ibn(b, "bn1", y) : fet__nn_batch_norm(b, "bn1", y);
    y = fet__nn_conv(b, "conv2", fet__relu(b->g, y), width, 3, &middle);
    y = fet__relu(b->g, fet__nn_batch_norm(b, "bn2", y));
    y = fet__nn_conv(b, "conv3", y, 4 * width, 1, &plain);
    y = fet__nn_batch_norm(b, "bn3", y);
    return fet__relu(b->g, fet__add(b->g, y, shortcut(b, x, 4 * width, stride)));
}

static fet__node *stem(const resnet *r, fet__build *b, fet__node *x)
{
    fet__conv_options o = {.stride = 2, .pad = 3};

    x = fet__nn_conv(b, "conv1", x, r->width, 7, &o);
    x = fet__relu(b->g, fet__nn_batch_norm(b, "bn1", x));
    return fet__nn_max_pool(b, x, 3, 2, 1);
}

static fet__node *stage(const resnet *r, fet__build *b, fet__node *x, int i)
{
    int64_t width = (int64_t)r->width << i;
    int stride = i == 0 ? 1 : i == STAGES - 1 ? r->last_stride : 2;
    bool ibn = r->ibn && i < STAGES - 1;

    for (int k = 0; k < r->blocks[i]; k++) {
        fet__enter(b, "layer%d.%d", i + 1, k);
        x = (r->bottleneck ? fet__resnet_bottleneck : basic)(b, x, width, k == 0 ? stride : 1, ibn);
        fet__leave(b);
    }
    return x;
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    static const fet__linear_options head = {.default_init = true};
    const resnet *r = a->config;
    fet__node *x;

    b->norm_domains = r->domains;
    x = stem(r, b, images);
    for (int i = 0; i < STAGES; i++)
        x = stage(r, b, x, i);
    x = r->gem ? fet__nn_gem_pool(b, "global_pooling", x) : fet__nn_mean_pool(b, x);
    if (r->neck)
        x = fet__nn_batch_norm(b, "feat_bn", x);
    *features = x;
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, x, a->classes, &head) : NULL;
}

/* Nothing in the store depends on the image's size. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    resnet *r = a->config;

    (void)store;
    r->image[0] = height;
    r->image[1] = width;
    r->classes = a->classes; /* the head may have been replaced */
    return publish(a, r);
}

const fet__arch_class fet__arch_resnet = {
    .family = "resnet",
    .help = "residual network (torchvision); resnet:block=,blocks=3+4+6+3,width=,img=,classes=,stride=1,ibn=a,pool=gem,"
            "neck=,...",
    .names = names,
    .config_bytes = sizeof(resnet),
    .parse = parse,
    .recognise = recognise,
    .print = print,
    .build = build,
    .resize = resize};
