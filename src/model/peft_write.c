/* Writing fettle's lora adapter as a folder of Hugging Face's PEFT. Branches on row blocks of a fused layer become one branch of the
 * whole layer where the base model's library has it fused: factors side by side, zeros elsewhere. */
#include "model/peft.h"

#include "model/model_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARK ".lora.down.weight"

/* One of our branches. */
typedef struct piece {
    char target[200], weight[220]; /* "blocks.0.attn.q", "blocks.0.attn.qkv.weight" */
    int part, parts;               /* parts 1: the whole layer */
    bool written;
} piece;

typedef struct writing {
    const fet__tensors *t;
    const char *path; /* of the adapter's file */
    fet__adapter *adapter;
    const fet__lowrank *l;
    fet__import base; /* items of the base model; count 0: our own names */
    fet__arena arena;
    piece *pieces;
    int count;
    fet__entry *entries;
    int entry_count;
    json_t *modules, *saved, *ranks, *alphas;
    int64_t rank; /* of the first module */
} writing;

/* ---- our side ------------------------------------------------------------------------------------------------------- */

static void split_target(piece *p)
{
    static const char *const parts[] = {"q", "k", "v"};
    const char *dot = strrchr(p->target, '.');
    int i;

    p->parts = 1;
    snprintf(p->weight, sizeof p->weight, "%s.weight", p->target);
    for (i = 0; dot && i < 3; i++)
        if (strcmp(dot + 1, parts[i]) == 0) {
            p->part = i;
            p->parts = 3;
            snprintf(p->weight, sizeof p->weight, "%.*s.qkv.weight", (int)(dot - p->target), p->target);
        }
}

