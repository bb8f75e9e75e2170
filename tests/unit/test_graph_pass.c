/* Passes: text before, text after. */
#include "unit/graph_testing.h"

static void expect_text(const fet__graph *g, const char *want)
{
    assert_string_equal(printed(g), want);
}

/* Parse a graph, run one pass over it and compare. Parameters w [3] and m [2, 3] are there. */
static void rewrites(fixture *f, fet_status (*pass)(fet__graph *), const char *before, const char *after)
{
    fet__graph *g = NULL;

    param(f, "w", FET_SHAPE(3));
    param(f, "m", FET_SHAPE(2, 3));
    assert_ok(fet__graph_parse(&g, before, f->store));
    expect_text(g, before); /* and printing is the inverse of parsing */
    assert_ok(fet__graph_verify(g));
    assert_ok(pass(g));
    assert_ok(fet__graph_verify(g));
    expect_text(g, after);
    fet__graph_destroy(g);
}

static void test_arithmetic(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[3] = fill() {value=0}\n"
             "%1 f32[3] = fill() {value=1}\n"
             "%2 f32[3] = add($w, %0)\n"
             "%3 f32[3] = mul(%1, %2)\n"
             "%4 f32[3] = div(%3, %1)\n"
             "%5 f32[3] = neg(%4)\n"
             "%6 f32[3] = neg(%5)\n"
             "%7 f32[3] = sub(%6, %0)\n"
             "%8 f32[3] = pow_int(%7) {n=1}\n"
             "%9 f32[3] = stop_gradient(%8)\n"
             "output \"y\" %9\n",
             "output \"y\" $w\n");
}

static void test_scales_meet(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[3] = fill() {value=0.5}\n"
             "%1 f32[3] = fill() {value=3}\n"
             "%2 f32[3] = mul($w, %0)\n"
             "%3 f32[3] = neg(%2)\n"
             "%4 f32[3] = mul(%1, %3)\n"
             "%5 f32[3] = fill() {value=4}\n"
             "%6 f32[3] = div(%4, %5)\n"
             "output \"y\" %6\n",
             "%14 f32[3] = fill() {value=-0.375}\n"
             "%15 f32[3] = mul($w, %14)\n"
             "output \"y\" %15\n");
}

static void test_signs(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[3] = exp($w)\n"
             "%1 f32[3] = neg(%0)\n"
             "%2 f32[3] = add(%1, $w)\n"
             "%3 f32[3] = sub(%2, %1)\n"
             "output \"y\" %3\n",
             "%0 f32[3] = exp($w)\n"
             "%5 f32[3] = sub($w, %0)\n"
             "%6 f32[3] = add(%5, %0)\n"
             "output \"y\" %6\n");
}

static void test_zero_times_stays(void **state)
{
    const char *text = "%0 f32[3] = fill() {value=0}\n"
                       "%1 f32[3] = mul($w, %0)\n"
                       "output \"y\" %1\n";

    rewrites(*state, fet__pass_algebra, text, text); /* 0 * inf is not 0 */
}

static void test_moves(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[3,2] = transpose($m) {perm=[1,0]}\n"
             "%1 f32[2,3] = transpose(%0) {perm=[1,0]}\n"
             "%2 f32[6] = reshape(%1)\n"
             "%3 f32[3,2] = reshape(%2)\n"
             "%4 f32[5,4] = unslice(%3) {start=[1,0] step=[1,2]}\n"
             "%5 f32[3,2] = slice(%4) {start=[1,0] step=[1,2]}\n"
             "%6 f32[3,2] = roll(%5) {shift=[1,0]}\n"
             "%7 f32[3,2] = roll(%6) {shift=[2,0]}\n"
             "%8 f32[2,2] = slice(%7) {start=[0,0] step=[2,1]}\n"
             "%9 f32[1,2] = slice(%8) {start=[1,0] step=[1,1]}\n"
             "output \"y\" %9\n",
             "%12 f32[3,2] = reshape($m)\n"
             "%13 f32[1,2] = slice(%12) {start=[2,0] step=[2,1]}\n"
             "output \"y\" %13\n");
}

static void test_transposed_products(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[3,2] = transpose($m) {perm=[1,0]}\n"
             "%1 f32[3,3] = matmul(%0, $m) {ta=0 tb=0}\n"
             "%2 f32[3,3] = matmul($m, %0) {ta=1 tb=1}\n"
             "output \"p\" %1\n"
             "output \"q\" %2\n",
             "%4 f32[3,3] = matmul($m, $m) {ta=1 tb=0}\n"
             "%5 f32[3,3] = matmul($m, $m) {ta=1 tb=0}\n"
             "output \"p\" %4\n"
             "output \"q\" %5\n");
}

