/* Reading a LoRA of Hugging Face's PEFT into fettle's lora adapter. Module paths go through the tables of names that checkpoints go
 * through; a module whose rank or scale differs from the others' is padded with zeros and its up factor scaled, which changes
 * nothing of what it computes. */
#include "model/peft.h"

#include "model/model_int.h"

#include <math.h>
#include <string.h>

#define RANK_LIMIT 65536

/* One adapted layer. */
typedef struct branch {
    char module[256], target[200]; /* name in the file, ours: "blocks.0.attn.q" */
    char weight[200];              /* the layer's weight in the store, and its rows */
    int part, parts;
    const fet__entry *down, *up, *bias; /* lora_A, lora_B, lora_B.bias */
    const fet__entry *layer_bias;       /* the wrapped layer's own, trained */
    int64_t rank;
    double scale;
} branch;

typedef struct reading {
    fet__model *m;
    const char *folder;
    fet__tensors *t;
    fet__peft_config config;
    branch *branches;
    int count;
    const fet__entry *head[2]; /* weight, bias */
    int64_t rank;
    double scale;
    bool bias;
} reading;

bool fet__is_peft(const char *path)
{
    char *config = fet__is_folder(path) ? fet__path_join(path, FET__PEFT_CONFIG) : NULL;
    bool there = config && fet__file_exists(config);

    fet__free(config);
    return there;
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

/* Cut `end` off `name`. */
static bool cut_end(const char *name, const char *end, char *out, size_t size)
{
    size_t a = strlen(name), b = strlen(end);

    if (a <= b || strcmp(name + a - b, end) != 0 || a - b >= size)
        return false;
    snprintf(out, size, "%.*s", (int)(a - b), name);
    return true;
}

/* The parameter of ours that a name of the base model stands for, whatever library the base came from and whatever stands in
 * front. */
static fet__param *own_param(const fet__model *m, const char *name, const fet__import_layout **layout)
{
    char own[200];
    int i;

    for (i = 0; fet__import_families[i]; i++) {
        const char *at = name;
        while (at) {
            fet__param *p;
            if (fet__import_name(fet__import_families[i], at, own, sizeof own, layout) &&
                (p = fet__params_find(m->store, own)) != NULL)
                return p;
            at = strchr(at, '.');
            at = at ? at + 1 : NULL;
        }
    }
    return NULL;
}

/* "blocks.0.attn.qkv.weight", part 1 -> "blocks.0.attn.k". */
static void target_name(branch *b, const fet__param *p, const fet__import_layout *l)
{
    static const char *const parts[] = {"q", "k", "v"};
    const char *end = strrchr(p->name, '.');
    int length = end ? (int)(end - p->name) : 0;

    b->part = l && l->parts == 3 ? l->part : 0;
    b->parts = l && l->parts == 3 ? 3 : 1;
    snprintf(b->weight, sizeof b->weight, "%s", p->name);
    if (b->parts == 1) {
        snprintf(b->target, sizeof b->target, "%.*s", length, p->name);
        return;
    }
    while (length > 0 && p->name[length - 1] != '.')
        length--;
    snprintf(b->target, sizeof b->target, "%.*s%s", length, p->name, parts[b->part]);
}

static fet_status find_branch(reading *r, const char *module, branch **out)
{
    const fet__import_layout *layout = NULL;
    char name[300];
    fet__param *p;
    branch *b;
    int i;

    for (i = r->count - 1; i >= 0; i--)
        if (strcmp(r->branches[i].module, module) == 0) {
            *out = &r->branches[i];
            return FET_OK;
        }
    snprintf(name, sizeof name, "%s.weight", module);
    p = own_param(r->m, name, &layout);
    if (!p || p->shape.rank != 2)
        return FET_FAIL(FET_E_FORMAT, "%s: the model has no linear layer for module %s", fet__show(r->folder),
                        fet__show(module));
    b = &r->branches[r->count++];
    snprintf(b->module, sizeof b->module, "%s", module);
    target_name(b, p, layout);
    *out = b;
    return FET_OK;
}

/* ---- sorting the tensors ------------------------------------------------------------------------------------------------ */

typedef enum kind { KIND_DOWN, KIND_UP, KIND_BIAS, KIND_LAYER_BIAS, KIND_OTHER } kind;

static kind kind_of(const char *name, char module[256])
{
    static const struct {
        const char *end;
        kind k;
    } ends[] = {{".lora_A.weight", KIND_DOWN},        {".lora_B.weight", KIND_UP},
                {".lora_B.bias", KIND_BIAS},          {".lora_A.default.weight", KIND_DOWN},
                {".lora_B.default.weight", KIND_UP},  {".lora_B.default.bias", KIND_BIAS},
                {".base_layer.bias", KIND_LAYER_BIAS}};

    for (size_t i = 0; i < FET_COUNT(ends); i++)
        if (cut_end(name, ends[i].end, module, 256))
            return ends[i].k;
    return KIND_OTHER;
}

/* A module that was trained in full: the head, and nothing else. */
static fet_status take_saved(reading *r, const fet__entry *e, const char *name)
{
    char plain[300], head[128];
    const char *saved = strstr(name, ".modules_to_save."), *leaf;
    int i;

    snprintf(plain, sizeof plain, "%s", name);
    if (saved) { /* PATH.modules_to_save.default.weight */
        leaf = strrchr(name, '.');
        snprintf(plain, sizeof plain, "%.*s%s", (int)(saved - name), name, leaf);
    }
    for (i = 0; i < 2; i++) {
        const char *at = plain;
        char own[200];
        snprintf(head, sizeof head, "%s.%s", r->m->arch.head, i ? "bias" : "weight");
        while (at) {
            for (int f = 0; fet__import_families[f]; f++)
                if (fet__import_name(fet__import_families[f], at, own, sizeof own, NULL) && strcmp(own, head) == 0) {
                    r->head[i] = e;
                    return FET_OK;
                }
            at = strchr(at, '.');
            at = at ? at + 1 : NULL;
        }
    }
    return FET_FAIL(FET_E_FORMAT,
                    "%s: tensor %s was trained in full; besides LoRA an adapter of fettle holds the head only",
                    fet__show(r->folder), fet__show(e->name));
}

static fet_status sort_tensor(reading *r, const fet__entry *e)
{
    const char *name = e->name;
    char module[256];
    branch *b;
    kind k;
    fet_status st;

    if (strncmp(name, FET__PEFT_PREFIX, strlen(FET__PEFT_PREFIX)) == 0)
        name += strlen(FET__PEFT_PREFIX);
    if (!fet__dtype_is_float(e->dtype))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s holds whole numbers", fet__show(r->folder), fet__show(e->name));
    if (strstr(name, "lora_magnitude_vector") || strstr(name, "lora_embedding_") || strstr(name, "lora_E"))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s belongs to a form of LoRA that fettle does not follow",
                        fet__show(r->folder), fet__show(e->name));
    k = kind_of(name, module);
    if (k == KIND_OTHER)
        return take_saved(r, e, name);
    FET_TRY(find_branch(r, module, &b));
    if (k == KIND_DOWN)
        b->down = e;
    else if (k == KIND_UP)
        b->up = e;
    else if (k == KIND_BIAS)
        b->bias = e;
    else
        b->layer_bias = e;
    r->bias = r->bias || k == KIND_BIAS || k == KIND_LAYER_BIAS;
done:
    return st;
}

