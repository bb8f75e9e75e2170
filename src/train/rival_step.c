/* The programs of the methods that MABN is compared with (methods/mabn.md 10): a plain supervised step, ARM's steps over chunks of one
 * site each, Meta-DMoE's aggregator and episode, and what each does at a new site. The layers that they add are arm.c's and meta_dmoe.c's. */
#include "train/mabn_parts.h"

#include <stdio.h>
#include <string.h>

/* ---- what stands where in the store ----------------------------------------------------------------------------------- */

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_context(const fet__params *store, const fet__param *p)
{
    return fet__mabn_of_model(store, p) || begins(p->name, "context.");
}

static bool is_loss_net(const fet__params *store, const fet__param *p)
{
    (void)store;
    return begins(p->name, "learned_loss.");
}

static bool is_aggregator(const fet__params *store, const fet__param *p)
{
    (void)store;
    return begins(p->name, "aggregator.");
}

/* What makes the feature that the student is led by; what the aggregator's own training puts behind it has no part in episodes. */
static bool is_transformer(const fet__params *store, const fet__param *p)
{
    (void)store;
    return begins(p->name, "aggregator.transformer.");
}

/* Parameters below `prefix`, in the order of the store. */
static fet_status values_below(fet__values *out, fet__build *b, const char *prefix)
{
    int n = fet__params_count(b->store);
    fet__arena *arena = fet__graph_arena(b->g);

    *out = (fet__values){.param = fet__arena_alloc(arena, (size_t)n + 1, sizeof(fet__param *)),
                         .node = fet__arena_alloc(arena, (size_t)n + 1, sizeof(fet__node *))};
    if (!out->param || !out->node)
        return FET_E_NOMEM;
    for (int i = 0; i < n; i++) {
        fet__param *p = fet__params_at(b->store, i);
        if (p->role != FET__PARAM || !begins(p->name, prefix))
            continue;
        out->param[out->count] = p;
        out->node[out->count++] = fet__leaf(b->g, p);
    }
    return fet__graph_status(b->g);
}

/* Behind `v` the values of `w`. */
static fet_status join(fet__values *out, fet__build *b, const fet__values *v, const fet__values *w)
{
    size_t n = (size_t)v->count + (size_t)w->count;
    fet__arena *arena = fet__graph_arena(b->g);

    *out = (fet__values){.count = (int)n,
                         .param = fet__arena_alloc(arena, n + 1, sizeof(fet__param *)),
                         .node = fet__arena_alloc(arena, n + 1, sizeof(fet__node *))};
    if (!out->param || !out->node)
        return FET_E_NOMEM;
    for (int i = 0; i < out->count; i++) {
        const fet__values *from = i < v->count ? v : w;
        int k = i < v->count ? i : i - v->count;
        out->param[i] = from->param[k];
        out->node[i] = from->node[k];
    }
    return FET_OK;
}

static bool of_head(const fet__mabn *a, const fet__param *p)
{
    size_t length = strlen(a->m->arch.head);

    return begins(p->name, a->m->arch.head) && p->name[length] == '.';
}

/* The model's parameters; without its head where `features`. */
static fet_status values_of_model(fet__values *out, fet__mabn *a, fet__build *b, bool features)
{
    int kept = 0;
    fet_status st = fet__values_of(out, b, fet__mabn_of_model);

    for (int i = 0; i < out->count && st == FET_OK; i++) {
        if (features && of_head(a, out->param[i]))
            continue;
        out->param[kept] = out->param[i];
        out->node[kept++] = out->node[i];
    }
    if (st == FET_OK)
        out->count = kept;
    return st;
}

/* The network, with or without its head, under the present prefix. */
static void network(const fet__mabn *a, fet__build *b, fet__node *x, fet__node **feature, fet__node **logits)
{
    fet__arch arch = a->m->arch;
    fet__node *head = NULL;

    if (!logits)
        arch.classes = 0;
    arch.class_->build(&arch, b, x, feature, &head);
    if (logits)
        *logits = head;
}

