/* The step's program and the optimisers in it: labels that are missing, what must not change, failures that
 * leave the weights alone, no allocation, repeatable random numbers. Reference values are in the parity run.
 * */
#include "unit/model_testing.h"

#include "train/train.h"

enum { BATCH = 4, IMAGE = 8 * 8 * 3 };

static fet__step begin(fet__model *m, fet__step_options o)
{
    fet__step s;

    o.batch = BATCH;
    assert_ok(fet__step_create(&s, m, &o));
    fet__init_fill(s.images, FET_F32, BATCH * IMAGE, (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    for (int i = 0; i < BATCH; i++)
        s.labels[i] = i;
    return s;
}

static void step(fet__step *s, const fet__optimizer_options *o, int k, double lr)
{
    if (s->step)
        *s->step = k;
    fet__optimizer_bind(o, s->program, k, lr);
    assert_ok(fet__program_run(s->program));
}

/* ---- evaluation in parts ----------------------------------------------------------------------------------- */

/* A batch that leaves the cache is run in parts, the last of which is not full: the same results as all at once. */
static void parts_change_nothing(void **state)
{
    enum { COUNT = 23, SIDE = 64 };
    fet__model *m = tiny("vit:dim=96,depth=1,heads=3,patch=4,img=64,classes=5");
    fet__step_options o = {.batch = COUNT}, whole = {.batch = COUNT, .reference = true};
    fet__step a, b;

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__step_create(&a, m, &o));
    assert_ok(fet__step_create(&b, m, &whole));
    assert_true(a.part < COUNT && COUNT % a.part != 0);
    assert_int_equal(b.part, COUNT);
    fet__init_fill(a.images, FET_F32, COUNT * SIDE * SIDE * 3, (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    memcpy(b.images, a.images, COUNT * SIDE * SIDE * 3 * sizeof(float));
    for (int i = 0; i < COUNT; i++)
        a.labels[i] = b.labels[i] = i % 6 - 1; /* some are -1 */
    assert_ok(fet__step_compute(&a));
    assert_ok(fet__step_compute(&b));
    for (int i = 0; i < COUNT * 5; i++)
        assert_true(fabs((double)a.logits[i] - (double)b.logits[i]) < 1e-4);
    for (int i = 0; i < COUNT * 96; i++)
        assert_true(fabs((double)a.features[i] - (double)b.features[i]) < 1e-4);
    assert_true(fabs((double)*a.loss - (double)*b.loss) < 1e-5);
    fet__step_fini(&a);
    fet__step_fini(&b);
    fet__model_close(m);
}

/* ---- loss ------------------------------------------------------------------------------------------------ */

static double cross_entropy(const float *logits, int classes, int label, double smoothing)
{
    double sum = 0, most = -INFINITY, loss = 0;

    for (int c = 0; c < classes; c++)
        most = fmax(most, (double)logits[c]);
    for (int c = 0; c < classes; c++)
        sum += exp((double)logits[c] - most);
    for (int c = 0; c < classes; c++)
        loss -= ((c == label) * (1 - smoothing) + smoothing / classes) * ((double)logits[c] - most - log(sum));
    return loss;
}

/* Label -1 fills up a last batch: it counts neither in the sum nor in the mean. */
static void labels_that_fill_up(void **state)
{
    static const int32_t labels[][BATCH] = {{0, 1, 2, 3}, {4, -1, 2, -1}, {-1, -1, -1, 0}};
    fet__model *m = tiny(TINY);
    fet__step s;

    (void)state;
    scatter(m, false, 0.3);
    s = begin(m, (fet__step_options){.smoothing = 0.1});
    for (size_t k = 0; k < FET_COUNT(labels); k++) {
        double sum = 0;
        int n = 0;
        memcpy(s.labels, labels[k], sizeof labels[k]);
        assert_ok(fet__program_run(s.program));
        for (int i = 0; i < BATCH; i++) {
            if (labels[k][i] < 0)
                continue;
            sum += cross_entropy(s.logits + 5 * i, 5, labels[k][i], 0.1);
            n++;
        }
        assert_true(fabs((double)*s.loss - sum / n) < 1e-5);
    }
    memset(s.labels, -1, BATCH * sizeof *s.labels);
    assert_ok(fet__program_run(s.program));
    assert_true(*s.loss == 0);
    s.labels[2] = 5;
    assert_int_not_equal(fet__program_run(s.program), FET_OK);
    assert_non_null(strstr(fet_error_message(), "5"));
    fet__step_fini(&s);
    fet__model_close(m);
}

/* ---- what trains ----------------------------------------------------------------------------------------- */

static char *copy_of(const fet__model *m)
{
    size_t bytes = 0;
    char *copy;

    for (int i = 0; i < fet__params_count(m->store); i++)
        bytes += (size_t)fet__params_at(m->store, i)->bytes;
    copy = fet__alloc(bytes, 1);
    assert_non_null(copy);
    bytes = 0;
    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        memcpy(copy + bytes, p->data, (size_t)p->bytes);
        bytes += (size_t)p->bytes;
    }
    return copy;
}

/* Frozen tensors stay as they are, bit for bit; those that train move. In the first step up projections alone
 * move of the branches: they begin at zero, so nothing flows to what lies before them (methods/hydra.md 1.5).
 * */
static void frozen_stays(void **state)
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__model *m = tiny(TINY);
    fet__step s;
    char *before;
    size_t at = 0;
    int count;

    (void)state;
    adamw.weight_decay = 0;
    assert_ok(fet__model_attach(m, "hydra:at=mlp.fc2,rank=2"));
    before = copy_of(m);
    count = fet__params_count(m->store);
    s = begin(m, (fet__step_options){.train = true, .optimizer = &adamw});
    assert_int_equal(s.trainable, 2 * 8 + 2);
    step(&s, &adamw, 0, 1e-2);
    for (int i = 0; i < count; i++) {
        const fet__param *p = fet__params_at(m->store, i);
        bool moved = memcmp(p->data, before + at, (size_t)p->bytes) != 0;
        bool should = strstr(p->name, ".up.") || strncmp(p->name, "head.", 5) == 0;
        if (moved != should)
            fail_msg("%s %s", p->name, moved ? "moved" : "stayed");
        at += (size_t)p->bytes;
    }
    fet__step_fini(&s);
    fet__free(before);
    fet__model_close(m);
}

static void loss_falls(void **state)
{
    static const char *const specs[] = {"hydra:at=attn.proj+mlp.fc2", "lora", "seqlora", "bitfit", "linear", "full"};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(specs); i++) {
        fet__optimizer_options adamw = fet__optimizer_defaults();
        fet__model *m = tiny(TINY);
        fet__step s;
        float first;
        assert_ok(fet__model_attach(m, specs[i]));
        s = begin(m, (fet__step_options){.train = true, .optimizer = &adamw});
        step(&s, &adamw, 0, 1e-2);
        first = *s.loss;
        for (int k = 1; k < 30; k++)
            step(&s, &adamw, k, 1e-2);
        if (!(*s.loss < 0.8f * first))
            fail_msg("%s: loss went from %g to %g", specs[i], (double)first, (double)*s.loss);
        assert_true(*s.grad_norm > 0 && isfinite(*s.grad_norm));
        fet__step_fini(&s);
        fet__model_close(m);
    }
}

