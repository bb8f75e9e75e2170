/* Vision transformer as timm defines it (methods/hydra.md 10.1): any image and patch size, class token or mean pooling, optional
 * query/key/value bias, layer scale and norm before the blocks. Tensor names are timm's. Resampling of the position embedding is
 * here too; reading files is not. */
#include "model/model_int.h"

#include <math.h>
#include <string.h>

typedef struct vit {
    int dim, depth, heads, patch, image_height, image_width, hidden, classes;
    int proj; /* > 0: features are projected to that size without a bias, as CLIP does */
    bool class_token, pool_mean, qkv_bias, layer_scale, pre_norm, fc_norm, head_bias, patch_bias, quick_gelu;
    bool
        distilled; /* a second token; features are both side by side, so that one head says what DeiT's two say on average */
    double eps, layer_scale_init;
} vit;

static const char *const names[] = {"vit_tiny_patch16_224",  "vit_tiny_patch16_384",
                                    "vit_small_patch16_224", "vit_small_patch16_384",
                                    "vit_small_patch32_224", "vit_base_patch16_224",
                                    "vit_base_patch16_384",  "vit_base_patch32_224",
                                    "vit_base_patch8_224",   "vit_large_patch16_224",
                                    "vit_large_patch16_384", "vit_large_patch32_384",
                                    "vit_large_patch14_224", NULL};

static void set_defaults(vit *v)
{
    *v = (vit){.dim = 768,
               .depth = 12,
               .heads = 12,
               .patch = 16,
               .image_height = 224,
               .image_width = 224,
               .classes = 1000,
               .class_token = true,
               .qkv_bias = true,
               .head_bias = true,
               .patch_bias = true,
               .eps = 1e-6,
               .layer_scale_init = 1e-5};
}

static bool known_name(vit *v, const char *name)
{
    static const struct {
        const char *size;
        int dim, depth, heads;
    } sizes[] = {{"tiny", 192, 12, 3}, {"small", 384, 12, 6}, {"base", 768, 12, 12}, {"large", 1024, 24, 16}};
    char size[16];
    int patch, image, end = 0;
    size_t i;

    if (sscanf(name, "vit_%15[a-z]_patch%d_%d%n", size, &patch, &image, &end) != 3 || name[end] != '\0')
        return false;
    for (i = 0; i < FET_COUNT(sizes); i++)
        if (strcmp(size, sizes[i].size) == 0 && patch > 0 && image > 0 && image % patch == 0) {
            v->dim = sizes[i].dim;
            v->depth = sizes[i].depth;
            v->heads = sizes[i].heads;
            v->patch = patch;
            v->image_height = v->image_width = image;
            return true;
        }
    return false;
}

