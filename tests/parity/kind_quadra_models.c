/* quadranet.models: parameters and multiply-adds of QuadraNet's family, of the authors' constructors and of the networks that they are compared
 * with. Parameters are shapes only here: nothing of a network's size is allocated. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"
#include "parity/parity.h"

/* Of convolutions and products with weights, out x in x kernel: attention's own products do not count, as in the golden, nor do biases
 * or the factors' product. */
static double exact_macs(const fet__node *n)
{
    double out = (double)fet__shape_count(&n->shape);
    const fet__shape *w = n->input_count > 1 ? &n->input[1]->shape : NULL;
    switch (n->op) {
    case FET__OP_LINEAR: return out * (double)w->dim[1];
    case FET__OP_CONV2D: return out * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
    case FET__OP_QUADRATIC_DW: return 3 * out * (double)(w->dim[2] * w->dim[3]);
    default: return 0;
    }
}

static fet_status measure(const char *arch, double *parameters, double *macs)
{
    fet__arch a = {0};
    fet__params *store = NULL;
    fet__build b = {.may_initialise = true, .shapes_only = true};
    fet__node *images, *features, *logits, **order = NULL;
    int count = 0;
    fet_status st;
    *parameters = *macs = 0;
    FET_TRY(fet__arch_create(&a, arch));
    FET_TRY(fet__params_create(&store));
    FET_TRY(fet__graph_create(&b.g));
    b.store = store;
    images = fet__input(b.g, "images", FET_F32, FET_SHAPE(1, a.height, a.width, 3));
    a.class_->build(&a, &b, images, &features, &logits);
    FET_TRY(fet__graph_status(b.g));
    fet__output(b.g, "logits", logits);
    FET_TRY(fet__graph_order(b.g, &order, &count));
    for (int i = 0; i < count; i++)
        *macs += exact_macs(order[i]);
    for (int i = 0; i < fet__params_count(store); i++)
        *parameters += (double)fet__shape_count(&fet__params_at(store, i)->shape);
done:
    fet__free(order);
    fet__graph_destroy(b.g);
    fet__params_destroy(store);
    fet__arch_fini(&a);
    return st;
}

/* The architecture that an entry stands for, from its sizes and from what its name and note say. */
static void arch_of(char *out, size_t size, const json_t *e)
{
    const char *name = json_string_value(json_object_get(e, "name")), *mixer = "quadratic", *k;
    const json_t *depths = json_object_get(e, "depths");
    int kernel = 7;
    if (!depths) { /* the networks of others go by their names */
        snprintf(out, size, "%s", name);
        return;
    }
    if (strncmp(name, "Net_", 4) == 0)
        mixer = "conv";
    k = strstr(name, " k");
    kernel = strstr(name, "dw21") ? 21 : k ? atoi(k + 2) : 7;
    snprintf(out, size, "quadranet:depths=%d+%d+%d+%d,dim=%d,kernel=%d,mixer=%s%s",
             (int)json_integer_value(json_array_get(depths, 0)), (int)json_integer_value(json_array_get(depths, 1)),
             (int)json_integer_value(json_array_get(depths, 2)), (int)json_integer_value(json_array_get(depths, 3)),
             (int)json_integer_value(json_object_get(e, "base_dim")), kernel, mixer,
             strstr(name, "_fc") ? ",quadratic_channels=true" : "");
}

/* The authors' network without mixers allocates them all the same: its parameters are the quadratic one's, its products its own. */
static fet_status check_entry(parity_case *c, const json_t *e)
{
    const char *name = json_string_value(json_object_get(e, "name"));
    const json_t *macs = json_object_get(e, "macs");
    bool without = strncmp(name, "FNNet", 5) == 0;
    double parameters, products, unused;
    char arch[256], bare[256];
    fet_status st;
    macs = macs ? macs : json_object_get(e, "conv_linear_macs");
    arch_of(arch, sizeof arch, e);
    FET_TRY(measure(arch, &parameters, &products));
    if (without) {
        snprintf(bare, sizeof bare, "%.*snone", (int)(strstr(arch, "mixer=") + 6 - arch), arch);
        FET_TRY(measure(bare, &unused, &products));
    }
    parity_note(c, name, fabs(parameters - (double)json_integer_value(json_object_get(e, "params"))), 0.5);
    parity_note(c, name, fabs(products - (double)json_integer_value(macs)), 0.5);
done:
    if (st != FET_OK)
        return fet__fail_in(st, "%s", name);
    return st;
}

fet_status parity_quadranet_models(parity_case *c)
{
    static const char *const lists[] = {"paper_family", "authors_constructors", "peers"};
    json_error_t error;
    json_t *root = json_load_file(c->path, 0, &error);
    fet_status st = FET_OK;
    if (!root)
        return FET_FAIL(FET_E_FORMAT, "%s: %s", c->path, error.text);
    for (size_t l = 0; l < FET_COUNT(lists); l++) {
        const json_t *list = json_object_get(root, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++)
            FET_TRY(check_entry(c, json_array_get(list, i)));
    }
done:
    json_decref(root);
    return st;
}
