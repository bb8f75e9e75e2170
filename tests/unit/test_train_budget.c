/* A memory budget changes where values live and which are computed again, never their bits: steps under a budget against the same steps
 * without, over several architectures, optimisers and kinds of randomness; the second order of MABN's episode, too. */
#include "unit/model_testing.h"

#include "train/mabn.h"

enum { BATCH = 4, STEPS = 2 };

typedef struct subject {
    const char *arch, *adapter;
    double drop_path, clip, share; /* of the arena that may be used */
    bool sgd;
} subject;

static const subject subjects[] = {
    {"vit:dim=48,depth=5,heads=3,patch=4,img=32,mlp=4,classes=5", "hydra:at=mlp.fc2,rank=2", 0, 0, 0.5, false},
    {"vit:dim=48,depth=5,heads=3,patch=4,img=32,mlp=4,classes=5", "full", 0.3, 1, 0.6, false},
    {"swin:dim=24,depths=2+2,heads=2+4,window=4,patch=2,img=32,classes=5", "mona:dropout=0.1", 0.2, 0, 0.8, false},
    {"resnet18:img=64,classes=5", "bitfit", 0, 0, 0.8, false},
    {"resnet20", "full", 0, 0.5, 0.7, false},
};

static void fill(fet__step *s, const fet__model *m)
{
    fet__init_fill(s->images, FET_F32, (int64_t)BATCH * m->arch.height * m->arch.width * 3,
                   (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    for (int i = 0; i < BATCH; i++)
        s->labels[i] = i;
}

/* All tensors of the store after the steps, and the losses. */
static unsigned char *values_of(const fet__params *store, size_t *bytes)
{
    unsigned char *all;
    size_t at = 0;

    *bytes = 0;
    for (int i = 0; i < fet__params_count(store); i++)
        *bytes += (size_t)fet__params_at(store, i)->bytes;
    all = malloc(*bytes);
    assert_non_null(all);
    for (int i = 0; i < fet__params_count(store); i++) {
        memcpy(all + at, fet__params_at(store, i)->data, (size_t)fet__params_at(store, i)->bytes);
        at += (size_t)fet__params_at(store, i)->bytes;
    }
    return all;
}

static unsigned char *train(const subject *t, int64_t memory, int parts, size_t *bytes, fet__program_info *info,
                            float loss[STEPS])
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH,
                           .train = true,
                           .optimizer = &adamw,
                           .drop_path = t->drop_path,
                           .memory = memory,
                           .parts = parts,
                           .seed = 3};
    fet__model *m = tiny(t->arch);
    unsigned char *all;
    fet__step s;

    if (t->sgd) /* Adam makes steps of rounding errors where a gradient is zero but for them */
        adamw.kind = FET__SGD;
    adamw.clip = t->clip;
    assert_ok(fet__model_attach(m, t->adapter));
    scatter(m, true, 0.2);
    assert_ok(fet__step_create(&s, m, &o));
    *info = fet__step_info(&s);
    assert_int_equal(s.part * (parts > 0 ? parts : 1), BATCH);
    fill(&s, m);
    for (int k = 0; k < STEPS; k++) {
        if (s.step) /* nothing is drawn where nothing is dropped */
            *s.step = k;
        fet__optimizer_bind(&adamw, s.program, k, t->sgd ? 0.1 : 1e-2);
        assert_ok(fet__step_compute(&s));
        loss[k] = *s.loss;
        assert_true(isfinite(loss[k]));
    }
    all = values_of(m->store, bytes);
    fet__step_fini(&s);
    fet__model_close(m);
    return all;
}

/* All that counts against a budget. */
static int64_t taken(const fet__program_info *info)
{
    return info->total_bytes + info->weight_bytes + info->process_bytes;
}

static void a_budget_keeps_the_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(subjects); i++) {
        const subject *t = &subjects[i];
        fet__program_info plain, tight;
        float loss[2][STEPS];
        size_t bytes, other;
        unsigned char *a, *b;
        int64_t budget;

        free(train(t, 0, 0, &bytes, &plain, loss[0]));
        /* packed copies are given up first, and kernels without them may round in another order */
        a = train(t, plain.packed_bytes ? taken(&plain) - 1 : 0, 0, &bytes, &plain, loss[0]);
        assert_true(plain.packed_bytes == 0 && plain.repeated == 0);
        budget = taken(&plain) - (int64_t)((1 - t->share) * (double)plain.arena_bytes);
        b = train(t, budget, 1, &other, &tight, loss[1]);
        if (taken(&tight) > budget || tight.repeated == 0 || !(tight.repeated_flops > 0))
            fail_msg("%s: %lld bytes of %lld, %d steps again", t->arch, (long long)taken(&tight), (long long)budget,
                     tight.repeated);
        if (tight.repeated_flops > plain.flops || fabs(tight.flops - plain.flops) > 1e-3 * plain.flops)
            fail_msg("%s: %g FLOP, needed %g of %g", t->arch, tight.repeated_flops, tight.flops, plain.flops);
        assert_int_equal(bytes, other);
        if (memcmp(loss[0], loss[1], sizeof loss[0]) != 0 || memcmp(a, b, bytes) != 0)
            fail_msg("%s %s: other bits under a budget (loss %.9g, %.9g)", t->arch, t->adapter,
                     (double)loss[0][STEPS - 1], (double)loss[1][STEPS - 1]);
        free(a);
        free(b);
    }
}

