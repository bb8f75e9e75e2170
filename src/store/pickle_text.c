/* Numbers and strings as pickles spell them: decimal lines, quoted and escaped strings, two's complement of any length. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/pickle_int.h"

#define MAX_NUMBER_TEXT 400 /* characters of a number in text; also bounds an integer's digits */
#define MAX_LONG_BYTES 128  /* of an integer whose digits are wanted: 309 digits */

/* ---- UTF-8 -------------------------------------------------------------------------------------------------- */

/* Bytes of the character at `s`, or 0 where it is none: wrong bytes, overlong, a surrogate, beyond U+10FFFF. */
static size_t character(const unsigned char *s, size_t left, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if ((s[0] >= 0x80 && s[0] < 0xc0) || s[0] >= 0xf8 || bytes > left)
        return 0;
    uint32_t c = bytes == 1 ? s[0] : s[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return bytes;
}

bool fet__pk_valid_utf8(const char *s, size_t length)
{
    uint32_t c = 0;
    for (size_t i = 0; i < length;) {
        size_t bytes = character((const unsigned char *)s + i, length - i, &c);
        if (bytes == 0)
            return false;
        i += bytes;
    }
    return true;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t bytes = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> bytes & 0xf0) | c);
    return bytes;
}

fet_status fet__pk_latin1(fet__pickle *m, fet__pk **out, const fet__pk *text)
{
    char *bytes = fet__pk_alloc(m, text->count + 1, 1);
    size_t used = 0;
    uint32_t c = 0;
    if (!bytes)
        return m->failure;
    for (size_t i = 0; i < text->count;) {
        i += character((const unsigned char *)text->as.text + i, text->count - i, &c);
        if (c > 255)
            return FET__PK_BAD(m, "a character above 255 in bytes that are written as %s", "latin1");
        bytes[used++] = (char)c;
    }
    return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_BYTES, bytes, used));
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

/* A terminated copy of a line for the parsers; false when it is too long or holds NUL. */
static bool copy_line(char out[MAX_NUMBER_TEXT + 1], const char *line, size_t length)
{
    if (length == 0 || length > MAX_NUMBER_TEXT || memchr(line, 0, length))
        return false;
    memcpy(out, line, length);
    out[length] = '\0';
    return true;
}

static bool all_digits(const char *s)
{
    s += *s == '-';
    return *s && strspn(s, "0123456789") == strlen(s);
}

fet_status fet__pk_read_int(fet__pickle *m, fet__pk **out, const char *line, size_t length)
{
    char s[MAX_NUMBER_TEXT + 1];
    int64_t value = 0;
    if (length == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
        return fet__pk_keep(m, out, fet__pk_integer(m, FET__PK_BOOL, line[1] - '0'));
    length -= length > 0 && line[length - 1] == 'L';
    if (!copy_line(s, line, length) || !all_digits(s))
        return FET__PK_BAD(m, "'%s' is not a whole number", fet__pk_show(m, line, length));
    if (fet__parse_int(s, &value))
        return fet__pk_keep(m, out, fet__pk_integer(m, FET__PK_INT, value));
    return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_BIG, line, length));
}

fet_status fet__pk_read_float(fet__pickle *m, fet__pk **out, const char *line, size_t length)
{
    char s[MAX_NUMBER_TEXT + 1];
    double value = 0;
    if (!copy_line(s, line, length))
        return FET__PK_BAD(m, "a number of %zu characters", length);
    if (strcmp(s, "nan") == 0)
        value = NAN;
    else if (strcmp(s, "inf") == 0)
        value = INFINITY;
    else if (strcmp(s, "-inf") == 0)
        value = -INFINITY;
    else if (!fet__parse_double(s, &value))
        return FET__PK_BAD(m, "'%s' is not a number", fet__show(s));
    fet__pk *v = fet__pk_new(m, FET__PK_FLOAT);
    if (v)
        v->as.real = value;
    return fet__pk_keep(m, out, v);
}

/* Decimal digits of a magnitude in little-endian bytes, by repeated division. Returns the first digit's place in `out`. */
static size_t decimal(char *out, size_t end, unsigned char *bytes, size_t length)
{
    while (length > 0) {
        unsigned rest = 0;
        for (size_t i = length; i-- > 0;) {
            unsigned v = rest << 8 | bytes[i];
            bytes[i] = (unsigned char)(v / 10);
            rest = v % 10;
        }
        out[--end] = (char)('0' + rest);
        while (length > 0 && bytes[length - 1] == 0)
            length--;
    }
    return end;
}

