/* SpCL's hybrid memory and unified contrastive loss as graph: class centres of the memory's rows, the loss of a batch against them. The
 * memory itself is a state that memory_update changes; which labels its rows have is decided outside. Source: SpCL, equations 1 to 3;
 * spcl.md, sections 3.3 to 3.6. */
#include "train/train.h"

#define TINY 1e-6 /* in the denominator and in the logarithm, as the reference has it */

fet__node *fet__memory_centers(fet__graph *g, fet__node *memory, fet__node *label, fet__node **present)
{
    int64_t rows = memory ? memory->shape.dim[0] : 1;
    fet__node *ones = fet__fill(g, FET_F32, FET_SHAPE(rows, 1), 1);
    fet__node *count = fet__scatter_add(g, label, ones, rows);
    fet__node *sum = fet__scatter_add(g, label, memory, rows);
    *present = fet__compare(g, FET__GT, fet__reshape(g, count, FET_SHAPE(1, rows)), fet__scalar(g, FET_F32, 0));
    return fet__div(g, sum, fet__binary(g, FET__OP_MAX, count, fet__scalar(g, FET_F32, 1)));
}

/* Probabilities of a batch over the classes, and its own classes as rows of zeros with a one. */
typedef struct odds {
    fet__node *scores, *p, *own, *p_own;
} odds;

static odds odds_of(fet__graph *g, fet__node *features, fet__node *centers, fet__node *present, fet__node *target,
                    double temperature)
{
    int64_t batch = features ? features->shape.dim[0] : 1, classes = centers ? centers->shape.dim[0] : 1;
    odds o;
    fet__node *e, *z, *number = fet__reshape(g, fet__iota(g, FET_F32, classes), FET_SHAPE(1, classes));
    o.scores = fet__scale(g, fet__matmul(g, features, centers, false, true), 1 / temperature);
    e = fet__mul(g, fet__unary(g, FET__OP_EXP, o.scores), present);
    z = fet__shift(g, fet__sum(g, e, 1U << 1), TINY);
    o.p = fet__div(g, e, z);
    o.own = fet__compare(g, FET__EQ, fet__reshape(g, fet__cast(g, target, FET_F32), FET_SHAPE(batch, 1)), number);
    o.p_own = fet__sum(g, fet__mul(g, o.p, o.own), 1U << 1);
    return o;
}

static fet__node *loss_of(fet__graph *g, const odds *o, int64_t batch)
{
    fet__node *log = fet__unary(g, FET__OP_LOG, fet__shift(g, o->p_own, TINY));
    return fet__scale(g, fet__sum_all(g, log), -1.0 / (double)batch);
}

fet__node *fet__memory_loss(fet__graph *g, fet__node *features, fet__node *centers, fet__node *present,
                            fet__node *target, double temperature)
{
    odds o = odds_of(g, features, fet__stop_gradient(g, centers), present, target, temperature);
    return loss_of(g, &o, features ? features->shape.dim[0] : 1);
}

/* d loss / d score = (1 / B) p_own / (p_own + tiny) (p - own), taken as a constant and pulled back through the later centres. */
fet__node *fet__memory_loss_late(fet__graph *g, fet__node *features, fet__node *centers, fet__node *present,
                                 fet__node *target, double temperature, fet__node *later)
{
    int64_t batch = features ? features->shape.dim[0] : 1;
    odds o = odds_of(g, features, centers, present, target, temperature);
    fet__node *share = fet__div(g, o.p_own, fet__shift(g, o.p_own, TINY));
    fet__node *slope = fet__scale(g, fet__mul(g, share, fet__sub(g, o.p, o.own)), 1.0 / (double)batch);
    fet__node *scores =
        fet__scale(g, fet__matmul(g, features, fet__stop_gradient(g, later), false, true), 1 / temperature);
    fet__node *pull = fet__sum_all(g, fet__mul(g, fet__stop_gradient(g, slope), scores));
    fet__node *value = fet__stop_gradient(g, loss_of(g, &o, batch));
    return fet__add(g, value, fet__sub(g, pull, fet__stop_gradient(g, pull)));
}
