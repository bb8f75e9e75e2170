/* Computing again instead of keeping: a timeline of works is changed until no step holds more than a limit.
 *
 * A value that lies idle over steps above the limit, from one use to the next, may be let go after the one and made again right before the
 * other, together with those of its inputs that are gone by then. Of all such gaps the one is taken that relieves most bytes times steps for its
 * cost; then all is measured again. An input that is made again a little later anyway is made earlier instead, where memory allows it, so that the
 * inside of a block is computed once more and not once a user. Made again, a value has the same bits: works are functions of their inputs. */
#include <string.h>

#include "plan/repeat_int.h"

enum { GROWTH = 6 }; /* turns for each work, at most */
#define SMALL 4096   /* a value of the limit over this may be kept a while without a thought */

typedef struct gap {
    int turn, end; /* whose value; the place where it is wanted again */
    double gain, cost;
} gap;

/* ---- what one value takes with it ------------------------------------------------------------------------------------ */

/* May `bytes` more be held at the places [from, to)? */
static bool room(const fet__repeat *r, int from, int to, int64_t bytes)
{
    if (bytes <= r->limit / SMALL)
        return true;
    for (int t = from; t < to; t++)
        if (r->held[t] + bytes > r->limit)
            return false;
    return true;
}

/* A value that can be read at `at`: alive there, or cheaply kept alive until then, or kept instead of `not_this`. -1: none. */
static int alive_at(fet__repeat *r, int work, int at, int not_this)
{
    int kept = -1, dead = -1;

    for (int turn = r->first[work]; turn >= 0; turn = r->sibling[turn]) {
        if (turn == not_this || r->place[turn] >= at)
            continue;
        if (r->last[turn] >= at)
            return turn;
        if (kept < 0 && room(r, r->last[turn] + 1, at, fet__work_of(r, turn)->bytes))
            kept = turn;
        dead = dead < 0 || r->last[turn] > r->last[dead] ? turn : dead;
    }
    if (kept < 0 && dead >= 0 && r->swap && (r->swapped == -1 || r->swapped == dead) &&
        r->works[work].bytes <= fet__work_of(r, not_this)->bytes)
        kept = r->swapped = dead;
    return kept;
}

static bool add_member(fet__repeat *r, int work, int turn)
{
    if (r->member_count == FET__MOST_MEMBERS)
        return false;
    r->stamp[work] = r->now_stamp;
    r->member_of[work] = r->member_count;
    r->members[r->member_count++] = (fet__member){.turn = turn, .work = work};
    return true;
}

/* Move a turn that comes later to `at`, with those of its inputs that come later too. */
static bool move_here(fet__repeat *r, int turn, int at)
{
    const fet__work *w = fet__work_of(r, turn);

    if (r->stamp[r->now.work[turn]] == r->now_stamp)
        return r->members[r->member_of[r->now.work[turn]]].turn == turn;
    if (!room(r, at, r->place[turn], w->bytes))
        return false;
    for (int k = 0; k < w->input_count; k++) {
        int in = r->now.pool[r->now.start[turn] + k];

        if (r->place[in] >= at && !move_here(r, in, at))
            return false;
    }
    return add_member(r, r->now.work[turn], turn);
}

static int provide(fet__repeat *r, int work, int at, int not_this, double *cost, bool *possible);

/* A new turn of the work, its inputs provided first. */
static int again(fet__repeat *r, int work, int at, int not_this, double *cost, bool *possible)
{
    const fet__work *w = &r->works[work];
    int wired = r->wired_count;

    if (w->cost < 0 || r->member_count == FET__MOST_MEMBERS) {
        *possible = false;
        return 0;
    }
    r->wired_count += w->input_count;
    for (int k = 0; k < w->input_count && *possible; k++)
        r->wired[wired + k] = provide(r, w->input[k], at, not_this, cost, possible);
    if (!*possible || !add_member(r, work, -1)) {
        *possible = false;
        return 0;
    }
    *cost += w->cost;
    r->members[r->member_count - 1].input = wired;
    return -r->member_count; /* -1 - its index */
}

