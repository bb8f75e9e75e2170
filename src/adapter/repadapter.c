/* RepAdapter: a bottleneck without activation before a linear layer, f(x) = x + s (W_B dropout(W_A x + a) + b_B) with W_B in groups, and
 * then the layer on f(x) (methods/hydra.md section 9). Being linear it merges: with M = I + s W_B W_A and c = s (W_B a + b_B),
 * W' = W M and b' = b + W c. */
#include "adapter/adapter_int.h"

#include <string.h>

typedef struct repadapter {
    int64_t rank, groups;
    double scale, dropout;
} repadapter;

static const fet__option options[] = {
    {"at", "attn.qkv+mlp.fc1", "before which linear layers: glob patterns over their names, joined with +"},
    {"rank", "8", "inner width"},
    {"groups", "2", "groups of the second projection"},
    {"scale", "1", "factor on the branch"},
    {"dropout", "0.1", "on the inner vector, in training"},
    {0}};

static fet_status configure(fet__adapter *a)
{
    repadapter *c = a->config;
    fet_status st;

    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter 'repadapter': at= names no layer");
    FET_TRY(fet__adapter_int(a, "rank", 1, 65536, &c->rank));
    FET_TRY(fet__adapter_int(a, "groups", 1, 65536, &c->groups));
    FET_TRY(fet__adapter_double(a, "scale", -1e6, 1e6, &c->scale));
    FET_TRY(fet__adapter_double(a, "dropout", 0, 0.999999, &c->dropout));
    if (c->rank % c->groups != 0)
        return FET_FAIL(FET_E_ARG, "adapter 'repadapter': rank=%lld cannot be divided into groups=%lld",
                        (long long)c->rank, (long long)c->groups);
done:
    return st;
}

static void name_of(const fet__site *s, const char *leaf, char out[320])
{
    snprintf(out, 320, "%.280s.repadapter.%s", s->name, leaf);
}

static fet__node *parameter(fet__build *b, const fet__site *s, const char *leaf, fet__shape shape, fet__init init)
{
    char name[320];

    name_of(s, leaf, name);
    return fet__parameter_at(b, name, shape, init);
}

/* [d, r / groups] -> block diagonal [d, r]. */
static fet__node *spread(fet__graph *g, fet__node *w, int64_t d, int64_t rank, int64_t groups)
{
    fet__node *sum = NULL;
    int64_t i, rows = d / groups, columns = rank / groups;

    for (i = 0; i < groups; i++) {
        int64_t low[2] = {i * rows, i * columns}, high[2] = {d - (i + 1) * rows, rank - (i + 1) * columns};
        fet__node *part = fet__pad(g, fet__slice(g, w, 0, i * rows, (i + 1) * rows), low, high);
        sum = sum ? fet__add(g, sum, part) : part;
    }
    return sum;
}

/* f(x) */
static fet__node *before(const repadapter *c, fet__build *b, const fet__site *s, fet__node *x)
{
    fet__init zero = {FET__INIT_ZERO, 0};
    int64_t d = s->in, r = c->rank;
    fet__node *down, *down_bias, *up, *up_bias, *h;

    fet__build_fresh_begin(b);
    b->adapter_scope = true;
    down = parameter(b, s, "conv_A.weight", FET_SHAPE(r, d, 1), fet__init_xavier(d, r));
    down_bias = parameter(b, s, "conv_A.bias", FET_SHAPE(r), zero);
    up = parameter(b, s, "conv_B.weight", FET_SHAPE(d, r / c->groups, 1), zero);
    up_bias = parameter(b, s, "conv_B.bias", FET_SHAPE(d), zero);
    b->adapter_scope = false;
    fet__build_fresh_end(b);
    h = fet__linear(b->g, x, fet__reshape(b->g, down, FET_SHAPE(r, d)), down_bias);
    h = fet__nn_dropout(b, h, c->dropout);
    up = spread(b->g, fet__reshape(b->g, up, FET_SHAPE(d, r / c->groups)), d, r, c->groups);
    h = fet__linear(b->g, h, fet__scale(b->g, up, c->scale), fet__scale(b->g, up_bias, c->scale));
    return fet__add(b->g, x, h);
}

