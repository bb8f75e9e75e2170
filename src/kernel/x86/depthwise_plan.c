/* Accepting and preparing depthwise convolutions; depthwise_body.h and depthwise_grad_body.h compute them.
 *
 * Measured on one AVX-512 core beside oneDNN 2.6.3 (float32, batch 8, GFLOP/s counting taps in the padding, best of 40 to 60
 * interleaved runs on a machine busy with other work; multiply-add peak 229):
 *
 *                              forward      oneDNN     dx        oneDNN     dw        oneDNN
 *   64 x 56 x 56, 7x7          133-141      107-114    133-141   102-109    101-105   5-9
 *   256 x 14 x 14, 7x7         150-158      105-110    151-158   68-72      106-112   4-9
 *   512 x 7 x 7, 7x7           94           95         92        49         83        3
 *   64 x 56 x 56, 7x7 step 2   67           70         75        78         58        6
 *   128 x 28 x 28, 3x3         34           51         35        49         36        46
 *
 * With 3x3 the copy into packed tiles costs as much as the sums. In dw the sums alone reach 200 from packed tiles; packing costs 30 %
 * of the time when the map is in the second-level cache. Reading dy where it lies instead of packing it gave 6 % there, but took
 * 10 to 35 % away where dy came from memory: lines are then read 256 bytes apart. */
#include "kernel/x86/depthwise.h"

#define GROUP 4            /* lines: 256 bytes of every pixel are read together */
#define GROUP_FLOATS 81920 /* of a group's packed tile: with what is written it stays in the second-level cache */
#define TILE_COLUMNS 112   /* a multiple of the strips' widths */
#define FEW_UNITS 16       /* below that, tiles are halved, */
#define LEAST_ROWS 8       /* but none below so many rows */
#define CHUNKS 32          /* of the weights' gradient, all groups together */

typedef struct operands {
    const fet__shape *x, *w, *y;
} operands;

static operands operands_of(const fet__problem *p)
{
    const fet__shape *first = &p->input[0].shape, *second = &p->input[1].shape, *out = &p->output.shape;

    if (p->op == FET__OP_CONV2D_DX)
        return (operands){out, second, first};
    if (p->op == FET__OP_CONV2D_DW)
        return (operands){first, out, second};
    return (operands){first, second, out};
}

