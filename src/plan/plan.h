/* Places in one arena for values with known lifetimes. Pure arithmetic over numbers: sees no graph and no kernel. */
#ifndef FET_PLAN_H
#define FET_PLAN_H

#include "base/base.h"

/* A block of memory that lives from step `first` to step `last`, both included. */
typedef struct fet__span {
    int64_t bytes;
    int first, last;
    int64_t offset; /* out: multiple of 64 */
} fet__span;

/* Give every span a place so that spans that live at a common step never overlap; best fit in order of size, deterministic.
 * *arena is the total. `floor` is the sum over the fullest step, below which no placing can get. */
fet_status fet__plan_place(fet__span *spans, int count, int64_t *arena, int64_t *floor);
/* The same, but the search ends as soon as the arena is no larger than (1 + slack) times the floor: for plans that are made often. */
fet_status fet__plan_place_near(fet__span *spans, int count, double slack, int64_t *arena, int64_t *floor);
/* The floor alone, which is cheap: an order whose floor is above an arena found before need not be placed. */
fet_status fet__plan_floor(const fet__span *spans, int count, int64_t *floor);
/* Check the promise (tests, debug builds). */
fet_status fet__plan_verify(const fet__span *spans, int count, int64_t arena);

/* A topological order of n items that keeps memory low. Item i needs the items before[i][0..before_count[i]), makes bytes[i] and
 * frees an item when its last user has run. Greedy: among ready items, least growth; ties by rank[i], then index. */
fet_status fet__plan_order(int *order, int n, const int *const *before, const int *before_count, const int64_t *bytes,
                           const int *rank);
/* Move items of a topological order later or earlier where that shortens lifetimes (bytes times steps); it stays topological. */
fet_status fet__plan_improve(int *order, int n, const int *const *before, const int *before_count,
                             const int64_t *bytes);

/* ---- repeat.c: computing again instead of keeping ------------------------------------------------------------------ */
/* A work reads values of works before it and makes one, which lives until its last reader. */
typedef struct fet__work {
    int64_t bytes, scratch; /* of the value; 0: it takes no memory here. While the work runs */
    double cost;            /* of doing it once more; < 0: it may not be done again */
    int input_count;
    const int *input; /* numbers of works, each once */
    uint32_t overlay; /* bit k: the value may lie over that of input k when that dies here */
    bool kept;        /* the value lives to the end */
} fet__work;
typedef struct fet__turn {
    int work;
    bool again;       /* not the work's first turn: a copy */
    const int *input; /* places of what it reads, as many as the work has inputs */
} fet__turn;
typedef struct fet__turns {
    fet__turn *turn; /* in order */
    int *input;
    int count, repeated;
    int64_t peak; /* of the fullest turn */
} fet__turns;
/* Works in the order of their numbers, values that need no more than `limit` together where that can be had (see peak), each of them
 * read as before: by works done again right before they are wanted. `base` is held at every step. */
fet_status fet__plan_repeat(fet__turns *out, const fet__work *works, int count, int64_t base, int64_t limit);
void fet__turns_fini(fet__turns *t);

#endif