static bool is_vector(const fet__entry *e, int64_t n)
{
    return !e || (e->shape.rank == 1 && e->shape.dim[0] == n);
}

static fet_status check_branch(reading *r, branch *b)
{
    const fet__param *w = fet__params_find(r->m->store, b->weight);
    int64_t rows = w->shape.dim[0] / b->parts, columns = w->shape.dim[1];

    if (!b->down || !b->up)
        return FET_FAIL(FET_E_FORMAT, "%s: module %s lacks lora_%s", fet__show(r->folder), fet__show(b->module),
                        b->down ? "B" : "A");
    b->rank = b->down->shape.rank == 2 ? b->down->shape.dim[0] : 0;
    if (b->rank < 1 || b->rank > RANK_LIMIT || b->down->shape.dim[1] != columns || b->up->shape.rank != 2 ||
        b->up->shape.dim[0] != rows || b->up->shape.dim[1] != b->rank || !is_vector(b->bias, rows) ||
        !is_vector(b->layer_bias, rows))
        return FET_FAIL(FET_E_FORMAT,
                        "%s: module %s has lora_A %s and lora_B %s, its layer takes [r, %lld] and [%lld, r]",
                        fet__show(r->folder), fet__show(b->module), fet__shape_text(&b->down->shape),
                        fet__shape_text(&b->up->shape), (long long)columns, (long long)rows);
    b->scale = fet__peft_scale(&r->config, b->module, b->rank);
    if (b->rank > r->rank)
        r->rank = b->rank;
    return FET_OK;
}

static fet_status sort_tensors(reading *r)
{
    fet_status st;
    int i;

    FET_TRY(FET_NEW(r->branches, fet__tensors_count(r->t) + 1));
    for (i = 0; i < fet__tensors_count(r->t); i++)
        FET_TRY(sort_tensor(r, fet__tensors_at(r->t, i)));
    for (i = 0; i < r->count; i++)
        FET_TRY(check_branch(r, &r->branches[i]));
    if (r->count == 0)
        return FET_FAIL(FET_E_FORMAT, "%s: it holds no tensors lora_A and lora_B", fet__show(r->folder));
    r->scale = r->branches[0].scale;
    if (r->scale == 0)
        return FET_FAIL(FET_E_FORMAT, "%s: lora_alpha 0 switches the adapter off", fet__show(r->folder));
done:
    return st;
}

