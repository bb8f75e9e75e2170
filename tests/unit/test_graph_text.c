/* Graphs as text: what is printed parses back to the same text, and wrong texts are refused with the line. */
#include "unit/graph_testing.h"

static void round_trip(fixture *f)
{
    fet__graph *back = NULL;
    const char *text = printed(f->g);

    assert_ok(fet__graph_parse(&back, text, f->store));
    assert_ok(fet__graph_verify(back));
    assert_string_equal(printed(back), text);
    fet__graph_destroy(back);
}

static void test_operators_with_attributes(void **state)
{
    fixture *f = *state;
    fet__node *x = input(f, "image", FET_SHAPE(2, 9, 7, 6)), *w = param(f, "conv.weight", FET_SHAPE(4, 3, 3, 3)), *y;
    fet__conv c = {.stride = {2, 1}, .pad = {1, 0}, .dilation = {1, 2}, .groups = 2};
    fet__pool p = {.kernel = {3, 2}, .stride = {2, 2}, .pad = {1, 1}};

    y = fet__conv2d(f->g, x, w, &c);
    fet__output(f->g, "conv", fet__sum_all(f->g, fet__mul(f->g, y, y)));
    fet__output(f->g, "pool", fet__max_pool(f->g, fet__resize(f->g, x, 5, 5, true, true), &p));
    fet__output(f->g, "part",
                fet__slice_all(f->g, x, (int64_t[]){0, 1, 0, 2}, (int64_t[]){1, 3, 2, 1}, FET_SHAPE(2, 2, 3, 4)));
    fet__output(f->g, "back",
                fet__reduce_max(f->g, fet__roll(f->g, fet__transpose(f->g, x, (int[]){0, 3, 1, 2}), 2, 3), 10));
    fet__output(f->g, "odd \"name\"\n", fet__pow_int(f->g, x, -3));
    round_trip(f);
    assert_non_null(strstr(printed(f->g), "output \"odd \\x22name\\x22\\x0a\" "));
}

static void test_constants_and_scopes(void **state)
{
    fixture *f = *state;
    fet__node *c = fet__const(f->g, FET_F32, FET_SHAPE(2, 2), (float[]){0.1f, -1e-30f, 3e8f, 0});

    fet__scope_push(f->g, "a scope with spaces");
    c = fet__add(f->g, c, fet__scalar(f->g, FET_F32, 1.0 / 3));
    fet__scope_pop(f->g);
    fet__output(f->g, "c", c);
    fet__output(f->g, "i", fet__const(f->g, FET_I32, FET_SHAPE(3), (int32_t[]){-1, 0, 7}));
    fet__output(f->g, "weird", param(f, "a b\"c", FET_SHAPE(3)));
    round_trip(f);
}

static void test_gradients_and_groups(void **state)
{
    fixture *f = *state;
    fet__node *wrt[2] = {param(f, "w", FET_SHAPE(80, 64)), param(f, "b", FET_SHAPE(80))}, *grad[2], *y, *step;

    step = fet__input(f->g, "step", FET_I32, fet__shape_scalar());
    fet__scope_push(f->g, "blocks.0");
    y = fet__gelu(f->g, fet__linear(f->g, input(f, "x", FET_SHAPE(128, 64)), wrt[0], wrt[1]));
    y = fet__mul(f->g, y,
                 fet__compare(f->g, FET__GT, fet__random(f->g, step, 18446744073709551615u, 5, FET_F32, y->shape),
                              fet__scalar(f->g, FET_F32, 0.1)));
    y = fet__linear_nobias(f->g, y, param(f, "v", FET_SHAPE(6, 80)));
    fet__scope_pop(f->g);
    y = fet__sum_all(f->g, fet__mul(f->g, y, y));
    fet__output(f->g, "loss", y);
    assert_ok(fet__gradient(f->g, y, wrt, 2, false, grad));
    for (int i = 0; i < 2; i++)
        fet__assign(f->g, wrt[i], fet__sub(f->g, wrt[i], fet__scale(f->g, grad[i], 0.1)));
    round_trip(f);
    assert_ok(fet__graph_optimize(f->g, NULL, NULL));
    assert_non_null(strstr(printed(f->g), "group("));
    round_trip(f);
}

