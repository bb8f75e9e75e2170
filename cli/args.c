/* Command lines: a command's flag tables, parsing against them, and --help made from them. */
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const flag flags_common[] = {{"threads", "N", "the cores this process may use", "compute threads", false},
                             {"seed", "N", "0", "of everything that is drawn at random", true},
                             {"memory", "SIZE", "what is free", "memory budget: 512M, 2G, ...", true},
                             {"dtype", "f32", "f32", "element type of the computation", false},
                             {"json", NULL, "off", "print the result as one JSON object", false},
                             {"quiet", NULL, "off", "no progress and no notes on standard error", false},
                             {"help", NULL, "off", "print this text", false},
                             FLAG_END};

/* ---- help -------------------------------------------------------------------------------------------------------- */

/* Does the command have a flag of its own by this name? It then takes the common one's place. */
static bool has_own(const command *c, const char *name)
{
    for (int g = 0; c->groups[g]; g++)
        for (const flag *f = c->groups[g]; f->name; f++)
            if (strcmp(f->name, name) == 0)
                return true;
    return false;
}

static void print_flag(const flag *f)
{
    char left[64];

    snprintf(left, sizeof left, "--%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
    printf("  %-30s %s", left, f->help);
    if (!f->fallback)
        printf(" (required)\n");
    else
        printf(" [%s]\n", f->fallback[0] ? f->fallback : "none");
}

void print_command_help(const command *c)
{
    const flag *f;
    int g;

    printf("usage: fettle %s", c->name);
    for (g = 0; c->groups[g]; g++)
        for (f = c->groups[g]; f->name; f++)
            if (!f->fallback)
                printf(" --%s %s", f->name, f->value);
    printf(" [flags]%s%s\n\n%s\n\n", c->operands[0] ? " " : "", c->operands, c->summary);
    for (g = 0; c->groups[g]; g++)
        for (f = c->groups[g]; f->name; f++)
            print_flag(f);
    for (f = flags_common; f->name; f++)
        if (!has_own(c, f->name))
            print_flag(f);
    printf("\nexample:\n  %s\n", c->example);
}

/* ---- the nearest word --------------------------------------------------------------------------------------------- */

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;

    return m < c ? m : c;
}

