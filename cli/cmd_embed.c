/* fettle embed: features of a data set as safetensors. */
#include "cli/cli.h"

static const flag flags_embed[] = {
    {"out", "FILE", NULL, "safetensors file to write: features, labels, and the paths as metadata", true}, FLAG_END};

static int run(args *a)
{
    fet_tune_options o;
    fet_model *m = NULL;
    void *keep;
    int64_t images = 0, size;
    fet_status st;
    int status = options_apply(a, &o, &keep);

    if (status < 0)
        status = open_model(a, &o, &m);
    if (status < 0) {
        st = fet_embed(m, o.data, &o.data_options, o.out, &images);
        size = fet_model_feature_size(m);
        if (st != FET_OK) {
            status = fail(st);
        } else if (a->json) {
            status = print_json(json_pack("{s:I, s:I, s:o}", "images", (json_int_t)images, "features", (json_int_t)size,
                                          "out", json_text(o.out)));
        } else {
            printf("%lld images, %lld features each, in %s\n", (long long)images, (long long)size, shown(o.out));
            status = EXIT_DONE;
        }
    }
    fet_model_close(m);
    fet_recipe_free(keep);
    return status;
}

const command command_embed = {
    "embed",
    "",
    0,
    0,
    "Write the features before the head of every image of a data set.",
    "fettle embed --model vit.safetensors --data pets --out features.safetensors",
    {flags_model_required, flags_data, flags_embed, flags_adapter, flags_model, flags_image_reading},
    run};
