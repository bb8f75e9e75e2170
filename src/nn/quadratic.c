/* Quadratic convolution: a * b + c of three convolutions of one form, with the norms of its variants (methods/quadranet.md 1.1). The
 * children's names are those of published checkpoints: conv1, conv2, conv3 and bn1, bn2, bn3. */
#include "nn/nn.h"

static fet__node *branch(fet__build *b, int i, fet__node *x, int64_t out, int kernel, const fet__conv_options *o,
                         fet__quadratic_form form)
{
    char name[8];

    snprintf(name, sizeof name, "conv%d", i);
    x = fet__nn_conv(b, name, x, out, kernel, o);
    if (form != FET__QUADRATIC_NORMS && form != FET__QUADRATIC_RELUS)
        return x;
    snprintf(name, sizeof name, "bn%d", i);
    x = fet__nn_batch_norm(b, name, x);
    return form == FET__QUADRATIC_RELUS ? fet__relu(b->g, x) : x;
}

fet__node *fet__nn_quadratic_conv(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel,
                                  const fet__conv_options *o, fet__quadratic_form form)
{
    fet__node *part[3], *y;

    if (!x)
        return NULL;
    if (*name)
        fet__enter(b, "%s", name);
    for (int i = 0; i < 3; i++)
        part[i] = branch(b, i + 1, x, out, kernel, o, form);
    y = fet__add(b->g, fet__mul(b->g, part[0], part[1]), part[2]);
    if (form == FET__QUADRATIC_RELU_NORM)
        y = fet__nn_batch_norm(b, "bn1", fet__relu(b->g, y));
    if (*name)
        fet__leave(b);
    return y;
}
