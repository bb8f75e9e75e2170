/* The pickle machine: instructions of protocols 0 to 5 over a stack and a memo. Nothing here recurses, whatever a file nests,
 * and every instruction costs no more than its bytes and its operands.
 *
 *     MARK x y TUPLE     the items above the mark become one value
 *     GLOBAL, args, REDUCE      a name, arguments, "call": see pickle_global.c and pickle_call.c
 *     PUT n, GET n       the memo: how objects are shared, and how cycles come about */
#include <string.h>

#include "store/pickle_int.h"

#define LAST_PROTOCOL 5

/* ---- bytes and the stack ------------------------------------------------------------------------------------ */

static fet_status take(fet__pickle *m, size_t bytes, const unsigned char **out)
{
    if (bytes > m->size - m->at)
        return FET__PK_BAD(m, "%zu bytes should follow, but only %zu do: truncated?", bytes, m->size - m->at);
    *out = m->data + m->at;
    m->at += bytes;
    return FET_OK;
}

/* A little-endian number of `width` bytes. */
static fet_status take_number(fet__pickle *m, int width, uint64_t *out)
{
    const unsigned char *p = NULL;
    fet_status st = take(m, (size_t)width, &p);
    *out = 0;
    for (int i = width; st == FET_OK && i-- > 0;)
        *out = *out << 8 | p[i];
    return st;
}

/* A line of text without its end. */
static fet_status take_line(fet__pickle *m, const char **line, size_t *length)
{
    const unsigned char *p = m->data + m->at, *end = memchr(p, '\n', m->size - m->at);
    if (!end)
        return FET__PK_BAD(m, "a line of text has no end (%zu bytes are left): truncated?", m->size - m->at);
    *line = (const char *)p;
    *length = (size_t)(end - p);
    m->at += *length + 1;
    return FET_OK;
}

static fet_status push(fet__pickle *m, fet__pk *v)
{
    if (!v)
        return m->failure;
    fet_status st = fet__pk_room(m, (void **)&m->stack, m->depth, &m->stack_capacity, sizeof *m->stack);
    if (st == FET_OK)
        m->stack[m->depth++] = v;
    return st;
}

