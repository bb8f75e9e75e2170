/* Recipes: YAML files of one mapping from option names to values. What a value means is the caller's business. YAML
 * has far more than recipes need (references, types, nesting); all of that is refused with its line, so that nothing
 * in a recipe is ever ignored. The parser is libyaml's event interface, which builds nothing by itself. */
#include <string.h>
#include <yaml.h>

#include "store/store_int.h"

#define MAX_BYTES (256 * 1024)
#define MAX_KEYS 1024

#define REFUSE(r, line, format, ...)                                                                                   \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: line %d: " format, fet__show((r)->name), (line), __VA_ARGS__)

/* One parse. `event` is the present event; `line` its line, from 1. */
typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    int line;
    const char *name;
    fet__recipe *out;
    int capacity;
} reader;

static void drop_event(reader *r)
{
    if (r->have_event)
        yaml_event_delete(&r->event);
    r->have_event = false;
}

static fet_status next_event(reader *r)
{
    drop_event(r);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        if (r->parser.error == YAML_MEMORY_ERROR)
            return FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory", fet__show(r->name));
        size_t line = r->parser.error == YAML_READER_ERROR ? r->parser.mark.line : r->parser.problem_mark.line;
        return REFUSE(r, (int)line + 1, "not valid YAML: %s", r->parser.problem ? r->parser.problem : "unreadable");
    }
    r->have_event = true;
    r->line = (int)r->event.start_mark.line + 1;
    return FET_OK;
}

static const char *event_text(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT: return "an alias (*name)";
    case YAML_SCALAR_EVENT: return "a single value";
    case YAML_SEQUENCE_START_EVENT: return "a list";
    case YAML_MAPPING_START_EVENT: return "a mapping";
    default: return "something else";
    }
}

/* Anchors and tags may stand before any value; none is wanted. */
static fet_status refuse_decoration(const reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        return REFUSE(r, r->line, "anchors (&%s) are not allowed in a recipe", fet__show((const char *)anchor));
    if (tag)
        return REFUSE(r, r->line, "tags (%s) are not allowed in a recipe", fet__show((const char *)tag));
    return FET_OK;
}

