/* Accepting and preparing attention and its gradients; attention_body.h, attention_grad_body.h and attention_dbias_body.h compute
 * them. */
#include "kernel/x86/attention.h"

#define FORWARD_BLOCK 64
#define GRADIENT_BLOCK 96
#define ROW_TILE 6        /* rows of the matrix tiles: blocks are whole tiles */
#define FEW_PAIRS 16      /* below that a pair's gradient is cut into segments */
#define SEGMENT_TOKENS 64 /* but into none shorter than this */
#define FEW_GROUPS 16     /* below that the entries that share a bias are summed in segments */

static bool bias_fits(const fet__problem *p, const fet__shape *bias, int64_t heads)
{
    const fet__shape *x = &p->input[0].shape;

    return bias->rank == 4 && bias->dim[0] >= 1 && x->dim[0] % bias->dim[0] == 0 && bias->dim[1] == heads &&
           bias->dim[2] == x->dim[1] && bias->dim[3] == x->dim[1];
}

bool fet__attention_accepts(const fet__problem *p)
{
    bool gradient = p->op == FET__OP_ATTENTION_GRAD || p->op == FET__OP_ATTENTION_DBIAS;
    const fet__shape *x = &p->input[0].shape, *y;
    int32_t heads = p->attr.attention.heads;
    int bias = gradient ? 2 : 1;

    if ((p->op != FET__OP_ATTENTION && !gradient) || !fet__x86_all_f32(p) || x->rank != 3 || heads < 1 ||
        fet__shape_count(x) <= 0 || x->dim[2] % (3 * (int64_t)heads) != 0)
        return false;
    y = gradient ? &p->input[1].shape : &p->output.shape;
    if (y->rank != 3 || y->dim[0] != x->dim[0] || y->dim[1] != x->dim[1] || y->dim[2] * 3 != x->dim[2])
        return false;
    return p->input_count <= bias || bias_fits(p, &p->input[bias].shape, heads);
}

static void cut(fet__attention_plan *a, int64_t target)
{
    a->blocks = fet__ceil_div(a->tokens, target);
    a->block = fet__round_up(fet__ceil_div(a->tokens, a->blocks), ROW_TILE);
    a->blocks = fet__ceil_div(a->tokens, a->block);
}

static void cut_pairs(fet__attention_plan *a)
{
    int64_t pairs = a->batch * a->heads, most = fet__ceil_div(a->tokens, SEGMENT_TOKENS);
    int64_t wanted = pairs >= FEW_PAIRS ? 1 : fet__ceil_div(FEW_PAIRS, pairs);

    if (wanted > 1)
        cut(a, SEGMENT_TOKENS);
    wanted = wanted < most ? wanted : most;
    a->segment = fet__ceil_div(a->blocks, wanted < a->blocks ? wanted : a->blocks);
    a->segments = fet__ceil_div(a->blocks, a->segment);
}

static int64_t take(fet__attention_plan *a, int64_t rows, int64_t cols)
{
    int64_t at = a->slice;

    a->slice += fet__round_up(rows * cols, FET__LINE_FLOATS) + FET__LINE_FLOATS;
    return at;
}

/* Batch entries that share a bias, cut into segments when there are few biases. */
static void cut_entries(fet__attention_plan *a)
{
    int64_t groups = a->bias_groups > 0 ? a->bias_groups : 1, each = a->batch / groups;
    int64_t wanted = groups >= FEW_GROUPS ? 1 : fet__ceil_div(FEW_GROUPS, groups);

    a->segment = fet__ceil_div(each, wanted < each ? wanted : each);
    a->segments = fet__ceil_div(each, a->segment);
}

static void place_buffers(fet__attention_plan *a, fet__op op)
{
    a->keys_across = take(a, a->size, a->tokens_up);
    a->scores = take(a, a->block, a->tokens_up);
    if (op == FET__OP_ATTENTION)
        a->values = take(a, a->tokens, a->size_up);
    else
        a->values_across = take(a, a->size, a->tokens_up);
    if (op != FET__OP_ATTENTION)
        a->slopes = take(a, a->block, a->tokens_up);
    if (op == FET__OP_ATTENTION_DBIAS)
        return;
    a->rows = take(a, a->block, a->size_up);
    if (op == FET__OP_ATTENTION)
        return;
    a->keys = take(a, a->tokens, a->size_up);
    a->q_packed = take(a, a->block, a->size_up);
    a->dy_packed = take(a, a->block, a->size_up);
    a->dk = take(a, a->tokens, a->size_up);
    a->dv = take(a, a->tokens, a->size_up);
}

/* Floats of the segments' sums. */
static int64_t size_parts(const fet__attention_plan *a, fet__op op)
{
    if (op == FET__OP_ATTENTION || a->segments == 1)
        return 0;
    if (op == FET__OP_ATTENTION_DBIAS)
        return a->bias_groups * a->segments * a->heads * a->tokens * a->tokens;
    return a->batch * a->heads * a->segments * 2 * a->tokens * a->size_up;
}

fet_status fet__attention_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    const fet__shape *x = &p->input[0].shape;
    int bias = p->op == FET__OP_ATTENTION ? 1 : 2;
    fet__attention_plan *a = fet__alloc(1, sizeof *a);

    if (!a)
        return FET_E_NOMEM;
    k->state = a;
    a->batch = x->dim[0];
    a->tokens = x->dim[1];
    a->heads = p->attr.attention.heads;
    a->size = x->dim[2] / (3 * a->heads);
    a->tokens_up = fet__round_up(a->tokens, FET__LINE_FLOATS);
    a->size_up = fet__round_up(a->size, FET__LINE_FLOATS);
    a->bias_groups = p->input_count > bias ? p->input[bias].shape.dim[0] : 0;
    a->scale = (float)p->attr.attention.scale;
    a->threads = p->threads > 1 ? p->threads : 1;
    cut(a, p->op == FET__OP_ATTENTION ? FORWARD_BLOCK : GRADIENT_BLOCK);
    if (p->op == FET__OP_ATTENTION_GRAD)
        cut_pairs(a);
    if (p->op == FET__OP_ATTENTION_DBIAS)
        cut_entries(a);
    place_buffers(a, p->op);
    a->parts = a->slice * a->threads;
    k->scratch = (size_t)(a->parts + size_parts(a, p->op)) * sizeof(float);
    return FET_OK;
}