/* How many values lie above the last mark. */
static size_t available(const fet__pickle *m)
{
    return m->depth - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static fet_status need(fet__pickle *m, size_t count)
{
    if (available(m) < count)
        return FET__PK_BAD(m, "instruction %02x needs %zu values on the stack and finds %zu", m->data[m->op], count,
                           available(m));
    return FET_OK;
}

/* The value `below` the top; need() came before. */
static fet__pk *top(const fet__pickle *m, size_t below)
{
    return m->stack[m->depth - 1 - below];
}

/* Take everything above the last mark off the stack; `items` stay valid until the next push. */
static fet_status pop_mark(fet__pickle *m, fet__pk ***items, size_t *count)
{
    if (m->mark_count == 0)
        return FET__PK_BAD(m, "instruction %02x needs a mark and finds none", m->data[m->op]);
    *count = available(m);
    m->depth -= *count;
    *items = m->depth ? m->stack + m->depth : m->stack;
    m->mark_count--;
    return FET_OK;
}

/* ---- constants ---------------------------------------------------------------------------------------------- */

static fet_status op_none(fet__pickle *m, int unused)
{
    (void)unused;
    return push(m, fet__pk_new(m, FET__PK_NONE));
}

static fet_status op_bool(fet__pickle *m, int value)
{
    return push(m, fet__pk_integer(m, FET__PK_BOOL, value));
}

/* `width` bytes; four of them are signed. */
static fet_status op_int(fet__pickle *m, int width)
{
    uint64_t v = 0;
    fet_status st = take_number(m, width, &v);
    return st == FET_OK ? push(m, fet__pk_integer(m, FET__PK_INT, width == 4 ? (int32_t)v : (int64_t)v)) : st;
}

static fet_status op_long(fet__pickle *m, int width)
{
    fet_status st = FET_OK;
    uint64_t bytes = 0;
    const unsigned char *p = NULL;
    fet__pk *v = NULL;
    FET_TRY(take_number(m, width, &bytes));
    FET_TRY(take(m, (size_t)bytes, &p));
    FET_TRY(fet__pk_read_long(m, &v, p, (size_t)bytes));
    FET_TRY(push(m, v));
done:
    return st;
}

/* A big-endian double. */
static fet_status op_float(fet__pickle *m, int unused)
{
    const unsigned char *p = NULL;
    fet_status st = take(m, 8, &p);
    uint64_t bits = 0;
    (void)unused;
    if (st != FET_OK)
        return st;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    fet__pk *v = fet__pk_new(m, FET__PK_FLOAT);
    if (v)
        memcpy(&v->as.real, &bits, sizeof bits);
    return push(m, v);
}

typedef fet_status (*line_reader)(fet__pickle *m, fet__pk **out, const char *line, size_t length);

static fet_status read_line_with(fet__pickle *m, line_reader read)
{
    fet_status st = FET_OK;
    const char *line = NULL;
    size_t length = 0;
    fet__pk *v = NULL;
    FET_TRY(take_line(m, &line, &length));
    FET_TRY(read(m, &v, line, length));
    FET_TRY(push(m, v));
done:
    return st;
}

static fet_status op_line(fet__pickle *m, int kind)
{
    switch (kind) {
    case 'F': return read_line_with(m, fet__pk_read_float);
    case 'S': return read_line_with(m, fet__pk_read_quoted);
    case 'V': return read_line_with(m, fet__pk_read_escaped);
    default: return read_line_with(m, fet__pk_read_int);
    }
}

/* `form`: width of the length in bytes, plus what the bytes are. */
enum { TEXT = 16, RAW = 32, OLD_TEXT = 64 }; /* OLD_TEXT: of Python 2, either */

static fet_status op_string(fet__pickle *m, int form)
{
    fet_status st = FET_OK;
    uint64_t bytes = 0;
    const unsigned char *p = NULL;
    FET_TRY(take_number(m, form & 15, &bytes));
    if (bytes > m->size)
        return FET__PK_BAD(m, "a string of %llu bytes in a pickle of %zu", (unsigned long long)bytes, m->size);
    FET_TRY(take(m, (size_t)bytes, &p));
    bool text = !(form & RAW) && fet__pk_valid_utf8((const char *)p, (size_t)bytes);
    if (form & TEXT && !text)
        return FET__PK_BAD(m, "a string of %llu bytes that is not valid UTF-8", (unsigned long long)bytes);
    FET_TRY(push(m, fet__pk_text(m, text ? FET__PK_STR : FET__PK_BYTES, (const char *)p, (size_t)bytes)));
done:
    return st;
}

/* ---- containers --------------------------------------------------------------------------------------------- */

static fet_status op_empty(fet__pickle *m, int kind)
{
    return push(m, fet__pk_new(m, (fet__pk_kind)kind));
}

static fet_status op_mark(fet__pickle *m, int unused)
{
    (void)unused;
    fet_status st = fet__pk_room(m, (void **)&m->marks, m->mark_count, &m->mark_capacity, sizeof *m->marks);
    if (st == FET_OK)
        m->marks[m->mark_count++] = m->depth;
    return st;
}

/* A tuple, list or set of what lies above the mark. */
static fet_status op_gather(fet__pickle *m, int kind)
{
    fet__pk **items = NULL;
    size_t count = 0;
    fet_status st = pop_mark(m, &items, &count);
    return st == FET_OK ? push(m, fet__pk_tuple(m, (fet__pk_kind)kind, items, count)) : st;
}

static fet_status op_dict(fet__pickle *m, int unused)
{
    fet_status st = FET_OK;
    fet__pk **items = NULL, *dict = NULL;
    size_t count = 0;
    (void)unused;
    FET_TRY(pop_mark(m, &items, &count));
    FET_TRY(fet__pk_keep(m, &dict, fet__pk_new(m, FET__PK_DICT)));
    FET_TRY(fet__pk_update(m, dict, items, count));
    FET_TRY(push(m, dict));
done:
    return st;
}

static fet_status op_tuple(fet__pickle *m, int count)
{
    fet_status st = need(m, (size_t)count);
    if (st != FET_OK)
        return st;
    m->depth -= (size_t)count;
    return push(m, fet__pk_tuple(m, FET__PK_TUPLE, m->stack + m->depth, (size_t)count));
}

/* Add items to the container on the top: to a list or set, or pairs to a dict. An opaque object swallows them. */
static fet_status add_items(fet__pickle *m, fet__pk *const *items, size_t count, fet__pk_kind kind)
{
    fet_status st = need(m, 1);
    if (st != FET_OK)
        return st;
    fet__pk *to = top(m, 0);
    if (to->kind == FET__PK_OPAQUE)
        return FET_OK;
    if (to->kind != kind)
        return FET__PK_BAD(m, "items are added to a value of type %s", fet__pk_kind_name(to));
    return kind == FET__PK_DICT ? fet__pk_update(m, to, items, count) : fet__pk_extend(m, to, items, count);
}

static fet_status op_add_marked(fet__pickle *m, int kind)
{
    fet__pk **items = NULL;
    size_t count = 0;
    fet_status st = pop_mark(m, &items, &count);
    return st == FET_OK ? add_items(m, items, count, (fet__pk_kind)kind) : st;
}

/* APPEND: one item; SETITEM: a key and a value. */
static fet_status op_add(fet__pickle *m, int kind)
{
    size_t count = kind == FET__PK_DICT ? 2 : 1;
    fet_status st = need(m, count + 1);
    if (st != FET_OK)
        return st;
    m->depth -= count;
    return add_items(m, m->stack + m->depth, count, (fet__pk_kind)kind);
}

/* ---- stack and memo ----------------------------------------------------------------------------------------- */

static fet_status op_pop(fet__pickle *m, int unused)
{
    (void)unused;
    if (available(m) == 0 && m->mark_count > 0) { /* Python drops the mark then */
        m->mark_count--;
        return FET_OK;
    }
    fet_status st = need(m, 1);
    m->depth -= st == FET_OK;
    return st;
}

static fet_status op_pop_mark(fet__pickle *m, int unused)
{
    fet__pk **items = NULL;
    size_t count = 0;
    (void)unused;
    return pop_mark(m, &items, &count);
}

static fet_status op_dup(fet__pickle *m, int unused)
{
    (void)unused;
    fet_status st = need(m, 1);
    return st == FET_OK ? push(m, top(m, 0)) : st;
}

/* The index of a memo instruction: a line, `width` bytes, or (MEMOIZE, -1) the next one. */
static fet_status memo_index(fet__pickle *m, int width, uint64_t *out)
{
    const char *line = NULL;
    size_t length = 0;
    fet_status st = FET_OK;
    if (width > 0)
        return take_number(m, width, out);
    *out = m->memo_count;
    if (width < 0)
        return FET_OK;
    FET_TRY(take_line(m, &line, &length));
    if (length == 0 || length > 12)
        return FET__PK_BAD(m, "'%s' is not an index of the memo", fet__pk_show(m, line, length));
    *out = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] < '0' || line[i] > '9')
            return FET__PK_BAD(m, "'%s' is not an index of the memo", fet__pk_show(m, line, length));
        *out = 10 * *out + (uint64_t)(line[i] - '0');
    }
