/* Batch norm and its kin. A layer normalises with its running statistics (frozen, evaluation) or with those of the batch, and in
 * training lets the running ones follow (methods/mabn.md section 3). Running statistics are parameters of role FET__BUFFER: saved
 * with the model, changed by assigns only.
 *
 * With m elements a channel: the batch is normalised by its biased variance, the running variance follows the unbiased one, m/(m-1)
 * of it, with momentum 0.1. Gradients through the batch's statistics are the standardize operator's; frozen ones are constants. */
#include "nn/nn.h"

#include <string.h>

static void full_name(const fet__build *b, const char *name, char out[320])
{
    snprintf(out, 320, "%s%s%s", b->prefix, b->prefix[0] ? "." : "", name);
}

static fet__param *find(const fet__build *b, const char *name)
{
    char full[320];

    full_name(b, name, full);
    return fet__params_find(b->store, full);
}

fet__node *fet__buffer(fet__build *b, const char *name, fet__shape shape, fet__init init, fet__param **param)
{
    fet__node *x = fet__parameter(b, name, shape, init);
    fet__param *p = x ? find(b, name) : NULL;

    *param = p;
    if (!p)
        return NULL;
    p->role = FET__BUFFER;
    return x;
}

/* ---- statistics ------------------------------------------------------------------------------------------------ */

/* One layer's running statistics, [C] each. */
typedef struct running {
    fet__node *mean, *var;
    fet__param *mean_param, *var_param;
} running;

static running running_of(fet__build *b, int64_t c)
{
    running r = {0};

    r.mean = fet__buffer(b, "running_mean", FET_SHAPE(c), (fet__init){FET__INIT_ZERO, 0}, &r.mean_param);
    r.var = fet__buffer(b, "running_var", FET_SHAPE(c), (fet__init){FET__INIT_ONE, 0}, &r.var_param);
    return r;
}

static int64_t count_over(const fet__node *x, uint32_t axes)
{
    int64_t count = 1;

    for (int i = 0; i < x->shape.rank; i++)
        if (axes >> i & 1)
            count *= x->shape.dim[i];
    return count;
}

static void become(fet__build *b, fet__param *p, fet__node *x)
{
    if (!p || !x)
        return;
    x = fet__reshape(b->g, x, p->shape);
    fet__assign_again(b->g, fet__leaf(b->g, p), p->dtype == b->dtype ? x : fet__cast(b->g, x, p->dtype));
}

/* x - mean over its standard deviation, both taken over `axes`. */
static fet__node *by_own(fet__build *b, fet__node *x, uint32_t axes, fet__node **mean, fet__node **var)
{
    fet__node *away, *scale;

    if (count_over(x, axes) < 2) {
        fet__graph_fail(b->g, FET_E_ARG,
                        "%s: statistics of a batch need more than one value per channel, and %s has one", b->prefix,
                        fet__shape_text(&x->shape));
        return NULL;
    }
    *mean = fet__mean(b->g, x, axes);
    /* The other way round than in standardize(): as one node the two would be kept between the passes over x, a third one that only
     * moves memory. */
    away = fet__sub(b->g, *mean, x);
    *var = fet__mean(b->g, fet__mul(b->g, away, away), axes);
    scale = fet__unary(b->g, FET__OP_RSQRT, fet__shift(b->g, *var, FET__NORM_EPS));
    return fet__standardize(b->g, x, *mean, scale);
}

/* Statistics between the running ones and the batch's unbiased ones; `adopt`: they become the running ones. */
static fet__node *by_mixed(fet__build *b, fet__node *x, uint32_t axes, const running *r, bool adopt)
{
    double n = (double)x->shape.dim[0], w = b->norm_prior / (b->norm_prior + n), m = (double)count_over(x, axes);
    fet__node *mean = NULL, *var = NULL, *scale;

    if (!by_own(b, x, axes, &mean, &var))
        return NULL;
    mean = fet__add(b->g, fet__scale(b->g, r->mean, w), fet__scale(b->g, mean, 1 - w));
    var = fet__add(b->g, fet__scale(b->g, r->var, w), fet__scale(b->g, var, (1 - w) * m / (m - 1)));
    if (adopt) {
        become(b, r->mean_param, mean);
        become(b, r->var_param, var);
    }
    scale = fet__unary(b->g, FET__OP_RSQRT, fet__shift(b->g, var, FET__NORM_EPS));
    return fet__mul(b->g, fet__sub(b->g, x, mean), scale);
}

