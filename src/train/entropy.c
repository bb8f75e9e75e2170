/* TENT's loss, and the guard that stops it: entropy falls fastest when all pictures become one class. */
#include "train/rivals.h"

#include <math.h>
#include <string.h>

fet__node *fet__mean_entropy(fet__graph *g, fet__node *logits)
{
    fet__node *z, *sum, *p;

    if (!logits)
        return NULL;
    /* log(sum exp z) - sum softmax(z) z, with the largest z taken off: no logarithm of a probability that is 0 */
    z = fet__sub(g, logits, fet__stop_gradient(g, fet__reduce_max(g, logits, 1u << 1)));
    p = fet__unary(g, FET__OP_EXP, z);
    sum = fet__sum(g, p, 1u << 1);
    z = fet__div(g, fet__sum(g, fet__mul(g, p, z), 1u << 1), sum);
    z = fet__sub(g, fet__unary(g, FET__OP_LOG, sum), z);
    return fet__scale(g, fet__sum_all(g, z), 1.0 / (double)logits->shape.dim[0]);
}

/* ---- the guard ------------------------------------------------------------------------------------------------------ */

fet_status fet__collapse_guard_init(fet__collapse_guard *c, int classes)
{
    *c = (fet__collapse_guard){.classes = classes, .share = 0.5, .first = -1, .now = -1};
    c->window = 20 * classes < 256 ? 20 * classes : 256;
    return FET_NEW(c->count, classes);
}

void fet__collapse_guard_fini(fet__collapse_guard *c)
{
    fet__free(c->count);
    memset(c, 0, sizeof *c);
}

static double diversity(const fet__collapse_guard *c)
{
    double h = 0;

    for (int i = 0; i < c->classes; i++) {
        double p = (double)c->count[i] / (double)c->seen;
        if (p > 0)
            h -= p * log(p);
    }
    return c->classes > 1 ? h / log((double)c->classes) : 1;
}

static int largest(const float *row, int classes)
{
    int best = 0;

    for (int i = 1; i < classes; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

void fet__collapse_guard_add(fet__collapse_guard *c, const float *logits, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        c->count[largest(logits + i * c->classes, c->classes)]++;
        if (++c->seen < c->window)
            continue;
        c->now = diversity(c);
        if (c->first < 0)
            c->first = c->now;
        else if (c->now < c->share * c->first)
            c->tripped = true;
        c->seen = 0;
        memset(c->count, 0, (size_t)c->classes * sizeof *c->count);
    }
}
