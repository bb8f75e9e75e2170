/* The loader: batches that depend on nothing but seed, epoch and files; unreadable images; stopping in every state. */
#include "data_fixture.h"

#include <time.h>
#include <unistd.h>

#define COUNT 37
#define BATCH 8
#define SIDE 16
#define FLOATS (SIDE * SIDE * 3)

static fet__sample samples[COUNT];

static int begin(void **state)
{
    if (fixture_begin(state))
        return -1;
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        snprintf(name, sizeof name, "%02d.ppm", i);
        fixture_picture(name, 16 + i % 5, 16 + i % 7, (unsigned)i);
        samples[i] = (fet__sample){.path = fet__strdup(fixture_path(name)), .label = i % 4};
    }
    return 0;
}

static int end(void **state)
{
    for (int i = 0; i < COUNT; i++)
        fet__free((void *)(uintptr_t)samples[i].path);
    return fixture_end(state);
}

static void spoil(int i)
{
    char name[32];
    snprintf(name, sizeof name, "%02d.ppm", i);
    fixture_text(name, "not an image");
}

/* Every kind of augmentation there is, beside the named ones. */
#define MUCH                                                                                                           \
    "strong+vflip+turn=0.5+gray=0.3+blur=0.5,sigma=0.1-1+rand-m9-mstd0.5-inc1+rand-bins:m=5+erase=0.7+mixup=0.8+"      \
    "cutmix=1"
static const char *const specs[] = {"none", "light", "strong", MUCH,
                                    "crop:pad=3,mode=reflect+flip+erase-reid+mixup=0.2+mix:p=0.7,partner=shuffled"};

static fet__loader_options options(const char *spec, int threads)
{
    static fet__augment_plan plans[8];
    static int next_plan;
    fet__augment_plan *plan = &plans[next_plan++ % 8];
    EXPECT_OK(fet__augment_parse(plan, spec, SIDE, SIDE));
    return (fet__loader_options){.preprocess = {.height = SIDE,
                                                .width = SIDE,
                                                .mean = {0.5f, 0.5f, 0.5f},
                                                .std = {0.25f, 0.25f, 0.25f},
                                                .filter = FET__BILINEAR,
                                                .crop_pct = 0.9},
                                 .batch = BATCH,
                                 .augment = plan,
                                 .shuffle = true,
                                 .seed = 3,
                                 .threads = threads};
}

static fet__loader *create(const fet__loader_options *o)
{
    fet__loader *l;
    EXPECT_OK(fet__loader_create(&l, samples, COUNT, o));
    return l;
}

static const fet__batch *next(fet__loader *l)
{
    const fet__batch *b;
    EXPECT_OK(fet__loader_next(l, &b));
    return b;
}

