/* Mona: a module after each residual sum, with several depthwise filters over the token grid between two projections (arXiv
 * 2408.08345; methods/mona.md section 1):
 *     u = norm(x) * gamma + x * gammax              [B, T, C]
 *     z = P1 u + b1                                 [B, H, W, n]
 *     f = mean of conv_i(z) + z                     depthwise, zero padding
 *     q = P f + p + f,   y = x + P2 gelu(q) + b2
 * The graph holds the cheaper equal form: one filter K = mean of the padded filters + 1 in the middle, and P + I, both made anew from
 * the separate parameters in every step, so that their gradients follow from the chain rule and the optimiser sees each one by itself.
 * gamma goes into the norm's own vectors, and the filters' mean bias b through the projector: (P + I) b + p is one vector.
 * The form that is part of a model file has all this done beforehand; its tensors are made in mona_fuse.c. */
#include "adapter/adapter_int.h"
#include "adapter/mona_int.h"

#include <stdlib.h>
#include <string.h>

#define EPS 1e-5

static const fet__option options[] = {
    {"at", "attn+mlp", "after which residual sums: glob patterns over block and branch (attn, mlp), joined with +"},
    {"n", "64", "inner width"},
    {"kernels", "3+5+7", "sizes of the depthwise filters, odd, joined with +"},
    {"dropout", "0.1", "on the inner vector, in training"},
    {"norm", "scaled", "scaled: the projection sees gamma norm(x) + gammax x; none: x itself"},
    {"init", "normal", "of the projections: normal (0.02), xavier, kaiming, torch (kaiming, biases too)"},
    {0}};

static const fet__preset presets[] = {{"mona", "at=attn+mlp,n=64,kernels=3+5+7,dropout=0.1,norm=scaled,init=normal"},
                                      {0}};

/* ---- options --------------------------------------------------------------------------------------------------------- */

static fet_status bad_kernels(const fet__adapter *a)
{
    return FET_FAIL(FET_E_ARG,
                    "adapter 'mona': kernels=%s is not a list of 1 to %d odd sizes from 1 to %d, as in 3+5+7",
                    fet__show(fet__adapter_value(a, "kernels")), FET__MONA_KERNELS, FET__MONA_KERNEL_LIMIT);
}

static fet_status read_kernels(const fet__adapter *a, fet__mona *m)
{
    const char *s = fet__adapter_value(a, "kernels");
    char *end;

    for (m->kernel_count = 0;; s = end + 1) {
        long k = *s >= '0' && *s <= '9' ? strtol(s, &end, 10) : 0;
        if (k < 1 || k > FET__MONA_KERNEL_LIMIT || k % 2 == 0 || m->kernel_count == FET__MONA_KERNELS)
            return bad_kernels(a);
        m->kernel[m->kernel_count++] = (int)k;
        if (*end == '\0')
            return FET_OK;
        if (*end != '+')
            return bad_kernels(a);
    }
}

static fet_status configure(fet__adapter *a)
{
    static const char *const norms[] = {"none", "scaled", NULL};
    fet__mona *m = a->config;
    int word = 0;
    fet_status st;

    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter 'mona': at= names no place");
    FET_TRY(fet__adapter_int(a, "n", 1, FET__WIDTH_LIMIT, &m->width));
    FET_TRY(read_kernels(a, m));
    FET_TRY(fet__adapter_double(a, "dropout", 0, 0.999999, &m->dropout));
    FET_TRY(fet__adapter_word(a, "norm", norms, &word));
    m->scaled_norm = word == 1;
    FET_TRY(fet__adapter_word(a, "init", fet__projection_inits, &word));
    m->init.kind = (int)FET__PROJECT_NORMAL + word;
done:
    return st;
}

int fet__mona_largest(const fet__mona *m)
{
    int i, most = 1;

    for (i = 0; i < m->kernel_count; i++)
        most = m->kernel[i] > most ? m->kernel[i] : most;
    return most;
}

/* ---- the module -------------------------------------------------------------------------------------------------------- */

