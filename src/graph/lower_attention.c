/* Attention in core operators. qkv [B, T, 3 H D] is cut into q, k, v [B, H, T, D]; probabilities are [B, H, T, T]; the bias of batch
 * b is number b mod G, so with a bias the batch is seen as [B / G, G]. */
#include "graph/graph_int.h"

/* One of q, k, v (part 0, 1, 2) as [B, H, T, D]. */
static fet__node *take_part(fet__graph *g, fet__node *qkv, int part, int64_t heads)
{
    int64_t b = qkv->shape.dim[0], t = qkv->shape.dim[1], width = qkv->shape.dim[2] / 3;
    fet__node *x = fet__slice(g, qkv, 2, part * width, (part + 1) * width);

    return fet__transpose(g, fet__reshape(g, x, FET_SHAPE(b, t, heads, width / heads)), (int[]){0, 2, 1, 3});
}

/* [B, H, T, D] back to [B, T, H D]. */
static fet__node *join_heads(fet__graph *g, fet__node *x)
{
    fet__node *y = fet__transpose(g, x, (int[]){0, 2, 1, 3});

    return y ? fet__reshape(g, y, FET_SHAPE(y->shape.dim[0], y->shape.dim[1], y->shape.dim[2] * y->shape.dim[3]))
             : NULL;
}

static fet__node *add_bias(fet__graph *g, fet__node *scores, fet__node *bias)
{
    fet__shape s = scores->shape;
    int64_t groups = bias->shape.dim[0];
    fet__node *split = fet__reshape(g, scores, FET_SHAPE(s.dim[0] / groups, groups, s.dim[1], s.dim[2], s.dim[3]));

    return fet__reshape(g, fet__add(g, split, bias), s);
}

typedef struct parts {
    fet__node *q, *k, *v, *p;
} parts;

static parts probabilities(fet__graph *g, const fet__node *n, fet__node *bias)
{
    int64_t heads = n->attr.attention.heads;
    parts a = {take_part(g, n->input[0], 0, heads), take_part(g, n->input[0], 1, heads),
               take_part(g, n->input[0], 2, heads), NULL};
    fet__node *s = fet__scale(g, fet__matmul(g, a.q, a.k, false, true), n->attr.attention.scale);

    if (s && bias)
        s = add_bias(g, s, bias);
    a.p = fet__core_softmax(g, s);
    return a;
}

fet__node *fet__lower_attention(fet__graph *g, fet__node *n)
{
    parts a = probabilities(g, n, n->input_count > 1 ? n->input[1] : NULL);

    return join_heads(g, fet__matmul(g, a.p, a.v, false, false));
}

/* Slope of the biased scores: softmax'(p, dy v^T). *dy becomes [B, H, T, D]. */
static fet__node *score_slope(fet__graph *g, const fet__node *n, const parts *a, fet__node **dy)
{
    const fet__shape *s = &n->input[1]->shape;
    int64_t heads = n->attr.attention.heads;

    *dy = fet__reshape(g, n->input[1], FET_SHAPE(s->dim[0], s->dim[1], heads, s->dim[2] / heads));
    *dy = fet__transpose(g, *dy, (int[]){0, 2, 1, 3});
    return fet__core_softmax_grad(g, a->p, fet__matmul(g, *dy, a->v, false, true));
}

/* dv = p^T dy;  ds = softmax'(p, dy v^T) scale;  dq = ds k;  dk = ds^T q */
fet__node *fet__lower_attention_grad(fet__graph *g, fet__node *n)
{
    parts a = probabilities(g, n, n->input_count > 2 ? n->input[2] : NULL);
    fet__node *dy, *ds = fet__scale(g, score_slope(g, n, &a, &dy), n->attr.attention.scale), *d[3];

    d[0] = join_heads(g, fet__matmul(g, ds, a.k, false, false));
    d[1] = join_heads(g, fet__matmul(g, ds, a.q, true, false));
    d[2] = join_heads(g, fet__matmul(g, a.p, dy, true, false));
    return fet__concat(g, d, 3, 2);
}

/* The slope of the biased scores, summed over the batch entries that share a bias. */
fet__node *fet__lower_attention_dbias(fet__graph *g, fet__node *n)
{
    parts a = probabilities(g, n, n->input[2]);
    fet__node *dy, *ds = score_slope(g, n, &a, &dy);
    const fet__shape *s = &n->shape;

    if (!ds)
        return NULL;
    ds = fet__reshape(g, ds, FET_SHAPE(-1, s->dim[0], s->dim[1], s->dim[2], s->dim[3]));
    return fet__reshape(g, fet__sum(g, ds, 1u), *s);
}
