/* Every operator of ops.def: first, second and third derivatives against central differences, fused forward against lowering, and the
 * ordinary program against the reference. A row is operator, inputs, attributes and, where the operator leaves it open, the shape. */
#include "op/probe.h"

#include <string.h>

#include "graph/graph_int.h"

typedef struct op_case {
    const char *op;
    const char *input[PROBE_INPUTS];
    const char *attr;
    fet__shape shape; /* rank 0: as the operator makes it */
    bool flat;        /* no derivative, by nature or here */
} op_case;

#define SHAPE(...)                                                                                                     \
    {                                                                                                                  \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                                                     \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define CONV(s0, s1, p0, p1, d0, d1, g)                                                                                \
    "stride=[" #s0 "," #s1 "] pad=[" #p0 "," #p1 "] dilation=[" #d0 "," #d1 "] groups=" #g

static const op_case cases[] = {
    {.op = "add", .input = {"f[3,5]", "f[3,5]"}},
    {.op = "add", .input = {"f[1]", "f[1]"}},
    {.op = "sub", .input = {"f[3,5]", "f[3,5]"}},
    {.op = "mul", .input = {"f[3,5]", "f[3,5]"}},
    {.op = "mul", .input = {"f[1]", "f[1]"}},
    {.op = "div", .input = {"f[3,5]", "~[3,5]"}},
    {.op = "min", .input = {"f[3,5]", "f[3,5]"}},
    {.op = "max", .input = {"f[3,5]", "f[3,5]"}},
    {.op = "neg", .input = {"f[7]"}},
    {.op = "abs", .input = {"~[7]"}},
    {.op = "exp", .input = {"f[7]"}},
    {.op = "log", .input = {"+[7]"}},
    {.op = "sqrt", .input = {"+[7]"}},
    {.op = "rsqrt", .input = {"+[7]"}},
    {.op = "tanh", .input = {"f[7]"}},
    {.op = "erf", .input = {"f[7]"}},
    {.op = "sigmoid", .input = {"f[7]"}},
    {.op = "pow_int", .input = {"f[7]"}, .attr = "n=3"},
    {.op = "pow_int", .input = {"f[7]"}, .attr = "n=2"},
    {.op = "pow_int", .input = {"f[7]"}, .attr = "n=1"},
    {.op = "pow_int", .input = {"f[7]"}, .attr = "n=0", .flat = true},
    {.op = "pow_int", .input = {"~[7]"}, .attr = "n=-2"},
    {.op = "compare", .input = {"f[3,5]", "f[3,5]"}, .attr = "relation=lt", .flat = true},
    {.op = "compare", .input = {"i3[9]", "i3[9]"}, .attr = "relation=eq", .flat = true},
    {.op = "where", .input = {"m[3,5]", "f[3,5]", "f[3,5]"}},
    {.op = "cast", .input = {"f[3,5]"}},
    {.op = "cast", .input = {"i9[3,5]"}, .flat = true},
    {.op = "stop_gradient", .input = {"s[3,5]"}, .flat = true},
    {.op = "broadcast", .input = {"f[1,5]"}, .shape = SHAPE(4, 5)},
    {.op = "broadcast", .input = {"f[2,1,1]"}, .shape = SHAPE(2, 3, 5)},
    {.op = "random", .input = {"i9[]"}, .attr = "seed=5 stream=3", .shape = SHAPE(3, 5), .flat = true},
    {.op = "iota", .input = {NULL}, .shape = SHAPE(7), .flat = true},
    {.op = "fill", .input = {NULL}, .attr = "value=0.75", .shape = SHAPE(3, 5), .flat = true},
    {.op = "sum", .input = {"f[3,5]"}, .attr = "axes=[0]"},
    {.op = "sum", .input = {"f[3,4,5]"}, .attr = "axes=[0,2]"},
    {.op = "sum", .input = {"f[1]"}, .attr = "axes=[0]"},
    {.op = "reduce_max", .input = {"d[3,5]"}, .attr = "axes=[1]"},
    {.op = "reduce_max", .input = {"d[3,4,5]"}, .attr = "axes=[0,2]"},
    {.op = "argmax", .input = {"d[3,5]"}, .flat = true},
    {.op = "matmul", .input = {"f[3,4]", "f[4,5]"}, .attr = "ta=0 tb=0"},
    {.op = "matmul", .input = {"f[4,3]", "f[4,5]"}, .attr = "ta=1 tb=0"},
    {.op = "matmul", .input = {"f[3,4]", "f[5,4]"}, .attr = "ta=0 tb=1"},
    {.op = "matmul", .input = {"f[4,3]", "f[5,4]"}, .attr = "ta=1 tb=1"},
    {.op = "matmul", .input = {"f[2,3,4]", "f[2,4,5]"}, .attr = "ta=0 tb=0"},
    {.op = "matmul", .input = {"f[2,3,4,3]", "f[2,3,5,4]"}, .attr = "ta=1 tb=1"},
    {.op = "matmul", .input = {"f[2,3,4]", "f[4,5]"}, .attr = "ta=0 tb=0"},
    {.op = "matmul", .input = {"f[2,3,4]", "f[5,4]"}, .attr = "ta=0 tb=1"},
    {.op = "matmul", .input = {"f[2,4,3]", "f[4,5]"}, .attr = "ta=1 tb=0"},
    {.op = "matmul", .input = {"f[3,4]", "f[2,4,5]"}, .attr = "ta=0 tb=0"},
    {.op = "matmul", .input = {"f[4,3]", "f[2,5,4]"}, .attr = "ta=1 tb=1"},
    {.op = "matmul", .input = {"f[1,1]", "f[1,1]"}, .attr = "ta=0 tb=0"},
    {.op = "conv2d", .input = {"f[2,7,7,3]", "f[4,3,3,3]"}, .attr = CONV(1, 1, 1, 1, 1, 1, 1)},
    {.op = "conv2d", .input = {"f[2,7,7,3]", "f[4,3,3,3]"}, .attr = CONV(2, 2, 1, 1, 1, 1, 1)},
    {.op = "conv2d", .input = {"f[2,7,7,3]", "f[4,3,1,1]"}, .attr = CONV(2, 2, 0, 0, 1, 1, 1)},
    {.op = "conv2d", .input = {"f[1,9,9,2]", "f[2,2,7,7]"}, .attr = CONV(2, 2, 3, 3, 1, 1, 1)},
    {.op = "conv2d", .input = {"f[1,7,8,4]", "f[6,2,2,3]"}, .attr = CONV(1, 2, 0, 1, 2, 1, 2)},
    {.op = "conv2d", .input = {"f[2,5,5,3]", "f[3,1,3,3]"}, .attr = CONV(1, 1, 1, 1, 1, 1, 3)},
    {.op = "conv2d", .input = {"f[1,1,1,1]", "f[1,1,1,1]"}, .attr = CONV(1, 1, 0, 0, 1, 1, 1)},
    {.op = "conv2d_dx",
     .input = {"f[2,4,4,4]", "f[4,3,3,3]"},
     .attr = CONV(2, 2, 1, 1, 1, 1, 1),
     .shape = SHAPE(2, 7, 7, 3)},
    {.op = "conv2d_dx",
     .input = {"f[2,4,4,4]", "f[4,3,3,3]"},
     .attr = CONV(2, 2, 1, 1, 1, 1, 1),
     .shape = SHAPE(2, 8, 8, 3)},
    {.op = "conv2d_dw",
     .input = {"f[2,7,7,4]", "f[2,4,4,6]"},
     .attr = CONV(2, 2, 1, 1, 1, 1, 2),
     .shape = SHAPE(6, 2, 3, 3)},
    {.op = "reshape", .input = {"f[3,4]"}, .shape = SHAPE(2, 6)},
    {.op = "transpose", .input = {"f[2,3,4]"}, .attr = "perm=[2,0,1]"},
    {.op = "slice", .input = {"f[5,6]"}, .attr = "start=[1,0] step=[1,2]", .shape = SHAPE(3, 3)},
    {.op = "unslice", .input = {"f[3,3]"}, .attr = "start=[1,0] step=[1,2]", .shape = SHAPE(5, 6)},
    {.op = "concat", .input = {"f[2,3]", "f[2,1]", "f[2,4]"}, .attr = "axis=1"},
    {.op = "concat", .input = {"f[1,3]", "f[2,3]"}, .attr = "axis=0"},
    {.op = "roll", .input = {"f[4,5]"}, .attr = "shift=[1,3]"},
    {.op = "gather", .input = {"f[6,3]", "i6[2,4]"}},
    {.op = "gather", .input = {"f[6]", "i6[5]"}},
    {.op = "scatter_add", .input = {"i6[2,4]", "f[2,4,3]"}, .shape = SHAPE(6, 3)},
    {.op = "resize", .input = {"f[2,3,5,2]"}, .attr = "bicubic=0 align_corners=0", .shape = SHAPE(2, 7, 4, 2)},
    {.op = "resize", .input = {"f[1,4,5,2]"}, .attr = "bicubic=1 align_corners=0", .shape = SHAPE(1, 7, 3, 2)},
    {.op = "resize", .input = {"f[1,4,5,2]"}, .attr = "bicubic=1 align_corners=1", .shape = SHAPE(1, 6, 9, 2)},
    {.op = "resize", .input = {"f[1,4,5,1]"}, .attr = "bicubic=0 align_corners=1", .shape = SHAPE(1, 1, 7, 1)},
    {.op = "resize_t", .input = {"f[1,7,3,2]"}, .attr = "bicubic=1 align_corners=0", .shape = SHAPE(1, 4, 5, 2)},
    {.op = "avg_pool", .input = {"f[2,7,6,3]"}, .attr = "kernel=[3,3] stride=[2,2] pad=[1,1]"},
    {.op = "avg_pool", .input = {"f[2,7,7,3]"}, .attr = "kernel=[2,2] stride=[2,2] pad=[0,0]"},
    {.op = "avg_pool_t",
     .input = {"f[2,3,3,3]"},
     .attr = "kernel=[2,2] stride=[2,2] pad=[0,0]",
     .shape = SHAPE(2, 7, 7, 3)},
    {.op = "max_pool_index", .input = {"d[2,7,7,3]"}, .attr = "kernel=[3,3] stride=[2,2] pad=[1,1]", .flat = true},
    {.op = "memory_update", .input = {"s[6,3]", "i6[4]", "s[4,3]"}, .attr = "momentum=0.2", .flat = true},
    {.op = "standardized",
     .input = {"s[3,5]", "s[3,5]", "s[1,5]"},
     .flat = true}, /* of arguments that belong together: compose */
    {.op = "gelu", .input = {"f[3,5]"}},
    {.op = "gelu", .input = {"f[1]"}},
    {.op = "gelu_grad", .input = {"f[3,5]"}},
    {.op = "linear", .input = {"f[2,3,4]", "f[5,4]"}, .attr = "activation=none"},
    {.op = "linear", .input = {"f[3,4]", "f[5,4]", "f[5]"}, .attr = "activation=none"},
    {.op = "linear", .input = {"f[3,4]", "f[5,4]", "f[5]"}, .attr = "activation=gelu"},
    {.op = "linear", .input = {"f[2,3,4]", "f[5,4]", "f[5]", "f[2,3,5]"}, .attr = "activation=relu"},
    {.op = "linear", .input = {"f[1,1]", "f[1,1]", "f[1]"}, .attr = "activation=gelu"},
    {.op = "softmax", .input = {"f[3,7]"}},
    {.op = "softmax", .input = {"f[2,3,5]"}},
    {.op = "softmax", .input = {"f[1,1]"}},
    {.op = "softmax_grad", .input = {"f[3,7]", "f[3,7]"}},
    {.op = "layer_norm", .input = {"f[5,9]", "f[9]", "f[9]"}, .attr = "eps=1e-06"},
    {.op = "layer_norm", .input = {"f[2,3,5]", "f[5]", "f[5]"}, .attr = "eps=0.01"},
    {.op = "layer_norm", .input = {"f[3,1]", "f[1]", "f[1]"}, .attr = "eps=0.1"},
    {.op = "layer_norm_dx", .input = {"f[5,9]", "f[9]", "f[5,9]"}, .attr = "eps=1e-06"},
    {.op = "layer_norm_dgamma", .input = {"f[5,9]", "f[5,9]"}, .attr = "eps=1e-06"},
    {.op = "cross_entropy", .input = {"f[5,7]", "i7[5]"}, .attr = "smoothing=0"},
    {.op = "cross_entropy", .input = {"f[5,7]", "l7[5]"}, .attr = "smoothing=0.1"},
    {.op = "cross_entropy", .input = {"f[3,1]", "i1[3]"}, .attr = "smoothing=0"},
    {.op = "cross_entropy_grad", .input = {"f[5,7]", "l7[5]", "f[5]"}, .attr = "smoothing=0.1"},
    {.op = "attention", .input = {"f[2,5,18]"}, .attr = "heads=2 scale=0.6"},
    {.op = "attention", .input = {"f[4,3,12]", "f[2,2,3,3]"}, .attr = "heads=2 scale=0.7"},
    {.op = "attention", .input = {"f[1,1,3]"}, .attr = "heads=1 scale=1"},
    {.op = "attention_grad", .input = {"f[2,5,12]", "f[2,5,4]"}, .attr = "heads=2 scale=0.6"},
    {.op = "attention_grad", .input = {"f[4,3,12]", "f[4,3,4]", "f[2,2,3,3]"}, .attr = "heads=2 scale=0.7"},
    {.op = "attention_dbias", .input = {"f[4,3,12]", "f[4,3,4]", "f[2,2,3,3]"}, .attr = "heads=2 scale=0.7"},
    {.op = "quadratic_dw", .input = {"f[2,4,5,3]", "f[3,1,3,3]", "f[3]", "f[3,1,3,3]", "f[3]", "f[3,1,3,3]", "f[3]"}},
    {.op = "quadratic_dw", .input = {"f[1,2,4,2]", "f[2,1,5,1]", "f[2]", "f[2,1,5,1]", "f[2]", "f[2,1,5,1]", "f[2]"}},
    {.op = "attention_dbias", .input = {"f[3,2,6]", "f[3,2,2]", "f[1,1,2,2]"}, .attr = "heads=1 scale=0.5"},
};

static fet__op op_named(const char *name)
{
    int op = 0;

    while (op < FET__OP_COUNT && strcmp(fet__op_rows[op].name, name) != 0)
        op++;
    assert_true(op < FET__OP_COUNT);
    return (fet__op)op;
}

static fet__node *build_case(fet__graph *g, fet__node *const *in, const void *user)
{
    const op_case *c = user;
    fet__op op = op_named(c->op);
    fet__attr attr = {.raw = {0}};
    int count = 0, rank;
    fet__node *cast[PROBE_INPUTS];

    for (; count < PROBE_INPUTS && c->input[count]; count++) {
        cast[count] = in[count];
        if (op == FET__OP_COMPARE)
            cast[count] = fet__cast(g, in[count], FET_F64); /* equal numbers are whole ones */
    }
    rank = count ? in[0]->shape.rank : 0;
    for (const char *s = c->attr; s && *s;) {
        if (!fet__attr_parse(&s, op, &attr, rank))
            fail_msg("%s: attributes \"%s\"", c->op, c->attr);
        s += *s == ' ';
    }
    return fet__make(g, op, cast, count, &attr, FET_F64, c->shape.rank ? &c->shape : NULL);
}

static void check_case(void **state)
{
    const op_case *c = *state;
    probe p = {.name = c->op, .build = build_case, .user = c, .flat = c->flat};

    memcpy(p.input, c->input, sizeof p.input);
    probe_check(&p);
}

/* Leaves have no rules; groups are made by a pass and have their case in test_op_compose.c. */
static void test_every_operator_has_a_case(void **state)
{
    (void)state;
    for (int op = 0; op < FET__OP_COUNT; op++) {
        bool found = fet__op_rows[op].class_ == FET__CLASS_LEAF || op == FET__OP_GROUP;

        for (size_t i = 0; i < FET_COUNT(cases) && !found; i++)
            found = strcmp(cases[i].op, fet__op_rows[op].name) == 0;
        if (!found)
            fail_msg("%s has no case", fet__op_rows[op].name);
    }
}

int main(void)
{
    struct CMUnitTest tests[FET_COUNT(cases) + 1];

    memset(tests, 0, sizeof tests);
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        tests[i].name = cases[i].op;
        tests[i].test_func = check_case;
        tests[i].initial_state = (void *)&cases[i];
    }
    tests[FET_COUNT(cases)] = (struct CMUnitTest)cmocka_unit_test(test_every_operator_has_a_case);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
