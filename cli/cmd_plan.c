/* fettle plan: memory and time of a step before anything runs. */
#include "cli/cli.h"

#include <string.h>

static const flag flags_plan[] = {
    {"adapter", "NAME[:key=value,...]", "full", "what would train (fettle list adapters)", true},
    {"data", "DATA", "", "data set whose classes size the head", true},
    {"batch", "N", "32", "images a step", true},
    {"mode", "train|infer", "train", "a training step, or inference", false},
    {"steps", NULL, "off", "print every step of the plan", false},
    {"optimizer", "NAME", "adamw", "sgd adam adamw rmsprop", true},
    {"clip", "X", "0", "largest global gradient norm", true},
    {"drop-path", "X", "0", "drop-path rate of the last block", true},
    {"ema", "X", "0", "decay of a moving average of the weights", true},
    {"augment", "SPEC", "light", "as for tune; mixup and cutmix need a second loss", true},
    FLAG_END};

static double mib(int64_t bytes)
{
    return (double)bytes / 1048576;
}

static int print(const args *a, const fet_plan_report *r, const char *text, int64_t batch)
{
    if (a->json)
        return print_json(
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:i, s:I, s:I, s:i, s:i, s:o, s:s}", "total_bytes",
                      (json_int_t)r->total_bytes, "arena_bytes", (json_int_t)r->arena_bytes, "weight_bytes",
                      (json_int_t)r->weight_bytes, "packed_bytes", (json_int_t)r->packed_bytes, "floor_bytes",
                      (json_int_t)r->floor_bytes, "trainable", (json_int_t)r->trainable, "parameters",
                      (json_int_t)r->parameters, "gflops_per_image", number(r->gflops_per_image), "seconds_per_step",
                      number(r->seconds_per_step), "steps", r->steps, "batch", (json_int_t)batch, "process_bytes",
                      (json_int_t)r->process_bytes, "parts", r->parts, "repeated_steps", r->repeated, "repeated_share",
                      number(r->repeated_share), "repeated_layers", r->repeated_layers));
    if (args_switch(a, "steps"))
        fputs(text, stdout);
    if (r->parts > 1)
        row("batch", "%lld, run in %d parts of %lld", (long long)batch, r->parts, (long long)batch / r->parts);
    else
        row("batch", "%lld", (long long)batch);
    row("memory in all", "%.1f MiB", mib(r->total_bytes));
    row("  weights and states", "%.1f MiB", mib(r->weight_bytes));
    row("  packed copies", "%.1f MiB", mib(r->packed_bytes));
    row("  working memory", "%.1f MiB (fullest step %.1f MiB)", mib(r->arena_bytes), mib(r->floor_bytes));
    row("  the program itself", "about %.0f MiB", mib(r->process_bytes));
    if (r->repeated > 0)
        row("computed again", "%.1f %% more work, in %s", 100 * r->repeated_share, r->repeated_layers);
    row("trained values", "%lld of %lld", (long long)r->trainable, (long long)r->parameters);
    row("needed work", "%.2f GFLOP an image", r->gflops_per_image);
    row("time at least", "%.1f ms a step, %.2f images/s", 1e3 * r->seconds_per_step,
        r->seconds_per_step > 0 ? (double)batch / r->seconds_per_step : 0);
    row("kernel calls", "%d", r->steps);
    return EXIT_DONE;
}

static int run(args *a)
{
    const char *mode = args_text(a, "mode");
    fet_tune_options o;
    fet_plan_report r;
    void *keep;
    char *text = NULL;
    fet_status st;
    int status = options_apply(a, &o, &keep);

    if (status < 0 && mode && strcmp(mode, "train") != 0 && strcmp(mode, "infer") != 0)
        status = usage_error(a, "--mode '%s' is neither train nor infer", shown(mode));
    if (status < 0) {
        st = fet_plan(&o, !mode || strcmp(mode, "train") == 0, args_switch(a, "steps"), &r, &text);
        status = st == FET_OK ? print(a, &r, text, o.batch ? o.batch : 32) : fail(st);
    }
    fet_free(text);
    fet_recipe_free(keep);
    return status;
}

const command command_plan = {"plan",
                              "",
                              0,
                              0,
                              "Print memory and time of a step before anything runs.",
                              "fettle plan --model vit.safetensors --adapter hydra --batch 16 --memory 2G",
                              {flags_model_required, flags_plan, flags_recipe, flags_model},
                              run};
