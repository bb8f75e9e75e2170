/* Re-identification sets: what each format's names mean, what is refused and in which words, plain folders and CSV files, the sampler's
 * rules. */
#include "data_fixture.h"

static void file(const char *name)
{
    fixture_text(name, "x");
}

static void open_set(fet__reid_set *s, const char *format)
{
    EXPECT_OK(fet__reid_open(s, fixture_path("set"), &(fet__reid_options){.format = format}));
}

static const fet__reid_image *image(const fet__reid_set *s, fet__reid_role role, const char *rel)
{
    for (int i = 0; i < s->count[role]; i++)
        if (strcmp(s->images[role][i].rel, rel) == 0)
            return &s->images[role][i];
    fail_msg("%s is not there", rel);
    return NULL;
}

/* ---- known sets ------------------------------------------------------------------------------------------------ */

static void market_is_recognised(void **state)
{
    fet__reid_set s;
    (void)state;
    file("set/bounding_box_train/0007_c3s3_077419_03.jpg");
    file("set/bounding_box_train/0002_c1s1_000451_03.jpg");
    file("set/bounding_box_train/0002_c6s1_000451_01.jpg");
    file("set/bounding_box_train/Thumbs.db");
    file("set/query/0001_c1s1_001051_00.jpg");
    file("set/bounding_box_test/-1_c1s1_000401_03.jpg");
    file("set/bounding_box_test/0000_c1s1_000151_01.jpg");
    file("set/bounding_box_test/0001_c2s1_000301_00.jpg");
    open_set(&s, NULL);
    assert_string_equal(s.format, "market1501");
    assert_int_equal(s.count[FET__REID_TRAIN], 3);
    assert_int_equal(s.identities, 2);
    assert_int_equal(image(&s, FET__REID_TRAIN, "bounding_box_train/0002_c6s1_000451_01.jpg")->camera, 5);
    assert_int_equal(image(&s, FET__REID_TRAIN, "bounding_box_train/0007_c3s3_077419_03.jpg")->label, 1);
    assert_int_equal(s.count[FET__REID_GALLERY], 2); /* junk is dropped, the distractor stays */
    assert_int_equal(s.count[FET__REID_QUERY], 1);
    fet__reid_fini(&s);
}

static void rules_name_file_and_rule(void **state)
{
    fet__reid_set s;
    (void)state;
    file("set/bounding_box_train/0002_c7s1_000451_03.jpg");
    file("set/query/0001_c1s1_001051_00.jpg");
    file("set/bounding_box_test/0001_c2s1_000301_00.jpg");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set"), &(fet__reid_options){.format = "market1501"}), FET_E_DATA,
                "0002_c7s1_000451_03.jpg", "camera 7");
    fixture_text("set2/image_train/car.jpg", "x");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set2"), &(fet__reid_options){.format = "vehiclex"}), FET_E_DATA,
                "car.jpg", "ID_cCAMERA");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set2"), &(fet__reid_options){.format = "veri776"}), FET_E_ARG,
                "veri776", "plain");
}

/* A parent folder that looks like a name must not be taken for one. */
static void folders_do_not_count(void **state)
{
    fet__reid_set s;
    (void)state;
    file("3_c1/bounding_box_train/0009_c12s.jpg");
    file("3_c1/query/0009_c3.jpg");
    file("3_c1/bounding_box_test/0009_c4.jpg");
    EXPECT_OK(fet__reid_open(&s, fixture_path("3_c1"), &(fet__reid_options){.format = "personx"}));
    assert_int_equal(s.images[FET__REID_TRAIN][0].id, 9);
    assert_int_equal(s.images[FET__REID_TRAIN][0].camera, 5);
    assert_int_equal(s.images[FET__REID_GALLERY][0].camera, 1);
    fet__reid_fini(&s);
}

