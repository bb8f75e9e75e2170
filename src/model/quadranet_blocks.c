/* Blocks of a quadratic network that differ in kernel and expansion: as an option's text, and read from a checkpoint's shapes. */
#include "model/quadranet.h"

#include "model/model_int.h"

#include <string.h>

#define MOST_KERNEL 63
#define MOST_EXPAND 64

fet_status fet__quadranet_take_blocks(fet__quadranet *q, const char *family, const char *value)
{
    const char *s = value;

    q->own_count = 0;
    while (*s) {
        int kernel = 0, expand = 0, used = 0;

        if (sscanf(s, "k%2de%2d%n", &kernel, &expand, &used) != 2 || kernel < 1 || kernel > MOST_KERNEL ||
            kernel % 2 == 0 || expand < 1 || expand > MOST_EXPAND || (s[used] && s[used] != '+') ||
            (s[used] == '+' && !s[used + 1]))
            return FET_FAIL(FET_E_ARG,
                            "architecture '%s': block %d of blocks=%s is not of the form k3e2 with an odd kernel up to "
                            "%d and an expansion up to %d",
                            family, q->own_count + 1, fet__show(value), MOST_KERNEL, MOST_EXPAND);
        if (q->own_count == QUADRANET_BLOCKS)
            return FET_FAIL(FET_E_ARG, "architecture '%s': more than %d blocks", family, QUADRANET_BLOCKS);
        q->own_kernel[q->own_count] = (unsigned char)kernel;
        q->own_expand[q->own_count++] = (unsigned char)expand;
        s += used + (s[used] == '+');
    }
    return q->own_count ? FET_OK : FET_FAIL(FET_E_ARG, "architecture '%s': blocks= is empty", family);
}

fet_status fet__quadranet_check_blocks(const fet__quadranet *q)
{
    int total = 0;

    for (int i = 0; i < QUADRANET_STAGES; i++)
        total += q->depths[i];
    if (q->own_count && q->own_count != total)
        return FET_FAIL(FET_E_ARG, "architecture 'quadranet': blocks= names %d blocks, depths=%d+%d+%d+%d are %d",
                        q->own_count, q->depths[0], q->depths[1], q->depths[2], q->depths[3], total);
    if (q->own_count && q->mixer == FET__MIX_WINDOW)
        return FET_FAIL(FET_E_ARG, "architecture 'quadranet': window mixers have no kernels that could differ");
    return FET_OK;
}

void fet__quadranet_print_blocks(const fet__quadranet *q, fet__text *out)
{
    for (int i = 0; i < q->own_count; i++)
        fet__text_printf(out, "%sk%de%d", i ? "+" : ",blocks=", q->own_kernel[i], q->own_expand[i]);
}

static int64_t size_in_block(const fet__params *s, int stage, int block, const char *const *leaves, int axis)
{
    char name[128];
    int64_t size = -1;

    for (; *leaves && size < 0; leaves++) {
        snprintf(name, sizeof name, "stages.%d.%d.%s", stage, block, *leaves);
        size = fet__param_size(s, name, axis);
    }
    return size;
}

fet_status fet__quadranet_read_blocks(fet__quadranet *q, const fet__params *s)
{
    static const char *const kernels[] = {"QuadraConv.conv1.weight", "QuadraConv.weight", "gnconv.dwconv.weight", NULL};
    static const char *const hidden[] = {"pwconv1.weight", "pwconv1.linear1.weight", NULL};
    bool differ = false;
    int n = 0;

    if (q->mixer == FET__MIX_WINDOW)
        return FET_OK;
    for (int stage = 0; stage < QUADRANET_STAGES; stage++)
        for (int i = 0; i < q->depths[stage]; i++, n++) {
            int64_t width = (int64_t)q->dim << stage, kernel = size_in_block(s, stage, i, kernels, 2);
            int64_t wide = size_in_block(s, stage, i, hidden, 0);

            if (q->mixer == FET__MIX_NONE)
                kernel = q->kernel;
            if (kernel == q->kernel && wide == width * q->expand && n >= QUADRANET_BLOCKS)
                continue;
            if (n >= QUADRANET_BLOCKS || kernel < 1 || kernel > MOST_KERNEL || kernel % 2 == 0 || wide < width ||
                wide % width || wide / width > MOST_EXPAND)
                return FET_FAIL(FET_E_FORMAT,
                                "stages.%d.%d is no block of a quadratic network (kernel %lld, %lld of %lld)", stage, i,
                                (long long)kernel, (long long)wide, (long long)width);
            q->own_kernel[n] = (unsigned char)kernel;
            q->own_expand[n] = (unsigned char)(wide / width);
            differ |= kernel != q->kernel || wide / width != q->expand;
        }
    if (differ && n > QUADRANET_BLOCKS)
        return FET_FAIL(FET_E_FORMAT, "more than %d blocks that differ", QUADRANET_BLOCKS);
    q->own_count = differ ? n : 0;
    return FET_OK;
}
