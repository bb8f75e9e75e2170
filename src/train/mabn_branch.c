/* The branch beside a model: made, written, read, taken away. It lies in a file of its own, so that RUN/model.safetensors is a plain
 * checkpoint. */
#include "train/mabn_parts.h"

#include <string.h>

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool fet__mabn_is_branch(const fet__param *p)
{
    static const char *const prefixes[] = {"projector.", "predictor.",    "target.",    "context.",
                                           "expert.",    "learned_loss.", "aggregator."};

    for (size_t i = 0; i < FET_COUNT(prefixes); i++)
        if (begins(p->name, prefixes[i]))
            return p->role != FET__STATE;
    return false;
}

bool fet__mabn_of_model(const fet__params *store, const fet__param *p)
{
    (void)store;
    return p->role == FET__PARAM && !fet__mabn_is_branch(p);
}

static void backbone(void *user, fet__build *b, fet__node *images, fet__node **feature, fet__node **logits)
{
    const fet__model *m = user;
    fet__arch arch = m->arch;
    fet__node *head = NULL;

    if (!logits)
        arch.classes = 0;
    arch.class_->build(&arch, b, images, feature, &head);
    if (logits)
        *logits = head;
}

fet_status fet__mabn_check_norms(const fet__model *m)
{
    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        if (p->role == FET__PARAM && fet__is_norm_affine(m->store, p))
            return FET_OK;
    }
    return FET_FAIL(FET_E_ARG, "%s: the model has no batch norm with running statistics: there is nothing to adapt",
                    fet__show(m->path));
}

/* A graph that asks for every parameter of projector and predictor, which makes those that are not there. */
static fet_status build_once(fet__mabn *a, bool may_initialise)
{
    fet__build b = {.store = a->m->store, .dtype = FET_F32, .seed = a->m->seed, .may_initialise = may_initialise};
    fet__node *view[2];
    fet__byol_nodes nodes = {0};
    const fet__arch *arch = &a->m->arch;
    fet_status st;

    FET_TRY(fet__graph_create(&b.g));
    fet__byol_begin(&a->net, &b);
    view[0] = fet__input(b.g, "a", FET_F32, FET_SHAPE(2, arch->height, arch->width, fet__arch_channels(arch)));
    view[1] = fet__input(b.g, "b", FET_F32, FET_SHAPE(2, arch->height, arch->width, fet__arch_channels(arch)));
    st = fet__byol_build(&a->net, &b, view, &nodes);
done:
    fet__graph_destroy(b.g);
    return st;
}

static fet_status begin(fet__mabn *a, fet__model *m, int64_t hidden, int64_t out)
{
    *a = (fet__mabn){.m = m, .net = {.backbone = backbone, .user = m, .hidden = hidden, .out = out}};
    return fet__mabn_check_norms(m);
}

fet_status fet__mabn_init(fet__mabn *a, fet__model *m, int64_t hidden, int64_t out)
{
    fet_status st;

    FET_TRY(begin(a, m, hidden, out));
    a->net.target = FET__TARGET_ONLINE;
    FET_TRY(build_once(a, true));
    a->net.target = FET__TARGET_FOLLOWS;
    st = fet__byol_copy_target(m->store, m->arch.head);
done:
    return st;
}

fet_status fet__mabn_save_branch(const fet__mabn *a, const char *path, const char *text)
{
    const fet__params *store = a->m->store;
    fet__meta_pair meta = {"fettle.mabn", text};
    fet__entry *entries = NULL;
    int used = 0, n = fet__params_count(store);
    fet_status st;

    FET_TRY(FET_NEW(entries, n + 1));
    for (int i = 0; i < n; i++) {
        const fet__param *p = fet__params_at(store, i);
        if (fet__mabn_is_branch(p))
            entries[used++] = (fet__entry){p->name, p->dtype, p->shape, p->data, p->bytes};
    }
    st = fet__sealed_write(path, entries, used, &meta, 1);
done:
    fet__free(entries);
    return st;
}

static fet_status add(fet__params *store, const fet__entry *e, const char *path)
{
    fet__param probe = {.name = e->name}, *p;
    fet_status st;

    if (!fet__mabn_is_branch(&probe) || !fet__dtype_is_float(e->dtype) || fet__params_find(store, e->name))
        return FET_FAIL(FET_E_FORMAT, "%s: tensor %s is no part of a branch", fet__show(path), fet__show(e->name));
    FET_TRY(fet__params_add(store, &p, e->name, FET_F32, e->shape, FET__PARAM));
    fet__convert(p->data, FET_F32, e->data, e->dtype, fet__shape_count(&e->shape));
    p->loaded = true;
done:
    return st;
}

fet_status fet__branch_open(fet__tensors **out, const char **text, const char *path)
{
    fet_status st;

    *text = NULL;
    if (!fet__file_exists(path))
        return FET_FAIL(FET_E_IO, "%s: there is none: the model was not trained by `fettle meta`, which makes it",
                        fet__show(path));
    st = fet__tensors_open(out, path);
    if (st != FET_OK)
        return st;
    *text = fet__tensors_meta(*out, "fettle.mabn");
    return *text ? FET_OK
                 : FET_FAIL(FET_E_FORMAT, "%s: no branch of `fettle meta` (its metadata is missing)", fet__show(path));
}

fet_status fet__branch_add_all(fet__params *store, const fet__tensors *t, const char *path)
{
    fet_status st = FET_OK;

    for (int i = 0; i < fet__tensors_count(t) && st == FET_OK; i++)
        if (strcmp(fet__tensors_at(t, i)->name, "fettle.checksum") != 0)
            st = add(store, fet__tensors_at(t, i), path);
    return st;
}

fet_status fet__mabn_branch_text(char **text, const char *path)
{
    fet__tensors *t = NULL;
    const char *meta;
    fet_status st;

    *text = NULL;
    FET_TRY(fet__branch_open(&t, &meta, path));
    if (!(*text = fet__strdup(meta)))
        st = FET_E_NOMEM;
done:
    fet__tensors_close(t);
    return st;
}

fet_status fet__mabn_load_branch(fet__mabn *a, fet__model *m, const char *path, char **text)
{
    const fet__entry *first, *last;
    fet__tensors *t = NULL;
    const char *meta;
    fet_status st;

    FET_TRY(fet__branch_open(&t, &meta, path));
    first = fet__tensors_find(t, "projector.0.weight");
    last = fet__tensors_find(t, "projector.3.weight");
    if (!first || !last || first->shape.rank != 2 || last->shape.rank != 2) {
        st = FET_FAIL(FET_E_FORMAT, "%s: no branch of `fettle meta` trained by method mabn (the projector is missing)",
                      fet__show(path));
        goto done;
    }
    FET_TRY(begin(a, m, first->shape.dim[0], last->shape.dim[0]));
    FET_TRY(fet__branch_add_all(m->store, t, path));
    st = build_once(a, false);
    if (st != FET_OK)
        st = fet__fail_in(st, "%s", fet__show(path));
    if (st == FET_OK && text && !(*text = fet__strdup(meta)))
        st = FET_E_NOMEM;
done:
    fet__tensors_close(t);
    return st;
}

void fet__mabn_drop_branch(fet__mabn *a)
{
    fet__params *store = a->m->store;

    for (int i = fet__params_count(store) - 1; i >= 0; i--) {
        fet__param *p = fet__params_at(store, i);
        if (p->role == FET__STATE || fet__mabn_is_branch(p))
            fet__params_remove(store, p);
    }
}
