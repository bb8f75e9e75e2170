/* Modules that adapters insert at residual sites: how they are named, how their projections begin, and how their tensors are read and
 * written when the module becomes part of the model. What a module computes is in mona.c and bottleneck.c. */
#include "adapter/inserted_int.h"

#include <string.h>

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? dot + 1 : name;
}

static void local_name(const fet__adapter *a, const fet__site *s, int fused, char out[96])
{
    const char *which = last_part(s->name);
    char number[24] = "";

    if (a->class_->branch != FET__BRANCH_OTHER || s->branch == FET__BRANCH_ATTENTION)
        which = "1"; /* the only module of a block, or its first */
    else if (s->branch == FET__BRANCH_MLP)
        which = "2";
    if (fused)
        snprintf(number, sizeof number, ".fused%d", fused);
    snprintf(out, 96, "my_module_%.40s%s", which, number);
}

void fet__inserted_name(const fet__adapter *a, const fet__site *s, char out[96])
{
    local_name(a, s, a->fused, out);
}

void fet__inserted_begin(fet__adapter *a, fet__build *b, const char *name)
{
    a->used++;
    if (!a->fused) {
        fet__build_fresh_begin(b);
        b->adapter_scope = true;
    }
    fet__enter(b, "%s", name);
}

void fet__inserted_end(fet__adapter *a, fet__build *b)
{
    fet__leave(b);
    if (!a->fused) {
        b->adapter_scope = false;
        fet__build_fresh_end(b);
    }
}

const char *const fet__projection_inits[] = {"normal", "xavier", "kaiming", "torch", NULL};

static fet__init weight_init(fet__projection_init init, bool up, int64_t in, int64_t out)
{
    if (up && init.zero_up)
        return (fet__init){FET__INIT_ZERO, 0};
    switch (init.kind) {
    case FET__PROJECT_XAVIER: return fet__init_xavier(in, out);
    case FET__PROJECT_KAIMING:
    case FET__PROJECT_TORCH: return fet__init_kaiming5(in);
    case FET__PROJECT_NORMAL: break;
    }
    /* The reference cuts its normal numbers at +-2, a hundred deviations: never. */
    return (fet__init){FET__INIT_NORMAL, 0.02};
}

fet__node *fet__inserted_linear(fet__build *b, const char *name, fet__node *x, int64_t out, fet__projection_init init,
                                bool up, double factor)
{
    fet__init bias_init = {FET__INIT_ZERO, 0};
    fet__node *w, *bias;
    int64_t in;

    if (!x)
        return NULL;
    in = x->shape.dim[x->shape.rank - 1];
    if (init.kind == FET__PROJECT_TORCH && !(up && init.zero_up))
        bias_init = fet__init_kaiming5(in);
    fet__enter(b, "%s", name);
    w = fet__parameter(b, "weight", FET_SHAPE(out, in), weight_init(init, up, in, out));
    bias = fet__parameter(b, "bias", FET_SHAPE(out), bias_init);
    x = fet__linear(b->g, x, fet__scale(b->g, w, factor), fet__scale(b->g, bias, factor));
    fet__leave(b);
    return x;
}

/* ---- fusing -------------------------------------------------------------------------------------------------------- */

/* "blocks.3.attn" and "my_module_1" give "blocks.3.my_module_1". */
static void full_name(const fet__site *s, const char *name, char out[320])
{
    int keep = (int)(last_part(s->name) - s->name);

    snprintf(out, 320, "%.*s%s", keep, s->name, name);
}

void fet__inserted_fuse_names(const fet__adapter *a, const fet__site *s, char from[320], char to[320])
{
    char name[96];

    local_name(a, s, 0, name);
    full_name(s, name, from);
    local_name(a, s, a->fused, name);
    full_name(s, name, to);
}

fet_status fet__inserted_read(const fet__params *store, const char *module, const char *leaf, int64_t count,
                              double **out)
{
    char name[400];
    const fet__param *p;

    snprintf(name, sizeof name, "%s.%s", module, leaf);
    p = fet__params_find(store, name);
    if (!p)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s is missing", name);
    if (fet__shape_count(&p->shape) != count)
        return FET_FAIL(FET_E_FORMAT, "adapter tensor %s has shape %s where %lld values are needed", name,
                        fet__shape_text(&p->shape), (long long)count);
    *out = fet__alloc((size_t)count, sizeof **out);
    if (!*out)
        return FET_E_NOMEM;
    fet__convert(*out, FET_F64, p->data, p->dtype, count);
    return FET_OK;
}

fet_status fet__inserted_write(fet__params *store, const char *module, const char *leaf, fet__shape shape,
                               const double *values)
{
    char name[400];
    fet__param *p;
    fet_status st;

    snprintf(name, sizeof name, "%s.%s", module, leaf);
    FET_TRY(fet__params_add(store, &p, name, FET_F32, shape, FET__PARAM));
    fet__convert(p->data, FET_F32, values, FET_F64, fet__shape_count(&shape));
    p->loaded = true;
done:
    return st;
}
