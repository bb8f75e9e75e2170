/* What a model is without running it: its cost for one picture and its adapter sites. */
#include "method/method_int.h"

#include <string.h>

static fet_status add_costs(double *flops, const fet__graph *g)
{
    fet__node **order = NULL;
    int i, count = 0;
    fet_status st;

    FET_TRY(fet__graph_order(g, &order, &count));
    for (i = 0; i < count; i++)
        *flops += fet__node_cost(order[i]).flops;
done:
    fet__free(order);
    return st;
}

fet_status fet__survey_model(fet__survey *out, fet__model *m)
{
    fet__build b = {.dtype = FET_F32};
    fet__node *images, *features, *logits;
    fet_status st;
    int i;

    memset(out, 0, sizeof *out);
    FET_TRY(fet__graph_create(&b.g));
    images =
        fet__input(b.g, "images", FET_F32, FET_SHAPE(1, m->arch.height, m->arch.width, fet__arch_channels(&m->arch)));
    FET_TRY(fet__model_build(m, &b, images, &features, &logits));
    fet__output(b.g, "features", features);
    if (logits)
        fet__output(b.g, "logits", logits);
    FET_TRY(add_costs(&out->flops, b.g));
    for (i = 0; i < b.site_count; i++)
        if (b.sites[i].kind == FET__SITE_LINEAR)
            fet__text_printf(&out->sites, "%s\n", b.sites[i].name);
        else if (b.sites[i].kind == FET__SITE_RESIDUAL)
            fet__text_printf(&out->branches, "%s\n", b.sites[i].name);
    if (out->sites.failed || out->branches.failed)
        st = FET_FAIL(FET_E_NOMEM, "no memory for the list of layers");
done:
    fet__graph_destroy(b.g);
    return st;
}
