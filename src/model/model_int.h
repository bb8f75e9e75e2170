/* What the files of model/ share: the architecture classes, option parsing, metadata. */
#ifndef FET_MODEL_INT_H
#define FET_MODEL_INT_H

#include "model/model.h"

extern const fet__arch_class fet__arch_resnet;       /* resnet.c */
extern const fet__arch_class fet__arch_resnet_cifar; /* resnet_cifar.c */
extern const fet__arch_class fet__arch_densenet;     /* densenet.c */
extern const fet__arch_class fet__arch_convnext;     /* convnext.c */
extern const fet__arch_class fet__arch_quadranet;    /* quadranet.c */
extern const fet__arch_class fet__arch_vit;          /* vit.c */
extern const fet__arch_class fet__arch_swin;         /* swin.c */

/* ---- arch_registry.c: "key=value,..." into a config struct ------------------------------------------------------ */
typedef struct fet__arch_option {
    const char *key;
    void *target;
    double low, high;
    fet_status (*set)(const char *family, const struct fet__arch_option *o, const char *value);
} fet__arch_option;
fet_status fet__arch_options(const char *family, const char *options, const fet__arch_option *table, int count);
fet_status fet__arch_set_int(const char *family, const fet__arch_option *o, const char *value);    /* target int * */
fet_status fet__arch_set_double(const char *family, const fet__arch_option *o, const char *value); /* target double * */
fet_status fet__arch_set_bool(const char *family, const fet__arch_option *o, const char *value);   /* target bool * */

/* ---- arch_file.c: a network that a search found, as a file ------------------------------------------------------- */
/* The text for fet__arch_create that says what the JSON of the file says; FET_E_FORMAT with what is wrong. */
fet_status fet__arch_file_text(fet__text *out, const char *json, size_t size, const char *path);

/* ---- resnet.c ------------------------------------------------------------------------------------------------------ */
/* One bottleneck under the present prefix: `width` inner channels, four times as many outer ones. */
fet__node *fet__resnet_bottleneck(fet__build *b, fet__node *x, int64_t width, int stride, bool ibn);

/* ---- arch_conv.c: what several families share ---------------------------------------------------------- */
/* "3+4+6+3": as many numbers as the option's `high` says, each `low` to 1000; target int *. */
fet_status fet__arch_set_counts(const char *family, const fet__arch_option *o, const char *value);
/* "224" or "256x128" (height first), sizes from low to high; target int[2]. */
fet_status fet__arch_set_image(const char *family, const fet__arch_option *o, const char *value);
void fet__arch_print_image(fet__text *out, const int image[2]); /* ",img=224" */
/* KEY and as few digits as give the number back; `key` is ",mlp=" or the like. */
void fet__arch_print_number(fet__text *out, const char *key, double value);
/* A parameter's size along an axis; -1 when the store has no such parameter or axis. */
int64_t fet__param_size(const fet__params *s, const char *name, int axis);
/* Blocks "PREFIX.0.LEAF", "PREFIX.1.LEAF", .. in the store. */
int fet__count_blocks(const fet__params *s, const char *prefix, const char *leaf);
/* torchvision's: ImageNet mean and deviation, bilinear, crop 0.875. */
fet__input_spec fet__input_imagenet(int height, int width);

/* ---- metadata.c: fettle.classes, fettle.preprocess, fettle.adapter as JSON ------------------------------------ */
char *fet__classes_json(char *const *names, int count); /* caller frees; NULL without memory */
/* Names into `arena`; FET_E_FORMAT when the text is not a list of distinct strings. */
fet_status fet__classes_parse(const char *json, const char *path, fet__arena *arena, char ***names, int *count);
char *fet__preprocess_json(const fet__input_spec *s);
fet_status fet__preprocess_parse(const char *json, const char *path, fet__input_spec *out);
typedef struct fet__adapter_meta {
    char spec[1024], arch[512], fingerprint[65], model[512];
    fet__input_spec input;
} fet__adapter_meta;
char *fet__adapter_meta_json(const fet__adapter_meta *m);
fet_status fet__adapter_meta_parse(const char *json, const char *path, fet__adapter_meta *out);

/* ---- fused.c: modules that are part of the model ------------------------------------------------------------------ */
const fet__hooks *fet__model_hooks(fet__model *m); /* of all that acts on the model, counted anew; NULL: nothing does */
fet_status fet__fused_room(const fet__model *m);   /* for one more */
void fet__fused_keep(fet__model *m, fet__adapter *a); /* takes it over */
char *fet__fused_json(const fet__model *m);           /* metadata fettle.fused; caller frees; NULL without memory */
fet_status fet__fused_parse(fet__model *m, const char *json, const char *path);
void fet__fused_fini(fet__model *m);

/* ---- model.c ------------------------------------------------------------------------------------------------------ */
/* A head of that size with initial values and without class names. */
fet_status fet__model_fresh_head(fet__model *m, int count);
/* The model as it was before its adapter; does nothing where there is none. */
void fet__model_detach(fet__model *m);

/* ---- context.c ---------------------------------------------------------------------------------------------------- */
/* Pictures, and behind their channels the site's context where the model has one and they lack it. */
fet__node *fet__model_with_context(const fet__model *m, fet__build *b, fet__node *images);

/* ---- model_open.c ------------------------------------------------------------------------------------------------ */
/* A graph of the whole model without running it: initialises what may be, finds what is missing, and with
 * `drop_unused` takes tensors that the model does not use out of the store. */
fet_status fet__model_probe(fet__model *m, bool may_initialise, bool drop_unused);
/* RUN or FILE -> the file (caller frees). */
char *fet__model_file(const char *path, const char *name_in_run);

#endif
