/* What the candidates of a search cost: latency from a profile, operations and weights counted. And which network is taken once the
 * gates have learned: the most probable one that stays within the limits. */
#include "method/nas_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- networks ----------------------------------------------------------------------------------------------------- */

int fet__nas_positions(const fet__arch *frame)
{
    const fet__quadranet *q = frame->config;

    return q->depths[0] + q->depths[1] + q->depths[2] + q->depths[3];
}

int fet__nas_stage_of(const fet__arch *frame, int position)
{
    const fet__quadranet *q = frame->config;
    int stage = 0;

    for (; stage < QUADRANET_STAGES - 1 && position >= q->depths[stage]; stage++)
        position -= q->depths[stage];
    return stage;
}

/* The frame with these candidates. */
static fet__quadranet network_of(const fet__arch *frame, const int *choice)
{
    const fet__quadranet *whole = frame->config;
    fet__quadranet q = *whole;
    int at = 0;

    q.own_count = 0;
    for (int stage = 0; stage < QUADRANET_STAGES; stage++) {
        q.depths[stage] = 0;
        for (int i = 0; i < whole->depths[stage]; i++, at++) {
            if (choice[at] == FET__NAS_IDENTITY)
                continue;
            q.own_kernel[q.own_count] = (unsigned char)fet__nas_kernel(choice[at]);
            q.own_expand[q.own_count++] = (unsigned char)fet__nas_expansion(choice[at]);
            q.depths[stage]++;
        }
    }
    return q;
}

char *fet__nas_text(const fet__arch *frame, const int *choice)
{
    fet__quadranet *q = frame->config, kept = *q;
    fet__text t = {0};
    char *text;

    *q = network_of(frame, choice);
    frame->class_->print(frame, &t);
    *q = kept;
    text = t.failed ? NULL : fet__strdup(t.s);
    fet__text_fini(&t);
    return text;
}

fet_status fet__nas_plan(const char *arch, int64_t *bytes, double *flops, int64_t *parameters)
{
    fet_model_options model = {.arch = arch};
    fet__step_options options = {.batch = 1, .memory = INT64_MAX / 4};
    fet__survey survey = {0};
    fet__model *m = NULL;
    fet__step step = {0};
    fet__program_info info;
    fet_status st;

    FET_TRY(fet__model_open_with(&m, "none", &model, 0));
    FET_TRY(fet__survey_model(&survey, m));
    FET_TRY(fet__step_create(&step, m, &options));
    info = fet__program_describe(step.program);
    *bytes = info.total_bytes + info.weight_bytes;
    *flops = survey.flops;
    *parameters = fet__model_parameters(m, false);
done:
    fet__text_fini(&survey.sites);
    fet__text_fini(&survey.branches);
    fet__step_fini(&step);
    fet__model_close(m);
    return st;
}

/* ---- costs -------------------------------------------------------------------------------------------------------- */

/* Operations and bytes of weights of one block. */
static fet_status count_block(const fet__arch *frame, int stage, int j, double *flops, double *bytes)
{
    const fet__quadranet *q = frame->config;
    fet__quadra_block o = {.kernel = fet__nas_kernel(j), .expand = fet__nas_expansion(j), .scale = q->scale};
    fet__build b = {.may_initialise = true, .shapes_only = true, .dtype = FET_F32};
    fet__node **order = NULL, *x;
    int channels, count = 0;
    fet_status st;

    o.mixer = q->mixer;
    fet__nas_stage(frame, stage, o.grid, &channels);
    FET_TRY(fet__params_create(&b.store));
    FET_TRY(fet__graph_create(&b.g));
    x = fet__input(b.g, "x", FET_F32, FET_SHAPE(1, (int64_t)o.grid[0] * o.grid[1], channels));
    fet__output(b.g, "y", fet__nn_quadra_block(&b, x, &o));
    FET_TRY(fet__graph_status(b.g));
    FET_TRY(fet__graph_order(b.g, &order, &count));
    *flops = *bytes = 0;
    for (int i = 0; i < count; i++)
        *flops += fet__node_cost(order[i]).flops;
    for (int i = 0; i < fet__params_count(b.store); i++)
        *bytes += (double)sizeof(float) * (double)fet__shape_count(&fet__params_at(b.store, i)->shape);
done:
    fet__free(order);
    fet__graph_destroy(b.g);
    fet__params_destroy(b.store);
    return st;
}