static fet_status begin(fet__mabn_step *out, fet__build *b, fet__mabn *a, fet__norm_mode *mode)
{
    fet_status st = fet__mabn_begin(out, b, a->m, false);

    b->norm_mode = fet__norm_mode_given;
    b->norm_mode_user = mode;
    b->may_initialise = a->may_initialise;
    return st;
}

/* Gradient of the loss by `v`, the optimiser's step, the program. */
static fet_status train(fet__mabn_step *out, fet__mabn *a, const fet__values *v, fet__node *loss,
                        const fet__optimizer_options *o, int64_t memory)
{
    fet__node **grad = fet__arena_alloc(fet__graph_arena(out->graph), (size_t)v->count + 1, sizeof *grad);
    fet_status st;

    if (!grad)
        return FET_E_NOMEM;
    FET_TRY(fet__graph_status(out->graph));
    fet__mabn_show(out, "loss", loss);
    FET_TRY(fet__gradient(out->graph, loss, v->node, v->count, false, grad));
    FET_TRY(fet__own_all(a->m->store));
    FET_TRY(fet__mabn_update(out, a->m->store, v, grad, o));
    st = fet__mabn_finish(out, memory, "loss");
done:
    return st;
}

/* ---- supervised --------------------------------------------------------------------------------------------------------- */

fet_status fet__rival_plain_create(fet__mabn_step *out, fet__mabn *a, int expert, int batch,
                                   const fet__optimizer_options *o, int64_t memory)
{
    fet__norm_mode mode = FET__NORM_TRAIN;
    fet__node *x, *label, *feature, *logits = NULL, *loss;
    char prefix[32] = "";
    fet__values all;
    fet__build b;
    fet_status st;

    FET_TRY(begin(out, &b, a, &mode));
    x = fet__mabn_pictures(out, a->m, "images", batch);
    label = fet__mabn_labels(out, a, batch);
    if (expert >= 0) {
        snprintf(prefix, sizeof prefix, "expert.%d.", expert);
        fet__enter(&b, "expert.%d", expert);
    }
    network(a, &b, x, &feature, &logits);
    if (expert >= 0)
        fet__leave(&b);
    loss = fet__main_loss(out->graph, logits, label, a->squared);
    FET_TRY(expert >= 0 ? values_below(&all, &b, prefix) : fet__values_of(&all, &b, fet__mabn_of_model));
    st = train(out, a, &all, loss, o, memory);
done:
    return st;
}

/* ---- ARM ---------------------------------------------------------------------------------------------------------------- */

static int context_outputs(const fet__mabn *a, const char *layer)
{
    char name[64];
    const fet__param *p;

    snprintf(name, sizeof name, "context.%s.weight", layer);
    p = fet__params_find(a->m->store, name);
    return p ? (int)p->shape.dim[0] : 0;
}

static fet__node *with_context(const fet__mabn *a, fet__build *b, fet__node *x, int support, fet__node **mean)
{
    return fet__arm_context(b, x, support, context_outputs(a, "6"), context_outputs(a, "0"), mean);
}

/* The learned loss changes all of the model, by its batch's statistics; *next is what comes of it. */
static fet_status follow_loss(fet__mabn *a, fet__build *b, const fet__values *start, fet__node *x,
                              const fet__episode_options *inner, fet__values *next, fet__node **first)
{
    fet__node *feature, *logits = NULL, *loss;
    fet_status st = FET_OK;

    *next = *start;
    for (int k = 0; k < inner->inner_steps && st == FET_OK; k++) {
        fet__values now = *next;
        fet__values_use(b, &now);
        network(a, b, x, &feature, &logits);
        fet__values_use(b, NULL);
        loss = fet__arm_learned_loss(b, logits);
        if (k == 0)
            *first = loss;
        st = fet__graph_status(b->g);
        if (st == FET_OK)
            st = fet__values_descend(next, &now, b->g, loss, inner->inner_lr, NULL);
    }
    return st;
}

