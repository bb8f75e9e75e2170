/* Architectures by text: names, options, what print writes parse reads back; recognition from tensors; every
 * refusal in words. */
#include "unit/model_testing.h"

static void printed(const char *text, char *out, size_t size)
{
    fet__arch a;
    fet__text t = {0};

    assert_ok(fet__arch_create(&a, text));
    a.class_->print(&a, &t);
    assert_false(t.failed);
    snprintf(out, size, "%s", t.s);
    fet__text_fini(&t);
    fet__arch_fini(&a);
}

/* What is printed is fixed: it is stored in files. */
static void exact_text(void **state)
{
    char text[512];

    (void)state;
    printed("vit_tiny_patch16_224:classes=10", text, sizeof text);
    assert_string_equal(text, "vit:dim=192,depth=12,heads=3,patch=16,img=224,mlp=4,classes=10");
    printed("vit:dim=10,heads=1,patch=7,height=14,width=21,mlp=2.3,no_class_token=true,qkv_bias=no,eps=1e-05", text,
            sizeof text);
    assert_string_equal(text,
                        "vit:dim=10,depth=12,heads=1,patch=7,height=14,width=21,mlp=2.3,classes=1000,mean_pool=true,"
                        "no_class_token=true,qkv_bias=false,eps=1e-05");
}

static void text_round_trip(void **state)
{
    static const char *const texts[] = {"vit_base_patch16_224",
                                        "vit_tiny_patch16_224:classes=10",
                                        "vit_large_patch14_224",
                                        "vit",
                                        "vit:dim=48,depth=3,heads=3,patch=8,img=32,mlp=4,classes=10",
                                        "vit:dim=48,heads=4,patch=8,height=32,width=64",
                                        "vit:dim=10,heads=1,mlp=2.3,patch=7,img=49",
                                        "vit:mean_pool=true",
                                        "vit:mean_pool=true,fc_norm=false",
                                        "vit:fc_norm=true",
                                        "vit:no_class_token=true",
                                        "vit:qkv_bias=false,head_bias=false,patch_bias=false",
                                        "vit:layer_scale=true,pre_norm=true,quick_gelu=true",
                                        "vit:eps=1e-5",
                                        "vit:eps=1.2345678901234567e-7",
                                        "vit:classes=0"};
    char first[512], second[512];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(texts); i++) {
        fet__arch a, b;
        printed(texts[i], first, sizeof first);
        printed(first, second, sizeof second);
        assert_string_equal(first, second);
        assert_ok(fet__arch_create(&a, texts[i]));
        assert_ok(fet__arch_create(&b, first));
        assert_int_equal(a.classes, b.classes);
        assert_int_equal(a.height, b.height);
        assert_int_equal(a.width, b.width);
        fet__arch_fini(&a);
        fet__arch_fini(&b);
    }
}

static void known_names(void **state)
{
    (void)state;
    for (int i = 0; fet__arch_classes[i]; i++) {
        for (int k = 0; fet__arch_classes[i]->names[k]; k++) {
            fet__arch a;
            assert_ok(fet__arch_create(&a, fet__arch_classes[i]->names[k]));
            assert_ptr_equal(a.class_, fet__arch_classes[i]);
            fet__arch_fini(&a);
        }
    }
}

typedef struct refusal {
    const char *text, *words;
} refusal;

static void refusals(void **state)
{
    static const refusal rows[] = {
        {"vit_base_patch16_242", "unknown architecture 'vit_base_patch16_242'; the nearest is 'vit_base_patch16_224'"},
        {"vit_bsae_patch16_224", "the nearest is 'vit_base_patch16_224'"},
        {"qqqqqqqqqqq", "unknown architecture 'qqqqqqqqqqq'"},
        {"vit:dmi=4", "no option 'dmi'; the nearest is dim"},
        {"vit:dim", "'dim' is not of the form key=value"},
        {"vit:dim=0", "dim=0 is not a whole number from 1"},
        {"vit:dim=1.5", "dim=1.5"},
        {"vit:dim=99999999999999999999", "dim="},
        {"vit:dim=10,heads=3", "dim=10 cannot be divided into heads=3"},
        {"vit:img=30,patch=16", "img=30x30 cannot be divided into patch=16"},
        {"vit:qkv_bias=perhaps", "qkv_bias=perhaps is neither true nor false"},
        {"vit:eps=0", "eps=0 is not a number from"},
        {"vit:mlp=nan", "mlp=nan"},
        {"vit:classes=-1", "classes=-1"},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__arch a;
        assert_refused(fet__arch_create(&a, rows[i].text), FET_E_ARG, rows[i].words);
        assert_null(a.config);
    }
}