static bool is_factor(const char *name)
{
    static const char *const ends[] = {MARK, ".lora.up.weight", ".lora.down.bias", ".lora.up.bias"};
    size_t length = strlen(name);

    for (size_t i = 0; i < FET_COUNT(ends); i++)
        if (length > strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static fet_status collect(writing *w)
{
    fet_status st;
    int i;

    FET_TRY(FET_NEW(w->pieces, fet__tensors_count(w->t) + 1));
    for (i = 0; i < fet__tensors_count(w->t); i++) {
        const char *name = fet__tensors_at(w->t, i)->name, *mark = strstr(name, MARK);
        piece *p = &w->pieces[w->count];
        if (!mark || strlen(mark) != strlen(MARK) || mark - name >= (int)sizeof p->target)
            continue;
        snprintf(p->target, sizeof p->target, "%.*s", (int)(mark - name), name);
        split_target(p);
        w->count++;
    }
    if (w->count == 0)
        return FET_FAIL(FET_E_FORMAT, "%s: the adapter holds no branch of LoRA", fet__show(w->path));
done:
    return st;
}

static const fet__entry *factor(const writing *w, const piece *p, const char *leaf)
{
    char name[260];

    snprintf(name, sizeof name, "%s.lora.%s", p->target, leaf);
    return fet__tensors_find(w->t, name);
}

static fet_status check_piece(const writing *w, const piece *p)
{
    const fet__entry *down = factor(w, p, "down.weight"), *up = factor(w, p, "up.weight"),
                     *first = factor(w, &w->pieces[0], "down.weight");

    if (!up || down->dtype != FET_F32 || up->dtype != FET_F32 || down->shape.rank != 2 || up->shape.rank != 2 ||
        up->shape.dim[1] != down->shape.dim[0] || down->shape.dim[0] != first->shape.dim[0])
        return FET_FAIL(FET_E_FORMAT, "%s: the factors of %s do not fit each other", fet__show(w->path),
                        fet__show(p->target));
    return FET_OK;
}

/* ---- names of the base model ------------------------------------------------------------------------------------------ */

/* The module of the base model whose weight is ours, or a part of ours. */
static const char *module_of(writing *w, const char *weight, int part, int parts)
{
    size_t skip;
    char own[220];
    int i;

    if (w->base.count == 0)
        return parts == 1 ? fet__arena_format(&w->arena, "%.*s", (int)(strrchr(weight, '.') - weight), weight) : NULL;
    skip = strlen(w->base.container);
    for (i = 0; i < w->base.count; i++) {
        const fet__import_item *item = &w->base.items[i];
        const fet__import_layout *l = NULL;
        const char *name = item->original + skip, *end = strrchr(name, '.');
        if (!end || !fet__import_name(w->base.family, item->e.name, own, sizeof own, &l) || strcmp(own, weight) != 0)
            continue;
        if ((l && l->rank) || (l ? l->parts : 1) != parts || (l && l->part != part))
            continue;
        return fet__arena_format(&w->arena, "%.*s", (int)(end - name), name);
    }
    return NULL;
}

/* ---- tensors ------------------------------------------------------------------------------------------------------------- */

static fet_status add_entry(writing *w, const char *module, const char *leaf, fet__shape shape, const void *data)
{
    fet__entry *e = &w->entries[w->entry_count++];

    *e = (fet__entry){fet__arena_format(&w->arena, FET__PEFT_PREFIX "%s.%s", module, leaf), FET_F32, shape, data,
                      fet__shape_count(&shape) * 4};
    return e->name ? FET_OK : FET_E_NOMEM;
}

static fet_status note_rank(writing *w, const char *module, int64_t rank)
{
    bool good = json_array_append_new(w->modules, json_string(module)) == 0;

    if (w->rank == 0)
        w->rank = rank;
    if (rank != w->rank) {
        good = good && json_object_set_new(w->ranks, module, json_integer(rank)) == 0 &&
               json_object_set_new(w->alphas, module, json_real(w->l->scale * (double)rank)) == 0;
    }
    return good ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for the folder's configuration");
}

/* The pieces of one module: [A_q; A_v], and B_q, B_v in their rows and columns. */
static fet_status add_module(writing *w, const char *module, piece *const *p, int count, int parts)
{
    const fet__entry *first = factor(w, p[0], "down.weight");
    int64_t rank = first->shape.dim[0], in = first->shape.dim[1], rows = factor(w, p[0], "up.weight")->shape.dim[0],
            total = rank * count, r, k;
    float *down = fet__arena_alloc(&w->arena, (size_t)(total * in), 4),
          *up = fet__arena_alloc(&w->arena, (size_t)(rows * parts * total), 4),
          *bias = fet__arena_alloc(&w->arena, (size_t)(rows * parts), 4);
    fet_status st;
    int i;

    if (!down || !up || !bias)
        return FET_E_NOMEM;
    for (i = 0; i < count; i++) {
        const fet__entry *b = factor(w, p[i], "up.weight"), *ub = factor(w, p[i], "up.bias"),
                         *db = factor(w, p[i], "down.bias");
        int64_t row = parts > 1 ? p[i]->part * rows : 0;
        memcpy(down + i * rank * in, factor(w, p[i], "down.weight")->data, (size_t)(rank * in) * 4);
        for (r = 0; r < rows; r++) {
            const float *from = (const float *)b->data + r * rank;
            double sum = ub ? (double)((const float *)ub->data)[r] : 0;
            memcpy(up + (row + r) * total + i * rank, from, (size_t)rank * 4);
            for (k = 0; db && k < rank; k++) /* U (D x + d) + u = U D x + (U d + u) */
                sum += (double)from[k] * (double)((const float *)db->data)[k];
            bias[row + r] = (float)sum;
        }
        p[i]->written = true;
    }
    FET_TRY(add_entry(w, module, "lora_A.weight", FET_SHAPE(total, in), down));
    FET_TRY(add_entry(w, module, "lora_B.weight", FET_SHAPE(rows * parts, total), up));
    if (w->l->bias)
        FET_TRY(add_entry(w, module, "lora_B.bias", FET_SHAPE(rows * parts), bias));
    FET_TRY(note_rank(w, module, total));
done:
    return st;
}

static fet_status add_piece(writing *w, piece *p)
{
    const char *module = module_of(w, p->weight, p->part, p->parts);
    piece *all[3] = {p};
    int i, n = 0;

    if (module)
        return add_module(w, module, all, 1, 1);
    if (!(module = module_of(w, p->weight, 0, 1)))
        return FET_FAIL(FET_E_FORMAT, "%s: the base model has no linear module for %s", fet__show(w->path),
                        fet__show(p->target));
    for (i = 0; i < w->count && n < 3; i++)
        if (strcmp(w->pieces[i].weight, p->weight) == 0)
            all[n++] = &w->pieces[i];
    return add_module(w, module, all, n, 3);
}

/* What is no factor must be the head. */
static fet_status add_saved(writing *w, const fet__entry *e)
{
    const char *end = strrchr(e->name, '.'), *module;
    char weight[220];

    snprintf(weight, sizeof weight, "%.*s.weight", end ? (int)(end - e->name) : 0, e->name);
    module = strncmp(e->name, "head.", 5) == 0 && e->dtype == FET_F32 ? module_of(w, weight, 0, 1) : NULL;
    if (!module && strncmp(e->name, "head.", 5) == 0) /* the base has no head, or a distilled pair */
        module = fet__arena_format(&w->arena, "%.*s", (int)(end - e->name), e->name);
    if (!module || !end)
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s is neither LoRA nor the head", fet__show(w->path),
                        fet__show(e->name));
    if (strcmp(end, ".weight") == 0 && json_array_append_new(w->saved, json_string(module)) != 0)
        return FET_FAIL(FET_E_NOMEM, "no memory for the folder's configuration");
    return add_entry(w, module, end + 1, e->shape, e->data);
}

static fet_status add_all(writing *w)
{
    fet_status st;
    int i;

    FET_TRY(FET_NEW(w->entries, 3 * fet__tensors_count(w->t) + 1));
    for (i = 0; i < w->count; i++)
        FET_TRY(check_piece(w, &w->pieces[i]));
    for (i = 0; i < w->count; i++)
        if (!w->pieces[i].written)
            FET_TRY(add_piece(w, &w->pieces[i]));
    for (i = 0; i < fet__tensors_count(w->t); i++)
        if (!is_factor(fet__tensors_at(w->t, i)->name))
            FET_TRY(add_saved(w, fet__tensors_at(w->t, i)));
done:
    return st;
}

/* ---- the folder ------------------------------------------------------------------------------------------------------------- */

static json_t *number(double v)
{
    return v == floor(v) && fabs(v) < 1e9 ? json_integer((json_int_t)v) : json_real(v);
}

static fet_status write_config(writing *w, const char *folder, const char *base)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:o, s:f, s:s, s:b, s:O, s:O, s:O, s:O, s:b, s:b, s:b, s:b, s:n}",
                          "peft_type", "LORA", "base_model_name_or_path", base, "r", (json_int_t)w->rank, "lora_alpha",
                          number(w->l->scale * (double)w->rank), "lora_dropout", w->l->dropout, "bias", "none",
                          "lora_bias", (int)w->l->bias, "target_modules", w->modules, "modules_to_save", w->saved,
                          "rank_pattern", w->ranks, "alpha_pattern", w->alphas, "use_rslora", 0, "use_dora", 0,
                          "fan_in_fan_out", 0, "inference_mode", 1, "task_type");
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL,
         *path = fet__path_join(folder, FET__PEFT_CONFIG);
    fet__outfile *f = NULL;
    fet_status st =
        text && path ? fet__outfile_open(&f, path) : FET_FAIL(FET_E_NOMEM, "no memory for %s", FET__PEFT_CONFIG);

    if (st == FET_OK) {
        fet__outfile_printf(f, "%s\n", text);
        st = fet__outfile_commit(f);
    }
    free(text);
    json_decref(j);
    fet__free(path);
    return st;
}

