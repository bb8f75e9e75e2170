/* Architectures and whole models: recognising a checkpoint, its names in our terms, building its graph, saving it. One file per
 * architecture and one line in arch_registry.c. Models pass through the sites of nn/ and know no adapter. */
#ifndef FET_MODEL_H
#define FET_MODEL_H

#include "adapter/adapter.h"
#include "image/image.h"
#include "store/store.h"

/* How pictures become inputs. */
typedef struct fet__input_spec {
    int height, width;
    float mean[3], std[3];
    fet__filter filter;
    double crop_pct;  /* 0: resize to exactly height x width */
    bool standardize; /* then each channel by its own mean and deviation in the picture */
} fet__input_spec;

/* What a file tells of a network besides its tensors; unknown members are 0. */
typedef struct fet__arch_hints {
    const char *source; /* whose names the file had: "Hugging Face ViT"; NULL: ours */
    int heads;
    double eps; /* of the norms */
    bool quick_gelu;
    bool has_input;           /* `input` holds what that source does to pictures */
    fet__input_spec input;    /* its size is 0 where the tensors tell it */
    const char *input_source; /* where that is written; NULL: it is that family's habit */
} fet__arch_hints;

typedef struct fet__arch fet__arch;

typedef struct fet__arch_class {
    const char *family; /* "vit" */
    const char *help;
    const char *const *names; /* known full names, ended by NULL: "vit_base_patch16_224", ... */
    size_t config_bytes;
    /* "vit_base_patch16_224", or key=value pairs after "vit:". FET_E_NOMATCH when the name is not of this family. */
    fet_status (*parse)(fet__arch *a, const char *name, const char *options);
    /* Recognise from tensor names and shapes (our names); false when it is another family's. A message is set when it is ours but broken. */
    fet_status (*recognise)(fet__arch *a, const fet__params *store, bool *ours);
    /* Write the canonical text "vit:dim=64,depth=3,..." that parse() reads back. */
    void (*print)(const fet__arch *a, fet__text *out);
    /* images [B, H, W, 3] -> features [B, D] (before the head) and, when classes > 0, logits [B, classes]. */
    void (*build)(const fet__arch *a, fet__build *b, fet__node *images, fet__node **features, fet__node **logits);
    /* Change what the image size decides (a position embedding) in the store. NULL: nothing depends on it. */
    fet_status (*resize)(fet__arch *a, fet__params *store, int height, int width);
} fet__arch_class;

struct fet__arch {
    const fet__arch_class *class_;
    void *config;      /* the class's struct, fet__alloc'ed */
    int classes;       /* 0: no head */
    int height, width; /* of the input */
    int channels;      /* of the input; 0 means 3 */
    const char *head;  /* name of the classifier layer: "head" */
    int64_t feature_size;
    fet__input_spec input;        /* the family's default */
    const fet__arch_hints *hints; /* while recognise() runs: what the file tells besides its tensors, or NULL */
};
extern const fet__arch_class *const fet__arch_classes[];       /* arch_registry.c, ended by NULL */
fet_status fet__arch_create(fet__arch *out, const char *text); /* "NAME[:key=value,...]" */
/* The same, or the path of a file that describes a network (arch_file.c): what a user says, never what a checkpoint says. */
fet_status fet__arch_open(fet__arch *out, const char *text);
fet_status fet__arch_recognise(fet__arch *out, const fet__params *store);
fet_status fet__arch_recognise_hinted(fet__arch *out, const fet__params *store, const fet__arch_hints *hints);
void fet__arch_fini(fet__arch *a);
int fet__arch_channels(const fet__arch *a); /* of the input */

