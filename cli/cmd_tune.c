/* fettle tune and fettle train: options to the library, progress, and the result. */
#include "cli/cli.h"

static const flag flags_tune[] = {{"adapter", "NAME[:key=value,...]", NULL,
                                   "what trains: hydra lora seqlora mona adapter adaptformer repadapter ssf fact vpt "
                                   "bitfit norm partial1 linear full (fettle list adapters)",
                                   true},
                                  {"out", "RUN", NULL, "folder to write; must not exist without --resume", true},
                                  {"resume", NULL, "off", "continue RUN with the options of its first start", true},
                                  FLAG_END};
static const flag flags_train_model[] = {
    {"model", "MODEL", "none", "checkpoint to start from, or none: random weights of --arch", true}, FLAG_END};
static const flag flags_train[] = {{"out", "RUN", NULL, "folder to write; must not exist without --resume", true},
                                   {"resume", NULL, "off", "continue RUN with the options of its first start", true},
                                   FLAG_END};

static json_t *eval_json(const fet_eval_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "top1", number(r->top1), "top5", number(r->top5), "macro_f1",
                     number(r->macro_f1), "loss", number(r->loss), "images", (json_int_t)r->images);
}

json_t *train_json(const char *out, const fet_tune_result *r)
{
    json_t *j = json_object(), *best = eval_json(&r->best);

    json_object_set_new(j, "run", json_text(out));
    json_object_set_new(j, "steps", json_integer((json_int_t)r->steps));
    json_object_set_new(j, "epochs", json_integer((json_int_t)r->epochs));
    json_object_set_new(j, "train_loss", number(r->train_loss));
    if (r->last.images > 0) {
        json_object_update_new(j, eval_json(&r->last));
        json_object_set_new(best, "epoch", json_integer((json_int_t)r->best_epoch));
        json_object_set(j, "best", best);
    }
    json_decref(best);
    json_object_set_new(j, "trainable", json_integer((json_int_t)r->trainable));
    json_object_set_new(j, "parameters", json_integer((json_int_t)r->parameters));
    json_object_set_new(j, "seconds", number(r->seconds));
    json_object_set_new(j, "images_per_s", number(r->images_per_s));
    json_object_set_new(j, "planned_bytes", json_integer((json_int_t)r->planned_bytes));
    json_object_set_new(j, "images_skipped", json_integer((json_int_t)r->images_skipped));
    return j;
}

void print_train(const fet_tune_result *r)
{
    row("steps, epochs", "%lld, %lld", (long long)r->steps, (long long)r->epochs);
    row("training loss", "%.5g", r->train_loss);
    if (r->last.images > 0) {
        row("validation images", "%lld", (long long)r->last.images);
        row("validation loss", "%.5g", r->last.loss);
        row_percent("top-1", r->last.top1);
        row_percent("top-5", r->last.top5);
        row_percent("macro-F1", r->last.macro_f1);
        row("best top-1", "%.2f %% in epoch %lld", 100 * r->best.top1, (long long)r->best_epoch + 1);
    }
    row("trained values", "%lld of %lld", (long long)r->trainable, (long long)r->parameters);
    row("planned memory", "%.1f MiB", (double)r->planned_bytes / 1048576);
    row("time", "%.1f s, %.1f images/s", r->seconds, r->images_per_s);
    if (r->images_skipped > 0)
        row("skipped images", "%lld", (long long)r->images_skipped);
}

static int run_with(args *a, fet_status (*train)(const fet_tune_options *, fet_tune_result *))
{
    fet_tune_options o;
    fet_tune_result r;
    void *keep;
    int status = options_apply(a, &o, &keep);
    fet_status st;

    if (status >= 0)
        goto done;
    o.progress = progress_show;
    o.stop = &stop_signal;
    signals_catch_stop();
    progress_begin(a->quiet);
    st = train(&o, &r);
    progress_end();
    if (st != FET_OK)
        status = fail(st);
    else if (a->json)
        status = print_json(train_json(o.out, &r));
    else
        row("run", "%s", shown(o.out)), print_train(&r), status = EXIT_DONE;
done:
    fet_recipe_free(keep);
    return status;
}

static int run_tune(args *a)
{
    return run_with(a, fet_tune);
}

static int run_train(args *a)
{
    return run_with(a, fet_train);
}

const command command_tune = {
    "tune",
    "",
    0,
    0,
    "Tune a pretrained model with an adapter; the base stays frozen.",
    "fettle tune --model vit.safetensors --data pets --adapter hydra:rank=2 --out run --epochs 10",
    {flags_model_required, flags_data, flags_tune, flags_recipe, flags_training, flags_model, flags_image_reading},
    run_tune};
const command command_train = {
    "train",
    "",
    0,
    0,
    "Train every parameter, from random weights or from a checkpoint.",
    "fettle train --arch vit:dim=64,depth=3,heads=2,patch=4,img=32 --data cifar --out run --epochs 30",
    {flags_data, flags_train, flags_recipe, flags_train_model, flags_training, flags_model, flags_image_reading},
    run_train};
