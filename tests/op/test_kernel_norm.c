/* Softmax, layer norm, cross-entropy, attention and their gradients: the forward by definition, gradients by
 * differences of the forward in float64, every row against the reference, and labels out of range. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "op/kernel_case.h"

#define D(...) DIMS(__VA_ARGS__)
#define SOFTMAX(x)                                                                                                     \
    {.op = FET__OP_SOFTMAX, .inputs = 1, .in = {x}, .out = x, .low = -20, .high = 20},                                 \
    {                                                                                                                  \
        .op = FET__OP_SOFTMAX_GRAD, .inputs = 2, .in = {x, x}, .out = x, .tolerance = 1e-5                             \
    }
#define NORM(x, c)                                                                                                     \
    {.op = FET__OP_LAYER_NORM, .attr.norm = {1e-6}, .inputs = 3, .in = {x, c, c}, .out = x, .tolerance = 1e-5},        \
        {.op = FET__OP_LAYER_NORM_DX, .attr.norm = {1e-6}, .inputs = 3, .in = {x, c, x}, .out = x, .tolerance = 2e-5}, \
    {                                                                                                                  \
        .op = FET__OP_LAYER_NORM_DGAMMA, .attr.norm = {1e-6}, .inputs = 2, .in = {x, x}, .out = c, .tolerance = 2e-5   \
    }
#define ENTROPY(n, c, s)                                                                                               \
    {.op = FET__OP_CROSS_ENTROPY,                                                                                      \
     .attr.cross_entropy = {s},                                                                                        \
     .inputs = 2,                                                                                                      \
     .in = {D(n, c), D(n)},                                                                                            \
     .out = D(n),                                                                                                      \
     .integers = 2,                                                                                                    \
     .index_low = -1,                                                                                                  \
     .index_high = (c)-1,                                                                                              \
     .low = -8,                                                                                                        \
     .high = 8},                                                                                                       \
    {                                                                                                                  \
        .op = FET__OP_CROSS_ENTROPY_GRAD, .attr.cross_entropy = {s}, .inputs = 3, .in = {D(n, c), D(n), D(n)},         \
        .out = D(n, c), .integers = 2, .index_low = -1, .index_high = (c)-1, .low = -8, .high = 8                      \
    }
#define ATTENTION(b, t, h, d, s)                                                                                       \
    {.op = FET__OP_ATTENTION,                                                                                          \
     .attr.attention = {s, h},                                                                                         \
     .inputs = 1,                                                                                                      \
     .in = {D(b, t, 3 * (h) * (d))},                                                                                   \
     .out = D(b, t, (h) * (d)),                                                                                        \
     .low = -2,                                                                                                        \
     .high = 2,                                                                                                        \
     .tolerance = 1e-5},                                                                                               \
    {                                                                                                                  \
        .op = FET__OP_ATTENTION_GRAD, .attr.attention = {s, h}, .inputs = 2,                                           \
        .in = {D(b, t, 3 * (h) * (d)), D(b, t, (h) * (d))}, .out = D(b, t, 3 * (h) * (d)), .low = -2, .high = 2,       \
        .tolerance = 5e-5                                                                                              \
    }
#define BIASED(b, t, h, d, s, g)                                                                                       \
    {.op = FET__OP_ATTENTION,                                                                                          \
     .attr.attention = {s, h},                                                                                         \
     .inputs = 2,                                                                                                      \
     .in = {D(b, t, 3 * (h) * (d)), D(g, h, t, t)},                                                                    \
     .out = D(b, t, (h) * (d)),                                                                                        \
     .low = -2,                                                                                                        \
     .high = 2,                                                                                                        \
     .tolerance = 1e-5},                                                                                               \
        {.op = FET__OP_ATTENTION_GRAD,                                                                                 \
         .attr.attention = {s, h},                                                                                     \
         .inputs = 3,                                                                                                  \
         .in = {D(b, t, 3 * (h) * (d)), D(b, t, (h) * (d)), D(g, h, t, t)},                                            \
         .out = D(b, t, 3 * (h) * (d)),                                                                                \
         .low = -2,                                                                                                    \
         .high = 2,                                                                                                    \
         .tolerance = 5e-5},                                                                                           \
    {                                                                                                                  \
        .op = FET__OP_ATTENTION_DBIAS, .attr.attention = {s, h}, .inputs = 3,                                          \
        .in = {D(b, t, 3 * (h) * (d)), D(b, t, (h) * (d)), D(g, h, t, t)}, .out = D(g, h, t, t), .low = -2, .high = 2, \
        .tolerance = 5e-5                                                                                              \
    }

static const kernel_case cases[] = {
    SOFTMAX(D(1)),
    SOFTMAX(D(3, 1)),
    SOFTMAX(D(5, 7)),
    SOFTMAX(D(2, 3, 1003)),
    SOFTMAX(D(0, 4)),
    SOFTMAX(D(197, 197)),
    NORM(D(7), D(7)),
    NORM(D(3, 5, 64), D(64)),
    NORM(D(197, 131), D(131)),
    NORM(D(2, 768), D(768)),
    NORM(D(0, 8), D(8)),
    ENTROPY(1, 1, 0),
    ENTROPY(7, 10, 0),
    ENTROPY(33, 101, 0.1),
    ENTROPY(0, 5, 0.1),
    ATTENTION(1, 1, 1, 1, 1),
    ATTENTION(2, 5, 3, 4, 0.5),
    ATTENTION(1, 50, 2, 16, 0.25),
    ATTENTION(1, 197, 2, 64, 0.125),
    ATTENTION(1, 33, 1, 7, 0.4),
    ATTENTION(0, 5, 3, 4, 0.5),
    BIASED(2, 9, 2, 8, 0.35, 1),
    BIASED(6, 16, 2, 8, 0.35, 3),
    BIASED(4, 49, 3, 32, 0.18, 4),
};

static void every_row(void **state)
{
    (void)state;
    kernel_cases_check(cases, FET_COUNT(cases));
}

/* Sum of a forward operator's output weighted with `v`. */
static double weighted(const kernel_case *c, void *const in[4], const double *v)
{
    double *y = kernel_case_reference(c, in), sum = 0;
    for (int64_t i = 0; i < fet__shape_count(&c->out); i++)
        sum += v[i] * y[i];
    fet__free(y);
    return sum;
}

