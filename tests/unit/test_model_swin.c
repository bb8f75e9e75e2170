/* The Swin transformer beside its golden: text and recognition, counts of the published sizes, windows of any grid, tables of another
 * window, refusals, saving and opening. */
#include "model/swin.h"
#include "unit/model_testing.h"

#define SMALL "swin:dim=8,depths=2+2,heads=1+2,window=3,patch=2,img=20,mlp=2,classes=5"

/* ---- text ---------------------------------------------------------------------------------------------------- */

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

static void text_round_trip(void **state)
{
    static const char *const texts[] = {"swin", "swin_large_patch4_window12_384:classes=21841", SMALL,
                                        "swin:dim=8,depths=3,heads=2,img=45x62,mlp=2.3333333333333335,norms=all",
                                        "swin:always_shift=true,qkv_bias=false,ape=true,window=12,eps=1e-06"};
    char first[512], second[512];

    (void)state;
    printed("swin_tiny:classes=10", first, sizeof first);
    assert_string_equal(first, "swin:dim=96,depths=2+2+6+2,heads=3+6+12+24,window=7,patch=4,img=224,mlp=4,classes=10");
    printed("swin_base_patch4_window12_384:norms=all,always_shift=yes", first, sizeof first);
    assert_string_equal(first, "swin:dim=128,depths=2+2+18+2,heads=4+8+16+32,window=12,patch=4,img=384,mlp=4,"
                               "classes=1000,norms=all,always_shift=true");
    for (size_t i = 0; i < FET_COUNT(texts); i++) {
        printed(texts[i], first, sizeof first);
        printed(first, second, sizeof second);
        assert_string_equal(first, second);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {{"swin_huge", "unknown architecture 'swin_huge'"},
                {"swin_tiny_patch4_window7", "unknown architecture"},
                {"swin:window=1", "window=1 is not a whole number from 2"},
                {"swin:depths=2+2", "2 stages in depths, 4 in heads"},
                {"swin:depths=2++2", "depths=2++2 is not a list"},
                {"swin:depths=2+2+", "is not a list"},
                {"swin:depths=2+0+2+2", "is not a list"},
                {"swin:depths=1+1+1+1+1+1+1+1+1", "is not a list like 2+2+6+2 of 1 to 8"},
                {"swin:heads=3+6+12+7", "width 768 of stage 3 cannot be divided into 7 heads"},
                {"swin:img=0", "img=0 is neither a size"},
                {"swin:img=22x", "img=22x is neither"},
                {"swin:norms=some", "norms=some is neither last nor all"}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__arch a;
        assert_refused(fet__arch_create(&a, rows[i].text), FET_E_ARG, rows[i].words);
        assert_null(a.config);
    }
}

/* ---- recognition ----------------------------------------------------------------------------------------------- */

static void recognised(void **state)
{
    static const char *const texts[] = {
        "swin:dim=8,depths=1+2,heads=1+2,window=3,patch=2,img=12,mlp=2,classes=5",
        "swin:dim=8,depths=2,heads=4,window=4,patch=4,img=16,mlp=2.5,classes=0,qkv_bias=false",
        "swin:dim=8,depths=1+1,heads=1+2,window=2,patch=2,img=10x14,mlp=2,classes=5,ape=true"};
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
    assert_int_equal(notes_count("no shift where a window holds the whole grid"), (int)FET_COUNT(texts));
    fet_set_log(NULL, NULL);
}

static fet__param *put(fet__params *s, const char *name, fet__shape shape)
{
    fet__param *p;

    assert_ok(fet__params_add(s, &p, name, FET_F32, shape, FET__PARAM));
    return p;
}

static bool shifts_always(fet__params *s)
{
    fet__arch a;
    bool always;

    assert_ok(fet__arch_recognise(&a, s));
    always = ((const fet__swin *)a.config)->always_shift;
    assert_true(((const fet__swin *)a.config)->all_norms);
    fet__arch_fini(&a);
    return always;
}

/* Detection checkpoints shift always; those of a classifier with the last norm only do not. */
static void layouts(void **state)
{
    fet__model *m = tiny(SMALL ",norms=all");
    fet__arch a;

    (void)state;
    listen();
    assert_false(shifts_always(m->store));
    put(m->store, "norm0.weight", FET_SHAPE(8));
    assert_true(shifts_always(m->store));
    put(m->store, "layers.0.blocks.0.attn.logit_scale", FET_SHAPE(1, 1, 1));
    assert_refused(fet__arch_recognise(&a, m->store), FET_E_FORMAT, "(version 2) is not supported");
    fet_set_log(NULL, NULL);
    fet__model_close(m);
}

static void broken_checkpoints(void **state)
{
    fet__model *m = tiny(SMALL);
    const char *table = "layers.1.blocks.0.attn.relative_position_bias_table";
    fet__arch a;

    (void)state;
    fet__params_remove(m->store, fet__params_find(m->store, table));
    put(m->store, table, FET_SHAPE(24, 2));
    assert_refused(fet__arch_recognise(&a, m->store), FET_E_FORMAT, "is no table of (2 window - 1)^2");
    assert_refused(fet__model_probe(m, false, false), FET_E_FORMAT, "has shape [24, 2] where the model needs [25, 2]");
    fet__params_remove(m->store, fet__params_find(m->store, table));
    put(m->store, table, FET_SHAPE(49, 3)); /* heads cannot be resampled */
    assert_refused(fet__model_probe(m, false, false), FET_E_FORMAT, "has shape [49, 3] where the model needs [25, 2]");
    fet__params_remove(m->store, fet__params_find(m->store, table));
    assert_refused(fet__model_probe(m, false, false), FET_E_FORMAT, "is missing from the checkpoint");
    fet__model_close(m);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

static fet__arch arch_of(const char *text)
{
    fet__arch a;

    assert_ok(fet__arch_create(&a, text));
    return a;
}

/* By methods/mona.md section 2, every norm of the outputs counted. */
static int64_t expected_count(const fet__swin *v)
{
    int64_t sum = 3LL * v->patch * v->patch * v->dim + 3LL * v->dim;

    for (int s = 0; s < v->stages; s++) {
        int64_t side = 2 * fet__swin_windows(v, s, 0).window - 1, c = (int64_t)v->dim << s,
                hidden = (int64_t)((double)c * v->mlp + 1e-6);
        int64_t block = 4 * c + 3 * c * c + 3 * c + c * c + c + 2 * c * hidden + hidden + c + side * side * v->heads[s];

        sum += v->depths[s] * block + 2 * c + (s > 0 ? 4 * c + 2 * c * c : 0);
    }
    return sum;
}

/* Parameters and multiply-adds of the backbone with the maps of all stages, out of a graph for one image. */
static void measure(const char *text, int64_t *parameters, double *flops)
{
    fet__arch a = arch_of(text);
    fet__swin *v = a.config;
    fet__node *maps[FET__SWIN_STAGES], **order = NULL;
    fet__params *store = NULL;
    fet__build b = {.may_initialise = true};
    char name[16];
    int count;

    v->all_norms = true;
    assert_ok(fet__params_create(&store));
    assert_ok(fet__graph_create(&b.g));
    b.store = store;
    fet__swin_stages(&a, &b, fet__input(b.g, "images", FET_F32, FET_SHAPE(1, a.height, a.width, 3)),
                     (1u << v->stages) - 1, maps);
    assert_ok(fet__graph_status(b.g));
    for (int s = 0; s < v->stages; s++) {
        snprintf(name, sizeof name, "map%d", s);
        fet__output(b.g, name, maps[s]);
    }
    assert_ok(fet__graph_order(b.g, &order, &count));
    *parameters = 0;
    *flops = 0;
    for (int i = 0; i < count; i++)
        if (order[i]->op == FET__OP_LINEAR || order[i]->op == FET__OP_ATTENTION)
            *flops += fet__node_cost(order[i]).flops / 2;
    for (int i = 0; i < fet__params_count(store); i++)
        *parameters += fet__shape_count(&fet__params_at(store, i)->shape);
    assert_int_equal(*parameters, expected_count(v));
    fet__free(order);
    fet__graph_destroy(b.g);
    fet__params_destroy(store);
    fet__arch_fini(&a);
}

static void published_sizes(void **state)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } rows[] = {{"swin_tiny", 27520698},
                {"swin_small", 48838602},
                {"swin_base", 86745016},
                {"swin_large_patch4_window7_224", 194998164}};
    int64_t parameters;
    double flops;

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__arch a = arch_of(rows[i].name);
        assert_int_equal(expected_count(a.config), rows[i].parameters);
        fet__arch_fini(&a);
    }
    measure("swin_tiny", &parameters, &flops);
    assert_int_equal(parameters, 27520698);
    if (flops < 4.4e9 || flops > 4.6e9) /* published: 4.5 G multiply-adds */
        fail_msg("%.4g multiply-adds", flops);
    measure("swin:dim=12,depths=1+3+1,heads=1+3+2,window=5,patch=3,img=50x31,mlp=2.5", &parameters, &flops);
    measure("swin:dim=8,depths=2,heads=2,window=4,img=9", &parameters, &flops);
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static void clamped_windows(void **state)
{
    fet__arch a = arch_of("swin_tiny");
    fet__swin *v = a.config;

    (void)state;
    assert_int_equal(fet__swin_windows(v, 0, 1).shift, 3);
    assert_int_equal(fet__swin_windows(v, 0, 2).shift, 0);
    assert_int_equal(fet__swin_windows(v, 3, 1).shift, 0); /* 7x7 tokens: one window */
    v->always_shift = true;
    assert_int_equal(fet__swin_windows(v, 3, 1).shift, 3);
    v->image_width = 96;
    assert_int_equal(fet__swin_windows(v, 3, 1).window, 7);
    v->always_shift = false;
    assert_int_equal(fet__swin_windows(v, 3, 1).window, 3);
    fet__arch_fini(&a);
}