static fet_status publish(fet__arch *a, const vit *v)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

    if (v->dim % v->heads != 0)
        return FET_FAIL(FET_E_ARG, "vit: dim=%d cannot be divided into heads=%d", v->dim, v->heads);
    if (v->image_height % v->patch != 0 || v->image_width % v->patch != 0)
        return FET_FAIL(FET_E_ARG, "vit: img=%dx%d cannot be divided into patch=%d", v->image_height, v->image_width,
                        v->patch);
    a->classes = v->classes;
    a->height = v->image_height;
    a->width = v->image_width;
    a->head = "head";
    a->feature_size = v->proj ? v->proj : v->dim * (v->distilled ? 2 : 1);
    a->input = (fet__input_spec){.height = v->image_height,
                                 .width = v->image_width,
                                 .filter = FET__BICUBIC,
                                 .crop_pct = v->image_height >= 128 ? 0.9 : 1.0};
    memcpy(a->input.mean, mean, sizeof mean);
    memcpy(a->input.std, std, sizeof std);
    return FET_OK;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    vit *v = a->config;
    int image = 0;
    double ratio = 4;
    bool mean = false, no_token = false;
    fet__arch_option table[] = {{"dim", &v->dim, 1, 65536, fet__arch_set_int},
                                {"depth", &v->depth, 1, 512, fet__arch_set_int},
                                {"heads", &v->heads, 1, 1024, fet__arch_set_int},
                                {"patch", &v->patch, 1, 1024, fet__arch_set_int},
                                {"img", &image, 1, 16384, fet__arch_set_int},
                                {"height", &v->image_height, 1, 16384, fet__arch_set_int},
                                {"width", &v->image_width, 1, 16384, fet__arch_set_int},
                                {"mlp", &ratio, 0.01, 64, fet__arch_set_double},
                                {"classes", &v->classes, 0, 1 << 24, fet__arch_set_int},
                                {"mean_pool", &mean, 0, 0, fet__arch_set_bool},
                                {"no_class_token", &no_token, 0, 0, fet__arch_set_bool},
                                {"qkv_bias", &v->qkv_bias, 0, 0, fet__arch_set_bool},
                                {"layer_scale", &v->layer_scale, 0, 0, fet__arch_set_bool},
                                {"pre_norm", &v->pre_norm, 0, 0, fet__arch_set_bool},
                                {"fc_norm", &v->fc_norm, 0, 0, fet__arch_set_bool},
                                {"head_bias", &v->head_bias, 0, 0, fet__arch_set_bool},
                                {"patch_bias", &v->patch_bias, 0, 0, fet__arch_set_bool},
                                {"quick_gelu", &v->quick_gelu, 0, 0, fet__arch_set_bool},
                                {"distilled", &v->distilled, 0, 0, fet__arch_set_bool},
                                {"proj", &v->proj, 0, 65536, fet__arch_set_int},
                                {"eps", &v->eps, 1e-14, 1, fet__arch_set_double}};
    fet_status st;

    set_defaults(v);
    if (strcmp(name, "vit") != 0 && !known_name(v, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options(name, options, table, (int)FET_COUNT(table)));
    if (image)
        v->image_height = v->image_width = image;
    v->hidden = (int)lround(ratio * v->dim);
    v->pool_mean = mean || no_token;
    v->class_token = !no_token;
    /* timm moves the last norm behind the pooling when it averages, unless told otherwise. */
    if (!strstr(options, "fc_norm="))
        v->fc_norm = v->pool_mean;
    if (v->distilled && (v->pool_mean || v->proj))
        return FET_FAIL(FET_E_ARG, "vit: distilled=true goes with neither mean_pool, no_class_token nor proj");
    st = publish(a, v);
done:
    return st;
}

static const char *truth(bool b)
{
    return b ? "true" : "false";
}

static void print(const fet__arch *a, fet__text *out)
{
    const vit *v = a->config;

    fet__text_printf(out, "vit:dim=%d,depth=%d,heads=%d,patch=%d,", v->dim, v->depth, v->heads, v->patch);
    if (v->image_height == v->image_width)
        fet__text_printf(out, "img=%d", v->image_height);
    else
        fet__text_printf(out, "height=%d,width=%d", v->image_height, v->image_width);
    fet__text_printf(out, ",mlp=%.9g,classes=%d", (double)v->hidden / v->dim, a->classes);
    if (v->pool_mean)
        fet__text_printf(out, ",mean_pool=true");
    if (!v->class_token)
        fet__text_printf(out, ",no_class_token=true");
    if (!v->qkv_bias)
        fet__text_printf(out, ",qkv_bias=false");
    if (v->layer_scale)
        fet__text_printf(out, ",layer_scale=true");
    if (v->pre_norm)
        fet__text_printf(out, ",pre_norm=true");
    if (v->fc_norm != v->pool_mean)
        fet__text_printf(out, ",fc_norm=%s", truth(v->fc_norm));
    if (!v->head_bias)
        fet__text_printf(out, ",head_bias=false");
    if (!v->patch_bias)
        fet__text_printf(out, ",patch_bias=false");
    if (v->quick_gelu)
        fet__text_printf(out, ",quick_gelu=true");
    if (v->distilled)
        fet__text_printf(out, ",distilled=true");
    if (v->proj)
        fet__text_printf(out, ",proj=%d", v->proj);
    if (v->eps != 1e-6)
        fet__arch_print_number(out, ",eps=", v->eps);
}

/* ---- recognising --------------------------------------------------------------------------------------------- */

