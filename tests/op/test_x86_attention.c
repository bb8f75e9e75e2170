/* Attention and its gradient: heads and tokens of odd sizes, bias groups, few and many pairs, masked and spoilt rows. */
#include <math.h>

#include "x86_testing.h"

typedef struct shape_row {
    int64_t batch, tokens, heads, size, groups;
} shape_row;

static const shape_row rows[] = {
    {1, 1, 1, 1, 0},    {2, 17, 3, 16, 0},  {1, 17, 3, 16, 1}, {3, 7, 2, 5, 3},    {4, 49, 3, 32, 2}, {2, 97, 2, 64, 0},
    {1, 197, 2, 64, 0}, {1, 130, 1, 33, 1}, {9, 16, 2, 8, 0},  {1, 300, 1, 72, 0}, {2, 65, 1, 80, 2}, {20, 5, 1, 4, 4},
};

static trial attention_trial(const shape_row *r, bool gradient, float reach)
{
    fet__shape qkv = FET_SHAPE(r->batch, r->tokens, 3 * r->heads * r->size);
    fet__shape y = FET_SHAPE(r->batch, r->tokens, r->heads * r->size);
    trial t = trial_of(gradient ? FET__OP_ATTENTION_GRAD : FET__OP_ATTENTION, gradient ? qkv : y);

    t.problem.attr.attention.heads = (int32_t)r->heads;
    t.problem.attr.attention.scale = 1.0 / sqrt((double)r->size);
    t.low = -reach;
    t.high = reach;
    trial_input(&t, qkv);
    if (gradient)
        trial_input(&t, y);
    if (r->groups)
        trial_input(&t, FET_SHAPE(r->groups, r->heads, r->tokens, r->tokens));
    return t;
}

static void attention_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        trial t = attention_trial(&rows[i], false, 2);

        trial_check(&t, 1e-5, 3e-6);
    }
}

static void gradients_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        trial t = attention_trial(&rows[i], true, 2);

        trial_check(&t, 2e-5, 3e-5);
    }
}

/* Few biases over many entries are summed in segments, many in one go. */
static void bias_gradients_match(void **state)
{
    static const shape_row more[] = {{64, 9, 2, 8, 1}, {37, 16, 3, 16, 37}, {40, 49, 3, 32, 20}, {6, 100, 1, 24, 3}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows) + FET_COUNT(more); i++) {
        shape_row r = i < FET_COUNT(rows) ? rows[i] : more[i - FET_COUNT(rows)];
        trial t;

        r.groups = r.groups ? r.groups : 1;
        t = attention_trial(&r, true, 2);
        t.problem.op = FET__OP_ATTENTION_DBIAS;
        t.problem.output.shape = FET_SHAPE(r.groups, r.heads, r.tokens, r.tokens);
        trial_check(&t, 5e-5, 3e-5);
    }
}

static void sharp_scores_do_not_overflow(void **state)
{
    const shape_row r = {2, 33, 2, 16, 0};
    trial t = attention_trial(&r, false, 60);

    (void)state;
    trial_check(&t, 1e-3, 1e-2);
}

/* A bias of -100 masks too, as in shifted windows: what remains of such keys is no normal number, and may be zero. */
static void finite_masks(void **state)
{
    static const shape_row some[] = {{4, 49, 3, 32, 2}, {2, 100, 1, 8, 1}, {3, 9, 2, 16, 3}};

    (void)state;
    for (size_t k = 0; k < 2 * FET_COUNT(some); k++) {
        const shape_row *r = &some[k / 2];
        trial t = attention_trial(r, k % 2 == 1, 1);
        float *bias = t.input[k % 2 ? 2 : 1];

        for (int64_t i = 0; i < r->groups * r->heads * r->tokens * r->tokens; i++)
            if (i % r->tokens % 3 == 1)
                bias[i] -= 100;
        trial_check(&t, 2e-5, 3e-5);
    }
}

/* A bias of -infinity masks; a row without any key left is NaN, as in the definition, and harms no other row. */
static void masks_and_spoilt_rows(void **state)
{
    const shape_row r = {2, 21, 2, 16, 1};

    (void)state;
    for (int gradient = 0; gradient < 2; gradient++) {
        trial t = attention_trial(&r, gradient == 1, 1);
        float *bias = t.input[gradient ? 2 : 1];

        for (int i = 0; i < 21; i++)
            for (int j = i + 1; j < 21; j++)
                bias[i * 21 + j] = -INFINITY;
        trial_check(&t, 1e-5, 1e-5);
    }
    trial t = attention_trial(&r, false, 1);
    for (int j = 0; j < 21; j++)
        ((float *)t.input[1])[3 * 21 + j] = -INFINITY;
    ((float *)t.input[0])[96 * 5 + 2] = NAN;
    trial_check(&t, 1e-5, 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches),    cmocka_unit_test(gradients_match),
        cmocka_unit_test(bias_gradients_match), cmocka_unit_test(sharp_scores_do_not_overflow),
        cmocka_unit_test(finite_masks),         cmocka_unit_test(masks_and_spoilt_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
