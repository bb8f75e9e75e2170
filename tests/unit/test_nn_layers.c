/* Layers: parameters by name and their refusals, sites that layers pass, initial values, dropout and drop
 * path. */
#include "unit/model_testing.h"

static const fet__init one = {FET__INIT_ONE, 0};

static fet__build begin(void)
{
    fet__build b = {.dtype = FET_F32, .seed = 11};

    assert_ok(fet__params_create(&b.store));
    assert_ok(fet__graph_create(&b.g));
    return b;
}

static void end(fet__build *b)
{
    fet__graph_destroy(b->g);
    fet__params_destroy(b->store);
}

/* ---- parameters ------------------------------------------------------------------------------------------ */

static void missing_and_misshapen(void **state)
{
    fet__build b = begin();
    fet__param *p;

    (void)state;
    fet__enter(&b, "blocks.%d", 3);
    fet__enter(&b, "mlp");
    assert_null(fet__parameter(&b, "weight", FET_SHAPE(2, 3), one));
    assert_refused(fet__graph_status(b.g), FET_E_FORMAT, "tensor blocks.3.mlp.weight [2, 3] is missing");
    end(&b);

    b = begin();
    assert_ok(fet__params_add(b.store, &p, "w", FET_F32, FET_SHAPE(3, 2), FET__PARAM));
    assert_null(fet__parameter(&b, "w", FET_SHAPE(2, 3), one));
    assert_refused(fet__graph_status(b.g), FET_E_FORMAT, "w has shape [3, 2] where the model needs [2, 3]");
    end(&b);
}

static void fresh_regions(void **state)
{
    fet__build b = begin();

    (void)state;
    fet__build_fresh_begin(&b);
    assert_non_null(fet__parameter(&b, "a", FET_SHAPE(2), one));
    fet__build_fresh_end(&b);
    assert_true(fet__has_parameter(&b, "a"));
    assert_true(((float *)fet__params_find(b.store, "a")->data)[1] == 1);
    assert_non_null(fet__parameter(&b, "a", FET_SHAPE(2), one)); /* there now */
    assert_null(fet__parameter(&b, "b", FET_SHAPE(2), one));
    end(&b);
}

/* One leaf a parameter, whatever asks for it. */
static void prefixes_nest(void **state)
{
    fet__build b = begin();
    fet__node *x;

    (void)state;
    b.may_initialise = true;
    fet__enter(&b, "blocks.0");
    fet__enter(&b, "attn");
    x = fet__parameter(&b, "w", FET_SHAPE(2), one);
    assert_string_equal(b.prefix, "blocks.0.attn");
    fet__leave(&b);
    assert_string_equal(b.prefix, "blocks.0");
    fet__leave(&b);
    assert_string_equal(b.prefix, "");
    assert_ptr_equal(x, fet__parameter_at(&b, "blocks.0.attn.w", FET_SHAPE(2), one));
    end(&b);
}

/* In the reference path a float32 checkpoint is computed with in double. */
static void double_builds_cast(void **state)
{
    fet__build b = begin();
    fet__param *p;
    fet__node *x;

    (void)state;
    assert_ok(fet__params_add(b.store, &p, "w", FET_F32, FET_SHAPE(2), FET__PARAM));
    b.dtype = FET_F64;
    x = fet__parameter(&b, "w", FET_SHAPE(2), one);
    assert_int_equal(x->dtype, FET_F64);
    assert_int_equal(x->op, FET__OP_CAST);
    end(&b);
}

/* ---- sites ----------------------------------------------------------------------------------------------- */

typedef struct seen {
    char text[512];
} seen;

static fet__node *see_linear(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    seen *n = user;
    size_t used = strlen(n->text);

    (void)b;
    assert_int_equal(x->shape.dim[x->shape.rank - 1], s->in);
    assert_int_equal(y->shape.dim[y->shape.rank - 1], s->out);
    snprintf(n->text + used, sizeof n->text - used, "%s%s ", s->name, s->bias ? "+b" : "");
    for (int i = 0; i < s->part_count; i++) {
        used = strlen(n->text);
        snprintf(n->text + used, sizeof n->text - used, "(%s) ", s->part[i]);
    }
    return y;
}

static fet__node *double_residual(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y)
{
    (void)user;
    assert_string_equal(s->name, s->branch == FET__BRANCH_ATTENTION ? "attn" : "mlp");
    assert_int_equal(s->kind, FET__SITE_RESIDUAL);
    assert_int_equal(s->grid[0] * s->grid[1] + s->prefix_tokens, x->shape.dim[1]);
    return fet__add(b->g, x, y);
}

