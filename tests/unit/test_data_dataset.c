/* Image folders: splits, class names and their order, the validation share, and what is refused or said. */
#include "data_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static fet_status open_at(fet__dataset *d, const char *name, const fet__dataset_options *o)
{
    static const fet__dataset_options defaults = {.val_fraction = -1};
    return fet__dataset_open(d, fixture_path(name), o ? o : &defaults);
}

static void make_folder(const char *name)
{
    assert_int_equal(fet__make_folder(fixture_path(name)), FET_OK);
}

/* ---- layouts --------------------------------------------------------------------------------------------- */

static void three_splits(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/train/dog", 3, 1);
    fixture_pictures("d/train/cat", 4, 2);
    fixture_pictures("d/val/dog", 2, 3);
    fixture_pictures("d/val/ant", 1, 4);
    fixture_pictures("d/test/cat", 5, 5);
    EXPECT_OK(open_at(&d, "d//", NULL));
    assert_string_equal(d.root, fixture_path("d"));
    assert_int_equal(d.class_count, 3);
    assert_string_equal(d.classes[0], "ant"); /* over all splits together */
    assert_string_equal(d.classes[1], "cat");
    assert_string_equal(d.classes[2], "dog");
    assert_int_equal(d.count[FET__TRAIN], 7);
    assert_int_equal(d.count[FET__VAL], 3);
    assert_int_equal(d.count[FET__TEST], 5);
    assert_int_equal(d.domain_count, 0);
    assert_false(d.split_off);
    assert_string_equal(d.samples[FET__TRAIN][0].path, fixture_path("d/train/cat/00.ppm"));
    assert_int_equal(d.samples[FET__TRAIN][0].label, 1);
    assert_int_equal(d.samples[FET__TRAIN][6].label, 2);
    assert_int_equal(d.samples[FET__VAL][0].label, 0);
    assert_int_equal(fixture_log_count("train has no images of 1 of the classes: ant"), 1);
    assert_int_equal(fixture_log_count("val has no images of 1 of the classes: cat"), 1);
    assert_int_equal(fixture_log_count("test has no images of 2 of the classes: ant, dog"), 1);
    fet__dataset_fini(&d);
}

static void no_val_folder_splits_train_only(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/train/a", 30, 1);
    fixture_pictures("d/train/b", 10, 2);
    fixture_pictures("d/test/a", 7, 3);
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_true(d.split_off);
    assert_int_equal(d.count[FET__TRAIN], 36);
    assert_int_equal(d.count[FET__VAL], 4);
    assert_int_equal(d.count[FET__TEST], 7);
    assert_int_equal(fixture_log_count("4 of the 40 training images are split off (fraction 0.1, seed 0)"), 1);
    fet__dataset_fini(&d);
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0}));
    assert_false(d.split_off);
    assert_int_equal(d.count[FET__VAL], 0);
    fet__dataset_fini(&d);
}

static void test_split_alone_is_not_split(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/test/a", 5, 1);
    fixture_pictures("d/test/b", 5, 2);
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_int_equal(d.count[FET__TRAIN], 0);
    assert_int_equal(d.count[FET__VAL], 0);
    assert_int_equal(d.count[FET__TEST], 10);
    assert_false(d.split_off);
    fet__dataset_fini(&d);
}

static void classes_named_like_splits(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/train", 5, 1); /* railway */
    fixture_pictures("d/tram", 5, 2);
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[0], "train");
    fet__dataset_fini(&d);
    fixture_pictures("flat/train", 5, 1);
    fixture_pictures("flat/val", 5, 2);
    EXPECT_FAIL(open_at(&d, "flat", NULL), FET_E_DATA, "no class folders", "train/CLASS/IMAGE");
}

