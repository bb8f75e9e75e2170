/* The layers that the architectures share: linear, layer norm, attention, MLP, residual, dropout. Each is written once here and
 * passes through the adapter sites; architectures are in model/. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

/* A site stays where it is when the list moves: the arena keeps the old one. */
static fet__site *new_site(fet__build *b, int kind, const char *name)
{
    fet__site *s;

    if (b->site_count == b->site_capacity) {
        int capacity = b->site_capacity ? 2 * b->site_capacity : 64;
        fet__site *grown = fet__arena_alloc(fet__graph_arena(b->g), (size_t)capacity, sizeof *grown);
        if (!grown) {
            fet__graph_fail(b->g, FET_E_NOMEM, "no memory for the list of layers");
            return NULL;
        }
        if (b->site_count)
            memcpy(grown, b->sites, (size_t)b->site_count * sizeof *grown);
        b->sites = grown;
        b->site_capacity = capacity;
    }
    name = fet__arena_format(fet__graph_arena(b->g), "%s%s%s", b->prefix, b->prefix[0] && name[0] ? "." : "", name);
    if (!name) {
        fet__graph_fail(b->g, FET_E_NOMEM, "no memory for the list of layers");
        return NULL;
    }
    s = &b->sites[b->site_count++];
    s->kind = kind;
    s->name = name;
    return s;
}

fet__site *fet__site_new(fet__build *b, int kind, const char *name)
{
    return new_site(b, kind, name);
}

/* "blocks.3.attn.qkv" and "q" give "blocks.3.attn.q": a part stands where the fused layer stands. */
static const char *part_name(fet__build *b, const char *site, const char *part)
{
    const char *dot = strrchr(site, '.');
    int keep = dot ? (int)(dot - site) + 1 : 0;

    return fet__arena_format(fet__graph_arena(b->g), "%.*s%s", keep, site, part);
}

static fet__param *find_param(const fet__build *b, const char *site, const char *leaf)
{
    char name[320];

    snprintf(name, sizeof name, "%s.%s", site, leaf);
    return fet__params_find(b->store, name);
}

fet__node *fet__nn_linear(fet__build *b, const char *name, fet__node *x, int64_t out, const fet__linear_options *o)
{
    static const fet__linear_options plain = {.default_init = true};
    fet__node *w, *bias = NULL, *y;
    fet__site *s;
    int64_t in;
    int i;

    if (!x)
        return NULL;
    if (!o)
        o = &plain;
    in = x->shape.dim[x->shape.rank - 1];
    fet__enter(b, "%s", name);
    w = fet__parameter(b, "weight", FET_SHAPE(out, in), o->default_init ? fet__init_kaiming5(in) : o->weight_init);
    /* A merge may have given a bias to a layer that was built without one. */
    if (!o->no_bias || fet__has_parameter(b, "bias"))
        bias = fet__parameter(b, "bias", FET_SHAPE(out), o->default_init ? fet__init_kaiming5(in) : o->bias_init);
    y = bias || !o->no_bias ? fet__linear(b->g, x, w, bias) : fet__linear_nobias(b->g, x, w);
    s = new_site(b, FET__SITE_LINEAR, "");
    if (s && y) {
        s->weight = find_param(b, s->name, "weight");
        s->bias = find_param(b, s->name, "bias");
        s->in = in;
        s->out = out;
        s->part_count = o->part_count;
        for (i = 0; i < o->part_count; i++)
            if (!(s->part[i] = part_name(b, s->name, o->part[i])))
                fet__graph_fail(b->g, FET_E_NOMEM, "no memory for the parts of %s", s->name);
        if (b->hooks && b->hooks->linear && fet__graph_status(b->g) == FET_OK)
            y = b->hooks->linear(b->hooks->user, b, s, x, y);
    }
    fet__leave(b);
    return y;
}

fet__node *fet__nn_pass_site(fet__build *b, int kind, fet__node *y)
{
    fet__site *s = new_site(b, kind, "");

    if (!s || !y)
        return y;
    s->in = s->out = y->shape.dim[y->shape.rank - 1];
    return b->hooks && b->hooks->norm ? b->hooks->norm(b->hooks->user, b, s, y) : y;
}

fet__node *fet__nn_layer_norm(fet__build *b, const char *name, fet__node *x, double eps)
{
    fet__node *gamma, *beta, *y;
    int64_t c;

    if (!x)
        return NULL;
    c = x->shape.dim[x->shape.rank - 1];
    fet__enter(b, "%s", name);
    gamma = fet__parameter(b, "weight", FET_SHAPE(c), (fet__init){FET__INIT_ONE, 0});
    beta = fet__parameter(b, "bias", FET_SHAPE(c), (fet__init){FET__INIT_ZERO, 0});
    y = fet__nn_pass_site(b, FET__SITE_NORM, fet__layer_norm(b->g, x, gamma, beta, eps));
    fet__leave(b);
    return y;
}

