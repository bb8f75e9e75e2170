/* Inside exec/: the tables of a program. A *value* is what a live node stands for; its memory is a place in a region, or lies inside
 * that of another value (its root) when the node is a view. A *step* is one thing to do: run a kernel, pack a frozen input, copy an
 * old value aside, write a parameter. The *timeline* is all steps in order:
 *
 *     0 .. prologue_count      once values and packed copies: run when a frozen parameter's version changed
 *     .. tail                  the run proper: writes nothing but the arena
 *     .. order_count           from the first step that writes the store: kernels, then copies; nothing here may fail
 *
 * Everything lives in the program's own fet__arena, but for the regions that hold data. */
#ifndef FET_EXEC_INT_H
#define FET_EXEC_INT_H

#include "exec/exec.h"
#include "kernel/kernel.h"
#include "plan/plan.h"

typedef enum fet__region {
    FET__IN_ARENA,
    FET__IN_ONCE,  /* kept from run to run */
    FET__IN_PARAM, /* the store's memory */
    FET__IN_CONST  /* the graph's memory */
} fet__region;

typedef struct fet__value {
    const fet__node *node; /* NULL: a snapshot of a parameter's old value */
    int root;              /* whose memory it is: itself, or what it is a view of (always a root) */
    int64_t offset;        /* of a view, in bytes from the root's start */
    int64_t bytes;
    /* the rest is about roots */
    fet__region region;
    fet__param *param; /* IN_PARAM */
    int64_t place;     /* offset in its region */
    int step;          /* the step that makes it; -1 for leaves */
    int span;          /* IN_ARENA: its span; -1 none */
    int first, last;   /* timeline */
    bool once;         /* depends on constants and frozen parameters alone */
    bool output, input;
    bool changed; /* frozen parameter: its version has grown since the prologue last ran */
} fet__value;

/* Bytes of a root, from an offset on. */
typedef struct fet__ref {
    int value;
    int64_t offset;
} fet__ref;

typedef enum fet__step_kind { FET__STEP_KERNEL, FET__STEP_PACK, FET__STEP_COPY, FET__STEP_ASSIGN } fet__step_kind;

typedef struct fet__step {
    fet__step_kind kind;
    int value;             /* the root that is made; -1 for PACK and ASSIGN */
    const fet__node *node; /* KERNEL: computed here; PACK: its user; else NULL */
    int input_count;
    fet__ref input[FET__MAX_INPUTS];
    int pack[FET__MAX_INPUTS]; /* KERNEL: 1 + index of the packed copy that is read instead; 0 plain */
    int packed, slot;          /* PACK: index of the copy, input of the user's kernel that it serves */
    fet__prepared *kernel;     /* KERNEL: owned; PACK: the user's */
    fet__param *target;        /* ASSIGN */
    int64_t bytes;             /* COPY and ASSIGN */
    int scratch;               /* span of the scratch; -1 none */
    bool once;                 /* belongs to the prologue */
    bool tail;                 /* writes the store, or needs a step that does */
    bool early;     /* may fail, or something that may fail (or is required) needs it: must run before the tail */
    bool stale;     /* prologue: to be run (again) */
    fet__call call; /* pointers; PACK, COPY and ASSIGN use input[0] and output */
    double seconds; /* profile */
    int64_t calls;
} fet__step;

typedef struct fet__pack {
    fet__ref source;
    const fet__problem *problem; /* equal problems share a copy */
    const fet__kernel *kernel;
    int slot;
    int64_t bytes, place;
} fet__pack;

typedef struct fet__assignment {
    fet__param *target;
    const fet__node *node;
    fet__ref value;
    bool direct; /* the step that makes the value writes into the parameter's memory */
    bool idle;   /* the value is the old value */
} fet__assignment;

typedef struct fet__port {
    const char *name;
    fet__ref value;
    const fet__node *node;
} fet__port;

/* A frozen parameter that the prologue reads. */
typedef struct fet__watch {
    fet__param *param;
    int value;
    uint64_t version; /* when the prologue last ran */
    bool changed;
} fet__watch;

/* A pointer into the store, looked up again at each run because a parameter's memory may move. */
typedef struct fet__binding {
    fet__param *param;
    int64_t offset;
    const void **in; /* or */
    void **out;
} fet__binding;

