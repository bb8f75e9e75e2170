/* What is no tensor in a checkpoint, as text: values as JSON, dict keys as Python's str() writes them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/torch.h"

#define MAX_KEY_DEPTH 3 /* tuples in tuples */
#define MAX_KEY_ITEMS 8

/* The shortest digits that give the same double. A whole number keeps its point: it is no int. */
static void add_real(fet__text *out, double v)
{
    char s[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v)
            break;
    }
    fet__text_printf(out, "%s%s", s, isfinite(v) && !strpbrk(s, ".e") ? ".0" : "");
}

/* Digits of a big integer, without leading zeros: JSON has none. */
static void add_digits(fet__text *out, const char *s, size_t length)
{
    if (length > 1 && *s == '-') {
        fet__text_add(out, "-", 1);
        s++;
        length--;
    }
    while (length > 1 && *s == '0') {
        s++;
        length--;
    }
    fet__text_add(out, s, length);
}

static void add_quoted(fet__text *out, const char *s, size_t length)
{
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        fet__text_add(out, s + from, i - from);
        if (c < 0x20)
            fet__text_printf(out, "\\u%04x", c);
        else
            fet__text_printf(out, "\\%c", c);
        from = i + 1;
    }
    fet__text_add(out, s + from, length - from);
}

/* What a value is called that is not looked into. */
static void add_opaque(fet__text *out, const fet__pk *v)
{
    fet__text_printf(out, "<opaque ");
    switch ((fet__pk_kind)v->kind) {
    case FET__PK_GLOBAL:
    case FET__PK_OPAQUE: add_quoted(out, v->as.text, v->count); break;
    case FET__PK_BYTES: fet__text_printf(out, "bytes"); break;
    case FET__PK_SET: fet__text_printf(out, "set"); break;
    case FET__PK_NUMPY_DTYPE: fet__text_printf(out, "dtype"); break;
    case FET__PK_STORAGE: fet__text_printf(out, "storage"); break;
    default: fet__text_printf(out, "value"); break;
    }
    fet__text_printf(out, ">");
}

void fet__torch_leaf_json(fet__text *out, const fet__pk *v)
{
    switch ((fet__pk_kind)v->kind) {
    case FET__PK_NONE: fet__text_printf(out, "null"); return;
    case FET__PK_BOOL: fet__text_printf(out, "%s", v->as.integer ? "true" : "false"); return;
    case FET__PK_INT: fet__text_printf(out, "%lld", (long long)v->as.integer); return;
    case FET__PK_BIG: add_digits(out, v->as.text, v->count); return;
    case FET__PK_LIST:
    case FET__PK_TUPLE: fet__text_printf(out, "[]"); return; /* only empty ones are leaves */
    case FET__PK_DICT: fet__text_printf(out, "{}"); return;
    case FET__PK_FLOAT:
        if (isfinite(v->as.real)) {
            add_real(out, v->as.real);
            return;
        }
        break;
    default: break;
    }
    fet__text_printf(out, "\"");
    if (v->kind == FET__PK_FLOAT)
        add_real(out, v->as.real);
    else if (v->kind == FET__PK_STR)
        add_quoted(out, v->as.text, v->count);
    else
        add_opaque(out, v);
    fet__text_printf(out, "\"");
}

static bool add_key(fet__text *out, const fet__pk *key, int depth)
{
    switch ((fet__pk_kind)key->kind) {
    case FET__PK_NONE: fet__text_printf(out, "None"); break;
    case FET__PK_BOOL: fet__text_printf(out, "%s", key->as.integer ? "True" : "False"); break;
    case FET__PK_INT: fet__text_printf(out, "%lld", (long long)key->as.integer); break;
    case FET__PK_BIG: add_digits(out, key->as.text, key->count); break;
    case FET__PK_FLOAT: add_real(out, key->as.real); break;
    case FET__PK_STR:
        fet__text_printf(out, "%s", depth ? "'" : "");
        fet__text_add(out, key->as.text, key->count);
        fet__text_printf(out, "%s", depth ? "'" : "");
        break;
    case FET__PK_TUPLE:
        if (depth == MAX_KEY_DEPTH || key->count > MAX_KEY_ITEMS)
            return false;
        fet__text_printf(out, "(");
        for (uint32_t i = 0; i < key->count; i++) {
            fet__text_printf(out, "%s", i ? ", " : "");
            if (!add_key(out, key->as.items[i], depth + 1))
                return false;
        }
        fet__text_printf(out, "%s)", key->count == 1 ? "," : "");
        break;
    default: add_opaque(out, key); break;
    }
    return true;
}

bool fet__torch_key_text(fet__text *out, const fet__pk *key)
{
    return add_key(out, key, 0);
}
