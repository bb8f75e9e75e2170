/* Makes the small set of reference tensors that ships with the project: make_golden FOLDER. Inputs and
 * parameters are drawn here; results are computed by the parity kinds themselves on the reference path
 * (obvious kernels, double where the kind builds the graph) and kept instead of compared. So the set guards
 * against change and between kernels; against other implementations the shared set does. */
#include "golden/skeleton.h"
#include "parity/vit_case.h"

#include <string.h>

#define SEED 7719u

/* ---- low-rank branches on one layer ---------------------------------------------------------------------- */

enum { IN = 7, OUT = 5, RANK = 2 };

static void branch(skeleton *s, const char *prefix, int64_t in, bool biases)
{
    char name[96];
    const char *weight = biases ? ".weight" : "";

    snprintf(name, sizeof name, "%s.down%s", prefix, weight);
    skeleton_add(s, name, FET_SHAPE(RANK, in), 0.5);
    snprintf(name, sizeof name, "%s.up%s", prefix, weight);
    skeleton_add(s, name, FET_SHAPE(OUT, RANK), 0.5);
    if (!biases)
        return;
    snprintf(name, sizeof name, "%s.down.bias", prefix);
    skeleton_add(s, name, FET_SHAPE(RANK), 0.3);
    snprintf(name, sizeof name, "%s.up.bias", prefix);
    skeleton_add(s, name, FET_SHAPE(OUT), 0.3);
}

/* Results of a variant: y, merged layer, gradients of x, base and branches. */
static void variant(skeleton *s, const char *v, bool par, bool seq, bool biases, bool base_bias, bool merges)
{
    char name[96];

    snprintf(name, sizeof name, "out.%s.y", v);
    skeleton_add(s, name, FET_SHAPE(3, 2, OUT), 0);
    if (merges) {
        snprintf(name, sizeof name, "out.%s.merged.weight", v);
        skeleton_add(s, name, FET_SHAPE(OUT, IN), 0);
        snprintf(name, sizeof name, "out.%s.merged.bias", v);
        skeleton_add(s, name, FET_SHAPE(OUT), 0);
    }
    snprintf(name, sizeof name, "grad.%s.x", v);
    skeleton_add(s, name, FET_SHAPE(3, 2, IN), 0);
    snprintf(name, sizeof name, "grad.%s.base.weight", v);
    skeleton_add(s, name, FET_SHAPE(OUT, IN), 0);
    if (base_bias) {
        snprintf(name, sizeof name, "grad.%s.base.bias", v);
        skeleton_add(s, name, FET_SHAPE(OUT), 0);
    }
    for (int side = 0; side < 2; side++) {
        if (!(side ? seq : par))
            continue;
        snprintf(name, sizeof name, "grad.%s%s", v, par && seq ? (side ? ".seq" : ".par") : "");
        branch(s, name, side ? OUT : IN, biases);
    }
}

static fet_status make_linear(const char *folder)
{
    skeleton s = {.kind = "hydra.linear", .file = "linear", .seed = SEED};

    skeleton_meta(&s, "rank", "2");
    skeleton_meta(&s, "scale", "1.75");
    skeleton_meta(&s, "dropout_p", "0.5");
    skeleton_meta(&s, "tol", "{\"out.\": [\"abs\", 2e-6], \"grad.\": [\"max\", 2e-6]}");
    skeleton_add(&s, "in.x", FET_SHAPE(3, 2, IN), 1);
    skeleton_add(&s, "in.gy", FET_SHAPE(3, 2, OUT), 1);
    skeleton_add(&s, "in.hydra_dropout.mul_par", FET_SHAPE(3, 2, RANK), 1);
    skeleton_add(&s, "in.hydra_dropout.mul_seq", FET_SHAPE(3, 2, RANK), 1);
    skeleton_add(&s, "param.base.weight", FET_SHAPE(OUT, IN), 0.4);
    skeleton_add(&s, "param.base.bias", FET_SHAPE(OUT), 0.4);
    branch(&s, "param.lora", IN, false);
    branch(&s, "param.seqlora", OUT, false);
    branch(&s, "param.hydra_nobias.par", IN, false);
    branch(&s, "param.hydra_nobias.seq", OUT, false);
    branch(&s, "param.hydra.par", IN, true);
    branch(&s, "param.hydra.seq", OUT, true);
    variant(&s, "lora", true, false, false, true, true);
    variant(&s, "seqlora", false, true, false, true, true);
    variant(&s, "hydra_nobias", true, true, false, true, true);
    variant(&s, "hydra", true, true, true, true, true);
    variant(&s, "hydra_basenobias", true, true, true, false, true);
    variant(&s, "hydra_dropout", true, true, true, true, false);
    return skeleton_finish(&s, folder);
}

