/* What adapters that insert modules at residual sites share: names, initial values of their projections, and tensors in and out of the
 * store in double for the fused form. */
#ifndef FET_INSERTED_INT_H
#define FET_INSERTED_INT_H

#include "adapter/adapter.h"

#define FET__WIDTH_LIMIT 65536

/* Local name of a site's module, "my_module_1" after attention and "my_module_2" after the MLP as in the reference's checkpoints;
 * in fused form ".fusedN" follows. */
void fet__inserted_name(const fet__adapter *a, const fet__site *s, char out[96]);
/* Parameters made between these belong to the adapter and may be new; in fused form they belong to the model and must be there. Names in
 * between are relative to the module. */
void fet__inserted_begin(fet__adapter *a, fet__build *b, const char *name);
void fet__inserted_end(fet__adapter *a, fet__build *b);

/* Initial values of the two projections around a narrow hidden vector. */
typedef struct fet__projection_init {
    enum { FET__PROJECT_NORMAL, FET__PROJECT_XAVIER, FET__PROJECT_KAIMING, FET__PROJECT_TORCH } kind;
    bool zero_up; /* the second projection begins at 0 */
} fet__projection_init;
extern const char *const fet__projection_inits[]; /* words of the option, in the order of the kinds */
/* `name`.weight [out, in] and .bias [out] of one projection; x W^T + b with both scaled by `factor`. */
fet__node *fet__inserted_linear(fet__build *b, const char *name, fet__node *x, int64_t out, fet__projection_init init,
                                bool up, double factor);

/* ---- fusing: `module` is the full name without a leaf -------------------------------------------------------- */
/* Where the trained module stands, and where the fused one will: "blocks.3.my_module_1" and "blocks.3.my_module_1.fused1". */
void fet__inserted_fuse_names(const fet__adapter *a, const fet__site *s, char from[320], char to[320]);
/* The values in double; FET_E_FORMAT when the tensor is absent or of another size. Caller frees. */
fet_status fet__inserted_read(const fet__params *store, const char *module, const char *leaf, int64_t count,
                              double **out);
/* A new float32 parameter of the model. */
fet_status fet__inserted_write(fet__params *store, const char *module, const char *leaf, fet__shape shape,
                               const double *values);

#endif
