/* Layer norm, softmax and cross-entropy with their gradients: odd sizes, rows far from zero, special values, bad labels. */
#include <math.h>

#include "x86_testing.h"

static const int64_t shapes[][2] = {{1, 1},   {3, 7},    {5, 16},   {33, 17}, {70, 100},
                                    {2, 768}, {9, 1000}, {300, 31}, {2, 9001}};

static trial norm_trial(fet__op op, int64_t rows, int64_t cols, float offset)
{
    trial t = trial_of(op, op == FET__OP_LAYER_NORM_DGAMMA ? FET_SHAPE(cols) : FET_SHAPE(rows, cols));

    t.problem.attr.norm.eps = 1e-6;
    t.low = offset - 2;
    t.high = offset + 2;
    trial_input(&t, FET_SHAPE(rows, cols));
    t.low = t.high = 0;
    if (op != FET__OP_LAYER_NORM_DGAMMA)
        trial_input(&t, FET_SHAPE(cols));
    trial_input(&t, op == FET__OP_LAYER_NORM ? FET_SHAPE(cols) : FET_SHAPE(rows, cols));
    return t;
}

static void norms_match(void **state)
{
    static const fet__op ops[] = {FET__OP_LAYER_NORM, FET__OP_LAYER_NORM_DX, FET__OP_LAYER_NORM_DGAMMA};

    (void)state;
    for (size_t o = 0; o < FET_COUNT(ops); o++)
        for (size_t i = 0; i < FET_COUNT(shapes); i++) {
            trial t = norm_trial(ops[o], shapes[i][0], shapes[i][1], 0);

            if (shapes[i][1] == 1)
                t.problem.attr.norm.eps = 1;
            trial_check(&t, 2e-6, ops[o] == FET__OP_LAYER_NORM_DGAMMA ? 2e-5 : 4e-6);
        }
}

static void rows_far_from_zero_keep_their_digits(void **state)
{
    trial t = norm_trial(FET__OP_LAYER_NORM, 5, 300, 10000);

    (void)state;
    trial_check(&t, 1e-6, 2e-6);
    t = norm_trial(FET__OP_LAYER_NORM_DX, 5, 300, 10000);
    trial_check(&t, 1e-5, 1e-5);
}

static void a_row_with_nan_spoils_itself_only(void **state)
{
    trial t = norm_trial(FET__OP_LAYER_NORM, 6, 40, 0);

    (void)state;
    ((float *)t.input[0])[40 * 2 + 3] = NAN;
    ((float *)t.input[0])[40 * 4 + 39] = INFINITY;
    trial_check(&t, 2e-6, 2e-6);
}

static void norms_of_more_axes(void **state)
{
    trial t = trial_of(FET__OP_LAYER_NORM, FET_SHAPE(2, 3, 5, 24));

    (void)state;
    t.problem.attr.norm.eps = 1e-5;
    trial_input(&t, FET_SHAPE(2, 3, 5, 24));
    trial_input(&t, FET_SHAPE(24));
    trial_input(&t, FET_SHAPE(24));
    trial_check(&t, 2e-6, 2e-6);
}

static void softmax_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(shapes); i++) {
        fet__shape s = FET_SHAPE(shapes[i][0], shapes[i][1]);
        trial t = trial_of(FET__OP_SOFTMAX, s);
        float *x;

        t.low = -30;
        t.high = 30;
        x = trial_input(&t, s);
        if (i == 4) {
            x[3] = -INFINITY;
            x[105] = INFINITY;
            x[205] = NAN;
            for (int j = 300; j < 400; j++)
                x[j] = -INFINITY;
            for (int j = 400; j < 500; j++)
                x[j] *= 1e30f;
        }
        trial_check(&t, 4e-6, 1e-30); /* differences of up to 60 are rounded before the exponential */
        t = trial_of(FET__OP_SOFTMAX_GRAD, s);
        trial_input(&t, s);
        trial_input(&t, s);
        trial_check(&t, 1e-6, 1e-5 * (1 + (double)shapes[i][1] / 100));
    }
}

static trial entropy_trial(fet__op op, int64_t rows, int64_t cols, double smoothing, float reach)
{
    trial t = trial_of(op, op == FET__OP_CROSS_ENTROPY ? FET_SHAPE(rows) : FET_SHAPE(rows, cols));

    t.problem.attr.cross_entropy.smoothing = smoothing;
    t.low = -reach;
    t.high = reach;
    trial_input(&t, FET_SHAPE(rows, cols));
    trial_labels(&t, FET_SHAPE(rows), -1, (int32_t)cols);
    t.low = t.high = 0;
    if (op == FET__OP_CROSS_ENTROPY_GRAD)
        trial_input(&t, FET_SHAPE(rows));
    return t;
}

static void cross_entropy_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(shapes); i++)
        for (int smooth = 0; smooth < 2; smooth++)
            for (int large = 0; large < 2; large++) {
                double s = smooth ? 0.1 : 0;
                float reach = large ? 1000 : 5;
                trial t = entropy_trial(FET__OP_CROSS_ENTROPY, shapes[i][0], shapes[i][1], s, reach);

                trial_check(&t, 5e-7, 2e-7);
                t = entropy_trial(FET__OP_CROSS_ENTROPY_GRAD, shapes[i][0], shapes[i][1], s, reach);
                trial_check(&t, 5e-7, 3e-7);
            }
}

static void labels_outside_the_range_fail_the_run(void **state)
{
    static const int32_t bad[] = {-2, 10, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(bad); i++)
        for (int gradient = 0; gradient < 2; gradient++) {
            trial t = entropy_trial(gradient ? FET__OP_CROSS_ENTROPY_GRAD : FET__OP_CROSS_ENTROPY, 6, 10, 0, 2);

            ((int32_t *)t.input[1])[5] = bad[i];
            trial_fails(&t, FET_E_DATA);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_match),
        cmocka_unit_test(rows_far_from_zero_keep_their_digits),
        cmocka_unit_test(a_row_with_nan_spoils_itself_only),
        cmocka_unit_test(norms_of_more_axes),
        cmocka_unit_test(softmax_matches),
        cmocka_unit_test(cross_entropy_matches),
        cmocka_unit_test(labels_outside_the_range_fail_the_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
