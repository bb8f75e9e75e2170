/* fet_convert: any readable checkpoint as safetensors, names and metadata kept. */
#include "method/method_int.h"

fet_status fet_convert(const char *in, const char *out)
{
    fet__tensors *t = NULL;
    fet__entry *entries = NULL;
    fet__meta_pair *meta = NULL;
    int i, count, meta_count;
    fet_status st;

    if (!in || !out)
        return FET_FAIL(FET_E_ARG, "fet_convert: input or output is absent");
    FET_TRY(fet__tensors_open(&t, in));
    count = fet__tensors_count(t);
    meta_count = fet__tensors_meta_count(t);
    FET_TRY(FET_NEW(entries, count + 1));
    FET_TRY(FET_NEW(meta, meta_count + 1));
    for (i = 0; i < count; i++)
        entries[i] = *fet__tensors_at(t, i);
    for (i = 0; i < meta_count; i++)
        meta[i] = (fet__meta_pair){fet__tensors_meta_key(t, i), fet__tensors_meta(t, fet__tensors_meta_key(t, i))};
    FET_TRY(fet__safetensors_write(out, entries, count, meta, meta_count));
done:
    fet__free(entries);
    fet__free(meta);
    fet__tensors_close(t);
    return st;
}
