/* The small residual network of the MABN goldens (golden/mabn/INDEX.md) and what its kinds share: values against entries, inputs that
 * change from step to step, an optimiser behind given gradients. */
#ifndef FET_PARITY_MINI_CASE_H
#define FET_PARITY_MINI_CASE_H

#include "parity/net_case.h"
#include "train/byol.h"
#include "train/train.h"

/* fet__byol_net.backbone; user is the net_case. The head is "fc". */
void mini_backbone(void *user, fet__build *b, fet__node *images, fet__node **feature, fet__node **logits);
/* The branch with the sizes and modes of the golden's metadata; begins it on n->b. */
void mini_byol(net_case *n, fet__byol_net *out);
fet__episode_options mini_episode(const net_case *n);
/* Inputs PREFIX.support_view1 etc. of a graph; feature maps are turned. */
fet__episode_input mini_episode_input(net_case *n, const char *prefix);
/* Values by parameter against the entries PREFIX.NAME: every entry of that prefix, as outputs of the graph. */
fet_status mini_output_values(net_case *n, const char *prefix, const fet__values *v, fet__node *const *node);
/* The entry's numbers into the graph's input of another entry's name. */
fet_status mini_feed(net_case *n, const char *input, const char *entry);
/* Updates of `v` by gradients of the build's type. */
fet_status mini_update(net_case *n, const fet__optimizer_options *o, const fet__values *v, fet__node *const *grad);
fet_status mini_program(net_case *n); /* of n->b.g, without running it */
double mini_scalar(net_case *n, const char *output);
/* An output of the running program against an entry. */
fet_status mini_compare(net_case *n, const char *output, const char *entry);
/* Parameters of the store against the entries PREFIX.NAME. */
fet_status mini_final(net_case *n, const char *prefix);
bool mini_any(const fet__params *store, const fet__param *p); /* for fet__values_of */

#endif
