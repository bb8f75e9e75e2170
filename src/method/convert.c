/* fet_convert: any readable checkpoint as safetensors, names and metadata kept; a lora adapter as a folder of Hugging Face's PEFT. */
#include "method/method_int.h"

#include <string.h>

/* What is written; arrays are the caller's. */
typedef struct copy {
    fet__entry *entries;
    fet__meta_pair *meta;
    int count, meta_count;
} copy;

/* The container's tensors without its path; all of them where there is none. */
static fet_status choose(copy *c, const fet__tensors *t, const char *weights, fet__arena *arena)
{
    const char *container;
    size_t length;
    bool found;
    int i, n = fet__tensors_count(t);
    fet_status st;

    FET_TRY(fet__container_choose(&container, &found, t, weights, arena));
    if (weights && !found)
        return FET_FAIL(FET_E_ARG, "%s: it holds no weights '%s'", fet__show(fet__tensors_path(t)), fet__show(weights));
    length = strlen(container);
    FET_TRY(FET_NEW(c->entries, n + 1));
    for (i = 0; i < n; i++) {
        const fet__entry *e = fet__tensors_at(t, i);
        if (strncmp(e->name, container, length) != 0)
            continue;
        c->entries[c->count] = *e;
        c->entries[c->count++].name += length;
    }
    if (length)
        fet__note("%s: the tensors in %.*s are written%s", fet__show(fet__tensors_path(t)), (int)length - 1,
                  fet__show(container), c->count < n ? "; the rest of the file is left behind" : "");
done:
    return st;
}

static fet_status take_metadata(copy *c, const fet__tensors *t)
{
    fet_status st;
    int i;

    c->meta_count = fet__tensors_meta_count(t);
    FET_TRY(FET_NEW(c->meta, c->meta_count + 1));
    for (i = 0; i < c->meta_count; i++)
        c->meta[i] = (fet__meta_pair){fet__tensors_meta_key(t, i), fet__tensors_meta(t, fet__tensors_meta_key(t, i))};
done:
    return st;
}

static fet_status to_safetensors(const char *in, const char *out, const fet_convert_options *o)
{
    fet__tensors *t = NULL;
    fet__arena arena = {0};
    copy c = {0};
    fet_status st;

    if (fet__file_exists(out) && !o->force)
        return FET_FAIL(FET_E_ARG, "%s exists already (--force overwrites)", fet__show(out));
    FET_TRY(fet__tensors_open(&t, in));
    FET_TRY(choose(&c, t, o->weights, &arena));
    FET_TRY(take_metadata(&c, t));
    FET_TRY(fet__safetensors_write(out, c.entries, c.count, c.meta, c.meta_count));
done:
    fet__free(c.entries);
    fet__free(c.meta);
    fet__tensors_close(t);
    fet__arena_fini(&arena);
    return st;
}

static fet_status to_peft(const char *in, const char *out, const fet_convert_options *o)
{
    char *file = fet__is_folder(in) ? fet__path_join(in, "adapter.safetensors") : fet__strdup(in);
    fet__tensors *t = NULL;
    fet_status st = file ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    FET_TRY(fet__tensors_open(&t, file));
    FET_TRY(fet__peft_write(out, t, o->model, o->force != 0));
done:
    fet__tensors_close(t);
    fet__free(file);
    return st;
}

fet_status fet_convert(const char *in, const char *out, const fet_convert_options *options)
{
    static const fet_convert_options none;
    const fet_convert_options *o = options ? options : &none;

    if (!in || !out)
        return FET_FAIL(FET_E_ARG, "fet_convert: input or output is absent");
    return o->peft ? to_peft(in, out, o) : to_safetensors(in, out, o);
}
