/* Data sets of labelled images: make synthetic ones, check and count. Training and evaluation open data by path (fettle/tune.h). */
#ifndef FETTLE_DATA_H
#define FETTLE_DATA_H

#include "fettle/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a data set is read. Zero-initialised means defaults. */
typedef struct fet_data_options {
    double val_fraction;     /* share split off when there is no val/; 0: 0.1; < 0: nothing is split off */
    const char *classes;     /* "a,b,c" keeps these; NULL: all */
    const char *class_order; /* "byte" (default) or "natural" */
    int64_t max_pixels;      /* of one image; 0: 200 million */
    int ignore_exif;         /* not 0: orientation as stored */
    uint64_t seed;
    /* Of sites: "plain" or a known set, "iwildcam", "camelyon17", "rxrx1", "fmow", "povertymap", "domainnet" (docs/sites.md); NULL: recognised */
    const char *format;
    const char *domains; /* evaluation: of sites these alone, "a,b"; NULL: all */
    const char *fold;    /* of PovertyMap: "A" to "E"; NULL: A */
} fet_data_options;

typedef struct fet_synth_options {
    int classes, domains, per_class, val_per_class, size, first_class; /* 0: 5, 2, 60, 20, 32 pixels, 0 */
    uint64_t seed;
} fet_synth_options;
/* Write OUT/DOMAIN/{train,val}/CLASS/NNNN.png: textured shapes in several visual domains, deterministic by seed. OUT must not exist. */
FET_API fet_status fet_data_synth(const char *out, const fet_synth_options *o, int64_t *images);

/* Receives one finding a call, without a newline; borrowed. */
typedef void (*fet_line_fn)(void *user, const char *text);

typedef struct fet_data_report {
    int64_t images, unreadable, duplicates, leaks, empty_classes; /* duplicates: byte-identical; leaks: across splits */
    int classes, min_height, min_width, max_height, max_width;
    int64_t train, val, test;
} fet_data_report;
/* Decode every image; each finding goes to `line`. FET_E_VERIFY when something was found that spoils training (unreadable images, empty classes,
 * leaks). */
FET_API fet_status fet_data_check(fet_data_report *out, const char *path, const fet_data_options *o, fet_line_fn line,
                                  void *user);

/* Counts a class and split, per-channel mean and deviation over train (resized to `size`, 0: 64), as JSON. Caller frees with fet_free. */
FET_API fet_status fet_data_stats(char **json, const char *path, const fet_data_options *o, int size);

/* What training sees, as a contact sheet. Zero-initialised means defaults. */
typedef struct fet_preview_options {
    const char *augment;       /* as in fet_tune_options; NULL: light */
    int image;                 /* height and width; 0: 224 */
    const char *interpolation; /* NULL: bicubic */
    double crop_pct;           /* of the originals; 0: 0.875; < 0: no crop */
    int images, count;         /* rows and draws of each; 0: 6, 7 */
    uint64_t seed;
} fet_preview_options;
/* Write a PNG: one training image a row, as evaluation sees it at the left, then draws as the loader makes them, mixing included (a column is a
 * batch). *json tells each row's path and class and what was mixed in; caller frees with fet_free. */
FET_API fet_status fet_data_preview(const char *data, const fet_data_options *o, const fet_preview_options *p,
                                    const char *out, char **json);

#ifdef __cplusplus
}
#endif
#endif
