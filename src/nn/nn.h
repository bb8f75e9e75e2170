/* Layers and named parameters: the words in which models are written. A layer asks the store for its parameters by name, checks
 * or initialises them, adds graph nodes, and passes through the sites where adapters hook in. Knows no adapter and no kernel. */
#ifndef FET_NN_H
#define FET_NN_H

#include "graph/graph.h"

typedef struct fet__build fet__build;

/* A place where an adapter may act. Borrowed for the call; `name` lives in the graph's arena. */
typedef struct fet__site {
    enum { FET__SITE_LINEAR, FET__SITE_RESIDUAL, FET__SITE_NORM, FET__SITE_TOKENS, FET__SITE_PATCH } kind;
    const char *name;          /* "blocks.3.mlp.fc2"; residual: "blocks.3.attn" or "blocks.3.mlp" */
    fet__param *weight, *bias; /* LINEAR; bias may be NULL */
    int64_t in, out;           /* LINEAR: columns and rows of the weight; else the channels in both */
    int part_count;            /* LINEAR whose rows are several layers: 3 for a fused qkv, else 0 */
    const char *part[4];       /* "blocks.3.attn.q", ".k", ".v": equal row blocks, in order */
    int grid[2]; /* RESIDUAL: rows and columns of the token grid; TOKENS: the same, 0: any number of tokens will do */
    enum {
        FET__BRANCH_OTHER,
        FET__BRANCH_ATTENTION,
        FET__BRANCH_MLP
    } branch;          /* RESIDUAL: what is added to the stream */
    int prefix_tokens; /* RESIDUAL, TOKENS: tokens in front of the grid (class token) */
} fet__site;

/* What adapters implement for nn; every member may be NULL. Each returns the value that takes the place of its last argument. A
 * residual site is passed twice: `residual` sees the branch's value y before drop path and before it is added to the stream x;
 * `stream` sees the sum o = x + drop_path(y), and x as it was before, so that what it adds is not dropped with the branch. */
typedef struct fet__hooks {
    void *user;
    fet__node *(*linear)(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y);
    fet__node *(*residual)(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *y);
    fet__node *(*stream)(void *user, fet__build *b, const fet__site *s, fet__node *x, fet__node *o);
    fet__node *(*norm)(void *user, fet__build *b, const fet__site *s, fet__node *y); /* also of the patch projection */
    fet__node *(*tokens)(void *user, fet__build *b, const fet__site *s, fet__node *x);
} fet__hooks;

/* How a parameter that the store lacks begins. */
typedef struct fet__init {
    enum {
        FET__INIT_ZERO,
        FET__INIT_ONE,
        FET__INIT_VALUE,
        FET__INIT_NORMAL,
        FET__INIT_NEAR_ONE,
        FET__INIT_TRUNC_NORMAL,
        FET__INIT_UNIFORM
    } kind;
    double
        a; /* VALUE: the value; NORMAL, NEAR_ONE (around 1), TRUNC_NORMAL (cut at two deviations): standard deviation; UNIFORM: bound, U(-a, a) */
} fet__init;
fet__init fet__init_xavier(int64_t in, int64_t out); /* U(-sqrt(6/(in+out)), +) */
fet__init fet__init_kaiming5(int64_t in);            /* U(-1/sqrt(in), +): Kaiming uniform with a = sqrt(5) */
/* Fill by counter-based numbers from (seed, hash of the name): the same whatever else is initialised. */
void fet__init_fill(void *data, fet_dtype t, int64_t count, fet__init init, uint64_t seed, const char *name);

/* What a batch norm normalises with (methods/mabn.md 3.1). */
typedef enum fet__norm_mode {
    FET__NORM_FROZEN, /* running statistics; nothing is updated */
    FET__NORM_BATCH,  /* the batch's own statistics; nothing is updated */
    FET__NORM_TRAIN,  /* the batch's own, and the running ones follow them */
    FET__NORM_MIX,  /* running ones, which count as norm_prior images, averaged with the batch's; nothing is updated */
    FET__NORM_ADOPT /* the same, and the running ones become what was used (methods/mabn.md 10.3) */
} fet__norm_mode;

