/* Mean and standard deviation of each colour channel over a split, after the resizing of evaluation. Sums are integers,
 * so the result does not depend on the order in which threads come by. */
#include "data/data_int.h"

#include <math.h>
#include <string.h>

struct sums {
    uint64_t pixels, sum[3], squares[3];
    int64_t unreadable;
    fet_status failure; /* other than an unreadable image */
    char message[512];
    fet__file_buffer file;
};

struct stats {
    const fet__sample *samples;
    fet__preprocess p;
    struct sums worker[FET__EACH_THREADS];
};

static void add_image(struct sums *w, const fet__image *im)
{
    size_t pixels = (size_t)im->height * (size_t)im->width;
    for (size_t i = 0; i < pixels; i++) {
        for (size_t c = 0; c < 3; c++) {
            uint64_t v = im->pixels[i * 3 + c];
            w->sum[c] += v;
            w->squares[c] += v * v;
        }
    }
    w->pixels += pixels;
}

static void add_one(void *user, int worker, int64_t i)
{
    struct stats *s = user;
    struct sums *w = &s->worker[worker];
    const char *path = s->samples[i].path;
    fet__image im = {0};
    if (w->failure != FET_OK)
        return;
    fet_status st = fet__file_buffer_read(&w->file, path);
    if (st == FET_OK)
        st = fet__preprocess_base(&im, w->file.data, w->file.size, path, &s->p, NULL);
    if (st == FET_OK) {
        add_image(w, &im);
    } else if (st == FET_E_FORMAT || st == FET_E_IO) {
        w->unreadable++;
        fet__warn("unreadable image skipped: %s", fet_error_message());
    } else {
        w->failure = st;
        snprintf(w->message, sizeof w->message, "%s", fet_error_message());
    }
    fet__image_fini(&im);
}

static fet_status total(struct sums *t, const struct stats *s)
{
    memset(t, 0, sizeof *t);
    for (int i = 0; i < FET__EACH_THREADS; i++) {
        const struct sums *w = &s->worker[i];
        if (w->failure != FET_OK)
            return fet__fail_take(w->failure, w->message);
        t->pixels += w->pixels;
        t->unreadable += w->unreadable;
        for (int c = 0; c < 3; c++) {
            t->sum[c] += w->sum[c];
            t->squares[c] += w->squares[c];
        }
    }
    return FET_OK;
}

fet_status fet__dataset_stats(double mean[3], double std[3], const fet__dataset *d, fet__split split,
                              const fet__preprocess *p)
{
    struct stats *s = NULL;
    struct sums t;
    fet_status st;
    FET_TRY(FET_NEW(s, 1));
    s->samples = d->samples[split];
    s->p = *p;
    for (int c = 0; c < 3; c++) { /* what is being measured need not be set */
        s->p.mean[c] = 0;
        s->p.std[c] = 1;
    }
    FET_TRY(fet__preprocess_check(&s->p));
    fet__each(d->count[split], fet__threads(), add_one, s);
    FET_TRY(total(&t, s));
    if (!t.pixels) {
        st =
            FET_FAIL(FET_E_DATA, "%s: the split %s has no readable images", fet__show(d->root), fet__split_name(split));
        goto done;
    }
    for (int c = 0; c < 3; c++) {
        double n = (double)t.pixels, m = (double)t.sum[c] / n;
        double variance = (double)t.squares[c] / n - m * m;
        mean[c] = m / 255;
        std[c] = variance > 0 ? sqrt(variance) / 255 : 0;
    }
done:
    for (int i = 0; s && i < FET__EACH_THREADS; i++)
        fet__file_buffer_fini(&s->worker[i].file);
    fet__free(s);
    return st;
}