static int64_t size_of(const fet__params *s, const char *name, int axis)
{
    const fet__param *p = fet__params_find(s, name);

    return p && axis < p->shape.rank ? p->shape.dim[axis] : -1;
}

static bool has(const fet__params *s, const char *name)
{
    return fet__params_find(s, name) != NULL;
}

static int count_blocks(const fet__params *s)
{
    char name[64];
    int n = 0;

    do
        snprintf(name, sizeof name, "blocks.%d.attn.qkv.weight", n);
    while (has(s, name) && ++n < 4096);
    return n;
}

/* Tokens in front of the patches. */
static int prefix_tokens(const vit *v)
{
    return (v->class_token ? 1 : 0) + (v->distilled ? 1 : 0);
}

static fet_status recognise_grid(vit *v, const fet__params *s)
{
    int64_t tokens = size_of(s, "pos_embed", 1) - prefix_tokens(v);
    int side = (int)lround(sqrt((double)(tokens > 0 ? tokens : 0)));

    if (tokens <= 0 || (int64_t)side * side != tokens || side > 4096)
        return FET_FAIL(FET_E_FORMAT,
                        "pos_embed holds %lld patches, which is no square: give --arch vit:height=..,width=..,...",
                        (long long)tokens);
    v->image_height = v->image_width = side * v->patch;
    return FET_OK;
}

static fet_status recognise_variant(vit *v, const fet__params *s)
{
    static const char *const refused[] = {"reg_token", "blocks.0.attn.q_norm.weight", "blocks.0.mlp.fc1_g.weight",
                                          "patch_embed.backbone.stem.conv.weight"};
    size_t i;

    for (i = 0; i < FET_COUNT(refused); i++)
        if (has(s, refused[i]))
            return FET_FAIL(FET_E_FORMAT, "a vision transformer with %s is not supported", refused[i]);
    v->class_token = has(s, "cls_token");
    v->distilled = v->class_token && has(s, "dist_token");
    v->proj = (int)(size_of(s, "proj.weight", 0) > 0 ? size_of(s, "proj.weight", 0) : 0);
    v->fc_norm = has(s, "fc_norm.weight");
    v->pool_mean = v->fc_norm || !v->class_token;
    v->qkv_bias = has(s, "blocks.0.attn.qkv.bias");
    v->layer_scale = has(s, "blocks.0.ls1.gamma");
    v->pre_norm = has(s, "norm_pre.weight");
    v->head_bias = has(s, "head.bias") || !has(s, "head.weight");
    v->patch_bias = has(s, "patch_embed.proj.bias");
    return FET_OK;
}

static fet_status recognise_heads(vit *v, const fet__arch_hints *hints, int64_t dim, int64_t patch)
{
    if (hints && hints->heads > 0 && dim % hints->heads == 0) {
        v->heads = hints->heads;
        return FET_OK;
    }
    if (dim % 64 != 0)
        return FET_FAIL(
            FET_E_FORMAT,
            "width %lld is no multiple of 64, so the number of heads cannot be told from the tensors: give --arch "
            "vit:dim=%lld,depth=%d,heads=..,patch=%lld,...",
            (long long)dim, (long long)dim, v->depth, (long long)patch);
    v->heads = (int)(dim / 64);
    return FET_OK;
}

static void take_hints(vit *v, const fet__arch_hints *hints)
{
    if (hints && hints->eps > 0)
        v->eps = hints->eps;
    v->quick_gelu = hints && hints->quick_gelu;
}

static void tell_assumptions(const vit *v, const fet__arch_hints *hints)
{
    fet__note("vision transformer: width %d, %d blocks, patch %d, image %d; assumed %d heads%s, %s, layer norm eps %g",
              v->dim, v->depth, v->patch, v->image_height, v->heads, hints && hints->heads > 0 ? "" : " (width / 64)",
              v->quick_gelu ? "quick GELU" : "GELU", v->eps);
}

