/* Where the values of tensors lie. A storage is a member of the zip archive, or a piece behind a legacy file's pickles; its
 * size must be what the pickle says. A contiguous tensor is used in place. Others (transposed, expanded, channels last) and
 * big-endian ones are copied in row-major order, within a limit: a few bytes can claim to be a large matrix by strides of 0. */
#include <stdlib.h>
#include <string.h>

#include "store/pickle_int.h"
#include "store/torch.h"

#define COPIED_BASE ((int64_t)32 << 20)
#define COPIED_RATIO 4

#define BAD(f, format, ...)                                                                                            \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed: " format, fet__show((f)->name), __VA_ARGS__)

/* ---- storages ----------------------------------------------------------------------------------------------- */

static int compare_keys(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_key(const void *a, const void *b)
{
    const fet__torch_storage *p = *(fet__torch_storage *const *)a, *q = *(fet__torch_storage *const *)b;
    int order = compare_keys(p->key, p->key_length, q->key, q->key_length);
    return order ? order : (p->op > q->op) - (p->op < q->op);
}

static int key_to_storage(const void *key, const void *storage)
{
    const fet__pk *k = key;
    const fet__torch_storage *s = *(fet__torch_storage *const *)storage;
    return compare_keys(k->as.text, k->count, s->key, s->key_length);
}

fet_status fet__torch_group_storages(fet__torch_file *f)
{
    fet__pickle *m = &f->pickle;
    if (m->storage_count > 0)
        qsort(m->storages, m->storage_count, sizeof *m->storages, by_key);
    for (size_t i = 0; i < m->storage_count; i++) {
        fet__torch_storage *s = m->storages[i], *before = i > 0 ? m->storages[i - 1] : NULL;
        bool again = before && compare_keys(s->key, s->key_length, before->key, before->key_length) == 0;
        s->first = again ? before->first : s;
        m->op = s->op;
        if (s->bytes != s->first->bytes)
            return FET__PK_BAD(m, "storage '%s' has %lld bytes here and %lld elsewhere",
                               fet__pk_show(m, s->key, s->key_length), (long long)s->bytes, (long long)s->first->bytes);
    }
    return FET_OK;
}

/* The member "archive/data/KEY". */
static fet_status load_member(fet__torch_file *f, fet__torch_storage *s)
{
    fet_status st = FET_OK;
    const void *data = NULL;
    size_t size = 0;
    fet__text name = {0};
    fet__text_printf(&name, "%sdata/", f->prefix);
    fet__text_add(&name, s->key, s->key_length);
    if (name.failed) {
        st = FET_E_NOMEM;
        goto done;
    }
    int i = memchr(s->key, 0, s->key_length) ? -1 : fet__zip_find(f->zip, name.s);
    if (i < 0) {
        st = BAD(f, "the archive has no member '%s' for a storage", fet__show(name.s));
        goto done;
    }
    if (fet__zip_at(f->zip, i)->size != (uint64_t)s->bytes) {
        st = BAD(f, "member '%s' has %llu bytes, but the pickle says that the storage has %lld", fet__show(name.s),
                 (unsigned long long)fet__zip_at(f->zip, i)->size, (long long)s->bytes);
        goto done;
    }
    FET_TRY(fet__zip_data(f->zip, i, f->t, &data, &size));
    s->data = data;
done:
    fet__text_fini(&name);
    return st;
}

fet_status fet__torch_place_storages(fet__torch_file *f, const fet__pk *keys, size_t at)
{
    fet__pickle *m = &f->pickle;
    if (keys->kind != FET__PK_LIST)
        return BAD(f, "the list of storage keys is a %s", fet__pk_kind_name(keys));
    for (uint32_t i = 0; i < keys->count; i++) {
        const fet__pk *key = keys->as.items[i];
        fet__torch_storage **found = NULL, *s = NULL;
        if (key->kind == FET__PK_STR && m->storage_count > 0)
            found = bsearch(key, m->storages, m->storage_count, sizeof *m->storages, key_to_storage);
        s = found ? (*found)->first : NULL;
        if (!s || s->data)
            return BAD(f, "item %u of the list of storage keys names %s", i, s ? "a storage again" : "no storage");
        int64_t numel = 0;
        if (f->size - at < 8)
            return BAD(f, "the storages end at byte %zu, before storage %u of %u: truncated?", f->size, i, keys->count);
        memcpy(&numel, f->data + at, 8);
        if (numel != s->numel)
            return BAD(f, "storage '%s' at byte %zu has %lld elements, but the pickle says %lld",
                       fet__pk_show(m, s->key, s->key_length), at, (long long)numel, (long long)s->numel);
        at += 8;
        if ((uint64_t)s->bytes > f->size - at)
            return BAD(f, "storage '%s' of %lld bytes at byte %zu reaches beyond the file's %zu: truncated?",
                       fet__pk_show(m, s->key, s->key_length), (long long)s->bytes, at, f->size);
        s->data = f->data + at;
        at += (size_t)s->bytes;
    }
    return FET_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static bool is_contiguous(const fet__torch_tensor *t)
{
    int64_t step = 1;
    for (int i = t->shape.rank; i-- > 0;) {
        if (t->shape.dim[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->shape.dim[i];
    }
    return true;
}

static inline void copy_fixed(char *to, const char *from, int64_t stride, int64_t count, size_t width)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + (size_t)i * width, from + i * stride * (int64_t)width, width);
}

static void copy_row(char *to, const char *from, int64_t stride, int64_t count, size_t width)
{
    switch (width) {
    case 1: copy_fixed(to, from, stride, count, 1); break;
    case 2: copy_fixed(to, from, stride, count, 2); break;
    case 4: copy_fixed(to, from, stride, count, 4); break;
    default: copy_fixed(to, from, stride, count, 8); break;
    }
}

/* Row by row along the last axis; the others count like an odometer. The tensor is not empty. */
static void copy_strided(char *to, const char *from, const fet__torch_tensor *t, size_t width)
{
    int outer = t->shape.rank > 0 ? t->shape.rank - 1 : 0;
    int64_t cols = t->shape.rank > 0 ? t->shape.dim[outer] : 1, stride = t->shape.rank > 0 ? t->stride[outer] : 1;
    int64_t at[FET__MAX_RANK] = {0}, place = 0;
    for (;;) {
        copy_row(to, from + place * (int64_t)width, stride, cols, width);
        to += (size_t)cols * width;
        int axis = outer - 1;
        for (; axis >= 0; axis--) {
            place += t->stride[axis];
            if (++at[axis] < t->shape.dim[axis])
                break;
            place -= t->stride[axis] * t->shape.dim[axis];
            at[axis] = 0;
        }
        if (axis < 0)
            return;
    }
}

static void swap_bytes(char *data, int64_t count, size_t width)
{
    for (int64_t i = 0; i < count; i++, data += width) {
        for (size_t k = 0; k < width / 2; k++) {
            char byte = data[k];
            data[k] = data[width - 1 - k];
            data[width - 1 - k] = byte;
        }
    }
}

static fet_status copy_values(fet__torch_file *f, fet__torch_tensor *t, const char *from, int64_t count)
{
    size_t width = fet__dtype_bytes(t->dtype);
    int64_t bytes = count * (int64_t)width, limit = COPIED_BASE + COPIED_RATIO * (int64_t)f->size;
    f->pickle.op = t->op;
    if (bytes > limit - f->copied)
        return FET__PK_FAIL(
            &f->pickle, "too large",
            "a tensor of shape %s that must be copied takes more than the limit of %lld MiB (4 times the "
            "file and 32)",
            fet__shape_text(&t->shape), (long long)(limit >> 20));
    char *to = fet__tensors_alloc(f->t, (size_t)bytes);
    if (!to)
        return FET_E_NOMEM;
    copy_strided(to, from, t, width);
    if (f->swap)
        swap_bytes(to, count, width);
    f->copied += bytes;
    t->data = to;
    return FET_OK;
}

fet_status fet__torch_tensor_data(fet__torch_file *f, fet__torch_tensor *t)
{
    fet_status st = FET_OK;
    int64_t count = fet__shape_count(&t->shape), width = (int64_t)fet__dtype_bytes(t->dtype);
    fet__torch_storage *s = t->storage->first;
    if (t->data)
        return FET_OK;
    if (count == 0) {
        t->data = "";
        return FET_OK;
    }
    if (!s->data && !f->zip)
        return BAD(f, "the file has no data for storage '%s'", fet__pk_show(&f->pickle, s->key, s->key_length));
    if (!s->data)
        FET_TRY(load_member(f, s));
    const char *from = (const char *)s->data + t->storage->begin + t->offset * width;
    if (is_contiguous(t) && (!f->swap || width == 1))
        t->data = from;
    else
        FET_TRY(copy_values(f, t, from, count));
done:
    return st;
}
