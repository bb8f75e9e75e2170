/* Which tensors weight decay spares: the rules of the recipes that are reproduced (methods/mona.md section 5). Names and shapes decide, as
 * in the optimiser constructors that they come from. */
#include "train/train.h"

#include <string.h>

static const struct {
    const char *name;
    fet__decay_rule rule;
} rules[] = {{"none", FET__DECAY_ALL}, {"1d", FET__DECAY_MATRICES}, {"norm+bias", FET__DECAY_NORM_BIAS},
             {"cls", FET__DECAY_CLS},  {"det", FET__DECAY_DET},     {"seg", FET__DECAY_SEG}};

bool fet__decay_rule_parse(const char *name, fet__decay_rule *out)
{
    size_t i;

    for (i = 0; i < FET_COUNT(rules); i++)
        if (strcmp(rules[i].name, name) == 0) {
            *out = rules[i].rule;
            return true;
        }
    return false;
}

static bool ends_in_bias(const char *name)
{
    const char *dot = strrchr(name, '.');

    return strcmp(dot ? dot + 1 : name, "bias") == 0;
}

/* The module that a parameter stands in: "norm1" of "blocks.0.norm1.weight", "bn2" of "layer1.0.bn2.bias". */
static bool of_norm(const char *name)
{
    const char *end = strrchr(name, '.'), *begin = end;
    char module[64];

    if (!end)
        return false;
    while (begin > name && begin[-1] != '.')
        begin--;
    snprintf(module, sizeof module, "%.*s", (int)(end - begin), begin);
    return strstr(module, "norm") || strncmp(module, "bn", 2) == 0 || strncmp(module, "ln", 2) == 0;
}

static bool position_table(const char *name)
{
    return strstr(name, "absolute_pos_embed") || strstr(name, "relative_position_bias_table");
}

/* "X.bias" beside a filter X.weight [n, 1, k, k] with a channel of its own for each of the n. */
static bool of_depthwise(const fet__params *store, const char *name)
{
    const char *dot = strrchr(name, '.');
    char weight[400];
    const fet__param *w;

    snprintf(weight, sizeof weight, "%.*s.weight", dot ? (int)(dot - name) : 0, name);
    w = fet__params_find(store, weight);
    return w && w->shape.rank == 4 && w->shape.dim[1] == 1;
}

bool fet__decays(fet__decay_rule rule, const fet__params *store, const fet__param *p)
{
    switch (rule) {
    case FET__DECAY_MATRICES: return p->shape.rank >= 2;
    case FET__DECAY_NORM_BIAS: return !of_norm(p->name) && !ends_in_bias(p->name);
    case FET__DECAY_CLS:
        if (of_norm(p->name) || position_table(p->name))
            return false;
        return !ends_in_bias(p->name) || of_depthwise(store, p->name);
    case FET__DECAY_DET: return !position_table(p->name) && !strstr(p->name, "norm");
    case FET__DECAY_SEG: return !position_table(p->name);
    case FET__DECAY_ALL: break;
    }
    return true;
}
