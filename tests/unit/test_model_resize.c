/* Another image size: the position embedding's grid is resampled (bicubic, antialiased), its class row kept;
 * what depends on the size follows, and adapters bring the size that they were trained at. */
#include "unit/model_testing.h"

enum { DIM = 12 };

static double cubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* Weight of input j of n for output i of m: the filter is widened when it shrinks; weights sum to one. */
static double weight(int i, int m, int j, int n)
{
    double scale = (double)n / m, wide = fmax(scale, 1), centre = (i + 0.5) * scale, sum = 0, own = 0;

    for (int k = 0; k < n; k++) {
        double w = cubic((k + 0.5 - centre) / wide);
        sum += w;
        own = k == j ? w : own;
    }
    return own / sum;
}

static double resampled(const float *grid, int n, int m, int y, int x, int channel)
{
    double sum = 0;

    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++)
            sum += weight(y, m, r, n) * weight(x, m, c, n) * (double)grid[(r * n + c) * DIM + channel];
    return sum;
}

static void check(int from, int to, bool class_token)
{
    char arch[128];
    float *before;
    const fet__param *p;
    fet__model *m;
    int prefix = class_token;

    snprintf(arch, sizeof arch, "vit:dim=12,depth=1,heads=3,patch=4,img=%d,mlp=2,classes=3,no_class_token=%d", 4 * from,
             !class_token);
    m = tiny(arch);
    scatter(m, false, 0.5);
    p = fet__params_find(m->store, "pos_embed");
    before = fet__alloc((size_t)(prefix + from * from) * DIM, sizeof *before);
    assert_non_null(before);
    memcpy(before, p->data, (size_t)p->bytes);
    assert_ok(m->arch.class_->resize(&m->arch, m->store, 4 * to, 4 * to));
    p = fet__params_find(m->store, "pos_embed");
    assert_int_equal(p->shape.dim[1], prefix + to * to);
    assert_memory_equal(p->data, before, (size_t)prefix * DIM * sizeof(float));
    for (int i = 0; i < to * to * DIM; i++) {
        double expected = resampled(before + prefix * DIM, from, to, i / DIM / to, i / DIM % to, i % DIM);
        double got = (double)((const float *)p->data)[prefix * DIM + i];
        if (fabs(got - expected) > 2e-6)
            fail_msg("%d -> %d, value %d: %g, not %g", from, to, i, got, expected);
    }
    assert_int_equal(m->arch.height, 4 * to);
    fet__free(before);
    fet__model_close(m);
}

static void grids(void **state)
{
    (void)state;
    check(4, 7, true);
    check(7, 4, true);
    check(8, 3, false);
    check(3, 3, true);
    check(1, 4, true);
    check(5, 1, true);
}

/* Opening at another size, as `--image` does: the base's fingerprint is that of the file. */
static void opened_at_another_size(void **state)
{
    fet__model_options at_16 = {.crop_pct = -1, .image = 16}, at_10 = {.crop_pct = -1, .image = 10},
                       same = {.crop_pct = -1};
    const char *path = in_folder("base.safetensors");
    fet__model *m = tiny(TINY), *wide = NULL, *plain = NULL;
    double logits[10];
    char a[65], b[65];

    (void)state;
    assert_ok(fet__model_save(m, path, NULL, 0));
    listen();
    assert_ok(fet__model_open(&wide, path, &at_16));
    assert_int_equal(notes_count("position embedding resampled from 2x2 to 4x4 patches"), 1);
    fet_set_log(NULL, NULL);
    assert_int_equal(wide->input.height, 16);
    assert_int_equal(wide->arch.width, 16);
    logits_of(wide, false, logits);
    assert_true(isfinite(logits[0]));
    assert_ok(fet__model_open(&plain, path, &same));
    assert_ok(fet__model_fingerprint(wide, a));
    assert_ok(fet__model_fingerprint(plain, b));
    assert_string_equal(a, b);
    fet__model_close(plain);
    fet__model_close(wide);
    assert_refused(fet__model_open(&wide, path, &at_10), FET_E_ARG, "10x10 cannot be divided into patch=4");
    assert_null(wide);
    fet__model_close(m);
}

static void adapters_bring_their_size(void **state)
{
    fet__model_options at_16 = {.crop_pct = -1, .image = 16}, same = {.crop_pct = -1};
    const char *path = in_folder("base.safetensors"), *file = in_folder("adapter.safetensors");
    fet__model *m = tiny(TINY);
    double before[10], after[10];

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(fet__model_save(m, path, NULL, 0));
    fet__model_close(m);
    assert_ok(fet__model_open(&m, path, &at_16));
    assert_ok(fet__model_attach(m, "hydra"));
    scatter(m, true, 0.3);
    logits_of(m, false, before);
    assert_ok(fet__model_save_adapter(m, file, NULL, 0));
    fet__model_close(m);
    assert_ok(fet__model_open(&m, path, &same));
    assert_ok(fet__model_attach_file(m, file));
    assert_int_equal(m->arch.height, 16);
    assert_int_equal(m->input.height, 16);
    logits_of(m, false, after);
    assert_true(largest_difference(before, after, 10) == 0);
    fet__model_close(m);
}

/* A merged model says its new size, and opens at it. */
static void saved_at_another_size(void **state)
{
    const char *path = in_folder("wide.safetensors");
    fet__model *m = tiny(TINY), *again = NULL;
    fet__model_options same = {.crop_pct = -1};
    double before[10], after[10];

    (void)state;
    scatter(m, false, 0.3);
    assert_ok(m->arch.class_->resize(&m->arch, m->store, 8, 16));
    m->input.width = 16;
    logits_of(m, false, before);
    assert_ok(fet__model_save(m, path, NULL, 0));
    assert_ok(fet__model_open(&again, path, &same));
    assert_int_equal(again->arch.height, 8);
    assert_int_equal(again->arch.width, 16);
    logits_of(again, false, after);
    assert_true(largest_difference(before, after, 10) == 0);
    fet__model_close(again);
    fet__model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids),
        cmocka_unit_test(opened_at_another_size),
        cmocka_unit_test(adapters_bring_their_size),
        cmocka_unit_test(saved_at_another_size),
    };
    return cmocka_run_group_tests_name("model.resize", tests, make_folder, remove_folder);
}
