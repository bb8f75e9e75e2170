/* What a timeline holds: where each turn stands, who reads it, how many bytes live at each place and how far that is above the limit. */
#include <string.h>

#include "plan/repeat_int.h"

static int64_t rounded(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static void find_places(fet__repeat *r)
{
    const fet__timeline *s = &r->now;

    for (int w = 0; w < r->work_count; w++)
        r->first[w] = -1;
    for (int t = 0; t < s->count; t++) {
        int turn = s->order[t];

        r->place[turn] = r->last[turn] = t;
        r->sibling[turn] = r->first[s->work[turn]];
        r->first[s->work[turn]] = turn;
    }
}

/* Users by place: counted, then filled in the order of the timeline. user_start has one more entry, and the filling shifts it. */
static void find_users(fet__repeat *r)
{
    const fet__timeline *s = &r->now;

    memset(r->user_start, 0, ((size_t)s->count + 2) * sizeof *r->user_start);
    for (int turn = 0; turn < s->count; turn++)
        for (int k = 0; k < fet__work_of(r, turn)->input_count; k++)
            r->user_start[s->pool[s->start[turn] + k] + 2]++;
    for (int turn = 0; turn < s->count; turn++)
        r->user_start[turn + 2] += r->user_start[turn + 1];
    for (int t = 0; t < s->count; t++)
        for (int k = 0; k < fet__work_of(r, s->order[t])->input_count; k++) {
            int in = s->pool[s->start[s->order[t]] + k];

            r->user[r->user_start[in + 1]++] = t;
            r->last[in] = t;
        }
    for (int turn = 0; turn < s->count; turn++)
        if (fet__work_of(r, turn)->kept)
            r->last[turn] = s->count - 1;
}

/* Does the result of the turn at `t` lie over an input that dies with it? */
static bool lies_over(const fet__repeat *r, int turn, int t)
{
    const fet__work *w = fet__work_of(r, turn);

    for (int k = 0; k < w->input_count; k++) {
        int in = r->now.pool[r->now.start[turn] + k];
        const fet__work *old = fet__work_of(r, in);

        if ((w->overlay >> k & 1) && r->last[in] == t && old->bytes == w->bytes && !old->kept)
            return true;
    }
    return false;
}

static void find_held(fet__repeat *r)
{
    const fet__timeline *s = &r->now;
    int64_t live = r->base;

    memset(r->held, 0, ((size_t)s->count + 2) * sizeof *r->held);
    for (int turn = 0; turn < s->count; turn++) {
        int64_t bytes = rounded(fet__work_of(r, turn)->bytes);

        r->held[r->place[turn]] += bytes;
        r->held[r->last[turn] + 1] -= bytes;
    }
    r->peak = 0;
    r->area = 0;
    for (int t = 0; t < s->count; t++) {
        const fet__work *w = fet__work_of(r, s->order[t]);

        live += r->held[t];
        r->held[t] =
            live + rounded(w->scratch) - (w->bytes > 0 && lies_over(r, s->order[t], t) ? rounded(w->bytes) : 0);
    }
    for (int t = 0; t < s->count; t++) {
        int64_t over = r->held[t] - r->limit;

        r->above[t + 1] = r->above[t] + (over > 0);
        r->excess[t + 1] = r->excess[t] + (over > 0 ? (double)over : 0);
        if (r->held[t] > r->peak)
            r->peak = r->held[t];
    }
    r->area = r->excess[s->count];
}

void fet__repeat_measure(fet__repeat *r)
{
    find_places(r);
    find_users(r);
    find_held(r);
}
