/* Mapping, atomic writing with every way it can fail, folders and paths. Works in a fresh folder below the current one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *out = paths[next++ % 4];

    snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static void remove_tree(const char *path)
{
    char **names;
    int count;

    if (fet__list_folder(&names, &count, path) != FET_OK)
        return;
    for (int i = 0; i < count; i++) {
        char *inner = fet__path_join(path, names[i]);

        if (unlink(inner) != 0)
            remove_tree(inner);
        fet__free(inner);
    }
    fet__names_free(names, count);
    rmdir(path);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "test-file-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static int entries(void)
{
    char **names;
    int count;

    assert_int_equal(fet__list_folder(&names, &count, folder), FET_OK);
    fet__names_free(names, count);
    return count;
}

static void write_text(const char *path, const char *text)
{
    fet__outfile *f;

    assert_int_equal(fet__outfile_open(&f, path), FET_OK);
    fet__outfile_write(f, text, strlen(text));
    assert_int_equal(fet__outfile_commit(f), FET_OK);
}

static void assert_text(const char *path, const char *text)
{
    fet__map m;

    assert_int_equal(fet__map_open(&m, path), FET_OK);
    assert_int_equal(m.size, strlen(text));
    assert_memory_equal(m.data, text, m.size);
    fet__map_close(&m);
}

static void assert_message(const char *part)
{
    if (!strstr(fet_error_message(), part))
        fail_msg("\"%s\" does not say \"%s\"", fet_error_message(), part);
}

/* ---- mappings ---- */

static void files_are_mapped(void **state)
{
    fet__map m;

    (void)state;
    write_text(in_folder("a"), "hello");
    assert_text(in_folder("a"), "hello");
    write_text(in_folder("empty"), "");
    assert_int_equal(fet__map_open(&m, in_folder("empty")), FET_OK);
    assert_non_null(m.data);
    assert_int_equal(m.size, 0);
    fet__map_close(&m);
}

static void what_cannot_be_mapped_is_named(void **state)
{
    fet__map m;

    (void)state;
    assert_int_equal(fet__map_open(&m, in_folder("no\nfile")), FET_E_IO);
    assert_message("no\\nfile: No such file or directory");
    assert_int_equal(fet__map_open(&m, folder), FET_E_IO);
    assert_message("it is a folder");
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_int_equal(fet__map_open(&m, in_folder("pipe")), FET_E_IO); /* and does not wait for a writer */
    assert_message("not a regular file");
    fet__map_close(&m);
}

/* ---- atomic writing ---- */

static void nothing_is_seen_before_commit(void **state)
{
    fet__outfile *f;

    (void)state;
    write_text(in_folder("a"), "old");
    assert_int_equal(fet__outfile_open(&f, in_folder("a")), FET_OK);
    fet__outfile_write(f, "new", 3);
    assert_text(in_folder("a"), "old");
    assert_int_equal(entries(), 2);
    fet__outfile_abort(f);
    assert_text(in_folder("a"), "old");
    assert_int_equal(entries(), 1);
    write_text(in_folder("a"), "new");
    assert_text(in_folder("a"), "new");
    assert_int_equal(entries(), 1);
    fet__outfile_abort(NULL);
}

static void all_sizes_arrive_in_order(void **state)
{
    static unsigned char piece[200000];
    static const size_t sizes[] = {1, 65535, 1, 65536, 3, 200000, 0, 65537, 100};
    fet__outfile *f;
    fet__map m;
    size_t at = 0;

    (void)state;
    assert_int_equal(fet__outfile_open(&f, in_folder("big")), FET_OK);
    for (size_t i = 0; i < FET_COUNT(sizes); i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            piece[k] = (unsigned char)((at + k) * 2654435761u >> 13);
        fet__outfile_write(f, piece, sizes[i]);
        at += sizes[i];
    }
    assert_int_equal(fet__outfile_commit(f), FET_OK);
    assert_int_equal(fet__map_open(&m, in_folder("big")), FET_OK);
    assert_int_equal(m.size, at);
    for (size_t k = 0; k < at; k++)
        if (m.data[k] != (unsigned char)(k * 2654435761u >> 13))
            fail_msg("byte %zu differs", k);
    fet__map_close(&m);
}

static void formatted_text_of_any_length(void **state)
{
    fet__outfile *f;
    fet__map m;

    (void)state;
    assert_int_equal(fet__outfile_open(&f, in_folder("text")), FET_OK);
    fet__outfile_printf(f, "%d,%s;", 7, "x");
    fet__outfile_printf(f, "%01000d", 5);
    assert_int_equal(fet__outfile_commit(f), FET_OK);
    assert_int_equal(fet__map_open(&m, in_folder("text")), FET_OK);
    assert_int_equal(m.size, 1004);
    assert_memory_equal(m.data, "7,x;0", 5);
    assert_int_equal(m.data[1003], '5');
    fet__map_close(&m);
}

