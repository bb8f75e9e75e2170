/* What the files of this folder share and nobody else sees: sets of names, the raw listing that folder.c and csv.c
 * fill, the CSV parser, the two halves of preprocessing, the cache of decoded images, a parallel loop. */
#ifndef FET_DATA_INT_H
#define FET_DATA_INT_H

#include "data/data.h"

/* ---- nameset.c ------------------------------------------------------------------------------------------- */

/* Names numbered in the order of their first appearance. Zero-initialised is empty. */
typedef struct fet__nameset {
    const char **names;
    int count, capacity;
    int32_t *slots; /* open addressing; index + 1, 0 is free */
    int slot_count; /* power of two */
    fet__arena arena;
} fet__nameset;
fet_status fet__nameset_add(fet__nameset *set, const char *name, int32_t *index);
int32_t fet__nameset_find(const fet__nameset *set, const char *name); /* -1: not there */
void fet__nameset_fini(fet__nameset *set);

/* ---- listing.c ------------------------------------------------------------------------------------------- */

/* One image as found, before classes are chosen and a validation share is split off. */
typedef struct fet__entry {
    const char *path; /* as it can be opened; in the data set's arena */
    const char *rel;  /* relative to the root; usually the tail of `path` */
    int32_t name;     /* index into listing.classes; a label once classes are chosen */
    int32_t domain;   /* index into listing.domains, -1 none */
    int32_t group;    /* index into listing.groups, -1 none */
    float target;     /* where the listing is one of numbers */
    fet__split split;
    int64_t bytes; /* -1: cannot be looked at */
    int64_t line;  /* in the CSV file; 0 for folders */
} fet__entry;
typedef struct fet__listing {
    fet__arena *arena; /* borrowed: the data set's */
    fet__entry *entries;
    int count, capacity;
    fet__nameset classes, domains, groups;
    bool regression, official, natural; /* natural: classes are numbers */
    const char *format;
    int64_t ignored; /* files whose name is no image's */
    int64_t loose;   /* images outside of class folders */
} fet__listing;
fet_status fet__listing_add(fet__listing *l, const fet__entry *e);
void fet__listing_fini(fet__listing *l);
/* Size of a regular file, or -1. */
int64_t fet__file_bytes(const char *path);
/* "a, b, c and 4 more" of the names for which keep[i] holds (all when keep is NULL), escaped. */
void fet__text_names(fet__text *t, const char *const *names, const bool *keep, int count);

/* ---- folder.c, csv.c ------------------------------------------------------------------------------------- */
fet_status fet__folder_list(fet__listing *l, const char *root);
fet_status fet__csv_list(fet__listing *l, const char *path);
fet_status fet__sites_list(fet__listing *l, const char *root); /* sites.c */
/* ---- wilds.c: known sets of sites ----------------------------------------------------------------------------- */
typedef struct fet__wilds fet__wilds;
/* NULL: it is none. With `format`: that one, whatever the folder holds. */
fet_status fet__wilds_find(const fet__wilds **out, const char *root, const char *format);
fet_status fet__wilds_list(const fet__wilds *w, fet__listing *l, const char *root, const char *fold);

/* ---- csv_table.c, csv.c ----------------------------------------------------------------------------------- */
#define FET__CSV_RECORD 65536 /* bytes of one record */
#define FET__CSV_COLUMNS 64
#define FET__CSV_PATH 4095 /* bytes of a path */
#define FET__CSV_LABEL 255 /* bytes of a label or domain */
typedef struct fet__csv_column {
    const char *name;
    size_t limit; /* bytes of a value */
    bool needed, may_be_empty;
} fet__csv_column;
/* value[i] belongs to column i, NULL where the text has no such column; borrowed for the call. */
typedef fet_status (*fet__csv_row_fn)(void *user, int64_t line, const char *const *value);
/* RFC 4180 with a header line; other columns are said to be unused. `usage` shows the header expected; `name` is for messages. */
fet_status fet__csv_read(const char *text, size_t size, const char *name, const fet__csv_column *columns, int count,
                         const char *usage, fet__csv_row_fn fn, void *user);
typedef struct fet__csv_row {
    int64_t line;             /* where the record begins, from 1 */
    const char *path, *label; /* not empty; borrowed for the call; label NULL: there are numbers */
    double target;            /* where label is NULL */
    const char *domain;       /* NULL: no such column */
    fet__split split;         /* FET__TRAIN when there is no such column */
} fet__csv_row;
typedef fet_status (*fet__csv_fn)(void *user, const fet__csv_row *row);
/* The same of a whole file, without a word about other columns. */
fet_status fet__csv_read_file(const char *path, const fet__csv_column *columns, int count, const char *usage,
                              fet__csv_row_fn fn, void *user);
/* `name` is for messages. Stops at the first failure of `fn`. */
fet_status fet__csv_parse(const char *text, size_t size, const char *name, fet__csv_fn fn, void *user);

/* ---- classes.c, holdout.c -------------------------------------------------------------------------------- */

/* Choose and order the classes: fills d->classes and turns entry.name into the label; entries of dropped classes go. */
fet_status fet__classes_choose(fet__dataset *d, fet__listing *l, const fet__dataset_options *o);
/* strcmp, but runs of digits compare as numbers and case does not count (timm's "natural" order). */
int fet__natural_compare(const char *a, const char *b);
/* Move a share of every class from train to val. A function of seed and relative paths; entries must be sorted. */
fet_status fet__holdout(fet__listing *l, int class_count, double fraction, uint64_t seed, int64_t *moved);

