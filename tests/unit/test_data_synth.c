/* Synthetic data: layout, determinism, that pictures show their label, and failures that leave nothing behind. */
#include "data_fixture.h"

#include <math.h>
#include <unistd.h>

static void layout_and_defaults(void **state)
{
    (void)state;
    int64_t images = 0;
    fet__dataset d;
    fet__check_report r;
    EXPECT_OK(fet__synth(fixture_path("s/"), NULL, &images));
    assert_int_equal(images, 2 * 5 * (60 + 20));
    EXPECT_OK(fet__dataset_open(&d, fixture_path("s/sketch"), NULL));
    assert_int_equal(d.class_count, 5);
    assert_string_equal(d.classes[0], "cross");
    assert_string_equal(d.classes[1], "disc");
    assert_int_equal(d.count[FET__TRAIN], 300);
    assert_int_equal(d.count[FET__VAL], 100);
    assert_true(strstr(d.samples[FET__TRAIN][0].path, "/sketch/train/cross/0000.png") != NULL);
    EXPECT_OK(fet__dataset_check(&r, &d, NULL, NULL, NULL));
    assert_int_equal(r.images, 400);
    assert_int_equal(r.unreadable + r.duplicates + r.empty_classes, 0);
    assert_int_equal(r.min_height, 32);
    assert_int_equal(r.max_width, 32);
    fet__dataset_fini(&d);
}

static fet_status collect_hash(uint64_t *hash, const char *name)
{
    fet__map m;
    fet_status st = fet__map_open(&m, fixture_path(name));
    if (st != FET_OK)
        return st;
    *hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < m.size; i++)
        *hash = (*hash ^ m.data[i]) * 0x100000001b3u;
    fet__map_close(&m);
    return FET_OK;
}

/* A picture depends on the seed and its own path: not on threads, nor on how many others there are. */
static void pictures_depend_on_seed_and_path(void **state)
{
    (void)state;
    static const char *const names[] = {"flat/train/star/0002.png", "textured/val/bars/0001.png",
                                        "faded/train/ring/0000.png", "sketch/val/cross/0000.png"};
    fet__synth_options o = {
        .classes = 4, .domains = 4, .per_class = 3, .val_per_class = 2, .first_class = 3, .seed = 11};
    int threads = fet__threads();
    fet__set_threads(1);
    EXPECT_OK(fet__synth(fixture_path("a"), &o, NULL));
    fet__set_threads(7);
    o.first_class = 2;
    o.classes = 6;
    o.per_class = 5;
    EXPECT_OK(fet__synth(fixture_path("b"), &o, NULL));
    fet__set_threads(threads);
    o.seed = 12;
    EXPECT_OK(fet__synth(fixture_path("c"), &o, NULL));
    for (size_t i = 0; i < FET_COUNT(names); i++) {
        uint64_t h[3];
        for (int k = 0; k < 3; k++) {
            char name[64];
            snprintf(name, sizeof name, "%c/%s", 'a' + k, names[i]);
            EXPECT_OK(collect_hash(&h[k], name));
        }
        assert_true(h[0] == h[1]);
        assert_true(h[0] != h[2]);
    }
}

/* ---- the label can be seen --------------------------------------------------------------------------------- */

#define SIDE 16

/* Where the picture differs from its frame, moved to the middle: a crude outline of what is in it. */
static void outline(float f[SIDE * SIDE], const char *path)
{
    fet__image im;
    float gray[32 * 32], frame = 0, sum = 0, cx = 0, cy = 0, norm = 0;
    EXPECT_OK(fet__image_read(&im, path, &(fet__decode_options){.name = path}));
    for (int i = 0; i < 32 * 32; i++)
        gray[i] = 0.299f * im.pixels[i * 3] + 0.587f * im.pixels[i * 3 + 1] + 0.114f * im.pixels[i * 3 + 2];
    for (int i = 0; i < 32; i++)
        frame += (gray[i] + gray[31 * 32 + i] + gray[32 * i] + gray[32 * i + 31]) / 128;
    for (int i = 0; i < 32 * 32; i++) {
        gray[i] = fabsf(gray[i] - frame) > 25 ? 1.0f : 0.0f;
        sum += gray[i];
        int x = i % 32, y = i / 32;
        cx += gray[i] * (float)x;
        cy += gray[i] * (float)y;
    }
    memset(f, 0, sizeof(float) * SIDE * SIDE);
    for (int i = 0; i < 32 * 32 && sum > 0; i++) {
        int from_x = i % 32, from_y = i / 32;
        int x = (int)(((float)from_x - cx / sum + SIDE) / 2), y = (int)(((float)from_y - cy / sum + SIDE) / 2);
        if (x >= 0 && y >= 0 && x < SIDE && y < SIDE)
            f[y * SIDE + x] += gray[i];
    }
    for (int i = 0; i < SIDE * SIDE; i++)
        norm += f[i] * f[i];
    for (int i = 0; i < SIDE * SIDE && norm > 0; i++)
        f[i] /= sqrtf(norm);
    fet__image_fini(&im);
}

