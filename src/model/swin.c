/* Swin transformer (methods/mona.md 2) as an architecture class: names, options as text, other image sizes. The graph is in
 * swin_build.c, recognition in swin_recognise.c. */
#include "model/swin.h"

#include <string.h>

static const char *const names[] = {"swin_tiny",
                                    "swin_small",
                                    "swin_base",
                                    "swin_large",
                                    "swin_tiny_patch4_window7_224",
                                    "swin_small_patch4_window7_224",
                                    "swin_base_patch4_window7_224",
                                    "swin_base_patch4_window12_384",
                                    "swin_large_patch4_window7_224",
                                    "swin_large_patch4_window12_384",
                                    NULL};

void fet__swin_defaults(fet__swin *v)
{
    *v = (fet__swin){.dim = 96,
                     .stages = 4,
                     .depths = {2, 2, 6, 2},
                     .heads = {3, 6, 12, 24},
                     .window = 7,
                     .patch = 4,
                     .image_height = 224,
                     .image_width = 224,
                     .classes = 1000,
                     .eps = 1e-5,
                     .mlp = 4,
                     .qkv_bias = true};
}

static bool known_name(fet__swin *v, const char *name)
{
    static const struct {
        const char *size;
        int dim, third, heads;
    } sizes[] = {{"tiny", 96, 6, 3}, {"small", 96, 18, 3}, {"base", 128, 18, 4}, {"large", 192, 18, 6}};
    char size[16];
    int patch = 4, window = 7, image = 224, end = 0, found;

    found = sscanf(name, "swin_%15[a-z]%n_patch%d_window%d_%d%n", size, &end, &patch, &window, &image, &end);
    if ((found != 1 && found != 4) || name[end] != '\0' || patch < 1 || window < 2 || image < 1)
        return false;
    for (size_t i = 0; i < FET_COUNT(sizes); i++)
        if (strcmp(size, sizes[i].size) == 0) {
            v->dim = sizes[i].dim;
            v->depths[2] = sizes[i].third;
            for (int s = 0; s < v->stages; s++)
                v->heads[s] = sizes[i].heads << s;
            v->patch = patch;
            v->window = window;
            v->image_height = v->image_width = image;
            return true;
        }
    return false;
}

fet_status fet__swin_publish(fet__arch *a, const fet__swin *v)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

    for (int s = 0; s < v->stages; s++)
        if (fet__swin_width(v, s) % v->heads[s] != 0)
            return FET_FAIL(FET_E_ARG, "swin: width %lld of stage %d cannot be divided into %d heads",
                            (long long)fet__swin_width(v, s), s, v->heads[s]);
    a->classes = v->classes;
    a->height = v->image_height;
    a->width = v->image_width;
    a->head = "head.fc";
    a->feature_size = fet__swin_width(v, v->stages - 1);
    a->input = (fet__input_spec){.height = v->image_height,
                                 .width = v->image_width,
                                 .filter = FET__BICUBIC,
                                 .crop_pct = v->image_height >= 384   ? 1.0
                                             : v->image_height >= 128 ? 0.9
                                                                      : 1.0};
    memcpy(a->input.mean, mean, sizeof mean);
    memcpy(a->input.std, std, sizeof std);
    return FET_OK;
}

/* ---- options -------------------------------------------------------------------------------------------------- */

/* "2+2+6+2"; the rest of the array becomes 0. */
static fet_status set_list(const char *family, const fet__arch_option *o, const char *value)
{
    int *out = o->target, count = 0;
    const char *at = value;
    char text[16];
    int64_t v;

    memset(out, 0, FET__SWIN_STAGES * sizeof *out);
    for (;;) {
        size_t length = strcspn(at, "+");

        if (count == FET__SWIN_STAGES || length >= sizeof text)
            break;
        memcpy(text, at, length);
        text[length] = '\0';
        if (!fet__parse_int(text, &v) || v < (int64_t)o->low || v > (int64_t)o->high)
            break;
        out[count++] = (int)v;
        if (at[length] == '\0')
            return FET_OK;
        at += length + 1;
    }
    return FET_FAIL(FET_E_ARG,
                    "architecture '%s': %s=%s is not a list like 2+2+6+2 of 1 to %d numbers from %.0f to %.0f", family,
                    o->key, fet__show(value), FET__SWIN_STAGES, o->low, o->high);
}