static fet_status write_folder(writing *w, const char *folder, const char *base, bool force)
{
    static const fet__meta_pair meta = {"format", "pt"};
    char *path = fet__path_join(folder, FET__PEFT_TENSORS);
    fet_status st = path ? FET_OK : FET_E_NOMEM;

    FET_TRY(st);
    if (fet__file_exists(folder) && !force) {
        st = FET_FAIL(FET_E_ARG, "%s exists already (--force overwrites)", fet__show(folder));
        goto done;
    }
    FET_TRY(fet__make_folder(folder));
    FET_TRY(fet__safetensors_write(path, w->entries, w->entry_count, &meta, 1));
    FET_TRY(write_config(w, folder, base));
done:
    fet__free(path);
    return st;
}

/* The adapter's own options, and that it is a lora. */
static fet_status read_spec(writing *w, fet__adapter_meta *meta)
{
    const char *text = fet__tensors_meta(w->t, "fettle.adapter");
    fet_status st;

    if (!text)
        return FET_FAIL(FET_E_FORMAT, "%s: no adapter of fettle (metadata fettle.adapter is absent)",
                        fet__show(w->path));
    FET_TRY(fet__adapter_meta_parse(text, w->path, meta));
    FET_TRY(fet__adapter_create(&w->adapter, meta->spec));
    if (strcmp(w->adapter->class_->name, "lora") != 0)
        return FET_FAIL(FET_E_ARG, "%s: PEFT has no form for adapter '%s'; lora can be written", fet__show(w->path),
                        w->adapter->class_->name);
    w->l = w->adapter->config;
done:
    return st;
}

fet_status fet__peft_write(const char *folder, const fet__tensors *adapter, const char *base, bool force)
{
    writing w = {.t = adapter, .path = fet__tensors_path(adapter)};
    fet__tensors *t = NULL;
    fet__adapter_meta meta;
    fet_status st;

    w.modules = json_array();
    w.saved = json_array();
    w.ranks = json_object();
    w.alphas = json_object();
    FET_TRY(read_spec(&w, &meta));
    if (base) {
        FET_TRY(fet__tensors_open(&t, base));
        FET_TRY(fet__import_detect(&w.base, t));
    }
    FET_TRY(collect(&w));
    FET_TRY(add_all(&w));
    FET_TRY(write_folder(&w, folder, base ? base : meta.model, force));
done:
    json_decref(w.modules);
    json_decref(w.saved);
    json_decref(w.ranks);
    json_decref(w.alphas);
    fet__adapter_destroy(w.adapter);
    fet__import_fini(&w.base);
    fet__tensors_close(t);
    fet__free(w.pieces);
    fet__free(w.entries);
    fet__arena_fini(&w.arena);
    return st;
}