/* The network with the cheapest block at the first place of each stage and nothing else. */
static double cheapest(const fet__nas_costs *c, int which, int *choice)
{
    const fet__nas_cost *cost = &c->cost[which];
    double sum = cost->fixed;

    for (int i = 0; i < c->positions; i++) {
        const double *row = cost->cost + (ptrdiff_t)i * FET__NAS_SPACE;

        choice[i] = FET__NAS_IDENTITY;
        if (i > 0 && c->stage[i] == c->stage[i - 1])
            continue;
        choice[i] = 0;
        for (int j = 1; j < FET__NAS_IDENTITY; j++)
            if (row[j] < row[choice[i]])
                choice[i] = j;
        sum += row[choice[i]];
    }
    return sum;
}

static fet_status add_cost(fet__nas_costs *c, const char *name, double block[QUADRANET_STAGES][FET__NAS_IDENTITY],
                           double fixed, double limit, fet__nas_objective objective)
{
    fet__nas_cost *to = &c->cost[c->count];
    double *cost;
    fet_status st;

    FET_TRY(FET_NEW(c->memory[c->count], c->positions * FET__NAS_SPACE));
    cost = c->memory[c->count];
    for (int i = 0; i < c->positions; i++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++)
            cost[i * FET__NAS_SPACE + j] = block[c->stage[i]][j];
    objective.target = limit;
    *to = (fet__nas_cost){name, cost, fixed, objective};
    c->count++;
done:
    return st;
}

/* Fixed parts of what is counted: of the least network, less its blocks. */
static fet_status count_all(fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l,
                            fet__nas_objective objective)
{
    double flops[QUADRANET_STAGES][FET__NAS_IDENTITY] = {{0}}, bytes[QUADRANET_STAGES][FET__NAS_IDENTITY] = {{0}};
    double all, own_flops = 0, own_bytes = 0;
    int64_t plan, parameters;
    int *least = NULL;
    char *text = NULL;
    fet_status st;

    FET_TRY(FET_NEW(least, c->positions));
    for (int s = 0; s < QUADRANET_STAGES; s++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++)
            FET_TRY(count_block(frame, s, j, &flops[s][j], &bytes[s][j]));
    for (int i = 0; i < c->positions; i++)
        least[i] = i == 0 || c->stage[i] != c->stage[i - 1] ? 0 : FET__NAS_IDENTITY;
    text = fet__nas_text(frame, least);
    if (!text)
        st = FET_E_NOMEM;
    FET_TRY(st);
    FET_TRY(fet__nas_plan(text, &plan, &all, &parameters));
    for (int s = 0; s < QUADRANET_STAGES; s++) {
        own_flops += flops[s][0];
        own_bytes += bytes[s][0];
    }
    if (l->flops > 0)
        FET_TRY(add_cost(c, "flops", flops, all - own_flops, l->flops, objective));
    if (l->memory > 0)
        FET_TRY(add_cost(c, "memory", bytes, (double)plan - own_bytes, (double)l->memory, objective));
done:
    fet__free(least);
    fet__free(text);
    return st;
}