static void test_sums(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[1,3] = reshape($w)\n"
             "%1 f32[4,3] = broadcast(%0)\n"
             "%2 f32[1,3] = sum(%1) {axes=[0]}\n"
             "%3 f32[1,1] = sum(%2) {axes=[0,1]}\n"
             "%4 f32[2,1] = sum($m) {axes=[1]}\n"
             "%5 f32[1,1] = sum(%4) {axes=[0]}\n"
             "%6 f32[1,1] = add(%3, %5)\n"
             "output \"y\" %6\n",
             "%0 f32[1,3] = reshape($w)\n"
             "%9 f32[1,3] = fill() {value=4}\n"
             "%10 f32[1,3] = mul(%0, %9)\n"
             "%11 f32[1,1] = sum(%10) {axes=[1]}\n"
             "%12 f32[1,1] = sum($m) {axes=[0,1]}\n"
             "%6 f32[1,1] = add(%11, %12)\n"
             "output \"y\" %6\n");
}

static void test_slice_of_concat(void **state)
{
    rewrites(*state, fet__pass_algebra,
             "%0 f32[4,3] = concat($m, $m) {axis=0}\n"
             "%1 f32[2,3] = exp($m)\n"
             "%2 f32[6,3] = concat(%0, %1) {axis=0}\n"
             "%3 f32[2,3] = slice(%2) {start=[4,0] step=[1,1]}\n"
             "%4 f32[1,2] = slice(%2) {start=[3,1] step=[1,1]}\n"
             "output \"a\" %3\n"
             "output \"b\" %4\n",
             "%1 f32[2,3] = exp($m)\n"
             "%8 f32[1,2] = slice($m) {start=[1,1] step=[1,1]}\n"
             "output \"a\" %1\n"
             "output \"b\" %8\n");
}

/* A head that looks at the first row: what is made row by row is made for that row. */
static void test_rows_that_nobody_wants(void **state)
{
    fixture *f = *state;

    param(f, "v", FET_SHAPE(5, 3));
    param(f, "c", FET_SHAPE(5));
    rewrites(f, fet__pass_algebra,
             "%0 f32[2,7,3] = input() {name=\"x\"}\n"
             "%1 f32[2,7,3] = layer_norm(%0, $w, $w) {eps=0.1} @block\n"
             "%2 f32[2,7,5] = linear(%1, $v, $c) {activation=none} @block\n"
             "%3 f32[2,7,5] = gelu(%2) @block\n"
             "%4 f32[2,1,5] = slice(%3) {start=[0,0,0] step=[1,1,1]}\n"
             "output \"y\" %4\n",
             "%0 f32[2,7,3] = input() {name=\"x\"}\n"
             "%12 f32[2,1,3] = slice(%0) {start=[0,0,0] step=[1,1,1]} @block\n"
             "%13 f32[2,1,3] = layer_norm(%12, $w, $w) {eps=0.1} @block\n"
             "%11 f32[2,1,5] = linear(%13, $v, $c) {activation=none} @block\n"
             "%9 f32[2,1,5] = gelu(%11) @block\n"
             "output \"y\" %9\n");
}

/* Gradients that are zero in all other rows stay small through norms, products and weight gradients. */
static void test_rows_that_are_zero(void **state)
{
    fixture *f = *state;

    param(f, "v", FET_SHAPE(5, 3));
    rewrites(f, fet__pass_algebra,
             "%0 f32[2,7,3] = input() {name=\"x\"}\n"
             "%1 f32[2,1,5] = input() {name=\"dy\"}\n"
             "%2 f32[2,7,5] = unslice(%1) {start=[0,3,0] step=[1,1,1]} backward\n"
             "%3 f32[2,7,3] = matmul(%2, $v) {ta=0 tb=0} backward\n"
             "%4 f32[2,7,3] = layer_norm_dx(%0, $w, %3) {eps=0.1} backward\n"
             "%5 f32[14,5] = reshape(%2) backward\n"
             "%6 f32[14,3] = reshape(%0) backward\n"
             "%7 f32[5,3] = matmul(%5, %6) {ta=1 tb=0} backward\n"
             "output \"dx\" %4\n"
             "output \"dw\" %7\n",
             "%0 f32[2,7,3] = input() {name=\"x\"}\n"
             "%1 f32[2,1,5] = input() {name=\"dy\"}\n"
             "%10 f32[2,1,3] = matmul(%1, $v) {ta=0 tb=0} backward\n"
             "%12 f32[2,1,3] = slice(%0) {start=[0,3,0] step=[1,1,1]} backward\n"
             "%13 f32[2,1,3] = layer_norm_dx(%12, $w, %10) {eps=0.1} backward\n"
             "%14 f32[2,7,3] = unslice(%13) {start=[0,3,0] step=[1,1,1]} backward\n"
             "%15 f32[2,1,3] = slice(%0) {start=[0,3,0] step=[1,1,1]} backward\n"
             "%16 f32[2,5] = reshape(%1) backward\n"
             "%17 f32[2,3] = reshape(%15) backward\n"
             "%18 f32[5,3] = matmul(%16, %17) {ta=1 tb=0} backward\n"
             "output \"dx\" %14\n"
             "output \"dw\" %18\n");
}

