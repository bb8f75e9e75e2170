/* Images to tokens and tokens to fewer tokens: cutting into patches, gathering cells of four. */
#include "nn/nn.h"

/* [B, H, W, C] with zeros at the right and bottom up to multiples of `to`. */
static fet__node *pad_to(fet__build *b, fet__node *x, int64_t to)
{
    const int64_t none[4] = {0};
    int64_t high[4] = {0};

    if (!x)
        return NULL;
    for (int i = 1; i < 3; i++)
        high[i] = (to - x->shape.dim[i] % to) % to;
    return fet__pad(b->g, x, none, high);
}

fet__node *fet__nn_whole_patches(fet__build *b, fet__node *x, int patch)
{
    for (int axis = 1; axis < 3 && x; axis++)
        x = fet__slice(b->g, x, axis, 0, x->shape.dim[axis] / patch * patch);
    return x;
}

/* A convolution with stride = kernel is a matrix product over patches. The weight keeps its checkpoint layout [dim, 3, p, p]; its
 * rearranged form is a constant when frozen. */
fet__node *fet__nn_patch_embedding(fet__build *b, const char *name, fet__node *images, int patch, int dim, bool bias,
                                   fet__init weight_init)
{
    static const int to_patches[6] = {0, 1, 3, 2, 4, 5}, to_rows[4] = {0, 2, 3, 1};
    int64_t batch, h, w, c, p = patch;
    fet__node *x = pad_to(b, images, p), *weight, *beta;

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    h = x->shape.dim[1] / p;
    w = x->shape.dim[2] / p;
    c = x->shape.dim[3];
    fet__enter(b, "%s", name);
    x = fet__reshape(b->g, x, FET_SHAPE(batch, h, p, w, p, c));
    x = fet__reshape(b->g, fet__transpose(b->g, x, to_patches), FET_SHAPE(batch, h * w, p * p * c));
    weight = fet__parameter(b, "weight", FET_SHAPE(dim, c, p, p), weight_init);
    weight = fet__reshape(b->g, fet__transpose(b->g, weight, to_rows), FET_SHAPE(dim, p * p * c));
    if (bias || fet__has_parameter(b, "bias")) { /* a merge may have given it one */
        beta = fet__parameter(b, "bias", FET_SHAPE(dim), (fet__init){FET__INIT_ZERO, 0});
        x = fet__linear(b->g, x, weight, beta);
    } else {
        x = fet__linear_nobias(b->g, x, weight);
    }
    x = fet__nn_pass_site(b, FET__SITE_PATCH, x);
    fet__leave(b);
    return x;
}

fet__node *fet__nn_patch_cells(fet__build *b, fet__node *x, const int grid[2])
{
    static const int cells_last[6] = {0, 1, 3, 4, 2, 5}; /* column of the cell, then its row, then the channel */
    int64_t batch, c, h, w;

    if (!x)
        return NULL;
    batch = x->shape.dim[0];
    c = x->shape.dim[2];
    x = pad_to(b, fet__reshape(b->g, x, FET_SHAPE(batch, grid[0], grid[1], c)), 2);
    if (!x)
        return NULL;
    h = x->shape.dim[1] / 2;
    w = x->shape.dim[2] / 2;
    x = fet__reshape(b->g, x, FET_SHAPE(batch, h, 2, w, 2, c));
    return fet__reshape(b->g, fet__transpose(b->g, x, cells_last), FET_SHAPE(batch, h * w, 4 * c));
}