static void folders_of_data_sets(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/photo/train/a", 2, 1);
    fixture_pictures("d/sketch/train/a", 2, 2);
    EXPECT_FAIL(open_at(&d, "d", NULL), FET_E_DATA, "holds whole data sets", "d/photo");
    fixture_pictures("s/photo/dog", 2, 1);
    fixture_pictures("s/sketch/dog", 2, 2);
    EXPECT_OK(open_at(&d, "s", NULL)); /* allowed, but not in silence */
    assert_int_equal(d.class_count, 2);
    assert_int_equal(fixture_log_count("sub-folders; their images count for the class"), 1);
    fet__dataset_fini(&d);
}

static void unused_folders_are_named(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/train/a", 3, 1);
    fixture_pictures("d/train/b", 3, 2);
    fixture_pictures("d/valid/a", 3, 3);
    fixture_pictures("d/test", 3, 4);
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_int_equal(fixture_log_count("d/valid: not used; the splits are train, val and test"), 1);
    assert_int_equal(fixture_log_count("d/test: not used; it holds no class folders"), 1);
    assert_int_equal(d.count[FET__TEST], 0);
    fet__dataset_fini(&d);
}

/* ---- names and files ------------------------------------------------------------------------------------- */

static void odd_names(void **state)
{
    (void)state;
    static const char *const files[] = {"d/a b/x y.ppm",     "d/a b/new\nline.PNG", "d/\xe7\x8c\xab/\xc3\xa9.JPeG",
                                        "d/a b/w.WebP",      "d/a b/b.BMP",         "d/a b/g.pgm",
                                        "d/\xff\xfe/raw.jpg"};
    fet__dataset d;
    for (size_t i = 0; i < FET_COUNT(files); i++)
        fixture_picture(files[i], 4, 4, (unsigned)i);
    fixture_text("d/a b/.hidden.jpg", "x");
    fixture_text("d/a b/notes.txt", "x");
    fixture_text("d/a b/jpg", "x");
    fixture_text("d/a b/x.jpg.part", "x");
    fixture_pictures("d/.cache", 2, 9);
    fixture_text("d/README", "x");
    fixture_picture("d/loose.jpg", 4, 4, 9);
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0}));
    assert_int_equal(d.class_count, 3);
    assert_string_equal(d.classes[0], "a b");
    assert_int_equal(d.count[FET__TRAIN], FET_COUNT(files));
    assert_int_equal(fixture_log_count("4 files ignored"), 1);
    assert_int_equal(fixture_log_count("1 image outside of class folders ignored"), 1);
    fet__dataset_fini(&d);
}

static void links(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/a", 3, 1);
    fixture_pictures("d/b/deep/er", 3, 2);
    fixture_pictures("other", 4, 3);
    assert_int_equal(symlink("..", fixture_path("d/b/deep/up")), 0); /* a circle */
    assert_int_equal(symlink(".", fixture_path("d/a/self")), 0);
    assert_int_equal(symlink(fixture_path("other"), fixture_path("d/c")), 0); /* a class elsewhere */
    assert_int_equal(symlink("nowhere", fixture_path("d/a/gone.jpg")), 0);
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0}));
    assert_int_equal(d.class_count, 3);
    assert_int_equal(d.count[FET__TRAIN], 3 + 3 + 4 + 1); /* the dangling link is left to who opens it */
    assert_int_equal(fixture_log_count("already holds; skipped"), 2);
    fet__dataset_fini(&d);
}

