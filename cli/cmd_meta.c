/* fettle meta: train on several known sites so that new ones need a dozen pictures. */
#include "cli/cli.h"

#include <math.h>

static const flag flags_meta[] = {
    {"data", "SITES", NULL,
     "known sites: ROOT/DOMAIN/CLASS/IMAGE, ROOT/DOMAIN/{train,val}/CLASS/IMAGE, a .csv path,label,domain[,split] "
     "(target instead of "
     "label: numbers), or a known set's folder",
     false},
    {"out", "RUN", NULL, "folder to write; must not exist without --resume", false},
    {"resume", NULL, "off", "continue RUN with the options of its first start", false},
    {"method", "NAME", "mabn",
     "mabn, or what it is compared with: erm (all sites mixed), arm-bn, arm-cml, arm-ll, meta-dmoe", false},
    {"stage", "NAME", "both", "mabn: joint (all sites mixed), meta (episodes; MODEL is a RUN of joint), both", false},
    {"holdout", "DOMAIN", "none", "a site that takes no part, to test on", false},
    {"epochs", "N", "20", "passes over the pictures in the joint stage (other methods: in each such stage)", false},
    {"batch", "N", "32", "pictures a step of these passes", false},
    {"lr", "X", "1e-4", "Adam's rate in these passes", false},
    {"episodes", "N", "ten passes", "meta: episodes, of one site each", false},
    {"support", "N", "12", "meta: unlabelled pictures of the inner step", false},
    {"query", "N", "12", "meta: labelled pictures that judge it", false},
    {"inner-lr", "X", "3e-4; arm-ll 0.1", "rate of the inner step; small data with strong shifts want 1e-2 to 1e-1",
     false},
    {"inner-steps", "N", "1", "steps, in training and at a new site", false},
    {"order", "1|2", "2", "2: the outer gradient goes through the inner step; 1: it does not", false},
    {"outer-lr", "X", "3e-5", "meta: Adam's rate", false},
    {"lambda", "X", "0.1", "weight of the self-supervised loss", false},
    {"hidden", "N", "4096", "width of projector and predictor; small networks want less", false},
    {"projection", "N", "256", "their outputs", false},
    {"target", "NAME", "ema", "meta: ema (follows slowly), online, fixed", false},
    {"tau", "X", "0.996", "meta: how slowly ema follows", false},
    {"head-norm", "NAME", "frozen", "meta: norms of projector and predictor: frozen, batch", false},
    {"meta-batch", "N", "2", "arm: sites a step, --support pictures of each", false},
    {"context", "N", "3", "arm-cml: channels of a site's context", false},
    {"experts", "N", "a site each, 4 at most", "meta-dmoe: experts", false},
    {"view1", "SPEC", "BYOL's", "augmentation of the first view (docs/augmentation.md)", false},
    {"view2", "SPEC", "BYOL's", "of the second", false},
    FLAG_END};

static bool small(const args *a, const char *name, int64_t low, int64_t high, int *out)
{
    int64_t v;

    if (!args_int(a, name, low, high, *out, &v))
        return false;
    *out = (int)v;
    return true;
}