static fet__node *by_running(fet__build *b, fet__node *x, const running *r)
{
    fet__node *scale = fet__unary(b->g, FET__OP_RSQRT, fet__shift(b->g, r->var, FET__NORM_EPS));

    return fet__mul(b->g, fet__sub(b->g, x, r->mean), scale);
}

/* A layer that is passed several times in one graph moves its statistics as often, in that order. */
static void follow(fet__build *b, fet__param *p, fet__node *now, fet__node *batch)
{
    fet__node *target, *old, *next;

    if (!p || !now || !batch)
        return;
    target = fet__leaf(b->g, p);
    old = fet__pending(b->g, target);
    old = !old ? now : old->dtype == b->dtype ? old : fet__cast(b->g, old, b->dtype);
    batch = fet__reshape(b->g, batch, p->shape);
    next = fet__add(b->g, fet__scale(b->g, old, 1 - FET__NORM_MOMENTUM), fet__scale(b->g, batch, FET__NORM_MOMENTUM));
    fet__assign_again(b->g, target, p->dtype == b->dtype ? next : fet__cast(b->g, next, p->dtype));
}

static fet__norm_mode mode_of(const fet__build *b, const running *r)
{
    if (b->norm_mode)
        return b->norm_mode(b->norm_mode_user, b, b->prefix);
    return b->train && r->mean_param && r->mean_param->trainable ? FET__NORM_TRAIN : FET__NORM_FROZEN;
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

static fet__node *affine(fet__build *b, fet__node *x, int64_t c)
{
    fet__node *gamma = fet__parameter(b, "weight", FET_SHAPE(c), (fet__init){FET__INIT_ONE, 0});
    fet__node *beta = fet__parameter(b, "bias", FET_SHAPE(c), (fet__init){FET__INIT_ZERO, 0});

    if (gamma && beta)
        find(b, "weight")->norm = find(b, "bias")->norm = true;
    return fet__add(b->g, fet__mul(b->g, x, gamma), beta);
}

static int64_t channels(const fet__node *x)
{
    return x->shape.dim[x->shape.rank - 1];
}

static fet__node *site(fet__build *b, fet__node *y)
{
    fet__site *s = y ? fet__site_new(b, FET__SITE_NORM, "") : NULL, copy;

    if (!s)
        return NULL;
    s->in = s->out = channels(y);
    s->weight = find(b, "weight");
    s->bias = find(b, "bias");
    copy = *s; /* a hook may pass sites of its own, which moves the list */
    return b->hooks && b->hooks->norm ? b->hooks->norm(b->hooks->user, b, &copy, y) : y;
}

/* By the statistics of each group of images; *mean and *var are those of the first. */
static fet__node *by_groups(fet__build *b, fet__node *x, int64_t groups, fet__node **mean, fet__node **var)
{
    fet__shape all = x->shape;
    int64_t values = count_over(x, (1u << all.rank) - 1u), c = channels(x);
    fet__node *y;

    x = fet__reshape(b->g, x, FET_SHAPE(groups, values / groups / c, c));
    y = by_own(b, x, 1u << 1, mean, var);
    if (!y)
        return NULL;
    *mean = fet__slice(b->g, *mean, 0, 0, 1);
    *var = fet__slice(b->g, *var, 0, 0, 1);
    return fet__reshape(b->g, y, all);
}

static fet__node *by_batch(fet__build *b, fet__node *x, const running *r, bool train)
{
    uint32_t axes = (1u << (x->shape.rank - 1)) - 1u;
    int64_t batch = x->shape.dim[0], groups = b->norm_group > 0 ? batch / b->norm_group : 1;
    double count = (double)count_over(x, axes) / (double)(groups > 1 ? groups : 1);
    fet__node *y, *mean = NULL, *var = NULL;

    if (b->norm_group > 0 && groups * b->norm_group != batch)
        return fet__graph_fail(b->g, FET_E_ARG, "%s: groups of %d images do not divide %lld", b->prefix, b->norm_group,
                               (long long)batch);
    y = groups > 1 ? by_groups(b, x, groups, &mean, &var) : by_own(b, x, axes, &mean, &var);
    if (y && train) {
        follow(b, r->mean_param, r->mean, mean);
        follow(b, r->var_param, r->var, fet__scale(b->g, var, count / (count - 1)));
    }
    return y;
}

/* With one set of running statistics, under the present prefix. */
static fet__node *normalise(fet__build *b, fet__node *x)
{
    running r = running_of(b, channels(x));
    uint32_t axes = (1u << (x->shape.rank - 1)) - 1u;
    fet__norm_mode mode = mode_of(b, &r);
    fet__node *y;

    if (mode == FET__NORM_FROZEN)
        y = by_running(b, x, &r);
    else if (mode == FET__NORM_MIX || mode == FET__NORM_ADOPT)
        y = by_mixed(b, x, axes, &r, mode == FET__NORM_ADOPT);
    else
        y = by_batch(b, x, &r, mode == FET__NORM_TRAIN);
    return site(b, affine(b, y, channels(x)));
}

static fet__node *normalise_as(fet__build *b, const char *name, fet__node *x)
{
    fet__node *y;

    fet__enter(b, "%s", name);
    y = x ? normalise(b, x) : NULL;
    fet__leave(b);
    return y;
}

/* The domain that this evaluation does not read must be there all the same: a model is saved whole. */
static void keep_other(fet__build *b, const char *name, int64_t c)
{
    static const char *const leaves[] = {"weight", "bias", "running_mean", "running_var"};

    fet__enter(b, "%s", name);
    running_of(b, c);
    fet__parameter(b, "weight", FET_SHAPE(c), (fet__init){FET__INIT_ONE, 0});
    fet__parameter(b, "bias", FET_SHAPE(c), (fet__init){FET__INIT_ZERO, 0});
    for (size_t i = 0; i < FET_COUNT(leaves); i++)
        if (find(b, leaves[i])) {
            find(b, leaves[i])->kept = true;
            find(b, leaves[i])->norm = i < 2;
        }
    fet__leave(b);
}

/* Two layers that share nothing: in training each takes its half of the batch, in evaluation one takes all. */
static fet__node *by_domain(fet__build *b, fet__node *x)
{
    static const char *const names[2] = {"BN_S", "BN_T"};
    int64_t batch = x->shape.dim[0];
    fet__node *half[2];

    if (!b->train) {
        keep_other(b, names[b->norm_source], channels(x));
        return normalise_as(b, names[!b->norm_source], x);
    }
    if (batch % 2 != 0)
        return fet__graph_fail(b->g, FET_E_ARG, "%s: norms of two domains split the batch in halves, and %lld is odd",
                               b->prefix, (long long)batch);
    for (int i = 0; i < 2; i++)
        half[i] = normalise_as(b, names[i], fet__slice(b->g, x, 0, i * (batch / 2), (i + 1) * (batch / 2)));
    return fet__concat(b->g, half, 2, 0);
}

fet__node *fet__nn_batch_norm(fet__build *b, const char *name, fet__node *x)
{
    fet__node *y;

    if (!x)
        return NULL;
    fet__enter(b, "%s", name);
    y = b->norm_domains ? by_domain(b, x) : normalise(b, x);
    fet__leave(b);
    return y;
}

fet__node *fet__nn_instance_norm(fet__build *b, const char *name, fet__node *x)
{
    fet__node *y, *mean, *var;

    if (!x)
        return NULL;
    fet__enter(b, "%s", name);
    y = by_own(b, x, 1u << 1 | 1u << 2, &mean, &var);
    y = site(b, affine(b, y, channels(x)));
    fet__leave(b);
    return y;
}

fet__node *fet__nn_ibn(fet__build *b, const char *name, fet__node *x)
{
    fet__node *half[2], *y = NULL;
    int64_t c;

    if (!x)
        return NULL;
    c = channels(x);
    fet__enter(b, "%s", name);
    if (c % 2 != 0) {
        fet__graph_fail(b->g, FET_E_ARG, "%s: IBN halves the channels, and %lld is odd", b->prefix, (long long)c);
    } else {
        half[0] = fet__nn_instance_norm(b, "IN", fet__slice(b->g, x, 3, 0, c / 2));
        half[1] = fet__nn_batch_norm(b, "BN", fet__slice(b->g, x, 3, c / 2, c));
        y = fet__concat(b->g, half, 2, 3);
    }
    fet__leave(b);
    return y;
}