fet_status fet__nas_costs_create(fet__nas_costs *c, const fet__arch *frame, const fet__nas_table *t,
                                 const fet__nas_limits *l, fet__nas_objective objective)
{
    double block[QUADRANET_STAGES][FET__NAS_IDENTITY] = {{0}};
    fet_status st;

    memset(c, 0, sizeof *c);
    c->positions = fet__nas_positions(frame);
    FET_TRY(FET_NEW(c->stage, c->positions));
    for (int i = 0; i < c->positions; i++)
        c->stage[i] = fet__nas_stage_of(frame, i);
    for (int s = 0; l->latency > 0 && s < QUADRANET_STAGES; s++)
        for (int j = 0; j < FET__NAS_IDENTITY; j++)
            block[s][j] = l->latency_scale * t->block[s][j];
    if (l->latency > 0)
        FET_TRY(add_cost(c, "latency", block, l->latency_scale * t->fixed, l->latency_scale * l->latency, objective));
    st = count_all(c, frame, l, objective);
done:
    return st;
}

void fet__nas_costs_fini(fet__nas_costs *c)
{
    for (int i = 0; i < FET__NAS_LIMITS; i++)
        fet__free(c->memory[i]);
    fet__free(c->stage);
    memset(c, 0, sizeof *c);
}

/* ---- limits ------------------------------------------------------------------------------------------------------- */

static void show_amount(const fet__nas_costs *c, int which, const fet__nas_limits *l, double v, char out[64])
{
    const char *name = c->cost[which].name;

    if (strcmp(name, "latency") == 0)
        snprintf(out, 64, "%.4g %s", v / l->latency_scale, l->unit);
    else if (strcmp(name, "memory") == 0)
        snprintf(out, 64, "%.3f MiB", v / 1048576);
    else
        snprintf(out, 64, "%.4g", v);
}

static fet_status cannot(const fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l, int which,
                         double nearest, const int *choice)
{
    char limit[64], near[64], *text = fet__nas_text(frame, choice);
    fet_status st;

    show_amount(c, which, l, c->cost[which].objective.target, limit);
    show_amount(c, which, l, nearest, near);
    st = FET_FAIL(FET_E_ARG, "no network of the space meets a %s limit of %s: the nearest has %s (%s)",
                  c->cost[which].name, limit, near, text ? text : "");
    fet__free(text);
    return st;
}

fet_status fet__nas_limits_check(const fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l)
{
    int *choice = NULL;
    fet_status st;

    FET_TRY(FET_NEW(choice, c->positions));
    for (int k = 0; k < c->count; k++) {
        double least = cheapest(c, k, choice);

        if (least > c->cost[k].objective.target)
            st = cannot(c, frame, l, k, least, choice);
        else if (c->cost[k].objective.kind == FET__NAS_LOG && !(least > 1))
            st =
                FET_FAIL(FET_E_ARG,
                         "the logarithmic objective needs a %s above 1, and a network of the space has %.4g %s: take a "
                         "smaller unit or the linear objective",
                         c->cost[k].name, least, l->unit);
        FET_TRY(st);
    }
done:
    fet__free(choice);
    return st;
}

static double cost_of(const fet__nas_cost *cost, const int *choice, int positions)
{
    double sum = cost->fixed;

    for (int i = 0; i < positions; i++)
        sum += cost->cost[i * FET__NAS_SPACE + choice[i]];
    return sum;
}

/* How far over the limits, in shares of these, with position `at` (-1: none) taking candidate j. */
static double excess(const fet__nas_costs *c, const double *total, const int *choice, int at, int j,
                     const double *target)
{
    double sum = 0;

    for (int k = 0; k < c->count; k++) {
        const double *row = c->cost[k].cost + (ptrdiff_t)(at < 0 ? 0 : at) * FET__NAS_SPACE;
        double v = at < 0 ? total[k] : total[k] + row[j] - row[choice[at]];

        sum += fmax(0, v / target[k] - 1);
    }
    return sum;
}

static int blocks_in(const fet__nas_costs *c, const int *choice, int stage)
{
    int n = 0;

    for (int i = 0; i < c->positions; i++)
        n += c->stage[i] == stage && choice[i] != FET__NAS_IDENTITY;
    return n;
}

