/* The text of print.c back to a graph: a failing graph is a test file. A text may be wrong in any way; every line is checked by the
 * same rules as building, and the message names the line. Node numbers are kept, parameters come from the store. */
#include "graph/graph_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ID 10000000 /* a text cannot ask for a larger table of nodes */
#define MOST_NAME 512

typedef struct reader {
    fet__graph *g;
    fet__params *store;
    const char *s;
    int line;
    fet__node **by_number; /* nodes of the text; leaves of the store have later numbers */
    int numbers;
} reader;

static fet_status wrong(const reader *r, const char *what)
{
    return FET_FAIL(FET_E_FORMAT, "graph text, line %d: %s at \"%.20s\"", r->line, what, *r->s ? r->s : "the end");
}

static bool accept(reader *r, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(r->s, word, length) != 0)
        return false;
    r->s += length;
    return true;
}

static bool number(reader *r, long long *out)
{
    char *end;

    if (!isdigit((unsigned char)*r->s) && *r->s != '-')
        return false;
    *out = strtoll(r->s, &end, 10);
    if (end == r->s)
        return false;
    r->s = end;
    return true;
}

/* A bare or quoted name. */
static bool name(reader *r, char *out)
{
    size_t n = 0;

    if (*r->s != '"') {
        while (n < MOST_NAME - 1 && (isalnum((unsigned char)*r->s) || (*r->s && strchr("_./-", *r->s))))
            out[n++] = *r->s++;
        out[n] = '\0';
        return n > 0;
    }
    r->s++;
    while (*r->s && *r->s != '"' && *r->s != '\n') {
        unsigned code;

        if (n >= MOST_NAME - 1)
            return false;
        if (*r->s != '\\') {
            out[n++] = *r->s++;
            continue;
        }
        if (r->s[1] != 'x' || sscanf(r->s + 2, "%2x", &code) != 1 || !isxdigit((unsigned char)r->s[3]))
            return false;
        out[n++] = (char)code;
        r->s += 4;
    }
    out[n] = '\0';
    return *r->s++ == '"';
}

static bool shape(reader *r, fet__shape *out)
{
    *out = fet__shape_scalar();
    if (!accept(r, "["))
        return false;
    while (!accept(r, "]")) {
        long long v;

        if (out->rank == FET__MAX_RANK || (out->rank && !accept(r, ",")) || !number(r, &v) || v < 1)
            return false;
        out->dim[out->rank++] = v;
    }
    return fet__shape_count(out) > 0;
}

static bool word(reader *r, char *out, size_t size)
{
    size_t n = 0;

    while (n < size - 1 && (isalnum((unsigned char)*r->s) || *r->s == '_'))
        out[n++] = *r->s++;
    out[n] = '\0';
    return n > 0;
}

static bool operator_named(reader *r, fet__op *out)
{
    char text[40];

    if (!word(r, text, sizeof text))
        return false;
    for (int i = 0; i < FET__OP_COUNT; i++) {
        if (strcmp(text, fet__op_rows[i].name) == 0) {
            *out = (fet__op)i;
            return true;
        }
    }
    return false;
}

/* `%12` or `$name`. */
static fet_status reference(reader *r, fet__node **out)
{
    char text[MOST_NAME];
    long long id;

    if (accept(r, "$")) {
        fet__param *p;

        if (!name(r, text))
            return wrong(r, "a parameter's name is expected");
        p = fet__params_find(r->store, text);
        if (!p)
            return FET_FAIL(FET_E_NOMATCH, "graph text, line %d: the store has no %s", r->line, fet__show(text));
        *out = fet__leaf(r->g, p);
        return fet__graph_status(r->g);
    }
    if (!accept(r, "%") || !number(r, &id) || id < 0 || id >= r->numbers || !r->by_number[id])
        return wrong(r, "a node made above is expected");
    *out = r->by_number[id];
    return FET_OK;
}

/* ---- braces ---- */

static fet_status parse_const(reader *r, fet__node *n)
{
    size_t size = fet__dtype_bytes(n->dtype);
    int64_t count = fet__shape_count(&n->shape);
    char *value;

    if (accept(r, "value=<"))
        return FET_FAIL(FET_E_FORMAT, "graph text, line %d: a constant of %lld elements was printed without its data",
                        r->line, (long long)count);
    if (count > (int64_t)strlen(r->s) || !accept(r, "value=["))
        return wrong(r, "a constant's value is expected");
    value = fet__arena_alloc(&r->g->arena, (size_t)count, size);
    if (!value)
        return FET_E_NOMEM;
    for (int64_t i = 0; i < count; i++) {
        char *end;
        double v = strtod(r->s, &end);

        if (end == r->s)
            return wrong(r, "a number is expected");
        r->s = end;
        fet__convert(value + (size_t)i * size, n->dtype, &v, FET_F64, 1);
        if (i + 1 < count && !accept(r, ","))
            return wrong(r, "a comma is expected");
    }
    n->value = value;
    return accept(r, "]") ? FET_OK : wrong(r, "] is expected");
}

