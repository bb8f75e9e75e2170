/* Searching an architecture by sampled paths (methods/quadranet.md 9): at each position of a fixed frame several candidates, one of
 * which is active in a step. Candidates' parameters alpha learn from the slope of the loss along every candidate and from the expected
 * latency. Everything about alpha is arithmetic over a few numbers and done on the host in double; what candidates compute is graph. */
#ifndef FET_NAS_H
#define FET_NAS_H

#include "data/data.h"
#include "exec/exec.h"
#include "model/quadranet.h"
#include "train/train.h"

#define FET__NAS_CANDIDATES 8 /* most at a position */

/* ---- nas_gates.c --------------------------------------------------------------------------------------------------- */
typedef struct fet__nas_gates {
    int positions, candidates;
    double *alpha;         /* [positions][candidates] */
    double *square;        /* Adam's second moment, the like; its first has beta 0 */
    int64_t steps;         /* of Adam */
    double lr, beta2, eps; /* 1e-3, 0.999, 1e-8 */
    /* -1, or the reference's defect on request: a position whose active candidate is this one (its zero path) does not learn, neither from
     * the slopes nor from the latency. */
    int deaf;
} fet__nas_gates;
/* Alphas begin as Normal(0, 1e-3) of the seed. */
fet_status fet__nas_gates_create(fet__nas_gates *out, int positions, int candidates, uint64_t seed);
void fet__nas_gates_fini(fet__nas_gates *g);

/* What is drawn at a position: the active candidate, and in two-path mode the other one of the pair; else -1. */
typedef struct fet__nas_choice {
    int active, other;
} fet__nas_choice;
/* softmax of n alphas. */
void fet__nas_probabilities(const double *alpha, int n, double *out);
/* One choice a position, by random numbers of (seed, step). A pair needs two candidates or more. */
fet_status fet__nas_draw(const fet__nas_gates *g, bool pair, uint64_t seed, int64_t step, fet__nas_choice *out);
/* The probabilities that gates stand for: all of them, or those inside the pair and 0 elsewhere. */
void fet__nas_shares(const fet__nas_gates *g, int position, fet__nas_choice c, double *out);
/* fixed + sum of shares times costs [positions][candidates]. */
double fet__nas_expected(const fet__nas_gates *g, const fet__nas_choice *c, const double *cost, double fixed);
double fet__nas_entropy(const fet__nas_gates *g); /* mean over positions of sum -p ln(p + 1e-8) */
/* The candidate of the largest alpha at each position; the lowest index wins ties. */
void fet__nas_derive(const fet__nas_gates *g, int *out);

typedef struct fet__nas_objective {
    enum {
        FET__NAS_LOG,    /* a CE (ln E / ln R)^b */
        FET__NAS_LINEAR, /* CE + lambda (E - R) / R */
        FET__NAS_NONE    /* CE */
    } kind;
    double a, b, lambda, target; /* R */
} fet__nas_objective;
typedef struct fet__nas_loss {
    double loss, by_ce, by_cost; /* derivatives */
} fet__nas_loss;
/* FET_E_ARG: LOG with E or R not above 1 (their unit is too large), LINEAR with R not above 0. */
fet_status fet__nas_loss_at(const fet__nas_objective *o, double ce, double expected, fet__nas_loss *out);

/* Adds to d alpha [positions][candidates]: slope [..] is the loss's slope along each gate, scaled. Gates of choices that are not drawn
 * have no part. With by_cost and cost the latency's part: slope NULL then. */
void fet__nas_pull(const fet__nas_gates *g, const fet__nas_choice *c, const double *slope, double scale, double *grad);
/* One step of Adam; pairs are moved back so that they keep the share that they had. FET_E_NUMERIC, with nothing changed, when a
 * gradient is not finite. */
fet_status fet__nas_update(fet__nas_gates *g, const fet__nas_choice *c, const double *grad);

/* ---- nas_net.c: candidates as graph ----------------------------------------------------------------------------------- */
/* In the order of golden data: kernel 3, 5, 7 times expansion 2, 4, then the identity. */
#define FET__NAS_SPACE 7
#define FET__NAS_IDENTITY 6
int fet__nas_kernel(int candidate); /* 0 for the identity */
int fet__nas_expansion(int candidate);

typedef struct fet__nas_net {
    const fet__nas_choice *choice; /* [positions] */
    int positions, built;          /* positions passed so far */
    bool plain;                    /* ordinary depthwise blocks in place of quadratic ones */
    bool others;                   /* also what the candidates that are not active compute: for steps of alpha */
    double scale;                  /* initial layer scale of blocks; <= 0: none */
    fet__node **mixed;             /* [positions], arena: what each position gives */
    fet__node **branch; /* [positions][FET__NAS_SPACE], arena: o_j - x; NULL for the identity and without `others` */
} fet__nas_net;
fet_status fet__nas_begin(fet__nas_net *n, fet__graph *g);
/* The next position, over tokens [B, L, C] of a grid: the active candidate's block under "pos.P.cand.J". */
fet__node *fet__nas_position(fet__nas_net *n, fet__build *b, fet__node *x, const int grid[2], double drop_path);
/* The slope of `loss` along every gate, [positions][FET__NAS_SPACE], as a node; 0 where a pair leaves a candidate out. */
fet__node *fet__nas_slopes(fet__nas_net *n, fet__graph *g, fet__node *loss);

