/* Mona's module against its definition written out with three convolutions (methods/mona.md section 1): the merged filter gives the
 * same values and the same gradients, in double; class tokens pass by; other grids are refused. */
#include "unit/model_testing.h"

#include "adapter/mona_int.h"

enum { B = 2, H = 5, W = 4, C = 6, N = 4, MOST = 32 };

typedef struct form {
    fet__graph *g;
    fet__build b;
    fet__program *p;
    fet__node *wrt[MOST], *grad[MOST];
    const char *name[MOST];
    int count;
} form;

static fet__node *get(form *f, const char *name)
{
    return fet__cast(f->g, fet__leaf(f->g, fet__params_find(f->b.store, name)), FET_F64);
}

/* x [B, H W, C] -> y, as the definition says it. */
static fet__node *written_out(form *f, const fet__mona *m, fet__node *x)
{
    fet__graph *g = f->g;
    fet__node *u = x, *z, *sum = NULL, *q;

    if (m->scaled_norm) {
        u = fet__layer_norm(g, x, get(f, "norm.weight"), get(f, "norm.bias"), 1e-5);
        u = fet__add(g, fet__mul(g, u, get(f, "gamma")), fet__mul(g, x, get(f, "gammax")));
    }
    z = fet__linear(g, u, get(f, "project1.weight"), get(f, "project1.bias"));
    z = fet__reshape(g, z, FET_SHAPE(B, H, W, N));
    for (int i = 0; i < m->kernel_count; i++) {
        fet__conv conv = {.pad = {m->kernel[i] / 2, m->kernel[i] / 2}, .groups = N};
        char weight[64], bias[64];
        fet__node *one;
        snprintf(weight, sizeof weight, "adapter_conv.conv%d.weight", i + 1);
        snprintf(bias, sizeof bias, "adapter_conv.conv%d.bias", i + 1);
        one = fet__add(g, fet__conv2d(g, z, get(f, weight), &conv), get(f, bias));
        sum = sum ? fet__add(g, sum, one) : one;
    }
    sum = fet__add(g, fet__scale(g, sum, 1.0 / m->kernel_count), z);
    q = fet__conv2d(g, sum, get(f, "adapter_conv.projector.weight"), &(fet__conv){.stride = {1, 1}});
    q = fet__add(g, fet__add(g, q, get(f, "adapter_conv.projector.bias")), sum);
    q = fet__reshape(g, fet__gelu(g, q), FET_SHAPE(B, H * W, N));
    return fet__add(g, x, fet__linear(g, q, get(f, "project2.weight"), get(f, "project2.bias")));
}

static void begin(form *f, fet__params *store)
{
    memset(f, 0, sizeof *f);
    assert_ok(fet__graph_create(&f->g));
    f->b = (fet__build){.g = f->g, .store = store, .dtype = FET_F64, .may_initialise = true};
}

/* Gradients of sum(y * dy) with respect to x and every parameter; everything is an output by name. */
static void differentiate(form *f, fet__node *x, fet__node *y)
{
    fet__program_options po = {.reference = true};
    fet__node *loss = fet__sum_all(f->g, fet__mul(f->g, y, fet__input(f->g, "dy", FET_F64, y->shape)));
    char name[96];

    f->wrt[0] = x;
    f->name[f->count++] = "x";
    for (int i = 0; i < fet__params_count(f->b.store); i++) {
        fet__param *p = fet__params_at(f->b.store, i);
        f->wrt[f->count] = fet__leaf(f->g, p);
        f->name[f->count++] = p->name;
    }
    assert_ok(fet__graph_status(f->g));
    assert_ok(fet__gradient(f->g, loss, f->wrt, f->count, false, f->grad));
    fet__output(f->g, "y", y);
    for (int i = 0; i < f->count; i++) {
        snprintf(name, sizeof name, "grad.%s", f->name[i]);
        fet__output(f->g, name, f->grad[i]);
    }
    assert_ok(fet__program_create(&f->p, f->g, &po));
    fet__init_fill(fet__program_input(f->p, "x"), FET_F64, fet__shape_count(&x->shape),
                   (fet__init){FET__INIT_NORMAL, 1}, 1, "x");
    fet__init_fill(fet__program_input(f->p, "dy"), FET_F64, fet__shape_count(&y->shape),
                   (fet__init){FET__INIT_NORMAL, 1}, 2, "dy");
    assert_ok(fet__program_run(f->p));
}

