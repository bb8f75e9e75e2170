/* Taking one step of an augmentation's text apart, with the place of every value kept for messages. Numbers are joined by '-':
 * a '-' right after a number separates, elsewhere it is a sign. */
#include "data/augment_text.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

fet_status fet__step_fail(fet__step_text *s, int at, const char *format, ...)
{
    char text[512];
    va_list args;

    if (s->st != FET_OK)
        return s->st;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->st = FET_FAIL(FET_E_ARG, "at character %d: %s", at, text);
    return s->st;
}

/* ---- taking apart ------------------------------------------------------------------------------------------------- */

/* Copies up to one of `ends`; false: too long. */
static bool copy_until(char *out, size_t size, const char *from, const char *ends, size_t *length)
{
    *length = strcspn(from, ends);
    if (*length >= size)
        return false;
    memcpy(out, from, *length);
    out[*length] = '\0';
    return true;
}

static fet_status add_pair(fet__step_text *s, const char *from, bool named, int at, size_t *used)
{
    fet__step_pair *p = &s->pairs[s->count];
    size_t length = 0;

    if (s->count == FET__STEP_PAIRS)
        return fet__step_fail(s, at, "too many options of '%s'", fet__show(s->word));
    *p = (fet__step_pair){.at = at};
    *used = 0;
    if (named) {
        if (!copy_until(p->key, sizeof p->key, from, "=,+", &length) || length == 0 || from[length] != '=')
            return fet__step_fail(s, at, "an option of '%s' is written key=value", fet__show(s->word));
        *used = length + 1;
    }
    if (!copy_until(p->value, sizeof p->value, from + *used, ",+", &length) || length == 0)
        return fet__step_fail(s, at + (int)*used, "a value of '%s' is %s", fet__show(s->word),
                              length ? "too long" : "missing");
    *used += length;
    s->count++;
    return FET_OK;
}

fet_status fet__step_split(fet__step_text *s, const char *spec, size_t *at)
{
    size_t length, used = 0;
    char ends;

    *s = (fet__step_text){.at = (int)*at + 1};
    s->word = s->text;
    if (!copy_until(s->text, sizeof s->text, spec + *at, "+:=,", &length) || length == 0)
        return fet__step_fail(s, s->at, length ? "a word is too long" : "a step is missing");
    *at += length;
    ends = spec[*at];
    if (ends == ',')
        return fet__step_fail(s, (int)*at + 1, "options of '%s' begin with ':' or '='; steps are joined by '+'",
                              fet__show(s->word));
    while (spec[*at] != '\0' && spec[*at] != '+') {
        bool named = !(s->count == 0 && ends == '=');

        ++*at;
        if (add_pair(s, spec + *at, named, (int)*at + 1, &used) != FET_OK)
            return s->st;
        *at += used;
    }
    return FET_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static fet__step_pair *find(fet__step_text *s, const char *key)
{
    fet__step_pair *found = NULL;

    if (s->st != FET_OK)
        return NULL;
    s->asked[s->asked_count++] = key;
    for (int i = 0; i < s->count; i++) {
        fet__step_pair *p = &s->pairs[i];

        if (strcmp(p->key, key) != 0 && !(p->key[0] == '\0' && s->main && strcmp(s->main, key) == 0))
            continue;
        if (found) {
            fet__step_fail(s, p->at, "'%s' of '%s' is given twice", key, s->word);
            return NULL;
        }
        found = p;
    }
    if (found)
        found->taken = true;
    return found;
}

/* The number at the beginning of `text`; *length 0: there is none. */
static double leading_number(const char *text, size_t *length)
{
    char copy[FET__STEP_TEXT];
    size_t n = text[0] == '-';
    double v = 0.0;

    while (text[n] && (strchr("0123456789.", text[n]) || (text[n] == 'e' && n > 0)))
        n += text[n] == 'e' && text[n + 1] == '-' ? 2 : 1;
    memcpy(copy, text, n);
    copy[n] = '\0';
    *length = n > 0 && fet__parse_double(copy, &v) ? n : 0;
    return v;
}

int fet__step_numbers(fet__step_text *s, const char *key, double low, double high, double *out, int most)
{
    const fet__step_pair *p = find(s, key);
    size_t at = 0, length;
    int count = 0;

    while (p && count < most) {
        double v = leading_number(p->value + at, &length);

        if (length == 0)
            break;
        if (v < low || v > high) {
            fet__step_fail(s, p->at, "%s of '%s': %g is not in %g..%g", key, s->word, v, low, high);
            return 0;
        }
        out[count++] = v;
        at += length;
        if (p->value[at] == '\0')
            return count;
        if (p->value[at++] != '-')
            break;
    }
    if (p)
        fet__step_fail(s, p->at, "%s of '%s': '%s' is not %s", key, s->word, fet__show(p->value),
                       most == 1 ? "a number" : "numbers joined by '-', or too many of them");
    return 0;
}

void fet__step_number(fet__step_text *s, const char *key, double low, double high, double *out)
{
    double v;

    if (fet__step_numbers(s, key, low, high, &v, 1) == 1)
        *out = v;
}

void fet__step_whole(fet__step_text *s, const char *key, int low, int high, int *out)
{
    double v;

    if (fet__step_numbers(s, key, low, high, &v, 1) != 1)
        return;
    if (v != floor(v))
        fet__step_fail(s, s->at, "%s of '%s': %g is not a whole number", key, s->word, v);
    *out = (int)v;
}

void fet__step_range(fet__step_text *s, const char *key, double low, double high, double out[2])
{
    double v[2];
    int count = fet__step_numbers(s, key, low, high, v, 2);

    if (count == 0)
        return;
    out[0] = v[0];
    out[1] = v[count - 1];
    if (out[0] > out[1])
        fet__step_fail(s, s->at, "%s of '%s': the range %g-%g is reversed", key, s->word, out[0], out[1]);
}

int fet__step_choice(fet__step_text *s, const char *key, const char *words)
{
    const fet__step_pair *p = find(s, key);
    int place = 0;

    if (!p)
        return -1;
    for (const char *w = words; *w; place++) {
        size_t n = strcspn(w, " ");

        if (strlen(p->value) == n && memcmp(p->value, w, n) == 0)
            return place;
        w += n + (w[n] == ' ');
    }
    fet__step_fail(s, p->at, "%s of '%s': '%s' is none of: %s", key, s->word, fet__show(p->value), words);
    return -1;
}

fet_status fet__step_end(fet__step_text *s)
{
    for (int i = 0; i < s->count && s->st == FET_OK; i++) {
        const fet__step_pair *p = &s->pairs[i];
        int near = p->taken ? -1 : fet__nearest(p->key, s->asked, s->asked_count);

        if (p->taken)
            continue;
        if (p->key[0] == '\0')
            fet__step_fail(s, p->at, "'%s' takes no value of its own", s->word);
        else if (near >= 0)
            fet__step_fail(s, p->at, "'%s' has no option '%s'; the nearest is '%s'", s->word, fet__show(p->key),
                           s->asked[near]);
        else
            fet__step_fail(s, p->at, "'%s' has no option '%s'", s->word, fet__show(p->key));
    }
    return s->st;
}
