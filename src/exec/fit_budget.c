/* Holding a plan to its budget. Tried in this order: the plan as it is; without packed copies, which buy speed with memory; with values computed
 * again instead of kept (plan/repeat.c chooses on the timeline that the best order gave, graph/ makes the copies, and the order that was
 * chosen on comes back as a candidate of the new schedule). What fits first is taken, so a budget that suffices changes nothing. */
#include "exec/exec_int.h"

#include <string.h>

#define MIB 1048576.0
#define COPY_BYTES ((int64_t)2048) /* graph and tables of a copy */
#define BYTE_WORTH 8.0             /* floating-point operations in the time that a byte takes to move */
enum { MOST_ROUNDS = 6 };

/* ---- a timeline in numbers ------------------------------------------------------------------------------------------ */

typedef struct works {
    fet__work *work; /* one a step of the timeline, in order */
    int *input;      /* the lists of all */
    int (*slot)
        [FET__MAX_INPUTS]; /* by work and input of its node: 1 + its number among the work's inputs; 0: nothing that is made again */
    int *at;               /* by step: its work; -1 */
    int64_t base; /* bytes of the graph's inputs, which live all the time */
    int count;
} works;

static void works_fini(works *w)
{
    fet__free(w->work);
    fet__free(w->input);
    fet__free(w->slot);
    fet__free(w->at);
}

/* The work that makes what `s` reads as input k, or -1. */
static int maker_of(const fet__program *p, const works *w, const fet__step *s, int k)
{
    const fet__value *v = &p->values[s->input[k].value];

    return s->pack[k] > 0 || v->region != FET__IN_ARENA || v->step < 0 ? -1 : w->at[v->step];
}

static void list_inputs(const fet__program *p, works *w, int t, int **pool)
{
    const fet__step *s = &p->steps[p->order[t]];
    fet__work *work = &w->work[t];

    work->input = *pool;
    for (int k = 0; k < s->input_count; k++) {
        int maker = maker_of(p, w, s, k), i = 0;

        if (maker < 0)
            continue;
        while (i < work->input_count && work->input[i] != maker)
            i++;
        w->slot[t][k] = i + 1;
        if (i < work->input_count)
            continue;
        (*pool)[i] = maker;
        work->input_count++;
        if (s->kind == FET__STEP_KERNEL && fet__may_lie_over(p, s, s->input[k].value))
            work->overlay |= 1u << i;
        else if (s->kind != FET__STEP_KERNEL)
            w->work[maker].cost = -1; /* who reads it cannot be told to read another one */
    }
    *pool += work->input_count;
}

/* May it be computed again? What is made once, outlives the run or writes the store may not. */
static bool may_repeat(const fet__program *p, const fet__step *s)
{
    return s->kind == FET__STEP_KERNEL && !s->once && !s->tail && s->value >= 0 &&
           p->values[s->value].region == FET__IN_ARENA && !p->values[s->value].output;
}

static void describe(const fet__program *p, works *w, int t)
{
    const fet__step *s = &p->steps[p->order[t]];
    fet__work *work = &w->work[t];

    w->at[p->order[t]] = t;
    work->cost = -1;
    if (s->kind == FET__STEP_KERNEL)
        work->scratch = (int64_t)s->kernel->scratch;
    if (s->value >= 0 && p->values[s->value].region == FET__IN_ARENA) {
        work->bytes = p->values[s->value].bytes;
        work->kept = p->values[s->value].output;
    }
    if (may_repeat(p, s)) {
        fet__cost cost = fet__node_cost(s->node);

        work->cost = cost.flops + BYTE_WORTH * cost.bytes;
    }
}

static fet_status works_of(works *w, const fet__program *p)
{
    size_t edges = 0;
    int *pool;
    fet_status st;

    memset(w, 0, sizeof *w);
    for (int i = 0; i < p->step_count; i++)
        edges += (size_t)p->steps[i].input_count;
    FET_TRY(FET_NEW(w->work, p->order_count));
    FET_TRY(FET_NEW(w->slot, p->order_count));
    FET_TRY(FET_NEW(w->input, edges));
    FET_TRY(FET_NEW(w->at, p->step_count));
    memset(w->at, 0xff, (size_t)p->step_count * sizeof *w->at);
    w->count = p->order_count;
    for (int t = 0; t < w->count; t++)
        describe(p, w, t);
    pool = w->input;
    for (int t = 0; t < w->count; t++)
        list_inputs(p, w, t, &pool);
    for (int i = 0; i < p->value_count; i++)
        if (p->values[i].input)
            w->base += fet__rounded(p->values[i].bytes);
done:
    return st;
}

