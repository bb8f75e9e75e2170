/* The state of building a graph: prefixes, parameters by name, fresh regions. Layers are in layers.c, initial values in init.c. */
#include "nn/nn.h"

#include <string.h>

void fet__enter(fet__build *b, const char *format, ...)
{
    char name[128];
    size_t used = strlen(b->prefix);
    va_list args;

    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (used + strlen(name) + 2 > sizeof b->prefix) {
        fet__graph_fail(b->g, FET_E_BUG, "layer name %s.%s is too long", b->prefix, name);
        return;
    }
    snprintf(b->prefix + used, sizeof b->prefix - used, "%s%s", used ? "." : "", name);
    fet__scope_push(b->g, name);
}

void fet__leave(fet__build *b)
{
    /* A name may hold dots ("blocks.3"), so the scope's own text, which nests by push, says where to cut. */
    fet__scope_pop(b->g);
    snprintf(b->prefix, sizeof b->prefix, "%s", fet__scope_text(b->g));
}

void fet__build_fresh_begin(fet__build *b)
{
    b->fresh++;
}

void fet__build_fresh_end(fet__build *b)
{
    b->fresh--;
}

static void full_name(const fet__build *b, const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s", b->prefix, b->prefix[0] ? "." : "", name);
}

static fet__node *leaf_in_build_type(fet__build *b, fet__param *p)
{
    fet__node *leaf = b->value ? b->value(b->value_user, b, p) : NULL;

    if (leaf)
        return leaf;
    leaf = fet__leaf(b->g, p);
    return p->dtype == b->dtype || !fet__dtype_is_float(p->dtype) ? leaf : fet__cast(b->g, leaf, b->dtype);
}

fet__node *fet__parameter_at(fet__build *b, const char *name, fet__shape shape, fet__init init)
{
    fet__param *p = fet__params_find(b->store, name);

    if (p) {
        if (!fet__shape_equal(&p->shape, &shape))
            return fet__graph_fail(b->g, FET_E_FORMAT, "%s has shape %s where the model needs %s", name,
                                   fet__shape_text(&p->shape), fet__shape_text(&shape));
        return leaf_in_build_type(b, p);
    }
    if (!b->may_initialise && b->fresh == 0)
        return fet__graph_fail(b->g, FET_E_FORMAT, "tensor %s %s is missing from the checkpoint", name,
                               fet__shape_text(&shape));
    if (b->shapes_only) {
        static const double nothing; /* never read */
        if (fet__params_add_borrowed(b->store, &p, name, FET_F32, shape, FET__PARAM, &nothing) != FET_OK)
            return fet__graph_fail(b->g, FET_E_NOMEM, "no memory for %s", name);
        return leaf_in_build_type(b, p);
    }
    if (fet__params_add(b->store, &p, name, b->dtype == FET_F64 ? FET_F64 : FET_F32, shape, FET__PARAM) != FET_OK)
        return fet__graph_fail(b->g, FET_E_NOMEM, "no memory for %s %s", name, fet__shape_text(&shape));
    p->adapter = b->adapter_scope;
    fet__init_fill(p->data, p->dtype, fet__shape_count(&shape), init, b->seed, name);
    return leaf_in_build_type(b, p);
}

fet__node *fet__parameter(fet__build *b, const char *name, fet__shape shape, fet__init init)
{
    char full[320];

    full_name(b, name, full, sizeof full);
    return fet__parameter_at(b, full, shape, init);
}

bool fet__has_parameter(const fet__build *b, const char *name)
{
    char full[320];

    full_name(b, name, full, sizeof full);
    return fet__params_find(b->store, full) != NULL;
}