/* The layer once more, on f(x); what it gave for x has no reader any more and is never computed. */
static fet__node *linear(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    fet__adapter *a = adapter;
    const repadapter *c = a->config;
    fet__init unused = {FET__INIT_ZERO, 0};
    fet__node *weight, *bias;

    if (!fet__adapter_acts(a, s))
        return y;
    a->used++;
    if (s->in % c->groups != 0)
        return fet__graph_fail(b->g, FET_E_ARG,
                               "adapter 'repadapter': width %lld of %s cannot be divided into groups=%lld",
                               (long long)s->in, s->name, (long long)c->groups);
    x = before(c, b, s, x);
    weight = fet__parameter_at(b, s->weight->name, s->weight->shape, unused);
    if (!s->bias)
        return fet__linear_nobias(b->g, x, weight);
    bias = fet__parameter_at(b, s->bias->name, s->bias->shape, unused);
    return fet__linear(b->g, x, weight, bias);
}

/* ---- merge --------------------------------------------------------------------------------------------------------- */

static fet_status values(const fet__params *store, const fet__site *s, const char *leaf, int64_t count, double **out)
{
    char name[320];
    const fet__param *p;
    fet_status st;

    name_of(s, leaf, name);
    p = fet__params_find(store, name);
    if (!p || fet__shape_count(&p->shape) != count)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s is absent or not of %lld values", name, (long long)count);
    FET_TRY(FET_NEW(*out, count));
    fet__convert(*out, FET_F64, p->data, p->dtype, count);
done:
    return st;
}

typedef struct work {
    double *down, *down_bias, *up, *up_bias, *row, *hidden, *bias;
} work;

static void work_fini(work *w)
{
    fet__free(w->down);
    fet__free(w->down_bias);
    fet__free(w->up);
    fet__free(w->up_bias);
    fet__free(w->row);
    fet__free(w->hidden);
    fet__free(w->bias);
}

/* One row w of W: hidden = s w W_B, then w += hidden W_A, and the bias gets hidden a + s w b_B. */
static double merge_row(const repadapter *c, const fet__site *s, work *w)
{
    int64_t d = s->in, r = c->rank, columns = r / c->groups, rows = d / c->groups, i, k;
    double bias = 0;

    memset(w->hidden, 0, (size_t)r * sizeof *w->hidden);
    for (i = 0; i < d; i++) {
        double v = c->scale * w->row[i];
        bias += v * w->up_bias[i];
        for (k = 0; k < columns; k++)
            w->hidden[i / rows * columns + k] += v * w->up[i * columns + k];
    }
    for (k = 0; k < r; k++) {
        bias += w->hidden[k] * w->down_bias[k];
        for (i = 0; i < d; i++)
            w->row[i] += w->hidden[k] * w->down[k * d + i];
    }
    return bias;
}

static fet_status merge_rows(const repadapter *c, const fet__site *s, work *w, fet__param *p)
{
    int64_t i;
    fet_status st;

    FET_TRY(fet__param_own(p));
    for (i = 0; i < s->out; i++) {
        void *at = (char *)p->data + (size_t)(i * s->in) * fet__dtype_bytes(p->dtype);
        fet__convert(w->row, FET_F64, at, p->dtype, s->in);
        w->bias[i] += merge_row(c, s, w);
        fet__convert(at, p->dtype, w->row, FET_F64, s->in);
    }
    p->version++;
done:
    return st;
}

static fet_status merge(fet__adapter *a, fet__params *store, const fet__site *s)
{
    const repadapter *c = a->config;
    work w = {0};
    fet_status st;

    FET_TRY(values(store, s, "conv_A.weight", c->rank * s->in, &w.down));
    FET_TRY(values(store, s, "conv_A.bias", c->rank, &w.down_bias));
    FET_TRY(values(store, s, "conv_B.weight", s->in * (c->rank / c->groups), &w.up));
    FET_TRY(values(store, s, "conv_B.bias", s->in, &w.up_bias));
    FET_TRY(FET_NEW(w.row, s->in));
    FET_TRY(FET_NEW(w.hidden, c->rank));
    FET_TRY(FET_NEW(w.bias, s->out));
    if (s->bias)
        fet__convert(w.bias, FET_F64, s->bias->data, s->bias->dtype, s->out);
    FET_TRY(merge_rows(c, s, &w, s->weight));
    st = fet__merge_bias(store, s, w.bias);
done:
    work_fini(&w);
    return st;
}

const fet__adapter_class fet__adapter_repadapter = {
    .name = "repadapter",
    .help = "a linear bottleneck before the attention's and the MLP's first layer; merges",
    .options = options,
    .config_bytes = sizeof(repadapter),
    .configure = configure,
    .hooks = {.linear = linear},
    .merge = merge};