/* ---- nas_super.c: the super-network's weights and their updates ------------------------------------------------------- */
typedef struct fet__nas_descent {
    bool sgd;                                               /* with Nesterov's momentum; else AdamW */
    double momentum, beta1, beta2, eps, weight_decay, clip; /* clip > 0: of the global norm */
    fet__decay_rule no_decay;
} fet__nas_descent;
/* All candidates' weights in one store, with the states of their updates. */
typedef struct fet__nas_super {
    const fet__arch *frame; /* a quadratic network at its full depth; its kernel and expansion do not count */
    fet__params *store;
    fet__nas_descent descent;
    int positions, batch;
    double smoothing; /* of steps of weights */
    uint64_t seed;
    int64_t memory;
    bool check_finite;
} fet__nas_super;
/* Makes every candidate's weights and states, so that a state file knows them whatever was drawn. */
fet_status fet__nas_super_create(fet__nas_super *n);
void fet__nas_super_fini(fet__nas_super *n);
/* Global norm of the gradients of `count` tensors. */
double fet__nas_norm(fet__param *const *param, const float *const *grad, int count);
/* Moves these tensors, and no other: one that took no part gets neither momentum nor decay, and bias corrections count a tensor's own
 * updates. `norm` is that of the gradients. */
void fet__nas_descend(fet__nas_super *n, fet__param *const *param, const float *const *grad, int count, double norm,
                      double lr);

/* ---- nas_step.c: a step as a program ------------------------------------------------------------------------------------ */
typedef struct fet__nas_step {
    fet__graph *graph;
    fet__program *program;
    const float *loss, *slopes; /* slopes of steps of alpha, [positions][FET__NAS_SPACE] */
    fet__param **param;         /* of steps of weights: what the choice activates, and its gradients after a run */
    const float **grad;
    int count;
} fet__nas_step;
/* The graph alone, of a step of weights; weights that the store lacks are made where `initialise` says so. */
fet_status fet__nas_graph(fet__graph **out, fet__nas_super *n, const fet__nas_choice *choice, bool initialise);
/* The program of one step: of the weights that the choice activates, or (`alpha`) of the slopes along its gates. */
fet_status fet__nas_step_create(fet__nas_step *out, fet__nas_super *n, const fet__nas_choice *choice, bool alpha);
void fet__nas_step_fini(fet__nas_step *s);

/* ---- nas_search.c ----------------------------------------------------------------------------------------------------- */
#define FET__NAS_LIMITS 3
/* What the network costs in one respect. */
typedef struct fet__nas_cost {
    const char *name;   /* in search.csv */
    const double *cost; /* [positions][FET__NAS_SPACE], 0 for the identity */
    double fixed;
    fet__nas_objective objective; /* its target is the limit */
} fet__nas_cost;

double fet__nas_expected_of(const fet__nas_gates *g, const fet__nas_cost *c); /* over all gates */

typedef struct fet__nas_search_options {
    const char *out;  /* RUN */
    const char *json; /* the object that run.json holds, once complete but for machine and data */
    bool resume;
    const fet__arch *frame;
    const fet__dataset *data;
    fet__preprocess preprocess;
    const fet__augment_plan *augment; /* of steps of weights; mixes nothing */
    double alpha_share;               /* of the training images of each class that steps of alpha take */
    int64_t warmup, epochs;           /* of weights alone; of both */
    int64_t alpha_every;              /* steps of weights to a step of alpha */
    int batch;
    double warmup_lr, lr, alpha_lr; /* each of the first two falls to 0 along a cosine */
    double smoothing;
    fet__nas_descent descent;
    bool pair; /* two paths; false: all gates learn */
    fet__nas_cost cost[FET__NAS_LIMITS];
    int costs;
    double save_seconds; /* 0: 60 */
    uint64_t seed;
    int64_t memory;
    bool check_finite;
    void (*progress)(void *user, const fet__progress *p);
    void *user;
    const volatile int *stop;
} fet__nas_search_options;
typedef struct fet__nas_search_result {
    fet__nas_gates gates; /* fet__nas_gates_fini */
    int64_t steps, alpha_steps, epochs;
    double loss, alpha_loss, entropy;  /* means of the last epoch */
    double expected[FET__NAS_LIMITS];  /* at the end */
    double seconds, images_per_s;      /* of the steps of both kinds */
    double build_seconds, run_seconds; /* mean of a step of weights in this session: making its program, running it */
    int64_t weight_bytes;              /* of all candidates with their optimiser states */
    int64_t step_bytes, alpha_bytes;   /* the largest program of each kind */
} fet__nas_search_result;
/* Searches. RUN gets run.json, search.csv (a line an epoch) and search.safetensors, which holds all that resuming needs; a finished
 * search is only read. */
fet_status fet__nas_search(fet__nas_search_result *out, const fet__nas_search_options *o);

#endif
