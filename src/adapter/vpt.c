/* Visual prompt tuning (methods/hydra.md section 9): P trained tokens stand between the class token and the patches. The first block that
 * `at` names gets them inserted, without a position embedding; each further one gets its own in their place (deep), and where no
 * further one is named they go on as the blocks before made them (shallow). */
#include "adapter/adapter_int.h"
#include "adapter/inserted_int.h"

#include <math.h>

typedef struct vpt {
    int64_t prompts;
    double dropout;
} vpt;

static const fet__option options[] = {
    {"at", "*", "blocks that get prompts of their own: glob patterns over blocks.0, blocks.1, ..., joined with +"},
    {"prompts", "10", "tokens"},
    {"dropout", "0", "on the prompts, in training"},
    {0}};

static const fet__preset presets[] = {{"deep", "at=*"}, {"shallow", "at=blocks.0"}, {0}};

static fet_status configure(fet__adapter *a)
{
    vpt *v = a->config;
    fet_status st;

    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter 'vpt': at= names no block");
    FET_TRY(fet__adapter_int(a, "prompts", 1, 65536, &v->prompts));
    FET_TRY(fet__adapter_double(a, "dropout", 0, 0.999999, &v->dropout));
done:
    return st;
}

/* U(-v, v), v = sqrt(6 / (3 p^2 + d)): Xavier's bound for the patch projection. */
static fet__init prompt_init(const fet__params *store, int64_t channels)
{
    const fet__param *w = fet__params_find(store, "patch_embed.proj.weight");

    return fet__init_xavier(w ? fet__shape_count(&w->shape) / w->shape.dim[0] : channels, channels);
}

static fet__node *prompts_of(fet__adapter *a, fet__build *b, const fet__node *x)
{
    const vpt *v = a->config;
    int64_t channels = x->shape.dim[2];
    fet__node *p;

    fet__inserted_begin(a, b, "vpt");
    p = fet__parameter(b, "prompts", FET_SHAPE(1, v->prompts, channels), prompt_init(b->store, channels));
    if (p)
        p = fet__broadcast(b->g, p, FET_SHAPE(x->shape.dim[0], v->prompts, channels));
    p = fet__nn_dropout(b, p, v->dropout);
    fet__inserted_end(a, b);
    return p;
}

static fet__node *tokens(void *adapter, fet__build *b, const fet__site *s, fet__node *x)
{
    fet__adapter *a = adapter;
    const vpt *v = a->config;
    fet__node *part[3];
    int n = 0;
    int64_t old = s->prefix_tokens + (a->used ? v->prompts : 0); /* where the patches begin */

    if (!fet__adapter_acts(a, s))
        return x;
    if (s->grid[0] > 0)
        return fet__graph_fail(b->g, FET_E_ARG,
                               "adapter 'vpt' adds tokens, and the windows of %s take a grid of %dx%d and no more",
                               s->name, s->grid[0], s->grid[1]);
    if (s->prefix_tokens > 0)
        part[n++] = fet__slice(b->g, x, 1, 0, s->prefix_tokens);
    part[n++] = prompts_of(a, b, x);
    part[n++] = fet__slice(b->g, x, 1, old, x->shape.dim[1]);
    return fet__concat(b->g, part, n, 1);
}

const fet__adapter_class fet__adapter_vpt = {
    .name = "vpt",
    .help = "trained tokens beside the patches, new ones for each block (deep) or once (preset=shallow)",
    .options = options,
    .presets = presets,
    .config_bytes = sizeof(vpt),
    .configure = configure,
    .hooks = {.tokens = tokens},
    .sites = 1u << FET__SITE_TOKENS,
    .merge_refusal = "its tokens are part of no weight; keep its file and give it with --adapter"};
