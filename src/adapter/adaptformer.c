/* AdaptFormer: a bottleneck parallel to the MLP, fed by the stream before the MLP's norm and outside drop path,
 * o + scale * (W2 dropout(act(W1 x + b1)) + b2). As methods/mona.md section 4 has it (GELU), or as methods/hydra.md section 9 (ReLU):
 * the presets. */
#include "adapter/adapter_int.h"
#include "adapter/bottleneck_int.h"

static const fet__option options[] = {
    {"at", "mlp", "beside which MLPs: glob patterns over block and branch (mlp), joined with +"},
    {"n", "64", "inner width"},
    {"act", "gelu", "inner activation: gelu, relu"},
    {"scale", "0.1", "factor on what is added"},
    {"dropout", "0.1", "on the inner vector, in training"},
    {"init", "normal", "of the projections: normal (0.02), xavier, kaiming, torch (kaiming, biases too)"},
    {"up", "same", "the second projection begins as the first (same) or at 0 (zero)"},
    {0}};

static const fet__preset presets[] = {{"mona", "at=mlp,n=64,act=gelu,scale=0.1,dropout=0.1,init=normal,up=same"},
                                      {"hydra", "at=mlp,n=64,act=relu,scale=0.1,dropout=0.1,init=kaiming,up=zero"},
                                      {0}};

static fet__node *stream(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    fet__adapter *a = adapter;

    return fet__adapter_acts(a, s) ? fet__add(b->g, o, fet__bottleneck_branch(a, b, s, x)) : o;
}

const fet__adapter_class fet__adapter_adaptformer = {
    .name = "adaptformer",
    .help = "a bottleneck parallel to the MLP, fed by the un-normed stream; merges into a fused form",
    .options = options,
    .presets = presets,
    .config_bytes = sizeof(fet__bottleneck),
    .configure = fet__bottleneck_configure,
    .hooks = {.stream = stream},
    .sites = 1u << FET__SITE_RESIDUAL,
    .branch = FET__BRANCH_MLP,
    .fuse = fet__bottleneck_fuse};
