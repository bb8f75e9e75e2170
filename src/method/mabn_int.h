/* What the files of fet_meta, fet_adapt and fet_evaluate_tta share: keeping norms as they were. */
#ifndef FET_METHOD_MABN_INT_H
#define FET_METHOD_MABN_INT_H

#include "fettle/meta.h"
#include "method/method_int.h"

/* Scales, shifts and running statistics of a store, to go back to. */
typedef struct fet__norm_copy {
    int count;
    fet__param **param;
    char *data;
} fet__norm_copy;
fet_status fet__norm_copy_take(fet__norm_copy *c, fet__params *store);
void fet__norm_copy_restore(const fet__norm_copy *c);
void fet__norm_copy_fini(fet__norm_copy *c);

/* Labels follow the model's class names where it has them. */
fet_status fet__sites_open(fet__dataset *out, const char *path, const fet_data_options *o, const fet__model *m);

#endif
