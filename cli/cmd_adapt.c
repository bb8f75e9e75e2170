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
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:b}", "domain", json_text(d->name), "images",
                     (json_int_t)d->images, "before", number(d->before), "after", number(d->after), "shuffled",
                     number(d->shuffled), "loss", number(d->loss), "adapted", d->adapted);
}

static int print_as_json(const fet_adapt_options *o, const fet_adapt_result *r)
{
    json_t *domains = json_array();
    json_t *j = json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "out", json_text(o->out), "bytes",
                          (json_int_t)r->bytes, "seconds", number(r->seconds), "before", number(r->before), "after",
                          number(r->after), "shuffled", number(r->shuffled), "worst_before", number(r->worst_before),
                          "worst_after", number(r->worst_after), "worst_shuffled", number(r->worst_shuffled));

    for (int i = 0; i < r->count; i++)
        json_array_append_new(domains, domain_json(&r->domain[i]));
    json_object_set_new(j, "domains", domains);
    return print_json(j);
}

static int print_table(const fet_adapt_options *o, const fet_adapt_result *r)
{
    if (!o->data) {
        row("pictures", "%lld", (long long)r->domain->images);
        row("file", "%s, %.1f KB", shown(o->out), (double)r->bytes / 1000);
        row("time", "%.2f s", r->seconds);
        return EXIT_DONE;
    }
    printf("%-24s %8s %8s %8s%s\n", "domain", "images", "before", "after", o->shuffle_domains ? "  another's" : "");
    for (int i = 0; i < r->count; i++) {
        const fet_adapt_domain *d = &r->domain[i];
        printf("%-24s %8lld %7.2f%% %7.2f%%", shown(d->name), (long long)d->images, 100 * d->before, 100 * d->after);
        if (o->shuffle_domains)
            printf(" %9.2f%%", 100 * d->shuffled);
        putchar('\n');
    }
    printf("%-24s %8s %7.2f%% %7.2f%%", "all pictures", "", 100 * r->before, 100 * r->after);
    if (o->shuffle_domains)
        printf(" %9.2f%%", 100 * r->shuffled);
    printf("\n%-24s %8s %7.2f%% %7.2f%%", "worst domain", "", 100 * r->worst_before, 100 * r->worst_after);
    if (o->shuffle_domains)
        printf(" %9.2f%%", 100 * r->worst_shuffled);
    putchar('\n');
    row("files", "in %s, %.1f KB each", shown(o->out), (double)r->bytes / 1000);
    row("time", "%.2f s a site", r->seconds);
    return EXIT_DONE;
}

static bool take(const args *a, fet_adapt_options *o)
{
    int64_t count, steps;

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
    {flags_model_required, flags_adapt, flags_model, flags_image_reading},
    run};