/* Where an input comes from at place `at`: a turn, or -1 - a member. */
static int provide(fet__repeat *r, int work, int at, int not_this, double *cost, bool *possible)
{
    int turn, before = r->member_count;

    if (r->stamp[work] == r->now_stamp)
        return r->members[r->member_of[work]].turn >= 0 ? r->members[r->member_of[work]].turn : -1 - r->member_of[work];
    turn = alive_at(r, work, at, not_this);
    if (turn >= 0)
        return turn;
    for (turn = r->first[work]; turn >= 0; turn = r->sibling[turn]) {
        if (r->place[turn] < at)
            continue;
        if (move_here(r, turn, at))
            return turn;
        while (r->member_count > before)
            r->stamp[r->members[--r->member_count].work] = 0;
    }
    return again(r, work, at, not_this, cost, possible);
}

/* What has to be done at place `at` to have the value of `turn` there. */
static bool gather(fet__repeat *r, int turn, int at, double *cost)
{
    bool possible = true;

    r->now_stamp++;
    r->member_count = r->wired_count = 0;
    r->swapped = -1;
    *cost = 0;
    again(r, r->now.work[turn], at, turn, cost, &possible);
    return possible;
}

/* ---- choosing ------------------------------------------------------------------------------------------------------- */

static bool is_banned(const fet__repeat *r, int turn, int end)
{
    int user = r->now.order[end];

    for (int i = 0; i < r->banned_count; i++)
        if (r->banned[i].turn == turn && r->banned[i].user == user)
            return true;
    return false;
}

/* Bytes times places that the gap gives back above the limit: no more than there are too many. */
static double relief(const fet__repeat *r, int turn, int begin, int end)
{
    double bytes = (double)fet__work_of(r, turn)->bytes * (r->above[end] - r->above[begin + 1]);
    double most = r->excess[end] - r->excess[begin + 1];

    return bytes < most ? bytes : most;
}

static void try_gap(fet__repeat *r, int turn, int begin, int end, gap *best)
{
    double gain = relief(r, turn, begin, end), cost = fet__work_of(r, turn)->cost;

    if (gain <= 0 || gain * best->cost <= best->gain * cost) /* its own cost is the least it takes */
        return;
    if (!gather(r, turn, end, &cost) || gain * best->cost <= best->gain * cost || is_banned(r, turn, end))
        return;
    *best = (gap){turn, end, gain, cost};
}

static bool find_best(fet__repeat *r, gap *best)
{
    *best = (gap){.turn = -1, .gain = 0, .cost = 1};
    for (int turn = 0; turn < r->now.count; turn++) {
        const fet__work *w = fet__work_of(r, turn);
        int begin = r->place[turn];

        if (w->cost < 0 || w->kept || w->bytes == 0)
            continue;
        for (int k = r->user_start[turn]; k < r->user_start[turn + 1]; k++) {
            if (r->user[k] > begin + 1)
                try_gap(r, turn, begin, r->user[k], best);
            begin = r->user[k];
        }
    }
    return best->turn >= 0;
}

/* ---- changing ------------------------------------------------------------------------------------------------------- */

static void copy_state(fet__timeline *to, const fet__timeline *from)
{
    to->count = from->count;
    to->pool_count = from->pool_count;
    memcpy(to->work, from->work, (size_t)from->count * sizeof *to->work);
    memcpy(to->start, from->start, (size_t)from->count * sizeof *to->start);
    memcpy(to->order, from->order, (size_t)from->count * sizeof *to->order);
    memcpy(to->pool, from->pool, (size_t)from->pool_count * sizeof *to->pool);
}