/* After the sum: o - 5 x, with x as it was before. */
static fet__node *stream_hook(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *o)
{
    (void)user;
    assert_int_equal(s->kind, FET__SITE_RESIDUAL);
    return fet__sub(b->g, o, fet__scale(b->g, x, 5));
}

static void attention_passes_its_sites(void **state)
{
    fet__build b = begin();
    seen n = {{0}};
    fet__hooks hooks = {.user = &n, .linear = see_linear};
    fet__attention_options o = {.heads = 2};
    fet__node *x = fet__input(b.g, "x", FET_F32, FET_SHAPE(1, 5, 4));

    (void)state;
    b.may_initialise = true;
    b.hooks = &hooks;
    fet__enter(&b, "blocks.7");
    assert_non_null(fet__nn_attention(&b, "attn", x, &o));
    assert_string_equal(
        n.text, "blocks.7.attn.qkv (blocks.7.attn.q) (blocks.7.attn.k) (blocks.7.attn.v) blocks.7.attn.proj+b ");
    assert_int_equal(b.site_count, 2);
    assert_null(b.sites[0].bias);
    assert_ptr_equal(b.sites[1].bias, fet__params_find(b.store, "blocks.7.attn.proj.bias"));
    o.heads = 3;
    assert_null(fet__nn_attention(&b, "other", x, &o));
    assert_refused(fet__graph_status(b.g), FET_E_ARG, "width 4 cannot be divided into 3 heads");
    end(&b);
}

/* The list of sites grows past its first room and keeps what it had. */
static void many_sites(void **state)
{
    fet__build b = begin();
    fet__node *x = fet__input(b.g, "x", FET_F32, FET_SHAPE(2, 3));
    char name[16];

    (void)state;
    b.may_initialise = true;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "l%d", i);
        x = fet__nn_linear(&b, name, x, 3, NULL);
    }
    assert_ok(fet__graph_status(b.g));
    assert_int_equal(b.site_count, 200);
    assert_string_equal(b.sites[0].name, "l0");
    assert_string_equal(b.sites[199].name, "l199");
    end(&b);
}

/* With y = x: x + (x + y) = 3 x after the branch's hook and the sum, - 2 x after the stream's. */
static void residual_site(void **state)
{
    static const int grid[2] = {2, 2};
    fet__build b = begin();
    fet__hooks hooks = {.residual = double_residual, .stream = stream_hook};
    fet__program_options po = {.reference = true};
    fet__program *p = NULL;
    fet__node *x = fet__input(b.g, "x", FET_F32, FET_SHAPE(1, 5, 1));

    (void)state;
    b.hooks = &hooks;
    fet__output(b.g, "y", fet__nn_residual(&b, "attn", x, x, 0.5, grid, 1)); /* evaluation: no drop path */
    assert_ok(fet__program_create(&p, b.g, &po));
    ((float *)fet__program_input(p, "x"))[4] = 7;
    assert_ok(fet__program_run(p));
    assert_true(((const float *)fet__program_output(p, "y"))[4] == -14);
    fet__program_destroy(p);
    end(&b);
}

/* ---- initial values -------------------------------------------------------------------------------------- */

enum { DRAWS = 20000 };

static void moments(fet__init init, double *mean, double *deviation, double *most)
{
    double *v = fet__alloc(DRAWS, sizeof *v), sum = 0, square = 0;

    assert_non_null(v);
    fet__init_fill(v, FET_F64, DRAWS, init, 4, "w");
    for (int i = 0; i < DRAWS; i++) {
        sum += v[i];
        square += v[i] * v[i];
        *most = fmax(*most, fabs(v[i]));
    }
    *mean = sum / DRAWS;
    *deviation = sqrt(square / DRAWS - *mean * *mean);
    fet__free(v);
}

static void distributions(void **state)
{
    double mean, deviation, most = 0;

    (void)state;
    moments((fet__init){FET__INIT_NORMAL, 0.02}, &mean, &deviation, &most);
    assert_true(fabs(mean) < 0.0006 && fabs(deviation - 0.02) < 0.0005 && most > 0.06);
    most = 0;
    moments((fet__init){FET__INIT_TRUNC_NORMAL, 0.02}, &mean, &deviation, &most);
    assert_true(fabs(mean) < 0.0006 && fabs(deviation - 0.02 * 0.8796) < 0.0005 && most <= 0.04);
    most = 0;
    moments(fet__init_kaiming5(16), &mean, &deviation, &most); /* bound 1/4 */
    assert_true(fabs(mean) < 0.005 && fabs(deviation - 0.25 / sqrt(3)) < 0.003 && most <= 0.25 && most > 0.249);
    most = 0;
    moments(fet__init_xavier(4, 2), &mean, &deviation, &most); /* bound 1 */
    assert_true(most <= 1 && most > 0.999);
}

