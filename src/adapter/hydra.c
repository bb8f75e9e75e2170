/* Hydra: a parallel and a sequential low-rank branch on a frozen linear layer, y = z + s Par(x) + s Seq(z), z = W x + b
 * (arXiv 2309.06922; methods/hydra.md sections 1 and 3). The branches themselves are in lowrank.c. */
#include "adapter/adapter_int.h"
#include "adapter/lowrank_int.h"

static const fet__option options[] = {
    {"at", "mlp.fc2", "layers: glob patterns over their names, joined with +"},
    {"rank", "2", "rank of both branches"},
    {"rank_par", "", "rank of the parallel branch; empty: rank"},
    {"rank_seq", "", "rank of the sequential branch; empty: rank"},
    {"scale", "1", "factor on both branches"},
    {"dropout", "0", "on the rank-wide vector, in training"},
    {"bias", "true", "biases in the branches"},
    {"init", "normal", "of the down projections: normal (0.02), xavier, kaiming; the up projections begin at 0"},
    {0}};

/* The reference forms of methods/hydra.md: section 5 (ViT), 6 (CLIP), 7 (RoBERTa). Scale and dropout of vtab are per task. */
static const fet__preset presets[] = {{"vtab", "at=attn.proj+mlp.fc2,rank=2,init=xavier,bias=true"},
                                      {"elevater", "at=mlp.fc2,rank=2,scale=1,init=normal,bias=true"},
                                      {"nlu", "at=mlp.fc2,rank_par=4,rank_seq=8,scale=1,init=kaiming,bias=false"},
                                      {0}};

static fet_status rank_or_default(const fet__adapter *a, const char *key, int64_t rank, int *out)
{
    int64_t value = rank;
    fet_status st = FET_OK;

    if (fet__adapter_value(a, key)[0])
        st = fet__adapter_int(a, key, 1, FET__RANK_LIMIT, &value);
    *out = (int)value;
    return st;
}

static fet_status configure(fet__adapter *a)
{
    fet__lowrank *l = a->config;
    int64_t rank;
    fet_status st;

    FET_TRY(fet__adapter_int(a, "rank", 1, FET__RANK_LIMIT, &rank));
    FET_TRY(rank_or_default(a, "rank_par", rank, &l->rank_par));
    FET_TRY(rank_or_default(a, "rank_seq", rank, &l->rank_seq));
    FET_TRY(fet__adapter_double(a, "scale", -1e6, 1e6, &l->scale));
    FET_TRY(fet__lowrank_configure(a, l));
done:
    return st;
}

const fet__adapter_class fet__adapter_hydra = {.name = "hydra",
                                               .help =
                                                   "parallel and sequential low-rank branches on linear layers; merges",
                                               .options = options,
                                               .presets = presets,
                                               .config_bytes = sizeof(fet__lowrank),
                                               .configure = configure,
                                               .hooks = {.linear = fet__lowrank_linear},
                                               .merge = fet__lowrank_merge,
                                               .parts = true};