/* New turns for the members of the present candidate, wired; turn_of[i] is member i's. False: no room. */
static bool make_turns(fet__repeat *r, int *turn_of)
{
    fet__timeline *s = &r->next;

    for (int i = 0; i < r->member_count; i++) {
        const fet__member *m = &r->members[i];
        int inputs = r->works[m->work].input_count;

        turn_of[i] = m->turn;
        if (m->turn >= 0)
            continue;
        if (s->count == r->turn_room || s->pool_count + inputs > r->pool_room)
            return false;
        turn_of[i] = s->count;
        s->work[s->count] = m->work;
        s->start[s->count++] = s->pool_count;
        for (int k = 0; k < inputs; k++) {
            int from = r->wired[m->input + k];

            s->pool[s->pool_count++] = from >= 0 ? from : turn_of[-1 - from];
        }
    }
    return true;
}

/* The new order: members stand before place `end`, and those that were moved are taken out behind it. */
static void reorder(fet__repeat *r, int end, const int *turn_of)
{
    const fet__timeline *old = &r->now;
    fet__timeline *s = &r->next;
    int at = end;

    for (int i = 0; i < r->member_count; i++)
        s->order[at++] = turn_of[i];
    for (int t = end; t < old->count; t++) {
        int turn = old->order[t], work = old->work[turn];
        bool moved = r->stamp[work] == r->now_stamp && r->members[r->member_of[work]].turn == turn;

        if (!moved)
            s->order[at++] = turn;
    }
}

/* Let go and make again in `next`. */
static bool change(fet__repeat *r, const gap *g)
{
    int turn_of[FET__MOST_MEMBERS] = {0}, fresh;
    double cost;
    fet__timeline *s = &r->next;

    if (!gather(r, g->turn, g->end, &cost))
        return false;
    copy_state(s, &r->now);
    if (!make_turns(r, turn_of))
        return false;
    fresh = turn_of[r->member_count - 1];
    reorder(r, g->end, turn_of);
    for (int k = r->user_start[g->turn]; k < r->user_start[g->turn + 1]; k++) {
        int user = r->now.order[r->user[k]];

        if (r->user[k] < g->end)
            continue;
        for (int i = 0; i < fet__work_of(r, user)->input_count; i++)
            if (s->pool[s->start[user] + i] == g->turn)
                s->pool[s->start[user] + i] = fresh;
    }
    return true;
}

static void exchange(fet__repeat *r)
{
    fet__timeline s = r->now;

    r->now = r->next;
    r->next = s;
}

/* One gap. Where none relieves anything, an input is kept in a value's place: nearer to the border of a block, from where more can be made
 * again. That goes back in the works' order each time, so it ends. False: nothing is left. */
static bool step(fet__repeat *r)
{
    double before = r->area;
    gap g;

    if (r->banned_count == FET__MOST_BANNED)
        return false;
    r->swap = false;
    if (!find_best(r, &g)) {
        r->swap = r->swaps < r->work_count;
        if (!r->swap || !find_best(r, &g))
            return false;
    }
    if (change(r, &g)) {
        exchange(r);
        fet__repeat_measure(r);
        r->swaps += r->swap;
        if (r->area < before || (r->swap && r->area <= before))
            return true;
        exchange(r);
        fet__repeat_measure(r);
    }
    r->banned[r->banned_count].turn = g.turn;
    r->banned[r->banned_count++].user = r->now.order[g.end];
    return true;
}

/* ---- the interface ---------------------------------------------------------------------------------------------------- */

static fet_status take_state(fet__timeline *s, int turns, int pool)
{
    fet_status st;

    FET_TRY(FET_NEW(s->work, turns));
    FET_TRY(FET_NEW(s->start, turns));
    FET_TRY(FET_NEW(s->order, (size_t)turns + FET__MOST_MEMBERS));
    FET_TRY(FET_NEW(s->pool, pool));
done:
    return st;
}