/* `gradient` holds d weighted / d input `which`; compare with central differences. */
static void check_differences(const kernel_case *c, void *const in[4], int which, const double *v,
                              const double *gradient)
{
    const double h = 1e-5;
    double *x = in[which];
    for (int64_t i = 0; i < fet__shape_count(&c->in[which]); i++) {
        double before = x[i];
        x[i] = before + h;
        double up = weighted(c, in, v);
        x[i] = before - h;
        double down = weighted(c, in, v);
        x[i] = before;
        double slope = (up - down) / (2 * h);
        if (!(fabs(slope - gradient[i]) <= 1e-7 * (1 + fabs(slope))))
            fail_msg("gradient of %s, input %d, element %lld: %.12g, differences say %.12g", fet__op_rows[c->op].name,
                     which, (long long)i, gradient[i], slope);
    }
}

/* A forward case and its gradient case over the same inputs; `from` says which of the forward's inputs (or 9: the
 * weights dy, 8: the forward's result) each input of the gradient is. */
static void check_gradient(const kernel_case *forward, const kernel_case *back, int which, const int from[3])
{
    void *f32[4] = {NULL}, *in[4] = {NULL}, *unused[4] = {NULL}, *dy[4] = {NULL};
    kernel_case_inputs(forward, f32, in);
    kernel_case weights = {.op = FET__OP_NEG, .inputs = 1, .in = {forward->out}};
    kernel_case_inputs(&weights, unused, dy);
    double *y = kernel_case_reference(forward, in);
    void *operand[4] = {NULL};
    for (int i = 0; i < back->inputs; i++)
        operand[i] = from[i] == 9 ? dy[0] : from[i] == 8 ? y : in[from[i]];
    double *gradient = kernel_case_reference(back, operand);
    check_differences(forward, in, which, dy[0], gradient);
    fet__free(gradient);
    fet__free(y);
    for (int i = 0; i < 4; i++) {
        fet__free(f32[i]);
        fet__free(in[i]);
        fet__free(unused[i]);
        fet__free(dy[i]);
    }
}

static void gradients_by_differences(void **state)
{
    (void)state;
    const kernel_case softmax[] = {SOFTMAX(D(3, 7))}, norm[] = {NORM(D(3, 7), D(7))}, entropy[] = {ENTROPY(6, 5, 0.1)};
    const kernel_case plain[] = {ATTENTION(2, 4, 2, 3, 0.5)}, biased[] = {BIASED(4, 3, 2, 3, 0.5, 2)};
    check_gradient(&softmax[0], &softmax[1], 0, (int[]){8, 9, 0});
    check_gradient(&norm[0], &norm[1], 0, (int[]){0, 1, 9});
    check_gradient(&norm[0], &norm[2], 1, (int[]){0, 9, 0});
    check_gradient(&entropy[0], &entropy[1], 0, (int[]){0, 1, 9});
    check_gradient(&plain[0], &plain[1], 0, (int[]){0, 9, 0});
    check_gradient(&biased[0], &biased[1], 0, (int[]){0, 9, 1});
    check_gradient(&biased[0], &biased[2], 1, (int[]){0, 9, 1});
}

