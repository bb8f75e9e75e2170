/* From the names found to labels: which classes are kept, in which order, or the model's order where a model is given.
 * Labels are positions in d->classes and are the same in every split. */
#include "data/data_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- order ----------------------------------------------------------------------------------------------- */

static size_t digits(const char *s)
{
    size_t n = 0;
    while (s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

static int compare_numbers(const char **a, const char **b)
{
    const char *x = *a, *y = *b;
    *a += digits(x);
    *b += digits(y);
    while (*x == '0')
        x++;
    while (*y == '0')
        y++;
    size_t nx = digits(x), ny = digits(y);
    if (nx != ny)
        return nx < ny ? -1 : 1;
    return strncmp(x, y, nx);
}

int fet__natural_compare(const char *a, const char *b)
{
    const char *x = a, *y = b;
    while (*x && *y) {
        int c;
        if (digits(x) && digits(y)) {
            c = compare_numbers(&x, &y);
        } else {
            c = tolower((unsigned char)*x) - tolower((unsigned char)*y);
            x++;
            y++;
        }
        if (c)
            return c;
    }
    if (*x || *y)
        return *x ? 1 : -1;
    return strcmp(a, b); /* "a01" and "A1" are different names: any fixed order */
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_nature(const void *a, const void *b)
{
    return fet__natural_compare(*(char *const *)a, *(char *const *)b);
}

/* ---- --classes a,b,c -------------------------------------------------------------------------------------- */

static fet_status keep_one(const fet__listing *l, const char *root, const char *name, bool *keep)
{
    int32_t i = fet__nameset_find(&l->classes, name);
    if (i >= 0) {
        keep[i] = true;
        return FET_OK;
    }
    int near = fet__nearest(name, l->classes.names, l->classes.count);
    if (near >= 0)
        return FET_FAIL(FET_E_ARG, "%s: has no class '%s' (did you mean '%s'?)", fet__show(root), fet__show(name),
                        fet__show(l->classes.names[near]));
    return FET_FAIL(FET_E_ARG, "%s: has no class '%s'", fet__show(root), fet__show(name));
}

static fet_status keep_classes(const fet__listing *l, const char *root, const char *wanted, bool *keep)
{
    if (!wanted) {
        for (int i = 0; i < l->classes.count; i++)
            keep[i] = true;
        return FET_OK;
    }
    fet_status st = FET_OK;
    for (const char *at = wanted; st == FET_OK;) {
        size_t length = strcspn(at, ",");
        char *name = fet__strndup(at, length);
        if (!name)
            return FET_E_NOMEM;
        st = length ? keep_one(l, root, name, keep)
                    : FET_FAIL(FET_E_ARG, "the list of classes '%s' has an empty name", fet__show(wanted));
        fet__free(name);
        if (!at[length])
            break;
        at += length + 1;
    }
    return st;
}

/* ---- labels ---------------------------------------------------------------------------------------------- */

/* The model's classes in the model's order. */
static fet_status copy_model_classes(fet__dataset *d, const fet__dataset_options *o)
{
    if (o->model_class_count < 1)
        return FET_FAIL(FET_E_ARG, "the model has %d classes", o->model_class_count);
    d->classes = fet__arena_alloc(&d->arena, (size_t)o->model_class_count, sizeof *d->classes);
    if (!d->classes)
        return FET_E_NOMEM;
    for (int i = 0; i < o->model_class_count; i++)
        if (!(d->classes[i] = fet__arena_strdup(&d->arena, o->model_classes[i])))
            return FET_E_NOMEM;
    d->class_count = o->model_class_count;
    return FET_OK;
}

static fet_status sort_classes(fet__dataset *d, const fet__listing *l, const bool *keep, bool natural)
{
    d->classes = fet__arena_alloc(&d->arena, (size_t)l->classes.count, sizeof *d->classes);
    if (!d->classes)
        return FET_E_NOMEM;
    for (int i = 0; i < l->classes.count; i++)
        if (keep[i] && !(d->classes[d->class_count++] = fet__arena_strdup(&d->arena, l->classes.names[i])))
            return FET_E_NOMEM;
    qsort(d->classes, (size_t)d->class_count, sizeof *d->classes, natural ? by_nature : by_bytes);
    return FET_OK;
}

/* label[i]: position of the listing's class i in d->classes, -1 when dropped or unknown. */
static fet_status find_labels(int32_t *label, const fet__dataset *d, const fet__listing *l, const bool *keep)
{
    fet__nameset set = {0};
    fet_status st = FET_OK;
    for (int i = 0; i < d->class_count; i++) {
        int32_t index;
        FET_TRY(fet__nameset_add(&set, d->classes[i], &index));
        if (index != i) {
            st = FET_FAIL(FET_E_ARG, "two classes of the model are named '%s'", fet__show(d->classes[i]));
            goto done;
        }
    }
    for (int i = 0; i < l->classes.count; i++)
        label[i] = keep[i] ? fet__nameset_find(&set, l->classes.names[i]) : -1;
done:
    fet__nameset_fini(&set);
    return st;
}

/* Images whose class the model does not know. `strange` is scratch. */
static fet_status refuse_strangers(const fet__dataset *d, const fet__listing *l, const bool *keep, const int32_t *label,
                                   bool *strange)
{
    int count = 0;
    for (int i = 0; i < l->count; i++) {
        int32_t name = l->entries[i].name;
        if (keep[name] && label[name] < 0 && !strange[name]) {
            strange[name] = true;
            count++;
        }
    }
    if (!count)
        return FET_OK;
    fet__text data = {0}, model = {0};
    fet__text_names(&data, l->classes.names, strange, l->classes.count);
    fet__text_names(&model, (const char *const *)d->classes, NULL, d->class_count);
    fet_status st = FET_E_NOMEM;
    if (!data.failed && !model.failed)
        st =
            FET_FAIL(FET_E_DATA,
                     "%s: %d of its classes %s not among the model's %d: %s (the model knows %s); --classes keeps some",
                     fet__show(d->root), count, count == 1 ? "is" : "are", d->class_count, data.s, model.s);
    fet__text_fini(&data);
    fet__text_fini(&model);
    return st;
}

static void relabel(fet__listing *l, const int32_t *label)
{
    int kept = 0;
    for (int i = 0; i < l->count; i++) {
        fet__entry e = l->entries[i];
        e.name = label[e.name];
        if (e.name >= 0)
            l->entries[kept++] = e;
    }
    l->count = kept;
}

fet_status fet__classes_choose(fet__dataset *d, fet__listing *l, const fet__dataset_options *o)
{
    int32_t *label = NULL;
    bool *keep = NULL, *strange = NULL;
    fet_status st;
    FET_TRY(FET_NEW(keep, l->classes.count));
    FET_TRY(FET_NEW(strange, l->classes.count));
    FET_TRY(FET_NEW(label, l->classes.count));
    FET_TRY(keep_classes(l, d->root, o->classes, keep));
    if (o->model_classes)
        FET_TRY(copy_model_classes(d, o));
    else
        FET_TRY(sort_classes(d, l, keep, o->natural_order));
    FET_TRY(find_labels(label, d, l, keep));
    FET_TRY(refuse_strangers(d, l, keep, label, strange));
    relabel(l, label);
done:
    fet__free(keep);
    fet__free(strange);
    fet__free(label);
    return st;
}
