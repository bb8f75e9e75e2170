/* Reader of NumPy's .npz: a zip archive of .npy arrays, stored (np.savez) or deflated (np.savez_compressed). A tensor is
 * named as its member without ".npy"; slashes in names stay. The archive is checked in zip.c, each array in npy.c. */
#include <string.h>

#include "store/npy.h"
#include "store/store_int.h"
#include "store/zip.h"

/* A member's name without the ending, in `t`'s memory; NULL with the message set. */
static fet_status tensor_name(char **out, fet__tensors *t, const char *member)
{
    size_t length = strlen(member);
    if (length < 4 || strcmp(member + length - 4, ".npy") != 0)
        return FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed NumPy archive: its member '%s' is no .npy array",
                        fet__show(t->path), fet__show(member));
    *out = fet__arena_strdup(&t->arena, member);
    if (!*out)
        return FET_E_NOMEM;
    (*out)[length - 4] = '\0';
    return FET_OK;
}

static fet_status add_member(fet__tensors *t, fet__zip *z, int i)
{
    fet_status st = FET_OK;
    const char *member = fet__zip_at(z, i)->name;
    const void *data = NULL;
    size_t size = 0;
    char *tensor = NULL, *where = NULL;
    FET_TRY(tensor_name(&tensor, t, member));
    FET_TRY(fet__zip_data(z, i, t, &data, &size));
    where = fet__format("%s: %s", t->path, member);
    st = where ? fet__npy_add(t, tensor, data, size, where) : FET_E_NOMEM;
done:
    fet__free(where);
    return st;
}

fet_status fet__npz_parse(fet__tensors **out, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    fet__tensors *t = NULL;
    fet__zip *z = NULL;
    *out = NULL;
    FET_TRY(fet__tensors_new(&t, name));
    FET_TRY(fet__zip_open(&z, data, size, name));
    for (int i = 0; i < fet__zip_count(z); i++)
        FET_TRY(add_member(t, z, i));
    FET_TRY(fet__tensors_seal_names(t));
    *out = t;
    t = NULL;
done:
    fet__zip_close(z);
    fet__tensors_close(t);
    return st;
}