fet__node *fet__nn_attention(fet__build *b, const char *name, fet__node *x, const fet__attention_options *o)
{
    fet__linear_options qkv = {
        .no_bias = !o->qkv_bias, .weight_init = o->weight_init, .part_count = 3, .part = {"q", "k", "v"}};
    fet__linear_options proj = {.weight_init = o->weight_init};
    fet__node *y;
    int64_t c, head;

    if (!x)
        return NULL;
    c = x->shape.dim[x->shape.rank - 1];
    head = c / o->heads;
    fet__enter(b, "%s", name);
    if (head * o->heads != c) {
        fet__graph_fail(b->g, FET_E_ARG, "width %lld cannot be divided into %d heads", (long long)c, o->heads);
        y = NULL;
    } else {
        y = fet__nn_linear(b, "qkv", x, 3 * c, &qkv);
        y = fet__attention(b->g, y, NULL, o->heads, 1.0 / sqrt((double)head));
        y = fet__nn_linear(b, "proj", y, c, &proj);
        y = fet__nn_dropout(b, y, b->dropout);
    }
    fet__leave(b);
    return y;
}

fet__node *fet__nn_mlp(fet__build *b, const char *name, fet__node *x, int64_t hidden,
                       fet__node *(*activation)(fet__graph *, fet__node *), fet__init weight_init, fet__init bias_init)
{
    fet__linear_options o = {.weight_init = weight_init, .bias_init = bias_init};
    fet__node *y;

    if (!x)
        return NULL;
    fet__enter(b, "%s", name);
    y = fet__nn_linear(b, "fc1", x, hidden, &o);
    y = activation(b->g, y);
    y = fet__nn_dropout(b, y, b->dropout);
    y = fet__nn_linear(b, "fc2", y, x->shape.dim[x->shape.rank - 1], &o);
    y = fet__nn_dropout(b, y, b->dropout);
    fet__leave(b);
    return y;
}

static fet__site *residual_site(fet__build *b, const char *name, int64_t channels, const int grid[2], int prefix_tokens)
{
    fet__site *s = new_site(b, FET__SITE_RESIDUAL, name);

    if (!s)
        return NULL;
    s->in = s->out = channels;
    s->branch = FET__BRANCH_OTHER;
    if (strcmp(name, "attn") == 0)
        s->branch = FET__BRANCH_ATTENTION;
    else if (strcmp(name, "mlp") == 0)
        s->branch = FET__BRANCH_MLP;
    s->grid[0] = grid[0];
    s->grid[1] = grid[1];
    s->prefix_tokens = prefix_tokens;
    return s;
}

fet__node *fet__nn_tokens(fet__build *b, fet__node *x, const int grid[2], int prefix_tokens)
{
    fet__site *s = x ? fet__site_new(b, FET__SITE_TOKENS, "") : NULL;

    if (!s)
        return NULL;
    s->in = s->out = x->shape.dim[x->shape.rank - 1];
    s->grid[0] = grid ? grid[0] : 0;
    s->grid[1] = grid ? grid[1] : 0;
    s->prefix_tokens = prefix_tokens;
    return b->hooks && b->hooks->tokens ? b->hooks->tokens(b->hooks->user, b, s, x) : x;
}

fet__node *fet__nn_residual(fet__build *b, const char *site_name, fet__node *x, fet__node *y, double drop_path,
                            const int grid[2], int prefix_tokens)
{
    fet__site *s;
    fet__node *o;

    if (!x || !y)
        return NULL;
    s = residual_site(b, site_name, y->shape.dim[y->shape.rank - 1], grid, prefix_tokens);
    if (!s)
        return NULL;
    if (b->hooks && b->hooks->residual)
        y = b->hooks->residual(b->hooks->user, b, s, x, y);
    o = fet__add(b->g, x, fet__nn_drop_path(b, y, drop_path));
    if (o && b->hooks && b->hooks->stream)
        o = b->hooks->stream(b->hooks->user, b, s, x, o);
    return o;
}

/* A mask of zeros and 1 / (1 - p), drawn again wherever it is needed: RANDOM is a pure function of the step. */
static fet__node *keep_mask(fet__build *b, fet__shape shape, double p)
{
    fet__node *u, *keep;

    if (b->mask)
        return b->mask(b->mask_user, b, shape, p);
    if (!b->step)
        return fet__graph_fail(b->g, FET_E_BUG, "dropout needs the step number");
    u = fet__random(b->g, b->step, b->seed, 0x40000000u + b->random_count++, b->dtype, shape);
    keep = fet__compare(b->g, FET__GE, u, fet__scalar(b->g, b->dtype, p));
    return fet__scale(b->g, keep, 1.0 / (1.0 - p));
}

fet__node *fet__nn_dropout(fet__build *b, fet__node *x, double p)
{
    if (!x || !b->train || p <= 0)
        return x;
    return fet__mul(b->g, x, keep_mask(b, x->shape, p));
}

fet__node *fet__nn_drop_path(fet__build *b, fet__node *x, double p)
{
    fet__shape shape;
    int i;

    if (!x || !b->train || p <= 0)
        return x;
    shape = x->shape;
    for (i = 1; i < shape.rank; i++)
        shape.dim[i] = 1;
    return fet__mul(b->g, x, keep_mask(b, shape, p));
}
