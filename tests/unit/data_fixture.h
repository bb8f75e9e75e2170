/* A folder that lasts for one test, small pictures in it, and what the library said meanwhile. */
#ifndef DATA_FIXTURE_H
#define DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/data_int.h"

/* Set-up and tear-down of each test. */
int fixture_begin(void **state);
int fixture_end(void **state);
#define DATA_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_begin, fixture_end)

/* Full path of a name in the test's folder; four results live at a time. */
const char *fixture_path(const char *name);
/* Write a file, its folders too. */
void fixture_write(const char *name, const void *data, size_t size);
void fixture_text(const char *name, const char *text);
/* A PPM picture (whatever its name ends in) whose pixels follow from `seed`. */
void fixture_picture(const char *name, int height, int width, unsigned seed);
/* count pictures BELOW/00.ppm ... of 8 x 8 */
void fixture_pictures(const char *below, int count, unsigned seed);

/* Notices so far, one a line, "note: ..." or "warning: ...". */
const char *fixture_log(void);
int fixture_log_count(const char *part);
void fixture_log_clear(void);

/* Failure that names all of the given parts (up to a NULL). */
#define EXPECT_FAIL(status, code, ...) fixture_expect_fail((status), (code), (const char *[]){__VA_ARGS__, NULL})
void fixture_expect_fail(fet_status st, fet_status code, const char *const *parts);
#define EXPECT_OK(status) fixture_expect_ok((status), __FILE__, __LINE__)
void fixture_expect_ok(fet_status st, const char *file, int line);

#endif