/* The present event as text, appended to `text`; `what` says what it should be. */
static fet_status take_scalar(reader *r, fet__text *text, const char *what)
{
    const yaml_event_t *e = &r->event;
    if (e->type != YAML_SCALAR_EVENT)
        return REFUSE(r, r->line, "%s must be a plain value, not %s", what, event_text(e));
    fet_status st = refuse_decoration(r, e->data.scalar.anchor, e->data.scalar.tag);
    if (st != FET_OK)
        return st;
    const char *s = (const char *)e->data.scalar.value;
    size_t length = e->data.scalar.length;
    if (length == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return REFUSE(r, r->line, "%s is missing", what);
    if (strlen(s) != length)
        return REFUSE(r, r->line, "%s holds a NUL character", what);
    fet__text_add(text, s, length);
    return FET_OK;
}

static fet_status take_list(reader *r, fet__text *text, const char *what)
{
    fet_status st = FET_OK;
    const yaml_event_t *e = &r->event;
    int start = r->line;
    FET_TRY(refuse_decoration(r, e->data.sequence_start.anchor, e->data.sequence_start.tag));
    FET_TRY(next_event(r));
    for (int i = 0; r->event.type != YAML_SEQUENCE_END_EVENT; i++) {
        if (i > 0)
            fet__text_add(text, "+", 1);
        size_t before = text->length;
        FET_TRY(take_scalar(r, text, "an item of a list"));
        if (text->length == before && !text->failed)
            return REFUSE(r, r->line, "%s", "an item of a list is empty");
        FET_TRY(next_event(r));
    }
    if (text->length == 0 && !text->failed)
        return REFUSE(r, start, "%s is an empty list", what);
done:
    return st;
}

static fet_status check_key(const reader *r, const char *key, int line)
{
    const fet__recipe *out = r->out;
    if (!key[0])
        return REFUSE(r, line, "%s", "an option's name is empty");
    for (int i = 0; i < out->count; i++) {
        if (strcmp(out->keys[i], key) == 0)
            return REFUSE(r, line, "'%s' is given again (first on line %d)", fet__show(key), out->lines[i]);
    }
    if (out->count == MAX_KEYS)
        return REFUSE(r, line, "more than %d options", MAX_KEYS);
    return FET_OK;
}

/* Grow the three arrays together; they stay owned by `out` whatever fails. */
static fet_status make_room(reader *r)
{
    fet__recipe *out = r->out;
    if (out->count < r->capacity)
        return FET_OK;
    size_t old = (size_t)r->capacity, grown = old ? 2 * old : 16;
    char **keys = fet__realloc(out->keys, old, grown, sizeof *keys);
    if (!keys)
        return FET_E_NOMEM;
    out->keys = keys;
    char **values = fet__realloc(out->values, old, grown, sizeof *values);
    if (!values)
        return FET_E_NOMEM;
    out->values = values;
    int *lines = fet__realloc(out->lines, old, grown, sizeof *lines);
    if (!lines)
        return FET_E_NOMEM;
    out->lines = lines;
    r->capacity = (int)grown;
    return FET_OK;
}

static fet_status add_pair(reader *r, const char *key, const char *value, int line)
{
    fet_status st = make_room(r);
    if (st != FET_OK)
        return st;
    fet__recipe *out = r->out;
    char *k = fet__strdup(key), *v = fet__strdup(value);
    if (!k || !v) {
        fet__free(k);
        fet__free(v);
        return FET_E_NOMEM;
    }
    out->keys[out->count] = k;
    out->values[out->count] = v;
    out->lines[out->count++] = line;
    return FET_OK;
}

/* The present event is a key. */
static fet_status take_pair(reader *r)
{
    fet_status st = FET_OK;
    fet__text key = {0}, value = {0};
    char what[96];
    int line = r->line;
    FET_TRY(take_scalar(r, &key, "an option's name"));
    if (key.failed) {
        st = FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory", fet__show(r->name));
        goto done;
    }
    FET_TRY(check_key(r, key.s ? key.s : "", line));
    snprintf(what, sizeof what, "the value of '%.60s'", fet__show(key.s));
    FET_TRY(next_event(r));
    if (r->event.type == YAML_SEQUENCE_START_EVENT)
        FET_TRY(take_list(r, &value, what));
    else
        FET_TRY(take_scalar(r, &value, what));
    if (value.failed)
        st = FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory", fet__show(r->name));
    else
        st = add_pair(r, key.s, value.s ? value.s : "", line);
done:
    fet__text_fini(&key);
    fet__text_fini(&value);
    return st;
}

static fet_status take_mapping(reader *r)
{
    fet_status st = FET_OK;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return REFUSE(r, r->line, "a recipe is a mapping of options (lines 'name: value'), not %s",
                      event_text(&r->event));
    FET_TRY(refuse_decoration(r, r->event.data.mapping_start.anchor, r->event.data.mapping_start.tag));
    FET_TRY(next_event(r));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        FET_TRY(take_pair(r));
        FET_TRY(next_event(r));
    }
done:
    return st;
}

static fet_status take_stream(reader *r)
{
    fet_status st = FET_OK;
    FET_TRY(next_event(r)); /* start of the stream */
    FET_TRY(next_event(r)); /* start of the document */
    if (r->event.type == YAML_STREAM_END_EVENT)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: the recipe holds no options", fet__show(r->name));
    FET_TRY(next_event(r));
    FET_TRY(take_mapping(r));
    FET_TRY(next_event(r)); /* end of the document */
    FET_TRY(next_event(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return REFUSE(r, r->line, "%s", "a recipe is one document; a second one begins here");
    if (r->out->count == 0)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: the recipe holds no options", fet__show(r->name));
done:
    return st;
}

fet_status fet__recipe_parse(fet__recipe *out, const char *text, size_t size, const char *name)
{
    fet_status st = FET_OK;
    reader r = {.name = name, .out = out};
    *out = (fet__recipe){0};
    if (size > MAX_BYTES)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: %zu bytes are too many for a recipe; the limit is %d",
                        fet__show(name), size, MAX_BYTES);
    if (!yaml_parser_initialize(&r.parser))
        return FET_FAIL(FET_E_NOMEM, "cannot read %s: no memory", fet__show(name));
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    FET_TRY(take_stream(&r));
done:
    drop_event(&r);
    yaml_parser_delete(&r.parser);
    if (st != FET_OK)
        fet__recipe_fini(out);
    return st;
}

fet_status fet__recipe_read(fet__recipe *out, const char *path)
{
    fet__map map = {0};
    *out = (fet__recipe){0};
    fet_status st = fet__map_open(&map, path);
    if (st != FET_OK)
        return st;
    st = fet__recipe_parse(out, (const char *)map.data, map.size, path);
    fet__map_close(&map);
    return st;
}

void fet__recipe_fini(fet__recipe *r)
{
    for (int i = 0; i < r->count; i++) {
        fet__free(r->keys[i]);
        fet__free(r->values[i]);
    }
    fet__free(r->keys);
    fet__free(r->values);
    fet__free(r->lines);
    *r = (fet__recipe){0};
}