/* ---- the adapter ----------------------------------------------------------------------------------------------------------- */

/* "blocks.3.attn.q" -> "attn.q": what follows the last number. */
static const char *tail_of(const char *target)
{
    const char *at, *tail = target;

    for (at = target; *at; at++)
        if (*at == '.' && at[1] >= '0' && at[1] <= '9') {
            const char *end = at + 1;
            while (*end >= '0' && *end <= '9')
                end++;
            if (*end == '.')
                tail = end + 1;
        }
    return tail;
}

/* Patterns for at=: the tails, or every name in full. */
static void add_patterns(const reading *r, bool full, fet__text *out)
{
    int i, k;

    for (i = 0; i < r->count; i++) {
        const char *name = full ? r->branches[i].target : tail_of(r->branches[i].target);
        for (k = 0; !full && k < i && strcmp(tail_of(r->branches[k].target), name) != 0; k++)
            ;
        if (full || k == i)
            fet__text_printf(out, "%s%s", out->length ? "+" : "", name);
    }
}

static fet_status attach_with(reading *r, bool full)
{
    fet__text at = {0}, spec = {0};
    fet_status st;

    add_patterns(r, full, &at);
    fet__text_printf(&spec, "lora:at=%s,rank=%lld,scale=%.17g,dropout=%.9g,bias=%s", at.s ? at.s : "",
                     (long long)r->rank, r->scale, r->config.dropout, r->bias ? "true" : "false");
    st = spec.failed || at.failed ? FET_E_NOMEM : fet__model_attach(r->m, spec.s);
    fet__text_fini(&at);
    fet__text_fini(&spec);
    return st;
}

static fet__param *factor(const reading *r, const branch *b, const char *leaf)
{
    char name[300];

    snprintf(name, sizeof name, "%s.lora.%s", b->target, leaf);
    return fet__params_find(r->m->store, name);
}

/* Does the adapter act where the file has tensors, and nowhere else? */
static bool fits(const reading *r)
{
    int i, found = 0, all = 0;

    for (i = 0; i < r->count; i++)
        found += factor(r, &r->branches[i], "up.weight") != NULL;
    for (i = 0; i < fet__params_count(r->m->store); i++) {
        const fet__param *p = fet__params_at(r->m->store, i);
        char rest[300];
        all += p->adapter && cut_end(p->name, ".lora.up.weight", rest, sizeof rest);
    }
    return found == r->count && all == r->count;
}

static void fill_factor(fet__param *p, const fet__entry *e, double scale)
{
    int64_t rows = e->shape.dim[0], columns = e->shape.rank > 1 ? e->shape.dim[1] : 1,
            wide = p->shape.rank > 1 ? p->shape.dim[1] : 1, i, k;
    float *to = p->data, value;

    memset(p->data, 0, (size_t)p->bytes);
    for (i = 0; i < rows; i++)
        for (k = 0; k < columns; k++) {
            fet__convert(&value, FET_F32,
                         (const char *)e->data + (size_t)(i * columns + k) * fet__dtype_bytes(e->dtype), e->dtype, 1);
            to[i * wide + k] = scale == 1 ? value : (float)(scale * (double)value);
        }
    p->loaded = true;
    p->version++;
}

/* A trained bias of the layer is a bias of the branch: (new - old) / scale. */
static fet_status fill_layer_bias(reading *r, const branch *b, fet__param *up)
{
    char name[220];
    const fet__param *old;
    int64_t n = b->layer_bias->shape.dim[0], i;
    float *to = up->data, value;

    snprintf(name, sizeof name, "%.*s.bias", (int)(strrchr(b->weight, '.') - b->weight), b->weight);
    if (!(old = fet__params_find(r->m->store, name)))
        return FET_FAIL(FET_E_FORMAT, "%s: module %s brings a bias, its layer has none", fet__show(r->folder),
                        fet__show(b->module));
    for (i = 0; i < n; i++) {
        fet__convert(&value, FET_F32,
                     (const char *)b->layer_bias->data + (size_t)i * fet__dtype_bytes(b->layer_bias->dtype),
                     b->layer_bias->dtype, 1);
        to[i] += (float)((double)(value - ((const float *)old->data)[b->part * n + i]) / r->scale);
    }
    return FET_OK;
}

