/* Attributes as text: one table of names, used in both directions. Arrays that have one entry an axis are as long as the node's rank. */
#include "graph/graph_int.h"

#include <stdlib.h>
#include <string.h>

typedef enum kind { K_INT, K_PAIR, K_RANK, K_AXES, K_DOUBLE, K_U32, K_U64, K_RELATION, K_ACTIVATION } kind;

typedef struct field {
    fet__op op;
    kind kind;
    const char *name;
    size_t at;
} field;

/* operator, how it is written, member of fet__attr, name (of its field and in the text) */
#define FIELD(op, kind, member, name)                                                                                  \
    {                                                                                                                  \
        FET__OP_##op, kind, #name, offsetof(fet__attr, member.name)                                                    \
    }

static const field fields[] = {
    FIELD(POW_INT, K_INT, power, n),
    FIELD(COMPARE, K_RELATION, compare, relation),
    FIELD(RANDOM, K_U64, random, seed),
    FIELD(RANDOM, K_U32, random, stream),
    FIELD(FILL, K_DOUBLE, fill, value),
    FIELD(SUM, K_AXES, reduce, axes),
    FIELD(REDUCE_MAX, K_AXES, reduce, axes),
    FIELD(MATMUL, K_INT, matmul, ta),
    FIELD(MATMUL, K_INT, matmul, tb),
    FIELD(CONV2D, K_PAIR, conv, stride),
    FIELD(CONV2D, K_PAIR, conv, pad),
    FIELD(CONV2D, K_PAIR, conv, dilation),
    FIELD(CONV2D, K_INT, conv, groups),
    FIELD(CONV2D_DX, K_PAIR, conv, stride),
    FIELD(CONV2D_DX, K_PAIR, conv, pad),
    FIELD(CONV2D_DX, K_PAIR, conv, dilation),
    FIELD(CONV2D_DX, K_INT, conv, groups),
    FIELD(CONV2D_DW, K_PAIR, conv, stride),
    FIELD(CONV2D_DW, K_PAIR, conv, pad),
    FIELD(CONV2D_DW, K_PAIR, conv, dilation),
    FIELD(CONV2D_DW, K_INT, conv, groups),
    FIELD(TRANSPOSE, K_RANK, transpose, perm),
    FIELD(SLICE, K_RANK, slice, start),
    FIELD(SLICE, K_RANK, slice, step),
    FIELD(UNSLICE, K_RANK, slice, start),
    FIELD(UNSLICE, K_RANK, slice, step),
    FIELD(CONCAT, K_INT, axis, axis),
    FIELD(ROLL, K_RANK, roll, shift),
    FIELD(RESIZE, K_INT, resize, bicubic),
    FIELD(RESIZE, K_INT, resize, align_corners),
    FIELD(RESIZE_T, K_INT, resize, bicubic),
    FIELD(RESIZE_T, K_INT, resize, align_corners),
    FIELD(AVG_POOL, K_PAIR, pool, kernel),
    FIELD(AVG_POOL, K_PAIR, pool, stride),
    FIELD(AVG_POOL, K_PAIR, pool, pad),
    FIELD(AVG_POOL_T, K_PAIR, pool, kernel),
    FIELD(AVG_POOL_T, K_PAIR, pool, stride),
    FIELD(AVG_POOL_T, K_PAIR, pool, pad),
    FIELD(MAX_POOL_INDEX, K_PAIR, pool, kernel),
    FIELD(MAX_POOL_INDEX, K_PAIR, pool, stride),
    FIELD(MAX_POOL_INDEX, K_PAIR, pool, pad),
    FIELD(LINEAR, K_ACTIVATION, linear, activation),
    FIELD(MEMORY_UPDATE, K_DOUBLE, memory, momentum),
    FIELD(LAYER_NORM, K_DOUBLE, norm, eps),
    FIELD(LAYER_NORM_DX, K_DOUBLE, norm, eps),
    FIELD(LAYER_NORM_DGAMMA, K_DOUBLE, norm, eps),
    FIELD(CROSS_ENTROPY, K_DOUBLE, cross_entropy, smoothing),
    FIELD(CROSS_ENTROPY_GRAD, K_DOUBLE, cross_entropy, smoothing),
    FIELD(ATTENTION, K_INT, attention, heads),
    FIELD(ATTENTION, K_DOUBLE, attention, scale),
    FIELD(ATTENTION_GRAD, K_INT, attention, heads),
    FIELD(ATTENTION_GRAD, K_DOUBLE, attention, scale),
    FIELD(ATTENTION_DBIAS, K_INT, attention, heads),
    FIELD(ATTENTION_DBIAS, K_DOUBLE, attention, scale),
};

static const char *const relation_names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
static const char *const activation_names[] = {"none", "relu", "gelu"};

void fet__print_double(fet__text *t, double v)
{
    char s[40];

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, v);
        if (strtod(s, NULL) == v)
            break;
    }
    fet__text_printf(t, "%s", s);
}

/* ---- print ---- */