static void unsuitable_targets_are_refused(void **state)
{
    fet__outfile *f;

    (void)state;
    assert_int_equal(fet__outfile_open(&f, in_folder("none/a")), FET_E_IO);
    assert_message("cannot write");
    assert_message("none/a: No such file or directory");
    assert_int_equal(fet__outfile_open(&f, folder), FET_E_IO);
    assert_message("it is a folder");
    assert_int_equal(fet__outfile_open(&f, "/dev/null"), FET_E_IO);
    assert_message("cannot write /dev/null: it is not a regular file");
    assert_int_equal(fet__outfile_open(&f, in_folder("new/")), FET_E_IO);
    assert_int_equal(fet__outfile_open(&f, ""), FET_E_IO);
    assert_null(f);
    write_text(in_folder("a"), "x");
    assert_int_equal(fet__outfile_open(&f, in_folder("a/b")), FET_E_IO);
    assert_message("Not a directory");
    if (geteuid() != 0) { /* the administrator may write anywhere */
        assert_int_equal(chmod(folder, 0555), 0);
        assert_int_equal(fet__outfile_open(&f, in_folder("b")), FET_E_IO);
        assert_int_equal(chmod(folder, 0755), 0);
        assert_message("Permission denied");
    }
    assert_int_equal(entries(), 1);
}

static void long_names_work(void **state)
{
    char name[256];

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    write_text(in_folder(name), "long");
    assert_text(in_folder(name), "long");
    assert_int_equal(entries(), 1);
}