static fet_status fill_branch(reading *r, const branch *b)
{
    fet__param *down = factor(r, b, "down.weight"), *up = factor(r, b, "up.weight"),
               *up_bias = r->bias ? factor(r, b, "up.bias") : NULL,
               *down_bias = r->bias ? factor(r, b, "down.bias") : NULL;
    fet_status st = FET_OK;

    if (!down || !up || (r->bias && (!up_bias || !down_bias)))
        return FET_FAIL(FET_E_BUG, "the adapter lacks a tensor of %s", b->target);
    fill_factor(down, b->down, 1);
    fill_factor(up, b->up, b->scale / r->scale);
    if (!r->bias)
        return FET_OK;
    memset(down_bias->data, 0, (size_t)down_bias->bytes);
    memset(up_bias->data, 0, (size_t)up_bias->bytes);
    down_bias->loaded = up_bias->loaded = true;
    if (b->bias)
        fill_factor(up_bias, b->bias, b->scale / r->scale);
    if (b->layer_bias)
        st = fill_layer_bias(r, b, up_bias);
    return st;
}

/* A head of its size before the adapter is attached, its values afterwards. */
static fet_status size_head(reading *r)
{
    const fet__entry *w = r->head[0];
    char name[128];
    const fet__param *p;

    snprintf(name, sizeof name, "%s.weight", r->m->arch.head);
    p = fet__params_find(r->m->store, name);
    if (!w)
        return r->head[1] ? FET_FAIL(FET_E_FORMAT, "%s: its head has a bias and no weight", fet__show(r->folder))
                          : FET_OK;
    if (w->shape.rank != 2 || w->shape.dim[0] < 1 || w->shape.dim[0] > 1 << 24 ||
        w->shape.dim[1] != r->m->arch.feature_size || !is_vector(r->head[1], w->shape.dim[0]))
        return FET_FAIL(FET_E_FORMAT, "%s: its head has shape %s, the model's features are %lld", fet__show(r->folder),
                        fet__shape_text(&w->shape), (long long)r->m->arch.feature_size);
    if (p && p->shape.dim[0] == w->shape.dim[0])
        return FET_OK;
    return fet__model_fresh_head(r->m, (int)w->shape.dim[0]);
}

static fet_status fill_head(reading *r)
{
    char name[128];
    fet_status st = FET_OK;
    int i;

    for (i = 0; r->head[0] && i < 2; i++) {
        fet__param *p;
        snprintf(name, sizeof name, "%s.%s", r->m->arch.head, i ? "bias" : "weight");
        p = fet__params_find(r->m->store, name);
        if (!p)
            continue;
        FET_TRY(fet__param_own(p));
        if (r->head[i])
            fill_factor(p, r->head[i], 1);
        else
            memset(p->data, 0, (size_t)p->bytes);
    }
done:
    return st;
}

static fet_status attach(reading *r)
{
    fet_status st;
    int i;

    FET_TRY(size_head(r));
    FET_TRY(attach_with(r, false));
    if (!fits(r)) {
        fet__model_detach(r->m);
        FET_TRY(attach_with(r, true));
    }
    if (!fits(r))
        return FET_FAIL(FET_E_FORMAT, "%s: its modules are not all layers where an adapter can act",
                        fet__show(r->folder));
    for (i = 0; i < r->count; i++)
        FET_TRY(fill_branch(r, &r->branches[i]));
    FET_TRY(fill_head(r));
    fet__note("%s: LoRA on %d layers, rank %lld, scale %g%s%s%s", fet__show(r->folder), r->count, (long long)r->rank,
              r->scale, r->config.base[0] ? ", trained on " : "", fet__show(r->config.base),
              r->head[0] ? ", with its head" : "");
done:
    return st;
}

static fet_status open_tensors(reading *r)
{
    static const char *const names[] = {FET__PEFT_TENSORS, "adapter_model.bin"};
    char *path = NULL;
    fet_status st = FET_OK;
    size_t i;

    for (i = 0; i < FET_COUNT(names); i++) {
        if (!(path = fet__path_join(r->folder, names[i])))
            return FET_E_NOMEM;
        if (fet__file_exists(path))
            break;
        fet__free(path);
        path = NULL;
    }
    st = path ? fet__tensors_open(&r->t, path)
              : FET_FAIL(FET_E_IO, "%s: the folder holds neither %s nor %s", fet__show(r->folder), names[0], names[1]);
    fet__free(path);
    return st;
}

fet_status fet__peft_attach(fet__model *m, const char *folder)
{
    reading r = {.m = m, .folder = folder};
    fet_status st;

    if (m->adapter)
        return FET_FAIL(FET_E_ARG, "the model already has adapter '%s': merge it first", m->adapter->class_->name);
    FET_TRY(fet__peft_config_read(&r.config, folder));
    FET_TRY(open_tensors(&r));
    FET_TRY(sort_tensors(&r));
    FET_TRY(attach(&r));
done:
    if (st != FET_OK)
        fet__model_detach(m);
    fet__peft_config_fini(&r.config);
    fet__tensors_close(r.t);
    fet__free(r.branches);
    return st;
}