/* ---- vision transformers --------------------------------------------------------------------------------- */

enum { IMG = 8, CLASSES = 3, BATCH = 2, BATCHES = 2, EPOCHS = 3, DIM = 8, DEPTH = 2 };
#define BASE "vit_base"

static void vit_meta(skeleton *s)
{
    skeleton_meta(s, "img", "8");
    skeleton_meta(s, "p", "4");
    skeleton_meta(s, "dim", "8");
    skeleton_meta(s, "depth", "2");
    skeleton_meta(s, "heads", "2");
    skeleton_meta(s, "ratio", "2");
    skeleton_meta(s, "ncls", "3");
    skeleton_meta(s, "batch", "2");
    skeleton_meta(s, "ln_eps", "1e-6");
}

static fet__model *vit_model(const char *adapter)
{
    fet__model_options o = {.arch = "vit:dim=8,depth=2,heads=2,patch=4,img=8,mlp=2,classes=3", .crop_pct = -1};
    fet__model *m;

    if (fet__model_open(&m, "none", &o) != FET_OK)
        return NULL;
    if (adapter && fet__model_attach(m, adapter) != FET_OK) {
        fet__model_close(m);
        return NULL;
    }
    return m;
}

/* "param.NAME", "grad.NAME" or "final.NAME" of all parameters, or of those that train. Gains lie around one. */
static void vit_tensors(skeleton *s, const fet__model *m, const char *prefix, bool trainable_only, double spread)
{
    char name[240];

    for (int i = 0; i < fet__params_count(m->store); i++) {
        const fet__param *p = fet__params_at(m->store, i);
        bool gain = strstr(p->name, "norm") && strstr(p->name, ".weight");
        if (trainable_only && !p->trainable)
            continue;
        snprintf(name, sizeof name, "%s.%s", prefix, p->name);
        skeleton_add(s, name, p->shape, spread);
        if (gain && spread != 0)
            skeleton_shift(s, 1);
    }
}

static void vit_batches(skeleton *s, int64_t sets)
{
    skeleton_add(s, "in.image", FET_SHAPE(sets, BATCH, 3, IMG, IMG), 1);
    skeleton_labels(s, "in.label", sets * BATCH, CLASSES);
}

static fet_status make_vit_base(const char *folder)
{
    skeleton s = {.kind = "hydra.vit_base", .file = BASE, .seed = SEED + 1};
    fet__model *m = vit_model(NULL);
    fet_status st;

    if (!m)
        return FET_E_ARG;
    vit_meta(&s);
    skeleton_meta(&s, "tol", "{\"out.\": [\"abs\", 2e-6], \"loss.\": [\"abs\", 1e-6], \"grad.\": [\"max\", 5e-6]}");
    vit_batches(&s, 1);
    vit_tensors(&s, m, "param", false, 0.3);
    vit_tensors(&s, m, "grad", false, 0);
    skeleton_add(&s, "out.logits", FET_SHAPE(BATCH, CLASSES), 0);
    skeleton_add(&s, "loss", FET_SHAPE(1), 0);
    st = skeleton_finish(&s, folder);
    fet__model_close(m);
    return st;
}

static void merged(skeleton *s, const char *layer, int64_t out, int64_t in)
{
    char name[96];

    for (int i = 0; i < DEPTH; i++) {
        snprintf(name, sizeof name, "out.merged.blocks.%d.%s.weight", i, layer);
        skeleton_add(s, name, FET_SHAPE(out, in), 0);
        snprintf(name, sizeof name, "out.merged.blocks.%d.%s.bias", i, layer);
        skeleton_add(s, name, FET_SHAPE(out), 0);
    }
}

