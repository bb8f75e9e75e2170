/* What the files of nas_*.c share: the frame of a search and the table of measured blocks. */
#ifndef FET_NAS_INT_H
#define FET_NAS_INT_H

#include "fettle/nas.h"
#include "method/method_int.h"
#include "model/quadranet.h"
#include "train/nas.h"

/* What each candidate but the identity costs in each stage, and all that is no block. */
typedef struct fet__nas_table {
    double fixed, block[QUADRANET_STAGES][FET__NAS_IDENTITY];
    char unit[16], device[128]; /* as the profile says: "ms", or a device's own */
    bool foreign;               /* of another device: its numbers cannot be checked here */
} fet__nas_table;

/* ---- nas_table.c --------------------------------------------------------------------------------------------------- */
/* The quadratic network named by `text` (NULL: quadranet36_xxs), whose blocks must not differ. fet__arch_fini ends it. */
fet_status fet__nas_frame(fet__arch *out, const char *text);
/* Rows, columns and channels of a stage. */
void fet__nas_stage(const fet__arch *frame, int stage, int grid[2], int *channels);
/* fixed + the blocks of `q`, whose kernels and expansions are of the space. */
double fet__nas_predict(const fet__nas_table *t, const fet__quadranet *q);
/* Names of a profile's entries: "quadratic 56x56x16 k3e2" of a candidate, "quadratic 224x224x3 patch4 dim16" of what is no block. */
void fet__nas_key(const fet__arch *frame, int stage, int j, char out[64]);
void fet__nas_fixed_key(const fet__arch *frame, char out[64]);
/* Of the frame with quadratic and with plain blocks. */
fet_status fet__nas_table_write(const fet__nas_table tables[2], const fet__arch frames[2], const char *path,
                                const fet_nas_profile_report *report);
/* FET_E_FORMAT names what is absent or no positive number; FET_E_ARG: it was measured on another machine, with other threads or by
 * another version, and neither the file nor `foreign` says that this is meant. */
fet_status fet__nas_table_read(fet__nas_table *out, const fet__arch *frame, const char *path, bool foreign);
fet_status fet__nas_table_parse(fet__nas_table *out, const fet__arch *frame, const char *json, size_t size,
                                const char *path, bool foreign);

/* ---- nas_profile.c ------------------------------------------------------------------------------------------------- */
/* Milliseconds of one image through the network of that text, the median of `repeats` runs. */
fet_status fet__nas_measure(const char *arch, int repeats, uint64_t seed, double *ms);

/* ---- nas_options.c ------------------------------------------------------------------------------------------------- */
/* Fills in defaults that depend on others, and checks. */
fet_status fet__nas_options_check(fet_nas_search_options *o);
/* Training's options with the search's as "search"; caller frees. */
fet_status fet__nas_options_json(char **out, const fet_nas_search_options *o);
/* Those with which RUN began over those given (see fet__tune_from_run). */
fet_status fet__nas_options_from_run(fet_nas_search_options *o, void **keep, bool *found);

/* ---- nas_cost.c ---------------------------------------------------------------------------------------------------- */
/* What the network must not exceed; 0: no limit. */
typedef struct fet__nas_limits {
    double latency, flops;
    int64_t memory;
    double latency_scale; /* into the unit of the objective: microseconds where the profile's is a time */
    const char *unit;     /* the profile's */
} fet__nas_limits;
/* Costs of candidates at every position, for what is limited. */
typedef struct fet__nas_costs {
    fet__nas_cost cost[FET__NAS_LIMITS];
    double *memory[FET__NAS_LIMITS];
    int *stage; /* of each position */
    int count, positions;
} fet__nas_costs;
int fet__nas_positions(const fet__arch *frame);
int fet__nas_stage_of(const fet__arch *frame, int position);
/* The text of the network that takes these candidates of the frame; caller frees; NULL without memory. */
char *fet__nas_text(const fet__arch *frame, const int *choice);
/* Of one image through the network of that text: bytes of weights and working memory, operations; values of its weights. */
fet_status fet__nas_plan(const char *arch, int64_t *bytes, double *flops, int64_t *parameters);
fet_status fet__nas_costs_create(fet__nas_costs *c, const fet__arch *frame, const fet__nas_table *t,
                                 const fet__nas_limits *l, fet__nas_objective objective);
void fet__nas_costs_fini(fet__nas_costs *c);
/* FET_E_ARG names the nearest network where one of the limits cannot be met. */
fet_status fet__nas_limits_check(const fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l);
/* The most probable candidates; where they exceed a limit, changed where that costs the least probability for what it brings. Every stage
 * keeps a block. */
fet_status fet__nas_choose(const fet__nas_costs *c, const fet__arch *frame, const fet__nas_limits *l,
                           const fet__nas_gates *g, int *choice);

/* ---- nas_result.c -------------------------------------------------------------------------------------------------- */
/* The file that describes the network (src/model/arch_file.c reads it). `found`: what is known about it, an object (a json_t), taken over. */
fet_status fet__nas_result_write(const char *path, const fet__arch *frame, const int *choice, void *found);

#endif
