/* fet_data_preview: a contact sheet of what training sees. The pictures come from the loader itself, a batch a column, so that
 * random changes, erasing and mixing are the real ones. */
#include "method/method_int.h"

#include <jansson.h>
#include <string.h>

#define GAP 3          /* pixels between pictures */
#define WIDE_GAP 12    /* behind the column of originals */
#define SMALL_CELL 112 /* smaller pictures are shown in larger pixels */
#define MAX_SHEET ((int64_t)100000000)

typedef struct sheet {
    fet__sample *samples; /* one a row */
    int rows, draws, zoom;
    fet__preprocess preprocess;
    fet__augment_plan plan;
    fet__image image;
    json_t *notes; /* of each row: its path and class, then what each draw mixed in */
} sheet;

/* ---- which pictures ------------------------------------------------------------------------------------------------- */

/* `rows` training pictures, drawn without repetition and shown in the data's order. */
static fet_status choose(sheet *s, const fet__dataset *d, uint64_t seed)
{
    int count = d->count[FET__TRAIN], taken = 0;
    fet__rng r = {.seed = seed, .stream = fet__hash32("preview.images")};
    fet_status st;

    if (count == 0)
        return FET_FAIL(FET_E_DATA, "%s: the split 'train' holds no images", fet__show(d->root));
    s->rows = s->rows < count ? s->rows : count;
    FET_TRY(FET_NEW(s->samples, s->rows));
    for (int i = 0; i < count && taken < s->rows; i++)
        if (fet__rng_int(&r, 0, count - 1 - i) < s->rows - taken)
            s->samples[taken++] = d->samples[FET__TRAIN][i];
done:
    return st;
}

static fet_status note_rows(sheet *s, const fet__dataset *d)
{
    if (!(s->notes = json_array()))
        return FET_FAIL(FET_E_NOMEM, "no memory for the sheet's notes");
    for (int i = 0; i < s->rows; i++) {
        const fet__sample *x = &s->samples[i];
        json_t *path = json_string(x->path);

        json_array_append_new(s->notes,
                              json_pack("{s:o, s:s, s:[]}", "path", path ? path : json_string(fet__show(x->path)),
                                        "class", x->label >= 0 ? fet__show(d->classes[x->label]) : "?", "mixed"));
    }
    return FET_OK;
}

/* ---- the sheet -------------------------------------------------------------------------------------------------------- */

static int left_of(const sheet *s, int column)
{
    return GAP + column * (s->preprocess.width * s->zoom + GAP) + (column > 0 ? WIDE_GAP - GAP : 0);
}

static fet_status create_image(sheet *s)
{
    int64_t height = GAP + (int64_t)s->rows * (s->preprocess.height * s->zoom + GAP), width;
    fet_status st;

    width = left_of(s, s->draws + 1);
    if (height * width > MAX_SHEET)
        return FET_FAIL(FET_E_ARG, "a sheet of %lld x %lld pixels is too large; show fewer or smaller pictures",
                        (long long)height, (long long)width);
    st = fet__image_create(&s->image, (int)height, (int)width);
    if (st == FET_OK)
        memset(s->image.pixels, 0xff, (size_t)height * (size_t)width * 3);
    return st;
}

static fet_status put(sheet *s, int row, int column, const float *pixels)
{
    const fet__preprocess *p = &s->preprocess;
    int height = p->height * s->zoom, width = p->width * s->zoom;
    fet__image im = {0}, large = {0};
    fet_status st;

    FET_TRY(fet__image_from_floats(&im, pixels, p->height, p->width, p->mean, p->std));
    FET_TRY(fet__image_resize(&large, &im, 0, 0, p->height, p->width, height, width, FET__NEAREST));
    for (int y = 0; y < height; y++) {
        size_t at = (size_t)(GAP + row * (height + GAP) + y) * (size_t)s->image.width + (size_t)left_of(s, column);

        memcpy(s->image.pixels + at * 3, large.pixels + (size_t)y * (size_t)width * 3, (size_t)width * 3);
    }
done:
    fet__image_fini(&im);
    fet__image_fini(&large);
    return st;
}

