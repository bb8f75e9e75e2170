/* What the methods beside MABN keep beside the model: made anew, or read from RUN/branch.safetensors. */
#include "train/mabn_parts.h"

#include <stdio.h>
#include <string.h>

#define MOST_EXPERTS 64

/* ---- experts ------------------------------------------------------------------------------------------------------------ */

/* Every expert begins as the model. */
static fet_status copy_experts(fet__mabn *a)
{
    fet__params *store = a->m->store;
    int n = fet__params_count(store);
    fet_status st = FET_OK;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < a->experts; k++) {
            const fet__param *p = fet__params_at(store, i);
            char name[400];
            fet__param *copy;
            if (p->role == FET__STATE || fet__mabn_is_branch(p))
                continue;
            snprintf(name, sizeof name, "expert.%d.%s", k, p->name);
            FET_TRY(fet__params_add(store, &copy, name, p->dtype, p->shape, p->role));
            memcpy(copy->data, p->data, (size_t)p->bytes);
        }
done:
    return st;
}

static int count_experts(const fet__params *store)
{
    int most = 0;

    for (int i = 0; i < fet__params_count(store); i++) {
        int k;
        if (sscanf(fet__params_at(store, i)->name, "expert.%d.", &k) == 1 && k >= most && k < MOST_EXPERTS)
            most = k + 1;
    }
    return most;
}

/* ---- all layers once ------------------------------------------------------------------------------------------------------ */

static fet_status build_context(fet__mabn *a, fet__build *b, int context, int hidden)
{
    const fet__arch *arch = &a->m->arch;
    int channels = fet__model_channels(a->m);

    if (channels + context != fet__arch_channels(arch))
        return FET_FAIL(FET_E_FORMAT, "a context of %d channels beside pictures of %d, and the model takes %d", context,
                        channels, fet__arch_channels(arch));
    fet__arm_context(b, fet__input(b->g, "x", FET_F32, FET_SHAPE(2, arch->height, arch->width, channels)), 2, context,
                     hidden, NULL);
    return fet__graph_status(b->g);
}

static fet_status build_experts(fet__mabn *a, bool may_initialise)
{
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet__mabn_step step = {0};
    fet_status st;

    /* The aggregator's program asks for every parameter of experts and aggregator. */
    a->may_initialise = may_initialise;
    st = fet__rival_aggregate_create(&step, a, 2, &adam, 0);
    a->may_initialise = false;
    fet__mabn_step_fini(&step);
    for (int i = fet__params_count(a->m->store) - 1; i >= 0; i--)
        if (fet__params_at(a->m->store, i)->role == FET__STATE)
            fet__params_remove(a->m->store, fet__params_at(a->m->store, i));
    return st;
}

static fet_status build_once(fet__mabn *a, bool may_initialise, int context, int hidden)
{
    fet__build b = {.store = a->m->store, .dtype = FET_F32, .seed = a->m->seed, .may_initialise = may_initialise};
    fet_status st = FET_OK;

    if (a->method == FET__SITES_META_DMOE)
        return build_experts(a, may_initialise);
    FET_TRY(fet__graph_create(&b.g));
    if (a->method == FET__SITES_ARM_CML)
        st = build_context(a, &b, context, hidden);
    else if (a->method == FET__SITES_ARM_LL)
        fet__arm_learned_loss(&b, fet__input(b.g, "x", FET_F32, FET_SHAPE(2, a->m->arch.classes)));
    if (st == FET_OK)
        st = fet__graph_status(b.g);
done:
    fet__graph_destroy(b.g);
    return st;
}

/* ---- doors ------------------------------------------------------------------------------------------------------------------ */

fet_status fet__rival_init(fet__mabn *a, fet__model *m, fet__sites_method method, int context, int hidden, int experts)
{
    fet_status st = FET_OK;

    *a = (fet__mabn){.m = m, .method = method, .experts = method == FET__SITES_META_DMOE ? experts : 0};
    if (method == FET__SITES_ARM_BN)
        FET_TRY(fet__mabn_check_norms(m));
    if (method == FET__SITES_ARM_CML)
        FET_TRY(fet__model_widen(m, context));
    if (method == FET__SITES_META_DMOE)
        FET_TRY(copy_experts(a));
    st = build_once(a, true, context, hidden);
done:
    return st;
}

static int size_of(const fet__params *store, const char *name)
{
    const fet__param *p = fet__params_find(store, name);

    return p && p->shape.rank == 4 && p->shape.dim[0] <= 4096 ? (int)p->shape.dim[0] : 0;
}

fet_status fet__rival_load(fet__mabn *a, fet__model *m, fet__sites_method method, const char *path, char **text)
{
    fet__tensors *t = NULL;
    const char *meta;
    fet_status st;

    *a = (fet__mabn){.m = m, .method = method};
    FET_TRY(fet__branch_open(&t, &meta, path));
    FET_TRY(fet__branch_add_all(m->store, t, path));
    a->experts = count_experts(m->store);
    if (method == FET__SITES_META_DMOE && a->experts < 2)
        st = FET_FAIL(FET_E_FORMAT, "it holds %d experts", a->experts);
    else
        st = build_once(a, false, size_of(m->store, "context.6.weight"), size_of(m->store, "context.0.weight"));
    if (st != FET_OK)
        st = fet__fail_in(st, "%s", fet__show(path));
    if (st == FET_OK && text && !(*text = fet__strdup(meta)))
        st = FET_E_NOMEM;
done:
    fet__tensors_close(t);
    return st;
}
