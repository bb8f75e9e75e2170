/* Losses of the re-identification toolbox that SpCL's authors published besides it (spcl.md, section 11): soft cross-entropy against a teacher, triplets of
 * the hardest positive and negative of a batch. The other images of a batch are constants: gradients reach an embedding through its own row of distances
 * alone. */
#include "train/train.h"

#define FAR 1e9

static fet__node *log_softmax(fet__graph *g, fet__node *z)
{
    uint32_t last = z ? 1U << (z->shape.rank - 1) : 0;
    fet__node *centred = fet__sub(g, z, fet__stop_gradient(g, fet__reduce_max(g, z, last)));

    return fet__sub(g, centred, fet__unary(g, FET__OP_LOG, fet__sum(g, fet__unary(g, FET__OP_EXP, centred), last)));
}

static fet__node *mean_of(fet__graph *g, fet__node *each, double factor)
{
    int64_t rows = each ? each->shape.dim[0] : 1;

    return fet__scale(g, fet__sum_all(g, each), factor / (double)rows);
}

fet__node *fet__soft_entropy(fet__graph *g, fet__node *logits, fet__node *teacher)
{
    fet__node *target = fet__stop_gradient(g, fet__softmax(g, teacher));

    return mean_of(g, fet__mul(g, target, log_softmax(g, logits)), -1);
}

/* [B, B]: from each row of x to each row of it, the latter without gradient. */
static fet__node *distances(fet__graph *g, fet__node *x)
{
    fet__node *other = fet__stop_gradient(g, x), *mine = fet__sum(g, fet__mul(g, x, x), 1U << 1), *theirs, *d;

    theirs = fet__transpose(g, fet__sum(g, fet__mul(g, other, other), 1U << 1), (int[]){1, 0});
    d = fet__sub(g, fet__add(g, mine, theirs), fet__scale(g, fet__matmul(g, x, other, false, true), 2));
    return fet__unary(g, FET__OP_SQRT, fet__binary(g, FET__OP_MAX, d, fet__scalar(g, FET_F32, 1e-12)));
}

/* The hardest of each row among the columns that `mask` [B, B] has: largest (sign 1) or smallest (-1). `chosen` tells which. */
static fet__node *hardest(fet__graph *g, fet__node *d, fet__node *mask, double sign, fet__node **chosen)
{
    fet__node *open = fet__where(g, mask, fet__scale(g, d, sign),
                                 fet__broadcast(g, fet__scalar(g, FET_F32, -FAR), d ? d->shape : FET_SHAPE(1, 1)));
    fet__node *best = fet__reduce_max(g, open, 1U << 1);

    *chosen = fet__stop_gradient(g, fet__compare(g, FET__EQ, open, best));
    return fet__scale(g, best, sign);
}

static fet__node *at_chosen(fet__graph *g, fet__node *d, fet__node *chosen)
{
    return fet__div(g, fet__sum(g, fet__mul(g, d, chosen), 1U << 1), fet__sum(g, chosen, 1U << 1));
}

typedef struct hard_pairs {
    fet__node *positive, *negative, *which_positive, *which_negative; /* [B, 1] and [B, B] */
} hard_pairs;

static hard_pairs pairs_of(fet__graph *g, fet__node *x, fet__node *labels)
{
    int64_t batch = x ? x->shape.dim[0] : 1;
    fet__node *label = fet__cast(g, labels, FET_F32), *d = distances(g, x), *same;
    hard_pairs p;

    same = fet__compare(g, FET__EQ, fet__reshape(g, label, FET_SHAPE(batch, 1)),
                        fet__reshape(g, label, FET_SHAPE(1, batch)));
    p.positive = hardest(g, d, same, 1, &p.which_positive);
    p.negative = hardest(g, d, fet__shift(g, fet__scale(g, same, -1), 1), -1, &p.which_negative);
    return p;
}

fet__node *fet__triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *labels, double margin)
{
    hard_pairs p = pairs_of(g, embeddings, labels);

    return mean_of(g, fet__relu(g, fet__shift(g, fet__sub(g, p.positive, p.negative), margin)), 1);
}

/* [B, 2]: positive and negative distance. */
static fet__node *both(fet__graph *g, fet__node *positive, fet__node *negative)
{
    fet__node *x[2] = {positive, negative};

    return fet__concat(g, x, 2, 1);
}

fet__node *fet__softmax_triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *labels, double margin)
{
    hard_pairs p = pairs_of(g, embeddings, labels);
    fet__node *q = log_softmax(g, both(g, p.positive, p.negative));
    fet__node *first = fet__scale(g, fet__slice(g, q, 1, 0, 1), -margin);

    return mean_of(g, fet__add(g, first, fet__scale(g, fet__slice(g, q, 1, 1, 2), margin - 1)), 1);
}

fet__node *fet__soft_softmax_triplet_loss(fet__graph *g, fet__node *embeddings, fet__node *teacher, fet__node *labels)
{
    hard_pairs p = pairs_of(g, embeddings, labels);
    fet__node *q = log_softmax(g, both(g, p.positive, p.negative)), *d = distances(g, teacher), *w;

    w = fet__softmax(g, both(g, at_chosen(g, d, p.which_positive), at_chosen(g, d, p.which_negative)));
    return mean_of(g, fet__mul(g, fet__stop_gradient(g, w), q), -1);
}