struct fet__program {
    fet__graph *graph;
    fet__program_options options;
    fet__program_info info;
    fet__arena memory;
    fet__value *values;
    fet__step *steps;
    fet__pack *packs;
    fet__assignment *assigns;
    fet__port *outputs, *inputs;
    fet__span *spans;
    fet__watch *watches;
    fet__binding *bindings;
    int *order; /* steps in the order of the timeline */
    unsigned char *arena, *once, *packed;
    int value_count, step_count, pack_count, assign_count, output_count, input_count;
    int span_count, watch_count, binding_count;
    int order_count, prologue_count, tail;
    int required;     /* output that must be finite, -1 none */
    int first_repeat; /* nodes from this number on are computed again because of the budget */
    bool made_once, profile;
};

#define FET__TAKE(p, x, count)                                                                                         \
    (((x) = fet__arena_alloc(&(p)->memory, (size_t)(count) + 1, sizeof *(x))) ? FET_OK : FET_E_NOMEM)

static inline int64_t fet__rounded(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* ---- value.c ---- */
fet_status fet__values_collect(fet__program *p);
/* Is `n` a view of its first input, and from which byte on? */
bool fet__is_view(const fet__node *n, int64_t *offset);
fet__ref fet__ref_of(const fet__program *p, const fet__node *n);
fet_status fet__steps_collect(fet__program *p);

/* ---- choose.c ---- */
fet_status fet__problem_of(fet__problem *out, const fet__node *n);
fet_status fet__choose_kernels(fet__program *p, bool pack);

/* ---- assign.c ---- */
fet_status fet__assigns_collect(fet__program *p); /* before values */
bool fet__is_assigned(const fet__program *p, const fet__param *param);
fet_status fet__assigns_snapshot(fet__program *p);

/* Steps that come after a step. Lists of successors; `to` and `next` are one pool. */
typedef struct fet__edges {
    int *head, *next, *to;
    int count;
} fet__edges;
void fet__edge_add(fet__edges *e, int from, int to);
/* Decide which values are made in place of their parameter; marks what is early and what is in the tail, and adds the edges that
 * keep old values readable. */
fet_status fet__assigns_decide(fet__program *p, fet__edges *e);
fet_status fet__assigns_copy(fet__program *p); /* ASSIGN steps for the rest */

/* ---- once.c ---- */
/* Put once values and packed copies into their regions and the prologue at the head of the timeline. */
fet_status fet__once_prepare(fet__program *p);
/* Run what is stale. */
fet_status fet__once_refresh(fet__program *p);

/* ---- timeline.c ---- */
/* The order of the run: several are tried, the one with the smallest arena is kept. `rank`, by node number, is one more; NULL: none. */
fet_status fet__schedule(fet__program *p, const int *rank);

/* ---- place.c ---- */
/* Lifetimes, overlays, scratch and places for the present timeline. Where it cannot get below `limit` (>= 0) bytes nothing is placed
 * and *arena is INT64_MAX. */
fet_status fet__place_values(fet__program *p, int64_t limit, int64_t *arena, int64_t *floor);
/* May the step's result lie over root `old` when that dies in it? */
bool fet__may_lie_over(const fet__program *p, const fet__step *s, int old);

/* ---- program.c ---- */
fet_status fet__tables_make(fet__program *p, fet__graph *g, const fet__program_options *o, bool pack, const int *rank);
void fet__tables_drop(fet__program *p);

/* ---- fit_budget.c ---- */
/* Tables that fit the options' budget; may add copies to the graph. */
fet_status fet__fit_budget(fet__program *p, fet__graph *g, const fet__program_options *o);

/* ---- run.c ---- */
fet_status fet__step_run(fet__program *p, fet__step *s);
const void *fet__ref_data(const fet__program *p, fet__ref r);

/* ---- print_plan.c ---- */
const char *fet__step_name(const fet__step *s); /* operator, or "pack", "copy", "assign" */
const char *fet__step_kernel(const fet__step *s);
/* The step whose result and scratch are largest; NULL when there is none. */
const fet__step *fet__largest_step(const fet__program *p, int64_t *bytes);

#endif