done:
    return st;
}

/* Whoever writes pickles numbers the memo from 0: no index can be larger than the pickle has bytes. */
static fet_status op_put(fet__pickle *m, int width)
{
    fet_status st = FET_OK;
    uint64_t index = 0;
    FET_TRY(memo_index(m, width, &index));
    FET_TRY(need(m, 1));
    if (index >= m->size)
        return FET__PK_BAD(m, "index %llu of the memo in a pickle of %zu bytes", (unsigned long long)index, m->size);
    FET_TRY(fet__pk_room(m, (void **)&m->memo, (size_t)index, &m->memo_capacity, sizeof *m->memo));
    m->memo_count += m->memo[index] == NULL;
    m->memo[index] = top(m, 0);
done:
    return st;
}

static fet_status op_get(fet__pickle *m, int width)
{
    fet_status st = FET_OK;
    uint64_t index = 0;
    FET_TRY(memo_index(m, width, &index));
    if (index >= m->memo_capacity || !m->memo[index])
        return FET__PK_BAD(m, "index %llu of the memo has not been stored", (unsigned long long)index);
    FET_TRY(push(m, m->memo[index]));
done:
    return st;
}

/* ---- names, calls, persistent ids --------------------------------------------------------------------------- */

static fet_status take_global(fet__pickle *m, fet__pk **out)
{
    fet_status st = FET_OK;
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    FET_TRY(take_line(m, &module, &module_length));
    FET_TRY(take_line(m, &name, &name_length));
    FET_TRY(fet__pk_global(m, out, module, module_length, name, name_length));
done:
    return st;
}

static fet_status op_global(fet__pickle *m, int unused)
{
    fet__pk *v = NULL;
    (void)unused;
    fet_status st = take_global(m, &v);
    return st == FET_OK ? push(m, v) : st;
}