/* ---- refusals ------------------------------------------------------------------------------------------------------- */

/* The plan that is named in a refusal is one that can be had. */
static void a_refusal_names_what_would_do(void **state)
{
    const subject *t = &subjects[0];
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH, .train = true, .optimizer = &adamw, .memory = 100 << 10, .parts = 1};
    fet__model *m = tiny(t->arch);
    const char *at;
    fet__step s;
    double mib;

    (void)state;
    assert_ok(fet__model_attach(m, t->adapter));
    assert_refused(fet__step_create(&s, m, &o), FET_E_NOMEM, "even with values computed again");
    at = strstr(fet_error_message(), "needs ");
    assert_non_null(at);
    mib = strtod(at + 6, NULL);
    assert_true(mib > 0.1);
    o.memory = (int64_t)((mib + 0.06) * 1.02 * 1048576);
    assert_ok(fet__step_create(&s, m, &o));
    assert_true(s.part == BATCH);
    fet__step_fini(&s);
    fet__model_close(m);
}

/* ---- parts of a batch ----------------------------------------------------------------------------------------------- */

/* Models in which samples do not touch each other; dropped branches are drawn for the batch, whatever its parts. */
static const subject apart[] = {
    {"vit:dim=24,depth=3,heads=3,patch=4,img=16,mlp=2,classes=5", "full", 0.5, 0.01, 0, true},
    {"vit:dim=24,depth=2,heads=3,patch=4,img=16,mlp=2,classes=5", "lora:dropout=0.3", 0, 0, 0, false},
    {"swin:dim=24,depths=2+2,heads=2+4,window=4,patch=2,img=32,classes=5", "mona:dropout=0.2", 0.3, 0, 0, true},
};

static void expect_near(const subject *t, int parts, const unsigned char *a, const unsigned char *b, size_t bytes)
{
    const float *x = (const void *)a, *y = (const void *)b;
    double most = 0;

    for (size_t i = 0; i < bytes / sizeof *x; i++)
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    if (!(most <= 1e-5))
        fail_msg("%s %s: %d parts differ by %g", t->arch, t->adapter, parts, most);
}

static void parts_give_the_same_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(apart); i++)
        for (int parts = i == 0 ? 4 : 2; parts >= 2; parts /= 2) {
            fet__program_info whole, split;
            float loss[2][STEPS];
            size_t bytes, other;
            unsigned char *a = train(&apart[i], 0, 1, &bytes, &whole, loss[0]);
            unsigned char *b = train(&apart[i], 0, parts, &other, &split, loss[1]);

            assert_int_equal(bytes, other); /* nothing of the parts' in the store */
            for (int k = 0; k < STEPS; k++)
                assert_true(fabs((double)loss[0][k] - (double)loss[1][k]) <= 1e-5);
            expect_near(&apart[i], parts, a, b, bytes);
            assert_true(split.arena_bytes < whole.arena_bytes);
            free(a);
            free(b);
        }
}

/* Labels that are missing count in no part; two labels a picture, too. */
static void parts_weigh_labels(void **state)
{
    fet__optimizer_options sgd = {.kind = FET__SGD};
    float got[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        fet__model *m = tiny(apart[0].arch);
        fet__step_options o = {.batch = BATCH, .train = true, .mix = true, .optimizer = &sgd, .parts = k ? 4 : 1};
        fet__step s;

        assert_ok(fet__model_attach(m, "full"));
        assert_ok(fet__step_create(&s, m, &o));
        fill(&s, m);
        for (int i = 0; i < BATCH; i++) {
            s.labels[i] = i == 2 ? -1 : i;
            s.labels2[i] = i == 2 ? -1 : 4 - i;
            s.own[i] = 0.25F * (float)i;
        }
        fet__optimizer_bind(&sgd, s.program, 0, 0.1);
        assert_ok(fet__step_compute(&s));
        got[k] = *s.loss;
        assert_true(*s.grad_norm > 0);
        memset(s.labels, -1, BATCH * sizeof *s.labels);
        memset(s.labels2, -1, BATCH * sizeof *s.labels2);
        assert_ok(fet__step_compute(&s));
        assert_true(*s.loss == 0 && *s.grad_norm == 0);
        fet__step_fini(&s);
        fet__model_close(m);
    }
    assert_true(fabs((double)got[0] - (double)got[1]) < 1e-5);
}