static void msmt_reads_its_lists(void **state)
{
    fet__reid_set s;
    (void)state;
    fixture_text("set/list_train.txt", "0000/0000_000_01_0303morning_0015_0.jpg 0\n");
    fixture_text("set/list_val.txt", "0001/0001_000_15_0303noon_0015_0.jpg 1\r\n");
    fixture_text("set/list_query.txt", "0002/0002_000_02_a.jpg 2\n");
    fixture_text("set/list_gallery.txt", "0002/0002_000_03_a.jpg 2\n\n0003/0003_000_03_a.jpg 3");
    open_set(&s, NULL);
    assert_string_equal(s.format, "msmt17");
    assert_int_equal(s.count[FET__REID_TRAIN], 2);
    assert_int_equal(image(&s, FET__REID_TRAIN, "train/0001/0001_000_15_0303noon_0015_0.jpg")->camera, 14);
    assert_int_equal(s.count[FET__REID_GALLERY], 2);
    fet__reid_fini(&s);
    fixture_text("set/list_val.txt", "../../etc/passwd_1_1_1 1\n");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set"), NULL), FET_E_DATA, "list_val.txt", "line 1", "outside");
    fixture_text("set/list_val.txt", "0001/0001_000_15.jpg one\n");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set"), NULL), FET_E_DATA, "line 1", "NAME ID");
}

static void vehicleid_draws_a_gallery(void **state)
{
    fet__reid_set s, again;
    (void)state;
    fixture_text("VehicleID/train_test_split/train_list.txt", "0000001 5\n0000002 5\n0000003 9\n");
    fixture_text("VehicleID/train_test_split/test_list_800.txt",
                 "0000004 11\n0000005 11\n0000006 11\n0000007 12\n0000008 12\n");
    EXPECT_OK(fet__reid_open(&s, fixture_path(""), NULL)); /* found in the folder of its usual name */
    EXPECT_OK(fet__reid_open(&again, fixture_path("VehicleID"), NULL));
    assert_string_equal(s.format, "vehicleid");
    assert_int_equal(s.count[FET__REID_GALLERY], 2);
    assert_int_equal(s.count[FET__REID_QUERY], 3);
    assert_int_not_equal(s.images[FET__REID_QUERY][0].camera, s.images[FET__REID_GALLERY][0].camera);
    assert_string_equal(s.fingerprint, again.fingerprint);
    fet__reid_fini(&s);
    fet__reid_fini(&again);
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("VehicleID"), &(fet__reid_options){.test_size = 100}), FET_E_ARG,
                "2400");
}

/* ---- one's own sets --------------------------------------------------------------------------------------------- */

static void plain_folders(void **state)
{
    fet__reid_set s;
    (void)state;
    file("set/bob/cam2_7.jpg");
    file("set/bob/cam1.png");
    file("set/ann/cam1_1.jpg");
    file("set/ann/notes.txt");
    open_set(&s, NULL);
    assert_string_equal(s.format, "plain");
    for (int role = 0; role < FET__REID_ROLES; role++)
        assert_int_equal(s.count[role], 3);
    assert_int_equal(image(&s, FET__REID_TRAIN, "bob/cam2_7.jpg")->camera, 1);
    assert_int_equal(image(&s, FET__REID_TRAIN, "bob/cam2_7.jpg")->label, 1);
    assert_int_equal(s.identities, 2);
    fet__reid_fini(&s);
    assert_int_equal(fixture_log_count("1 files are no images"), 1);
}

static void plain_roles_and_one_camera(void **state)
{
    fet__reid_set s;
    (void)state;
    file("set/train/a/x_1.jpg");
    file("set/train/a/x_2.jpg");
    file("set/query/b/x_1.jpg");
    file("set/gallery/b/x_2.jpg");
    open_set(&s, "plain");
    assert_int_equal(s.count[FET__REID_TRAIN], 2);
    assert_int_not_equal(s.images[FET__REID_TRAIN][0].camera, s.images[FET__REID_TRAIN][1].camera);
    assert_int_not_equal(s.images[FET__REID_QUERY][0].camera, s.images[FET__REID_GALLERY][0].camera);
    fet__reid_fini(&s);
    assert_int_equal(fixture_log_count("one camera"), 1);
}