/* ---- preprocess.c ---------------------------------------------------------------------------------------- */

/* A file's bytes; the buffer is kept from file to file. */
typedef struct fet__file_buffer {
    unsigned char *data;
    size_t size, capacity;
} fet__file_buffer;
fet_status fet__file_buffer_read(fet__file_buffer *b, const char *path);
void fet__file_buffer_fini(fet__file_buffer *b);

fet_status fet__preprocess_check(const fet__preprocess *p);
/* The part without chance: decode, and resize and crop where the augmentation starts from the resized image. */
fet_status fet__preprocess_base(fet__image *out, const void *data, size_t size, const char *name,
                                const fet__preprocess *p, const fet__augment_plan *a);
/* The rest: random crop, changes of pixels, normalisation, erasing. `base` is not written. */
fet_status fet__preprocess_finish(float *out, const fet__image *base, const fet__preprocess *p,
                                  const fet__augment_plan *a, fet__rng *r);

/* ---- augment_apply.c ------------------------------------------------------------------------------------- */
/* Frame and steps of a plan: from the base image to pixels of height x width. */
fet_status fet__augment_pixels(fet__image *out, const fet__image *base, const fet__preprocess *p,
                               const fet__augment_plan *a, fet__rng *r);

/* ---- batch_mix.c ----------------------------------------------------------------------------------------- */
/* Mixup or CutMix among a batch's pictures; fills labels2 and own. `scratch` holds one picture, `partner` a number each. */
void fet__batch_mix(fet__batch *b, float *scratch, int32_t *partner, const fet__mix *m, const fet__preprocess *p,
                    fet__rng *r);

/* ---- image_cache.c --------------------------------------------------------------------------------------- */

/* Base images by sample number, kept until the byte limit is reached; nothing is ever thrown out. Thread-safe. */
typedef struct fet__image_cache fet__image_cache;
fet_status fet__image_cache_create(fet__image_cache **out, int count, int64_t bytes);
/* The stored image (borrowed until destroy; pixels must not be written), or false. */
bool fet__image_cache_get(fet__image_cache *c, int32_t i, fet__image *out);
/* Takes over the pixels where they fit and *im then is a borrowed view; true when it was taken. */
bool fet__image_cache_put_take(fet__image_cache *c, int32_t i, const fet__image *im);
void fet__image_cache_destroy(fet__image_cache *c);

/* ---- each.c ---------------------------------------------------------------------------------------------- */

/* Call fn for i = 0 .. count-1 on up to `threads` threads (the caller is one of them), in no fixed order. */
#define FET__EACH_THREADS 64
typedef void (*fet__each_fn)(void *user, int worker, int64_t i);
void fet__each(int64_t count, int threads, fet__each_fn fn, void *user);

/* ---- reid.c, reid_known.c, reid_plain.c ------------------------------------------------------------------------ */
typedef struct fet__reid_list {
    fet__reid_image *images;
    int count, capacity;
} fet__reid_list;
typedef struct fet__reid_listing {
    fet__arena *arena; /* borrowed: the set's */
    const char *root;
    const fet__reid_options *options;
    fet__reid_list list[FET__REID_ROLES];
} fet__reid_listing;
fet_status fet__reid_add(fet__reid_listing *l, fet__reid_role role, const fet__reid_image *image);
typedef struct fet__reid_format {
    const char *name, *mark;        /* mark: a file or folder that such a set has; NULL: none */
    bool (*fits)(const char *root); /* tells formats with the same mark apart; NULL: the mark is enough */
    fet_status (*list)(fet__reid_listing *l);
} fet__reid_format;
extern const fet__reid_format fet__reid_formats[]; /* ended by name NULL */
const fet__reid_format *fet__reid_format_find(const char *name);
fet_status fet__reid_plain(fet__reid_listing *l);
/* What the readers do with a file's name (market1501, dukemtmc, personx, veri, vehiclex: into the training role) and with a list's text (msmt17,
 * vehicleid: into query and gallery), and with the text of a CSV file whose path is l->root: for tests that have no disk. */
fet_status fet__reid_take_name(fet__reid_listing *l, const char *format, const char *name);
fet_status fet__reid_take_list(fet__reid_listing *l, const char *format, const char *text, size_t size);
fet_status fet__reid_take_csv(fet__reid_listing *l, const char *text, size_t size);
/* The camera in a plain set's file name; false where it does not begin with one. */
#define FET__REID_CAMERA 256
bool fet__reid_plain_camera(char out[FET__REID_CAMERA], const char *name);

/* ---- synth.c --------------------------------------------------------------------------------------------------- */
/* Where synthetic data is to go, which must not exist, and the folder beside it in which it is drawn before it gets that name. Caller
 * frees both. */
fet_status fet__synth_folders(const char *out, char **target, char **part);

/* ---- synth_shapes.c -------------------------------------------------------------------------------------------- */
#define FET__SHAPES 10
#define FET__STYLES 4
extern const char *const fet__shape_names[FET__SHAPES];
extern const char *const fet__style_names[FET__STYLES];
/* Draw one labelled picture; every choice comes from `r`. */
void fet__shape_draw(fet__image *im, int shape, int style, fet__rng *r);

#endif
