/* fet_bench: the built-in workloads, with random weights, pictures and labels. */
#include "method/method_int.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 100000

/* One network of the memory study: 24 blocks of a kind. */
#define STUDY(kind, words, mixer)                                                                                      \
    {                                                                                                                  \
        .name = "block-" kind, .help = "24 blocks " words " at 224, width 64 or 128 by --size, AdamW",                 \
        .arch = "quadranet:depths=2+2+18+2,dim=%s,mixer=" mixer, .adapter = "full", .sizes = {                         \
            "64",                                                                                                      \
            "128"                                                                                                      \
        }                                                                                                              \
    }

const fet__workload fet__workloads[] = {
    {.name = "vit-hydra",
     .help = "ViT-B/16 (or L by --size) at 224, Hydra rank 8 on mlp.fc2 and the head, AdamW; infer: the merged model",
     .arch = "vit_%s_patch16_224:classes=100",
     .adapter = "hydra:at=mlp.fc2,rank=8,bias=false",
     .sizes = {"base", "large"}},
    {.name = "vit-full",
     .help = "ViT-B/16 at 224, every parameter, AdamW",
     .arch = "vit_base_patch16_224:classes=100",
     .adapter = "full"},
    {.name = "swin-mona",
     .help = "Swin-T at 224, two Mona modules a block and the head, AdamW; infer: the fused modules",
     .arch = "swin_tiny_patch4_window7_224:classes=100",
     .adapter = "mona:dropout=0",
     .stays = true},
    {.name = "r50-full",
     .help = "ResNet-50 at 224, every parameter, AdamW",
     .arch = "resnet50:classes=100",
     .adapter = "full"},
    {.name = "r20-full",
     .help = "the CIFAR ResNet of 20 layers at 32, every parameter, AdamW",
     .arch = "resnet20",
     .adapter = "full"},
    {.name = "quadranet",
     .help = "QuadraNet36 at 224 by --size, every parameter, AdamW",
     .arch = "quadranet36_%s",
     .adapter = "full",
     .sizes = {"xxs", "xs", "t", "s", "b"}},
    {.name = "convnext",
     .help = "QuadraNet36's layout with ordinary depthwise convolutions by --size, every parameter, AdamW",
     .arch = "quadranet36_%s:mixer=conv",
     .adapter = "full",
     .sizes = {"xxs", "xs", "t", "s", "b"}},
    {.name = "quadranet25",
     .help = "QuadraNet25 at 224 by --size, every parameter, AdamW",
     .arch = "quadranet25_%s",
     .adapter = "full",
     .sizes = {"xxs", "xs", "t", "s", "b"}},
    {.name = "convnext-timm",
     .help = "ConvNeXt at 224 by --size, every parameter, AdamW",
     .arch = "convnext_%s",
     .adapter = "full",
     .sizes = {"tiny", "small", "base"}},
    {.name = "hornet",
     .help = "HorNet with 7x7 convolutions at 224 by --size, every parameter, AdamW",
     .arch = "hornet_%s_7x7",
     .adapter = "full",
     .sizes = {"tiny", "small", "base"}},
    {.name = "swin",
     .help = "Swin at 224 by --size, every parameter, AdamW",
     .arch = "swin_%s_patch4_window7_224",
     .adapter = "full",
     .sizes = {"tiny", "small", "base"}},
    {.name = "model",
     .help = "the network of --arch at its own image size, every parameter, AdamW",
     .adapter = "full",
     .any = true},
    STUDY("skip", "without mixers of places", "none"),
    STUDY("conv", "with depthwise convolutions", "conv"),
    STUDY("quadra", "with quadratic convolutions", "quadratic"),
    STUDY("swin", "with windowed attention", "window"),
    STUDY("hor", "with recursive gated convolutions", "gated"),
    {.name = "r50-mabn",
     .help = "ResNet-50 at 224, an episode of MABN: second order, --batch support and as many query pictures, Adam",
     .arch = "resnet50:classes=100",
     .run = fet__bench_mabn},
    {.name = "r50-spcl",
     .help = "ResNet-50 at 256x128, SpCL without a source against a memory of 16,384 rows, Adam",
     .arch = "resnet50",
     .run = fet__bench_spcl},
    {.name = "jaccard",
     .help = "pseudo labels of --n features of --dim values: neighbours, Jaccard distances, DBSCAN at three radii",
     .features = true,
     .run = fet__bench_jaccard},
    {.name = "dw",
     .help = "one depthwise 7x7 layer, 64 channels at 56x56, with every gradient",
     .module = &fet__bench_depthwise},
    {.name = "mona-op",
     .help = "one Mona module, 96 channels at 56x56, with every gradient",
     .adapter = "mona:dropout=0",
     .module = &fet__bench_mona},
    {.name = NULL}};

