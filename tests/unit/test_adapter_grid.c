/* Every adapter of the registry on a small vision transformer and a small Swin transformer: the loss falls, what was trained comes back
 * from its file, and the merged model, in weights or in fused form, says the same and comes back from its file too. And how many
 * values the adapters train on the published Swin sizes. */
#include "unit/model_testing.h"

#include "train/train.h"

enum { BATCH = 4, STEPS = 12, LOGITS = 10, SWIN = 2 /* in archs */ };

static const char *const archs[] = {
    TINY, "vit:dim=12,depth=2,heads=3,patch=4,img=8,mlp=2,classes=5,mean_pool=true,layer_scale=true",
    "swin:dim=12,depths=2+2,heads=2+3,window=2,patch=2,img=10x14,classes=5", NULL};

/* ---- one cell of the grid -------------------------------------------------------------------------------- */

static bool has_option(const fet__adapter_class *c, const char *key)
{
    for (int i = 0; c->options && c->options[i].key; i++)
        if (strcmp(c->options[i].key, key) == 0)
            return true;
    return false;
}

/* The class with its defaults, made narrow. */
static void spec_of(const fet__adapter_class *c, char out[64])
{
    snprintf(out, 64, "%s%s", c->name, has_option(c, "n") ? ":n=6" : has_option(c, "rank") ? ":rank=2" : "");
}

