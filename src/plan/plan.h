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

#endif
