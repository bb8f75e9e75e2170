/* The adapter of Houlsby et al. and Pfeiffer et al.: a bottleneck with its own residual inside a branch, before drop path and the
 * residual sum, y + scale * (W2 dropout(act(W1 y + b1)) + b2) with y the output of attention or MLP. As methods/mona.md section 4 has
 * it, or as methods/hydra.md section 9: the presets. */
#include "adapter/adapter_int.h"
#include "adapter/bottleneck_int.h"

static const fet__option options[] = {
    {"at", "attn+mlp", "in which branches: glob patterns over block and branch (attn, mlp), joined with +"},
    {"n", "64", "inner width"},
    {"act", "gelu", "inner activation: gelu, relu"},
    {"scale", "1", "factor on what is added"},
    {"dropout", "0.1", "on the inner vector, in training"},
    {"init", "normal", "of the projections: normal (0.02), xavier, kaiming, torch (kaiming, biases too)"},
    {"up", "same", "the second projection begins as the first (same) or at 0 (zero)"},
    {0}};

static const fet__preset presets[] = {{"mona", "at=attn+mlp,n=64,act=gelu,scale=1,dropout=0.1,init=normal,up=same"},
                                      {"hydra", "at=attn+mlp,n=64,act=gelu,scale=1,dropout=0,init=normal,up=same"},
                                      {"houlsby", "at=attn+mlp,n=64,act=gelu,scale=1,dropout=0,init=normal,up=same"},
                                      {"pfeiffer", "at=mlp,n=64,act=gelu,scale=1,dropout=0,init=normal,up=zero"},
                                      {0}};

static fet__node *residual(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    fet__adapter *a = adapter;

    (void)x;
    return fet__adapter_acts(a, s) ? fet__add(b->g, y, fet__bottleneck_branch(a, b, s, y)) : y;
}

const fet__adapter_class fet__adapter_adapter = {
    .name = "adapter",
    .help = "a bottleneck inside the attention and MLP branches (Houlsby, Pfeiffer); merges into a fused form",
    .options = options,
    .presets = presets,
    .config_bytes = sizeof(fet__bottleneck),
    .configure = fet__bottleneck_configure,
    .hooks = {.residual = residual},
    .sites = 1u << FET__SITE_RESIDUAL,
    .fuse = fet__bottleneck_fuse};