/* Insertions, deletions, replacements; words here are short. */
static int distance(const char *a, const char *b)
{
    int line[65], n = (int)strlen(b), i, j;

    if (n > 64 || strlen(a) > 64)
        return 64;
    for (j = 0; j <= n; j++)
        line[j] = j;
    for (i = 1; a[i - 1]; i++) {
        int diagonal = line[0];
        line[0] = i;
        for (j = 1; j <= n; j++) {
            int up = line[j];
            line[j] = least(line[j] + 1, line[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return line[n];
}

const char *nearest(const char *word, const char *const *candidates, int count)
{
    int i, best = 1 + (int)strlen(word) / 3 + 1;
    const char *found = NULL;

    for (i = 0; i < count; i++) {
        int d = distance(word, candidates[i]);
        if (d < best) {
            best = d;
            found = candidates[i];
        }
    }
    return found;
}

/* ---- parsing ------------------------------------------------------------------------------------------------------ */

static void add_group(args *a, const flag *f)
{
    for (; f->name && a->count < MAX_FLAGS; f++)
        a->flags[a->count++] = f;
}

static int find_flag(const args *a, const char *name, size_t length)
{
    int i;

    for (i = 0; i < a->count; i++)
        if (strlen(a->flags[i]->name) == length && memcmp(a->flags[i]->name, name, length) == 0)
            return i;
    return -1;
}

static int unknown_flag(const args *a, const char *name, size_t length)
{
    const char *names[MAX_FLAGS], *near;
    char word[64];
    int i;

    for (i = 0; i < a->count; i++)
        names[i] = a->flags[i]->name;
    snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), name);
    near = nearest(word, names, a->count);
    if (near)
        return usage_error(a, "unknown flag --%s; the nearest is --%s", shown(word), near);
    return usage_error(a, "unknown flag --%s", shown(word));
}

/* One "--name", "--name value" or "--name=value" at argv[0]. Returns how many words it took, or 0 after saying what is wrong. */
static int parse_flag(args *a, int argc, char **argv)
{
    const char *name = argv[0] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    int i = find_flag(a, name, length), words = 1;

    if (i < 0)
        return unknown_flag(a, name, length), 0;
    if (a->values[i])
        return usage_error(a, "--%s is given twice", a->flags[i]->name), 0;
    if (!a->flags[i]->value) {
        value = value ? value : "true";
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return usage_error(a, "--%s is a switch and takes no value", a->flags[i]->name), 0;
    }
    if (!value && argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        value = argv[1];
        words = 2;
    }
    if (!value || !value[0])
        return usage_error(a, "--%s needs a value (%s)", a->flags[i]->name, a->flags[i]->value), 0;
    a->values[i] = value;
    return words;
}

/* A recipe may hold what is needed, and a resumed run knows it; where to write is always asked for. */
static int check_given(const args *a)
{
    const command *c = a->command;
    bool elsewhere = args_text(a, "recipe") || args_switch(a, "resume");
    int i;

    for (i = 0; i < a->count; i++)
        if (!a->flags[i]->fallback && !a->values[i] && !(elsewhere && strcmp(a->flags[i]->name, "out") != 0))
            return usage_error(a, "--%s is needed", a->flags[i]->name);
    if (a->operand_count < c->least)
        return usage_error(a, "%s is needed", c->operands);
    if (c->most >= 0 && a->operand_count > c->most)
        return usage_error(a, "'%s' is one word too many", shown(a->operands[c->most]));
    return -1;
}

static int set_common(args *a)
{
    const char *dtype = args_text(a, "dtype");
    int64_t threads, seed;

    a->json = args_switch(a, "json");
    a->quiet = args_switch(a, "quiet");
    if (dtype && strcmp(dtype, "f32") != 0)
        return usage_error(a, "--dtype '%s' is none of: f32", shown(dtype));
    if (!args_int(a, "threads", 1, 1024, 0, &threads) || !args_int(a, "seed", 0, INT64_MAX, 0, &seed))
        return EXIT_USAGE;
    a->seed = (uint64_t)seed;
    if (fet_set_threads((int)threads) != FET_OK)
        return fail(FET_E_ARG);
    return -1;
}

int args_parse(args *a, const command *c, int argc, char **argv)
{
    bool flags_end = false;
    int i, g, words, status;

    memset(a, 0, sizeof *a);
    a->command = c;
    for (g = 0; c->groups[g]; g++)
        add_group(a, c->groups[g]);
    for (const flag *f = flags_common; f->name && a->count < MAX_FLAGS; f++)
        if (!has_own(c, f->name))
            a->flags[a->count++] = f;
    a->operands = calloc((size_t)argc + 1, sizeof *a->operands);
    if (!a->operands)
        return usage_error(a, "no memory");
    for (i = 0; i < argc; i += words) {
        words = 1;
        if (!flags_end && strcmp(argv[i], "--") == 0)
            flags_end = true;
        else if (!flags_end && strcmp(argv[i], "-h") == 0)
            return print_command_help(c), EXIT_DONE;
        else if (flags_end || argv[i][0] != '-' || argv[i][1] == '\0')
            a->operands[a->operand_count++] = argv[i];
        else if (argv[i][1] != '-')
            return usage_error(a, "'%s' is no flag: flags begin with --", shown(argv[i]));
        else if ((words = parse_flag(a, argc - i, argv + i)) == 0)
            return EXIT_USAGE;
    }
    if (args_switch(a, "help"))
        return print_command_help(c), EXIT_DONE;
    status = set_common(a);
    return status < 0 ? check_given(a) : status;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

const char *args_text(const args *a, const char *name)
{
    int i = find_flag(a, name, strlen(name));

    return i < 0 ? NULL : a->values[i];
}

bool args_switch(const args *a, const char *name)
{
    const char *v = args_text(a, name);

    return v && strcmp(v, "true") == 0;
}

bool args_int(const args *a, const char *name, int64_t low, int64_t high, int64_t fallback, int64_t *out)
{
    const char *s = args_text(a, name);
    char *end;
    long long v;

    *out = fallback;
    if (!s)
        return true;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (errno || *end || end == s || v < low || v > high) {
        if (high == INT64_MAX)
            usage_error(a, "--%s '%s' is not a whole number from %lld on", name, shown(s), (long long)low);
        else
            usage_error(a, "--%s '%s' is not a whole number from %lld to %lld", name, shown(s), (long long)low,
                        (long long)high);
        return false;
    }
    *out = v;
    return true;
}

bool args_real(const args *a, const char *name, double low, double high, double fallback, double *out)
{
    const char *s = args_text(a, name);
    char *end;
    double v;

    *out = fallback;
    if (!s)
        return true;
    v = strtod(s, &end);
    if (*end || end == s || !isfinite(v) || v < low || v > high) {
        usage_error(a, "--%s '%s' is not a number from %g to %g", name, shown(s), low, high);
        return false;
    }
    *out = v;
    return true;
}
