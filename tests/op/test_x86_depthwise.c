/* Depthwise convolution and its two gradients: kernels of 3, 5, 7 and other sizes, strides, paddings, channel tails, maps smaller
 * than the kernel and larger than a tile. */
#include "x86_testing.h"

typedef struct sizes {
    int64_t batch, h, w, channels, kh, kw;
    int stride[2], pad[2];
} sizes;

static int64_t out_size(int64_t in, int64_t kernel, int stride, int pad)
{
    return (in + 2 * pad - kernel) / stride + 1;
}

static trial conv_trial(fet__op op, const sizes *s)
{
    fet__shape x = FET_SHAPE(s->batch, s->h, s->w, s->channels), w = FET_SHAPE(s->channels, 1, s->kh, s->kw);
    fet__shape y = FET_SHAPE(s->batch, out_size(s->h, s->kh, s->stride[0], s->pad[0]),
                             out_size(s->w, s->kw, s->stride[1], s->pad[1]), s->channels);
    trial t = trial_of(op, op == FET__OP_CONV2D ? y : op == FET__OP_CONV2D_DX ? x : w);

    trial_input(&t, op == FET__OP_CONV2D_DX ? y : x);
    trial_input(&t, op == FET__OP_CONV2D_DW ? y : w);
    for (int i = 0; i < 2; i++) {
        t.problem.attr.conv.stride[i] = s->stride[i];
        t.problem.attr.conv.pad[i] = s->pad[i];
        t.problem.attr.conv.dilation[i] = 1;
    }
    t.problem.attr.conv.groups = (int32_t)s->channels;
    return t;
}

/* Values lie in [-2, 2], so sums of n products have size sqrt(n) 4 / 3; those over pixels are rounded at every one. */
static void check(const sizes *s)
{
    static const fet__op ops[] = {FET__OP_CONV2D, FET__OP_CONV2D_DX, FET__OP_CONV2D_DW};

    for (size_t i = 0; i < FET_COUNT(ops); i++) {
        trial t = conv_trial(ops[i], s);
        double pixels = (double)(s->batch * s->h * s->w);

        trial_check(&t, 2e-6, ops[i] == FET__OP_CONV2D_DW ? 2e-5 + 6e-8 * pixels : 1e-5);
    }
}

static void squares_of_all_widths(void **state)
{
    (void)state;
    for (int kernel = 1; kernel <= 9; kernel++)
        for (int stride = 1; stride <= 2; stride++)
            for (int pad = 0; pad <= kernel / 2 + 1; pad += kernel / 2 + 1) {
                sizes s = {2, 13, 11, 19, kernel, kernel, {stride, stride}, {pad, pad}};

                check(&s);
                s.pad[0] = s.pad[1] = kernel / 2;
                check(&s);
            }
}

static void maps_of_odd_sizes(void **state)
{
    static const sizes all[] = {
        {1, 1, 1, 1, 7, 7, {1, 1}, {3, 3}},    {1, 1, 1, 5, 1, 1, {2, 2}, {0, 0}},
        {3, 4, 3, 8, 5, 5, {2, 2}, {4, 4}},    {1, 5, 17, 16, 3, 3, {1, 1}, {1, 1}},
        {2, 7, 7, 33, 7, 7, {1, 1}, {3, 3}},   {1, 6, 29, 24, 7, 3, {2, 1}, {3, 1}},
        {1, 9, 15, 40, 3, 11, {1, 2}, {0, 5}}, {1, 12, 12, 70, 2, 4, {1, 1}, {1, 2}},
        {1, 3, 14, 130, 7, 7, {2, 2}, {3, 3}}, {1, 40, 3, 17, 21, 13, {1, 1}, {10, 6}},
        {2, 5, 5, 3, 3, 3, {1, 1}, {7, 9}},    {1, 16, 16, 16, 3, 3, {2, 2}, {1, 1}},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(all); i++)
        check(&all[i]);
}

static void maps_larger_than_a_tile(void **state)
{
    static const sizes all[] = {
        {1, 57, 58, 65, 7, 7, {1, 1}, {3, 3}},
        {1, 30, 250, 20, 5, 5, {1, 1}, {2, 2}},
        {1, 61, 130, 64, 3, 3, {2, 2}, {1, 1}},
        {5, 14, 14, 96, 7, 7, {1, 1}, {3, 3}},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(all); i++)
        check(&all[i]);
}

/* The window may end before the map does: what no window reads has gradient zero, not what the buffer held. */
static void unread_rows_have_no_gradient(void **state)
{
    sizes s = {1, 10, 12, 18, 3, 3, {2, 2}, {0, 0}};
    trial t = conv_trial(FET__OP_CONV2D_DX, &s);

    (void)state;
    trial_check(&t, 2e-6, 1e-5);
    s = (sizes){1, 9, 9, 18, 1, 1, {2, 2}, {0, 0}};
    t = conv_trial(FET__OP_CONV2D_DX, &s);
    trial_check(&t, 0, 0);
}

static void others_are_refused(void **state)
{
    const sizes s = {1, 8, 8, 16, 3, 3, {1, 1}, {1, 1}};
    trial t = conv_trial(FET__OP_CONV2D, &s);

    (void)state;
    t.problem.attr.conv.dilation[1] = 2;
    trial_refused(&t);
    t = conv_trial(FET__OP_CONV2D, &s);
    t.problem.attr.conv.stride[0] = 3;
    trial_refused(&t);
    t = conv_trial(FET__OP_CONV2D, &s);
    t.problem.attr.conv.groups = 8;
    t.problem.input[1].shape.dim[1] = 2;
    trial_refused(&t);
    t = conv_trial(FET__OP_CONV2D, &s);
    t.problem.input[0].dtype = FET_F64;
    trial_refused(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(squares_of_all_widths),   cmocka_unit_test(maps_of_odd_sizes),
        cmocka_unit_test(maps_larger_than_a_tile), cmocka_unit_test(unread_rows_have_no_gradient),
        cmocka_unit_test(others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