static void class_orders(void **state)
{
    (void)state;
    fet__dataset d;
    static const char *const names[] = {"d/c10", "d/c9", "d/B", "d/a"};
    for (size_t i = 0; i < FET_COUNT(names); i++)
        fixture_pictures(names[i], 2, (unsigned)i);
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_string_equal(d.classes[0], "B");
    assert_string_equal(d.classes[1], "a");
    assert_string_equal(d.classes[2], "c10");
    assert_string_equal(d.classes[3], "c9");
    fet__dataset_fini(&d);
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0, .natural_order = true}));
    assert_string_equal(d.classes[0], "a");
    assert_string_equal(d.classes[1], "B");
    assert_string_equal(d.classes[2], "c9");
    assert_string_equal(d.classes[3], "c10");
    for (int i = 0; i < d.count[FET__TRAIN]; i++)
        assert_true(strstr(d.samples[FET__TRAIN][i].path, d.classes[d.samples[FET__TRAIN][i].label]) != NULL);
    fet__dataset_fini(&d);
    assert_true(fet__natural_compare("a01", "a1") != 0);
    assert_true(fet__natural_compare("a2b", "a10") < 0);
    assert_true(fet__natural_compare("a", "a1") < 0);
    assert_true(fet__natural_compare("n99999999999999999999998", "n99999999999999999999999") < 0);
    assert_int_equal(fet__natural_compare("x7", "x7"), 0);
}

static void chosen_classes(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/ant", 4, 1);
    fixture_pictures("d/bee", 4, 2);
    fixture_pictures("d/cat", 4, 3);
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0.25, .classes = "cat,ant"}));
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[0], "ant");
    assert_string_equal(d.classes[1], "cat");
    assert_int_equal(d.count[FET__TRAIN] + d.count[FET__VAL], 8);
    fet__dataset_fini(&d);
    EXPECT_FAIL(open_at(&d, "d", &(fet__dataset_options){.classes = "cat,bea"}), FET_E_ARG, "'bea'",
                "did you mean 'bee'");
    EXPECT_FAIL(open_at(&d, "d", &(fet__dataset_options){.classes = "cat,"}), FET_E_ARG, "empty name");
    EXPECT_FAIL(open_at(&d, "d", &(fet__dataset_options){.classes = "cat"}), FET_E_DATA, "only one class", "'cat'");
}

static void labels_of_a_model(void **state)
{
    (void)state;
    static const char *const model[] = {"zebra", "bee", "ant", "yak"};
    fet__dataset_options o = {.val_fraction = 0.25, .model_classes = model, .model_class_count = 4};
    fet__dataset d;
    fixture_pictures("d/ant", 4, 1);
    fixture_pictures("d/bee", 4, 2);
    EXPECT_OK(open_at(&d, "d", &o));
    assert_int_equal(d.class_count, 4);
    assert_string_equal(d.classes[0], "zebra");
    assert_int_equal(d.samples[FET__TRAIN][0].label, 2);
    assert_int_equal(d.samples[FET__TRAIN][3].label, 1);
    assert_int_equal(fixture_log_count("no images of 2 of the model's classes: zebra, yak"), 1);
    fet__dataset_fini(&d);
    o.classes = "bee"; /* one class is enough for measuring a model */
    EXPECT_OK(open_at(&d, "d", &o));
    assert_int_equal(d.samples[FET__TRAIN][0].label, 1);
    fet__dataset_fini(&d);
    o.classes = NULL;
    fixture_pictures("d/cow", 1, 3);
    fixture_pictures("d/elk", 1, 4);
    EXPECT_FAIL(open_at(&d, "d", &o), FET_E_DATA, "2 of its classes", "cow, elk", "the model's 4",
                "zebra, bee, ant, yak");
}

/* ---- the validation share -------------------------------------------------------------------------------- */

static bool in_split(const fet__dataset *d, fet__split s, const char *path)
{
    for (int i = 0; i < d->count[s]; i++)
        if (strcmp(d->samples[s][i].path, path) == 0)
            return true;
    return false;
}

