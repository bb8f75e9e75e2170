/* fettle reid train, eval, search. */
#include "cli/cli.h"
#include "fettle/reid.h"

#include <stdlib.h>
#include <string.h>

#define FORMATS "market1501 msmt17 dukemtmc personx vehicleid vehiclex veri plain"

static const flag flags_train[] = {
    {"data", "DATA", NULL,
     "images to learn from: a known set's folder, ID/CAMERA_*.jpg folders, or a CSV path,id,camera[,split]", false},
    {"source", "DATA", "", "labelled set of other identities to learn from beside them", false},
    {"format", "NAME", "recognised", "of --data: " FORMATS, false},
    {"source-format", "NAME", "recognised", "of --source", false},
    {"model", "MODEL", NULL,
     "checkpoint, RUN that holds a model, or none (random weights; needs --arch): any architecture", false},
    {"out", "RUN", NULL, "folder to write; must not exist without --resume", false},
    {"resume", NULL, "off", "continue RUN with the options of its first start", false},
    FLAG_END};
static const flag flags_loop[] = {
    {"epochs", "N", "50", "relabellings, each followed by --iters steps", false},
    {"iters", "N", "400 persons, 800 vehicles and msmt17, else 0", "steps an epoch; 0: one pass over the images",
     false},
    {"batch", "N", "64", "images of each domain in a step", false},
    {"instances", "N", "4", "images of an identity in a row; 0: shuffled images", false},
    {"image", "HxW", "256x128 persons, 224x224 vehicles, else the model's", "input size in pixels, height first",
     false},
    {"lr", "X", "3.5e-4", "learning rate of Adam", false},
    {"wd", "X", "5e-4", "weight decay, as L2 term in the gradient", false},
    {"lr-step", "N", "20", "epochs between falls of the rate", false},
    {"lr-gamma", "X", "0.1", "factor of a fall", false},
    {"eval-step", "N", "10", "epochs between evaluations on query and gallery; the last is always evaluated", false},
    {"select", "last|best", "last", "whose weights model.safetensors gets (best.safetensors is kept beside it)", false},
    {"augment", "SPEC", "reid",
     "reid: padded crop, flip, random erasing; else as `fettle tune` (docs/augmentation.md), without mixing", false},
    {"save-every", "SECONDS", "60", "between saves, besides one at every epoch", false},
    {"check-finite", NULL, "off", "look at every value of every step and name the first that is not finite", false},
    FLAG_END};
static const flag flags_spcl[] = {
    {"eps", "X", "0.6", "radius of the clustering", false},
    {"eps-gap", "X", "0.02", "how far the tight and the loose radius lie from it", false},
    {"k1", "N", "30", "neighbours of a k-reciprocal set", false},
    {"k2", "N", "6", "neighbours over which sets are averaged", false},
    {"min-samples", "N", "4", "neighbours of a cluster's core", false},
    {"temp", "X", "0.05", "temperature of the contrastive loss", false},
    {"momentum", "X", "0.2", "share of the old row when the memory is updated", false},
    {"update", "sequential|mean", "sequential",
     "of source rows: by each image in turn (the code), or once by their mean (the paper)", false},
    {"reference-order", NULL, "off", "source gradient through target rows that were updated already, as the reference",
     false},
    {"neck-bias", "auto|frozen|trained", "auto", "of the last batch norm; auto: trained with a source (the reference)",
     false},
    {"norms", "domains|shared", "domains", "with a source: own batch norms for each domain, or the same", false},
    {"bn-group", "N", "16 where it divides the batch, else the batch",
     "images of a domain whose statistics batch norms take together", false},
    {"pool", "mean|gem", "the model's", "pooling of a residual network", false},
    {"last-stride", "N", "1", "of a residual network's last stage; 0: the model's", false},
    {"labels", "KIND", "self-paced",
     "for comparisons: clusters (no criterion), instances (each image its own), supervised (true identities)", false},
    {"outliers", "keep|drop", "keep", "images in no cluster: classes of one, or left out", false},
    FLAG_END};
static const flag flags_reid_model[] = {
    {"arch", "NAME[:key=value,...]", "recognised",
     "architecture, such as resnet50 or resnet:block=basic,width=16,img=32", false},
    {"mean", "R,G,B", "the file's or the family's", "mean of the input's channels", false},
    {"std", "R,G,B", "the file's or the family's", "deviation of the input's channels", false},
    {"interpolation", "NAME", "bicubic", "nearest box bilinear hamming bicubic lanczos", false},
    {"max-pixels", "N", "200000000", "bound of one image", false},
    {"no-exif", NULL, "off", "leave images as stored, whatever their EXIF orientation says", false},
    FLAG_END};
