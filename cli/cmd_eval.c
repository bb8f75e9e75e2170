/* fettle eval: accuracy of a model on a split. */
#include "cli/cli.h"

static const flag flags_eval[] = {
    {"split", "NAME", "val", "train, val or test", false},
    {"domains", "A,B", "all", "of sites: these alone", false},
    {"batch", "N", "32", "images at a time; with --tta 64", false},
    {"tta", "tent[:stats=source|batch,lr=X,guard=true|false]", "",
     "adapt the batch norms while evaluating: a step of entropy minimisation a batch, with a guard against collapse",
     false},
    FLAG_END};

static void add_sites(json_t *j, const fet_sites_result *s)
{
    if (s->numbers)
        json_object_set_new(j, "r", number(s->r));
    if (s->groups) {
        json_object_set_new(j, "groups", json_integer(s->groups));
        json_object_set_new(j, "worst", number(s->worst));
        json_object_set_new(j, "worst_group", json_text(s->worst_name));
    }
}

static json_t *result_json(const fet_eval_result *r, const fet_sites_result *sites, const fet_tta_result *tta)
{
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "top1", number(r->top1), "top5", number(r->top5),
                          "macro_f1", number(r->macro_f1), "loss", number(r->loss), "images", (json_int_t)r->images,
                          "skipped", (json_int_t)r->skipped);

    add_sites(j, sites);
    if (tta)
        json_object_set_new(j, "tta",
                            json_pack("{s:I, s:I, s:b, s:o, s:o}", "batches", (json_int_t)tta->batches, "adapted",
                                      (json_int_t)tta->adapted, "stopped", tta->stopped, "diversity",
                                      number(tta->diversity), "first_diversity", number(tta->first)));
    return j;
}

static void print_values(const fet_eval_result *r, const fet_sites_result *s)
{
    if (s->numbers) {
        row("correlation r", "%.4f", s->r);
        row("mean squared error", "%.5g", r->loss);
        if (s->groups)
            row("worst r", "%.4f, %s", s->worst, shown(s->worst_name));
        return;
    }
    row_percent("top-1", r->top1);
    row_percent("top-5", r->top5);
    row_percent("macro-F1", r->macro_f1);
    row("loss", "%.5g", r->loss);
    if (s->groups)
        row("worst group", "%.2f %%, %s", 100 * s->worst, shown(s->worst_name));
}

static int print(const args *a, const fet_eval_result *r, const fet_sites_result *sites, const fet_tta_result *tta)
{
    if (a->json)
        return print_json(result_json(r, sites, tta));
    print_values(r, sites);
    row("images", "%lld", (long long)r->images);
    if (r->skipped > 0)
        row("skipped", "%lld", (long long)r->skipped);
    if (tta)
        row("adapted", "%lld of %lld batches%s", (long long)tta->adapted, (long long)tta->batches,
            tta->stopped ? "; then the guard stopped it" : "");
    return EXIT_DONE;
}

static int run(args *a)
{
    fet_tune_options o;
    fet_eval_result r;
    fet_sites_result sites = {0};
    fet_tta_result how;
    const char *tta = args_text(a, "tta");
    fet_model *m = NULL;
    void *keep;
    int64_t batch;
    fet_status st;
    int status = options_apply(a, &o, &keep);

    if (status < 0 && !args_int(a, "batch", 1, 65536, tta ? 64 : 32, &batch))
        status = EXIT_USAGE;
    if (status < 0)
        status = open_model(a, &o, &m);
    if (status < 0) {
        o.data_options.domains = args_text(a, "domains");
        o.data_options.format = args_text(a, "format");
        o.data_options.fold = args_text(a, "fold");
        st = tta ? fet_evaluate_tta(m, o.data, args_text(a, "split"), &o.data_options, (int)batch, tta, &r, &how)
                 : fet_evaluate_sites(m, o.data, args_text(a, "split"), &o.data_options, (int)batch, &r, &sites);
        status = st == FET_OK ? print(a, &r, &sites, tta ? &how : NULL) : fail(st);
    }
    fet_model_close(m);
    fet_recipe_free(keep);
    return status;
}

const command command_eval = {
    "eval",
    "",
    0,
    0,
    "Evaluate a model, with or without an adapter, on a split of a data set.",
    "fettle eval --model vit.safetensors --adapter run --data pets --split test",
    {flags_model_required, flags_data, flags_adapter, flags_eval, flags_sites, flags_model, flags_image_reading},
    run};
