/* fet_reid_train: options to sets, an encoder and SpCL's loop; what the loop asks for (first memory, labels, scores) is answered here. */
#include "method/reid_int.h"

#include <math.h>
#include <string.h>

#define PERSON_HEIGHT 256
#define PERSON_WIDTH 128
#define VEHICLE_SIDE 224
#define EXTRACT_BATCH 64
#define DEVICE_BATCH 16 /* of one domain on each of the reference's four accelerators */

typedef struct job {
    fet_reid_options o;
    const fet_reid_options *given;
    void *kept;
    char *config, *data_text;
    fet__reid_set target, source;
    bool two;
    fet_model *m;
    fet__augment_plan augment;
    fet__reid_labelling labelling;
    fet__reid_found found; /* of the last evaluation */
} job;

/* ---- what the loop asks for --------------------------------------------------------------------------------------------- */

static fet_status source_centres(job *j, float *memory, int64_t rows, int64_t width)
{
    int count = j->source.count[FET__REID_TRAIN];
    const fet__reid_image *images = j->source.images[FET__REID_TRAIN];
    int32_t *label = NULL;
    float *f = NULL;
    fet_status st;

    FET_TRY(FET_NEW(f, count * width));
    FET_TRY(FET_NEW(label, count));
    for (int i = 0; i < count; i++)
        label[i] = images[i].label;
    FET_TRY(fet__reid_image_features(j->m, images, count, EXTRACT_BATCH, j->o.memory, f));
    FET_TRY(fet__label_means(memory, f, label, count, width, 0, (int32_t)rows));
    for (int64_t k = 0; k < rows; k++) {
        double square = 0;
        for (int64_t c = 0; c < width; c++)
            square += (double)memory[k * width + c] * (double)memory[k * width + c];
        for (int64_t c = 0; c < width && square > 0; c++)
            memory[k * width + c] = (float)((double)memory[k * width + c] / sqrt(square));
    }
done:
    fet__free(f);
    fet__free(label);
    return st;
}

static fet_status fill_memory(void *user, float *memory, int64_t source_rows, int64_t rows, int64_t width)
{
    job *j = user;
    fet_status st = FET_OK;

    if (source_rows)
        FET_TRY(source_centres(j, memory, source_rows, width));
    FET_TRY(fet__reid_image_features(j->m, j->target.images[FET__REID_TRAIN], (int)(rows - source_rows), EXTRACT_BATCH,
                                     j->o.memory, memory + source_rows * width));
done:
    return st;
}

static fet_status relabel(void *user, fet__spcl_labels *out, int32_t *label, const float *x, int64_t rows,
                          int64_t width, int32_t first, fet__spcl_threshold *threshold)
{
    return fet__reid_label(&((job *)user)->labelling, out, label, x, rows, width, first, threshold);
}

static fet_status evaluate(void *user, fet__spcl_scores *out)
{
    job *j = user;
    fet_reid_eval_options o = {.memory = j->o.memory};
    fet_status st = fet__reid_score(&j->found, j->m, &j->target, &o);
    const fet_reid_scores *s = &j->found.scores;

    if (st == FET_OK)
        *out = (fet__spcl_scores){s->map, s->rank1, s->rank5, s->rank10, s->queries};
    return st;
}

static void forward_progress(void *user, const fet__progress *p)
{
    const job *j = user;
    fet_train_progress q = {p->step, p->steps,        p->epoch,        p->epochs, p->loss,
                            p->lr,   p->images_per_s, p->seconds_left, p->top1};

    j->o.progress(j->o.user, &q);
}

/* ---- options, data, model ----------------------------------------------------------------------------------------------- */

static fet_status need(const char *value, const char *name)
{
    return value && value[0] ? FET_OK : FET_FAIL(FET_E_ARG, "%s is needed", name);
}

