/* The graph of a Swin transformer: patches, stages of blocks with plain and shifted windows in turn, merging between stages, norm,
 * mean, head. Parameter names are timm's (0.9 and later): what merges before stage S is layers.S.downsample. */
#include "model/swin.h"

#include <math.h>

static const fet__init weight_init = {FET__INIT_TRUNC_NORMAL, 0.02};
static const fet__init zero_init = {FET__INIT_ZERO, 0};

int64_t fet__swin_width(const fet__swin *v, int stage)
{
    return (int64_t)v->dim << stage;
}

void fet__swin_grid(const fet__swin *v, int stage, int grid[2])
{
    grid[0] = (v->image_height + v->patch - 1) / v->patch;
    grid[1] = (v->image_width + v->patch - 1) / v->patch;
    for (int i = 0; i < stage; i++)
        for (int k = 0; k < 2; k++)
            grid[k] = (grid[k] + 1) / 2;
}

fet__windows fet__swin_windows(const fet__swin *v, int stage, int block)
{
    fet__windows w = {.window = v->window, .shift = block % 2 ? v->window / 2 : 0};
    int least;

    fet__swin_grid(v, stage, w.grid);
    least = w.grid[0] < w.grid[1] ? w.grid[0] : w.grid[1];
    if (!v->always_shift && least <= v->window) {
        w.window = least;
        w.shift = 0;
    }
    return w;
}

/* absolute_pos_embed [1, dim, h, w], resampled where it is read when its grid is another one. */
static fet__node *add_positions(const fet__swin *v, fet__build *b, fet__node *x)
{
    static const int channels_last[4] = {0, 2, 3, 1};
    const fet__param *stored = fet__params_find(b->store, "absolute_pos_embed");
    fet__shape shape;
    fet__node *position;
    int grid[2];

    if (!v->ape)
        return x;
    fet__swin_grid(v, 0, grid);
    shape = FET_SHAPE(1, v->dim, grid[0], grid[1]);
    if (stored && stored->shape.rank == 4)
        for (int k = 2; k < 4; k++)
            shape.dim[k] = stored->shape.dim[k];
    position = fet__parameter(b, "absolute_pos_embed", shape, weight_init);
    position = fet__resize(b->g, fet__transpose(b->g, position, channels_last), grid[0], grid[1], true, false);
    return fet__add(b->g, x, fet__reshape(b->g, position, FET_SHAPE(1, (int64_t)grid[0] * grid[1], v->dim)));
}

static fet__node *embed(const fet__swin *v, fet__build *b, fet__node *images)
{
    fet__node *x;

    fet__enter(b, "patch_embed");
    x = fet__nn_patch_embedding(b, "proj", images, v->patch, v->dim, true, weight_init);
    x = fet__nn_layer_norm(b, "norm", x, v->eps);
    fet__leave(b);
    return fet__nn_dropout(b, add_positions(v, b, x), b->dropout);
}

static fet__node *merge(const fet__swin *v, fet__build *b, fet__node *x, int stage)
{
    fet__linear_options o = {.no_bias = true, .weight_init = weight_init};
    int before[2];

    fet__swin_grid(v, stage - 1, before);
    fet__enter(b, "downsample");
    x = fet__nn_layer_norm(b, "norm", fet__nn_patch_cells(b, x, before), v->eps);
    x = fet__nn_linear(b, "reduction", x, fet__swin_width(v, stage), &o);
    fet__leave(b);
    return x;
}

static fet__node *block(const fet__swin *v, fet__build *b, fet__node *x, int stage, int i, double drop_path)
{
    fet__attention_options attention = {.heads = v->heads[stage], .qkv_bias = v->qkv_bias, .weight_init = weight_init};
    fet__windows windows = fet__swin_windows(v, stage, i);
    int64_t width = fet__swin_width(v, stage);
    fet__node *y;

    fet__enter(b, "blocks.%d", i);
    x = fet__nn_tokens(b, x, windows.grid, 0);
    y = fet__nn_layer_norm(b, "norm1", x, v->eps);
    y = fet__nn_window_attention(b, "attn", y, &attention, &windows);
    x = fet__nn_residual(b, "attn", x, y, drop_path, windows.grid, 0);
    y = fet__nn_layer_norm(b, "norm2", x, v->eps);
    y = fet__nn_mlp(b, "mlp", y, (int64_t)((double)width * v->mlp + 1e-6), fet__gelu, weight_init, zero_init);
    x = fet__nn_residual(b, "mlp", x, y, drop_path, windows.grid, 0);
    fet__leave(b);
    return x;
}

/* Blocks of stage `stage`; x is the stage before, or the patches. */
static fet__node *stage_of(const fet__swin *v, fet__build *b, fet__node *x, int stage)
{
    int before = 0, all = 0;

    for (int s = 0; s < v->stages; s++) {
        before += s < stage ? v->depths[s] : 0;
        all += v->depths[s];
    }
    fet__enter(b, "layers.%d", stage);
    if (stage > 0)
        x = merge(v, b, x, stage);
    for (int i = 0; i < v->depths[stage]; i++)
        x = block(v, b, x, stage, i, all > 1 ? b->drop_path * (before + i) / (all - 1) : b->drop_path);
    fet__leave(b);
    return x;
}

/* The norms of detection checkpoints are absent from the classification files that such models begin with: they may begin anew. */
static fet__node *norm_of(const fet__swin *v, fet__build *b, fet__node *x, int stage)
{
    char name[16];

    if (!v->all_norms)
        return fet__nn_layer_norm(b, "norm", x, v->eps);
    snprintf(name, sizeof name, "norm%d", stage);
    fet__build_fresh_begin(b);
    x = fet__nn_layer_norm(b, name, x, v->eps);
    fet__build_fresh_end(b);
    return x;
}

void fet__swin_stages(const fet__arch *a, fet__build *b, fet__node *images, uint32_t outputs,
                      fet__node *maps[FET__SWIN_STAGES])
{
    const fet__swin *v = a->config;
    fet__node *x = embed(v, b, images), *y;
    int grid[2];

    for (int s = 0; s < FET__SWIN_STAGES; s++) {
        maps[s] = NULL;
        if (s >= v->stages)
            continue;
        x = stage_of(v, b, x, s);
        if (!(outputs >> s & 1))
            continue;
        fet__swin_grid(v, s, grid);
        if ((y = norm_of(v, b, x, s)))
            maps[s] = fet__reshape(b->g, y, FET_SHAPE(y->shape.dim[0], grid[0], grid[1], fet__swin_width(v, s)));
    }
}

void fet__swin_head(const fet__arch *a, fet__build *b, fet__node *map, fet__node **features, fet__node **logits)
{
    fet__linear_options head = {.default_init = true};
    fet__node *x = map ? fet__reshape(b->g, map, FET_SHAPE(map->shape.dim[0], -1, a->feature_size)) : NULL;

    if (x)
        x = fet__reshape(b->g, fet__mean(b->g, x, 1u << 1), FET_SHAPE(x->shape.dim[0], a->feature_size));
    *features = x;
    *logits = a->classes > 0 ? fet__nn_linear(b, a->head, x, a->classes, &head) : NULL;
}

void fet__swin_build(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits)
{
    const fet__swin *v = a->config;
    fet__node *maps[FET__SWIN_STAGES];

    fet__swin_stages(a, b, images, 1u << (v->stages - 1), maps);
    fet__swin_head(a, b, maps[v->stages - 1], features, logits);
}