/* The state of building one graph. Zero-initialise, set the first part, then call layers. */
struct fet__build {
    fet__graph *g;
    fet__params *store;
    const fet__hooks *hooks; /* NULL: none */
    bool train;              /* dropout and drop path are on */
    bool
        may_initialise; /* false: a parameter that the store lacks is an error, but inside fet__build_fresh_begin/end */
    bool shapes_only;   /* parameters are made without values: for counting, never for running */
    uint64_t seed;      /* of initial values and of dropout */
    fet_dtype dtype;    /* of activations: FET_F32, or FET_F64 in the reference path (parameters are then cast) */
    fet__node *step;    /* i32 scalar: the step number for random streams; needed when train */
    double drop_path;   /* rate of the last block; models raise it linearly from 0 */
    double dropout;     /* plain dropout of the backbone (timm's drop_rate), 0 as a rule */
    /* NULL: masks are drawn. For tests: the mask itself (zeros and 1 / (1 - p)), so that dropout can be held to given values. */
    fet__node *(*mask)(void *user, fet__build *b, fet__shape shape, double p);
    void *mask_user;
    /* NULL: a parameter's value is what the store holds. Else what stands for it here, in the build's type; NULL: itself. */
    fet__node *(*value)(void *user, struct fet__build *b, fet__param *p);
    void *value_user;

    /* Batch norm. NULL: FROZEN in evaluation and where the layer's statistics do not train (fet__param.trainable), else TRAIN. */
    fet__norm_mode (*norm_mode)(void *user, const struct fet__build *b, const char *name);
    void *norm_mode_user;
    double norm_prior; /* of MIX and ADOPT; 0: the batch alone */
    bool
        norm_domains; /* statistics and affine of two domains (methods/spcl.md 2): in training the batch is [source; target] */
    bool norm_source; /* with it: evaluation takes the source's, not the target's */
    int norm_group; /* images whose statistics count as a batch's: consecutive ones; must divide the batch (each half of it). 0: all. The running
                     * ones follow the first group, as they do on several devices (methods/spcl.md 2.2) */

    char prefix[256];   /* "blocks.3.mlp" */
    int fresh;          /* > 0: inside fresh_begin/end */
    bool adapter_scope; /* parameters made now belong to an adapter */
    fet__site *sites;   /* every site passed through, in order; the graph's arena */
    int site_count, site_capacity;
    uint32_t random_count; /* streams handed out */
};

/* ---- build.c ------------------------------------------------------------------------------------------------ */
void fet__enter(fet__build *b, const char *format, ...) FET_PRINTF(2, 3); /* extends prefix and the graph's scope */
void fet__leave(fet__build *b);
void fet__build_fresh_begin(fet__build *b); /* parameters from here may be initialised (a new head, an adapter) */
void fet__build_fresh_end(fet__build *b);
/* Leaf for prefix.name; checks the shape of what the store has or creates it. NULL on error (sticky in the graph). */
fet__node *fet__parameter(fet__build *b, const char *name, fet__shape shape, fet__init init);
/* Same by full name, whatever the prefix. */
fet__node *fet__parameter_at(fet__build *b, const char *full_name, fet__shape shape, fet__init init);
bool fet__has_parameter(const fet__build *b, const char *name); /* prefix.name is in the store */

/* ---- layers.c ----------------------------------------------------------------------------------------------- */
typedef struct fet__linear_options {
    bool no_bias;
    fet__init weight_init,
        bias_init;       /* zero-initialised weight_init means kaiming5(in) and bias kaiming5(in), as PyTorch */
    bool default_init;   /* set: use PyTorch's default for both; else the two above */
    int part_count;      /* fused rows, see fet__site */
    const char *part[4]; /* local names: "q", "k", "v": replace the layer's own last name */
} fet__linear_options;
/* y = x W^T + b under `name` (weight [out, in], bias [out]), passing through the linear site. */
fet__node *fet__nn_linear(fet__build *b, const char *name, fet__node *x, int64_t out, const fet__linear_options *o);
fet__node *fet__nn_layer_norm(fet__build *b, const char *name, fet__node *x, double eps); /* passes the norm site */
/* What a layer does at its end that is a site of `kind` (NORM, PATCH) under the present prefix: the norm hook on y [.., C]. */
fet__node *fet__nn_pass_site(fet__build *b, int kind, fet__node *y);
/* Multi-head self-attention under `name`: qkv, attention, proj. x [B, T, C]. */
typedef struct fet__attention_options {
    int heads;
    bool qkv_bias;
    fet__init weight_init;
} fet__attention_options;
fet__node *fet__nn_attention(fet__build *b, const char *name, fet__node *x, const fet__attention_options *o);
/* fc1, activation, fc2 under `name`. */
fet__node *fet__nn_mlp(fet__build *b, const char *name, fet__node *x, int64_t hidden,
                       fet__node *(*activation)(fet__graph *, fet__node *), fet__init weight_init, fet__init bias_init);
/* y after attention or MLP, before it is added to the stream: residual hook, drop path, x + y, stream hook. `site_name` "attn" or
 * "mlp" tells the branch. */
fet__node *fet__nn_residual(fet__build *b, const char *site_name, fet__node *x, fet__node *y, double drop_path,
                            const int grid[2], int prefix_tokens);
