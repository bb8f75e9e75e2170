/* Specs of adapters: "NAME[:key=value,...]" parsed with defaults, presets and ranges; every refusal names
 * what was meant. */
#include "unit/model_testing.h"

static fet__adapter *make(const char *spec)
{
    fet__adapter *a = NULL;

    assert_ok(fet__adapter_create(&a, spec));
    return a;
}

static void defaults_and_overrides(void **state)
{
    fet__adapter *a = make("hydra:rank=3,at=attn.proj");
    const fet__lowrank *l = a->config;

    (void)state;
    assert_int_equal(l->rank_par, 3);
    assert_int_equal(l->rank_seq, 3);
    assert_true(l->bias);
    assert_true(l->scale == 1);
    assert_string_equal(fet__adapter_value(a, "at"), "attn.proj");
    assert_string_equal(fet__adapter_value(a, "dropout"), "0");
    fet__adapter_destroy(a);
}

/* The canonical spec holds every option, and means the same when it is read again. */
static void spec_reads_back(void **state)
{
    static const char *const specs[] = {"hydra",
                                        "hydra:rank_par=4,rank_seq=8,bias=no",
                                        "lora",
                                        "lora:rank=4,alpha=8",
                                        "lora:scale=0.5",
                                        "lora:rslora=true,alpha=16",
                                        "seqlora:rank=1,scale=-2",
                                        "lora:preset=mona",
                                        "mona",
                                        "mona:n=8,kernels=7,norm=none",
                                        "adapter:preset=pfeiffer",
                                        "adaptformer:preset=hydra,n=3",
                                        "repadapter:rank=6,groups=3",
                                        "ssf:at=attn.proj",
                                        "vpt:preset=shallow,prompts=3",
                                        "fact:preset=tk,scale=0.1",
                                        "bitfit",
                                        "bitfit:tables=yes",
                                        "norm",
                                        "partial1",
                                        "linear",
                                        "full"};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        fet__adapter *a = make(specs[i]), *b = make(a->spec);
        assert_string_equal(a->spec, b->spec);
        assert_int_equal(a->class_->config_bytes, b->class_->config_bytes);
        if (a->class_->merge == fet__lowrank_merge) {
            const fet__lowrank *x = a->config, *y = b->config;
            assert_true(x->rank_par == y->rank_par && x->rank_seq == y->rank_seq && x->scale == y->scale);
            assert_true(x->bias == y->bias && x->init == y->init && x->dropout == y->dropout);
            assert_string_equal(x->at, y->at);
        }
        fet__adapter_destroy(a);
        fet__adapter_destroy(b);
    }
}

static double scale_of(const char *spec)
{
    fet__adapter *a = make(spec);
    double scale = ((const fet__lowrank *)a->config)->scale;

    fet__adapter_destroy(a);
    return scale;
}

static void lora_scales(void **state)
{
    (void)state;
    assert_true(scale_of("lora:rank=8") == 1);
    assert_true(scale_of("lora:rank=4,alpha=8") == 2);
    assert_true(scale_of("lora:rank=4,alpha=8,rslora=true") == 4);
    assert_true(scale_of("lora:rank=4,scale=0.25") == 0.25);
}

static void presets(void **state)
{
    fet__adapter *a = make("hydra:preset=nlu"), *b = make("hydra:rank_seq=5,preset=nlu");
    const fet__lowrank *x = a->config, *y = b->config;

    (void)state;
    assert_int_equal(x->rank_par, 4);
    assert_int_equal(x->rank_seq, 8);
    assert_false(x->bias);
    assert_int_equal(x->init, FET__DOWN_KAIMING);
    assert_int_equal(y->rank_par, 4);
    assert_int_equal(y->rank_seq, 5); /* what is said beside the preset counts, wherever it stands */
    fet__adapter_destroy(a);
    fet__adapter_destroy(b);
}

typedef struct refusal {
    const char *spec, *text;
} refusal;