static void end(form *f)
{
    fet__program_destroy(f->p);
    fet__graph_destroy(f->g);
}

/* The largest difference of one output as a share of its largest value. */
static double apart(const form *f, const form *g, const char *name, fet_dtype type, int64_t count)
{
    const void *x = fet__program_output(f->p, name), *y = fet__program_output(g->p, name);
    double most = 0, worst = 0;

    assert_non_null(x);
    assert_non_null(y);
    for (int64_t i = 0; i < count; i++) {
        double a = type == FET_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
        double b = type == FET_F64 ? ((const double *)y)[i] : (double)((const float *)y)[i];
        most = fmax(most, fabs(b));
        worst = fmax(worst, fabs(a - b));
    }
    return most > 0 ? worst / most : worst;
}

static fet__params *random_store(const fet__mona *m)
{
    static const int grid[2] = {H, W};
    fet__params *store;
    form f;

    assert_ok(fet__params_create(&store));
    begin(&f, store);
    assert_non_null(fet__mona_module(&f.b, m, fet__input(f.g, "x", FET_F64, FET_SHAPE(B, H * W, C)), grid, 0, false));
    for (int i = 0; i < fet__params_count(store); i++) {
        fet__param *p = fet__params_at(store, i);
        fet__init_fill(p->data, p->dtype, fet__shape_count(&p->shape), (fet__init){FET__INIT_NORMAL, 0.5}, 9, p->name);
    }
    end(&f);
    return store;
}

static void check(fet__mona m)
{
    static const int grid[2] = {H, W};
    fet__params *store = random_store(&m);
    fet__node *x;
    form merged, plain;
    char name[96];

    begin(&merged, store);
    x = fet__input(merged.g, "x", FET_F64, FET_SHAPE(B, H * W, C));
    differentiate(&merged, x, fet__mona_module(&merged.b, &m, x, grid, 0, false));
    begin(&plain, store);
    x = fet__input(plain.g, "x", FET_F64, FET_SHAPE(B, H * W, C));
    differentiate(&plain, x, written_out(&plain, &m, x));
    assert_true(apart(&merged, &plain, "y", FET_F64, (int64_t)B * H * W * C) < 1e-13);
    for (int i = 0; i < merged.count; i++) {
        snprintf(name, sizeof name, "grad.%s", merged.name[i]);
        /* Gradients of float32 parameters are rounded to float32 once. */
        if (apart(&merged, &plain, name, merged.wrt[i]->dtype, fet__shape_count(&merged.wrt[i]->shape)) >
            (i == 0 ? 1e-12 : 2e-7))
            fail_msg("%s differs", name);
    }
    end(&merged);
    end(&plain);
    fet__params_destroy(store);
}

static void one_filter_for_all(void **state)
{
    (void)state;
    check((fet__mona){.width = N, .kernel = {3, 5, 7}, .kernel_count = 3, .scaled_norm = true});
    check((fet__mona){.width = N, .kernel = {7, 3}, .kernel_count = 2, .scaled_norm = true});
    check((fet__mona){.width = N, .kernel = {3}, .kernel_count = 1});
    check((fet__mona){.width = N, .kernel = {3, 3, 3}, .kernel_count = 3});
    check((fet__mona){.width = N, .kernel = {1, 9}, .kernel_count = 2, .scaled_norm = true}); /* wider than the grid */
}

