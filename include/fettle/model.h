/* Models: open a checkpoint, look at it, change its classes, predict, embed, save. */
#ifndef FETTLE_MODEL_H
#define FETTLE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "fettle/status.h"
#include "fettle/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model in memory: architecture, weights, class names, input preprocessing, perhaps an adapter. Not safe for use from two threads at
 * once; two models are independent. */
typedef struct fet_model fet_model;

/* Zero-initialised means defaults throughout. */
typedef struct fet_model_options {
    const char *arch;        /* "vit_base_patch16_224" or "vit:dim=64,depth=3,..."; NULL: recognised from the tensors */
    const float *mean, *std; /* three values each; NULL: the file's, else the family's */
    const char *mean_text, *std_text; /* the same as "0.5,0.5,0.5", used where mean or std is NULL */
    const char *interpolation; /* nearest box bilinear hamming bicubic lanczos; NULL: the file's, else the family's */
    double crop_pct; /* in (0, 1]; 0: the file's, else the family's; < 0: resize to the exact size without cropping */
    int image;       /* input height and width in pixels; 0: the model's own. A position embedding is resampled */
    const char *weights; /* which of several networks in a checkpoint: "model_ema"; NULL: the plain weights */
    int classes;         /* with path "none": size of the head; 0: 1000 */
    uint64_t seed;       /* initial values with path "none" */
} fet_model_options;

/* Open a checkpoint (safetensors, PyTorch, npz; timm's, torchvision's, Hugging Face's, OpenAI's, Google's or Microsoft's names), a RUN folder
 * that holds model.safetensors, a folder of the Hugging Face hub, or "none" (random weights; needs options->arch).
 * `options` may be NULL. On success the caller owns *out (fet_model_close); on failure *out is NULL. What was assumed, unused or missing is
 * told through the log function. FET_E_FORMAT, FET_E_IO, FET_E_ARG. */
FET_API fet_status fet_model_open(fet_model **out, const char *path, const fet_model_options *options);
FET_API void fet_model_close(fet_model *m); /* accepts NULL */

/* Attach a trained adapter from a RUN folder, an adapter file, or a LoRA folder of Hugging Face's PEFT. Refuses one of fettle's that
 * was trained on another model (fingerprint), naming both. */
FET_API fet_status fet_model_attach(fet_model *m, const char *path);

/* Borrowed texts, valid until the model changes or closes. */
FET_API const char *fet_model_arch(const fet_model *m); /* canonical: fet_model_options.arch takes it back */
FET_API int fet_model_class_count(const fet_model *m);  /* outputs of the head; 0: no head */
FET_API const char *fet_model_class_name(const fet_model *m, int i); /* NULL when the file names no classes */
FET_API int64_t fet_model_parameters(const fet_model *m);            /* values, adapter included */
FET_API int64_t fet_model_feature_size(const fet_model *m);

/* Write a whole model as safetensors with fettle's metadata, atomically. FET_E_ARG while an unmerged adapter is attached. */
FET_API fet_status fet_model_save(fet_model *m, const char *path);

/* How images are read from now on: the bound of one image in pixels (0: 200 million), and whether the EXIF orientation is left aside. */
FET_API void fet_model_set_decoding(fet_model *m, int64_t max_pixels, int ignore_exif);

/* Probabilities for image files: `probability` takes count * class_count floats, row by row. Memory: one batch of images. An unreadable image is
 * an error that names it. */
FET_API fet_status fet_model_predict(fet_model *m, const char *const *paths, int count, float *probability);

typedef struct fet_merge_options {
    const char *check; /* data set whose validation images are compared; NULL: 8 seeded random images */
    double tolerance;  /* of the largest logit; 0: 1e-5 */
    uint64_t seed;
    int64_t memory; /* bytes; 0: what is free */
} fet_merge_options;
typedef struct fet_merge_report {
    double max_abs_diff, max_abs_logit, top1_agreement; /* logits of adapted and merged model */
    int64_t images;
    char *merged; /* names of merged layers, one a line; caller frees with fet_free */
} fet_merge_report;
/* Merge the attached adapter into the weights (methods/hydra.md 1.4; Hydra, arXiv 2309.06922) and prove it: both models run on the same
 * images. FET_E_VERIFY when they differ by more than tolerance * max_abs_logit: the model is then unusable for saving. FET_E_ARG when the adapter
 * does not merge (the reason is told) or none is attached. `report` is filled also with FET_E_VERIFY. */
FET_API fet_status fet_model_merge(fet_model *m, const fet_merge_options *options, fet_merge_report *report);

/* JSON text about any readable checkpoint: architecture, whose names it has, parameters, FLOPs an image, classes, preprocessing, adapter sites,
 * metadata, tensors; why there is no architecture where it is no model. Caller frees with fet_free. */
FET_API fet_status fet_inspect(char **json, const char *path, const char *arch);

typedef struct fet_convert_options {
    int force; /* not 0: an existing `out` is replaced */
    int peft;  /* not 0: `in` is a RUN or file with a lora adapter, `out` a folder as Hugging Face's PEFT writes it */
    const char *model;   /* with peft: the base model whose layer names are written; NULL: fettle's, which are timm's */
    const char *weights; /* which container of a checkpoint ("model_ema"); NULL: the plain weights */
} fet_convert_options;
/* Rewrite a readable checkpoint as safetensors: names and metadata kept; of a container (state_dict, model, ...) its contents. FET_E_ARG when
 * `out` exists and force is 0. `options` may be NULL. */
FET_API fet_status fet_convert(const char *in, const char *out, const fet_convert_options *options);

/* Free what this library handed out as caller-owned text. */
FET_API void fet_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
