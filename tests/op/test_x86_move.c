/* Moves: transposes of every permutation, boxes with steps, concatenation, rows by index. All exact. */
#include "x86_testing.h"

static void check_transpose(fet__shape x, const int *perm)
{
    fet__shape y = x;
    trial t;

    for (int i = 0; i < x.rank; i++)
        y.dim[i] = x.dim[perm[i]];
    t = trial_of(FET__OP_TRANSPOSE, y);
    for (int i = 0; i < x.rank; i++)
        t.problem.attr.transpose.perm[i] = perm[i];
    trial_input(&t, x);
    trial_check_exact(&t);
}

static void transposes(void **state)
{
    static const int64_t shapes[][4] = {{2, 3, 5, 7},  {1, 70, 1, 130}, {3, 1, 65, 9},
                                        {4, 8, 16, 4}, {1, 1, 1, 1},    {2, 0, 3, 4}};

    (void)state;
    for (size_t s = 0; s < FET_COUNT(shapes); s++)
        for (int n = 0; n < 256; n++) {
            int perm[4] = {n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3};

            if ((1 << perm[0] | 1 << perm[1] | 1 << perm[2] | 1 << perm[3]) == 15)
                check_transpose(fet__shape_make(4, shapes[s]), perm);
        }
}

static void check_box(fet__op op, fet__shape large, fet__shape small, const int32_t *start, const int32_t *step)
{
    trial t = trial_of(op, op == FET__OP_SLICE ? small : large);

    for (int i = 0; i < large.rank; i++) {
        t.problem.attr.slice.start[i] = start[i];
        t.problem.attr.slice.step[i] = step[i];
    }
    trial_input(&t, op == FET__OP_SLICE ? large : small);
    trial_check_exact(&t);
}

static void slices_and_their_transposes(void **state)
{
    static const struct {
        int64_t large[3], small[3];
        int32_t start[3], step[3];
    } rows[] = {
        {{4, 17, 48}, {4, 1, 48}, {0, 0, 0}, {1, 1, 1}},    {{4, 17, 48}, {4, 16, 48}, {0, 1, 0}, {1, 1, 1}},
        {{4, 17, 48}, {2, 5, 9}, {1, 2, 3}, {2, 3, 5}},     {{4, 17, 48}, {4, 17, 16}, {0, 0, 16}, {1, 1, 1}},
        {{4, 17, 48}, {4, 17, 24}, {0, 0, 1}, {1, 1, 2}},   {{4, 17, 48}, {1, 1, 1}, {3, 16, 47}, {1, 1, 1}},
        {{300, 40, 9}, {150, 40, 9}, {1, 0, 0}, {2, 1, 1}}, {{4, 17, 48}, {0, 17, 48}, {0, 0, 0}, {1, 1, 1}},
    };

    (void)state;
    for (size_t i = 0; i < FET_COUNT(rows); i++) {
        fet__shape large = fet__shape_make(3, rows[i].large), small = fet__shape_make(3, rows[i].small);

        check_box(FET__OP_SLICE, large, small, rows[i].start, rows[i].step);
        check_box(FET__OP_UNSLICE, large, small, rows[i].start, rows[i].step);
    }
}

static void concatenations(void **state)
{
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        fet__shape parts[3] = {FET_SHAPE(3, 4, 5), FET_SHAPE(3, 4, 5), FET_SHAPE(3, 4, 5)}, y = parts[0];
        trial t;

        parts[0].dim[axis] = 1;
        parts[1].dim[axis] = 700;
        parts[2].dim[axis] = 0;
        y.dim[axis] = 701;
        t = trial_of(FET__OP_CONCAT, y);
        t.problem.attr.axis.axis = axis;
        for (int i = 0; i < 3; i++)
            trial_input(&t, parts[i]);
        trial_check_exact(&t);
    }
}

static void rows_by_index(void **state)
{
    trial t = trial_of(FET__OP_GATHER, FET_SHAPE(40, 3, 6, 7));

    (void)state;
    trial_input(&t, FET_SHAPE(50, 6, 7));
    trial_labels(&t, FET_SHAPE(40, 3), 0, 50);
    trial_check_exact(&t);
    t = trial_of(FET__OP_GATHER, FET_SHAPE(3, 6));
    trial_input(&t, FET_SHAPE(50, 6));
    trial_labels(&t, FET_SHAPE(3), 0, 50)[2] = 50;
    trial_fails(&t, FET_E_DATA);
}

static void reshapes(void **state)
{
    trial t = trial_of(FET__OP_RESHAPE, FET_SHAPE(30, 1000));

    (void)state;
    trial_input(&t, FET_SHAPE(10, 3, 1000));
    trial_check_exact(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposes),     cmocka_unit_test(slices_and_their_transposes),
        cmocka_unit_test(concatenations), cmocka_unit_test(rows_by_index),
        cmocka_unit_test(reshapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