/* Logits of one site's chunk. */
static fet_status chunk(fet__mabn *a, fet__build *b, const fet__values *start, fet__node *x, fet__norm_mode *mode,
                        const fet__episode_options *inner, fet__node **logits, fet__node **first)
{
    fet__node *feature;
    fet__values next;
    fet_status st = FET_OK;

    if (a->method == FET__SITES_ARM_LL) {
        *mode = FET__NORM_BATCH;
        st = follow_loss(a, b, start, x, inner, &next, first);
        fet__values_use(b, &next);
    }
    *mode = FET__NORM_TRAIN; /* normalises as BATCH does; running statistics follow, for sites that nobody adapts to */
    if (st == FET_OK)
        network(a, b, x, &feature, logits);
    fet__values_use(b, NULL);
    return st == FET_OK ? fet__graph_status(b->g) : st;
}

static fet_status arm_logits(fet__mabn *a, fet__build *b, fet__node *x, int sites, int support,
                             const fet__values *start, fet__norm_mode *mode, const fet__episode_options *inner,
                             fet__node **logits, fet__node **first)
{
    fet__node **each, *feature;
    fet_status st = FET_OK;

    if (a->method == FET__SITES_ARM_CML) {
        network(a, b, with_context(a, b, x, support, NULL), &feature, logits);
        return fet__graph_status(b->g);
    }
    each = fet__arena_alloc(fet__graph_arena(b->g), (size_t)sites, sizeof *each);
    if (!each)
        return FET_E_NOMEM;
    for (int k = 0; k < sites && st == FET_OK; k++)
        st = chunk(a, b, start, fet__slice(b->g, x, 0, (int64_t)k * support, (int64_t)(k + 1) * support), mode, inner,
                   &each[k], first);
    *logits = st == FET_OK ? fet__concat(b->g, each, sites, 0) : NULL;
    return st;
}

fet_status fet__rival_arm_create(fet__mabn_step *out, fet__mabn *a, int sites, int support,
                                 const fet__episode_options *inner, const fet__optimizer_options *o, int64_t memory)
{
    fet__norm_mode mode = FET__NORM_TRAIN;
    fet__node *x, *label, *logits = NULL, *first = NULL;
    fet__values model, more, all;
    fet__build b;
    fet_status st;

    FET_TRY(begin(out, &b, a, &mode));
    x = fet__mabn_pictures(out, a->m, "images", sites * support);
    label = fet__mabn_labels(out, a, sites * support);
    FET_TRY(fet__values_of(&model, &b, a->method == FET__SITES_ARM_CML ? is_context : fet__mabn_of_model));
    FET_TRY(arm_logits(a, &b, x, sites, support, &model, &mode, inner, &logits, &first));
    fet__mabn_show(out, "inner", first);
    FET_TRY(fet__values_of(&more, &b, is_loss_net));
    FET_TRY(join(&all, &b, &model, &more));
    st = train(out, a, &all, fet__main_loss(out->graph, logits, label, a->squared), o, memory);
done:
    return st;
}

/* ---- Meta-DMoE ------------------------------------------------------------------------------------------------------------ */

/* Heads of the aggregator: 16, or the largest power of two below that divides the feature. */
static int heads_of(int64_t feature)
{
    int heads = 16;

    while (feature % heads != 0)
        heads /= 2;
    return heads;
}

/* [n, experts, D] of frozen experts. */
static fet__node *ask_experts(const fet__mabn *a, fet__build *b, fet__node *x)
{
    fet__node **each = fet__arena_alloc(fet__graph_arena(b->g), (size_t)a->experts, sizeof *each);
    int64_t n = x ? x->shape.dim[0] : 0;

    for (int k = 0; each && k < a->experts; k++) {
        fet__node *feature = NULL;
        fet__enter(b, "expert.%d", k);
        network(a, b, x, &feature, NULL);
        fet__leave(b);
        each[k] = fet__reshape(b->g, feature, FET_SHAPE(n, 1, a->m->arch.feature_size));
    }
    return each ? fet__concat(b->g, each, a->experts, 1)
                : fet__graph_fail(b->g, FET_E_NOMEM, "no memory for the experts' features");
}

