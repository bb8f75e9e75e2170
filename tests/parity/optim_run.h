/* What the optimiser goldens share: parameters in a store, their gradients as inputs, one optimiser, a
 * program whose run is one step; and options out of metadata. */
#ifndef FET_PARITY_OPTIM_RUN_H
#define FET_PARITY_OPTIM_RUN_H

#include "parity/parity.h"
#include "train/train.h"

#include <jansson.h>

#define UPDATER_TENSORS 16

typedef struct updater {
    fet__optimizer_options o;
    fet__params *store; /* borrowed */
    fet__graph *g;
    fet__program *p;
    int count;
    fet__param *param[UPDATER_TENSORS]; /* what it updates */
} updater;

void updater_fini(updater *u);
/* Takes over an existing parameter of the store. */
fet_status updater_take(updater *u, fet__param *p);
/* Every entry PREFIXname of the golden becomes parameter `name` of the store, with its values. */
fet_status updater_add_all(updater *u, const parity_case *c, const char *prefix);
fet_status updater_build(updater *u, bool reference);
/* Input slot for the gradient of parameter i; NULL when the update does not read it. */
float *updater_gradient(updater *u, int i);

/* Options of one configuration: {"lr": .., "betas": [..], ..}; the kind is the first word of the
 * configuration's name. */
bool updater_options(const char *config, const json_t *j, fet__optimizer_options *o);
/* "lr": a number, or "1e-2 * 0.5**floor(t/10), t from 0". */
bool updater_rate(const json_t *j, fet__schedule *s);
/* Calls `check` for every metadata key whose value is JSON, but "tol". */
fet_status updater_configs(parity_case *c, fet_status (*check)(parity_case *c, const char *config, const json_t *j));

#endif