static const flag flags_eval[] = {
    {"data", "DATA", NULL, "set with query and gallery images (plain sets without these folders: every image is both)",
     false},
    {"format", "NAME", "recognised", FORMATS, false},
    {"test-size", "N", "800", "test list of vehicleid: 800, 1600 or 2400", false},
    {"rerank", NULL, "off", "k-reciprocal re-ranking (20, 6, 0.3)", false},
    FLAG_END};
static const flag flags_encoder[] = {
    {"domain", "target|source", "target", "whose batch norms a model of two domains uses", false}, FLAG_END};
static const flag flags_search[] = {{"gallery", "DIR", NULL, "folder below which images are searched", false},
                                    {"top", "N", "10", "nearest images of each", false},
                                    FLAG_END};

/* Every given flag of the command that training knows; common ones besides. -1 to go on. */
static int take_flags(const args *a, fet_reid_options *o)
{
    static const char *const common[] = {"threads", "seed", "memory", "dtype", "json", "quiet", "help"};
    fet_tune_options general;
    void *keep;
    int status = options_apply(a, &general, &keep);

    if (status >= 0)
        return status;
    o->seed = a->seed;
    o->memory = general.memory;
    for (int i = 0; i < a->count; i++) {
        bool other = false;
        for (size_t k = 0; k < sizeof common / sizeof *common; k++)
            other = other || strcmp(common[k], a->flags[i]->name) == 0;
        if (other || !a->values[i])
            continue;
        if (fet_reid_set(o, a->flags[i]->name, a->values[i]) != FET_OK)
            return usage_error(a, "--%s", fet_error_message());
    }
    return -1;
}

/* ---- train ---------------------------------------------------------------------------------------------------------- */

static json_t *scores_json(const fet_reid_scores *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}", "map", number(s->map), "rank1", number(s->rank1), "rank5",
                     number(s->rank5), "rank10", number(s->rank10), "queries", (json_int_t)s->queries, "gallery",
                     (json_int_t)s->gallery);
}

static json_t *result_json(const char *out, const fet_reid_result *r)
{
    json_t *j = json_pack("{s:o, s:I, s:I, s:o}", "run", json_text(out), "steps", (json_int_t)r->steps, "epochs",
                          (json_int_t)r->epochs, "loss", number(r->loss)),
           *best;

    if (r->best_epoch >= 0) {
        json_object_update_new(j, scores_json(&r->last));
        best = scores_json(&r->best);
        json_object_set_new(best, "epoch", json_integer((json_int_t)r->best_epoch));
        json_object_set_new(j, "best", best);
    }
    json_object_set_new(j, "clusters", json_integer((json_int_t)r->clusters));
    json_object_set_new(j, "outliers", json_integer((json_int_t)r->outliers));
    json_object_set_new(j, "dropped", json_integer((json_int_t)r->dropped));
    json_object_set_new(j, "purity", number(r->purity));
    json_object_set_new(j, "pair_f1", number(r->pair_f1));
    json_object_set_new(j, "trainable", json_integer((json_int_t)r->trainable));
    json_object_set_new(j, "parameters", json_integer((json_int_t)r->parameters));
    json_object_set_new(j, "seconds", number(r->seconds));
    json_object_set_new(j, "images_per_s", number(r->images_per_s));
    json_object_set_new(j, "planned_bytes", json_integer((json_int_t)r->planned_bytes));
    return j;
}

static void print_scores(const fet_reid_scores *s)
{
    row_percent("mAP", s->map);
    row("rank 1, 5, 10", "%.2f %%, %.2f %%, %.2f %%", 100 * s->rank1, 100 * s->rank5, 100 * s->rank10);
    row("queries, gallery", "%lld, %lld", (long long)s->queries, (long long)s->gallery);
}

static void print_result(const char *out, const fet_reid_result *r)
{
    row("run", "%s", shown(out));
    row("steps, epochs", "%lld, %lld", (long long)r->steps, (long long)r->epochs);
    row("loss", "%.5g", r->loss);
    if (r->best_epoch >= 0) {
        print_scores(&r->last);
        row("best mAP", "%.2f %% in epoch %lld", 100 * r->best.map, (long long)r->best_epoch + 1);
    }
    row("classes of several, of one", "%lld, %lld", (long long)r->clusters, (long long)r->outliers);
    if (r->purity >= 0)
        row("purity, pair F1", "%.2f %%, %.2f %%", 100 * r->purity, 100 * r->pair_f1);
    row("trained values", "%lld of %lld", (long long)r->trainable, (long long)r->parameters);
    row("planned memory", "%.1f MiB", (double)r->planned_bytes / 1048576);
    row("time", "%.1f s, %.1f images/s", r->seconds, r->images_per_s);
}

static int run_train(args *a)
{
    fet_reid_options o;
    fet_reid_result r;
    fet_status st;
    int status;

    fet_reid_defaults(&o);
    status = take_flags(a, &o);
    if (status >= 0)
        return status;
    o.progress = progress_show;
    o.stop = &stop_signal;
    signals_catch_stop();
    progress_begin(a->quiet);
    st = fet_reid_train(&o, &r);
    progress_end();
    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(result_json(o.out, &r));
    print_result(o.out, &r);
    return EXIT_DONE;
}

