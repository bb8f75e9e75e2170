/* Norm layers by hand-made numbers: modes, statistics that follow, domains, what is refused. Whole layers are in the parity run. */
#include "unit/model_testing.h"

typedef struct fixture {
    fet__build b;
    fet__program *p;
    fet__norm_mode mode;
} fixture;

static fet__norm_mode mode_of(void *user, const fet__build *b, const char *name)
{
    (void)b;
    (void)name;
    return ((const fixture *)user)->mode;
}

static void begin(fixture *f, fet__norm_mode mode)
{
    *f = (fixture){.b = {.dtype = FET_F32, .may_initialise = true, .norm_mode = mode_of}, .mode = mode};
    f->b.norm_mode_user = f;
    assert_ok(fet__params_create(&f->b.store));
    assert_ok(fet__graph_create(&f->b.g));
}

static void end(fixture *f)
{
    fet__program_destroy(f->p);
    fet__graph_destroy(f->b.g);
    fet__params_destroy(f->b.store);
}

static const float *run(fixture *f, fet__node *y, const float *x, size_t bytes)
{
    fet__program_options o = {.memory = 0};

    fet__output(f->b.g, "y", y);
    assert_ok(fet__graph_status(f->b.g));
    assert_ok(fet__program_create(&f->p, f->b.g, &o));
    memcpy(fet__program_input(f->p, "x"), x, bytes);
    assert_ok(fet__program_run(f->p));
    return fet__program_output(f->p, "y");
}

static float *data_of(fixture *f, const char *name)
{
    fet__param *p = fet__params_find(f->b.store, name);

    assert_non_null(p);
    return p->data;
}

static bool near(float a, double b)
{
    return fabs((double)a - b) < 1e-5;
}

/* Two channels over four rows: mean 2 and 10, biased variance 5 and 0. */
static const float rows[8] = {-1, 10, 1, 10, 3, 10, 5, 10};

static fet__node *rows_input(fixture *f)
{
    return fet__input(f->b.g, "x", FET_F32, FET_SHAPE(4, 2));
}

static void batch_statistics(void **state)
{
    fixture f;
    const float *y;

    (void)state;
    begin(&f, FET__NORM_BATCH);
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    for (int i = 0; i < 4; i++) {
        assert_true(near(y[2 * i], (2.0 * i - 3) / sqrt(5 + 1e-5)));
        assert_true(near(y[2 * i + 1], 0)); /* a constant channel is finite */
    }
    assert_true(data_of(&f, "bn.running_mean")[0] == 0 && data_of(&f, "bn.running_var")[0] == 1);
    end(&f);
}

/* Momentum 0.1; the running variance takes the unbiased one, 5 * 4/3. */
static void statistics_follow(void **state)
{
    fixture f;

    (void)state;
    begin(&f, FET__NORM_TRAIN);
    run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    assert_true(near(data_of(&f, "bn.running_mean")[0], 0.2));
    assert_true(near(data_of(&f, "bn.running_mean")[1], 1));
    assert_true(near(data_of(&f, "bn.running_var")[0], 0.9 + 0.1 * 20 / 3));
    assert_true(near(data_of(&f, "bn.running_var")[1], 0.9));
    assert_int_equal(fet__params_find(f.b.store, "bn.running_var")->role, FET__BUFFER);
    assert_ok(fet__program_run(f.p));
    assert_true(near(data_of(&f, "bn.running_mean")[0], 0.9 * 0.2 + 0.1 * 2));
    end(&f);
}

/* Twice through one layer in one graph: the statistics move twice, in order. */
static void two_passes(void **state)
{
    fixture f;
    fet__node *x, *a, *b;

    (void)state;
    begin(&f, FET__NORM_TRAIN);
    x = rows_input(&f);
    a = fet__nn_batch_norm(&f.b, "bn", x);
    b = fet__nn_batch_norm(&f.b, "bn", fet__shift(f.b.g, x, 1));
    run(&f, fet__add(f.b.g, a, b), rows, sizeof rows);
    assert_true(near(data_of(&f, "bn.running_mean")[0], 0.9 * 0.2 + 0.1 * 3));
    assert_true(near(data_of(&f, "bn.running_mean")[1], 0.9 * 1 + 0.1 * 11));
    end(&f);
}