/* Any size of one pixel and more: finite, and the same by the reference kernels in double. */
static void any_size(void **state)
{
    static const char *const sizes[] = {"1", "2x40", "3x1", "21x34", "24", "57x8"};
    double fast[10], exact[10];
    char arch[200];

    (void)state;
    for (size_t i = 0; i < 2 * FET_COUNT(sizes); i++) {
        fet__model *m;
        snprintf(arch, sizeof arch, "swin:dim=8,depths=2+2+1,heads=1+2+2,window=3,patch=2,classes=5,img=%s%s",
                 sizes[i / 2], i % 2 ? ",always_shift=true,norms=all" : "");
        m = tiny(arch);
        scatter(m, false, 0.3);
        logits_of(m, false, fast);
        logits_of(m, true, exact);
        assert_true(isfinite(fast[0]));
        if (largest_difference(fast, exact, 10) > 1e-4)
            fail_msg("%s: %g away from the reference", arch, largest_difference(fast, exact, 10));
        fet__model_close(m);
    }
}

/* ---- another window, another image -------------------------------------------------------------------------------- */

/* Opened with another window the tables stay as they are in the store; a table that is constant makes the same bias in any window, so
 * that with one window over the whole grid only the numbers of tokens differ. */
static void another_window(void **state)
{
    fet__model_options o = {.arch = SMALL ",window=5", .crop_pct = -1}, same = {.crop_pct = -1};
    const char *path = in_folder("window.safetensors"), *again = in_folder("again.safetensors");
    fet__model *m = tiny(SMALL), *wide = NULL, *back = NULL;
    double before[10], after[10];

    (void)state;
    scatter(m, false, 0.3);
    logits_of(m, false, before);
    assert_ok(fet__model_save(m, path, NULL, 0));
    assert_ok(fet__model_open(&wide, path, &o));
    assert_int_equal(fet__params_find(wide->store, "layers.0.blocks.1.attn.relative_position_bias_table")->shape.dim[0],
                     25);
    logits_of(wide, false, after);
    assert_true(isfinite(after[0]) && largest_difference(before, after, 10) > 1e-3);
    assert_ok(fet__model_save(wide, again, NULL, 0)); /* keeps the window that it was opened with */
    assert_ok(fet__model_open(&back, again, &same));
    logits_of(back, false, before);
    assert_true(largest_difference(before, after, 10) == 0);
    fet__model_close(back);
    fet__model_close(wide);
    fet__model_close(m);
}

