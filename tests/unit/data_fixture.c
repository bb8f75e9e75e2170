/* See data_fixture.h. */
#include "data_fixture.h"

#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char *said;
static size_t said_length;
static pthread_mutex_t said_mutex = PTHREAD_MUTEX_INITIALIZER;

static void hear(void *user, int level, const char *text)
{
    (void)user;
    pthread_mutex_lock(&said_mutex);
    size_t room = strlen(text) + 16;
    said = realloc(said, said_length + room);
    said_length += (size_t)snprintf(said + said_length, room, "%s: %s\n", level ? "warning" : "note", text);
    pthread_mutex_unlock(&said_mutex);
}

int fixture_begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/fettle-data-XXXXXX");
    fet_set_log(hear, NULL);
    fixture_log_clear();
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *w)
{
    (void)s;
    (void)type;
    (void)w;
    return remove(path);
}

int fixture_end(void **state)
{
    (void)state;
    fet_set_log(NULL, NULL);
    fixture_log_clear();
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
    static char paths[4][6000];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s%s", folder, *name ? "/" : "", name);
    return path;
}

void fixture_write(const char *name, const void *data, size_t size)
{
    char *path = fet__strdup(fixture_path(name)), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(fet__make_folder(path), FET_OK);
    *slash = '/';
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    fet__free(path);
}

void fixture_text(const char *name, const char *text)
{
    fixture_write(name, text, strlen(text));
}

void fixture_picture(const char *name, int height, int width, unsigned seed)
{
    size_t size = (size_t)height * width * 3;
    char *bytes = malloc(size + 64);
    assert_non_null(bytes);
    int at = sprintf(bytes, "P6\n%d %d\n255\n", width, height);
    for (size_t i = 0; i < size; i++)
        bytes[(size_t)at + i] = (char)(fet__random_u32(seed, 1, 0, i) & 255);
    fixture_write(name, bytes, (size_t)at + size);
    free(bytes);
}

void fixture_pictures(const char *below, int count, unsigned seed)
{
    for (int i = 0; i < count; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s/%02d.ppm", below, i);
        fixture_picture(name, 8, 8, seed * 1000 + (unsigned)i);
    }
}

const char *fixture_log(void)
{
    return said ? said : "";
}

int fixture_log_count(const char *part)
{
    int count = 0;
    for (const char *at = fixture_log(); (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

void fixture_log_clear(void)
{
    free(said);
    said = NULL;
    said_length = 0;
}

void fixture_expect_fail(fet_status st, fet_status code, const char *const *parts)
{
    const char *message = fet_error_message();
    if (st != code)
        fail_msg("status %d instead of %d: %s", st, code, message);
    for (; *parts; parts++)
        if (!strstr(message, *parts))
            fail_msg("\"%s\" is not in the message: %s", *parts, message);
}

void fixture_expect_ok(fet_status st, const char *file, int line)
{
    if (st != FET_OK)
        fail_msg("%s:%d: status %d: %s", file, line, st, fet_error_message());
}
