/* Convolutional architectures: text there and back, published sizes, recognition from tensors, what is refused; running statistics
 * in files, in adapters and in training. */
#include "unit/model_testing.h"

#include "train/train.h"

#define SMALL "resnet:block=basic,blocks=1+1+1+1,width=4,img=32,classes=5"

static void print_arch(const fet__arch *a, char *out, size_t size)
{
    fet__text t = {0};

    a->class_->print(a, &t);
    assert_false(t.failed);
    snprintf(out, size, "%s", t.s);
    fet__text_fini(&t);
}

static void printed(const char *text, char *out, size_t size)
{
    fet__arch a;

    assert_ok(fet__arch_create(&a, text));
    print_arch(&a, out, size);
    fet__arch_fini(&a);
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void text_round_trip(void **state)
{
    static const char *const texts[][2] = {
        {"resnet18", "resnet:block=basic,blocks=2+2+2+2,width=64,img=224,classes=1000"},
        {"resnet50:classes=0,img=256x128,stride=1,ibn=a,pool=gem,neck=true,domains=true",
         "resnet:block=bottleneck,blocks=3+4+6+3,width=64,img=256x128,classes=0,stride=1,ibn=a,pool=gem,neck=true,"
         "domains=true"},
        {"resnet:in_channels=8,block=basic,blocks=2+2+2+2",
         "resnet:block=basic,blocks=2+2+2+2,width=64,img=224,classes=1000,in_channels=8"},
        {"resnet20", "resnet_cifar:depth=20,width=16,img=32,classes=10,shortcut=pad"},
        {"resnet110:classes=100", "resnet_cifar:depth=110,width=16,img=32,classes=100,shortcut=pad"},
        {"qresnet14", "resnet_cifar:depth=14,width=16,img=32,classes=10,shortcut=conv,quadratic=true,bias=true"},
        {"resnet_cifar:depth=8,width=3,shortcut=conv,img=64",
         "resnet_cifar:depth=8,width=3,img=64,classes=10,shortcut=conv"},
        {"densenet121", "densenet:growth=32,blocks=6+12+24+16,init=64,bn_size=4,img=224,classes=1000"},
        {"densenet:growth=4,blocks=1+2+1+2,init=8,img=64,in_channels=1,classes=3",
         "densenet:growth=4,blocks=1+2+1+2,init=8,bn_size=4,img=64,classes=3,in_channels=1"}};
    char first[512], second[512];

    (void)state;
    for (size_t i = 0; i < FET_COUNT(texts); i++) {
        printed(texts[i][0], first, sizeof first);
        assert_string_equal(first, texts[i][1]);
        printed(first, second, sizeof second);
        assert_string_equal(first, second);
    }
}

static void refused_text(void **state)
{
    static const char *const bad[][2] = {{"resnet21", "unknown architecture"},
                                         {"resnet50:blocks=3+4+6", "is not 4 whole numbers"},
                                         {"resnet50:blocks=3+4+0+3", "is not 4 whole numbers"},
                                         {"resnet50:blocks=3+4+6+3+3", "is not 4 whole numbers"},
                                         {"resnet50:blocks=", "is not 4 whole numbers"},
                                         {"resnet50:block=wide", "neither basic nor bottleneck"},
                                         {"resnet50:ibn=b", "neither a nor none"},
                                         {"resnet50:ibn=a,width=5", "width 5 is odd"},
                                         {"resnet50:pool=max", "neither gem nor mean"},
                                         {"resnet50:stride=3", "stride=3"},
                                         {"resnet50:img=12x", "neither a size nor HEIGHTxWIDTH"},
                                         {"resnet50:img=0", "neither a size nor HEIGHTxWIDTH"},
                                         {"resnet50:images=3", "the nearest is"},
                                         {"resnet20:depth=21", "not of the form 6n+2"},
                                         {"resnet20:width=5", "needs an even width"},
                                         {"resnet20:shortcut=none", "neither pad nor conv"},
                                         {"densenet121:img=28", "neither a size nor HEIGHTxWIDTH"},
                                         {"densenet121:blocks=6+12+24+1001", "is not 4 whole numbers"}};
    fet__arch a;

    (void)state;
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        assert_refused(fet__arch_create(&a, bad[i][0]), FET_E_ARG, bad[i][1]);
}

/* The published numbers of parameters; running statistics are none. */
static void published_sizes(void **state)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } known[] = {{"resnet18", 11689512}, {"resnet34", 21797672}, {"resnet50", 25557032}, {"densenet121", 7978856},
                 {"resnet20", 269722},   {"resnet56", 853018},   {"qresnet14", 520282}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(known); i++) {
        fet__model *m = tiny(known[i].name);
        assert_int_equal(fet__model_parameters(m, false), known[i].parameters);
        fet__model_close(m);
    }
}

/* ---- files ----------------------------------------------------------------------------------------------- */