static fet__node *scaled_norm(fet__build *b, fet__node *x)
{
    fet__init zero = {FET__INIT_ZERO, 0}, one = {FET__INIT_ONE, 0};
    fet__node *gamma, *gammax, *weight, *bias, *n;
    fet__shape channels = FET_SHAPE(x->shape.dim[x->shape.rank - 1]);

    gamma = fet__parameter(b, "gamma", channels, (fet__init){FET__INIT_VALUE, 1e-6});
    gammax = fet__parameter(b, "gammax", channels, one);
    fet__enter(b, "norm");
    weight = fet__parameter(b, "weight", channels, one);
    bias = fet__parameter(b, "bias", channels, zero);
    n = fet__layer_norm(b->g, x, fet__mul(b->g, weight, gamma), fet__mul(b->g, bias, gamma), EPS);
    fet__leave(b);
    return fet__add(b->g, n, fet__mul(b->g, x, gammax));
}

/* w [n, 1, k, k] in the middle of zeros [n, 1, size, size]. */
static fet__node *centred(fet__graph *g, fet__node *w, int k, int size)
{
    int64_t edge = (size - k) / 2, around[4] = {0, 0, edge, edge};

    return edge ? fet__pad(g, w, around, around) : w;
}

/* K [n, 1, size, size], and the mean of the filters' biases [n]. */
static fet__node *merged_filter(fet__build *b, const fet__mona *m, fet__node **bias)
{
    int size = fet__mona_largest(m), i;
    fet__node *k = NULL, *one;

    *bias = NULL;
    for (i = 0; i < m->kernel_count; i++) {
        fet__init init = {FET__INIT_UNIFORM, 1.0 / m->kernel[i]};
        fet__node *w, *own;
        fet__enter(b, "conv%d", i + 1);
        w = fet__parameter(b, "weight", FET_SHAPE(m->width, 1, m->kernel[i], m->kernel[i]), init);
        own = fet__parameter(b, "bias", FET_SHAPE(m->width), init);
        fet__leave(b);
        w = centred(b->g, w, m->kernel[i], size);
        k = k ? fet__add(b->g, k, w) : w;
        *bias = *bias ? fet__add(b->g, *bias, own) : own;
    }
    one = centred(b->g, fet__fill(b->g, b->dtype, FET_SHAPE(m->width, 1, 1, 1), 1), 1, size);
    *bias = fet__scale(b->g, *bias, 1.0 / m->kernel_count);
    return fet__add(b->g, fet__scale(b->g, k, 1.0 / m->kernel_count), one);
}

/* 1 on the diagonal, made of nodes: no constant of n x n is kept a module. */
static fet__node *identity(fet__build *b, int64_t n)
{
    fet__node *i = fet__iota(b->g, b->dtype, n);
    fet__shape whole = FET_SHAPE(n, n);
    fet__node *row = fet__broadcast(b->g, fet__reshape(b->g, i, FET_SHAPE(1, n)), whole);

    return fet__compare(b->g, FET__EQ, fet__broadcast(b->g, fet__reshape(b->g, i, FET_SHAPE(n, 1)), whole), row);
}

/* z [B, H, W, n] -> (P + I) (K * z + b) + p */
static fet__node *convolve(fet__build *b, const fet__mona *m, fet__node *z)
{
    int64_t n = m->width;
    int edge = fet__mona_largest(m) / 2;
    fet__conv conv = {.pad = {edge, edge}, .groups = (int)n};
    fet__init init = {FET__INIT_UNIFORM, fet__init_kaiming5(n).a};
    fet__node *k, *bias, *p, *p_bias;

    fet__enter(b, "adapter_conv");
    k = merged_filter(b, m, &bias);
    fet__enter(b, "projector");
    p = fet__parameter(b, "weight", FET_SHAPE(n, n, 1, 1), init);
    p_bias = fet__parameter(b, "bias", FET_SHAPE(n), init);
    p = fet__add(b->g, fet__reshape(b->g, p, FET_SHAPE(n, n)), identity(b, n));
    bias = fet__linear(b->g, fet__reshape(b->g, bias, FET_SHAPE(1, n)), p, p_bias);
    fet__leave(b);
    z = fet__linear(b->g, fet__conv2d(b->g, z, k, &conv), p, fet__reshape(b->g, bias, FET_SHAPE(n)));
    fet__leave(b);
    return z;
}

