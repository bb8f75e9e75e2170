/* Programs under a budget: random graphs with their gradients give the same bits, hold what they say, or are refused in words. */
#include "unit/exec_testing.h"

enum { ROWS = 256, WIDTH = 48, LAYERS = 9, RUNS = 2 };

static uint64_t seed;
static uint64_t drawn;

static int draw(int most)
{
    return (int)(fet__random_u32(seed, 1, 0, drawn++) % (uint32_t)(most + 1));
}

static fet__param *weight(fixture *f, int layer)
{
    fet__param *p = NULL;
    char name[32];

    snprintf(name, sizeof name, "w%d", layer);
    assert_ok(fet__params_add(f->store, &p, name, FET_F32, FET_SHAPE(WIDTH, WIDTH), FET__PARAM));
    p->trainable = true;
    for (int i = 0; i < WIDTH * WIDTH; i++)
        ((float *)p->data)[i] = 0.2F * (float)fet__random_normal(seed, 2, (uint32_t)layer, (uint64_t)i);
    return p;
}

/* One of many small nets over what there is so far; values are read again much later as often as not. */
static fet__node *layer(fixture *f, fet__node *const *past, int count, fet__node *w, fet__node *step)
{
    fet__graph *g = f->g;
    fet__node *x = past[count - 1 - draw(count > 3 ? 2 : count - 1)], *other = past[draw(count - 1)], *gamma, *beta;
    const int perm[] = {1, 0};

    switch (draw(7)) {
    case 0: return fet__gelu(g, fet__linear_nobias(g, x, w));
    case 1: return fet__add(g, x, fet__linear_nobias(g, fet__relu(g, other), w));
    case 2: return fet__softmax(g, fet__matmul(g, x, w, false, draw(1)));
    case 3: return fet__mul(g, x, fet__unary(g, FET__OP_TANH, fet__linear_nobias(g, other, w)));
    case 4:
        gamma = fet__fill(g, FET_F32, FET_SHAPE(WIDTH), 1.5);
        beta = fet__fill(g, FET_F32, FET_SHAPE(WIDTH), 0.1);
        return fet__linear_nobias(g, fet__layer_norm(g, x, gamma, beta, 1e-5), w);
    case 5: /* through views: the same bytes in another shape */
        x = fet__reshape(g, fet__linear_nobias(g, x, w), FET_SHAPE(ROWS / 2, 2 * WIDTH));
        x = fet__slice(g, x, 0, 0, ROWS / 2);
        return fet__add(g, fet__reshape(g, x, FET_SHAPE(ROWS, WIDTH)), other);
    case 6:
        x = fet__transpose(g, fet__matmul(g, w, x, false, true), perm);
        return fet__mul(g, x, fet__random(g, step, seed, (uint32_t)count, FET_F32, FET_SHAPE(ROWS, WIDTH)));
    default: return fet__unary(g, FET__OP_SIGMOID, fet__add(g, fet__linear_nobias(g, other, w), x));
    }
}

/* The whole: layers, a loss, a step of descent; sometimes a second gradient of the first one's length. */
static void build(fixture *f)
{
    fet__node *past[LAYERS + 1], *w[LAYERS], *grad[LAYERS], *loss, *step, *rate;
    bool second;

    setup(f);
    drawn = 0;
    step = fet__input(f->g, "step", FET_I32, fet__shape_scalar());
    past[0] = fet__input(f->g, "x", FET_F32, FET_SHAPE(ROWS, WIDTH));
    for (int i = 0; i < LAYERS; i++) {
        w[i] = fet__leaf(f->g, weight(f, i));
        past[i + 1] = layer(f, past, i + 1, w[i], step);
    }
    loss = fet__scale(f->g, fet__sum_all(f->g, fet__mul(f->g, past[LAYERS], past[LAYERS])), 1.0 / ROWS);
    second = draw(2) == 0;
    assert_ok(fet__gradient(f->g, loss, w, LAYERS, true, grad));
    for (int i = 0; second && i < LAYERS; i++)
        if (grad[i])
            loss = fet__add(f->g, loss, fet__scale(f->g, fet__sum_all(f->g, fet__mul(f->g, grad[i], grad[i])), 1e-3));
    if (second)
        assert_ok(fet__gradient(f->g, loss, w, LAYERS, true, grad));
    rate = fet__scalar(f->g, FET_F32, 1e-3);
    for (int i = 0; i < LAYERS; i++)
        if (grad[i])
            fet__assign(f->g, w[i], fet__sub(f->g, w[i], fet__mul(f->g, rate, grad[i])));
    fet__output(f->g, "loss", loss);
    fet__output(f->g, "last", past[LAYERS - draw(1)]);
}

static void run(fixture *f)
{
    static float x[ROWS * WIDTH];

    for (int i = 0; i < ROWS * WIDTH; i++)
        x[i] = (float)fet__random_normal(seed, 3, 0, (uint64_t)i);
    for (int k = 0; k < RUNS; k++) {
        int32_t *step = fet__program_input(f->p, "step");

        if (step)
            *step = k;
        feed(f, "x", x, ROWS * WIDTH);
        assert_ok(fet__program_run(f->p));
    }
}

static void assert_same(const fixture *a, const fixture *b)
{
    assert_memory_equal(fet__program_output(a->p, "loss"), fet__program_output(b->p, "loss"), sizeof(float));
    assert_memory_equal(fet__program_output(a->p, "last"), fet__program_output(b->p, "last"),
                        ROWS * WIDTH * sizeof(float));
    for (int i = 0; i < LAYERS; i++) {
        const fet__param *p = fet__params_at(a->store, i), *q = fet__params_at(b->store, i);

        if (memcmp(p->data, q->data, (size_t)p->bytes) != 0)
            fail_msg("seed %d: %s has other bits", (int)seed, p->name);
    }
}

