/* The super-network: its updates against the rules written out, tensors that take no part, what a step's program holds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "train/nas.h"

#define POSITIONS 4

static fet__arch frame;

static int open_frame(void **state)
{
    (void)state;
    return fet__arch_create(&frame, "quadranet:depths=1+1+1+1,dim=8,patch=2,img=16,classes=3") != FET_OK;
}

static int close_frame(void **state)
{
    (void)state;
    fet__arch_fini(&frame);
    return 0;
}

static fet__nas_super super_of(bool sgd)
{
    return (fet__nas_super){.frame = &frame,
                            .descent = {.sgd = sgd,
                                        .momentum = 0.9,
                                        .beta1 = 0.9,
                                        .beta2 = 0.999,
                                        .eps = 1e-8,
                                        .weight_decay = 0.1,
                                        .clip = 0.5,
                                        .no_decay = FET__DECAY_MATRICES},
                            .positions = POSITIONS,
                            .batch = 4,
                            .seed = 3};
}

/* Three updates of one weight with changing gradients, in double. */
static void updates_are_the_rules(void **state)
{
    (void)state;
    for (int sgd = 0; sgd < 2; sgd++) {
        fet__nas_super n = super_of(sgd);
        float gradient[1024], norm_gradient[1024];
        const float *grads[2] = {gradient, norm_gradient};
        fet__param *p[2];
        double x, y, m = 0, v = 0, my = 0, vy = 0, lr = 0.01;

        assert_int_equal(fet__nas_super_create(&n), FET_OK);
        p[0] = fet__params_find(n.store, "pos.1.cand.0.pwconv1.weight"); /* 32 x 16: decays */
        p[1] = fet__params_find(n.store, "pos.1.cand.0.norm1.weight");   /* 16: is spared it */
        assert_true(p[0] && p[1]);
        assert_int_equal(fet__shape_count(&p[0]->shape), 512);
        x = (double)((float *)p[0]->data)[7];
        y = (double)((float *)p[1]->data)[7];
        for (int t = 1; t <= 3; t++) {
            double g, gy, norm, f;

            for (int i = 0; i < 512; i++)
                gradient[i] = 0.01f * (float)(i % 13 - 5 * t);
            for (int i = 0; i < 16; i++)
                norm_gradient[i] = 0.02f * (float)(i + t);
            norm = fet__nas_norm(p, grads, 2);
            assert_true(norm > 0.5);
            f = 0.5 / (norm + 1e-6);
            g = (double)gradient[7] * f;
            gy = (double)norm_gradient[7] * f;
            fet__nas_descend(&n, p, grads, 2, norm, lr);
            if (sgd) {
                g += 0.1 * x;
                m = 0.9 * m + g;
                x -= lr * (g + 0.9 * m);
                my = 0.9 * my + gy;
                y -= lr * (gy + 0.9 * my);
            } else {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                x = x * (1 - lr * 0.1) - lr * m / (1 - pow(0.9, t)) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
                my = 0.9 * my + 0.1 * gy;
                vy = 0.999 * vy + 0.001 * gy * gy;
                y -= lr * my / (1 - pow(0.9, t)) / (sqrt(vy / (1 - pow(0.999, t))) + 1e-8);
            }
            assert_true(fabs(x - (double)((float *)p[0]->data)[7]) < 2e-6);
            assert_true(fabs(y - (double)((float *)p[1]->data)[7]) < 2e-6);
        }
        fet__nas_super_fini(&n);
    }
}

static void feed(fet__nas_step *s)
{
    float *images = fet__program_input(s->program, "images");
    int32_t *labels = fet__program_input(s->program, "labels");

    for (int i = 0; i < 4 * 16 * 16 * 3; i++)
        images[i] = (float)(i % 31) / 15 - 1;
    for (int i = 0; i < 4; i++)
        labels[i] = i % 3;
}