/* NULL, with the message set, when there is none of that name. */
static const fet__workload *find(const char *name)
{
    const char *names[FET_COUNT(fet__workloads)];
    int i, near;

    for (i = 0; fet__workloads[i].name; i++) {
        names[i] = fet__workloads[i].name;
        if (strcmp(names[i], name) == 0)
            return &fet__workloads[i];
    }
    near = fet__nearest(name, names, i);
    FET_FAIL(FET_E_ARG, "unknown workload '%s'%s%s (fettle list workloads shows all)", fet__show(name),
             near >= 0 ? "; the nearest is " : "", near >= 0 ? names[near] : "");
    return NULL;
}

static void feed(fet__step *s, const fet__model *m, int batch, uint64_t seed)
{
    int64_t i, values = (int64_t)batch * m->input.height * m->input.width * 3;

    for (i = 0; i < values; i++)
        s->images[i] = (float)fet__random_normal(seed, fet__hash32("bench.images"), 0, (uint64_t)i);
    for (i = 0; s->labels && i < batch; i++)
        s->labels[i] =
            (int32_t)(fet__random_u32(seed, fet__hash32("bench.labels"), 0, (uint64_t)i) % (uint32_t)m->arch.classes);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static fet_status run_steps(fet__step *s, const fet__optimizer_options *optimizer, int64_t first, int count,
                            double *seconds)
{
    fet_status st = FET_OK;
    int i;

    for (i = 0; i < count; i++) {
        double begun = fet__now();
        if (s->step)
            *s->step = (int32_t)(first + i);
        if (optimizer)
            fet__optimizer_bind(optimizer, s->program, first + i, 1e-4);
        FET_TRY(fet__step_compute(s));
        if (seconds)
            seconds[i] = fet__now() - begun;
    }
done:
    return st;
}

fet_status fet__bench_profile(const fet__program *p, char **out)
{
    fet__text t = {0};
    fet_status st;

    FET_TRY(fet__program_profile_print(p, &t));
    *out = t.failed ? NULL : fet__strdup(t.s ? t.s : "");
    if (!*out)
        st = FET_FAIL(FET_E_NOMEM, "no memory for the profile");
done:
    fet__text_fini(&t);
    return st;
}

void fet__bench_times(fet_bench_result *r, double *seconds, int count, int64_t images)
{
    double median;

    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    median = count % 2 ? seconds[count / 2] : (seconds[count / 2 - 1] + seconds[count / 2]) / 2;
    *r = (fet_bench_result){.median_s = median,
                            .min_s = seconds[0],
                            .images_per_s = (double)images / median,
                            .peak_rss_mib = fet__peak_rss() / 1048576};
}

void fet__bench_fill(fet_bench_result *r, const fet__program *p, int runs, double *seconds, int count, int batch)
{
    fet__program_info info = fet__program_describe(p);
    double flops = info.flops * runs;

    fet__bench_times(r, seconds, count, batch);
    r->planned_mib = (info.total_bytes + info.weight_bytes + info.process_bytes) / 1048576;
    r->parts = 1;
    r->repeated_share = info.flops > 0 ? info.repeated_flops / info.flops : 0;
    r->gflops_per_image = flops / batch / 1e9;
    r->gflops = flops / r->median_s / 1e9;
}

/* The size asked for, or the first; "" for a workload without sizes. NULL, with the message set, when it has no such size. */
static const char *size_of(const fet__workload *w, const char *size)
{
    char known[128] = "";

    if (!size)
        return w->sizes[0] ? w->sizes[0] : "";
    for (int i = 0; w->sizes[i]; i++) {
        size_t used = strlen(known);

        if (strcmp(w->sizes[i], size) == 0)
            return w->sizes[i];
        snprintf(known + used, sizeof known - used, "%s%s", i ? " " : "", w->sizes[i]);
    }
    if (w->sizes[0])
        FET_FAIL(FET_E_ARG, "workload '%s' has no size '%s'; there are %s", w->name, fet__show(size), known);
    else
        FET_FAIL(FET_E_ARG, "workload '%s' has no sizes", w->name);
    return NULL;
}

/* The network to measure, as --arch takes it; the caller frees it. NULL, with the message set, when there is none. */
static char *architecture(const fet_bench_options *o, const fet__workload *w)
{
    const char *size = size_of(w, o->size), *form = w->any ? o->arch : w->arch, *at = strstr(form, "%s");
    fet__text t = {0};
    char *out = NULL;

    if (!size)
        return NULL;
    if (at && !w->any)
        fet__text_printf(&t, "%.*s%s%s", (int)(at - form), form, size, at + 2);
    else
        fet__text_printf(&t, "%s", form);
    if (!t.failed)
        out = fet__strdup(t.s);
    fet__text_fini(&t);
    if (!out)
        FET_FAIL(FET_E_NOMEM, "no memory for an architecture's name");
    return out;
}

static fet_status measure(const fet_bench_options *o, const fet__workload *w, fet_bench_result *out, char **text)
{
    fet__optimizer_options optimizer = fet__optimizer_defaults();
    fet__step_options options = {
        .batch = o->batch, .train = o->train != 0, .memory = fet__budget(o->memory), .seed = o->seed};
    char *name = architecture(o, w);
    fet_model_options arch = {.arch = name};
    fet__model *m = NULL;
    fet__step step = {0};
    fet__program_info info;
    double *seconds = NULL;
    fet__text merged = {0};
    fet_status st;

    if (!name)
        return FET_E_ARG;
    optimizer.weight_decay = 0.01; /* PyTorch's default for AdamW, as the peer has it */
    options.optimizer = o->train ? &optimizer : NULL;
    FET_TRY(fet__model_open_with(&m, "none", &arch, o->seed));
    if (m->arch.classes < 1) {
        st = FET_FAIL(FET_E_ARG, "%s has no classes, so there is nothing to train it for", fet__show(name));
        goto done;
    }
    if (o->train || w->stays)
        FET_TRY(fet__model_attach(m, w->adapter));
    if (!o->train && w->stays)
        FET_TRY(fet__model_merge(m, &merged));
    FET_TRY(fet__step_create(&step, m, &options));
    FET_TRY(FET_NEW(seconds, o->steps));
    feed(&step, m, o->batch, o->seed);
    FET_TRY(run_steps(&step, options.optimizer, 0, o->warmup, NULL));
    fet__program_profile(fet__step_program(&step), o->profile != 0);
    FET_TRY(run_steps(&step, options.optimizer, o->warmup, o->steps, seconds));
    fet__bench_fill(out, fet__step_program(&step), (o->batch + step.part - 1) / step.part, seconds, o->steps, o->batch);
    info = fet__step_info(&step);
    out->planned_mib = (info.total_bytes + info.weight_bytes + info.process_bytes) / 1048576;
    out->parts = step.micro ? o->batch / step.part : 1;
    if (text && o->profile)
        FET_TRY(fet__bench_profile(fet__step_program(&step), text));
done:
    fet__text_fini(&merged);
    fet__free(seconds);
    fet__step_fini(&step);
    fet__model_close(m);
    fet__free(name);
    return st;
}

/* Whether the options are ones that the workload has. */
static fet_status check(const fet_bench_options *o, const fet__workload *w)
{
    if ((w->module || w->run) && !size_of(w, o->size))
        return FET_E_ARG;
    if (!w->features && (o->rows || o->width))
        return FET_FAIL(FET_E_ARG, "workload '%s' has no features: --n and --dim belong to jaccard", w->name);
    if (w->features && o->batch)
        return FET_FAIL(FET_E_ARG, "workload '%s' has no batches: --n tells how many features", w->name);
    if (!w->any && o->arch)
        return FET_FAIL(FET_E_ARG, "workload '%s' has a network of its own: --arch belongs to model", w->name);
    if (w->any && !o->arch)
        return FET_FAIL(FET_E_ARG, "workload '%s' needs --arch: which network", w->name);
    return FET_OK;
}

fet_status fet_bench(const fet_bench_options *o, fet_bench_result *out, char **text)
{
    fet_bench_options own;
    const fet__workload *w;
    fet_status st;

    if (!o || !out || !o->workload)
        return FET_FAIL(FET_E_ARG, "fet_bench: options, workload or result is absent");
    memset(out, 0, sizeof *out);
    if (text)
        *text = NULL;
    own = *o;
    own.batch = o->batch ? o->batch : 16;
    own.steps = o->steps ? o->steps : 5;
    own.warmup = o->warmup ? o->warmup : 1;
    if (own.batch < 1 || own.batch > 65536 || own.steps < 1 || own.steps > MAX_STEPS || own.warmup < 1 ||
        own.warmup > MAX_STEPS)
        return FET_FAIL(FET_E_ARG, "batch %d, steps %d or warmup %d is out of range", own.batch, own.steps, own.warmup);
    w = find(o->workload);
    if (!w || check(o, w) != FET_OK)
        return FET_E_ARG;
    if (w->run)
        st = w->run(&own, w, out, text);
    else
        st = w->module ? fet__bench_module(&own, w, out, text) : measure(&own, w, out, text);
    out->batch = w->features ? 0 : own.batch;
    return st;
}

fet_status fet_bench_peak(double *f32, double *bf16)
{
    if (!f32 || !bf16)
        return FET_FAIL(FET_E_ARG, "fet_bench_peak: a result is absent");
    *f32 = fet__machine_peak(FET_F32, 1.0);
    *bf16 = fet__machine_peak(FET_BF16, 1.0);
    return FET_OK;
}
