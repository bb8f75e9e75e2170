/* fettle bench: a workload's time and memory, or the machine's peak. */
#include "cli/cli.h"

#include <math.h>
#include <string.h>

static const flag flags_bench[] = {
    {"batch", "N", "16", "images a step", false},
    {"steps", "N", "5", "measured steps", false},
    {"warmup", "N", "1", "steps before those", false},
    {"mode", "train|infer", "train", "a training step, or inference of the merged model", false},
    {"size", "S", "", "of a workload that has sizes: quadranet, convnext, hornet, swin, block-*, ...", false},
    {"arch", "NAME[:key=value,...]", "", "the network, of model", false},
    {"n", "N", "4096", "features, of jaccard", false},
    {"dim", "N", "2048", "values of a feature, of jaccard", false},
    {"profile", NULL, "off", "time of each kernel on standard error", false},
    FLAG_END};

static double rounded(double v, double unit)
{
    return round(v / unit) * unit;
}

static int print_features(const args *a, const fet_bench_options *o, const fet_bench_result *r)
{
    if (a->json)
        return print_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:i, s:s, s:i, s:f, s:f, s:f, s:I, s:f, s:f}", "workload", o->workload, "mode",
            "train", "dtype", "f32", "n", (json_int_t)r->rows, "dim", r->width, "fettle", fet_version(), "threads",
            fet_threads(), "median_s", rounded(r->median_s, 1e-4), "min_s", rounded(r->min_s, 1e-4), "images_per_s",
            rounded(r->images_per_s, 1e-2), "peak_rss_mib", (json_int_t)r->peak_rss_mib, "gflops_per_image",
            rounded(r->gflops_per_image, 1e-4), "gflops", rounded(r->gflops, 0.1)));
    row("workload", "%s, f32", o->workload);
    row("features, threads", "%lld of %d values, %d", (long long)r->rows, r->width, fet_threads());
    row("median, least", "%.1f ms, %.1f ms", 1e3 * r->median_s, 1e3 * r->min_s);
    row("rate", "%.2f features/s", r->images_per_s);
    row("memory", "peak %lld MiB", (long long)r->peak_rss_mib);
    row("needed work", "%.4f GFLOP a feature, %.1f GFLOP/s", r->gflops_per_image, r->gflops);
    return EXIT_DONE;
}

static int print(const args *a, const fet_bench_options *o, const fet_bench_result *r)
{
    const char *mode = o->train ? "train" : "infer";

    if (r->rows)
        return print_features(a, o, r);
    if (a->json)
        return print_json(json_pack(
            "{s:s, s:s, s:s, s:i, s:s, s:i, s:f, s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:i}", "workload", o->workload,
            "mode", mode, "dtype", "f32", "batch", r->batch, "fettle", fet_version(), "threads", fet_threads(),
            "median_s", rounded(r->median_s, 1e-4), "min_s", rounded(r->min_s, 1e-4), "images_per_s",
            rounded(r->images_per_s, 1e-2), "peak_rss_mib", (json_int_t)r->peak_rss_mib, "planned_mib",
            (json_int_t)r->planned_mib, "gflops_per_image", rounded(r->gflops_per_image, 1e-2), "gflops",
            rounded(r->gflops, 0.1), "repeated_share", rounded(r->repeated_share, 1e-4), "parts", r->parts));
    row("workload", "%s, %s, f32", o->workload, mode);
    row("batch, threads", "%d, %d", r->batch, fet_threads());
    row("median, least", "%.1f ms, %.1f ms", 1e3 * r->median_s, 1e3 * r->min_s);
    row("rate", "%.2f images/s", r->images_per_s);
    row("memory", "peak %lld MiB, planned %lld MiB", (long long)r->peak_rss_mib, (long long)r->planned_mib);
    if (r->repeated_share > 0)
        row("computed again", "%.1f %% more work, for the memory budget", 100 * r->repeated_share);
    if (r->parts > 1)
        row("parts of a batch", "%d", r->parts);
    row("needed work", "%.2f GFLOP an image, %.1f GFLOP/s", r->gflops_per_image, r->gflops);
    return EXIT_DONE;
}

static int run_peak(const args *a)
{
    double f32, bf16;
    fet_status st = fet_bench_peak(&f32, &bf16);

    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(json_pack("{s:f, s:f, s:i, s:s}", "f32_gflops", rounded(f32, 0.1), "bf16_gflops",
                                    rounded(bf16, 0.1), "threads", fet_threads(), "cpu", fet_version_cpu()));
    row("float32", "%.1f GFLOP/s", f32);
    if (bf16 > 0)
        row("bfloat16", "%.1f GFLOP/s", bf16);
    else
        row("bfloat16", "not in this processor");
    row("threads", "%d", fet_threads());
    return EXIT_DONE;
}

static int run(args *a)
{
    const char *mode = args_text(a, "mode");
    fet_bench_options o = {.workload = a->operands[0],
                           .size = args_text(a, "size"),
                           .arch = args_text(a, "arch"),
                           .train = !mode || strcmp(mode, "train") == 0,
                           .seed = a->seed};
    fet_bench_result r;
    fet_tune_options common;
    void *keep;
    char *text = NULL;
    int64_t batch, steps, warmup, rows, width;
    fet_status st;
    int status;

    if (mode && !o.train && strcmp(mode, "infer") != 0)
        return usage_error(a, "--mode '%s' is neither train nor infer", shown(mode));
    if (!args_int(a, "batch", 1, 65536, 0, &batch) || !args_int(a, "steps", 1, 100000, 5, &steps) ||
        !args_int(a, "warmup", 1, 100000, 1, &warmup) || !args_int(a, "n", 16, 100000000, 0, &rows) ||
        !args_int(a, "dim", 1, 1000000, 0, &width))
        return EXIT_USAGE;
    status = options_apply(a, &common, &keep); /* the memory budget */
    if (status >= 0)
        return status;
    if (strcmp(o.workload, "peak") == 0)
        return run_peak(a);
    o.batch = (int)batch;
    o.steps = (int)steps;
    o.warmup = (int)warmup;
    o.rows = rows;
    o.width = (int)width;
    o.profile = args_switch(a, "profile");
    st = fet_bench(&o, &r, &text);
    if (st == FET_OK && text)
        fputs(text, stderr);
    fet_free(text);
    return st == FET_OK ? print(a, &o, &r) : fail(st);
}

const command command_bench = {"bench",
                               "WORKLOAD|peak",
                               1,
                               1,
                               "Time and memory of a workload (fettle list workloads), or the machine's peak; bench "
                               "blocks and bench models compare several.",
                               "fettle bench vit-hydra --batch 16 --steps 5",
                               {flags_bench},
                               run};