static void nothing_to_train(void **state)
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__step_options o = {.batch = 1, .train = true, .optimizer = &adamw};
    fet__model *m = tiny(TINY);
    fet__step s;

    (void)state;
    assert_refused(fet__step_create(&s, m, &o), FET_E_ARG, "nothing would train");
    assert_null(s.program);
    o.batch = 0;
    assert_refused(fet__step_create(&s, m, &o), FET_E_ARG, "batch 0 is below 1");
    fet__model_close(m);
    m = tiny("vit:dim=12,depth=1,heads=3,patch=4,img=8,mlp=2,classes=0");
    o.batch = 1;
    assert_refused(fet__step_create(&s, m, &o), FET_E_ARG, "no head to train");
    o = (fet__step_options){.batch = 1}; /* features alone can be had of it */
    assert_ok(fet__step_create(&s, m, &o));
    assert_null(s.logits);
    assert_ok(fet__program_run(s.program));
    assert_non_null(s.features);
    fet__step_fini(&s);
    fet__model_close(m);
}

/* ---- failures and repetition ----------------------------------------------------------------------------- */

/* A loss that is no number stops the step before it writes anything. */
static void not_finite(void **state)
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__model *m = tiny(TINY);
    fet__step s;
    char *before, *after;
    size_t bytes = 0;

    (void)state;
    assert_ok(fet__model_attach(m, "hydra"));
    s = begin(m, (fet__step_options){.train = true, .optimizer = &adamw});
    step(&s, &adamw, 0, 1e-2);
    for (int i = 0; i < fet__params_count(m->store); i++)
        bytes += (size_t)fet__params_at(m->store, i)->bytes;
    before = copy_of(m);
    s.images[17] = NAN;
    fet__optimizer_bind(&adamw, s.program, 1, 1e-2);
    assert_refused(fet__program_run(s.program), FET_E_NUMERIC, "loss");
    after = copy_of(m);
    assert_memory_equal(before, after, bytes);
    s.images[17] = 0;
    step(&s, &adamw, 1, 1e-2); /* and goes on afterwards */
    fet__free(before);
    fet__free(after);
    fet__step_fini(&s);
    fet__model_close(m);
}

