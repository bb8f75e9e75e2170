/* Programs: a graph optimised, its kernels chosen and prepared, every value placed, ready to run many times. Runs allocate nothing.
 *
 * Parameters and states are read from and written to the graph's store (fet__param data). Values that depend on frozen parameters
 * and constants alone are computed once and again only when a parameter's version grows. Assigns happen at the end of a run, after the
 * values named in `require_finite` were found finite: a run completes or leaves the store as it was. */
#ifndef FET_EXEC_H
#define FET_EXEC_H

#include "graph/graph.h"

typedef struct fet__program fet__program;

typedef struct fet__program_options {
    int64_t memory; /* budget in bytes for arena, scratch and packed copies; 0: fet__free_memory() at creation */
    int64_t beside; /* bytes of the budget that something else takes */
    bool whole;     /* the budget is for all that the process takes: weights, states and the program itself, too */
    bool reference; /* reference kernels only, no fusion: the oracle */
    bool
        quick; /* a program that is made anew for every run: the first good places are taken, not the best that can be found */
    bool check_finite;          /* look at every node after it ran; the first one that is not finite is named */
    const char *require_finite; /* output name that must be finite before assigns (e.g. "loss"); NULL none */
} fet__program_options;

/* Of process_bytes, what is there once however many programs there are. */
#define FET__PROCESS_BYTES ((int64_t)28 << 20)

/* What a program takes, known before it runs. */
typedef struct fet__program_info {
    int64_t arena_bytes, packed_bytes, once_bytes,
        scratch_bytes;     /* scratch lies inside the arena and is listed for information */
    int64_t total_bytes;   /* arena + packed + once */
    int64_t floor_bytes;   /* fullest step */
    int64_t weight_bytes;  /* parameters and states that the graph reads or writes */
    int64_t process_bytes; /* about what code, libraries, graph and tables take */
    double flops;          /* needed floating-point operations of a run */
    double bytes_moved;
    double repeated_flops;      /* besides: of what is computed again because of the budget */
    int steps, nodes, repeated; /* repeated: steps among them */
} fet__program_info;

/* Takes over nothing: the graph (optimised in place) and its store must outlive the program. FET_E_NOMEM when the plan does not fit
 * the budget: the message names the planned size, the budget and the largest step. */
fet_status fet__program_create(fet__program **out, fet__graph *g, const fet__program_options *o);
void fet__program_destroy(fet__program *p);
fet__program_info fet__program_describe(const fet__program *p);

/* Where to write an input before a run, or NULL when the program has none of that name (it was dead). Stays valid. */
void *fet__program_input(fet__program *p, const char *name);
/* Where an output lies after a run, until the next run; NULL for an unknown name. */
const void *fet__program_output(const fet__program *p, const char *name);
/* FET_E_NUMERIC: a required value is not finite; nothing was assigned. */
fet_status fet__program_run(fet__program *p);
/* The plan as text: steps in order with kernel, place, bytes, lifetime; totals. `steps` false: totals only. */
fet_status fet__program_print(const fet__program *p, fet__text *out, bool steps);
/* The layers of which something is computed again because of the budget: "blocks.0-7, norm"; nothing where there are none. */
fet_status fet__program_repeats(const fet__program *p, fet__text *out);

/* Time per kernel and operator since the last reset (seconds, calls), for bench --profile; off by default. */
void fet__program_profile(fet__program *p, bool on);
fet_status fet__program_profile_print(const fet__program *p, fet__text *out);

/* Run one node by the reference kernel on given data (constant folding, tests). */
fet_status fet__evaluate_node(void *user, const fet__node *n, void *out);

/* ---- machine.c ------------------------------------------------------------------------------------------------------ */
const char *fet__machine_library(void); /* "oneDNN 2.6.3" or "none" */
double fet__machine_peak(fet_dtype t,
                         double seconds); /* measured multiply-add peak of all threads, GFLOP/s; 0: not in hardware */

#endif