/* Adapter's and head's tensors with values, and everything that the kinds of adapters compare. */
static fet_status make_vit_adapter(const char *folder, skeleton *s, const char *adapter)
{
    fet__model *m = vit_model(adapter);
    fet_status st;

    if (!m)
        return FET_E_ARG;
    skeleton_meta(s, "base_file", BASE ".safetensors");
    skeleton_meta(s, "tol",
                  "{\"out.\": [\"abs\", 5e-6], \"out.merged.\": [\"abs\", 1e-6], \"loss.\": [\"abs\", 1e-6], "
                  "\"grad.\": [\"max\", 1e-5]}");
    vit_tensors(s, m, "param", true, 0.3);
    vit_tensors(s, m, "grad", true, 0);
    skeleton_add(s, "out.logits", FET_SHAPE(BATCH, CLASSES), 0);
    skeleton_add(s, "out.merged_logits", FET_SHAPE(BATCH, CLASSES), 0);
    skeleton_add(s, "loss", FET_SHAPE(1), 0);
    st = skeleton_finish(s, folder);
    fet__model_close(m);
    return st;
}

static fet_status make_vit_hydra(const char *folder)
{
    skeleton s = {.kind = "hydra.vit_hydra_both", .file = "vit_hydra_both", .seed = SEED + 2};

    skeleton_meta(&s, "rank", "2");
    skeleton_meta(&s, "scale", "0.7");
    skeleton_add(&s, "out.embed", FET_SHAPE(BATCH, 5, DIM), 0);
    skeleton_add(&s, "out.block0", FET_SHAPE(BATCH, 5, DIM), 0);
    skeleton_add(&s, "out.block1", FET_SHAPE(BATCH, 5, DIM), 0);
    merged(&s, "attn.proj", DIM, DIM);
    merged(&s, "mlp.fc2", DIM, 2 * DIM);
    return make_vit_adapter(folder, &s, "hydra:at=attn.proj+mlp.fc2,rank=2,scale=0.7");
}

static fet_status make_vit_lora(const char *folder)
{
    skeleton s = {.kind = "hydra.vit_lora_qv", .file = "vit_lora_qv", .seed = SEED + 3};

    skeleton_meta(&s, "rank", "3");
    skeleton_meta(&s, "alpha", "6");
    merged(&s, "attn.qkv", 3 * DIM, DIM);
    return make_vit_adapter(folder, &s, "lora:at=attn.q+attn.v,rank=3,alpha=6");
}

static fet_status make_vit_train(const char *folder)
{
    skeleton s = {.kind = "hydra.vit_hydra_train", .file = "vit_hydra_train", .seed = SEED + 4};
    fet__model *m = vit_model("hydra:at=attn.proj+mlp.fc2,rank=2,scale=0.7");
    fet_status st;

    if (!m)
        return FET_E_ARG;
    skeleton_meta(&s, "base_file", BASE ".safetensors");
    skeleton_meta(&s, "rank", "2");
    skeleton_meta(&s, "scale", "0.7");
    skeleton_meta(&s, "optimizer", "AdamW");
    skeleton_meta(&s, "lr", "0.01");
    skeleton_meta(&s, "weight_decay", "0.02");
    skeleton_meta(&s, "epochs", "3");
    skeleton_meta(&s, "steps_per_epoch", "2");
    skeleton_meta(&s, "schedule", "timm cosine");
    skeleton_meta(&s, "schedule_args",
                  "{\"t_initial\": 5, \"warmup_t\": 1, \"lr_min\": 1e-5, \"warmup_lr_init\": 1e-3}");
    skeleton_meta(&s, "tol",
                  "{\"out.\": [\"abs\", 1e-9], \"out.final_logits\": [\"abs\", 1e-4], \"loss.\": [\"abs\", 1e-5], "
                  "\"final.\": [\"abs\", 2e-5]}");
    vit_batches(&s, BATCHES);
    vit_tensors(&s, m, "param", true, 0.3);
    vit_tensors(&s, m, "final", true, 0);
    skeleton_add(&s, "loss", FET_SHAPE(EPOCHS * BATCHES), 0);
    skeleton_add(&s, "out.lr", FET_SHAPE(EPOCHS * BATCHES), 0);
    skeleton_add(&s, "out.final_logits", FET_SHAPE(BATCHES, BATCH, CLASSES), 0);
    st = skeleton_finish(&s, folder);
    fet__model_close(m);
    return st;
}