/* A stage in which nothing but identities won keeps the block that was nearest to winning. */
static void fill_stages(const fet__nas_costs *c, const fet__nas_gates *g, int *choice)
{
    for (int stage = 0; stage < QUADRANET_STAGES; stage++) {
        double best = -INFINITY;
        int at = -1, with = 0;

        if (blocks_in(c, choice, stage) > 0)
            continue;
        for (int i = 0; i < c->positions; i++)
            for (int j = 0; j < FET__NAS_IDENTITY && c->stage[i] == stage; j++) {
                const double *alpha = g->alpha + (ptrdiff_t)i * FET__NAS_SPACE;

                if (alpha[j] - alpha[FET__NAS_IDENTITY] > best) {
                    best = alpha[j] - alpha[FET__NAS_IDENTITY];
                    at = i;
                    with = j;
                }
            }
        choice[at] = with;
    }
}

/* What counts as nearer to the limits, in shares of these: less may be rounding, and changes that undo each other would go on for ever. */
#define GAIN_LEAST 1e-9

/* The change that gives up the least probability for what it brings towards the limits. false: none brings anything. */
static bool best_change(const fet__nas_costs *c, const fet__nas_gates *g, const double *total, const int *choice,
                        const double *target, int *at, int *with)
{
    double now = excess(c, total, choice, -1, 0, target), best = INFINITY;

    for (int i = 0; i < c->positions; i++) {
        const double *alpha = g->alpha + (ptrdiff_t)i * FET__NAS_SPACE;
        bool last = choice[i] != FET__NAS_IDENTITY && blocks_in(c, choice, c->stage[i]) == 1;

        for (int j = 0; j < FET__NAS_SPACE; j++) {
            double gain = now - excess(c, total, choice, i, j, target), price;

            if (!(gain > GAIN_LEAST) || (last && j == FET__NAS_IDENTITY))
                continue;
            price = (alpha[choice[i]] - alpha[j]) / gain;
            if (price < best) {
                best = price;
                *at = i;
                *with = j;
            }
        }
    }
    return isfinite(best);
}

static bool choose_within(const fet__nas_costs *c, const fet__nas_gates *g, const double *target, int *choice)
{
    double total[FET__NAS_LIMITS];
    int at = 0, with = 0;

    fet__nas_derive(g, choice);
    fill_stages(c, g, choice);
    for (;;) {
        for (int k = 0; k < c->count; k++)
            total[k] = cost_of(&c->cost[k], choice, c->positions);
        if (excess(c, total, choice, -1, 0, target) <= 0)
            return true;
        if (!best_change(c, g, total, choice, target, &at, &with))
            return false;
        choice[at] = with;
    }
}

/* What is planned for the network may be more than what was counted for its blocks; then the count is held lower and lower. */
#define ROUNDS 12

fet_status fet__nas_choose(const fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l,
                           const fet__nas_gates *g, int *choice)
{
    double target[FET__NAS_LIMITS], flops, least = 0;
    int64_t bytes = 0, parameters;
    int held = -1;
    fet_status st = FET_OK;

    for (int k = 0; k < c->count; k++) {
        target[k] = c->cost[k].objective.target;
        held = strcmp(c->cost[k].name, "memory") == 0 ? k : held;
    }
    if (held >= 0)
        least = cheapest(c, held, choice);
    for (int round = 0; round < ROUNDS; round++) {
        char *text;

        if (!choose_within(c, g, target, choice))
            break;
        if (held < 0)
            return FET_OK;
        text = fet__nas_text(frame, choice);
        st = text ? fet__nas_plan(text, &bytes, &flops, &parameters) : FET_E_NOMEM;
        fet__free(text);
        if (st != FET_OK || bytes <= l->memory)
            return st;
        target[held] = fmax(target[held] - (double)(bytes - l->memory) - 1024, least);
    }
    for (int k = 0; k < c->count; k++) {
        double v = k == held && bytes > l->memory ? (double)bytes : cost_of(&c->cost[k], choice, c->positions);

        if (v > c->cost[k].objective.target)
            return cannot(c, frame, l, k, v, choice);
    }
    return FET_FAIL(FET_E_ARG, "no network of the space was found that meets all limits together");
}
