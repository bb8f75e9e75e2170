/* LoRA (parallel branch) and SeqLoRA (sequential branch), the two special cases of Hydra (methods/hydra.md 1.1, 1.2, 9). The
 * branches themselves are in lowrank.c. */
#include "adapter/adapter_int.h"
#include "adapter/lowrank_int.h"

#include <math.h>

static const fet__option lora_options[] = {
    {"at", "attn.q+attn.v",
     "layers: glob patterns over their names, joined with +; attn.q, .k, .v are rows of the fused attn.qkv"},
    {"rank", "8", "rank of the branch"},
    {"alpha", "", "scale is alpha / rank; empty: rank, so that the scale is 1"},
    {"rslora", "false", "scale is alpha / sqrt(rank)"},
    {"scale", "", "factor on the branch, instead of alpha"},
    {"dropout", "0", "on the branch's input, in training"},
    {"bias", "false", "biases in the branch"},
    {"init", "kaiming", "of the down projection: normal (0.02), xavier, kaiming; the up projection begins at 0"},
    {0}};

/* The reference forms of methods/mona.md section 4 and methods/hydra.md section 9 (ViT; its nlu form is for query and value too). */
static const fet__preset lora_presets[] = {
    {"mona", "at=attn.q+attn.v,rank=64,alpha=1,dropout=0,bias=false,init=kaiming"},
    {"hydra", "at=attn.q+attn.v,rank=8,dropout=0,bias=false,init=kaiming"},
    {"nlu", "at=attn.q+attn.v,rank=8,alpha=16,bias=false,init=kaiming"},
    {0}};

static const fet__option seqlora_options[] = {
    {"at", "mlp.fc2", "layers: glob patterns over their names, joined with +"},
    {"rank", "8", "rank of the branch"},
    {"scale", "1", "factor on the branch"},
    {"dropout", "0", "on the rank-wide vector, in training"},
    {"bias", "false", "biases in the branch"},
    {"init", "kaiming", "of the down projection: normal (0.02), xavier, kaiming; the up projection begins at 0"},
    {0}};

static fet_status lora_scale(const fet__adapter *a, int64_t rank, double *scale)
{
    double alpha = (double)rank;
    bool root;
    fet_status st;

    FET_TRY(fet__adapter_bool(a, "rslora", &root));
    if (fet__adapter_value(a, "scale")[0]) {
        if (fet__adapter_value(a, "alpha")[0])
            return FET_FAIL(FET_E_ARG, "adapter 'lora': give scale or alpha, not both");
        return fet__adapter_double(a, "scale", -1e6, 1e6, scale);
    }
    if (fet__adapter_value(a, "alpha")[0])
        FET_TRY(fet__adapter_double(a, "alpha", -1e6, 1e6, &alpha));
    *scale = alpha / (root ? sqrt((double)rank) : (double)rank);
done:
    return st;
}

static fet_status lora_configure(fet__adapter *a)
{
    fet__lowrank *l = a->config;
    int64_t rank;
    fet_status st;

    FET_TRY(fet__adapter_int(a, "rank", 1, FET__RANK_LIMIT, &rank));
    l->rank_par = (int)rank;
    l->dropout_on_input = true;
    FET_TRY(lora_scale(a, rank, &l->scale));
    FET_TRY(fet__lowrank_configure(a, l));
done:
    return st;
}

static fet_status seqlora_configure(fet__adapter *a)
{
    fet__lowrank *l = a->config;
    int64_t rank;
    fet_status st;

    FET_TRY(fet__adapter_int(a, "rank", 1, FET__RANK_LIMIT, &rank));
    l->rank_seq = (int)rank;
    FET_TRY(fet__adapter_double(a, "scale", -1e6, 1e6, &l->scale));
    FET_TRY(fet__lowrank_configure(a, l));
done:
    return st;
}

const fet__adapter_class fet__adapter_lora = {.name = "lora",
                                              .help = "a parallel low-rank branch on linear layers; merges",
                                              .options = lora_options,
                                              .presets = lora_presets,
                                              .config_bytes = sizeof(fet__lowrank),
                                              .configure = lora_configure,
                                              .hooks = {.linear = fet__lowrank_linear},
                                              .merge = fet__lowrank_merge,
                                              .parts = true};

const fet__adapter_class fet__adapter_seqlora = {.name = "seqlora",
                                                 .help = "a sequential low-rank branch on linear layers; merges",
                                                 .options = seqlora_options,
                                                 .config_bytes = sizeof(fet__lowrank),
                                                 .configure = seqlora_configure,
                                                 .hooks = {.linear = fet__lowrank_linear},
                                                 .merge = fet__lowrank_merge,
                                                 .parts = true};