static void steps_allocate_nothing(void **state)
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__model *m = tiny(TINY);
    fet__step s;
    uint64_t calls;

    (void)state;
    adamw.clip = 1;
    assert_ok(fet__model_attach(m, "hydra:at=attn.proj+mlp.fc2,dropout=0.1"));
    s = begin(m, (fet__step_options){.train = true, .optimizer = &adamw, .drop_path = 0.1});
    step(&s, &adamw, 0, 1e-3);
    calls = fet__alloc_calls();
    for (int k = 1; k <= 100; k++)
        step(&s, &adamw, k, 1e-3);
    assert_int_equal(fet__alloc_calls(), calls);
    fet__step_fini(&s);
    fet__model_close(m);
}

/* Weights after some steps with dropout and drop path, with `threads`. */
static char *trained(int threads, size_t *bytes)
{
    fet__optimizer_options sgd = {.kind = FET__SGD, .momentum = 0.9};
    fet__model *m = tiny(TINY);
    fet__step s;
    char *copy;

    fet__set_threads(threads);
    assert_ok(fet__model_attach(m, "hydra:at=attn.proj+mlp.fc2,dropout=0.3"));
    s = begin(m, (fet__step_options){.train = true, .optimizer = &sgd, .drop_path = 0.2});
    for (int k = 0; k < 5; k++)
        step(&s, &sgd, k, 0.1);
    copy = copy_of(m);
    *bytes = 0;
    for (int i = 0; i < fet__params_count(m->store); i++)
        *bytes += (size_t)fet__params_at(m->store, i)->bytes;
    fet__step_fini(&s);
    fet__model_close(m);
    return copy;
}

static void runs_repeat(void **state)
{
    size_t n, other;
    int threads = fet__threads();
    char *a = trained(2, &n), *b = trained(2, &other);

    (void)state;
    assert_int_equal(n, other);
    assert_memory_equal(a, b, n);
    fet__set_threads(threads);
    fet__free(a);
    fet__free(b);
}

/* Stochastic depth and dropout are for training: an evaluation program has none. */
static void evaluation_is_plain(void **state)
{
    fet__model *m = tiny(TINY);
    fet__step a, b;

    (void)state;
    assert_ok(fet__model_attach(m, "hydra:dropout=0.5"));
    scatter(m, true, 0.5);
    a = begin(m, (fet__step_options){.drop_path = 0.5});
    b = begin(m, (fet__step_options){0});
    assert_null(a.step);
    assert_ok(fet__program_run(a.program));
    assert_ok(fet__program_run(b.program));
    assert_memory_equal(a.logits, b.logits, BATCH * 5 * sizeof(float));
    fet__step_fini(&a);
    fet__step_fini(&b);
    fet__model_close(m);
}

/* Names of optimisers; decay that leaves vectors alone. */
static void optimizer_options(void **state)
{
    fet__optimizer_options o = fet__optimizer_defaults();
    fet__model *m = tiny(TINY);
    fet__step s;
    float bias, weight;

    (void)state;
    assert_int_equal(o.kind, FET__ADAMW);
    assert_true(fet__optimizer_parse("rmsprop", &o) && o.kind == FET__RMSPROP);
    assert_true(fet__optimizer_parse("sgd", &o) && o.kind == FET__SGD);
    assert_false(fet__optimizer_parse("adamax", &o));
    o = (fet__optimizer_options){.kind = FET__SGD, .weight_decay = 0.5, .no_decay = FET__DECAY_MATRICES};
    assert_ok(fet__model_attach(m, "linear"));
    scatter(m, false, 0.3);
    s = begin(m, (fet__step_options){.train = true, .optimizer = &o});
    memset(s.labels, -1, BATCH * sizeof *s.labels); /* no gradient: decay alone acts */
    bias = ((float *)fet__params_find(m->store, "head.bias")->data)[1];
    weight = ((float *)fet__params_find(m->store, "head.weight")->data)[1];
    step(&s, &o, 0, 0.1);
    assert_true(((float *)fet__params_find(m->store, "head.bias")->data)[1] == bias);
    assert_true(fabsf(((float *)fet__params_find(m->store, "head.weight")->data)[1] - 0.95f * weight) < 1e-6f);
    fet__step_fini(&s);
    fet__model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_change_nothing),   cmocka_unit_test(labels_that_fill_up),
        cmocka_unit_test(frozen_stays),           cmocka_unit_test(loss_falls),
        cmocka_unit_test(nothing_to_train),       cmocka_unit_test(not_finite),
        cmocka_unit_test(steps_allocate_nothing), cmocka_unit_test(runs_repeat),
        cmocka_unit_test(evaluation_is_plain),    cmocka_unit_test(optimizer_options),
    };
    return cmocka_run_group_tests_name("train.step", tests, NULL, NULL);
}