/* Tokens before the grid come out as they went in, and give their gradient back unchanged; maps are tokens too. */
static void tokens_beside_the_grid(void **state)
{
    static const int grid[2] = {H, W};
    fet__mona m = {.width = N, .kernel = {3, 5}, .kernel_count = 2, .scaled_norm = true};
    fet__params *store = random_store(&m);
    const double *in, *out, *grad, *dy;
    form f, map;
    fet__node *x;

    (void)state;
    begin(&f, store);
    x = fet__input(f.g, "x", FET_F64, FET_SHAPE(B, 2 + H * W, C));
    differentiate(&f, x, fet__mona_module(&f.b, &m, x, grid, 2, false));
    in = fet__program_input(f.p, "x");
    dy = fet__program_input(f.p, "dy");
    out = fet__program_output(f.p, "y");
    grad = fet__program_output(f.p, "grad.x");
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = b * (2 + H * W) * C, k = 0; k < (2 + H * W) * C; k++, i++) {
            assert_true((out[i] == in[i]) == (k < 2 * C));
            assert_true((grad[i] == dy[i]) == (k < 2 * C));
        }
    end(&f);
    begin(&map, store);
    x = fet__input(map.g, "x", FET_F64, FET_SHAPE(B, H, W, C));
    differentiate(&map, x, fet__mona_module(&map.b, &m, x, grid, 0, false));
    begin(&f, store);
    x = fet__input(f.g, "x", FET_F64, FET_SHAPE(B, H * W, C));
    differentiate(&f, x, fet__mona_module(&f.b, &m, x, grid, 0, false));
    assert_true(apart(&map, &f, "y", FET_F64, (int64_t)B * H * W * C) == 0);
    end(&map);
    end(&f);
    fet__params_destroy(store);
}

static void wrong_grids(void **state)
{
    static const struct {
        int grid[2], prefix;
    } rows[] = {{{5, 5}, 0}, {{5, 4}, 1}, {{0, 0}, 0}, {{-5, -4}, 0}, {{4, 4}, 3}};
    fet__mona m = {.width = N, .kernel = {3}, .kernel_count = 1};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__params *store;
        form f;
        assert_ok(fet__params_create(&store));
        begin(&f, store);
        assert_null(fet__mona_module(&f.b, &m, fet__input(f.g, "x", FET_F64, FET_SHAPE(B, H * W, C)), rows[i].grid,
                                     rows[i].prefix, false));
        assert_refused(fet__graph_status(f.g), FET_E_ARG, "mona needs tokens on a grid");
        end(&f);
        fet__params_destroy(store);
    }
}

/* gamma begins at 1e-6 and gammax at 1; the filters within 1 / k; the projections with deviation 0.02; not the identity. */
static void beginning(void **state)
{
    fet__model *m = tiny(TINY);
    const fet__param *p;
    double square = 0;

    (void)state;
    assert_ok(fet__model_attach(m, "mona"));
    p = fet__params_find(m->store, "blocks.1.my_module_2.gamma");
    assert_true(((const float *)p->data)[3] == 1e-6f);
    p = fet__params_find(m->store, "blocks.1.my_module_2.gammax");
    assert_true(((const float *)p->data)[3] == 1.0f);
    p = fet__params_find(m->store, "blocks.1.my_module_2.adapter_conv.conv2.weight");
    assert_int_equal(fet__shape_count(&p->shape), 64 * 25);
    for (int i = 0; i < 64 * 25; i++)
        assert_true(fabs((double)((const float *)p->data)[i]) <= 0.2);
    p = fet__params_find(m->store, "blocks.0.my_module_1.project2.weight");
    for (int i = 0; i < 12 * 64; i++)
        square += (double)((const float *)p->data)[i] * (double)((const float *)p->data)[i];
    assert_true(fabs(sqrt(square / (12 * 64)) - 0.02) < 0.002);
    fet__model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_filter_for_all),
        cmocka_unit_test(tokens_beside_the_grid),
        cmocka_unit_test(wrong_grids),
        cmocka_unit_test(beginning),
    };
    return cmocka_run_group_tests_name("adapter.mona", tests, NULL, NULL);
}
