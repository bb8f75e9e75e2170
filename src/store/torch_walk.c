/* The walk over a pickled object: tensors get the slash-joined path of keys and list positions as their names, all other leaves
 * are kept as JSON. Objects can be shared and cyclic: a container is not entered while the walk is inside of it, and limits
 * end what would be long. Nothing recurses. */
#include <string.h>

#include "store/torch.h"

#define MAX_DEPTH 64
#define MAX_VISITS ((size_t)1000000)
#define MAX_PATH_BYTES 4096
#define MAX_NAME_BYTES ((size_t)12 << 20) /* of all tensors' names */
#define MAX_LEAF_BYTES ((size_t)8 << 20)  /* of all other leaves' paths and values */

#define FAIL(w, word, format, ...)                                                                                     \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: " word ": at '%s' in the pickled object: " format,                         \
             fet__show((w)->f->name), fet__show(path_of(w)), __VA_ARGS__)

typedef struct frame {
    fet__pk *container;
    uint32_t next;      /* item to visit */
    size_t path_length; /* of the container itself */
} frame;

typedef struct walk {
    fet__torch_file *f;
    frame frames[MAX_DEPTH];
    int depth;
    fet__text path, json;
    size_t visits, most_visits, name_bytes, leaf_bytes;
    bool leaves_cut;
} walk;

static const char *path_of(const walk *w)
{
    return w->path.s ? w->path.s : "";
}

static void cut_path(walk *w, size_t length)
{
    w->path.length = length;
    if (w->path.s)
        w->path.s[length] = '\0';
}

/* ---- leaves ------------------------------------------------------------------------------------------------- */

static fet_status visit_tensor(walk *w, fet__torch_tensor *t)
{
    fet_status st = FET_OK;
    w->name_bytes += w->path.length;
    if (w->name_bytes > MAX_NAME_BYTES)
        return FAIL(w, "too large", "the names of its tensors have more than %zu bytes", MAX_NAME_BYTES);
    FET_TRY(fet__torch_tensor_data(w->f, t));
    FET_TRY(fet__tensors_add(w->f->t, path_of(w), t->dtype, &t->shape, t->data,
                             fet__shape_count(&t->shape) * (int64_t)fet__dtype_bytes(t->dtype)));
done:
    return st;
}

/* Leaves are for people: a log of losses that fills the limit is no reason to refuse the weights beside it. */
static fet_status visit_leaf(walk *w, const fet__pk *v)
{
    size_t length = v->kind == FET__PK_STR ? v->count : 64;
    w->leaf_bytes += w->path.length + length + sizeof(fet__leaf);
    w->leaves_cut |= w->leaf_bytes > MAX_LEAF_BYTES;
    if (w->leaves_cut)
        return FET_OK;
    w->json.length = 0;
    fet__torch_leaf_json(&w->json, v);
    if (w->json.failed || w->path.failed)
        return FET_E_NOMEM;
    return fet__tensors_add_leaf(w->f->t, path_of(w), w->json.s);
}

/* ---- the walk ----------------------------------------------------------------------------------------------- */

static fet_status enter(walk *w, fet__pk *v)
{
    if (w->depth == MAX_DEPTH)
        return FAIL(w, "too deep", "nested over %d levels", MAX_DEPTH);
    v->on_path = true;
    w->frames[w->depth++] = (frame){v, 0, w->path.length};
    return FET_OK;
}

static fet_status visit(walk *w, fet__pk *v)
{
    if (++w->visits > w->most_visits)
        return FAIL(w, "too large", "it has more than %zu parts, counting shared ones each time", w->most_visits);
    if (v->kind == FET__PK_TENSOR)
        return visit_tensor(w, v->as.tensor);
    bool container = v->kind == FET__PK_LIST || v->kind == FET__PK_TUPLE || v->kind == FET__PK_DICT;
    if (!container || v->count == 0)
        return visit_leaf(w, v);
    return v->on_path ? FET_OK : enter(w, v);
}

/* The path of the frame's next item. */
static fet_status extend_path(walk *w, const frame *f)
{
    cut_path(w, f->path_length);
    if (w->path.length > 0)
        fet__text_add(&w->path, "/", 1);
    if (f->container->kind != FET__PK_DICT)
        fet__text_printf(&w->path, "%u", f->next);
    else if (!fet__torch_key_text(&w->path, f->container->as.items[f->next]))
        return FAIL(w, "unsupported", "the key of item %u is a large tuple", f->next / 2);
    if (w->path.failed)
        return FET_E_NOMEM;
    if (w->path.length > MAX_PATH_BYTES)
        return FAIL(w, "too large", "a path of %zu bytes", w->path.length);
    if (w->path.length > 0 && memchr(w->path.s, 0, w->path.length))
        return FAIL(w, "malformed", "the key of item %u holds a NUL byte", f->next / 2);
    return FET_OK;
}

static fet_status step(walk *w)
{
    fet_status st = FET_OK;
    frame *f = &w->frames[w->depth - 1];
    bool dict = f->container->kind == FET__PK_DICT;
    if (f->next >= f->container->count) {
        f->container->on_path = false;
        w->depth--;
        return FET_OK;
    }
    FET_TRY(extend_path(w, f));
    fet__pk *item = f->container->as.items[f->next + dict];
    f->next += dict ? 2 : 1;
    FET_TRY(visit(w, item));
done:
    return st;
}

/* What is not shared needs a byte of the pickle at least, so that a real object stays far below this. */
static size_t most_visits(const fet__torch_file *f)
{
    size_t most = 10000 + 4 * f->pickle.size;
    return most < MAX_VISITS ? most : MAX_VISITS;
}

fet_status fet__torch_walk(fet__torch_file *f, fet__pk *root)
{
    fet_status st = FET_OK;
    walk w = {.f = f, .most_visits = most_visits(f)};
    FET_TRY(visit(&w, root));
    while (w.depth > 0)
        FET_TRY(step(&w));
    if (w.leaves_cut)
        fet__note("%s: only the first %zu MiB of what it holds besides tensors are kept", fet__show(f->name),
                  MAX_LEAF_BYTES >> 20);
done:
    fet__text_fini(&w.path);
    fet__text_fini(&w.json);
    return st;
}
