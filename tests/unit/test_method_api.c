/* The public functions from C: what they refuse, models from nothing, predictions. Data and training are tested through the program. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fettle/fettle.h"

#define SMALL "vit:dim=32,depth=1,heads=2,patch=8,img=32"

static char folder[] = "/tmp/fettle-api-XXXXXX";
static char first[64], second[64], model[64];

static void write_picture(const char *path, int seed)
{
    FILE *f = fopen(path, "wb");
    int i;

    assert_non_null(f);
    fprintf(f, "P6\n40 36\n255\n");
    for (i = 0; i < 40 * 36 * 3; i++)
        fputc((i * 7 + i / 120 * seed) % 256, f);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(first, sizeof first, "%s/first.ppm", folder);
    snprintf(second, sizeof second, "%s/second.ppm", folder);
    snprintf(model, sizeof model, "%s/model.safetensors", folder);
    write_picture(first, 3);
    write_picture(second, 11);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(first);
    unlink(second);
    unlink(model);
    return rmdir(folder);
}

static fet_model *small_model(int classes, uint64_t seed)
{
    fet_model_options o = {.arch = SMALL, .classes = classes, .seed = seed};
    fet_model *m = NULL;

    assert_int_equal(fet_model_open(&m, "none", &o), FET_OK);
    return m;
}

static void absent_arguments_are_refused(void **state)
{
    fet_model *m = small_model(3, 0);
    fet_merge_report report;
    fet_eval_result eval;
    fet_tune_result result;
    char *text;
    double peak;

    (void)state;
    assert_int_equal(fet_model_open(NULL, "none", NULL), FET_E_ARG);
    assert_int_equal(fet_model_attach(m, NULL), FET_E_ARG);
    assert_int_equal(fet_model_save(m, NULL), FET_E_ARG);
    assert_int_equal(fet_model_predict(m, NULL, 1, NULL), FET_E_ARG);
    assert_int_equal(fet_model_merge(m, NULL, NULL), FET_E_ARG);
    assert_int_equal(fet_model_merge(m, NULL, &report), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "no adapter"));
    assert_int_equal(fet_evaluate(NULL, "x", NULL, NULL, 0, &eval), FET_E_ARG);
    assert_int_equal(fet_tune(NULL, &result), FET_E_ARG);
    assert_int_equal(fet_embed(m, NULL, NULL, "x", NULL), FET_E_ARG);
    assert_int_equal(fet_inspect(&text, NULL, NULL), FET_E_ARG);
    assert_int_equal(fet_convert("x", NULL, NULL), FET_E_ARG);
    assert_int_equal(fet_list(&text, "birds"), FET_E_ARG);
    assert_int_equal(fet_bench(NULL, NULL, NULL), FET_E_ARG);
    assert_int_equal(fet_bench_peak(&peak, NULL), FET_E_ARG);
    assert_int_equal(fet_data_stats(NULL, "x", NULL, 0), FET_E_ARG);
    assert_int_equal(fet_set_threads(-1), FET_E_ARG);
    assert_int_equal(fet_set_memory(-1), FET_E_ARG);
    fet_model_close(m);
    fet_model_close(NULL);
    fet_free(NULL);
    fet_recipe_free(NULL);
}

static void options_of_models_are_checked(void **state)
{
    static const float zero[3] = {1, 0, 1}, wild[3] = {0, (float)NAN, 0};
    const fet_model_options bad[] = {{.arch = SMALL, .std = zero},
                                     {.arch = SMALL, .mean = wild},
                                     {.arch = SMALL, .mean_text = "1,2"},
                                     {.arch = SMALL, .mean_text = "1,2,3,4"},
                                     {.arch = SMALL, .interpolation = "sharp"},
                                     {.arch = SMALL, .crop_pct = 1.5},
                                     {.arch = SMALL, .crop_pct = (double)NAN},
                                     {.arch = SMALL, .image = -1},
                                     {.arch = SMALL, .image = 33},
                                     {.arch = SMALL, .classes = -1},
                                     {.arch = "vat"},
                                     {0}};
    fet_model *m;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fet_model_open(&m, "none", &bad[i]), FET_E_ARG);
        assert_null(m);
    }
}

static void a_model_describes_itself(void **state)
{
    fet_model *m = small_model(3, 0), *again = NULL;
    fet_model_options o = {0};

    (void)state;
    assert_int_equal(fet_model_class_count(m), 3);
    assert_null(fet_model_class_name(m, 0));
    assert_null(fet_model_class_name(m, -1));
    assert_int_equal(fet_model_feature_size(m), 32);
    o.arch = fet_model_arch(m);
    assert_int_equal(fet_model_open(&again, "none", &o), FET_OK);
    assert_string_equal(fet_model_arch(again), fet_model_arch(m));
    assert_int_equal(fet_model_parameters(again), fet_model_parameters(m));
    fet_model_close(again);
    fet_model_close(m);
}

static void predict_one(fet_model *m, const char *path, float *p)
{
    assert_int_equal(fet_model_predict(m, &path, 1, p), FET_OK);
}

static void predictions_are_probabilities(void **state)
{
    fet_model *m = small_model(5, 4), *other = small_model(5, 5);
    const char *paths[] = {first, second, first};
    float p[15], alone[5], q[5];
    int i, j, differ = 0;

    (void)state;
    assert_int_equal(fet_model_predict(m, paths, 3, p), FET_OK);
    for (i = 0; i < 3; i++) {
        double sum = 0;
        for (j = 0; j < 5; j++)
            sum += (double)p[5 * i + j];
        assert_true(fabs(sum - 1) < 1e-5);
    }
    predict_one(m, second, alone);
    predict_one(other, second, q);
    for (j = 0; j < 5; j++) {
        assert_true(fabs((double)alone[j] - (double)p[5 + j]) < 1e-5);
        assert_true(fabs((double)p[j] - (double)p[10 + j]) < 1e-6);
        differ += fabs((double)q[j] - (double)alone[j]) > 1e-6;
    }
    assert_true(differ > 0);
    paths[1] = "/nowhere/at all\n.png";
    assert_int_equal(fet_model_predict(m, paths, 3, p), FET_E_IO);
    assert_non_null(strstr(fet_error_message(), "/nowhere/at all\\n.png"));
    assert_int_equal(fet_model_predict(m, paths, 1, p), FET_OK); /* a failure leaves the model usable */
    fet_model_close(other);
    fet_model_close(m);
}

