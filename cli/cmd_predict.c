/* fettle predict: the most probable class of each image file. */
#include "cli/cli.h"

#include <stdlib.h>

static const char *label_of(const fet_model *m, int i, char *number_text, size_t size)
{
    const char *name = fet_model_class_name(m, i);

    if (name)
        return shown(name);
    snprintf(number_text, size, "%d", i);
    return number_text;
}

static int best_of(const float *p, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        if (p[i] > p[best])
            best = i;
    return best;
}

static int print(const args *a, const fet_model *m, const float *probability)
{
    json_t *list = json_array();
    int i, classes = fet_model_class_count(m);
    char text[16];

    for (i = 0; i < a->operand_count; i++) {
        const float *p = probability + (int64_t)i * classes;
        int best = best_of(p, classes);
        const char *path = shown(a->operands[i]), *label = label_of(m, best, text, sizeof text);
        if (!a->json)
            printf("%s\t%s\t%.6f\n", path, label, (double)p[best]);
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:f}", "path", path, "label", label, "class", best,
                                              "probability", (double)p[best]));
    }
    if (a->json)
        return print_json(json_pack("{s:o}", "predictions", list));
    json_decref(list);
    return EXIT_DONE;
}

static int run(args *a)
{
    fet_tune_options o;
    fet_model *m = NULL;
    float *probability = NULL;
    void *keep;
    fet_status st;
    int status = options_apply(a, &o, &keep), classes;

    if (status < 0)
        status = open_model(a, &o, &m);
    if (status < 0) {
        classes = fet_model_class_count(m);
        probability = calloc((size_t)a->operand_count * (size_t)(classes > 0 ? classes : 1), sizeof *probability);
        if (!probability) {
            complain("no memory for the probabilities of %d images", a->operand_count);
            status = EXIT_FAILED;
        } else {
            st = fet_model_predict(m, (const char *const *)a->operands, a->operand_count, probability);
            status = st == FET_OK ? print(a, m, probability) : fail(st);
        }
    }
    free(probability);
    fet_model_close(m);
    fet_recipe_free(keep);
    return status;
}

const command command_predict = {"predict",
                                 "IMAGE...",
                                 1,
                                 -1,
                                 "Print path, label and probability of each image.",
                                 "fettle predict --model merged.safetensors cat.jpg dog.png",
                                 {flags_model_required, flags_adapter, flags_model},
                                 run};
