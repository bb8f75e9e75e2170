/* `data check`: decode every image, find equal files within and across splits, name empty classes. Findings come out in
 * the order of splits and paths, whatever thread met them first. */
#include "data/data_int.h"

#include <stdlib.h>
#include <string.h>

struct finding {
    char sha[65];  /* "" when the file cannot be read */
    char *failure; /* why it is unreadable, or NULL */
    int height, width;
    int32_t group; /* number of the first sample with the same bytes */
};

struct check {
    const fet__dataset *d;
    const fet__decode_options *o;
    struct finding *found; /* all splits one after the other */
    int64_t count;
    fet__file_buffer file[FET__EACH_THREADS];
    bool no_memory[FET__EACH_THREADS];
    fet__check_report *report;
    void (*line)(void *user, const char *text);
    void *user;
};

static const fet__sample *sample_at(const fet__dataset *d, int64_t i, fet__split *split)
{
    int s = 0;
    while (i >= d->count[s])
        i -= d->count[s++];
    *split = (fet__split)s;
    return &d->samples[s][i];
}

static fet_status hash_file(const fet__file_buffer *b, char hex[65])
{
    fet__sha256 *h;
    fet_status st = fet__sha256_begin(&h);
    if (st != FET_OK)
        return st;
    fet__sha256_add(h, b->data, b->size);
    fet__sha256_end(h, hex);
    return FET_OK;
}

static fet_status look_at(const struct check *c, fet__file_buffer *file, const char *path, struct finding *f)
{
    fet__image im = {0};
    fet__decode_options decode = c->o ? *c->o : (fet__decode_options){0};
    decode.name = path;
    fet_status st = fet__file_buffer_read(file, path);
    if (st == FET_OK)
        st = hash_file(file, f->sha);
    if (st == FET_OK)
        st = fet__image_decode(&im, file->data, file->size, &decode);
    if (st != FET_OK)
        return st;
    f->height = im.height;
    f->width = im.width;
    fet__image_fini(&im);
    return FET_OK;
}

static void check_one(void *user, int worker, int64_t i)
{
    struct check *c = user;
    struct finding *f = &c->found[i];
    fet__split split;
    fet_status st = look_at(c, &c->file[worker], sample_at(c->d, i, &split)->path, f);
    if (st != FET_OK && st != FET_E_NOMEM)
        f->failure = fet__strdup(fet_error_message());
    if (st == FET_E_NOMEM || (st != FET_OK && !f->failure))
        c->no_memory[worker] = true;
}

static void say(struct check *c, const char *format, ...) FET_PRINTF(2, 3);
static void say(struct check *c, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    if (!c->line)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    c->line(c->user, text);
}

/* ---- equal files ----------------------------------------------------------------------------------------- */

static int by_sha_then_place(const void *a, const void *b)
{
    const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;
    int c = strcmp(x->sha, y->sha);
    return c ? c : (x > y) - (x < y);
}

static fet_status group(struct check *c)
{
    struct finding **sorted = NULL;
    fet_status st = FET_NEW(sorted, c->count);
    if (st != FET_OK)
        return st;
    for (int64_t i = 0; i < c->count; i++)
        sorted[i] = &c->found[i];
    qsort(sorted, (size_t)c->count, sizeof *sorted, by_sha_then_place);
    for (int64_t i = 0; i < c->count; i++) {
        bool same = i > 0 && sorted[i]->sha[0] && strcmp(sorted[i]->sha, sorted[i - 1]->sha) == 0;
        sorted[i]->group = same ? sorted[i - 1]->group : (int32_t)(sorted[i] - c->found);
    }
    fet__free(sorted);
    return FET_OK;
}

static void report_twin(struct check *c, int64_t i)
{
    fet__split split, first_split;
    const fet__sample *s = sample_at(c->d, i, &split);
    const fet__sample *first = sample_at(c->d, c->found[i].group, &first_split);
    bool leak = split != first_split;
    c->report->duplicates++;
    c->report->leaks += leak;
    say(c, "%s: %s (%s) is byte for byte %s (%s)%s", leak ? "leak" : "duplicate", fet__show(s->path),
        fet__split_name(split), fet__show(first->path), fet__split_name(first_split),
        s->label == first->label ? "" : ", under another label");
}

/* ---- the report ------------------------------------------------------------------------------------------ */

static void report_size(fet__check_report *r, const struct finding *f)
{
    if (!r->max_height) { /* the first readable one */
        r->min_height = f->height;
        r->min_width = f->width;
    }
    r->min_height = f->height < r->min_height ? f->height : r->min_height;
    r->min_width = f->width < r->min_width ? f->width : r->min_width;
    r->max_height = f->height > r->max_height ? f->height : r->max_height;
    r->max_width = f->width > r->max_width ? f->width : r->max_width;
}

static fet_status report_empty_classes(struct check *c)
{
    bool *seen = NULL;
    fet_status st = FET_NEW(seen, c->d->class_count);
    if (st != FET_OK)
        return st;
    for (int s = 0; s < FET__SPLITS; s++)
        for (int i = 0; i < c->d->count[s]; i++)
            if (c->d->samples[s][i].label >= 0)
                seen[c->d->samples[s][i].label] = true;
    for (int i = 0; i < c->d->class_count; i++) {
        if (seen[i])
            continue;
        c->report->empty_classes++;
        say(c, "empty class: %s has no images", fet__show(c->d->classes[i]));
    }
    fet__free(seen);
    return FET_OK;
}

static fet_status report_all(struct check *c)
{
    for (int64_t i = 0; i < c->count; i++) {
        const struct finding *f = &c->found[i];
        c->report->images++;
        if (f->failure) {
            c->report->unreadable++;
            say(c, "unreadable: %s", f->failure);
        } else {
            report_size(c->report, f);
        }
        if (f->group != i)
            report_twin(c, i);
    }
    return report_empty_classes(c);
}

fet_status fet__dataset_check(fet__check_report *out, const fet__dataset *d, const fet__decode_options *o,
                              void (*line)(void *user, const char *text), void *user)
{
    struct check *c = NULL;
    fet_status st;
    memset(out, 0, sizeof *out);
    FET_TRY(FET_NEW(c, 1));
    c->d = d;
    c->o = o;
    c->report = out;
    c->line = line;
    c->user = user;
    for (int s = 0; s < FET__SPLITS; s++)
        c->count += d->count[s];
    if (c->count > INT32_MAX) {
        st = FET_FAIL(FET_E_DATA, "more than %d images", INT32_MAX);
        goto done;
    }
    FET_TRY(FET_NEW(c->found, c->count));
    fet__each(c->count, fet__threads(), check_one, c);
    for (int i = 0; i < FET__EACH_THREADS; i++)
        if (c->no_memory[i])
            st = FET_FAIL(FET_E_NOMEM, "out of memory while checking %s", fet__show(d->root));
    if (st != FET_OK)
        goto done;
    FET_TRY(group(c));
    FET_TRY(report_all(c));
done:
    for (int64_t i = 0; c && c->found && i < c->count; i++)
        fet__free(c->found[i].failure);
    for (int i = 0; c && i < FET__EACH_THREADS; i++)
        fet__file_buffer_fini(&c->file[i]);
    if (c)
        fet__free(c->found);
    fet__free(c);
    return st;
}
