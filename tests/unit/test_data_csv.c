/* The CSV parser on text in memory, and lists of images in files. */
#include "data_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- the parser ------------------------------------------------------------------------------------------ */

struct rows {
    char text[4096];
    int count;
};

static fet_status collect(void *user, const fet__csv_row *row)
{
    struct rows *r = user;
    size_t at = strlen(r->text);
    snprintf(r->text + at, sizeof r->text - at, "%d|%s|%s|%s|%s;", (int)row->line, row->path, row->label,
             fet__split_name(row->split), row->domain ? row->domain : "-");
    r->count++;
    return FET_OK;
}

static fet_status parse_bytes(struct rows *r, const char *text, size_t size)
{
    *r = (struct rows){.count = 0};
    return fet__csv_parse(text, size, "list.csv", collect, r);
}

static void expect_rows(const char *text, const char *rows)
{
    struct rows r;
    EXPECT_OK(parse_bytes(&r, text, strlen(text)));
    assert_string_equal(r.text, rows);
}

#define REFUSED(text, ...)                                                                                             \
    do {                                                                                                               \
        struct rows r_;                                                                                                \
        EXPECT_FAIL(parse_bytes(&r_, (text), sizeof(text) - 1), FET_E_FORMAT, "list.csv", __VA_ARGS__);                \
    } while (0)

static void plain_rows(void **state)
{
    (void)state;
    expect_rows("path,label\na.png,cat\nb.png,dog\n", "2|a.png|cat|train|-;3|b.png|dog|train|-;");
    expect_rows("path,label\na.png,cat", "2|a.png|cat|train|-;");
    expect_rows("label,domain,split,path\ncat,sketch,val,a.png\n", "2|a.png|cat|val|sketch;");
    expect_rows(" Path , LABEL \na b.png, cat\n", "2|a b.png| cat|train|-;");
    expect_rows("path,label\n\n\na,x\n\r\nb,y\n\n", "4|a|x|train|-;6|b|y|train|-;");
    expect_rows("path,label\n", "");
}

static void line_ends_and_mark(void **state)
{
    (void)state;
    expect_rows("\xef\xbb\xbfpath,label,split\r\na,x,test\r\nb,y,train\r\n", "2|a|x|test|-;3|b|y|train|-;");
    expect_rows("\xef\xbb\xbf\"path\",label\r\na,x", "2|a|x|train|-;");
}

static void quoted_fields(void **state)
{
    (void)state;
    expect_rows("path,label\n\"a,b.png\",\"say \"\"cat\"\"\"\n", "2|a,b.png|say \"cat\"|train|-;");
    expect_rows("path,label\n\"two\nlines.png\",cat\nb,dog\n", "2|two\nlines.png|cat|train|-;4|b|dog|train|-;");
    expect_rows("path,label\n\"a\r\nb\",cat\r\nc,dog", "2|a\r\nb|cat|train|-;4|c|dog|train|-;");
    expect_rows("path,label\n\xc3\xa4/\xe7\x8c\xab.png,\xe7\x8c\xab\n",
                "2|\xc3\xa4/\xe7\x8c\xab.png|\xe7\x8c\xab|train|-;");
}

static void other_columns_are_named(void **state)
{
    (void)state;
    expect_rows("id,path,label\n7,a,x\n", "2|a|x|train|-;");
    assert_int_equal(fixture_log_count("column 'id' is not used"), 1);
}

static void refused_headers(void **state)
{
    (void)state;
    REFUSED("", "empty");
    REFUSED("\n\n", "empty");
    REFUSED("a.png,cat\n", "line 1", "no column 'path'", "path,label[,split,domain]");
    REFUSED("path;label\na;b\n", "line 1", "no column 'path'");
    REFUSED("path,class\na,b\n", "line 1", "no column 'label'");
    REFUSED("path,label,path\na,b,c\n", "line 1", "two columns are named 'path'");
    REFUSED("\xff\xfep\0a\0", "UTF-16");
    REFUSED("\xfe\xff\0p", "UTF-16");
}