/* ---- optimisers ------------------------------------------------------------------------------------------ */

static fet_status make_optim(const char *folder)
{
    static const char *const configs[][2] = {
        {"sgd_m",
         "{\"lr\": 0.05, \"momentum\": 0.9, \"dampening\": 0.1, \"weight_decay\": 0.001, \"nesterov\": false}"},
        {"sgd_nesterov", "{\"lr\": 0.05, \"momentum\": 0.9, \"nesterov\": true}"},
        {"adam_amsgrad", "{\"lr\": 0.01, \"betas\": [0.8, 0.95], \"eps\": 1e-6, \"amsgrad\": true}"},
        {"adamw", "{\"lr\": \"1e-2 * 0.5**floor(t/2), t from 0\", \"betas\": [0.9, 0.999], \"weight_decay\": 0.1}"},
        {"rmsprop", "{\"lr\": 0.01, \"alpha\": 0.9, \"momentum\": 0.5, \"eps\": 1e-8}"}};
    skeleton s = {.kind = "data.optim_given_grads", .file = "optim_given_grads", .seed = SEED + 5};
    char name[64];

    skeleton_meta(&s, "tol", "{\"out.\": [\"abs+1e-5*|ref|\", 1e-6]}");
    skeleton_add(&s, "in.param.w", FET_SHAPE(2, 3), 1);
    skeleton_add(&s, "in.param.b", FET_SHAPE(3), 1);
    skeleton_add(&s, "in.grad.w", FET_SHAPE(6, 2, 3), 1);
    skeleton_add(&s, "in.grad.b", FET_SHAPE(6, 3), 1);
    for (size_t i = 0; i < FET_COUNT(configs); i++) {
        skeleton_meta(&s, configs[i][0], configs[i][1]);
        snprintf(name, sizeof name, "out.%s.w", configs[i][0]);
        skeleton_add(&s, name, FET_SHAPE(6, 2, 3), 0);
        snprintf(name, sizeof name, "out.%s.b", configs[i][0]);
        skeleton_add(&s, name, FET_SHAPE(6, 3), 0);
    }
    return skeleton_finish(&s, folder);
}

static fet_status make_lr(const char *folder)
{
    skeleton s = {.kind = "hydra.lr_schedule", .file = "lr_schedule", .seed = SEED + 6};

    skeleton_meta(&s, "base_lr", "0.002");
    skeleton_meta(&s, "warmup_t", "4");
    skeleton_meta(&s, "lr_min", "1e-5");
    skeleton_meta(&s, "warmup_lr_init", "1e-6");
    skeleton_meta(&s, "lr_t30", "t_initial=30");
    skeleton_meta(&s, "tol", "{\"out.\": [\"abs\", 1e-9]}");
    skeleton_add(&s, "out.lr_t30", FET_SHAPE(40), 0);
    return skeleton_finish(&s, folder);
}

/* ---- pictures and metrics -------------------------------------------------------------------------------- */

static fet_status make_picture(const char *folder)
{
    uint8_t pixels[13 * 17 * 3];
    fet__image im = {.height = 13, .width = 17, .pixels = pixels};
    char *images = fet__path_join(folder, "images"), *path = images ? fet__path_join(images, "noise.png") : NULL;
    fet_status st;

    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(fet__random_u32(SEED, 1, 0, i) >> 24);
    FET_TRY(path ? FET_OK : FET_E_NOMEM);
    FET_TRY(fet__make_folder(images));
    st = fet__image_write_png(path, &im);
done:
    fet__free(path);
    fet__free(images);
    return st;
}