bool fet__depthwise_accepts(const fet__problem *p)
{
    operands o = operands_of(p);
    int64_t channels;

    if (!fet__x86_all_f32(p) || p->input_count != 2 || o.x->rank != 4 || o.w->rank != 4 || o.y->rank != 4 ||
        fet__shape_count(o.x) <= 0 || fet__shape_count(o.w) <= 0 || fet__shape_count(o.y) <= 0)
        return false;
    channels = o.x->dim[3];
    for (int i = 0; i < 2; i++)
        if (p->attr.conv.dilation[i] != 1 || p->attr.conv.stride[i] < 1 ||
            p->attr.conv.stride[i] > FET__DEPTHWISE_STRIDE)
            return false;
    return p->attr.conv.groups == channels && o.w->dim[0] == channels && o.w->dim[1] == 1 && o.y->dim[3] == channels &&
           o.y->dim[0] == o.x->dim[0];
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* One pass over everything: forward, and what backward weights reads. */
static void plan_straight(fet__depthwise_plan *d, const fet__attr *attr)
{
    fet__depthwise_pass *pass = &d->pass[0];

    d->pass_count = 1;
    for (int i = 0; i < 2; i++) {
        d->step[i] = attr->conv.stride[i];
        d->origin[i] = -attr->conv.pad[i];
        d->out_step[i] = d->tap_step[i] = 1;
        d->reach[i] = d->kernel[i];
        pass->taps[i] = d->kernel[i];
        pass->count[i] = d->to[i];
    }
}

/* One phase of dx along one axis (see depthwise.h); false when it has no outputs. Where the packed tile begins is set later. */
static bool plan_phase(fet__depthwise_pass *pass, int axis, const fet__depthwise_plan *d, int64_t phase, int64_t pad)
{
    int64_t s = d->out_step[axis], at = ((phase - pad) % s + s) % s;

    pass->taps[axis] = d->kernel[axis] > phase ? fet__ceil_div(d->kernel[axis] - phase, s) : 0;
    pass->first_tap[axis] = s * (pass->taps[axis] - 1) + phase;
    pass->out_at[axis] = at;
    pass->count[axis] = d->to[axis] > at ? fet__ceil_div(d->to[axis] - at, s) : 0;
    pass->in_at[axis] = (at + pad - phase) / s - (pass->taps[axis] - 1);
    return pass->count[axis] > 0;
}

static void plan_phases(fet__depthwise_plan *d, const fet__attr *attr)
{
    for (int i = 0; i < 2; i++) {
        d->step[i] = 1;
        d->out_step[i] = attr->conv.stride[i];
        d->tap_step[i] = -attr->conv.stride[i];
    }
    for (int64_t i = 0; i < d->out_step[0] * d->out_step[1]; i++) {
        fet__depthwise_pass *pass = &d->pass[d->pass_count];

        if (plan_phase(pass, 0, d, i / d->out_step[1], attr->conv.pad[0]) &&
            plan_phase(pass, 1, d, i % d->out_step[1], attr->conv.pad[1]))
            d->pass_count++;
    }
    for (int i = 0; i < 2; i++) {
        d->origin[i] = INT64_MAX;
        for (int64_t j = 0; j < d->pass_count; j++)
            d->origin[i] = least(d->origin[i], d->pass[j].in_at[i]);
        for (int64_t j = 0; j < d->pass_count; j++) {
            d->pass[j].in_at[i] -= d->origin[i];
            d->reach[i] = largest(d->reach[i], d->pass[j].in_at[i] + d->pass[j].taps[i]);
        }
        d->reach[i] = largest(d->reach[i], 1);
    }
}

static void place_weights(fet__depthwise_plan *d)
{
    for (int64_t i = 0; i < d->pass_count; i++) {
        d->pass[i].weights = d->tap_count;
        d->tap_count += d->pass[i].taps[0] * d->pass[i].taps[1];
    }
}

/* Equal parts of at most `most`, each but the last a multiple of `unit`. */
static void cut(fet__depthwise_plan *d, int axis, int64_t most, int64_t unit)
{
    int64_t n = 1;

    for (int64_t i = 0; i < d->pass_count; i++)
        n = largest(n, d->pass[i].count[axis]);
    most = largest(most, 1);
    d->tile[axis] = fet__round_up(fet__ceil_div(n, fet__ceil_div(n, most)), unit);
    d->tiles[axis] = fet__ceil_div(n, d->tile[axis]);
}

static int64_t packed_columns(const fet__depthwise_plan *d)
{
    return (d->tile[1] - 1 + FET__DEPTHWISE_STRIP - 1) * d->step[1] + d->reach[1];
}

static void cut_maps(fet__depthwise_plan *d)
{
    int64_t columns, rows;

    d->groups = fet__ceil_div(d->lines, GROUP);
    d->group = fet__ceil_div(d->lines, d->groups);
    d->groups = fet__ceil_div(d->lines, d->group);
    cut(d, 1, TILE_COLUMNS, 1);
    if (d->tiles[1] > 1)
        cut(d, 1, TILE_COLUMNS, FET__DEPTHWISE_STRIP);
    columns = ((d->tile[1] - 1) * d->step[1] + d->reach[1]) * d->group * FET__LINE_FLOATS;
    rows = (GROUP_FLOATS / columns - d->reach[0]) / d->step[0] + 1;
    cut(d, 0, largest(rows, LEAST_ROWS), 1);
    while (d->batch * d->groups * d->tiles[0] * d->tiles[1] < FEW_UNITS && d->tile[0] >= 2 * LEAST_ROWS)
        cut(d, 0, fet__ceil_div(d->tile[0], 2), 1);
    d->plane = ((d->tile[0] - 1) * d->step[0] + d->reach[0]) * packed_columns(d) * FET__LINE_FLOATS;
}

static void place_buffers(fet__depthwise_plan *d, bool weights)
{
    int64_t units = d->batch * d->tiles[0] * d->tiles[1], filters = d->lines * d->tap_count * FET__LINE_FLOATS;

    if (!weights) {
        d->slice = d->group * d->plane;
        d->shared = filters;
        return;
    }
    d->other_plane = d->tile[0] * d->tile[1] * FET__LINE_FLOATS;
    d->slice = d->group * (d->plane + d->other_plane);
    d->chunks = least(units, fet__ceil_div(CHUNKS, d->groups));
    d->shared = d->chunks * filters;
}

fet_status fet__depthwise_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    operands o = operands_of(p);
    bool backward = p->op == FET__OP_CONV2D_DX;
    fet__depthwise_plan *d = fet__alloc(1, sizeof *d);

    if (!d)
        return FET_E_NOMEM;
    k->state = d;
    d->batch = o.x->dim[0];
    d->channels = o.x->dim[3];
    d->lines = fet__ceil_div(d->channels, FET__LINE_FLOATS);
    d->threads = p->threads > 1 ? p->threads : 1;
    for (int i = 0; i < 2; i++) {
        d->from[i] = (backward ? o.y : o.x)->dim[1 + i];
        d->to[i] = (backward ? o.x : o.y)->dim[1 + i];
        d->kernel[i] = o.w->dim[2 + i];
    }
    if (backward)
        plan_phases(d, &p->attr);
    else
        plan_straight(d, &p->attr);
    place_weights(d);
    cut_maps(d);
    place_buffers(d, p->op == FET__OP_CONV2D_DW);
    k->scratch = (size_t)(d->slice * d->threads + d->shared) * sizeof(float);
    return FET_OK;
}