static void refused_rows(void **state)
{
    (void)state;
    REFUSED("path,label\na,b\nc\n", "line 3", "1 fields", "2");
    REFUSED("path,label\na,b,c\n", "line 2", "3 fields");
    REFUSED("path,label\n,b\n", "line 2", "path is empty");
    REFUSED("path,label\na,\n", "line 2", "label is empty");
    REFUSED("path,label,domain\na,b,\n", "line 2", "domain is empty");
    REFUSED("path,label,split\na,b,train\nc,d,valid\n", "line 3", "'valid'", "train, val and test");
    REFUSED("path,label,split\na,b,\n", "line 2", "''");
    REFUSED("path,label\n\"a,b\nc,d\n", "line 2", "never closed");
    REFUSED("path,label\n\"a\"b,c\n", "line 2", "closing quote");
    REFUSED("path,label\na\"b,c\n", "line 2", "quote within a field");
    REFUSED("path,label\na,b\rc,d\n", "line 2", "carriage return");
    REFUSED("path,label\na\0b,c\n", "line 2", "NUL");
    REFUSED("path,label\n\"a\0b\",c\n", "line 2", "NUL");
    REFUSED("path,label\n\"x\ny\",a\n\"a\n\nb\0\",c\n", "line 6", "NUL");
}

static void limits(void **state)
{
    (void)state;
    static const char header[] = "path,label\n";
    const size_t size = 300000, body = sizeof header - 1;
    struct rows r;
    char *text = malloc(size + 1);
    memset(text, 'a', size);
    for (size_t i = 0; i < body; i++)
        text[i] = header[i];
    EXPECT_FAIL(parse_bytes(&r, text, size), FET_E_FORMAT, "line 2", "longer than 65536 bytes");
    text[body] = '"'; /* a quote that is never closed must not read on to the end of a large file either */
    EXPECT_FAIL(parse_bytes(&r, text, size), FET_E_FORMAT, "line 2", "longer than 65536 bytes");
    text[body] = 'x';
    text[body + 1] = ',';
    EXPECT_FAIL(parse_bytes(&r, text, body + 2 + 256), FET_E_FORMAT, "line 2", "label is longer than 255");
    text[body + 1] = 'x';
    text[body + 4096] = ',';
    EXPECT_FAIL(parse_bytes(&r, text, body + 4096 + 2), FET_E_FORMAT, "line 2", "path is longer than 4095");
    memset(text + body, ',', 100);
    EXPECT_FAIL(parse_bytes(&r, text, body + 100), FET_E_FORMAT, "line 2", "more than 64 fields");
    free(text);
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static void opens_relative_and_absolute_paths(void **state)
{
    (void)state;
    fet__dataset d;
    char text[8192];
    fixture_picture("in/pic/a 1.ppm", 8, 8, 1);
    fixture_picture("in/pic/new\nline.ppm", 8, 8, 2);
    fixture_picture("else/\xc3\xa9.ppm", 8, 8, 3);
    snprintf(text, sizeof text,
             "path,label,split,domain\npic/a 1.ppm,cat,train,photo\n\"pic/new\nline.ppm\",dog,train,sketch\n"
             "%s,ant,val,photo\n",
             fixture_path("else/\xc3\xa9.ppm"));
    fixture_text("in/list.CSV", text);
    EXPECT_OK(fet__dataset_open(&d, fixture_path("in/list.CSV"), NULL));
    assert_int_equal(d.class_count, 3);
    assert_string_equal(d.classes[0], "ant");
    assert_string_equal(d.classes[2], "dog");
    assert_int_equal(d.domain_count, 2);
    assert_string_equal(d.domains[0], "photo");
    assert_int_equal(d.count[FET__TRAIN], 2);
    assert_int_equal(d.count[FET__VAL], 1);
    assert_false(d.split_off);
    assert_string_equal(d.samples[FET__TRAIN][0].path, fixture_path("in/pic/a 1.ppm"));
    assert_int_equal(d.samples[FET__TRAIN][0].label, 1);
    assert_int_equal(d.samples[FET__TRAIN][0].domain, 0);
    assert_string_equal(d.samples[FET__TRAIN][1].path, fixture_path("in/pic/new\nline.ppm"));
    assert_int_equal(d.samples[FET__TRAIN][1].domain, 1);
    assert_string_equal(d.samples[FET__VAL][0].path, fixture_path("else/\xc3\xa9.ppm"));
    assert_int_equal(fixture_log_count("train has no images of 1 of the classes: ant"), 1);
    fet__dataset_fini(&d);
}

static void missing_files(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_picture("a.ppm", 8, 8, 1);
    fixture_picture("b.ppm", 8, 8, 2);
    fixture_text("some.csv", "path,label\na.ppm,x\nb.ppm,y\nc.ppm,y\n");
    EXPECT_OK(fet__dataset_open(&d, fixture_path("some.csv"), NULL));
    assert_int_equal(fixture_log_count("1 of its 3 files are not there"), 1);
    fet__dataset_fini(&d);
    fixture_text("none.csv", "path,label\nq.ppm,x\nr.ppm,y\n");
    EXPECT_FAIL(fet__dataset_open(&d, fixture_path("none.csv"), NULL), FET_E_DATA, "none of its 2 files", "q.ppm");
    fixture_text("empty.csv", "path,label\n");
    EXPECT_FAIL(fet__dataset_open(&d, fixture_path("empty.csv"), NULL), FET_E_DATA, "no images");
    assert_int_equal(mkdir(fixture_path("folder.ppm"), 0700), 0); /* a folder is no image file */
    fixture_text("folder.csv", "path,label\nfolder.ppm,x\n");
    EXPECT_FAIL(fet__dataset_open(&d, fixture_path("folder.csv"), NULL), FET_E_DATA, "none of its 1 files");
}

static void contradictions(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_picture("a.ppm", 8, 8, 1);
    fixture_picture("b.ppm", 8, 8, 2);
    fixture_text("two.csv", "path,label\na.ppm,x\nb.ppm,y\na.ppm,y\n");
    EXPECT_FAIL(fet__dataset_open(&d, fixture_path("two.csv"), NULL), FET_E_DATA, "a.ppm", "'x' in line 2",
                "'y' in line 4");
}

/* A path that is listed several times (to make it count more) stays on one side of the split. */
static void repeated_rows_stay_together(void **state)
{
    (void)state;
    fet__dataset d;
    fet__text t = {0};
    fet__text_printf(&t, "path,label\n");
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.ppm", i);
        fixture_picture(name, 8, 8, (unsigned)i);
        for (int k = 0; k < 3; k++)
            fet__text_printf(&t, "%s,%s\n", name, i % 2 ? "odd" : "even");
    }
    fixture_text("list.csv", t.s);
    fet__text_fini(&t);
    for (uint64_t seed = 0; seed < 20; seed++) {
        fet__dataset_options o = {.val_fraction = 0.2, .seed = seed};
        EXPECT_OK(fet__dataset_open(&d, fixture_path("list.csv"), &o));
        assert_true(d.count[FET__VAL] > 0);
        for (int i = 0; i < d.count[FET__VAL]; i++)
            for (int k = 0; k < d.count[FET__TRAIN]; k++)
                assert_string_not_equal(d.samples[FET__VAL][i].path, d.samples[FET__TRAIN][k].path);
        fet__dataset_fini(&d);
    }
}