/* ---- eval and search -------------------------------------------------------------------------------------------------- */

static int open_encoder(const args *a, fet_model **out)
{
    fet_tune_options o;
    void *keep;
    int status = options_apply(a, &o, &keep);
    fet_model_options model;
    fet_status st;

    *out = NULL;
    if (status >= 0)
        return status;
    model = o.model_options;
    model.seed = o.seed;
    st = fet_reid_open(out, o.model, args_text(a, "domain"), &model);
    if (st != FET_OK)
        return fail(st);
    fet_model_set_decoding(*out, o.data_options.max_pixels, o.data_options.ignore_exif);
    return -1;
}

static int run_eval(args *a)
{
    fet_reid_eval_options o = {.format = args_text(a, "format"), .rerank = args_switch(a, "rerank"), .seed = a->seed};
    fet_reid_scores s;
    fet_model *m;
    int64_t size;
    int status;
    fet_status st;

    if (!args_int(a, "test-size", 1, 1000000, 0, &size))
        return EXIT_USAGE;
    o.test_size = (int)size;
    status = open_encoder(a, &m);
    if (status >= 0)
        return status;
    st = fet_reid_evaluate(m, args_text(a, "data"), &o, &s);
    fet_model_close(m);
    if (st != FET_OK)
        return fail(st);
    if (a->json)
        return print_json(scores_json(&s));
    print_scores(&s);
    return EXIT_DONE;
}

static void print_matches(const char *image, const fet_reid_match *m, int top)
{
    printf("%s\n", shown(image));
    for (int k = 0; k < top && m[k].path; k++)
        printf("  %3d  %.4f  %s\n", k + 1, m[k].distance, shown(m[k].path));
}

static json_t *matches_json(const char *image, const fet_reid_match *m, int top)
{
    json_t *list = json_array();

    for (int k = 0; k < top && m[k].path; k++)
        json_array_append_new(list,
                              json_pack("{s:o, s:o}", "path", json_text(m[k].path), "distance", number(m[k].distance)));
    return json_pack("{s:o, s:o}", "image", json_text(image), "matches", list);
}

static int show_matches(const args *a, const fet_reid_match *matches, int top)
{
    json_t *list = json_array();

    for (int i = 0; i < a->operand_count; i++)
        if (a->json)
            json_array_append_new(list, matches_json(a->operands[i], matches + (size_t)i * (size_t)top, top));
        else
            print_matches(a->operands[i], matches + (size_t)i * (size_t)top, top);
    if (a->json)
        return print_json(json_pack("{s:o}", "images", list));
    json_decref(list);
    return EXIT_DONE;
}

static int run_search(args *a)
{
    fet_reid_match *matches = NULL;
    fet_model *m = NULL;
    int64_t top;
    size_t count;
    int status;
    fet_status st;

    if (!args_int(a, "top", 1, 100000, 10, &top))
        return EXIT_USAGE;
    status = open_encoder(a, &m);
    if (status >= 0)
        return status;
    count = (size_t)a->operand_count * (size_t)top;
    matches = calloc(count, sizeof *matches);
    if (!matches) {
        complain("no memory for %zu matches", count);
        fet_model_close(m);
        return EXIT_FAILED;
    }
    st = fet_reid_search(m, args_text(a, "gallery"), (const char *const *)a->operands, a->operand_count, (int)top,
                         matches);
    status = st == FET_OK ? show_matches(a, matches, (int)top) : fail(st);
    for (size_t i = 0; i < count; i++)
        fet_free(matches[i].path);
    free(matches);
    fet_model_close(m);
    return status;
}

const command command_reid_train = {"reid train",
                                    "",
                                    0,
                                    0,
                                    "Learn, without labels, features that find the same object again (SpCL).",
                                    "fettle reid train --model resnet50.pth --data Market-1501-v15.09.15 --out run",
                                    {flags_train, flags_loop, flags_spcl, flags_reid_model},
                                    run_train};
const command command_reid_eval = {"reid eval",
                                   "",
                                   0,
                                   0,
                                   "Mean average precision and first positions of queries against a gallery.",
                                   "fettle reid eval --model run --data Market-1501-v15.09.15 --json",
                                   {flags_model_required, flags_eval, flags_encoder, flags_model, flags_decoding},
                                   run_eval};
const command command_reid_search = {"reid search",
                                     "IMAGE...",
                                     1,
                                     -1,
                                     "The images of a folder nearest to given ones, with distances.",
                                     "fettle reid search --model run --gallery photos --top 5 person.jpg",
                                     {flags_model_required, flags_search, flags_encoder, flags_model, flags_decoding},
                                     run_search};