static void test_random_graphs_keep_their_bits(void **state)
{
    int fitted = 0, refused = 0, repeated = 0;

    (void)state;
    for (seed = 0; seed < 14; seed++) {
        fixture plain;
        fet__program_info all;

        build(&plain);
        create(&plain, &(fet__program_options){.require_finite = "loss"});
        all = fet__program_describe(plain.p);
        if (all.packed_bytes > 0) { /* a weight that no gradient reached: its copy is the first to go */
            teardown(&plain);
            build(&plain);
            create(&plain, &(fet__program_options){.memory = all.total_bytes - 1, .require_finite = "loss"});
            all = fet__program_describe(plain.p);
        }
        assert_true(all.packed_bytes == 0 && all.repeated == 0);
        run(&plain);
        for (int tenths = 9; tenths > 1; tenths -= 2) {
            int64_t budget = all.total_bytes - all.arena_bytes / 10 * (10 - tenths);
            fixture tight;
            fet_status st;

            build(&tight);
            st = fet__program_create(&tight.p, tight.g,
                                     &(fet__program_options){.memory = budget, .require_finite = "loss"});
            if (st == FET_OK) {
                fet__program_info info = fet__program_describe(tight.p);

                assert_true(info.total_bytes <= budget);
                assert_true(info.repeated > 0 && info.repeated_flops >= 0);
                run(&tight);
                assert_same(&plain, &tight);
                fitted++;
                repeated += info.repeated;
            } else {
                assert_int_equal(st, FET_E_NOMEM);
                assert_non_null(strstr(fet_error_message(), "memory budget is"));
                refused++;
            }
            teardown(&tight);
        }
        teardown(&plain);
    }
    print_message("%d plans fitted, %d were refused, %d steps were done again\n", fitted, refused, repeated);
    assert_true(fitted > 15 && refused > 5 && repeated > 100);
}

/* The list of layers: numbers become ranges, what stands alone stays. */
static void test_layers_are_named(void **state)
{
    fet__text t = {0};
    fixture f;
    fet__node *x, *w, *past[8], *grad = NULL;
    fet__program_info all;

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        seed = 5;
        setup(&f);
        w = fet__leaf(f.g, weight(&f, 0));
        x = fet__input(f.g, "x", FET_F32, FET_SHAPE(256, WIDTH));
        for (int i = 0; i < 8; i++) {
            char name[16];

            snprintf(name, sizeof name, "block.%d", i);
            fet__scope_push(f.g, name);
            fet__scope_push(f.g, "inside");
            past[i] = x = fet__add(f.g, x, fet__gelu(f.g, fet__linear_nobias(f.g, x, w)));
            fet__scope_pop(f.g);
            fet__scope_pop(f.g);
        }
        assert_ok(fet__gradient(f.g, fet__sum_all(f.g, past[7]), &w, 1, false, &grad));
        fet__output(f.g, "grad", grad);
        create(&f, pass == 0 ? NULL : &(fet__program_options){.memory = all.total_bytes * 6 / 10});
        all = fet__program_describe(f.p);
        assert_ok(fet__program_repeats(f.p, &t));
        if (pass == 0)
            assert_int_equal(t.length, 0);
        else
            assert_non_null(strstr(t.s, "block.0-"));
        teardown(&f);
    }
    fet__text_fini(&t);
}

/* What else is counted in a budget is counted. */
static void test_what_stands_beside_counts(void **state)
{
    fet__program_info all;
    fixture f;
    int64_t whole;

    (void)state;
    seed = 1;
    build(&f);
    create(&f, NULL);
    all = fet__program_describe(f.p);
    teardown(&f);
    whole = all.total_bytes + all.weight_bytes + all.process_bytes;
    build(&f);
    create(&f, &(fet__program_options){.memory = whole, .whole = true});
    assert_int_equal(fet__program_describe(f.p).repeated, 0);
    teardown(&f);
    build(&f);
    create(&f,
           &(fet__program_options){.memory = whole + 1000000, .whole = true, .beside = 1000001 + all.arena_bytes / 5});
    all = fet__program_describe(f.p);
    assert_true(all.repeated > 0);
    teardown(&f);
    build(&f);
    assert_int_equal(
        fet__program_create(&f.p, f.g, &(fet__program_options){.memory = whole, .whole = true, .beside = whole}),
        FET_E_NOMEM);
    assert_non_null(strstr(fet_error_message(), "weights and states"));
    assert_non_null(strstr(fet_error_message(), "the program itself and data"));
    teardown(&f);
}

/* Every allocation may fail on the way to a plan that fits. */
static void test_no_memory_is_a_status_at_every_place(void **state)
{
    fet__program_info all;
    fet_status st = FET_E_NOMEM;
    fixture f;
    int failures = 0;

    (void)state;
    seed = 2;
    build(&f);
    create(&f, NULL);
    all = fet__program_describe(f.p);
    teardown(&f);
    for (uint64_t n = 1; st == FET_E_NOMEM && n < 20000; n += 29) {
        build(&f);
        fet__alloc_fail_after(n);
        st = fet__program_create(&f.p, f.g, &(fet__program_options){.memory = all.total_bytes - all.arena_bytes / 5});
        fet__alloc_fail_after(0);
        assert_true(st == FET_OK || (st == FET_E_NOMEM && f.p == NULL));
        failures += st != FET_OK;
        teardown(&f);
    }
    assert_int_equal(st, FET_OK);
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs_keep_their_bits),
        cmocka_unit_test(test_layers_are_named),
        cmocka_unit_test(test_what_stands_beside_counts),
        cmocka_unit_test(test_no_memory_is_a_status_at_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
