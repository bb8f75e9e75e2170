/* Random graphs: the optimised program (passes, fast kernels, views, overlays, direct writes) against the reference program over
 * several runs, outputs and store. Each failure names its seed. */
#include "exec_testing.h"

#include "exec/exec_int.h"

enum { ROWS = 4, COLS = 6, SIZE = ROWS * COLS, PARAMS = 5, POOL = 64, OUTPUTS = 4, RUNS = 3 };

typedef struct builder {
    fet__graph *g;
    fet__rng rng;
    fet__node *pool[POOL]; /* all [ROWS, COLS] */
    int count;
    fet__node *param[PARAMS], *w, *gamma, *beta, *step;
} builder;

static int pick(builder *b, int n)
{
    return (int)fet__rng_int(&b->rng, 0, n - 1);
}

static fet__node *any(builder *b)
{
    /* the newest are likelier: chains get long */
    int back = pick(b, 2) ? pick(b, b->count < 4 ? b->count : 4) : pick(b, b->count);

    return b->pool[b->count - 1 - back];
}

static fet__node *bounded(builder *b, fet__node *x)
{
    return fet__unary(b->g, FET__OP_TANH, x);
}

static fet__node *element_node(builder *b, int kind)
{
    fet__graph *g = b->g;

    switch (kind) {
    case 0: return bounded(b, fet__add(g, any(b), any(b)));
    case 1: return fet__sub(g, bounded(b, any(b)), any(b));
    case 2: return bounded(b, fet__mul(g, any(b), any(b)));
    case 3: return fet__gelu(g, any(b));
    case 4: return fet__binary(g, FET__OP_MAX, any(b), fet__scale(g, any(b), 0.5));
    case 5: return fet__unary(g, FET__OP_EXP, fet__unary(g, FET__OP_NEG, fet__unary(g, FET__OP_ABS, any(b))));
    case 6: return fet__stop_gradient(g, any(b));
    default: return fet__shift(g, fet__scale(g, any(b), -0.7), 0.1);
    }
}

static fet__node *moved_node(builder *b, int kind)
{
    fet__graph *g = b->g;
    fet__node *x = any(b), *y = any(b);

    switch (kind) {
    case 0:
        return fet__reshape(g, fet__unary(g, FET__OP_NEG, fet__reshape(g, x, FET_SHAPE(SIZE))), FET_SHAPE(ROWS, COLS));
    case 1: return fet__concat(g, (fet__node *[]){fet__slice(g, x, 0, 1, 3), fet__slice(g, y, 0, 0, 2)}, 2, 0);
    case 2:
        return fet__transpose(g, fet__unary(g, FET__OP_SIGMOID, fet__transpose(g, x, (const int[]){1, 0})),
                              (const int[]){1, 0});
    case 3: return fet__add(g, fet__sum(g, fet__scale(g, x, 0.2), 1), y);
    case 4: return fet__mul(g, bounded(b, fet__slice(g, x, 0, 2, 3)), y);
    case 5: return fet__concat(g, (fet__node *[]){fet__slice(g, x, 1, 3, 6), fet__slice(g, y, 1, 0, 3)}, 2, 1);
    case 6: return fet__roll(g, x, 1, 2);
    default: return fet__gather(g, x, fet__const(g, FET_I32, FET_SHAPE(ROWS), (const int32_t[]){3, 0, 0, 2}));
    }
}

static fet__node *heavy_node(builder *b, int kind)
{
    fet__graph *g = b->g;
    fet__node *x = any(b), *y = any(b);

    switch (kind) {
    case 0: return bounded(b, fet__linear_nobias(g, x, b->w));
    case 1: return fet__softmax(g, x);
    case 2: return bounded(b, fet__layer_norm(g, x, b->gamma, b->beta, 1e-1));
    case 3: return fet__matmul(g, fet__scale(g, fet__matmul(g, x, y, false, true), 0.05), y, false, false);
    case 4: return fet__mul(g, x, fet__random(g, b->step, 5, (uint32_t)pick(b, 3), FET_F32, FET_SHAPE(ROWS, COLS)));
    case 5: return fet__add(g, x, fet__mul(g, b->gamma, b->beta)); /* once */
    case 6: return fet__linear(g, x, fet__scale(g, b->w, 0.3), b->beta);
    default: return fet__where(g, fet__compare(g, FET__GT, b->pool[0], fet__scalar(g, FET_F32, 0)), x, y);
    }
}

static void add_node(builder *b)
{
    int kind = pick(b, 24);

    b->pool[b->count] = kind < 8    ? element_node(b, kind)
                        : kind < 16 ? moved_node(b, kind - 8)
                                    : heavy_node(b, kind - 16);
    b->count++;
}

/* New values of parameters: updates, other nodes, other parameters, gradients. */
static void add_assigns(builder *b, fet__node *loss)
{
    fet__node *grad[PARAMS] = {0};

    if (pick(b, 2))
        assert_ok(fet__gradient(b->g, loss, b->param, PARAMS, true, grad));
    for (int i = 0; i < PARAMS; i++) {
        fet__node *p = b->param[i], *value = NULL;

        switch (pick(b, 6)) {
        case 0: value = any(b); break;
        case 1: value = b->param[pick(b, PARAMS)]; break;
        case 2: value = bounded(b, fet__add(b->g, p, any(b))); break;
        case 3:
            value = fet__add(b->g, fet__scale(b->g, p, 0.5), fet__scale(b->g, b->param[pick(b, PARAMS)], 0.25));
            break;
        case 4: value = grad[i] ? bounded(b, fet__sub(b->g, p, fet__scale(b->g, grad[i], 0.1))) : NULL; break;
        default: break; /* frozen */
        }
        if (value)
            fet__assign(b->g, p, value);
    }
}