static fet_status op_stack_global(fet__pickle *m, int unused)
{
    fet_status st = FET_OK;
    fet__pk *v = NULL;
    (void)unused;
    FET_TRY(need(m, 2));
    const fet__pk *name = top(m, 0), *module = top(m, 1);
    if (name->kind != FET__PK_STR || module->kind != FET__PK_STR)
        return FET__PK_BAD(m, "a global is named by a %s",
                           fet__pk_kind_name(name->kind == FET__PK_STR ? module : name));
    FET_TRY(fet__pk_global(m, &v, module->as.text, module->count, name->as.text, name->count));
    m->depth -= 2;
    FET_TRY(push(m, v));
done:
    return st;
}

/* REDUCE, NEWOBJ (2 values: callee, arguments), NEWOBJ_EX (3: and keywords, which no rule of ours knows). */
static fet_status op_call(fet__pickle *m, int values)
{
    fet_status st = FET_OK;
    fet__pk *v = NULL;
    FET_TRY(need(m, (size_t)values));
    const fet__pk *args = top(m, (size_t)values - 2), *callee = top(m, (size_t)values - 1);
    if (args->kind != FET__PK_TUPLE)
        return FET__PK_BAD(m, "the arguments of a call are a %s, not a tuple", fet__pk_kind_name(args));
    FET_TRY(fet__pk_call(m, &v, callee, args->as.items, args->count));
    m->depth -= (size_t)values;
    FET_TRY(push(m, v));
done:
    return st;
}

/* INST: the callee is named here; OBJ: it lies above the mark. The arguments follow it there. */
static fet_status op_call_marked(fet__pickle *m, int named)
{
    fet_status st = FET_OK;
    fet__pk *callee = NULL, **items = NULL, *v = NULL;
    size_t count = 0;
    if (named)
        FET_TRY(take_global(m, &callee));
    FET_TRY(pop_mark(m, &items, &count));
    if (!named && count == 0)
        return FET__PK_BAD(m, "a call without a %s", "callee");
    if (!named) {
        callee = *items++;
        count--;
    }
    FET_TRY(fet__pk_call(m, &v, callee, items, count));
    FET_TRY(push(m, v));
done:
    return st;
}

static fet_status op_build(fet__pickle *m, int unused)
{
    fet_status st = FET_OK;
    (void)unused;
    FET_TRY(need(m, 2));
    FET_TRY(fet__pk_build(m, top(m, 1), top(m, 0)));
    m->depth--;
done:
    return st;
}

static fet_status op_persistent(fet__pickle *m, int unused)
{
    fet_status st = FET_OK;
    fet__pk *v = NULL;
    (void)unused;
    FET_TRY(need(m, 1));
    FET_TRY(fet__torch_persistent(m, &v, top(m, 0)));
    m->depth--;
    FET_TRY(push(m, v));
done:
    return st;
}

/* ---- frame and refusals ------------------------------------------------------------------------------------- */

static fet_status op_protocol(fet__pickle *m, int unused)
{
    uint64_t version = 0;
    (void)unused;
    fet_status st = take_number(m, 1, &version);
    if (st == FET_OK && version > LAST_PROTOCOL)
        return FET__PK_FAIL(m, "unsupported", "pickle protocol %d (read are 0 to %d)", (int)version, LAST_PROTOCOL);
    return st;
}

static fet_status op_frame(fet__pickle *m, int unused)
{
    uint64_t bytes = 0;
    (void)unused;
    fet_status st = take_number(m, 8, &bytes);
    if (st == FET_OK && bytes > m->size - m->at)
        return FET__PK_BAD(m, "a frame of %llu bytes, but only %zu follow: truncated?", (unsigned long long)bytes,
                           m->size - m->at);
    return st;
}

