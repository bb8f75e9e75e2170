/* Keeping a model's batch norms, to go back to them for every site. */
#include "method/mabn_int.h"

#include <string.h>

static bool is_norm(const fet__params *store, const fet__param *p)
{
    return p->role == FET__BUFFER || (p->role == FET__PARAM && fet__is_norm_affine(store, p));
}

fet_status fet__norm_copy_take(fet__norm_copy *c, fet__params *store, bool everything)
{
    int n = fet__params_count(store);
    int64_t bytes = 0, at = 0;
    fet_status st;

    *c = (fet__norm_copy){0};
    FET_TRY(FET_NEW(c->param, n + 1));
    for (int i = 0; i < n; i++) {
        fet__param *p = fet__params_at(store, i);
        if (everything ? p->role == FET__STATE || fet__mabn_is_branch(p) : !is_norm(store, p))
            continue;
        FET_TRY(fet__param_own(p));
        c->param[c->count++] = p;
        bytes += p->bytes;
    }
    FET_TRY(FET_NEW(c->data, bytes + 1));
    for (int i = 0; i < c->count; i++) {
        memcpy(c->data + at, c->param[i]->data, (size_t)c->param[i]->bytes);
        at += c->param[i]->bytes;
    }
done:
    return st;
}

void fet__norm_copy_restore(const fet__norm_copy *c)
{
    int64_t at = 0;

    for (int i = 0; i < c->count; i++) {
        memcpy(c->param[i]->data, c->data + at, (size_t)c->param[i]->bytes);
        c->param[i]->version++;
        at += c->param[i]->bytes;
    }
}

void fet__norm_copy_fini(fet__norm_copy *c)
{
    fet__free(c->param);
    fet__free(c->data);
    *c = (fet__norm_copy){0};
}
