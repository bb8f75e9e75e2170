/* Tensors of any family of files under our names (timm's): choosing one network among those in a file, dropping prefixes, one table
 * of names a family. Reading files is store/'s work; what the tensors are together is told by the architectures. */
#ifndef FET_IMPORT_H
#define FET_IMPORT_H

#include "model/model.h"

/* How a foreign tensor lies in ours: its axes in another order, neighbours merged, placed as one of several equal blocks. */
typedef struct fet__import_layout {
    int rank;                /* of the source; 0: any, and the values stay as they lie */
    int axis[FET__MAX_RANK]; /* axis of the source that gives result axis 0, 1, ... */
    int merge[4];            /* how many of them each size of the result covers; 0 is a size 1; ended by -1 */
    int part, parts;         /* parts > 0: block `part` of `parts` equal ones, ... */
    bool columns;            /* ... side by side and not one below the other */
    double scale;            /* on the values; 0: 1 */
    bool summed;             /* blocks are added and not placed */
    bool merging_order;      /* patch merging of the mm libraries: channel-major to block-major */
} fet__import_layout;

/* "vit.encoder.layer.{i}.output.dense.*" -> "blocks.{i}.mlp.fc2.*": {x} is a number, * at the end is all the rest. */
typedef struct fet__import_rule {
    const char *from, *to;            /* to NULL: known and not needed */
    const fet__import_layout *layout; /* NULL: as it is */
} fet__import_rule;

typedef struct fet__import_item {
    fet__entry e;         /* its name has lost what was chosen or dropped */
    const char *original; /* name in the file */
    bool inside;          /* below the network's prefix, or the file has none */
    bool used;
} fet__import_item;

typedef struct fet__import fet__import;

typedef struct fet__import_family {
    const char *name;                /* "Hugging Face ViT" */
    const char *anchor[3];           /* names below one common prefix that tell the family */
    const fet__import_rule *rules;   /* ended by from NULL */
    const fet__import_rule *outside; /* for tensors beside the prefix (a head); may be NULL */
    bool open;                       /* tensors without a rule keep their names, for these are ours */
    void (*hints)(const fet__import *im, fet__arch_hints *out);
} fet__import_family;
extern const fet__import_family
    *const fet__import_families[]; /* import_families.c; the most telling first, ended by NULL */

struct fet__import {
    fet__arena arena;
    const char *path;
    fet__import_item *items;
    int count;
    const char *container, *prefix;   /* what was dropped; "" */
    const fet__import_family *family; /* NULL: none, names stay */
    fet__arch_hints hints;
};

/* Choose, rename, rearrange: tensors of `t` into `store`. float32 data that lies aligned and needs no change is borrowed, so `t` must
 * outlive the store. `weights`: which container or prefix to take, or NULL. What it decided stays in `out` (fini'd by the caller). */
fet_status fet__import_tensors(fet__import *out, const fet__tensors *t, fet__params *store, const char *weights);
/* The same without tensors: what the file's network is called and where it is. */
fet_status fet__import_detect(fet__import *out, const fet__tensors *t);
void fet__import_fini(fet__import *im);
/* Name of our tensor for a name in the file (both without the prefix); false when no rule has it. `layout` may be NULL. */
bool fet__import_name(const fet__import_family *f, const char *name, char *out, size_t size,
                      const fet__import_layout **layout);

/* ---- import_container.c ------------------------------------------------------------------------------------------------ */
/* fet__container_choose is in model.h. */
bool fet__is_average(
    const char *name); /* the name of averaged or momentum weights: "model_ema", "mean_net", "teacher" */

/* ---- import_names.c ------------------------------------------------------------------------------------------------------ */
/* Does `name` follow the pattern? Then `out` is `to` filled in; `to` may be NULL. */
bool fet__name_map(const char *from, const char *to, const char *name, char *out, size_t size);

/* ---- import_values.c ------------------------------------------------------------------------------------------------------ */
/* Shape of our tensor made of blocks like `from`; false when the source does not fit the layout. */
bool fet__layout_shape(const fet__import_layout *l, const fet__shape *from, fet__shape *to);
/* Write the source into `dst`, a tensor of that shape. */
fet_status fet__layout_fill(const fet__import_layout *l, float *dst, const fet__entry *e);

/* ---- import_families.c: what the tables share ------------------------------------------------------------------------- */
extern const fet__import_layout fet__import_query, fet__import_key, fet__import_value; /* rows of a fused layer */
extern const fet__import_layout fet__import_matrix;                                    /* [in, out] -> [out, in] */
extern const fet__import_layout fet__import_token, fet__import_tokens; /* [d] -> [1, 1, d], [n, d] -> [1, n, d] */
/* Two heads on two tokens as one on both: halves of the columns, the mean of the biases. */
extern const fet__import_layout fet__import_head_left, fet__import_head_right, fet__import_bias_left,
    fet__import_bias_right;
typedef enum fet__import_colors { FET__COLORS_IMAGENET, FET__COLORS_HALF, FET__COLORS_CLIP } fet__import_colors;
void fet__import_input(fet__arch_hints *out, fet__import_colors colors, fet__filter filter, double crop_pct);

/* ---- import_vit.c, import_flax.c, import_clip.c, import_swin.c, import_resnet.c ----------------------------------------- */
extern const fet__import_rule fet__import_plain_heads[]; /* a head beside the network's prefix */
extern const fet__import_family fet__import_timm_vit, fet__import_timm_distilled, fet__import_torchvision_vit,
    fet__import_huggingface_vit, fet__import_huggingface_deit;
extern const fet__import_family fet__import_flax_vit, fet__import_big_vision_vit;
extern const fet__import_family fet__import_openai_clip, fet__import_huggingface_clip;
extern const fet__import_family fet__import_microsoft_swin, fet__import_timm_swin, fet__import_mm_swin,
    fet__import_huggingface_swin, fet__import_torchvision_swin;
extern const fet__import_family fet__import_resnet, fet__import_indexed_resnet, fet__import_sequential_resnet;

#endif
