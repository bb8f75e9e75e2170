/* Cut copies of goldens; see golden_copy.h. */
#include "parity/golden_copy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static fet__entry *next(golden_copy *x, const fet__entry *e, const char *name)
{
    fet__entry *own;

    if (x->count == GOLDEN_COPY_LIMIT) {
        FET_FAIL(FET_E_FORMAT, "more than %d tensors", GOLDEN_COPY_LIMIT);
        return NULL;
    }
    own = &x->entry[x->count];
    *own = *e;
    own->name = x->name[x->count];
    snprintf(x->name[x->count++], sizeof x->name[0], "%s", name);
    return own;
}

fet_status golden_keep(golden_copy *x, const fet__entry *e)
{
    return next(x, e, e->name) ? FET_OK : FET_E_FORMAT;
}

fet_status golden_rows(golden_copy *x, const fet__entry *e, const char *name, int64_t part, int64_t parts)
{
    fet__entry *own = next(x, e, name);

    if (!own)
        return FET_E_FORMAT;
    own->shape.dim[0] /= parts;
    own->bytes /= parts;
    own->data = (const char *)e->data + part * own->bytes;
    return FET_OK;
}

fet_status golden_columns(golden_copy *x, const fet__entry *e, const char *name, int64_t part, int64_t parts)
{
    fet__entry *own = next(x, e, name);
    int64_t columns;
    float *cut;

    if (!own)
        return FET_E_FORMAT;
    if (e->dtype != FET_F32 || e->shape.rank != 2 || e->shape.dim[1] % parts != 0)
        return FET_FAIL(FET_E_FORMAT, "%s cannot be cut into %lld blocks of columns", e->name, (long long)parts);
    columns = own->shape.dim[1] /= parts;
    own->bytes /= parts;
    cut = fet__alloc((size_t)own->bytes, 1);
    if (!cut)
        return FET_E_NOMEM;
    for (int64_t i = 0; i < own->shape.dim[0]; i++)
        memcpy(cut + i * columns, (const float *)e->data + (i * parts + part) * columns, (size_t)columns * sizeof *cut);
    own->data = x->owned[x->count - 1] = cut;
    return FET_OK;
}

/* Through a file, so that the metadata come along. */
static fet_status reopen(golden_copy *x, const fet__tensors *from)
{
    char path[] = "/tmp/fettle-parity-XXXXXX";
    fet__meta_pair meta[64];
    int n = 0, file = mkstemp(path);
    fet_status st;

    if (file < 0)
        return FET_FAIL(FET_E_IO, "no temporary file");
    close(file);
    for (; n < fet__tensors_meta_count(from) && n < (int)FET_COUNT(meta); n++) {
        const char *key = fet__tensors_meta_key(from, n);
        meta[n] = (fet__meta_pair){key, fet__tensors_meta(from, key)};
    }
    st = fet__safetensors_write(path, x->entry, x->count, meta, n);
    if (st == FET_OK)
        st = fet__tensors_open(&x->t, path);
    unlink(path); /* the mapping stays */
    return st;
}

static void destroy(golden_copy *x)
{
    for (int i = 0; i < GOLDEN_COPY_LIMIT; i++)
        fet__free(x->owned[i]);
    fet__tensors_close(x->t);
    fet__free(x->case_.seen);
    fet__free(x);
}

fet_status golden_copy_open(golden_copy **out, const parity_case *c, golden_cut *cut)
{
    golden_copy *x = NULL;
    fet_status st;

    *out = NULL;
    FET_TRY(FET_NEW(x, 1));
    for (int i = 0; i < fet__tensors_count(c->t); i++)
        FET_TRY(cut(x, fet__tensors_at(c->t, i)));
    FET_TRY(reopen(x, c->t));
    x->case_ = *c;
    x->case_.t = x->t;
    x->case_.seen = NULL;
    FET_TRY(FET_NEW(x->case_.seen, fet__tensors_count(x->t)));
    *out = x;
    x = NULL;
done:
    if (x)
        destroy(x);
    return st;
}

static bool seen(const parity_case *own, const char *name)
{
    for (int k = 0; k < fet__tensors_count(own->t); k++)
        if (strcmp(name, fet__tensors_at(own->t, k)->name) == 0)
            return own->seen[k];
    return false;
}

/* An entry was compared when all that it was cut into was. */
static void carry(parity_case *c, const parity_case *own, golden_cut *cut)
{
    golden_copy *x = fet__alloc(1, sizeof *x);

    c->compared = own->compared;
    c->worst = own->worst;
    c->worst_error = own->worst_error;
    c->worst_tolerance = own->worst_tolerance;
    memcpy(c->worst_name, own->worst_name, sizeof c->worst_name);
    for (int i = 0; x && i < fet__tensors_count(c->t); i++) {
        int first = x->count;
        bool all = cut(x, fet__tensors_at(c->t, i)) == FET_OK;
        for (int j = first; j < x->count; j++)
            all = seen(own, x->name[j]) && all;
        c->seen[i] = c->seen[i] || all;
    }
    if (x)
        destroy(x);
}

void golden_copy_close(golden_copy *x, parity_case *c, golden_cut *cut, bool count)
{
    if (!x)
        return;
    if (count)
        carry(c, &x->case_, cut);
    destroy(x);
}