static void share_is_stratified_and_stable(void **state)
{
    (void)state;
    fet__dataset before, after, other;
    fet__dataset_options o = {.val_fraction = 0.2, .seed = 7};
    fixture_pictures("d/a", 50, 1);
    fixture_pictures("d/b", 20, 2);
    fixture_pictures("d/c", 2, 3);
    fixture_pictures("d/e", 1, 4);
    EXPECT_OK(open_at(&before, "d", &o));
    int of[4] = {0};
    for (int i = 0; i < before.count[FET__VAL]; i++)
        of[before.samples[FET__VAL][i].label]++;
    assert_int_equal(of[0], 10);
    assert_int_equal(of[1], 4);
    assert_int_equal(of[2], 1); /* one at least */
    assert_int_equal(of[3], 0); /* but never the last */
    assert_int_equal(fixture_log_count("val has no images of 1 of the classes: e"), 1);

    fixture_picture("d/a/aa-new.ppm", 8, 8, 99); /* one more file moves at most one other */
    EXPECT_OK(open_at(&after, "d", &o));
    int moved = 0;
    for (int i = 0; i < before.count[FET__VAL]; i++)
        moved += !in_split(&after, FET__VAL, before.samples[FET__VAL][i].path);
    assert_true(moved <= 1);
    assert_string_not_equal(before.fingerprint, after.fingerprint);

    o.seed = 8;
    EXPECT_OK(open_at(&other, "d", &o));
    moved = 0;
    for (int i = 0; i < after.count[FET__VAL]; i++)
        moved += !in_split(&other, FET__VAL, after.samples[FET__VAL][i].path);
    assert_true(moved > 5);
    fet__dataset_fini(&before);
    fet__dataset_fini(&after);
    fet__dataset_fini(&other);
}

/* The same files elsewhere: same share, same fingerprint. */
static void place_does_not_matter(void **state)
{
    (void)state;
    fet__dataset x, y;
    fixture_pictures("x/a", 20, 1);
    fixture_pictures("x/b", 20, 2);
    fixture_pictures("deep/er/y/a", 20, 1);
    fixture_pictures("deep/er/y/b", 20, 2);
    EXPECT_OK(open_at(&x, "x", NULL));
    EXPECT_OK(open_at(&y, "deep/er/y", NULL));
    assert_string_equal(x.fingerprint, y.fingerprint);
    assert_int_equal(strlen(x.fingerprint), 64);
    for (int i = 0; i < x.count[FET__VAL]; i++)
        assert_string_equal(x.samples[FET__VAL][i].path + strlen(x.root), y.samples[FET__VAL][i].path + strlen(y.root));
    fet__dataset_fini(&y);
    fixture_text("deep/er/y/b/03.ppm", "another size");
    EXPECT_OK(open_at(&y, "deep/er/y", NULL));
    assert_string_not_equal(x.fingerprint, y.fingerprint);
    fet__dataset_fini(&x);
    fet__dataset_fini(&y);
}

static void share_limits(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/a", 4, 1);
    fixture_pictures("d/b", 4, 2);
    EXPECT_FAIL(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 1}), FET_E_ARG, "[0, 1)");
    EXPECT_FAIL(open_at(&d, "d", &(fet__dataset_options){.val_fraction = strtod("nan", NULL)}), FET_E_ARG, "[0, 1)");
    EXPECT_OK(open_at(&d, "d", &(fet__dataset_options){.val_fraction = 0.999}));
    assert_int_equal(d.count[FET__TRAIN], 2);
    fet__dataset_fini(&d);
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void refused(void **state)
{
    (void)state;
    fet__dataset d;
    EXPECT_FAIL(open_at(&d, "nowhere", NULL), FET_E_IO, "nowhere", "no such folder");
    EXPECT_FAIL(fet__dataset_open(&d, "", NULL), FET_E_ARG, "empty");
    fixture_text("file.txt", "x");
    EXPECT_FAIL(open_at(&d, "file.txt", NULL), FET_E_DATA, "neither a folder nor a .csv file");
    make_folder("empty");
    EXPECT_FAIL(open_at(&d, "empty", NULL), FET_E_DATA, "no images");
    fixture_text("texts/a/x.txt", "x");
    EXPECT_FAIL(open_at(&d, "texts", NULL), FET_E_DATA, "no images", "1 files", ".jpg");
    fixture_pictures("flat", 3, 1);
    EXPECT_FAIL(open_at(&d, "flat", NULL), FET_E_DATA, "3 images lie in no class folder", "CLASS/IMAGE");
    fixture_pictures("one/only", 3, 1);
    make_folder("one/hollow");
    EXPECT_FAIL(open_at(&d, "one", NULL), FET_E_DATA, "only one class has images", "'only'");
    assert_null(d.classes);
    EXPECT_OK(open_at(&d, "one", &(fet__dataset_options){.one_class_too = true}));
    assert_int_equal(d.count[FET__TRAIN], 3);
    fet__dataset_fini(&d);
    EXPECT_FAIL(open_at(&d, "one", NULL), FET_E_DATA, "only one class");
    fet__dataset_fini(&d); /* a failed open leaves nothing, and closing it is harmless */
}

