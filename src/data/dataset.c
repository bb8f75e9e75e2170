/* A labelled data set: puts together what folder.c or csv.c found, classes.c ordered and holdout.c split, and says what
 * is odd about it. Opens no image. */
#include "data/data_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const split_names[FET__SPLITS] = {"train", "val", "test"};

const char *fet__split_name(fet__split s)
{
    return split_names[s];
}

fet_status fet__split_parse(const char *s, fet__split *out)
{
    for (int i = 0; i < FET__SPLITS; i++) {
        if (strcmp(s, split_names[i]) == 0) {
            *out = (fet__split)i;
            return FET_OK;
        }
    }
    return FET_FAIL(FET_E_ARG, "the split '%s' is none of train, val and test", fet__show(s));
}

/* ---- domains --------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fet_status copy_groups(fet__dataset *d, const fet__listing *l)
{
    d->group_count = l->groups.count;
    d->groups = fet__arena_alloc(&d->arena, (size_t)d->group_count, sizeof *d->groups);
    if (!d->groups)
        return FET_E_NOMEM;
    for (int i = 0; i < d->group_count; i++)
        if (!(d->groups[i] = fet__arena_strdup(&d->arena, l->groups.names[i])))
            return FET_E_NOMEM;
    return FET_OK;
}

static bool in_list(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    return false;
}

static fet_status keep_domains(const fet__dataset *d, fet__listing *l, const char *list)
{
    int kept = 0;
    if (!list)
        return FET_OK;
    for (int i = 0; i < l->count; i++)
        if (l->entries[i].domain >= 0 && in_list(list, l->domains.names[l->entries[i].domain]))
            l->entries[kept++] = l->entries[i];
    l->count = kept;
    return kept ? FET_OK
                : FET_FAIL(FET_E_ARG, "%s: no images of the domains '%s'", fet__show(d->root), fet__show(list));
}

static fet_status sort_domains(fet__dataset *d, fet__listing *l)
{
    int count = l->domains.count;
    fet__nameset sorted = {0};
    int32_t index;
    fet_status st = FET_OK;
    d->domains = fet__arena_alloc(&d->arena, (size_t)count, sizeof *d->domains);
    if (!d->domains)
        return FET_E_NOMEM;
    for (int i = 0; i < count; i++)
        if (!(d->domains[i] = fet__arena_strdup(&d->arena, l->domains.names[i])))
            return FET_E_NOMEM;
    qsort(d->domains, (size_t)count, sizeof *d->domains, by_bytes);
    d->domain_count = count;
    for (int i = 0; i < count; i++)
        FET_TRY(fet__nameset_add(&sorted, d->domains[i], &index));
    for (int i = 0; i < l->count; i++) {
        fet__entry *e = &l->entries[i];
        e->domain = e->domain < 0 ? 0 : fet__nameset_find(&sorted, l->domains.names[e->domain]);
    }
done:
    fet__nameset_fini(&sorted);
    return st;
}

/* ---- what is refused ------------------------------------------------------------------------------------- */

static fet_status refuse_empty(const fet__dataset *d, const fet__listing *l)
{
    if (l->count)
        return FET_OK;
    if (l->loose)
        return FET_FAIL(FET_E_DATA, "%s: its %lld images lie in no class folder (expected %s/CLASS/IMAGE)",
                        fet__show(d->root), (long long)l->loose, fet__show(d->root));
    if (l->ignored)
        return FET_FAIL(FET_E_DATA,
                        "%s: no images; none of its %lld files ends in .jpg .jpeg .png .webp .bmp .ppm or .pgm",
                        fet__show(d->root), (long long)l->ignored);
    return FET_FAIL(FET_E_DATA, "%s: no images", fet__show(d->root));
}

static fet_status refuse_one_class(const fet__dataset *d, const fet__listing *l)
{
    int32_t first = l->entries[0].name;
    for (int i = 1; i < l->count; i++)
        if (l->entries[i].name != first)
            return FET_OK;
    return FET_FAIL(FET_E_DATA, "%s: only one class has images ('%s'); telling classes apart needs two or more",
                    fet__show(d->root), fet__show(d->classes[first]));
}

/* Entries are sorted by path. */
static fet_status refuse_contradictions(const fet__dataset *d, const fet__listing *l)
{
    for (int i = 1; i < l->count; i++) {
        const fet__entry *a = &l->entries[i - 1], *b = &l->entries[i];
        if (a->name != b->name && strcmp(a->path, b->path) == 0)
            return FET_FAIL(FET_E_DATA, "%s: %s is labelled '%s' in line %lld and '%s' in line %lld",
                            fet__show(d->root), fet__show(a->rel), fet__show(d->classes[a->name]), (long long)a->line,
                            fet__show(d->classes[b->name]), (long long)b->line);
    }
    return FET_OK;
}