static void print_array(fet__text *t, const int32_t *v, int count)
{
    fet__text_printf(t, "[");
    for (int i = 0; i < count; i++)
        fet__text_printf(t, "%s%d", i ? "," : "", (int)v[i]);
    fet__text_printf(t, "]");
}

static void print_axes(fet__text *t, uint32_t axes)
{
    int32_t list[FET__MAX_RANK];
    int count = 0;

    for (int i = 0; i < FET__MAX_RANK; i++)
        if (axes >> i & 1)
            list[count++] = i;
    print_array(t, list, count);
}

static void print_value(fet__text *t, const field *f, const fet__attr *attr, int rank)
{
    const void *at = (const char *)attr + f->at;

    switch (f->kind) {
    case K_INT: fet__text_printf(t, "%d", (int)*(const int32_t *)at); break;
    case K_PAIR: print_array(t, at, 2); break;
    case K_RANK: print_array(t, at, rank); break;
    case K_AXES: print_axes(t, *(const uint32_t *)at); break;
    case K_DOUBLE: fet__print_double(t, *(const double *)at); break;
    case K_U32: fet__text_printf(t, "%lu", (unsigned long)*(const uint32_t *)at); break;
    case K_U64: fet__text_printf(t, "%llu", (unsigned long long)*(const uint64_t *)at); break;
    case K_RELATION: fet__text_printf(t, "%s", relation_names[*(const int32_t *)at]); break;
    case K_ACTIVATION: fet__text_printf(t, "%s", activation_names[*(const int32_t *)at]); break;
    }
}

void fet__attr_print(fet__text *t, fet__op op, const fet__attr *attr, int rank, const char *separator)
{
    const char *before = "";

    for (size_t i = 0; i < FET_COUNT(fields); i++) {
        if (fields[i].op != op)
            continue;
        fet__text_printf(t, "%s%s=", before, fields[i].name);
        print_value(t, &fields[i], attr, rank);
        before = separator;
    }
}

/* ---- parse ---- */

static bool parse_long(const char **s, long long *out)
{
    char *end;

    *out = strtoll(*s, &end, 10);
    if (end == *s)
        return false;
    *s = end;
    return true;
}

static bool parse_int32(const char **s, int32_t *out)
{
    long long v;

    if (!parse_long(s, &v) || v < INT32_MIN || v > INT32_MAX)
        return false;
    *out = (int32_t)v;
    return true;
}

/* `[1,2]` with at most `most` entries; returns their number or -1. */
static int parse_array(const char **s, int32_t *out, int most)
{
    int count = 0;

    if (*(*s)++ != '[')
        return -1;
    while (**s != ']') {
        if (count == most || (count && *(*s)++ != ',') || !parse_int32(s, &out[count++]))
            return -1;
    }
    (*s)++;
    return count;
}

static bool parse_axes(const char **s, uint32_t *out)
{
    int32_t list[FET__MAX_RANK];
    int count = parse_array(s, list, FET__MAX_RANK);

    *out = 0;
    for (int i = 0; i < count; i++) {
        if (list[i] < 0 || list[i] >= FET__MAX_RANK)
            return false;
        *out |= 1u << list[i];
    }
    return count >= 0;
}

static bool parse_word(const char **s, const char *const *words, int count, int32_t *out)
{
    for (int i = 0; i < count; i++) {
        size_t length = strlen(words[i]);

        if (strncmp(*s, words[i], length) == 0) {
            *s += length;
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_u64(const char **s, uint64_t *out, uint64_t most)
{
    char *end;

    if (**s < '0' || **s > '9')
        return false;
    *out = strtoull(*s, &end, 10);
    *s = end;
    return *out <= most;
}

static bool parse_value(const char **s, const field *f, fet__attr *attr, int rank)
{
    void *at = (char *)attr + f->at;
    uint64_t wide;
    char *end;

    switch (f->kind) {
    case K_INT: return parse_int32(s, at);
    case K_PAIR: return parse_array(s, at, 2) == 2;
    case K_RANK: return parse_array(s, at, rank) == rank;
    case K_AXES: return parse_axes(s, at);
    case K_DOUBLE:
        *(double *)at = strtod(*s, &end);
        if (end == *s)
            return false;
        *s = end;
        return true;
    case K_U32:
        if (!parse_u64(s, &wide, UINT32_MAX))
            return false;
        *(uint32_t *)at = (uint32_t)wide;
        return true;
    case K_U64: return parse_u64(s, at, UINT64_MAX);
    case K_RELATION: return parse_word(s, relation_names, FET_COUNT(relation_names), at);
    case K_ACTIVATION: return parse_word(s, activation_names, FET_COUNT(activation_names), at);
    }
    return false;
}

bool fet__attr_parse(const char **s, fet__op op, fet__attr *attr, int rank)
{
    for (size_t i = 0; i < FET_COUNT(fields); i++) {
        size_t length = strlen(fields[i].name);

        if (fields[i].op != op || strncmp(*s, fields[i].name, length) != 0 || (*s)[length] != '=')
            continue;
        *s += length + 1;
        return parse_value(s, &fields[i], attr, rank);
    }
    return false;
}
