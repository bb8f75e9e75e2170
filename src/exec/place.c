/* Places in the arena for the present timeline: how long each value lives, which result may be written over an input that dies with
 * it, which scratch belongs to which step. The arithmetic of places is plan/'s. */
#include "exec/exec_int.h"

/* ---- lifetimes ---------------------------------------------------------------------------------------------------- */

static void live_at(fet__value *v, int time)
{
    if (v->first < 0)
        v->first = time;
    v->last = time;
}

/* A packed input is read from its copy: the plain value is not needed by that step. */
static void find_lifetimes(fet__program *p)
{
    for (int i = 0; i < p->value_count; i++)
        p->values[i].first = p->values[i].last = p->values[i].span = -1;
    for (int t = 0; t < p->order_count; t++) {
        const fet__step *s = &p->steps[p->order[t]];

        for (int k = 0; k < s->input_count; k++)
            if (s->pack[k] == 0)
                live_at(&p->values[s->input[k].value], t);
        if (s->value >= 0)
            live_at(&p->values[s->value], t);
    }
    for (int i = 0; i < p->value_count; i++) {
        fet__value *v = &p->values[i];

        if (v->input)
            v->first = 0;
        if (v->input || v->output)
            v->last = p->order_count > 0 ? p->order_count - 1 : 0;
    }
}

/* ---- overlays ----------------------------------------------------------------------------------------------------- */

/* Does every read of root `old` by this step go element by element over the whole root? */
static bool reads_in_step(const fet__program *p, const fet__step *s, int old)
{
    for (int i = 0; i < s->input_count; i++) {
        if (s->input[i].value != old)
            continue;
        if ((s->kernel->overlay >> i & 1) == 0 || s->input[i].offset != 0)
            return false;
        if (p->values[s->node->input[i]->mark].bytes != p->values[old].bytes)
            return false;
    }
    return true;
}

bool fet__may_lie_over(const fet__program *p, const fet__step *s, int old)
{
    const fet__value *v = &p->values[old];

    return s->kind == FET__STEP_KERNEL && !s->once && !p->options.reference && v->region == FET__IN_ARENA &&
           !v->input && !v->output && !v->once && v->bytes == p->values[s->value].bytes && reads_in_step(p, s, old);
}

/* The root whose memory the result takes over, or -1. */
static int overlaid(const fet__program *p, const fet__step *s, int time)
{
    for (int i = 0; i < s->input_count; i++) {
        const fet__value *v = &p->values[s->input[i].value];

        if (v->span >= 0 && v->last == time && fet__may_lie_over(p, s, s->input[i].value))
            return s->input[i].value;
    }
    return -1;
}

/* ---- spans -------------------------------------------------------------------------------------------------------- */

static int add_span(fet__program *p, int64_t bytes, int first, int last)
{
    p->spans[p->span_count] = (fet__span){.bytes = bytes, .first = first, .last = last};
    return p->span_count++;
}

static void add_result(fet__program *p, const fet__step *s, int time)
{
    fet__value *v = &p->values[s->value];
    int old = overlaid(p, s, time);

    if (old >= 0) {
        v->span = p->values[old].span;
        p->spans[v->span].last = v->last;
    } else {
        v->span = add_span(p, v->bytes, v->first, v->last);
    }
}

/* Of a program that is run once, how far its arena may be above what the fullest step needs. */
#define QUICK_SLACK 0.1

fet_status fet__place_values(fet__program *p, int64_t limit, int64_t *arena, int64_t *floor)
{
    fet_status st;

    find_lifetimes(p);
    p->span_count = 0;
    p->info.scratch_bytes = 0;
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].input)
            p->values[i].span = add_span(p, p->values[i].bytes, p->values[i].first, p->values[i].last);
    for (int t = 0; t < p->order_count; t++) {
        fet__step *s = &p->steps[p->order[t]];

        s->scratch = -1;
        if (s->kind == FET__STEP_KERNEL && s->kernel->scratch > 0) {
            s->scratch = add_span(p, (int64_t)s->kernel->scratch, t, t);
            if ((int64_t)s->kernel->scratch > p->info.scratch_bytes)
                p->info.scratch_bytes = (int64_t)s->kernel->scratch;
        }
        if (s->value >= 0 && p->values[s->value].region == FET__IN_ARENA)
            add_result(p, s, t);
    }
    *arena = INT64_MAX;
    FET_TRY(fet__plan_floor(p->spans, p->span_count, floor));
    if (limit >= 0 && *floor >= limit)
        return FET_OK;
    FET_TRY(fet__plan_place_near(p->spans, p->span_count, p->options.quick ? QUICK_SLACK : 0, arena, floor));
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].span >= 0)
            p->values[i].place = p->spans[p->values[i].span].offset;
done:
    return st;
}
