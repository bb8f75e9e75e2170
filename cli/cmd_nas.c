/* fettle nas profile, search, derive: measuring this machine, searching a network for it, and the file that describes it. */
#include "cli/cli.h"

#include "fettle/nas.h"

#include <string.h>

#define FRAME_HELP                                                                                                     \
    "the network whose blocks are chosen: quadranet36_xxs, quadranet:depths=2+2+6+2,dim=16,patch=2,img=32, ..."

/* ---- profile ------------------------------------------------------------------------------------------------------ */

static const flag flags_profile[] = {
    {"out", "PROFILE", NULL, "file for the measured times, as JSON (docs/nas.md)", false},
    {"arch", "A", "quadranet36_xxs", FRAME_HELP, false},
    {"repeats", "N", "100", "runs of a measurement, of which the fastest count", false},
    {"check", "N", "10", "networks predicted and then measured; 0: none", false},
    FLAG_END};

static int run_profile(args *a)
{
    fet_nas_profile_options o = {.frame = args_text(a, "arch"), .seed = a->seed};
    const char *out = args_text(a, "out");
    fet_nas_profile_report r;
    int64_t repeats, check;
    fet_status st;

    if (!args_int(a, "repeats", 1, 100000, 100, &repeats) || !args_int(a, "check", 0, 1000, 10, &check))
        return EXIT_USAGE;
    o.repeats = (int)repeats;
    o.check = check ? (int)check : -1;
    st = fet_nas_profile(&o, out, &r);
    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(json_pack("{s:o, s:i, s:o, s:i, s:o, s:o}", "profile", json_text(out), "blocks", r.entries,
                                    "fixed_ms", number(r.fixed_ms), "checked", r.checked, "mean_error",
                                    r.checked ? number(r.mean_error) : json_null(), "worst_error",
                                    r.checked ? number(r.worst_error) : json_null()));
    row("profile", "%s, %d blocks", shown(out), r.entries);
    row("besides blocks", "%.4g ms", r.fixed_ms);
    if (r.checked)
        row("error", "%.1f %% in the mean, %.1f %% at worst, of %d networks", 100 * r.mean_error, 100 * r.worst_error,
            r.checked);
    return EXIT_DONE;
}

/* ---- search ------------------------------------------------------------------------------------------------------- */

static const flag flags_search_files[] = {
    {"data", "DATA", NULL, "image folder (train/ val/ test/ or CLASS/ folders) or .csv", false},
    {"out", "RUN", NULL, "folder to write; must not exist without --resume", false},
    {"resume", NULL, "off", "continue RUN with the options of its first start", false},
    {"profile", "PROFILE", "", "what blocks cost on the device (fettle nas profile); needed for --latency", false},
    {"foreign", NULL, "off", "the profile is meant to be another device's", false},
    FLAG_END};
static const flag flags_limits[] = {
    {"latency", "TIME", "", "limit of one image's time, in the profile's unit: 5ms", false},
    {"memory", "SIZE", "", "limit of the network's memory, weights and working memory of one image: 2M", false},
    {"flops", "N", "", "limit of one image's operations, two a multiply-add: 40M", false},
    {"budget", "SIZE", "what is free", "memory budget of this process: 512M, 2G, ...", false},
    FLAG_END};
static const flag flags_space[] = {
    {"arch", "A", "quadranet36_xxs", FRAME_HELP, false},
    {"space", "quadra|plain", "quadra", "quadratic blocks, or ordinary depthwise ones", false},
    {"gates", "two|full", "two", "a step of alpha looks at two paths a place, or at all", false},
    {"objective", "log|linear|none", "log",
     "how costs E and limits R enter the loss: a CE (ln E / ln R)^b, CE + lambda (E - R) / R, not at all", false},
    {"log-a", "X", "0.2", "a of that", false},
    {"log-b", "X", "0.3", "b of that", false},
    {"lambda", "X", "0.1", "lambda of that", false},
    {"search-warmup", "N", "10", "epochs of weights alone", false},
    {"search-epochs", "N", "30", "epochs of weights and alpha", false},
    {"search-batch", "N", "as --batch", "images a step of the search", false},
    {"search-optimizer", "adamw|sgd", "adamw", "of the weights; sgd is with Nesterov's momentum", false},
    {"search-lr", "X", "1e-3; sgd 0.025", "falls to 0 along a cosine", false},
    {"search-warmup-lr", "X", "1e-3; sgd 0.05", "the same of the epochs of weights alone", false},
    {"search-wd", "X", "0.05; sgd 4e-5", "weight decay, but for biases and norms", false},
    {"search-momentum", "X", "0.9", "of sgd", false},
    {"search-clip", "X", "5", "largest global gradient norm; 0: no clipping", false},
    {"search-smoothing", "X", "0.1", "label smoothing in steps of weights", false},
    {"search-augment", "SPEC", "light", "as --augment, without mixing, in steps of weights", false},
    {"alpha-lr", "X", "5e-3", "of Adam on alpha", false},
    {"alpha-every", "N", "2", "steps of weights to a step of alpha", false},
    {"alpha-share", "X", "0.5", "share of the training images that alpha learns from", false},
    FLAG_END};
static const flag flags_pictures[] = {
    {"mean", "R,G,B", "the family's", "mean of the input's channels", false},
    {"std", "R,G,B", "the family's", "deviation of the input's channels", false},
    {"interpolation", "NAME", "the family's", "nearest box bilinear hamming bicubic lanczos", false},
    {"crop-pct", "X", "the family's", "share that the centre crop keeps; 0: resize to the exact size, no crop", false},
    {"image", "N", "the frame's", "input height and width in pixels", false},
    FLAG_END};