/* Two slices want different rows, a slice of the last axis wants parts of rows: nothing moves. */
static void test_rows_that_are_wanted(void **state)
{
    const char *text = "%0 f32[2,7,3] = input() {name=\"x\"}\n"
                       "%1 f32[2,7,3] = layer_norm(%0, $w, $w) {eps=0.1}\n"
                       "%2 f32[2,7,1] = slice(%1) {start=[0,0,0] step=[1,1,1]}\n"
                       "%3 f32[2,7,3] = gelu(%0)\n"
                       "%4 f32[2,1,3] = slice(%3) {start=[0,0,0] step=[1,1,1]}\n"
                       "%5 f32[2,1,3] = slice(%3) {start=[0,1,0] step=[1,1,1]}\n"
                       "output \"a\" %2\n"
                       "output \"b\" %4\n"
                       "output \"c\" %5\n";

    rewrites(*state, fet__pass_algebra, text, text);
}

static void test_merge(void **state)
{
    rewrites(*state, fet__pass_merge,
             "%0 i32[] = input() {name=\"step\"}\n"
             "%1 f32[3] = random(%0) {seed=7 stream=1}\n"
             "%2 f32[3] = random(%0) {seed=7 stream=1}\n"
             "%3 f32[3] = random(%0) {seed=7 stream=2}\n"
             "%4 f32[3] = add(%1, %3)\n"
             "%5 f32[3] = add(%3, %2) @late backward\n"
             "%6 f32[3] = sub(%4, %5)\n"
             "%7 f32[3] = add(%1, %3) copy=1\n"
             "output \"y\" %6\n"
             "output \"z\" %7\n",
             "%0 i32[] = input() {name=\"step\"}\n"
             "%1 f32[3] = random(%0) {seed=7 stream=1}\n"
             "%3 f32[3] = random(%0) {seed=7 stream=2}\n"
             "%4 f32[3] = add(%1, %3)\n"
             "%6 f32[3] = sub(%4, %4)\n"
             "%7 f32[3] = add(%1, %3) copy=1\n"
             "output \"y\" %6\n"
             "output \"z\" %7\n");
}

static void test_fuse(void **state)
{
    fixture *f = *state;

    param(f, "b", FET_SHAPE(2));
    rewrites(f, fet__pass_fuse,
             "%0 f32[4,3] = input() {name=\"x\"}\n"
             "%1 f32[4,2] = input() {name=\"r\"}\n"
             "%2 f32[4,2] = linear(%0, $m, $b) {activation=none}\n"
             "%3 f32[4,2] = gelu(%2)\n"
             "%4 f32[4,2] = add(%1, %3)\n"
             "output \"y\" %4\n",
             "%0 f32[4,3] = input() {name=\"x\"}\n"
             "%1 f32[4,2] = input() {name=\"r\"}\n"
             "%4 f32[4,2] = linear(%0, $m, $b, %1) {activation=gelu}\n"
             "output \"y\" %4\n");
}

static void test_fuse_leaves_what_is_shared(void **state)
{
    fixture *f = *state;
    const char *text = "%0 f32[4,3] = input() {name=\"x\"}\n"
                       "%2 f32[4,2] = linear(%0, $m) {activation=none}\n"
                       "%3 f32[4,2] = gelu(%2)\n"
                       "%4 f32[4,2] = gelu_grad(%2) backward\n"
                       "output \"y\" %3\n"
                       "output \"z\" %4\n";

    rewrites(f, fet__pass_fuse, text, text);
    /* a residual needs a bias in front of it */
    text = "%0 f32[4,3] = input() {name=\"x\"}\n"
           "%1 f32[4,2] = input() {name=\"r\"}\n"
           "%2 f32[4,2] = linear(%0, $m) {activation=none}\n"
           "%3 f32[4,2] = add(%2, %1)\n"
           "output \"y\" %3\n";
    rewrites(f, fet__pass_fuse, text, text);
}

