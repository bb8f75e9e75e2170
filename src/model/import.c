/* From an open file to a store in our names: the network's part of the file, the family of its names, its prefix, then one rule a
 * tensor. Values are touched only where a rule says so: all others stay where the file is mapped. */
#include "model/import.h"

#include <stdlib.h>
#include <string.h>

/* ---- items ------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);

    return a >= b && strcmp(s + a - b, end) == 0;
}

/* Buffers that any library may write and that we compute. */
static bool is_buffer(const char *name)
{
    static const char *const ends[] = {"num_batches_tracked", "relative_position_index", "attn_mask", "position_ids",
                                       "relative_coords_table"};

    for (size_t i = 0; i < FET_COUNT(ends); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* big_vision stacks the blocks along a first axis: "Transformer/encoderblock/X" [12, ..] is shown as 12 tensors. */
static const char *stacked_tail(const char *name, size_t *head)
{
    static const char stack[] = "Transformer/encoderblock/";
    const char *at = strstr(name, stack);

    if (!at)
        return NULL;
    *head = (size_t)(at - name) + sizeof stack - 2;
    return at + sizeof stack - 2;
}

static int64_t item_slices(const fet__entry *e)
{
    size_t head;

    return stacked_tail(e->name, &head) && e->shape.rank > 0 && e->shape.dim[0] > 0 && e->shape.dim[0] <= 512
               ? e->shape.dim[0]
               : 1;
}

static fet_status add_item(fet__import *im, const fet__entry *e, size_t skip, int64_t slice, int64_t slices)
{
    fet__import_item *item = &im->items[im->count++];
    size_t head = 0;
    const char *tail = stacked_tail(e->name, &head);
    int i;

    item->original = e->name;
    item->e = *e;
    item->e.name = e->name + skip;
    if (!tail || slices == 1)
        return FET_OK;
    item->e.name = fet__arena_format(&im->arena, "%.*s_%d%s", (int)(head - skip), e->name + skip, (int)slice, tail);
    item->e.bytes = e->bytes / slices;
    item->e.data = (const char *)e->data + slice * item->e.bytes;
    item->e.shape.rank--;
    for (i = 0; i < item->e.shape.rank; i++)
        item->e.shape.dim[i] = e->shape.dim[i + 1];
    return item->e.name ? FET_OK : FET_E_NOMEM;
}

static fet_status collect(fet__import *im, const fet__tensors *t)
{
    size_t skip = strlen(im->container);
    int64_t total = 1;
    int i, k;
    fet_status st = FET_OK;

    for (i = 0; i < fet__tensors_count(t); i++)
        total += item_slices(fet__tensors_at(t, i));
    if (!(im->items = fet__arena_alloc(&im->arena, (size_t)total, sizeof *im->items)))
        return FET_E_NOMEM;
    for (i = 0; i < fet__tensors_count(t); i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        int64_t slices = item_slices(e);
        if (strncmp(e->name, im->container, skip) != 0)
            continue;
        for (k = 0; k < slices; k++)
            FET_TRY(add_item(im, e, skip, k, slices));
    }
done:
    return st;
}

/* ---- family and prefix ---------------------------------------------------------------------------------------------- */

typedef struct names {
    const char **sorted;
    int count;
} names;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool contains(const names *n, const char *prefix, size_t length, const char *rest)
{
    char name[512];
    const char *key = name;

    if ((size_t)snprintf(name, sizeof name, "%.*s%s", (int)length, prefix, rest) >= sizeof name)
        return false;
    return bsearch(&key, n->sorted, (size_t)n->count, sizeof *n->sorted, by_text) != NULL;
}

/* The prefix under which all anchors of `f` stand, seen from one tensor that may be the first anchor; -1: none. */
static int prefix_at(const fet__import_family *f, const names *n, const char *name)
{
    size_t length = strlen(name), anchor = strlen(f->anchor[0]), i;

    if (!ends_with(name, f->anchor[0]))
        return -1;
    length -= anchor;
    if (length > 400 || (length > 0 && name[length - 1] != '.' && name[length - 1] != '/'))
        return -1;
    for (i = 1; i < FET_COUNT(f->anchor) && f->anchor[i]; i++)
        if (!contains(n, name, length, f->anchor[i]))
            return -1;
    return (int)length;
}

static int prefix_rank(const char *prefix, const char *wanted)
{
    if (wanted && strstr(prefix, wanted))
        return 0;
    return fet__is_average(prefix) ? 2 : 1;
}

/* The best prefix for the family; how many there are. */
static fet_status find_prefix(fet__import *im, const fet__import_family *f, const names *n, const char *wanted,
                              int *found)
{
    char *best = NULL, *prefix;
    int i, length;

    *found = 0;
    for (i = 0; i < im->count; i++) {
        if ((length = prefix_at(f, n, im->items[i].e.name)) < 0)
            continue;
        if (!(prefix = fet__arena_format(&im->arena, "%.*s", length, im->items[i].e.name)))
            return FET_E_NOMEM;
        ++*found;
        if (!best || prefix_rank(prefix, wanted) < prefix_rank(best, wanted) ||
            (prefix_rank(prefix, wanted) == prefix_rank(best, wanted) && strlen(prefix) < strlen(best)))
            best = prefix;
    }
    if (best) {
        im->family = f;
        im->prefix = best;
    }
    return FET_OK;
}

/* Names without a family: words in front that every tensor carries. */
static void common_prefix(fet__import *im)
{
    static const char *const words[] = {"module.",  "_orig_mod.", "model.",     "net.",
                                        "network.", "backbone.",  "algorithm.", "encoder."};
    char *prefix = fet__arena_alloc(&im->arena, 256, 1);
    size_t used = 0, w = 0;
    int i;

    im->prefix = prefix ? prefix : "";
    while (prefix && w < FET_COUNT(words) && used < 200) {
        for (i = 0; i < im->count && strncmp(im->items[i].e.name + used, words[w], strlen(words[w])) == 0; i++)
            ;
        if (i < im->count || im->count == 0) {
            w++;
            continue;
        }
        memcpy(prefix + used, words[w], strlen(words[w]) + 1);
        used += strlen(words[w]);
        w = 0;
    }
}

/* Inside, the prefix goes; beside it, as many of its words as the name shares. */
static void drop_prefix(fet__import *im)
{
    size_t length = strlen(im->prefix);
    int i;

    for (i = 0; i < im->count; i++) {
        const char *name = im->items[i].e.name;
        size_t shared = 0, k;
        im->items[i].inside = strncmp(name, im->prefix, length) == 0;
        for (k = 0; k < length && name[k] == im->prefix[k]; k++)
            if (name[k] == '.' || name[k] == '/')
                shared = k + 1;
        im->items[i].e.name += shared;
    }
}

static fet_status choose_family(fet__import *im, const char *wanted)
{
    names n = {.count = im->count};
    int i, found = 0;
    fet_status st;

    FET_TRY(FET_NEW(n.sorted, im->count + 1));
    for (i = 0; i < im->count; i++)
        n.sorted[i] = im->items[i].e.name;
    qsort(n.sorted, (size_t)n.count, sizeof *n.sorted, by_text);
    for (i = 0; fet__import_families[i] && !found; i++)
        FET_TRY(find_prefix(im, fet__import_families[i], &n, wanted, &found));
    if (!found)
        common_prefix(im);
    if (found > 1)
        fet__note("%s: it holds %d networks of this kind; that under '%s' is taken (--weights chooses)",
                  fet__show(im->path), found, fet__show(im->prefix));
done:
    fet__free(n.sorted);
    return st;
}

/* ---- values ------------------------------------------------------------------------------------------------------------ */

#define PIECES 4096

/* A tensor that comes in several pieces. */
typedef struct fused {
    fet__param *param;
    const fet__import_item *first;
    uint32_t filled;
    int parts;
} fused;

typedef struct work {
    fet__import *im;
    fet__params *store;
    fused *pieces;
    int count, room;
} work;

static fet_status adopt(work *w, fet__import_item *item, const char *name)
{
    const fet__entry *e = &item->e;
    fet__param *p;
    fet_status st;

    if (fet__params_find(w->store, name))
        return FET_FAIL(FET_E_FORMAT, "%s: two tensors give %s; one of them is %s", fet__show(w->im->path),
                        fet__show(name), fet__show(item->original));
    if (e->dtype == FET_F32 && fet__entry_aligned(e)) {
        FET_TRY(fet__params_add_borrowed(w->store, &p, name, FET_F32, e->shape, FET__PARAM, e->data));
    } else {
        FET_TRY(fet__params_add(w->store, &p, name, FET_F32, e->shape, FET__PARAM));
        fet__convert(p->data, FET_F32, e->data, e->dtype, fet__shape_count(&e->shape));
    }
    p->loaded = true;
    item->used = true;
done:
    return st;
}

static fet_status pieces_of(work *w, fused **out, const fet__import_item *item, const char *name,
                            const fet__shape *shape, int parts)
{
    fet__param *p;
    fused *grown;
    fet_status st;
    int i;

    for (i = w->count - 1; i >= 0; i--)
        if (strcmp(w->pieces[i].param->name, name) == 0) {
            *out = &w->pieces[i];
            return FET_OK;
        }
    if (w->count == PIECES) /* looked through one by one */
        return FET_FAIL(FET_E_FORMAT, "%s: more than %d layers in pieces", fet__show(w->im->path), PIECES);
    FET_TRY(fet__params_add(w->store, &p, name, FET_F32, *shape, FET__PARAM));
    p->loaded = true;
    if (w->count == w->room) {
        grown = fet__realloc(w->pieces, (size_t)w->room, (size_t)w->room * 2 + 64, sizeof *grown);
        if (!grown)
            return FET_E_NOMEM;
        w->pieces = grown;
        w->room = w->room * 2 + 64;
    }
    w->pieces[w->count] = (fused){p, item, 0, parts};
    *out = &w->pieces[w->count++];
done:
    return st;
}

static fet_status rearrange(work *w, fet__import_item *item, const char *name, const fet__import_layout *l)
{
    fet__shape shape;
    fused *f;
    fet_status st;

    if (!fet__layout_shape(l, &item->e.shape, &shape))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s has shape %s, which is not how a %s holds %s",
                        fet__show(w->im->path), fet__show(item->original), fet__shape_text(&item->e.shape),
                        w->im->family->name, fet__show(name));
    FET_TRY(pieces_of(w, &f, item, name, &shape, l->parts ? l->parts : 1));
    if (!fet__shape_equal(&f->param->shape, &shape))
        return FET_FAIL(FET_E_FORMAT, "%s: tensors %s and %s are parts of one layer, but differ in shape (%s)",
                        fet__show(w->im->path), fet__show(f->first->original), fet__show(item->original),
                        fet__shape_text(&item->e.shape));
    if (f->filled & (1u << l->part))
        return FET_FAIL(FET_E_FORMAT, "%s: two tensors give %s; one of them is %s", fet__show(w->im->path),
                        fet__show(name), fet__show(item->original));
    FET_TRY(fet__layout_fill(l, f->param->data, &item->e));
    f->filled |= 1u << l->part;
    item->used = true;
done:
    return st;
}

static fet_status check_pieces(const work *w)
{
    int i;

    for (i = 0; i < w->count; i++)
        if (w->pieces[i].filled != (1u << w->pieces[i].parts) - 1)
            return FET_FAIL(FET_E_FORMAT, "%s: of the %d parts of %s some are missing; %s is there",
                            fet__show(w->im->path), w->pieces[i].parts, fet__show(w->pieces[i].param->name),
                            fet__show(w->pieces[i].first->original));
    return FET_OK;
}

/* ---- rules -------------------------------------------------------------------------------------------------------------- */

static const fet__import_rule *find_rule(const fet__import_rule *rules, const char *name, char *out, size_t size)
{
    for (; rules && rules->from; rules++)
        if (fet__name_map(rules->from, rules->to, name, out, size))
            return rules;
    return NULL;
}

bool fet__import_name(const fet__import_family *f, const char *name, char *out, size_t size,
                      const fet__import_layout **layout)
{
    const fet__import_rule *r = f ? find_rule(f->rules, name, out, size) : NULL;

    if (!r && f)
        r = find_rule(f->outside, name, out, size);
    if (layout)
        *layout = r ? r->layout : NULL;
    if (r)
        return r->to != NULL;
    return (!f || f->open) && (size_t)snprintf(out, size, "%s", name) < size;
}

static fet_status place(work *w, fet__import_item *item)
{
    const fet__import_family *f = w->im->family;
    const fet__import_rule *r = NULL;
    char name[512];

    if (is_buffer(item->e.name)) {
        item->used = true;
        return FET_OK;
    }
    if (!fet__dtype_is_float(item->e.dtype))
        return FET_OK;
    if (f) {
        r = find_rule(item->inside ? f->rules : f->outside, item->e.name, name, sizeof name);
        if (!r && (!f->open || !item->inside))
            return FET_OK;
    }
    if (!r)
        return adopt(w, item, item->e.name);
    item->used = !r->to;
    if (!r->to)
        return FET_OK;
    return r->layout ? rearrange(w, item, name, r->layout) : adopt(w, item, name);
}

static void report(const fet__import *im)
{
    fet__text list = {0};
    int i, unused = 0;

    for (i = 0; i < im->count; i++)
        if (!im->items[i].used && unused++ < 4)
            fet__text_printf(&list, "%s%s", list.length ? ", " : "", fet__show(im->items[i].original));
    if (im->family && (im->prefix[0] || im->container[0] || !im->family->open))
        fet__note("%s: read as %s%s%s%s", fet__show(im->path), im->family->name,
                  im->prefix[0] || im->container[0] ? " under " : "", fet__show(im->container), fet__show(im->prefix));
    if (unused)
        fet__note("%s: %d of %d tensors are not used: %s%s", fet__show(im->path), unused, im->count,
                  list.s ? list.s : "", unused > 4 ? ", ..." : "");
    fet__text_fini(&list);
}

/* Which part of the file, which family, which prefix. */
static fet_status detect(fet__import *out, const fet__tensors *t, const char *weights)
{
    bool found;
    fet_status st;

    *out = (fet__import){.path = fet__tensors_path(t), .container = "", .prefix = ""};
    FET_TRY(fet__container_choose(&out->container, &found, t, weights, &out->arena));
    FET_TRY(collect(out, t));
    FET_TRY(choose_family(out, weights));
    if (weights && !found && !strstr(out->prefix, weights)) {
        st = FET_FAIL(FET_E_ARG, "%s: it holds no weights '%s'", fet__show(out->path), fet__show(weights));
        goto done;
    }
    drop_prefix(out);
    if (out->family) {
        out->hints.source = out->family->name;
        if (out->family->hints)
            out->family->hints(out, &out->hints);
    }
done:
    return st;
}

fet_status fet__import_detect(fet__import *out, const fet__tensors *t)
{
    return detect(out, t, NULL);
}

fet_status fet__import_tensors(fet__import *out, const fet__tensors *t, fet__params *store, const char *weights)
{
    work w = {out, store, NULL, 0, 0};
    fet_status st;
    int i;

    FET_TRY(detect(out, t, weights));
    for (i = 0; i < out->count; i++)
        FET_TRY(place(&w, &out->items[i]));
    FET_TRY(check_pieces(&w));
    report(out);
done:
    fet__free(w.pieces);
    return st;
}

void fet__import_fini(fet__import *im)
{
    fet__arena_fini(&im->arena);
    memset(im, 0, sizeof *im);
}
