/* What the two files of computing again share: the timeline as it stands, and what is known about it. */
#ifndef FET_REPEAT_INT_H
#define FET_REPEAT_INT_H

#include "plan/plan.h"

enum {
    FET__MOST_MEMBERS = 192, /* works that may be done again for one value */
    FET__MOST_BANNED = 512
};

/* The timeline as it stands. A turn is a work done at one place; its number never changes, its place does. */
typedef struct fet__timeline {
    int count, pool_count;
    int *work, *start; /* by turn; its inputs are pool[start ..] */
    int *order;        /* turns by place */
    int *pool;
} fet__timeline;

/* Something that has to come before the gap's end. */
typedef struct fet__member {
    int turn; /* an existing turn that is moved here; -1: a new one */
    int work;
    int input; /* of a new one: its first in `wired` */
} fet__member;

typedef struct fet__repeat {
    const fet__work *works;
    int work_count, turn_room, pool_room;
    int64_t base, limit;
    fet__timeline now, next;
    /* about `now` */
    int *place, *last;      /* by turn */
    int *first, *sibling;   /* by work, by turn: turns of a work */
    int *user_start, *user; /* by turn: places of its users, in order */
    int64_t *held;          /* by place */
    int *above;             /* above[t]: places before t that hold more than the limit */
    double *excess;         /* the same, in bytes */
    int64_t peak;
    double area;
    /* one candidate */
    fet__member members[FET__MOST_MEMBERS];
    int member_count, wired_count;
    int *wired;                        /* inputs of new members: a turn, or -1 - its member */
    int *member_of, *stamp, now_stamp; /* by work */
    bool swap;                         /* one input may be kept in the value's place */
    int swapped, swaps;                /* which; -1: none yet. How often that was done */
    struct {
        int turn, user;
    } banned[FET__MOST_BANNED];
    int banned_count;
} fet__repeat;

static inline const fet__work *fet__work_of(const fet__repeat *r, int turn)
{
    return &r->works[r->now.work[turn]];
}

/* ---- repeat_measure.c ---- */
/* Everything in `r` about the state `now`. */
void fet__repeat_measure(fet__repeat *r);

#endif