static void permissions_and_links_stay(void **state)
{
    struct stat info;

    (void)state;
    write_text(in_folder("real"), "1");
    assert_int_equal(chmod(in_folder("real"), 0640), 0);
    assert_int_equal(symlink("real", in_folder("link")), 0);
    write_text(in_folder("link"), "2");
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_text(in_folder("real"), "2");
    assert_int_equal(stat(in_folder("real"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void two_writers_of_one_target_do_not_meet(void **state)
{
    fet__outfile *a, *b;

    (void)state;
    assert_int_equal(fet__outfile_open(&a, in_folder("x")), FET_OK);
    assert_int_equal(fet__outfile_open(&b, in_folder("x")), FET_OK);
    fet__outfile_write(a, "first", 5);
    fet__outfile_write(b, "second", 6);
    assert_int_equal(fet__outfile_commit(a), FET_OK);
    assert_text(in_folder("x"), "first");
    assert_int_equal(fet__outfile_commit(b), FET_OK);
    assert_text(in_folder("x"), "second");
    assert_int_equal(entries(), 1);
}

/* Run `act` in a child; returns its exit status. */
static int in_child(int (*act)(void))
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int die_while_writing(void)
{
    fet__outfile *f;

    if (fet__outfile_open(&f, in_folder("x")) != FET_OK)
        return 1;
    fet__outfile_write(f, "half", 4);
    return 0;
}

static void what_a_dead_process_left_is_removed(void **state)
{
    (void)state;
    write_text(in_folder("x"), "old");
    write_text(in_folder(".x.1.tmp"), "of a living process");
    write_text(in_folder(".x.note.tmp"), "of somebody else");
    assert_int_equal(in_child(die_while_writing), 0);
    assert_int_equal(entries(), 4);
    assert_text(in_folder("x"), "old");
    write_text(in_folder("x"), "new");
    assert_int_equal(entries(), 3);
    assert_text(in_folder("x"), "new");
}

/* Fill more than fits; 0 when the failure comes out right: one sentence, no file, nothing left behind. */
static int overfill(const char *path, const char *reason)
{
    static char piece[100000];
    fet__outfile *f;
    fet_status st;
    char expected[600];

    if (fet__outfile_open(&f, path) != FET_OK)
        return 2;
    for (int i = 0; i < 5; i++)
        fet__outfile_write(f, piece, sizeof piece);
    fet__outfile_printf(f, "%s", "the error is sticky");
    st = fet__outfile_commit(f);
    snprintf(expected, sizeof expected, "cannot write %s: %s", path, reason);
    if (st != FET_E_IO || strcmp(fet_error_message(), expected) != 0)
        return 3;
    return fet__file_exists(path) ? 4 : 0;
}

static int with_size_limit(void)
{
    struct rlimit limit = {150000, 150000};

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 5;
    return overfill(in_folder("limited"), "File too large");
}

static void a_failed_write_is_one_sentence(void **state)
{
    (void)state;
    assert_int_equal(in_child(with_size_limit), 0);
    assert_int_equal(entries(), 0);
}

#define NO_MOUNT 77

/* Mounts of our own: the administrator needs a name space for them, anybody else also a user name space in which he is
 * the administrator. */
static bool put_line(const char *path, const char *line)
{
    FILE *f = fopen(path, "w");

    return f && fputs(line, f) >= 0 && fclose(f) == 0;
}

static bool enter_name_space(void)
{
    char users[64], groups[64];

    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0;
    snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put_line("/proc/self/setgroups", "deny") &&
           put_line("/proc/self/uid_map", users) && put_line("/proc/self/gid_map", groups);
}

static int on_full_disk(void)
{
    int result, count;
    char **names;

    if (!enter_name_space() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=256k,mode=0777") != 0)
        return NO_MOUNT;
    result = overfill(in_folder("full"), "No space left on device");
    if (fet__list_folder(&names, &count, folder) != FET_OK || count != 0)
        result = 6;
    return result;
}

static void a_full_disk_is_one_sentence(void **state)
{
    int result;

    (void)state;
    result = in_child(on_full_disk);
    if (result == NO_MOUNT) {
        print_message("a_full_disk_is_one_sentence: no right to mount a small file system here\n");
        skip();
    }
    assert_int_equal(result, 0);
}

static void every_failed_allocation_is_survived(void **state)
{
    uint64_t before = fet__alloc_bytes();
    fet__outfile *f;
    char **names;
    int count, n = 1;

    (void)state;
    for (;; n++) {
        fet_status st;

        fet__alloc_fail_after((uint64_t)n);
        st = fet__outfile_open(&f, in_folder("a"));
        if (st == FET_OK)
            break;
        assert_int_equal(st, FET_E_NOMEM);
        assert_null(f);
    }
    fet__alloc_fail_after(0);
    assert_in_range(n, 5, 20);
    fet__outfile_abort(f);
    assert_int_equal(entries(), 0);
    write_text(in_folder("a"), "");
    write_text(in_folder("b"), "");
    for (n = 1; n <= 3; n++) {
        fet__alloc_fail_after((uint64_t)n);
        assert_int_equal(fet__list_folder(&names, &count, folder), FET_E_NOMEM);
    }
    fet__alloc_fail_after(0);
    assert_int_equal(fet__alloc_bytes(), before);
}

/* ---- folders and paths ---- */

static void folders_are_made_with_parents(void **state)
{
    (void)state;
    assert_int_equal(fet__make_folder(in_folder("p/q//r/")), FET_OK);
    assert_true(fet__is_folder(in_folder("p/q/r")));
    assert_int_equal(fet__make_folder(in_folder("p/q/r")), FET_OK);
    assert_int_equal(fet__make_folder("/"), FET_OK);
    write_text(in_folder("file"), "x");
    assert_int_equal(fet__make_folder(in_folder("file")), FET_E_IO);
    assert_int_equal(fet__make_folder(in_folder("file/deeper")), FET_E_IO);
    assert_message("cannot make folder");
    assert_int_equal(fet__make_folder(""), FET_E_IO);
    assert_true(fet__file_exists(in_folder("file")));
    assert_false(fet__is_folder(in_folder("file")));
    assert_false(fet__file_exists(in_folder("none")));
}

static void names_come_in_byte_order(void **state)
{
    char **names;
    int count;

    (void)state;
    write_text(in_folder("b"), "");
    write_text(in_folder("B"), "");
    write_text(in_folder("\xc3\xa4"), "");
    write_text(in_folder("a10"), "");
    write_text(in_folder("a2"), "");
    write_text(in_folder(".hidden"), "");
    assert_int_equal(fet__list_folder(&names, &count, folder), FET_OK);
    assert_int_equal(count, 6);
    assert_string_equal(names[0], ".hidden");
    assert_string_equal(names[1], "B");
    assert_string_equal(names[2], "a10");
    assert_string_equal(names[3], "a2");
    assert_string_equal(names[4], "b");
    assert_string_equal(names[5], "\xc3\xa4");
    fet__names_free(names, count);
    assert_int_equal(fet__list_folder(&names, &count, in_folder("none")), FET_E_IO);
    assert_null(names);
}

static void paths_are_joined(void **state)
{
    static const struct {
        const char *folder, *name, *joined;
    } cases[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}};

    (void)state;
    for (size_t i = 0; i < FET_COUNT(cases); i++) {
        char *s = fet__path_join(cases[i].folder, cases[i].name);

        assert_string_equal(s, cases[i].joined);
        fet__free(s);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_are_mapped),
        IN_FOLDER(what_cannot_be_mapped_is_named),
        IN_FOLDER(nothing_is_seen_before_commit),
        IN_FOLDER(all_sizes_arrive_in_order),
        IN_FOLDER(formatted_text_of_any_length),
        IN_FOLDER(unsuitable_targets_are_refused),
        IN_FOLDER(long_names_work),
        IN_FOLDER(permissions_and_links_stay),
        IN_FOLDER(two_writers_of_one_target_do_not_meet),
        IN_FOLDER(what_a_dead_process_left_is_removed),
        IN_FOLDER(a_failed_write_is_one_sentence),
        IN_FOLDER(a_full_disk_is_one_sentence),
        IN_FOLDER(every_failed_allocation_is_survived),
        IN_FOLDER(folders_are_made_with_parents),
        IN_FOLDER(names_come_in_byte_order),
        IN_FOLDER(paths_are_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