static bool fits_grid(fet__build *b, const fet__node *x, const int grid[2], int prefix_tokens)
{
    int64_t tokens = 1;
    int i;

    for (i = 1; i + 1 < x->shape.rank; i++)
        tokens *= x->shape.dim[i];
    if (grid[0] > 0 && grid[1] > 0 && tokens == (int64_t)grid[0] * grid[1] + prefix_tokens &&
        (prefix_tokens == 0 || x->shape.rank == 3))
        return true;
    fet__graph_fail(b->g, FET_E_ARG, "mona needs tokens on a grid: %s is not %d x %d behind %d others",
                    fet__shape_text(&x->shape), grid[0], grid[1], prefix_tokens);
    return false;
}

/* ---- the fused form ------------------------------------------------------------------------------------------------ */

/* norm.weight holds gamma times the norm's weight; the norm's bias is in project1's. gammax is there only where project1 could not take
 * it in. */
static fet__node *fused_norm(fet__build *b, fet__node *x)
{
    fet__shape channels = FET_SHAPE(x->shape.dim[x->shape.rank - 1]);
    fet__init one = {FET__INIT_ONE, 0};
    fet__node *weight = fet__parameter(b, "norm.weight", channels, one);
    fet__node *n = fet__layer_norm(b->g, x, weight, fet__fill(b->g, b->dtype, channels, 0), EPS);

    if (fet__has_parameter(b, "gammax"))
        x = fet__mul(b->g, x, fet__parameter(b, "gammax", channels, one));
    return fet__add(b->g, n, x);
}

static fet__node *fused_convolve(fet__build *b, const fet__mona *m, fet__node *z)
{
    int64_t n = m->width, size = fet__mona_largest(m);
    fet__conv conv = {.pad = {(int)size / 2, (int)size / 2}, .groups = (int)n};
    fet__node *k = fet__parameter(b, "conv.weight", FET_SHAPE(n, 1, size, size), (fet__init){FET__INIT_ONE, 0});

    return fet__inserted_linear(b, "projector", fet__conv2d(b->g, z, k, &conv), n, m->init, false, 1);
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

/* x are the tokens of the grid alone. */
static fet__node *module(fet__build *b, const fet__mona *m, fet__node *x, const int grid[2], bool fused)
{
    fet__shape narrow = x->shape;
    fet__node *u = x, *z;

    if (m->scaled_norm)
        u = fused ? fused_norm(b, x) : scaled_norm(b, x);
    narrow.dim[narrow.rank - 1] = m->width;
    z = fet__inserted_linear(b, "project1", u, m->width, m->init, false, 1);
    z = fet__reshape(b->g, z, FET_SHAPE(x->shape.dim[0], grid[0], grid[1], m->width));
    z = fused ? fused_convolve(b, m, z) : convolve(b, m, z);
    z = fet__nn_dropout(b, fet__gelu(b->g, fet__reshape(b->g, z, narrow)), m->dropout);
    z = fet__inserted_linear(b, "project2", z, x->shape.dim[x->shape.rank - 1], m->init, true, 1);
    return fet__add(b->g, x, z);
}

fet__node *fet__mona_module(fet__build *b, const fet__mona *m, fet__node *x, const int grid[2], int prefix_tokens,
                            bool fused)
{
    fet__node *pair[2];

    if (!x || !fits_grid(b, x, grid, prefix_tokens))
        return NULL;
    if (prefix_tokens == 0)
        return module(b, m, x, grid, fused);
    pair[0] = fet__slice(b->g, x, 1, 0, prefix_tokens);
    pair[1] = fet__slice(b->g, x, 1, prefix_tokens, x->shape.dim[1]);
    if (!pair[1])
        return NULL;
    pair[1] = module(b, m, pair[1], grid, fused);
    return fet__concat(b->g, pair, 2, 1);
}

static fet__node *stream(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    fet__adapter *a = adapter;
    char name[96];

    (void)x;
    if (!fet__adapter_acts(a, s))
        return o;
    fet__inserted_name(a, s, name);
    fet__inserted_begin(a, b, name);
    o = fet__mona_module(b, a->config, o, s->grid, s->prefix_tokens, a->fused > 0);
    fet__inserted_end(a, b);
    return o;
}

const fet__adapter_class fet__adapter_mona = {
    .name = "mona",
    .help = "depthwise filters over the token grid, inserted after each residual sum; merges into a fused form",
    .options = options,
    .presets = presets,
    .config_bytes = sizeof(fet__mona),
    .configure = configure,
    .hooks = {.stream = stream},
    .sites = 1u << FET__SITE_RESIDUAL,
    .fuse = fet__mona_fuse};
