/* Merging gives the model that the branches gave: for every placement, in double, with every adapter tensor
 * at random values. */
#include "unit/model_testing.h"

#include <strings.h>

#define LOGITS 10 /* 2 images, 5 classes */

/* Opens the small model, attaches, scatters, compares before and after in double, and as users run it in
 * float. */
static void check(const char *arch, const char *spec, int sites)
{
    fet__model *m = tiny(arch);
    double plain[LOGITS], branch[LOGITS], merged[LOGITS], single[LOGITS], most = 0;
    fet__text list = {0};
    int lines = 0;

    scatter(m, false, 0.3);
    logits_of(m, true, plain);
    assert_ok(fet__model_attach(m, spec));
    scatter(m, true, 0.3);
    logits_of(m, true, branch);
    if (largest_difference(plain, branch, LOGITS) < 1e-3)
        fail_msg("%s changes nothing", spec);
    assert_ok(fet__model_merge(m, &list));
    for (const char *c = list.s; c && *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, sites);
    logits_of(m, true, merged);
    logits_of(m, false, single);
    for (int i = 0; i < LOGITS; i++)
        most = fmax(most, fabs(branch[i]));
    /* Merged weights are rounded to float once; the rest is double. */
    if (largest_difference(branch, merged, LOGITS) > 1e-6 * fmax(most, 1))
        fail_msg("%s: merged logits are off by %g of %g", spec, largest_difference(branch, merged, LOGITS), most);
    assert_true(largest_difference(single, merged, LOGITS) <= 1e-5 * fmax(most, 1));
    for (int i = 0; i < fet__params_count(m->store); i++)
        assert_false(fet__params_at(m->store, i)->adapter);
    assert_null(m->adapter);
    assert_true(m->merged);
    fet__text_fini(&list);
    fet__model_close(m);
}

static void whole_layers(void **state)
{
    (void)state;
    check(TINY, "hydra:at=mlp.fc2,rank=2", 2);
    check(TINY, "hydra:at=attn.proj+mlp.fc2,rank=2,scale=1.5", 4);
    check(TINY, "hydra:at=mlp.fc1,rank_par=3,rank_seq=1,scale=0.5", 2);
    check(TINY, "hydra:at=attn.qkv,rank=2", 2);
    check(TINY, "hydra:at=blocks.1.*,rank=2,bias=false", 4);
    check(TINY, "hydra:at=head,rank=2", 1);
    check(TINY, "lora:at=mlp.fc2,rank=4,scale=-1", 2);
    check(TINY, "lora:at=mlp.fc2,rank=2,bias=true", 2);
    check(TINY, "seqlora:at=mlp.fc2,rank=3", 2);
    check(TINY, "seqlora:at=attn.proj,rank=3,bias=true,scale=2", 2);
}

static void before_and_after_layers(void **state)
{
    static const char without[] = TINY ",qkv_bias=false,patch_bias=false";

    (void)state;
    check(TINY, "repadapter:rank=4", 4);
    check(TINY, "repadapter:at=attn.proj+head,rank=3,groups=3,scale=0.7", 3);
    check(without, "repadapter:rank=2,groups=1", 4);
    check(TINY, "ssf", 1 + 2 * 6 + 1);
    check(TINY, "fact:rank=3", 8);
    check(TINY, "fact:rank=3,form=tk,scale=0.5", 8);
    check(TINY, "fact:rank=2,at=blocks.1.mlp.fc2+attn.qkv", 3);
    check(TINY, "fact:rank=2,form=tk,at=mlp.fc1", 2);
    check(TINY, "ssf:at=norm1+head", 3);
    check(without, "ssf:at=patch_embed.proj+attn.qkv", 3);
    check(TINY ",mean_pool=true,fc_norm=true,pre_norm=true", "ssf:at=*norm*", 2 * 2 + 2);
}

/* Modules that no weight can take in stay in a fused form; 2 blocks of 2 branches. */
static void inserted_modules(void **state)
{
    (void)state;
    check(TINY, "mona:n=6", 4);
    check(TINY, "mona:n=5,kernels=3,at=mlp", 2);
    check(TINY ",mean_pool=true", "mona:n=4,kernels=7+1,norm=none,at=blocks.1.*", 2);
    check(TINY, "adapter:n=5", 4);
    check(TINY, "adapter:preset=pfeiffer,scale=-2", 2);
    check(TINY, "adaptformer:n=7", 2);
    check(TINY, "adaptformer:preset=hydra,scale=3", 2);
}