static fet__node *aggregate(const fet__mabn *a, fet__build *b, fet__node *tokens)
{
    fet__node *x;

    fet__enter(b, "aggregator");
    x = fet__expert_aggregate(b, tokens, heads_of(a->m->arch.feature_size));
    fet__leave(b);
    return x;
}

fet_status fet__rival_aggregate_create(fet__mabn_step *out, fet__mabn *a, int batch, const fet__optimizer_options *o,
                                       int64_t memory)
{
    static const fet__linear_options plain = {.default_init = true};
    fet__norm_mode mode = FET__NORM_FROZEN;
    fet__node *x, *label, *logits;
    fet__values all;
    fet__build b;
    fet_status st;

    FET_TRY(begin(out, &b, a, &mode));
    x = fet__mabn_pictures(out, a->m, "images", batch);
    label = fet__mabn_labels(out, a, batch);
    x = aggregate(a, &b, ask_experts(a, &b, x));
    fet__enter(&b, "aggregator.mlp");
    logits = fet__nn_linear(&b, "1", fet__nn_layer_norm(&b, "0", x, 1e-5), a->m->arch.classes, &plain);
    fet__leave(&b);
    FET_TRY(fet__values_of(&all, &b, is_aggregator));
    st = train(out, a, &all, fet__main_loss(out->graph, logits, label, a->squared), o, memory);
done:
    return st;
}

/* Tokens of the rows that count: all but the site's own expert's. */
static fet__node *keep_rows(const fet__mabn *a, fet__build *b, fet__node *tokens, int support)
{
    int64_t kept = a->experts - 1, d = a->m->arch.feature_size;
    fet__node *row = fet__input(b->g, "keep", FET_I32, FET_SHAPE(support * kept));

    tokens = fet__reshape(b->g, tokens, FET_SHAPE((int64_t)support * a->experts, d));
    return fet__reshape(b->g, fet__gather(b->g, tokens, row), FET_SHAPE(support, kept, d));
}

/* The student's features follow what the experts say. */
static fet_status follow_experts(fet__mabn *a, fet__build *b, const fet__values *start, fet__node *x, fet__node *wanted,
                                 const fet__episode_options *e, fet__values *next, fet__node **first)
{
    fet_status st = FET_OK;

    *next = *start;
    for (int k = 0; k < e->inner_steps && st == FET_OK; k++) {
        fet__values now = *next;
        fet__node *feature = NULL, *loss;
        fet__values_use(b, &now);
        network(a, b, x, &feature, NULL);
        fet__values_use(b, NULL);
        loss = fet__main_loss(b->g, feature, wanted, true);
        if (k == 0)
            *first = loss;
        st = fet__graph_status(b->g);
        if (st == FET_OK)
            st = fet__values_descend(next, &now, b->g, loss, e->inner_lr, NULL);
    }
    return st;
}

fet_status fet__rival_episode_create(fet__mabn_step *out, fet__mabn *a, int support, int query,
                                     const fet__episode_options *e, const fet__optimizer_options *o, int64_t memory)
{
    fet__norm_mode mode = FET__NORM_FROZEN;
    fet__node *x, *images, *label, *wanted, *feature, *logits = NULL, *first = NULL;
    fet__values student, model, more, next, all;
    fet__build b;
    fet_status st;

    FET_TRY(begin(out, &b, a, &mode));
    x = fet__mabn_pictures(out, a->m, "support1", support);
    images = fet__mabn_pictures(out, a->m, "images", query);
    label = fet__mabn_labels(out, a, query);
    wanted = aggregate(a, &b, keep_rows(a, &b, ask_experts(a, &b, x), support));
    FET_TRY(values_of_model(&student, a, &b, true));
    FET_TRY(follow_experts(a, &b, &student, x, wanted, e, &next, &first));
    fet__values_use(&b, &next);
    network(a, &b, images, &feature, &logits);
    fet__values_use(&b, NULL);
    fet__mabn_show(out, "inner", first);
    FET_TRY(values_of_model(&model, a, &b, false));
    FET_TRY(fet__values_of(&more, &b, is_transformer));
    FET_TRY(join(&all, &b, &model, &more));
    st = train(out, a, &all, fet__main_loss(out->graph, logits, label, a->squared), o, memory);
done:
    return st;
}

