/* FacT: the change of every weight of a block is a product of factors that the whole model shares, dW = s V S U with U [r, d] and V [d, r]
 * (methods/hydra.md section 9). A layer of in = m d and out = n d has n m slices of d x d, and its cores S lie in one matrix
 * [n r, m r]. Form tt: every layer has cores of its own; form tk: they are contractions of one core tensor C [r, r, r]
 * with columns of a block's P [r, 12], in the order q, k, v, proj, fc1 (4), fc2 (4). Layers of different widths d share U and V with
 * their equals. It merges into the weights (fact_merge.c). */
#include "adapter/fact_int.h"

#include <math.h>
#include <string.h>

static const fet__option options[] = {
    {"at", "attn.qkv+attn.proj+mlp.fc1+mlp.fc2", "layers: glob patterns over their names, joined with +"},
    {"form", "tt",
     "tt: a core for each slice; tk: cores from one tensor, for attn.qkv, attn.proj, mlp.fc1, mlp.fc2 alone"},
    {"rank", "16", "of the factors"},
    {"scale", "1", "factor on the change"},
    {"dropout", "0.1", "on the vector behind the core, in training"},
    {0}};

static const fet__preset presets[] = {{"tt", "form=tt,rank=16"}, {"tk", "form=tk,rank=32"}, {0}};

static fet_status configure(fet__adapter *a)
{
    static const char *const forms[] = {"tt", "tk", NULL};
    fet__fact *c = a->config;
    int form = 0;
    fet_status st;

    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter 'fact': at= names no layer");
    FET_TRY(fet__adapter_word(a, "form", forms, &form));
    c->tucker = form == 1;
    FET_TRY(fet__adapter_int(a, "rank", 1, 4096, &c->rank));
    FET_TRY(fet__adapter_double(a, "scale", -1e6, 1e6, &c->scale));
    FET_TRY(fet__adapter_double(a, "dropout", 0, 0.999999, &c->dropout));
done:
    return st;
}

/* ---- a layer's slices ---------------------------------------------------------------------------------------------- */

/* Where a layer's columns of P begin, by its name; -1: it has none. */
static int first_column(const fet__site *s)
{
    static const struct {
        const char *name;
        int column;
    } known[] = {{"attn.qkv", 0}, {"attn.proj", 3}, {"mlp.fc1", 4}, {"mlp.fc2", 8}};

    for (size_t i = 0; i < FET_COUNT(known); i++)
        if (fet__glob_site(known[i].name, s->name))
            return known[i].column;
    return -1;
}

bool fet__fact_slices(const fet__fact *c, const fet__site *s, fet__fact_layer *l)
{
    static const char qkv[] = "attn.qkv", proj[] = "attn.proj", mlp[] = "mlp.fc1";
    size_t tail;

    l->d = s->in < s->out ? s->in : s->out;
    l->m = s->in / l->d;
    l->n = s->out / l->d;
    l->column = first_column(s);
    if (l->m * l->d != s->in || l->n * l->d != s->out)
        return false;
    if (!c->tucker)
        return true;
    if (l->column < 0 || l->m * l->n > (l->column == 0 ? 3 : l->column == 3 ? 1 : 4))
        return false;
    tail = l->column == 0 ? sizeof qkv : l->column == 3 ? sizeof proj : sizeof mlp;
    snprintf(l->block, sizeof l->block, "%.*s", (int)(strlen(s->name) + 1 - tail), s->name);
    return true;
}

void fet__fact_core_name(const fet__site *s, int slice, char out[320])
{
    bool own = s->part_count > 1;

    snprintf(out, 320, "%.290s.fact.s.weight", own ? s->part[slice] : s->name);
}

void fet__fact_factor_name(const fet__fact_layer *l, const char *leaf, char out[320])
{
    snprintf(out, 320, "fact.d%lld.%s.weight", (long long)l->d, leaf);
}

void fet__fact_columns_name(const fet__fact_layer *l, char out[320])
{
    snprintf(out, 320, "%.280sfact.p", l->block);
}

/* ---- graph --------------------------------------------------------------------------------------------------------- */

/* One core for a layer, or one for each of its parts, one below the other. */
static fet__node *own_cores(const fet__fact *c, fet__build *b, const fet__site *s, const fet__fact_layer *l)
{
    fet__node *part[4];
    char name[320];

    fet__fact_core_name(s, 0, name);
    if (s->part_count <= 1)
        return fet__parameter_at(b, name, FET_SHAPE(l->n * c->rank, l->m * c->rank),
                                 fet__init_kaiming5(l->m * c->rank));
    for (int i = 0; i < s->part_count; i++) {
        fet__fact_core_name(s, i, name);
        part[i] = fet__parameter_at(b, name, FET_SHAPE(c->rank, c->rank), fet__init_kaiming5(c->rank));
    }
    return fet__concat(b->g, part, s->part_count, 0);
}

