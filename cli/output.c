/* What the program prints: failures and notices on standard error, results on standard output as a table or as JSON. */
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void complain(const char *format, ...)
{
    va_list ap;

    progress_clear_line();
    fputs("fettle: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int fail(fet_status st)
{
    const char *message = fet_error_message();

    complain("%s", message[0] ? message : fet_status_text(st));
    if (st == FET_E_INTERRUPTED && stop_signal > 0)
        return 128 + stop_signal;
    return fet_status_exit(st);
}

int usage_error(const args *a, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    complain("%s (fettle %s --help shows all flags)", text, a->command->name);
    return EXIT_USAGE;
}

/* ---- escaping ----------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at s, or 0 when it is none or a control character. */
static int printable(const unsigned char *s)
{
    static const struct {
        unsigned char mask, lead, least;
        int bytes;
    } forms[] = {{0xe0, 0xc0, 0xc2, 2}, {0xf0, 0xe0, 0xe0, 3}, {0xf8, 0xf0, 0xf0, 4}};
    size_t i;
    int j;

    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
    for (i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((s[0] & forms[i].mask) != forms[i].lead || s[0] < forms[i].least || s[0] > 0xf4)
            continue;
        for (j = 1; j < forms[i].bytes; j++)
            if ((s[j] & 0xc0) != 0x80)
                return 0;
        if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
            return 0;
        return forms[i].bytes;
    }
    return 0;
}

const char *shown(const char *s)
{
    static char buffers[4][8192];
    static int next;
    char *out = buffers[next++ % 4], *end = out + sizeof buffers[0] - 8, *p = out;

    while (*s && p < end) {
        int n = printable((const unsigned char *)s);
        if (n) {
            memcpy(p, s, (size_t)n);
            p += n;
            s += n;
            continue;
        }
        if (*s == '\n' || *s == '\t')
            p += sprintf(p, "\\%c", *s == '\n' ? 'n' : 't');
        else
            p += sprintf(p, "\\x%02x", (unsigned char)*s);
        s++;
    }
    memcpy(p, *s ? "..." : "", *s ? 4 : 1);
    return out;
}

/* ---- results ------------------------------------------------------------------------------------------------------ */

json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *json_text(const char *s)
{
    json_t *j = json_string(s);

    return j ? j : json_string(shown(s));
}

int print_json(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(9)) : NULL;

    json_decref(j);
    if (!text) {
        complain("no memory for the result");
        return EXIT_FAILED;
    }
    puts(text);
    free(text);
    return EXIT_DONE;
}

void row(const char *label, const char *format, ...)
{
    va_list ap;

    printf("%-22s ", label);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

void row_percent(const char *label, double fraction)
{
    if (isfinite(fraction))
        row(label, "%.2f %%", 100 * fraction);
    else
        row(label, "-");
}

int finish_output(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    complain("cannot write the result: %s", errno ? strerror(errno) : "standard output is gone");
    return EXIT_FAILED;
}

/* ---- notices ------------------------------------------------------------------------------------------------------ */

static void print_notice(void *user, int level, const char *text)
{
    const bool *quiet = user;

    if (level == 0 && *quiet)
        return;
    progress_clear_line();
    fprintf(stderr, "fettle: %s%s\n", level ? "warning: " : "", text);
}

void log_to_stderr(bool quiet)
{
    static bool own;

    own = quiet;
    fet_set_log(print_notice, &own);
}