/* ---- a new site ----------------------------------------------------------------------------------------------------------- */

static fet_status assign_all(fet__mabn_step *out, const fet__values *start, const fet__values *next)
{
    fet_status st = FET_OK;

    for (int i = 0; i < start->count; i++) {
        FET_TRY(fet__param_own(start->param[i]));
        fet__assign(out->graph, start->node[i], next->node[i]);
        out->adapting += fet__shape_count(&start->param[i]->shape);
    }
done:
    return st;
}

static fet_status adapt_context(fet__mabn_step *out, fet__mabn *a, fet__build *b, fet__node *x, int support)
{
    fet__param *map = fet__params_find(a->m->store, FET__CONTEXT_MAP);
    fet__node *mean = NULL;
    fet_status st;

    if (!map)
        return FET_FAIL(FET_E_FORMAT, "the model has no map of its sites' context (%s)", FET__CONTEXT_MAP);
    with_context(a, b, x, support, &mean);
    map->role = FET__BUFFER;
    FET_TRY(fet__param_own(map));
    FET_TRY(fet__graph_status(b->g));
    fet__assign(b->g, fet__leaf(b->g, map), fet__reshape(b->g, mean, map->shape));
    fet__mabn_show(out, "loss", fet__sum_all(b->g, mean));
    out->adapting = fet__shape_count(&map->shape);
done:
    return st;
}

/* By the learned loss; then the statistics of the same pictures, by which the changed network normalised in training. */
static fet_status adapt_everything(fet__mabn_step *out, fet__mabn *a, fet__build *b, fet__norm_mode *mode, fet__node *x,
                                   const fet__episode_options *e)
{
    fet__node *feature, *logits = NULL, *first = NULL;
    fet__values start, next;
    fet_status st;

    *mode = FET__NORM_BATCH;
    FET_TRY(fet__values_of(&start, b, fet__mabn_of_model));
    FET_TRY(follow_loss(a, b, &start, x, e, &next, &first));
    *mode = FET__NORM_ADOPT;
    FET_TRY(fet__own_all(a->m->store));
    fet__values_use(b, &next);
    network(a, b, x, &feature, &logits);
    fet__values_use(b, NULL);
    fet__mabn_show(out, "loss", first);
    fet__mabn_show(out, "logits", logits);
    FET_TRY(fet__graph_status(b->g));
    st = assign_all(out, &start, &next);
done:
    return st;
}

static fet_status adapt_student(fet__mabn_step *out, fet__mabn *a, fet__build *b, fet__node *x,
                                const fet__episode_options *e)
{
    fet__node *first = NULL;
    fet__values start, next;
    fet_status st;

    FET_TRY(values_of_model(&start, a, b, true));
    FET_TRY(follow_experts(a, b, &start, x, aggregate(a, b, ask_experts(a, b, x)), e, &next, &first));
    fet__mabn_show(out, "loss", first);
    st = assign_all(out, &start, &next);
done:
    return st;
}

fet_status fet__rival_adapt_create(fet__mabn_step *out, fet__mabn *a, int support, const fet__episode_options *e,
                                   int64_t memory)
{
    fet__norm_mode mode = FET__NORM_FROZEN;
    fet__node *x;
    fet__build b;
    fet_status st;

    FET_TRY(begin(out, &b, a, &mode));
    x = fet__mabn_pictures(out, a->m, "images", support);
    if (a->method == FET__SITES_ARM_CML)
        FET_TRY(adapt_context(out, a, &b, x, support));
    else if (a->method == FET__SITES_ARM_LL)
        FET_TRY(adapt_everything(out, a, &b, &mode, x, e));
    else
        FET_TRY(adapt_student(out, a, &b, x, e));
    st = fet__mabn_finish(out, memory, "loss");
done:
    return st;
}