/* A budget below the least plan of the whole batch leads to parts by itself, and to a refusal where no part is small enough. */
static void a_budget_leads_to_parts(void **state)
{
    const subject *t = &subjects[0];
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH, .train = true, .optimizer = &adamw, .memory = 100 << 10, .parts = 1};
    fet__model *m = tiny(t->arch);
    fet__step s;

    (void)state;
    assert_ok(fet__model_attach(m, t->adapter));
    assert_refused(fet__step_create(&s, m, &o), FET_E_NOMEM, "even with values computed again");
    o.memory = (int64_t)((strtod(strstr(fet_error_message(), "needs ") + 6, NULL) - 0.3) * 1048576);
    o.parts = 0;
    assert_ok(fet__step_create(&s, m, &o));
    assert_true(s.part < BATCH && BATCH % s.part == 0);
    assert_true(taken(&(fet__program_info[]){fet__step_info(&s)}[0]) <= o.memory);
    fill(&s, m);
    fet__optimizer_bind(&adamw, s.program, 0, 1e-2);
    assert_ok(fet__step_compute(&s));
    fet__step_fini(&s);
    o.memory = 100 << 10;
    assert_refused(fet__step_create(&s, m, &o), FET_E_NOMEM, "run image by image");
    o.parts = 3;
    assert_refused(fet__step_create(&s, m, &o), FET_E_ARG, "a batch of 4 is not 3 equal parts");
    fet__model_close(m);
}

static void a_batch_norm_keeps_its_batch(void **state)
{
    fet__optimizer_options adamw = fet__optimizer_defaults();
    fet__step_options o = {.batch = BATCH, .train = true, .optimizer = &adamw, .memory = 100 << 10};
    fet__model *m = tiny("resnet20");
    fet__step s;

    (void)state;
    assert_ok(fet__model_attach(m, "full"));
    assert_refused(fet__step_create(&s, m, &o), FET_E_NOMEM, "batch norm takes its statistics from all of it (");
    fet__model_close(m);
}

/* ---- second order --------------------------------------------------------------------------------------------------- */

static void feed(fet__mabn_step *s, const fet__model *m, int count)
{
    float *pictures[5] = {s->plain, s->view[0], s->view[1], s->support[0], s->support[1]};

    for (int i = 0; i < 5; i++)
        fet__init_fill(pictures[i], FET_F32, (int64_t)count * m->arch.height * m->arch.width * 3,
                       (fet__init){FET__INIT_NORMAL, 1}, (uint64_t)i, "pictures");
    for (int i = 0; i < count; i++)
        s->label[i] = i;
    *s->tau = 0.99F;
}

static unsigned char *episode(int64_t memory, size_t *bytes, fet__program_info *info)
{
    fet__episode_options e = {.inner_lr = 1e-2, .lambda = 0.1, .inner_steps = 2, .second_order = true};
    fet__optimizer_options adam = fet__optimizer_defaults();
    fet__model *m = tiny("resnet20");
    fet__mabn_step s;
    unsigned char *all;
    fet__mabn a;

    adam.kind = FET__ADAM;
    assert_ok(fet__mabn_init(&a, m, 32, 16));
    assert_ok(fet__mabn_meta_create(&s, &a, BATCH, BATCH, &e, &adam, memory));
    *info = fet__program_describe(s.program);
    feed(&s, m, BATCH);
    for (int k = 0; k < 2; k++) {
        fet__optimizer_bind(&adam, s.program, k, 1e-2);
        assert_ok(fet__program_run(s.program));
        assert_true(isfinite(*s.loss));
    }
    all = values_of(m->store, bytes);
    fet__mabn_step_fini(&s);
    fet__model_close(m);
    return all;
}

static void second_order_keeps_its_bits(void **state)
{
    fet__program_info plain, tight;
    unsigned char *a, *b;
    size_t bytes, other;
    int64_t budget;

    (void)state;
    free(episode(0, &bytes, &plain));
    a = episode(plain.packed_bytes ? taken(&plain) - 1 : 0, &bytes, &plain);
    assert_true(plain.packed_bytes == 0 && plain.repeated == 0);
    budget = taken(&plain) - plain.arena_bytes / 2;
    b = episode(budget, &other, &tight);
    assert_true(taken(&tight) <= budget && tight.repeated > 0);
    print_message("an episode: %.1f MiB, %.1f with %.0f %% more work\n", (double)plain.total_bytes / 1048576,
                  (double)tight.total_bytes / 1048576, 100 * tight.repeated_flops / tight.flops);
    assert_int_equal(bytes, other);
    assert_memory_equal(a, b, bytes);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_keeps_the_bits),     cmocka_unit_test(a_refusal_names_what_would_do),
        cmocka_unit_test(parts_give_the_same_step),    cmocka_unit_test(parts_weigh_labels),
        cmocka_unit_test(a_budget_leads_to_parts),     cmocka_unit_test(a_batch_norm_keeps_its_batch),
        cmocka_unit_test(second_order_keeps_its_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
