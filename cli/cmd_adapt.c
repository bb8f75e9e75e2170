/* fettle adapt: a new site's pictures to a small file; or every site of a set, with what it brings. */
#include "cli/cli.h"

static const flag flags_adapt[] = {
    {"images", "DIR", "", "pictures of the new site, without labels; or", false},
    {"data", "SITES", "", "labelled sites, as in fettle meta: a file each, and what it brings", false},
    {"out", "FILE|DIR", NULL, "the file to write; with --data a folder", false},
    {"domains", "A,B", "the run's holdout, or all", "with --data: these sites", false},
    {"method", "NAME", "the run's",
     "mabn (self-supervised step), bn (statistics), tent (entropy), arm-bn; arm-cml, arm-ll, meta-dmoe of a RUN that "
     "was trained so",
     false},
    {"adapt", "WHAT", "the method's", "affine (scales and shifts), stats (running statistics), both", false},
    {"count", "N", "12", "pictures to adapt from, drawn at random", false},
    {"inner-lr", "X", "the run's", "rate of the step", false},
    {"inner-steps", "N", "the run's", "steps", false},
    {"prior", "N", "16", "bn: as how many pictures the known statistics count", false},
    {"shuffle-domains", NULL, "off", "with --data: measure each site with another one's file too", false},
    FLAG_END};

static json_t *domain_json(const fet_adapt_domain *d)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "domain", json_text(d->name), "images",
                     (json_int_t)d->images, "before", number(d->before), "after", number(d->after), "shuffled",
                     number(d->shuffled), "f1_before", number(d->f1[0]), "f1_after", number(d->f1[1]), "f1_shuffled",
                     number(d->f1[2]), "loss", number(d->loss), "adapted", d->adapted);
}

static int print_as_json(const fet_adapt_options *o, const fet_adapt_result *r)
{
    static const char *const f1[] = {"macro_f1_before", "macro_f1_after", "macro_f1_shuffled"};
    static const char *const worst[] = {"worst_group_before", "worst_group_after", "worst_group_shuffled"};
    json_t *domains = json_array();
    json_t *j = json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "out", json_text(o->out), "bytes",
                          (json_int_t)r->bytes, "seconds", number(r->seconds), "before", number(r->before), "after",
                          number(r->after), "shuffled", number(r->shuffled), "worst_before", number(r->worst_before),
                          "worst_after", number(r->worst_after), "worst_shuffled", number(r->worst_shuffled));

    for (int i = 0; i < r->count; i++)
        json_array_append_new(domains, domain_json(&r->domain[i]));
    for (int i = 0; i < 3; i++) {
        json_object_set_new(j, f1[i], number(r->f1[i]));
        json_object_set_new(j, worst[i], r->worst_name[i] ? json_text(r->worst_name[i]) : json_null());
    }
    json_object_set_new(j, "domains", domains);
    return print_json(j);
}

/* Accuracies as percent with the F1 behind them, correlations as they are. */
static void print_values(const fet_adapt_result *r, bool shuffled, double before, double after, double other,
                         const double f1[3])
{
    if (r->numbers) {
        printf(" %9.4f %9.4f", before, after);
        if (shuffled)
            printf(" %9.4f", other);
    } else {
        printf(" %7.2f%% (%5.2f) %7.2f%% (%5.2f)", 100 * before, 100 * f1[0], 100 * after, 100 * f1[1]);
        if (shuffled)
            printf(" %7.2f%% (%5.2f)", 100 * other, 100 * f1[2]);
    }
    putchar('\n');
}

static void print_worst(const fet_adapt_options *o, const fet_adapt_result *r)
{
    double worst[3] = {r->worst_before, r->worst_after, r->worst_shuffled};

    printf("%-24s %8s", "worst group", "");
    for (int i = 0; i < (o->shuffle_domains ? 3 : 2); i++) {
        char text[64];
        snprintf(text, sizeof text, r->numbers ? "%.4f %.20s" : "%.2f%% %.20s", r->numbers ? worst[i] : 100 * worst[i],
                 r->worst_name[i] ? shown(r->worst_name[i]) : "");
        printf(" %s", text);
    }
    putchar('\n');
}