static fet_status make_resize(const char *folder)
{
    static const char *const filters[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    skeleton s = {.kind = "data.resize", .file = "resize", .seed = SEED + 7};
    char name[64];
    fet_status st;

    FET_TRY(make_picture(folder));
    skeleton_add_bytes(&s, "noise.png/rgb", FET_SHAPE(13, 17, 3));
    for (size_t i = 0; i < FET_COUNT(filters); i++) {
        snprintf(name, sizeof name, "noise.png/%s_8x9", filters[i]);
        skeleton_add_bytes(&s, name, FET_SHAPE(8, 9, 3));
        snprintf(name, sizeof name, "noise.png/%s_20x19", filters[i]);
        skeleton_add_bytes(&s, name, FET_SHAPE(20, 19, 3));
    }
    skeleton_add_bytes(&s, "noise.png/short10_bicubic_center8", FET_SHAPE(8, 8, 3));
    skeleton_add_bytes(&s, "noise.png/rrc_2_3_7_9_bilinear_12", FET_SHAPE(12, 12, 3));
    st = skeleton_finish(&s, folder);
done:
    return st;
}

static fet_status make_metrics(const char *folder)
{
    static const char *const values[] = {"top1",
                                         "top5",
                                         "mean_nll",
                                         "ece15",
                                         "macro_f1_all",
                                         "macro_f1_union",
                                         "macro_f1_true_present",
                                         "micro_f1",
                                         "mean_per_class_acc",
                                         "worst_group_acc",
                                         "pearson",
                                         "worst_group_pearson",
                                         "roc_auc",
                                         "average_precision_step",
                                         "map_11pt_multilabel"};
    enum { N = 40, K = 6, GROUPS = 3, LABELS = 4 };
    skeleton s = {.kind = "data.metrics_class", .file = "metrics_class", .seed = SEED + 8};
    char name[64];

    skeleton_add(&s, "in.logits", FET_SHAPE(N, K), 2);
    skeleton_add(&s, "in.auc_score", FET_SHAPE(N), 1);
    skeleton_add(&s, "in.ml_score", FET_SHAPE(N, LABELS), 1);
    skeleton_add(&s, "in.pearson_x", FET_SHAPE(N), 1);
    skeleton_add(&s, "in.pearson_y", FET_SHAPE(N), 1);
    skeleton_labels(&s, "in.label", N, K);
    skeleton_labels(&s, "in.group", N, GROUPS);
    skeleton_labels(&s, "in.auc_label", N, 2);
    skeleton_labels(&s, "in.ml_label", N * LABELS, 2);
    for (size_t i = 0; i < FET_COUNT(values); i++) {
        snprintf(name, sizeof name, "out.%s", values[i]);
        skeleton_add_typed(&s, name, FET_F64, FET_SHAPE(1));
    }
    skeleton_add_typed(&s, "out.group_acc", FET_F64, FET_SHAPE(GROUPS));
    skeleton_add_typed(&s, "out.f1_per_class", FET_F64, FET_SHAPE(K));
    skeleton_add_typed(&s, "out.ap11_per_class", FET_F64, FET_SHAPE(LABELS));
    skeleton_add_typed(&s, "out.worst_group_index", FET_I64, FET_SHAPE(1));
    skeleton_add_typed(&s, "out.pred", FET_I64, FET_SHAPE(N));
    skeleton_add_typed(&s, "out.confusion_true_by_pred", FET_I64, FET_SHAPE(K, K));
    return skeleton_finish(&s, folder);
}

int main(int argc, char **argv)
{
    static fet_status (*const makers[])(const char *) = {make_linear,   make_vit_base,  make_vit_hydra,
                                                         make_vit_lora, make_vit_train, make_optim,
                                                         make_lr,       make_resize,    make_metrics};

    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: make_golden FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < FET_COUNT(makers); i++) {
        if (makers[i](argv[1]) != FET_OK) {
            fprintf(stderr, "make_golden: %s\n", fet_error_message());
            return 1;
        }
    }
    return 0;
}
