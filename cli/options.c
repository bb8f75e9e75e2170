/* Flags that several commands share, and how they reach the library's options. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_HELP                                                                                                     \
    "checkpoint (.safetensors .pth .pt .bin .th .npz, hub folder), RUN that holds a model, or none (random weights; "  \
    "needs --arch)"
const flag flags_model_required[] = {{"model", "MODEL", NULL, MODEL_HELP, true}, FLAG_END};
const flag flags_model[] = {
    {"arch", "NAME[:key=value,...]", "recognised",
     "architecture, such as vit_base_patch16_224 or vit:dim=64,depth=3,heads=2,patch=4,img=32", true},
    {"mean", "R,G,B", "the file's or the family's", "mean of the input's channels", true},
    {"std", "R,G,B", "the file's or the family's", "deviation of the input's channels", true},
    {"interpolation", "NAME", "the file's or the family's", "nearest box bilinear hamming bicubic lanczos", true},
    {"crop-pct", "X", "the file's or the family's",
     "share that the centre crop keeps; 0: resize to the exact size, no crop", true},
    {"image", "N", "the model's", "input height and width in pixels; a position embedding is resampled", true},
    {"weights", "NAME", "the plain ones", "which of several networks in the checkpoint, such as model_ema", true},
    FLAG_END};
const flag flags_adapter[] = {
    {"adapter", "RUN|FILE", "", "trained adapter to attach, or a LoRA folder of Hugging Face's PEFT", false}, FLAG_END};
const flag flags_data[] = {{"data", "DATA", NULL, "image folder (train/ val/ test/ or CLASS/ folders) or .csv", true},
                           FLAG_END};
const flag flags_sites[] = {
    {"format", "NAME", "recognised",
     "of sites: plain, iwildcam, camelyon17, rxrx1, fmow, povertymap, domainnet (docs/sites.md)", false},
    {"fold", "A..E", "A", "of PovertyMap", false},
    FLAG_END};
const flag flags_decoding[] = {
    {"max-pixels", "N", "200000000", "bound of one image", true},
    {"no-exif", NULL, "off", "leave images as stored, whatever their EXIF orientation says", true},
    FLAG_END};
const flag flags_image_reading[] = {
    {"val-fraction", "X", "0.1", "share split off for validation where there is no val/; 0: none", true},
    {"split-seed", "N", "seed", "of that split", true},
    {"classes", "A,B,C", "all", "keep these classes", true},
    {"class-order", "byte|natural", "byte", "order of class names", true},
    {"max-pixels", "N", "200000000", "bound of one image", true},
    {"no-exif", NULL, "off", "leave images as stored, whatever their EXIF orientation says", true},
    FLAG_END};
const flag flags_recipe[] = {
    {"recipe", "FILE|NAME", "",
     "YAML file of flags without dashes, or one of `fettle list recipes`; flags on the command line win", false},
    FLAG_END};
const flag flags_training[] = {
    {"epochs", "N", "20", "passes over the training images", true},
    {"steps", "N", "epochs decide", "stop after so many steps", true},
    {"batch", "N", "32", "images a step", true},
    {"lr", "X", "1e-3", "peak learning rate", true},
    {"wd", "X", "1e-4", "weight decay", true},
    {"optimizer", "NAME", "adamw", "sgd adam adamw rmsprop", true},
    {"momentum", "X", "0.9", "of sgd", true},
    {"nesterov", NULL, "off", "sgd with Nesterov's momentum", true},
    {"amsgrad", NULL, "off", "adam and adamw keep the largest second moment", true},
    {"no-decay-1d", NULL, "off", "no weight decay on biases and norms", true},
    {"no-decay", "RULE", "none", "whom it spares: none, 1d, norm+bias, cls, det, seg (position tables)", true},
    {"schedule", "NAME", "cosine", "cosine step constant", true},
    {"warmup", "N", "a tenth of the epochs", "epochs of linear warm-up", true},
    {"lr-min", "X", "lr / 100", "learning rate at the end of cosine", true},
    {"warmup-start", "X", "lr / 1000", "learning rate at which warm-up begins", true},
    {"warmup-first", NULL, "off", "the decay begins when warm-up ends, not together with it", true},
    {"warmup-multiply", NULL, "off", "warm-up is a factor on the schedule, not a line up to it", true},
    {"schedule-epochs", "N", "epochs", "length of the decay", true},
    {"schedule-by-epoch", NULL, "off", "the rate changes between epochs only", true},
    {"schedule-lag", NULL, "off", "epoch e runs at the rate of epoch e - 1 (with --schedule-by-epoch)", true},
    {"every", "N", "a third of the epochs", "step: epochs between falls", true},
    {"gamma", "X", "0.1", "step: factor of a fall", true},
    {"clip", "X", "0", "largest global gradient norm; 0: no clipping", true},
    {"ema", "X", "0", "decay of a moving average of the weights, which is evaluated and saved instead; 0: none", true},
    {"smoothing", "X", "0", "label smoothing", true},
    {"drop-path", "X", "0", "drop-path rate of the last block", true},
    {"augment", "SPEC", "light",
     "none light strong, or steps joined by '+': rrc:scale=0.08-1+flip+rand-m9-mstd0.5-inc1+erase=0.25+mixup=0.8 "
     "(docs/augmentation.md; `fettle data preview` shows it)",
     true},
    {"drop-last", NULL, "off", "leave out an epoch's last, incomplete batch", true},
    {"eval-every", "N", "1", "epochs between evaluations", true},
    {"save-every", "SECONDS", "60", "between saves, besides one at every epoch", true},
    {"check-finite", NULL, "off", "look at every value of every step and name the first that is not finite", true},
    FLAG_END};

int apply_recipe(const args *a, fet_tune_options *o, void **keep)
{
    const char *name = args_text(a, "recipe");
    char *path;
    fet_status st;

    if (!name)
        return -1;
    path = recipe_find(name);
    if (!path)
        return EXIT_USAGE;
    st = fet_tune_recipe(o, path, keep);
    free(path);
    return st == FET_OK ? -1 : fail(st);
}

int options_apply(const args *a, fet_tune_options *o, void **keep)
{
    int i, status;

    fet_tune_defaults(o);
    *keep = NULL;
    status = apply_recipe(a, o, keep);
    for (i = 0; status < 0 && i < a->count; i++) {
        if (!a->values[i] || !a->flags[i]->tune)
            continue;
        if (fet_tune_set(o, a->flags[i]->name, a->values[i]) != FET_OK) {
            complain("--%s", fet_error_message());
            return EXIT_USAGE;
        }
    }
    if (status < 0 && fet_set_memory(o->memory) != FET_OK)
        return fail(FET_E_ARG);
    if (!o->data_options.seed)
        o->data_options.seed = o->seed;
    return status;
}

int open_model(const args *a, const fet_tune_options *o, fet_model **out)
{
    const char *adapter = args_text(a, "adapter");
    fet_model_options options = o->model_options;
    fet_status st;

    options.seed = o->seed;
    st = fet_model_open(out, o->model, &options);
    if (st == FET_OK && adapter)
        st = fet_model_attach(*out, adapter);
    if (st == FET_OK)
        fet_model_set_decoding(*out, o->data_options.max_pixels, o->data_options.ignore_exif);
    if (st == FET_OK)
        return -1;
    fet_model_close(*out);
    *out = NULL;
    return fail(st);
}
