/* Augmentation plans: what a text becomes, what is refused and where, views of one picture, and batches that the loader mixes. */
#include "data_fixture.h"

#include <math.h>

#include "data/data_int.h"

static fet__augment_plan parse(const char *spec)
{
    fet__augment_plan a;
    EXPECT_OK(fet__augment_parse(&a, spec, 64, 64));
    return a;
}

/* ---- from text --------------------------------------------------------------------------------------------- */

static void names_are_texts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"light", "crop+flip"},
                                           {"strong", "rrc:scale=0.08-1,ratio=0.75-1.3333333333333333+flip=0.5+jitter"},
                                           {"none", "none"},
                                           {"none+flip", "flip"},
                                           {"light+erase", "crop+flip+erase=0.25"}};
    for (size_t i = 0; i < FET_COUNT(pairs); i++) {
        fet__augment_plan a = parse(pairs[i][0]), b = parse(pairs[i][1]);
        assert_memory_equal(&a, &b, sizeof a);
    }
    fet__augment_plan a, zero = {0};
    EXPECT_OK(fet__augment_parse(&a, "light", 65, 65));
    assert_true(a.frame == FET__FRAME_RESIZED_CROP && a.scale[0] == 0.5 && a.count == 1);
    EXPECT_OK(fet__augment_parse(&a, "light", 64, 32));
    assert_true(a.frame == FET__FRAME_RESIZED_CROP);
    a = parse("none");
    assert_true(a.frame == zero.frame && a.count == 0 && !fet__augment_mixes(&a) && !fet__augment_mixes(NULL));
}

static void every_word_says_what_it_means(void **state)
{
    (void)state;
    fet__augment_plan a = parse("rrc=0.2-0.9,ratio=0.5-2,filter=lanczos+jitter=0.1-0.2-0.3-0.4,p=0.8+gray=0.2+"
                                "blur=0.5,sigma=0.5-1.5,kernel=5,kind=box+solarize=0.2,threshold=100+"
                                "rand-m7-n3-mstd0.5-inc1-p0.4-mmax9:filter=bicubic,fill=1-2-3+erase=0.3,count=1-3,"
                                "value=-1.5+mixup=0.2+cutmix=0.7+mix:p=0.9,switch=0.3,partner=shuffled");
    assert_true(a.frame == FET__FRAME_RESIZED_CROP && a.scale[0] == 0.2 && a.scale[1] == 0.9 && a.ratio[1] == 2);
    assert_true(a.own_filter && a.filter == FET__LANCZOS && a.count == 5);
    assert_true(a.steps[0].jitter.hue == 0.4 && a.steps[0].probability == 0.8);
    assert_true(a.steps[1].op == FET__PIXEL_GRAY && a.steps[1].probability == 0.2);
    assert_true(a.steps[2].kernel == 5 && a.steps[2].boxes && a.steps[2].range[1] == 1.5);
    assert_true(a.steps[3].op == FET__PIXEL_SOLARIZE && a.steps[3].range[0] == 100);
    const fet__rand_layers *r = &a.steps[4].layers;
    assert_true(r->magnitude == 7 && r->layers == 3 && r->deviation == 0.5 && r->increasing && r->probability == 0.4);
    assert_true(r->most == 9 && !r->any_filter && r->sampling.filter == FET__BICUBIC && r->sampling.fill[2] == 3);
    assert_true(!a.steps[4].mean_fill);
    assert_true(a.erase.fill == FET__ERASE_CONST && a.erase.value[2] == -1.5f && a.erase.most == 3);
    assert_true(a.mix.mixup == 0.2 && a.mix.cutmix == 0.7 && a.mix.switching == 0.3 && a.mix.shuffled);
    assert_true(fet__augment_mixes(&a));
    a = parse("mixup+mix:p=0");
    assert_false(fet__augment_mixes(&a));
    a = parse("crop=4,mode=symmetric,fill=9+rand-bins:n=1,m=3,bins=11+rotate=30+turn+vflip=1+erase-reid");
    assert_true(a.frame == FET__FRAME_PAD_CROP && a.pad.pad == 4 && a.pad.mode == FET__PAD_SYMMETRIC);
    assert_true(a.pad.fill[0] == 9 && a.pad.fill[2] == 9);
    assert_true(a.steps[0].bins.bins == 11 && a.steps[1].range[0] == -30 && a.steps[1].mean_fill);
    assert_true(a.erase.even_aspect && a.erase.tries == 100 && a.erase.probability == 0.5);
    assert_true(a.erase.value[0] == 0.485f && a.erase.area[1] == 0.4);
}

static void inc0_is_off_and_said(void **state)
{
    (void)state;
    fet__augment_plan a = parse("rand-m9-inc0");
    assert_false(a.steps[0].layers.increasing);
    assert_int_equal(fixture_log_count("inc0 leaves"), 1);
    EXPECT_OK(fet__augment_parse(&a, "rand-m9-inc0", 0, 0)); /* a check ahead says nothing */
    assert_int_equal(fixture_log_count("inc0 leaves"), 1);
    a = parse("rand-m9-inc1");
    assert_true(a.steps[0].layers.increasing);
    assert_int_equal(fixture_log_count("inc0"), 1);
}

