/* A profile of this machine: written, read again, used for a prediction; other machines' and broken ones are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "method/nas_int.h"

static const char frame_text[] = "quadranet:depths=1+2+1+1,dim=8,img=64,classes=4";
static char folder[] = "/tmp/fettle-nas-XXXXXX";
static char path[128], changed[128];

static int make_profile(void **state)
{
    fet_nas_profile_options o = {.frame = frame_text, .repeats = 9, .check = 2};
    fet_nas_profile_report r;

    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/here.json", folder);
    snprintf(changed, sizeof changed, "%s/changed.json", folder);
    if (fet_nas_profile(&o, path, &r) != FET_OK)
        return 1;
    return r.entries != 48 || r.checked != 2 || !(r.fixed_ms > 0) || !(r.worst_error >= r.mean_error);
}

static int remove_profile(void **state)
{
    (void)state;
    unlink(path);
    unlink(changed);
    return rmdir(folder);
}

static void it_is_read_and_predicts(void **state)
{
    fet__nas_table t;
    fet__arch frame = {0};
    fet__quadranet *q;

    (void)state;
    assert_int_equal(fet__nas_frame(&frame, frame_text), FET_OK);
    assert_int_equal(fet__nas_table_read(&t, &frame, path, false), FET_OK);
    assert_string_equal(t.unit, "ms");
    assert_false(t.foreign);
    q = frame.config;
    q->kernel = 3;
    q->expand = 2;
    assert_true(fabs(fet__nas_predict(&t, q) - t.fixed - t.block[0][0] - 2 * t.block[1][0] - t.block[2][0] -
                     t.block[3][0]) < 1e-12);
    q->kernel = 9;
    assert_true(isnan(fet__nas_predict(&t, q)));
    q->kernel = 3;
    q->mixer = FET__MIX_CONV; /* the other space lies in the same file */
    assert_int_equal(fet__nas_table_read(&t, &frame, path, false), FET_OK);
    assert_true(t.block[0][0] > 0);
    fet__arch_fini(&frame);
}

/* The profile with one thing changed must be refused with these words. */
static void refused(const char *key, json_t *value, bool foreign, fet_status wanted, const char *words)
{
    json_t *root = json_load_file(path, 0, NULL);
    fet__arch frame = {0};
    fet__nas_table t;

    assert_non_null(root);
    if (strncmp(key, "blocks/", 7) == 0 && !value)
        json_object_del(json_object_get(root, "blocks"), key + 7);
    else if (strncmp(key, "blocks/", 7) == 0)
        json_object_set_new(json_object_get(root, "blocks"), key + 7, value);
    else
        json_object_set_new(root, key, value);
    assert_int_equal(json_dump_file(root, changed, 0), 0);
    json_decref(root);
    assert_int_equal(fet__nas_frame(&frame, frame_text), FET_OK);
    assert_int_equal(fet__nas_table_read(&t, &frame, changed, foreign), wanted);
    if (words && !strstr(fet_error_message(), words))
        fail_msg("'%s' is not in: %s", words, fet_error_message());
    fet__arch_fini(&frame);
}

static void others_are_refused(void **state)
{
    fet__arch frame = {0};
    fet__nas_table t;

    (void)state;
    refused("device", json_string("another"), false, FET_E_ARG, "another");
    refused("device", json_string("another"), true, FET_OK, NULL);
    refused("threads", json_integer(4096), false, FET_E_ARG, "4096 threads");
    refused("fettle", json_string("9.9"), false, FET_E_ARG, "9.9");
    refused("isa", json_null(), false, FET_E_FORMAT, "does not say what it was measured on");
    refused("foreign", json_string("yes"), false, FET_E_FORMAT, "neither true nor false");
    refused("fettle_profile", json_integer(2), true, FET_E_FORMAT, "no profile");
    refused("unit", json_string("a b"), true, FET_E_FORMAT, "'unit'");
    refused("unit", json_string("5ms"), true, FET_E_FORMAT, "'unit'");
    refused("unit", json_null(), true, FET_E_FORMAT, "'unit'");
    refused("blocks/quadratic 16x16x8 k3e2", NULL, true, FET_E_FORMAT, "quadratic 16x16x8 k3e2");
    refused("blocks/quadratic 2x2x64 k7e4", json_real(-1), true, FET_E_FORMAT, "not a positive number");
    refused("blocks/quadratic 2x2x64 k7e4", json_string("1"), true, FET_E_FORMAT, "k7e4");
    refused("blocks", json_array(), true, FET_E_FORMAT, "no entry");
    refused("fixed", json_real(1), true, FET_E_FORMAT, "no entry 'quadratic 64x64x3 patch4 dim8'");
    assert_int_equal(fet__nas_frame(&frame, "quadranet:depths=1+2+1+1,dim=16,img=64,classes=4"), FET_OK);
    assert_int_equal(fet__nas_table_read(&t, &frame, path, false), FET_E_FORMAT);
    assert_int_equal(fet__nas_table_read(&t, &frame, "/nowhere/at/all.json", false), FET_E_IO);
    fet__arch_fini(&frame);
}

/* Another device's profile, with a unit of its own, by its own word. */
static void foreign_profiles_say_so(void **state)
{
    json_t *root = json_load_file(path, 0, NULL);
    fet__arch frame = {0};
    fet__nas_table t;

    (void)state;
    assert_non_null(root);
    json_object_del(root, "isa");
    json_object_del(root, "threads");
    json_object_del(root, "fettle");
    json_object_set_new(root, "device", json_string("a phone"));
    json_object_set_new(root, "foreign", json_true());
    json_object_set_new(root, "unit", json_string("mJ"));
    assert_int_equal(json_dump_file(root, changed, 0), 0);
    json_decref(root);
    assert_int_equal(fet__nas_frame(&frame, frame_text), FET_OK);
    assert_int_equal(fet__nas_table_read(&t, &frame, changed, false), FET_OK);
    assert_true(t.foreign);
    assert_string_equal(t.unit, "mJ");
    assert_string_equal(t.device, "a phone");
    fet__arch_fini(&frame);
}

static void wrong_frames_are_refused(void **state)
{
    static const char *const frames[] = {"resnet50", "quadranet:mixer=gated", "quadranet:quadratic_channels=true",
                                         "quadranet:depths=1+1+1+1,blocks=k3e2+k3e2+k3e2+k3e4", "nothing"};
    fet_nas_profile_options o = {.repeats = 1, .check = -1};
    fet_nas_profile_report r;

    (void)state;
    for (size_t i = 0; i < FET_COUNT(frames); i++) {
        o.frame = frames[i];
        assert_int_equal(fet_nas_profile(&o, changed, &r), FET_E_ARG);
    }
    o.frame = frame_text;
    assert_int_equal(fet_nas_profile(&o, path, &r), FET_E_ARG);
    assert_non_null(strstr(fet_error_message(), "exists"));
    o.repeats = -1;
    assert_int_equal(fet_nas_profile(&o, changed, &r), FET_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_and_predicts),
        cmocka_unit_test(wrong_frames_are_refused),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(foreign_profiles_say_so),
    };

    return cmocka_run_group_tests(tests, make_profile, remove_profile);
}