static int print_table(const fet_adapt_options *o, const fet_adapt_result *r)
{
    bool shuffled = o->shuffle_domains != 0;

    if (!o->data) {
        row("pictures", "%lld", (long long)r->domain->images);
        row("file", "%s, %.1f KB", shown(o->out), (double)r->bytes / 1000);
        row("time", "%.2f s", r->seconds);
        return EXIT_DONE;
    }
    printf("%-24s %8s  %s%s\n", "domain", "images",
           r->numbers ? "r: before, after" : "accuracy (macro F1): before, after",
           shuffled ? ", with another's file" : "");
    for (int i = 0; i < r->count; i++) {
        const fet_adapt_domain *d = &r->domain[i];
        printf("%-24s %8lld", shown(d->name), (long long)d->images);
        print_values(r, shuffled, d->before, d->after, d->shuffled, d->f1);
    }
    printf("%-24s %8s", "all pictures", "");
    print_values(r, shuffled, r->before, r->after, r->shuffled, r->f1);
    print_worst(o, r);
    row("files", "in %s, %.1f KB each", shown(o->out), (double)r->bytes / 1000);
    row("time", "%.2f s a site", r->seconds);
    return EXIT_DONE;
}

static bool take(const args *a, fet_adapt_options *o)
{
    int64_t count, steps;

    o->data_options.format = args_text(a, "format");
    o->data_options.fold = args_text(a, "fold");
    o->images = args_text(a, "images");
    o->data = args_text(a, "data");
    o->out = args_text(a, "out");
    o->domains = args_text(a, "domains");
    o->adapt = args_text(a, "adapt");
    if (args_text(a, "method"))
        o->method = args_text(a, "method");
    o->shuffle_domains = args_switch(a, "shuffle-domains");
    if (!o->images == !o->data) {
        usage_error(a, "one of --images and --data is needed");
        return false;
    }
    if (!args_int(a, "count", 0, 65536, o->count, &count) || !args_int(a, "inner-steps", 1, 16, 0, &steps) ||
        !args_real(a, "inner-lr", 0, 1e3, o->inner_lr, &o->inner_lr) ||
        !args_real(a, "prior", 0, 1e9, o->prior, &o->prior))
        return false;
    o->count = (int)count;
    o->inner_steps = (int)steps;
    return true;
}

static int run(args *a)
{
    fet_tune_options shared;
    fet_adapt_options o;
    fet_adapt_result r;
    void *keep;
    int status = options_apply(a, &shared, &keep);
    fet_status st;

    fet_adapt_defaults(&o);
    if (status < 0 && !take(a, &o))
        status = EXIT_USAGE;
    if (status >= 0)
        goto done;
    o.model = shared.model;
    o.seed = shared.seed;
    o.memory = shared.memory;
    o.model_options = shared.model_options;
    shared.data_options.format = o.data_options.format;
    shared.data_options.fold = o.data_options.fold;
    o.data_options = shared.data_options;
    st = fet_adapt(&o, &r);
    status = st != FET_OK ? fail(st) : a->json ? print_as_json(&o, &r) : print_table(&o, &r);
    if (st == FET_OK)
        fet_adapt_free(&r);
done:
    fet_recipe_free(keep);
    return status;
}

const command command_adapt = {
    "adapt",
    "",
    0,
    0,
    "Adapt a model's batch norms to a new site from a dozen unlabelled pictures.",
    "fettle adapt --model run --images new_site --out site.safetensors, then fettle eval --model run --adapter "
    "site.safetensors --data test",
    {flags_model_required, flags_adapt, flags_sites, flags_model, flags_image_reading},
    run};
