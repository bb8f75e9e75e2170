/* SSF: each channel of what a layer gives is scaled and shifted, y * scale + shift, after the patch projection, every norm and the
 * linear layers of the blocks (methods/hydra.md section 9). It merges into the layer's own weight and bias. */
#include "adapter/adapter_int.h"

#include <string.h>

static const fet__option options[] = {{"at", "patch_embed.proj+*norm*+attn.qkv+attn.proj+mlp.fc1+mlp.fc2",
                                       "after which layers: glob patterns over their names, joined with +"},
                                      {0}};

static fet_status configure(fet__adapter *a)
{
    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter 'ssf': at= names no layer");
    return FET_OK;
}

static void name_of(const fet__site *s, const char *leaf, char out[320])
{
    snprintf(out, 320, "%.300s.%s", s->name, leaf);
}

static fet__node *scale_and_shift(void *adapter, fet__build *b, const fet__site *s, fet__node *y)
{
    fet__adapter *a = adapter;
    fet__node *scale, *shift;
    char name[320];

    if (!fet__adapter_acts(a, s))
        return y;
    a->used++;
    fet__build_fresh_begin(b);
    b->adapter_scope = true;
    name_of(s, "ssf.scale", name);
    scale = fet__parameter_at(b, name, FET_SHAPE(s->out), (fet__init){FET__INIT_NEAR_ONE, 0.02});
    name_of(s, "ssf.shift", name);
    shift = fet__parameter_at(b, name, FET_SHAPE(s->out), (fet__init){FET__INIT_NORMAL, 0.02});
    b->adapter_scope = false;
    fet__build_fresh_end(b);
    return fet__add(b->g, fet__mul(b->g, y, scale), shift);
}

static fet__node *linear(void *adapter, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    (void)x;
    return scale_and_shift(adapter, b, s, y);
}

/* ---- merge --------------------------------------------------------------------------------------------------------- */

static fet_status values(const fet__params *store, const fet__site *s, const char *leaf, bool needed, double **out)
{
    char name[320];
    const fet__param *p;
    fet_status st;

    name_of(s, leaf, name);
    p = fet__params_find(store, name);
    if (p ? fet__shape_count(&p->shape) != s->out : needed)
        return FET_FAIL(FET_E_FORMAT, "tensor %s is absent or not of %lld values", name, (long long)s->out);
    FET_TRY(FET_NEW(*out, s->out));
    if (p)
        fet__convert(*out, FET_F64, p->data, p->dtype, s->out);
done:
    return st;
}

/* Each row of NAME.weight, whatever its rank, times its channel's scale. */
static fet_status scale_rows(fet__params *store, const fet__site *s, const double *scale)
{
    double *row = NULL;
    char name[320];
    fet__param *p;
    int64_t per_row, i, j;
    fet_status st;

    name_of(s, "weight", name);
    p = fet__params_find(store, name);
    if (!p || p->shape.rank < 1 || p->shape.dim[0] != s->out)
        return FET_FAIL(FET_E_BUG, "%s is not in the store or has another size", name);
    FET_TRY(fet__param_own(p));
    per_row = fet__shape_count(&p->shape) / s->out;
    FET_TRY(FET_NEW(row, per_row));
    for (i = 0; i < s->out; i++) {
        void *at = (char *)p->data + (size_t)(i * per_row) * fet__dtype_bytes(p->dtype);
        fet__convert(row, FET_F64, at, p->dtype, per_row);
        for (j = 0; j < per_row; j++)
            row[j] *= scale[i];
        fet__convert(at, p->dtype, row, FET_F64, per_row);
    }
    p->version++;
done:
    fet__free(row);
    return st;
}

static fet_status merge(fet__adapter *a, fet__params *store, const fet__site *s)
{
    double *scale = NULL, *shift = NULL, *bias = NULL;
    int64_t i;
    fet_status st;

    (void)a;
    FET_TRY(values(store, s, "ssf.scale", true, &scale));
    FET_TRY(values(store, s, "ssf.shift", true, &shift));
    FET_TRY(values(store, s, "bias", false, &bias));
    for (i = 0; i < s->out; i++)
        bias[i] = bias[i] * scale[i] + shift[i];
    FET_TRY(scale_rows(store, s, scale));
    st = fet__merge_bias(store, s, bias);
done:
    fet__free(scale);
    fet__free(shift);
    fet__free(bias);
    return st;
}

const fet__adapter_class fet__adapter_ssf = {.name = "ssf",
                                             .help = "scales and shifts the channels of every layer's output; merges",
                                             .options = options,
                                             .configure = configure,
                                             .hooks = {.linear = linear, .norm = scale_and_shift},
                                             .sites =
                                                 1u << FET__SITE_LINEAR | 1u << FET__SITE_NORM | 1u << FET__SITE_PATCH,
                                             .merge = merge};