static void expect(const kernel_case *c, void *const in[4], const double *expected)
{
    double *y = kernel_case_reference(c, in);
    for (int64_t i = 0; i < fet__shape_count(&c->out); i++)
        if (!(fabs(y[i] - expected[i]) <= 1e-12 * (1 + fabs(expected[i]))))
            fail_msg("%s: element %lld is %.15g, expected %.15g", fet__op_rows[c->op].name, (long long)i, y[i],
                     expected[i]);
    fet__free(y);
}

static void values_by_hand(void **state)
{
    (void)state;
    double z[] = {0, log(3), 1000, 1000}, x[] = {1, 3}, g[] = {2, 2}, b[] = {10, 10};
    int32_t label[] = {1, -1};
    const kernel_case softmax = {.op = FET__OP_SOFTMAX, .inputs = 1, .in = {D(2, 2)}, .out = D(2, 2)};
    expect(&softmax, (void *[4]){z}, (double[]){0.25, 0.75, 0.5, 0.5});
    const kernel_case norm = {
        .op = FET__OP_LAYER_NORM, .attr.norm = {3}, .inputs = 3, .in = {D(1, 2), D(2), D(2)}, .out = D(1, 2)};
    expect(&norm, (void *[4]){x, g, b}, (double[]){9, 11}); /* variance 1, + 3, root 2 */
    const kernel_case entropy = {.op = FET__OP_CROSS_ENTROPY,
                                 .attr.cross_entropy = {0.5},
                                 .inputs = 2,
                                 .in = {D(2, 2), D(2)},
                                 .out = D(2),
                                 .integers = 2};
    expect(&entropy, (void *[4]){z, label}, (double[]){-0.75 * log(0.75) - 0.25 * log(0.25), 0});
    /* one head of width 1, two tokens: q k v = (1 0 5), (1 ln3 1); token 0 and 1 both weigh keys 1 : 3 */
    double qkv[] = {1, 0, 5, 1, log(3), 1};
    const kernel_case attention = {
        .op = FET__OP_ATTENTION, .attr.attention = {1, 1}, .inputs = 1, .in = {D(1, 2, 3)}, .out = D(1, 2, 1)};
    expect(&attention, (void *[4]){qkv}, (double[]){2, 2});
}

/* A bias of minus infinity shuts a key out; it must not make NaN. */
static void masked_attention(void **state)
{
    (void)state;
    float qkv[] = {1, 0, 5, 1, 2, 1}, bias[] = {0, -INFINITY, -INFINITY, 0}, y[2];
    kernel_case c = {.op = FET__OP_ATTENTION,
                     .attr.attention = {1, 1},
                     .inputs = 2,
                     .in = {D(1, 2, 3), D(1, 1, 2, 2)},
                     .out = D(1, 2, 1)};
    fet__problem p = kernel_case_problem(&c, FET_F32);
    const fet__kernel *rows[16];
    int n = fet__kernel_candidates(rows, 16, &p);
    for (int k = 0; k < n; k++) {
        assert_int_equal(kernel_case_run(&p, rows[k], (void *[4]){qkv, bias}, y), FET_OK);
        if (y[0] != 5 || y[1] != 1)
            fail_msg("%s: %g %g", rows[k]->name, (double)y[0], (double)y[1]);
    }
}

static void label_out_of_range_fails(void **state)
{
    (void)state;
    const kernel_case two[] = {ENTROPY(2, 3, 0)};
    const int32_t bad[] = {3, -2, INT32_MIN};
    float z[6] = {0}, dy[2] = {1, 1}, out[6];
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < FET_COUNT(bad); b++) {
            int32_t label[2] = {0, bad[b]};
            fet__problem p = kernel_case_problem(&two[i], FET_F32);
            const fet__kernel *rows[16];
            int n = fet__kernel_candidates(rows, 16, &p);
            for (int k = 0; k < n; k++) {
                char text[32];
                snprintf(text, sizeof text, "%d", (int)bad[b]);
                assert_int_equal(kernel_case_run(&p, rows[k], (void *[4]){z, label, dy}, out), FET_E_DATA);
                if (!strstr(fet_error_message(), text))
                    fail_msg("%s: %s", rows[k]->name, fet_error_message());
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_by_hand),   cmocka_unit_test(gradients_by_differences), cmocka_unit_test(every_row),
        cmocka_unit_test(masked_attention), cmocka_unit_test(label_out_of_range_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