/* ---- from turns to the graph ------------------------------------------------------------------------------------------- */

/* Runs of nodes for the graph's pass; steps without a node of their own (packing, copies) are none of its business. */
typedef struct runs {
    fet__run *run;
    int *from;
    int *number; /* by turn: its run; -1 */
    fet__node **made;
    int count;
} runs;

static void runs_fini(runs *r)
{
    fet__free(r->run);
    fet__free(r->from);
    fet__free(r->number);
    fet__free(r->made);
}

static fet_status runs_of(runs *r, const fet__program *p, const works *w, const fet__turns *turns)
{
    int *from;
    fet_status st;

    FET_TRY(FET_NEW(r->run, turns->count));
    FET_TRY(FET_NEW(r->from, (size_t)turns->count * FET__MAX_INPUTS));
    FET_TRY(FET_NEW(r->number, turns->count));
    FET_TRY(FET_NEW(r->made, turns->count));
    from = r->from;
    for (int t = 0; t < turns->count; t++) {
        const fet__turn *turn = &turns->turn[t];
        const fet__step *s = &p->steps[p->order[turn->work]];

        r->number[t] = -1;
        if (s->kind != FET__STEP_KERNEL)
            continue;
        for (int k = 0; k < s->input_count; k++) {
            int slot = w->slot[turn->work][k];

            from[k] = slot > 0 ? r->number[turn->input[slot - 1]] : -1;
        }
        r->number[t] = r->count;
        r->run[r->count++] = (fet__run){(fet__node *)(uintptr_t)s->node, turn->again, from};
        from += s->input_count;
    }
done:
    return st;
}

static fet_status ranks_of(int **rank, const fet__graph *g, const runs *r)
{
    int ids = fet__graph_ids(g);
    fet_status st;

    fet__free(*rank);
    *rank = NULL;
    FET_TRY(FET_NEW(*rank, ids + 1));
    for (int id = 0; id <= ids; id++)
        (*rank)[id] = INT32_MAX;
    for (int i = 0; i < r->count; i++)
        (*rank)[r->made[i]->id] = i;
done:
    return st;
}

/* Turns that hold no more than *aim together with what the copies themselves take; where that cannot be reached, than the least aim above it that
 * can. */
static fet_status choose_turns(fet__turns *turns, const works *w, int64_t *aim, int64_t copy_bytes)
{
    int64_t limit = *aim;
    fet_status st = FET_OK;

    for (int i = 0; i < 2 * MOST_ROUNDS; i++) {
        fet__turns_fini(turns);
        FET_TRY(fet__plan_repeat(turns, w->work, w->count, w->base, limit));
        if (turns->peak + copy_bytes * turns->repeated <= *aim)
            break;
        if (turns->peak <= limit && i<MOST_ROUNDS && * aim> copy_bytes * turns->repeated)
            limit = *aim - copy_bytes * turns->repeated;
        else
            limit = *aim = (turns->peak + copy_bytes * turns->repeated) / 64 * 65;
    }
done:
    return st;
}

/* Change the graph so that the arena needs no more than *aim. */
static fet_status repeat_values(const fet__program *p, int64_t *aim, int **rank)
{
    fet__turns turns = {0};
    works w = {0};
    runs r = {0};
    fet_status st;

    FET_TRY(works_of(&w, p));
    FET_TRY(choose_turns(&turns, &w, aim, p->options.whole ? COPY_BYTES : 0));
    FET_TRY(runs_of(&r, p, &w, &turns));
    FET_TRY(fet__pass_repeat(p->graph, r.run, r.count, r.made));
    st = ranks_of(rank, p->graph, &r);
done:
    runs_fini(&r);
    works_fini(&w);
    fet__turns_fini(&turns);
    return st;
}

