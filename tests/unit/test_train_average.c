/* --ema: the average follows its formula and does not disturb training, files hold the average, and a run that was stopped ends with
 * the same bits, on mixed batches too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fettle/fettle.h"
#include "store/store.h"

#define DECAY 0.9
static char folder[] = "/tmp/fettle-average-XXXXXX";
static volatile int stop;
static int64_t stop_at;

static int begin(void **state)
{
    fet_synth_options o = {.classes = 2, .domains = 1, .per_class = 12, .val_per_class = 4, .size = 16};

    (void)state;
    fet_set_threads(2);
    return mkdtemp(folder) && chdir(folder) == 0 && fet_data_synth("shapes", &o, NULL) == FET_OK ? 0 : -1;
}

static int end(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

static void watch(void *user, const fet_train_progress *p)
{
    (void)user;
    if (p->step == stop_at)
        stop = 15;
}

static fet_status train(const char *out, double ema, int64_t steps, int resume)
{
    fet_tune_options o;
    fet_tune_result r;

    fet_tune_defaults(&o);
    stop = 0;
    o.data = "shapes/flat";
    o.out = out;
    o.resume = resume;
    o.model_options.arch = "vit:dim=16,depth=1,heads=2,patch=8,img=16";
    o.steps = steps;
    o.batch = 5;
    o.lr = 0.01;
    o.warmup = 0;
    o.schedule = "constant";
    o.augment = "crop+flip+mixup=0.8+cutmix=1";
    o.ema = ema;
    o.seed = 3;
    o.progress = watch;
    o.stop = &stop;
    return fet_train(&o, &r);
}

static void trained(const char *out, double ema, int64_t steps)
{
    stop_at = -1;
    if (train(out, ema, steps, 0) != FET_OK)
        fail_msg("%s", fet_error_message());
}

static fet__tensors *open(const char *run, const char *file)
{
    char path[128];
    fet__tensors *t;

    snprintf(path, sizeof path, "%s/%s", run, file);
    if (fet__tensors_open(&t, path) != FET_OK)
        fail_msg("%s", fet_error_message());
    return t;
}

/* The entry PREFIX NAME SUFFIX, which must be there. */
static const fet__entry *entry(const fet__tensors *t, const char *prefix, const char *name, const char *suffix)
{
    char full[256];
    const fet__entry *e;

    snprintf(full, sizeof full, "%s%s%s", prefix, name, suffix);
    e = fet__tensors_find(t, full);
    if (!e)
        fail_msg("%s is missing", full);
    return e;
}

/* ---- the tests ---------------------------------------------------------------------------------------------------- */

/* Runs of 1, 2 and 3 steps share their beginning: average_k = d average_(k-1) + (1 - d) weights_k. */
static void follows_its_formula(void **state)
{
    fet__tensors *a, *b, *plain;
    int compared = 0;

    (void)state;
    trained("one", DECAY, 1);
    trained("two", DECAY, 2);
    trained("plain", 0, 2);
    a = open("one", "state.safetensors");
    b = open("two", "state.safetensors");
    plain = open("plain", "state.safetensors");
    for (int i = 0; i < fet__tensors_count(plain); i++) {
        const fet__entry *p = fet__tensors_at(plain, i);
        const char *name = p->name + strlen("param.");
        const float *first, *second, *weights, *before;

        if (strncmp(p->name, "param.", 6) != 0)
            continue;
        weights = entry(b, "param.", name, "")->data;
        assert_memory_equal(weights, p->data, (size_t)p->bytes); /* training is not disturbed */
        before = entry(a, "param.", name, "")->data;
        first = entry(a, "optim.", name, ".ema")->data;
        second = entry(b, "optim.", name, ".ema")->data;
        for (int64_t k = 0; k < p->bytes / 4; k++) {
            double initial = ((double)first[k] - (1 - DECAY) * (double)before[k]) / DECAY;

            assert_true(fabs((double)second[k] - DECAY * (double)first[k] - (1 - DECAY) * (double)weights[k]) < 1e-6);
            assert_true(fabs(initial - (double)before[k]) < 0.0101); /* Adam's first step is the rate */
            compared++;
        }
    }
    assert_true(compared > 1000);
    fet__tensors_close(a);
    fet__tensors_close(b);
    fet__tensors_close(plain);
}

static void files_hold_the_average(void **state)
{
    fet__tensors *s, *m;

    (void)state;
    trained("whole", DECAY, 12);
    s = open("whole", "state.safetensors");
    m = open("whole", "model.safetensors");
    assert_true(fet__tensors_count(m) > 10);
    for (int i = 0; i < fet__tensors_count(m); i++) {
        const fet__entry *e = fet__tensors_at(m, i), *average = entry(s, "optim.", e->name, ".ema");

        assert_int_equal(e->bytes, average->bytes);
        assert_memory_equal(e->data, average->data, (size_t)e->bytes);
        assert_memory_not_equal(e->data, entry(s, "param.", e->name, "")->data, (size_t)e->bytes);
    }
    fet__tensors_close(s);
    fet__tensors_close(m);
}

static void same_tensors(const char *file)
{
    fet__tensors *a = open("whole", file), *b = open("parts", file);

    assert_int_equal(fet__tensors_count(a), fet__tensors_count(b));
    for (int i = 0; i < fet__tensors_count(a); i++) {
        const fet__entry *e = fet__tensors_at(a, i), *o = entry(b, "", e->name, "");

        assert_int_equal(e->bytes, o->bytes);
        assert_memory_equal(e->data, o->data, (size_t)e->bytes);
    }
    fet__tensors_close(a);
    fet__tensors_close(b);
}

/* Stopped within an epoch and again; "whole" is the test's before. */
static void stopped_runs_end_alike(void **state)
{
    (void)state;
    stop_at = 2;
    assert_int_equal(train("parts", DECAY, 12, 0), FET_E_INTERRUPTED);
    stop_at = 8;
    assert_int_equal(train("parts", DECAY, 12, 1), FET_E_INTERRUPTED);
    stop_at = -1;
    assert_int_equal(train("parts", DECAY, 12, 1), FET_OK);
    same_tensors("state.safetensors");
    same_tensors("model.safetensors");
    same_tensors("adapter.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_its_formula),
        cmocka_unit_test(files_hold_the_average),
        cmocka_unit_test(stopped_runs_end_alike),
    };

    return cmocka_run_group_tests_name("train_average", tests, begin, end);
}
