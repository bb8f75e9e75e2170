/* fettle data preview: a contact sheet of what training sees. */
#include "cli/cli.h"

static const flag flags_preview[] = {
    {"data", "DATA", NULL, "data set", true},
    {"out", "FILE", NULL, "PNG to write: a row an image, the original at the left, a column a draw", true},
    {"augment", "SPEC", "light", "as for tune (docs/augmentation.md)", true},
    {"image", "N", "224", "height and width of the pictures that the model sees", true},
    {"interpolation", "NAME", "bicubic", "nearest box bilinear hamming bicubic lanczos", true},
    {"crop-pct", "X", "0.875", "share that evaluation's centre crop keeps; 0: no crop", true},
    {"images", "N", "6", "images, chosen by seed", false},
    {"count", "N", "7", "draws of each", false},
    FLAG_END};

static void print_row(size_t i, const json_t *r)
{
    const json_t *mixed = json_object_get(r, "mixed");
    size_t k;

    printf("row %-3zu %-20s %s\n", i + 1, json_string_value(json_object_get(r, "class")),
           shown(json_string_value(json_object_get(r, "path"))));
    if (json_array_size(mixed) == 0)
        return;
    printf("        mixed in, draw by draw:");
    for (k = 0; k < json_array_size(mixed); k++) {
        const json_t *m = json_array_get(mixed, k);
        printf("%s %.0f %% %s", k ? "," : "", 100 - 100 * json_number_value(json_object_get(m, "own")),
               json_string_value(json_object_get(m, "other")));
    }
    putchar('\n');
}

static int print(const args *a, const char *text, const char *out)
{
    json_t *j = json_loads(text, 0, NULL), *rows = json_object_get(j, "rows");
    size_t i;

    if (a->json) {
        json_object_set_new(j, "out", json_text(out));
        return print_json(j);
    }
    for (i = 0; i < json_array_size(rows); i++)
        print_row(i, json_array_get(rows, i));
    printf("%lld x %lld pixels (height x width) in %s\n", (long long)json_integer_value(json_object_get(j, "height")),
           (long long)json_integer_value(json_object_get(j, "width")), shown(out));
    json_decref(j);
    return EXIT_DONE;
}

static int run(args *a)
{
    fet_tune_options o;
    fet_preview_options p = {.seed = a->seed};
    int64_t images, count;
    char *text = NULL;
    void *keep;
    fet_status st;
    int status;

    if (!args_int(a, "images", 1, 256, 0, &images) || !args_int(a, "count", 1, 256, 0, &count))
        return EXIT_USAGE;
    status = options_apply(a, &o, &keep);
    if (status >= 0)
        return status;
    p.augment = o.augment;
    p.image = o.model_options.image;
    p.interpolation = o.model_options.interpolation;
    p.crop_pct = o.model_options.crop_pct;
    p.images = (int)images;
    p.count = (int)count;
    st = fet_data_preview(o.data, &o.data_options, &p, o.out, &text);
    status = st == FET_OK ? print(a, text, o.out) : fail(st);
    fet_free(text);
    return status;
}

const command command_data_preview = {"data preview",
                                      "",
                                      0,
                                      0,
                                      "Show on one sheet what augmentation makes of images.",
                                      "fettle data preview --data pets --augment strong --out sheet.png",
                                      {flags_preview, flags_image_reading},
                                      run};