/* gelu is kept from fc1's output, which its own gradient keeps anyway; layer norm from its input. */
static void test_recompute(void **state)
{
    fixture *f = *state;

    param(f, "b", FET_SHAPE(64));
    param(f, "u", FET_SHAPE(2, 64));
    rewrites(f, fet__pass_recompute,
             "%0 f32[128,64] = input() {name=\"x\"}\n"
             "%1 f32[128,64] = softmax(%0)\n"
             "%2 f32[128,64] = layer_norm(%1, $b, $b) {eps=1e-06}\n"
             "%3 f32[128,64] = gelu(%2)\n"
             "%4 f32[128,2] = linear(%3, $u) {activation=none}\n"
             "%5 f32[2,64] = matmul(%4, %3) {ta=1 tb=0} @u backward\n"
             "%6 f32[128,64] = gelu_grad(%2) backward\n"
             "%7 f32[128,64] = layer_norm_dx(%1, $b, %6) {eps=1e-06} backward\n"
             "output \"y\" %5\n"
             "output \"z\" %7\n",
             "%0 f32[128,64] = input() {name=\"x\"}\n"
             "%1 f32[128,64] = softmax(%0)\n"
             "%2 f32[128,64] = layer_norm(%1, $b, $b) {eps=1e-06}\n"
             "%3 f32[128,64] = gelu(%2)\n"
             "%4 f32[128,2] = linear(%3, $u) {activation=none}\n"
             "%10 f32[128,64] = layer_norm(%1, $b, $b) {eps=1e-06} backward copy=1\n"
             "%11 f32[128,64] = gelu(%10) backward copy=1\n"
             "%5 f32[2,64] = matmul(%4, %11) {ta=1 tb=0} @u backward\n"
             "%6 f32[128,64] = gelu_grad(%10) backward\n"
             "%7 f32[128,64] = layer_norm_dx(%1, $b, %6) {eps=1e-06} backward\n"
             "output \"y\" %5\n"
             "output \"z\" %7\n");
}

/* softmax's output is not at hand in the backward half, so what is made of it stays kept. */
static void test_recompute_needs_its_inputs(void **state)
{
    fixture *f = *state;
    const char *text = "%0 f32[128,64] = input() {name=\"x\"}\n"
                       "%1 f32[128,64] = softmax(%0)\n"
                       "%2 f32[128,64] = exp(%1)\n"
                       "%3 f32[128,64] = tanh(%2)\n"
                       "%4 f32[128,64] = mul(%2, %2) backward\n"
                       "output \"y\" %3\n"
                       "output \"z\" %4\n";

    rewrites(f, fet__pass_recompute, text, text);
}

/* Sums two f32 inputs: enough of an evaluator for folding. */
static fet_status evaluate(void *user, const fet__node *n, void *out)
{
    float sum = 0;

    *(int *)user += 1;
    assert_int_equal(n->op, FET__OP_ADD);
    for (int64_t i = 0; i < fet__shape_count(&n->shape); i++) {
        sum = 0;
        for (int k = 0; k < 2; k++)
            sum += n->input[k]->op == FET__OP_CONST ? ((const float *)n->input[k]->value)[i]
                                                    : (float)n->input[k]->attr.fill.value;
        ((float *)out)[i] = sum;
    }
    return FET_OK;
}

static void test_fold(void **state)
{
    fixture *f = *state;
    fet__node *c = fet__const(f->g, FET_F32, FET_SHAPE(3), (float[]){1, 2, 4}), *x = input(f, "x", FET_SHAPE(3));
    fet__node *big = fet__add(f->g, fet__fill(f->g, FET_F32, FET_SHAPE(4096, 4096), 1),
                              fet__fill(f->g, FET_F32, FET_SHAPE(4096, 4096), 2));
    int calls = 0;

    c = fet__add(f->g, fet__add(f->g, c, fet__fill(f->g, FET_F32, FET_SHAPE(3), 0.5)), c);
    fet__output(f->g, "y", fet__add(f->g, x, c));
    fet__output(f->g, "big", big);
    assert_ok(fet__pass_fold(f->g, evaluate, &calls));
    assert_ok(fet__graph_verify(f->g));
    assert_int_equal(calls, 3);
    expect_text(f->g, "%1 f32[3] = input() {name=\"x\"}\n"
                      "%4 f32[4096,4096] = fill() {value=3}\n"
                      "%7 f32[3] = const() {value=[2.5,4.5,8.5]}\n"
                      "%8 f32[3] = add(%1, %7)\n"
                      "output \"y\" %8\n"
                      "output \"big\" %4\n");
}