/* `r3 = mul(r2, r1)`, attributes behind the registers. */
static fet_status parse_instr(reader *r, fet__group *p)
{
    fet__instr *in = &p->instr[p->instr_count];
    int16_t *arg[3] = {&in->a, &in->b, &in->c};
    long long v;
    fet__op op;
    int used = 0;

    if (!accept(r, "r") || !number(r, &v) || v != p->input_count + p->instr_count || !accept(r, " = ") ||
        !operator_named(r, &op) || !accept(r, "("))
        return wrong(r, "the next register is expected");
    in->op = (uint16_t)op;
    in->a = in->b = in->c = -1;
    for (bool first = true; !accept(r, ")"); first = false) {
        if (!first && !accept(r, ", "))
            return wrong(r, "a comma is expected");
        if (*r->s == 'r' && isdigit((unsigned char)r->s[1])) {
            r->s++;
            if (used == 3 || !number(r, &v) || v < 0 || v > INT16_MAX)
                return wrong(r, "a register is expected");
            *arg[used++] = (int16_t)v;
        } else if (!fet__attr_parse(&r->s, op, &in->attr, p->full.rank)) {
            return wrong(r, "an attribute is expected");
        }
    }
    p->instr_count++;
    return FET_OK;
}

static fet_status parse_group(reader *r, fet__node *n)
{
    fet__group *p = fet__arena_alloc(&r->g->arena, 1, sizeof *p);
    fet__attr reduce = {.raw = {0}};

    if (!p)
        return FET_E_NOMEM;
    p->input_count = n->input_count;
    if (!accept(r, "full=") || !shape(r, &p->full) || !accept(r, " ") ||
        !fet__attr_parse(&r->s, FET__OP_SUM, &reduce, p->full.rank))
        return wrong(r, "the group's shape and axes are expected");
    p->reduce_axes = reduce.reduce.axes;
    while (accept(r, "; ")) {
        fet_status st = p->instr_count < FET__GROUP_INSTRS ? parse_instr(r, p) : wrong(r, "too many instructions");

        if (st != FET_OK)
            return st;
    }
    n->group = p;
    return FET_OK;
}

static fet_status parse_braces(reader *r, fet__node *n)
{
    bool inner = n->input_count > 0 && n->input[0] && (n->op == FET__OP_SLICE || n->op == FET__OP_UNSLICE);
    int rank = inner ? n->input[0]->shape.rank : n->shape.rank;
    char text[MOST_NAME];
    fet_status st = FET_OK;

    if (!accept(r, " {"))
        return n->op == FET__OP_CONST || n->op == FET__OP_INPUT || n->op == FET__OP_GROUP ? wrong(r, "{ is expected")
                                                                                          : FET_OK;
    if (n->op == FET__OP_CONST) {
        st = parse_const(r, n);
    } else if (n->op == FET__OP_GROUP) {
        st = parse_group(r, n);
    } else if (n->op == FET__OP_INPUT) {
        if (!accept(r, "name=") || !name(r, text))
            return wrong(r, "the input's name is expected");
        n->name = fet__arena_strdup(&r->g->arena, text);
        if (!n->name)
            return FET_E_NOMEM;
    } else {
        do {
            if (!fet__attr_parse(&r->s, n->op, &n->attr, rank))
                return wrong(r, "an attribute is expected");
        } while (accept(r, " "));
    }
    return st != FET_OK || accept(r, "}") ? st : wrong(r, "} is expected");
}

/* ---- lines ---- */

static fet_status parse_inputs(reader *r, fet__node *n, fet__node **in)
{
    n->input = in;
    for (; !accept(r, ")"); n->input_count++) {
        fet_status st;

        if (n->input_count == FET__MAX_INPUTS || (n->input_count && !accept(r, ", ")))
            return wrong(r, "a comma or ) is expected");
        st = reference(r, &in[n->input_count]);
        if (st != FET_OK)
            return st;
    }
    if (n->input_count < fet__op_rows[n->op].least || n->input_count > fet__op_rows[n->op].most)
        return wrong(r, "the number of inputs is not the operator's");
    return FET_OK;
}

static fet_status parse_tail(reader *r, fet__node *n, const char **scope)
{
    char text[MOST_NAME];
    long long v;

    *scope = "";
    if (accept(r, " @")) {
        if (!name(r, text))
            return wrong(r, "a scope is expected");
        *scope = fet__arena_strdup(&r->g->arena, text);
        if (!*scope)
            return FET_E_NOMEM;
    }
    n->backward = accept(r, " backward");
    if (accept(r, " copy=")) {
        if (!number(r, &v) || v < 1 || v > INT32_MAX)
            return wrong(r, "the number of a copy is expected");
        n->copy = (int)v;
    }
    return FET_OK;
}