/* ---- recognition ----------------------------------------------------------------------------------------- */

/* Every variant that can be told from tensors: build it, forget the architecture, look. */
static void recognised(void **state)
{
    static const char *const texts[] = {
        "vit:dim=64,depth=2,heads=1,patch=4,img=16,mlp=3,classes=7",
        "vit:dim=128,depth=1,heads=2,patch=8,img=8,mlp=4,classes=0",
        "vit:dim=64,depth=1,heads=1,patch=4,img=12,mlp=2,classes=3,qkv_bias=false,layer_scale=true,pre_norm=true",
        "vit:dim=64,depth=1,heads=1,patch=4,img=12,mlp=2,classes=3,mean_pool=true",
        "vit:dim=64,depth=1,heads=1,patch=4,img=12,mlp=2,classes=3,no_class_token=true",
        "vit:dim=64,depth=1,heads=1,patch=4,img=12,mlp=2,classes=3,head_bias=false,patch_bias=false"};
    char expected[512];

    (void)state;
    listen();
    for (size_t i = 0; i < FET_COUNT(texts); i++) {
        fet__model *m = tiny(texts[i]);
        fet__arch a;
        fet__text t = {0};
        printed(texts[i], expected, sizeof expected);
        assert_ok(fet__arch_recognise(&a, m->store));
        a.class_->print(&a, &t);
        assert_string_equal(t.s, expected);
        fet__text_fini(&t);
        fet__arch_fini(&a);
        fet__model_close(m);
    }
    assert_int_equal(notes_count("assumed"), (int)FET_COUNT(texts)); /* heads, eps, ... are said */
    fet_set_log(NULL, NULL);
}

static void put(fet__params *s, const char *name, fet__shape shape)
{
    fet__param *p;

    assert_ok(fet__params_add(s, &p, name, FET_F32, shape, FET__PARAM));
}

static void not_recognised(void **state)
{
    fet__params *s = NULL;
    fet__arch a;

    (void)state;
    assert_ok(fet__params_create(&s));
    put(s, "layers.0.weight", FET_SHAPE(2, 2));
    assert_refused(fet__arch_recognise(&a, s), FET_E_FORMAT,
                   "no architecture that fettle knows (1 tensors, the first is layers.0.weight)");
    put(s, "patch_embed.proj.weight", FET_SHAPE(48, 3, 8, 8));
    put(s, "blocks.0.attn.qkv.weight", FET_SHAPE(144, 48));
    put(s, "blocks.0.mlp.fc1.weight", FET_SHAPE(192, 48));
    put(s, "pos_embed", FET_SHAPE(1, 16, 48));
    assert_refused(fet__arch_recognise(&a, s), FET_E_FORMAT, "width 48 is no multiple of 64");
    fet__params_destroy(s);

    assert_ok(fet__params_create(&s));
    put(s, "patch_embed.proj.weight", FET_SHAPE(64, 3, 8, 8));
    put(s, "blocks.0.attn.qkv.weight", FET_SHAPE(192, 64));
    put(s, "blocks.0.mlp.fc1.weight", FET_SHAPE(256, 64));
    put(s, "pos_embed", FET_SHAPE(1, 15, 64));
    assert_refused(fet__arch_recognise(&a, s), FET_E_FORMAT, "15 patches, which is no square");
    put(s, "reg_token", FET_SHAPE(1, 4, 64));
    assert_refused(fet__arch_recognise(&a, s), FET_E_FORMAT, "with reg_token is not supported");
    fet__params_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_text), cmocka_unit_test(text_round_trip), cmocka_unit_test(known_names),
        cmocka_unit_test(refusals),   cmocka_unit_test(recognised),      cmocka_unit_test(not_recognised),
    };
    return cmocka_run_group_tests_name("model.arch", tests, NULL, NULL);
}