static void empty_class_is_named_and_kept(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/a", 4, 1);
    fixture_pictures("d/c", 4, 2);
    make_folder("d/b");
    EXPECT_OK(open_at(&d, "d", NULL));
    assert_int_equal(d.class_count, 3);
    assert_int_equal(fixture_log_count("warning: "), 1);
    assert_int_equal(fixture_log_count("1 empty class folder: b"), 1);
    fet__dataset_fini(&d);
}

static void unreadable_folder(void **state)
{
    (void)state;
    fet__dataset d;
    uid_t user = geteuid();
    fixture_pictures("d/a", 2, 1);
    fixture_pictures("d/b", 2, 2);
    assert_int_equal(chmod(fixture_path(""), 0711), 0);
    assert_int_equal(chmod(fixture_path("d/b"), 0), 0);
    if (user == 0) /* root may read every folder; nobody may not */
        assert_int_equal(seteuid(65534), 0);
    fet_status st = open_at(&d, "d", NULL);
    assert_int_equal(seteuid(user), 0);
    chmod(fixture_path("d/b"), 0700);
    EXPECT_FAIL(st, FET_E_IO, "d/b");
}

static void no_memory(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_pictures("d/a", 5, 1);
    fixture_pictures("d/b", 5, 2);
    fixture_text("l.csv", "path,label,domain\nd/a/00.ppm,a,x\nd/b/00.ppm,b,y\n");
    for (int csv = 0; csv < 2; csv++) {
        int failed = 0;
        for (uint64_t n = 1; n < 2000; n++) {
            fet__alloc_fail_after(n);
            fet_status st = open_at(&d, csv ? "l.csv" : "d", NULL);
            fet__alloc_fail_after(0);
            if (st == FET_OK)
                break;
            assert_int_equal(st, FET_E_NOMEM);
            failed++;
        }
        assert_true(failed > 5);
        fet__dataset_fini(&d);
    }
}

static void split_names(void **state)
{
    (void)state;
    fet__split s;
    EXPECT_OK(fet__split_parse("test", &s));
    assert_int_equal(s, FET__TEST);
    assert_string_equal(fet__split_name(FET__VAL), "val");
    EXPECT_FAIL(fet__split_parse("Train", &s), FET_E_ARG, "'Train'", "train, val and test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(three_splits),
        DATA_TEST(no_val_folder_splits_train_only),
        DATA_TEST(test_split_alone_is_not_split),
        DATA_TEST(classes_named_like_splits),
        DATA_TEST(folders_of_data_sets),
        DATA_TEST(unused_folders_are_named),
        DATA_TEST(odd_names),
        DATA_TEST(links),
        DATA_TEST(class_orders),
        DATA_TEST(chosen_classes),
        DATA_TEST(labels_of_a_model),
        DATA_TEST(share_is_stratified_and_stable),
        DATA_TEST(place_does_not_matter),
        DATA_TEST(share_limits),
        DATA_TEST(refused),
        DATA_TEST(empty_class_is_named_and_kept),
        DATA_TEST(unreadable_folder),
        DATA_TEST(no_memory),
        DATA_TEST(split_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