static void train(fet__model *m, const char *what)
{
    fet__optimizer_options optimizer = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH, .train = true, .optimizer = &optimizer, .drop_path = 0.1, .seed = 3};
    int64_t values = (int64_t)BATCH * m->arch.height * m->arch.width * 3;
    double first = 0, last = 0;
    fet__step s;

    assert_ok(fet__step_create(&s, m, &o));
    fet__init_fill(s.images, FET_F32, values, (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    for (int i = 0; i < BATCH; i++)
        s.labels[i] = i;
    for (int k = 0; k < STEPS; k++) {
        if (s.step)
            *s.step = k;
        fet__optimizer_bind(&optimizer, s.program, k, 1e-2);
        assert_ok(fet__program_run(s.program));
        first += k < 3 ? (double)*s.loss : 0;
        last += k >= STEPS - 3 ? (double)*s.loss : 0;
    }
    if (!(last < first * 0.99))
        fail_msg("%s: the loss went from %g to %g", what, first / 3, last / 3);
    fet__step_fini(&s);
}

static fet__model *reopen(const char *path)
{
    fet__model_options o = {.crop_pct = -1};
    fet__model *m = NULL;

    assert_ok(fet__model_open(&m, path, &o));
    return m;
}

static double size_of(const double *v)
{
    double most = 0;

    for (int i = 0; i < LOGITS; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

static void comes_back(const char *arch, const double *trained, const char *what)
{
    fet__model *m = tiny(arch);
    double again[LOGITS];

    assert_ok(fet__model_attach_file(m, in_folder("adapter.safetensors")));
    logits_of(m, false, again);
    if (largest_difference(trained, again, LOGITS) != 0)
        fail_msg("%s: the adapter's file gives another model", what);
    fet__model_close(m);
}

static void merges(fet__model *m, const double *trained, const char *what)
{
    double merged[LOGITS], again[LOGITS];
    bool refuses = m->adapter->class_->merge_refusal != NULL;
    fet__text list = {0};
    fet_status st = fet__model_merge(m, &list);

    fet__text_fini(&list);
    assert_int_equal(st, refuses ? FET_E_ARG : FET_OK);
    if (refuses)
        return;
    logits_of(m, false, merged);
    if (largest_difference(trained, merged, LOGITS) > 1e-5 * size_of(trained))
        fail_msg("%s: the merged model is off by %g of %g", what, largest_difference(trained, merged, LOGITS),
                 size_of(trained));
    assert_ok(fet__model_save(m, in_folder("model.safetensors"), NULL, 0));
    m = reopen(in_folder("model.safetensors"));
    logits_of(m, false, again);
    if (largest_difference(merged, again, LOGITS) != 0)
        fail_msg("%s: the merged model's file gives another model", what);
    fet__model_close(m);
}

static void check(const char *arch, const char *spec)
{
    fet__model *m = tiny(arch);
    double plain[LOGITS], trained[LOGITS];
    char what[256];

    snprintf(what, sizeof what, "%s on %.12s", spec, arch);
    logits_of(m, false, plain);
    assert_ok(fet__model_attach(m, spec));
    train(m, what);
    logits_of(m, false, trained);
    if (largest_difference(plain, trained, LOGITS) < 1e-4)
        fail_msg("%s: nothing was trained", what);
    assert_ok(fet__model_save_adapter(m, in_folder("adapter.safetensors"), NULL, 0));
    comes_back(arch, trained, what);
    merges(m, trained, what);
    fet__model_close(m);
}

/* Windows take a grid of tokens and no more. */
static void refuses_windows(const char *spec)
{
    fet__model *m = tiny(archs[SWIN]);

    assert_int_equal(fet__model_attach(m, spec), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "the windows of layers.0.blocks.0 take a grid"));
    fet__model_close(m);
}

static void grid(void **state)
{
    char spec[64];

    (void)state;
    for (int i = 0; fet__adapter_classes[i]; i++)
        for (int k = 0; archs[k]; k++) {
            if (fet__adapter_classes[i]->spares_head)
                continue; /* see without_batch_norms */
            spec_of(fet__adapter_classes[i], spec);
            if (fet__adapter_classes[i]->hooks.tokens && k == SWIN)
                refuses_windows(spec);
            else
                check(archs[k], spec);
        }
}

/* What trains batch norms alone, without a head, finds nothing in these models, and says so. */
static void without_batch_norms(void **state)
{
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH, .train = true, .optimizer = &adam};
    fet__model *m;
    fet__step step = {0};
    int tried = 0;

    (void)state;
    for (int i = 0; fet__adapter_classes[i]; i++) {
        if (!fet__adapter_classes[i]->spares_head)
            continue;
        assert_int_equal(fet__model_open(&m, "none", &(fet__model_options){.arch = archs[0], .crop_pct = -1}), FET_OK);
        assert_int_equal(fet__model_attach(m, fet__adapter_classes[i]->name), FET_OK);
        assert_int_equal(fet__step_create(&step, m, &o), FET_E_ARG);
        assert_non_null(strstr(fet_error_message(), "nothing would train"));
        fet__step_fini(&step);
        fet__model_close(m);
        tried++;
    }
    assert_int_not_equal(tried, 0);
}

/* The forms of both references, and the ablations. */
static void presets(void **state)
{
    char spec[64];

    (void)state;
    for (int i = 0; fet__adapter_classes[i]; i++)
        for (int k = 0; fet__adapter_classes[i]->presets && fet__adapter_classes[i]->presets[k].name; k++) {
            snprintf(spec, sizeof spec, "%s:preset=%s", fet__adapter_classes[i]->name,
                     fet__adapter_classes[i]->presets[k].name);
            check(archs[fet__adapter_classes[i]->hooks.tokens ? 0 : SWIN], spec);
        }
    check(archs[SWIN], "mona:n=4,kernels=3");
    check(archs[SWIN], "mona:n=4,kernels=3+5");
    check(archs[SWIN], "mona:n=4,kernels=3+3+3,norm=none");
    check(archs[SWIN], "mona:n=4,at=layers.1.*.mlp,init=torch");
}

/* ---- published sizes ------------------------------------------------------------------------------------- */

typedef struct size {
    const char *name;
    int dim, heads, depths[4];
} size;

/* One block a stage is built; a stage's others are its equals. */
static fet__model *one_block_each(const size *s)
{
    char arch[128];

    snprintf(arch, sizeof arch, "swin:dim=%d,depths=1+1+1+1,heads=%d+%d+%d+%d,classes=2,img=224", s->dim, s->heads,
             2 * s->heads, 4 * s->heads, 8 * s->heads);
    return tiny(arch);
}

static int64_t times(const size *s, const char *name)
{
    int stage, block, end = 0;

    return sscanf(name, "layers.%d.blocks.%d.%n", &stage, &block, &end) == 2 && end > 0 ? s->depths[stage] : 1;
}

/* What trains outside the head; the adapter's own values are taken out of the store again. */
static int64_t trained_values(fet__model *m, const size *s, const char *spec)
{
    fet__build b = {.store = m->store};
    fet__node *images, *features, *logits;
    fet__adapter *a = NULL;
    int64_t sum = 0;

    assert_ok(fet__adapter_create(&a, spec));
    assert_ok(fet__graph_create(&b.g));
    b.hooks = &a->hooks;
    images = fet__input(b.g, "images", FET_F32, FET_SHAPE(1, m->arch.height, m->arch.width, 3));
    m->arch.class_->build(&m->arch, &b, images, &features, &logits);
    assert_ok(fet__graph_status(b.g));
    assert_ok(fet__adapter_select(a, m->store, "")); /* no head */
    for (int i = fet__params_count(m->store) - 1; i >= 0; i--) {
        fet__param *p = fet__params_at(m->store, i);
        if (p->trainable && strncmp(p->name, "head.", 5) != 0)
            sum += times(s, p->name) * fet__shape_count(&p->shape);
        if (p->adapter)
            fet__params_remove(m->store, p);
    }
    fet__graph_destroy(b.g);
    fet__adapter_destroy(a);
    return sum;
}

/* methods/mona.md 2.6. The backbone there has a norm for each of the four stages; a classifier has the last one only, which takes
 * 7 widths of weights and of biases away. */
static void published_counts(void **state)
{
    static const size sizes[] = {
        {"T", 96, 3, {2, 2, 6, 2}}, {"B", 128, 4, {2, 2, 18, 2}}, {"L", 192, 6, {2, 2, 18, 2}}};
    static const struct {
        const char *spec;
        int64_t values[3];
        int absent; /* widths of the three norms */
    } rows[] = {{"mona", {1408128, 3667456, 5267712}, 0},
                {"adapter", {1140864, 3107328, 4659456}, 0},
                {"adaptformer", {570432, 1553664, 2329728}, 0},
                {"lora:preset=mona", {1130496, 3080192, 4620288}, 0},
                {"bitfit:preset=mona", {76218, 201656, 302484}, 7},
                {"norm", {26112, 59392, 89088}, 14},
                {"linear", {0, 0, 0}, 0}};

    (void)state;
    for (int k = 0; k < 3; k++) {
        fet__model *m = one_block_each(&sizes[k]);
        for (size_t i = 0; i < FET_COUNT(rows); i++) {
            int64_t n = trained_values(m, &sizes[k], rows[i].spec), expected = rows[i].values[k];
            expected -= (int64_t)rows[i].absent * sizes[k].dim;
            if (n != expected)
                fail_msg("%s trains %lld values of swin %s, not %lld", rows[i].spec, (long long)n, sizes[k].name,
                         (long long)expected);
        }
        fet__model_close(m);
    }
}

/* The last block alone, which is not the last in the order of names. */
static void partial_block(void **state)
{
    static const size s = {"T", 96, 3, {1, 1, 1, 1}};
    fet__model *m = one_block_each(&s);

    (void)state;
    assert_true(trained_values(m, &s, "partial1") == 7091928);
    fet__model_close(m);
    m = tiny("vit:dim=12,depth=11,heads=3,patch=4,img=8,classes=5");
    assert_ok(fet__model_attach(m, "partial1"));
    assert_true(fet__params_find(m->store, "blocks.10.mlp.fc1.weight")->trainable);
    assert_false(fet__params_find(m->store, "blocks.9.mlp.fc1.weight")->trainable);
    assert_false(fet__params_find(m->store, "blocks.1.mlp.fc1.weight")->trainable);
    fet__model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid),          cmocka_unit_test(without_batch_norms),
        cmocka_unit_test(presets),       cmocka_unit_test(published_counts),
        cmocka_unit_test(partial_block),
    };
    return cmocka_run_group_tests_name("adapter.grid", tests, make_folder, remove_folder);
}
