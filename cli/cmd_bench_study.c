/* fettle bench blocks and bench models: workloads side by side, as a table. Each is measured by this program in a process of its own
 * (fettle bench WORKLOAD --json), so that one cell's peak of memory cannot hide another's. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_KINDS 5
#define MOST_SIZES 3

/* What is compared: one workload of each kind, in a size of its own naming; the sizes of a place belong together. */
typedef struct kind {
    const char *name, *workload, *sizes[MOST_SIZES];
} kind;
typedef struct study {
    kind kinds[MOST_KINDS];
    const char *batch, *steps; /* unless told */
    int sizes, reference;      /* the kind that the others are set beside; its names of sizes are --size's */
} study;
typedef struct cell {
    const kind *kind;
    int size;
    json_t *result; /* what fettle bench printed */
} cell;
typedef struct table {
    const args *a;
    const study *s;
    const char *mode;
    cell cells[MOST_KINDS * MOST_SIZES];
    int count;
} table;

static const study study_blocks = {.kinds = {{"skip", "block-skip", {"64", "128"}},
                                             {"conv", "block-conv", {"64", "128"}},
                                             {"quadra", "block-quadra", {"64", "128"}},
                                             {"swin", "block-swin", {"64", "128"}},
                                             {"hor", "block-hor", {"64", "128"}}},
                                   .batch = "64",
                                   .steps = "1",
                                   .sizes = 2,
                                   .reference = 1};
static const study study_models = {.kinds = {{"QuadraNet36", "quadranet", {"t", "s", "b"}},
                                             {"QuadraNet25", "quadranet25", {"t", "s", "b"}},
                                             {"ConvNeXt", "convnext-timm", {"tiny", "small", "base"}},
                                             {"HorNet", "hornet", {"tiny", "small", "base"}},
                                             {"Swin", "swin", {"tiny", "small", "base"}}},
                                   .batch = "16",
                                   .steps = "5",
                                   .sizes = 3};

/* ---- one cell: a process ------------------------------------------------------------------------------------------------ */

static int spawn(const char *const *argv, pid_t *child, int *from)
{
    posix_spawn_file_actions_t actions;
    int fd[2], error;

    if (pipe2(fd, O_CLOEXEC) != 0)
        return errno;
    error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, fd[1], STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn(child, "/proc/self/exe", &actions, NULL, (char *const *)(uintptr_t)argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(fd[1]);
    if (error != 0)
        close(fd[0]);
    else
        *from = fd[0];
    return error;
}

/* Waits, and tells how it ended: -1 to go on, else the exit status; what the child had to say it said itself. */
static int ended(pid_t child, const char *workload)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            complain("cannot wait for the measurement of %s: %s", workload, strerror(errno));
            return EXIT_FAILED;
        }
    if (WIFSIGNALED(status)) {
        complain("the measurement of %s was ended by signal %d%s", workload, WTERMSIG(status),
                 WTERMSIG(status) == SIGKILL ? " (too little memory? a smaller --batch takes less)" : "");
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status) == 0 ? -1 : WEXITSTATUS(status);
}

/* The words of the measurement: argv with room for 32, whose flags' names lie in `names`. */
static void words(const table *t, const cell *c, const char **argv, char names[][16])
{
    static const char *const passed[] = {"warmup", "threads", "seed", "memory", "dtype"};
    const char *batch = args_text(t->a, "batch"), *steps = args_text(t->a, "steps");
    const char *first[] = {
        "fettle", "bench",   c->kind->workload,           "--size",  c->kind->sizes[c->size],     "--mode",
        t->mode,  "--batch", batch ? batch : t->s->batch, "--steps", steps ? steps : t->s->steps, "--json",
        "--quiet"};
    size_t n = sizeof first / sizeof *first;

    memcpy(argv, first, sizeof first);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (args_text(t->a, passed[i])) {
            snprintf(names[i], sizeof names[i], "--%s", passed[i]);
            argv[n++] = names[i];
            argv[n++] = args_text(t->a, passed[i]);
        }
    argv[n] = NULL;
}

/* -1 to go on, else the exit status. */
static int measure(const table *t, cell *c)
{
    const char *argv[32], *workload = c->kind->workload;
    char names[8][16];
    json_error_t why;
    pid_t child = -1;
    int from = -1, error, status;

    words(t, c, argv, names);
    if (!t->a->quiet)
        fprintf(stderr, "measuring %s --size %s\n", workload, c->kind->sizes[c->size]);
    error = spawn(argv, &child, &from);
    if (error != 0) {
        complain("cannot start the measurement of %s: %s", workload, strerror(error));
        return EXIT_FAILED;
    }
    c->result = json_loadfd(from, 0, &why);
    close(from);
    status = ended(child, workload);
    if (status < 0 && !c->result) {
        complain("the measurement of %s gave no result: %s", workload, why.text);
        return EXIT_FAILED;
    }
    return status;
}

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

static double value(const cell *c, const char *key)
{
    return json_number_value(json_object_get(c->result, key));
}

/* The value of a cell over the same value of the reference of its size. */
static double beside(const table *t, const cell *c, const char *key)
{
    double of = value(&t->cells[(c - t->cells) / MOST_KINDS * MOST_KINDS + t->s->reference], key);

    return of > 0 ? value(c, key) / of : 0;
}

