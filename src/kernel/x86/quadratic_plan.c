/* Accepting and preparing quadratic depthwise convolutions; quadratic_body.h computes them. */
#include "kernel/x86/quadratic.h"

#define GROUP 2          /* lines of a unit */
#define TILE_ROWS 14     /* with 7 x 7 taps a tile of these reads as many rows again as it has, and half */
#define TILE_COLUMNS 112 /* a multiple of the strips' widths */
#define MANY_UNITS 32    /* below that, units are made smaller: cores are rarely all equally fast */
#define LEAST_ROWS 7

bool fet__quadratic_accepts(const fet__problem *p)
{
    return p->op == FET__OP_QUADRATIC_DW && fet__x86_all_f32(p) && fet__shape_count(&p->output.shape) > 0 &&
           fet__shape_count(&p->input[1].shape) > 0;
}

static void cut(fet__depthwise_plan *d, int axis, int64_t most)
{
    d->tile[axis] = fet__ceil_div(d->to[axis], fet__ceil_div(d->to[axis], most));
    d->tiles[axis] = fet__ceil_div(d->to[axis], d->tile[axis]);
}

static void group_lines(fet__depthwise_plan *d, int64_t most)
{
    d->group = most < d->lines ? most : d->lines;
    d->groups = fet__ceil_div(d->lines, d->group);
}

static int64_t units_of(const fet__depthwise_plan *d)
{
    return d->batch * d->groups * d->tiles[0] * d->tiles[1];
}

fet_status fet__quadratic_prepare(fet__prepared *k)
{
    const fet__problem *p = &k->problem;
    const int64_t *x = p->input[0].shape.dim, *w = p->input[1].shape.dim;
    fet__depthwise_plan *d = fet__alloc(1, sizeof *d);

    if (!d)
        return FET_E_NOMEM;
    k->state = d;
    d->batch = x[0];
    d->channels = x[3];
    d->lines = fet__ceil_div(d->channels, FET__LINE_FLOATS);
    d->threads = p->threads > 1 ? p->threads : 1;
    d->tap_count = w[2] * w[3];
    for (int i = 0; i < 2; i++) {
        d->from[i] = d->to[i] = x[1 + i];
        d->kernel[i] = d->reach[i] = w[2 + i];
        d->step[i] = d->out_step[i] = d->tap_step[i] = 1;
        d->origin[i] = -(w[2 + i] / 2);
    }
    group_lines(d, GROUP);
    cut(d, 0, TILE_ROWS);
    cut(d, 1, TILE_COLUMNS);
    if (units_of(d) < MANY_UNITS)
        group_lines(d, 1);
    if (units_of(d) < MANY_UNITS)
        cut(d, 0, LEAST_ROWS);
    d->plane =
        (d->tile[0] - 1 + d->reach[0]) * (d->tile[1] + FET__DEPTHWISE_STRIP - 2 + d->reach[1]) * FET__LINE_FLOATS;
    d->slice = d->group * d->plane;
    d->shared = d->lines * fet__quadratic_line(d);
    k->scratch = (size_t)(d->slice * d->threads + d->shared) * sizeof(float);
    return FET_OK;
}