static void parts_of_fused_layers(void **state)
{
    (void)state;
    check(TINY, "lora:at=attn.q+attn.v,rank=2", 2);
    check(TINY, "lora:at=attn.q,rank=2", 2);
    check(TINY, "lora:at=attn.k,rank=2,bias=true,scale=3", 2);
    check(TINY, "lora:at=attn.q+attn.k+attn.v,rank=3,alpha=1", 2);
    check(TINY, "hydra:at=attn.v,rank=2", 2);
    check(TINY, "hydra:at=attn.q+attn.v,rank_par=2,rank_seq=3,scale=0.7", 2);
    check(TINY, "seqlora:at=attn.k+attn.v,rank=2", 2);
    check(TINY, "hydra:at=blocks.0.attn.q+mlp.fc2,rank=2", 3);
}

static void ranks_above_the_layer(void **state)
{
    (void)state;
    listen();
    check(TINY, "hydra:at=mlp.fc2,rank=20", 2);
    /* Said once a branch, not in each of the graphs built: 2 layers, parallel (24 -> 12) and sequential (12 -> 12). */
    assert_int_equal(notes_count("rank 20 at"), 4);
    fet_set_log(NULL, NULL);
}

/* A layer without a bias: it gets one from branches with biases, and none from branches without. */
static void layers_without_bias(void **state)
{
    static const char arch[] = TINY ",qkv_bias=false,head_bias=false";
    fet__model *m = tiny(arch);
    fet__text list = {0};

    (void)state;
    check(arch, "hydra:at=attn.qkv,rank=2", 2);
    check(arch, "hydra:at=attn.q,rank=2", 2);
    check(arch, "lora:at=attn.v,rank=2,bias=true", 2);
    check(arch, "hydra:at=head,rank=2", 1);
    check(arch, "lora:at=attn.q+attn.v,rank=2", 2);
    assert_ok(fet__model_attach(m, "lora:at=attn.q+attn.v,rank=2"));
    scatter(m, true, 0.3);
    assert_ok(fet__model_merge(m, &list));
    assert_null(fet__params_find(m->store, "blocks.0.attn.qkv.bias"));
    fet__model_close(m);
    fet__text_fini(&list);
}

/* Two branch biases that cancel need no bias; the merged weights say so by its absence. */
static void zero_bias_is_not_stored(void **state)
{
    fet__model *m = tiny(TINY ",qkv_bias=false");
    fet__text list = {0};

    (void)state;
    assert_ok(fet__model_attach(m, "hydra:at=attn.qkv,rank=2"));
    for (int i = 0; i < fet__params_count(m->store); i++) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->adapter && p->shape.rank == 2)
            fet__init_fill(p->data, p->dtype, fet__shape_count(&p->shape), (fet__init){FET__INIT_NORMAL, 0.3}, 1,
                           p->name);
    }
    assert_ok(fet__model_merge(m, &list));
    assert_null(fet__params_find(m->store, "blocks.0.attn.qkv.bias"));
    fet__model_close(m);
    fet__text_fini(&list);
}

/* At the start the adapted network is the pretrained one, bit for bit in effect. */
static void begins_as_the_base(void **state)
{
    static const char *const specs[] = {"hydra", "hydra:at=attn.qkv+mlp.fc2,init=xavier", "lora", "seqlora"};
    double plain[LOGITS], adapted[LOGITS];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        fet__model *m = tiny(TINY);
        scatter(m, false, 0.3);
        logits_of(m, true, plain);
        assert_ok(fet__model_attach(m, specs[i]));
        logits_of(m, true, adapted);
        assert_true(largest_difference(plain, adapted, LOGITS) == 0);
        fet__model_close(m);
    }
}

static void merging_twice_is_refused(void **state)
{
    fet__model *m = tiny(TINY);
    fet__text list = {0};

    (void)state;
    assert_refused(fet__model_merge(m, &list), FET_E_ARG, "no adapter to merge");
    assert_ok(fet__model_attach(m, "hydra"));
    assert_refused(fet__model_attach(m, "lora"), FET_E_ARG, "already has adapter 'hydra'");
    assert_ok(fet__model_merge(m, &list));
    assert_refused(fet__model_merge(m, &list), FET_E_ARG, "no adapter to merge");
    fet__text_fini(&list);
    /* A second adapter onto the merged model is allowed. */
    assert_ok(fet__model_attach(m, "lora"));
    assert_ok(fet__model_merge(m, &list));
    fet__text_fini(&list);
    fet__model_close(m);
}