/* A function of seed and name alone; float is the double rounded. */
static void draws_are_named(void **state)
{
    const fet__init init = {FET__INIT_NORMAL, 1};
    double a[9], b[9];
    float f[9];

    (void)state;
    fet__init_fill(a, FET_F64, 9, init, 1, "x");
    fet__init_fill(b, FET_F64, 5, init, 1, "x");
    assert_memory_equal(a, b, 5 * sizeof *a);
    fet__init_fill(f, FET_F32, 9, init, 1, "x");
    for (int i = 0; i < 9; i++)
        assert_true(f[i] == (float)a[i]);
    fet__init_fill(b, FET_F64, 9, init, 1, "y");
    assert_memory_not_equal(a, b, sizeof a);
    fet__init_fill(b, FET_F64, 9, init, 2, "x");
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- dropout --------------------------------------------------------------------------------------------- */

enum { ROWS = 64, COLS = 32 };

typedef struct dropped {
    float y[ROWS * COLS];
} dropped;

/* Ones through dropout (or drop path) at rate p in step `step`. */
static void drop_ones(bool path, double p, bool train, int step, dropped *out)
{
    fet__build b = begin();
    fet__program *program = NULL;
    fet__program_options po = {0};
    fet__node *x = fet__fill(b.g, FET_F32, FET_SHAPE(ROWS, COLS), 1);

    b.train = train;
    b.step = fet__input(b.g, "step", FET_I32, fet__shape_scalar());
    x = path ? fet__nn_drop_path(&b, x, p) : fet__nn_dropout(&b, x, p);
    fet__output(b.g, "y", fet__add(b.g, x, fet__scalar(b.g, FET_F32, 0)));
    assert_ok(fet__program_create(&program, b.g, &po));
    if (fet__program_input(program, "step"))
        *(int32_t *)fet__program_input(program, "step") = step;
    assert_ok(fet__program_run(program));
    memcpy(out->y, fet__program_output(program, "y"), sizeof out->y);
    fet__program_destroy(program);
    end(&b);
}

static void dropout_masks(void **state)
{
    static dropped a, b;
    double sum = 0;

    (void)state;
    drop_ones(false, 0.25, true, 3, &a);
    for (int i = 0; i < ROWS * COLS; i++) {
        assert_true(a.y[i] == 0 || fabsf(a.y[i] - 1 / 0.75f) < 1e-6f);
        sum += (double)a.y[i];
    }
    assert_true(fabs(sum / (ROWS * COLS) - 1) < 0.05);
    drop_ones(false, 0.25, true, 3, &b);
    assert_memory_equal(&a, &b, sizeof a);
    drop_ones(false, 0.25, true, 4, &b);
    assert_memory_not_equal(&a, &b, sizeof a);
    drop_ones(false, 0.25, false, 3, &b);
    for (int i = 0; i < ROWS * COLS; i++)
        assert_true(b.y[i] == 1);
}

static void drop_path_takes_whole_samples(void **state)
{
    static dropped a;
    int kept = 0;

    (void)state;
    drop_ones(true, 0.5, true, 0, &a);
    for (int i = 0; i < ROWS; i++) {
        for (int k = 1; k < COLS; k++)
            assert_true(a.y[i * COLS + k] == a.y[i * COLS]);
        kept += a.y[i * COLS] == 2;
    }
    assert_true(kept > ROWS / 4 && kept < ROWS * 3 / 4);
}

static void dropout_needs_a_step(void **state)
{
    fet__build b = begin();

    (void)state;
    b.train = true;
    assert_null(fet__nn_dropout(&b, fet__fill(b.g, FET_F32, FET_SHAPE(2), 1), 0.5));
    assert_refused(fet__graph_status(b.g), FET_E_BUG, "dropout needs the step number");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_and_misshapen),
        cmocka_unit_test(fresh_regions),
        cmocka_unit_test(prefixes_nest),
        cmocka_unit_test(double_builds_cast),
        cmocka_unit_test(attention_passes_its_sites),
        cmocka_unit_test(many_sites),
        cmocka_unit_test(residual_site),
        cmocka_unit_test(distributions),
        cmocka_unit_test(draws_are_named),
        cmocka_unit_test(dropout_masks),
        cmocka_unit_test(drop_path_takes_whole_samples),
        cmocka_unit_test(dropout_needs_a_step),
    };
    return cmocka_run_group_tests_name("nn.layers", tests, NULL, NULL);
}