static void refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "character 1: a step is missing"},
        {"+", "character 1: a step is missing"},
        {"heavy", "unknown word 'heavy'"},
        {"Light", "the nearest is 'light'"},
        {"flip+rnd-m9-inc1", "character 6: unknown word 'rnd-m9-inc1'; the nearest is 'rand'"},
        {"flip:p=", "character 8: a value"},
        {"flip:=1", "character 6: an option"},
        {"flip:p=0.5,p=0.5", "character 12: 'p' of 'flip' is given twice"},
        {"flip=0.5,p=0.5", "given twice"},
        {"flip=-0.1", "-0.1 is not in 0..1"},
        {"flip=0.5-0.7", "not a number"},
        {"flip=0x1", "not a number"},
        {"flip=1e400", "not a number"},
        {"rrc=0.5-0.7-1", "too many"},
        {"rrc:ratio=-1-2", "-1 is not in"},
        {"rrc:filter=cubic", "none of: nearest box bilinear hamming bicubic lanczos"},
        {"crop:fill=1-2", "one value or three"},
        {"crop:fill=256", "256 is not in 0..255"},
        {"crop:pad=1.5", "not a whole number"},
        {"mix:partner=next", "none of: reversed shuffled"},
        {"erase+erase-reid", "twice"},
        {"erase:mode=pixel,value=1", "mode=const"},
        {"rand-m9-mstd", "section 'mstd'"},
        {"rand--m9", "section ''"},
        {"rand-n0", "0 layers"},
        {"rand-p2", "out of range"},
        {"posterize:bits=-1", "-1 is not in 0..8"},
        {"solarize:threshold=300", "300 is not in"},
        {"sharpness:factor=-1", "-1 is not in"},
        {"blur:kernel=0", "0 is not in"},
        {"flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip+flip", "more than 16"},
        {"flip:a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=1,k=2,l=3,m=4", "too many options"},
    };
    fet__augment_plan a;
    for (size_t i = 0; i < FET_COUNT(cases); i++)
        EXPECT_FAIL(fet__augment_parse(&a, cases[i][0], 64, 64), FET_E_ARG, "augment '", cases[i][1]);
    EXPECT_FAIL(fet__augment_parse(&a, "turn", 64, 32), FET_E_ARG, "square");
    EXPECT_FAIL(fet__augment_parse(&a, "blur:kernel=129", 64, 64), FET_E_ARG, "too wide");
    EXPECT_OK(fet__augment_parse(&a, "blur:kernel=129", 0, 0));
    char *huge = calloc(1, 70000); /* long words and lists end in a refusal too */
    memset(huge, 'a', 69999);
    EXPECT_FAIL(fet__augment_parse(&a, huge, 64, 64), FET_E_ARG, "too long");
    free(huge);
}

/* ---- views --------------------------------------------------------------------------------------------------- */

static const fet__preprocess settings = {.height = 24,
                                         .width = 24,
                                         .mean = {0.5f, 0.4f, 0.3f},
                                         .std = {0.2f, 0.3f, 0.2f},
                                         .filter = FET__BICUBIC,
                                         .crop_pct = 0.875};
enum { VALUES = 24 * 24 * 3 };

static void two_views_of_one_picture(void **state)
{
    (void)state;
    static const char *const specs[] = {"rrc+flip+jitter=0.4-0.4-0.2-0.1,p=0.8+gray=0.2+blur", "crop+flip+turn+rotate",
                                        "flip+solarize=0.5+rand-m9-mstd0.5-inc1+erase=1"};
    float file[VALUES], first[VALUES], second[VALUES];
    fet__image im, was;
    fixture_picture("x.ppm", 40, 50, 1);
    EXPECT_OK(fet__image_read(&im, fixture_path("x.ppm"), &(fet__decode_options){.name = "x"}));
    EXPECT_OK(fet__image_copy(&was, &im));
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        fet__augment_plan a = parse(specs[i]);
        fet__rng r = {.seed = 4}, same = r;
        EXPECT_OK(fet__preprocess_file(file, fixture_path("x.ppm"), &settings, &a, &same));
        EXPECT_OK(fet__preprocess_image(first, &im, &settings, &a, &r));
        EXPECT_OK(fet__preprocess_image(second, &im, &settings, &a, &r));
        assert_memory_equal(file, first, sizeof file);
        assert_memory_not_equal(first, second, sizeof first);
        assert_memory_equal(im.pixels, was.pixels, 40 * 50 * 3);
    }
    EXPECT_OK(fet__preprocess_file(file, fixture_path("x.ppm"), &settings, NULL, NULL));
    EXPECT_OK(fet__preprocess_image(first, &im, &settings, NULL, NULL));
    assert_memory_equal(file, first, sizeof file);
    fet__image_fini(&im);
    fet__image_fini(&was);
}

