/* fettle predict: the most probable class of each image file. */
#include "cli/cli.h"

#include <stdlib.h>

#define AT_ONCE 64 /* images between two pieces of output */

static int best_of(const float *p, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        if (p[i] > p[best])
            best = i;
    return best;
}

static void report(const fet_model *m, const char *path, const float *p, json_t *list)
{
    int best = best_of(p, fet_model_class_count(m));
    const char *label = fet_model_class_name(m, best);
    char number_text[16];

    snprintf(number_text, sizeof number_text, "%d", best);
    label = label ? label : number_text;
    if (list)
        json_array_append_new(list, json_pack("{s:o, s:o, s:i, s:f}", "path", json_text(path), "label",
                                              json_text(label), "class", best, "probability", (double)p[best]));
    else
        printf("%s\t%s\t%.6f\n", shown(path), shown(label), (double)p[best]);
}

/* A piece of the operands at a time: memory and the wait for the first line do not grow with their number. */
static int predict_all(const args *a, fet_model *m, float *p, json_t *list)
{
    int i, j, classes = fet_model_class_count(m);

    for (i = 0; i < a->operand_count; i += AT_ONCE) {
        int n = a->operand_count - i < AT_ONCE ? a->operand_count - i : AT_ONCE;
        fet_status st = fet_model_predict(m, (const char *const *)a->operands + i, n, p);
        if (st != FET_OK)
            return fail(st);
        for (j = 0; j < n; j++)
            report(m, a->operands[i + j], p + (size_t)j * (size_t)classes, list);
    }
    return EXIT_DONE;
}

static int predict(const args *a, fet_model *m)
{
    int classes = fet_model_class_count(m), status;
    float *p = calloc((size_t)(classes > 0 ? classes : 1) * AT_ONCE, sizeof *p);
    json_t *list = a->json ? json_array() : NULL;

    if (!p) {
        complain("no memory for the probabilities of %d classes", classes);
        status = EXIT_FAILED;
    } else {
        status = predict_all(a, m, p, list);
    }
    if (list && status == EXIT_DONE)
        status = print_json(json_pack("{s:O}", "predictions", list));
    json_decref(list);
    free(p);
    return status;
}

static int run(args *a)
{
    fet_tune_options o;
    fet_model *m = NULL;
    void *keep;
    int status = options_apply(a, &o, &keep);

    if (status < 0)
        status = open_model(a, &o, &m);
    if (status < 0)
        status = predict(a, m);
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
                                 {flags_model_required, flags_adapter, flags_model, flags_decoding},
                                 run};