static int nearest_neighbour_hits(const char *folder, int *count)
{
    fet__dataset d;
    int hits = 0;
    EXPECT_OK(fet__dataset_open(&d, folder, NULL));
    float(*train)[SIDE * SIDE] = malloc(sizeof *train * (size_t)d.count[FET__TRAIN]);
    assert_non_null(train);
    for (int i = 0; i < d.count[FET__TRAIN]; i++)
        outline(train[i], d.samples[FET__TRAIN][i].path);
    for (int v = 0; v < d.count[FET__VAL]; v++) {
        float f[SIDE * SIDE], best = -1;
        int label = -1;
        outline(f, d.samples[FET__VAL][v].path);
        for (int i = 0; i < d.count[FET__TRAIN]; i++) {
            float dot = 0;
            for (int k = 0; k < SIDE * SIDE; k++)
                dot += f[k] * train[i][k];
            if (dot > best) {
                best = dot;
                label = d.samples[FET__TRAIN][i].label;
            }
        }
        hits += label == d.samples[FET__VAL][v].label;
    }
    *count = d.count[FET__VAL];
    free(train);
    fet__dataset_fini(&d);
    return hits;
}

static void pictures_show_their_label(void **state)
{
    (void)state;
    fet__synth_options o = {.classes = 10, .domains = 4, .per_class = 30, .val_per_class = 8};
    EXPECT_OK(fet__synth(fixture_path("s"), &o, NULL));
    for (int k = 0; k < FET__STYLES; k++) {
        char name[64];
        int count, hits;
        snprintf(name, sizeof name, "s/%s", fet__style_names[k]);
        hits = nearest_neighbour_hits(fixture_path(name), &count);
        print_message("%s: %d of %d by nearest outline\n", fet__style_names[k], hits, count);
        assert_true(hits * 10 > count * 3); /* chance is 1 in 10; this looks at crude outlines only */
    }
}

/* ---- failures -------------------------------------------------------------------------------------------- */

static void refused(void **state)
{
    (void)state;
    int64_t n;
#define REFUSED(part, ...)                                                                                             \
    EXPECT_FAIL(fet__synth(fixture_path("x"), &(fet__synth_options){__VA_ARGS__}, &n), FET_E_ARG, part)
    REFUSED("1 classes", .classes = 1);
    REFUSED("11 classes", .classes = 11);
    REFUSED("from number 7", .classes = 4, .first_class = 7);
    REFUSED("-1", .first_class = -1);
    REFUSED("5 domains", .domains = 5);
    REFUSED("-2 domains", .domains = -2);
    REFUSED("-3 training", .per_class = -3);
    REFUSED("2000000000", .val_per_class = 2000000000);
    REFUSED("size of 4", .size = 4);
    REFUSED("size of 100000", .size = 100000);
#undef REFUSED
    assert_false(fet__file_exists(fixture_path("x")));
    fixture_text("there/keep.txt", "x");
    EXPECT_FAIL(fet__synth(fixture_path("there"), NULL, &n), FET_E_ARG, "there exists");
    fixture_text("file", "x");
    EXPECT_FAIL(fet__synth(fixture_path("file/below"), NULL, &n), FET_E_IO, "file");
}

/* Memory fails at any allocation: an error, and neither the result nor a half-made folder. */
static void failure_leaves_nothing(void **state)
{
    (void)state;
    fet__synth_options o = {.classes = 2, .domains = 1, .per_class = 2, .val_per_class = 1};
    int failures = 0;
    for (uint64_t n = 1; n < 400; n += 7) {
        char **names;
        int count;
        fet__alloc_fail_after(n);
        fet_status st = fet__synth(fixture_path("s"), &o, NULL);
        fet__alloc_fail_after(0);
        if (st == FET_OK)
            break;
        failures++;
        assert_int_equal(st, FET_E_NOMEM);
        EXPECT_OK(fet__list_folder(&names, &count, fixture_path("")));
        assert_int_equal(count, 0);
        fet__names_free(names, count);
    }
    assert_true(failures > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(layout_and_defaults),       DATA_TEST(pictures_depend_on_seed_and_path),
        DATA_TEST(pictures_show_their_label), DATA_TEST(refused),
        DATA_TEST(failure_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
