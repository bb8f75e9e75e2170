/* Tune a pretrained model to a folder of labelled pictures with Hydra, merge the adapter, prove that the merge changed nothing, save the
 * model and classify one picture.
 *
 *     tune_merge_predict MODEL DATA RUN IMAGE
 *     cc tune_merge_predict.c $(pkg-config --cflags --libs fettle) */
#include <stdio.h>
#include <stdlib.h>

#include <fettle/fettle.h>

static void check(fet_status st)
{
    if (st == FET_OK)
        return;
    fprintf(stderr, "tune_merge_predict: %s\n", fet_error_message());
    exit(fet_status_exit(st));
}

static void tune(const char *model, const char *data, const char *run)
{
    fet_tune_options o;
    fet_tune_result r;

    fet_tune_defaults(&o);
    o.model = model;
    o.data = data;
    o.out = run;
    o.adapter = "hydra:rank=2,at=mlp.fc2";
    o.epochs = 3;
    o.batch = 16;
    o.lr = 5e-3;
    check(fet_tune(&o, &r));
    printf("trained %lld of %lld values, top-1 %.1f %%\n", (long long)r.trainable, (long long)r.parameters,
           100 * r.last.top1);
}

static void merge(fet_model *m, const char *run, const char *out)
{
    fet_merge_report r;

    check(fet_model_attach(m, run));
    check(fet_model_merge(m, NULL, &r));
    check(fet_model_save(m, out));
    printf("merged; outputs differ by at most %.2g of %.2g\n", r.max_abs_diff, r.max_abs_logit);
    fet_free(r.merged);
}

static void predict(fet_model *m, const char *image)
{
    int i, best = 0, classes = fet_model_class_count(m);
    float *p = malloc((size_t)classes * sizeof *p);

    if (!p)
        exit(EXIT_FAILURE);
    check(fet_model_predict(m, &image, 1, p));
    for (i = 1; i < classes; i++)
        best = p[i] > p[best] ? i : best;
    printf("%s: %s (%.1f %%)\n", image, fet_model_class_name(m, best), 100 * (double)p[best]);
    free(p);
}

int main(int argc, char **argv)
{
    char merged[4096];
    fet_model *m = NULL;

    if (argc != 5) {
        fprintf(stderr, "usage: tune_merge_predict MODEL DATA RUN IMAGE\n");
        return 2;
    }
    tune(argv[1], argv[2], argv[3]);
    snprintf(merged, sizeof merged, "%s/merged.safetensors", argv[3]);
    check(fet_model_open(&m, argv[1], NULL));
    merge(m, argv[3], merged);
    predict(m, argv[4]);
    fet_model_close(m);
    return EXIT_SUCCESS;
}