/* The tokens [B, T, C] that a block begins with pass the block's TOKENS site, named by the prefix. grid: what they must fill, or NULL. */
fet__node *fet__nn_tokens(fet__build *b, fet__node *x, const int grid[2], int prefix_tokens);
/* A site for layers that live in other files; `name` extends the prefix ("": the prefix itself). NULL on error (sticky). */
fet__site *fet__site_new(fet__build *b, int kind, const char *name);
fet__node *fet__nn_dropout(fet__build *b, fet__node *x, double p); /* x itself in evaluation or when p is 0 */
fet__node *fet__nn_drop_path(fet__build *b, fet__node *x,
                             double p); /* per sample (axis 0), kept ones divided by 1 - p */

/* ---- window.c: attention within windows of the token grid ----------------------------------------------------- */
/* Windows of window x window tokens over the grid, padded at the right and bottom to whole windows and, with a shift, rolled by
 * (-shift, -shift) first. Windows are row-major over the grid and row-major inside; a batch's windows are image-major. */
typedef struct fet__windows {
    int grid[2]; /* rows and columns of tokens */
    int window, shift;
    /* As the memory study's blocks have it (methods/quadranet.md 7): a side that the window covers is one window of its own size, not
     * shifted; padding comes after the roll, so that what is rolled round is the grid and not the padding. */
    bool clamp, pad_last;
} fet__windows;
int fet__windows_count(const fet__windows *w);                 /* of an image */
void fet__windows_tokens(const fet__windows *w, int32_t *out); /* [count][window^2]: token in each slot, -1 padding */
/* [count][window^2]: the region of each slot; tokens of different regions do not see each other (mask -100). */
void fet__windows_regions(const fet__windows *w, int32_t *out);
void fet__relative_index(int window, int32_t *out); /* [window^2][window^2]: row of the bias table for (query, key) */
fet__node *fet__nn_windows(fet__build *b, fet__node *x,
                           const fet__windows *w); /* [B, L, C] -> [B count, window^2, C] */
fet__node *fet__nn_unwindows(fet__build *b, fet__node *y, const fet__windows *w); /* and back, padding cut off */
/* Mask [count, 1, T, T] of zeros and -100, T = window^2; only for a shift. */
fet__node *fet__nn_window_mask(fet__build *b, const fet__windows *w);
/* Bias from the parameter "relative_position_bias_table" [(2 window - 1)^2, heads] and the mask: [1 or count, heads, T, T]. A stored
 * table that was made for another window is resampled where it is read (bicubic, a = -0.75), and stays as it is in the store. */
fet__node *fet__nn_relative_bias(fet__build *b, int heads, const fet__windows *w);
/* Attention as fet__nn_attention, in windows with relative position bias. x [B, L, C]. */
fet__node *fet__nn_window_attention(fet__build *b, const char *name, fet__node *x, const fet__attention_options *o,
                                    const fet__windows *w);

/* ---- patches.c: images to tokens, tokens to fewer tokens ------------------------------------------------------- */
/* [B, H, W, C] -> [B, ceil(H/p) ceil(W/p), dim] by a convolution with stride = kernel = p whose weight [dim, C, p, p] is `name`'s;
 * zeros at the right and bottom. */
fet__node *fet__nn_patch_embedding(fet__build *b, const char *name, fet__node *images, int patch, int dim, bool bias,
                                   fet__init weight_init);
/* [B, H, W, C] without the rows and columns that fill no patch, as a strided convolution drops them. */
fet__node *fet__nn_whole_patches(fet__build *b, fet__node *x, int patch);
/* [B, H W, C] -> [B, ceil(H/2) ceil(W/2), 4 C]: the cells of 2 x 2 in the order (0,0), (1,0), (0,1), (1,1) of (row, column). */
fet__node *fet__nn_patch_cells(fet__build *b, fet__node *x, const int grid[2]);

/* ---- conv.c: feature maps are [B, H, W, C] -------------------------------------------------------------------- */
typedef struct fet__conv_options {
    int stride, pad, dilation, groups; /* zero stride, dilation or groups mean 1 */
    bool bias;                         /* initial values as PyTorch: kaiming5 of the fan in */
    bool fan_in;                       /* initial weights: Kaiming normal for ReLU over the fan in, not out */
    bool default_init;                 /* initial weights: PyTorch's default, kaiming5 of the fan in */
    double normal;                     /* > 0: initial weights Normal(0, normal), biases 0 */
} fet__conv_options;
/* Convolution under `name` (weight [out, in / groups, kernel, kernel]). */
fet__node *fet__nn_conv(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel,
                        const fet__conv_options *o);
/* Its parameters alone, of a convolution of `in` channels; *bias becomes NULL without o->bias. */
void fet__nn_conv_parameters(fet__build *b, const char *name, int64_t in, int64_t out, int kernel,
                             const fet__conv_options *o, fet__node **w, fet__node **bias);