static void frozen_statistics(void **state)
{
    fixture f;
    const float *y;
    fet__node *out;

    (void)state;
    begin(&f, FET__NORM_FROZEN);
    out = fet__nn_batch_norm(&f.b, "bn", rows_input(&f));
    data_of(&f, "bn.running_mean")[0] = 1;
    data_of(&f, "bn.running_var")[0] = 4;
    data_of(&f, "bn.weight")[0] = 3;
    data_of(&f, "bn.bias")[0] = -2;
    y = run(&f, out, rows, sizeof rows);
    for (int i = 0; i < 4; i++)
        assert_true(near(y[2 * i], (2.0 * i - 2) / sqrt(4 + 1e-5) * 3 - 2));
    assert_int_equal(f.b.site_count, 1);
    assert_int_equal(f.b.sites[0].kind, FET__SITE_NORM);
    assert_string_equal(f.b.sites[0].name, "bn");
    assert_ptr_equal(f.b.sites[0].weight, fet__params_find(f.b.store, "bn.weight"));
    assert_true(f.b.sites[0].weight->norm && f.b.sites[0].bias->norm);
    end(&f);
}

/* Another graph over the same store; the sites went with the last one. */
static void next_graph(fixture *f)
{
    fet__program_destroy(f->p);
    fet__graph_destroy(f->b.g);
    f->b.sites = NULL;
    f->b.site_count = f->b.site_capacity = 0;
    assert_ok(fet__graph_create(&f->b.g));
}

/* Each half of the batch has its own; evaluation takes the target's or the source's. */
static void domains(void **state)
{
    fixture f;
    const float *y;
    fet__node *x;

    (void)state;
    begin(&f, FET__NORM_TRAIN);
    f.b.norm_domains = f.b.train = true;
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    assert_true(near(y[0], -1 / sqrt(1 + 1e-5)) && near(y[4], -1 / sqrt(1 + 1e-5)));
    assert_true(near(data_of(&f, "bn.BN_S.running_mean")[0], 0));
    assert_true(near(data_of(&f, "bn.BN_T.running_mean")[0], 0.4));
    next_graph(&f);
    f.mode = FET__NORM_FROZEN;
    f.b.train = false;
    x = rows_input(&f);
    data_of(&f, "bn.BN_S.running_mean")[0] = 7;
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", x), rows, sizeof rows);
    assert_true(near(y[0], (-1 - 0.4) / sqrt((double)data_of(&f, "bn.BN_T.running_var")[0] + 1e-5)));
    next_graph(&f);
    f.b.norm_source = true;
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    assert_true(near(y[0], (-1 - 7) / sqrt((double)data_of(&f, "bn.BN_S.running_var")[0] + 1e-5)));
    end(&f);
}

/* Two groups of two rows, -1 1 and 3 5: each is -1 1 by its own statistics, and the running ones follow the first. */
static void groups(void **state)
{
    fixture f;
    const float *y;

    (void)state;
    begin(&f, FET__NORM_TRAIN);
    f.b.train = true;
    f.b.norm_group = 2;
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    for (int i = 0; i < 4; i++)
        assert_true(near(y[2 * i], (i % 2 ? 1 : -1) / sqrt(1 + 1e-5)));
    assert_true(near(data_of(&f, "bn.running_mean")[0], 0));
    assert_true(near(data_of(&f, "bn.running_var")[0], 0.9 + 0.1 * 2)); /* unbiased */
    next_graph(&f);
    f.b.norm_domains = true; /* a group each: as without groups */
    y = run(&f, fet__nn_batch_norm(&f.b, "bn", rows_input(&f)), rows, sizeof rows);
    assert_true(near(y[0], -1 / sqrt(1 + 1e-5)) && near(y[4], -1 / sqrt(1 + 1e-5)));
    assert_true(near(data_of(&f, "bn.BN_T.running_mean")[0], 0.4));
    end(&f);
}