static fet_status take_options(job *j)
{
    bool found = false;
    fet_status st;

    j->o = *j->given;
    FET_TRY(need(j->o.out, "out (the RUN folder)"));
    if (j->o.resume)
        FET_TRY(fet__reid_from_run(&j->o, j->o.out, &j->kept, &found));
    FET_TRY(need(j->o.model, "model"));
    FET_TRY(need(j->o.data, "data"));
    FET_TRY(fet__reid_check(&j->o));
    if (!(j->config = fet__reid_to_json(&j->o)))
        st = FET_E_NOMEM;
done:
    return st;
}

/* Names of formats of which sizes and lengths of an epoch are published. */
static bool one_of(const char *name, const char *list)
{
    const char *at = strstr(list, name);
    size_t n = strlen(name);

    return at && (at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0');
}

static bool is_person(const char *format)
{
    return one_of(format, "market1501 msmt17 dukemtmc personx");
}

static bool is_vehicle(const char *format)
{
    return one_of(format, "vehicleid vehiclex veri");
}

static fet_status open_data(job *j)
{
    fet__reid_options target = {.format = j->o.format, .seed = j->o.seed};
    fet__reid_options source = {.format = j->o.source_format, .seed = j->o.seed};
    fet_status st;

    FET_TRY(fet__reid_open(&j->target, j->o.data, &target));
    if (j->target.count[FET__REID_TRAIN] == 0)
        return FET_FAIL(FET_E_DATA, "%s: no training images (format %s)", fet__show(j->target.root), j->target.format);
    if (j->target.count[FET__REID_TRAIN] == 1)
        return FET_FAIL(FET_E_DATA, "%s: one training image alone tells nothing apart", fet__show(j->target.root));
    j->two = j->o.source != NULL;
    if (j->two) {
        FET_TRY(fet__reid_open(&j->source, j->o.source, &source));
        if (j->source.count[FET__REID_TRAIN] == 0)
            return FET_FAIL(FET_E_DATA, "%s: no training images (format %s)", fet__show(j->source.root),
                            j->source.format);
        if (strcmp(j->source.root, j->target.root) == 0)
            fet__warn("source and target are the same folder: %s", fet__show(j->source.root));
    }
    if (j->two)
        j->data_text = fet__format("%s (%d images) with source %s (%d images of %d identities)",
                                   fet__show(j->target.root), j->target.count[FET__REID_TRAIN],
                                   fet__show(j->source.root), j->source.count[FET__REID_TRAIN], j->source.identities);
    else
        j->data_text = fet__format("%s (%d images)", fet__show(j->target.root), j->target.count[FET__REID_TRAIN]);
    if (!j->data_text)
        st = FET_E_NOMEM;
done:
    return st;
}

/* Re-identification resizes to the exact size, bicubically, unless told otherwise. */
static fet_status set_image(job *j)
{
    fet__model *m = j->m->m;
    int height = j->o.height, width = j->o.width;

    if (height == 0 && is_person(j->target.format)) {
        height = PERSON_HEIGHT;
        width = PERSON_WIDTH;
    } else if (height == 0 && is_vehicle(j->target.format)) {
        height = width = VEHICLE_SIDE;
    }
    m->input.crop_pct = 0;
    if (!j->o.model_options.interpolation)
        m->input.filter = FET__BICUBIC;
    if (height == 0 || (height == m->arch.height && width == m->arch.width))
        return FET_OK;
    if (!m->arch.class_->resize)
        return FET_FAIL(FET_E_ARG, "architecture '%s' cannot take another image size", m->arch.class_->family);
    m->input.height = height;
    m->input.width = width;
    return m->arch.class_->resize(&m->arch, m->store, height, width);
}

/* The bias of the batch norm behind the pooling: frozen at zero without a source. With one the reference trains it (spcl.md 2.3). */
static void choose_neck_bias(const job *j)
{
    static const char *const names[] = {"feat_bn.bias", "feat_bn.BN_S.bias", "feat_bn.BN_T.bias"};
    bool trained = strcmp(j->o.neck_bias, "auto") == 0 ? j->two : strcmp(j->o.neck_bias, "trained") == 0;

    for (size_t i = 0; i < FET_COUNT(names) && !trained; i++) {
        fet__param *p = fet__params_find(j->m->m->store, names[i]);
        if (p)
            p->trainable = false;
    }
}

static fet_status open_model(job *j)
{
    fet_model_options o = j->o.model_options;
    fet__encoder_options encoder = {.last_stride = j->o.last_stride, .pool = j->o.pool};
    fet_status st;

    o.seed = j->o.seed;
    encoder.domains = j->two && strcmp(j->o.norms, "domains") == 0 ? FET__DOMAINS_TWO : FET__DOMAINS_TARGET;
    FET_TRY(fet_model_open(&j->m, j->o.model, &o));
    fet_model_set_decoding(j->m, j->o.data_options.max_pixels, j->o.data_options.ignore_exif);
    FET_TRY(fet__model_encoder(j->m->m, &encoder));
    FET_TRY(set_image(j));
    FET_TRY(fet__model_attach(j->m->m, "full"));
    choose_neck_bias(j);
    FET_TRY(fet__model_changed(j->m));
    if (strcmp(j->o.augment, "reid") == 0) {
        int side = j->m->m->input.height < j->m->m->input.width ? j->m->m->input.height : j->m->m->input.width;
        char spec[64]; /* the reference pads 10 pixels of 128 */
        snprintf(spec, sizeof spec, "crop:pad=%d+flip+erase-reid", side * 10 / 128 > 1 ? side * 10 / 128 : 1);
        st = fet__augment_parse(&j->augment, spec, j->m->m->input.height, j->m->m->input.width);
    } else {
        st = fet__augment_parse(&j->augment, j->o.augment, j->m->m->input.height, j->m->m->input.width);
    }
    if (st == FET_OK && fet__augment_mixes(&j->augment))
        st = FET_FAIL(FET_E_ARG, "augment '%s' mixes images: they would belong to two rows of the memory",
                      fet__show(j->o.augment));
done:
    return st;
}

static int64_t iterations(const job *j)
{
    const char *format = j->target.format;

    if (j->o.iters >= 0)
        return j->o.iters;
    if (one_of(format, "msmt17") || is_vehicle(format))
        return 800;
    return is_person(format) ? 400 : 0;
}

static void labelling_of(job *j)
{
    const fet_reid_options *o = &j->o;

    j->labelling = (fet__reid_labelling){
        .labels = o->labels,
        .drop_outliers = strcmp(o->outliers, "drop") == 0,
        .options = {.k1 = o->k1, .k2 = o->k2, .eps = o->eps, .eps_gap = o->eps_gap, .least = o->min_samples},
        .images = j->target.images[FET__REID_TRAIN],
        .truth_known = j->target.identities > 1};
    if (j->target.count[FET__REID_TRAIN] < o->k1)
        fet__note("%d training images are fewer than k1 = %d: neighbourhoods take them all",
                  j->target.count[FET__REID_TRAIN], o->k1);
    if (!j->labelling.truth_known)
        fet__note("%s: one identity alone, so the true ones are taken as unknown: no purity, no evaluation",
                  fet__show(j->target.root));
}

static fet__spcl_options loop_options(job *j)
{
    const fet_reid_options *o = &j->o;
    fet__spcl_options out = {.out = o->out,
                             .resume = o->resume,
                             .source = j->source.images[FET__REID_TRAIN],
                             .target = j->target.images[FET__REID_TRAIN],
                             .source_count = j->source.count[FET__REID_TRAIN],
                             .target_count = j->target.count[FET__REID_TRAIN],
                             .source_identities = j->source.identities,
                             .source_print = j->source.fingerprint,
                             .target_print = j->target.fingerprint,
                             .data_text = j->data_text,
                             .epochs = o->epochs,
                             .iters = iterations(j),
                             .batch = o->batch,
                             .instances = o->instances,
                             .eval_step = o->eval_step,
                             .schedule = {.kind = FET__STEP, .base = o->lr, .gamma = o->lr_gamma},
                             .optimizer = fet__optimizer_defaults(),
                             .temperature = o->temperature,
                             .momentum = o->momentum,
                             .mean_update = strcmp(o->update, "mean") == 0,
                             .reference_order = o->reference_order,
                             .norm_group = o->bn_group ? o->bn_group : (o->batch % DEVICE_BATCH ? 0 : DEVICE_BATCH),
                             .select_best = strcmp(o->select, "best") == 0,
                             .augment = &j->augment,
                             .save_seconds = o->save_every,
                             .seed = o->seed,
                             .memory = fet__budget(o->memory),
                             .check_finite = o->check_finite,
                             .config_json = j->config,
                             .fill_memory = fill_memory,
                             .relabel = relabel,
                             .evaluate = fet__reid_can_evaluate(&j->target) ? evaluate : NULL,
                             .progress = o->progress ? forward_progress : NULL,
                             .user = j,
                             .stop = o->stop};

    out.schedule.total = (double)o->epochs;
    out.schedule.every = (double)o->lr_step;
    out.optimizer.kind = FET__ADAM;
    out.optimizer.weight_decay = o->wd;
    return out;
}

/* ---- the command ------------------------------------------------------------------------------------------------------- */

static fet_reid_scores scores_of(const fet__spcl_scores *s, int64_t gallery)
{
    return (fet_reid_scores){.map = s->map,
                             .rank1 = s->rank1,
                             .rank5 = s->rank5,
                             .rank10 = s->rank10,
                             .queries = s->queries,
                             .gallery = gallery};
}

static void fill(fet_reid_result *out, const fet__spcl_result *r, const job *j)
{
    int64_t gallery = j->target.count[FET__REID_GALLERY];

    *out = (fet_reid_result){.steps = r->steps,
                             .epochs = r->epochs,
                             .best_epoch = r->best_epoch,
                             .loss = r->loss,
                             .seconds = r->seconds,
                             .images_per_s = r->images_per_s,
                             .last = scores_of(&r->last, gallery),
                             .best = scores_of(&r->best, gallery),
                             .clusters = r->labels.clusters,
                             .outliers = r->labels.outliers,
                             .dropped = r->labels.dropped,
                             .purity = r->labels.purity,
                             .pair_f1 = r->labels.pair_f1,
                             .trainable = r->trainable,
                             .parameters = r->parameters,
                             .planned_bytes = r->info.total_bytes + r->info.weight_bytes + r->info.process_bytes};
}

/* The page shows the weights that the run ended with. */
static fet_status report(job *j, const fet_reid_result *result)
{
    fet_reid_eval_options o = {.memory = j->o.memory};
    fet_status st;

    if (fet__reid_can_evaluate(&j->target)) {
        FET_TRY(FET_NEW(j->found.shown, FET__REID_SHOWN));
        FET_TRY(fet__reid_score(&j->found, j->m, &j->target, &o));
    }
    st = fet__reid_report(j->o.out, &j->o, result, &j->found, &j->target);
done:
    return st;
}

static void job_fini(job *j)
{
    fet_model_close(j->m);
    fet__reid_fini(&j->target);
    fet__reid_fini(&j->source);
    fet__free(j->config);
    fet__free(j->data_text);
    fet__free(j->found.shown);
    fet__reid_texts_free(j->kept);
}

fet_status fet_reid_train(const fet_reid_options *o, fet_reid_result *result)
{
    job j = {.given = o};
    fet__spcl_options options;
    fet__spcl_result r;
    fet_status st;

    if (!o || !result)
        return FET_FAIL(FET_E_ARG, "fet_reid_train: options or result is absent");
    memset(result, 0, sizeof *result);
    FET_TRY(take_options(&j));
    FET_TRY(open_data(&j));
    FET_TRY(open_model(&j));
    labelling_of(&j);
    options = loop_options(&j);
    FET_TRY(fet__spcl_loop(&r, j.m->m, &options));
    fill(result, &r, &j);
    st = report(&j, result);
done:
    job_fini(&j);
    return st;
}