/* ---- what is said ---------------------------------------------------------------------------------------- */

/* seen[split * class_count + label] */
static void report_classes(const fet__dataset *d, const bool *seen, bool *scratch, bool from_model)
{
    int n = d->class_count;
    for (int s = -1; s < FET__SPLITS; s++) { /* -1: nowhere */
        int absent = 0;
        for (int c = 0; c < n; c++) {
            bool any = seen[c] || seen[n + c] || seen[2 * n + c];
            scratch[c] = s < 0 ? !any : any && d->count[s] && !seen[s * n + c];
            absent += scratch[c];
        }
        if (!absent)
            continue;
        fet__text names = {0};
        fet__text_names(&names, (const char *const *)d->classes, scratch, n);
        if (names.failed)
            ; /* a notice is not worth failing for */
        else if (s >= 0)
            fet__warn("%s: %s has no images of %d of the classes: %s", fet__show(d->root), split_names[s], absent,
                      names.s);
        else if (from_model)
            fet__note("%s: has no images of %d of the model's classes: %s", fet__show(d->root), absent, names.s);
        else
            fet__warn("%s: %d empty class folder%s: %s", fet__show(d->root), absent, absent == 1 ? "" : "s", names.s);
        fet__text_fini(&names);
    }
}

static fet_status report(const fet__dataset *d, const fet__listing *l, const fet__dataset_options *o)
{
    bool *seen = NULL, *scratch = NULL;
    fet_status st = FET_OK;
    if (l->ignored)
        fet__note("%s: %lld file%s ignored (not named as images)", fet__show(d->root), (long long)l->ignored,
                  l->ignored == 1 ? "" : "s");
    if (l->loose)
        fet__warn("%s: %lld image%s outside of class folders ignored", fet__show(d->root), (long long)l->loose,
                  l->loose == 1 ? "" : "s");
    if (l->regression)
        return FET_OK;
    FET_TRY(FET_NEW(seen, (size_t)FET__SPLITS * d->class_count));
    FET_TRY(FET_NEW(scratch, d->class_count));
    for (int i = 0; i < l->count; i++)
        seen[(size_t)l->entries[i].split * d->class_count + l->entries[i].name] = true;
    report_classes(d, seen, scratch, o->model_classes != NULL);
done:
    fet__free(seen);
    fet__free(scratch);
    return st;
}

/* ---- putting it together --------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    const fet__entry *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

static fet_status split_off(fet__dataset *d, fet__listing *l, const fet__dataset_options *o)
{
    double fraction = o->val_fraction < 0 ? 0.1 : o->val_fraction;
    int64_t moved, train = 0;
    for (int i = 0; i < l->count; i++) {
        if (l->entries[i].split == FET__VAL)
            return FET_OK;
        train += l->entries[i].split == FET__TRAIN;
    }
    if (!train || fraction == 0)
        return FET_OK;
    fet_status st = fet__holdout(l, l->regression ? 1 : d->class_count, fraction, o->seed, &moved);
    if (st != FET_OK)
        return st;
    d->split_off = moved > 0;
    fet__note("%s: no validation images; %lld of the %lld training images are split off (fraction %g, seed %llu)",
              fet__show(d->root), (long long)moved, (long long)train, fraction, (unsigned long long)o->seed);
    return FET_OK;
}

static fet_status place_samples(fet__dataset *d, const fet__listing *l)
{
    for (int i = 0; i < l->count; i++)
        d->count[l->entries[i].split]++;
    for (int s = 0; s < FET__SPLITS; s++) {
        d->samples[s] = fet__arena_alloc(&d->arena, (size_t)d->count[s], sizeof *d->samples[s]);
        if (!d->samples[s])
            return FET_E_NOMEM;
        d->count[s] = 0;
    }
    for (int i = 0; i < l->count; i++) {
        const fet__entry *e = &l->entries[i];
        d->samples[e->split][d->count[e->split]++] = (fet__sample){
            .path = e->path, .label = e->name, .domain = e->domain, .group = e->group, .target = e->target};
    }
    return FET_OK;
}

/* One line a sample, with NUL between fields: no path can imitate another line. */
static fet_status fingerprint(fet__dataset *d, const fet__listing *l)
{
    fet__sha256 *h;
    fet_status st = fet__sha256_begin(&h);
    if (st != FET_OK)
        return st;
    for (int s = 0; s < FET__SPLITS; s++) {
        for (int i = 0; i < l->count; i++) {
            const fet__entry *e = &l->entries[i];
            if (e->split != (fet__split)s)
                continue;
            char tail[64];
            int length = snprintf(tail, sizeof tail, "%d %lld", (int)e->name, (long long)e->bytes);
            if (l->regression)
                length = snprintf(tail, sizeof tail, "%.9g %lld", (double)e->target, (long long)e->bytes);
            fet__sha256_add(h, split_names[s], strlen(split_names[s]) + 1);
            fet__sha256_add(h, e->rel, strlen(e->rel) + 1);
            fet__sha256_add(h, tail, (size_t)length + 1);
        }
    }
    fet__sha256_end(h, d->fingerprint);
    return FET_OK;
}