static uint64_t mix(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t hash_batch(const fet__batch *b)
{
    uint64_t h = mix(0xcbf29ce484222325u, b->images, sizeof(float) * FLOATS * BATCH);
    h = mix(h, b->labels, sizeof *b->labels * BATCH);
    h = mix(h, b->index, sizeof *b->index * BATCH);
    if (b->own) {
        h = mix(h, b->labels2, sizeof *b->labels2 * BATCH);
        h = mix(h, b->own, sizeof *b->own * BATCH);
    }
    return mix(mix(h, &b->count, sizeof b->count), &b->step, sizeof b->step);
}

/* hash[step] of a whole epoch from first_step on. */
static int run_epoch(uint64_t *hash, fet__loader *l, int64_t epoch, int64_t first_step)
{
    const fet__batch *b;
    int count = 0;
    EXPECT_OK(fet__loader_start(l, epoch, first_step));
    while ((b = next(l)) != NULL) {
        assert_int_equal(b->step, first_step + count);
        hash[b->step] = hash_batch(b);
        count++;
    }
    assert_null(next(l)); /* and it stays at its end */
    return count;
}

/* ---- what a batch is ------------------------------------------------------------------------------------- */

static void every_sample_once(void **state)
{
    (void)state;
    fet__loader_options o = options("none", 2);
    fet__loader *l = create(&o);
    const fet__batch *b;
    int seen[COUNT] = {0}, total = 0, in_place = 0;
    float *alone = calloc(FLOATS, sizeof *alone);
    assert_int_equal(fet__loader_steps(l), 5);
    assert_null(next(l)); /* not started */
    EXPECT_OK(fet__loader_start(l, 0, 0));
    while ((b = next(l)) != NULL) {
        assert_int_equal(b->count, b->step == 4 ? 5 : BATCH);
        for (int i = 0; i < b->count; i++, total++) {
            seen[b->index[i]]++;
            in_place += b->index[i] == total;
            assert_int_equal(b->labels[i], samples[b->index[i]].label);
            EXPECT_OK(fet__preprocess_file(alone, samples[b->index[i]].path, &o.preprocess, NULL, NULL));
            assert_memory_equal(b->images + i * FLOATS, alone, FLOATS * sizeof *alone);
        }
        for (int i = b->count; i < BATCH; i++) {
            assert_int_equal(b->labels[i], -1);
            for (int k = 0; k < FLOATS; k++)
                assert_true(b->images[i * FLOATS + k] == 0);
        }
    }
    assert_int_equal(total, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
    assert_true(in_place < COUNT / 2);
    free(alone);
    fet__loader_destroy(l);
}

static void drop_last_and_no_shuffle(void **state)
{
    (void)state;
    fet__loader_options o = options("none", 2);
    const fet__batch *b;
    int at = 0;
    o.drop_last = true;
    o.shuffle = false;
    fet__loader *l = create(&o);
    assert_int_equal(fet__loader_steps(l), 4);
    EXPECT_OK(fet__loader_start(l, 9, 0));
    while ((b = next(l)) != NULL)
        for (int i = 0; i < BATCH; i++)
            assert_int_equal(b->index[i], at++);
    assert_int_equal(at, 32);
    fet__loader_destroy(l);
}

static void batch_larger_than_the_data(void **state)
{
    (void)state;
    fet__loader_options o = options("none", 3);
    o.batch = 100;
    fet__loader *l = create(&o);
    EXPECT_OK(fet__loader_start(l, 0, 0));
    const fet__batch *b = next(l);
    assert_int_equal(b->count, COUNT);
    assert_int_equal(b->labels[99], -1);
    assert_null(next(l));
    fet__loader_destroy(l);
}

/* ---- what it does not depend on --------------------------------------------------------------------------- */

static void threads_and_prefetch_do_not_matter(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 7}, prefetch[] = {0, 1, 4};
    for (size_t a = 0; a < FET_COUNT(specs); a++) {
        uint64_t want[2][5], got[5];
        for (size_t i = 0; i < FET_COUNT(threads); i++) {
            fet__loader_options o = options(specs[a], threads[i]);
            o.prefetch = prefetch[i];
            fet__loader *l = create(&o);
            for (int epoch = 0; epoch < 2; epoch++) {
                assert_int_equal(run_epoch(i ? got : want[epoch], l, epoch, 0), 5);
                if (i)
                    assert_memory_equal(got, want[epoch], sizeof got);
            }
            fet__loader_destroy(l);
        }
        assert_memory_not_equal(want[0], want[1], sizeof want[0]);
    }
}

static void resuming_equals_going_on(void **state)
{
    (void)state;
    for (int spoiled = 0; spoiled < 2; spoiled++) {
        uint64_t whole[5], part[5];
        fet__loader_options o = options("strong", 2);
        fet__loader *l = create(&o);
        run_epoch(part, l, 0, 0);
        run_epoch(whole, l, 1, 0);
        fet__loader_destroy(l);
        for (int first = 0; first <= 5; first++) {
            l = create(&o); /* as a new process would */
            memcpy(part, whole, sizeof part);
            for (int i = first; i < 5; i++)
                part[i] = 0;
            assert_int_equal(run_epoch(part, l, 1, first), 5 - first);
            assert_memory_equal(part, whole, sizeof part);
            fet__loader_destroy(l);
        }
        spoil(3);
        spoil(4);
        spoil(20);
    }
}

static void cache_does_not_matter(void **state)
{
    (void)state;
    static const int64_t limits[] = {0, 5000, 1 << 20};
    for (size_t a = 0; a < FET_COUNT(specs); a++) {
        uint64_t want[3][5], got[5];
        for (size_t i = 0; i < FET_COUNT(limits); i++) {
            fet__loader_options o = options(specs[a], 2);
            o.cache_bytes = limits[i];
            fet__loader *l = create(&o);
            for (int epoch = 0; epoch < 3; epoch++) {
                run_epoch(i ? got : want[epoch], l, epoch, 0);
                if (i)
                    assert_memory_equal(got, want[epoch], sizeof got);
            }
            fet__loader_destroy(l);
        }
    }
}

/* From the second epoch on nothing is read again, and nothing of ours is allocated. */
static void cache_is_used(void **state)
{
    (void)state;
    uint64_t first[5], second[5];
    fet__loader_options o = options("none", 2);
    o.cache_bytes = 1 << 20;
    o.strict = true;
    o.shuffle = false;
    fet__loader *l = create(&o);
    run_epoch(first, l, 0, 0);
    for (int i = 0; i < COUNT; i++)
        spoil(i);
    uint64_t calls = fet__alloc_calls();
    run_epoch(second, l, 1, 0);
    assert_int_equal(fet__alloc_calls(), calls);
    assert_memory_equal(first, second, sizeof first);
    fet__loader_destroy(l);
}

/* ---- unreadable images ----------------------------------------------------------------------------------- */

static void unreadable_are_replaced_by_the_next(void **state)
{
    (void)state;
    uint64_t want[5], got[5];
    spoil(4);
    spoil(5);
    spoil(36); /* the last: the order goes on at its beginning */
    for (int threads = 1; threads <= 7; threads += 3) {
        fet__loader_options o = options("light", threads);
        fet__loader *l;
        const fet__batch *b;
        o.shuffle = false;
        fixture_log_clear();
        l = create(&o);
        EXPECT_OK(fet__loader_start(l, 0, 0));
        while ((b = next(l)) != NULL)
            for (int i = 0; i < b->count; i++) {
                int at = (int)b->step * BATCH + i;
                assert_int_equal(b->index[i], at == 4 || at == 5 ? 6 : at == 36 ? 0 : at);
                assert_int_equal(b->labels[i], samples[b->index[i]].label);
            }
        assert_int_equal(fet__loader_skipped(l), 3);
        run_epoch(threads == 1 ? want : got, l, 1, 0);
        if (threads > 1)
            assert_memory_equal(want, got, sizeof want);
        assert_int_equal(fet__loader_skipped(l), 3);
        assert_int_equal(fixture_log_count("unreadable image skipped"), 3); /* named once, not in each epoch */
        assert_int_equal(fixture_log_count("36.ppm"), 1);
        fet__loader_destroy(l);
    }
}

static void strict_stops_at_the_batch(void **state)
{
    (void)state;
    spoil(17);
    spoil(19);
    spoil(30);
    for (int threads = 1; threads <= 7; threads += 3) {
        fet__loader_options o = options("none", threads);
        const fet__batch *b;
        o.strict = true;
        o.shuffle = false;
        fet__loader *l = create(&o);
        for (int again = 0; again < 2; again++) {
            EXPECT_OK(fet__loader_start(l, 0, 0));
            assert_int_equal(next(l)->step, 0);
            assert_int_equal(next(l)->step, 1);
            for (int k = 0; k < 3; k++) {
                EXPECT_FAIL(fet__loader_next(l, &b), FET_E_FORMAT, "17.ppm"); /* the first one, whatever the threads */
                assert_null(b);
            }
        }
        fet__loader_destroy(l);
    }
}

static void nothing_readable_is_an_error(void **state)
{
    (void)state;
    const fet__batch *b;
    for (int i = 0; i < COUNT; i++)
        spoil(i);
    fet__loader_options o = options("strong", 2);
    fet__loader *l = create(&o);
    EXPECT_OK(fet__loader_start(l, 0, 0));
    EXPECT_FAIL(fet__loader_next(l, &b), FET_E_DATA, "none of the 37 images can be read");
    assert_int_equal(fet__loader_skipped(l), COUNT);
    fet__loader_destroy(l);
}

static void lack_of_memory_is_no_bad_image(void **state)
{
    (void)state;
    const fet__batch *b;
    fet__loader_options o = options("strong", 1);
    fet__loader *l = create(&o);
    int failures = 0;
    for (uint64_t n = 1; n < 40; n++) {
        fet__alloc_fail_after(n);
        EXPECT_OK(fet__loader_start(l, 0, 0));
        fet_status st = FET_OK;
        do {
            st = fet__loader_next(l, &b);
        } while (st == FET_OK && b);
        fet__alloc_fail_after(0);
        assert_true(st == FET_OK || st == FET_E_NOMEM);
        failures += st == FET_E_NOMEM;
    }
    assert_true(failures > 10);
    assert_int_equal(fet__loader_skipped(l), 0);
    fet__loader_destroy(l);
    failures = 0;
    for (uint64_t n = 1; n < 40; n++) {
        fet__alloc_fail_after(n);
        fet_status st = fet__loader_create(&l, samples, COUNT, &o);
        fet__alloc_fail_after(0);
        failures += st == FET_E_NOMEM;
        fet__loader_destroy(l);
    }
    assert_true(failures > 10);
}

/* ---- states ---------------------------------------------------------------------------------------------- */

static void stopping_in_every_state(void **state)
{
    (void)state;
    fet__loader_options o = options("strong", 3);
    uint64_t want[5], got[5];
    fet__loader *l = create(&o);
    run_epoch(want, l, 4, 0);
    for (int taken = 0; taken <= 5; taken++) { /* start over while workers are busy with another epoch */
        EXPECT_OK(fet__loader_start(l, 2, 0));
        for (int i = 0; i < taken; i++)
            next(l);
        run_epoch(got, l, 4, 0);
        assert_memory_equal(want, got, sizeof want);
    }
    fet__loader_destroy(l);
    fet__loader_destroy(NULL);
    fet__loader_destroy(create(&o));
    for (int taken = 0; taken <= 5; taken++) {
        l = create(&o);
        EXPECT_OK(fet__loader_start(l, 0, 0));
        for (int i = 0; i < taken; i++)
            next(l);
        fet__loader_destroy(l);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void waiting_takes_no_time(void **state)
{
    (void)state;
    fet__loader_options o = options("none", 4);
    fet__loader *l = create(&o);
    EXPECT_OK(fet__loader_start(l, 0, 0));
    next(l);
    usleep(100000); /* the ring is full by now */
    double before = cpu_seconds();
    usleep(400000);
    assert_true(cpu_seconds() - before < 0.05);
    fet__loader_destroy(l);
}

static void refused(void **state)
{
    (void)state;
    fet__loader *l = NULL;
#define REFUSED(code, change, part)                                                                                    \
    do {                                                                                                               \
        fet__loader_options o = options("none", 1);                                                                    \
        int count = COUNT;                                                                                             \
        change;                                                                                                        \
        EXPECT_FAIL(fet__loader_create(&l, samples, count, &o), code, part);                                           \
        assert_null(l);                                                                                                \
    } while (0)
    REFUSED(FET_E_DATA, count = 0, "no images");
    REFUSED(FET_E_ARG, o.batch = 0, "a batch of 0");
    REFUSED(FET_E_ARG, o.threads = -1, "-1 loader threads");
    REFUSED(FET_E_ARG, o.prefetch = -1, "-1 batches");
    REFUSED(FET_E_ARG, o.cache_bytes = -1, "-1 bytes");
    REFUSED(FET_E_ARG, o.preprocess.height = 0, "0 x 16");
    REFUSED(FET_E_DATA, (o.drop_last = true, o.batch = 38), "do not fill one batch of 38");
    REFUSED(FET_E_NOMEM, (o.batch = INT32_MAX, o.preprocess.height = 16384, o.preprocess.width = 16384),
            "2147483647 images");
#undef REFUSED
    fet__loader_options o = options("none", 1);
    l = create(&o);
    EXPECT_FAIL(fet__loader_start(l, -1, 0), FET_E_ARG, "epoch -1");
    EXPECT_FAIL(fet__loader_start(l, 0, 6), FET_E_ARG, "batch 6 is not in 0..5");
    fet__loader_destroy(l);
}

#define LOADER_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOADER_TEST(every_sample_once),
        LOADER_TEST(drop_last_and_no_shuffle),
        LOADER_TEST(batch_larger_than_the_data),
        LOADER_TEST(threads_and_prefetch_do_not_matter),
        LOADER_TEST(resuming_equals_going_on),
        LOADER_TEST(cache_does_not_matter),
        LOADER_TEST(cache_is_used),
        LOADER_TEST(unreadable_are_replaced_by_the_next),
        LOADER_TEST(strict_stops_at_the_batch),
        LOADER_TEST(nothing_readable_is_an_error),
        LOADER_TEST(lack_of_memory_is_no_bad_image),
        LOADER_TEST(stopping_in_every_state),
        LOADER_TEST(waiting_takes_no_time),
        LOADER_TEST(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