static fet_status set_norms(const char *family, const fet__arch_option *o, const char *value)
{
    if (strcmp(value, "all") != 0 && strcmp(value, "last") != 0)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither last nor all", family, o->key,
                        fet__show(value));
    *(bool *)o->target = value[0] == 'a';
    return FET_OK;
}

static int count_stages(const int *list)
{
    int n = 0;

    while (n < FET__SWIN_STAGES && list[n] > 0)
        n++;
    return n;
}

static fet_status parse(fet__arch *a, const char *name, const char *options)
{
    fet__swin *v = a->config;
    int image[2] = {0, 0};
    fet__arch_option table[] = {{"dim", &v->dim, 1, 16384, fet__arch_set_int},
                                {"depths", v->depths, 1, 512, set_list},
                                {"heads", v->heads, 1, 4096, set_list},
                                {"window", &v->window, 2, 1024, fet__arch_set_int},
                                {"patch", &v->patch, 1, 1024, fet__arch_set_int},
                                {"img", image, 1, 16384, fet__arch_set_image},
                                {"mlp", &v->mlp, 0.01, 64, fet__arch_set_double},
                                {"eps", &v->eps, 1e-14, 1, fet__arch_set_double},
                                {"classes", &v->classes, 0, 1 << 24, fet__arch_set_int},
                                {"norms", &v->all_norms, 0, 0, set_norms},
                                {"always_shift", &v->always_shift, 0, 0, fet__arch_set_bool},
                                {"qkv_bias", &v->qkv_bias, 0, 0, fet__arch_set_bool},
                                {"ape", &v->ape, 0, 0, fet__arch_set_bool}};
    fet_status st;

    fet__swin_defaults(v);
    if (strcmp(name, "swin") != 0 && !known_name(v, name))
        return FET_E_NOMATCH;
    FET_TRY(fet__arch_options(name, options, table, (int)FET_COUNT(table)));
    if (image[0]) {
        v->image_height = image[0];
        v->image_width = image[1];
    }
    v->stages = count_stages(v->depths);
    if (count_stages(v->heads) != v->stages)
        return FET_FAIL(FET_E_ARG, "swin: %d stages in depths, %d in heads", v->stages, count_stages(v->heads));
    st = fet__swin_publish(a, v);
done:
    return st;
}

static void print_list(fet__text *out, const char *key, const int *list, int count)
{
    for (int i = 0; i < count; i++)
        fet__text_printf(out, "%s%d", i ? "+" : key, list[i]);
}

static void print(const fet__arch *a, fet__text *out)
{
    const fet__swin *v = a->config;

    fet__text_printf(out, "swin:dim=%d", v->dim);
    print_list(out, ",depths=", v->depths, v->stages);
    print_list(out, ",heads=", v->heads, v->stages);
    fet__text_printf(out, ",window=%d,patch=%d", v->window, v->patch);
    fet__arch_print_image(out, (int[]){v->image_height, v->image_width});
    fet__arch_print_number(out, ",mlp=", v->mlp);
    fet__text_printf(out, ",classes=%d", a->classes);
    if (v->all_norms)
        fet__text_printf(out, ",norms=all");
    if (v->always_shift)
        fet__text_printf(out, ",always_shift=true");
    if (!v->qkv_bias)
        fet__text_printf(out, ",qkv_bias=false");
    if (v->ape)
        fet__text_printf(out, ",ape=true");
    if (v->eps != 1e-5)
        fet__arch_print_number(out, ",eps=", v->eps);
}

/* Tables of another window and positions of another grid are resampled where they are read: only the numbers change here. */
static fet_status resize(fet__arch *a, fet__params *store, int height, int width)
{
    fet__swin *v = a->config, next = *v;
    fet_status st;

    (void)store;
    next.image_height = height;
    next.image_width = width;
    next.classes = a->classes; /* the head may have been replaced */
    FET_TRY(fet__swin_publish(a, &next));
    *v = next;
done:
    return st;
}

const fet__arch_class fet__arch_swin = {
    .family = "swin",
    .help = "Swin transformer (timm); swin:dim=,depths=2+2+6+2,heads=,window=,patch=,img=,mlp=,classes=,norms=,...",
    .names = names,
    .config_bytes = sizeof(fet__swin),
    .parse = parse,
    .recognise = fet__swin_recognise,
    .print = print,
    .build = fet__swin_build,
    .resize = resize};