static json_t *cell_json(const table *t, const cell *c)
{
    static const char *const keys[] = {"planned_mib", "peak_rss_mib", "median_s",
                                       "min_s",       "images_per_s", "gflops_per_image"};
    json_t *j = json_pack("{s:s, s:s}", "name", c->kind->name, "size", c->kind->sizes[c->size]);

    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        json_object_set(j, keys[k], json_object_get(c->result, keys[k]));
    json_object_set_new(j, "planned_ratio", number(beside(t, c, "planned_mib")));
    json_object_set_new(j, "peak_ratio", number(beside(t, c, "peak_rss_mib")));
    json_object_set_new(j, "rate_ratio", number(beside(t, c, "images_per_s")));
    return j;
}

static int print_study_json(const table *t)
{
    const json_t *first = t->cells[0].result;
    json_t *list = json_array();

    for (int i = 0; i < t->count; i++)
        json_array_append_new(list, cell_json(t, &t->cells[i]));
    return print_json(json_pack("{s:s, s:O, s:O, s:s, s:o}", "mode", t->mode, "batch", json_object_get(first, "batch"),
                                "threads", json_object_get(first, "threads"), "beside",
                                t->s->kinds[t->s->reference].name, "cells", list));
}

static int print_study(const table *t)
{
    printf("batch %.0f, %s, float32, %.0f threads; each ratio is to %s of that size\n\n", value(t->cells, "batch"),
           t->mode, value(t->cells, "threads"), t->s->kinds[t->s->reference].name);
    printf("%-12s %5s %12s %7s %10s %7s %11s %10s %7s\n", "", "size", "planned MiB", "ratio", "peak MiB", "ratio",
           "ms a step", "images/s", "ratio");
    for (const cell *c = t->cells; c < t->cells + t->count; c++)
        printf("%-12s %5s %12.0f %7.3f %10.0f %7.3f %11.1f %10.2f %7.3f\n", c->kind->name, c->kind->sizes[c->size],
               value(c, "planned_mib"), beside(t, c, "planned_mib"), value(c, "peak_rss_mib"),
               beside(t, c, "peak_rss_mib"), 1e3 * value(c, "median_s"), value(c, "images_per_s"),
               beside(t, c, "images_per_s"));
    return EXIT_DONE;
}

/* ---- the commands --------------------------------------------------------------------------------------------------------- */

/* The place of --size among the study's, `fallback` when it was not given; -2: said that there is none. */
static int size_asked(const args *a, const study *s, int fallback)
{
    const char *size = args_text(a, "size");
    const kind *k = &s->kinds[s->reference];
    char known[64] = "";

    if (!size)
        return fallback;
    for (int i = 0; i < s->sizes; i++) {
        size_t used = strlen(known);

        if (strcmp(k->sizes[i], size) == 0)
            return i;
        snprintf(known + used, sizeof known - used, " %s", k->sizes[i]);
    }
    usage_error(a, "--size '%s' is none of:%s", shown(size), known);
    return -2;
}

static void list_cells(table *t, int size)
{
    for (int i = 0; i < t->s->sizes; i++)
        for (int k = 0; k < MOST_KINDS && (size < 0 || size == i); k++)
            t->cells[t->count++] = (cell){&t->s->kinds[k], i, NULL};
}

static int run_study(const args *a, const study *s, int fallback)
{
    table t = {.a = a, .s = s, .mode = args_text(a, "mode") ? args_text(a, "mode") : "train"};
    int size = size_asked(a, s, fallback), status = -1;
    int64_t unused;

    if (size == -2 || !args_int(a, "batch", 1, 65536, 1, &unused) || !args_int(a, "steps", 1, 100000, 1, &unused) ||
        !args_int(a, "warmup", 1, 100000, 1, &unused))
        return EXIT_USAGE;
    if (strcmp(t.mode, "train") != 0 && strcmp(t.mode, "infer") != 0)
        return usage_error(a, "--mode '%s' is neither train nor infer", shown(t.mode));
    list_cells(&t, size);
    for (int i = 0; i < t.count && status < 0; i++)
        status = measure(&t, &t.cells[i]);
    if (status < 0)
        status = a->json ? print_study_json(&t) : print_study(&t);
    for (int i = 0; i < t.count; i++)
        json_decref(t.cells[i].result);
    return status;
}

static int run_blocks(args *a)
{
    return run_study(a, &study_blocks, -1);
}

static int run_models(args *a)
{
    return run_study(a, &study_models, 0);
}

static const flag flags_blocks[] = {{"size", "S", "both", "width of the first stage: 64 or 128", false},
                                    {"batch", "N", "64", "images a step", false},
                                    {"steps", "N", "1", "measured steps", false},
                                    {"warmup", "N", "1", "steps before those", false},
                                    {"mode", "train|infer", "train", "a training step, or inference", false},
                                    FLAG_END};
static const flag flags_models[] = {{"size", "S", "t", "t, s or b of each family", false},
                                    {"batch", "N", "16", "images a step", false},
                                    {"steps", "N", "5", "measured steps", false},
                                    {"warmup", "N", "1", "steps before those", false},
                                    {"mode", "train|infer", "train", "a training step, or inference", false},
                                    FLAG_END};

const command command_bench_blocks = {
    "bench blocks",
    "",
    0,
    0,
    "Memory and time of 24 blocks of each kind, beside those with depthwise convolutions.",
    "fettle bench blocks --batch 64 --steps 1",
    {flags_blocks},
    run_blocks};
const command command_bench_models = {"bench models",
                                      "",
                                      0,
                                      0,
                                      "Memory and time of whole networks of like size, beside QuadraNet36.",
                                      "fettle bench models --size t --mode infer",
                                      {flags_models},
                                      run_models};
