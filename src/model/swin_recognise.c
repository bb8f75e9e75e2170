/* A Swin transformer from the names and shapes of its tensors (timm's names, and norm0, norm1, .. of detection checkpoints). */
#include "model/swin.h"

#include <math.h>

static const fet__param *find(const fet__params *s, int stage, int block, const char *rest)
{
    char name[128];

    snprintf(name, sizeof name, "layers.%d.blocks.%d.%s", stage, block, rest);
    return fet__params_find(s, name);
}

static int64_t size_of(const fet__param *p, int axis)
{
    return p && axis < p->shape.rank ? p->shape.dim[axis] : -1;
}

static bool has(const fet__params *s, const char *name)
{
    return fet__params_find(s, name) != NULL;
}

static fet_status recognise_stages(fet__swin *v, const fet__params *s)
{
    for (v->stages = 0; find(s, v->stages, 0, "norm1.weight"); v->stages++) {
        const fet__param *t = find(s, v->stages, 0, "attn.relative_position_bias_table");
        int64_t side = llround(sqrt((double)(size_of(t, 0) > 0 ? size_of(t, 0) : 0))), heads = size_of(t, 1);
        int n = 0;

        if (v->stages == FET__SWIN_STAGES || side < 1 || side % 2 == 0 || side * side != size_of(t, 0) || side > 2047 ||
            heads < 1 || heads > 4096)
            return FET_FAIL(FET_E_FORMAT,
                            "layers.%d.blocks.0.attn.relative_position_bias_table is no table of (2 window - 1)^2 "
                            "rows, one column a head",
                            v->stages);
        while (n < 512 && find(s, v->stages, n, "norm1.weight"))
            n++;
        v->depths[v->stages] = n;
        v->heads[v->stages] = (int)heads;
        v->window = v->stages && v->window > (side + 1) / 2 ? v->window : (int)(side + 1) / 2;
    }
    if (v->window < 2)
        return FET_FAIL(FET_E_FORMAT, "its windows hold one token");
    return FET_OK;
}

/* The grid is in a position embedding only; else the last stage is one window, as in the published models. */
static void recognise_image(fet__swin *v, const fet__params *s)
{
    const fet__param *p = fet__params_find(s, "absolute_pos_embed");

    v->image_height = v->image_width = (v->window * v->patch) << (v->stages - 1);
    v->ape = p != NULL;
    if (p && p->shape.rank == 4 && size_of(p, 2) <= 16384 / v->patch && size_of(p, 3) <= 16384 / v->patch) {
        v->image_height = (int)size_of(p, 2) * v->patch;
        v->image_width = (int)size_of(p, 3) * v->patch;
    }
}

static fet_status refuse(const fet__params *s)
{
    static const char *const refused[] = {"layers.0.blocks.0.attn.logit_scale", "layers.0.blocks.0.attn.q_norm.weight"};

    for (size_t i = 0; i < FET_COUNT(refused); i++)
        if (has(s, refused[i]))
            return FET_FAIL(FET_E_FORMAT, "a Swin transformer with %s (version 2) is not supported", refused[i]);
    return FET_OK;
}

fet_status fet__swin_recognise(fet__arch *a, const fet__params *s, bool *ours)
{
    const fet__param *proj = fet__params_find(s, "patch_embed.proj.weight");
    int64_t dim = size_of(proj, 0), patch = size_of(proj, 2);
    int64_t hidden = size_of(find(s, 0, 0, "mlp.fc1.weight"), 0);
    int64_t classes = size_of(fet__params_find(s, "head.fc.weight"), 0);
    fet__swin *v = a->config;
    fet_status st;

    *ours = dim > 0 && find(s, 0, 0, "attn.qkv.weight") && find(s, 0, 0, "norm1.weight");
    if (!*ours)
        return FET_OK;
    FET_TRY(refuse(s));
    fet__swin_defaults(v);
    if (dim > 16384 || patch < 1 || patch > 64 || hidden < 1 || hidden > 64 * dim || classes > (1 << 24))
        return FET_FAIL(FET_E_FORMAT,
                        "its sizes are not those of a Swin transformer (width %lld, patch %lld, hidden %lld)",
                        (long long)dim, (long long)patch, (long long)hidden);
    v->dim = (int)dim;
    v->patch = (int)patch;
    v->mlp = (double)hidden / (double)dim;
    v->classes = classes > 0 ? (int)classes : 0;
    FET_TRY(recognise_stages(v, s));
    v->qkv_bias = find(s, 0, 0, "attn.qkv.bias") != NULL;
    v->all_norms = !has(s, "norm.weight");
    v->always_shift = has(s, "norm0.weight"); /* a classifier of the mm libraries has the last stage's norm only */
    if (a->hints && a->hints->eps > 0)
        v->eps = a->hints->eps;
    recognise_image(v, s);
    FET_TRY(fet__swin_publish(a, v));
    fet__note("Swin transformer: width %d, %d stages, window %d, patch %d; assumed image %dx%d, %s, layer norm eps %g",
              v->dim, v->stages, v->window, v->patch, v->image_height, v->image_width,
              v->always_shift ? "windows always shifted, as in detection"
                              : "no shift where a window holds the whole grid, as in classification",
              v->eps);
done:
    return st;
}
