/* Gates of an architecture search: probabilities, drawing, the objective with its latency, the gradient of alpha and its update. */
#include "train/nas.h"

#include <math.h>
#include <string.h>

#define FIRST_SPREAD 1e-3

fet_status fet__nas_gates_create(fet__nas_gates *out, int positions, int candidates, uint64_t seed)
{
    int count = positions * candidates;
    fet_status st;

    *out = (fet__nas_gates){
        .positions = positions, .candidates = candidates, .lr = 1e-3, .beta2 = 0.999, .eps = 1e-8, .deaf = -1};
    if (positions < 1 || positions > 10000 || candidates < 1 || candidates > FET__NAS_CANDIDATES)
        return FET_FAIL(FET_E_ARG, "a search over %d positions of %d candidates: 1 to 10000, and 1 to %d", positions,
                        candidates, FET__NAS_CANDIDATES);
    FET_TRY(FET_NEW(out->alpha, count));
    FET_TRY(FET_NEW(out->square, count));
    for (int i = 0; i < count; i++)
        out->alpha[i] = FIRST_SPREAD * fet__random_normal(seed, fet__hash32("nas.alpha"), 0, (uint64_t)i);
done:
    return st;
}

void fet__nas_gates_fini(fet__nas_gates *g)
{
    fet__free(g->alpha);
    fet__free(g->square);
    *g = (fet__nas_gates){0};
}

static const double *alphas(const fet__nas_gates *g, int position)
{
    return g->alpha + (ptrdiff_t)position * g->candidates;
}

void fet__nas_probabilities(const double *alpha, int n, double *out)
{
    double top = alpha[0], sum = 0;

    for (int i = 1; i < n; i++)
        top = fmax(top, alpha[i]);
    for (int i = 0; i < n; i++)
        sum += out[i] = exp(alpha[i] - top);
    for (int i = 0; i < n; i++)
        out[i] /= sum;
}

/* The candidate at which the running sum passes u times the whole. */
static int draw(const double *p, int n, double u)
{
    double whole = 0, sum = 0;
    int last = 0;

    for (int i = 0; i < n; i++)
        whole += p[i];
    for (int i = 0; i < n; i++) {
        sum += p[i];
        if (p[i] > 0)
            last = i;
        if (p[i] > 0 && sum > u * whole)
            return i;
    }
    return last;
}

fet_status fet__nas_draw(const fet__nas_gates *g, bool pair, uint64_t seed, int64_t step, fet__nas_choice *out)
{
    uint32_t stream = fet__hash32("nas.draw");

    if (pair && g->candidates < 2)
        return FET_FAIL(FET_E_ARG, "two paths cannot be drawn of %d candidate", g->candidates);
    for (int i = 0; i < g->positions; i++) {
        double p[FET__NAS_CANDIDATES], u[3], alpha[2], q[2];

        for (int k = 0; k < 3; k++)
            u[k] = (double)fet__random_uniform(seed, stream, (uint32_t)step, 3 * (uint64_t)i + (uint64_t)k);
        fet__nas_probabilities(alphas(g, i), g->candidates, p);
        out[i] = (fet__nas_choice){draw(p, g->candidates, u[0]), -1};
        if (!pair)
            continue;
        p[out[i].active] = 0;
        out[i].other = draw(p, g->candidates, u[1]);
        alpha[0] = alphas(g, i)[out[i].active];
        alpha[1] = alphas(g, i)[out[i].other];
        fet__nas_probabilities(alpha, 2, q);
        if (u[2] >= q[0])
            out[i] = (fet__nas_choice){out[i].other, out[i].active};
    }
    return FET_OK;
}

void fet__nas_shares(const fet__nas_gates *g, int position, fet__nas_choice c, double *out)
{
    const double *alpha = alphas(g, position);
    double q[2];

    if (c.other < 0) {
        fet__nas_probabilities(alpha, g->candidates, out);
        return;
    }
    fet__nas_probabilities((double[]){alpha[c.active], alpha[c.other]}, 2, q);
    for (int i = 0; i < g->candidates; i++)
        out[i] = 0;
    out[c.active] = q[0];
    out[c.other] = q[1];
}

double fet__nas_expected(const fet__nas_gates *g, const fet__nas_choice *c, const double *cost, double fixed)
{
    double p[FET__NAS_CANDIDATES], sum = fixed;

    for (int i = 0; i < g->positions; i++) {
        fet__nas_shares(g, i, c[i], p);
        for (int k = 0; k < g->candidates; k++)
            sum += p[k] * cost[i * g->candidates + k];
    }
    return sum;
}