static void patterns_that_match_nothing(void **state)
{
    fet__model *m = tiny(TINY);
    int before = fet__params_count(m->store);

    (void)state;
    assert_refused(fet__model_attach(m, "hydra:at=mlp.fc9"), FET_E_NOMATCH, "at=mlp.fc9 matches no linear layer");
    assert_refused(fet__model_attach(m, "hydra:at=mlp.fc2+atn.proj"), FET_E_NOMATCH,
                   "at=atn.proj matches no linear layer");
    assert_non_null(strstr(fet_error_message(), "blocks.0.attn.qkv")); /* names to choose from */
    assert_refused(fet__model_attach(m, "hydra:at=norm1"), FET_E_NOMATCH, "it names a layer of another kind");
    assert_refused(fet__model_attach(m, "repadapter:at=attn.q+mlp.fc1"), FET_E_NOMATCH, "at=attn.q matches");
    assert_refused(fet__model_attach(m, "repadapter:rank=5,groups=5"), FET_E_ARG, "width 12 of blocks.0.attn.qkv");
    assert_refused(fet__model_attach(m, "fact:form=tt,at=head"), FET_E_ARG, "head [5, 12] has no slices of form tt");
    assert_refused(fet__model_attach(m, "fact:form=tk,at=head"), FET_E_ARG, "head [5, 12] has no slices of form tk");
    assert_refused(fet__model_attach(m, "mona:at=mlp.fc2"), FET_E_NOMATCH, "it names a layer of another kind");
    assert_non_null(strstr(fet_error_message(), "blocks.0.attn, blocks.0.mlp"));
    assert_refused(fet__model_attach(m, "adaptformer:at=attn"), FET_E_NOMATCH, "at=attn matches no place");
    /* What the pattern that did match had added is gone again. */
    assert_null(m->adapter);
    assert_int_equal(fet__params_count(m->store), before);
    assert_ok(fet__model_attach(m, "hydra:at=mlp.fc2"));
    fet__model_close(m);
}

/* ---- what trains ----------------------------------------------------------------------------------------- */

static int trainable_with(const char *spec, const char *ending)
{
    fet__model *m = tiny(TINY);
    int n = 0;

    assert_ok(fet__model_attach(m, spec));
    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        size_t length = strlen(p->name), own = strlen(ending);
        n += p->trainable && length >= own && strcmp(p->name + length - own, ending) == 0;
    }
    fet__model_close(m);
    return n;
}

static void selection(void **state)
{
    (void)state;
    assert_int_equal(trainable_with("linear", ""), 2);
    assert_int_equal(trainable_with("hydra:rank=2", ""), 2 * 8 + 2);
    assert_int_equal(trainable_with("lora:rank=2", ""), 2 * 4 + 2);
    /* blocks: qkv, proj, fc1, fc2 and two norms each; patch embedding, last norm, head. */
    assert_int_equal(trainable_with("bitfit", ".bias"), 2 * 6 + 3);
    assert_int_equal(trainable_with("bitfit", ".weight"), 1); /* the head's */
    assert_int_equal(trainable_with("full", ""), 2 * 12 + 2 + 2 + 2 + 2);
    assert_int_equal(trainable_with("norm", ""), 2 * 4 + 2 + 2);
    assert_int_equal(trainable_with("partial1", ""), 12 + 2);
    assert_int_equal(trainable_with("mona", ""), 4 * 16 + 2);
    assert_int_equal(trainable_with("mona:norm=none,kernels=3", ""), 4 * 8 + 2);
    assert_int_equal(trainable_with("adapter", ""), 4 * 4 + 2);
    assert_int_equal(trainable_with("adaptformer", ""), 2 * 4 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_layers),
        cmocka_unit_test(before_and_after_layers),
        cmocka_unit_test(inserted_modules),
        cmocka_unit_test(parts_of_fused_layers),
        cmocka_unit_test(ranks_above_the_layer),
        cmocka_unit_test(layers_without_bias),
        cmocka_unit_test(zero_bias_is_not_stored),
        cmocka_unit_test(begins_as_the_base),
        cmocka_unit_test(merging_twice_is_refused),
        cmocka_unit_test(patterns_that_match_nothing),
        cmocka_unit_test(selection),
    };
    return cmocka_run_group_tests_name("adapter.merge", tests, NULL, NULL);
}