/* The gradient goes through each group's own statistics: that of a row's own output, weighted, sums to nothing in each group. */
static void groups_gradient(void **state)
{
    static const float x[16] = {-1, 10, 1, 12, 3, 9, 5, 10, 2, 1, 4, 4, 7, 8, 0, 3};
    fixture f;
    fet__node *in, *y, *weight, *grad;
    const float *d;

    (void)state;
    begin(&f, FET__NORM_BATCH);
    f.b.train = true;
    f.b.norm_group = 4;
    in = fet__input(f.b.g, "x", FET_F32, FET_SHAPE(8, 2));
    y = fet__nn_batch_norm(&f.b, "bn", in);
    weight = fet__reshape(f.b.g, fet__iota(f.b.g, FET_F32, 16), FET_SHAPE(8, 2));
    assert_ok(fet__gradient(f.b.g, fet__sum_all(f.b.g, fet__mul(f.b.g, fet__mul(f.b.g, y, y), weight)), &in, 1, false,
                            &grad));
    d = run(&f, grad, x, sizeof x);
    for (int c = 0; c < 2; c++)
        for (int g = 0; g < 2; g++) {
            double sum = 0, along = 0, size = 0;
            for (int i = 4 * g; i < 4 * g + 4; i++) {
                sum += (double)d[2 * i + c];
                along += (double)d[2 * i + c] * (double)x[2 * i + c];
                size += fabs((double)d[2 * i + c]);
            }
            assert_true(size > 0.1 && fabs(sum) < 1e-4 && fabs(along) < 1e-3);
        }
    end(&f);
}

static void refusals(void **state)
{
    fixture f;

    (void)state;
    begin(&f, FET__NORM_TRAIN);
    assert_null(fet__nn_batch_norm(&f.b, "bn", fet__input(f.b.g, "x", FET_F32, FET_SHAPE(1, 2))));
    assert_refused(fet__graph_status(f.b.g), FET_E_ARG, "bn: statistics of a batch need more than one value");
    end(&f);

    begin(&f, FET__NORM_TRAIN);
    f.b.norm_domains = f.b.train = true;
    assert_null(fet__nn_batch_norm(&f.b, "bn", fet__input(f.b.g, "x", FET_F32, FET_SHAPE(3, 2))));
    assert_refused(fet__graph_status(f.b.g), FET_E_ARG, "split the batch in halves, and 3 is odd");
    end(&f);

    begin(&f, FET__NORM_TRAIN);
    f.b.train = true;
    f.b.norm_group = 2;
    assert_null(fet__nn_batch_norm(&f.b, "bn", fet__input(f.b.g, "x", FET_F32, FET_SHAPE(3, 2))));
    assert_refused(fet__graph_status(f.b.g), FET_E_ARG, "groups of 2 images do not divide 3");
    end(&f);

    begin(&f, FET__NORM_FROZEN);
    assert_null(fet__nn_ibn(&f.b, "bn", fet__input(f.b.g, "x", FET_F32, FET_SHAPE(2, 3, 3, 5))));
    assert_refused(fet__graph_status(f.b.g), FET_E_ARG, "IBN halves the channels, and 5 is odd");
    end(&f);

    begin(&f, FET__NORM_FROZEN);
    assert_null(fet__nn_instance_norm(&f.b, "in", fet__input(f.b.g, "x", FET_F32, FET_SHAPE(2, 1, 1, 5))));
    assert_refused(fet__graph_status(f.b.g), FET_E_ARG, "more than one value");
    end(&f);
}

/* Rows of length one; a row of zeros stays one and its gradient is finite. */
static void unit_rows(void **state)
{
    static const float x[6] = {3, 4, 0, 0, 0, 0};
    fixture f;
    fet__node *in, *y, *grad;
    const float *d;

    (void)state;
    begin(&f, FET__NORM_FROZEN);
    in = fet__input(f.b.g, "x", FET_F32, FET_SHAPE(2, 3));
    y = fet__nn_unit_rows(f.b.g, in);
    assert_ok(fet__gradient(f.b.g, fet__sum_all(f.b.g, y), &in, 1, false, &grad));
    fet__output(f.b.g, "grad", grad);
    y = fet__add(f.b.g, y, fet__fill(f.b.g, FET_F32, FET_SHAPE(2, 3), 0));
    d = run(&f, y, x, sizeof x);
    assert_true(near(d[0], 0.6) && near(d[1], 0.8) && d[3] == 0 && d[5] == 0);
    d = fet__program_output(f.p, "grad");
    for (int i = 0; i < 6; i++)
        assert_true(isfinite(d[i]));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_statistics), cmocka_unit_test(statistics_follow),
                                       cmocka_unit_test(two_passes),       cmocka_unit_test(frozen_statistics),
                                       cmocka_unit_test(domains),          cmocka_unit_test(refusals),
                                       cmocka_unit_test(groups),           cmocka_unit_test(groups_gradient),
                                       cmocka_unit_test(unit_rows)};

    return cmocka_run_group_tests_name("nn_batch_norm", tests, NULL, NULL);
}