static fet_status recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    vit *v = a->config;
    int64_t dim = size_of(s, "patch_embed.proj.weight", 0), patch = size_of(s, "patch_embed.proj.weight", 2);
    int64_t hidden = size_of(s, "blocks.0.mlp.fc1.weight", 0), classes = size_of(s, "head.weight", 0);
    fet_status st;

    *ours = dim > 0 && has(s, "blocks.0.attn.qkv.weight") && has(s, "pos_embed");
    if (!*ours)
        return FET_OK;
    set_defaults(v);
    v->depth = count_blocks(s);
    if (dim > 65536 || patch < 1 || patch > 1024 || hidden < 1 || hidden > (1 << 22) || classes > (1 << 24) ||
        size_of(s, "proj.weight", 0) > 65536)
        return FET_FAIL(FET_E_FORMAT,
                        "its sizes are not those of a vision transformer (width %lld, patch %lld, hidden %lld)",
                        (long long)dim, (long long)patch, (long long)hidden);
    FET_TRY(recognise_heads(v, a->hints, dim, patch));
    v->dim = (int)dim;
    v->patch = (int)patch;
    v->hidden = (int)hidden;
    v->classes = classes > 0 ? (int)classes : 0;
    FET_TRY(recognise_variant(v, s));
    take_hints(v, a->hints);
    FET_TRY(recognise_grid(v, s));
    FET_TRY(publish(a, v));
    tell_assumptions(v, a->hints);
done:
    return st;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static const fet__init weight_init = {FET__INIT_TRUNC_NORMAL, 0.02};
static const fet__init zero_init = {FET__INIT_ZERO, 0};

static fet__node *token(const vit *v, fet__build *b, const char *name, int64_t batch)
{
    fet__node *x = fet__parameter(b, name, FET_SHAPE(1, 1, v->dim), (fet__init){FET__INIT_NORMAL, 1e-6});

    return fet__broadcast(b->g, x, FET_SHAPE(batch, 1, v->dim));
}

static fet__node *add_tokens(const vit *v, fet__build *b, fet__node *x)
{
    int64_t batch, tokens;
    fet__node *row[3], *position;
    int n = 0;

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    tokens = x->shape.dim[1] + prefix_tokens(v);
    if (v->class_token)
        row[n++] = token(v, b, "cls_token", batch);
    if (v->distilled)
        row[n++] = token(v, b, "dist_token", batch);
    row[n++] = x;
    if (n > 1)
        x = fet__concat(b->g, row, n, 1);
    position = fet__parameter(b, "pos_embed", FET_SHAPE(1, tokens, v->dim), weight_init);
    return fet__nn_dropout(b, fet__add(b->g, x, position), b->dropout);
}

static fet__node *layer_scale(const vit *v, fet__build *b, const char *name, fet__node *y)
{
    fet__node *gamma;

    if (!v->layer_scale)
        return y;
    fet__enter(b, "%s", name);
    gamma = fet__parameter(b, "gamma", FET_SHAPE(v->dim), (fet__init){FET__INIT_VALUE, v->layer_scale_init});
    y = fet__mul(b->g, y, gamma);
    fet__leave(b);
    return y;
}

static fet__node *block(const vit *v, fet__build *b, fet__node *x, int i)
{
    const int grid[2] = {v->image_height / v->patch, v->image_width / v->patch};
    double drop_path = v->depth > 1 ? b->drop_path * i / (v->depth - 1) : b->drop_path;
    fet__attention_options attention = {.heads = v->heads, .qkv_bias = v->qkv_bias, .weight_init = weight_init};
    fet__node *y;

    fet__enter(b, "blocks.%d", i);
    x = fet__nn_tokens(b, x, NULL, prefix_tokens(v));
    y = fet__nn_layer_norm(b, "norm1", x, v->eps);
    y = layer_scale(v, b, "ls1", fet__nn_attention(b, "attn", y, &attention));
    x = fet__nn_residual(b, "attn", x, y, drop_path, grid, prefix_tokens(v));
    y = fet__nn_layer_norm(b, "norm2", x, v->eps);
    y = fet__nn_mlp(b, "mlp", y, v->hidden, v->quick_gelu ? fet__quick_gelu : fet__gelu, weight_init, zero_init);
    y = layer_scale(v, b, "ls2", y);
    x = fet__nn_residual(b, "mlp", x, y, drop_path, grid, prefix_tokens(v));
    fet__leave(b);
    return x;
}