double fet__nas_expected_of(const fet__nas_gates *g, const fet__nas_cost *c)
{
    double p[FET__NAS_CANDIDATES], sum = c->fixed;

    for (int i = 0; i < g->positions; i++) {
        fet__nas_probabilities(alphas(g, i), g->candidates, p);
        for (int k = 0; k < g->candidates; k++)
            sum += p[k] * c->cost[i * g->candidates + k];
    }
    return sum;
}

double fet__nas_entropy(const fet__nas_gates *g)
{
    double p[FET__NAS_CANDIDATES], sum = 0;

    for (int i = 0; i < g->positions; i++) {
        fet__nas_probabilities(alphas(g, i), g->candidates, p);
        for (int k = 0; k < g->candidates; k++)
            sum -= p[k] * log(p[k] + 1e-8);
    }
    return sum / g->positions;
}

void fet__nas_derive(const fet__nas_gates *g, int *out)
{
    for (int i = 0; i < g->positions; i++) {
        const double *alpha = alphas(g, i);

        out[i] = 0;
        for (int k = 1; k < g->candidates; k++)
            if (alpha[k] > alpha[out[i]])
                out[i] = k;
    }
}

/* ---- the objective ------------------------------------------------------------------------------------------------- */

fet_status fet__nas_loss_at(const fet__nas_objective *o, double ce, double expected, fet__nas_loss *out)
{
    double target = o->target, ratio;

    *out = (fet__nas_loss){.loss = ce, .by_ce = 1};
    switch (o->kind) {
    case FET__NAS_NONE: return FET_OK;
    case FET__NAS_LINEAR:
        if (!(target > 0))
            return FET_FAIL(FET_E_ARG, "a latency target of %g is not above 0", target);
        out->loss = ce + o->lambda * (expected - target) / target;
        out->by_cost = o->lambda / target;
        return FET_OK;
    default:
        if (!(target > 1) || !(expected > 1))
            return FET_FAIL(FET_E_ARG,
                            "the logarithmic objective needs a target and an expected latency above 1, not %g and %g: "
                            "take a smaller unit or the linear one",
                            target, expected);
        ratio = log(expected) / log(target);
        out->by_ce = o->a * pow(ratio, o->b);
        out->loss = ce * out->by_ce;
        out->by_cost = o->a * ce * o->b * pow(ratio, o->b - 1) / (expected * log(target));
        return FET_OK;
    }
}

void fet__nas_pull(const fet__nas_gates *g, const fet__nas_choice *c, const double *slope, double scale, double *grad)
{
    double p[FET__NAS_CANDIDATES];

    for (int i = 0; i < g->positions; i++) {
        const double *s = slope + (ptrdiff_t)i * g->candidates;
        double mean = 0;

        if (c[i].active == g->deaf)
            continue;
        fet__nas_shares(g, i, c[i], p);
        for (int k = 0; k < g->candidates; k++)
            mean += p[k] * s[k];
        for (int k = 0; k < g->candidates; k++)
            if (p[k] > 0)
                grad[i * g->candidates + k] += scale * p[k] * (s[k] - mean);
    }
}

/* ln of exp(a) + exp(b) */
static double log_sum(double a, double b)
{
    return fmax(a, b) + log1p(exp(-fabs(a - b)));
}

fet_status fet__nas_update(fet__nas_gates *g, const fet__nas_choice *c, const double *grad)
{
    double bias = 1 - pow(g->beta2, (double)(g->steps + 1));

    for (int i = 0; i < g->positions * g->candidates; i++)
        if (!isfinite(grad[i]))
            return FET_FAIL(FET_E_NUMERIC, "the gradient of candidate %d at position %d is not finite",
                            i % g->candidates, i / g->candidates);
    g->steps++;
    for (int i = 0; i < g->positions; i++) {
        double *alpha = g->alpha + (ptrdiff_t)i * g->candidates, *square = g->square + (ptrdiff_t)i * g->candidates;
        const double *d = grad + (ptrdiff_t)i * g->candidates;
        bool pair = c[i].other >= 0;
        double before = pair ? log_sum(alpha[c[i].active], alpha[c[i].other]) : 0, off;

        for (int k = 0; k < g->candidates; k++) {
            square[k] = g->beta2 * square[k] + (1 - g->beta2) * d[k] * d[k];
            alpha[k] -= g->lr * d[k] / (sqrt(square[k] / bias) + g->eps);
        }
        if (!pair)
            continue;
        off = log_sum(alpha[c[i].active], alpha[c[i].other]) - before;
        alpha[c[i].active] -= off;
        alpha[c[i].other] -= off;
    }
    return FET_OK;
}
