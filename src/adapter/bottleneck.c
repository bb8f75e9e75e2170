/* Two projections around a narrow hidden vector, scale * (W2 dropout(act(W1 x + b1)) + b2): what adapter.c puts inside a branch and
 * adaptformer.c beside it (methods/mona.md section 4, methods/hydra.md section 9). */
#include "adapter/bottleneck_int.h"

fet_status fet__bottleneck_configure(fet__adapter *a)
{
    static const char *const acts[] = {"gelu", "relu", NULL}, *const ups[] = {"same", "zero", NULL};
    fet__bottleneck *w = a->config;
    int word = 0;
    fet_status st;

    if (!fet__adapter_value(a, "at")[0])
        return FET_FAIL(FET_E_ARG, "adapter '%s': at= names no place", a->class_->name);
    FET_TRY(fet__adapter_int(a, "n", 1, FET__WIDTH_LIMIT, &w->width));
    FET_TRY(fet__adapter_double(a, "scale", -1e6, 1e6, &w->scale));
    FET_TRY(fet__adapter_double(a, "dropout", 0, 0.999999, &w->dropout));
    FET_TRY(fet__adapter_word(a, "act", acts, &word));
    w->act = (int)FET__INNER_GELU + word;
    FET_TRY(fet__adapter_word(a, "init", fet__projection_inits, &word));
    w->init.kind = (int)FET__PROJECT_NORMAL + word;
    FET_TRY(fet__adapter_word(a, "up", ups, &word));
    w->init.zero_up = word == 1;
done:
    return st;
}

fet__node *fet__bottleneck_branch(fet__adapter *a, fet__build *b, const fet__site *s, fet__node *x)
{
    const fet__bottleneck *w = a->config;
    char name[96];
    fet__node *h;

    fet__inserted_name(a, s, name);
    fet__inserted_begin(a, b, name);
    h = fet__inserted_linear(b, "project1", x, w->width, w->init, false, 1);
    h = w->act == FET__INNER_GELU ? fet__gelu(b->g, h) : fet__relu(b->g, h);
    h = fet__nn_dropout(b, h, w->dropout);
    h = fet__inserted_linear(b, "project2", h, s->out, w->init, true, a->fused ? 1 : w->scale);
    fet__inserted_end(a, b);
    return h;
}

static fet_status carry(fet__params *store, const char *from, const char *to, const char *leaf, fet__shape shape,
                        double factor)
{
    int64_t count = fet__shape_count(&shape), i;
    double *v = NULL;
    fet_status st;

    FET_TRY(fet__inserted_read(store, from, leaf, count, &v));
    for (i = 0; i < count; i++)
        v[i] *= factor;
    FET_TRY(fet__inserted_write(store, to, leaf, shape, v));
done:
    fet__free(v);
    return st;
}

fet_status fet__bottleneck_fuse(fet__adapter *a, fet__params *store, const fet__site *s)
{
    const fet__bottleneck *w = a->config;
    char from[320], to[320];
    fet_status st;

    fet__inserted_fuse_names(a, s, from, to);
    FET_TRY(carry(store, from, to, "project1.weight", FET_SHAPE(w->width, s->in), 1));
    FET_TRY(carry(store, from, to, "project1.bias", FET_SHAPE(w->width), 1));
    FET_TRY(carry(store, from, to, "project2.weight", FET_SHAPE(s->out, w->width), w->scale));
    FET_TRY(carry(store, from, to, "project2.bias", FET_SHAPE(s->out), w->scale));
done:
    return st;
}
