/* The plan of a training step of a transformer with low-rank branches: what backward needs is kept, and little else. */
#include "exec_testing.h"

enum { BATCH = 4, TOKENS = 49, DIM = 64, HEADS = 2, RANK = 2, BLOCKS = 8, CLASSES = 5, TRAINED_MOST = 64 };

typedef struct model {
    fixture *f;
    fet__node *trained[TRAINED_MOST];
    int trained_count, made;
    fet__node *x;
} model;

static fet__node *weight(model *m, fet__shape shape, double start, bool trained)
{
    char name[32];
    fet__node *n;

    (void)snprintf(name, sizeof name, "w%d", m->made++);
    n = fet__leaf(m->f->g, ramp(m->f->store, name, shape, start, 1e-5));
    if (trained)
        m->trained[m->trained_count++] = n;
    return n;
}

static fet__node *layer(model *m, fet__node *x, int64_t in, int64_t out, bool trained)
{
    return fet__linear(m->f->g, x, weight(m, FET_SHAPE(out, in), -0.02, trained),
                       weight(m, FET_SHAPE(out), 0, trained));
}

static fet__node *norm(model *m, fet__node *x)
{
    return fet__layer_norm(m->f->g, x, weight(m, FET_SHAPE(DIM), 1, false), weight(m, FET_SHAPE(DIM), 0, false), 1e-6);
}

static void add_block(model *m)
{
    fet__graph *g = m->f->g;
    fet__node *h = layer(m, norm(m, m->x), DIM, 3 * DIM, false), *z, *branches;

    m->x = fet__add(g, m->x, layer(m, fet__attention(g, h, NULL, HEADS, 0.2), DIM, DIM, false));
    h = fet__gelu(g, layer(m, norm(m, m->x), DIM, 4 * DIM, false));
    z = layer(m, h, 4 * DIM, DIM, false);
    branches = fet__add(g, layer(m, layer(m, h, 4 * DIM, RANK, true), RANK, DIM, true),
                        layer(m, layer(m, z, DIM, RANK, true), RANK, DIM, true));
    m->x = fet__add(g, m->x, fet__add(g, z, branches));
}

static void build_step(model *m)
{
    fet__node *grad[TRAINED_MOST], *loss;
    fet__graph *g = m->f->g;

    m->x = fet__input(g, "x", FET_F32, FET_SHAPE(BATCH, TOKENS, DIM));
    for (int i = 0; i < BLOCKS; i++)
        add_block(m);
    loss = layer(m, fet__reshape(g, fet__slice(g, m->x, 1, 0, 1), FET_SHAPE(BATCH, DIM)), DIM, CLASSES, false);
    loss = fet__sum_all(g, fet__cross_entropy(g, loss, fet__input(g, "labels", FET_I32, FET_SHAPE(BATCH)), 0));
    fet__output(g, "loss", loss);
    assert_ok(fet__gradient(g, loss, m->trained, m->trained_count, false, grad));
    for (int i = 0; i < m->trained_count; i++)
        fet__assign(g, m->trained[i], fet__sub(g, m->trained[i], fet__scale(g, grad[i], 0.01)));
}

static void test_a_training_step_keeps_what_backward_needs(void **state)
{
    /* per block: the inputs of both norms, qkv, fc1 before the activation, fc2's output; at the fullest step, the gradient of the
     * wide layer in two parts and the gradient of the stream */
    const double row = BATCH * TOKENS * DIM * sizeof(float), kept = (1 + 3 + 1 + 4 + 1) * row,
                 extra = (4 + 4 + 4) * row;
    fet__program_info info;
    float first, last;
    fixture f;
    model m = {.f = &f};

    (void)state;
    setup(&f);
    build_step(&m);
    create(&f, &(fet__program_options){.require_finite = "loss"});
    info = fet__program_describe(f.p);
    if ((double)info.arena_bytes > BLOCKS * kept + extra)
        fail_msg("the arena has %.0f bytes, %.0f are needed", (double)info.arena_bytes, BLOCKS * kept + extra);
    assert_true((double)info.arena_bytes <= 1.01 * (double)info.floor_bytes);
    for (int i = 0; i < BATCH * TOKENS * DIM; i++)
        ((float *)fet__program_input(f.p, "x"))[i] = sinf((float)i);
    for (int i = 0; i < BATCH; i++)
        ((int32_t *)fet__program_input(f.p, "labels"))[i] = i;
    assert_ok(fet__program_run(f.p));
    first = *(const float *)fet__program_output(f.p, "loss");
    for (int i = 0; i < 3; i++)
        assert_ok(fet__program_run(f.p));
    last = *(const float *)fet__program_output(f.p, "loss");
    assert_true(last < first);
    teardown(&f);
}

/* The same forward alone keeps nothing: its arena does not grow with the number of blocks. */
static void test_inference_keeps_nothing(void **state)
{
    const double row = BATCH * TOKENS * DIM * sizeof(float);
    fixture f;
    model m = {.f = &f};

    (void)state;
    setup(&f);
    m.x = fet__input(f.g, "x", FET_F32, FET_SHAPE(BATCH, TOKENS, DIM));
    for (int i = 0; i < BLOCKS; i++)
        add_block(&m);
    fet__output(f.g, "y", m.x);
    create(&f, NULL);
    assert_true((double)(fet__program_describe(f.p).arena_bytes - fet__program_describe(f.p).scratch_bytes) <= 8 * row);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_training_step_keeps_what_backward_needs),
        cmocka_unit_test(test_inference_keeps_nothing),
    };

    return cmocka_run_group_tests_name("exec.plan", tests, NULL, NULL);
}
