/* Growing strings, and showing untrusted text (paths, names from files) safely inside messages. Parsing lives in
 * parse.c. */
#include "base/base.h"

#include <string.h>

#define SHOW_BUFFERS 4
#define SHOW_BYTES 1024

/* Room for `more` bytes and the final NUL. */
static bool reserve(fet__text *t, size_t more)
{
    size_t need, capacity = t->capacity ? t->capacity : 64;
    char *s;

    if (t->failed)
        return false;
    if (__builtin_add_overflow(t->length, more, &need) || need > PTRDIFF_MAX / 2) {
        fet__fail(FET_E_NOMEM, "out of memory: a text of more than %zu bytes", t->length);
        t->failed = true;
        return false;
    }
    if (need < t->capacity)
        return true;
    while (capacity <= need)
        capacity *= 2;
    s = fet__realloc(t->s, t->capacity, capacity, 1);
    if (!s) {
        t->failed = true;
        return false;
    }
    t->s = s;
    t->capacity = capacity;
    return true;
}

void fet__text_add(fet__text *t, const char *s, size_t length)
{
    if (!reserve(t, length))
        return;
    if (length > 0)
        memcpy(t->s + t->length, s, length);
    t->length += length;
    t->s[t->length] = '\0';
}

void fet__text_printf(fet__text *t, const char *format, ...)
{
    va_list ap;
    int length;

    va_start(ap, format);
    length = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (length < 0) {
        fet__fail(FET_E_BUG, "a text could not be formatted (\"%s\")", format);
        t->failed = true;
        return;
    }
    if (!reserve(t, (size_t)length))
        return;
    va_start(ap, format);
    vsnprintf(t->s + t->length, (size_t)length + 1, format, ap);
    va_end(ap);
    t->length += (size_t)length;
}

void fet__text_fini(fet__text *t)
{
    fet__free(t->s);
    memset(t, 0, sizeof *t);
}

/* Bytes of the UTF-8 character at `s` that may be shown as it is, or 0. Overlong forms, surrogates, values over
 * U+10FFFF and the C1 control characters are not. */
static int plain_bytes(const unsigned char *s)
{
    uint32_t code, least;
    int length;

    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2, code = s[0] & 0x1f, least = 0xa0;
    else if ((s[0] & 0xf0) == 0xe0)
        length = 3, code = s[0] & 0x0f, least = 0x800;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4, code = s[0] & 0x07, least = 0x10000;
    else
        return 0;
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) /* the final NUL ends the loop here too */
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

/* The shown form of the character at `s` goes to `piece`; returns how many bytes of `s` it stands for. */
static int show_one(char piece[5], const unsigned char *s)
{
    int length = plain_bytes(s);

    if (length > 0) {
        memcpy(piece, s, (size_t)length);
        piece[length] = '\0';
        return length;
    }
    if (*s == '\n' || *s == '\t' || *s == '\r')
        snprintf(piece, 5, "\\%c", *s == '\n' ? 'n' : *s == '\t' ? 't' : 'r');
    else
        snprintf(piece, 5, "\\x%02x", (unsigned)*s);
    return 1;
}

const char *fet__escape(char *out, size_t size, const char *s)
{
    const unsigned char *in = (const unsigned char *)s;
    size_t used = 0, safe = 0; /* safe: the last length after which "..." still fits */

    if (size < 4) { /* no room for the mark */
        if (size > 0)
            out[0] = '\0';
        return out;
    }
    while (*in) {
        char piece[5];
        int taken = show_one(piece, in);
        size_t length = strlen(piece);

        if (used + length >= size) {
            memcpy(out + safe, "...", 4);
            return out;
        }
        memcpy(out + used, piece, length);
        used += length;
        if (used + 4 <= size)
            safe = used;
        in += taken;
    }
    out[used] = '\0';
    return out;
}

const char *fet__show(const char *s)
{
    static _Thread_local char buffers[SHOW_BUFFERS][SHOW_BYTES];
    static _Thread_local unsigned next;

    return fet__escape(buffers[next++ % SHOW_BUFFERS], SHOW_BYTES, s);
}