static fet_status read_big(fet__pickle *m, fet__pk **out, const unsigned char *bytes, size_t length)
{
    unsigned char magnitude[MAX_LONG_BYTES];
    char digits[3 * MAX_LONG_BYTES];
    bool negative = bytes[length - 1] & 0x80;
    unsigned carry = negative;
    if (length > MAX_LONG_BYTES)
        return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_OPAQUE, "int", 3));
    for (size_t i = 0; i < length; i++) {
        unsigned v = (negative ? bytes[i] ^ 0xffu : bytes[i]) + carry;
        magnitude[i] = (unsigned char)v;
        carry = v >> 8;
    }
    size_t begin = decimal(digits, sizeof digits, magnitude, length);
    if (negative)
        digits[--begin] = '-';
    char *kept = fet__pk_alloc(m, sizeof digits - begin, 1);
    if (!kept)
        return m->failure;
    memcpy(kept, digits + begin, sizeof digits - begin);
    return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_BIG, kept, sizeof digits - begin));
}

fet_status fet__pk_read_long(fet__pickle *m, fet__pk **out, const unsigned char *bytes, size_t length)
{
    if (length > 8)
        return read_big(m, out, bytes, length);
    uint64_t value = length > 0 && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = length; i-- > 0;)
        value = value << 8 | bytes[i];
    return fet__pk_keep(m, out, fet__pk_integer(m, FET__PK_INT, (int64_t)value));
}

/* ---- strings of the text protocols -------------------------------------------------------------------------- */

static int hex_value(const char *s, size_t digits, size_t left)
{
    int value = 0;
    if (digits > left)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef0123456789ABCDEF";
        const char *at = s[i] ? strchr(all, s[i]) : NULL;
        if (!at || value > 0xffffff)
            return -1;
        value = value << 4 | (int)((at - all) & 15);
    }
    return value;
}

/* One escape of a quoted string, behind its backslash. Returns how many characters it has, 0 for an unknown one. */
static size_t unescape(const char *s, size_t left, char *out)
{
    static const char from[] = "\\'\"ntrabfv", to[] = "\\'\"\n\t\r\a\b\f\v";
    const char *simple = left > 0 && s[0] ? strchr(from, s[0]) : NULL;
    if (simple) {
        *out = to[simple - from];
        return 1;
    }
    if (left > 0 && s[0] == 'x') {
        int value = hex_value(s + 1, 2, left - 1);
        *out = (char)value;
        return value < 0 ? 0 : 3;
    }
    size_t digits = 0;
    unsigned value = 0;
    while (digits < 3 && digits < left && s[digits] >= '0' && s[digits] <= '7')
        value = value << 3 | (unsigned)(s[digits++] - '0');
    *out = (char)value;
    return digits;
}

fet_status fet__pk_read_quoted(fet__pickle *m, fet__pk **out, const char *line, size_t length)
{
    if (length < 2 || (line[0] != '\'' && line[0] != '"') || line[length - 1] != line[0])
        return FET__PK_BAD(m, "a string without its %s", "quotes");
    char *text = fet__pk_alloc(m, length, 1);
    size_t used = 0;
    if (!text)
        return m->failure;
    for (size_t i = 1; i < length - 1;) {
        if (line[i] != '\\') {
            text[used++] = line[i++];
            continue;
        }
        size_t taken = unescape(line + i + 1, length - 2 - i, &text[used++]);
        if (taken == 0)
            return FET__PK_BAD(m, "an unknown escape in a string (%s)", "after a backslash");
        i += 1 + taken;
    }
    return fet__pk_keep(m, out,
                        fet__pk_text(m, fet__pk_valid_utf8(text, used) ? FET__PK_STR : FET__PK_BYTES, text, used));
}

/* Latin-1 with \uXXXX and \UXXXXXXXX. */
fet_status fet__pk_read_escaped(fet__pickle *m, fet__pk **out, const char *line, size_t length)
{
    char *text = fet__pk_alloc(m, 2 * length + 1, 1);
    size_t used = 0;
    if (!text)
        return m->failure;
    for (size_t i = 0; i < length;) {
        size_t digits = line[i] != '\\' || i + 1 == length ? 0 : line[i + 1] == 'u' ? 4 : line[i + 1] == 'U' ? 8 : 0;
        int c = digits ? hex_value(line + i + 2, digits, length - i - 2) : (unsigned char)line[i];
        if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return FET__PK_BAD(m, "an escape that is no character in a %s", "string");
        used += put_utf8(text + used, (uint32_t)c);
        i += digits ? digits + 2 : 1;
    }
    return fet__pk_keep(m, out, fet__pk_text(m, FET__PK_STR, text, used));
}