#define FET__FUSED_LIMIT 16
/* ---- model.c: a model in memory ------------------------------------------------------------------------------ */
typedef struct fet__model {
    fet__arch arch;
    fet__params *store;
    fet__input_spec input;
    bool ignore_exif;       /* of the pictures that it is given */
    int64_t max_pixels;     /* 0: the data layer's limit */
    const char *names_of;   /* whose names the file had: "Hugging Face ViT"; NULL: ours */
    const char *input_from; /* where `input` was read; NULL: it is what is usual for that family */
    int class_count;        /* names known; 0 or arch.classes */
    char **classes;
    char *path; /* where it came from; "none" when initialised at random */
    uint64_t seed;
    fet__adapter *adapter;                 /* attached, or NULL; owned */
    bool merged;                           /* an adapter was merged into the weights */
    fet__adapter *fused[FET__FUSED_LIMIT]; /* modules that are part of the model (fused.c); owned */
    int fused_count;
    fet__hooks hooks;          /* of the fused modules and the adapter together */
    char base_fingerprint[65]; /* "" until asked for; see fet__model_fingerprint */
    fet__arena arena;
} fet__model;
typedef struct fet__model_options {
    const char *arch;        /* override, or what to build when path is "none" */
    const float *mean, *std; /* three each, or NULL */
    const char *interpolation;
    double crop_pct;     /* < 0: the model's own; 0: none */
    int image;           /* square input size; 0: the model's own */
    const char *weights; /* which of several networks or containers in the file ("model_ema"); NULL: the plain one */
    uint64_t seed;
} fet__model_options;
/* path: a checkpoint, a RUN folder with model.safetensors, or "none". Says through fet__note what was assumed, unused or missing. */
fet_status fet__model_open(fet__model **out, const char *path, const fet__model_options *o);
void fet__model_close(fet__model *m);
/* A fresh head for `count` classes when the present one differs in size or in names (`names` may be NULL). *fresh tells. */
fet_status fet__model_set_classes(fet__model *m, int count, const char *const *names, bool *fresh);
/* Attach an adapter by spec (fresh parameters are initialised when the graph is built). */
fet_status fet__model_attach(fet__model *m, const char *spec);
/* Attach a trained adapter from RUN or FILE: checks the fingerprint, loads the tensors and the classes. */
fet_status fet__model_attach_file(fet__model *m, const char *path);
/* Build into b (store, hooks and dtype are set here; g, train, step, drop_path by the caller). */
fet_status fet__model_build(fet__model *m, fet__build *b, fet__node *images, fet__node **features, fet__node **logits);
fet_status fet__model_fingerprint(fet__model *m, char hex[65]); /* CLI.md: all base tensors but the head's */
/* Whole model (adapter must be merged or absent) with fettle.arch, .classes, .preprocess metadata; atomic. */
fet_status fet__model_save(fet__model *m, const char *path, const fet__meta_pair *more, int more_count);
/* Trained tensors only, with fettle.adapter metadata; atomic. */
fet_status fet__model_save_adapter(fet__model *m, const char *path, const fet__meta_pair *more, int more_count);
/* Merge the attached adapter into the weights and detach it; one that no weight can take in stays in the model in its fused form.
 * *merged lists the sites. */
fet_status fet__model_merge(fet__model *m, fet__text *merged);
int64_t fet__model_parameters(const fet__model *m, bool trainable_only);

/* ---- context.c: a site's context behind the channels of its pictures (ARM-CML) ------------------------------------ */
#define FET__CONTEXT_MAP "context_map"
/* Of a picture: of the network's input, less the context's. */
int fet__model_channels(const fet__model *m);
/* The first convolution takes `extra` more channels (its filters repeated cyclically), which hold the buffer "context_map" [H, W, extra], zeros at
 * first. fet__model_build puts the map behind pictures that come without it. */
fet_status fet__model_widen(fet__model *m, int extra);

/* ---- encoder.c: a model that gives features for retrieval ------------------------------------------------------- */
typedef struct fet__encoder_options {
    int last_stride;  /* of a residual network: 1 or 2; 0: as it is */
    const char *pool; /* "mean", "gem"; NULL: as it is */
    enum {
        FET__DOMAINS_KEEP,
        FET__DOMAINS_TWO,    /* norms of two domains; plain ones are copied to both */
        FET__DOMAINS_TARGET, /* plain norms; of two the target's */
        FET__DOMAINS_SOURCE  /* plain norms; of two the source's */
    } domains;
} fet__encoder_options;
/* Takes the head away and gives a residual network (torchvision's family) the batch norm behind its pooling, if it has none, and the rest as
 * the options say. Features are not yet of unit length. */
fet_status fet__model_encoder(fet__model *m, const fet__encoder_options *o);

/* ---- import_container.c ---------------------------------------------------------------------------------------------- */
/* The path in front of the network's tensors in a checkpoint that holds more: "state_dict/", or "" where the file is the network.
 * Takes the container `wanted` where there is one (*found), else the plain weights, and says that averaged ones exist. */
fet_status fet__container_choose(const char **out, bool *found, const fet__tensors *t, const char *wanted,
                                 fet__arena *arena);

/* ---- peft_write.c ------------------------------------------------------------------------------------------------- */
/* Write fettle's LoRA adapter (an open adapter.safetensors of a RUN) as such a folder. `base`: the model that it is for, whose
 * names are then used; NULL: timm's. The folder must not exist unless `force`. */
fet_status fet__peft_write(const char *folder, const fet__tensors *adapter, const char *base, bool force);

#endif