/* Statistics as a network has that was trained: the initial 0 and 1 would hide mistakes. */
static void scatter_statistics(fet__model *m)
{
    for (int i = 0; i < fet__params_count(m->store); i++) {
        fet__param *p = fet__params_at(m->store, i);
        float *v = p->data;
        if (p->role != FET__BUFFER)
            continue;
        assert_ok(fet__param_own(p));
        fet__init_fill(v, FET_F32, fet__shape_count(&p->shape), (fet__init){FET__INIT_UNIFORM, 0.5}, 7, p->name);
        for (int64_t k = 0; strstr(p->name, "running_var") && k < fet__shape_count(&p->shape); k++)
            v[k] += 1;
        p->version++;
    }
}

static double largest(const double *v, int count)
{
    double most = 0;

    for (int i = 0; i < count; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

/* A file without metadata is recognised by its tensors alone. */
static void recognised(void **state)
{
    static const char *const texts[] = {
        SMALL,
        "resnet:blocks=1+1+2+1,width=4,img=32,classes=3",
        "resnet:block=basic,blocks=1+1+1+1,width=4,img=32,classes=2,ibn=a,pool=gem,neck=true,domains=true",
        "resnet_cifar:depth=8,width=4,classes=4",
        "resnet_cifar:depth=14,width=4,shortcut=conv,classes=4",
        "resnet_cifar:depth=8,width=4,quadratic=true,shortcut=conv,classes=4",
        "resnet_cifar:depth=8,width=4,quadratic=true,bias=false,shortcut=conv,classes=4",
        "densenet:growth=4,blocks=1+2+1+2,init=8,img=32,classes=3"};
    char path[64], first[512], second[512];

    (void)state;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    for (size_t i = 0; i < FET_COUNT(texts); i++) {
        fet__model_options same = {.crop_pct = -1};
        fet__model *m = tiny(texts[i]), *again = NULL;
        double a[16], b[16], c[16];
        fet__arch arch;

        scatter_statistics(m);
        logits_of(m, false, a);
        logits_of(m, true, b);
        /* the scale goes into the weights */
        if (largest_difference(a, b, 2 * m->arch.classes) > 1e-5 * largest(b, 2 * m->arch.classes))
            fail_msg("%s: %g apart, the largest is %g", texts[i], largest_difference(a, b, 2 * m->arch.classes),
                     largest(b, 2 * m->arch.classes));
        print_arch(&m->arch, first, sizeof first);
        assert_ok(fet__arch_recognise(&arch, m->store));
        assert_ok(
            arch.class_->resize(&arch, m->store, m->arch.height, m->arch.width)); /* tensors do not tell the size */
        print_arch(&arch, second, sizeof second);
        assert_string_equal(first, second);
        fet__arch_fini(&arch);
        assert_ok(fet__model_save(m, path, NULL, 0));
        assert_ok(fet__model_open(&again, path, &same));
        logits_of(again, false, c);
        assert_true(largest_difference(a, c, 2 * m->arch.classes) == 0);
        assert_int_equal(fet__model_parameters(m, false), fet__model_parameters(again, false));
        fet__model_close(again);
        fet__model_close(m);
    }
}

static void broken_files(void **state)
{
    fet__model *m = tiny(SMALL);
    fet__arch a;

    (void)state;
    fet__params_remove(m->store, fet__params_find(m->store, "layer2.0.conv1.weight"));
    assert_refused(fet__arch_recognise(&a, m->store), FET_E_FORMAT, "without layer2.0.conv1.weight");
    fet__model_close(m);
    m = tiny("resnet_cifar:depth=14,width=4");
    fet__params_remove(m->store, fet__params_find(m->store, "layer2.1.conv1.weight"));
    assert_refused(fet__arch_recognise(&a, m->store), FET_E_FORMAT, "not those of a residual network");
    fet__model_close(m);
    m = tiny("densenet:growth=4,blocks=1+1+1+1,init=8,img=32,classes=3");
    fet__params_remove(m->store, fet__params_find(m->store, "features.denseblock3.denselayer1.conv1.weight"));
    assert_refused(fet__arch_recognise(&a, m->store), FET_E_FORMAT, "without features.denseblock3");
    fet__model_close(m);
}

static void other_channels(void **state)
{
    fet__model *m = tiny("resnet:block=basic,blocks=1+1+1+1,width=4,img=32,classes=1,in_channels=8");
    fet__step_options o = {.batch = 2};
    fet__step s;

    (void)state;
    assert_int_equal(m->arch.channels, 8);
    assert_refused(fet__step_create(&s, m, &o), FET_E_ARG, "8 channels");
    fet__model_close(m);
}

/* ---- running statistics in training ------------------------------------------------------------------------- */

static void one_step(fet__model *m)
{
    fet__optimizer_options optimizer = fet__optimizer_defaults();
    fet__step_options o = {.batch = 4, .train = true, .optimizer = &optimizer};
    fet__step s;

    assert_ok(fet__step_create(&s, m, &o));
    fet__init_fill(s.images, FET_F32, (int64_t)4 * 32 * 32 * 3, (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    for (int i = 0; i < 4; i++)
        s.labels[i] = i;
    if (s.step) /* nothing is drawn at random */
        *s.step = 0;
    fet__optimizer_bind(&optimizer, s.program, 0, 1e-3);
    assert_ok(fet__step_compute(&s));
    fet__step_fini(&s);
}

static float first_of(const fet__model *m, const char *name)
{
    const fet__param *p = fet__params_find(m->store, name);

    assert_non_null(p);
    return ((const float *)p->data)[0];
}

static void statistics_follow_full_training_alone(void **state)
{
    static const char *const adapters[] = {"linear", "bitfit", "norm", "full"};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(adapters); i++) {
        bool full = i + 1 == FET_COUNT(adapters);
        fet__model *m = tiny(SMALL);
        float gamma;

        assert_ok(fet__model_attach(m, adapters[i]));
        gamma = first_of(m, "layer1.0.bn1.weight");
        assert_int_equal(fet__params_find(m->store, "bn1.running_mean")->role, FET__BUFFER);
        assert_int_equal(fet__params_find(m->store, "bn1.running_mean")->trainable, full);
        one_step(m);
        assert_int_equal(first_of(m, "bn1.running_mean") != 0, full);
        assert_int_equal(first_of(m, "layer4.0.bn2.running_var") != 1, full);
        assert_int_equal(first_of(m, "layer1.0.bn1.weight") != gamma, i >= 2); /* norm and full */
        fet__model_close(m);
    }
}

/* What training left behind is in the adapter's file and comes back with it. */
static void adapters_carry_statistics(void **state)
{
    fet__model *m = tiny(SMALL), *again = tiny(SMALL);
    char path[64];
    double a[10], b[10];

    (void)state;
    snprintf(path, sizeof path, "%s/adapter.safetensors", folder);
    assert_ok(fet__model_attach(m, "full"));
    one_step(m);
    assert_ok(fet__model_save_adapter(m, path, NULL, 0));
    assert_ok(fet__model_attach_file(again, path));
    assert_true(first_of(again, "bn1.running_mean") == first_of(m, "bn1.running_mean"));
    logits_of(m, false, a);
    logits_of(again, false, b);
    assert_true(largest_difference(a, b, 10) == 0);
    fet__model_close(m);
    fet__model_close(again);
}

/* The same base with other statistics is another model. */
static void fingerprint_sees_statistics(void **state)
{
    fet__model *m = tiny(SMALL), *other = tiny(SMALL);
    char a[65], b[65];

    (void)state;
    ((float *)fet__params_find(other->store, "layer3.0.bn1.running_var")->data)[1] = 2;
    assert_ok(fet__model_fingerprint(m, a));
    assert_ok(fet__model_fingerprint(other, b));
    assert_string_not_equal(a, b);
    fet__model_close(m);
    fet__model_close(other);
}

/* Evaluation beside training sees what the last step left. */
static void evaluation_follows(void **state)
{
    fet__model *m = tiny(SMALL);
    fet__step_options o = {.batch = 4};
    fet__step s;
    float before[20];
    int changed = 0;

    (void)state;
    assert_ok(fet__model_attach(m, "full"));
    assert_ok(fet__step_create(&s, m, &o));
    fet__init_fill(s.images, FET_F32, (int64_t)4 * 32 * 32 * 3, (fet__init){FET__INIT_NORMAL, 1}, 2, "images");
    assert_ok(fet__step_compute(&s));
    memcpy(before, s.logits, sizeof before);
    one_step(m);
    assert_ok(fet__step_compute(&s));
    for (int i = 0; i < 20; i++)
        changed += before[i] != s.logits[i];
    assert_true(changed > 10);
    fet__step_fini(&s);
    fet__model_close(m);
}

/* A batch that is not full repeats its pictures behind their end. */
static void short_batches_repeat(void **state)
{
    enum { IMAGE = 32 * 32 * 3 };
    fet__model *m = tiny(SMALL);
    fet__step_options o = {.batch = 4, .reference = true};
    float *images = fet__alloc((size_t)4 * IMAGE, sizeof *images);
    int32_t labels[4] = {2, -1, -1, -1};
    fet__batch b = {.count = 1, .images = images, .labels = labels};
    fet__step s;

    (void)state;
    assert_non_null(images);
    images[5] = 3;
    assert_ok(fet__step_create(&s, m, &o));
    fet__step_feed(&s, &b, 4, IMAGE);
    for (int i = 0; i < 4; i++)
        assert_true(s.images[i * IMAGE + 5] == 3 && s.images[i * IMAGE + 6] == 0);
    assert_int_equal(s.labels[3], -1);
    fet__step_fini(&s);
    fet__free(images);
    fet__model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_round_trip),
                                       cmocka_unit_test(refused_text),
                                       cmocka_unit_test(published_sizes),
                                       cmocka_unit_test(recognised),
                                       cmocka_unit_test(broken_files),
                                       cmocka_unit_test(other_channels),
                                       cmocka_unit_test(statistics_follow_full_training_alone),
                                       cmocka_unit_test(adapters_carry_statistics),
                                       cmocka_unit_test(fingerprint_sees_statistics),
                                       cmocka_unit_test(evaluation_follows),
                                       cmocka_unit_test(short_batches_repeat)};

    return cmocka_run_group_tests_name("model_resnet", tests, make_folder, remove_folder);
}
