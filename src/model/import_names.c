/* Patterns over tensor names: literal text, {x} for a number, * at the end for whatever follows. */
#include "model/import.h"

#include <ctype.h>
#include <string.h>

#define LIMIT 8

typedef struct capture {
    char letter;
    const char *at;
    int length;
} capture;

typedef struct captures {
    capture c[LIMIT];
    int count;
    const char *rest;
} captures;

/* {i}: digits, and the same digits where the letter comes again. */
static const char *match_number(captures *m, char letter, const char *name)
{
    int n = 0, i;

    while (n < 6 && isdigit((unsigned char)name[n]))
        n++;
    if (n == 0)
        return NULL;
    for (i = 0; i < m->count; i++)
        if (m->c[i].letter == letter)
            return m->c[i].length == n && strncmp(m->c[i].at, name, (size_t)n) == 0 ? name + n : NULL;
    if (m->count == LIMIT)
        return NULL;
    m->c[m->count++] = (capture){letter, name, n};
    return name + n;
}

static bool match(captures *m, const char *pattern, const char *name)
{
    while (*pattern) {
        if (pattern[0] == '{' && pattern[1] && pattern[2] == '}') {
            if (!(name = match_number(m, pattern[1], name)))
                return false;
            pattern += 3;
        } else if (pattern[0] == '*' && !pattern[1]) {
            m->rest = name;
            return *name != '\0';
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

static const capture *find(const captures *m, char letter)
{
    for (int i = 0; i < m->count; i++)
        if (m->c[i].letter == letter)
            return &m->c[i];
    return NULL;
}

static bool fill(const captures *m, const char *to, char *out, size_t size)
{
    size_t used = 0;

    while (*to) {
        const char *piece = to;
        size_t length = 1;
        const capture *c;
        if (to[0] == '{' && to[1] && to[2] == '}' && (c = find(m, to[1])) != NULL) {
            piece = c->at;
            length = (size_t)c->length;
            to += 3;
        } else {
            if (to[0] == '*' && !to[1] && m->rest) {
                piece = m->rest;
                length = strlen(piece);
            }
            to++;
        }
        if (used + length >= size)
            return false;
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = '\0';
    return true;
}

bool fet__name_map(const char *from, const char *to, const char *name, char *out, size_t size)
{
    captures m = {.count = 0};

    if (!match(&m, from, name))
        return false;
    if (!to)
        return true;
    return fill(&m, to, out, size);
}
