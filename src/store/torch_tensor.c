/* Storages and tensors as pickles describe them. Everything a tensor claims is checked here against its storage's size, with
 * overflow in mind; whether the storage is what it claims is checked when its data is looked for (torch_data.c). */
#include <string.h>

#include "store/pickle_int.h"
#include "store/torch.h"

/* ---- persistent ids ----------------------------------------------------------------------------------------- */

/* A view of a storage, as very old files have it: (key, offset, size) in elements, or None. */
static fet_status read_view(fet__pickle *m, fet__torch_storage *s, const fet__pk *view)
{
    if (view->kind == FET__PK_NONE)
        return FET_OK;
    fet__pk *const *part = view->as.items;
    if (view->kind != FET__PK_TUPLE || view->count != 3 || part[1]->kind != FET__PK_INT || part[2]->kind != FET__PK_INT)
        return FET__PK_BAD(m, "the view of a storage is a %s", fet__pk_kind_name(view));
    int64_t width = (int64_t)fet__dtype_bytes(s->dtype), begin = part[1]->as.integer, size = part[2]->as.integer;
    if (begin < 0 || size < 0 || begin > s->numel || size > s->numel - begin)
        return FET__PK_BAD(m, "a view of %lld elements from %lld in a storage of %lld", (long long)size,
                           (long long)begin, (long long)s->numel);
    s->begin = begin * width;
    s->end = s->begin + size * width;
    return FET_OK;
}

static fet_status keep_storage(fet__pickle *m, fet__pk **out, fet__torch_storage *s)
{
    fet_status st = FET_OK;
    FET_TRY(fet__pk_room(m, (void **)&m->storages, m->storage_count, &m->storage_capacity, sizeof *m->storages));
    m->storages[m->storage_count++] = s;
    FET_TRY(fet__pk_keep(m, out, fet__pk_new(m, FET__PK_STORAGE)));
    (*out)->as.storage = s;
done:
    return st;
}