static void refuses(fixture *f, const char *text, const char *message)
{
    fet__graph *g = NULL;

    assert_int_not_equal(fet__graph_parse(&g, text, f->store), FET_OK);
    assert_null(g);
    if (!strstr(fet_error_message(), message))
        fail_msg("\"%s\" does not say \"%s\"", fet_error_message(), message);
}

static void test_wrong_texts(void **state)
{
    fixture *f = *state;

    param(f, "w", FET_SHAPE(3));
    refuses(f, "nonsense\n", "line 1: the line's end is expected");
    refuses(f, "%0 f32[3] = fill() {value=1}\n%1 f32[3] = neg(%2)\n", "line 2: a node made above is expected");
    refuses(f, "%0 f32[3] = frobnicate()\n", "line 1: an operator is expected");
    refuses(f, "%0 f32[4] = neg($w)\n", "line 1: neg makes f32[3], not f32[4]");
    refuses(f, "%0 f32[3] = neg($nobody)\n", "the store has no nobody");
    refuses(f, "%0 f32[3] = neg($w, $w)\n", "number of inputs");
    refuses(f, "%0 f32[3] = exp($w) {n=2}\n", "an attribute is expected");
    refuses(f, "%0 f32[3] = pow_int($w) {n=99999999999}\n", "an attribute is expected");
    refuses(f, "%99999999 f32[3] = neg($w)\n", "node numbers end at");
    refuses(f, "%0 f32[1,1,1,1,1,1,1,1,1] = fill() {value=1}\n", "a type and a shape");
    refuses(f, "%0 f32[4000000000,4000000000,4000000000] = fill() {value=1}\n", "a type and a shape");
    refuses(f, "%0 f32[17] = const() {value=<17 elements>}\n", "printed without its data");
    refuses(f, "%0 f32[2] = const() {value=[1]}\n", "comma");
    refuses(f, "%0 f32[3] = group($w) {full=[3] axes=[]; r1 = neg(r1)}\n", "reads register 1");
    refuses(f, "%0 f32[3] = group($w) {full=[3] axes=[]; r1 = softmax(r0)}\n", "not element-wise");
    refuses(f, "%0 f32[3] = group($w) {full=[3] axes=[0]; r1 = neg(r0)}\n", "group makes f32[1]");
    refuses(f, "%0 f32[3] = neg($w)\n%0 f32[3] = neg($w)\n", "a new node's number");
    refuses(f, "output \"y\" %0\n", "a node made above");
    refuses(f, "assign $w $w\nassign $w $w\n", "assigned twice");
}

/* Every prefix and every text with one byte changed either parses to a sound graph or is refused: nothing else happens. */
static void test_damaged_texts(void **state)
{
    fixture *f = *state;
    fet__node *w = param(f, "w", FET_SHAPE(3, 4)),
              *y = fet__softmax(f->g, fet__linear(f->g, input(f, "x", FET_SHAPE(2, 4)), w, NULL));
    char text[4096];

    y = fet__mul(f->g, y, fet__gelu(f->g, y));
    fet__output(f->g, "y", y);
    snprintf(text, sizeof text, "%s", printed(f->g));
    for (size_t i = 0, n = strlen(text); i < n; i++) {
        for (int k = 0; k < 4; k++) {
            fet__graph *g = NULL;
            char kept = text[i];

            text[i] = "\0 9,"[k];
            if (fet__graph_parse(&g, text, f->store) == FET_OK)
                assert_ok(fet__graph_verify(g));
            else
                assert_true(*fet_error_message() != '\0');
            fet__graph_destroy(g);
            text[i] = kept;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_operators_with_attributes),
        TEST(test_constants_and_scopes),
        TEST(test_gradients_and_groups),
        TEST(test_wrong_texts),
        TEST(test_damaged_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
