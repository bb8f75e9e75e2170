/* The options of training by name: text, ranges, defaults, and the way through run.json and back. */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "method/method_int.h"

static char said[4096];

static void keep_notice(void *user, int level, const char *text)
{
    (void)user;
    (void)level;
    strncat(said, text, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

static void refuses(const char *key, const char *value, const char *part)
{
    fet_tune_options o, before;

    fet_tune_defaults(&o);
    before = o;
    assert_int_equal(fet_tune_set(&o, key, value), FET_E_ARG);
    if (!strstr(fet_error_message(), part))
        fail_msg("%s=%s: '%s' lacks '%s'", key, value, fet_error_message(), part);
    assert_memory_equal(&o, &before, sizeof o);
}

static void text_is_checked(void **state)
{
    (void)state;
    refuses("batsh", "3", "the nearest is 'batch'");
    refuses("qqqqqqqqqqqqqq", "3", "unknown option");
    refuses("batch", "0", "from 1 to 65536");
    refuses("batch", "3.5", "whole number");
    refuses("batch", "99999999999999999999", "whole number");
    refuses("lr", "nan", "above 0");
    refuses("lr", "inf", "above 0");
    refuses("lr", "0", "above 0");
    refuses("wd", "-1", "from 0");
    refuses("smoothing", "1", "smoothing");
    refuses("crop-pct", "1.5", "from 0 to 1");
    refuses("schedule", "cos", "none of: cosine step constant");
    refuses("schedule", "", "none of");
    refuses("schedule", "cosine step", "none of");
    refuses("memory", "lots", "512M");
    refuses("seed", "-4", "from 0 on");
    refuses("amsgrad", "perhaps", "neither true nor false");
    assert_int_equal(fet_tune_set(NULL, "lr", "1"), FET_E_ARG);
}

static void zero_is_a_value_where_text_gives_it(void **state)
{
    fet_tune_options o;

    (void)state;
    fet_tune_defaults(&o);
    assert_int_equal(fet_tune_set(&o, "crop-pct", "0"), FET_OK);
    assert_int_equal(fet_tune_set(&o, "val-fraction", "0"), FET_OK);
    assert_int_equal(fet_tune_set(&o, "wd", "0"), FET_OK);
    assert_int_equal(fet_tune_set(&o, "warmup", "0"), FET_OK);
    assert_true(o.model_options.crop_pct < 0);
    assert_true(o.data_options.val_fraction < 0);
    assert_int_equal(fet__tune_check(&o), FET_OK);
    assert_true(o.wd == 0 && o.warmup == 0);
}

static void defaults_are_filled_in(void **state)
{
    fet_tune_options o;

    (void)state;
    fet_tune_defaults(&o);
    assert_int_equal(fet__tune_check(&o), FET_OK);
    assert_int_equal(o.epochs, 20);
    assert_int_equal(o.batch, 32);
    assert_true(o.lr == 1e-3 && o.wd == 1e-4 && o.momentum == 0.9);
    assert_true(o.lr_min == o.lr / 100 && o.warmup_start == o.lr / 1000);
    assert_string_equal(o.optimizer, "adamw");
    assert_string_equal(o.schedule, "cosine");
    assert_string_equal(o.augment, "light");
}

static void numbers_from_c_are_checked_too(void **state)
{
    fet_tune_options o;

    (void)state;
    fet_tune_defaults(&o);
    o.batch = -3;
    assert_int_equal(fet__tune_check(&o), FET_E_ARG);
    fet_tune_defaults(&o);
    o.lr = (double)NAN;
    assert_int_equal(fet__tune_check(&o), FET_E_ARG);
    fet_tune_defaults(&o);
    o.drop_path = 2;
    assert_int_equal(fet__tune_check(&o), FET_E_ARG);
    fet_tune_defaults(&o);
    o.schedule = "bent";
    assert_int_equal(fet__tune_check(&o), FET_E_ARG);
    fet_tune_defaults(&o);
    o.model_options.std_text = "1,0,1";
    assert_int_equal(fet__tune_check(&o), FET_E_ARG);
}

static void set_all(fet_tune_options *o)
{
    static const char *const pairs[][2] = {{"model", "m.safetensors"},
                                           {"data", "folder"},
                                           {"adapter", "hydra:rank=3"},
                                           {"epochs", "7"},
                                           {"steps", "1234567890"},
                                           {"batch", "12"},
                                           {"lr", "0.1"},
                                           {"wd", "1e-5"},
                                           {"optimizer", "sgd"},
                                           {"momentum", "0.7"},
                                           {"nesterov", "true"},
                                           {"amsgrad", "yes"},
                                           {"no-decay-1d", "on"},
                                           {"no-decay", "1d"},
                                           {"warmup-multiply", "on"},
                                           {"warmup-first", "on"},
                                           {"schedule", "step"},
                                           {"warmup", "2.5"},
                                           {"lr-min", "1e-7"},
                                           {"warmup-start", "1e-6"},
                                           {"schedule-epochs", "500"},
                                           {"schedule-by-epoch", "1"},
                                           {"schedule-lag", "1"},
                                           {"every", "3"},
                                           {"gamma", "0.3"},
                                           {"clip", "1"},
                                           {"smoothing", "0.1"},
                                           {"drop-path", "0.2"},
                                           {"augment", "strong"},
                                           {"drop-last", "true"},
                                           {"eval-every", "10"},
                                           {"save-every", "5"},
                                           {"seed", "9223372036854775807"},
                                           {"split-seed", "3"},
                                           {"memory", "2G"},
                                           {"check-finite", "true"},
                                           {"arch", "vit_base_patch16_224"},
                                           {"mean", "0.1,0.2,0.3"},
                                           {"std", "0.4,0.5,0.6"},
                                           {"interpolation", "lanczos"},
                                           {"crop-pct", "0.875"},
                                           {"image", "384"},
                                           {"val-fraction", "0.3"},
                                           {"classes", "a,b"},
                                           {"class-order", "natural"},
                                           {"max-pixels", "1000"},
                                           {"no-exif", "true"}};
    size_t i;

    for (i = 0; i < FET_COUNT(pairs); i++)
        if (fet_tune_set(o, pairs[i][0], pairs[i][1]) != FET_OK)
            fail_msg("%s: %s", pairs[i][0], fet_error_message());
}

static void write_run(const char *folder, const char *options)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/run.json", folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "{\"options\": %s}", options);
    assert_int_equal(fclose(f), 0);
}

static void a_run_gives_its_options_back(void **state)
{
    char folder[] = "/tmp/fettle-options-XXXXXX", path[256], *json, *again;
    fet_tune_options o, back;
    void *keep;
    bool found;

    (void)state;
    assert_non_null(mkdtemp(folder));
    fet_tune_defaults(&o);
    set_all(&o);
    json = fet__tune_to_json(&o);
    assert_non_null(json);
    write_run(folder, json);
    said[0] = '\0';
    fet_set_log(keep_notice, NULL);
    fet_tune_defaults(&back);
    assert_int_equal(fet_tune_set(&back, "data", "elsewhere"), FET_OK);
    assert_int_equal(fet_tune_set(&back, "lr", "0.5"), FET_OK);
    assert_int_equal(fet_tune_set(&back, "batch", "12"), FET_OK);
    assert_int_equal(fet__tune_from_run(&back, folder, &keep, &found), FET_OK);
    fet_set_log(NULL, NULL);
    assert_true(found);
    assert_string_equal(said, "lr is left aside: a resumed run keeps the options of its first start\n");
    assert_string_equal(back.data, "elsewhere"); /* a place, not an option of the work */
    back.data = o.data;
    again = fet__tune_to_json(&back);
    assert_string_equal(again, json);
    assert_true(back.lr == 0.1 && back.seed == INT64_MAX && back.memory == (int64_t)2 << 30);
    fet__free(again);
    fet__free(json);
    fet_recipe_free(keep);
    snprintf(path, sizeof path, "%s/run.json", folder);
    unlink(path);
    rmdir(folder);
}

static void a_broken_run_is_refused(void **state)
{
    static const char *const bad[] = {"{\"lr\": \"fast\"}", "[]", "{}", "{\"lr\": "};
    char folder[] = "/tmp/fettle-options-XXXXXX", path[256];
    fet_tune_options o;
    void *keep;
    bool found;
    size_t i;

    (void)state;
    assert_non_null(mkdtemp(folder));
    fet_tune_defaults(&o);
    assert_int_equal(fet__tune_from_run(&o, folder, &keep, &found), FET_OK);
    assert_false(found);
    for (i = 0; i < FET_COUNT(bad); i++) {
        write_run(folder, bad[i]);
        assert_int_equal(fet__tune_from_run(&o, folder, &keep, &found), FET_E_FORMAT);
        assert_non_null(strstr(fet_error_message(), "run.json"));
        assert_null(keep);
    }
    snprintf(path, sizeof path, "%s/run.json", folder);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_is_checked),
                                       cmocka_unit_test(zero_is_a_value_where_text_gives_it),
                                       cmocka_unit_test(defaults_are_filled_in),
                                       cmocka_unit_test(numbers_from_c_are_checked_too),
                                       cmocka_unit_test(a_run_gives_its_options_back),
                                       cmocka_unit_test(a_broken_run_is_refused)};

    return cmocka_run_group_tests_name("method_options", tests, NULL, NULL);
}
