/* Quadratic depthwise convolution against the reference: odd kernels of all sizes, channel tails, maps smaller than the kernel and
 * larger than a tile. */
#include "x86_testing.h"

#include <math.h>

typedef struct sizes {
    int64_t batch, h, w, channels, kh, kw;
} sizes;

static trial quadratic_trial(const sizes *s)
{
    fet__shape x = FET_SHAPE(s->batch, s->h, s->w, s->channels);
    trial t = trial_of(FET__OP_QUADRATIC_DW, x);

    trial_input(&t, x);
    for (int i = 0; i < 3; i++) {
        trial_input(&t, FET_SHAPE(s->channels, 1, s->kh, s->kw));
        trial_input(&t, FET_SHAPE(s->channels));
    }
    return t;
}

/* Values lie in [-2, 2]: each factor has size sqrt(n) 4 / 3, n taps, and is exact to sqrt(n) roundings of its own size. */
static void check(const sizes *s)
{
    trial t = quadratic_trial(s);
    double taps = (double)(s->kh * s->kw);

    trial_check(&t, 2e-6, 2e-5 + 2e-6 * taps);
}

static void kernels_of_all_sizes(void **state)
{
    (void)state;
    for (int kh = 1; kh <= 11; kh += 2)
        for (int kw = 1; kw <= 11; kw += 2)
            check(&(sizes){2, 13, 11, 19, kh, kw});
}

static void maps_of_odd_sizes(void **state)
{
    static const sizes all[] = {
        {1, 1, 1, 1, 7, 7},     {1, 1, 1, 5, 1, 1},    {3, 4, 3, 8, 5, 5},    {1, 5, 17, 16, 3, 3},
        {2, 7, 7, 33, 7, 7},    {1, 6, 29, 24, 7, 3},  {1, 9, 15, 40, 3, 9},  {1, 3, 14, 130, 7, 7},
        {1, 40, 3, 17, 21, 13}, {2, 28, 28, 48, 7, 7}, {1, 57, 58, 65, 7, 7}, {1, 30, 250, 20, 5, 5},
        {5, 14, 14, 96, 7, 7},  {1, 56, 56, 64, 7, 7}, {1, 2, 113, 7, 3, 3},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(all); i++)
        check(&all[i]);
}

/* A NaN reaches the outputs whose windows hold it, as in the reference, and no others. */
static void spoilt_values_stay_local(void **state)
{
    const sizes s = {1, 12, 15, 18, 3, 3};
    trial t = quadratic_trial(&s);

    (void)state;
    ((float *)t.input[0])[((4 * s.w) + 7) * s.channels + 5] = NAN;
    trial_check(&t, 2e-6, 2e-5);
}

static void other_types_are_refused(void **state)
{
    const sizes s = {1, 8, 8, 16, 3, 3};
    trial t = quadratic_trial(&s);

    (void)state;
    t.problem.input[0].dtype = FET_F64;
    trial_refused(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_of_all_sizes),
        cmocka_unit_test(maps_of_odd_sizes),
        cmocka_unit_test(spoilt_values_stay_local),
        cmocka_unit_test(other_types_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
