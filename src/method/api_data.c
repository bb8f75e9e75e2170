/* fet_data_*: synthetic data, checks, counts. Reading and decoding are the data layer's. */
#include "method/method_int.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATS_SIZE 64

fet_status fet__data_options_from(fet__dataset_options *out, const fet_data_options *o)
{
    static const fet_data_options none;

    o = o ? o : &none;
    *out = (fet__dataset_options){.val_fraction = o->val_fraction > 0   ? o->val_fraction
                                                  : o->val_fraction < 0 ? 0
                                                                        : -1,
                                  .seed = o->seed,
                                  .classes = o->classes,
                                  .format = o->format,
                                  .fold = o->fold};
    if (!(o->val_fraction < 1))
        return FET_FAIL(FET_E_ARG, "val_fraction %g is not in [0, 1)", o->val_fraction);
    if (o->max_pixels < 0)
        return FET_FAIL(FET_E_ARG, "max_pixels %lld is below 1", (long long)o->max_pixels);
    if (o->class_order && strcmp(o->class_order, "natural") == 0)
        out->natural_order = true;
    else if (o->class_order && strcmp(o->class_order, "byte") != 0)
        return FET_FAIL(FET_E_ARG, "class order '%s' is neither byte nor natural", fet__show(o->class_order));
    return FET_OK;
}

fet_eval_result fet__eval_result_out(const fet__eval_result *r)
{
    return (fet_eval_result){r->top1, r->top5, r->macro_f1, r->loss, r->images, r->skipped};
}

void fet__model_take_data_options(fet__model *m, const fet_data_options *o)
{
    m->ignore_exif = o && o->ignore_exif;
    m->max_pixels = o ? o->max_pixels : 0;
}

fet_status fet__json_out(char **out, void *json)
{
    char *text = json ? json_dumps(json, JSON_REAL_PRECISION(15)) : NULL;

    *out = text ? fet__strdup(text) : NULL;
    free(text);
    json_decref(json);
    return *out ? FET_OK : FET_FAIL(FET_E_NOMEM, "no memory for the answer");
}

fet_status fet_data_synth(const char *out, const fet_synth_options *o, int64_t *images)
{
    static const fet_synth_options none;
    int64_t written = 0;
    fet__synth_options options;

    if (!out)
        return FET_FAIL(FET_E_ARG, "fet_data_synth: no folder to write to");
    o = o ? o : &none;
    options = (fet__synth_options){.classes = o->classes,
                                   .domains = o->domains,
                                   .per_class = o->per_class,
                                   .val_per_class = o->val_per_class,
                                   .size = o->size,
                                   .first_class = o->first_class,
                                   .seed = o->seed};
    return fet__synth(out, &options, images ? images : &written);
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static fet_status verdict(const fet_data_report *r, const char *path)
{
    if (r->unreadable == 0 && r->empty_classes == 0 && r->leaks == 0)
        return FET_OK;
    return FET_FAIL(FET_E_VERIFY, "%s: %lld unreadable images, %lld empty classes, %lld images in more than one split",
                    fet__show(path), (long long)r->unreadable, (long long)r->empty_classes, (long long)r->leaks);
}

fet_status fet_data_check(fet_data_report *out, const char *path, const fet_data_options *o, fet_line_fn line,
                          void *user)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    fet__decode_options decode = {.max_pixels = o ? o->max_pixels : 0, .ignore_exif = o && o->ignore_exif};
    fet__check_report r;
    fet_status st;

    if (!out || !path)
        return FET_FAIL(FET_E_ARG, "fet_data_check: report or path is absent");
    memset(out, 0, sizeof *out);
    FET_TRY(fet__data_options_from(&options, o));
    options.one_class_too = true;
    FET_TRY(fet__dataset_open(&d, path, &options));
    FET_TRY(fet__dataset_check(&r, &d, &decode, line, user));
    *out = (fet_data_report){.images = r.images,
                             .unreadable = r.unreadable,
                             .duplicates = r.duplicates,
                             .leaks = r.leaks,
                             .empty_classes = r.empty_classes,
                             .classes = d.class_count,
                             .min_height = r.min_height,
                             .min_width = r.min_width,
                             .max_height = r.max_height,
                             .max_width = r.max_width,
                             .train = d.count[FET__TRAIN],
                             .val = d.count[FET__VAL],
                             .test = d.count[FET__TEST]};
    st = verdict(out, path);
done:
    fet__dataset_fini(&d);
    return st;
}

/* ---- stats ------------------------------------------------------------------------------------------------------- */

/* {CLASS: {"train": n, ...}, ...} in one pass over the samples. */
static json_t *class_counts(const fet__dataset *d)
{
    json_t *j = json_object();
    int64_t *n = fet__alloc((size_t)d->class_count * FET__SPLITS, sizeof *n);
    int s, i;

    for (s = 0; n && s < FET__SPLITS; s++)
        for (i = 0; i < d->count[s]; i++)
            n[(int64_t)d->samples[s][i].label * FET__SPLITS + s]++;
    for (i = 0; n && i < d->class_count; i++) {
        json_t *one = json_object();
        for (s = 0; s < FET__SPLITS; s++)
            json_object_set_new(one, fet__split_name((fet__split)s), json_integer(n[(int64_t)i * FET__SPLITS + s]));
        json_object_set_new(j, fet__show(d->classes[i]), one);
    }
    fet__free(n);
    return j;
}

static json_t *three(const double v[3])
{
    return json_pack("[f,f,f]", v[0], v[1], v[2]);
}

static json_t *stats_object(const fet__dataset *d, const double mean[3], const double std[3], int size)
{
    json_t *j = json_object(), *splits = json_object(), *domains = json_array();
    int i;

    for (i = 0; i < FET__SPLITS; i++)
        json_object_set_new(splits, fet__split_name((fet__split)i), json_integer(d->count[i]));
    for (i = 0; i < d->domain_count; i++)
        json_array_append_new(domains, json_string(fet__show(d->domains[i])));
    json_object_set_new(j, "images", splits);
    json_object_set_new(j, "classes", class_counts(d));
    json_object_set_new(j, "domains", domains);
    json_object_set_new(j, "mean", three(mean));
    json_object_set_new(j, "std", three(std));
    json_object_set_new(j, "size", json_integer(size));
    json_object_set_new(j, "fingerprint", json_string(d->fingerprint));
    return j;
}

fet_status fet_data_stats(char **json, const char *path, const fet_data_options *o, int size)
{
    fet__dataset d = {0};
    fet__dataset_options options;
    fet__preprocess p = {.std = {1, 1, 1}, .filter = FET__BILINEAR};
    double mean[3], std[3];
    fet__split split;
    fet_status st;

    if (!json || !path)
        return FET_FAIL(FET_E_ARG, "fet_data_stats: result or path is absent");
    *json = NULL;
    if (size < 0 || size > 16384)
        return FET_FAIL(FET_E_ARG, "size %d is not in 1..16384", size);
    p.height = p.width = size ? size : STATS_SIZE;
    p.ignore_exif = o && o->ignore_exif;
    p.max_pixels = o ? o->max_pixels : 0;
    FET_TRY(fet__data_options_from(&options, o));
    options.one_class_too = true;
    FET_TRY(fet__dataset_open(&d, path, &options));
    for (split = FET__TRAIN; split < FET__TEST && d.count[split] == 0; split++)
        ;
    FET_TRY(fet__dataset_stats(mean, std, &d, split, &p));
    st = fet__json_out(json, stats_object(&d, mean, std, p.height));
done:
    fet__dataset_fini(&d);
    return st;
}
