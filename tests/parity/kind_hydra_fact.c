/* hydra.vit_fact_tt, hydra.vit_fact_tk: changes of all weights from factors that the model shares. The reference keeps the columns of
 * all blocks in one matrix P, we each block's by themselves. */
#include "parity/golden_copy.h"
#include "parity/vit_case.h"

#include <string.h>

#define COLUMNS 12 /* of a block */

static fet_status cut(golden_copy *x, const fet__entry *e)
{
    const char *at = strstr(e->name, "FacTp");
    int64_t blocks;
    char name[200];
    fet_status st = FET_OK;

    if (!at)
        return golden_keep(x, e);
    blocks = e->shape.rank == 2 ? e->shape.dim[1] / COLUMNS : 0;
    for (int64_t i = 0; i < blocks && st == FET_OK; i++) {
        snprintf(name, sizeof name, "%.*sblocks.%d.fact.p", (int)(at - e->name), e->name, (int)i);
        st = golden_columns(x, e, name, i, blocks);
    }
    return st;
}

static fet_status check(parity_case *c, const char *form)
{
    golden_copy *x = NULL;
    vit_case v = {0};
    char spec[128];
    fet_status st;

    snprintf(spec, sizeof spec, "fact:form=%s,rank=%.0f,scale=%.17g,dropout=%.17g", form, parity_number(c, "rank", 16),
             parity_number(c, "scale", 1), parity_number(c, "dropout", 0));
    FET_TRY(golden_copy_open(&x, c, cut));
    FET_TRY(vit_open(&v, &x->case_, spec));
    FET_TRY(vit_check_graph(&v));
    FET_TRY(vit_check_step(&v, "out.logits", true));
    FET_TRY(vit_check_merge(&v));
done:
    vit_close(&v);
    golden_copy_close(x, c, cut, st == FET_OK);
    return st;
}

fet_status parity_vit_fact_tt(parity_case *c)
{
    return check(c, "tt");
}

fet_status parity_vit_fact_tk(parity_case *c)
{
    return check(c, "tk");
}
