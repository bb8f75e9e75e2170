/* hydra.vit_adapter_*, hydra.vit_adaptformer: bottlenecks inside and beside the branches of a vision transformer. They have no merged
 * golden; after the merge into the fused form the logits must be the golden's still. hydra.vit_repadapter and hydra.vit_ssf: what stands
 * before and after the linear layers, and merges into them. hydra.vit_vpt_deep: tokens beside the patches, which nothing takes in. */
#include "parity/vit_case.h"

static fet_status check(parity_case *c, const char *spec)
{
    fet__text merged = {0};
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, c, spec));
    FET_TRY(vit_check_graph(&v));
    FET_TRY(vit_check_step(&v, "out.logits", true));
    FET_TRY(fet__model_merge(v.m, &merged));
    FET_TRY(vit_check_step(&v, "out.logits", true));
done:
    fet__text_fini(&merged);
    vit_close(&v);
    return st;
}

static fet_status check_adapter(parity_case *c, const char *preset)
{
    char spec[128];

    snprintf(spec, sizeof spec, "adapter:preset=%s,n=%.0f", preset, parity_number(c, "bottleneck", 64));
    return check(c, spec);
}

fet_status parity_vit_adapter_houlsby(parity_case *c)
{
    return check_adapter(c, "houlsby");
}

fet_status parity_vit_adapter_pfeiffer(parity_case *c)
{
    return check_adapter(c, "pfeiffer");
}

fet_status parity_vit_adaptformer(parity_case *c)
{
    char spec[128];

    snprintf(spec, sizeof spec, "adaptformer:preset=hydra,n=%.0f,scale=%.17g", parity_number(c, "bottleneck", 64),
             parity_number(c, "scale", 0.1));
    return check(c, spec);
}

static fet_status check_merging(parity_case *c, const char *spec)
{
    vit_case v;
    fet_status st;

    FET_TRY(vit_open(&v, c, spec));
    FET_TRY(vit_check_graph(&v));
    FET_TRY(vit_check_step(&v, "out.logits", true));
    FET_TRY(vit_check_merge(&v));
done:
    vit_close(&v);
    return st;
}

fet_status parity_vit_repadapter(parity_case *c)
{
    char spec[128];

    snprintf(spec, sizeof spec, "repadapter:rank=%.0f,groups=%.0f,scale=%.17g,dropout=%.17g",
             parity_number(c, "hidden_dim", 8), parity_number(c, "groups", 2), parity_number(c, "scale", 1),
             parity_number(c, "dropout", 0));
    return check_merging(c, spec);
}

/* Prompts are part of no weight: the step is checked, and that there is no merge is told. */
fet_status parity_vit_vpt_deep(parity_case *c)
{
    char spec[64];
    vit_case v;
    fet_status st;

    snprintf(spec, sizeof spec, "vpt:prompts=%.0f", parity_number(c, "num_tokens", 0));
    FET_TRY(vit_open(&v, c, spec));
    FET_TRY(vit_check_graph(&v));
    st = vit_check_step(&v, "out.logits", true);
done:
    vit_close(&v);
    return st;
}

fet_status parity_vit_ssf(parity_case *c)
{
    return check_merging(c, "ssf");
}