/* The bare name of a file in the working folder has no slash. */
static void relative_to_the_working_folder(void **state)
{
    (void)state;
    fet__dataset d;
    fixture_picture("a.ppm", 8, 8, 1);
    fixture_picture("b.ppm", 8, 8, 2);
    fixture_text("l.csv", "path,label,split\na.ppm,x,train\nb.ppm,y,train\n");
    char *before = realpath(".", NULL);
    assert_int_equal(chdir(fixture_path("")), 0);
    fet_status st = fet__dataset_open(&d, "l.csv", &(fet__dataset_options){.val_fraction = 0});
    assert_int_equal(chdir(before), 0);
    free(before);
    EXPECT_OK(st);
    assert_string_equal(d.samples[FET__TRAIN][0].path, "a.ppm");
    fet__dataset_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(plain_rows),
        DATA_TEST(line_ends_and_mark),
        DATA_TEST(quoted_fields),
        DATA_TEST(other_columns_are_named),
        DATA_TEST(refused_headers),
        DATA_TEST(refused_rows),
        DATA_TEST(limits),
        DATA_TEST(opens_relative_and_absolute_paths),
        DATA_TEST(missing_files),
        DATA_TEST(contradictions),
        DATA_TEST(repeated_rows_stay_together),
        DATA_TEST(relative_to_the_working_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
