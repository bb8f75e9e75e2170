/* Small whole-string parsers for options, glob patterns over layer names, and the nearest word for "did you mean".
 * No messages are set here: the caller knows the option's name and its limits. */
#include "base/base.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool fet__parse_int(const char *s, int64_t *out)
{
    const char *p = s + (*s == '-' || *s == '+');
    char *end;
    long long v;

    if (!is_digit(*p)) /* strtoll would skip spaces */
        return false;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (*end || errno)
        return false;
    *out = v;
    return true;
}

/* A decimal number at the start of `s` with the C locale's point, whatever locale the program set. Hexadecimal,
 * infinity and NaN are refused. */
static bool number_prefix(const char *s, double *out, const char **end)
{
    const char *p = s + (*s == '-' || *s == '+');
    locale_t c_locale;
    char *stop;

    if (!is_digit(*p) && !(*p == '.' && is_digit(p[1])))
        return false;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        return false;
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    *out = strtod_l(s, &stop, c_locale);
    freelocale(c_locale);
    *end = stop;
    return isfinite(*out);
}

bool fet__parse_double(const char *s, double *out)
{
    const char *end;
    double v;

    if (!number_prefix(s, &v, &end) || *end)
        return false;
    *out = v;
    return true;
}

bool fet__parse_bool(const char *s, bool *out)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};

    for (size_t i = 0; i < FET_COUNT(words); i++)
        if (strcmp(s, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

/* As GNU tools read sizes: K, KiB = 1024, KB = 1000, and so on to T; B or nothing is bytes. 0 for another word. */
static int64_t size_unit(const char *s)
{
    static const char letters[] = "KMGT";
    const char *letter;
    int64_t base, unit = 1;

    if (!*s || strcasecmp(s, "B") == 0)
        return 1;
    letter = strchr(letters, *s >= 'a' ? *s - 'a' + 'A' : *s);
    if (!letter || !(s[1] == '\0' || strcasecmp(s + 1, "iB") == 0 || strcasecmp(s + 1, "B") == 0))
        return 0;
    base = strcasecmp(s + 1, "B") == 0 ? 1000 : 1024;
    for (const char *l = letters; l <= letter; l++)
        unit *= base;
    return unit;
}

bool fet__parse_bytes(const char *s, int64_t *out)
{
    const char *end;
    double v;
    int64_t whole = 0, unit;
    bool integer;

    if (*s == '-' || !number_prefix(s, &v, &end))
        return false;
    unit = size_unit(end);
    if (unit == 0)
        return false;
    integer = strspn(s, "0123456789") == (size_t)(end - s);
    for (const char *p = s; integer && p < end; p++) /* exact where a double is not */
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *p - '0', &whole))
            return false;
    if (integer)
        return !__builtin_mul_overflow(whole, unit, out);
    v = floor(v * (double)unit + 0.5);
    if (v >= 9223372036854775807.0)
        return false;
    *out = (int64_t)v;
    return true;
}

bool fet__parse_ms(const char *s, double *out)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"s", 1e3}, {"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}};
    const char *end;
    double v;

    if (*s == '-' || !number_prefix(s, &v, &end))
        return false;
    for (size_t i = 0; i < FET_COUNT(units); i++)
        if (strcmp(end, units[i].name) == 0 && isfinite(v * units[i].ms)) {
            *out = v * units[i].ms;
            return true;
        }
    return false;
}

/* Does the set that opens at `p` ('[') hold `c`? *end is set behind ']'; NULL when the set never closes. */
static bool in_set(const char *p, const char *stop, char c, const char **end)
{
    const char *first = p + 1;
    bool invert = first < stop && *first == '!', found = false;

    first += invert;
    *end = NULL;
    for (const char *q = first; q < stop; q++) {
        if (*q == ']' && q > first) {
            *end = q + 1;
            return found != invert;
        }
        if (q + 2 < stop && q[1] == '-' && q[2] != ']') {
            found |= q[0] <= c && c <= q[2];
            q += 2;
        } else {
            found |= *q == c;
        }
    }
    return false;
}

/* Match one pattern character against `c`: the place behind it in the pattern, or NULL. */
static const char *match_one(const char *p, const char *stop, char c)
{
    const char *end;

    if (p == stop)
        return NULL;
    if (*p == '?')
        return p + 1;
    if (*p == '[') {
        bool held = in_set(p, stop, c, &end);

        if (end)
            return held ? end : NULL;
    }
    return *p == c ? p + 1 : NULL;
}

/* Only the last '*' needs to be tried again: an earlier one could not do better. So the time is |pattern| x |name|. */
static bool glob_range(const char *p, const char *stop, const char *name)
{
    const char *star = NULL, *retry = NULL;

    while (*name) {
        const char *next = p < stop && *p == '*' ? NULL : match_one(p, stop, *name);

        if (p < stop && *p == '*') {
            star = ++p;
            retry = name;
        } else if (next) {
            p = next;
            name++;
        } else if (star) {
            p = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (p < stop && *p == '*')
        p++;
    return p == stop;
}

bool fet__glob(const char *pattern, const char *name)
{
    return glob_range(pattern, pattern + strlen(pattern), name);
}

static bool site_matches(const char *pattern, const char *stop, const char *name)
{
    if (pattern == stop)
        return false;
    if (memchr(pattern, '*', (size_t)(stop - pattern)))
        return glob_range(pattern, stop, name);
    for (const char *at = name; at; at = strchr(at, '.')) {
        at += *at == '.';
        if (glob_range(pattern, stop, at))
            return true;
    }
    return false;
}

bool fet__glob_site(const char *patterns, const char *name)
{
    for (const char *p = patterns;; p++) {
        const char *stop = p + strcspn(p, "+");

        if (site_matches(p, stop, name))
            return true;
        if (!*stop)
            return false;
        p = stop;
    }
}

/* ---- edit distance ---- */

#define WORD_MAX 127 /* longer words are not typing slips of ours */

static int smallest(int a, int b, int c)
{
    int m = a < b ? a : b;

    return m < c ? m : c;
}

/* Insertions, deletions, replacements, and swaps of neighbours, each counted once. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][WORD_MAX + 1];
    int la = (int)strlen(a), lb = (int)strlen(b);
    int *above2 = rows[0], *above = rows[1], *row = rows[2];

    for (int j = 0; j <= lb; j++)
        above[j] = j;
    for (int i = 1; i <= la; i++) {
        int *spare = above2;

        row[0] = i;
        for (int j = 1; j <= lb; j++) {
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
        above2 = above;
        above = row;
        row = spare;
    }
    return above[lb];
}

int fet__nearest(const char *word, const char *const *candidates, int count)
{
    size_t length = strlen(word);
    int best = -1, limit;

    if (length == 0 || length > WORD_MAX)
        return -1;
    limit = 1 + (int)length / 3;
    for (int i = 0; i < count; i++) {
        int d;

        if (strlen(candidates[i]) > WORD_MAX)
            continue;
        d = edit_distance(word, candidates[i]);
        if (d <= limit) {
            best = i;
            limit = d - 1; /* a later one must be nearer */
        }
    }
    return best;
}