/* Only what the path uses is in a step's list; a candidate that is not drawn stays as it was. */
static void a_step_is_of_one_path(void **state)
{
    const fet__nas_choice choice[POSITIONS] = {{0, -1}, {5, -1}, {FET__NAS_IDENTITY, -1}, {2, -1}};
    fet__nas_super n = super_of(false);
    float before, kept, *drawn, *other;
    fet__nas_step s;

    (void)state;
    assert_int_equal(fet__nas_super_create(&n), FET_OK);
    assert_int_equal(fet__nas_step_create(&s, &n, choice, false), FET_OK);
    assert_null(s.slopes);
    for (int i = 0; i < s.count; i++) {
        const char *name = s.param[i]->name;

        assert_null(strstr(name, "pos.2."));
        if (strncmp(name, "pos.", 4) == 0)
            assert_true(strncmp(name, "pos.0.cand.0.", 13) == 0 || strncmp(name, "pos.1.cand.5.", 13) == 0 ||
                        strncmp(name, "pos.3.cand.2.", 13) == 0);
        assert_non_null(s.grad[i]);
    }
    feed(&s);
    assert_int_equal(fet__program_run(s.program), FET_OK);
    drawn = fet__params_find(n.store, "pos.0.cand.0.gamma2")->data;
    other = fet__params_find(n.store, "pos.0.cand.1.gamma2")->data;
    before = drawn[0];
    kept = other[0];
    fet__nas_descend(&n, s.param, s.grad, s.count, fet__nas_norm(s.param, s.grad, s.count), 1e-3);
    assert_true(drawn[0] != before);
    assert_true(other[0] == kept);
    fet__nas_step_fini(&s);
    fet__nas_super_fini(&n);
}

/* Slopes of the pair alone; the plan of a step of alpha is not far from that of one path. */
static void a_step_of_alpha_sees_the_pair(void **state)
{
    const fet__nas_choice pair[POSITIONS] = {{0, 3}, {5, 6}, {6, 1}, {2, 4}},
                          path[POSITIONS] = {{5, -1}, {5, -1}, {5, -1}, {5, -1}};
    fet__nas_super n = super_of(false);
    int64_t bytes;
    fet__nas_step s;

    (void)state;
    assert_int_equal(fet__nas_super_create(&n), FET_OK);
    assert_int_equal(fet__nas_step_create(&s, &n, path, false), FET_OK);
    bytes = fet__program_describe(s.program).total_bytes;
    fet__nas_step_fini(&s);
    assert_int_equal(fet__nas_step_create(&s, &n, pair, true), FET_OK);
    assert_true(fet__program_describe(s.program).total_bytes < 2 * bytes);
    assert_int_equal(s.count, 0);
    feed(&s);
    assert_int_equal(fet__program_run(s.program), FET_OK);
    for (int i = 0; i < POSITIONS; i++)
        for (int j = 0; j < FET__NAS_SPACE; j++) {
            bool drawn = (j == pair[i].active || j == pair[i].other) && j != FET__NAS_IDENTITY;
            float slope = s.slopes[i * FET__NAS_SPACE + j];

            assert_true(drawn ? slope != 0 : slope == 0);
        }
    fet__nas_step_fini(&s);
    fet__nas_super_fini(&n);
}

static void a_small_budget_is_refused(void **state)
{
    const fet__nas_choice path[POSITIONS] = {{5, -1}, {5, -1}, {5, -1}, {5, -1}};
    fet__nas_super n = super_of(false);
    fet__nas_step s;

    (void)state;
    assert_int_equal(fet__nas_super_create(&n), FET_OK);
    n.memory = 4096;
    assert_int_equal(fet__nas_step_create(&s, &n, path, false), FET_E_NOMEM);
    assert_non_null(strstr(fet_error_message(), "budget"));
    fet__nas_super_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_are_the_rules),
        cmocka_unit_test(a_step_is_of_one_path),
        cmocka_unit_test(a_step_of_alpha_sees_the_pair),
        cmocka_unit_test(a_small_budget_is_refused),
    };

    return cmocka_run_group_tests(tests, open_frame, close_frame);
}