static void note_mixed(sheet *s, const fet__dataset *d, const fet__batch *b, int row)
{
    json_t *mixed = json_object_get(json_array_get(s->notes, (size_t)row), "mixed");

    if (b->own)
        json_array_append_new(mixed, json_pack("{s:f, s:s}", "own", (double)b->own[row], "other",
                                               fet__show(d->classes[b->labels2[row]])));
}

/* Columns first .. first + count: the loader's first batch of as many epochs. */
static fet_status columns(sheet *s, const fet__dataset *d, const fet__augment_plan *plan, int first, int count,
                          uint64_t seed)
{
    fet__loader_options o = {
        .preprocess = s->preprocess, .batch = s->rows, .augment = plan, .seed = seed, .strict = true};
    fet__loader *l = NULL;
    const fet__batch *b;
    fet_status st;

    FET_TRY(fet__loader_create(&l, s->samples, s->rows, &o));
    for (int i = 0; i < count; i++) {
        FET_TRY(fet__loader_start(l, i, 0));
        FET_TRY(fet__loader_next(l, &b));
        for (int row = 0; row < s->rows; row++) {
            FET_TRY(put(s, row, first + i, b->images + (size_t)row * s->preprocess.height * s->preprocess.width * 3));
            if (plan)
                note_mixed(s, d, b, row);
        }
    }
done:
    fet__loader_destroy(l);
    return st;
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

/* Names of ImageNet's statistics: the augmentations that work on normalised pictures need some, and those are the usual. */
static fet_status read_options(sheet *s, const fet_data_options *d, const fet_preview_options *o)
{
    static const fet_preview_options none;
    int side;

    o = o ? o : &none;
    side = o->image ? o->image : 224;
    s->rows = o->images ? o->images : 6;
    s->draws = o->count ? o->count : 7;
    if (s->rows < 1 || s->rows > 256 || s->draws < 1 || s->draws > 256)
        return FET_FAIL(FET_E_ARG, "%d images with %d draws each: 1 to 256 are possible", s->rows, s->draws);
    s->preprocess = (fet__preprocess){.height = side,
                                      .width = side,
                                      .mean = {0.485f, 0.456f, 0.406f},
                                      .std = {0.229f, 0.224f, 0.225f},
                                      .filter = FET__BICUBIC,
                                      .crop_pct = o->crop_pct > 0   ? o->crop_pct
                                                  : o->crop_pct < 0 ? 0
                                                                    : 0.875,
                                      .ignore_exif = d && d->ignore_exif,
                                      .max_pixels = d ? d->max_pixels : 0};
    if (o->interpolation && !fet__filter_parse(o->interpolation, &s->preprocess.filter))
        return FET_FAIL(FET_E_ARG, "unknown interpolation '%s'", fet__show(o->interpolation));
    s->zoom = side > 0 && side < SMALL_CELL ? (SMALL_CELL + side - 1) / side : 1;
    return fet__augment_parse(&s->plan, o->augment ? o->augment : "light", side, side);
}

fet_status fet_data_preview(const char *data, const fet_data_options *o, const fet_preview_options *p, const char *out,
                            char **json)
{
    uint64_t seed = p ? p->seed : 0;
    fet__dataset d = {0};
    fet__dataset_options options;
    sheet s = {0};
    fet_status st;

    if (!data || !out || !json)
        return FET_FAIL(FET_E_ARG, "fet_data_preview: data, output or result is absent");
    *json = NULL;
    FET_TRY(read_options(&s, o, p));
    FET_TRY(fet__data_options_from(&options, o));
    options.one_class_too = true;
    FET_TRY(fet__dataset_open(&d, data, &options));
    FET_TRY(choose(&s, &d, seed));
    FET_TRY(note_rows(&s, &d));
    FET_TRY(create_image(&s));
    FET_TRY(columns(&s, &d, NULL, 0, 1, seed));
    FET_TRY(columns(&s, &d, &s.plan, 1, s.draws, seed));
    FET_TRY(fet__image_write_png(out, &s.image));
    st = fet__json_out(json, json_pack("{s:i, s:i, s:i, s:i, s:O}", "height", s.image.height, "width", s.image.width,
                                       "images", s.rows, "draws", s.draws, "rows", s.notes));
done:
    json_decref(s.notes);
    fet__image_fini(&s.image);
    fet__free(s.samples);
    fet__dataset_fini(&d);
    return st;
}