static void another_image(void **state)
{
    fet__model_options wide = {.crop_pct = -1, .image = 27}, same = {.crop_pct = -1};
    const char *path = in_folder("image.safetensors");
    fet__model *m = tiny(SMALL ",ape=true"), *other = NULL, *own = NULL;
    double a[10], b[10];
    char first[65], second[65];

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__model_save(m, path, NULL, 0));
    assert_ok(fet__model_open(&other, path, &wide));
    assert_int_equal(other->arch.height, 27);
    logits_of(other, false, a);
    logits_of(other, true, b);
    assert_true(isfinite(a[0]) && largest_difference(a, b, 10) < 1e-4);
    assert_ok(fet__model_open(&own, path, &same));
    logits_of(own, false, a);
    logits_of(m, false, b);
    assert_true(largest_difference(a, b, 10) == 0);
    assert_ok(fet__model_fingerprint(other, first));
    assert_ok(fet__model_fingerprint(own, second));
    assert_string_equal(first, second);
    fet__model_close(own);
    fet__model_close(other);
    fet__model_close(m);
}

/* ---- adapters -------------------------------------------------------------------------------------------------------- */

/* Low-rank branches on the layers of windows merge exactly, the parts of a fused qkv too. */
static void adapters_merge(void **state)
{
    static const char *const specs[] = {"hydra", "lora:at=attn.q+attn.v,rank=2",
                                        "hydra:at=attn.proj+downsample.reduction"};
    double before[10], after[10];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        fet__model *m = tiny(SMALL);
        fet__text merged = {0};
        scatter(m, false, 0.3);
        assert_ok(fet__model_attach(m, specs[i]));
        scatter(m, true, 0.3);
        logits_of(m, true, before);
        assert_ok(fet__model_merge(m, &merged));
        logits_of(m, true, after);
        assert_true(largest_difference(before, after, 10) < 1e-4);
        fet__text_fini(&merged);
        fet__model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_round_trip), cmocka_unit_test(refusals),           cmocka_unit_test(recognised),
        cmocka_unit_test(layouts),         cmocka_unit_test(broken_checkpoints), cmocka_unit_test(published_sizes),
        cmocka_unit_test(clamped_windows), cmocka_unit_test(any_size),           cmocka_unit_test(another_window),
        cmocka_unit_test(another_image),   cmocka_unit_test(adapters_merge),
    };
    return cmocka_run_group_tests_name("model.swin", tests, make_folder, remove_folder);
}
