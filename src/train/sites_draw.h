/* Draws of pictures from several sites. */
#ifndef FET_SITES_DRAW_H
#define FET_SITES_DRAW_H

#include "data/data.h"

#define FET__CHUNKS 256 /* sites of one step, at most */
typedef struct fet__draw {
    const fet__dataset *d;
    uint64_t seed;
    int domains, source_count;
    int32_t *order, *first, *count; /* training samples by domain: order[first[k] .. first[k] + count[k]) */
    int32_t *able;                  /* domains with as many pictures as fet__draw_need was told */
    int able_count;
    int32_t *group; /* of each domain */
    int32_t *pool, *shuffled;
    int pool_count;
    int32_t *use; /* what was drawn last */
    int domain;   /* of the last episode */
} fet__draw;
/* `most`: the most pictures that one draw gives. The pool is everything. */
fet_status fet__draw_create(fet__draw *w, const fet__dataset *d, uint64_t seed, int most);
void fet__draw_fini(fet__draw *w);
/* Episodes and chunks take `need` pictures of a domain: those with fewer are named and left out. */
fet_status fet__draw_need(fet__draw *w, int need);
/* Domains in random order, dealt out to groups. */
fet_status fet__draw_groups(fet__draw *w, int groups);
void fet__draw_pool(fet__draw *w, int group); /* batches come of this group alone; -1: of all */
/* To `use`: the next pictures of this epoch's order over the pool; pictures of one domain; of `sites` domains, `support` each. */
void fet__draw_batch(fet__draw *w, const char *stream, int64_t step, int batch);
void fet__draw_episode(fet__draw *w, const char *stream, int64_t step, int need);
void fet__draw_chunks(fet__draw *w, const char *stream, int64_t step, int sites, int support);

#endif