/* ('storage', class, key, location, numel[, view]) */
fet_status fet__torch_persistent(fet__pickle *m, fet__pk **out, const fet__pk *id)
{
    fet_status st = FET_OK;
    fet__pk *const *part = id->as.items;
    if (id->kind != FET__PK_TUPLE || id->count == 0)
        return FET__PK_BAD(m, "a persistent id is a %s, not a tuple", fet__pk_kind_name(id));
    if (fet__pk_is(part[0], "module"))
        return FET__PK_FAIL(m, "refused", "%s", FET__PK_MODULE_ADVICE);
    if (!fet__pk_is(part[0], "storage") || (id->count != 5 && id->count != 6))
        return FET__PK_BAD(m, "a persistent id of %u parts that names no storage", id->count);
    if (part[1]->kind != FET__PK_GLOBAL || part[1]->action != FET__PK_STORAGE_TYPE)
        return FET__PK_BAD(m, "the class of a storage is a %s", fet__pk_kind_name(part[1]));
    if (part[2]->kind != FET__PK_STR || part[2]->count > FET__PICKLE_MAX_NAME)
        return FET__PK_BAD(m, "the key of a storage is a %s", fet__pk_kind_name(part[2]));
    if (part[4]->kind != FET__PK_INT || part[4]->as.integer < 0)
        return FET__PK_BAD(m, "a storage without a proper number of elements (%s)", fet__pk_kind_name(part[4]));
    fet__torch_storage *s = fet__pk_alloc(m, 1, sizeof *s);
    if (!s)
        return m->failure;
    s->key = part[2]->as.text;
    s->key_length = part[2]->count;
    s->typed = part[1]->dtype >= 0;
    s->dtype = s->typed ? (fet_dtype)part[1]->dtype : FET_U8;
    s->numel = part[4]->as.integer;
    s->op = m->op;
    if (__builtin_mul_overflow(s->numel, (int64_t)fet__dtype_bytes(s->dtype), &s->bytes))
        return FET__PK_BAD(m, "a storage of %lld elements: their size overflows", (long long)s->numel);
    s->end = s->bytes;
    if (id->count == 6)
        FET_TRY(read_view(m, s, part[5]));
    FET_TRY(keep_storage(m, out, s));
done:
    return st;
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

static fet_status read_numbers(fet__pickle *m, int64_t *out, const fet__pk *tuple, const char *what)
{
    for (uint32_t i = 0; i < tuple->count; i++) {
        const fet__pk *v = tuple->as.items[i];
        if (v->kind != FET__PK_INT || v->as.integer < 0)
            return FET__PK_BAD(m, "item %u of a tensor's %s is no number from 0 up", i, what);
        out[i] = v->as.integer;
    }
    return FET_OK;
}

static fet_status read_geometry(fet__pickle *m, fet__torch_tensor *t, fet__pk *const *args)
{
    fet_status st = FET_OK;
    const fet__pk *offset = args[1], *size = args[2], *stride = args[3];
    if (offset->kind != FET__PK_INT || offset->as.integer < 0)
        return FET__PK_BAD(m, "the offset of a tensor (%s) is no number from 0 up", fet__pk_kind_name(offset));
    if (size->kind != FET__PK_TUPLE || stride->kind != FET__PK_TUPLE || size->count != stride->count)
        return FET__PK_BAD(m, "sizes and strides of a tensor (%s, %s) are no tuples of one length",
                           fet__pk_kind_name(size), fet__pk_kind_name(stride));
    if (size->count > FET__MAX_RANK)
        return FET__PK_FAIL(m, "unsupported", "a tensor of %u dimensions; at most %d are known", size->count,
                            FET__MAX_RANK);
    t->offset = offset->as.integer;
    t->shape.rank = (int)size->count;
    FET_TRY(read_numbers(m, t->shape.dim, size, "sizes"));
    FET_TRY(read_numbers(m, t->stride, stride, "strides"));
done:
    return st;
}

/* The last element lies within the storage. */
static fet_status check_extent(fet__pickle *m, const fet__torch_tensor *t)
{
    int64_t count = fet__shape_count(&t->shape), last = t->offset, bytes = 0,
            width = (int64_t)fet__dtype_bytes(t->dtype);
    int64_t held = (t->storage->end - t->storage->begin) / width;
    if (count < 0 || __builtin_mul_overflow(count, width, &bytes))
        return FET__PK_BAD(m, "the size of a tensor of shape %s overflows", fet__shape_text(&t->shape));
    for (int i = 0; count > 0 && i < t->shape.rank; i++) {
        int64_t reach = 0;
        if (__builtin_mul_overflow(t->shape.dim[i] - 1, t->stride[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return FET__PK_BAD(m, "the extent of a tensor of shape %s overflows", fet__shape_text(&t->shape));
    }
    if (count > 0 ? last >= held : last > held)
        return FET__PK_BAD(m, "a tensor of shape %s at offset %lld reaches element %lld of a storage of %lld elements",
                           fet__shape_text(&t->shape), (long long)t->offset, (long long)last, (long long)held);
    return FET_OK;
}

/* The type of the elements: the storage's, or (version 3) an argument. */
static fet_status choose_dtype(fet__pickle *m, fet__torch_tensor *t, const fet__pk *given)
{
    if (!given && t->storage->typed) {
        t->dtype = t->storage->dtype;
        return FET_OK;
    }
    if (!given || given->kind != FET__PK_GLOBAL || given->action != FET__PK_TYPE)
        return FET__PK_BAD(m, "a tensor's element type is %s", given ? fet__pk_kind_name(given) : "missing");
    if (given->dtype < 0)
        return FET__PK_FAIL(m, "unsupported", "a tensor of an element type that is not read (%s)",
                            "complex, 8-bit float ...");
    t->dtype = (fet_dtype)given->dtype;
    return FET_OK;
}

/* What the stored values do not say: {'neg': True} means that they are the negated ones. */
static fet_status check_metadata(fet__pickle *m, const fet__pk *metadata)
{
    if (metadata->kind != FET__PK_NONE && metadata->kind != FET__PK_DICT)
        return FET__PK_BAD(m, "the metadata of a tensor is a %s", fet__pk_kind_name(metadata));
    for (uint32_t i = 1; metadata->kind == FET__PK_DICT && i < metadata->count; i += 2) {
        const fet__pk *v = metadata->as.items[i];
        if (v->kind != FET__PK_BOOL || v->as.integer)
            return FET__PK_FAIL(m, "unsupported", "a tensor whose values are marked as %s",
                                "negated or conjugated; in PyTorch, save tensor.resolve_neg()");
    }
    return FET_OK;
}

/* (storage, offset, size, stride[, requires_grad, hooks[, dtype][, metadata]]) */
static fet_status rebuild_tensor(fet__pickle *m, fet__pk **out, fet__pk_action action, fet__pk *const *args,
                                 size_t count)
{
    fet_status st = FET_OK;
    bool counted = action == FET__PK_REBUILD      ? count == 4
                   : action == FET__PK_REBUILD_V2 ? count == 6 || count == 7
                                                  : count == 7 || count == 8;
    if (!counted)
        return FET__PK_BAD(m, "a tensor is rebuilt from %zu arguments", count);
    if (args[0]->kind != FET__PK_STORAGE)
        return FET__PK_BAD(m, "a tensor is rebuilt from a %s, not from a storage", fet__pk_kind_name(args[0]));
    fet__torch_tensor *t = fet__pk_alloc(m, 1, sizeof *t);
    if (!t)
        return m->failure;
    t->storage = args[0]->as.storage;
    t->op = m->op;
    FET_TRY(choose_dtype(m, t, action == FET__PK_REBUILD_V3 ? args[6] : NULL));
    FET_TRY(read_geometry(m, t, args));
    FET_TRY(check_extent(m, t));
    if (count > 6 + (action == FET__PK_REBUILD_V3))
        FET_TRY(check_metadata(m, args[count - 1]));
    FET_TRY(fet__pk_keep(m, out, fet__pk_new(m, FET__PK_TENSOR)));
    (*out)->as.tensor = t;
done:
    return st;
}

/* (function, class, arguments, state): a tensor of a class of its own, which we take as a plain one. */
static fet_status rebuild_from_type(fet__pickle *m, fet__pk **out, fet__pk *const *args, size_t count)
{
    if (count != 4 || args[0]->kind != FET__PK_GLOBAL || args[1]->kind != FET__PK_GLOBAL ||
        args[2]->kind != FET__PK_TUPLE)
        return FET__PK_BAD(m, "a tensor with a class is rebuilt from %zu arguments of other types", count);
    fet__pk_action action = (fet__pk_action)args[0]->action;
    if (action != FET__PK_REBUILD && action != FET__PK_REBUILD_V2 && action != FET__PK_REBUILD_V3)
        return FET__PK_BAD(m, "a tensor is rebuilt by %s", fet__pk_show(m, args[0]->as.text, args[0]->count));
    return rebuild_tensor(m, out, action, args[2]->as.items, args[2]->count);
}

fet_status fet__torch_rebuild(fet__pickle *m, fet__pk **out, fet__pk_action action, fet__pk *const *args, size_t count)
{
    if (action == FET__PK_REBUILD_FROM_TYPE)
        return rebuild_from_type(m, out, args, count);
    if (action != FET__PK_REBUILD_PARAMETER)
        return rebuild_tensor(m, out, action, args, count);
    if ((count != 3 && count != 4) || args[0]->kind != FET__PK_TENSOR) /* (tensor, requires_grad, hooks[, state]) */
        return FET__PK_BAD(m, "a parameter is rebuilt from %zu arguments, not from a tensor", count);
    *out = args[0];
    return FET_OK;
}
