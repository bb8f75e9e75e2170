/* Training on mixed pictures: the loss is that of the mixed soft target, so is the gradient, and a step without mixing has no
 * inputs for it. */
#include "unit/model_testing.h"

#include "train/train.h"

enum { BATCH = 4, IMAGE = 8 * 8 * 3, CLASSES = 5 };
static const int32_t first[BATCH] = {0, 1, 2, -1}, second[BATCH] = {3, 1, 4, -1};
static const float own[BATCH] = {0.3f, 0.6f, 1.0f, 1.0f};

static fet__step begin(fet__model *m, fet__step_options o)
{
    fet__step s;

    o.batch = BATCH;
    assert_ok(fet__step_create(&s, m, &o));
    fet__init_fill(s.images, FET_F32, BATCH * IMAGE, (fet__init){FET__INIT_NORMAL, 1}, 1, "images");
    memcpy(s.labels, first, sizeof first);
    return s;
}

/* A batch as the loader gives it, through the door that the loop uses. */
static void feed(fet__step *s)
{
    float images[BATCH * IMAGE];
    fet__batch b = {.count = 3,
                    .images = images,
                    .labels = (int32_t *)(uintptr_t)first,
                    .labels2 = (int32_t *)(uintptr_t)second,
                    .own = (float *)(uintptr_t)own};

    memcpy(images, s->images, sizeof images);
    fet__step_feed(s, &b, BATCH, IMAGE);
}

/* Cross-entropy with a soft target, written out. */
static double soft_loss(const float *logits, int a, int b, double share, double smoothing)
{
    double sum = 0, loss = 0;

    for (int c = 0; c < CLASSES; c++)
        sum += exp((double)logits[c]);
    for (int c = 0; c < CLASSES; c++) {
        double target = share * ((c == a) * (1 - smoothing) + smoothing / CLASSES) +
                        (1 - share) * ((c == b) * (1 - smoothing) + smoothing / CLASSES);

        loss -= target * ((double)logits[c] - log(sum));
    }
    return loss;
}

static void loss_is_that_of_the_soft_target(void **state)
{
    fet__model *m = tiny(TINY);
    fet__step s;
    double want = 0;

    (void)state;
    scatter(m, false, 0.3);
    s = begin(m, (fet__step_options){.mix = true, .smoothing = 0.1});
    feed(&s);
    assert_ok(fet__program_run(s.program));
    for (int i = 0; i < 3; i++)
        want += soft_loss(s.logits + CLASSES * i, first[i], second[i], (double)own[i], 0.1) / 3;
    assert_true(fabs((double)*s.loss - want) < 1e-5);
    fet__step_fini(&s);

    s = begin(m, (fet__step_options){.smoothing = 0.1});
    assert_true(!s.labels2 && !s.own && !fet__program_input(s.program, "own"));
    feed(&s);
    fet__step_fini(&s);
    fet__model_close(m);
}

/* One SGD step of rate 1: what it changes. mode 0: first labels, 1: second labels, 2: mixed, all with the same share. */
static float *change(int mode, float share, int64_t *count)
{
    fet__optimizer_options o = {.kind = FET__SGD};
    fet__model *m = tiny(TINY);
    fet__step s;
    fet__param *head;
    float *out;

    scatter(m, false, 0.3);
    assert_ok(fet__model_attach(m, "full"));
    s = begin(m, (fet__step_options){.train = true, .mix = mode == 2, .smoothing = 0.1, .optimizer = &o});
    if (mode == 1)
        memcpy(s.labels, second, sizeof second);
    for (int i = 0; mode == 2 && i < BATCH; i++) {
        s.labels2[i] = second[i];
        s.own[i] = share;
    }
    head = fet__params_find(m->store, "head.weight");
    assert_non_null(head);
    *count = fet__shape_count(&head->shape);
    out = calloc((size_t)*count, sizeof *out);
    for (int64_t i = 0; i < *count; i++)
        out[i] = -((float *)head->data)[i];
    if (s.step)
        *s.step = 0;
    fet__optimizer_bind(&o, s.program, 0, 1);
    assert_ok(fet__program_run(s.program));
    for (int64_t i = 0; i < *count; i++)
        out[i] += ((float *)head->data)[i];
    fet__step_fini(&s);
    fet__model_close(m);
    return out;
}

static void gradient_is_linear_in_the_target(void **state)
{
    int64_t count;
    float *a = change(0, 0, &count), *b = change(1, 0, &count), *mixed = change(2, 0.3f, &count);
    double largest = 0;

    (void)state;
    for (int64_t i = 0; i < count; i++) {
        double want = 0.3 * (double)a[i] + 0.7 * (double)b[i];

        largest = fmax(largest, fabs(want));
        assert_true(fabs((double)mixed[i] - want) < 1e-5);
    }
    assert_true(largest > 1e-3);
    free(a);
    free(b);
    free(mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_is_that_of_the_soft_target),
        cmocka_unit_test(gradient_is_linear_in_the_target),
    };

    return cmocka_run_group_tests_name("train_mix", tests, NULL, NULL);
}