static fet_status take(fet__repeat *r)
{
    size_t turns = (size_t)r->turn_room, works = (size_t)r->work_count;
    fet_status st;

    FET_TRY(take_state(&r->now, r->turn_room, r->pool_room));
    FET_TRY(take_state(&r->next, r->turn_room, r->pool_room));
    FET_TRY(FET_NEW(r->place, turns));
    FET_TRY(FET_NEW(r->last, turns));
    FET_TRY(FET_NEW(r->first, works));
    FET_TRY(FET_NEW(r->sibling, turns));
    FET_TRY(FET_NEW(r->user_start, turns + 2));
    FET_TRY(FET_NEW(r->user, r->pool_room));
    FET_TRY(FET_NEW(r->held, turns + 2));
    FET_TRY(FET_NEW(r->above, turns + 2));
    FET_TRY(FET_NEW(r->excess, turns + 2));
    FET_TRY(FET_NEW(r->wired, r->pool_room));
    FET_TRY(FET_NEW(r->member_of, works));
    FET_TRY(FET_NEW(r->stamp, works));
done:
    return st;
}

static void begin(fet__repeat *r)
{
    fet__timeline *s = &r->now;

    for (int w = 0; w < r->work_count; w++) {
        s->work[w] = s->order[w] = w;
        s->start[w] = s->pool_count;
        for (int k = 0; k < r->works[w].input_count; k++)
            s->pool[s->pool_count++] = r->works[w].input[k];
    }
    s->count = r->work_count;
}

static void release_state(fet__timeline *s)
{
    fet__free(s->work);
    fet__free(s->start);
    fet__free(s->order);
    fet__free(s->pool);
}

static void release(fet__repeat *r)
{
    release_state(&r->now);
    release_state(&r->next);
    fet__free(r->place);
    fet__free(r->last);
    fet__free(r->first);
    fet__free(r->sibling);
    fet__free(r->user_start);
    fet__free(r->user);
    fet__free(r->held);
    fet__free(r->above);
    fet__free(r->excess);
    fet__free(r->wired);
    fet__free(r->member_of);
    fet__free(r->stamp);
}

/* From turn numbers to places. A turn with its work's number is the first one of its work: such turns were there from the beginning. */
static fet_status hand_over(fet__turns *out, const fet__repeat *r)
{
    const fet__timeline *s = &r->now;
    fet_status st;

    FET_TRY(FET_NEW(out->turn, s->count));
    FET_TRY(FET_NEW(out->input, s->pool_count));
    out->count = s->count;
    out->peak = r->peak;
    for (int t = 0, held = 0; t < s->count; t++) {
        int turn = s->order[t], inputs = fet__work_of(r, turn)->input_count;

        out->turn[t] = (fet__turn){.work = s->work[turn], .again = turn >= r->work_count, .input = out->input + held};
        for (int k = 0; k < inputs; k++)
            out->input[held++] = r->place[s->pool[s->start[turn] + k]];
        out->repeated += turn >= r->work_count;
    }
done:
    return st;
}

void fet__turns_fini(fet__turns *t)
{
    fet__free(t->turn);
    fet__free(t->input);
    memset(t, 0, sizeof *t);
}

fet_status fet__plan_repeat(fet__turns *out, const fet__work *works, int count, int64_t base, int64_t limit)
{
    fet__repeat *r = NULL;
    int edges = 0;
    fet_status st;

    memset(out, 0, sizeof *out);
    for (int w = 0; w < count; w++) {
        edges += works[w].input_count;
        for (int k = 0; k < works[w].input_count; k++)
            if (works[w].input[k] < 0 || works[w].input[k] >= w)
                return FET_FAIL(FET_E_BUG, "plan: work %d reads work %d", w, works[w].input[k]);
    }
    FET_TRY(FET_NEW(r, 1));
    *r = (fet__repeat){.works = works,
                       .work_count = count,
                       .turn_room = GROWTH * count + 1,
                       .pool_room = GROWTH * edges + 1,
                       .base = base,
                       .limit = limit};
    FET_TRY(take(r));
    begin(r);
    fet__repeat_measure(r);
    while (r->peak > limit && step(r))
        ;
    st = hand_over(out, r);
done:
    if (r)
        release(r);
    fet__free(r);
    if (st != FET_OK)
        fet__turns_fini(out);
    return st;
}
