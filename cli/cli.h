/* What the files of the program share: the table of a command's flags, parsed arguments, output. The program is built on the public
 * headers alone. */
#ifndef FETTLE_CLI_H
#define FETTLE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "fettle/fettle.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CHECK = 3 };

/* ---- args.c: flags ------------------------------------------------------------------------------------------------ */
typedef struct flag {
    const char *name;     /* without dashes */
    const char *value;    /* what it takes ("N", "FILE"); NULL: a switch */
    const char *fallback; /* the default, as text for --help; "" when it is nothing; NULL: the flag is required */
    const char *help;
    bool tune; /* handed to fet_tune_set under its name */
} flag;
#define FLAG_END                                                                                                       \
    {                                                                                                                  \
        NULL, NULL, NULL, NULL, false                                                                                  \
    }
#define MAX_FLAGS 80
#define MAX_GROUPS 8

typedef struct args args;
typedef struct command {
    const char *name;     /* "tune", "data synth" */
    const char *operands; /* "IMAGE...", "" */
    int least, most;      /* operands; most < 0: any number */
    const char *summary, *example;
    const flag *groups[MAX_GROUPS]; /* ended by NULL; the common flags come by themselves */
    int (*run)(args *a);
} command;

struct args {
    const command *command;
    const flag *flags[MAX_FLAGS];
    const char *values[MAX_FLAGS]; /* NULL: not given */
    int count;
    char **operands;
    int operand_count;
    bool json, quiet;
    uint64_t seed;
};

extern const flag flags_common[]; /* args.c */
/* Reads argv (after the command's words). Returns -1 to go on, else the exit status (help was printed, or usage is wrong). */
int args_parse(args *a, const command *c, int argc, char **argv);
const char *args_text(const args *a, const char *name); /* NULL when not given */
bool args_switch(const args *a, const char *name);
/* Whole number within limits, or `fallback` when not given. false: said what is wrong. */
bool args_int(const args *a, const char *name, int64_t low, int64_t high, int64_t fallback, int64_t *out);
bool args_real(const args *a, const char *name, double low, double high, double fallback, double *out);
void print_command_help(const command *c);
/* The candidate nearest to `word`, or NULL when none is near. */
const char *nearest(const char *word, const char *const *candidates, int count);

/* ---- options.c: flags that several commands share, and their way into the library's options ------------------------- */
extern const flag flags_model[], flags_model_required[], flags_adapter[], flags_data[], flags_image_reading[],
    flags_sites[], flags_decoding[], flags_training[], flags_recipe[];
/* Defaults, then the recipe, then flags. *keep is for fet_recipe_free. Exit status, or -1 to go on. */
int options_apply(const args *a, fet_tune_options *o, void **keep);
/* The recipe of --recipe, if there is one; the rest as above. */
int apply_recipe(const args *a, fet_tune_options *o, void **keep);
/* --model with its options, and --adapter when given. Exit status, or -1 to go on. */
int open_model(const args *a, const fet_tune_options *o, fet_model **out);

/* ---- recipes.c -------------------------------------------------------------------------------------------------------- */
/* A file by that name, or a shipped recipe ("vtab1k/cifar"). Caller frees; NULL when there is none (said why). */
char *recipe_find(const char *name);
int recipe_list(bool json);

/* ---- output.c ----------------------------------------------------------------------------------------------------------- */
/* The library's last message on standard error; the exit status of `st`. */
int fail(fet_status st);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage_error(const args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Control characters and bytes that are not UTF-8 as \n, \t, \xNN; a rotating buffer, four live at once. */
const char *shown(const char *s);
/* One JSON object and a newline; consumes j. Exit status. */
int print_json(json_t *j);
json_t *number(double v);         /* null when not finite */
json_t *json_text(const char *s); /* as it is, or escaped where it is not UTF-8 */
void row(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
void row_percent(const char *label, double fraction);
int finish_output(void); /* 0, or 1 with a message when standard output could not be written */
/* Where log notices go; quiet drops notes and keeps warnings. */
void log_to_stderr(bool quiet);

/* ---- progress.c ---------------------------------------------------------------------------------------------------------- */
void progress_begin(bool quiet);
void progress_show(void *user, const fet_train_progress *p);
void progress_end(void);
void progress_clear_line(void); /* before another line is printed on standard error */

/* ---- signals.c ------------------------------------------------------------------------------------------------------------ */
extern volatile int stop_signal;
void signals_ignore_file_size_and_pipe(void);
void signals_catch_stop(void); /* SIGINT and SIGTERM set stop_signal; a second one kills */

/* ---- cmd_tune.c: the result of a training, for commands that end with one --------------------------------------------------- */
json_t *train_json(const char *out, const fet_tune_result *r);
void print_train(const fet_tune_result *r);

/* ---- cmd_*.c ---------------------------------------------------------------------------------------------------------------- */
extern const command command_nas_profile, command_nas_search, command_nas_derive;
extern const command command_bench_blocks, command_bench_models;
extern const command command_meta, command_adapt;
extern const command command_tune, command_train, command_eval, command_predict, command_embed, command_merge,
    command_plan, command_inspect, command_convert, command_list, command_data_synth, command_data_check,
    command_data_stats, command_data_preview, command_bench, command_reid_train, command_reid_eval, command_reid_search;

#endif
