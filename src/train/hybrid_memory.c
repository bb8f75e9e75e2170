/* SpCL's unified contrastive loss as graph: a batch against the class centres of the hybrid memory. A centre is the mean of its rows, so its product
 * with a feature is the mean of theirs: no centre is ever made, which saves the room and the time of another memory. The memory itself is a state
 * that memory_update changes; which labels its rows have is decided outside. Source: SpCL, equations 1 to 3; spcl.md, sections 3.3 to 3.6. */
#include "train/train.h"

#define TINY 1e-6 /* in the denominator and in the logarithm, as the reference has it */

fet__memory_classes fet__memory_classes_of(fet__graph *g, fet__node *label)
{
    int64_t rows = label ? label->shape.dim[0] : 1;
    fet__node *count = fet__scatter_add(g, label, fet__fill(g, FET_F32, FET_SHAPE(rows, 1), 1), rows);

    return (fet__memory_classes){.label = label,
                                 .size = fet__binary(g, FET__OP_MAX, count, fet__scalar(g, FET_F32, 1)),
                                 .present = fet__compare(g, FET__GT, count, fet__scalar(g, FET_F32, 0))};
}

/* [M, B]: <centre, feature> / temperature; 0 where there is no such class. */
static fet__node *scores_of(fet__graph *g, fet__node *features, fet__node *memory, const fet__memory_classes *c,
                            double temperature)
{
    int64_t rows = memory ? memory->shape.dim[0] : 1;
    fet__node *each = fet__matmul(g, fet__stop_gradient(g, memory), features, false, true);

    return fet__scale(g, fet__div(g, fet__scatter_add(g, c->label, each, rows), c->size), 1 / temperature);
}

/* Probabilities [M, B] of the classes for each image of a batch, and its own class as a column of zeros with a one. */
typedef struct odds {
    fet__node *p, *own, *p_own;
} odds;

static odds odds_of(fet__graph *g, fet__node *scores, const fet__memory_classes *c, fet__node *target)
{
    int64_t batch = target ? target->shape.dim[0] : 1, rows = c->label ? c->label->shape.dim[0] : 1;
    fet__node *number = fet__reshape(g, fet__iota(g, FET_F32, rows), FET_SHAPE(rows, 1));
    fet__node *e = fet__mul(g, fet__unary(g, FET__OP_EXP, scores), c->present);
    odds o;

    o.p = fet__div(g, e, fet__shift(g, fet__sum(g, e, 1U << 0), TINY));
    o.own = fet__compare(g, FET__EQ, fet__reshape(g, fet__cast(g, target, FET_F32), FET_SHAPE(1, batch)), number);
    o.p_own = fet__sum(g, fet__mul(g, o.p, o.own), 1U << 0);
    return o;
}

static fet__node *loss_of(fet__graph *g, const odds *o, int64_t batch)
{
    fet__node *log = fet__unary(g, FET__OP_LOG, fet__shift(g, o->p_own, TINY));
    return fet__scale(g, fet__sum_all(g, log), -1.0 / (double)batch);
}

fet__node *fet__memory_loss(fet__graph *g, fet__node *features, fet__node *memory, const fet__memory_classes *c,
                            fet__node *target, double temperature)
{
    odds o = odds_of(g, scores_of(g, features, memory, c, temperature), c, target);
    return loss_of(g, &o, features ? features->shape.dim[0] : 1);
}

/* d loss / d score = (1 / B) p_own / (p_own + tiny) (p - own), taken as a constant and pulled back through the later rows. */
fet__node *fet__memory_loss_late(fet__graph *g, fet__node *features, fet__node *memory, const fet__memory_classes *c,
                                 fet__node *target, double temperature, fet__node *later)
{
    int64_t batch = features ? features->shape.dim[0] : 1;
    odds o = odds_of(g, scores_of(g, features, memory, c, temperature), c, target);
    fet__node *share = fet__div(g, o.p_own, fet__shift(g, o.p_own, TINY));
    fet__node *slope = fet__scale(g, fet__mul(g, share, fet__sub(g, o.p, o.own)), 1.0 / (double)batch);
    fet__node *scores = scores_of(g, features, later, c, temperature);
    fet__node *pull = fet__sum_all(g, fet__mul(g, fet__stop_gradient(g, slope), scores));
    fet__node *value = fet__stop_gradient(g, loss_of(g, &o, batch));
    return fet__add(g, value, fet__sub(g, pull, fet__stop_gradient(g, pull)));
}
