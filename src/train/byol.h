/* Networks with a self-supervised branch (methods/mabn.md 4): projector, predictor, a target that follows; and steps of gradient descent
 * as graph, through which a further gradient can be taken. Everything here adds nodes; programs and loops are elsewhere. */
#ifndef FET_BYOL_H
#define FET_BYOL_H

#include "nn/nn.h"

/* ---- values.c: what stands for parameters -------------------------------------------------------------------------- */
typedef struct fet__values {
    int count;
    fet__param **param;
    fet__node **node; /* in the build's type */
} fet__values;
/* Of the parameters in b->store those that `accept` takes, each as itself. Memory is the graph's arena. */
fet_status fet__values_of(fet__values *out, fet__build *b,
                          bool (*accept)(const fet__params *store, const fet__param *p));
/* One step of plain gradient descent: v - rate * gradient. `grads` (may be NULL): the gradients [count]. */
fet_status fet__values_descend(fet__values *out, const fet__values *v, fet__graph *g, fet__node *loss, double rate,
                               fet__node ***grads);
/* What the layers built from now on read in place of their parameters; NULL: the parameters. `v` lives as long as it is used. */
void fet__values_use(fet__build *b, fet__values *v);
/* For fet__values_of: scale or shift of a norm that has running statistics, but not of the target's. */
bool fet__is_norm_affine(const fet__params *store, const fet__param *p);

/* ---- byol.c ---------------------------------------------------------------------------------------------------------- */
typedef struct fet__byol_net {
    /* Feature [B, D] and, where `logits` is not NULL, the head's output; under the present prefix. */
    void (*backbone)(void *user, fet__build *b, fet__node *images, fet__node **feature, fet__node **logits);
    void *user;
    int64_t hidden, out; /* of projector and predictor */
    enum {
        FET__TARGET_FOLLOWS, /* parameters target.*, an average of the online ones */
        FET__TARGET_ONLINE   /* the online network itself, as a constant */
    } target;
    bool joint;      /* all norms by their batch, running statistics follow: the first stage. Else they are frozen */
    bool head_batch; /* of a frozen network: norms of projector and predictor by their batch */
    bool clean;      /* of the first stage: running statistics follow plain pictures only, not views */
    bool views;      /* set while views are built */
} fet__byol_net;
/* Norm modes of b as `n` says; `n` lives as long as b. */
void fet__byol_begin(fet__byol_net *n, fet__build *b);

typedef struct fet__byol_nodes {
    fet__node *feature[2], *projection[2], *prediction[2], *target[2]; /* of each view */
    fet__node *loss; /* mean over the images of both directions' sum */
} fet__byol_nodes;
fet_status fet__byol_build(fet__byol_net *n, fet__build *b, fet__node *const view[2], fet__byol_nodes *out);
/* [N, 1]: 2 - 2 <p, t> of unit rows; t is a constant. A row of zeros gives 2 and no gradient. */
fet__node *fet__byol_distance(fet__build *b, fet__node *p, fet__node *t);
/* target.X <- tau target.X + (1 - tau) X for every X that the graph assigns to. */
void fet__byol_follow(fet__graph *g, fet__params *store, fet__node *tau);
/* tau at a step of the first stage: from `base` to 1 along a cosine. */
double fet__byol_tau(double base, int64_t step, int64_t steps);
/* Adds target.* to the store, copies of everything but head, predictor and what is no part of the network. */
fet_status fet__byol_copy_target(fet__params *store, const char *head);

/* ---- episode.c: the two stages' losses ------------------------------------------------------------------------------- */
#define FET__INNER_STEPS 16 /* at most */
typedef struct fet__episode_options {
    double inner_lr, lambda;
    int inner_steps;
    bool second_order;
    bool squared; /* mean squared error, labels are float [N, outputs]; else cross-entropy, labels i32 [N] */
} fet__episode_options;
typedef struct fet__episode_input {
    fet__node *support[2]; /* views of pictures whose labels nobody reads */
    fet__node *query, *query_view[2], *label;
} fet__episode_input;
typedef struct fet__outer {
    fet__node *logits, *main, *byol, *loss; /* loss = main + lambda byol; byol is NULL where lambda is 0 */
} fet__outer;
typedef struct fet__episode {
    fet__values start, adapted;
    fet__node **inner_grad; /* at the start */
    fet__node *inner_loss[FET__INNER_STEPS];
    fet__outer outer;
    fet__node **grad; /* of the outer loss by `start`, through the inner steps; or, of first order, by `adapted` */
} fet__episode;
/* Inner steps alone: what a new site's pictures make of the norms. */
fet_status fet__episode_adapt(fet__episode *e, fet__byol_net *n, fet__build *b, fet__node *const support[2],
                              const fet__episode_options *o);
fet_status fet__episode_build(fet__episode *e, fet__byol_net *n, fet__build *b, const fet__episode_input *in,
                              const fet__episode_options *o);
/* The joint loss by what the parameters now stand for. */
fet_status fet__outer_build(fet__outer *out, fet__byol_net *n, fet__build *b, fet__node *query,
                            fet__node *const view[2], fet__node *label, const fet__episode_options *o);
fet__node *fet__main_loss(fet__graph *g, fet__node *logits, fet__node *label, bool squared);

#endif