static void a_saved_model_predicts_the_same(void **state)
{
    fet_model *m = small_model(4, 9), *again = NULL;
    float p[4], q[4];

    (void)state;
    predict_one(m, first, p);
    assert_int_equal(fet_model_save(m, model), FET_OK);
    assert_int_equal(fet_model_open(&again, model, NULL), FET_OK);
    predict_one(again, first, q);
    assert_memory_equal(p, q, sizeof p);
    fet_model_close(again);
    fet_model_close(m);
}

static void lists_and_versions_are_texts(void **state)
{
    static const char *const words[] = {"adapters", "models", "workloads"};
    char *text;
    int i, before = fet_threads();

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(fet_list(&text, words[i]), FET_OK);
        assert_true(text[0] == '[');
        fet_free(text);
    }
    assert_true(strlen(fet_version()) > 0 && strlen(fet_version_library()) > 0 && strlen(fet_version_cpu()) > 0);
    assert_int_equal(fet_set_threads(3), FET_OK);
    assert_int_equal(fet_threads(), 3);
    assert_int_equal(fet_set_threads(0), FET_OK);
    assert_int_equal(fet_threads(), before);
}

static void a_budget_holds_for_all(void **state)
{
    fet_model *m = small_model(4, 9);
    const char *path = first;
    float p[4];

    (void)state;
    assert_int_equal(fet_set_memory(1000), FET_OK);
    assert_int_equal(fet_model_predict(m, &path, 1, p), FET_E_NOMEM);
    assert_non_null(strstr(fet_error_message(), "budget"));
    assert_int_equal(fet_set_memory(0), FET_OK);
    predict_one(m, first, p);
    fet_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_arguments_are_refused),    cmocka_unit_test(options_of_models_are_checked),
        cmocka_unit_test(a_model_describes_itself),        cmocka_unit_test(predictions_are_probabilities),
        cmocka_unit_test(a_saved_model_predicts_the_same), cmocka_unit_test(lists_and_versions_are_texts),
        cmocka_unit_test(a_budget_holds_for_all)};

    return cmocka_run_group_tests_name("method_api", tests, set_up, tear_down);
}
