/* A convolutional network or layer out of a golden file: parameters from param.*, a graph in any norm mode, its outputs, gradients and
 * the statistics that it leaves behind. Goldens hold feature maps as [B, C, H, W], the graph turns them. Shared by the kinds of
 * residual networks, DenseNet, quadratic layers and batch norms. */
#ifndef FET_PARITY_NET_CASE_H
#define FET_PARITY_NET_CASE_H

#include "exec/exec.h"
#include "model/model_int.h"
#include "parity/parity.h"

/* Where the golden's metadata gives no tolerance: by prefix of the entry's name, ended by NULL. */
typedef struct net_tolerance {
    const char *prefix;
    parity_mode mode;
    double value;
} net_tolerance;

typedef struct net_value {
    const char *entry; /* of the golden */
    fet__node *node;   /* what to differentiate by, or what to output */
} net_value;

typedef struct net_case {
    parity_case *c;
    const net_tolerance *tolerances;
    fet_dtype type; /* of activations; parameters and their gradients are float32 */
    fet__params *store;
    fet__build b; /* one graph at a time */
    fet__norm_mode mode;
    fet__program *p;
    net_value *outputs, *wanted;
    int output_count, wanted_count;
} net_case;

/* The store from the golden's param.* and those of its base files. */
fet_status net_open(net_case *n, parity_case *c, const net_tolerance *tolerances);
void net_close(net_case *n);
/* A new graph. All norms of it work in `mode`; `train` is what the build is told. */
fet_status net_begin(net_case *n, fet__norm_mode mode, bool train);
/* The entry as an input of the graph, feature maps as [B, H, W, C], integers as i32. */
fet__node *net_input(net_case *n, const char *entry);
/* Compare x, a feature map as [B, C, H, W], with the entry when the graph has run. */
void net_output(net_case *n, const char *entry, fet__node *x);
/* Differentiate by what each entry of that prefix names behind its first `strip` characters: a parameter, or an input (with or without
 * "in." in front). */
fet_status net_want(net_case *n, const char *prefix, size_t strip);
/* Gradients of the loss as outputs, the program, one run, every comparison. */
fet_status net_run(net_case *n, fet__node *loss);
/* Entries PREFIX.NAME of running statistics against the store; the step counters of checkpoints against `steps` more. */
fet_status net_final(net_case *n, const char *prefix, int steps);
/* sum(x * weights), weights an entry that has x's form; scaled. */
fet__node *net_weighted_sum(net_case *n, fet__node *x, const char *entry, double scale);
/* Mean cross-entropy of logits with the labels of an entry. */
fet__node *net_cross_entropy(net_case *n, fet__node *logits, const char *entry);

#endif