/* [B, T, C] -> [B, C]: the class token or the mean of the patches; [B, 2, C] when two tokens answer. */
static fet__node *pool(const vit *v, fet__build *b, fet__node *x)
{
    int prefix = prefix_tokens(v);

    if (!x)
        return NULL;
    if (!v->pool_mean)
        x = fet__slice(b->g, x, 1, 0, prefix);
    else
        x = fet__mean(b->g, prefix ? fet__slice(b->g, x, 1, prefix, x->shape.dim[1]) : x, 1u << 1);
    return v->distilled || !x ? x : fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], v->dim));
}

/* What the head reads. */
static fet__node *features_of(const vit *v, fet__build *b, fet__node *x)
{
    fet__node *w;

    if (x && v->distilled)
        x = fet__reshape(b->g, x, FET_SHAPE(x->shape.dim[0], x->shape.dim[1] * v->dim));
    if (!v->proj)
        return x;
    w = fet__parameter(b, "proj.weight", FET_SHAPE(v->proj, v->dim), weight_init);
    return fet__linear_nobias(b->g, x, w);
}

static void build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    const vit *v = a->config;
    fet__linear_options head = {.no_bias = !v->head_bias, .default_init = true};
    fet__node *x = fet__nn_patch_embedding(b, "patch_embed.proj", images, v->patch, v->dim, v->patch_bias, weight_init);
    int i;

    x = add_tokens(v, b, x);
    if (v->pre_norm)
        x = fet__nn_layer_norm(b, "norm_pre", x, v->eps);
    for (i = 0; i < v->depth; i++)
        x = block(v, b, x, i);
    /* Pooling first: the norm works token by token, so one row an image is enough when the class token is taken. */
    if (!v->fc_norm && v->pool_mean)
        x = fet__nn_layer_norm(b, "norm", x, v->eps);
    x = pool(v, b, x);
    if (v->fc_norm || !v->pool_mean)
        x = fet__nn_layer_norm(b, v->fc_norm ? "fc_norm" : "norm", x, v->eps);
    *features = features_of(v, b, x);
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, *features, a->classes, &head) : NULL;
}

/* ---- another image size --------------------------------------------------------------------------------------- */

static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    vit *v = a->config, next = *v;
    int old_h = v->image_height / v->patch, old_w = v->image_width / v->patch, h, w, prefix = prefix_tokens(v);
    fet__param *p = fet__params_find(store, "pos_embed");
    bool trainable;
    float *data = NULL;
    fet_status st;

    next.image_height = height;
    next.image_width = width;
    next.classes = a->classes; /* the head may have been replaced */
    FET_TRY(publish(a, &next));
    h = height / v->patch;
    w = width / v->patch;
    if (p && (h != old_h || w != old_w)) {
        FET_TRY(FET_NEW(data, (int64_t)(prefix + h * w) * v->dim));
        memcpy(data, p->data, (size_t)prefix * (size_t)v->dim * sizeof *data);
        FET_TRY(fet__resize_float(data + (size_t)prefix * (size_t)v->dim, h, w,
                                  (const float *)p->data + (size_t)prefix * (size_t)v->dim, old_h, old_w, v->dim,
                                  FET__BICUBIC));
        trainable = p->trainable;
        fet__params_remove(store, p);
        FET_TRY(fet__params_add(store, &p, "pos_embed", FET_F32, FET_SHAPE(1, prefix + h * w, v->dim), FET__PARAM));
        p->trainable = trainable;
        p->loaded = true;
        memcpy(p->data, data, (size_t)p->bytes);
        fet__note("position embedding resampled from %dx%d to %dx%d patches", old_h, old_w, h, w);
    }
    *v = next;
done:
    fet__free(data);
    return st;
}

const fet__arch_class fet__arch_vit = {
    .family = "vit",
    .help = "vision transformer (timm); vit:dim=,depth=,heads=,patch=,img=,mlp=,classes=,mean_pool=,...",
    .names = names,
    .config_bytes = sizeof(vit),
    .parse = parse,
    .recognise = recognise,
    .print = print,
    .build = build,
    .resize = resize};