static void texts(const args *a, fet_meta_options *o)
{
    const struct {
        const char *name, **at;
    } all[] = {{"data", &o->data},     {"out", &o->out},       {"stage", &o->stage}, {"holdout", &o->holdout},
               {"target", &o->target}, {"method", &o->method}, {"view1", &o->view1}, {"head-norm", &o->head_norm},
               {"view2", &o->view2}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (args_text(a, all[i].name))
            *all[i].at = args_text(a, all[i].name);
}

static bool numbers(const args *a, fet_meta_options *o)
{
    return args_int(a, "epochs", 0, 1000000, o->epochs, &o->epochs) &&
           args_int(a, "episodes", 0, 100000000, 0, &o->episodes) && small(a, "meta-batch", 1, 256, &o->meta_batch) &&
           small(a, "context", 1, 256, &o->context) && small(a, "experts", 2, 64, &o->experts) &&
           small(a, "batch", 2, 65536, &o->batch) && small(a, "support", 1, 4096, &o->support) &&
           small(a, "query", 1, 4096, &o->query) && small(a, "inner-steps", 1, 16, &o->inner_steps) &&
           small(a, "order", 1, 2, &o->order) && small(a, "hidden", 1, 65536, &o->hidden) &&
           small(a, "projection", 1, 65536, &o->projection) && args_real(a, "lr", 0, 1e3, o->lr, &o->lr) &&
           args_real(a, "inner-lr", 0, 1e3, o->inner_lr, &o->inner_lr) &&
           args_real(a, "outer-lr", 0, 1e3, o->outer_lr, &o->outer_lr) &&
           args_real(a, "lambda", 0, 1e3, o->lambda, &o->lambda) && args_real(a, "tau", 0, 1, o->tau, &o->tau);
}

static int print(const args *a, const fet_meta_options *o, const fet_meta_result *r)
{
    if (a->json)
        return print_json(json_pack("{s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:I}",
                                    "run", json_text(o->out), "steps", (json_int_t)r->steps, "episodes",
                                    (json_int_t)r->episodes, "episodes_skipped", (json_int_t)r->skipped, "joint_loss",
                                    number(r->joint_loss), "outer_loss", number(r->outer_loss), "seconds",
                                    number(r->seconds), "step_seconds", number(r->step_seconds), "adapting",
                                    (json_int_t)r->adapting, "planned_bytes", (json_int_t)r->planned_bytes, "top1",
                                    number(r->val.top1), "macro_f1", number(r->val.macro_f1), "r", number(r->r),
                                    "worst", number(r->worst), "images", (json_int_t)r->val.images));
    row("run", "%s", shown(o->out));
    row("joint steps", "%lld, loss %.5g", (long long)r->steps, r->joint_loss);
    row("episodes", "%lld, outer loss %.5g", (long long)r->episodes, r->outer_loss);
    if (r->skipped)
        row("episodes skipped", "%lld", (long long)r->skipped);
    row("values that adapt", "%lld", (long long)r->adapting);
    row("planned memory", "%.1f MiB", (double)r->planned_bytes / 1048576);
    row("time", "%.1f s, %.3g s a step of the last stage", r->seconds, r->step_seconds);
    if (r->val.images && isnan(r->val.top1))
        row("r, known sites", "%.4f, of the worst group %.4f", r->r, r->worst);
    else if (r->val.images)
        row("top-1, known sites", "%.2f %%, of the worst %.2f %%", 100 * r->val.top1, 100 * r->worst);
    return EXIT_DONE;
}

static int run(args *a)
{
    fet_tune_options shared;
    fet_meta_options o;
    fet_meta_result r;
    void *keep;
    int status = options_apply(a, &shared, &keep);
    fet_status st;

    fet_meta_defaults(&o);
    texts(a, &o);
    if (status < 0 && !numbers(a, &o))
        status = EXIT_USAGE;
    if (status >= 0)
        goto done;
    o.model = shared.model;
    o.seed = shared.seed;
    o.memory = shared.memory;
    o.model_options = shared.model_options;
    o.data_options = shared.data_options;
    o.data_options.format = args_text(a, "format");
    o.data_options.fold = args_text(a, "fold");
    o.resume = args_switch(a, "resume");
    o.progress = progress_show;
    o.stop = &stop_signal;
    signals_catch_stop();
    progress_begin(a->quiet);
    st = fet_meta(&o, &r);
    progress_end();
    status = st == FET_OK ? print(a, &o, &r) : fail(st);
done:
    fet_recipe_free(keep);
    return status;
}

const command command_meta = {
    "meta",
    "",
    0,
    0,
    "Train on several known sites so that a new one needs a dozen unlabelled pictures.",
    "fettle meta --data sites --model resnet50.pth --out run, then fettle adapt --model run --images new_site --out "
    "site.safetensors",
    {flags_model_required, flags_meta, flags_sites, flags_model, flags_image_reading},
    run};