fet__node *fet__nn_max_pool(fet__build *b, fet__node *x, int kernel, int stride, int pad);
fet__node *fet__nn_mean_pool(fet__build *b, fet__node *x); /* [B, H, W, C] -> [B, C] */
/* Generalised mean (methods/spcl.md 1.3): `name`.p [1], floor 1e-6. */
fet__node *fet__nn_gem_pool(fet__build *b, const char *name, fet__node *x);
fet__node *fet__nn_unit_rows(fet__graph *g, fet__node *x); /* x / |x|, row by row; below 1e-12: zeros */

/* ---- quadratic.c: three convolutions a, b, c of one form (methods/quadranet.md 1.1) --------------------------- */
typedef enum fet__quadratic_form {
    FET__QUADRATIC_PLAIN,     /* a * b + c */
    FET__QUADRATIC_NORMS,     /* bn1(a) * bn2(b) + bn3(c) */
    FET__QUADRATIC_RELU_NORM, /* bn1(relu(a * b + c)) */
    FET__QUADRATIC_RELUS      /* relu(bn1(a)) * relu(bn2(b)) + relu(bn3(c)) */
} fet__quadratic_form;
/* An empty name stands for the present prefix. */
fet__node *fet__nn_quadratic_conv(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel,
                                  const fet__conv_options *o, fet__quadratic_form form);

/* The full-rank neuron at every place: p^T W p + L p + bias of the patch p in the order (channel, row, column), zero padding
 * kernel / 2: weight [out, n, n], linear [out, n], n = C kernel^2. An odd kernel up to 7. */
fet__node *fet__nn_quadratic_full(fet__build *b, const char *name, fet__node *x, int64_t out, int kernel);

/* ---- quadra_block.c: QuadraNet's block and its rivals (methods/quadranet.md 2, 7) -------------------------------- */
typedef struct fet__quadra_block {
    enum {
        FET__MIX_QUADRATIC,
        FET__MIX_CONV,
        FET__MIX_GATED,
        FET__MIX_NONE,
        FET__MIX_WINDOW /* of models; such blocks are fet__nn_window_block's */
    } mixer;
    int kernel, expand, order; /* order: of MIX_GATED, from 2 on */
    bool quadratic_channels;   /* the first channel layer is quadratic too */
    double scale;              /* initial layer scale; <= 0: none */
    double drop_path;
    int grid[2]; /* rows and columns of tokens */
} fet__quadra_block;
/* x [B, L, C] under the present prefix: norm1, QuadraConv or gnconv, gamma1; norm2, pwconv1, pwconv2, gamma2. */
fet__node *fet__nn_quadra_block(fet__build *b, fet__node *x, const fet__quadra_block *o);
/* norm1, attn, norm2, mlp.fc1, mlp.fc2 of four times the width: Swin's block in the memory study. */
fet__node *fet__nn_window_block(fet__build *b, fet__node *x, int heads, const fet__windows *w, double drop_path);
/* conv_dw, norm, mlp.fc1, mlp.fc2, gamma. */
fet__node *fet__nn_convnext_block(fet__build *b, fet__node *x, const fet__quadra_block *o);
/* linear1(x) * linear2(x) + linear3(x); an empty name stands for the present prefix. */
fet__node *fet__nn_quadratic_linear(fet__build *b, const char *name, fet__node *x, int64_t out);

/* ---- batch_norm.c --------------------------------------------------------------------------------------------- */
#define FET__NORM_EPS 1e-5
#define FET__NORM_MOMENTUM 0.1
/* Batch norm over all axes but the last under `name`: weight, bias, running_mean, running_var (buffers); passes the norm site. */
fet__node *fet__nn_batch_norm(fet__build *b, const char *name, fet__node *x);
/* Each image and channel of [B, H, W, C] by its own statistics; passes the norm site. */
fet__node *fet__nn_instance_norm(fet__build *b, const char *name, fet__node *x);
/* IBN-a (methods/spcl.md 1.4): the first half of the channels by `name`.IN, the second by `name`.BN. */
fet__node *fet__nn_ibn(fet__build *b, const char *name, fet__node *x);
/* The leaf of a running statistic, with role FET__BUFFER. */
fet__node *fet__buffer(fet__build *b, const char *name, fet__shape shape, fet__init init, fet__param **param);

/* ---- maps.c: feature maps [B, H, W, C] to other sizes ---------------------------------------------------------- */
fet__node *fet__nn_resize_nearest(fet__build *b, fet__node *x, int h, int w); /* index floor(i in / out) */
/* Mean over [floor(i H / h), ceil((i + 1) H / h)) of each axis. */
fet__node *fet__nn_adaptive_pool(fet__build *b, fet__node *x, int h, int w);

#endif