static bool is_csv(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcasecmp(path + length - 4, ".csv") == 0;
}

static fet_status find_images(fet__dataset *d, fet__listing *l, const char *path, const fet__dataset_options *o)
{
    const fet__wilds *known = NULL;
    fet_status st;
    size_t length = strlen(path);
    if (!length)
        return FET_FAIL(FET_E_ARG, "the path of the data set is empty");
    if (!fet__file_exists(path))
        return FET_FAIL(FET_E_IO, "%s: no such folder or CSV file", fet__show(path));
    bool folder = fet__is_folder(path);
    if (!folder && !is_csv(path))
        return FET_FAIL(FET_E_DATA, "%s: neither a folder nor a .csv file", fet__show(path));
    while (length > 1 && path[length - 1] == '/')
        length--;
    d->root = fet__arena_alloc(&d->arena, length + 1, 1);
    if (!d->root)
        return FET_E_NOMEM;
    memcpy(d->root, path, length);
    l->format = "plain";
    if (folder && (o->sites || o->known)) {
        st = fet__wilds_find(&known, d->root, o->format);
        if (st != FET_OK || known)
            return st != FET_OK ? st : fet__wilds_list(known, l, d->root, o->fold);
    }
    if (folder && o->sites)
        return fet__sites_list(l, d->root);
    return folder ? fet__folder_list(l, d->root) : fet__csv_list(l, d->root);
}

static fet_status check_options(const fet__dataset_options *o)
{
    if (!(o->val_fraction < 1)) /* NaN too */
        return FET_FAIL(FET_E_ARG, "the validation share %g is not in [0, 1)", o->val_fraction);
    return FET_OK;
}

/* Numbers have no classes; every sample then has label 0. */
static fet_status choose_classes(fet__dataset *d, fet__listing *l, const fet__dataset_options *o)
{
    fet__dataset_options natural = *o;
    if (l->regression) {
        if (!o->numbers)
            return FET_FAIL(FET_E_DATA, "%s: its labels are numbers, and this needs classes", fet__show(d->root));
        return FET_OK;
    }
    natural.natural_order = o->natural_order || l->natural;
    fet_status st = fet__classes_choose(d, l, &natural);
    if (st == FET_OK && l->count && !o->model_classes && !o->one_class_too)
        st = refuse_one_class(d, l);
    return st;
}

fet_status fet__dataset_open(fet__dataset *out, const char *path, const fet__dataset_options *o)
{
    static const fet__dataset_options defaults = {.val_fraction = -1};
    fet__listing l = {.arena = &out->arena};
    fet_status st;
    memset(out, 0, sizeof *out);
    o = o ? o : &defaults;
    FET_TRY(check_options(o));
    FET_TRY(find_images(out, &l, path, o));
    FET_TRY(refuse_empty(out, &l));
    out->regression = l.regression;
    out->official = l.official;
    out->format = l.format;
    out->standardize = strcmp(l.format, "rxrx1") == 0;
    FET_TRY(choose_classes(out, &l, o));
    FET_TRY(refuse_empty(out, &l));
    FET_TRY(keep_domains(out, &l, o->domains));
    qsort(l.entries, (size_t)l.count, sizeof *l.entries, by_path);
    if (!l.regression)
        FET_TRY(refuse_contradictions(out, &l));
    FET_TRY(sort_domains(out, &l));
    FET_TRY(copy_groups(out, &l));
    FET_TRY(split_off(out, &l, o));
    FET_TRY(place_samples(out, &l));
    FET_TRY(fingerprint(out, &l));
    FET_TRY(report(out, &l, o));
done:
    fet__listing_fini(&l);
    if (st != FET_OK)
        fet__dataset_fini(out);
    return st;
}

void fet__dataset_fini(fet__dataset *d)
{
    fet__arena_fini(&d->arena);
    memset(d, 0, sizeof *d);
}
