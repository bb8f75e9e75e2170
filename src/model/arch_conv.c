/* What several families share: options that hold several numbers, numbers as text, counting blocks in a store, torchvision's preprocessing. */
#include "model/model_int.h"

#include <string.h>

#define MOST_BLOCKS 1000

static fet_status bad_counts(const char *family, const fet__arch_option *o, const char *value)
{
    return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is not %.0f whole numbers from %.0f to %d with + between",
                    family, o->key, fet__show(value), o->high, o->low, MOST_BLOCKS);
}

fet_status fet__arch_set_counts(const char *family, const fet__arch_option *o, const char *value)
{
    char *copy = fet__strdup(value), *part, *save = NULL;
    int *out = o->target, count = 0;
    int64_t v;

    if (!copy)
        return FET_E_NOMEM;
    for (part = strtok_r(copy, "+", &save); part; part = strtok_r(NULL, "+", &save)) {
        if (count >= (int)o->high || !fet__parse_int(part, &v) || v < (int64_t)o->low || v > MOST_BLOCKS)
            break;
        out[count++] = (int)v;
    }
    fet__free(copy);
    return !part && count == (int)o->high ? FET_OK : bad_counts(family, o, value);
}

fet_status fet__arch_set_image(const char *family, const fet__arch_option *o, const char *value)
{
    const char *cross = strchr(value, 'x');
    char first[24];
    int64_t height, width;

    snprintf(first, sizeof first, "%.*s", cross ? (int)(cross - value) : 23, value);
    if (!fet__parse_int(first, &height) || !fet__parse_int(cross ? cross + 1 : first, &width) ||
        height < (int64_t)o->low || height > (int64_t)o->high || width < (int64_t)o->low || width > (int64_t)o->high)
        return FET_FAIL(FET_E_ARG, "architecture '%s': %s=%s is neither a size nor HEIGHTxWIDTH from %.0f to %.0f",
                        family, o->key, fet__show(value), o->low, o->high);
    ((int *)o->target)[0] = (int)height;
    ((int *)o->target)[1] = (int)width;
    return FET_OK;
}

void fet__arch_print_image(fet__text *out, const int image[2])
{
    if (image[0] == image[1])
        fet__text_printf(out, ",img=%d", image[0]);
    else
        fet__text_printf(out, ",img=%dx%d", image[0], image[1]);
}

void fet__arch_print_number(fet__text *out, const char *key, double value)
{
    char text[40];
    double back = 0;
    int digits = 6;

    do
        snprintf(text, sizeof text, "%.*g", digits++, value);
    while ((!fet__parse_double(text, &back) || back != value) && digits <= 17);
    fet__text_printf(out, "%s%s", key, text);
}

int64_t fet__param_size(const fet__params *s, const char *name, int axis)
{
    const fet__param *p = fet__params_find(s, name);

    return p && axis < p->shape.rank ? p->shape.dim[axis] : -1;
}

int fet__count_blocks(const fet__params *s, const char *prefix, const char *leaf)
{
    char name[128];
    int n = 0;

    do
        snprintf(name, sizeof name, "%s.%d.%s", prefix, n, leaf);
    while (fet__params_find(s, name) && ++n < MOST_BLOCKS);
    return n;
}

fet__input_spec fet__input_imagenet(int height, int width)
{
    return (fet__input_spec){.height = height,
                             .width = width,
                             .mean = {0.485F, 0.456F, 0.406F},
                             .std = {0.229F, 0.224F, 0.225F},
                             .filter = FET__BILINEAR,
                             .crop_pct = 0.875};
}
