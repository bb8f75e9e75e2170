/* The program: which command runs, help, version. Each command is in its own cmd_*.c. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const command *const commands[] = {
    &command_tune,         &command_train,        &command_eval,       &command_predict,      &command_embed,
    &command_merge,        &command_plan,         &command_inspect,    &command_convert,      &command_list,
    &command_data_synth,   &command_data_check,   &command_data_stats, &command_data_preview, &command_meta,
    &command_bench_blocks, &command_bench_models, /* before bench, which takes any second word */
    &command_adapt,        &command_bench,        &command_reid_train, &command_reid_eval,    &command_reid_search,
    &command_nas_profile,  &command_nas_search,   &command_nas_derive};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *f)
{
    int i;

    fprintf(f, "usage: fettle COMMAND [flags]\n\nfettle fits pretrained vision models to their use, on CPUs.\n\n");
    for (i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(f, "\n`fettle COMMAND --help` shows every flag with its default and an example. `fettle --version` shows "
               "the version.\n"
               "example: fettle tune --model vit.safetensors --data pets --adapter hydra --out run\n");
}

static void print_version(void)
{
    printf("fettle %s\n%s\ncpu %s, %d threads\n", fet_version(), fet_version_library(), fet_version_cpu(),
           fet_threads());
}

/* A command of two words ("data synth") needs both. Returns the number of words taken, 0 when there is no such command. */
static int find_command(int argc, char **argv, const command **out)
{
    char two[64];
    int i;

    snprintf(two, sizeof two, "%.30s %.30s", argv[1], argc > 2 ? argv[2] : "");
    for (i = 0; i < COMMANDS; i++) {
        bool has_two = strchr(commands[i]->name, ' ') != NULL;
        if (strcmp(commands[i]->name, has_two ? two : argv[1]) != 0)
            continue;
        *out = commands[i];
        return has_two ? 2 : 1;
    }
    return 0;
}

static void print_group_help(FILE *f, const char *word)
{
    size_t n = strlen(word);
    int i;

    for (i = 0; i < COMMANDS; i++)
        if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ')
            fprintf(f, "  fettle %-12s %s\n", commands[i]->name, commands[i]->summary);
}

static bool is_group(const char *word)
{
    size_t n = strlen(word);
    int i;

    for (i = 0; i < COMMANDS; i++)
        if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ')
            return true;
    return false;
}

static int unknown_command(int argc, char **argv)
{
    const char *names[COMMANDS], *near;
    char word[64];
    int i;

    for (i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    snprintf(word, sizeof word, "%.30s%s%.30s", argv[1], is_group(argv[1]) && argc > 2 ? " " : "",
             is_group(argv[1]) && argc > 2 ? argv[2] : "");
    near = nearest(word, names, COMMANDS);
    if (near)
        complain("unknown command '%s'; the nearest is '%s'", shown(word), near);
    else
        complain("unknown command '%s' (fettle --help shows all)", shown(word));
    return EXIT_USAGE;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int run(const command *c, int argc, char **argv)
{
    args a;
    int status = args_parse(&a, c, argc, argv);

    if (status < 0) {
        log_to_stderr(a.quiet);
        status = c->run(&a);
    }
    free(a.operands);
    return finish_output() != 0 && status == EXIT_DONE ? EXIT_FAILED : status;
}

/* Threads that wait for each other spin, and OpenMP's own idea of how long (milliseconds) makes small models many times slower when
 * another program, or our own image loader, wants the cores. It reads its settings before main begins, so the program starts
 * itself once more with a short spin. Whoever sets either variable is obeyed. */
static void wait_calmly(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || setenv("GOMP_SPINCOUNT", "2000", 1) != 0)
        return;
    execv("/proc/self/exe", argv); /* where this fails the work goes on, only less calmly */
}

int main(int argc, char **argv)
{
    const command *c = NULL;
    int words;

    wait_calmly(argv);
    signals_ignore_file_size_and_pipe();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (is_help(argv[1])) {
        print_help(stdout);
        return finish_output();
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return finish_output();
    }
    words = find_command(argc, argv, &c);
    if (words > 0)
        return run(c, argc - 1 - words, argv + 1 + words);
    if (is_group(argv[1]) && argc > 2 && is_help(argv[2])) {
        print_group_help(stdout, argv[1]);
        return finish_output();
    }
    if (argc == 2 && is_group(argv[1])) {
        complain("'%s' needs a second word:", argv[1]);
        print_group_help(stderr, argv[1]);
        return EXIT_USAGE;
    }
    return unknown_command(argc, argv);
}