static fet_status op_refuse(fet__pickle *m, int what)
{
    static const char *const reasons[] = {"a persistent id as text, which PyTorch does not write",
                                          "a code of the extension registry, which files cannot know",
                                          "an out-of-band buffer, which files cannot hold"};
    return FET__PK_BAD(m, "%s", reasons[what]);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

typedef struct instruction {
    fet_status (*run)(fet__pickle *m, int argument);
    int argument;
} instruction;

static const instruction instructions[256] = {
    ['N'] = {op_none, 0},
    [0x88] = {op_bool, 1},
    [0x89] = {op_bool, 0},
    ['J'] = {op_int, 4},
    ['K'] = {op_int, 1},
    ['M'] = {op_int, 2},
    [0x8a] = {op_long, 1},
    [0x8b] = {op_long, 4},
    ['G'] = {op_float, 0},
    ['I'] = {op_line, 'I'},
    ['L'] = {op_line, 'L'},
    ['F'] = {op_line, 'F'},
    ['S'] = {op_line, 'S'},
    ['V'] = {op_line, 'V'},
    ['T'] = {op_string, 4 | OLD_TEXT},
    ['U'] = {op_string, 1 | OLD_TEXT},
    ['X'] = {op_string, 4 | TEXT},
    [0x8c] = {op_string, 1 | TEXT},
    [0x8d] = {op_string, 8 | TEXT},
    ['B'] = {op_string, 4 | RAW},
    ['C'] = {op_string, 1 | RAW},
    [0x8e] = {op_string, 8 | RAW},
    [0x96] = {op_string, 8 | RAW},
    ['('] = {op_mark, 0},
    [']'] = {op_empty, FET__PK_LIST},
    ['}'] = {op_empty, FET__PK_DICT},
    [')'] = {op_empty, FET__PK_TUPLE},
    [0x8f] = {op_empty, FET__PK_SET},
    ['l'] = {op_gather, FET__PK_LIST},
    ['t'] = {op_gather, FET__PK_TUPLE},
    [0x91] = {op_gather, FET__PK_SET},
    ['d'] = {op_dict, 0},
    [0x85] = {op_tuple, 1},
    [0x86] = {op_tuple, 2},
    [0x87] = {op_tuple, 3},
    ['a'] = {op_add, FET__PK_LIST},
    ['s'] = {op_add, FET__PK_DICT},
    ['e'] = {op_add_marked, FET__PK_LIST},
    ['u'] = {op_add_marked, FET__PK_DICT},
    [0x90] = {op_add_marked, FET__PK_SET},
    ['0'] = {op_pop, 0},
    ['1'] = {op_pop_mark, 0},
    ['2'] = {op_dup, 0},
    ['p'] = {op_put, 0},
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    [0x94] = {op_put, -1},
    ['g'] = {op_get, 0},
    ['h'] = {op_get, 1},
    ['j'] = {op_get, 4},
    ['c'] = {op_global, 0},
    [0x93] = {op_stack_global, 0},
    ['R'] = {op_call, 2},
    [0x81] = {op_call, 2},
    [0x92] = {op_call, 3},
    ['i'] = {op_call_marked, 1},
    ['o'] = {op_call_marked, 0},
    ['b'] = {op_build, 0},
    ['Q'] = {op_persistent, 0},
    [0x80] = {op_protocol, 0},
    [0x95] = {op_frame, 0},
    ['P'] = {op_refuse, 0},
    [0x82] = {op_refuse, 1},
    [0x83] = {op_refuse, 1},
    [0x84] = {op_refuse, 1},
    [0x97] = {op_refuse, 2},
    [0x98] = {op_refuse, 2},
};

/* ---- running ------------------------------------------------------------------------------------------------ */

void fet__pickle_begin(fet__pickle *m, const char *file, const char *place, const void *data, size_t size)
{
    *m = (fet__pickle){.file = file, .place = place, .data = data, .size = size};
}

void fet__pickle_end(fet__pickle *m)
{
    fet__free(m->stack);
    fet__free(m->memo);
    fet__free(m->marks);
    fet__free(m->storages);
    fet__arena_fini(&m->arena);
}

static void forget_last_pickle(fet__pickle *m)
{
    m->depth = m->mark_count = m->memo_count = 0;
    if (m->memo)
        memset(m->memo, 0, m->memo_capacity * sizeof *m->memo);
}

fet_status fet__pickle_run(fet__pickle *m, fet__pk **out)
{
    fet_status st = FET_OK;
    forget_last_pickle(m);
    *out = NULL;
    while (m->at < m->size && m->data[m->at] != '.') {
        m->op = m->at++;
        const instruction *i = &instructions[m->data[m->op]];
        if (!i->run)
            return FET__PK_BAD(m, "%02x is not a pickle instruction", m->data[m->op]);
        FET_TRY(i->run(m, i->argument));
    }
    m->op = m->at;
    if (m->at == m->size)
        return FET__PK_BAD(m, "the pickle has no %s: truncated?", "end");
    FET_TRY(need(m, 1));
    m->at++;
    *out = top(m, 0);
done:
    return st;
}