/* ---- batches --------------------------------------------------------------------------------------------------- */

enum { COUNT = 17, BATCH = 5 };
static fet__sample samples[COUNT];

static void make_samples(void)
{
    fixture_pictures("p", COUNT, 3);
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "p/%02d.ppm", i);
        samples[i] = (fet__sample){.path = strdup(fixture_path(name)), .label = i % 4};
    }
}

static void free_samples(void)
{
    for (int i = 0; i < COUNT; i++)
        free((void *)(uintptr_t)samples[i].path);
}

static fet__loader *open(const char *spec)
{
    fet__augment_plan a = parse(spec);
    fet__loader_options o = {
        .preprocess = settings, .batch = BATCH, .augment = &a, .shuffle = true, .seed = 1, .threads = 3};
    fet__loader *l;
    EXPECT_OK(fet__loader_create(&l, samples, COUNT, &o));
    return l;
}

/* What is mixed is what comes unmixed with the same seed. The last batch has 2 pictures, the others 5: the middle one is its own
 * partner. */
static void mixed_batches_follow_from_plain_ones(void **state)
{
    (void)state;
    make_samples();
    fet__loader *plain = open("rrc+flip"), *mixed = open("rrc+flip+mixup=0.8");
    const fet__batch *a, *b;
    int other = 0;
    for (int epoch = 0; epoch < 3; epoch++) {
        EXPECT_OK(fet__loader_start(plain, epoch, 0));
        EXPECT_OK(fet__loader_start(mixed, epoch, 0));
        for (;;) {
            EXPECT_OK(fet__loader_next(plain, &a));
            EXPECT_OK(fet__loader_next(mixed, &b));
            if (!a || !b)
                break;
            assert_true(!a->labels2 && !a->own);
            for (int i = 0; i < a->count; i++) {
                int k = a->count - 1 - i;
                assert_int_equal(b->labels[i], a->labels[i]);
                assert_int_equal(b->labels2[i], a->labels[k]);
                assert_true(b->own[i] == b->own[0] && b->own[i] >= 0 && b->own[i] <= 1);
                other += b->own[i] < 1;
                for (int v = 0; v < VALUES; v++) {
                    float want = b->own[i] * a->images[i * VALUES + v] + (1 - b->own[i]) * a->images[k * VALUES + v];
                    assert_true(fabsf(b->images[i * VALUES + v] - want) < 1e-5f);
                }
            }
            for (int i = a->count; i < BATCH; i++)
                assert_true(b->labels[i] == -1 && b->labels2[i] == -1 && b->own[i] == 1);
        }
        assert_true(!a && !b);
    }
    assert_true(other > 40);
    fet__loader_destroy(plain);
    fet__loader_destroy(mixed);
    free_samples();
}

/* The share that labels get is the share of pixels that stayed. */
static void cutmix_counts_its_pixels(void **state)
{
    (void)state;
    make_samples();
    fet__loader *plain = open("flip"), *mixed = open("flip+cutmix=1+mix:p=0.8,partner=shuffled");
    const fet__batch *a, *b;
    int whole = 0, batches = 0;
    for (int epoch = 0; epoch < 15; epoch++) {
        EXPECT_OK(fet__loader_start(plain, epoch, 0));
        EXPECT_OK(fet__loader_start(mixed, epoch, 0));
        for (;;) {
            EXPECT_OK(fet__loader_next(plain, &a));
            EXPECT_OK(fet__loader_next(mixed, &b));
            if (!a || !b)
                break;
            batches++;
            whole += b->own[0] == 1;
            int most = 0;
            for (int i = 0; i < a->count; i++) {
                int differ = 0;
                for (int v = 0; v < VALUES; v += 3)
                    differ += memcmp(a->images + i * VALUES + v, b->images + i * VALUES + v, 3 * sizeof(float)) != 0;
                assert_true(differ <= (1 - (double)b->own[i]) * 24 * 24 + 0.01);
                most = differ > most ? differ : most;
            }
            if (b->own[0] < 1 && most > 0) /* noise pictures: nearly every pasted pixel differs */
                assert_true(most > (1 - (double)b->own[0]) * 24 * 24 * 0.8);
        }
    }
    assert_true(whole > batches / 20 && whole < batches / 2);
    fet__loader_destroy(plain);
    fet__loader_destroy(mixed);
    free_samples();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(names_are_texts),          DATA_TEST(every_word_says_what_it_means),
        DATA_TEST(inc0_is_off_and_said),     DATA_TEST(refused),
        DATA_TEST(two_views_of_one_picture), DATA_TEST(mixed_batches_follow_from_plain_ones),
        DATA_TEST(cutmix_counts_its_pixels),
    };
    return cmocka_run_group_tests_name("data_augment", tests, NULL, NULL);
}