/* ---- the budget --------------------------------------------------------------------------------------------------------- */

/* What counts against the budget. */
static int64_t taken(const fet__program *p, const fet__program_options *o)
{
    return o->beside + p->info.total_bytes + (o->whole ? p->info.weight_bytes + p->info.process_bytes : 0);
}

/* `p` is the least plan that was found, `before` the one that keeps everything. */
static fet_status over_budget(const fet__program *p, const fet__program_options *o, int64_t budget, int64_t before)
{
    int64_t bytes = 0;
    const fet__step *s = fet__largest_step(p, &bytes);
    const fet__node *n = s ? s->node : NULL;
    const fet__program_info *info = &p->info;
    char rest[80] = "", again[80] = "";

    if (o->whole)
        snprintf(rest, sizeof rest, ", weights and states %.1f, the program itself and data %.1f",
                 (double)info->weight_bytes / MIB, (double)(info->process_bytes + o->beside) / MIB);
    if (info->repeated > 0)
        snprintf(again, sizeof again, " even with values computed again (%.1f without)", (double)before / MIB);
    return FET_FAIL(
        FET_E_NOMEM,
        "the plan needs %.1f MiB%s (arena %.1f, packed weights %.1f, values kept %.1f%s) and the memory budget "
        "is %.1f MiB; the largest step is %s %s in '%s' with %.1f MiB; a smaller batch or a larger budget would "
        "help",
        (double)taken(p, o) / MIB, again, (double)info->arena_bytes / MIB, (double)info->packed_bytes / MIB,
        (double)info->once_bytes / MIB, rest, (double)budget / MIB, s ? fet__step_name(s) : "none",
        n ? fet__shape_text(&n->shape) : "", n ? n->scope : "", (double)bytes / MIB);
}

/* Needed work is what it was before; a copy takes less than a node that went through the passes. */
static void count_repeats(fet__program *p, int first, const fet__program_info *before)
{
    p->first_repeat = first;
    for (int t = p->prologue_count; t < p->order_count; t++)
        p->info.repeated += p->steps[p->order[t]].node != NULL && p->steps[p->order[t]].node->id >= first;
    p->info.repeated_flops = p->info.flops - before->flops;
    p->info.flops = before->flops;
    p->info.process_bytes = before->process_bytes + p->info.repeated * COPY_BYTES;
}

/* Values are computed again until the plan fits. Placing may need a little more than the fullest step: what was missing is taken off the next
 * round's aim. Where the aim cannot be reached, the plan is the least that was found, and refused. */
static fet_status squeeze(fet__program *p, fet__graph *g, const fet__program_options *o, int64_t budget)
{
    int64_t before = taken(p, o), aim = budget - (before - p->info.arena_bytes);
    int *rank = NULL, first = fet__graph_ids(g);
    fet__program_info kept = p->info;
    fet_status st = FET_OK;

    for (int round = 0; round < MOST_ROUNDS; round++) {
        int64_t now = taken(p, o), reached = aim > 0 ? aim : 1;

        FET_TRY(repeat_values(p, &reached, &rank));
        fet__tables_drop(p);
        FET_TRY(fet__tables_make(p, g, o, false, rank));
        count_repeats(p, first, &kept);
        if (taken(p, o) <= budget)
            goto done;
        if (reached > aim || taken(p, o) >= now)
            break;
        aim -= taken(p, o) - budget;
    }
    st = over_budget(p, o, budget, before);
done:
    fet__free(rank);
    return st;
}

fet_status fet__fit_budget(fet__program *p, fet__graph *g, const fet__program_options *o)
{
    int64_t budget = o->memory > 0 ? o->memory : fet__free_memory();
    fet_status st;

    FET_TRY(fet__tables_make(p, g, o, true, NULL));
    if (taken(p, o) > budget && p->info.packed_bytes > 0) {
        fet__tables_drop(p);
        FET_TRY(fet__tables_make(p, g, o, false, NULL));
    }
    if (taken(p, o) <= budget)
        goto done;
    st = o->reference ? over_budget(p, o, budget, taken(p, o)) : squeeze(p, g, o, budget);
done:
    return st;
}