static void plain_csv(void **state)
{
    fet__reid_set s;
    (void)state;
    fixture_text(
        "set.csv",
        "id,path,camera,split\n7,a.jpg,north,train\n7,b.jpg,south,train\n8,c.jpg,south,query\n8,d.jpg,north,gallery\n");
    EXPECT_OK(fet__reid_open(&s, fixture_path("set.csv"), NULL));
    assert_int_equal(s.count[FET__REID_TRAIN], 2);
    assert_int_equal(s.count[FET__REID_QUERY], 1);
    assert_int_equal(s.images[FET__REID_QUERY][0].id, s.images[FET__REID_GALLERY][0].id);
    fet__reid_fini(&s);
    fixture_text("bad.csv", "id,path,camera,split\n7,a.jpg,north,val\n");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("bad.csv"), NULL), FET_E_DATA, "bad.csv", "line 2", "val");
    fixture_text("bad.csv", "id,path\n7,a.jpg\n");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("bad.csv"), NULL), FET_E_FORMAT, "no column 'camera'");
}

static void nothing_to_see(void **state)
{
    fet__reid_set s;
    (void)state;
    fixture_text("set/readme", "x");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("set"), NULL), FET_E_DATA, "no images");
    EXPECT_FAIL(fet__reid_open(&s, fixture_path("elsewhere"), NULL), FET_E_IO, "elsewhere");
}

/* ---- the sampler ------------------------------------------------------------------------------------------------ */

enum { ITEMS = 60, INSTANCES = 4 };

static void each_label_once_other_cameras_first(void **state)
{
    int32_t label[ITEMS], camera[ITEMS], *out, seen[ITEMS] = {0};
    int64_t count, at = 0;
    (void)state;
    for (int i = 0; i < ITEMS; i++) {
        label[i] = i < 40 ? i / 5 : i - 32; /* 8 labels of 5, then 20 of one image */
        camera[i] = i % 5 < 2 ? 0 : i % 5;
    }
    label[59] = -1;
    EXPECT_OK(fet__reid_draw(&out, &count, label, camera, ITEMS, INSTANCES, 1, 0));
    assert_int_equal(count, 8 * INSTANCES + 19);
    while (at < count) {
        int32_t anchor = out[at], group = label[anchor], size = group < 8 ? INSTANCES : 1;
        assert_int_equal(seen[group]++, 0);
        for (int32_t i = 1; i < size; i++) {
            assert_int_equal(label[out[at + i]], group);
            assert_int_not_equal(camera[out[at + i]], camera[anchor]);
        }
        at += size;
    }
    fet__free(out);
}

static void passes_differ_and_repeat(void **state)
{
    int32_t label[ITEMS], camera[ITEMS], *first, *again, *second;
    int64_t n;
    (void)state;
    for (int i = 0; i < ITEMS; i++) {
        label[i] = i / 3;
        camera[i] = 0; /* one camera: companions come from it */
    }
    EXPECT_OK(fet__reid_draw(&first, &n, label, camera, ITEMS, INSTANCES, 9, 3));
    EXPECT_OK(fet__reid_draw(&again, &n, label, camera, ITEMS, INSTANCES, 9, 3));
    EXPECT_OK(fet__reid_draw(&second, &n, label, camera, ITEMS, INSTANCES, 9, 4));
    assert_int_equal(n, 20 * INSTANCES);
    assert_memory_equal(first, again, (size_t)n * sizeof *first);
    assert_memory_not_equal(first, second, (size_t)n * sizeof *first);
    fet__free(first);
    fet__free(again);
    fet__free(second);
}

static void shuffle_without_instances(void **state)
{
    int32_t label[ITEMS] = {0}, camera[ITEMS] = {0}, *out, seen[ITEMS] = {0};
    int64_t n;
    (void)state;
    EXPECT_OK(fet__reid_draw(&out, &n, label, camera, ITEMS, 0, 1, 0));
    assert_int_equal(n, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(seen[out[i]]++, 0);
    fet__free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(market_is_recognised),
        DATA_TEST(rules_name_file_and_rule),
        DATA_TEST(folders_do_not_count),
        DATA_TEST(msmt_reads_its_lists),
        DATA_TEST(vehicleid_draws_a_gallery),
        DATA_TEST(plain_folders),
        DATA_TEST(plain_roles_and_one_camera),
        DATA_TEST(plain_csv),
        DATA_TEST(nothing_to_see),
        DATA_TEST(each_label_once_other_cameras_first),
        DATA_TEST(passes_differ_and_repeat),
        DATA_TEST(shuffle_without_instances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
