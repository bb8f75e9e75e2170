/* Convolutions by oneDNN: forward, gradient of the input, gradient of the weights. Feature maps keep their [B, H, W,
 * C] memory, which oneDNN is told by strides; the weights' layout is its choice: frozen weights are packed once,
 * others are reordered in each run. */
#include "kernel/dnnl/dnnl_kernels.h"

typedef struct operands {
    const fet__shape *x, *w, *y;
} operands;

static operands operands_of(const fet__problem *p)
{
    const fet__shape *first = &p->input[0].shape, *second = &p->input[1].shape, *out = &p->output.shape;
    switch (p->op) {
    case FET__OP_CONV2D_DX: /* (dy, w) -> x */ return (operands){out, second, first};
    case FET__OP_CONV2D_DW: /* (x, dy) -> w */ return (operands){first, out, second};
    default: return (operands){first, second, out};
    }
}

/* Padding behind the map, such that the last window ends where the output says; negative when rows stay unread. */
static int64_t pad_end(const fet__problem *p, int axis)
{
    operands o = operands_of(p);
    int64_t reach = (o.y->dim[1 + axis] - 1) * p->attr.conv.stride[axis];
    int64_t window = (o.w->dim[2 + axis] - 1) * p->attr.conv.dilation[axis] + 1;
    return reach + window - o.x->dim[1 + axis] - p->attr.conv.pad[axis];
}

bool fet__dnnl_conv_accepts(const fet__problem *p)
{
    return fet__dnnl_takes(p);
}

static fet__dnnl_view map_view(const fet__shape *s)
{
    int64_t h = s->dim[1], w = s->dim[2], c = s->dim[3];
    return (fet__dnnl_view){.rank = 4, .dim = {s->dim[0], c, h, w}, .stride = {h * w * c, 1, w * c, c}};
}

static fet__dnnl_view weight_view(const fet__shape *s, int64_t groups)
{
    int64_t o = s->dim[0] / groups, i = s->dim[1], h = s->dim[2], w = s->dim[3];
    if (groups == 1)
        return (fet__dnnl_view){.rank = 4, .dim = {o, i, h, w}, .stride = {i * h * w, h * w, w, 1}};
    return (fet__dnnl_view){.rank = 5, .dim = {groups, o, i, h, w}, .stride = {o * i * h * w, i * h * w, h * w, w, 1}};
}

fet_status fet__dnnl_conv_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    operands o = operands_of(p);
    fet__dnnl_spec s = {.kind = p->op == FET__OP_CONV2D      ? FET__DNNL_CONV
                                : p->op == FET__OP_CONV2D_DX ? FET__DNNL_CONV_DX
                                                             : FET__DNNL_CONV_DW};
    s.src = map_view(o.x);
    s.weights = weight_view(o.w, p->attr.conv.groups);
    s.dst = map_view(o.y);
    s.free_weights = true;
    s.packed = p->op != FET__OP_CONV2D_DW && p->input[1].frozen;
    for (int i = 0; i < 2; i++) {
        s.stride[i] = p->attr.conv.stride[i];
        s.dilation[i] = p->attr.conv.dilation[i];
        s.pad[i] = p->attr.conv.pad[i];
        s.pad_end[i] = pad_end(p, i);
    }
    return fet__dnnl_prepare_row(k, &s);
}

fet_status fet__dnnl_conv_run(const fet__prepared *k, const fet__call *c)
{
    static const int slots[3][3] = {
        {FET__DNNL_SRC, FET__DNNL_WEIGHTS, FET__DNNL_DST},
        {FET__DNNL_DST, FET__DNNL_WEIGHTS, FET__DNNL_SRC},
        {FET__DNNL_SRC, FET__DNNL_DST, FET__DNNL_WEIGHTS},
    };
    const int *to = slots[k->problem.op - FET__OP_CONV2D];
    void *slot[FET__DNNL_SLOTS] = {0};
    slot[to[0]] = (void *)c->input[0];
    slot[to[1]] = (void *)c->input[1];
    slot[to[2]] = c->output;
    return fet__dnnl_run(k->state, slot, c->scratch);
}