static void refusals(void **state)
{
    static const refusal rows[] = {
        {"hydar", "the nearest is 'hydra'"},
        {"lorra:rank=2", "the nearest is 'lora'"},
        {"xyzzyplugh", "unknown adapter 'xyzzyplugh'"},
        {"", "unknown adapter ''"},
        {"hydra:rnak=2", "no option 'rnak'; the nearest is 'rank'"},
        {"hydra:droput=0.1", "the nearest is 'dropout'"},
        {"hydra:qqqqqqqq=1", "no option 'qqqqqqqq'"},
        {"hydra:rank", "'rank' is not of the form key=value"},
        {"hydra:rank=2,rank=4", "option 'rank' is given twice"},
        {"hydra:rank=0", "rank=0 is not a whole number from 1"},
        {"hydra:rank=-1", "rank=-1"},
        {"hydra:rank=2.5", "rank=2.5"},
        {"hydra:rank=", "rank= is not"},
        {"hydra:rank=70000", "to 65536"},
        {"hydra:rank_seq=0", "rank_seq=0"},
        {"hydra:scale=nan", "scale=nan"},
        {"hydra:scale=inf", "scale=inf"},
        {"hydra:dropout=1", "dropout=1 is not below 1"},
        {"hydra:dropout=-0.1", "dropout=-0.1"},
        {"hydra:dropout=1.5", "dropout=1.5"},
        {"hydra:bias=maybe", "bias=maybe is neither true nor false"},
        {"hydra:init=xaver", "init=xaver is none of normal, xavier, kaiming"},
        {"hydra:at=", "at= names no layer"},
        {"hydra:preset=vtabb", "no preset 'vtabb'; the nearest is 'vtab'"},
        {"hydra:preset=qqqqqqqq", "no preset 'qqqqqqqq'"},
        {"seqlora:preset=vtab", "no option 'preset'"},
        {"lora:preset=vtab", "'lora' has no preset 'vtab'"},
        {"mona:n=0", "n=0 is not a whole number from 1"},
        {"mona:at=", "at= names no place"},
        {"mona:kernels=", "kernels= is not a list"},
        {"mona:kernels=3+4", "kernels=3+4 is not a list of 1 to 8 odd sizes"},
        {"mona:kernels=3+", "kernels=3+ is not"},
        {"mona:kernels=3+-5", "kernels=3+-5 is not"},
        {"mona:kernels=33", "from 1 to 31"},
        {"mona:kernels=3+3+3+3+3+3+3+3+3", "1 to 8 odd sizes"},
        {"mona:kernels=3,5", "option '5' is not of the form key=value"},
        {"mona:dropout=1", "dropout=1 is not a number"},
        {"mona:norm=layer", "norm=layer is none of none, scaled"},
        {"mona:init=orthogonal", "init=orthogonal is none of normal, xavier, kaiming, torch"},
        {"adapter:act=tanh", "act=tanh is none of gelu, relu"},
        {"adapter:at=", "at= names no place"},
        {"adapter:up=one", "up=one is none of same, zero"},
        {"adapter:preset=vtab", "'adapter' has no preset 'vtab'"},
        {"adaptformer:n=-3", "n=-3"},
        {"adaptformer:scale=nan", "scale=nan"},
        {"repadapter:rank=3", "rank=3 cannot be divided into groups=2"},
        {"repadapter:groups=0", "groups=0"},
        {"repadapter:at=", "at= names no layer"},
        {"ssf:at=", "at= names no layer"},
        {"vpt:prompts=0", "prompts=0"},
        {"vpt:at=", "at= names no block"},
        {"fact:form=cp", "form=cp is none of tt, tk"},
        {"fact:rank=0", "rank=0"},
        {"fact:at=", "at= names no layer"},
        {"fact:dropout=1", "dropout=1"},
        {"ssf:scale=2", "no option 'scale'"},
        {"bitfit:tables=maybe", "tables=maybe is neither true nor false"},
        {"norm:x=1", "takes no options"},
        {"lora:alpha=8,scale=2", "give scale or alpha, not both"},
        {"linear:rank=2", "takes no options ('rank' given)"},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__adapter *a = NULL;
        assert_refused(fet__adapter_create(&a, rows[i].spec), FET_E_ARG, rows[i].text);
        assert_null(a);
    }
}

/* Each allocation may fail: a failure, no crash, nothing kept. */
static void without_memory(void **state)
{
    fet__adapter *a = NULL;
    uint64_t before = fet__alloc_bytes();
    fet_status st = FET_E_NOMEM;

    (void)state;
    for (uint64_t n = 1; n < 200 && st != FET_OK; n++) {
        fet__alloc_fail_after(n);
        st = fet__adapter_create(&a, "hydra:preset=vtab,rank=3");
        fet__alloc_fail_after(0);
        if (st != FET_OK) {
            assert_int_equal(st, FET_E_NOMEM);
            assert_null(a);
            assert_int_equal(fet__alloc_bytes(), before);
        }
    }
    assert_int_equal(st, FET_OK);
    fet__adapter_destroy(a);
    assert_int_equal(fet__alloc_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_overrides),
        cmocka_unit_test(spec_reads_back),
        cmocka_unit_test(lora_scales),
        cmocka_unit_test(presets),
        cmocka_unit_test(refusals),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests_name("adapter.options", tests, NULL, NULL);
}
