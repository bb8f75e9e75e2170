/* Runs of the program that are stopped: SIGKILL at random moments, resumed each time, must end with the weights of a run that nobody
 * disturbed, bit for bit; SIGINT and SIGTERM save and end with 130 and 143. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 20
#define MAX_ROUNDS 400

static char folder[] = "/tmp/fettle-killed-XXXXXX";

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_for(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};

    nanosleep(&t, NULL);
}

/* Start the program in the folder with its words in one string; output goes to the file "log". */
static pid_t start(const char *words)
{
    char copy[2048], *argv[80], *word, *save = NULL;
    int n = 0, fd;
    pid_t pid;

    snprintf(copy, sizeof copy, "fettle %s", words);
    for (word = strtok_r(copy, " ", &save); word && n < 79; word = strtok_r(NULL, " ", &save))
        argv[n++] = word;
    argv[n] = NULL;
    pid = fork();
    if (pid != 0)
        return pid;
    fd = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(126);
    execv(FETTLE_PROGRAM, argv);
    _exit(127);
}

static int wait_status(pid_t pid)
{
    int status = 0;

    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static void print_log(void)
{
    char line[512];
    FILE *f = fopen("log", "r");

    while (f && fgets(line, sizeof line, f))
        print_message("  %s", line);
    if (f)
        fclose(f);
}

static void run(const char *words)
{
    int status = wait_status(start(words));

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        print_message("fettle %s: status %x\n", words, (unsigned)status);
        print_log();
        fail();
    }
}

/* Whether two files hold the same bytes. */
static int same_file(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    int c = 0, d = 0;

    assert_non_null(f);
    assert_non_null(g);
    while (c == d && c != EOF) {
        c = getc(f);
        d = getc(g);
    }
    fclose(f);
    fclose(g);
    return c == d;
}

/* The first columns of the logs, up to the rate and the time, which differ. */
static void compare_logs(const char *a, const char *b)
{
    FILE *f = fopen(a, "r"), *g = fopen(b, "r");
    char x[512], y[512];
    int lines = 0;

    assert_non_null(f);
    assert_non_null(g);
    while (fgets(x, sizeof x, f)) {
        int column;
        char *end = x;
        assert_non_null(fgets(y, sizeof y, g));
        for (column = 0; column < 8; column++)
            end = strchr(end, ',') + 1;
        if (strncmp(x, y, (size_t)(end - x)) != 0)
            fail_msg("%s and %s differ:\n%s%s", a, b, x, y);
        lines++;
    }
    assert_null(fgets(y, sizeof y, g));
    assert_int_equal(lines, 7);
    fclose(f);
    fclose(g);
}

static int exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* Everything random is on: dropout, drop path, augmentation, shuffling; and an optimiser with state. Saves fall within epochs too. */
#define TUNE                                                                                                           \
    "tune --model base --data shapes/sketch --adapter hydra:dropout=0.1 --batch 8 --seed 5 --drop-path 0.1 --augment " \
    "strong "                                                                                                          \
    "--threads 2 --save-every 0.02 --quiet"

/* A network with running statistics, which are no weights and must come back all the same. */
#define TRAIN                                                                                                          \
    "train --arch resnet_cifar:depth=8,width=4,img=32 --data shapes/flat --batch 8 --seed 5 --augment light "          \
    "--threads 2 --save-every 0.02 --quiet"

static int set_up(void **state)
{
    (void)state;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    run("data synth --out shapes --per-class 16 --val-per-class 4");
    run("train --arch vit:dim=32,depth=2,heads=2,patch=8,img=32 --data shapes/flat --out base --epochs 1 --quiet");
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") != 0 || system(command) != 0;
}

/* Kill after so many seconds. Returns 1 when killed, 0 when the run ended well before. */
static int start_and_kill(const char *words, double seconds)
{
    pid_t pid = start(words);
    double until = now() + seconds;
    int status = 0;

    assert_true(pid > 0);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now() >= until) {
            kill(pid, SIGKILL);
            status = wait_status(pid);
            break;
        }
        pause_for(0.002);
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return 1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        print_message("fettle %s: status %x\n", words, (unsigned)status);
        print_log();
        fail();
    }
    return 0;
}

static void compare(const char *whole, const char *run_name)
{
    static const char *const files[] = {"adapter.safetensors", "best.safetensors"};
    char a[64], b[64];
    size_t i;

    for (i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(a, sizeof a, "%s/%s", whole, files[i]);
        snprintf(b, sizeof b, "%s/%s", run_name, files[i]);
        if (!same_file(a, b))
            fail_msg("%s differs from %s", b, a);
    }
    snprintf(a, sizeof a, "%s/log.csv", whole);
    snprintf(b, sizeof b, "%s/log.csv", run_name);
    compare_logs(a, b);
}

static void kill_often(const char *what, const char *whole, int most)
{
    unsigned seed = (unsigned)time(NULL);
    double begun = now(), length;
    int kills = 0, rounds = 0, runs = 0;
    char words[1024], name[32];

    print_message("seed %u\n", seed);
    srand(seed);
    snprintf(words, sizeof words, "%s --epochs 6 --out %s", what, whole);
    run(words);
    length = now() - begun;
    while (kills < most) {
        int killed = 1;
        snprintf(name, sizeof name, "%s-killed%d", whole, runs++);
        while (killed && rounds++ < MAX_ROUNDS) {
            double seconds = kills < most ? length * (double)rand() / (double)RAND_MAX : 600; /* the last run may end */
            snprintf(words, sizeof words, "%s --epochs 6 --out %s%s", what, name, exists(name) ? " --resume" : "");
            killed = start_and_kill(words, seconds);
            kills += killed;
        }
        assert_int_equal(killed, 0);
        compare(whole, name);
    }
    print_message("%d kills over %d runs\n", kills, runs);
}

static void killed_runs_end_the_same(void **state)
{
    (void)state;
    kill_often(TUNE, "whole", KILLS);
}

static void running_statistics_come_back(void **state)
{
    (void)state;
    kill_often(TRAIN, "trained", KILLS / 4);
}

static void stop_with(int signal_number, const char *name)
{
    char words[1024], path[64];
    pid_t pid;
    int status;

    snprintf(words, sizeof words, TUNE " --epochs 100000 --out %s", name);
    pid = start(words);
    snprintf(path, sizeof path, "%s/log.csv", name);
    for (int i = 0; i < 600 && !exists(path); i++)
        pause_for(0.1);
    pause_for(0.3);
    kill(pid, signal_number);
    status = wait_status(pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + signal_number)
        print_log();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + signal_number);
    snprintf(path, sizeof path, "%s/state.safetensors", name);
    assert_true(exists(path));
}

static void interrupt_saves(void **state)
{
    (void)state;
    stop_with(SIGINT, "interrupted");
    stop_with(SIGTERM, "terminated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_runs_end_the_same),
                                       cmocka_unit_test(running_statistics_come_back),
                                       cmocka_unit_test(interrupt_saves)};

    return cmocka_run_group_tests_name("cli_killed", tests, set_up, tear_down);
}