/* What the line says of type and shape must be what the operator makes of its inputs. */
static fet_status check_line(const reader *r, const fet__node *n)
{
    fet__node draft = *n;
    fet_status st;

    st = fet__rule_of(n->op)->infer(&draft, true);
    if (st != FET_OK)
        return fet__fail_in(FET_E_FORMAT, "graph text, line %d", r->line);
    if (draft.dtype != n->dtype || !fet__shape_equal(&draft.shape, &n->shape))
        return FET_FAIL(FET_E_FORMAT, "graph text, line %d: %s makes %s%s, not %s%s", r->line, fet__op_rows[n->op].name,
                        fet__dtype_name(draft.dtype), fet__shape_text(&draft.shape), fet__dtype_name(n->dtype),
                        fet__shape_text(&n->shape));
    return FET_OK;
}

static fet_status parse_node(reader *r)
{
    fet__node n = {.op = FET__OP_INPUT}, *in[FET__MAX_INPUTS] = {NULL}, *made;
    const char *scope;
    char text[16];
    long long id;
    fet_status st;

    if (!number(r, &id) || id < 0 || id >= r->numbers || r->by_number[id] || !accept(r, " "))
        return wrong(r, "a new node's number is expected");
    if (!word(r, text, sizeof text) || !fet__dtype_parse(text, &n.dtype) || !shape(r, &n.shape) || !accept(r, " = "))
        return wrong(r, "a type and a shape are expected");
    if (!operator_named(r, &n.op) || n.op == FET__OP_PARAM || n.op == FET__OP_STATE || !accept(r, "("))
        return wrong(r, "an operator is expected");
    FET_TRY(parse_inputs(r, &n, in));
    FET_TRY(parse_braces(r, &n));
    FET_TRY(parse_tail(r, &n, &scope));
    FET_TRY(check_line(r, &n));
    r->g->scope_now = scope;
    r->g->backward = n.backward;
    made = fet__node_add_at(r->g, &n, (int)id);
    r->g->scope_now = "";
    r->g->backward = false;
    st = fet__graph_status(r->g);
    r->by_number[id] = made;
done:
    return st;
}

static fet_status parse_root(reader *r, bool output)
{
    fet__node *target = NULL, *value = NULL;
    char text[MOST_NAME];
    fet_status st = FET_OK;

    if (output ? !name(r, text) : (st = reference(r, &target)) != FET_OK)
        return output ? wrong(r, "an output's name is expected") : st;
    if (!accept(r, " "))
        return wrong(r, "a node is expected");
    st = reference(r, &value);
    if (st != FET_OK)
        return st;
    if (output)
        fet__output(r->g, text, value);
    else
        fet__assign(r->g, target, value);
    return fet__graph_status(r->g);
}

/* Numbers of the text come first; leaves of the store get the ones behind them. */
static fet_status reserve_numbers(reader *r, const char *text)
{
    fet_status st;

    for (const char *s = strchr(text, '%'); s; s = strchr(s + 1, '%')) {
        long long id = strtoll(s + 1, NULL, 10);

        if (id >= MOST_ID)
            return FET_FAIL(FET_E_FORMAT, "graph text: node numbers end at %d, not %lld", MOST_ID, id);
        if (id >= r->numbers)
            r->numbers = (int)id + 1;
    }
    FET_TRY(FET_NEW(r->by_number, r->numbers + 1));
    FET_TRY(FET_NEW(r->g->node, r->numbers + 1));
    r->g->capacity = r->numbers + 1;
    r->g->count = r->numbers;
done:
    return st;
}

fet_status fet__graph_parse(fet__graph **out, const char *text, fet__params *store)
{
    reader r = {.store = store, .s = text, .line = 1};
    fet_status st;

    *out = NULL;
    FET_TRY(fet__graph_create(&r.g));
    FET_TRY(reserve_numbers(&r, text));
    for (; *r.s; r.line++) {
        if (accept(&r, "%"))
            FET_TRY(parse_node(&r));
        else if (accept(&r, "output "))
            FET_TRY(parse_root(&r, true));
        else if (accept(&r, "assign "))
            FET_TRY(parse_root(&r, false));
        if (*r.s && !accept(&r, "\n")) {
            st = wrong(&r, "the line's end is expected");
            goto done;
        }
    }
    *out = r.g;
    r.g = NULL;
done:
    fet__graph_destroy(r.g);
    fet__free(r.by_number);
    return st;
}