/* Every given flag that the library knows; common ones are set already. -1 to go on. */
static int take_flags(const args *a, fet_nas_search_options *o, void **keep)
{
    static const char *const common[] = {"threads", "dtype", "json", "quiet", "help", "recipe"};
    int status;

    fet_nas_search_defaults(o);
    status = apply_recipe(a, &o->train, keep);
    if (status >= 0)
        return status;
    for (int i = 0; i < a->count; i++) {
        bool other = !a->values[i];

        for (size_t k = 0; k < sizeof common / sizeof *common; k++)
            other = other || strcmp(common[k], a->flags[i]->name) == 0;
        if (other)
            continue;
        if (fet_nas_search_set(o, a->flags[i]->name, a->values[i]) != FET_OK)
            return usage_error(a, "--%s", fet_error_message());
    }
    return fet_set_memory(o->train.memory) == FET_OK ? -1 : fail(FET_E_ARG);
}

static json_t *found_json(const fet_nas_search_result *r)
{
    json_t *j = json_object();

    json_object_set_new(j, "arch", json_string(r->arch));
    json_object_set_new(j, "positions", json_integer(r->positions));
    json_object_set_new(j, "blocks", json_integer(r->blocks));
    json_object_set_new(j, "latency", number(r->latency));
    json_object_set_new(j, "latency_limit", number(r->latency_limit));
    json_object_set_new(j, "unit", json_string(r->unit));
    json_object_set_new(j, "measured_ms", number(r->measured_ms));
    json_object_set_new(j, "flops", number(r->flops));
    json_object_set_new(j, "memory_bytes", json_integer((json_int_t)r->network_memory));
    json_object_set_new(j, "search_steps", json_integer((json_int_t)r->search_steps));
    json_object_set_new(j, "alpha_steps", json_integer((json_int_t)r->alpha_steps));
    json_object_set_new(j, "search_seconds", number(r->search_seconds));
    json_object_set_new(j, "search_images_per_s", number(r->search_images_per_s));
    json_object_set_new(j, "search_bytes", json_integer((json_int_t)r->search_bytes));
    json_object_set_new(j, "candidate_bytes", json_integer((json_int_t)r->candidate_bytes));
    json_object_set_new(j, "build_ms", number(r->build_ms));
    json_object_set_new(j, "step_ms", number(r->step_ms));
    json_object_set_new(j, "entropy", number(r->entropy));
    return j;
}

static void print_found(const char *out, const fet_nas_search_result *r)
{
    row("run", "%s", shown(out));
    row("search", "%lld steps of weights, %lld of alpha, %.1f s, %.1f images/s", (long long)r->search_steps,
        (long long)r->alpha_steps, r->search_seconds, r->search_images_per_s);
    if (r->search_bytes)
        row("search memory", "%.1f MiB a step, %.1f MiB of candidates", (double)r->search_bytes / 1048576,
            (double)r->candidate_bytes / 1048576);
    row("found", "%d blocks at %d places", r->blocks, r->positions);
    row("network", "%s", r->arch);
    if (r->unit[0])
        row("latency", "%.4g %s predicted", r->latency, r->unit);
    if (r->measured_ms > 0)
        row("measured", "%.4g ms", r->measured_ms);
    row("operations", "%.4g MFLOP an image", r->flops / 1e6);
    row("memory", "%.2f MiB an image", (double)r->network_memory / 1048576);
}

static int run_search(args *a)
{
    fet_nas_search_options o;
    fet_nas_search_result r;
    void *keep = NULL;
    int status = take_flags(a, &o, &keep);
    fet_status st;

    if (status >= 0) {
        fet_recipe_free(keep);
        return status;
    }
    o.train.progress = progress_show;
    o.train.stop = &stop_signal;
    signals_catch_stop();
    progress_begin(a->quiet);
    st = fet_nas_search(&o, &r);
    progress_end();
    if (st != FET_OK) {
        status = fail(st);
    } else if (a->json) {
        json_t *j = train_json(o.train.out, &r.train);

        json_object_update_new(j, found_json(&r));
        status = print_json(j);
    } else {
        print_found(o.train.out, &r);
        print_train(&r.train);
        status = EXIT_DONE;
    }
    fet_free(r.arch);
    fet_recipe_free(keep);
    return status;
}

/* ---- derive ------------------------------------------------------------------------------------------------------- */

static const flag flags_derive[] = {{"out", "ARCH", NULL, "file to write, for --arch", false}, FLAG_END};

static int run_derive(args *a)
{
    const char *out = args_text(a, "out");
    char *arch = NULL;
    int status;
    fet_status st = fet_nas_derive(a->operands[0], out, &arch);

    if (st != FET_OK)
        return fail(st);
    if (a->json) {
        status = print_json(json_pack("{s:o, s:s}", "file", json_text(out), "arch", arch));
    } else {
        row("file", "%s", shown(out));
        row("network", "%s", arch);
        status = EXIT_DONE;
    }
    fet_free(arch);
    return status;
}

const command command_nas_profile = {"nas profile",
                                     "",
                                     0,
                                     0,
                                     "Measure the blocks of a search's space on this machine.",
                                     "fettle nas profile --out laptop.json",
                                     {flags_profile},
                                     run_profile};
const command command_nas_search = {
    "nas search",
    "",
    0,
    0,
    "Search a quadratic network for a device, under limits, and train it from scratch.",
    "fettle nas search --data cifar --profile laptop.json --latency 5ms --out run",
    {flags_search_files, flags_limits, flags_space, flags_recipe, flags_training, flags_image_reading, flags_pictures},
    run_search};
const command command_nas_derive = {"nas derive",
                                    "RUN",
                                    1,
                                    1,
                                    "The network that a search found, as a file for --arch.",
                                    "fettle nas derive run --out found.json",
                                    {flags_derive},
                                    run_derive};