/* Blocks of the model, as the published initial values of P count them. */
static int64_t blocks(const fet__params *store)
{
    static const char tail[] = "attn.qkv.weight";
    int64_t n = 0;

    for (int i = 0; i < fet__params_count(store); i++) {
        const char *name = fet__params_at(store, i)->name;
        size_t length = strlen(name);
        n += length >= sizeof tail - 1 && strcmp(name + length - (sizeof tail - 1), tail) == 0;
    }
    return n > 0 ? n : 1;
}

/* M [r, r, slices]: C contracted with the layer's columns; then S as fet__fact_order says. */
static fet__node *contracted(const fet__fact *c, fet__build *b, const fet__fact_layer *l)
{
    static const int stacked[3] = {2, 1, 0}, interleaved[3] = {1, 2, 0};
    int64_t r = c->rank, slices = l->m * l->n;
    fet__node *core, *p, *x;
    char name[320];

    core = fet__parameter_at(b, "fact.c", FET_SHAPE(r, r, r), fet__init_xavier(r * r, r * r));
    fet__fact_columns_name(l, name);
    p = fet__parameter_at(b, name, FET_SHAPE(r, 12), fet__init_xavier(r, 12 * blocks(b->store)));
    p = fet__slice(b->g, p, 1, l->column, l->column + slices);
    x = fet__matmul(b->g, fet__reshape(b->g, core, FET_SHAPE(r * r, r)), p, false, false);
    x = fet__reshape(b->g, x, FET_SHAPE(r, r, slices));
    if (l->m == 1)
        x = fet__transpose(b->g, x, l->column < 4 ? stacked : interleaved);
    return fet__reshape(b->g, x, FET_SHAPE(l->n * r, l->m * r));
}

/* x [.., k w] seen as [.., k, w]. */
static fet__node *split(fet__graph *g, fet__node *x, int64_t k)
{
    fet__shape s;

    if (!x || k == 1)
        return x;
    s = x->shape;
    s.dim[s.rank] = s.dim[s.rank - 1] / k;
    s.dim[s.rank - 1] = k;
    s.rank++;
    return fet__reshape(g, x, s);
}

static fet__node *join(fet__graph *g, fet__node *x, int64_t k)
{
    fet__shape s;

    if (!x || k == 1)
        return x;
    s = x->shape;
    s.rank--;
    s.dim[s.rank - 1] *= s.dim[s.rank];
    return fet__reshape(g, x, s);
}

static fet__node *linear(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    fet__adapter *a = adapter;
    const fet__fact *c = a->config;
    fet__node *u, *v, *core, *h;
    fet__fact_layer l;
    char name[320];

    if (!fet__adapter_acts(a, s))
        return y;
    a->used++;
    if (!fet__fact_slices(c, s, &l))
        return fet__graph_fail(b->g, FET_E_ARG, "adapter 'fact': %s [%lld, %lld] has no slices of form %s", s->name,
                               (long long)s->out, (long long)s->in, c->tucker ? "tk" : "tt");
    fet__build_fresh_begin(b);
    b->adapter_scope = true;
    fet__fact_factor_name(&l, "u", name);
    u = fet__parameter_at(b, name, FET_SHAPE(c->rank, l.d), fet__init_kaiming5(l.d));
    fet__fact_factor_name(&l, "v", name);
    v = fet__parameter_at(b, name, FET_SHAPE(l.d, c->rank), (fet__init){FET__INIT_ZERO, 0});
    core = c->tucker ? contracted(c, b, &l) : own_cores(c, b, s, &l);
    b->adapter_scope = false;
    fet__build_fresh_end(b);
    h = join(b->g, fet__linear_nobias(b->g, split(b->g, x, l.m), u), l.m);
    h = fet__nn_dropout(b, fet__linear_nobias(b->g, h, core), c->dropout);
    h = join(b->g, fet__linear_nobias(b->g, split(b->g, h, l.n), fet__scale(b->g, v, c->scale)), l.n);
    return fet__add(b->g, y, h);
}

const fet__adapter_class fet__adapter_fact = {
    .name = "fact",
    .help = "changes of all weights from factors that the model shares (FacT-TT, FacT-TK); merges",
    .options = options,
    .presets = presets,
    .config_bytes = sizeof(fet__fact),
    .configure = configure,
    .hooks = {.linear = linear},
    .merge = fet__fact_merge};