static void build(fixture *f, uint64_t seed)
{
    static const char *const names[] = {"p0", "p1", "p2", "p3", "p4", "o0", "o1", "o2", "o3"};
    builder b = {.rng = {.seed = seed}};
    fet__node *loss;
    int size;

    setup(f);
    b.g = f->g;
    b.pool[b.count++] = fet__input(b.g, "x", FET_F32, FET_SHAPE(ROWS, COLS));
    b.step = fet__input(b.g, "step", FET_I32, fet__shape_scalar());
    for (int i = 0; i < PARAMS; i++)
        b.pool[b.count++] = b.param[i] =
            fet__leaf(b.g, ramp(f->store, names[i], FET_SHAPE(ROWS, COLS), -0.4 + 0.1 * i, 0.02));
    b.w = fet__leaf(b.g, ramp(f->store, "w", FET_SHAPE(COLS, COLS), -0.5, 0.03));
    b.gamma = fet__leaf(b.g, ramp(f->store, "gamma", FET_SHAPE(COLS), 1, 0.1));
    b.beta = fet__leaf(b.g, ramp(f->store, "beta", FET_SHAPE(COLS), -0.2, 0.1));
    size = 4 + pick(&b, 40);
    for (int i = 0; i < size; i++)
        add_node(&b);
    loss = fet__sum_all(b.g, fet__mul(b.g, any(&b), any(&b)));
    for (int i = 0; i < OUTPUTS; i++)
        fet__output(b.g, names[PARAMS + i], any(&b));
    fet__output(b.g, "loss", loss);
    add_assigns(&b, loss);
    if (fet__graph_status(b.g) != FET_OK)
        fail_msg("seed %d: %s", (int)seed, fet_error_message());
}

static void close_enough(const float *a, const float *b, int64_t count, uint64_t seed, int run, const char *what)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= 2e-4f * (1 + fabsf(b[i]))))
            fail_msg("seed %d, run %d: %s[%d] is %.9g, reference %.9g", (int)seed, run, what, (int)i, (double)a[i],
                     (double)b[i]);
}

static void run_once(fixture *f, uint64_t seed, int run)
{
    float *x = fet__program_input(f->p, "x");

    memset(f->p->arena, 0xff, (size_t)f->p->info.arena_bytes); /* a read of what was not written in this run is a NaN */
    int32_t *step = fet__program_input(f->p, "step");

    for (int64_t i = 0; x && i < SIZE; i++)
        x[i] = fet__random_uniform(seed, 9, (uint32_t)run, (uint64_t)i) - 0.5f;
    if (step)
        *step = run;
    if (run == RUNS - 1)
        for (int i = 0; i < fet__params_count(f->store); i++) { /* the host changes what it likes */
            fet__param *p = fet__params_at(f->store, i);

            ((float *)p->data)[0] += 0.125f;
            p->version++;
        }
    if (fet__program_run(f->p) != FET_OK)
        fail_msg("seed %d: %s", (int)seed, fet_error_message());
}

static void compare(const fixture *fast, const fixture *slow, uint64_t seed, int run)
{
    static const char *const names[] = {"o0", "o1", "o2", "o3"};

    for (int i = 0; i < OUTPUTS; i++)
        close_enough(fet__program_output(fast->p, names[i]), fet__program_output(slow->p, names[i]), SIZE, seed, run,
                     names[i]);
    close_enough(fet__program_output(fast->p, "loss"), fet__program_output(slow->p, "loss"), 1, seed, run, "loss");
    for (int i = 0; i < fet__params_count(fast->store); i++) {
        const fet__param *a = fet__params_at(fast->store, i), *b = fet__params_at(slow->store, i);

        close_enough(a->data, b->data, a->bytes / 4, seed, run, a->name);
    }
}

/* How often `word` stands in the plan: the test means nothing when nothing was done in place. */
static int count_in_plan(const fixture *f, const char *word)
{
    fet__text text = {0};
    int count = 0;

    assert_ok(fet__program_print(f->p, &text, true));
    for (const char *s = text.s; (s = strstr(s, word)) != NULL; s++)
        count++;
    fet__text_fini(&text);
    return count;
}

static void test_optimised_programs_agree_with_the_reference(void **state)
{
    int overlays = 0, direct = 0, copied = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        fixture fast, slow;

        build(&fast, seed);
        build(&slow, seed);
        if (fet__program_create(&fast.p, fast.g, &(fet__program_options){.require_finite = "loss"}) != FET_OK)
            fail_msg("seed %d: %s", (int)seed, fet_error_message());
        create(&slow, &(fet__program_options){.reference = true});
        for (int run = 0; run < RUNS; run++) {
            run_once(&fast, seed, run);
            run_once(&slow, seed, run);
            compare(&fast, &slow, seed, run);
        }
        overlays += count_in_plan(&fast, " in place ");
        copied += count_in_plan(&fast, " assign ");
        direct += count_in_plan(&fast, " store ") - count_in_plan(&fast, " assign ");
        teardown(&fast);
        teardown(&slow);
    }
    assert_true(overlays > 100);
    assert_true(direct > 100);
    assert_true(copied > 100);
}

static void test_equal_graphs_give_equal_plans(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        fet__text text[2] = {{0}};

        for (int i = 0; i < 2; i++) {
            fixture f;

            build(&f, seed);
            create(&f, NULL);
            assert_ok(fet__program_print(f.p, &text[i], true));
            teardown(&f);
        }
        assert_string_equal(text[0].s, text[1].s);
        fet__text_fini(&text[0]);
        fet__text_fini(&text[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimised_programs_agree_with_the_reference),
        cmocka_unit_test(test_equal_graphs_give_equal_plans),
    };

    return cmocka_run_group_tests_name("exec.random", tests, NULL, NULL);
}
