/* fettle merge: an adapter into the weights, proved on images, and the merged model as a file. */
#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

static const flag flags_merge[] = {
    {"adapter", "RUN|FILE", NULL, "trained adapter to merge", false},
    {"out", "FILE", NULL, "merged model to write; nothing is written when the check does not hold", true},
    {"check", "DATA", "8 seeded random images", "data set whose validation images are compared before and after",
     false},
    {"force", NULL, "off", "replace --out where it exists", false},
    {"tolerance", "X", "1e-5", "largest difference, as a share of the largest output", false},
    FLAG_END};

static json_t *names_json(const char *lines)
{
    json_t *j = json_array();
    const char *end;

    for (; lines && (end = strchr(lines, '\n')) != NULL; lines = end + 1)
        json_array_append_new(j, json_stringn(lines, (size_t)(end - lines)));
    return j;
}

static int print(const args *a, const fet_merge_report *r, const char *out, bool holds)
{
    json_t *names = names_json(r->merged);
    size_t layers = json_array_size(names);

    if (a->json)
        return print_json(json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "max_abs_diff", number(r->max_abs_diff),
                                    "max_abs_logit", number(r->max_abs_logit), "top1_agreement",
                                    number(r->top1_agreement), "merged", names, "images", (json_int_t)r->images, "out",
                                    holds ? json_text(out) : json_null()));
    json_decref(names);
    row("merged layers", "%zu", layers);
    row("images compared", "%lld", (long long)r->images);
    row("largest difference", "%.3g", r->max_abs_diff);
    row("largest output", "%.5g", r->max_abs_logit);
    row_percent("same top-1", r->top1_agreement);
    row("written", "%s", holds ? shown(out) : "nothing");
    return EXIT_DONE;
}

static int merge(const args *a, const fet_tune_options *o, double tolerance, fet_model *m)
{
    fet_merge_options options = {
        .check = args_text(a, "check"), .seed = o->seed, .memory = o->memory, .tolerance = tolerance};
    fet_merge_report r;
    fet_status st;
    int status;

    st = fet_model_merge(m, &options, &r);
    if (st == FET_OK)
        st = fet_model_save(m, o->out);
    if (st == FET_OK || st == FET_E_VERIFY)
        status = print(a, &r, o->out, st == FET_OK);
    if (st != FET_OK) {
        status = fail(st);
        if (st == FET_E_ARG)
            status = EXIT_FAILED; /* the command line was right, the adapter does not merge */
    }
    fet_free(r.merged);
    return status;
}

static int run(args *a)
{
    fet_tune_options o;
    fet_model *m = NULL;
    double tolerance;
    void *keep;
    int status = options_apply(a, &o, &keep);

    if (status < 0 && !args_real(a, "tolerance", 1e-12, 1, 1e-5, &tolerance))
        status = EXIT_USAGE;
    if (status < 0 && !args_switch(a, "force") && o.out && access(o.out, F_OK) == 0)
        status = usage_error(a, "%s exists already; --force replaces it", shown(o.out));
    if (status < 0)
        status = open_model(a, &o, &m);
    if (status < 0)
        status = merge(a, &o, tolerance, m);
    fet_model_close(m);
    fet_recipe_free(keep);
    return status;
}

const command command_merge = {
    "merge",
    "",
    0,
    0,
    "Merge an adapter into its model's weights and prove that nothing changes.",
    "fettle merge --model vit.safetensors --adapter run --out merged.safetensors --check pets",
    {flags_model_required, flags_merge, flags_model, flags_decoding},
    run};