/* What a cost of 10 MB would buy: nothing. */
static void test_fold_leaves_large_results(void **state)
{
    fixture *f = *state;
    int64_t n = 1 << 19;
    float *data = fet__alloc((size_t)n, sizeof *data);
    fet__node *c = fet__const(f->g, FET_F32, FET_SHAPE(n), data);
    int calls = 0;

    fet__output(f->g, "y", fet__add(f->g, c, c));
    assert_ok(fet__pass_fold(f->g, evaluate, &calls));
    assert_int_equal(calls, 0);
    fet__free(data);
}

/* The whole pipeline over a training step of a two-layer network gives the same text every time. */
static fet__graph *training_step(fixture *f)
{
    fet__graph *g;
    fet__node *x, *h, *z, *loss, *wrt[4], *grad[4];
    const char *name[4] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
    fet__shape shape[4] = {FET_SHAPE(96, 48), FET_SHAPE(96), FET_SHAPE(10, 96), FET_SHAPE(10)};

    assert_ok(fet__graph_create(&g));
    for (int i = 0; i < 4; i++) {
        param(f, name[i], shape[i]);
        wrt[i] = fet__leaf(g, fet__params_find(f->store, name[i]));
    }
    x = fet__input(g, "x", FET_F32, FET_SHAPE(64, 48));
    h = fet__gelu(g, fet__linear(g, x, wrt[0], wrt[1]));
    z = fet__linear(g, h, wrt[2], wrt[3]);
    loss = fet__mean(g, fet__cross_entropy(g, z, fet__input(g, "labels", FET_I32, FET_SHAPE(64)), 0.1), 1);
    loss = fet__reshape(g, loss, fet__shape_scalar());
    assert_ok(fet__gradient(g, loss, wrt, 4, false, grad));
    for (int i = 0; i < 4; i++)
        fet__assign(g, wrt[i],
                    fet__sub(g, wrt[i], fet__mul(g, fet__input(g, "lr", FET_F32, fet__shape_scalar()), grad[i])));
    fet__output(g, "loss", loss);
    assert_ok(fet__graph_optimize(g, NULL, NULL));
    return g;
}

static void test_optimize_is_deterministic(void **state)
{
    fet__graph *a = training_step(*state), *b = training_step(*state);

    assert_string_equal(printed(a), printed(b));
    assert_int_equal(live(a, FET__OP_GELU), 2); /* computed again for fc2's weight gradient */
    assert_int_equal(live(a, FET__OP_MUL), 0);  /* products and broadcasts are in groups */
    assert_int_equal(live(a, FET__OP_BROADCAST), 0);
    fet__graph_destroy(a);
    fet__graph_destroy(b);
}

static void test_verify_finds_damage(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "x", FET_SHAPE(3)), *y = fet__gelu(f->g, x), *z = fet__add(f->g, y, x);

    fet__output(f->g, "z", z);
    assert_ok(fet__graph_verify(f->g));
    y->shape.dim[0] = 4;
    assert_int_equal(fet__graph_verify(f->g), FET_E_BUG);
    assert_string_equal(fet_error_message(), "graph: node %1 (gelu) is f32[4] and should be f32[3]");
    y->shape.dim[0] = 3;
    y->input[0] = z;
    assert_int_equal(fet__graph_verify(f->g), FET_E_BUG);
    assert_string_equal(fet_error_message(), "graph: node %1 depends on itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arithmetic),
        TEST(test_scales_meet),
        TEST(test_signs),
        TEST(test_zero_times_stays),
        TEST(test_moves),
        TEST(test_transposed_products),
        TEST(test_sums),
        TEST(test_slice_of_concat),
        TEST(test_rows_that_nobody_wants),
        TEST(test_rows_that_are_zero),
        TEST(test_rows_that_are_wanted),
        TEST(test_merge),
        TEST(test_fuse),
        TEST(test_fuse_leaves_what_is_shared),
        TEST(test_recompute),
        TEST(test_recompute_needs_its_inputs),
        TEST(test_fold),
        TEST(test_fold_leaves_large_results),
        TEST(test_optimize_is_deterministic),
        TEST(test_verify_finds_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
